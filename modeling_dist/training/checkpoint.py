# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Checkpoints of a training run: everything that is needed to continue as if it had never been stopped, except the backbone.

A checkpoint is a folder `checkpoint-<updates>`, which all processes must be able to reach. It holds a saved model (the tunable
weights, the configuration and the processor), the optimizer, the scheduler and the gradient scaler (`training.pt`), and the
[`TrainingState`] with what identifies the run (`training_state.json`). With DeepSpeed, the weights and the optimizer are in
DeepSpeed's own files instead. Random states (`random_states_<process>.pt`) are saved only if the forward pass draws random
numbers; clips and their mixing depend on the seed and the update alone.

It is written under another name and renamed when it is complete, so that a process that is killed at any moment leaves
either a complete checkpoint or none.
"""

import contextlib
import copy
import dataclasses
import os
import pickle
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from transformers.utils import SAFE_WEIGHTS_NAME

from ..files import read_json_object, write_json
from ..modeling_dist import DiSTForVideoClassification
from ..video_processing_dist import DiSTVideoProcessor


TRAINING_STATE_NAME = "training_state.json"
# Increased when older versions can no longer read what is written. Version 0.1.0 wrote no number.
FORMAT_VERSION = 1
CHECKPOINT_NAME = re.compile(r"checkpoint-(\d+)")
# For folders that are being written or deleted, which are never taken for a checkpoint. All processes know the name and
# may write to the folder, which `files.atomic_folder` does not provide for.
INCOMPLETE_PREFIX = ".incomplete-"
FULL_STATE = StateDictOptions(full_state_dict=True, cpu_offload=True)


@dataclass
class TrainingState:
    """How far a run has come, apart from its weights, optimizer and schedule."""

    step: int = 0  # number of updates
    loss_sum: float = 0.0  # of the updates since the last record,
    loss_count: int = 0  # and their number
    history: list[dict] = field(default_factory=list)  # records and evaluations
    best: dict | None = None  # value, step and epoch of the best evaluation
    unreadable: dict[int, str] = field(default_factory=dict)  # reason, by the index of the training video
    damaged: dict[int, str] = field(default_factory=dict)  # the same, for those that were trained on


def list_checkpoints(output_dir: str | os.PathLike) -> list[Path]:
    """Return the complete checkpoints in a folder, the oldest first."""
    folders = (path.parent for path in Path(output_dir).glob(f"*/{TRAINING_STATE_NAME}"))
    matches = {folder: CHECKPOINT_NAME.fullmatch(folder.name) for folder in folders}
    return sorted(filter(matches.get, matches), key=lambda folder: int(matches[folder][1]))


def find_checkpoint(output_dir: str | os.PathLike, name: str) -> Path | None:
    """
    Return the checkpoint to resume from: the folder that is named, or for `"latest"` the last one of the run, if there
    is any.
    """
    checkpoints = list_checkpoints(output_dir)
    if name == "latest":
        return checkpoints[-1] if checkpoints else None
    if not (Path(name) / TRAINING_STATE_NAME).is_file():
        raise FileNotFoundError(
            f"{name} is not a checkpoint of a training run. The checkpoints in {output_dir}: "
            f"{', '.join(map(str, checkpoints)) or 'none'}."
        )
    return Path(name)


def read_training_state(checkpoint: str | os.PathLike) -> tuple[TrainingState, dict]:
    """Return the `state` and the `run` that [`save_checkpoint`] was given."""
    with _errors_of(checkpoint):
        content = read_json_object(Path(checkpoint) / TRAINING_STATE_NAME)
    version = content.get("format_version", FORMAT_VERSION)
    if version != FORMAT_VERSION:
        raise ValueError(
            f"{checkpoint} has format {version}, of a newer version of modeling_dist, and this one reads {FORMAT_VERSION}. "
            f"Update the package, or start a new run from the weights (--model {checkpoint})."
        )
    with _errors_of(checkpoint):
        content.setdefault("damaged", {})  # which version 0.1.0 did not count
        state = TrainingState(**{setting.name: content[setting.name] for setting in dataclasses.fields(TrainingState)})
        for name in ("unreadable", "damaged"):  # JSON has only strings as keys
            setattr(state, name, {int(index): reason for index, reason in getattr(state, name).items()})
        return state, content["run"]


@contextlib.contextmanager
def _errors_of(checkpoint: str | os.PathLike) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, KeyError, ValueError, RuntimeError, pickle.UnpicklingError, SafetensorError) as error:
        raise ValueError(
            f"The checkpoint {checkpoint} is damaged and cannot be read ({type(error).__name__}: {error}). Delete it and "
            "resume from an earlier one, or start a new run in another --output_dir."
        ) from error


def remove_incomplete(output_dir: str | os.PathLike):
    """Remove what killed processes have left behind."""
    for path in Path(output_dir).glob(f"{INCOMPLETE_PREFIX}*"):
        shutil.rmtree(path)


def tunable_state_dict(accelerator: Accelerator, model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """
    Return the tunable weights and the head, unsharded and on the CPU, under the names that they have in the unwrapped model.
    All processes have to call this; of a sharded model, only the main process gets the weights.
    """
    bare_model = accelerator.unwrap_model(model)
    state_dict = get_model_state_dict(model, options=FULL_STATE)
    return {name: tensor.contiguous() for name, tensor in state_dict.items() if bare_model.is_tunable(name)}


def save_checkpoint(
    output_dir: str | os.PathLike,
    accelerator: Accelerator,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler,
    state: TrainingState,
    run: dict,
    processor: DiSTVideoProcessor | None = None,
    total_limit: int | None = None,
) -> Path:
    """
    Write `checkpoint-<updates>`, and then remove the oldest ones beyond `total_limit`. All processes have to call
    this, with the model and the optimizer as `accelerator.prepare` returned them.

    `run` identifies the run for [`~modeling_dist.training.output_dir.check_same_run`], in values as JSON has them.
    With the processor, the checkpoint can be used like any saved model.
    """
    output_dir = Path(output_dir)
    final = output_dir / f"checkpoint-{state.step}"
    temporary = output_dir / f"{INCOMPLETE_PREFIX}{final.name}"
    if accelerator.is_main_process:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
    accelerator.wait_for_everyone()

    bare_model = accelerator.unwrap_model(model)
    training = {"scheduler": scheduler.state_dict()}
    if accelerator.scaler is not None:
        training["scaler"] = accelerator.scaler.state_dict()
    if accelerator.distributed_type == DistributedType.DEEPSPEED:
        # Its optimizer is sharded in its own way.
        model.save_checkpoint(str(temporary), tag="deepspeed", exclude_frozen_parameters=True)
        weights = None
    else:
        weights = tunable_state_dict(accelerator, model)
        training["optimizer"] = get_optimizer_state_dict(model, optimizer.optimizer, options=FULL_STATE)
    if draws_random_numbers(bare_model):
        cuda_states = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        random_states = {"torch": torch.get_rng_state(), "cuda": cuda_states}
        torch.save(random_states, temporary / f"random_states_{accelerator.process_index}.pt")
    if accelerator.is_main_process:
        config = copy.deepcopy(bare_model.config)
        # FSDP puts its name before that of the class.
        config.architectures = [type(bare_model).__name__.removeprefix("FSDP")]
        config.save_pretrained(temporary)
        if processor is not None:
            processor.save_pretrained(temporary)
        if weights is not None:
            save_file(weights, temporary / SAFE_WEIGHTS_NAME, metadata={"format": "pt"})
        torch.save(training, temporary / "training.pt")
        content = {"format_version": FORMAT_VERSION, **dataclasses.asdict(state), "run": run}
        write_json(temporary / TRAINING_STATE_NAME, content)
    accelerator.wait_for_everyone()

    if accelerator.is_main_process:
        if final.exists():  # of a run that was stopped after it and has resumed from an earlier one
            _remove(final)
        os.replace(temporary, final)
        for checkpoint in list_checkpoints(output_dir)[: -total_limit if total_limit else 0]:
            if checkpoint != final:
                _remove(checkpoint)
    accelerator.wait_for_everyone()
    return final


def draws_random_numbers(model: DiSTForVideoClassification) -> bool:
    """Whether the forward pass in training draws random numbers, which only the dropout of a trained backbone does."""
    return not model.config.freeze_backbone and model.config.vision_config.attention_dropout > 0


def _remove(checkpoint: Path):
    # Renamed first, because half of a checkpoint must not look like a whole one.
    temporary = checkpoint.with_name(f"{INCOMPLETE_PREFIX}{checkpoint.name}-removed")
    shutil.rmtree(temporary, ignore_errors=True)
    os.replace(checkpoint, temporary)
    shutil.rmtree(temporary)


def load_checkpoint(
    checkpoint: str | os.PathLike,
    accelerator: Accelerator,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler,
):
    """Restore all that [`save_checkpoint`] has saved but the [`TrainingState`]. All processes have to call this."""
    checkpoint = Path(checkpoint)
    bare_model = accelerator.unwrap_model(model)
    is_deepspeed = accelerator.distributed_type == DistributedType.DEEPSPEED
    with _errors_of(checkpoint):
        training = torch.load(checkpoint / "training.pt", map_location="cpu", weights_only=True)
        weights = {} if is_deepspeed else load_file(checkpoint / SAFE_WEIGHTS_NAME)
        random_states, path = None, checkpoint / f"random_states_{accelerator.process_index}.pt"
        # A run that resumes with more processes has none for the additional ones.
        if draws_random_numbers(bare_model) and path.is_file():
            random_states = torch.load(path, map_location="cpu", weights_only=True)
    if is_deepspeed:
        model.load_checkpoint(str(checkpoint), tag="deepspeed", load_module_strict=False)
    else:
        _check_weights(weights, bare_model, checkpoint)
        options = StateDictOptions(full_state_dict=True, strict=False)
        set_model_state_dict(model, weights, options=options)
        set_optimizer_state_dict(model, optimizer.optimizer, training["optimizer"], options=options)
    scheduler.load_state_dict(training["scheduler"])
    if accelerator.scaler is not None and "scaler" in training:
        accelerator.scaler.load_state_dict(training["scaler"])
    if random_states is not None:
        torch.set_rng_state(random_states["torch"])
        if len(random_states["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(random_states["cuda"])


def _check_weights(weights: dict[str, torch.Tensor], model: torch.nn.Module, checkpoint: Path):
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items() if model.is_tunable(name)}
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    different = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if different:
        name = different[0]
        raise ValueError(
            f"{checkpoint} holds another model: {len(different)} weights differ, the first of them {name}, of shape "
            f"{found.get(name, 'none')} there and {expected.get(name, 'none')} here. Resume with the settings that the "
            f"run was started with; they are in {checkpoint / TRAINING_STATE_NAME}."
        )
