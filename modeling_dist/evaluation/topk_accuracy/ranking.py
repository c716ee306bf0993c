# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Top-k accuracy in NumPy, and the checks of scores and labels.

This stands beside the `evaluate` module, because `evaluate.load` copies only what lies in that module's folder.
"""

import numbers
from collections.abc import Iterable, Sequence

import numpy as np


def as_scores(scores: np.ndarray) -> np.ndarray:
    """Return scores in float32, in which all metrics and files rank the classes, or raise a `ValueError`."""
    scores = np.asarray(scores, dtype=np.float32)
    if scores.ndim != 2 or scores.shape[1] == 0:
        raise ValueError(f"`scores` must have the shape (videos, classes), got {scores.shape}.")
    invalid = np.flatnonzero(np.isnan(scores).any(axis=1))
    if len(invalid):
        raise ValueError(
            f"The scores of {len(invalid)} of {len(scores)} videos contain NaN, the first of them video {invalid[0]}. "
            "Check the model and its precision."
        )
    return scores


def as_classes(values: Sequence[int], name: str, num_classes: int, num_videos: int | None = None) -> np.ndarray:
    """Return class indices in int64, or raise a `ValueError` that names the argument."""
    values = np.asarray(values)
    if values.size == 0:
        values = values.astype(np.int64)
    if values.ndim != 1 or not np.issubdtype(values.dtype, np.integer):
        raise ValueError(f"`{name}` must be a list of integers, got shape {values.shape} and type {values.dtype}.")
    if num_videos is not None and len(values) != num_videos:
        raise ValueError(f"There are {len(values)} `{name}` for {num_videos} videos.")
    outside = np.flatnonzero((values < 0) | (values >= num_classes))
    if len(outside):
        raise ValueError(
            f"`{name}` contains class {values[outside[0]]} at position {outside[0]}; with {num_classes} classes, it must be "
            f"in [0, {num_classes - 1}]."
        )
    return values.astype(np.int64)


def top_k_accuracy(scores: np.ndarray, labels: Sequence[int], k: int | Iterable[int] = 1) -> dict[str, float]:
    """
    Compute the share of videos whose class is among the k with the highest of their scores `(videos, classes)`:
    `top{k}` in [0, 1] for each k, 1 if k is not less than the number of classes.

    Classes with equal scores are ranked by their index, the lower one first, as in `argmax`. So the order never
    depends on the labels, and a model that gives every class the same score stays at chance.
    """
    ks = list(k) if isinstance(k, Iterable) else [k]
    if not ks or any(isinstance(one, bool) or not isinstance(one, numbers.Integral) or one < 1 for one in ks):
        raise ValueError(f"`k` is {k}; give an integer of at least 1, or a list of such integers.")
    if len(scores) == 0:
        raise ValueError("Top-k accuracy is undefined without videos: `scores` is empty.")
    scores = as_scores(scores)
    labels = as_classes(labels, "labels", scores.shape[1], len(scores))[:, None]
    true_scores = np.take_along_axis(scores, labels, axis=1)
    is_ahead = (scores > true_scores) | ((scores == true_scores) & (np.arange(scores.shape[1]) < labels))
    ranks = is_ahead.sum(axis=1)
    return {f"top{one}": float(np.mean(ranks < one)) for one in ks}
