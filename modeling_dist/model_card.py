# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""The model card: what the configuration, the metrics and the training settings say, in words."""

import os
from pathlib import Path

import torch
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from .configuration_dist import DiSTConfig
from .modeling_dist import DiSTForVideoClassification, DiSTModel
from .video_processing_dist import DiSTVideoProcessor


TEMPLATE = Path(__file__).with_name("model_card_template.md")

# What tells a card that nobody has written by hand: this package's, and those that transformers makes.
_GENERATED = (
    "This card is rendered by modeling_dist",
    "This model card has been automatically generated.",
    "This model card has been generated automatically",
)

# The names that datasets have in their papers.
DATASET_NAMES = {
    "hmdb51": "HMDB51",
    "k400": "Kinetics-400",
    "k600": "Kinetics-600",
    "k700": "Kinetics-700",
    "k710": "Kinetics-710",
    "ssv2": "Something-Something V2",
    "ucf101": "UCF101",
}

METRIC_NAMES = {
    "top1": ("accuracy", "Top-1 accuracy"),
    "top5": ("top_5_accuracy", "Top-5 accuracy"),
    "mean_class_accuracy": ("mean_class_accuracy", "Mean class accuracy"),
}

# Parts of the names of settings that are nobody else's business.
_PRIVATE_SETTINGS = ("token", "password", "secret", "api_key")


def is_generated_card(path: str | os.PathLike) -> bool:
    """Whether the card in that file has been made by a program, and may be replaced by one."""
    content = Path(path).read_text(encoding="utf-8", errors="replace")
    return any(mark in content for mark in _GENERATED)


def make_model_card(
    config: DiSTConfig,
    repo_id: str,
    *,
    metrics: dict | None = None,
    training_settings: dict | None = None,
    authors_metrics: dict | None = None,
    license: str | None = None,
    tags: list[str] | None = None,
    num_weight_bytes: int | None = None,
    holds_backbone: bool = False,
    processor: DiSTVideoProcessor | None = None,
) -> ModelCard:
    """
    The card of a published model.

    Args:
        config (`DiSTConfig`):
            The model's.
        repo_id (`str`):
            Where it is published.
        metrics (`dict`, *optional*):
            Content of `metrics.json`, as the evaluation writes it: `top1`, `top5` and `mean_class_accuracy` between 0 and 1,
            `num_videos`, `protocol`, `per_class_accuracy`. Any of it may be missing.
        training_settings (`dict`, *optional*):
            Content of `training_settings.json`. Values that are folders of this machine, and secrets, are left out.
        authors_metrics (`dict`, *optional*):
            As `metrics`, for figures of the paper; named as the authors' and told apart from measured ones.
        license (`str`, *optional*):
            Of the weights.
        tags (`list[str]`, *optional*):
            More of them.
        num_weight_bytes (`int`, *optional*):
            Size of the files of the weights.
        holds_backbone (`bool`, defaults to `False`):
            Whether these hold the backbone.
        processor (`DiSTVideoProcessor`, *optional*):
            For how the pipeline samples a video.

    Returns:
        `huggingface_hub.ModelCard`.
    """
    metrics, authors_metrics = metrics or {}, authors_metrics or {}
    training_settings = _public_settings(training_settings or {})
    name = repo_id.split("/")[-1]
    measured = _describe_results(metrics)
    of_authors = _describe_results(authors_metrics)
    trained_on = training_settings.get("dataset")
    datasets = [trained_on, *(_dataset(results) for results in (metrics, authors_metrics))]
    card_data = ModelCardData(
        model_name=name if measured or of_authors else None,
        base_model=config.backbone,
        pipeline_tag="video-classification",
        library_name="transformers",
        license=license,
        datasets=list(dict.fromkeys(_dataset_id(dataset) for dataset in datasets if dataset)) or None,
        metrics=["accuracy"] if measured or of_authors else None,
        tags=["dist", "video", "action-recognition", *(tags or [])],
        eval_results=_eval_results(metrics)
        + _eval_results(
            authors_metrics,
            source_name="The authors' figures (DiST, ICCV 2023)",
            source_url="https://arxiv.org/abs/2309.07911",
        )
        or None,
    )
    per_class = metrics.get("per_class_accuracy") or {}
    return ModelCard.from_template(
        card_data,
        template_str=TEMPLATE.read_text(encoding="utf-8"),
        name=name,
        repo_id=repo_id,
        config=config,
        backbone=config.backbone,
        patch_size=config.vision_config.patch_size,
        image_size=config.vision_config.image_size,
        parameters=_count_parameters(config),
        num_weight_bytes=num_weight_bytes,
        holds_backbone=holds_backbone,
        processor=processor,
        class_names=[config.id2label[index] for index in sorted(config.id2label)],
        has_class_names=not all(str(value).startswith("LABEL_") for value in config.id2label.values()),
        trained_on=DATASET_NAMES.get(trained_on, trained_on),
        pretrained_on=training_settings.get("pretrained_on"),
        measured=measured,
        of_authors=of_authors,
        hardest_classes=sorted(per_class.items(), key=lambda item: (item[1], item[0]))[:5]
        if len(per_class) > 5
        else [],
        training_settings=training_settings,
    )


