# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""The report of a conversion."""

from ..modeling_dist import DiSTForVideoClassification
from .backbone import VisionTower
from .checkpoint import OfficialCheckpoint
from .names import TEXT_TOWER_NAMES, VISION_TOWER_NAMES, rename


def _count_by_use(official: OfficialCheckpoint, vision_tower: VisionTower) -> str:
    """Describe what has become of the checkpoint's tensors; each is counted once."""
    counts = {"mapped": 0, "used for the class features": 0, "taken from the backbone instead": 0, "left out": 0}
    mapped, embedding, taken, left_out = counts
    for name in official.tensors:
        if name in official.unused:
            use = left_out
        elif rename(name, TEXT_TOWER_NAMES):
            use = embedding
        elif name == "visual.proj":
            use = taken if vision_tower.visual_projection is None else mapped
        elif rename(name, VISION_TOWER_NAMES):
            use = mapped if vision_tower.backbone is None else taken
        else:
            use = mapped
        counts[use] += 1
    return ", ".join(f"{count} {use}" for use, count in counts.items())


def make_report(
    official: OfficialCheckpoint,
    model: DiSTForVideoClassification,
    vision_tower: VisionTower,
    num_bytes: int,
    comparison: list[tuple[str, str]],
    check: str,
) -> str:
    """Describe a conversion in words, given the size of the folder and the results of the comparison and the check."""
    config, counts = model.config, model.count_parameters()
    saved = "the whole model" if vision_tower.backbone is None else "the tunable weights and the head"
    if vision_tower.visual_projection is not None:
        saved += ", with CLIP's visual projection for zero-shot"
    parameters = f"{counts['frozen']:,} parameters frozen, {counts['tunable']:,} tunable"
    frames = f"{config.num_spatial_frames}+{config.num_frames} frames of {config.vision_config.image_size} pixels"
    layers = f"patches of {config.vision_config.patch_size}, {config.num_pooling_layers} pooling layers"
    lines = [
        *comparison,
        ("model", f"{parameters}, {config.num_labels} classes"),
        ("", f"{frames}, {layers}"),
        ("saved", f"{saved}: {num_bytes / 1e6:,.1f} MB"),
        ("tensors", f"{len(official.tensors)} in the checkpoint: {_count_by_use(official, vision_tower)}"),
        *(("left out", f"{name}: nothing reads it") for name in official.unused),
        *(
            ("left out", f"{name}: an entry of the file that is not part of the model")
            for name in official.other_entries
        ),
        ("self-check", f"passed; largest relative differences: {check}"),
    ]
    width = max(len(what) for what, _ in lines)
    lines = [f"  {what:<{width}}  {text}" for what, text in lines]
    return "\n".join([f"{official.path} -> {model.name_or_path}", *lines])
