# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""
One of the authors' checkpoints (.pyth) as a folder that `from_pretrained` and `pipeline` load.

    python -m modeling_dist.convert_dist_to_hf --checkpoint dist_vitb16_k400.pyth --class_names k400 --output dist-vitb16-k400
    python -m modeling_dist.convert_dist_to_hf --checkpoint my.pyth --class_names names.txt --backbone folder --output my-dist

Every size is read from the tensors, and the class embeddings are computed by the checkpoint's own text tower. The vision
tower is compared with CLIP's repository (OpenAI's, or `--backbone`): where they are equal only the tunable weights are
saved, and the repository is named and pinned. What was saved is loaded again, and compared with the checkpoint run through
a naive forward; the output folder appears only when that agrees.
"""

import argparse
import json
import math
import os
import pickle
import pickletools
import re
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer, CLIPVisionConfig, CLIPVisionModel
from transformers.utils import logging

from .checkpoint_dist import fingerprint_weights, read_checkpoint, select_weights
from .configuration_dist import DiSTConfig
from .data.lists import read_class_names
from .modeling_dist import DiSTForVideoClassification
from .paper import find_openai_clip
from .reference_dist import ReferenceCLIPBlock, ReferenceDiST
from .video_processing_dist import DiSTVideoProcessor


logger = logging.get_logger(__name__)

# Prefix of every tensor of the authors' model.
PREFIX = "backbone.base_encoder."

# What `dist_net` and its parts are called in the authors' older files.
OLD_NAMES = {
    "input_map_feat_nets": "input_linears",
    "s2t_fuse_nets": "integration2temporal_nets",
    "t2s_fuse_nets": "temporal2integration_nets",
    "spatial_nets": "integration_nets",
    "final_temporal_nets": "adapooling_nets",
}

# The width of one attention head in every CLIP of OpenAI's.
CLIP_HEAD_DIM = 64

# What to do where the checkpoint's vision tower is not the backbone.
BACKBONE_MISMATCH = ("include", "replace", "error")


# How far the saved folder may be from the checkpoint, relative to the largest value: what float32 leaves after the 24
# layers of ViT-L in another order of summation, and far below what a wrong tensor makes.
SELF_CHECK_TOLERANCE = 1e-4


def _block_names(source: str, target: str) -> tuple[tuple[str, str], ...]:
    """A layer of one of CLIP's transformers. The packed q/k/v projection is split in `_split_projections`."""
    source = rf"^{re.escape(source)}\.(\d+)\."
    return (
        (rf"{source}ln_1\.", rf"{target}.\1.layer_norm1."),
        (rf"{source}ln_2\.", rf"{target}.\1.layer_norm2."),
        (rf"{source}mlp\.c_fc\.", rf"{target}.\1.mlp.fc1."),
        (rf"{source}mlp\.c_proj\.", rf"{target}.\1.mlp.fc2."),
        (rf"{source}attn\.out_proj\.", rf"{target}.\1.self_attn.out_proj."),
        (rf"{source}attn\.in_proj_", rf"{target}.\1.self_attn.in_proj_"),
    )


# The spatial encoder: OpenAI's CLIP to `CLIPVisionModel`.
SPATIAL_ENCODER_NAMES = (
    (r"^visual\.class_embedding$", r"embeddings.class_embedding"),
    (r"^visual\.positional_embedding$", r"embeddings.position_embedding.weight"),
    (r"^visual\.conv1\.", r"embeddings.patch_embedding."),
    (r"^visual\.ln_pre\.", r"pre_layrnorm."),
    (r"^visual\.ln_post\.", r"post_layernorm."),
    *_block_names("visual.transformer.resblocks", "encoder.layers"),
)

