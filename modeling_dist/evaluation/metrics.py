# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Accuracies and the confusion matrix, from scores and labels."""

from collections.abc import Sequence

import numpy as np

from .topk_accuracy.ranking import as_classes, as_scores, top_k_accuracy


def as_class_names(class_names: Sequence[str], num_classes: int) -> list[str]:
    """Return class names as a list, or raise a `ValueError` if there is not one for each class."""
    class_names = list(class_names)
    if len(class_names) != num_classes:
        raise ValueError(f"There are {len(class_names)} `class_names` for {num_classes} classes.")
    return class_names


def confusion_matrix(predictions: Sequence[int], labels: Sequence[int], num_classes: int) -> np.ndarray:
    """Count how often videos of each class (rows) were taken for each class (columns)."""
    labels = as_classes(labels, "labels", num_classes)
    predictions = as_classes(predictions, "predictions", num_classes, len(labels))
    counts = np.bincount(labels * num_classes + predictions, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def classification_metrics(scores: np.ndarray, labels: Sequence[int], class_names: Sequence[str]) -> dict:
    """
    Compute the accuracies of an evaluation from logits or probabilities `(videos, classes)`, in values for JSON:
    `num_videos`; `top1`, `top5` and `mean_class_accuracy` (the mean over the classes that have videos) as fractions in
    [0, 1]; `per_class_accuracy`, from class name to top-1 accuracy, `None` for a class without videos; and
    `num_videos_per_class`. Ties go to the lower class index, as in `argmax`.
    """
    scores = as_scores(scores)
    num_classes = scores.shape[1]
    class_names = as_class_names(class_names, num_classes)
    repeated = sorted({name for name in class_names if class_names.count(name) > 1})
    if repeated:
        raise ValueError(f"Class names must be distinct to report the accuracy of each, got several of {repeated}.")
    accuracies = top_k_accuracy(scores, labels, k=[1, 5])
    matrix = confusion_matrix(scores.argmax(axis=1), labels, num_classes)
    num_correct, num_videos = matrix.diagonal().tolist(), matrix.sum(axis=1).tolist()
    per_class = [correct / count if count else None for correct, count in zip(num_correct, num_videos)]
    return {
        "num_videos": len(scores),
        **accuracies,
        "mean_class_accuracy": float(np.mean([accuracy for accuracy in per_class if accuracy is not None])),
        "per_class_accuracy": dict(zip(class_names, per_class)),
        "num_videos_per_class": dict(zip(class_names, num_videos)),
    }
