# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Evaluation over several views of a video and over several processes, every video once, and the report that it makes."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from datasets import Dataset
from tqdm.auto import tqdm

from ..data.loading import EvaluationViews, collate_views, make_loader
from ..data.rows import hash_videos, video_name
from ..data.samplers import EvaluationBatchSampler
from ..video_decoding_dist import VideoDecodingError
from ..video_processing_dist import DiSTVideoProcessor
from .metrics import classification_metrics, confusion_matrix, write_predictions
from .plots import plot_confusion_matrix, plot_per_class_accuracy


METRICS_NAME = "metrics.json"


@dataclass
class Predictions:
    """
    What a model says of the videos of a dataset.

    Args:
        indices (`list[int]`):
            The videos, in rising order; those that cannot be read are missing.
        probabilities (`np.ndarray` of shape `(videos, classes)`):
            Softmax, averaged over the views; float32.
        unreadable (`dict[int, str]`):
            The other videos, with the reason.
    """

    indices: list[int]
    probabilities: np.ndarray
    unreadable: dict[int, str] = field(default_factory=dict)


@torch.no_grad()
def predict_views(model: torch.nn.Module, views: torch.Tensor, view_batch_size: int) -> torch.Tensor:
    """
    The mean of the views' probabilities (section 4.1 of the paper).

    Args:
        model (`torch.nn.Module`):
            A `DiSTForVideoClassification`, wrapped or not.
        views (`torch.Tensor` of shape `(videos, views, num_frames, 3, height, width)`):
            On the model's device.
        view_batch_size (`int`):
            How many go through the model at once.

    Returns:
        `torch.Tensor` of shape `(videos, classes)`: float32.
    """
    num_views = views.shape[1]
    logits = [model(pixel_values_videos=chunk).logits.float() for chunk in views.flatten(0, 1).split(view_batch_size)]
    return torch.cat(logits).softmax(dim=-1).unflatten(0, (-1, num_views)).mean(dim=1)


