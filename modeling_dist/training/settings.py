# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""The settings of a training run, the paper's recipes, and the command line that they make. Nothing here imports torch."""

import dataclasses
import os
from dataclasses import dataclass

from ..command_line import ArgumentParser, option, parse_options
from ..data.settings import DatasetSettings, ReadingSettings
from ..files import read_json_object, write_json
from ..paper import BACKBONES, RECIPES


# Where a run goes and how it starts, which a recipe does not say.
NOT_IN_A_RECIPE = ("output_dir", "overwrite_output_dir", "resume_from_checkpoint", "push_to_hub")


@dataclass
class TrainingSettings(ReadingSettings, DatasetSettings):
    """
    Every setting of [`~modeling_dist.training.train`], and so the options of `modeling-dist train`. The defaults are the
    paper's for B/16 8+16f on Kinetics-400, except for the batch.
    """

    validation: str | None = option(None, "dataset to evaluate on, if the other has no validation split", group="Data")
    train_split: str = option("train", "split to train on")
    validation_split: str | None = option(None, "split to evaluate on; found by its name by default")
    validation_fraction: float = option(0.1, "share of the videos to set aside if there is no validation split")

    recipe: str | None = option(
        None, f"settings to start from: {', '.join(RECIPES)}, or a training_settings.json", group="Run"
    )
    output_dir: str | None = option(None, "folder for the model, its checkpoints and its metrics", required=True)
    overwrite_output_dir: bool = option(False, "delete the training run that output_dir holds, and start anew")
    resume_from_checkpoint: str | None = option(None, "folder of a checkpoint, or 'latest' for that of output_dir")
    seed: int = option(0, "seed of everything random", minimum=0)

    backbone: str = option(BACKBONES["b16"], "Hub id or folder of the CLIP to build on", group="Model")
    backbone_revision: str | None = option(None, "revision of the backbone")
    model: str | None = option(None, "Hub id or folder of a trained DiST to fine-tune, instead of a new one")
    head_type: str = option("text", "text for classes named in words, linear for others", choices=("text", "linear"))
    num_frames: int = option(16, "number of frames of a clip, which the temporal encoder sees")
    spatial_frame_stride: int = option(2, "distance of the frames that CLIP sees")
    num_pooling_layers: int = option(4, "number of pooling layers; the paper has 4 for Kinetics, 2 for SSv2")
    integration_dim: int = option(384, "width of the integration branch")
    temporal_dim: int = option(96, "width of the temporal encoder")
    initializer_range: float = option(0.02, "standard deviation of new weights; 0 for 1 / sqrt(fan-in)", minimum=0)
    frame_sampling: str = option("segment", "frames of the whole video, or close ones", choices=("segment", "dense"))
    frame_step: int = option(4, "distance of the frames in dense sampling, at 30 frames per second", minimum=1)

    augmentation: bool = option(True, "crop, flip and recolor clips at random, not centrally", group="Augmentation")
    crop_scale: list[float] = option([0.4, 1.0], "range of the crop's share of a frame's area")
    crop_ratio: list[float] = option([3 / 4, 4 / 3], "range of the crop's aspect ratio, width over height")
    flip_probability: float = option(0.5, "probability of a horizontal flip")
    flip_label_pairs: list[str] = option([], "labels that a flip exchanges: 86:87, 'pan left:pan right', …; or none")
    grayscale_probability: float = option(0.2, "probability of converting a clip to grayscale")
    color_jitter: list[float] = option([0.4, 0.4, 0.2, 0.1], "jitter of brightness, contrast, saturation, hue")
    color_jitter_probability: float = option(0.0, "probability of color jitter")
    mixup_alpha: float = option(0.8, "beta parameter of mixup; 0 disables it")
    cutmix_alpha: float = option(1.0, "beta parameter of CutMix; 0 disables it")
    mixing_probability: float = option(1.0, "probability of mixing a batch, by mixup or CutMix")
    cutmix_probability: float = option(0.5, "probability that a mixed batch is mixed by CutMix")
    label_smoothing: float = option(0.1, "share of the target that is spread over all classes")

    num_epochs: int = option(36, "number of passes over the videos", group="Optimization", minimum=1)
    per_device_train_batch_size: int = option(8, "number of clips in a batch of one process", minimum=1)
    gradient_accumulation_steps: int = option(1, "number of batches of a process in one update", minimum=1)
    total_batch_size: int | None = option(None, "clips in an update, accumulated; 0 overrides a recipe's", minimum=0)
    base_learning_rate: float = option(3.2e-4, "peak for base_batch_size clips, scaled linearly with the batch")
    base_batch_size: int = option(256, "number of clips that base_learning_rate is for", minimum=1)
    learning_rate: float | None = option(None, "peak learning rate, instead of the scaled base_learning_rate")
    warmup_epochs: float | None = option(None, "epochs of linear warm-up; a sixth of all by default", minimum=0)
    warmup_start_learning_rate: float = option(8e-7, "learning rate that the warm-up starts from")
    weight_decay: float = option(1e-4, "weight decay, except for biases, norms, tokens and positions", minimum=0)
    adam_beta1: float = option(0.9, "decay rate of AdamW's first moment")
    adam_beta2: float = option(0.999, "decay rate of AdamW's second moment")
    adam_epsilon: float = option(1e-8, "epsilon of AdamW")
    max_grad_norm: float | None = option(None, "norm to clip gradients to; they are not clipped by default")

    mixed_precision: str | None = option(
        None, "precision; accelerate's own by default", group="Speed and memory", choices=("no", "bf16", "fp16")
    )
    attn_implementation: str | None = option(None, "attention: sdpa, eager, flash_attention_2, …")
    gradient_checkpointing: bool = option(False, "save memory by recomputing activations in the backward pass")
    torch_compile: bool = option(False, "compile the model with torch.compile")
    num_workers: int = option(4, "number of processes that decode videos, per training process", minimum=0)
    cpu: bool = option(False, "train on the CPU even if there is a GPU")

    eval_every: int = option(1, "epochs between evaluations; 0 for the last only", group="Evaluation", minimum=0)
    num_clips: int = option(3, "number of clips of a video", minimum=1)
    num_crops: int = option(1, "number of crops of a clip", choices=(1, 3))
    per_device_eval_batch_size: int = option(2, "number of videos that are decoded together", minimum=1)
    view_batch_size: int | None = option(
        None, "views in a forward pass; as many as training clips by default", minimum=1
    )
    best_metric: str = option(
        "top1", "metric that selects the best model", choices=("top1", "top5", "mean_class_accuracy", "loss")
    )
    skip_unreadable: bool = option(False, "leave unreadable videos out of the evaluation and count them")

    logging_steps: int = option(10, "number of updates between two records", group="Records", minimum=1)
    checkpointing_steps: int | None = option(None, "updates between checkpoints; an epoch by default", minimum=1)
    checkpoints_total_limit: int | None = option(2, "number of checkpoints to keep, the newest ones; 0 keeps all")
    report_to: list[str] = option([], "trackers to report to: tensorboard, trackio, wandb, …, if installed")
    project_name: str = option("modeling_dist", "name of the project in the trackers")
    push_to_hub: bool = option(False, "publish the final model on the Hub")
    hub_model_id: str | None = option(None, "repository to publish to; named like output_dir by default")
    hub_private: bool = option(False, "make a new repository private")

    def check(self):
        super().check()
        for name in ("base_learning_rate", "learning_rate"):
            if getattr(self, name) is not None and not getattr(self, name) > 0:
                raise ValueError(f"--{name} must be greater than 0, got {getattr(self, name)}.")
        for name, length in (("crop_scale", 2), ("crop_ratio", 2), ("color_jitter", 4)):
            if len(getattr(self, name)) != length:
                raise ValueError(f"--{name} takes {length} numbers, got {getattr(self, name)}.")
        if self.warmup_epochs is not None and not self.warmup_epochs < self.num_epochs:
            raise ValueError(
                f"--warmup_epochs must be less than --num_epochs, got {self.warmup_epochs:g} and {self.num_epochs}."
            )
        if self.total_batch_size and self.gradient_accumulation_steps != 1:
            raise ValueError(
                f"--total_batch_size {self.total_batch_size} and --gradient_accumulation_steps "
                f"{self.gradient_accumulation_steps} both set the number of batches in an update. Give one of them; "
                "--total_batch_size 0 overrides a recipe's."
            )

    def accumulation_steps(self, num_processes: int) -> int:
        """Return how many batches of each process make one update of `total_batch_size`."""
        batch_size = self.per_device_train_batch_size * num_processes
        if not self.total_batch_size:
            return self.gradient_accumulation_steps
        if self.total_batch_size % batch_size:
            raise ValueError(
                f"--total_batch_size {self.total_batch_size} must be a multiple of --per_device_train_batch_size times "
                f"the number of processes, {self.per_device_train_batch_size} * {num_processes} = {batch_size}."
            )
        return self.total_batch_size // batch_size

    def peak_learning_rate(self, batch_size: int) -> float:
        """Return the learning rate that the schedule starts from, for updates of `batch_size` clips."""
        if self.learning_rate is not None:
            return self.learning_rate
        return self.base_learning_rate * batch_size / self.base_batch_size

    def save(self, path: str | os.PathLike):
        """Write all settings as JSON, which `--recipe path` reads."""
        write_json(path, dataclasses.asdict(self))


