# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""The model card, rendered from the configuration, the metrics and the training settings."""

import os
import re
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from ..configuration_dist import DiSTConfig
from ..modeling_dist import DiSTForVideoClassification, DiSTModel
from ..paper import DATASET_NAMES, PAPER_URL, RECIPES, find_openai_clip
from ..video_processing_dist import DiSTVideoProcessor


TEMPLATE = Path(__file__).with_name("card_template.md")

# Phrases of cards that nobody has written by hand: this package's, and those that transformers makes.
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

# The training settings that the card reports. Machine-specific settings are omitted.
RECIPE_SETTINGS = {
    *("recipe", "dataset", "dataset_config", "dataset_revision", "train_split", "seed", "mixed_precision"),
    *("per_device_train_batch_size", "gradient_accumulation_steps", "learning_rate", "adam_epsilon", "max_grad_norm"),
    *("augmentation", "frame_step"),
    *(RECIPES["k400-b16-8"].keys() - {"backbone", "num_clips", "num_crops"}),
}

# An id on the Hub, with or without a namespace.
_NAME = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?"
_REPO_ID = re.compile(rf"(?:{_NAME}/)?{_NAME}")
_LIST_SUFFIXES = (".csv", ".json", ".jsonl", ".tsv", ".txt", ".parquet")

_NUMBER_WORDS = {2: "two", 3: "three"}


def is_generated_card(path: str | os.PathLike) -> bool:
    """Whether the card in a file was made by a program, and can be replaced by a new one."""
    content = Path(path).read_text(encoding="utf-8", errors="replace")
    return any(phrase in content for phrase in _GENERATED)


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
    Render the card of a published model. `metrics` is the content of `metrics.json`, `training_settings` that of
    `training_settings.json`, of which only settings of the recipe are reported, not folders, addresses or secrets.
    `authors_metrics`, figures of the paper in the form of `metrics`, are marked as the authors' and listed separately.
    The processor determines how the pipeline samples frames.
    """
    metrics, authors_metrics = metrics or {}, authors_metrics or {}
    training_settings = training_settings or {}
    if _protocol(metrics).get("dataset") == training_settings.get("dataset"):
        # What tells an id on the Hub from a local path is known of the one, and holds for the other.
        dataset_format = training_settings.get("dataset_format")
        metrics = {**metrics, "protocol": {"dataset_format": dataset_format, **_protocol(metrics)}}
    name = repo_id.split("/")[-1]
    dataset_ids = map(_dataset_id, (training_settings, _protocol(metrics), _protocol(authors_metrics)))
    source = {"source_name": "The authors' figures (DiST, ICCV 2023)", "source_url": PAPER_URL}
    eval_results = _eval_results(metrics)
    # The model-index merges figures of one dataset, so that measured ones take the place of the authors'.
    measured_on = {result.unique_identifier for result in eval_results}
    theirs = _eval_results(authors_metrics, **source)
    eval_results += [result for result in theirs if result.unique_identifier not in measured_on]
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
    hardest_classes = sorted(per_class.items(), key=lambda item: (item[1], item[0]))[:5] if len(per_class) > 5 else []
    return ModelCard.from_template(
        card_data,
        template_str=TEMPLATE.read_text(encoding="utf-8"),
        name=name,
        repo_id=repo_id,
        paper_url=PAPER_URL,
        config=config,
        parameters=_count_parameters(config),
        num_weight_bytes=num_weight_bytes,
        holds_backbone=holds_backbone,
        # A fingerprint is recorded only of weights that the backbone's repository holds.
        backbone_differs=bool(holds_backbone and config.backbone and not config.backbone_fingerprint),
        processor=processor,
        class_names=[config.id2label[index] for index in sorted(config.id2label)],
        has_class_names=not all(str(label).startswith("LABEL_") for label in config.id2label.values()),
        # OpenAI's CLIP of the model's sizes, or what to give instead.
        text_source=None
        if config.backbone
        else find_openai_clip(config.vision_config.to_dict())
        or "folder or Hub id of the CLIP that it was trained with",
        has_projection=bool(config.backbone) or config.has_visual_projection,
        license=license,
        trained_on=_dataset_name(training_settings),
        pretrained_on=training_settings.get("pretrained_on"),
        measured=_describe_results(metrics),
        of_authors=_describe_results(authors_metrics),
        hardest_classes=hardest_classes,
        training_settings=_describe_settings(training_settings),
    )


def _protocol(metrics: dict) -> dict:
    return metrics.get("protocol") or {}


def _dataset_id(settings: dict) -> str | None:
    """
    Return the id that the Hub's metadata use for the dataset of training settings or of a protocol: a known one in lower
    case with hyphens, or that of a repository; `None` for a local dataset.
    """
    dataset, dataset_format = settings.get("dataset"), settings.get("dataset_format")
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


def _dataset_name(settings: dict) -> str | None:
    """Return a dataset's name in papers, its Hub id, or the name of its folder or file without where that lies."""
    dataset = settings.get("dataset")
    if not dataset:
        return None
    if dataset.rstrip("/\\") in DATASET_NAMES:
        return DATASET_NAMES[dataset.rstrip("/\\")]
    return _dataset_id(settings) or os.path.basename(os.path.normpath(dataset))


