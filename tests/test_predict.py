"""`predict_files(settings)` and its command on real videos, some of which cannot be read."""

import dataclasses
import json
import re
from pathlib import Path

import pytest
from transformers import pipeline

from modeling_dist import DiSTForVideoClassification, DiSTVideoProcessor
from modeling_dist.commands import predict as command
from modeling_dist.data.settings import PANS
from modeling_dist.evaluation import PredictionSettings, predict_files


BAD_FILES = {"empty.mp4", "text.mp4", "truncated.mp4"}


@pytest.fixture
def settings(trained_dist, video):
    """A prediction of one video in the test's own process."""
    return PredictionSettings(model=str(trained_dist), videos=[video], num_workers=0, device="cpu")


def read_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_predictions_of_a_folder_name_what_failed(trained_dist, motion_videos, tmp_path, capsys):
    folder, output = motion_videos / "train" / PANS[0], tmp_path / "predictions.jsonl"
    with pytest.raises(SystemExit) as stop:
        command.main(
            ["--model", str(trained_dist), "--videos", str(folder), "--output", str(output), "--num-workers", "1"]
        )
    assert stop.value.code == 1
    assert "4 videos classified, 3 could not be read" in capsys.readouterr().err
    records = read_lines(output)
    assert [record["video"] for record in records] == sorted(str(path) for path in folder.glob("*.mp4"))
    assert {Path(record["video"]).name for record in records if "error" in record} == BAD_FILES
    model = DiSTForVideoClassification.from_pretrained(trained_dist)
    processor = DiSTVideoProcessor.from_pretrained(trained_dist)
    for record in records:
        if "error" in record:
            continue
        logits = model(**processor(record["video"], num_clips=3, return_tensors="pt")).logits
        scores = {model.config.id2label[label]: score for label, score in enumerate(logits[0].softmax(-1).tolist())}
        assert {item["label"]: item["score"] for item in record["predictions"]} == pytest.approx(scores, abs=1e-5)
        assert record["predictions"] == sorted(record["predictions"], key=lambda item: -item["score"])


def test_one_video_is_predicted_to_the_screen_and_a_table(settings, video, tmp_path, capsys):
    command.main(["--model", settings.model, "--videos", video, "--num_workers", "0", "--top_k", "2"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == video and len(lines) == 3 and all("%" in line for line in lines[1:])

    assert predict_files(dataclasses.replace(settings, output=str(tmp_path / "p.csv"))) == (1, 0)
    header, row = (tmp_path / "p.csv").read_text(encoding="utf-8").splitlines()
    assert header.split(",")[:3] == ["video", "label_1", "score_1"] and row.startswith(video)
    assert not list(tmp_path.glob("*.incomplete"))
    assert capsys.readouterr().out == ""


def test_unreadable_video_has_its_reason_in_the_table(settings, video, tmp_path, capsys):
    bad = tmp_path / "bad.mp4"
    bad.write_text("not a video")
    shown = []
    table = dataclasses.replace(settings, videos=[str(bad), video], top_k=2, output=str(tmp_path / "p.csv"))
    assert predict_files(table, show=shown.append) == (1, 1)
    _, first, second = (tmp_path / "p.csv").read_text(encoding="utf-8").splitlines()
    assert first.startswith(f"{bad},,,,,") and "cannot be" in first
    assert second.startswith(f"{video},") and second.endswith(",")
    assert [record["video"] for record in shown] == [str(bad), video]
    assert "cannot be" in shown[0]["error"] and len(shown[1]["predictions"]) == 2


def test_damage_and_limits_are_as_the_options_say(settings, damaged_video, video, tmp_path, capsys):
    table = dataclasses.replace(settings, videos=[damaged_video, video], top_k=1, output=str(tmp_path / "p.csv"))
    assert predict_files(table) == (2, 0)
    header, first, second = (tmp_path / "p.csv").read_text(encoding="utf-8").splitlines()
    assert header == "video,label_1,score_1,error,damage"
    assert re.match(rf"{damaged_video},\w+.*,0\.\d+,,.*cut off", first) and second.endswith(",,")
    assert predict_files(dataclasses.replace(table, damaged="ignore")) == (2, 0)
    assert "cut off" not in (tmp_path / "p.csv").read_text(encoding="utf-8")
    assert predict_files(dataclasses.replace(table, damaged="error")) == (1, 1)
    assert predict_files(dataclasses.replace(table, max_frame_pixels=48 * 64 - 1)) == (0, 2)
    assert "exceeds the limit of 3,071 (`frame_pixels`)" in (tmp_path / "p.csv").read_text(encoding="utf-8")
    command.main(["--model", settings.model, "--videos", damaged_video])
    assert re.search(rf"{damaged_video}\n( +\d+\.\d+%  .*\n)+  .*cut off", capsys.readouterr().out)


def test_interrupted_predictions_are_kept_under_another_name(settings, motion_videos, tmp_path):
    def interrupt(record):
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(record)

    seen: list[dict] = []
    folder = str(motion_videos / "validation")
    output = tmp_path / "p.jsonl"
    with pytest.raises(KeyboardInterrupt):
        predict_files(dataclasses.replace(settings, videos=[folder], output=str(output), batch_size=1), show=interrupt)
    assert not output.exists()
    assert read_lines(tmp_path / "p.jsonl.incomplete") == seen


def test_videos_are_predicted_into_other_classes(settings, video, tmp_path):
    labels = ["feeding ducks", "a goal at football"]
    output = tmp_path / "p.jsonl"
    predict_files(dataclasses.replace(settings, candidate_labels=labels, num_clips=1, output=str(output)))
    (record,) = read_lines(output)
    classifier = pipeline("zero-shot-video-classification", model=settings.model)
    expected = {item["label"]: item["score"] for item in classifier(video, candidate_labels=labels)}
    assert {item["label"]: item["score"] for item in record["predictions"]} == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": None}, "--model is required"),
        ({"videos": []}, "--videos is required"),
        ({"videos": ["{folder}"]}, "There are no videos in"),
        ({"output": "table.xlsx"}, r"--output must end in \.csv or \.jsonl, got table\.xlsx"),
        ({"top_k": 0}, "--top_k must be at least 1, got 0"),
        ({"num_clips": 0}, "--num_clips must be at least 1, got 0"),
        ({"batch_size": 0}, "--batch_size must be at least 1, got 0"),
        ({"decoder": "opencv"}, "--decoder must be one of auto, pyav, decord, torchcodec, got opencv"),
    ],
)
def test_mistakes_are_told_before_anything_is_read(settings, changes, message, tmp_path):
    if changes.get("videos"):
        changes = {"videos": [str(tmp_path)]}
    with pytest.raises(ValueError, match=message):
        predict_files(dataclasses.replace(settings, **changes))
