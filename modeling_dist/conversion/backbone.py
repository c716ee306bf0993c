# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""The CLIP that a checkpoint was trained on: finding it, and comparing the checkpoint with it."""

import os
import re
from dataclasses import dataclass

import torch
from transformers import CLIPVisionConfig, CLIPVisionModel
from transformers.utils import logging

from ..checkpoint_dist import read_checkpoint, select_weights
from ..paper import find_openai_clip
from .checkpoint import OfficialCheckpoint
from .names import convert_state_dict, convert_text_tower


logger = logging.get_logger(__name__)


@dataclass
class Backbone:
    """
    A CLIP in its repository.

    Args:
        source (`str`):
            Hub id or folder.
        commit_hash (`str`, *optional*):
            The commit; `None` for a folder.
        vision_config (`CLIPVisionConfig`):
            As the repository has it.
        tensors (`dict[str, torch.Tensor]`):
            All that its checkpoint holds.
    """

    source: str
    commit_hash: str | None
    vision_config: CLIPVisionConfig
    tensors: dict[str, torch.Tensor]

    def __str__(self):
        return f"{self.source}, commit {self.commit_hash}" if self.commit_hash else self.source

    @classmethod
    def read(cls, source: str, download_kwargs: dict) -> "Backbone":
        vision_config = CLIPVisionConfig.from_pretrained(source, **download_kwargs)
        tensors, commit_hash = read_checkpoint(source, **download_kwargs)
        return cls(source, commit_hash, vision_config, tensors)

    def check_config(self, vision_config: CLIPVisionConfig):
        """What no tensor tells has to agree too."""
        for name in ("num_attention_heads", "hidden_act", "layer_norm_eps"):
            ours, theirs = getattr(vision_config, name), getattr(self.vision_config, name)
            if ours != theirs:
                raise ValueError(
                    f"The backbone `{self.source}` has {name}={theirs}, and the checkpoint's vision tower is to be read "
                    f"with {name}={ours}. Give the backbone that it was trained on."
                )


def _find_backbone(
    backbone: str | os.PathLike | None, vision_sizes: dict, download_kwargs: dict
) -> tuple[Backbone | None, str]:
    """The backbone that was asked for, or OpenAI's of these sizes where it can be had, and where there is none, why."""
    if backbone is not None:
        return Backbone.read(os.fspath(backbone), download_kwargs), ""
    source = find_openai_clip(vision_sizes)
    asked_for_revision = download_kwargs.get("revision") is not None
    if source is None and asked_for_revision:
        raise ValueError(
            "`revision` is that of the backbone, and OpenAI has published no CLIP of these sizes. Name the backbone with "
            "`backbone`, or leave `revision` out."
        )
    if source is None:
        return None, "OpenAI has published no CLIP of these sizes; name one with `backbone` if there is one"
    try:
        return Backbone.read(source, download_kwargs), ""
    except OSError as error:
        if asked_for_revision:  # it may be mistyped, and who names one does not want to go without
            raise
        return None, f"{source} is not in the cache and cannot be reached ({str(error).splitlines()[0]})"


@dataclass
class Comparison:
    """How far tensors of the checkpoint are from those of the same names in the backbone's repository."""

    num_tensors: int
    num_different: int
    max_difference: float

    def __str__(self):
        if not self.num_different:
            return f"equal to the backbone's in all {self.num_tensors} tensors"
        return (
            f"different from the backbone's in {self.num_different} of {self.num_tensors} tensors, by up to "
            f"{self.max_difference:.3g}"
        )


def _compare(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> Comparison | None:
    """`None` where the repository does not hold all of these, in these shapes."""
    if any(name not in theirs or theirs[name].shape != tensor.shape for name, tensor in ours.items()):
        return None
    # A checkpoint in half precision is the same where it is the repository's rounded.
    differences = {}
    for name, tensor in ours.items():
        difference = (tensor.float() - theirs[name].to(tensor.dtype).float()).abs().max()
        packed_name = re.sub(r"\.[qkv]_proj\.", ".in_proj.", name)  # counted as the checkpoint holds them
        differences.setdefault(packed_name, []).append(difference)
    differences = torch.stack([torch.stack(parts).max() for parts in differences.values()])
    return Comparison(len(differences), int((differences != 0).sum()), differences.max().item())


@dataclass
class VisionTower:
    """
    Where the model's spatial encoder comes from, and with what CLIP's visual projection.

    Args:
        tensors (`dict[str, torch.Tensor]`):
            Its weights, under the names of `CLIPVisionModel`.
        backbone (`Backbone`, *optional*):
            The repository that they stay in; `None` where they are saved with the model.
        visual_projection (`torch.Tensor`, *optional*):
            To be saved with the head, where no repository holds the same one.
        is_another (`bool`):
            Whether it is not bit for bit the checkpoint's.
    """

    tensors: dict[str, torch.Tensor]
    backbone: Backbone | None
    visual_projection: torch.Tensor | None
    is_another: bool = False


def _choose_vision_tower(
    official: OfficialCheckpoint, backbone: Backbone | None, backbone_mismatch: str, findings: list[tuple[str, str]]
) -> VisionTower:
    """Compares the checkpoint with the backbone; what it finds goes to `findings`."""
    config, tensors = official.config, official.tensors
    own = {
        name.removeprefix("spatial_encoder."): tensor
        for name, tensor in convert_state_dict(tensors)[0].items()
        if name.startswith("spatial_encoder.")
    }
    projection = tensors["visual.proj"].T
    if backbone is None:
        return VisionTower(own, None, projection)

    backbone.check_config(config.vision_config)
    theirs = select_weights(backbone.tensors, backbone.source, CLIPVisionModel, config.vision_config)
    comparison = _compare(own, theirs)
    text_comparison = _compare(convert_text_tower(tensors), backbone.tensors)
    projection_comparison = _compare({"visual_projection.weight": projection}, backbone.tensors)
    findings.append(("vision tower", str(comparison)))
    if text_comparison is not None:
        findings.append(("text tower", str(text_comparison)))
        if text_comparison.num_different:
            findings.append(("", "class names set later are embedded by the backbone's, in another space than these"))

    if comparison.num_different and backbone_mismatch != "replace":
        message = f"The vision tower of {official.path} is {comparison} ({backbone.source})."
        if backbone_mismatch == "error":
            raise ValueError(f'{message} With `backbone_mismatch="include"` it is saved with the model.')
        logger.warning(f"{message} The whole model is saved.")
        if text_comparison is not None and not text_comparison.num_different:
            # The weights stay with the model; the name tells where the text encoder is for other class names.
            config.backbone, config.backbone_revision = backbone.source, backbone.commit_hash
        return VisionTower(own, None, projection)

    if comparison.num_different:
        logger.warning(
            f"The vision tower of {official.path} is {comparison} ({backbone.source}), and is replaced by it. The model "
            "computes something else than the checkpoint does."
        )
        findings.append(("", "the vision tower is replaced by the backbone's"))
    if projection_comparison is not None and not projection_comparison.num_different:
        projection = None
    is_rounded = any(tensor.dtype != theirs[name].dtype for name, tensor in own.items())
    return VisionTower(theirs, backbone, projection, is_another=is_rounded or comparison.num_different > 0)
