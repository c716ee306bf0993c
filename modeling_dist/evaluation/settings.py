# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""The options of evaluation and prediction. Nothing here imports torch."""

import os
from dataclasses import dataclass

from ..command_line import option
from ..data.settings import DATASET_FORMATS, OFFICIAL_SPLITS, DatasetSettings, ReadingSettings


DTYPES = ("float32", "bfloat16", "float16")
PREDICTIONS_FORMATS = ("parquet", "csv")


@dataclass
class EvaluationSettings(ReadingSettings, DatasetSettings):
    """
    The settings of [`~modeling_dist.evaluation.evaluate`], and so the options of `modeling-dist evaluate`. The defaults are
    the paper's protocol.
    """

    dataset_format: str = option(
        "auto",
        "format of the dataset; ucf101 and hmdb51 evaluate on the official splits, whose files are in the folder --dataset",
        choices=(*DATASET_FORMATS, *OFFICIAL_SPLITS),
    )
    class_names: str | None = option(None, "with --zero_shot: k400, ssv2 or a file with the class names in order")
    split: str | None = option(None, "split to evaluate on; that for validation by default", group="Data")
    skip_unreadable: bool = option(False, "leave out videos that cannot be read, and count them")

    model: str | None = option(None, "Hub id or folder of a trained DiST", group="Model", required=True)
    revision: str | None = option(None, "revision of the model")
    num_clips: int = option(3, "number of clips of a video", minimum=1)
    num_crops: int = option(1, "number of crops of a clip", choices=(1, 3))
    shuffle_frames: bool = option(False, "put the frames of each clip in random order")

    zero_shot: bool = option(False, "classify into the dataset's classes instead of the model's", group="Zero-shot")
    zero_shot_weight: float = option(0.5, "share of CLIP's own logits for single frames")
    prompt_templates: list[str] | None = option(None, "sentences with {} for the class name, alone by default")
    text_model: str | None = option(None, "Hub id or folder of the text encoder; the backbone's by default")
    tokenizer: str | None = option(None, "Hub id or folder of the tokenizer; the text encoder's by default")

    batch_size: int = option(8, "number of videos decoded together in a process", group="Speed and memory", minimum=1)
    view_batch_size: int | None = option(None, "number of views in a forward pass; batch_size by default", minimum=1)
    num_workers: int = option(4, "number of processes that decode videos, per evaluating process", minimum=0)
    dtype: str = option("float32", "data type of the model", choices=DTYPES)
    attn_implementation: str | None = option(None, "attention: sdpa, eager, flash_attention_2, …")
    torch_compile: bool = option(False, "compile the model with torch.compile")
    cpu: bool = option(False, "evaluate on the CPU even if there is a GPU")

    output_dir: str | None = option(None, "folder for the report; one in the model's by default", group="Output")
    predictions_format: str = option("parquet", "format of the table of predictions", choices=PREDICTIONS_FORMATS)

    def check(self):
        super().check()
        if self.dataset_format in OFFICIAL_SPLITS and (self.video_root is None or not self.zero_shot or self.exclude):
            raise ValueError(
                f"--dataset_format {self.dataset_format} needs --video_root and --zero_shot, and takes no --exclude."
            )
        if not self.zero_shot and (self.class_names or self.prompt_templates or self.text_model or self.tokenizer):
            raise ValueError(
                "--class_names, --prompt_templates, --text_model and --tokenizer go with --zero_shot: without it, the "
                "classes are the model's."
            )


@dataclass
class PredictionSettings(ReadingSettings):
    """The settings of [`~modeling_dist.evaluation.predict_files`], and so the options of `modeling-dist predict`."""

    videos: list[str] = option([], "files, URLs, or folders, searched at any depth", group="Data", required=True)
    output: str | None = option(None, ".csv or .jsonl file for the results, instead of the screen")
    top_k: int = option(5, "number of classes for each video, the most probable ones", minimum=1)

    model: str | None = option(None, "Hub id or folder of a trained DiST", group="Model", required=True)
    revision: str | None = option(None, "revision of the model")
    candidate_labels: list[str] | None = option(None, "classes in words, instead of the model's own")
    zero_shot_weight: float = option(0.5, "share of CLIP's own logits for single frames, with --candidate_labels")
    num_clips: int = option(3, "number of clips of a video, whose probabilities are averaged", minimum=1)
    num_crops: int = option(1, "number of crops of a clip", choices=(1, 3))

    batch_size: int = option(8, "number of videos that are decoded together", group="Speed and memory", minimum=1)
    num_workers: int = option(2, "number of processes that decode videos", minimum=0)
    device: str | None = option(None, "device of the model; cuda by default if there is one, otherwise cpu")
    dtype: str = option("float32", "data type of the model", choices=DTYPES)

    def check(self):
        super().check()
        if self.output is not None and os.path.splitext(self.output)[1] not in (".csv", ".jsonl"):
            raise ValueError(f"--output must end in .csv or .jsonl, got {self.output}.")
