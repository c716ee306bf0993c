# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Checkpoints of a training run: all that is needed to go on as if it had never been stopped, but not the backbone.

A checkpoint is a folder `checkpoint-<updates>`, which all processes have to reach, with the tunable weights and the configuration (`model.safetensors` and
`config.json`, as a saved model has them), the optimizer, the scheduler and the scaler (`training.pt`), the random states of
each process (`random_states_<process>.pt`) and the place in the data, the figures so far and the settings
(`training_state.json`). It is written under another name and renamed when it is complete, so that a process killed at any
moment leaves either a whole checkpoint or none. With DeepSpeed the weights and the optimizer are in files of its own instead.
"""

import copy
import json
import os
import random
import re
import shutil
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from safetensors.torch import load_file, save_file
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from transformers.utils import SAFE_WEIGHTS_NAME


TRAINING_STATE_NAME = "training_state.json"
CHECKPOINT_NAME = re.compile(r"checkpoint-(\d+)")
# What is being written, or being deleted; never taken for a checkpoint.
ASIDE_PREFIX = ".incomplete-"


def list_checkpoints(output_dir: str | os.PathLike) -> list[Path]:
    """The complete checkpoints in a folder, the oldest first."""
    folder = Path(output_dir)
    if not folder.is_dir():
        return []
    checkpoints = [path for path in folder.iterdir() if CHECKPOINT_NAME.fullmatch(path.name)]
    checkpoints = [path for path in checkpoints if (path / TRAINING_STATE_NAME).is_file()]
    return sorted(checkpoints, key=lambda path: int(CHECKPOINT_NAME.fullmatch(path.name)[1]))


def find_checkpoint(output_dir: str | os.PathLike, which: str) -> Path | None:
    """
    The checkpoint to go on from.

    Args:
        output_dir (`str` or `os.PathLike`):
            The run's folder.
        which (`str`):
            `"latest"`, which may find none, or a checkpoint's folder.

    Raises:
        FileNotFoundError: If the folder is not there, or holds no complete checkpoint.
    """
    if which == "latest":
        return (list_checkpoints(output_dir) or [None])[-1]
    if not (Path(which) / TRAINING_STATE_NAME).is_file():
        found = [str(path) for path in list_checkpoints(output_dir)]
        raise FileNotFoundError(
            f"{which} is no checkpoint of a training run. "
            + (f"{output_dir} holds: {', '.join(found)}." if found else f"{output_dir} holds none.")
        )
    return Path(which)


def read_training_state(checkpoint: str | os.PathLike) -> dict:
    """What [`save_checkpoint`] was given as `state`."""
    return json.loads((Path(checkpoint) / TRAINING_STATE_NAME).read_text(encoding="utf-8"))


def remove_incomplete(output_dir: str | os.PathLike):
    """Removes what killed processes have left behind."""
    for path in Path(output_dir).glob(f"{ASIDE_PREFIX}*"):
        shutil.rmtree(path)


def tunable_state_dict(accelerator: Accelerator, model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """
    The tunable weights and the head, whole and on the CPU, under the names that the bare model has. All processes have to
    call this; with a sharded model only the main one gets any.
    """
    bare_model = accelerator.unwrap_model(model)
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    state_dict = get_model_state_dict(model, options=options)
    return {name: tensor.contiguous() for name, tensor in state_dict.items() if bare_model.is_tunable(name)}


def save_checkpoint(
    output_dir: str | os.PathLike,
    step: int,
    accelerator: Accelerator,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler,
    state: dict,
    total_limit: int | None = None,
) -> Path:
    """
    Writes `checkpoint-<step>`, and then removes the oldest ones. All processes have to call this.

    Args:
        output_dir (`str` or `os.PathLike`):
            The run's folder.
        step (`int`):
            Updates so far.
        accelerator (`Accelerator`), model, optimizer (as `accelerator.prepare` gave them), scheduler:
            What is saved, along with the random states.
        state (`dict`):
            What else the run has to know, for JSON.
        total_limit (`int`, *optional*):
            Checkpoints to keep.

    Returns:
        `Path`: The checkpoint.
    """
    output_dir = Path(output_dir)
    final = output_dir / f"checkpoint-{step}"
    aside = output_dir / f"{ASIDE_PREFIX}{final.name}"
    if accelerator.is_main_process:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
    accelerator.wait_for_everyone()

    training = {"scheduler": scheduler.state_dict()}
    if accelerator.scaler is not None:
        training["scaler"] = accelerator.scaler.state_dict()
    if accelerator.distributed_type == DistributedType.DEEPSPEED:
        # Its optimizer is sharded in ways of its own.
        model.save_checkpoint(str(aside), tag="deepspeed", exclude_frozen_parameters=True)
        weights = None
    else:
        weights = tunable_state_dict(accelerator, model)
        options = StateDictOptions(full_state_dict=True, cpu_offload=True)
        training["optimizer"] = get_optimizer_state_dict(model, optimizer.optimizer, options=options)
    torch.save(_random_states(), aside / f"random_states_{accelerator.process_index}.pt")
    if accelerator.is_main_process:
        bare_model = accelerator.unwrap_model(model)
        config = copy.deepcopy(bare_model.config)
        # FSDP puts its name before that of the class.
        config.architectures = [type(bare_model).__name__.removeprefix("FSDP")]
        config.save_pretrained(aside)
        if weights is not None:
            save_file(weights, aside / SAFE_WEIGHTS_NAME, metadata={"format": "pt"})
        torch.save(training, aside / "training.pt")
        (aside / TRAINING_STATE_NAME).write_text(json.dumps(state, indent=2), encoding="utf-8")
    accelerator.wait_for_everyone()

    if accelerator.is_main_process:
        if final.exists():  # of a run that was stopped after it and has gone on from an earlier one
            _remove(final)
        os.replace(aside, final)
        for checkpoint in list_checkpoints(output_dir)[: -total_limit if total_limit else 0]:
            if checkpoint != final:
                _remove(checkpoint)
    accelerator.wait_for_everyone()
    return final


def _remove(checkpoint: Path):
    # Renamed first, because half of a checkpoint must not look like one.
    aside = checkpoint.with_name(f"{ASIDE_PREFIX}{checkpoint.name}-removed")
    shutil.rmtree(aside, ignore_errors=True)
    os.replace(checkpoint, aside)
    shutil.rmtree(aside)


def load_checkpoint(
    checkpoint: str | os.PathLike,
    accelerator: Accelerator,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler,
):
    """
    Puts everything back to where [`save_checkpoint`] found it. All processes have to call this.

    Raises:
        ValueError: If the checkpoint's weights are not those of this model.
    """
    checkpoint = Path(checkpoint)
    training = torch.load(checkpoint / "training.pt", map_location="cpu", weights_only=True)
    if accelerator.distributed_type == DistributedType.DEEPSPEED:
        model.load_checkpoint(str(checkpoint), tag="deepspeed", load_module_strict=False)
    else:
        weights = load_file(checkpoint / SAFE_WEIGHTS_NAME)
        _check_weights(weights, accelerator.unwrap_model(model), checkpoint)
        options = StateDictOptions(full_state_dict=True, strict=False)
        set_model_state_dict(model, weights, options=options)
        set_optimizer_state_dict(model, optimizer.optimizer, training["optimizer"], options=options)
    scheduler.load_state_dict(training["scheduler"])
    if accelerator.scaler is not None and "scaler" in training:
        accelerator.scaler.load_state_dict(training["scaler"])
    random_states = checkpoint / f"random_states_{accelerator.process_index}.pt"
    if random_states.is_file():  # not of the further processes, where there are more than there were
        _set_random_states(torch.load(random_states, map_location="cpu", weights_only=True))


def _check_weights(weights: dict[str, torch.Tensor], model: torch.nn.Module, checkpoint: Path):
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items() if model.is_tunable(name)}
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    different = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if different:
        name = different[0]
        raise ValueError(
            f"{checkpoint} is of another model: {len(different)} weights differ, the first of them {name}, of shape "
            f"{found.get(name, 'none')} there and {expected.get(name, 'none')} here. Resume with the settings that the "
            f"run was started with; they are in {checkpoint / TRAINING_STATE_NAME}."
        )


def _random_states() -> dict:
    name, keys, position, has_gauss, cached_gaussian = np.random.get_state()
    return {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, cached_gaussian),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def _set_random_states(states: dict):
    random.setstate(states["python"])
    name, keys, *rest = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(states["torch"])
    if len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])


__all__ = [
    "find_checkpoint",
    "list_checkpoints",
    "load_checkpoint",
    "read_training_state",
    "remove_incomplete",
    "save_checkpoint",
    "tunable_state_dict",
]
