# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Top-k accuracy as an `evaluate` module: the share of examples whose class is among the k highest scores."""

import numbers
from collections.abc import Iterable

import datasets
import evaluate
import numpy as np


_DESCRIPTION = """
Top-k accuracy: the share of examples whose true class is among the k classes with the highest scores.

Classes with equal scores are ranked by their index, the lower one first, as `argmax` does. The order never depends on
the true class, so a model that gives every class the same score stays at chance.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (`list` of `list` of `float`): A score per class for every example; logits or probabilities.
    references (`list` of `int`): The true classes, each in [0, number of classes).
    k (`int` or `list` of `int`, *optional*, defaults to 1):
        How many of the best classes count, at least 1. With k at or above the number of classes every example counts
        as right, so the accuracy is 1.

Returns:
    `dict`: `top{k}` for every k, a fraction in [0, 1].

Examples:
    >>> metric = evaluate.load("modeling_dist/evaluation/topk_accuracy")
    >>> metric.compute(predictions=[[0.1, 0.7, 0.2], [0.5, 0.2, 0.3]], references=[1, 2], k=[1, 2])
    {'top1': 0.5, 'top2': 1.0}
"""


# Named through `evaluate`: `evaluate.load` takes the first metric class that it finds in this file's namespace.
class TopKAccuracy(evaluate.Metric):
    """Top-k accuracy; see `_DESCRIPTION` for ties, and `_KWARGS_DESCRIPTION` for the arguments of `compute`."""

    def _info(self):
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features(
                {
                    "predictions": datasets.Sequence(datasets.Value("float32")),
                    "references": datasets.Value("int64"),
                }
            ),
        )

    def _compute(self, predictions, references, k=1):
        ks = list(k) if isinstance(k, Iterable) else [k]
        if not ks or any(isinstance(one, bool) or not isinstance(one, numbers.Integral) or one < 1 for one in ks):
            raise ValueError(f"`k` is {k}; give an integer of at least 1, or a list of such integers.")
        if len(predictions) == 0:
            raise ValueError("Top-k accuracy of no example is undefined: `predictions` is empty.")
        num_classes = len(predictions[0])
        if num_classes == 0 or any(len(scores) != num_classes for scores in predictions):
            lengths = sorted({len(scores) for scores in predictions})
            raise ValueError(f"Every example needs one score per class, but there are examples with {lengths} scores.")
        scores = np.array(predictions, dtype=np.float32)
        labels = np.array(references, dtype=np.int64)
        invalid = np.flatnonzero(np.isnan(scores).any(axis=1))
        if len(invalid):
            raise ValueError(
                f"The scores of {len(invalid)} of {len(scores)} examples hold NaN, first example {invalid[0]}."
            )
        outside = np.flatnonzero((labels < 0) | (labels >= num_classes))
        if len(outside):
            raise ValueError(
                f"Example {outside[0]} is of class {labels[outside[0]]}, but there are scores for {num_classes} classes: "
                f"`references` have to be in [0, {num_classes - 1}]."
            )

        true_scores = np.take_along_axis(scores, labels[:, None], axis=1)
        ahead = scores > true_scores
        ahead |= (scores == true_scores) & (np.arange(num_classes) < labels[:, None])
        ranks = ahead.sum(axis=1)
        return {f"top{one}": float(np.mean(ranks < one)) for one in ks}
