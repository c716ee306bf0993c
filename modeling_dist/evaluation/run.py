# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""An evaluation as the paper does it: three clips of every video, their probabilities averaged."""

from dataclasses import dataclass
from pathlib import Path

from accelerate.logging import get_logger
from datasets import Dataset

from ..data.labels import check_words
from ..data.official_splits import load_official_splits
from ..data.rows import video_name
from ..data.settings import OFFICIAL_SPLITS, VALIDATION_SPLITS
from ..data.sources import load_videos
from ..files import check_writable
from .prediction import load_model, make_accelerator, predict_videos
from .report import ACCURACIES, compute_metrics, compute_split_metrics, describe_protocol, write_report
from .settings import EvaluationSettings


logger = get_logger(__name__)


@dataclass
class EvaluationResult:
    """
    The result of an evaluation: the metrics with their `protocol`, as in `metrics.json`, and the files of the report,
    which only the main process has.
    """

    metrics: dict
    output_dir: Path
    files: list[Path]

    @property
    def is_main_process(self) -> bool:
        return bool(self.files)

    def describe(self) -> str:
        """Return the accuracies, the number of videos, and where the report is, as a few lines of text."""
        metrics, lines = self.metrics, []
        for name in ACCURACIES:
            if name == "top5" and 0 < len(metrics.get("num_videos_per_class", ())) <= 5:
                continue  # which is always right
            lines.append(f"{name:20} {metrics[name]:7.2%}")
            counts = metrics.get("num_videos_per_class", {}).values()
            if name == "mean_class_accuracy" and not all(counts):
                lines[-1] += f" over the {sum(map(bool, counts))} of {len(counts)} classes that have videos"
            if "splits" in metrics:
                lines[-1] += f" ± {metrics[f'{name}_std']:.2%} over the {len(metrics['splits'])} splits"
        lines.append(f"{'videos':20} {metrics['num_videos']:7,}")
        for name in ("unreadable", "damaged"):
            if metrics[f"num_{name}"]:
                lines.append(f"{name:20} {metrics[f'num_{name}']:7,}")
        names = ", ".join(file.name for file in self.files)
        return "\n".join([*lines, f"The report is in {self.output_dir}: {names}."])


def find_held_out(model: str, videos: Dataset) -> list[int]:
    """
    Return the rows that training has set aside for validation, which `validation.csv` beside the trained model lists:
    all rows if there is no such list, or if not all of its videos are in the dataset.
    """
    rows = list(range(len(videos)))
    if not Path(model).is_dir():
        return rows
    for folder in (Path(model), Path(model).resolve().parent):  # the second one for `best_model`
        path = folder / "validation.csv"
        if path.is_file():
            held_out = {video_name(row["video"]) for row in load_videos(path)}
            found = [row for row in rows if video_name(videos[row]["video"]) in held_out]
            return found if len(found) == len(held_out) else rows
    return rows


def load_dataset(
    settings: EvaluationSettings, class_names: list[str] | str | None
) -> tuple[Dataset, list[list[int]] | None]:
    """Return the videos, and the rows of each official split if the dataset has such splits."""
    if settings.dataset_format in OFFICIAL_SPLITS:
        return load_official_splits(settings.dataset_format, settings.dataset, settings.video_root, class_names)
    videos = load_videos(settings, split=settings.split or VALIDATION_SPLITS, class_names=class_names)
    if settings.split is None:
        held_out = find_held_out(settings.model, videos)
        if len(held_out) < len(videos):
            logger.warning(f"Evaluating on the {len(held_out)} of {len(videos)} videos that training has set aside.")
            videos = videos.select(held_out)
    return videos, None


def evaluate(settings: EvaluationSettings) -> EvaluationResult:
    """
    Evaluate a model on a dataset and write a report. All processes that `accelerate launch` has started have to call this.
    Return the metrics and the files of the report.

    Raises:
        ValueError: If settings contradict each other, the model or the dataset, or no video can be read.
        OSError: If the model, the dataset or a video is missing or cannot be read.
    """
    settings.check()
    variant = "_zero_shot" * settings.zero_shot + "_shuffled" * settings.shuffle_frames
    parent = Path(settings.model) if Path(settings.model).is_dir() else Path()
    output_dir = Path(settings.output_dir or parent / f"evaluation{variant}")
    check_writable(output_dir)
    accelerator = make_accelerator(settings.cpu)
    options = {} if settings.attn_implementation is None else {"attn_implementation": settings.attn_implementation}
    with accelerator.main_process_first():
        model, processor = load_model(settings, **options)
        # The labels are in the model's order or, zero-shot, in the dataset's.
        class_names = [model.config.id2label[label] for label in range(model.config.num_labels)]
        videos, splits = load_dataset(settings, settings.class_names if settings.zero_shot else class_names)
        if settings.zero_shot:
            class_names = videos.features["label"].names
            if settings.class_names is None:
                check_words(class_names)
            text_options = settings.select("text_model", "tokenizer", "prompt_templates", "zero_shot_weight")
            model.set_class_names(class_names, **text_options)
    model.to(accelerator.device)
    if settings.torch_compile:
        model.compile()

    names = (
        "num_clips",
        "num_crops",
        "batch_size",
        "view_batch_size",
        "num_workers",
        "skip_unreadable",
        "shuffle_frames",
    )
    options = settings.select(*names)
    predictions = predict_videos(model, videos, processor, accelerator, progress=f"{len(videos)} videos", **options)
    metrics = compute_metrics(predictions, videos, class_names)
    mixed_precision = accelerator.mixed_precision if accelerator.native_amp else "no"
    more = settings.select("zero_shot_weight", "prompt_templates") if settings.zero_shot else {}
    metrics["protocol"] = describe_protocol(
        model,
        videos,
        settings.num_clips,
        settings.num_crops,
        {"bf16": "bfloat16", "fp16": "float16"}.get(mixed_precision, settings.dtype),
        metrics["num_unreadable"],
        metrics["num_damaged"],
        dataset=settings.dataset_format if splits else settings.dataset,
        split=settings.split,
        shuffled_frames=settings.shuffle_frames,
        **more,
    )
    if splits is not None:
        metrics |= compute_split_metrics(predictions, videos, class_names, splits)

    files = []
    if accelerator.is_main_process:
        files = write_report(output_dir, predictions, videos, class_names, metrics, settings.predictions_format)
    return EvaluationResult(metrics, output_dir, files)