def read_recipe(recipe: str) -> dict:
    """
    Return the settings of one of the paper's recipes, or of a file that [`TrainingSettings.save`] has written, without
    those that say where a run goes and how it starts.
    """
    if recipe in RECIPES:
        return dict(RECIPES[recipe])
    if not os.path.isfile(recipe):
        raise ValueError(f"--recipe must be one of {', '.join(RECIPES)}, or a training_settings.json, got {recipe!r}.")
    values = read_json_object(recipe)
    unknown = sorted(values.keys() - {setting.name for setting in dataclasses.fields(TrainingSettings)})
    if unknown:
        raise ValueError(f"--recipe {recipe} has unknown settings: {', '.join(unknown[:8])}.")
    return {name: value for name, value in values.items() if name not in NOT_IN_A_RECIPE}


def make_parser(**kwargs) -> ArgumentParser:
    """Return a parser of all settings; `kwargs` are those of `argparse.ArgumentParser`."""
    usage = "%(prog)s [--recipe RECIPE] --dataset DATASET --output_dir FOLDER [options]"
    return ArgumentParser(TrainingSettings, usage=usage, **kwargs)


def parse_settings(arguments: list[str] | None = None, parser: ArgumentParser | None = None) -> TrainingSettings:
    """
    Return the settings of a command line, by default that of the process; they override those of a recipe, which override
    the defaults. Settings that no run can have end the process with a message, as any mistake on a command line does.
    """
    parser = parser or make_parser()
    recipe_parser = ArgumentParser(prog=parser.prog, usage=parser.usage, add_help=False)
    recipe_parser.add_argument("--recipe")
    recipe = recipe_parser.parse_known_args(arguments)[0].recipe
    try:
        if recipe is not None:
            parser.set_defaults(**read_recipe(recipe))
        return parse_options(TrainingSettings, parser, arguments)
    except (ValueError, TypeError, OSError) as error:  # a recipe's file may hold anything
        parser.error(str(error))
