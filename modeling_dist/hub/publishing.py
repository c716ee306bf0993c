# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Publishing a saved model: the code beside the weights, for people without this package, and one commit on the Hub."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import CommitInfo, HfApi
from safetensors.torch import save_file
from transformers.utils import (
    CONFIG_NAME,
    SAFE_WEIGHTS_INDEX_NAME,
    SAFE_WEIGHTS_NAME,
    VIDEO_PROCESSOR_NAME,
    cached_file,
    logging,
)

from ..checkpoint_dist import Backbone, add_variant, in_backbone, read_checkpoint, same_weights, select_backbone
from ..configuration_dist import DiSTConfig
from ..files import read_json_object, write_json
from ..frozen_backbone_dist import is_local, refuse_local_backbone
from ..modeling_dist import DiSTForVideoClassification, DiSTModel
from ..paper import PAPER_CHECKPOINTS
from ..video_processing_dist import DiSTVideoProcessor
from .card import is_generated_card, make_model_card
from .repository import commit_files, explain_interruption, open_repository


logger = logging.get_logger(__name__)

MODEL_CARD_NAME = "README.md"

# The files that run as remote code. They import nothing of this package but each other.
CODE_FILES = (
    "checkpoint_dist.py",
    "configuration_dist.py",
    "frozen_backbone_dist.py",
    "modeling_dist.py",
    "text_head_dist.py",
    "video_decoding_dist.py",
    "video_files_dist.py",
    "video_frames_dist.py",
    "video_processing_dist.py",
    "video_structure_dist.py",
)
# Remote code that only pipelines run.
PIPELINE_FILES = ("pipelines_dist.py",)

AUTO_MAP = {
    "AutoConfig": "configuration_dist.DiSTConfig",
    "AutoModel": "modeling_dist.DiSTModel",
    "AutoModelForVideoClassification": "modeling_dist.DiSTForVideoClassification",
    "AutoProcessor": "video_processing_dist.DiSTVideoProcessor",
    "AutoVideoProcessor": "video_processing_dist.DiSTVideoProcessor",
}

MODEL_CLASSES = {cls.__name__: cls for cls in (DiSTModel, DiSTForVideoClassification)}

# The classes of pipelines, by the types of the head that they work with, and by their tasks.
CUSTOM_PIPELINES = {
    "linear": {"video-classification": "DiSTVideoClassificationPipeline"},
    "text": {
        "video-classification": "DiSTVideoClassificationPipeline",
        "zero-shot-video-classification": "ZeroShotVideoClassificationPipeline",
    },
}


def export_code(folder: str | os.PathLike) -> list[str]:
    """
    Add the model's code to a saved folder, so that `AutoModel`, `AutoModelForVideoClassification`, `AutoProcessor` and
    `pipeline` load it with `trust_remote_code=True` where this package is not installed. For a model with the text head,
    this includes `pipeline("zero-shot-video-classification")`. Return the files that were written; a folder without a saved
    model or processor is a `FileNotFoundError`.
    """
    folder = Path(folder)
    settings = {}
    for name, what in ((CONFIG_NAME, "model"), (VIDEO_PROCESSOR_NAME, "video processor")):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} holds no {what} ({name}). Save it there with `save_pretrained` first.")
        settings[name] = read_json_object(folder / name)
    settings[CONFIG_NAME]["auto_map"] = AUTO_MAP
    settings[VIDEO_PROCESSOR_NAME]["auto_map"] = {"AutoVideoProcessor": AUTO_MAP["AutoVideoProcessor"]}
    pipelines = CUSTOM_PIPELINES[settings[CONFIG_NAME].get("head_type", "text")]
    settings[CONFIG_NAME]["custom_pipelines"] = {
        task: {"impl": f"pipelines_dist.{name}", "pt": ["AutoModelForVideoClassification"]}
        for task, name in pipelines.items()
    }
    for name in (*CODE_FILES, *PIPELINE_FILES):
        shutil.copy(Path(__file__).parents[1] / name, folder / name)
    for name, content in settings.items():
        write_json(folder / name, content, sort_keys=True)
    return [str(folder / name) for name in (*CODE_FILES, *PIPELINE_FILES, *settings)]


