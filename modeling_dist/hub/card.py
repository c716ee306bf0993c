# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""The model card: what the configuration, the metrics and the training settings say, in words."""

import os
import re
from pathlib import Path

import torch
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from ..configuration_dist import DiSTConfig
from ..modeling_dist import DiSTForVideoClassification, DiSTModel
from ..paper import DATASET_NAMES, PAPER_URL, RECIPES, find_openai_clip
from ..video_processing_dist import DiSTVideoProcessor


TEMPLATE = Path(__file__).with_name("card_template.md")

# What tells a card that nobody has written by hand: this package's, and those that transformers makes.
_GENERATED = (
    "This card is rendered by modeling_dist",
    "This model card has been automatically generated.",
    "This model card has been generated automatically",
)

METRIC_NAMES = {
    "top1": ("accuracy", "Top-1 accuracy"),
    "top5": ("top_5_accuracy", "Top-5 accuracy"),
    "mean_class_accuracy": ("mean_class_accuracy", "Mean class accuracy"),
}

# The training settings that say how a model was trained. Where it was, and with what at hand, is nobody else's business.
RECIPE_SETTINGS = (
    "recipe",
    "dataset",
    "dataset_config",
    "dataset_revision",
    "train_split",
    "num_epochs",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "total_batch_size",
    "base_learning_rate",
    "base_batch_size",
    "learning_rate",
    "warmup_epochs",
    "warmup_start_learning_rate",
    "weight_decay",
    "adam_beta1",
    "adam_beta2",
    "adam_epsilon",
    "max_grad_norm",
    "label_smoothing",
    "mixup_alpha",
    "cutmix_alpha",
    "mixing_probability",
    "cutmix_probability",
    "augmentation",
    "crop_scale",
    "crop_ratio",
    "flip_probability",
    "flip_label_pairs",
    "grayscale_probability",
    "color_jitter",
    "color_jitter_probability",
    "head_type",
    "num_frames",
    "spatial_frame_stride",
    "frame_sampling",
    "frame_step",
    "num_pooling_layers",
    "integration_dim",
    "temporal_dim",
    "initializer_range",
    "mixed_precision",
    "seed",
)

# What the Hub takes for the id of a repository, with or without a namespace.
_NAME = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?"
_REPO_ID = re.compile(rf"(?:{_NAME}/)?{_NAME}")
_LIST_SUFFIXES = (".csv", ".json", ".jsonl", ".tsv", ".txt", ".parquet")

_NUMBER_WORDS = {2: "two", 3: "three"}


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
            Content of `training_settings.json`. What is no part of the recipe (folders, addresses, secrets) is left out.
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
    training_settings = training_settings or {}
    name = repo_id.split("/")[-1]
    trained_on = training_settings.get("dataset")
    dataset_format = training_settings.get("dataset_format")
    if _protocol(metrics).get("dataset") == trained_on:  # whatever tells where the one comes from is true of the other
        metrics = {**metrics, "protocol": {"dataset_format": dataset_format, **_protocol(metrics)}}
    dataset_ids = [_dataset_id(trained_on, dataset_format), *map(_dataset_id_of_figures, (metrics, authors_metrics))]
    eval_results = _eval_results(metrics)
    measured_on = {result.unique_identifier for result in eval_results}
    # Figures of one dataset share a source in the model-index, so there those of these weights take precedence.
    eval_results += [
        result
        for result in _eval_results(
            authors_metrics,
            source_name="The authors' figures (DiST, ICCV 2023)",
            source_url=PAPER_URL,
        )
        if result.unique_identifier not in measured_on
    ]
    card_data = ModelCardData(
        model_name=name if eval_results else None,
        base_model=config.backbone if config.backbone and _REPO_ID.fullmatch(config.backbone) else None,
        pipeline_tag="video-classification",
        library_name="transformers",
        license=license,
        datasets=list(dict.fromkeys(filter(None, dataset_ids))) or None,
        metrics=["accuracy"] if eval_results else None,
        tags=["dist", "video", "action-recognition", *(tags or [])],
        eval_results=eval_results or None,
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
        # The backbone's own training, or somebody's before this one; a fingerprint stands for the repository's weights.
        backbone_is_trained=not config.freeze_backbone,
        backbone_differs=bool(holds_backbone and config.backbone and not config.backbone_fingerprint),
        text_source=None if config.backbone else _suggest_clip(config),
        has_projection=bool(config.backbone) or config.zero_shot_weight is not None,
        license=license,
        trained_on=_dataset_name(trained_on, dataset_format),
        pretrained_on=training_settings.get("pretrained_on"),
        measured=_describe_results(metrics),
        of_authors=_describe_results(authors_metrics),
        hardest_classes=sorted(per_class.items(), key=lambda item: (item[1], item[0]))[:5]
        if len(per_class) > 5
        else [],
        training_settings=_describe_settings(training_settings),
    )


def _protocol(metrics: dict) -> dict:
    return metrics.get("protocol") or {}


def _dataset_id_of_figures(metrics: dict) -> str | None:
    return _dataset_id(_protocol(metrics).get("dataset"), _protocol(metrics).get("dataset_format"))


def _dataset_name_of_figures(metrics: dict) -> str | None:
    return _dataset_name(_protocol(metrics).get("dataset"), _protocol(metrics).get("dataset_format"))


def _dataset_name(dataset: str | None, dataset_format: str | None = None) -> str | None:
    """How a dataset is called: by its paper's name, its Hub id, or the name of a folder or file without where it lies."""
    if not dataset:
        return None
    if dataset.rstrip("/\\") in DATASET_NAMES:
        return DATASET_NAMES[dataset.rstrip("/\\")]
    return _dataset_id(dataset, dataset_format) or os.path.basename(os.path.normpath(dataset))


