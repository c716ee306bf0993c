# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""From predictions to metrics, to the protocol that they were measured by, and to the files of a report."""

import json
import os
import statistics
from collections.abc import Sequence
from pathlib import Path

import datasets
import numpy as np
import torch

from ..data.rows import hash_videos, video_name
from ..files import atomic_file, write_text
from .metrics import as_class_names, classification_metrics, confusion_matrix
from .prediction import Predictions
from .topk_accuracy.ranking import as_classes, as_scores


ACCURACIES = ("top1", "top5", "mean_class_accuracy")


def compute_metrics(predictions: Predictions, videos: datasets.Dataset, class_names: list[str]) -> dict:
    """
    Compute the metrics of an evaluation: those of [`classification_metrics`], `loss`, which is the mean negative
    logarithm of the true class's probability, `num_unreadable` and `num_damaged`.
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
        "num_damaged": len(predictions.damaged),
    }


def compute_split_metrics(
    predictions: Predictions, videos: datasets.Dataset, class_names: list[str], splits: list[list[int]]
) -> dict:
    """
    Compute the accuracies of splits that were evaluated together, given as the indices of their videos. Return
    `splits`, a list with the figures of each, and of the accuracies the mean over the splits (`top1`, …) and the
    standard deviation (`top1_std`, …).
    """
    parts = []
    for split in map(set, splits):
        rows = [row for row, index in enumerate(predictions.indices) if index in split]
        part = Predictions(
            [predictions.indices[row] for row in rows],
            predictions.probabilities[rows],
            *(
                {index: reason for index, reason in found.items() if index in split}
                for found in (predictions.unreadable, predictions.damaged)
            ),
        )
        metrics = compute_metrics(part, videos, class_names)
        parts.append({name: metrics[name] for name in ("num_videos", "num_unreadable", "num_damaged", *ACCURACIES)})
    summary = {}
    for name in ACCURACIES:
        values = [part[name] for part in parts]
        summary |= {name: statistics.mean(values), f"{name}_std": statistics.pstdev(values)}
    return {**summary, "splits": parts}


def describe_protocol(
    model: torch.nn.Module,
    videos: datasets.Dataset,
    num_clips: int,
    num_crops: int,
    precision: str,
    num_unreadable: int,
    num_damaged: int = 0,
    **more,
) -> dict:
    """Describe how metrics were measured, so that others can reproduce them: the views, the model, the videos."""
    config = model.config
    return {
        "num_frames": config.num_frames,
        "num_clips": num_clips,
        "num_crops": num_crops,
        "precision": precision,
        "num_listed_videos": len(videos),
        "num_unreadable": num_unreadable,
        "num_damaged": num_damaged,
        "list_hash": hash_videos(videos),
        "model": config.name_or_path or None,
        "model_revision": getattr(config, "_commit_hash", None),
        "backbone": config.backbone,
        "backbone_revision": config.backbone_revision,
        "backbone_fingerprint": config.backbone_fingerprint,
        **more,
    }


def write_metrics(path: str | os.PathLike, metrics: dict):
    """Write metrics as JSON with one line for each metric, complete or not at all."""
    lines = [f"  {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in metrics.items()]
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")


def write_predictions(
    path: str | os.PathLike,
    videos: Sequence[str],
    labels: Sequence[int] | None,
    scores: np.ndarray,
    class_names: Sequence[str],
    top: int = 5,
):
    """
    Write a row for each video: `video`, `label`, `label_name`, `prediction`, `prediction_name`, `score`, `correct`,
    and lists of the `top` classes in descending order: `top_labels`, `top_label_names`, `top_scores`. Without
    `labels`, the columns about them are empty. Ties go to the lower class index, as in `argmax`. In CSV, lists are
    written as JSON.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (".parquet", ".csv"):
        raise ValueError(f"Predictions are written to a .parquet or a .csv file, but the path is {path}.")
    if top < 1:
        raise ValueError(f"`top` is {top}, but must be at least 1, because the prediction itself is always written.")
    scores = as_scores(scores)
    class_names = as_class_names(class_names, scores.shape[1])
    if len(videos) != len(scores):
        raise ValueError(f"There are scores of {len(scores)} videos, but {len(videos)} `videos`.")
    if labels is not None:
        labels = as_classes(labels, "labels", scores.shape[1], len(scores))

    top_labels = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    top_scores = np.take_along_axis(scores, top_labels, axis=1)
    top_label_names = [[class_names[label] for label in row] for row in top_labels]
    empty = [None] * len(videos)
    columns = {
        "video": [str(video) for video in videos],
        "label": empty if labels is None else labels,
        "label_name": empty if labels is None else [class_names[label] for label in labels],
        "prediction": top_labels[:, 0],
        "prediction_name": [row[0] for row in top_label_names],
        "score": top_scores[:, 0],
        "correct": empty if labels is None else top_labels[:, 0] == labels,
        "top_labels": top_labels,
        "top_label_names": top_label_names,
        "top_scores": top_scores,
    }
    if suffix == ".csv":
        # The shortest decimals that are the same in float32: 0.7, not 0.699999988079071.
        shortest = [[float(str(score)) for score in row] for row in top_scores]
        lists = {"top_labels": top_labels.tolist(), "top_label_names": top_label_names, "top_scores": shortest}
        columns |= {name: [json.dumps(row, ensure_ascii=False) for row in rows] for name, rows in lists.items()}
    table = datasets.Dataset.from_dict(columns)
    with atomic_file(path) as temporary:
        if suffix == ".csv":
            table.to_csv(temporary)
        else:
            table.to_parquet(temporary)


def write_report(
    folder: str | os.PathLike,
    predictions: Predictions,
    videos: datasets.Dataset,
    class_names: list[str],
    metrics: dict,
    predictions_format: str = "parquet",
) -> list[Path]:
    """
    Write an evaluation to a folder: `metrics.json`, to which the confusion matrix and the unreadable and damaged videos are
    added, the prediction for every video, and the plots. Return the files.
    """
    from .plots import plot_confusion_matrix, plot_per_class_accuracy  # matplotlib is slow to import

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    labels = np.asarray(videos["label"][:])[predictions.indices]
    names = [video_name(videos[index]["video"], index) for index in predictions.indices]
    matrix = confusion_matrix(predictions.probabilities.argmax(axis=1), labels, len(class_names))
    unreadable, damaged = (
        {video_name(videos[index]["video"], index): reason for index, reason in found.items()}
        for found in (predictions.unreadable, predictions.damaged)
    )
    metrics_file, predictions_file = folder / "metrics.json", folder / f"predictions.{predictions_format}"
    matrix_plot, accuracy_plot = folder / "confusion_matrix.png", folder / "per_class_accuracy.png"
    more = {"confusion_matrix": matrix.tolist(), "unreadable": unreadable, "damaged": damaged}
    write_metrics(metrics_file, {**metrics, **more})
    write_predictions(predictions_file, names, labels, predictions.probabilities, class_names)
    plot_confusion_matrix(matrix, class_names, matrix_plot)
    plot_per_class_accuracy(metrics["per_class_accuracy"], accuracy_plot, metrics["num_videos_per_class"])
    return [metrics_file, predictions_file, matrix_plot, accuracy_plot]