def publish(
    folder: str | os.PathLike,
    repo_id: str,
    *,
    processor: DiSTVideoProcessor | None = None,
    backbone: str | None = None,
    backbone_revision: str | None = None,
    include_backbone: bool | None = None,
    metrics: dict | str | os.PathLike | None = None,
    authors_metrics: dict | str | os.PathLike | None = None,
    training_settings: dict | str | os.PathLike | None = None,
    paper_checkpoint: str | None = None,
    license: str | None = None,
    tags: list[str] | None = None,
    private: bool | None = None,
    revision: str | None = None,
    create_pr: bool | None = None,
    token: str | bool | None = None,
    commit_message: str | None = None,
    commit_description: str | None = None,
    variant: str | None = None,
    name_or_path: str | None = None,
    dry_run: bool = False,
) -> CommitInfo | dict[str, int]:
    """
    Publish a saved, trained or converted model on the Hub in one commit: the weights as they were saved, the configuration,
    the video processor, the code for people without this package, and a model card.

    Files that the repository holds already are not uploaded again. A `README.md` that somebody has written by hand, in the
    folder or in the repository, is kept.

    Args:
        folder (`str` or `os.PathLike`):
            The folder that `model.save_pretrained` wrote to.
        repo_id (`str`):
            `namespace/name`, where the namespace is yours or an organization's, or a name in your own namespace. The
            repository is created if it does not exist.
        processor (`DiSTVideoProcessor`, *optional*):
            Defaults to the folder's own, then to the repository's, then to that of `name_or_path` if it fits, then to one of the
            sizes in the configuration.
        backbone (`str`, *optional*):
            Hub id of the repository that holds the backbone's weights, to name in place of a folder on this machine. It is
            checked by the fingerprint if it can be reached.
        backbone_revision (`str`, *optional*):
            Commit, branch or tag of that repository. Defaults to the one in the configuration if this names the same
            repository, else to the newest. The published configuration has its commit.
        include_backbone (`bool`, *optional*):
            Whether to publish the backbone's weights too. Defaults to whether the folder holds them.
        metrics, training_settings (`dict`, `str` or `os.PathLike`, *optional*):
            Content of the model card, or JSON files with it. Default to `metrics.json` and `training_settings.json` in the
            folder.
        authors_metrics (`dict`, `str` or `os.PathLike`, *optional*):
            Figures that the authors of the weights report, in the form of `metrics`. The card distinguishes them from
            measured ones.
        paper_checkpoint (`str`, *optional*):
            Which of the paper's checkpoints the model was converted from, such as `"dist-vit-b16-8-16f-k400"`. The card then
            has the paper's figures and settings, unless others are given or in the folder.
        license (`str`, *optional*), tags (`list[str]`, *optional*):
            License of the weights, by its identifier on the Hub, such as `"apache-2.0"`, and tags of the model card.
        private, create_pr (`bool`, *optional*):
            Whether a new repository is private, and whether to propose the commit as a pull request.
        revision (`str`, *optional*):
            Branch to commit to, created if it does not exist.
        token (`str` or `bool`, *optional*):
            Used instead of the one that `hf auth login` has stored.
        commit_message, commit_description (`str`, *optional*):
            Title and description of the commit.
        variant, name_or_path (`str`, *optional*):
            Variant of the weights, and the folder or Hub id that the model was made from.
        dry_run (`bool`, defaults to `False`):
            Whether to only return what would be published.

    Returns:
        `CommitInfo`: The commit, or the last one if nothing has changed. With `dry_run`, which creates and sends nothing,
        `dict[str, int]`: the files with their sizes in bytes.

    Raises:
        FileNotFoundError: If the folder holds no model, or a given file does not exist.
        ValueError: If the folder holds another kind of model, a JSON file is broken, the model is not the
            `paper_checkpoint`, or the processor is for another number of frames; or if the backbone is a folder on this
            machine and no repository is given, is not the one that `backbone` holds, or would be lost.
        ConnectionError: If the connection to the Hub fails. Nothing is left half done, and the call can be repeated.
        huggingface_hub.errors.HfHubHTTPError: If the Hub refuses.
    """
    folder = Path(folder)
    settings = _read_config(folder)
    if is_local(backbone):
        raise ValueError(f"`backbone` must be the id of a repository on the Hub, and {backbone} is a folder.")
    card_content = _read_card_content(folder, metrics, authors_metrics, training_settings, paper_checkpoint)
    card_content |= {"license": license, "tags": tags}
    api = HfApi(token=token, library_name="modeling_dist")
    with tempfile.TemporaryDirectory() as temporary:
        staging = Path(temporary)
        weights, card_content["holds_backbone"] = _stage_model(
            api, folder, settings, staging, backbone, backbone_revision, include_backbone, variant
        )
        config = DiSTConfig.from_pretrained(staging)
        processor = processor or _find_processor(folder)
        if processor is not None and processor.num_frames != config.num_frames:
            raise ValueError(
                f"The processor makes clips of {processor.num_frames} frames, and the model takes {config.num_frames}. Pass "
                f"`processor=DiSTVideoProcessor(num_frames={config.num_frames}, …)`, or save it to {folder}."
            )
        if dry_run:
            processor = processor or _make_processor(config, name_or_path)
            files = weights | _stage_small_files(folder, staging, repo_id, processor, weights, card_content)
            return {name: os.path.getsize(path) for name, path in sorted(files.items())}

        with explain_interruption(repo_id):
            repo_id, present = open_repository(api, repo_id, private, revision, create_pr)
            if processor is None and VIDEO_PROCESSOR_NAME in present:
                processor = _find_processor(repo_id, config, revision=revision, token=token)
            processor = processor or _make_processor(config, name_or_path, token=token)
            files = weights | _stage_small_files(folder, staging, repo_id, processor, weights, card_content)
            if MODEL_CARD_NAME in present and files[MODEL_CARD_NAME].parent == staging:
                if not is_generated_card(api.hf_hub_download(repo_id, MODEL_CARD_NAME, revision=revision)):
                    del files[MODEL_CARD_NAME]
            return commit_files(
                api,
                repo_id,
                files,
                present,
                commit_message=commit_message or f"Upload {config.architectures[0]}",
                commit_description=commit_description,
                revision=revision,
                create_pr=create_pr,
                variant=variant,
            )


