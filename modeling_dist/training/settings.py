# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Every setting of a training run, the paper's recipes, and the command line that they make."""

import argparse
import dataclasses
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from transformers import HfArgumentParser

from ..command_line import HelpFormatter
from ..paper import RECIPES
from ..video_decoding_dist import DECODERS


def _option(default, description: str):
    metadata = {"help": description}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass
class TrainingSettings:
    """The options of examples/train.py. The defaults are the paper's B/16 8+16f for Kinetics-400, but for the batch."""

    # What to do with what.
    recipe: str | None = _option(None, "the paper's settings by name, or a training_settings.json to repeat")
    output_dir: str | None = _option(None, "folder for the model, its checkpoints and its figures")
    overwrite_output_dir: bool = _option(False, "start anew in a folder that holds a training run, which is deleted")
    resume_from_checkpoint: str | None = _option(None, "a checkpoint's folder, or 'latest' of output_dir")

    # Data (section 5 of the design; see load_videos).
    dataset: str | None = _option(
        None, "a folder of classes, a list (CSV, JSON, text), a dataset of the Hub or on disk"
    )
    validation: str | None = _option(None, "the same for validation, where the dataset has no such split")
    dataset_format: str = _option("auto", "folder, csv, json, list, ssv2, hub or disk")
    dataset_config: str | None = _option(None, "configuration of a dataset of the Hub")
    dataset_revision: str | None = _option(None, "revision of a dataset of the Hub")
    train_split: str = _option("train", "split to train on")
    validation_split: str | None = _option(None, "split to evaluate on; found by its name by default")
    validation_fraction: float = _option(0.1, "share of the videos to set aside where there is no validation split")
    video_root: str | None = _option(None, "folder that the paths in a list start from")
    class_names: str | None = _option(None, "file with the class names (JSON or text), in the order of the labels")
    video_column: str | None = _option(None, "column of the videos")
    label_column: str | None = _option(None, "column of the labels")
    exclude: str | None = _option(None, "list of videos to leave out, as examples/scan.py writes it")

    # Model.
    backbone: str = _option("openai/clip-vit-base-patch16", "CLIP to build on: Hub id or folder")
    backbone_revision: str | None = _option(None, "revision of the backbone")
    model: str | None = _option(
        None, "trained DiST to go on from (Hub id or folder) instead of a new one on `backbone`"
    )
    head_type: str = _option("text", "text (the class names) or linear (for labels that are not words)")
    num_frames: int = _option(16, "frames of a clip (T); CLIP sees every spatial_frame_stride-th")
    spatial_frame_stride: int = _option(2, "see num_frames")
    num_pooling_layers: int = _option(4, "the paper: 4 for Kinetics, 2 for Something-Something V2")
    integration_dim: int = _option(384, "width of the integration branch")
    temporal_dim: int = _option(96, "width of the temporal encoder")
    initializer_range: float = _option(0.02, "standard deviation of new weights; 0 for 1 / sqrt(fan-in) of each layer")
    frame_sampling: str = _option("segment", "segment (one frame of each part of the video) or dense (neighbours)")
    frame_step: int = _option(4, "distance of the frames in dense sampling, at 30 per second")
    decoder: str = _option("auto", "decord, torchcodec, pyav or auto")

    # Augmentation (section 6).
    augmentation: bool = _option(True, "crop, flip and colours of clips; without it, the centre is cropped")
    crop_scale: list[float] = _option([0.4, 1.0], "range of the crop's share of a frame's area")
    crop_ratio: list[float] = _option([3 / 4, 4 / 3], "range of the crop's width over its height")
    flip_probability: float = _option(0.5, "of a horizontal flip")
    flip_label_pairs: list[str] = _option(
        [], "labels that a flip exchanges, 86:87 or 'pan left:pan right'; none for none"
    )
    grayscale_probability: float = _option(0.2, "of a clip without colours")
    color_jitter: list[float] = _option([0.4, 0.4, 0.2, 0.1], "of brightness, contrast, saturation, hue")
    color_jitter_probability: float = _option(0.0, "of the colour jitter")
    mixup_alpha: float = _option(0.8, "of mixup; 0 for none")
    cutmix_alpha: float = _option(1.0, "of CutMix; 0 for none")
    mixing_probability: float = _option(1.0, "of a batch being mixed, by either of the two")
    cutmix_probability: float = _option(0.5, "of CutMix rather than mixup")
    label_smoothing: float = _option(0.1, "share of the targets spread over all classes")

    # Optimization (section 6).
    num_epochs: int = _option(36, "passes over the data")
    per_device_train_batch_size: int = _option(8, "clips at once in one process")
    gradient_accumulation_steps: int = _option(1, "batches of each process in one update")
    total_batch_size: int | None = _option(
        None, "clips in one update over all processes, by as many accumulation steps as that takes; 0 for none set"
    )
    base_learning_rate: float = _option(3.2e-4, "peak for a batch of base_batch_size clips, scaled with the batch")
    base_batch_size: int = _option(256, "see base_learning_rate")
    learning_rate: float | None = _option(None, "peak as it is, instead of the scaled one")
    warmup_epochs: float = _option(6, "epochs of linear warm-up")
    warmup_start_learning_rate: float = _option(8e-7, "where the warm-up starts")
    weight_decay: float = _option(1e-4, "but for biases, 1-D parameters, tokens and positional embeddings")
    adam_beta1: float = _option(0.9, "of AdamW")
    adam_beta2: float = _option(0.999, "of AdamW")
    adam_epsilon: float = _option(1e-8, "of AdamW")
    max_grad_norm: float | None = _option(None, "norm that gradients are clipped to; none by default")
    seed: int = _option(0, "of everything that is random")

    # Speed and memory.
    mixed_precision: str | None = _option(None, "no, bf16 or fp16; what accelerate is configured for by default")
    attn_implementation: str | None = _option(None, "sdpa, eager, flash_attention_2")
    gradient_checkpointing: bool = _option(False, "recompute activations instead of keeping them")
    torch_compile: bool = _option(False, "compile the model with torch.compile")
    num_workers: int = _option(4, "processes that decode videos, for each training process")
    cpu: bool = _option(False, "train on the CPU though there is a GPU")

    # Evaluation during training.
    eval_every: int = _option(1, "epochs between two evaluations; 0 for none but the last")
    num_clips: int = _option(3, "clips of a video in evaluation")
    num_crops: int = _option(1, "crops of each clip in evaluation, 1 or 3")
    per_device_eval_batch_size: int = _option(2, "videos decoded together in evaluation")
    view_batch_size: int | None = _option(
        None, "views through the model at once; as many as training clips by default"
    )
    best_metric: str = _option("top1", "top1, top5, mean_class_accuracy or loss: what the best model is best at")
    skip_unreadable: bool = _option(False, "leave unreadable videos out of the evaluation, and count them")

    # Records.
    logging_steps: int = _option(10, "updates between two records")
    checkpointing_steps: int | None = _option(
        None, "updates between two checkpoints; at the end of each epoch if not set"
    )
    checkpoints_total_limit: int | None = _option(2, "checkpoints to keep, the newest ones; 0 for all")
    report_to: list[str] = _option([], "trackers: tensorboard, trackio, wandb, …, as far as installed")
    project_name: str = _option("modeling_dist", "the run's project in the trackers")
    push_to_hub: bool = _option(False, "upload the final model")
    hub_model_id: str | None = _option(None, "repository to upload to; named like output_dir by default")
    hub_private: bool = _option(False, "make that repository private")

    def check(self):
        """
        Raises:
            ValueError: For values that no run can have, before anything has been read or written.
        """
        for name, example in (("dataset", "a folder with one subfolder per class"), ("output_dir", "a new folder")):
            if getattr(self, name) is None:
                raise ValueError(f"--{name} is needed: {example}, for instance.")
        for name in ("num_epochs", "per_device_train_batch_size", "gradient_accumulation_steps", "num_clips"):
            _at_least(self, name, 1)
        for name in ("per_device_eval_batch_size", "logging_steps", "base_batch_size", "frame_step"):
            _at_least(self, name, 1)
        if self.total_batch_size and self.gradient_accumulation_steps != 1:
            raise ValueError(
                f"--total_batch_size {self.total_batch_size} says how many batches make an update, and so does "
                "--gradient_accumulation_steps. Give one of them (--total_batch_size 0 overrides a recipe's)."
            )
        if self.total_batch_size is not None:
            _at_least(self, "total_batch_size", 0)
        for name in ("view_batch_size", "checkpointing_steps"):
            if getattr(self, name) is not None:
                _at_least(self, name, 1)
        for name in ("num_workers", "eval_every", "initializer_range", "weight_decay", "seed"):
            _at_least(self, name, 0)
        for name in ("base_learning_rate", "learning_rate"):
            if getattr(self, name) is not None and not getattr(self, name) > 0:
                raise ValueError(f"--{name} must be greater than 0, got {getattr(self, name)}.")
        for name, length in (("crop_scale", 2), ("crop_ratio", 2), ("color_jitter", 4)):
            if len(getattr(self, name)) != length:
                raise ValueError(f"--{name} takes {length} numbers, got {getattr(self, name)}.")
        if not 0 <= self.warmup_epochs < self.num_epochs:
            raise ValueError(
                f"--warmup_epochs must be at least 0 and less than --num_epochs, got {self.warmup_epochs:g} and "
                f"{self.num_epochs}."
            )
        choices = {
            "best_metric": ("top1", "top5", "mean_class_accuracy", "loss"),
            "head_type": ("text", "linear"),
            "frame_sampling": ("segment", "dense"),
            "decoder": ("auto", *DECODERS),
            "mixed_precision": (None, "no", "bf16", "fp16"),
            "num_crops": (1, 3),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                known = ", ".join(str(choice) for choice in allowed if choice is not None)
                raise ValueError(f"--{name} must be one of {known}, got {getattr(self, name)}.")

    def accumulation_steps(self, num_processes: int) -> int:
        """
        Batches of each process that make one update.

        Raises:
            ValueError: If `total_batch_size` cannot be had.
        """
        at_once = self.per_device_train_batch_size * num_processes
        if not self.total_batch_size:
            return self.gradient_accumulation_steps
        if self.total_batch_size % at_once:
            raise ValueError(
                f"--total_batch_size {self.total_batch_size} must be a multiple of --per_device_train_batch_size times "
                f"the processes, {self.per_device_train_batch_size} * {num_processes} = {at_once}."
            )
        return self.total_batch_size // at_once

    def peak_learning_rate(self, batch_size: int) -> float:
        """The learning rate that the schedule starts from, for updates of `batch_size` clips."""
        if self.learning_rate is not None:
            return self.learning_rate
        return self.base_learning_rate * batch_size / self.base_batch_size

    def save(self, path: str | os.PathLike):
        """Writes all settings as JSON; `--recipe path` repeats them."""
        aside = Path(path).with_suffix(".json.new")
        aside.write_text(json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(aside, path)


def _at_least(settings: TrainingSettings, name: str, least: float):
    if getattr(settings, name) < least:
        raise ValueError(f"--{name} must be at least {least}, got {getattr(settings, name)}.")


def read_recipe(recipe: str) -> dict:
    """
    The settings of one of the paper's recipes, or of a file that [`TrainingSettings.save`] wrote, but for those that say
    where a run goes to and goes on.

    Raises:
        ValueError: If there is no such recipe, or the file holds other things than settings.
    """
    if recipe in RECIPES:
        return dict(RECIPES[recipe])
    if not os.path.isfile(recipe):
        raise ValueError(f"--recipe must be one of {', '.join(RECIPES)}, or a training_settings.json, got {recipe!r}.")
    try:
        values = json.loads(Path(recipe).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"--recipe {recipe} is not JSON: {error}") from error
    names = {setting.name for setting in dataclasses.fields(TrainingSettings)}
    unknown = sorted(set(values) - names) if isinstance(values, dict) else [type(values).__name__]
    if unknown:
        raise ValueError(f"--recipe {recipe} holds what is no setting: {', '.join(unknown[:8])}.")
    for name in ("output_dir", "overwrite_output_dir", "resume_from_checkpoint", "push_to_hub"):
        values.pop(name, None)
    return values


def parse_settings(arguments: list[str] | None = None, description: str | None = None) -> TrainingSettings:
    """
    The settings of a command line: the defaults, over them the recipe's values, over them what is on the command line.
    Exits with a message where they make no sense.
    """
    parser = HfArgumentParser(
        TrainingSettings,
        description=description,
        usage="%(prog)s [--recipe RECIPE] --dataset DATASET --output_dir FOLDER [options]; --help lists them",
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    recipe_parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    recipe_parser.add_argument("--recipe")
    recipe = recipe_parser.parse_known_args(arguments)[0].recipe
    try:
        if recipe is not None:
            parser.set_defaults(**read_recipe(recipe))
        (settings,) = parser.parse_args_into_dataclasses(arguments, look_for_args_file=False)
        settings.check()
    except (ValueError, TypeError) as error:  # a recipe's file may hold anything
        parser.error(str(error))
    return settings


__all__ = ["RECIPES", "TrainingSettings", "parse_settings", "read_recipe"]
