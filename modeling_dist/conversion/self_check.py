# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""The check of a converted model: a naive forward of the checkpoint on its own tensors."""

import torch
from torch import nn

from ..modeling_dist import DiSTForVideoClassification
from ..reference_dist import ReferenceDiST
from .backbone import VisionTower
from .checkpoint import OfficialCheckpoint
from .names import _pack_vision_tower


# How far the saved folder may be from the checkpoint, relative to the largest value: what float32 leaves after the 24
# layers of ViT-L in another order of summation, and far below what a wrong tensor makes.
SELF_CHECK_TOLERANCE = 1e-4


def _naive_text_embeds(tensors: dict[str, torch.Tensor], token_ids: torch.Tensor, num_heads: int) -> torch.Tensor:
    """CLIP's text tower as OpenAI writes it, on the checkpoint's own tensors."""
    functional, length = nn.functional, token_ids.shape[1]
    hidden_states = tensors["token_embedding.weight"][token_ids] + tensors["positional_embedding"][:length]
    mask = torch.full((length, length), -torch.inf).triu(1)
    layer = 0
    while f"transformer.resblocks.{layer}.ln_1.weight" in tensors:
        block = {
            name.removeprefix(f"transformer.resblocks.{layer}."): tensor
            for name, tensor in tensors.items()
            if name.startswith(f"transformer.resblocks.{layer}.")
        }
        width = hidden_states.shape[-1]
        normalized = functional.layer_norm(hidden_states, (width,), block["ln_1.weight"], block["ln_1.bias"])
        normalized = normalized.transpose(0, 1)
        attended, _ = functional.multi_head_attention_forward(
            normalized,
            normalized,
            normalized,
            embed_dim_to_check=width,
            num_heads=num_heads,
            in_proj_weight=block["attn.in_proj_weight"],
            in_proj_bias=block["attn.in_proj_bias"],
            bias_k=None,
            bias_v=None,
            add_zero_attn=False,
            dropout_p=0.0,
            out_proj_weight=block["attn.out_proj.weight"],
            out_proj_bias=block["attn.out_proj.bias"],
            training=False,
            need_weights=False,
            attn_mask=mask,
        )
        hidden_states = hidden_states + attended.transpose(0, 1)
        normalized = functional.layer_norm(hidden_states, (width,), block["ln_2.weight"], block["ln_2.bias"])
        widened = functional.linear(normalized, block["mlp.c_fc.weight"], block["mlp.c_fc.bias"])
        widened = widened * torch.sigmoid(1.702 * widened)
        hidden_states = hidden_states + functional.linear(
            widened, block["mlp.c_proj.weight"], block["mlp.c_proj.bias"]
        )
        layer += 1
    last = hidden_states[torch.arange(len(token_ids)), token_ids.argmax(dim=-1)]
    last = functional.layer_norm(last, last.shape[-1:], tensors["ln_final.weight"], tensors["ln_final.bias"])
    return last @ tensors["text_projection"]


def _relative_error(actual: torch.Tensor, expected: torch.Tensor) -> float:
    return ((actual - expected).abs().max() / expected.abs().max()).item()


@torch.no_grad()
def _self_check(
    model: DiSTForVideoClassification,
    official: OfficialCheckpoint,
    vision_tower: VisionTower,
    token_ids: torch.Tensor,
) -> dict[str, float]:
    """The largest difference between the model and a naive forward of the checkpoint on a random video, by output."""
    config, tensors = model.config, official.tensors
    if vision_tower.is_another:
        tensors = tensors | _pack_vision_tower(list(tensors), vision_tower.tensors)
    with torch.device("meta"):
        reference = ReferenceDiST(config)
    # What the last block would give back to the temporal encoder may be missing, since nothing reads it.
    own = {
        name: tensors[name] if name in tensors else torch.zeros(tensor.shape)
        for name, tensor in reference.state_dict().items()
    }
    reference.load_state_dict(own, assign=True)
    size = config.vision_config.image_size
    video = torch.randn(1, 3, config.num_frames, size, size, generator=torch.Generator().manual_seed(0))
    expected = reference(video, output_activations=False)
    # A few classes tell as much as all, and the naive text tower is slow.
    classes = torch.arange(0, len(token_ids), max(1, len(token_ids) // 8))
    text_embeds = _naive_text_embeds(tensors, token_ids[classes], official.text_config.num_attention_heads)

    def naive_logits(embeds: torch.Tensor) -> torch.Tensor:
        cosines = nn.functional.cosine_similarity(embeds.unsqueeze(-2), text_embeds, dim=-1)
        return tensors["logit_scale"].exp() * cosines

    actual = model(video.transpose(1, 2))
    errors = {
        "video embeddings": _relative_error(actual.video_embeds, expected.video_embeds),
        "class embeddings": _relative_error(model.classifier.class_embeds[classes], text_embeds),
        "logits": _relative_error(actual.logits[:, classes], naive_logits(expected.video_embeds)),
    }
    if model.classifier.visual_projection is not None:
        actual = model(video.transpose(1, 2), zero_shot_weight=1.0).logits
        frame_logits = naive_logits(expected.frame_embeds).mean(dim=1)
        errors["CLIP's frame logits"] = _relative_error(actual[:, classes], frame_logits)
    return errors