def _read_config(folder: Path) -> dict[str, Any]:
    """Return the content of a saved model's configuration, after checking that it is one of a DiST."""
    path = folder / CONFIG_NAME
    if not path.is_file():
        raise FileNotFoundError(f"{folder} holds no model ({CONFIG_NAME}). Save one there with `save_pretrained`.")
    settings = read_json_object(path)
    if settings.get("model_type") != DiSTConfig.model_type:
        raise ValueError(
            f'{path} is of a model of the type {settings.get("model_type")!r}, and only "{DiSTConfig.model_type}" is supported '
            "here. Give the folder of a DiST."
        )
    if (settings.get("architectures") or [None])[0] not in MODEL_CLASSES:
        raise ValueError(
            f"{path} must name the model's class as `architectures`, one of {', '.join(MODEL_CLASSES)}, and has "
            f"{settings.get('architectures')}. Save the model with `save_pretrained`, which writes it."
        )
    return settings


def _read_card_content(
    folder: Path,
    metrics: dict | str | os.PathLike | None,
    authors_metrics: dict | str | os.PathLike | None,
    training_settings: dict | str | os.PathLike | None,
    paper_checkpoint: str | None,
) -> dict[str, dict]:
    """Return the figures and the settings for the card: those given, else those in the folder, else the paper's."""
    paper = {}
    if paper_checkpoint is not None:
        if paper_checkpoint not in PAPER_CHECKPOINTS:
            raise ValueError(
                f"`paper_checkpoint` must be one of {', '.join(PAPER_CHECKPOINTS)}, got {paper_checkpoint!r}."
            )
        checkpoint = PAPER_CHECKPOINTS[paper_checkpoint]
        checkpoint.check(DiSTConfig.from_pretrained(folder))
        paper = {"authors_metrics": checkpoint.metrics, "training_settings": checkpoint.training_settings}
    given = {"metrics": metrics, "authors_metrics": authors_metrics, "training_settings": training_settings}
    content = {}
    for name, source in given.items():
        if source is None and name != "authors_metrics" and (folder / f"{name}.json").is_file():
            source = folder / f"{name}.json"
        if source is None:
            source = paper.get(name, {})
        content[name] = source if isinstance(source, dict) else read_json_object(source)
    return content


