"""`evaluate(settings)` on real videos, some of which cannot be read."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from datasets import Dataset

from modeling_dist import DiSTForVideoClassification, VideoDecodingError
from modeling_dist.commands import evaluate as command
from modeling_dist.evaluation import EvaluationResult, EvaluationSettings, evaluate
from modeling_dist.training import train


ROOT = Path(__file__).resolve().parents[1]
NUM_VALIDATION = 5  # which two processes cannot share out evenly
BAD_FILES = {"empty.mp4", "text.mp4", "truncated.mp4"}


@pytest.fixture
def settings(trained_dist, motion_videos, tmp_path):
    """An evaluation of a trained model in the test's own process."""
    return EvaluationSettings(
        model=str(trained_dist), dataset=str(motion_videos), num_workers=0, cpu=True, output_dir=str(tmp_path)
    )


def read_metrics(folder: Path):
    return json.loads((Path(folder) / "metrics.json").read_text(encoding="utf-8"))


def test_result_is_that_of_the_report(settings, tmp_path):
    result = evaluate(dataclasses.replace(settings, num_clips=2))
    assert result.is_main_process and result.output_dir == tmp_path
    assert sorted(result.files) == sorted(tmp_path.iterdir())
    written = read_metrics(tmp_path)
    assert written.pop("unreadable") == written.pop("damaged") == {}
    assert sum(map(sum, written.pop("confusion_matrix"))) == NUM_VALIDATION
    assert written == json.loads(json.dumps(result.metrics))
    # The same model, videos and views as at the end of its training.
    trained = read_metrics(settings.model)
    assert written["loss"] == pytest.approx(trained["loss"], rel=1e-4) and written["top1"] == trained["top1"]
    assert written["protocol"]["list_hash"] == trained["protocol"]["list_hash"]


def test_description_has_the_accuracies_and_the_place_of_the_report(tmp_path):
    metrics = {
        "top1": 0.5,
        "top5": 1.0,
        "mean_class_accuracy": 0.25,
        "num_videos": 1234,
        "num_unreadable": 0,
        "num_damaged": 0,
    }
    result = EvaluationResult(metrics, tmp_path, [tmp_path / "metrics.json", tmp_path / "predictions.csv"])
    assert result.describe().splitlines() == [
        "top1                  50.00%",
        "top5                 100.00%",
        "mean_class_accuracy   25.00%",
        "videos                 1,234",
        f"The report is in {tmp_path}: metrics.json, predictions.csv.",
    ]
    counts = {"archery": 3, "yoga": 0, "zumba": 1}
    lines = EvaluationResult({**metrics, "num_videos_per_class": counts}, tmp_path, []).describe().splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["top1", "mean_class_accuracy", "videos"]
    assert lines[1] == "mean_class_accuracy   25.00% over the 2 of 3 classes that have videos"
    deviations = {"splits": [{}] * 3, "top1_std": 0.01, "top5_std": 0.0, "mean_class_accuracy_std": 0.0}
    lines = EvaluationResult({**metrics, **deviations, "num_unreadable": 2}, tmp_path, []).describe().splitlines()
    assert lines[0] == "top1                  50.00% ± 1.00% over the 3 splits"
    assert lines[4] == "unreadable                 2"


def test_evaluation_of_a_randomly_split_dataset_uses_what_was_set_aside(
    settings, tiny_training, motion_videos, tmp_path, caplog
):
    run = {"dataset": str(motion_videos / "validation"), "validation_fraction": 0.4, "output_dir": str(tmp_path)}
    train(dataclasses.replace(tiny_training, **run, num_epochs=1, warmup_epochs=0, per_device_train_batch_size=2))
    trained = read_metrics(tmp_path)
    for model in (tmp_path, tmp_path / "best_model"):
        held_out = dataclasses.replace(settings, model=str(model), dataset=run["dataset"], output_dir=None)
        result = evaluate(dataclasses.replace(held_out, num_clips=2))
        assert result.output_dir == model / "evaluation"
        evaluated = read_metrics(model / "evaluation")
        assert evaluated["num_videos"] == trained["num_videos"] < NUM_VALIDATION
        assert evaluated["confusion_matrix"] == trained["confusion_matrix"]
        assert evaluated["loss"] == pytest.approx(trained["loss"], rel=1e-4)
    assert f"on the {trained['num_videos']} of {NUM_VALIDATION} videos that training has set aside" in caplog.text

    asked_for = dataclasses.replace(settings, model=str(tmp_path), split="validation", num_clips=1)
    assert evaluate(asked_for).metrics["num_videos"] == NUM_VALIDATION


