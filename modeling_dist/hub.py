# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Making a saved folder stand alone: the code beside the weights, for people without this package."""

import json
import os
import shutil
from pathlib import Path

from transformers.utils import CONFIG_NAME, VIDEO_PROCESSOR_NAME


# The files that run as remote code; they import nothing of this package but each other.
CODE_FILES = (
    "configuration_dist.py",
    "frozen_backbone_dist.py",
    "modeling_dist.py",
    "video_decoding_dist.py",
    "video_processing_dist.py",
)
# What runs as remote code beside them, where it is asked for by its task.
PIPELINE_FILES = ("zero_shot_pipeline_dist.py",)

AUTO_MAP = {
    "AutoConfig": "configuration_dist.DiSTConfig",
    "AutoModel": "modeling_dist.DiSTModel",
    "AutoModelForVideoClassification": "modeling_dist.DiSTForVideoClassification",
    "AutoVideoProcessor": "video_processing_dist.DiSTVideoProcessor",
}

CUSTOM_PIPELINES = {
    "zero-shot-video-classification": {
        "impl": "zero_shot_pipeline_dist.ZeroShotVideoClassificationPipeline",
        "pt": ["AutoModelForVideoClassification"],
    }
}


def export_code(folder: str | os.PathLike) -> list[str]:
    """
    Puts the model's code into a saved folder, so that `AutoModel`, `AutoModelForVideoClassification`,
    `AutoVideoProcessor` and `pipeline` load it with `trust_remote_code=True` where this package is not installed; for a
    model with the text head also `pipeline("zero-shot-video-classification")`, which then asks for `trust_remote_code=True`
    (or `pipeline_class=ZeroShotVideoClassificationPipeline`) where this package is installed too.

    Args:
        folder (`str` or `os.PathLike`):
            What `model.save_pretrained` and `processor.save_pretrained` wrote.

    Returns:
        `list[str]`: The files that were written.

    Raises:
        FileNotFoundError: If the folder holds no model or no processor.
    """
    folder = Path(folder)
    settings = {}
    for name, what in ((CONFIG_NAME, "model"), (VIDEO_PROCESSOR_NAME, "video processor")):
        path = folder / name
        if not path.is_file():
            raise FileNotFoundError(f"{folder} holds no {what} ({name}). Save it there with `save_pretrained` first.")
        settings[path] = json.loads(path.read_text(encoding="utf-8"))
    written = []
    for name in (*CODE_FILES, *PIPELINE_FILES):
        written.append(shutil.copy(Path(__file__).with_name(name), folder / name))
    for path, content in settings.items():
        content["auto_map"] = (
            AUTO_MAP if path.name == CONFIG_NAME else {"AutoVideoProcessor": AUTO_MAP["AutoVideoProcessor"]}
        )
        if path.name == CONFIG_NAME and content.get("head_type", "text") == "text":
            content["custom_pipelines"] = CUSTOM_PIPELINES
        aside = path.with_suffix(".json.new")
        aside.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        os.replace(aside, path)
        written.append(path)
    return [str(path) for path in written]