def predict_videos(
    model: torch.nn.Module,
    videos: Dataset,
    processor: DiSTVideoProcessor,
    accelerator: Accelerator,
    num_clips: int = 3,
    num_crops: int = 1,
    batch_size: int = 8,
    view_batch_size: int | None = None,
    num_workers: int = 0,
    skip_unreadable: bool = False,
    shuffle_frames: bool = False,
    progress: str | None = None,
) -> Predictions:
    """
    Classifies every video once, whatever the number of processes; each of them has to call this, and gets all results.

    Args:
        model (`torch.nn.Module`):
            A `DiSTForVideoClassification`, as `accelerator.prepare` gave it or as it is.
        videos (`datasets.Dataset`):
            With a column `video`.
        processor (`DiSTVideoProcessor`):
            Says how many frames, which pixels.
        accelerator (`Accelerator`):
            The processes.
        num_clips, num_crops (`int`):
            Views of each video. The paper: 3 and 1.
        batch_size (`int`, defaults to 8):
            Videos that are decoded together.
        view_batch_size (`int`, *optional*):
            Views that go through the model at once; by default `batch_size` of them.
        num_workers (`int`, defaults to 0):
            Processes that decode, for each process.
        skip_unreadable (`bool`, defaults to `False`):
            Leave videos that cannot be read out and report them, rather than stop.
        shuffle_frames (`bool`, defaults to `False`):
            Put the frames of each view into a random order.
        progress (`str`, *optional*):
            Title of a progress bar.

    Returns:
        `Predictions`: Of all videos.

    Raises:
        VideoDecodingError: If a video cannot be read.
        RuntimeError: If not every video has come back exactly once.
    """
    # Without DDP's wrapper, whose forward would make the processes wait for each other.
    is_sharded = accelerator.distributed_type.value in ("FSDP", "DEEPSPEED")
    bare_model = accelerator.unwrap_model(model)
    network = model if is_sharded else bare_model
    was_training = network.training
    views = EvaluationViews(videos, processor, num_clips, num_crops, shuffle_frames)
    batches = EvaluationBatchSampler(len(videos), batch_size, accelerator.num_processes, accelerator.process_index)
    config = bare_model.config
    image_size = config.vision_config.image_size
    results, unreadable = [], {}
    hidden = progress is None or not accelerator.is_main_process
    network.eval()
    try:
        for batch in tqdm(make_loader(views, batches, collate_views, num_workers), desc=progress, disable=hidden):
            if batch["unreadable"] and not skip_unreadable:
                raise VideoDecodingError(
                    f"{next(iter(batch['unreadable'].values()))} With --skip_unreadable (`skip_unreadable=True`) such videos "
                    "are left out, and counted."
                )
            unreadable |= batch["unreadable"]
            pixel_values, num_videos = batch["pixel_values_videos"], len(batch["indices"])
            if is_sharded and num_videos < batch_size:
                # The processes have to go through a sharded model equally often; what this adds is dropped again below.
                shape = (num_clips * num_crops, config.num_frames, 3, image_size, image_size)
                padding = torch.zeros(batch_size - num_videos, *shape)
                pixel_values = padding if pixel_values is None else torch.cat([pixel_values, padding])
            if pixel_values is None:
                continue
            pixel_values = pixel_values.to(accelerator.device, non_blocking=True)
            probabilities = predict_views(network, pixel_values, view_batch_size or batch_size)
            results.extend(zip(batch["indices"], probabilities[:num_videos].cpu().numpy()))
    finally:
        network.train(was_training)

    results = gather_object(results)
    unreadable = dict(gather_object(list(unreadable.items())))
    seen = [index for index, _ in results] + list(unreadable)
    if sorted(seen) != list(range(len(videos))):
        raise RuntimeError(f"{len(videos)} videos were to be classified once each, and {len(seen)} came back.")
    results.sort(key=lambda result: result[0])
    probabilities = np.stack([row for _, row in results]) if results else np.zeros((0, config.num_labels), np.float32)
    return Predictions([index for index, _ in results], probabilities, dict(sorted(unreadable.items())))


def compute_metrics(predictions: Predictions, videos: Dataset, class_names: list[str]) -> dict:
    """
    The figures of an evaluation: what [`classification_metrics`] gives, and `loss`, the mean negative logarithm of the
    probability of the right class, and `num_unreadable`.

    Args:
        predictions (`Predictions`), videos (`datasets.Dataset`):
            What was evaluated; `label` is the true class.
        class_names (`list[str]`):
            In the order of the labels.

    Raises:
        ValueError: If no video could be read.
    """
    if not predictions.indices:
        reasons = list(predictions.unreadable.values())
        raise ValueError(f"None of the {len(videos)} videos could be evaluated. {reasons[0] if reasons else ''}")
    labels = np.asarray(videos["label"][:])[predictions.indices]
    of_label = predictions.probabilities[np.arange(len(labels)), labels]
    return {
        **classification_metrics(predictions.probabilities, labels, class_names),
        "loss": float(-np.log(np.maximum(of_label, np.finfo(np.float32).tiny)).mean()),
        "num_unreadable": len(predictions.unreadable),
    }


def compute_split_metrics(predictions: Predictions, videos: Dataset, class_names: list[str], split: list[int]) -> dict:
    """
    The accuracies of one of several splits of the videos that were evaluated together.

    Args:
        predictions (`Predictions`), videos (`datasets.Dataset`), class_names (`list[str]`):
            Of all videos.
        split (`list[int]`):
            The split's videos.

    Returns:
        `dict`: `num_videos`, `num_unreadable`, `top1`, `top5`, `mean_class_accuracy`.
    """
    wanted = set(split)
    rows = [row for row, index in enumerate(predictions.indices) if index in wanted]
    part = Predictions(
        [predictions.indices[row] for row in rows],
        predictions.probabilities[rows],
        {index: reason for index, reason in predictions.unreadable.items() if index in wanted},
    )
    metrics = compute_metrics(part, videos, class_names)
    return {name: metrics[name] for name in ("num_videos", "num_unreadable", "top1", "top5", "mean_class_accuracy")}


