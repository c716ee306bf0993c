# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""The authors' checkpoints: reading them without running any code in them, and the sizes that their tensors reveal."""

import math
import os
import pickle
import pickletools
import re
import zipfile
from dataclasses import dataclass
from typing import Any

import torch
from transformers import CLIPTextConfig

from ..configuration_dist import DiSTConfig
from ..reference_dist import ReferenceCLIPText, ReferenceDiST
from .names import OLD_NAMES, TEXT_TOWER_NAMES, TUNABLE_NAMES, VISION_TOWER_NAMES, rename, strip_prefix


# The width of an attention head in all of OpenAI's CLIP models.
CLIP_HEAD_DIM = 64

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


def _is_pickle_with_globals(path: str) -> bool:
    """
    Whether a file that the unpickler rejects is really a pickle, and asks for functions or classes. A text can look like
    one, because "c" is an opcode. The opcodes are read, not run.
    """
    if zipfile.is_zipfile(path):  # what `torch.save` writes, with a pickle in it
        return True
    try:
        with open(path, "rb") as file:
            for _ in range(4):  # older PyTorch files begin with three short pickles
                opcodes = {opcode.name for opcode, _, _ in pickletools.genops(file)}
                if not opcodes.isdisjoint(("GLOBAL", "STACK_GLOBAL", "INST")):
                    return True
    except Exception:  # bytes that are not a pickle raise errors of many kinds
        pass
    return False


def _load(path: str) -> Any:
    if not os.path.exists(path):
        raise OSError(f"There is no checkpoint {path}.")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (MemoryError, OSError) as error:
        raise OSError(f"{path} cannot be read. ({error})") from error
    except Exception as error:  # bytes that are not a checkpoint raise errors of many kinds
        # Little is quoted of PyTorch's messages, because they recommend loading the file without this protection.
        message = str(error)
        reason = (message.split(". ")[0].splitlines() or [type(error).__name__])[0]
        if isinstance(error, pickle.UnpicklingError):
            if _is_pickle_with_globals(path):
                name = re.search(r"GLOBAL (\S+)", message)
                raise ValueError(
                    f"{path} is refused: it contains {name.group(1) if name else 'functions or classes'}, and not only "
                    "tensors and plain values. Loading it could run code."
                ) from None
            with open(path, "rb") as file:
                reason = f"it begins with {file.read(16)!r}"
        if os.path.getsize(path) == 0:
            reason = "it is empty"
        raise OSError(
            f"{path} is not a PyTorch checkpoint ({reason}). It may be truncated, or a different file under that name: "
            "compare its size with the original's, or download it again."
        ) from None


def read_official_checkpoint(checkpoint: str | os.PathLike) -> tuple[dict[str, torch.Tensor], list[str]]:
    """
    Read the tensors of one of the authors' checkpoints. No code in the file is run: a file that contains more than
    tensors and plain values is refused.

    Return the tensors of `model_state`, without the prefixes of the authors' model and of DistributedDataParallel and
    with current names in `dist_net`, and the names of the file's other entries.
    """
    checkpoint = os.fspath(checkpoint)
    content = _load(checkpoint)
    state_dict = content.get("model_state") if isinstance(content, dict) else None
    if not isinstance(state_dict, dict) or not all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in state_dict.items()
    ):
        is_dict = isinstance(content, dict)
        found = f"the entries {', '.join(map(str, content))[:200]}" if is_dict else type(content).__name__
        raise ValueError(
            f"{checkpoint} is not one of the authors' checkpoints, which hold a `model_state` of tensors; it holds {found}."
        )

    tensors = {}
    for name, tensor in state_dict.items():
        renamed = strip_prefix(name)
        if renamed.startswith("ladder_net."):
            _, part, *rest = renamed.split(".")
            renamed = ".".join(["dist_net", OLD_NAMES.get(part, part), *rest])
        if renamed in tensors:
            raise ValueError(f"{checkpoint} holds {renamed} twice, under two spellings of its name.")
        tensors[renamed] = tensor
    return tensors, sorted(str(name) for name in content if name != "model_state")


def _count(tensors: dict[str, torch.Tensor], prefix: str) -> int:
    """Return the number of modules in a list, judging by the highest index."""
    indices = {name[len(prefix) :].split(".")[0] for name in tensors if name.startswith(prefix)}
    return max((int(index) + 1 for index in indices if index.isdecimal()), default=0)


def _ratio(size: int, dim: int) -> float:
    """Return a ratio for which `int(dim * ratio)` is the size."""
    ratio = size / dim
    return ratio if int(dim * ratio) == size else math.nextafter(ratio, math.inf)


def _is_known(name: str) -> bool:
    if name.startswith("dist_net."):
        return rename(name.removeprefix("dist_net."), TUNABLE_NAMES) is not None
    return name in ("visual.proj", "logit_scale") or rename(name, VISION_TOWER_NAMES + TEXT_TOWER_NAMES) is not None


def _refuse_tensors(path: str, problems: list[str]):
    if problems:
        lines = "".join(f"\n  {problem}" for problem in problems)
        raise ValueError(f"{path} is not a complete DiST; {len(problems)} of its tensors do not fit:{lines}")


