"""examples/evaluate.py on real videos, some of which cannot be read."""

import json
import runpy
import sys
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState, GradientState

from modeling_dist.data.motion_dataset import PANS, make_motion_dataset
from modeling_dist.testing import moving_square, write_video


ROOT = Path(__file__).resolve().parents[1]
NUM_VALIDATION = 9
BAD_FILES = {"empty.mp4", "text.mp4", "truncated.mp4"}
PLAIN = ("--no_augmentation", "--mixing_probability", "0")


@pytest.fixture(scope="module")
def in_process():
    """Runs a script within the test's own process: quicker, where it makes no difference."""

    def run_script(script: str, *options: str | Path):
        argv, sys.argv = sys.argv, [script, *map(str, options)]
        num_threads = torch.get_num_threads()
        torch.set_num_threads(1)
        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()
        try:
            runpy.run_path(str(ROOT / "examples" / script), run_name="__main__")
        except SystemExit as stop:
            if stop.code not in (None, 0):
                raise
        finally:
            sys.argv = argv
            torch.set_num_threads(num_threads)
            AcceleratorState._reset_state(reset_partial_state=True)
            GradientState._reset_state()

    return run_script


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """A folder of classes with 24 good videos to train on, one of 3 frames, three that cannot be read, and 9 to evaluate."""
    folder = Path(tmp_path_factory.mktemp("motions")) / "videos"
    make_motion_dataset(folder, num_train=24, num_validation=NUM_VALIDATION, size=32, num_frames=10, num_workers=1)
    bad = folder / "train" / PANS[0]
    good = next((folder / "train" / PANS[1]).iterdir()).read_bytes()
    (bad / "truncated.mp4").write_bytes(good[: len(good) // 3])
    (bad / "empty.mp4").touch()
    (bad / "text.mp4").write_text("not a video")
    (bad / "notes.txt").write_text("not named like one either")
    write_video(bad / "short.mp4", moving_square(3, 32, 32))
    return folder


@pytest.fixture(scope="module")
def options(videos, tiny_clip):
    """A training of three epochs of seven updates, in seconds."""
    return [
        *("--dataset", str(videos), "--backbone", tiny_clip, "--num_frames", "8", "--integration_dim", "64"),
        *("--temporal_dim", "16", "--num_pooling_layers", "1", "--initializer_range", "0", "--num_epochs", "3"),
        *("--warmup_epochs", "1", "--learning_rate", "1e-3", "--num_workers", "1", "--num_clips", "2"),
        *("--per_device_train_batch_size", "4", "--per_device_eval_batch_size", "2", "--logging_steps", "2"),
    ]


def read_json(path: Path):
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def plain_run(options, tmp_path_factory, in_process):
    """The output of a run of one process without augmentation."""
    folder = tmp_path_factory.mktemp("runs") / "plain"
    in_process("train.py", *options, *PLAIN, "--output_dir", folder)
    return folder


def test_evaluation_of_a_randomly_split_dataset_uses_what_was_set_aside(options, videos, tmp_path, in_process, caplog):
    dataset = ("--dataset", videos / "validation")
    fraction = ("--validation_fraction", "0.4", "--num_epochs", "1", "--warmup_epochs", "0")
    in_process("train.py", *options, *PLAIN, *dataset, *fraction, "--output_dir", tmp_path)
    trained = read_json(tmp_path / "metrics.json")
    for model in (tmp_path, tmp_path / "best_model"):
        in_process("evaluate.py", "--model", model, *dataset, "--num_clips", "2", "--num_workers", "0")
        evaluated = read_json(model / "evaluation" / "metrics.json")
        assert evaluated["num_videos"] == trained["num_videos"] < NUM_VALIDATION
        assert evaluated["confusion_matrix"] == trained["confusion_matrix"]
        assert evaluated["loss"] == pytest.approx(trained["loss"], rel=1e-4)
    assert f"on the {trained['num_videos']} of {NUM_VALIDATION} videos that training has set aside" in caplog.text

    in_process("evaluate.py", "--model", tmp_path, "--dataset", videos, "--split", "validation", "--num_workers", "0")
    assert read_json(tmp_path / "evaluation" / "metrics.json")["num_videos"] == NUM_VALIDATION  # as asked for


def test_evaluation_stops_at_a_video_that_cannot_be_read_unless_told_otherwise(
    plain_run, videos, tmp_path, in_process
):
    evaluation = ("--model", plain_run, "--dataset", videos, "--split", "train", "--num_workers", "1")
    with pytest.raises(SystemExit, match=r"(?s)\.mp4.*--skip_unreadable"):
        in_process("evaluate.py", *evaluation, "--output_dir", tmp_path)
    assert not (tmp_path / "metrics.json").exists()

    in_process(
        "evaluate.py", *evaluation, "--skip_unreadable", "--output_dir", tmp_path, "--predictions_format", "csv"
    )

    metrics = read_json(tmp_path / "metrics.json")
    assert metrics["num_videos"] == 25 and metrics["num_unreadable"] == len(BAD_FILES)
    assert {Path(video).name for video in metrics["unreadable"]} == BAD_FILES
    protocol = metrics["protocol"]
    assert (protocol["num_frames"], protocol["num_clips"], protocol["num_crops"]) == (8, 3, 1)
    assert protocol["num_listed_videos"] == 28 and protocol["precision"] == "float32"
    assert protocol["model"] == str(plain_run) and protocol["backbone_fingerprint"]
    assert (tmp_path / "predictions.csv").read_text(encoding="utf-8").count("\n") == 26


def test_evaluation_in_half_precision_and_with_crops(plain_run, videos, tmp_path, in_process):
    in_process(
        *("evaluate.py", "--model", plain_run, "--dataset", videos, "--num_workers", "0", "--dtype", "bfloat16"),
        *("--num_crops", "3", "--num_clips", "1", "--view_batch_size", "2", "--output_dir", tmp_path),
    )
    protocol = read_json(tmp_path / "metrics.json")["protocol"]
    assert protocol["precision"] == "bfloat16" and protocol["num_crops"] == 3