def describe_protocol(
    model: torch.nn.Module,
    videos: Dataset,
    num_clips: int,
    num_crops: int,
    precision: str,
    num_unreadable: int,
    **more,
) -> dict:
    """
    How figures came about, so that somebody else can get them again: the input, the model, the videos.

    Args:
        model (`torch.nn.Module`), videos (`datasets.Dataset`), num_clips, num_crops (`int`):
            What was evaluated on what, in how many views.
        precision (`str`):
            What the model computed in.
        num_unreadable (`int`):
            Videos of the list that are missing in the figures.
        more:
            Goes in as it is.
    """
    config = model.config
    return {
        "num_frames": config.num_frames,
        "num_clips": num_clips,
        "num_crops": num_crops,
        "precision": precision,
        "num_listed_videos": len(videos),
        "num_unreadable": num_unreadable,
        "list_hash": hash_videos(videos),
        "model": config.name_or_path or None,
        "model_revision": getattr(config, "_commit_hash", None),
        "backbone": config.backbone,
        "backbone_revision": config.backbone_revision,
        "backbone_fingerprint": config.backbone_fingerprint,
        **more,
    }


def write_metrics(path: str | os.PathLike, metrics: dict):
    """Writes metrics as JSON, a line for each figure, by way of another file: an old one stays until the new one is whole."""
    lines = [f"  {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in metrics.items()]
    aside = Path(path).with_suffix(".json.new")
    aside.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    os.replace(aside, path)


def write_report(
    folder: str | os.PathLike,
    predictions: Predictions,
    videos: Dataset,
    class_names: list[str],
    metrics: dict,
    predictions_format: str = "parquet",
) -> list[Path]:
    """
    Writes an evaluation to a folder: `metrics.json`, the predictions of every video, and the plots.

    Args:
        folder (`str` or `os.PathLike`):
            Created where it does not exist.
        predictions (`Predictions`), videos (`datasets.Dataset`), class_names (`list[str]`):
            The evaluation.
        metrics (`dict`):
            What goes into `metrics.json`; the confusion matrix and the unreadable videos are added.
        predictions_format (`str`, defaults to `"parquet"`):
            `"parquet"` or `"csv"`.

    Returns:
        `list[Path]`: The files.

    Raises:
        ValueError: If there is no such format.
    """
    if predictions_format not in ("parquet", "csv"):
        raise ValueError(f'`predictions_format` must be "parquet" or "csv", got {predictions_format!r}.')
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    labels = np.asarray(videos["label"][:])[predictions.indices]
    names = [video_name(videos[index]["video"], index) for index in predictions.indices]
    matrix = confusion_matrix(predictions.probabilities.argmax(axis=1), labels, len(class_names))
    unreadable = {
        video_name(videos[index]["video"], index): reason for index, reason in predictions.unreadable.items()
    }
    files = [
        folder / METRICS_NAME,
        folder / f"predictions.{predictions_format}",
        folder / "confusion_matrix.png",
        folder / "per_class_accuracy.png",
    ]
    write_metrics(files[0], {**metrics, "confusion_matrix": matrix.tolist(), "unreadable": unreadable})
    write_predictions(files[1], names, labels, predictions.probabilities, class_names)
    plot_confusion_matrix(matrix, class_names, files[2])
    plot_per_class_accuracy(metrics["per_class_accuracy"], files[3], metrics["num_videos_per_class"])
    return files


__all__ = [
    "Predictions",
    "compute_metrics",
    "compute_split_metrics",
    "describe_protocol",
    "predict_videos",
    "predict_views",
    "write_metrics",
    "write_report",
]
