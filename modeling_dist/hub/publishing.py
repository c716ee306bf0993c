# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Publishing a saved model: the code beside the weights, for people without this package, and one commit on the Hub."""

import json
import os
import shutil
import tempfile
from pathlib import Path

import torch
from huggingface_hub import CommitInfo, HfApi
from safetensors import safe_open
from safetensors.torch import save_file
from transformers.utils import (
    CONFIG_NAME,
    SAFE_WEIGHTS_INDEX_NAME,
    SAFE_WEIGHTS_NAME,
    VIDEO_PROCESSOR_NAME,
    cached_file,
    logging,
)

from ..checkpoint_dist import Backbone, in_backbone, same_weights, select_backbone
from ..configuration_dist import DiSTConfig
from ..frozen_backbone_dist import refuse_local_backbone
from ..modeling_dist import DiSTForVideoClassification, DiSTModel
from ..paper import PAPER_CHECKPOINTS
from ..video_processing_dist import DiSTVideoProcessor
from .card import is_generated_card, make_model_card
from .repository import commit_files, explain_interruption, open_repository


logger = logging.get_logger(__name__)

MODEL_CARD_NAME = "README.md"

# The files that run as remote code; they import nothing of this package but each other.
CODE_FILES = (
    "checkpoint_dist.py",
    "configuration_dist.py",
    "frozen_backbone_dist.py",
    "modeling_dist.py",
    "text_head_dist.py",
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

MODEL_CLASSES = {cls.__name__: cls for cls in (DiSTModel, DiSTForVideoClassification)}

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
    model with the text head also `pipeline("zero-shot-video-classification")`.

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
        settings[path] = _read_json(path)
    written = []
    for name in (*CODE_FILES, *PIPELINE_FILES):
        written.append(shutil.copy(Path(__file__).parents[1] / name, folder / name))
    for path, content in settings.items():
        content["auto_map"] = (
            AUTO_MAP if path.name == CONFIG_NAME else {"AutoVideoProcessor": AUTO_MAP["AutoVideoProcessor"]}
        )
        if path.name == CONFIG_NAME and content.get("head_type", "text") == "text":
            content["custom_pipelines"] = CUSTOM_PIPELINES
        aside = path.with_suffix(".json.new")
        _write_json(content, aside)
        os.replace(aside, path)
        written.append(path)
    return [str(path) for path in written]


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
    origin: str | None = None,
    dry_run: bool = False,
) -> CommitInfo | dict[str, int]:
    """
    Publishes a saved, trained or converted model on the Hub in one commit: the weights as they were saved, the
    configuration, the video processor, the code for people without this package, and a model card.

    What the repository holds already is not sent again. A `README.md` that somebody has written, in the folder or in the
    repository, is kept.

    Args:
        folder (`str` or `os.PathLike`):
            What `model.save_pretrained` wrote. `model.push_to_hub` goes by way of such a folder.
        repo_id (`str`):
            `namespace/name` (yourself or an organization), or a name in your own namespace. Made if it does not exist.
        processor (`DiSTVideoProcessor`, *optional*):
            By default the folder's own, else the repository's, else that of `origin` if it fits, else one for the sizes
            that the configuration has.
        backbone (`str`, *optional*):
            Repository on the Hub that holds the backbone's weights, to name instead of a folder on this machine. It is
            checked by the fingerprint where it can be reached.
        backbone_revision (`str`, *optional*):
            Its commit, branch or tag. By default the one that the configuration pins, if it names the same repository, else
            the newest. The commit is what the published configuration pins.
        include_backbone (`bool`, *optional*):
            Whether to publish the backbone's weights too. By default they are published where the folder holds them.
        metrics, training_settings (`dict`, `str` or `os.PathLike`, *optional*):
            For the card, as they are or as JSON files. By default `metrics.json` and `training_settings.json` of the folder.
        authors_metrics (`dict`, `str` or `os.PathLike`, *optional*):
            What the authors of the weights report, in the form of `metrics`. The card tells it apart from what was measured.
        paper_checkpoint (`str`, *optional*):
            Which of the paper's nine checkpoints the model was converted from, for instance `"dist-vit-b16-8-16f-k400"`. The
            card has the paper's figures and settings then, unless others are given or lie in the folder.
        license (`str`, *optional*):
            Of the weights, by its identifier on the Hub, for instance `"apache-2.0"`.
        tags (`list[str]`, *optional*):
            For the card.
        private (`bool`, *optional*):
            Whether a new repository is private.
        revision (`str`, *optional*):
            Branch to commit to, made if it does not exist.
        create_pr (`bool`, *optional*):
            Whether to propose the commit as a pull request.
        token (`str` or `bool`, *optional*):
            Instead of the one that `hf auth login` has stored.
        commit_message, commit_description (`str`, *optional*):
            Of the commit.
        variant (`str`, *optional*):
            Of the weights.
        origin (`str`, *optional*):
            Folder or Hub id that the model was made from.
        dry_run (`bool`, defaults to `False`):
            Only say what would be published.

    Returns:
        `CommitInfo`: The commit, or the last one where nothing has changed. With `dry_run`, `dict[str, int]`: the files
        with their sizes in bytes; nothing is made or sent on the Hub.

    Raises:
        FileNotFoundError: If the folder holds no model, or a file that is given is not there.
        ValueError: If the folder holds no DiST, a JSON file is broken, the model is not the `paper_checkpoint`, or the
            processor is for another number of frames; or if the backbone is a folder on this machine and nothing else is
            said, is not the one that `backbone` holds, or would be lost.
        ConnectionError: If the Hub fails in the middle. Nothing is half done, and the same can be run again.
        huggingface_hub.errors.HfHubHTTPError: If the Hub refuses.
    """
    folder = Path(folder)
    _check_model(folder)
    if backbone is not None and (os.path.isabs(backbone) or os.path.isdir(backbone)):
        raise ValueError(f"`backbone` must be the id of a repository on the Hub, and {backbone} is a folder.")
    api = HfApi(token=token, library_name="modeling_dist")
    card_data = _read_card_data(folder, metrics, authors_metrics, training_settings, paper_checkpoint)
    card_data |= {"license": license, "tags": tags}
    with tempfile.TemporaryDirectory() as temporary:
        stage = Path(temporary)
        weights, card_data["holds_backbone"] = _stage_model(
            api, folder, stage, backbone, backbone_revision, include_backbone, variant
        )
        config = DiSTConfig.from_pretrained(stage)
        processor = processor or _find_processor(folder)
        if processor is not None and processor.num_frames != config.num_frames:
            raise ValueError(
                f"The processor makes clips of {processor.num_frames} frames, and the model takes {config.num_frames}. Pass "
                f"`processor=DiSTVideoProcessor(num_frames={config.num_frames}, …)`, or save it to {folder}."
            )
        if dry_run:
            processor = processor or _make_processor(config, origin)
            files = weights | _stage_the_rest(folder, stage, repo_id, processor, weights, card_data)
            return {name: os.path.getsize(path) for name, path in sorted(files.items())}

        with explain_interruption(repo_id):
            repo_id, present = open_repository(api, repo_id, private, revision, create_pr)
            if processor is None and VIDEO_PROCESSOR_NAME in present:
                processor = _find_processor(repo_id, config, revision=revision, token=token)
            processor = processor or _make_processor(config, origin, token=token)
            files = weights | _stage_the_rest(folder, stage, repo_id, processor, weights, card_data)
            if MODEL_CARD_NAME in present and files[MODEL_CARD_NAME].parent == stage:
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


