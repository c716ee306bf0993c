# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""From scores and labels to accuracies, a confusion matrix, and a table of predictions on disk."""

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import datasets
import numpy as np

from .topk_accuracy.topk_accuracy import TopKAccuracy


def _as_scores(scores: np.ndarray) -> np.ndarray:
    """Scores in float32, the precision of the top-k metric, so that every figure and file ranks classes alike."""
    scores = np.asarray(scores, dtype=np.float32)
    if scores.ndim != 2 or scores.shape[1] == 0:
        raise ValueError(f"`scores` have the shape {scores.shape}; expected (videos, classes).")
    invalid = np.flatnonzero(np.isnan(scores).any(axis=1))
    if len(invalid):
        raise ValueError(
            f"The scores of {len(invalid)} of {len(scores)} videos hold NaN, first video {invalid[0]}. The model or its "
            "precision has to be mended; such a video has no prediction."
        )
    return scores


def _as_classes(values: Sequence[int], what: str, num_classes: int, num_videos: int | None = None) -> np.ndarray:
    """Class indices as int64, checked."""
    values = np.asarray(values)
    if values.size == 0:
        values = values.astype(np.int64)
    if values.ndim != 1 or not np.issubdtype(values.dtype, np.integer):
        raise ValueError(
            f"`{what}` have the shape {values.shape} and the type {values.dtype}; expected integers in 1-D."
        )
    if num_videos is not None and len(values) != num_videos:
        raise ValueError(f"There are {len(values)} `{what}` for {num_videos} videos.")
    outside = np.flatnonzero((values < 0) | (values >= num_classes))
    if len(outside):
        raise ValueError(
            f"`{what}` hold {values[outside[0]]} at position {outside[0]}; with {num_classes} classes they have to be in "
            f"[0, {num_classes - 1}]."
        )
    return values.astype(np.int64)


def _as_class_names(class_names: Sequence[str], num_classes: int) -> list[str]:
    """Class names as a list, one per class."""
    class_names = list(class_names)
    if len(class_names) != num_classes:
        raise ValueError(f"There are {len(class_names)} `class_names` for {num_classes} classes.")
    return class_names


def top_k_accuracy(scores: np.ndarray, labels: Sequence[int], k: list[int]) -> dict[str, float]:
    """
    The share of videos whose class is among the k with the highest scores, by the `evaluate` module in
    `modeling_dist/evaluation/topk_accuracy`.

    Args:
        scores (`np.ndarray` of shape `(videos, classes)`):
            Logits or probabilities. Ties go to the lower class index, as in `argmax`.
        labels (`Sequence[int]`):
            The true classes.
        k (`list[int]`):
            How many of the best classes count. At or above the number of classes the accuracy is 1.

    Returns:
        `dict[str, float]`: `top{k}` for every k, in [0, 1].

    Raises:
        ValueError: If shapes do not fit, a score is NaN, a label is out of range, a k is below 1, or there is no video.
    """
    scores = _as_scores(scores)
    labels = _as_classes(labels, "labels", scores.shape[1], len(scores))
    # The class itself, not `evaluate.load`: that copies the file into the Hugging Face cache, which may be read-only.
    # In memory nothing but an empty folder is written, and that goes to a temporary place.
    with tempfile.TemporaryDirectory() as folder:
        metric = TopKAccuracy(keep_in_memory=True, cache_dir=folder)
        return metric.compute(predictions=scores, references=labels, k=k)


def classification_metrics(scores: np.ndarray, labels: Sequence[int], class_names: Sequence[str]) -> dict:
    """
    The accuracies of an evaluation, ready for JSON.

    Args:
        scores (`np.ndarray` of shape `(videos, classes)`):
            Logits or probabilities, one row for each video. Ties go to the lower class index, as in `argmax`.
        labels (`Sequence[int]`):
            The true classes.
        class_names (`Sequence[str]`):
            A distinct name for every class.

    Returns:
        `dict`: `num_videos`; `top1`, `top5` and `mean_class_accuracy` (the mean over the classes that have videos) as
        fractions in [0, 1]; `per_class_accuracy`, from class name to top-1 accuracy, `None` for a class without videos;
        `num_videos_per_class`, from class name to count.

    Raises:
        ValueError: If shapes or lengths do not fit, class names repeat, a score is NaN, a label is out of range, or there
            is no video.
    """
    scores = _as_scores(scores)
    num_classes = scores.shape[1]
    labels = _as_classes(labels, "labels", num_classes, len(scores))
    class_names = _as_class_names(class_names, num_classes)
    repeated = sorted({name for name in class_names if class_names.count(name) > 1})
    if repeated:
        raise ValueError(f"Accuracies per class need distinct class names; given more than once: {repeated}.")
    accuracies = top_k_accuracy(scores, labels, k=[1, 5])
    matrix = confusion_matrix(scores.argmax(axis=1), labels, num_classes)
    num_videos = matrix.sum(axis=1)
    right = matrix.diagonal()
    per_class = [int(right[i]) / int(num_videos[i]) if num_videos[i] else None for i in range(num_classes)]
    return {
        "num_videos": len(scores),
        **accuracies,
        "mean_class_accuracy": float(np.mean([accuracy for accuracy in per_class if accuracy is not None])),
        "per_class_accuracy": dict(zip(class_names, per_class)),
        "num_videos_per_class": dict(zip(class_names, num_videos.tolist())),
    }