def _protocol(metrics: dict) -> dict:
    return metrics.get("protocol") or {}


def _dataset(metrics: dict) -> str | None:
    """What the metrics are of: a known dataset, a Hub id, or the name of a folder without where it lies."""
    dataset = _protocol(metrics).get("dataset")
    return os.path.basename(os.path.normpath(dataset)) if dataset and os.path.isabs(dataset) else dataset


def _dataset_id(dataset: str) -> str:
    """As the Hub's metadata have it: in lower case with hyphens, or the id of a repository as it is."""
    return DATASET_NAMES[dataset].lower().replace(" ", "-") if dataset in DATASET_NAMES else dataset


def _count_parameters(config: DiSTConfig) -> dict[str, int]:
    classes = {cls.__name__: cls for cls in (DiSTModel, DiSTForVideoClassification)}
    model_class = classes.get((config.architectures or [None])[0], DiSTForVideoClassification)
    with torch.device("meta"):
        return model_class(config).count_parameters()


def _public_settings(settings: dict) -> dict:
    """The settings that say how a model was trained, without those that say where, and without secrets."""

    def is_private(value) -> bool:
        if isinstance(value, dict):
            return any(is_private(item) for item in value.values())
        if isinstance(value, (list, tuple)):
            return any(is_private(item) for item in value)
        return isinstance(value, str) and (os.path.isabs(value) or value.startswith(("~", "..")))

    return {
        name: value
        for name, value in sorted(settings.items())
        if value is not None and not is_private(value) and not any(part in name.lower() for part in _PRIVATE_SETTINGS)
    }


def _describe_results(metrics: dict) -> dict | None:
    """The figures as percentages, and the protocol that they stand for as a sentence."""
    figures = {name: metrics[key] for key, (_, name) in METRIC_NAMES.items() if metrics.get(key) is not None}
    if not figures:
        return None
    protocol, dataset = _protocol(metrics), _dataset(metrics)
    what = DATASET_NAMES.get(dataset, dataset) or "a dataset that was not recorded"
    if protocol.get("split"):
        what = f"the {protocol['split']} split of {what}"
    if metrics.get("num_videos") is not None:
        what = f"{metrics['num_videos']:,} videos of {what}"
    details = []
    clips, crops, frames = (protocol.get(name) for name in ("num_clips", "num_crops", "num_frames"))
    if clips and crops:
        views = clips * crops
        counted = f"{clips} {'clip' if clips == 1 else 'clips'} × {crops} {'crop' if crops == 1 else 'crops'}"
        details.append(
            (f"{counted} of {frames} frames each" if frames else counted)
            + (f", the softmax probabilities of the {views} views averaged" if views > 1 else "")
        )
    if protocol.get("precision"):
        details.append(f"computed in {protocol['precision']}")
    if protocol.get("num_unreadable") is not None:
        details.append(f"unreadable videos: {protocol['num_unreadable']}")
    if protocol.get("list_hash"):
        details.append(f"the list of videos has the checksum `{protocol['list_hash']}`")
    if protocol.get("model_revision"):
        details.append(f"model revision `{protocol['model_revision']}`")
    backbone = protocol.get("backbone")
    if backbone and not os.path.isabs(backbone):
        revision = protocol.get("backbone_revision")
        details.append(f"backbone `{backbone}`" + (f" at `{revision}`" if revision else ""))
    return {
        "figures": {name: f"{100 * value:.1f}" for name, value in figures.items()},
        "protocol": "; ".join([f"Evaluated on {what}", *details]) + ".",
    }


def _eval_results(metrics: dict, **source: str) -> list[EvalResult]:
    """For the card's model-index, from which the Hub shows the figures."""
    protocol = _protocol(metrics)
    dataset = _dataset(metrics) or "unknown"
    settings = {name: protocol[name] for name in ("num_frames", "num_clips", "num_crops") if name in protocol}
    return [
        EvalResult(
            task_type="video-classification",
            task_name="Video Classification",
            dataset_type=_dataset_id(dataset),
            dataset_name=DATASET_NAMES.get(dataset, dataset),
            dataset_split=protocol.get("split"),
            dataset_args=settings or None,
            metric_type=metric_type,
            metric_name=name,
            metric_value=round(float(metrics[key]), 6),
            **source,
        )
        for key, (metric_type, name) in METRIC_NAMES.items()
        if metrics.get(key) is not None
    ]
