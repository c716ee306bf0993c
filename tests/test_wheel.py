"""From the built wheel alone, in an empty folder: what a user runs, with the command that `pip install` puts on the path."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from modeling_dist.data import make_motion_dataset
from modeling_dist.files import read_json


ROOT = Path(__file__).resolve().parents[1]
GOLDEN = Path(__file__).parent / "fixtures" / "golden_tiny"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder into which nothing but the wheel has been installed."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "modeling_dist", source / "modeling_dist", ignore=shutil.ignore_patterns("__pycache__"))
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    wheels, target = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("installed")
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", wheels, source], check=True)
    (wheel,) = wheels.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", target, wheel], check=True)
    return target


@pytest.fixture(scope="module")
def empty_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("empty")


@pytest.fixture(scope="module")
def run(installed, empty_folder):
    def run_command(*arguments: str, returncode: int = 0) -> str:
        environment = os.environ | {"PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        finished = subprocess.run(
            [installed / "bin" / "modeling-dist", *arguments],
            cwd=empty_folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert finished.returncode == returncode, finished.stderr[-4000:]
        assert "Traceback" not in finished.stderr
        return finished.stdout + finished.stderr

    return run_command


def test_wheel_holds_the_rooms_and_what_they_read(installed):
    package = installed / "modeling_dist"
    tracked = {path.relative_to(ROOT / "modeling_dist") for path in (ROOT / "modeling_dist").rglob("*")}
    expected = {path for path in tracked if path.suffix in (".py", ".json", ".md", ".yaml")}
    found = {path.relative_to(package) for path in package.rglob("*") if path.is_file()}
    assert expected <= found
    assert not (installed / "examples").exists() and not (installed / "tests").exists()


def test_environment_is_that_of_the_wheel(run, installed):
    assert run("--version").startswith("modeling_dist ")
    assert "usage: modeling-dist train" in run("train", "--help")


def test_from_videos_to_a_published_model(run, empty_folder, tiny_clip):
    # What `modeling-dist motions` calls; the command is tested in test_motion_dataset.py.
    make_motion_dataset(empty_folder / "videos", num_train=8, num_validation=4, size=32, num_frames=8, num_workers=1)
    assert "12 good, 0 unreadable, 0 damaged, 0 too short" in run(
        "scan", "--dataset", "videos", "--num-frames", "8", "--output", "problems.csv"
    )
    assert "Done: my-dist holds the model" in run(
        *("train", "--dataset", "videos", "--backbone", tiny_clip, "--output-dir", "my-dist", "--num-frames", "8"),
        *("--integration-dim", "64", "--temporal-dim", "16", "--num-pooling-layers", "1", "--warmup-epochs", "0"),
        *("--per-device-train-batch-size", "4", "--num-workers", "0", "--num-clips", "1", "--num-epochs", "1"),
    )
    assert "refuse" not in run("evaluate", "--model", "my-dist", "--dataset", "videos", "--num-workers", "0")
    metrics = read_json(empty_folder / "my-dist" / "evaluation" / "metrics.json")
    assert metrics["num_videos"] == 4 and metrics["protocol"]["num_clips"] == 3

    output = run("predict", "--model", "my-dist", "--videos", "videos/validation", "--output", "table.csv")
    assert "4 videos classified, 0 could not be read" in output
    assert (empty_folder / "table.csv").read_text().count("\n") == 5

    listed = run("publish", "--model", "my-dist", "--repo-id", "org/my-dist", "--include-backbone", "--dry-run")
    assert "nothing was uploaded" in listed
    assert {"modeling_dist.py", "model.safetensors", "README.md"} <= set(listed.split())


def test_a_checkpoint_of_the_authors_is_converted(run, empty_folder):
    token_ids = load_file(GOLDEN / "inputs.safetensors")["label_token_ids"]
    (empty_folder / "token_ids.json").write_text(json.dumps(token_ids.tolist()))
    checkpoint = str(GOLDEN / "official_checkpoint.pyth")
    arguments = ("convert", "--checkpoint", checkpoint, "--output", "converted")
    report = run(*arguments, "--class-token-ids", "token_ids.json")
    assert "self-check" in report and (empty_folder / "converted" / "model.safetensors").is_file()
