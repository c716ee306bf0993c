import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from modeling_dist import DiSTForVideoClassification
from modeling_dist.testing import make_tiny_clip, tiny_config_kwargs
from modeling_dist.training import checkpoint as training_checkpoint
from modeling_dist.training.checkpoint import (
    TrainingState,
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


def make_run(clip, accelerator, unfreeze=False, **config_kwargs):
    model = DiSTForVideoClassification.from_backbone(
        clip, class_names=["left", "right"], **{**tiny_config_kwargs(), **config_kwargs}
    )
    if unfreeze:
        model.unfreeze_backbone()
    optimizer = torch.optim.AdamW(parameter_groups(model, 0.1), lr=1e-3)
    scheduler = cosine_schedule(optimizer, steps_per_epoch=2, num_epochs=4, warmup_epochs=1)
    model, optimizer = accelerator.prepare(model, optimizer)
    return accelerator, model.train(), optimizer, scheduler


def train(run, num_steps):
    accelerator, model, optimizer, scheduler = run
    for _ in range(num_steps):
        generator = torch.Generator().manual_seed(scheduler.last_epoch)
        videos = torch.randn(2, 8, 3, 32, 32, generator=generator)
        labels = torch.randint(2, (2,), generator=generator)
        accelerator.backward(model(pixel_values_videos=videos, labels=labels).loss)
        optimizer.step()
        optimizer.zero_grad()
        scheduler.step()


def save(folder, run, step, **kwargs):
    return save_checkpoint(folder, *run, TrainingState(step), run={}, **kwargs)


@pytest.fixture(scope="module")
def clip_with_dropout(tmp_path_factory):
    return make_tiny_clip(tmp_path_factory.mktemp("clip"), attention_dropout=0.5)


@pytest.mark.parametrize(("unfreeze", "has_random_states"), [(False, False), (True, True)])
def test_everything_goes_on_where_it_was(clip_with_dropout, accelerator, tmp_path, unfreeze, has_random_states):
    """With the random numbers of a trained backbone's dropout, and without any where it is frozen."""
    run = make_run(clip_with_dropout, accelerator, unfreeze)
    train(run, 3)
    state = TrainingState(3, 0.5, 1, [{"loss": 1.5}], {"value": 0.25, "step": 2, "epoch": 1.0}, {7: "empty"})
    checkpoint = save_checkpoint(tmp_path, *run, state, run={"seed": 1})
    train(run, 3)

    torch.manual_seed(7)
    resumed = make_run(clip_with_dropout, accelerator, unfreeze)
    load_checkpoint(checkpoint, *resumed)
    train(resumed, 3)

    assert read_training_state(checkpoint) == (state, {"seed": 1})
    assert (checkpoint / "random_states_0.pt").exists() == has_random_states
    assert resumed[3].get_last_lr() == run[3].get_last_lr()
    for (name, left), right in zip(run[1].state_dict().items(), resumed[1].state_dict().values()):
        assert torch.equal(left, right), name


def test_checkpoint_loads_as_a_model_too(tiny_clip, accelerator, tmp_path):
    run = make_run(tiny_clip, accelerator)
    train(run, 1)
    loaded = DiSTForVideoClassification.from_pretrained(save(tmp_path, run, 1))
    for name, tensor in run[1].state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name]), name


def test_old_checkpoints_make_room(tiny_clip, accelerator, tmp_path):
    run = make_run(tiny_clip, accelerator)
    for step in (9, 10, 100):
        save(tmp_path, run, step, total_limit=2)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["checkpoint-10", "checkpoint-100"]
    assert find_checkpoint(tmp_path, "latest").name == "checkpoint-100"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-10", "checkpoint-100"]


def test_checkpoint_of_the_same_update_is_replaced(tiny_clip, accelerator, tmp_path):
    run = make_run(tiny_clip, accelerator)
    for attempt in (1, 2):
        checkpoint = save_checkpoint(tmp_path, *run, TrainingState(1), run={"attempt": attempt})
        assert read_training_state(checkpoint)[1] == {"attempt": attempt}
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
        save(folder, run, 1, total_limit=1)
        count[0], was_killed = 0, False
        with monkeypatch.context() as patch:
            for module, name in steps:
                patch.setattr(module, name, interrupt(getattr(module, name), die_at))
            try:
                save(folder, run, 2, total_limit=1)
            except Killed:
                was_killed = True
        latest = find_checkpoint(folder, "latest")
        assert latest.name in ("checkpoint-1", "checkpoint-2")
        assert latest.name == f"checkpoint-{read_training_state(latest)[0].step}"
        load_checkpoint(latest, *run)
        remove_incomplete(folder)
        assert all(path.name.startswith("checkpoint-") for path in folder.iterdir())
    assert die_at > 12


def test_half_a_checkpoint_is_none(tmp_path):
    (tmp_path / "checkpoint-5").mkdir()
    (tmp_path / ".incomplete-checkpoint-6").mkdir()
    assert find_checkpoint(tmp_path, "latest") is None
    with pytest.raises(FileNotFoundError, match="is not a checkpoint"):
        find_checkpoint(tmp_path, str(tmp_path / "checkpoint-5"))
    assert find_checkpoint(tmp_path / "nowhere", "latest") is None


def test_checkpoint_of_another_model_is_refused(tiny_clip, accelerator, tmp_path):
    run = make_run(tiny_clip, accelerator)
    checkpoint = save(tmp_path, run, 1)
    other = make_run(tiny_clip, accelerator, temporal_dim=8)
    before = {name: tensor.clone() for name, tensor in other[1].state_dict().items()}
    with pytest.raises(ValueError, match="holds another model.*weights differ"):
        load_checkpoint(checkpoint, *other)
    assert all(torch.equal(before[name], tensor) for name, tensor in other[1].state_dict().items())


@pytest.mark.parametrize("name", ["training_state.json", "training.pt", "model.safetensors"])
@pytest.mark.parametrize("damage", ["cut", "missing"])
def test_damaged_checkpoint_is_named(tiny_clip, accelerator, tmp_path, name, damage):
    run = make_run(tiny_clip, accelerator)
    checkpoint = save(tmp_path, run, 1)
    if damage == "cut":
        os.truncate(checkpoint / name, 20)
    else:
        (checkpoint / name).unlink()
    with pytest.raises(ValueError, match=r"checkpoint-1 is damaged.*resume from an earlier one"):
        read_training_state(checkpoint)
        load_checkpoint(checkpoint, *run)


def test_checkpoint_of_a_newer_version_is_refused(tiny_clip, accelerator, tmp_path):
    checkpoint = save(tmp_path, make_run(tiny_clip, accelerator), 1)
    path = checkpoint / "training_state.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({"format_version": 99, "steps": 1}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"format 99, of a newer version.*Update the package.*--model .*checkpoint-1"):
        read_training_state(checkpoint)
    del content["run"]
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ValueError, match=r"damaged.*KeyError: 'run'"):
        read_training_state(checkpoint)
