# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""The CLIP that a checkpoint was trained on: finding it, and comparing the checkpoint's towers with it."""

import os
import re
from dataclasses import dataclass
from typing import Any

import torch
from transformers import CLIPVisionConfig
from transformers.utils import logging

from ..checkpoint_dist import Backbone, select_backbone
from ..paper import find_openai_clip
from .checkpoint import OfficialCheckpoint
from .names import convert_state_dict, convert_text_tower


logger = logging.get_logger(__name__)


def find_backbone(
    name_or_path: str | os.PathLike | None, vision_config: CLIPVisionConfig, download_kwargs: dict[str, Any]
) -> tuple[Backbone | None, CLIPVisionConfig | None, str]:
    """
    Read the given backbone, or else OpenAI's CLIP of the same sizes if it can be reached. Return it with its
    configuration, or the reason why there is none.
    """

    def read(name_or_path: str | os.PathLike) -> tuple[Backbone, CLIPVisionConfig, str]:
        # The small file comes first: if the Hub cannot be reached, the client retries each file for a while.
        config = CLIPVisionConfig.from_pretrained(name_or_path, **download_kwargs)
        return Backbone.read(name_or_path, **download_kwargs), config, ""

    if name_or_path is not None:
        return read(name_or_path)
    openai_clip = find_openai_clip(vision_config.to_dict())
    has_revision = download_kwargs.get("revision") is not None
    if openai_clip is None:
        if has_revision:
            raise ValueError(
                "`revision` is that of the backbone, and OpenAI has published no CLIP of these sizes. Name the backbone "
                "with `backbone`, or leave out `revision`."
            )
        return (
            None,
            None,
            "OpenAI has published no CLIP of these sizes; if there is another one, name it as `backbone`",
        )
    try:
        return read(openai_clip)
    except OSError as error:
        if has_revision:  # it may be mistyped, and whoever gives one does not want a model without a backbone
            raise
        return None, None, f"{openai_clip} is not in the cache and cannot be reached ({str(error).splitlines()[0]})"


def _compare(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> tuple[bool | None, str]:
    """
    Return whether tensors of the checkpoint are equal to those of the same names in the backbone (`None` if it does not
    hold all of them), and the result in words.
    """
    if any(name not in theirs or theirs[name].shape != tensor.shape for name, tensor in ours.items()):
        return None, "not in the backbone's repository in these shapes"
    # A checkpoint in half precision is equal to the backbone if it holds the rounded values.
    differences = {}
    for name, tensor in ours.items():
        difference = (tensor.float() - theirs[name].to(tensor.dtype).float()).abs().max()
        packed_name = re.sub(r"\.[qkv]_proj\.", ".in_proj.", name)  # counted as one tensor, as in the checkpoint
        differences.setdefault(packed_name, []).append(difference)
    differences = torch.stack([torch.stack(parts).max() for parts in differences.values()])
    num_different = int((differences != 0).sum())
    if not num_different:
        return True, f"equal to the backbone's in all {len(differences)} tensors"
    extent = f"in {num_different} of {len(differences)} tensors, by up to {differences.max():.3g}"
    return False, f"different from the backbone's {extent}"


def _check_vision_config(vision_config: CLIPVisionConfig, backbone: Backbone, backbone_config: CLIPVisionConfig):
    """Check the settings that tensor shapes do not reveal."""
    for name in ("num_attention_heads", "hidden_act", "layer_norm_eps"):
        ours, theirs = getattr(vision_config, name), getattr(backbone_config, name)
        if ours != theirs:
            raise ValueError(
                f"The backbone `{backbone.name_or_path}` has {name}={theirs}, but the checkpoint's vision tower is read with "
                f"{name}={ours}. Give the backbone that it was trained on."
            )


@dataclass
class VisionTower:
    """
    The spatial encoder of the converted model: its weights, named as in `CLIPVisionModel`; the backbone that they come
    from, or `None` if they are the checkpoint's own and are saved with the model; and CLIP's visual projection if the
    head has to hold it because the backbone's differs.
    """

    tensors: dict[str, torch.Tensor]
    visual_projection: torch.Tensor | None
    backbone: Backbone | None = None


def choose_vision_tower(
    official: OfficialCheckpoint,
    backbone: Backbone | None,
    backbone_config: CLIPVisionConfig | None,
    backbone_mismatch: str,
) -> tuple[VisionTower, list[tuple[str, str]]]:
    """
    Decide where the weights of the spatial encoder come from, by comparing the checkpoint with the backbone. Return
    the choice with lines for the report.
    """
    config, tensors = official.config, official.tensors
    own = select_backbone(convert_state_dict(tensors)[0])
    projection = tensors["visual.proj"].T
    if backbone is None:
        return VisionTower(own, projection), []

    _check_vision_config(config.vision_config, backbone, backbone_config)
    theirs = backbone.vision_weights(config.vision_config)
    is_same, comparison = _compare(own, theirs)
    is_same_text, text_comparison = _compare(convert_text_tower(tensors), backbone.tensors)
    is_same_projection, _ = _compare({"visual_projection.weight": projection}, backbone.tensors)
    lines = [("vision tower", comparison), ("text tower", text_comparison)]
    if is_same_text is False:
        lines.append(("", "class names set later are embedded by the backbone's, in a different embedding space"))

    if not is_same:
        difference = f"The vision tower of {official.path} is {comparison} ({backbone.name_or_path})"
        if backbone_mismatch == "error":
            raise ValueError(f'{difference}. With `backbone_mismatch="include"` it is saved with the model.')
        if backbone_mismatch == "include":
            logger.warning(f"{difference}. The whole model is saved.")
            if is_same_text:
                # The name tells where to find the text encoder that embeds other class names.
                config.backbone, config.backbone_revision = backbone.name_or_path, backbone.commit_hash
            return VisionTower(own, projection), lines
        logger.warning(f"{difference}, and is replaced by it. The model does not compute what the checkpoint does.")
        lines.append(("", "the vision tower is replaced by the backbone's"))
    return VisionTower(theirs, None if is_same_projection else projection, backbone), lines
