# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""The authors' checkpoints: reading them without running anything, and what their tensors say of sizes."""

import math
import os
import pickle
import pickletools
import re
import zipfile
from dataclasses import dataclass

import torch
from transformers import CLIPTextConfig, CLIPVisionConfig

from ..configuration_dist import DiSTConfig
from ..reference_dist import ReferenceCLIPBlock, ReferenceDiST
from .names import OLD_NAMES, SPATIAL_ENCODER_NAMES, TEXT_TOWER_NAMES, TUNABLE_NAMES, _bare_name, _rename


# The width of one attention head in every CLIP of OpenAI's.
CLIP_HEAD_DIM = 64


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
