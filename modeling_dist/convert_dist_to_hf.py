# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Conversion of the authors' checkpoints; `python -m modeling_dist.convert_dist_to_hf` is `modeling-dist convert`."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

import torch
from transformers.utils import logging

from .checkpoint_dist import fingerprint_weights, in_backbone
from .command_line import exit_with_message
from .conversion.backbone import VisionTower, choose_vision_tower, find_backbone
from .conversion.checkpoint import OfficialCheckpoint, read_official_checkpoint
from .conversion.class_names import embed_classes, find_token_ids
from .conversion.names import OLD_NAMES, PREFIX, convert_state_dict, convert_text_tower, convert_tunable_tensor
from .conversion.options import BACKBONE_MISMATCH, make_parser
from .conversion.report import make_report
from .conversion.self_check import check_model
from .data.labels import read_class_names
from .files import atomic_folder
from .modeling_dist import DiSTForVideoClassification
from .video_processing_dist import DiSTVideoProcessor


logger = logging.get_logger(__name__)


def _make_model(
    official: OfficialCheckpoint, vision_tower: VisionTower, class_names: list[str], class_embeds: torch.Tensor
) -> DiSTForVideoClassification:
    config = official.config
    config.num_labels = len(class_names)
    state_dict, _ = convert_state_dict(official.tensors)
    state_dict = {f"dist.{name}": tensor for name, tensor in state_dict.items() if not in_backbone(name)}
    state_dict |= {f"dist.spatial_encoder.{name}": tensor for name, tensor in vision_tower.tensors.items()}
    state_dict["classifier.class_embeds"] = class_embeds
    state_dict["classifier.logit_scale"] = official.tensors["logit_scale"]
    if vision_tower.visual_projection is not None:
        config.has_visual_projection = True
        state_dict["classifier.visual_projection"] = vision_tower.visual_projection
    state_dict = {name: tensor.float().contiguous() for name, tensor in state_dict.items()}
    model = DiSTForVideoClassification.from_pretrained(None, config=config, state_dict=state_dict)
    model.set_class_names(class_names, class_embeds=class_embeds)
    backbone = vision_tower.backbone
    if backbone is not None:
        fingerprint = fingerprint_weights(vision_tower.tensors)
        model._remember_backbone(vision_tower.tensors, backbone.name_or_path, backbone.commit_hash, fingerprint)
    return model


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
    Convert one of the authors' checkpoints to a folder with the model and its video processor. The folder appears once
    what was saved has been loaded again and computes what the checkpoint does; otherwise nothing is written.

    CLIP's visual projection, which zero-shot classification needs, is saved in the head unless the backbone's repository
    holds the same one. In that case it is loaded from there when it is needed.

    Args:
        checkpoint (`str` or `os.PathLike`):
            The .pyth file.
        save_directory (`str` or `os.PathLike`):
            The folder; it must not exist, or be empty.
        class_names (`str`, `os.PathLike` or `list[str]`, *optional*):
            The classes, as [`read_class_names`] takes them; required unless `class_token_ids` is given.
        class_token_ids (`torch.Tensor`, `list[list[int]]`, `str` or `os.PathLike`, *optional*):
            The token ids of the class names, or a JSON file of them, instead of a tokenizer. A text ends at its largest
            id. Without `class_names`, the classes are called `LABEL_0`, `LABEL_1`, ….
        backbone (`str` or `os.PathLike`, *optional*):
            Hub id or folder of the CLIP that the checkpoint was trained on. Defaults to OpenAI's of the same sizes, if
            there is one and it can be reached or is in the cache; without any backbone, the whole model is saved.
        tokenizer (tokenizer, `str` or `os.PathLike`, *optional*):
            CLIP's tokenizer, or a Hub id or folder of it. Defaults to the backbone's.
        selected_layers (`list[int]`, *optional*):
            Layers of the vision tower that the checkpoint reads, counted from 0; required if it does not read all of
            them.
        num_attention_heads, num_text_attention_heads (`int`, *optional*):
            Attention heads of the vision and the text tower. The first defaults to the backbone's, both to heads of width
            64.
        backbone_mismatch (`str`, defaults to `"include"`):
            What to do if the checkpoint's vision tower differs from the backbone: `"include"` it and save the whole
            model, `"replace"` it by the backbone, on which the checkpoint's weights were not trained, or `"error"`.
        report (`Callable[[str], None]`, *optional*):
            Called at the end with a description of what was done. Defaults to logging it.
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
        allowed = ", ".join(BACKBONE_MISMATCH)
        raise ValueError(f"`backbone_mismatch` must be one of {allowed}, got {backbone_mismatch}.")
    if class_names is None and class_token_ids is None:
        raise ValueError(
            "Give the `class_names` of the checkpoint's labels, from which its text tower makes the head, or their "
            "`class_token_ids`."
        )
    if os.path.lexists(save_directory) and not (os.path.isdir(save_directory) and not os.listdir(save_directory)):
        raise ValueError(f"{save_directory} is not empty. Remove it, or choose another folder.")
    class_names = None if class_names is None else read_class_names(class_names)

    with logging.tqdm(total=5, desc="Reading the checkpoint", unit="step") as progress:

        def next_step(description: str):
            progress.update()
            progress.set_description(description)

        official = OfficialCheckpoint.read(checkpoint, selected_layers)

        next_step("Comparing it with the backbone")
        found, backbone_config, why_none = find_backbone(backbone, official.config.vision_config, download_kwargs)
        if num_attention_heads is None and found is not None:
            num_attention_heads = backbone_config.num_attention_heads
        official.set_num_heads(num_attention_heads, num_text_attention_heads)
        vision_tower, comparison = choose_vision_tower(official, found, backbone_config, backbone_mismatch)
        description = f"none: {why_none}"
        if found is not None:
            description = found.name_or_path + (f", commit {found.commit_hash}" if found.commit_hash else "")
        comparison = [("backbone", description), *comparison]

        next_step("Embedding the classes")
        token_ids = find_token_ids(
            class_names, class_token_ids, tokenizer, found, why_none, official.text_config, download_kwargs
        )
        if class_names is None:
            class_names = [f"LABEL_{index}" for index in range(len(token_ids))]
        if len(class_names) != len(token_ids):
            raise ValueError(f"There are {len(class_names)} `class_names` and {len(token_ids)} `class_token_ids`.")
        official.tensors = {name: tensor.float() for name, tensor in official.tensors.items()}
        class_embeds = embed_classes(official.tensors, official.text_config, token_ids)

        next_step("Saving")
        model = _make_model(official, vision_tower, class_names, class_embeds)
        size = model.config.vision_config.image_size
        processor = DiSTVideoProcessor(num_frames=model.config.num_frames, size=size, crop_size=size)
        with atomic_folder(save_directory) as temporary:
            model.save_pretrained(temporary)
            processor.save_pretrained(temporary)

            next_step("Checking what was saved")
            load_names = {"token", "cache_dir", "local_files_only"} & download_kwargs.keys()
            load_kwargs = {name: download_kwargs[name] for name in load_names}
            model = DiSTForVideoClassification.from_pretrained(str(temporary), **load_kwargs)
            check = check_model(model, official, vision_tower, token_ids)
        model.name_or_path = model.config.name_or_path = save_directory
        progress.update()

    num_bytes = sum(file.stat().st_size for file in Path(save_directory).iterdir())
    report(make_report(official, model, vision_tower, num_bytes, comparison, check))
    return model


def run(options: argparse.Namespace):
    """Convert a checkpoint with the options of the command, and print the report."""
    given = {name: value for name, value in vars(options).items() if value is not None}
    with exit_with_message(RuntimeError):
        convert_dist_checkpoint(given.pop("checkpoint"), given.pop("output"), report=print, **given)


def main(arguments: list[str] | None = None):
    """Run the command."""
    run(make_parser().parse_args(arguments))


__all__ = [
    "OLD_NAMES",
    "PREFIX",
    "convert_dist_checkpoint",
    "convert_state_dict",
    "convert_text_tower",
    "convert_tunable_tensor",
    "read_official_checkpoint",
]


if __name__ == "__main__":
    main()
