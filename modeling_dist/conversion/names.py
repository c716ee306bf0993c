# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""The names of tensors in the authors' checkpoints, and in transformers."""

import re

import torch


# Patterns, each with its replacement; the first one that matches renames.
Rules = tuple[tuple[str, str], ...]

# Prefix of all tensors of the authors' model.
PREFIX = "backbone.base_encoder."

# The parts of `dist_net` that have other names in the authors' older files, where it is called `ladder_net`.
OLD_NAMES = {
    "input_map_feat_nets": "input_linears",
    "s2t_fuse_nets": "integration2temporal_nets",
    "t2s_fuse_nets": "temporal2integration_nets",
    "spatial_nets": "integration_nets",
    "final_temporal_nets": "adapooling_nets",
}


def _layer_names(source: str, target: str) -> Rules:
    """Return the rules for a layer of one of CLIP's transformers; `_split_projections` then splits the q/k/v projection."""
    source = rf"^{re.escape(source)}\.(\d+)\."
    return (
        (rf"{source}ln_1\.", rf"{target}.\1.layer_norm1."),
        (rf"{source}ln_2\.", rf"{target}.\1.layer_norm2."),
        (rf"{source}mlp\.c_fc\.", rf"{target}.\1.mlp.fc1."),
        (rf"{source}mlp\.c_proj\.", rf"{target}.\1.mlp.fc2."),
        (rf"{source}attn\.out_proj\.", rf"{target}.\1.self_attn.out_proj."),
        (rf"{source}attn\.in_proj_", rf"{target}.\1.self_attn.in_proj_"),
    )


# The vision tower: OpenAI's CLIP to `CLIPVisionModel`.
VISION_TOWER_NAMES = (
    (r"^visual\.class_embedding$", r"embeddings.class_embedding"),
    (r"^visual\.positional_embedding$", r"embeddings.position_embedding.weight"),
    (r"^visual\.conv1\.", r"embeddings.patch_embedding."),
    (r"^visual\.ln_pre\.", r"pre_layrnorm."),
    (r"^visual\.ln_post\.", r"post_layernorm."),
    *_layer_names("visual.transformer.resblocks", "encoder.layers"),
)

# The text tower: OpenAI's CLIP to `CLIPTextModelWithProjection`.
TEXT_TOWER_NAMES = (
    (r"^token_embedding\.", r"text_model.embeddings.token_embedding."),
    (r"^positional_embedding$", r"text_model.embeddings.position_embedding.weight"),
    (r"^ln_final\.", r"text_model.final_layer_norm."),
    (r"^text_projection$", r"text_projection.weight"),
    *_layer_names("transformer.resblocks", "text_model.encoder.layers"),
)

# The tunable part: the authors' `dist_net` to `DiSTModel`.
TUNABLE_NAMES = (
    (r"^temporal_stem\.", r"temporal_stem."),
    (r"^input_linears\.(\d+)\.", r"layers.\1.input_projection."),
    (r"^temporal_nets\.(\d+)\.ln\.", r"layers.\1.temporal_block.layernorm."),
    (r"^temporal_nets\.(\d+)\.temporal_net\.c_fc1\.", r"layers.\1.temporal_block.temporal_conv."),
    (r"^temporal_nets\.(\d+)\.temporal_net\.c_fc2\.", r"layers.\1.temporal_block.spatial_conv."),
    (r"^integration2temporal_nets\.(\d+)\.linear_fuse\.", r"layers.\1.integration_to_temporal."),
    (r"^temporal2integration_nets\.(\d+)\.linear_fuse\.", r"layers.\1.temporal_to_integration."),
    (r"^temporal2integration_nets\.(\d+)\.cls_token$", r"layers.\1.class_token"),
    (r"^integration_nets\.(\d+)\.ln\.", r"layers.\1.integration_block.layernorm."),
    (r"^integration_nets\.(\d+)\.ffn\.c_fc\.", r"layers.\1.integration_block.mlp.fc1."),
    (r"^integration_nets\.(\d+)\.ffn\.c_proj\.", r"layers.\1.integration_block.mlp.fc2."),
    (r"^integration_nets\.(\d+)\.ln_temporal\.", r"layers.\1.integration_block.temporal_layernorm."),
    (r"^integration_nets\.(\d+)\.temporal_ffn\.c_fc1\.", r"layers.\1.integration_block.temporal_mlp.fc1."),
    (r"^integration_nets\.(\d+)\.temporal_ffn\.c_fc2\.", r"layers.\1.integration_block.temporal_mlp.temporal_conv."),
    (r"^integration_nets\.(\d+)\.temporal_ffn\.c_proj\.", r"layers.\1.integration_block.temporal_mlp.fc2."),
    (r"^aggregated_cls_token$", r"pooling.video_token"),
    (r"^aggregated_spatial_cls_token$", r"pooling.frame_token"),
    (r"^adapooling_nets\.(\d+)\.spatial_transformer\.ln_1\.", r"pooling.layers.\1.frame_layernorm."),
    (r"^adapooling_nets\.(\d+)\.spatial_transformer\.attn\.", r"pooling.layers.\1.frame_attention."),
    (r"^adapooling_nets\.(\d+)\.ln_out_spat_cls_token\.", r"pooling.layers.\1.frame_mlp_layernorm."),
    (r"^adapooling_nets\.(\d+)\.output_map_spatial_cls_token\.c_fc\.", r"pooling.layers.\1.frame_mlp.fc1."),
    (r"^adapooling_nets\.(\d+)\.output_map_spatial_cls_token\.c_proj\.", r"pooling.layers.\1.frame_mlp.fc2."),
    (r"^adapooling_nets\.(\d+)\.positional_embedding$", r"pooling.layers.\1.position_embeddings"),
    (r"^adapooling_nets\.(\d+)\.temporal_transformer\.ln_1\.", r"pooling.layers.\1.video_layernorm."),
    (r"^adapooling_nets\.(\d+)\.temporal_transformer\.attn\.", r"pooling.layers.\1.video_attention."),
    (r"^adapooling_nets\.(\d+)\.ln_out_temp_cls_token\.", r"pooling.layers.\1.video_mlp_layernorm."),
    (r"^adapooling_nets\.(\d+)\.output_map_cls_token\.c_fc\.", r"pooling.layers.\1.video_mlp.fc1."),
    (r"^adapooling_nets\.(\d+)\.output_map_cls_token\.c_proj\.", r"pooling.layers.\1.video_mlp.fc2."),
    (r"^proj_spatial_cls_token\.", r"pooling.class_token_projection."),
    (r"^ln_post\.", r"pooling.layernorm."),
    (r"^proj$", r"pooling.projection.weight"),
)


