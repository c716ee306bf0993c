# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""The report of a conversion."""

from collections import Counter

from ..modeling_dist import DiSTForVideoClassification
from .backbone import VisionTower
from .checkpoint import OfficialCheckpoint
from .names import TEXT_TOWER_NAMES, VISION_TOWER_NAMES, rename


MAPPED, EMBEDDED, TAKEN, LEFT_OUT = USES = (
    "mapped",
    "used for the class features",
    "taken from the backbone instead",
    "left out",
)


def _find_use(name: str, official: OfficialCheckpoint, vision_tower: VisionTower) -> str:
    """Return what has become of a tensor of the checkpoint."""
    if name in official.unused:
        return LEFT_OUT
    if rename(name, TEXT_TOWER_NAMES):
        return EMBEDDED
    if rename(name, VISION_TOWER_NAMES):
        return MAPPED if vision_tower.backbone is None else TAKEN
    if name == "visual.proj":
        return TAKEN if vision_tower.visual_projection is None else MAPPED
    return MAPPED


def make_report(
    official: OfficialCheckpoint,
    model: DiSTForVideoClassification,
    vision_tower: VisionTower,
    num_bytes: int,
    comparison: list[tuple[str, str]],
    check: str,
) -> str:
    """
    Describe a conversion in words.

    Args:
        official (`OfficialCheckpoint`), model (`DiSTForVideoClassification`), vision_tower (`VisionTower`):
            The checkpoint, and what it was converted to.
        num_bytes (`int`):
            Size of the folder.
        comparison (`list[tuple[str, str]]`):
            The lines about the backbone.
        check (`str`):
            The result of the self-check.
    """
    config, counts = model.config, model.count_parameters()
    saved = "the whole model" if vision_tower.backbone is None else "the tunable weights and the head"
    if vision_tower.visual_projection is not None:
        saved += ", with CLIP's visual projection for zero-shot"
    uses = Counter(_find_use(name, official, vision_tower) for name in official.tensors)
    lines = [
        *comparison,
        (
            "model",
            f"{counts['frozen']:,} parameters frozen, {counts['tunable']:,} tunable, {config.num_labels} classes",
        ),
        (
            "",
            f"{config.num_spatial_frames}+{config.num_frames} frames of {config.vision_config.image_size} pixels, patches "
            f"of {config.vision_config.patch_size}, {config.num_pooling_layers} pooling layers",
        ),
        ("saved", f"{saved}: {num_bytes / 1e6:,.1f} MB"),
        (
            "tensors",
            f"{len(official.tensors)} in the checkpoint: " + ", ".join(f"{uses[use]} {use}" for use in USES),
        ),
        *(("left out", f"{name}: nothing reads it") for name in official.unused),
        *(("left out", f"{name}: an entry of the file beside the model") for name in official.other_entries),
        ("self-check", f"passed; largest relative differences: {check}"),
    ]
    width = max(len(what) for what, _ in lines)
    title = f"{official.path} -> {model.name_or_path}"
    return "\n".join([title, *(f"  {what:<{width}}  {text}" for what, text in lines)])
