# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""The check of a converted model: it has to compute what a naive forward of the checkpoint does."""

import torch
from torch import nn

from ..modeling_dist import DiSTForVideoClassification
from ..reference_dist import ReferenceCLIPText, ReferenceDiST
from .backbone import VisionTower
from .checkpoint import OfficialCheckpoint
from .names import restore_vision_tower


# The largest difference allowed, relative to the largest value: far more than float32 makes when the 24 layers of ViT-L
# are summed in another order, and far less than a wrong tensor makes.
TOLERANCE = 1e-4


def _load_reference(reference_class: type[nn.Module], config, tensors: dict[str, torch.Tensor]) -> nn.Module:
    """Make a reference model of the tensors that have its names. Unused ones may be missing."""
    with torch.device("meta"):
        reference = reference_class(config)
    own = {
        name: tensors[name] if name in tensors else torch.zeros(tensor.shape)
        for name, tensor in reference.state_dict().items()
    }
    reference.load_state_dict(own, assign=True)
    return reference


def _relative_error(actual: torch.Tensor, expected: torch.Tensor) -> float:
    return ((actual - expected).abs().max() / expected.abs().max()).item()


@torch.no_grad()
def check_model(
    model: DiSTForVideoClassification, official: OfficialCheckpoint, vision_tower: VisionTower, token_ids: torch.Tensor
) -> str:
    """
    Compare the outputs of a converted model on a random video with a naive forward of the checkpoint, whose vision
    tower the chosen one replaces. Return the largest relative differences in words; a `RuntimeError` if one exceeds
    `TOLERANCE`.
    """
    own_vision_tower = {name: tensor.float() for name, tensor in vision_tower.tensors.items()}
    tensors = official.tensors | restore_vision_tower(list(official.tensors), own_vision_tower)
    config, size = model.config, model.config.vision_config.image_size
    video = torch.randn(1, 3, config.num_frames, size, size, generator=torch.Generator().manual_seed(0))
    expected = _load_reference(ReferenceDiST, config, tensors)(video, output_activations=False)
    # A few classes reveal as much as all of them, and the naive text tower is slow.
    classes = torch.arange(0, len(token_ids), max(1, len(token_ids) // 8))
    text_embeds = _load_reference(ReferenceCLIPText, official.text_config, tensors)(token_ids[classes])

    def expected_logits(embeds: torch.Tensor) -> torch.Tensor:
        cosines = nn.functional.cosine_similarity(embeds.unsqueeze(-2), text_embeds, dim=-1)
        return tensors["logit_scale"].exp() * cosines

    actual = model(video.transpose(1, 2))
    errors = {
        "video embeddings": _relative_error(actual.video_embeds, expected.video_embeds),
        "class embeddings": _relative_error(model.classifier.class_embeds[classes], text_embeds),
        "logits": _relative_error(actual.logits[:, classes], expected_logits(expected.video_embeds)),
    }
    if model.classifier.visual_projection is not None:
        actual = model(video.transpose(1, 2), zero_shot_weight=1.0).logits
        frame_logits = expected_logits(expected.frame_embeds).mean(dim=1)
        errors["CLIP's frame logits"] = _relative_error(actual[:, classes], frame_logits)

    summary = ", ".join(f"{what} {error:.1e}" for what, error in errors.items())
    if not all(error <= TOLERANCE for error in errors.values()):  # which NaN is not either
        raise RuntimeError(
            "The saved model does not compute what the checkpoint does. The largest differences on a random video, "
            f"relative to the largest value: {summary}; {TOLERANCE:.0e} is allowed. Nothing was written."
        )
    return summary
