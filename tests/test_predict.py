"""examples/predict.py on real videos, some of which cannot be read."""

import json
import runpy
import sys
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState, GradientState
from transformers import pipeline

from modeling_dist import DiSTForVideoClassification, DiSTVideoProcessor
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


def test_predictions_of_a_folder_name_what_failed(plain_run, videos, tmp_path, in_process, capsys):
    folder, output = videos / "train" / PANS[0], tmp_path / "predictions.jsonl"
    with pytest.raises(SystemExit) as stop:
        in_process("predict.py", "--model", plain_run, "--videos", folder, "--output", output, "--num_workers", "1")
    assert stop.value.code == 1
    assert "7 videos classified, 3 could not be read" in capsys.readouterr().err
    records = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert [record["video"] for record in records] == sorted(str(path) for path in folder.glob("*.mp4"))
    assert {Path(record["video"]).name for record in records if "error" in record} == BAD_FILES
    model = DiSTForVideoClassification.from_pretrained(plain_run)
    processor = DiSTVideoProcessor.from_pretrained(plain_run)
    for record in records:
        if "error" in record:
            continue
        logits = model(**processor(record["video"], num_clips=3, return_tensors="pt")).logits
        scores = {model.config.id2label[label]: score for label, score in enumerate(logits[0].softmax(-1).tolist())}
        assert {item["label"]: item["score"] for item in record["predictions"]} == pytest.approx(scores, abs=1e-5)
        assert record["predictions"] == sorted(record["predictions"], key=lambda item: -item["score"])


def test_one_video_is_predicted_to_the_screen_and_a_table(plain_run, video, tmp_path, in_process, capsys):
    in_process("predict.py", "--model", plain_run, "--videos", video, "--num_workers", "0", "--top_k", "2")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == video and len(lines) == 3 and all("%" in line for line in lines[1:])

    in_process(
        "predict.py", "--model", plain_run, "--videos", video, "--num_workers", "0", "--output", tmp_path / "p.csv"
    )
    header, row = (tmp_path / "p.csv").read_text(encoding="utf-8").splitlines()
    assert header.split(",")[:3] == ["video", "label_1", "score_1"] and row.startswith(video)
    assert not list(tmp_path.glob("*.incomplete"))


def test_videos_are_predicted_into_other_classes(plain_run, video, tmp_path, in_process):
    labels = ("feeding ducks", "a goal at football")
    zero_shot = ("--candidate_labels", *labels, "--num_clips", "1", "--output", tmp_path / "p.jsonl")
    in_process("predict.py", "--model", plain_run, "--videos", video, "--num_workers", "0", *zero_shot)
    record = json.loads((tmp_path / "p.jsonl").read_text(encoding="utf-8"))
    classifier = pipeline("zero-shot-video-classification", model=str(plain_run))
    expected = {item["label"]: item["score"] for item in classifier(video, candidate_labels=list(labels))}
    assert {item["label"]: item["score"] for item in record["predictions"]} == pytest.approx(expected, abs=1e-5)
