# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""The paper's optimization: AdamW, the parameters that weight decay applies to, and the learning rate of every update."""

import math

import torch
from torch.optim.lr_scheduler import LambdaLR

from ..frozen_backbone_dist import FrozenBackboneModel
from .settings import TrainingSettings


# Learned tokens and positional embeddings, of DiST and, where it is trained too, of CLIP.
TOKEN_NAMES = {"class_token", "video_token", "frame_token", "position_embeddings"}
TOKEN_NAMES |= {"class_embedding", "position_embedding"}


def decays(name: str, parameter: torch.Tensor) -> bool:
    """Whether weight decay applies: not to biases and other 1-D parameters, learned tokens, positional embeddings."""
    return parameter.ndim > 1 and TOKEN_NAMES.isdisjoint(name.split("."))


def parameter_groups(model: FrozenBackboneModel, weight_decay: float) -> list[dict]:
    """
    Return the tunable parameters for an optimizer, as two groups with `params` and `weight_decay`: the first decays, the
    second does not. Frozen parameters are in neither.
    """
    groups = [{"params": [], "weight_decay": weight_decay}, {"params": [], "weight_decay": 0.0}]
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and model.is_tunable(name):
            groups[0 if decays(name, parameter) else 1]["params"].append(parameter)
    return groups


def make_optimizer(
    model: FrozenBackboneModel, settings: TrainingSettings, learning_rate: float
) -> torch.optim.Optimizer:
    """Return AdamW for the tunable parameters."""
    return torch.optim.AdamW(
        parameter_groups(model, settings.weight_decay),
        lr=learning_rate,
        betas=(settings.adam_beta1, settings.adam_beta2),
        eps=settings.adam_epsilon,
    )


def learning_rate_at(
    epoch: float, peak: float, num_epochs: float, warmup_epochs: float = 0.0, warmup_start: float = 0.0
) -> float:
    """
    Return the learning rate of the paper's schedule: a cosine from `peak` at epoch 0 to zero at `num_epochs`, the
    first `warmup_epochs` of which are replaced by a straight line from `warmup_start` to the cosine's value at their
    end. Update i of n in epoch e is at e + i / n.
    """

    def cosine(at: float) -> float:
        return peak * (math.cos(math.pi * at / num_epochs) + 1) / 2

    if epoch < warmup_epochs:
        return warmup_start + (cosine(warmup_epochs) - warmup_start) * epoch / warmup_epochs
    return cosine(min(epoch, num_epochs))


def cosine_schedule(
    optimizer: torch.optim.Optimizer,
    steps_per_epoch: int,
    num_epochs: float,
    warmup_epochs: float = 0.0,
    warmup_start: float = 0.0,
) -> LambdaLR:
    """
    Return [`learning_rate_at`] as a scheduler to step once per update, with the optimizer's learning rate as peak.
    """
    peak = optimizer.defaults["lr"]
    if not peak > 0:
        raise ValueError(f"The learning rate must be greater than 0, got {peak}.")
    if not 0 <= warmup_epochs < num_epochs:
        raise ValueError(
            f"`warmup_epochs` must be at least 0 and less than `num_epochs`, got {warmup_epochs} and {num_epochs}."
        )
    if not 0 <= warmup_start <= peak:
        raise ValueError(
            f"The warm-up must start between 0 and the learning rate {peak:g}, got {warmup_start:g}. A small batch makes "
            "the linearly scaled learning rate small."
        )

    def factor(step: int) -> float:
        return learning_rate_at(step / steps_per_epoch, peak, num_epochs, warmup_epochs, warmup_start) / peak

    return LambdaLR(optimizer, factor)