def _read_json(path: str | os.PathLike) -> dict:
    """
    Raises:
        ValueError: If the file holds no JSON object.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}. Mend the file, or write it anew.") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold a JSON object, by names, and holds a {type(content).__name__}.")
    return content


def _check_model(folder: Path):
    """
    Raises:
        FileNotFoundError: If the folder holds no model.
        ValueError: If it holds another one than a DiST.
    """
    path = folder / CONFIG_NAME
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder} holds no model ({CONFIG_NAME}). Save it there with `save_pretrained` first."
        )
    settings = _read_json(path)
    if settings.get("model_type") != DiSTConfig.model_type:
        raise ValueError(
            f'{path} is of a model of the type {settings.get("model_type")!r}, and only "{DiSTConfig.model_type}" is published '
            "here. Give the folder of a DiST."
        )
    if (settings.get("architectures") or [None])[0] not in MODEL_CLASSES:
        raise ValueError(
            f"{path} must name the model's class as `architectures`, one of {', '.join(MODEL_CLASSES)}, and has "
            f"{settings.get('architectures')}. Save the model with `save_pretrained`, which writes it."
        )


def _read_card_data(
    folder: Path,
    metrics: dict | str | os.PathLike | None,
    authors_metrics: dict | str | os.PathLike | None,
    training_settings: dict | str | os.PathLike | None,
    paper_checkpoint: str | None,
) -> dict[str, dict]:
    """What the card says of figures and training, as given, from the folder, or from the paper."""
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
    card_data = {}
    for name, source in given.items():
        default = None if name == "authors_metrics" else folder / f"{name}.json"
        if source is None and default is not None and default.is_file():
            source = default
        if source is None:
            source = paper.get(name, {})
        card_data[name] = source if isinstance(source, dict) else _read_json(source)
    return card_data


def _stage_model(
    api: HfApi,
    folder: Path,
    stage: Path,
    backbone: str | None,
    backbone_revision: str | None,
    include_backbone: bool | None,
    variant: str | None,
) -> tuple[dict[str, Path], bool]:
    """
    Writes the configuration to publish to `stage`, and finds or makes the files of the weights that go with it; whether
    the backbone is among these comes second.
    """
    weights = _weight_files(folder, variant)
    held = {name: tensor for name, tensor in _read_weights(weights).items() if in_backbone(name)}
    settings = _read_json(folder / CONFIG_NAME)
    if include_backbone is None:
        include_backbone = bool(held) and backbone is None

    named = backbone or settings.get("backbone")
    if not include_backbone:
        refuse_local_backbone(named)
        if not named:
            raise ValueError(
                f"The configuration in {folder} names no backbone, so the tunable weights alone would be of no use. Pass "
                "`backbone=<Hub id>` (`--backbone ID`) of the CLIP model that they were trained on."
            )
    if backbone_revision is not None and (not named or os.path.isabs(named) or os.path.isdir(named)):
        raise ValueError("`backbone_revision` (`--backbone_revision`) needs the `backbone=<Hub id>` that it is of.")
    if backbone is not None or backbone_revision is not None or held and not include_backbone:
        if backbone_revision is None and named == settings.get("backbone"):
            backbone_revision = settings.get("backbone_revision")
        found = _check_backbone(api, named, backbone_revision, DiSTConfig.from_pretrained(folder), held)
        if found is None and held and not include_backbone:
            logger.warning("The backbone's weights are published too, because `%s` could not be reached.", named)
            include_backbone = True
        if found is None:
            found = {"backbone_revision": backbone_revision}
        settings |= {"backbone": named, **found}
    if include_backbone and (not named or os.path.isabs(named) or os.path.isdir(named)):
        # Nobody else has that folder, and nobody needs to know where it lies.
        settings |= {"backbone": None, "backbone_revision": None, "backbone_fingerprint": None}

    if include_backbone and not held:
        model = MODEL_CLASSES[settings["architectures"][0]].from_pretrained(folder, variant=variant, token=api.token)
        model.save_pretrained(stage / "with_backbone", variant=variant, include_backbone=True)
        weights = _weight_files(stage / "with_backbone", variant)
    elif held and not include_backbone:
        path = stage / "without_backbone" / _with_variant(SAFE_WEIGHTS_NAME, variant)
        path.parent.mkdir()
        tensors = {name: tensor for name, tensor in _read_weights(weights).items() if name not in held}
        save_file(tensors, path, metadata={"format": "pt"})
        weights = {path.name: path}
    _write_json(settings, stage / CONFIG_NAME)
    return weights, include_backbone


def _check_backbone(
    api: HfApi, backbone: str, revision: str | None, config: DiSTConfig, held: dict[str, torch.Tensor]
) -> dict | None:
    """
    What the configuration has to say of a repository that holds the backbone's weights at a revision, by default the
    newest; `None` where it cannot be reached.

    Raises:
        ValueError: If it holds other weights.
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
            "`%s` could not be reached, so that it holds the weights that this model was trained on has not been checked. "
            "Loading the model will.",
            backbone,
        )
        return None
    fingerprint = found.fingerprint(config.vision_config)
    if held:
        is_same = same_weights(select_backbone(held), found.vision_weights(config.vision_config))
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


