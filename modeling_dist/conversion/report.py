# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""The report of a conversion."""

from ..modeling_dist import DiSTForVideoClassification
from .backbone import VisionTower
from .checkpoint import OfficialCheckpoint
from .names import SPATIAL_ENCODER_NAMES, TEXT_TOWER_NAMES, _rename


def _count_by_use(official: OfficialCheckpoint, vision_tower: VisionTower) -> dict[str, int]:
    """What became of the checkpoint's tensors; each is counted once."""
    uses = ("mapped", "used for the class features", "taken from the backbone instead", "left out")
    mapped, used, taken, left_out = uses
    counts = dict.fromkeys(uses, 0)
    for name in official.tensors:
        if name in official.unread:
            use = left_out
        elif _rename(name, TEXT_TOWER_NAMES):
            use = used
        elif _rename(name, SPATIAL_ENCODER_NAMES):
            use = mapped if vision_tower.backbone is None else taken
        elif name == "visual.proj":
            use = mapped if vision_tower.visual_projection is not None else taken
        else:
            use = mapped
        counts[use] += 1
    return counts


def _describe(model: DiSTForVideoClassification, vision_tower: VisionTower, num_bytes: int) -> list[tuple[str, str]]:
    config, counts = model.config, model.count_parameters()
    saved = "the whole model" if vision_tower.backbone is None else "the tunable weights and the head"
    if vision_tower.visual_projection is not None:
        saved += ", with CLIP's visual projection for zero-shot"
    return [
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
    ]