def _stage_model(
    api: HfApi,
    folder: Path,
    settings: dict[str, Any],
    staging: Path,
    backbone: str | None,
    backbone_revision: str | None,
    include_backbone: bool | None,
    variant: str | None,
) -> tuple[dict[str, Path], bool]:
    """
    Write the configuration to publish to `staging`, and find or make the files of the weights that go with it. Return these
    and whether they hold the backbone.
    """
    weights = _find_weights(folder, variant)
    tensors, _ = read_checkpoint(str(folder), variant=variant, use_safetensors=True)
    held = select_backbone(tensors)
    if include_backbone is None:
        include_backbone = bool(held) and backbone is None

    name = backbone or settings.get("backbone")
    if not include_backbone:
        refuse_local_backbone(name)
        if not name:
            raise ValueError(
                f"The configuration in {folder} names no backbone, and without one the tunable weights are of no use. Pass "
                "`backbone=<Hub id>` (`--backbone ID`) of the CLIP model that they were trained on."
            )
    if backbone_revision is not None and (not name or is_local(name)):
        raise ValueError("`backbone_revision` (`--backbone_revision`) needs the `backbone=<Hub id>` it belongs to.")
    if backbone is not None or backbone_revision is not None or held and not include_backbone:
        if backbone_revision is None and name == settings.get("backbone"):
            backbone_revision = settings.get("backbone_revision")
        found = _check_backbone(api, name, backbone_revision, DiSTConfig.from_pretrained(folder), held)
        if found is None and held and not include_backbone:
            logger.warning("The backbone's weights are published too, because `%s` could not be reached.", name)
            include_backbone = True
        settings = settings | {"backbone": name, **(found or {"backbone_revision": backbone_revision})}
    if include_backbone and (not name or is_local(name)):
        # Nobody else has that folder or needs to know its path.
        settings = settings | {"backbone": None, "backbone_revision": None, "backbone_fingerprint": None}

    if include_backbone and not held:
        model = MODEL_CLASSES[settings["architectures"][0]].from_pretrained(folder, variant=variant, token=api.token)
        model.save_pretrained(staging / "with_backbone", variant=variant, include_backbone=True)
        weights = _find_weights(staging / "with_backbone", variant)
    elif held and not include_backbone:
        path = staging / "without_backbone" / add_variant(SAFE_WEIGHTS_NAME, variant)
        path.parent.mkdir()
        tunable = {name: tensor for name, tensor in tensors.items() if not in_backbone(name)}
        save_file(tunable, path, metadata={"format": "pt"})
        weights = {path.name: path}
    write_json(staging / CONFIG_NAME, settings, sort_keys=True)
    return weights, include_backbone


