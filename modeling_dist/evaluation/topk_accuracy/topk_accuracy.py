# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Top-k accuracy as an `evaluate` module: `evaluate.load("modeling_dist/evaluation/topk_accuracy")`."""

import datasets
import evaluate

from .ranking import top_k_accuracy


_DESCRIPTION = """
Top-k accuracy: the share of examples whose true class is among the k classes with the highest scores. Classes with equal
scores are ranked by their index, the lower one first, as in `argmax`.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (`list` of `list` of `float`): A score per class for every example; logits or probabilities.
    references (`list` of `int`): The true classes, each in [0, number of classes).
    k (`int` or `list` of `int`, *optional*, defaults to 1):
        One or several values, at least 1. If k is not less than the number of classes, the accuracy is 1.

Returns:
    `dict`: `top{k}` in [0, 1] for every k.

Examples:
    >>> metric = evaluate.load("modeling_dist/evaluation/topk_accuracy")
    >>> metric.compute(predictions=[[0.1, 0.7, 0.2], [0.5, 0.2, 0.3]], references=[1, 2], k=[1, 2])
    {'top1': 0.5, 'top2': 1.0}
"""


# Named through `evaluate`: `evaluate.load` takes the first metric class that it finds in this file's namespace.
class TopKAccuracy(evaluate.Metric):
    """Top-k accuracy; `_KWARGS_DESCRIPTION` explains the arguments of `compute`."""

    def _info(self):
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features(
                {"predictions": datasets.Sequence(datasets.Value("float32")), "references": datasets.Value("int64")}
            ),
        )

    def _compute(self, predictions, references, k=1):
        lengths = sorted({len(scores) for scores in predictions})
        if len(lengths) > 1:
            raise ValueError(f"Every example needs one score per class, but there are examples with {lengths} scores.")
        return top_k_accuracy(predictions, references, k)