def _with_variant(name: str, variant: str | None) -> str:
    stem, suffix = name.rsplit(".", 1)
    return f"{stem}.{variant}.{suffix}" if variant else name


def _weight_files(folder: Path, variant: str | None) -> dict[str, Path]:
    """The files of the weights of a saved model, by name."""
    whole, index = (folder / _with_variant(name, variant) for name in (SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME))
    if whole.is_file():
        return {whole.name: whole}
    if not index.is_file():
        raise FileNotFoundError(
            f"{folder} holds no weights ({whole.name}). Save them there with `save_pretrained` first."
        )
    shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    missing = [name for name in shards if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(f"{folder} lacks some of the weights that {index.name} lists: {', '.join(missing)}.")
    return {name: folder / name for name in (index.name, *shards)}


def _read_weights(weights: dict[str, Path]) -> dict[str, torch.Tensor]:
    """The tensors, mapped from the files until they are used."""
    tensors = {}
    for path in weights.values():
        if path.suffix != ".json":
            with safe_open(path, framework="pt") as file:
                tensors |= {name: file.get_tensor(name) for name in file.keys()}
    return tensors


def _find_processor(
    source: str | os.PathLike, config: DiSTConfig | None = None, **download_kwargs
) -> DiSTVideoProcessor | None:
    """The processor of a folder or repository, `None` where there is none, or none for that number of frames."""
    name = cached_file(source, VIDEO_PROCESSOR_NAME, _raise_exceptions_for_missing_entries=False, **download_kwargs)
    if name is None:
        return None
    processor = DiSTVideoProcessor.from_pretrained(source, **download_kwargs)
    return processor if config is None or processor.num_frames == config.num_frames else None


def _make_processor(config: DiSTConfig, origin: str | None, **download_kwargs) -> DiSTVideoProcessor:
    """The processor of what the model was made from, if it fits, else one of the configuration's sizes."""
    try:
        processor = _find_processor(origin, config, **download_kwargs) if origin else None
    except OSError:  # what the model was made from is gone
        processor = None
    size = config.vision_config.image_size
    return processor or DiSTVideoProcessor(num_frames=config.num_frames, size=size, crop_size=size)


def _stage_the_rest(
    folder: Path,
    stage: Path,
    repo_id: str,
    processor: DiSTVideoProcessor,
    weights: dict[str, Path],
    card_data: dict,
) -> dict[str, Path]:
    """Writes processor, code and card to `stage`. All files but the weights, by name."""
    processor.save_pretrained(stage)
    export_code(stage)
    card = folder / MODEL_CARD_NAME
    if not card.is_file() or is_generated_card(card):
        card = stage / MODEL_CARD_NAME
        make_model_card(
            DiSTConfig.from_pretrained(stage),
            repo_id,
            num_weight_bytes=sum(os.path.getsize(path) for path in weights.values()),
            processor=processor,
            **card_data,
        ).save(card)
    return {path.name: path for path in stage.iterdir() if path.is_file()} | {MODEL_CARD_NAME: card}


def _write_json(content: dict, path: Path):
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