def _read_sizes(path: str, tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
    """Return what the shapes reveal, as arguments of `DiSTConfig`."""
    problems = [f"{name}: unknown" for name in tensors if not _is_known(name)]
    num_unknown = len(problems)
    for name, num_axes in SIZE_SOURCES.items():
        if name not in tensors:
            problems.append(f"{name}: missing")
        elif tensors[name].ndim != num_axes:
            problems.append(f"{name}: shape {tuple(tensors[name].shape)} instead of one of {num_axes} axes")
    if len(problems) > num_unknown:  # unknown names alone are reported along with all shapes, by `_check_tensors`
        _refuse_tensors(path, problems)

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
            "num_attention_heads": 1,  # which no tensor reveals
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


def _check_selected_layers(selected_layers: list[int] | None, num_blocks: int, num_layers: int):
    if selected_layers is None and num_blocks != num_layers:
        raise ValueError(
            f"The checkpoint reads {num_blocks} of the {num_layers} layers of its vision tower, and does not reveal which. "
            "Give them as `selected_layers`, counted from 0."
        )
    if selected_layers is not None and len(selected_layers) != num_blocks:
        raise ValueError(
            f"`selected_layers` must name {num_blocks} layers, as many as the checkpoint reads, got {selected_layers}."
        )


def _make_text_config(tensors: dict[str, torch.Tensor]) -> CLIPTextConfig:
    vocab_size, hidden_size = tensors["token_embedding.weight"].shape
    return CLIPTextConfig(
        hidden_size=hidden_size,
        intermediate_size=tensors["transformer.resblocks.0.mlp.c_fc.weight"].shape[0],
        num_hidden_layers=_count(tensors, "transformer.resblocks."),
        num_attention_heads=1,  # which no tensor reveals
        vocab_size=vocab_size,
        max_position_embeddings=len(tensors["positional_embedding"]),
        projection_dim=tensors["dist_net.proj"].shape[1],
        bos_token_id=None,
        eos_token_id=2,  # which makes transformers follow OpenAI's rule: a text ends at its largest token id
    )


def _check_tensors(
    path: str, tensors: dict[str, torch.Tensor], config: DiSTConfig, text_config: CLIPTextConfig
) -> list[str]:
    """Check that exactly the tensors of these configurations are there. Return the names of those that are not used."""
    with torch.device("meta"):
        expected = ReferenceDiST(config).state_dict() | ReferenceCLIPText(text_config).state_dict()
    expected = {name: tuple(tensor.shape) for name, tensor in expected.items()} | {"logit_scale": ()}
    unused_prefix = f"dist_net.integration2temporal_nets.{config.num_hidden_layers - 1}."
    problems = [f"{name}: unknown" for name in tensors if name not in expected]
    for name, shape in expected.items():
        if name not in tensors:
            if not name.startswith(unused_prefix):
                problems.append(f"{name}: missing")
        elif tensors[name].shape != shape:
            problems.append(f"{name}: shape {tuple(tensors[name].shape)} instead of {shape}")
    _refuse_tensors(path, problems)
    return [name for name in tensors if name.startswith(unused_prefix)]


@dataclass
class OfficialCheckpoint:
    """
    One of the authors' checkpoints, complete and of consistent sizes. Its tensors have the names that
    [`read_official_checkpoint`] gives them; `unused` names those that no output depends on.
    """

    path: str
    tensors: dict[str, torch.Tensor]
    other_entries: list[str]
    config: DiSTConfig
    text_config: CLIPTextConfig
    unused: list[str]

    @classmethod
    def read(cls, path: str, selected_layers: list[int] | None = None) -> "OfficialCheckpoint":
        """
        Read a checkpoint, and its sizes from the tensors. The numbers of attention heads are set by [`set_num_heads`].
        The error for a file that is not a DiST lists all tensors that do not fit.
        """
        tensors, other_entries = read_official_checkpoint(path)
        sizes = _read_sizes(path, tensors)
        num_blocks = _count(tensors, "dist_net.input_linears.")
        _check_selected_layers(selected_layers, num_blocks, sizes["vision_config"]["num_hidden_layers"])
        try:
            config = DiSTConfig(**sizes, backbone=None, selected_layers=selected_layers)
        except ValueError as error:
            raise ValueError(f"The tensors of {path} do not have the sizes of a DiST: {error}") from error
        text_config = _make_text_config(tensors)
        unused = _check_tensors(path, tensors, config, text_config)
        return cls(path, tensors, other_entries, config, text_config, unused)

    def set_num_heads(self, num_attention_heads: int | None, num_text_attention_heads: int | None):
        """Set the numbers of attention heads of the two towers; by default, the heads have CLIP's width."""
        for config, num_heads, option, what in (
            (self.config.vision_config, num_attention_heads, "num_attention_heads", "vision tower"),
            (self.text_config, num_text_attention_heads, "num_text_attention_heads", "text tower"),
        ):
            width = config.hidden_size
            if num_heads is None and width % CLIP_HEAD_DIM:
                raise ValueError(
                    f"The {what} has width {width}, which is not a multiple of {CLIP_HEAD_DIM}, the width of a head in CLIP. "
                    f"Give its number of attention heads as `{option}`; the tensors do not reveal it."
                )
            if num_heads is not None and (num_heads < 1 or width % num_heads):
                raise ValueError(f"`{option}` must divide the {what}'s width, {width}; got {num_heads}.")
            config.num_attention_heads = num_heads or width // CLIP_HEAD_DIM