def _dataset_id(dataset: str | None, dataset_format: str | None = None) -> str | None:
    """
    The id by which the Hub's metadata name a dataset: a known one in lower case with hyphens, or that of a repository.
    `None` for what lies on somebody's disk.
    """
    if not dataset:
        return None
    if dataset in DATASET_NAMES:
        return DATASET_NAMES[dataset].lower().replace(" ", "-")
    if dataset_format not in (None, "auto", "hub") or not _REPO_ID.fullmatch(dataset):
        return None
    if dataset_format == "hub":
        return dataset
    is_list = dataset.lower().endswith(_LIST_SUFFIXES)
    return dataset if "/" in dataset and not is_list and not os.path.exists(dataset) else None


def _suggest_clip(config: DiSTConfig) -> str:
    """OpenAI's CLIP of the model's sizes, or in words what to give instead."""
    return find_openai_clip(config.vision_config.to_dict()) or "folder or Hub id of the CLIP that it was trained with"


def _count_parameters(config: DiSTConfig) -> dict[str, int]:
    classes = {cls.__name__: cls for cls in (DiSTModel, DiSTForVideoClassification)}
    model_class = classes.get((config.architectures or [None])[0], DiSTForVideoClassification)
    with torch.device("meta"):
        return model_class(config).count_parameters()


def _describe_settings(settings: dict) -> dict[str, str]:
    """The settings of the recipe, in the order of their names, as the card's table has them."""

    def describe(value) -> str:
        if isinstance(value, (list, tuple)):
            return ", ".join(describe(item) for item in value)
        return f"{value:g}" if isinstance(value, float) else str(value)

    described = {}
    for name in sorted(RECIPE_SETTINGS):
        value = settings.get(name)
        if name == "dataset":
            value = _dataset_name(value, settings.get("dataset_format"))
        if name == "recipe" and value not in RECIPES:  # a file
            value = None
        if value is not None and value != [] and not isinstance(value, dict):
            described[name] = describe(value)
    return described


def _describe_results(metrics: dict) -> dict | None:
    """The figures as percentages, and the protocol that they stand for as a sentence."""
    figures = {}
    for key, (_, name) in METRIC_NAMES.items():
        if metrics.get(key) is not None:
            deviation = metrics.get(f"{key}_std")
            figures[name] = f"{100 * metrics[key]:.1f}" + ("" if deviation is None else f" ± {100 * deviation:.1f}")
    if not figures:
        return None
    protocol = _protocol(metrics)
    what = _dataset_name_of_figures(metrics) or "a dataset that was not recorded"
    if protocol.get("split"):
        what = f"the {protocol['split']} split of {what}"
    if metrics.get("num_videos") is not None:
        what = f"{metrics['num_videos']:,} videos of {what}"
    details = []
    if metrics.get("splits"):
        details.append(f"mean ± standard deviation over {_count_splits(metrics)}")
    if protocol.get("zero_shot_weight") is not None:
        details.append(_describe_zero_shot(protocol))
    if protocol.get("shuffled_frames"):
        details.append("the frames in random order, which shows what is recognized without the course of time")
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
        "figures": figures,
        "protocol": "; ".join([f"Evaluated on {what}", *details]) + ".",
    }


def _count_splits(metrics: dict) -> str:
    """ "the three official splits"."""
    number = len(metrics["splits"])
    return f"the {_NUMBER_WORDS.get(number, number)} official splits"


def _describe_zero_shot(protocol: dict) -> str:
    """Zero-shot in words: what the classes were embedded by, and the share of CLIP's logits."""
    templates, weight = protocol.get("prompt_templates"), protocol["zero_shot_weight"]
    templates = [templates] if isinstance(templates, str) else templates
    if not templates:
        names = "the class names alone, without a prompt template"
    elif len(templates) <= 4:
        names = "the class names in " + ", ".join(f"“{template}”" for template in templates)
    else:
        names = f"the class names in {len(templates)} prompt templates, averaged (“{templates[0]}”, …)"
    share = f"CLIP's own frame logits with a weight of {weight:g}" if weight else "without CLIP's own frame logits"
    return f"zero-shot, on classes given by their names, not trained on: {names}; {share}"


def _eval_results(metrics: dict, **source: str) -> list[EvalResult]:
    """For the card's model-index, from which the Hub shows the figures. It has no place for what is no ordinary test."""
    protocol = _protocol(metrics)
    if protocol.get("shuffled_frames"):
        return []
    names = ("num_frames", "num_clips", "num_crops", "zero_shot_weight", "prompt_templates")
    settings = {name: protocol[name] for name in names if protocol.get(name) is not None}
    how = ""
    if protocol.get("zero_shot_weight") is not None:
        how += ", zero-shot"
    if metrics.get("splits"):
        how += f", mean over {_count_splits(metrics)}"
        settings["num_splits"] = len(metrics["splits"])
    results = []
    for key, (metric_type, name) in METRIC_NAMES.items():
        if metrics.get(key) is None:
            continue
        deviation = metrics.get(f"{key}_std")
        results.append(
            EvalResult(
                task_type="video-classification",
                task_name="Video Classification",
                dataset_type=_dataset_id_of_figures(metrics) or "unknown",
                dataset_name=_dataset_name_of_figures(metrics) or "unknown",
                dataset_split=protocol.get("split"),
                dataset_args=settings or None,
                metric_type=metric_type,
                metric_name=name + how,
                metric_value=round(float(metrics[key]), 6),
                metric_args=None if deviation is None else {"standard_deviation": round(float(deviation), 6)},
                **source,
            )
        )
    return results