def rename(name: str, rules: Rules) -> str | None:
    """Return the name that the rules give, or `None` where none of them matches."""
    for pattern, replacement in rules:
        renamed, count = re.subn(pattern, replacement, name)
        if count:
            return renamed
    return None


def strip_prefix(name: str) -> str:
    """Return a tensor's name without the prefixes of DistributedDataParallel and of the authors' model."""
    return name.removeprefix("module.").removeprefix(PREFIX)


def convert_tunable_tensor(name: str, tensor: torch.Tensor) -> tuple[str | None, torch.Tensor]:
    """
    Convert a tensor of the authors' `dist_net`, or its gradient, to the name and shape that it has in `DiSTModel`. The
    authors' name comes without prefixes and `dist_net.`; the new one is `None` if it is unknown.
    """
    renamed = rename(name, TUNABLE_NAMES)
    if renamed is None:
        return None, tensor
    if renamed.endswith((".temporal_mlp.fc1.weight", ".temporal_mlp.fc2.weight")):
        tensor = tensor.flatten(1)  # a 1×1×1 convolution, which is a linear layer
    elif renamed.endswith((".temporal_conv.weight", ".temporal_to_integration.weight")):
        tensor = tensor.squeeze(-1)  # (out, in, frames, 1, 1): over frames and tokens instead of frames, rows, columns
    elif renamed.endswith(".spatial_conv.weight"):
        tensor = tensor.squeeze(2)  # (out, in, 1, 3, 3)
    elif renamed.endswith(".class_token"):
        tensor = tensor.transpose(1, 2)  # (1, 1, S, C) -> (1, S, 1, C)
    elif renamed == "pooling.projection.weight":
        tensor = tensor.T
    return renamed, tensor


def convert_state_dict(state_dict: dict[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], list[str]]:
    """
    Convert the vision tower and `dist_net` in the `model_state` of one of the authors' checkpoints to a state dict of
    `DiSTModel`. Also return the names that were left out: the text tower, CLIP's visual projection, and the last
    block's projection to the temporal encoder, which is never used.
    """
    names = [strip_prefix(name) for name in state_dict]
    layers = [int(name.split(".")[2]) for name in names if name.startswith("dist_net.input_linears.")]
    unused = f"layers.{max(layers, default=0)}.integration_to_temporal."
    converted, left_out = {}, []
    for name, tensor in zip(names, state_dict.values()):
        if name.startswith("dist_net."):
            renamed, tensor = convert_tunable_tensor(name.removeprefix("dist_net."), tensor)
        else:
            renamed = rename(name, VISION_TOWER_NAMES)
            renamed = renamed and f"spatial_encoder.{renamed}"
        if renamed is None or renamed.startswith(unused):
            left_out.append(name)
        else:
            converted[renamed] = tensor
    return _split_projections(converted), left_out


def convert_text_tower(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Convert the text tower of a checkpoint's `model_state` to a state dict of `CLIPTextModelWithProjection`."""
    converted = {}
    for name, tensor in state_dict.items():
        renamed = rename(strip_prefix(name), TEXT_TOWER_NAMES)
        if renamed is not None:
            converted[renamed] = tensor.T if renamed == "text_projection.weight" else tensor
    return _split_projections(converted)


def _split_projections(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Split CLIP's packed q/k/v projections into three tensors each."""
    split = {}
    for name, tensor in tensors.items():
        if ".self_attn.in_proj_" in name:
            layer, kind = name.split("in_proj_")
            for projection, part in zip(("q_proj", "k_proj", "v_proj"), tensor.chunk(3)):
                split[f"{layer}{projection}.{kind}"] = part
        else:
            split[name] = tensor
    return split


def restore_vision_tower(names: list[str], tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Convert a state dict of `CLIPVisionModel` back: return those of the authors' names that belong to the vision tower."""
    restored = {}
    for name in names:
        renamed = rename(name, VISION_TOWER_NAMES)
        if renamed is None:
            continue
        if ".self_attn.in_proj_" in renamed:
            layer, kind = renamed.split("in_proj_")
            restored[name] = torch.cat([tensors[f"{layer}{part}_proj.{kind}"] for part in "qkv"])
        else:
            restored[name] = tensors[renamed]
    return restored
