import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from modeling_dist import DiSTForVideoClassification
from modeling_dist.testing import tiny_config_kwargs
from modeling_dist.training import checkpoint as training_checkpoint
from modeling_dist.training.checkpoint import (
    find_checkpoint,
    list_checkpoints,
    load_checkpoint,
    read_training_state,
    remove_incomplete,
    save_checkpoint,
)
from modeling_dist.training.optimization import cosine_schedule, parameter_groups


@pytest.fixture
def accelerator():
    return Accelerator(cpu=True)


def make_run(clip, accelerator, **config_kwargs):
    model = DiSTForVideoClassification.from_backbone(
        clip, class_names=["left", "right"], **{**tiny_config_kwargs(), **config_kwargs}
    )
    optimizer = torch.optim.AdamW(parameter_groups(model, 0.1), lr=1e-3)
    scheduler = cosine_schedule(optimizer, steps_per_epoch=2, num_epochs=4, warmup_epochs=1)
    model, optimizer = accelerator.prepare(model, optimizer)
    return accelerator, model.train(), optimizer, scheduler


def train(run, num_steps):
    accelerator, model, optimizer, scheduler = run
    for _ in range(num_steps):
        # From the global generators, so that their states matter.
        videos, labels = torch.randn(2, 8, 3, 32, 32), torch.tensor([random.randrange(2), np.random.randint(2)])
        accelerator.backward(model(pixel_values_videos=videos, labels=labels).loss)
        optimizer.step()
        optimizer.zero_grad()
        scheduler.step()


def test_everything_goes_on_where_it_was(tiny_clip, accelerator, tmp_path):
    run = make_run(tiny_clip, accelerator)
    train(run, 3)
    checkpoint = save_checkpoint(tmp_path, 3, *run, state={"step": 3, "history": [{"loss": 1.5}]})
    train(run, 3)

    torch.manual_seed(7), random.seed(7), np.random.seed(7)
    resumed = make_run(tiny_clip, accelerator)
    load_checkpoint(checkpoint, *resumed)
    train(resumed, 3)

    assert read_training_state(checkpoint) == {"step": 3, "history": [{"loss": 1.5}]}
    assert resumed[3].get_last_lr() == run[3].get_last_lr()
    for (name, left), right in zip(run[1].state_dict().items(), resumed[1].state_dict().values()):
        assert torch.equal(left, right), name


def test_checkpoint_loads_as_a_model_too(tiny_clip, accelerator, tmp_path):
    run = make_run(tiny_clip, accelerator)
    train(run, 1)
    loaded = DiSTForVideoClassification.from_pretrained(save_checkpoint(tmp_path, 1, *run, state={}))
    for name, tensor in run[1].state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name]), name


def test_old_checkpoints_make_room(tiny_clip, accelerator, tmp_path):
    run = make_run(tiny_clip, accelerator)
    for step in (9, 10, 100):
        save_checkpoint(tmp_path, step, *run, state={}, total_limit=2)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["checkpoint-10", "checkpoint-100"]
    assert find_checkpoint(tmp_path, "latest").name == "checkpoint-100"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-10", "checkpoint-100"]


def test_checkpoint_of_the_same_update_is_replaced(tiny_clip, accelerator, tmp_path):
    run = make_run(tiny_clip, accelerator)
    save_checkpoint(tmp_path, 1, *run, state={"try": 1})
    assert read_training_state(save_checkpoint(tmp_path, 1, *run, state={"try": 2})) == {"try": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-1"]


class Killed(BaseException):
    """In the place of a signal: nothing in the package catches it."""


def test_killed_at_any_step_of_writing_leaves_a_whole_checkpoint(tiny_clip, accelerator, tmp_path, monkeypatch):
    """Before and after every call that changes something on disk, the old checkpoint being removed at the end."""
    run = make_run(tiny_clip, accelerator)
    steps = [
        (torch, "save"),
        (training_checkpoint, "save_file"),
        (Path, "write_text"),
        (os, "replace"),
        (shutil, "rmtree"),
    ]
    count = [0]

    def interrupt(function, die_at):
        def interrupted(*args, **kwargs):
            count[0] += 1
            if count[0] == die_at:
                raise Killed
            result = function(*args, **kwargs)
            count[0] += 1
            if count[0] == die_at:
                raise Killed
            return result

        return interrupted

    die_at, was_killed = 0, True
    while was_killed:
        die_at += 1
        folder = tmp_path / str(die_at)
        save_checkpoint(folder, 1, *run, state={"step": 1}, total_limit=1)
        count[0], was_killed = 0, False
        with monkeypatch.context() as patch:
            for module, name in steps:
                patch.setattr(module, name, interrupt(getattr(module, name), die_at))
            try:
                save_checkpoint(folder, 2, *run, state={"step": 2}, total_limit=1)
            except Killed:
                was_killed = True
        latest = find_checkpoint(folder, "latest")
        assert latest.name in ("checkpoint-1", "checkpoint-2")
        assert latest.name == f"checkpoint-{read_training_state(latest)['step']}"
        load_checkpoint(latest, *run)
        remove_incomplete(folder)
        assert all(path.name.startswith("checkpoint-") for path in folder.iterdir())
    assert die_at > 12


def test_half_a_checkpoint_is_none(tmp_path):
    (tmp_path / "checkpoint-5").mkdir()
    (tmp_path / ".incomplete-checkpoint-6").mkdir()
    assert find_checkpoint(tmp_path, "latest") is None
    with pytest.raises(FileNotFoundError, match="is no checkpoint"):
        find_checkpoint(tmp_path, str(tmp_path / "checkpoint-5"))
    assert find_checkpoint(tmp_path / "nowhere", "latest") is None


def test_checkpoint_of_another_model_is_refused(tiny_clip, accelerator, tmp_path):
    run = make_run(tiny_clip, accelerator)
    checkpoint = save_checkpoint(tmp_path, 1, *run, state={})
    other = make_run(tiny_clip, accelerator, temporal_dim=8)
    before = {name: tensor.clone() for name, tensor in other[1].state_dict().items()}
    with pytest.raises(ValueError, match="is of another model.*weights differ"):
        load_checkpoint(checkpoint, *other)
    assert all(torch.equal(before[name], tensor) for name, tensor in other[1].state_dict().items())


def test_sharded_training_goes_on_from_a_checkpoint_that_any_process_can_read(tiny_clip, tmp_path):
    root = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    finished = subprocess.run(
        [*command, str(root / "tests" / "sharded_run.py"), tiny_clip, str(tmp_path)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert finished.returncode == 0, finished.stderr[-4000:]
    whole, resumed = (load_file(tmp_path / f"{name}.safetensors") for name in ("whole", "resumed"))
    assert whole.keys() == resumed.keys()
    for name in whole:
        torch.testing.assert_close(resumed[name], whole[name], rtol=0, atol=0)
    assert json.loads((tmp_path / "checkpoint-3" / "config.json").read_text())["architectures"] == [
        "DiSTForVideoClassification"
    ]
    model = DiSTForVideoClassification.from_pretrained(tmp_path / "checkpoint-3")
    assert set(whole) == {name for name in model.state_dict() if model.is_tunable(name)}