def _check_backbone(
    api: HfApi, backbone: str, revision: str | None, config: DiSTConfig, held: dict[str, torch.Tensor]
) -> dict[str, str] | None:
    """
    Check that a repository holds the backbone's weights, by those that the checkpoint holds or else by the fingerprint.
    Return the values of the configuration that record it, or `None` if it cannot be reached.
    """
    reachable = True
    try:
        with explain_interruption(backbone):
            api.model_info(backbone, revision=revision)
    except ConnectionError:
        reachable = False
    try:
        found = Backbone.read(backbone, revision=revision, token=api.token, local_files_only=not reachable)
    except OSError:
        if reachable:
            raise
        logger.warning(
            "`%s` could not be reached, so it has not been checked that it holds the weights that this model was trained on. "
            "Loading the model will check it.",
            backbone,
        )
        return None
    fingerprint = found.fingerprint(config.vision_config)
    if held:
        is_same = same_weights(held, found.vision_weights(config.vision_config))
    else:
        is_same = config.backbone_fingerprint in (None, fingerprint)
    if not is_same:
        raise ValueError(
            f"`{backbone}` does not hold the weights that this model was trained on (revision {revision or 'main'}): their "
            f"fingerprint is {fingerprint}, and the configuration has {config.backbone_fingerprint}. Name the right "
            "repository, or the right commit with `backbone_revision` (`--backbone_revision`), or publish the backbone with "
            "the model by `include_backbone=True` (`--include_backbone`)."
        )
    return {"backbone_revision": found.commit_hash, "backbone_fingerprint": fingerprint}


def _find_weights(folder: Path, variant: str | None) -> dict[str, Path]:
    """Return the files of a saved model's weights by their names."""
    whole, index = (folder / add_variant(name, variant) for name in (SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME))
    if whole.is_file():
        return {whole.name: whole}
    if not index.is_file():
        raise FileNotFoundError(f"{folder} holds no weights ({whole.name}). Save them there with `save_pretrained`.")
    shards = sorted(set(read_json_object(index)["weight_map"].values()))
    missing = [name for name in shards if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(f"{folder} lacks some of the weights that {index.name} lists: {', '.join(missing)}.")
    return {name: folder / name for name in (index.name, *shards)}


def _find_processor(
    name_or_path: str | os.PathLike, config: DiSTConfig | None = None, **download_kwargs
) -> DiSTVideoProcessor | None:
    """Return the processor of a folder or repository, or `None` if there is none for the number of frames."""
    path = cached_file(
        name_or_path, VIDEO_PROCESSOR_NAME, _raise_exceptions_for_missing_entries=False, **download_kwargs
    )
    if path is None:
        return None
    processor = DiSTVideoProcessor.from_pretrained(name_or_path, **download_kwargs)
    return processor if config is None or processor.num_frames == config.num_frames else None


def _make_processor(config: DiSTConfig, name_or_path: str | None, **download_kwargs) -> DiSTVideoProcessor:
    """Return the processor of what the model was made from if it fits, else one of the sizes in the configuration."""
    try:
        processor = _find_processor(name_or_path, config, **download_kwargs) if name_or_path else None
    except OSError:  # what the model was made from is gone
        processor = None
    size = config.vision_config.image_size
    return processor or DiSTVideoProcessor(num_frames=config.num_frames, size=size, crop_size=size)


def _stage_small_files(
    folder: Path,
    staging: Path,
    repo_id: str,
    processor: DiSTVideoProcessor,
    weights: dict[str, Path],
    card_content: dict[str, Any],
) -> dict[str, Path]:
    """Write processor, code and card to `staging`. Return all files but the weights by their names."""
    processor.save_pretrained(staging)
    export_code(staging)
    card = folder / MODEL_CARD_NAME
    if not card.is_file() or is_generated_card(card):
        card = staging / MODEL_CARD_NAME
        make_model_card(
            DiSTConfig.from_pretrained(staging),
            repo_id,
            num_weight_bytes=sum(os.path.getsize(path) for path in weights.values()),
            processor=processor,
            **card_content,
        ).save(card)
    return {path.name: path for path in staging.iterdir() if path.is_file()} | {MODEL_CARD_NAME: card}
