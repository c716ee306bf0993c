# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""The tensors of a checkpoint: reading them, selecting those of one model, and recognizing weights by a sample of them."""

import hashlib
import os
from dataclasses import dataclass, field

import torch
from transformers import CLIPVisionConfig, CLIPVisionModel, PreTrainedConfig, PreTrainedModel
from transformers.modeling_utils import load_state_dict
from transformers.utils import (
    SAFE_WEIGHTS_INDEX_NAME,
    SAFE_WEIGHTS_NAME,
    WEIGHTS_INDEX_NAME,
    WEIGHTS_NAME,
    cached_file,
)
from transformers.utils.hub import extract_commit_hash, get_checkpoint_shard_files


# Options of a download that apply to every repository.
DOWNLOAD_OPTIONS = ("cache_dir", "force_download", "local_files_only", "proxies", "token")

# The module of a DiST model that is its backbone.
BACKBONE_MODULE = "spatial_encoder"


def in_backbone(name: str) -> bool:
    """Whether the parameter or buffer with that name belongs to the backbone."""
    return BACKBONE_MODULE in name.split(".")


def select_backbone(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the backbone's tensors in the state dict of a DiST model, named as in `CLIPVisionModel`."""
    return {name.split(f"{BACKBONE_MODULE}.", 1)[1]: tensor for name, tensor in tensors.items() if in_backbone(name)}


def add_variant(name: str, variant: str | None) -> str:
    """Return the name that a file of weights has in a variant: `model.safetensors` becomes `model.fp16.safetensors`."""
    stem, suffix = name.rsplit(".", 1)
    return f"{stem}.{variant}.{suffix}" if variant else name


def refuse_missing_folder(name_or_path: str):
    """Raise a `FileNotFoundError` for what can only be a folder and is not there, which the Hub's client takes for an id."""
    is_path = os.path.isabs(name_or_path) or name_or_path.startswith((".", "~")) or name_or_path.count("/") > 1
    if is_path and not os.path.exists(name_or_path):
        raise FileNotFoundError(
            f"There is no folder {os.path.abspath(name_or_path)}. Give a folder that exists, or the id of a repository on the Hub "
            "(owner/name)."
        )


def read_checkpoint(
    name_or_path: str, variant: str | None = None, use_safetensors: bool | None = None, **download_kwargs
) -> tuple[dict[str, torch.Tensor], str | None]:
    """
    Read the tensors of a checkpoint in a folder or a repository, whole or sharded, preferring safetensors to pickles.
    Return them, memory-mapped from the files, and the commit that they come from (`None` for a folder). What cannot be
    read is an `OSError`.
    """
    refuse_missing_folder(name_or_path)
    safe, pickled = (SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME), (WEIGHTS_NAME, WEIGHTS_INDEX_NAME)
    names = {None: safe + pickled, True: safe, False: pickled}[use_safetensors]
    names = [add_variant(name, variant) for name in names]
    for name in names:
        path = cached_file(name_or_path, name, _raise_exceptions_for_missing_entries=False, **download_kwargs)
        if path is not None:
            break
    else:
        raise OSError(
            f"{name_or_path} holds no weights: it has none of {', '.join(names)}, or it is a repository on the Hub that is "
            "not in the cache and cannot be reached."
        )
    paths = [path]
    if path.endswith(".json"):
        paths, _ = get_checkpoint_shard_files(name_or_path, path, **download_kwargs)
    tensors = {}
    for path in paths:
        try:
            tensors.update(load_state_dict(path))
        except Exception as error:
            raise OSError(f"{path} cannot be read as a checkpoint; it may be truncated. ({error})") from error
    return tensors, extract_commit_hash(path, None)


def select_weights(
    tensors: dict[str, torch.Tensor], name_or_path: str, model_class: type[PreTrainedModel], config: PreTrainedConfig
) -> dict[str, torch.Tensor]:
    """
    Return the weights of one part of CLIP, `CLIPVisionModel` or `CLIPTextModelWithProjection`, named as in its class,
    from those of a checkpoint, which may be that of a whole CLIP. A `ValueError` lists tensors that are missing or of
    another shape.
    """
    with torch.device("meta"):
        expected = model_class(config).state_dict()
    if model_class is CLIPVisionModel:
        tensors = {name.removeprefix("vision_model."): tensor for name, tensor in tensors.items()}
    problems = [f"{name} is missing" for name in expected if name not in tensors]
    problems += [
        f"{name} has shape {tuple(tensors[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in tensors and tensors[name].shape != tensor.shape
    ]
    if problems:
        raise ValueError(
            f"`{name_or_path}` does not hold a complete {model_class.__name__} of the sizes in the configuration: "
            f"{shorten(problems)}."
        )
    return {name: tensors[name] for name in expected}


def shorten(items: list[str], limit: int = 8) -> str:
    """Join the items of a list for an error message, leaving out all but the first few."""
    return "; ".join(items[:limit]) + (f"; and {len(items) - limit} more" if len(items) > limit else "")


def sample_weights(tensors: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return a few values of every tensor in the order of their names: cheap to read, and training changes them all."""
    samples = []
    for name in sorted(tensors):
        tensor = tensors[name].detach()
        tensor = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor  # sharded over processes
        values = tensor.reshape(-1)
        samples.append(values[:: max(1, values.numel() // 16)].float().cpu())
    return torch.cat(samples)


def same_samples(sample: torch.Tensor, original: torch.Tensor) -> bool:
    """Whether a result of [`sample_weights`] equals the original, possibly rounded to a lower precision."""
    precisions = (torch.float32, torch.bfloat16, torch.float16)
    return any(torch.equal(sample, original.to(precision).float()) for precision in precisions)


def same_weights(tensors: dict[str, torch.Tensor], originals: dict[str, torch.Tensor]) -> bool:
    """Whether the weights, judging by a sample of their values, are the originals, possibly in a lower precision."""
    return tensors.keys() == originals.keys() and same_samples(sample_weights(tensors), sample_weights(originals))


def fingerprint_weights(tensors: dict[str, torch.Tensor]) -> str:
    """Return a checksum of the names, the shapes and a sample of the values."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name}{tuple(tensors[name].shape)}".encode())
    digest.update(sample_weights(tensors).numpy().tobytes())
    return digest.hexdigest()[:32]


@dataclass
class Backbone:
    """The checkpoint of a CLIP model or of its vision encoder alone, read from a repository's commit or from a folder."""

    name_or_path: str
    commit_hash: str | None
    tensors: dict[str, torch.Tensor] = field(repr=False)

    @classmethod
    def read(cls, name_or_path: str | os.PathLike, **download_kwargs) -> "Backbone":
        """Read the checkpoint as [`read_checkpoint`] does."""
        name_or_path = os.fspath(name_or_path)
        tensors, commit_hash = read_checkpoint(name_or_path, **download_kwargs)
        return cls(name_or_path, commit_hash, tensors)

    def read_vision_config(self, **download_kwargs) -> CLIPVisionConfig:
        """Read the configuration of the vision encoder, with the `projection_dim` that the weights have."""
        config = CLIPVisionConfig.from_pretrained(self.name_or_path, **download_kwargs)
        if self.visual_projection is not None:
            config.projection_dim = len(self.visual_projection)
        return config

    def vision_weights(self, vision_config: CLIPVisionConfig) -> dict[str, torch.Tensor]:
        """Return the weights of the vision encoder, as [`select_weights`] does."""
        return select_weights(self.tensors, self.name_or_path, CLIPVisionModel, vision_config)

    def fingerprint(self, vision_config: CLIPVisionConfig) -> str:
        """Return the fingerprint of the vision encoder's weights, as `DiSTConfig.backbone_fingerprint` records it."""
        return fingerprint_weights(self.vision_weights(vision_config))

    @property
    def visual_projection(self) -> torch.Tensor | None:
        """CLIP's projection to image embeddings `(projection_dim, hidden_size)`; `None` for a vision encoder alone."""
        return self.tensors.get("visual_projection.weight")