def _count_parameters(config: DiSTConfig) -> dict[str, int]:
    model_class = DiSTModel if config.architectures == ["DiSTModel"] else DiSTForVideoClassification
    with torch.device("meta"):
        return model_class(config).count_parameters()


def _describe_settings(settings: dict) -> dict[str, str]:
    """Return the settings of the recipe in alphabetical order, as the card's table shows them."""

    def describe(value: Any) -> str:
        if isinstance(value, (list, tuple)):
            return ", ".join(describe(item) for item in value)
        return f"{value:g}" if isinstance(value, float) else str(value)

    values = {name: settings.get(name) for name in sorted(RECIPE_SETTINGS)}
    values["dataset"] = _dataset_name(settings)
    if values["recipe"] not in RECIPES:  # a file
        del values["recipe"]
    return {
        name: describe(value)
        for name, value in values.items()
        if value is not None and value != [] and not isinstance(value, dict)
    }


def _describe_results(metrics: dict) -> dict | None:
    """Return the figures in percent, and the protocol that they were measured by as a sentence."""
    figures = {}
    for key, (_, name) in METRIC_NAMES.items():
        if metrics.get(key) is not None:
            deviation = metrics.get(f"{key}_std")
            figures[name] = f"{100 * metrics[key]:.1f}" + ("" if deviation is None else f" ± {100 * deviation:.1f}")
    if not figures:
        return None
    protocol = _protocol(metrics)
    what = _dataset_name(protocol) or "a dataset that was not recorded"
    if protocol.get("split"):
        what = f"the {protocol['split']} split of {what}"
    if metrics.get("num_videos") is not None:
        what = f"{metrics['num_videos']:,} videos of {what}"
    details = [f"Evaluated on {what}"]
    if metrics.get("splits"):
        details.append(f"mean ± standard deviation over {_count_splits(metrics)}")
    if protocol.get("zero_shot_weight") is not None:
        details.append(_describe_zero_shot(protocol))
    if protocol.get("shuffled_frames"):
        details.append("the frames in random order, which shows what is recognized without temporal order")
    clips, crops, frames = (protocol.get(name) for name in ("num_clips", "num_crops", "num_frames"))
    if clips and crops:
        counted = f"{clips} {'clip' if clips == 1 else 'clips'} × {crops} {'crop' if crops == 1 else 'crops'}"
        views = f", the softmax probabilities averaged over the {clips * crops} views" if clips * crops > 1 else ""
        details.append(counted + (f" of {frames} frames each" if frames else "") + views)
    if protocol.get("precision"):
        details.append(f"computed in {protocol['precision']}")
    if protocol.get("num_unreadable") is not None:
        details.append(f"unreadable videos: {protocol['num_unreadable']}")
    if protocol.get("num_damaged"):
        details.append(f"damaged videos: {protocol['num_damaged']}")
    if protocol.get("list_hash"):
        details.append(f"the list of videos has the checksum `{protocol['list_hash']}`")
    if protocol.get("model_revision"):
        details.append(f"model revision `{protocol['model_revision']}`")
    backbone = protocol.get("backbone")
    if backbone and not os.path.isabs(backbone):
        revision = protocol.get("backbone_revision")
        details.append(f"backbone `{backbone}`" + (f" at `{revision}`" if revision else ""))
    return {"figures": figures, "protocol": "; ".join(details) + "."}


def _count_splits(metrics: dict) -> str:
    number = len(metrics["splits"])
    return f"the {_NUMBER_WORDS.get(number, number)} official splits"


def _describe_zero_shot(protocol: dict) -> str:
    """Describe how the classes were embedded, and the share of CLIP's logits."""
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
    """Return the figures for the card's model-index, which the Hub displays. It is only for ordinary evaluations."""
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
                dataset_type=_dataset_id(protocol) or "unknown",
                dataset_name=_dataset_name(protocol) or "unknown",
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