def test_evaluation_stops_at_a_video_that_cannot_be_read_unless_told_otherwise(settings, tmp_path):
    settings = dataclasses.replace(settings, split="train", num_workers=1)
    with pytest.raises(VideoDecodingError, match=r"(?s)\.mp4.*--skip_unreadable"):
        evaluate(settings)
    assert not (tmp_path / "metrics.json").exists()

    result = evaluate(dataclasses.replace(settings, skip_unreadable=True, predictions_format="csv"))

    metrics = read_metrics(tmp_path)
    assert metrics["num_videos"] == 13 and metrics["num_unreadable"] == len(BAD_FILES)
    assert "unreadable                 3" in result.describe()
    assert {Path(video).name for video in metrics["unreadable"]} == BAD_FILES
    protocol = metrics["protocol"]
    assert (protocol["num_frames"], protocol["num_clips"], protocol["num_crops"]) == (8, 3, 1)
    assert protocol["num_listed_videos"] == 16 and protocol["precision"] == "float32"
    assert protocol["model"] == settings.model and protocol["backbone_fingerprint"]
    assert (tmp_path / "predictions.csv").read_text(encoding="utf-8").count("\n") == 14


def test_evaluation_in_half_precision_and_with_crops(settings):
    result = evaluate(dataclasses.replace(settings, dtype="bfloat16", num_crops=3, num_clips=1, view_batch_size=2))
    protocol = read_metrics(result.output_dir)["protocol"]
    assert protocol["precision"] == "bfloat16" and protocol["num_crops"] == 3


def test_mixed_precision_of_the_launcher_is_used_and_said(settings, monkeypatch):
    computed_in, weights = set(), set()
    forward = DiSTForVideoClassification.forward

    def observed(self, *args, **kwargs):
        weights.add(self.dtype)
        computed_in.add(torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else None)
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(DiSTForVideoClassification, "forward", observed)
    precisions = []
    for mixed_precision in ("no", "bf16"):
        monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", mixed_precision)
        precisions.append(evaluate(dataclasses.replace(settings, num_clips=1)).metrics["protocol"]["precision"])
    assert computed_in == {None, torch.bfloat16} and weights == {torch.float32}
    assert precisions == ["float32", "bfloat16"]


def test_two_processes_evaluate_as_one(settings, tmp_path):
    evaluate(dataclasses.replace(settings, batch_size=2, output_dir=str(tmp_path / "report1")))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    launched = subprocess.run(
        [
            *(sys.executable, "-m", "modeling_dist", "evaluate", "--num_processes", "2", "--main_process_port", "0"),
            *("--model", settings.model, "--dataset", settings.dataset, "--batch_size", "2", "--num_workers", "0"),
            *("--cpu", "--output_dir", str(tmp_path / "report2")),
        ],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert launched.returncode == 0, launched.stderr[-4000:]
    assert launched.stdout.count("The report is in") == 1
    by_one, by_two = (Dataset.from_parquet(str(tmp_path / f"report{n}" / "predictions.parquet")) for n in (1, 2))
    assert len(set(by_two["video"])) == NUM_VALIDATION
    assert list(by_one["video"]) == list(by_two["video"])
    torch.testing.assert_close(torch.tensor(by_one["score"][:]), torch.tensor(by_two["score"][:]))
    assert read_metrics(tmp_path / "report2")["num_videos"] == NUM_VALIDATION


def test_report_goes_to_a_folder_named_after_the_variant(settings, monkeypatch):
    monkeypatch.setattr("modeling_dist.evaluation.run.write_report", lambda folder, *_: [folder / "metrics.json"])
    result = evaluate(dataclasses.replace(settings, output_dir=None, num_clips=1, zero_shot=True, shuffle_frames=True))
    assert result.output_dir == Path(settings.model) / "evaluation_zero_shot_shuffled"
    assert result.metrics["protocol"]["shuffled_frames"] is True
    assert result.metrics["protocol"]["zero_shot_weight"] == 0.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": None}, "--model is required"),
        ({"dataset": None}, "--dataset is required"),
        ({"num_clips": 0}, "--num_clips must be at least 1, got 0"),
        ({"batch_size": -1}, "--batch_size must be at least 1, got -1"),
        ({"view_batch_size": 0}, "--view_batch_size must be at least 1, got 0"),
        ({"num_crops": 2}, "--num_crops must be one of 1, 3, got 2"),
        ({"dtype": "int8"}, "--dtype must be one of float32, bfloat16, float16, got int8"),
        ({"predictions_format": "xlsx"}, "--predictions_format must be one of parquet, csv"),
        ({"dataset_format": "ucf101"}, "--dataset_format ucf101 needs --video_root and --zero_shot"),
        ({"class_names": "k400"}, "go with --zero_shot"),
        ({"prompt_templates": ["a video of {}."]}, "go with --zero_shot"),
    ],
)
def test_mistakes_are_told_before_anything_is_read(settings, changes, message):
    with pytest.raises(ValueError, match=message):
        evaluate(dataclasses.replace(settings, **changes))


def test_model_of_another_type_is_refused(settings, tiny_clip):
    with pytest.raises(ValueError, match="is not a DiST: the `model_type` in its config.json is 'clip'"):
        evaluate(dataclasses.replace(settings, model=tiny_clip))


def test_options_are_the_settings():
    given = command.parse(
        ["--model", "m", "--dataset", "d", "--num-clips", "1", "--prompt-templates", "a {}", "b {}", "--zero_shot"]
    )
    assert given == EvaluationSettings(
        model="m", dataset="d", num_clips=1, prompt_templates=["a {}", "b {}"], zero_shot=True
    )
