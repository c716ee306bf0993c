# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""The folder of a training run: whether a run may start or resume there, and what is removed of an earlier one."""

import os
import shutil
from pathlib import Path

from transformers.utils import logging

from .checkpoint import find_checkpoint, list_checkpoints, remove_incomplete
from .settings import TrainingSettings


logger = logging.get_logger(__name__)

# What a run writes, apart from its checkpoints.
OUTPUTS = (
    *("training_settings.json", "training_history.json", "training_curves.png", "validation.csv", "metrics.json"),
    *("config.json", "model.safetensors", "best_model", "evaluation", "logs"),
)
# Settings that say where, how fast and how often, but do not change what is computed.
NEUTRAL_SETTINGS = (
    *("recipe", "output_dir", "overwrite_output_dir", "resume_from_checkpoint", "num_workers", "cpu", "dataset"),
    *("validation", "video_root", "report_to", "project_name", "logging_steps", "checkpointing_steps"),
    *("checkpoints_total_limit", "push_to_hub", "hub_model_id", "hub_private", "view_batch_size", "decoder"),
    *("max_video_seconds", "max_frame_pixels", "max_download_bytes", "allow_local_paths"),
)


def find_start(settings: TrainingSettings) -> Path | None:
    """
    Return the checkpoint that a run resumes from, or `None` if it starts at the beginning. Nothing is changed. A run
    that would destroy something without being told to is a `ValueError`.
    """
    output_dir = Path(settings.output_dir).resolve()
    if settings.model is not None and Path(settings.model).resolve() == output_dir:
        raise ValueError(f"--model and --output_dir are the same folder, {output_dir}. Choose another --output_dir.")
    if settings.resume_from_checkpoint is not None:
        checkpoint = find_checkpoint(output_dir, settings.resume_from_checkpoint)
        if checkpoint is not None and checkpoint.resolve().parent != output_dir:
            raise ValueError(
                f"{checkpoint} belongs to a run in another folder than --output_dir {output_dir}. Resume it there, or start "
                "a new run from its weights (--model)."
            )
        if checkpoint is not None:
            return checkpoint.resolve()
        # A run that was killed before its first checkpoint leaves no more than its settings.
        if not (output_dir / "model.safetensors").exists():
            logger.info(f"{output_dir} holds no checkpoint yet; the run starts at the beginning.")
            return None
    present = [path.name for path in list_checkpoints(output_dir)]
    present += [name for name in OUTPUTS if (output_dir / name).exists()]
    if present and not settings.overwrite_output_dir:
        raise ValueError(
            f"{output_dir} holds a training run or a model ({', '.join(present[:4])}, …). Resume a run that has checkpoints "
            "with --resume_from_checkpoint latest, delete it with --overwrite_output_dir, or choose another --output_dir."
        )
    return None


def check_same_run(then: dict, now: dict, checkpoint: Path):
    """
    Check that a run can resume from a checkpoint: with the same videos in the same batches, the same optimizer and the
    same backbone. `then` and `now` hold these, and the `settings` and `num_processes`, which may differ, with a
    warning.
    """
    for name, value in now.items():
        if name not in ("settings", "num_processes") and then.get(name) != value:
            raise ValueError(
                f"{checkpoint} was made with another {name.replace('_', ' ')}: {then.get(name)} then, {value} now. Resume "
                "with the same, or start a new run, from its weights if you like (--model)."
            )
    if then["num_processes"] != now["num_processes"] and now["settings"]["mixing_probability"] > 0:
        logger.warning("The run resumes with another number of processes, so that other clips are mixed.")
    different = [
        f"{name} ({then['settings'].get(name)} then, {value} now)"
        for name, value in now["settings"].items()
        if name not in NEUTRAL_SETTINGS and then["settings"].get(name) != value
    ]
    if different:
        logger.warning(f"The run resumes with other settings than {checkpoint} was made with: {', '.join(different)}.")


def clear_output_dir(output_dir: str | os.PathLike, checkpoint: Path | None):
    """Remove what the run will write again: the checkpoints after the one that it resumes from, or all of an earlier run."""
    output_dir = Path(output_dir).resolve()
    remove_incomplete(output_dir)
    checkpoints = list_checkpoints(output_dir)
    if checkpoint is None:
        stale = [*checkpoints, *(output_dir / name for name in OUTPUTS)]
    else:
        stale = checkpoints[checkpoints.index(checkpoint) + 1 :]
    for path in stale:
        if path.exists():
            logger.info(f"Removing {path}: the run starts from {checkpoint or 'the beginning'}.")
            shutil.rmtree(path) if path.is_dir() else path.unlink()