def confusion_matrix(predictions: Sequence[int], labels: Sequence[int], num_classes: int) -> np.ndarray:
    """
    Counts how often videos of each class were taken for each class.

    Args:
        predictions (`Sequence[int]`):
            The predicted classes.
        labels (`Sequence[int]`):
            The true classes.
        num_classes (`int`):
            The number of classes.

    Returns:
        `np.ndarray` of shape `(num_classes, num_classes)` and type int64: true classes in rows, predicted in columns.

    Raises:
        ValueError: If there are not as many predictions as labels, or a class is out of range.
    """
    labels = _as_classes(labels, "labels", num_classes)
    predictions = _as_classes(predictions, "predictions", num_classes, len(labels))
    counts = np.bincount(labels * num_classes + predictions, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def write_predictions(
    path: str | os.PathLike,
    videos: Sequence[str],
    labels: Sequence[int] | None,
    scores: np.ndarray,
    class_names: Sequence[str],
    top: int = 5,
) -> None:
    """
    Writes a row per video: `video`, `label`, `label_name`, `prediction`, `prediction_name`, `score`, `correct`,
    and the best classes, best first, as lists: `top_labels`, `top_label_names`, `top_scores`. The file appears complete
    or not at all.

    Args:
        path (`str` or `os.PathLike`):
            A `.parquet` or a `.csv` file. In CSV the lists are JSON. An existing file is replaced.
        videos (`Sequence[str]`):
            Path or id of every video.
        labels (`Sequence[int]`, *optional*):
            The true classes. With `None` (videos without labels) `label`, `label_name` and `correct` are empty.
        scores (`np.ndarray` of shape `(videos, classes)`):
            Logits or probabilities. Ties go to the lower class index, as in `argmax`.
        class_names (`Sequence[str]`):
            The name of every class.
        top (`int`, *optional*, defaults to 5):
            The length of the lists, at most; no longer than there are classes.

    Raises:
        ValueError: If the suffix is another one, lengths do not fit, a score is NaN, a label is out of range, or `top` is
            below 1.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (".parquet", ".csv"):
        raise ValueError(f"Predictions are written to a .parquet or a .csv file, but the path is {path}.")
    if top < 1:
        raise ValueError(f"`top` is {top}; at least the prediction itself is written, so give 1 or more.")
    scores = _as_scores(scores)
    class_names = _as_class_names(class_names, scores.shape[1])
    videos = [str(video) for video in videos]
    if len(videos) != len(scores):
        raise ValueError(f"There are scores of {len(scores)} videos, but {len(videos)} `videos`.")
    if labels is not None:
        labels = _as_classes(labels, "labels", scores.shape[1], len(scores)).tolist()

    top_labels = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    top_scores = np.take_along_axis(scores, top_labels, axis=1).tolist()
    top_labels = top_labels.tolist()
    top_label_names = [[class_names[label] for label in row] for row in top_labels]
    predictions = [row[0] for row in top_labels]
    unknown = [None] * len(videos)
    columns = {
        "video": videos,
        "label": unknown if labels is None else labels,
        "label_name": unknown if labels is None else [class_names[label] for label in labels],
        "prediction": predictions,
        "prediction_name": [row[0] for row in top_label_names],
        "score": [row[0] for row in top_scores],
        "correct": unknown if labels is None else [a == b for a, b in zip(predictions, labels)],
        "top_labels": top_labels,
        "top_label_names": top_label_names,
        "top_scores": top_scores,
    }
    features = {
        "video": datasets.Value("string"),
        "label": datasets.Value("int64"),
        "label_name": datasets.Value("string"),
        "prediction": datasets.Value("int64"),
        "prediction_name": datasets.Value("string"),
        "score": datasets.Value("float32"),
        "correct": datasets.Value("bool"),
        "top_labels": datasets.Sequence(datasets.Value("int64")),
        "top_label_names": datasets.Sequence(datasets.Value("string")),
        "top_scores": datasets.Sequence(datasets.Value("float32")),
    }
    if suffix == ".csv":
        # The shortest decimal that is the same float32: 0.7, not 0.699999988079071.
        columns["top_scores"] = [[float(str(np.float32(score))) for score in row] for row in top_scores]
        for name in ("top_labels", "top_label_names", "top_scores"):
            columns[name] = [json.dumps(row, ensure_ascii=False) for row in columns[name]]
            features[name] = datasets.Value("string")

    table = datasets.Dataset.from_dict(columns, features=datasets.Features(features))
    aside = path.with_name(path.name + ".new")
    try:
        if suffix == ".csv":
            table.to_csv(aside)
        else:
            table.to_parquet(aside)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