# The text tower: OpenAI's CLIP to `CLIPTextModelWithProjection`.
TEXT_TOWER_NAMES = (
    (r"^token_embedding\.", r"text_model.embeddings.token_embedding."),
    (r"^positional_embedding$", r"text_model.embeddings.position_embedding.weight"),
    (r"^ln_final\.", r"text_model.final_layer_norm."),
    (r"^text_projection$", r"text_projection.weight"),
    *_block_names("transformer.resblocks", "text_model.encoder.layers"),
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


def _rename(name: str, rules: tuple[tuple[str, str], ...]) -> str | None:
    for pattern, replacement in rules:
        renamed, count = re.subn(pattern, replacement, name)
        if count:
            return renamed
    return None


def _bare_name(name: str) -> str:
    """Without what DistributedDataParallel and the authors' model put before it."""
    return name.removeprefix("module.").removeprefix(PREFIX)


def convert_tunable_tensor(name: str, tensor: torch.Tensor) -> tuple[str | None, torch.Tensor]:
    """
    One tensor of the authors' `dist_net`, or its gradient, under the name and in the shape that `DiSTModel` has.

    Args:
        name (`str`):
            The authors' name, without what comes before and with `dist_net.`.
        tensor (`torch.Tensor`):
            The tensor.

    Returns:
        `tuple[str | None, torch.Tensor]`: The name, `None` for one that is not known, and the tensor.
    """
    renamed = _rename(name, TUNABLE_NAMES)
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
    The vision tower and `dist_net` of one of the authors' checkpoints as a state dict of `DiSTModel`.

    Args:
        state_dict (`dict[str, torch.Tensor]`):
            The checkpoint's `model_state`.

    Returns:
        `tuple[dict[str, torch.Tensor], list[str]]`: The tensors under the names of `DiSTModel`, and the names that were
        left out: the text tower, CLIP's image projection, and what the last block would give back to the temporal
        encoder, which nothing reads.
    """
    names = [_bare_name(name) for name in state_dict]
    layers = [int(name.split(".")[2]) for name in names if name.startswith("dist_net.input_linears.")]
    unused = f"layers.{max(layers, default=0)}.integration_to_temporal."
    converted, left_out = {}, []
    for name, tensor in zip(names, state_dict.values()):
        if name.startswith("dist_net."):
            renamed, tensor = convert_tunable_tensor(name.removeprefix("dist_net."), tensor)
        else:
            renamed = _rename(name, SPATIAL_ENCODER_NAMES)
            renamed = renamed and f"spatial_encoder.{renamed}"
        if renamed is None or renamed.startswith(unused):
            left_out.append(name)
        else:
            converted[renamed] = tensor
    return _split_projections(converted), left_out


def convert_text_tower(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """
    The text tower of one of the authors' checkpoints as a state dict of `CLIPTextModelWithProjection`.

    Args:
        state_dict (`dict[str, torch.Tensor]`):
            The checkpoint's `model_state`.
    """
    converted = {}
    for name, tensor in state_dict.items():
        renamed = _rename(_bare_name(name), TEXT_TOWER_NAMES)
        if renamed is not None:
            converted[renamed] = tensor.T if renamed == "text_projection.weight" else tensor
    return _split_projections(converted)


def _split_projections(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """CLIP's packed projections to query, key and value, one by one."""
    split = {}
    for name, tensor in tensors.items():
        if ".self_attn.in_proj_" in name:
            layer, kind = name.split("in_proj_")
            for projection, part in zip(("q_proj", "k_proj", "v_proj"), tensor.chunk(3)):
                split[f"{layer}{projection}.{kind}"] = part
        else:
            split[name] = tensor
    return split


def _pack_vision_tower(names: list[str], tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The way back: a state dict of `CLIPVisionModel` under the authors' names."""
    packed = {}
    for name in names:
        renamed = _rename(name, SPATIAL_ENCODER_NAMES)
        if renamed is None:
            continue
        if ".self_attn.in_proj_" in renamed:
            layer, kind = renamed.split("in_proj_")
            packed[name] = torch.cat([tensors[f"{layer}{part}_proj.{kind}"] for part in "qkv"])
        else:
            packed[name] = tensors[renamed]
    return packed


def _is_pickle_with_globals(path: str) -> bool:
    """
    Whether a file that is refused as a pickle is one, and asks for functions or classes; a text may seem to, since "c" is
    the opcode for it. Reads the opcodes and runs none.
    """
    if zipfile.is_zipfile(path):  # as PyTorch writes it; there is a pickle inside
        return True
    try:
        with open(path, "rb") as file:
            for _ in range(4):  # PyTorch's older files have three short pickles before that of the content
                opcodes = {opcode.name for opcode, _, _ in pickletools.genops(file)}
                if not opcodes.isdisjoint(("GLOBAL", "STACK_GLOBAL", "INST")):
                    return True
    except Exception:  # whatever it finds wrong with the first bytes that are no opcodes
        pass
    return False


def _load_checkpoint(path: str):
    if not os.path.exists(path):
        raise OSError(f"There is no checkpoint {path}.")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (MemoryError, OSError) as error:
        raise OSError(f"{path} cannot be read. ({error})") from error
    except Exception as error:  # the reader raises all kinds on bytes that are none of its own
        # The library's messages recommend to load the file all the same, so that little is taken from them.
        message, reason = str(error), str(error).split(". ")[0].splitlines()[:1]
        if isinstance(error, pickle.UnpicklingError):
            if _is_pickle_with_globals(path):
                asked_for = re.search(r"GLOBAL (\S+)", message)
                reason = f"it asks for {asked_for.group(1)}" if asked_for else "it asks for functions or classes"
                raise ValueError(
                    f"{path} is refused: it is no checkpoint of tensors and plain values alone, and what else is in it "
                    f"could run code on loading. ({reason})"
                ) from None
            with open(path, "rb") as file:
                reason = [f"it begins with {file.read(16)!r}"]
        reason = "it is empty" if os.path.getsize(path) == 0 else (reason or [type(error).__name__])[0]
        raise OSError(
            f"{path} is no PyTorch checkpoint ({reason}). It may be truncated, or something else under that name: compare "
            "its size with the original's, or fetch it again."
        ) from None


def read_official_checkpoint(checkpoint: str | os.PathLike) -> tuple[dict[str, torch.Tensor], list[str]]:
    """
    The tensors of one of the authors' checkpoints. Nothing in the file is run: one that holds more than tensors and plain
    values is refused.

    Args:
        checkpoint (`str` or `os.PathLike`):
            The .pyth file.

    Returns:
        `tuple[dict[str, torch.Tensor], list[str]]`: The tensors of `model_state`, without the prefixes of the authors'
        model and of DistributedDataParallel, and with the old names of `dist_net` replaced by the present ones; and what else the file holds.

    Raises:
        OSError: If the file is missing, truncated or no checkpoint.
        ValueError: If it holds objects that only code could make, or no `model_state`.
    """
    checkpoint = os.fspath(checkpoint)
    content = _load_checkpoint(checkpoint)
    state_dict = content.get("model_state") if isinstance(content, dict) else None
    if not isinstance(state_dict, dict) or not all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in state_dict.items()
    ):
        found = (
            f"the entries {', '.join(map(str, content))[:200]}"
            if isinstance(content, dict)
            else type(content).__name__
        )
        raise ValueError(
            f"{checkpoint} is none of the authors' checkpoints, which hold a `model_state` of tensors; it holds {found}."
        )

    tensors = {}
    for name, tensor in state_dict.items():
        renamed = _bare_name(name)
        if renamed.startswith("ladder_net."):
            _, part, *rest = renamed.split(".")
            renamed = ".".join(["dist_net", OLD_NAMES.get(part, part), *rest])
        if renamed in tensors:
            raise ValueError(f"{checkpoint} holds {renamed} twice, under two spellings of its name.")
        tensors[renamed] = tensor
    return tensors, sorted(str(name) for name in content if name != "model_state")


def _parse_json(text: str, path: str | os.PathLike):
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is no JSON file: {error}.") from error


# Sizes


def _count(tensors: dict[str, torch.Tensor], prefix: str) -> int:
    """How many modules of a list there are, going by the last of them."""
    indices = {name[len(prefix) :].split(".")[0] for name in tensors if name.startswith(prefix)}
    return max((int(index) + 1 for index in indices if index.isdecimal()), default=0)


def _ratio(size: int, dim: int) -> float:
    """The ratio of which `int(dim * ratio)` is that size."""
    ratio = size / dim
    return ratio if int(dim * ratio) == size else math.nextafter(ratio, math.inf)


# The tensors that the sizes are read from, and their number of axes.
SIZE_SOURCES = {
    "visual.conv1.weight": 4,
    "visual.positional_embedding": 2,
    "visual.transformer.resblocks.0.mlp.c_fc.weight": 2,
    "dist_net.temporal_stem.weight": 5,
    "dist_net.temporal_nets.0.temporal_net.c_fc1.weight": 5,
    "dist_net.temporal2integration_nets.0.linear_fuse.weight": 5,
    "dist_net.temporal2integration_nets.0.cls_token": 4,
    "dist_net.integration_nets.0.ffn.c_fc.weight": 2,
    "dist_net.integration_nets.0.temporal_ffn.c_fc1.weight": 5,
    "dist_net.proj": 2,
    "token_embedding.weight": 2,
    "positional_embedding": 2,
    "transformer.resblocks.0.mlp.c_fc.weight": 2,
}


def _is_known(name: str) -> bool:
    if name.startswith("dist_net."):
        return _rename(name.removeprefix("dist_net."), TUNABLE_NAMES) is not None
    return name in ("visual.proj", "logit_scale") or bool(
        _rename(name, SPATIAL_ENCODER_NAMES) or _rename(name, TEXT_TOWER_NAMES)
    )


def _refuse_tensors(checkpoint: str, problems: list[str]):
    if problems:
        lines = "".join(f"\n  {problem}" for problem in problems)
        raise ValueError(f"{checkpoint} is no complete DiST; {len(problems)} of its tensors do not fit:{lines}")


def _num_heads(dim: int, num_heads: int | None, option: str, what: str) -> int:
    if num_heads is None:
        if dim % CLIP_HEAD_DIM:
            raise ValueError(
                f"The {what} has width {dim}, which is no multiple of {CLIP_HEAD_DIM}, the width of a head in CLIP. Give "
                f"its number of attention heads, `{option}`, which the tensors do not tell."
            )
        return dim // CLIP_HEAD_DIM
    if num_heads < 1 or dim % num_heads:
        raise ValueError(f"`{option}` must divide the {what}'s width, {dim}; got {num_heads}.")
    return num_heads


def _read_sizes(checkpoint: str, tensors: dict[str, torch.Tensor]) -> dict:
    """What the shapes say, as values of `DiSTConfig`; `vision_config` without its number of heads."""
    problems = [f"{name}: unknown" for name in tensors if not _is_known(name)]
    for name, num_axes in SIZE_SOURCES.items():
        if name not in tensors:
            problems.append(f"{name}: missing")
        elif tensors[name].ndim != num_axes:
            problems.append(f"{name}: shape {tuple(tensors[name].shape)} instead of one of {num_axes} axes")
    if any(not problem.endswith(": unknown") for problem in problems):
        _refuse_tensors(checkpoint, problems)

    shapes = {name: tensors[name].shape for name in SIZE_SOURCES}
    hidden_size, _, _, patch_size = shapes["visual.conv1.weight"]
    grid_size = math.isqrt(max(shapes["visual.positional_embedding"][0] - 1, 0))
    integration_dim, temporal_dim, stride, _, _ = shapes["dist_net.temporal2integration_nets.0.linear_fuse.weight"]
    temporal_hidden, _, kernel_size, _, _ = shapes["dist_net.temporal_nets.0.temporal_net.c_fc1.weight"]
    projection_dim = shapes["dist_net.proj"][1]
    return {
        "vision_config": {
            "hidden_size": hidden_size,
            "intermediate_size": shapes["visual.transformer.resblocks.0.mlp.c_fc.weight"][0],
            "num_hidden_layers": _count(tensors, "visual.transformer.resblocks."),
            "image_size": grid_size * patch_size,
            "patch_size": patch_size,
            "projection_dim": projection_dim,
        },
        "num_frames": stride * shapes["dist_net.temporal2integration_nets.0.cls_token"][2],
        "spatial_frame_stride": stride,
        "integration_dim": integration_dim,
        "temporal_dim": temporal_dim,
        "temporal_stem_kernel_size": shapes["dist_net.temporal_stem.weight"][2],
        "temporal_kernel_size": kernel_size,
        "temporal_mlp_ratio": _ratio(temporal_hidden, temporal_dim),
        "integration_mlp_ratio": _ratio(shapes["dist_net.integration_nets.0.ffn.c_fc.weight"][0], integration_dim),
        "integration_temporal_mlp_ratio": _ratio(
            shapes["dist_net.integration_nets.0.temporal_ffn.c_fc1.weight"][0], integration_dim
        ),
        "num_pooling_layers": _count(tensors, "dist_net.adapooling_nets."),
        "projection_dim": projection_dim,
    }


def _check_selected_layers(selected_layers: list[int] | None, num_blocks: int, num_layers: int) -> list[int]:
    if selected_layers is None:
        if num_blocks != num_layers:
            raise ValueError(
                f"The checkpoint reads {num_blocks} of the {num_layers} layers of its vision tower, and does not tell "
                "which. Give them as `selected_layers`, counted from 0."
            )
        return list(range(num_layers))
    if len(selected_layers) != num_blocks:
        raise ValueError(
            f"`selected_layers` must name {num_blocks} layers, as many as the checkpoint reads, got "
            f"{list(selected_layers)}."
        )
    return list(selected_layers)


def _text_config(tensors: dict[str, torch.Tensor], num_heads: int | None) -> CLIPTextConfig:
    vocab_size, hidden_size = tensors["token_embedding.weight"].shape
    return CLIPTextConfig(
        hidden_size=hidden_size,
        intermediate_size=tensors["transformer.resblocks.0.mlp.c_fc.weight"].shape[0],
        num_hidden_layers=_count(tensors, "transformer.resblocks."),
        num_attention_heads=_num_heads(hidden_size, num_heads, "num_text_attention_heads", "text tower"),
        vocab_size=vocab_size,
        max_position_embeddings=len(tensors["positional_embedding"]),
        projection_dim=tensors["dist_net.proj"].shape[1],
        bos_token_id=None,
        eos_token_id=2,  # which stands for OpenAI's rule: a text ends at its largest token id
    )


def _check_tensors(
    checkpoint: str, tensors: dict[str, torch.Tensor], config: DiSTConfig, text_config: CLIPTextConfig
) -> list[str]:
    """Every tensor that the sizes ask for is there in its shape, and no other. Gives those that nothing reads."""
    width = text_config.hidden_size
    text_sizes = {name: getattr(text_config, name) for name in ("intermediate_size", "num_attention_heads")}
    with torch.device("meta"):
        expected = ReferenceDiST(config).state_dict()
        block = ReferenceCLIPBlock(CLIPVisionConfig(hidden_size=width, **text_sizes)).state_dict()
    expected = {name: tuple(tensor.shape) for name, tensor in expected.items()}
    for layer in range(text_config.num_hidden_layers):
        expected |= {f"transformer.resblocks.{layer}.{name}": tuple(tensor.shape) for name, tensor in block.items()}
    expected |= {
        "token_embedding.weight": (text_config.vocab_size, width),
        "positional_embedding": (text_config.max_position_embeddings, width),
        "ln_final.weight": (width,),
        "ln_final.bias": (width,),
        "text_projection": (width, text_config.projection_dim),
        "logit_scale": (),
    }
    last = config.num_hidden_layers - 1
    unread = [name for name in expected if name.startswith(f"dist_net.integration2temporal_nets.{last}.")]
    problems = [f"{name}: unknown" for name in tensors if name not in expected]
    problems += [f"{name}: missing" for name in expected if name not in tensors and name not in unread]
    problems += [
        f"{name}: shape {tuple(tensors[name].shape)} instead of {shape}"
        for name, shape in expected.items()
        if name in tensors and tuple(tensors[name].shape) != shape
    ]
    _refuse_tensors(checkpoint, problems)
    return [name for name in unread if name in tensors]


# The backbone


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


# The class embeddings


def _read_token_ids(class_token_ids, text_config: CLIPTextConfig) -> torch.Tensor:
    if isinstance(class_token_ids, (str, os.PathLike)):
        class_token_ids = _parse_json(Path(class_token_ids).read_text(encoding="utf-8"), class_token_ids)
    rows = [torch.as_tensor(row) for row in class_token_ids]
    if not rows or not all(row.ndim == 1 and len(row) and not row.is_floating_point() for row in rows):
        raise ValueError("`class_token_ids` must be one sequence of token ids per class.")
    # The padding comes after a text's largest id, at which it ends.
    token_ids = nn.utils.rnn.pad_sequence([row.long() for row in rows], batch_first=True)
    return _check_token_ids(token_ids, text_config, "`class_token_ids`")


def _check_token_ids(token_ids: torch.Tensor, text_config: CLIPTextConfig, what: str) -> torch.Tensor:
    if token_ids.min() < 0 or token_ids.max() >= text_config.vocab_size:
        raise ValueError(
            f"{what} must lie from 0 to {text_config.vocab_size - 1}, the text tower's vocabulary; got "
            f"{token_ids.min().item()} to {token_ids.max().item()}."
        )
    # What comes after the end of the longest text has no effect on it.
    token_ids = token_ids[:, : token_ids.argmax(dim=-1).max() + 1]
    if token_ids.shape[1] > text_config.max_position_embeddings:
        longest = token_ids.argmax(dim=-1).argmax().item()
        raise ValueError(
            f"A class name may have {text_config.max_position_embeddings} tokens, and that of label {longest} has "
            f"{token_ids.shape[1]}."
        )
    return token_ids


def _tokenize(class_names: list[str], tokenizer, text_config: CLIPTextConfig, download_kwargs: dict) -> torch.Tensor:
    if isinstance(tokenizer, (str, os.PathLike)):
        source = os.fspath(tokenizer)
        what_to_do = (
            "Give a folder with `vocab.json` and `merges.txt`, or a Hub id, as `tokenizer`; or the names' token ids as "
            "`class_token_ids`."
        )
        try:
            tokenizer = CLIPTokenizer.from_pretrained(source, **download_kwargs)
        except Exception as error:  # whatever the tokenizers library finds wrong with a file
            raise OSError(f"CLIP's tokenizer could not be loaded from {source}. {what_to_do} ({error})") from error
        # Where it finds no files, the library makes a tokenizer of two tokens.
        if len(tokenizer) != text_config.vocab_size:
            raise ValueError(
                f"The tokenizer of the checkpoint's text tower is not in {source}, or cannot be reached there: what it has "
                f"is of {len(tokenizer)} tokens, and the text tower's is of {text_config.vocab_size}. {what_to_do}"
            )
    names = [name.strip().strip('"') for name in class_names]
    token_ids = tokenizer(names, padding=True, return_tensors="pt")["input_ids"]
    return _check_token_ids(token_ids, text_config, "The token ids that the tokenizer gives")


@torch.no_grad()
def _embed_classes(
    tensors: dict[str, torch.Tensor], text_config: CLIPTextConfig, token_ids: torch.Tensor
) -> torch.Tensor:
    text_model = CLIPTextModelWithProjection(text_config).eval()
    text_model.load_state_dict(convert_text_tower(tensors))
    batches = logging.tqdm(token_ids.split(64), desc="Embedding the classes", unit="batch")
    return torch.cat([text_model(input_ids=batch).text_embeds for batch in batches])


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


# The conversion


@dataclass
class OfficialCheckpoint:
    """
    One of the authors' checkpoints with what its tensors say about it.

    Args:
        path (`str`):
            The file.
        tensors (`dict[str, torch.Tensor]`):
            As [`read_official_checkpoint`] gives them; complete, of the right shapes, and no others.
        config (`DiSTConfig`), text_config (`CLIPTextConfig`):
            Of the model and of the text tower.
        unread (`list[str]`):
            Tensors that nothing reads.
    """

    path: str
    tensors: dict[str, torch.Tensor]
    config: DiSTConfig
    text_config: CLIPTextConfig
    unread: list[str]


def _make_configs(
    path: str,
    tensors: dict[str, torch.Tensor],
    sizes: dict,
    selected_layers: list[int] | None,
    num_attention_heads: int | None,
    num_text_attention_heads: int | None,
) -> tuple[DiSTConfig, CLIPTextConfig]:
    vision_sizes = sizes["vision_config"]
    num_blocks = _count(tensors, "dist_net.input_linears.")
    selected_layers = _check_selected_layers(selected_layers, num_blocks, vision_sizes["num_hidden_layers"])
    num_attention_heads = _num_heads(
        vision_sizes["hidden_size"], num_attention_heads, "num_attention_heads", "vision tower"
    )
    text_config = _text_config(tensors, num_text_attention_heads)
    vision_config = {**vision_sizes, "num_attention_heads": num_attention_heads}
    try:
        config = DiSTConfig(
            **{**sizes, "vision_config": vision_config}, backbone=None, selected_layers=selected_layers
        )
    except ValueError as error:
        raise ValueError(f"The sizes of {path} are those of no DiST: {error}") from error
    return config, text_config


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


def _make_model(
    official: OfficialCheckpoint,
    vision_tower: VisionTower,
    class_names: list[str],
    class_embeds: torch.Tensor,
) -> DiSTForVideoClassification:
    config = official.config
    config.num_labels = len(class_names)
    state_dict = {
        f"dist.{name}": tensor
        for name, tensor in convert_state_dict(official.tensors)[0].items()
        if not name.startswith("spatial_encoder.")
    }
    state_dict |= {f"dist.spatial_encoder.{name}": tensor for name, tensor in vision_tower.tensors.items()}
    state_dict["classifier.class_embeds"] = class_embeds
    state_dict["classifier.logit_scale"] = official.tensors["logit_scale"]
    if vision_tower.visual_projection is not None:
        config.zero_shot_weight = 0.0
        state_dict["classifier.visual_projection"] = vision_tower.visual_projection
    state_dict = {name: tensor.float().contiguous() for name, tensor in state_dict.items()}
    model = DiSTForVideoClassification.from_pretrained(None, config=config, state_dict=state_dict)
    model.set_class_names(class_names, class_embeds=class_embeds)
    backbone = vision_tower.backbone
    if backbone is not None:
        fingerprint = fingerprint_weights(vision_tower.tensors)
        model._remember_backbone(vision_tower.tensors, backbone.source, backbone.commit_hash, fingerprint)
    return model


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


def _find_token_ids(
    class_names: list[str] | None,
    class_token_ids,
    tokenizer,
    backbone: Backbone | None,
    why_none: str,
    text_config: CLIPTextConfig,
    download_kwargs: dict,
) -> torch.Tensor:
    """Those that were given, or what the tokenizer that was given, or else the backbone's, makes of the names."""
    if class_token_ids is not None:
        return _read_token_ids(class_token_ids, text_config)
    if tokenizer is None and backbone is None:
        raise ValueError(
            f"The class names need CLIP's tokenizer, and there is no backbone to take it from: {why_none}. Give a "
            "folder or Hub id of it as `tokenizer`, or the names' `class_token_ids`."
        )
    if tokenizer is None:
        return _tokenize(class_names, backbone.source, text_config, download_kwargs)
    # another repository has other revisions
    tokenizer_kwargs = {name: value for name, value in download_kwargs.items() if name != "revision"}
    return _tokenize(class_names, tokenizer, text_config, tokenizer_kwargs)


def _save(model: DiSTForVideoClassification, folder: str):
    config, size = model.config, model.config.vision_config.image_size
    model.save_pretrained(folder)
    DiSTVideoProcessor(num_frames=config.num_frames, size=size, crop_size=size).save_pretrained(folder)


def _load_and_check(
    folder: str,
    official: OfficialCheckpoint,
    vision_tower: VisionTower,
    token_ids: torch.Tensor,
    download_kwargs: dict,
) -> tuple[DiSTForVideoClassification, str]:
    """The model as it was saved, and in words how far it is from the checkpoint."""
    load_names = ("token", "cache_dir", "local_files_only")
    load_kwargs = {name: download_kwargs[name] for name in load_names if name in download_kwargs}
    model = DiSTForVideoClassification.from_pretrained(folder, **load_kwargs)
    errors = _self_check(model, official, vision_tower, token_ids)
    check = ", ".join(f"{what} {error:.1e}" for what, error in errors.items())
    if not all(error <= SELF_CHECK_TOLERANCE for error in errors.values()):  # also where one is no number
        raise RuntimeError(
            "The saved model does not compute what the checkpoint does. The largest differences on a random video, "
            f"relative to the largest value: {check}; {SELF_CHECK_TOLERANCE:.0e} is allowed. Nothing was written."
        )
    return model, check


def convert_dist_checkpoint(
    checkpoint: str | os.PathLike,
    save_directory: str | os.PathLike,
    *,
    class_names: str | os.PathLike | list[str] | None = None,
    class_token_ids: torch.Tensor | list[list[int]] | str | os.PathLike | None = None,
    backbone: str | os.PathLike | None = None,
    tokenizer=None,
    selected_layers: list[int] | None = None,
    num_attention_heads: int | None = None,
    num_text_attention_heads: int | None = None,
    backbone_mismatch: str = "include",
    report: Callable[[str], None] = logger.info,
    **download_kwargs,
) -> DiSTForVideoClassification:
    """
    Makes a folder of the model and its video processor of one of the authors' checkpoints. The folder appears whole, after
    it has been loaded again and compared with the checkpoint, or not at all.

    CLIP's visual projection, which the zero-shot average needs, is saved in the head where the backbone's repository does
    not hold the same one; else it is loaded from there when it is needed.

    Args:
        checkpoint (`str` or `os.PathLike`):
            The .pyth file.
        save_directory (`str` or `os.PathLike`):
            The folder; it must not exist, or be empty.
        class_names (`str`, `os.PathLike` or `list[str]`, *optional*):
            The classes, as [`read_class_names`] takes them; needed unless `class_token_ids` is given.
        class_token_ids (`torch.Tensor`, `list[list[int]]`, `str` or `os.PathLike`, *optional*):
            The token ids of the class names, instead of a tokenizer, or a JSON file of them. A text ends at its largest
            id. Without `class_names` the classes are called `LABEL_0`, `LABEL_1`, ….
        backbone (`str` or `os.PathLike`, *optional*):
            Hub id or folder of the CLIP that the checkpoint was trained on. Defaults to OpenAI's of the same sizes, where
            there is one and it can be reached or is cached; without any, the whole model is saved.
        tokenizer (tokenizer, `str` or `os.PathLike`, *optional*):
            CLIP's tokenizer, or a folder or Hub id of it. Defaults to the backbone's.
        selected_layers (`list[int]`, *optional*):
            Layers of the vision tower that the checkpoint reads, counted from 0; needed where it reads not all of them.
        num_attention_heads, num_text_attention_heads (`int`, *optional*):
            Of the vision and the text tower. The first defaults to the backbone's, both to heads of width 64.
        backbone_mismatch (`str`, defaults to `"include"`):
            What to do where the checkpoint's vision tower differs from the backbone: `"include"` it and save the whole
            model, `"replace"` it by the backbone, on which the checkpoint's weights were not trained, or `"error"`.
        report (`Callable[[str], None]`, *optional*):
            Called at the end with what was done, in words. Logged by default.
        download_kwargs:
            `revision` of the backbone, `token`, `cache_dir`, `local_files_only`, ….

    Returns:
        [`DiSTForVideoClassification`]: The model, loaded from the folder.

    Raises:
        OSError: If a file is missing or cannot be read.
        ValueError: If the checkpoint is refused, its tensors do not fit (all that do not are listed), an option contradicts
            them, or the folder is not empty.
        RuntimeError: If what was saved does not compute what the checkpoint does.
    """
    checkpoint, save_directory = os.fspath(checkpoint), os.path.abspath(save_directory)
    if backbone_mismatch not in BACKBONE_MISMATCH:
        raise ValueError(
            f"`backbone_mismatch` must be one of {', '.join(BACKBONE_MISMATCH)}, got {backbone_mismatch}."
        )
    if class_names is None and class_token_ids is None:
        raise ValueError(
            "Give the `class_names` of the checkpoint's labels (its text tower makes the head of them), or their "
            "`class_token_ids`."
        )
    if os.path.lexists(save_directory) and not (os.path.isdir(save_directory) and not os.listdir(save_directory)):
        raise ValueError(f"{save_directory} is not empty. Remove it, or choose another folder.")
    class_names = None if class_names is None else read_class_names(class_names)

    with logging.tqdm(total=5, desc="Reading the checkpoint", unit="step") as progress:
        tensors, other_entries = read_official_checkpoint(checkpoint)
        sizes = _read_sizes(checkpoint, tensors)
        # The shapes do not depend on the heads, and are checked before anything is downloaded.
        heads_or_one = (num_attention_heads or 1, num_text_attention_heads or 1)
        unread = _check_tensors(
            checkpoint, tensors, *_make_configs(checkpoint, tensors, sizes, selected_layers, *heads_or_one)
        )

        _next_step(progress, "Comparing it with the backbone")
        found, why_none = _find_backbone(backbone, sizes["vision_config"], download_kwargs)
        if num_attention_heads is None and found is not None:
            num_attention_heads = found.vision_config.num_attention_heads
        config, text_config = _make_configs(
            checkpoint, tensors, sizes, selected_layers, num_attention_heads, num_text_attention_heads
        )
        official = OfficialCheckpoint(checkpoint, tensors, config, text_config, unread)
        findings = [("backbone", f"none: {why_none}" if found is None else str(found))]
        vision_tower = _choose_vision_tower(official, found, backbone_mismatch, findings)

        _next_step(progress, "Embedding the classes")
        token_ids = _find_token_ids(
            class_names, class_token_ids, tokenizer, found, why_none, text_config, download_kwargs
        )
        if class_names is None:
            class_names = [f"LABEL_{index}" for index in range(len(token_ids))]
        if len(class_names) != len(token_ids):
            raise ValueError(f"There are {len(class_names)} `class_names` and {len(token_ids)} `class_token_ids`.")
        official.tensors = {name: tensor.float() for name, tensor in tensors.items()}
        class_embeds = _embed_classes(official.tensors, text_config, token_ids)

        _next_step(progress, "Saving")
        model = _make_model(official, vision_tower, class_names, class_embeds)
        os.makedirs(os.path.dirname(save_directory), exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=f".{os.path.basename(save_directory)}-", dir=os.path.dirname(save_directory)
        ) as aside:
            # One level down, because the temporary folder itself can be read by nobody else.
            folder = os.path.join(aside, "model")
            _save(model, folder)

            _next_step(progress, "Checking what was saved")
            model, check = _load_and_check(folder, official, vision_tower, token_ids, download_kwargs)
            num_bytes = sum(file.stat().st_size for file in Path(folder).iterdir())
            if os.path.isdir(save_directory):
                os.rmdir(save_directory)
            os.rename(folder, save_directory)
        model.name_or_path = model.config.name_or_path = save_directory
        progress.update()

    findings += _describe(model, vision_tower, num_bytes)
    counts = ", ".join(f"{count} {what}" for what, count in _count_by_use(official, vision_tower).items())
    findings.append(("tensors", f"{len(tensors)} in the checkpoint: {counts}"))
    findings += [("left out", f"{name}: nothing reads it") for name in unread]
    findings += [("left out", f"{name}: an entry of the file beside the model") for name in other_entries]
    findings.append(("self-check", f"passed; largest relative differences: {check}"))
    width = max(len(what) for what, _ in findings)
    report(
        "\n".join([f"{checkpoint} -> {save_directory}", *(f"  {what:<{width}}  {text}" for what, text in findings)])
    )
    return model


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


def _next_step(progress, description: str):
    progress.update()
    progress.set_description(description)


def main(arguments: list[str] | None = None):
    parser = argparse.ArgumentParser(
        prog="python -m modeling_dist.convert_dist_to_hf",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--checkpoint", required=True, help="one of the authors' .pyth files")
    parser.add_argument("--output", required=True, help="folder to make; it must not exist, or be empty")
    parser.add_argument(
        "--class_names", help='"k400", "ssv2", or a JSON or text file of the class names in the order of the labels'
    )
    parser.add_argument("--class_token_ids", help="JSON file of the class names' token ids, instead of a tokenizer")
    parser.add_argument("--backbone", help="Hub id or folder of CLIP; by default OpenAI's of the same sizes")
    parser.add_argument("--revision", help="branch, tag or commit of the backbone")
    parser.add_argument("--tokenizer", help="Hub id or folder of CLIP's tokenizer; by default the backbone's")
    parser.add_argument(
        "--selected_layers", type=int, nargs="+", help="layers of CLIP that the checkpoint reads, if not all of them"
    )
    parser.add_argument("--num_attention_heads", type=int, help="of the vision tower; by default heads of width 64")
    parser.add_argument("--num_text_attention_heads", type=int, help="of the text tower; by default heads of width 64")
    parser.add_argument(
        "--backbone_mismatch",
        choices=BACKBONE_MISMATCH,
        default="include",
        help="where the checkpoint's vision tower is not the backbone: save it with the model (the default), replace it "
        "by the backbone, or stop",
    )
    parser.add_argument("--cache_dir", help="of the Hub's client")
    parser.add_argument("--local_files_only", action="store_true", help="ask the Hub for nothing")
    options = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}
    checkpoint, output = options.pop("checkpoint"), options.pop("output")
    try:
        convert_dist_checkpoint(checkpoint, output, report=print, **options)
    except (OSError, ValueError, RuntimeError) as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
