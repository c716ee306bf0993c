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
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from transformers.utils import logging

from .checkpoint_dist import fingerprint_weights
from .conversion.backbone import VisionTower, _choose_vision_tower, _find_backbone
from .conversion.checkpoint import (
    OfficialCheckpoint,
    _check_tensors,
    _make_configs,
    _read_sizes,
    read_official_checkpoint,
)
from .conversion.class_names import _embed_classes, _find_token_ids
from .conversion.names import OLD_NAMES, PREFIX, convert_state_dict, convert_text_tower, convert_tunable_tensor
from .conversion.report import _count_by_use, _describe
from .conversion.self_check import SELF_CHECK_TOLERANCE, _self_check
from .data.labels import read_class_names
from .modeling_dist import DiSTForVideoClassification
from .video_processing_dist import DiSTVideoProcessor


logger = logging.get_logger(__name__)

# What to do where the checkpoint's vision tower is not the backbone.
BACKBONE_MISMATCH = ("include", "replace", "error")


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
