"""What training does in processes of its own: two of them that train as one, sharded weights, and processes that are killed."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from modeling_dist import DiSTForVideoClassification
from modeling_dist.commands.launch import CONFIGURATIONS
from modeling_dist.training import train
from modeling_dist.training.checkpoint import find_checkpoint, list_checkpoints
from modeling_dist.training.settings import parse_settings


TESTS = Path(__file__).resolve().parent
NUM_VALIDATION = 5  # which two processes cannot share out evenly


def run(*command: str | Path) -> subprocess.CompletedProcess:
    """A command in a process of its own, on one thread, so that its arithmetic is the same every time."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(TESTS.parent), "TQDM_MININTERVAL": "60"}
    return subprocess.run(
        [sys.executable, *map(str, command)], env=environment, capture_output=True, text=True, timeout=300
    )


def read_json(path: Path):
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def two_processes(tiny_training, tiny_clip, tmp_path_factory):
    """What two_processes.py leaves, started by accelerate's launcher."""
    folder = tmp_path_factory.mktemp("two_processes")
    tiny_training.save(folder / "recipe.json")
    launcher = ("-m", "accelerate.commands.launch", "--config_file", CONFIGURATIONS["cpu"], "--main_process_port", "0")
    finished = run(*launcher, TESTS / "two_processes.py", folder, folder / "recipe.json", tiny_clip)
    assert finished.returncode == 0, finished.stderr[-4000:]
    return folder


def test_two_processes_train_and_evaluate_as_one(two_processes, trained_dist):
    assert "on 2 process(es)" in (two_processes / "two.log").read_text(encoding="utf-8")
    left, right = (load_file(folder / "model.safetensors") for folder in (trained_dist, two_processes / "two"))
    assert left.keys() == right.keys()
    for name in left:
        torch.testing.assert_close(left[name], right[name], rtol=0, atol=1e-5)
    one, two = (read_json(folder / "evaluation" / "metrics.json") for folder in (trained_dist, two_processes / "two"))
    assert one["num_videos"] == two["num_videos"] == NUM_VALIDATION
    assert one["confusion_matrix"] == two["confusion_matrix"]
    assert one["protocol"]["list_hash"] == two["protocol"]["list_hash"]
    assert two["loss"] == pytest.approx(one["loss"], rel=1e-5)


def test_two_processes_resume_to_the_same_weights(two_processes):
    log = (two_processes / "two.log").read_text(encoding="utf-8")
    assert "after 8 updates" in log
    before, after = (two_processes / "two" / f"{name}.safetensors" for name in ("before", "model"))
    assert before.read_bytes() == after.read_bytes()


def test_sharded_training_goes_on_from_a_checkpoint_that_any_process_can_read(two_processes):
    folder = two_processes / "sharded"
    whole, resumed = (load_file(folder / f"{name}.safetensors") for name in ("whole", "resumed"))
    assert whole.keys() == resumed.keys()
    for name in whole:
        torch.testing.assert_close(resumed[name], whole[name], rtol=0, atol=0)
    assert read_json(folder / "checkpoint-3" / "config.json")["architectures"] == ["DiSTForVideoClassification"]
    model = DiSTForVideoClassification.from_pretrained(folder / "checkpoint-3")
    assert set(whole) == {name for name in model.state_dict() if model.is_tunable(name)}


def test_killed_run_goes_on_to_the_same_weights_bit_for_bit(tiny_training, tmp_path):
    """With augmentation, mixing and workers; killed between two checkpoints, and again while one is being written."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    changes = {"augmentation": True, "mixing_probability": 1.0, "num_workers": 2, "eval_every": 2}
    settings = dataclasses.replace(tiny_training, **changes)
    settings.save(tmp_path / "recipe.json")
    options = ("--recipe", str(tmp_path / "recipe.json"), "--output_dir", str(killed))
    train(dataclasses.replace(settings, output_dir=str(whole)))

    first = run(TESTS / "run_and_kill.py", "update:11", *options)
    assert first.returncode == -signal.SIGKILL, first.stderr[-4000:]
    assert [path.name for path in list_checkpoints(killed)] == ["checkpoint-4", "checkpoint-8"]

    options = (*options, "--resume_from_checkpoint", "latest")
    second = run(TESTS / "run_and_kill.py", "save:1", *options)
    assert second.returncode == -signal.SIGKILL, second.stderr[-4000:]
    assert "after 8 updates" in second.stderr
    assert (killed / ".incomplete-checkpoint-12").is_dir()
    assert find_checkpoint(killed, "latest").name == "checkpoint-8"

    train(parse_settings([*options]))
    assert (killed / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert read_json(killed / "training_history.json") == read_json(whole / "training_history.json")
    assert not list(killed.glob(".incomplete-*"))
    assert [path.name for path in list_checkpoints(killed)] == ["checkpoint-8", "checkpoint-12"]
