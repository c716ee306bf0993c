import json
import os
import statistics
from pathlib import Path

import pytest
from datasets import Dataset
from transformers import pipeline

from modeling_dist.data.labels import class_name_in_words
from modeling_dist.data.motion_dataset import moving_texture
from modeling_dist.data.official_splits import load_official_splits
from modeling_dist.evaluation import EvaluationSettings, evaluate
from modeling_dist.testing import write_video


CLASSES = {"ucf101": ("PanLeft", "PanRight"), "hmdb51": ("pan_left", "pan_right")}


def make_dataset(folder: Path, dataset: str) -> tuple[Path, Path]:
    """Four videos of each class, of which split k tests those numbered k and k + 1; with split files as the datasets have."""
    import numpy as np

    videos, lists = folder / "videos", folder / "lists"
    lists.mkdir(parents=True)
    tested: dict[int, list[str]] = {1: [], 2: [], 3: []}
    for name in CLASSES[dataset]:
        (videos / name).mkdir(parents=True)
        motion = class_name_in_words(name).lower()
        uses: dict[int, list[str]] = {1: [], 2: [], 3: []}
        for number in range(1, 5):
            file = f"v_{name}_g0{number}.avi"
            write_video(videos / name / file, moving_texture(motion, 10, 32, np.random.default_rng(number)))
            for split in uses:
                is_tested = number in (split, split + 1)
                uses[split].append(f"{file} {2 if is_tested else number % 2}")
                tested[split] += [f"{name}/{file}"] if is_tested else []
        if dataset == "hmdb51":
            for split, lines in uses.items():
                (lists / f"{name}_test_split{split}.txt").write_text(" \n".join(lines) + " \n")
    if dataset == "ucf101":
        for split, lines in tested.items():
            (lists / f"testlist0{split}.txt").write_text("\r\n".join(lines) + "\r\n")
            (lists / f"trainlist0{split}.txt").write_text("PanLeft/v_none.avi 1\n")
    return lists, videos


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ApplyEyeMakeup", "Apply Eye Makeup"),
        ("brush_hair", "brush hair"),
        ("YoYo", "Yo Yo"),
        ("TaiChi", "Tai Chi"),
        ("golf", "golf"),
        ("TVShow", "TV Show"),
    ],
)
def test_class_names_are_taken_apart_into_words(name, words):
    assert class_name_in_words(name) == words


@pytest.mark.parametrize("dataset", ["ucf101", "hmdb51"])
def test_splits_have_the_test_videos_and_every_video_comes_once(dataset, tmp_path):
    lists, root = make_dataset(tmp_path, dataset)
    videos, splits = load_official_splits(dataset, lists, root)

    names = videos.features["label"].names
    assert [name.lower() for name in names] == ["pan left", "pan right"]
    paths = [row["video"]["path"] for row in videos]
    assert len(paths) == len(set(paths)) == 8 and all(map(os.path.exists, paths))
    for row in videos:
        assert Path(row["video"]["path"]).parent.name == CLASSES[dataset][row["label"]]
    for number, rows in enumerate(splits, start=1):
        expected = {f"v_{name}_g0{n}.avi" for name in CLASSES[dataset] for n in (number, number + 1)}
        assert {Path(paths[row]).name for row in rows} == expected and len(rows) == 4


def test_what_is_wrong_is_said(tmp_path):
    lists, root = make_dataset(tmp_path, "ucf101")
    with pytest.raises(ValueError, match="one of ucf101, hmdb51, got 'k400'"):
        load_official_splits("k400", lists, root)
    with pytest.raises(FileNotFoundError, match="video_root"):
        load_official_splits("ucf101", lists, lists)
    with pytest.raises(FileNotFoundError, match="_test_split1.txt"):
        load_official_splits("hmdb51", lists, root)
    with pytest.raises(ValueError, match="each of the 2 classes from PanLeft to PanRight, got 3"):
        load_official_splits("ucf101", lists, root, ["a", "b", "c"])
    (lists / "testlist02.txt").write_text("v_PanLeft_g01.avi\n")
    with pytest.raises(ValueError, match="testlist02.txt must be Class/video.avi"):
        load_official_splits("ucf101", lists, root)
    (lists / "testlist02.txt").unlink()
    with pytest.raises(FileNotFoundError, match="testlist02.txt"):
        load_official_splits("ucf101", lists, root)


def test_zero_shot_evaluation_gives_mean_and_deviation_of_the_splits(tiny_dist, tmp_path):
    lists, root = make_dataset(tmp_path, "hmdb51")
    result = evaluate(
        EvaluationSettings(
            model=tiny_dist,
            dataset=str(lists),
            dataset_format="hmdb51",
            video_root=str(root),
            zero_shot=True,
            prompt_templates=["a video of {}."],
            num_workers=0,
            cpu=True,
            output_dir=str(tmp_path / "out"),
        )
    )

    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert list(metrics["per_class_accuracy"]) == ["pan left", "pan right"]
    assert [split["num_videos"] for split in metrics["splits"]] == [4, 4, 4]
    values = [split["top1"] for split in metrics["splits"]]
    assert metrics["top1"] == pytest.approx(statistics.mean(values))
    assert metrics["top1_std"] == pytest.approx(statistics.pstdev(values))
    assert metrics["num_videos"] == 8
    assert metrics["protocol"]["zero_shot_weight"] == 0.5
    assert metrics["protocol"]["prompt_templates"] == ["a video of {}."]
    assert "over the 3 splits" in result.describe()


def test_zero_shot_scores_are_the_pipelines(tiny_dist, tmp_path):
    """The same videos, labels and views by way of the pipeline."""
    _, root = make_dataset(tmp_path, "ucf101")
    evaluate(
        EvaluationSettings(
            model=tiny_dist,
            dataset=str(root),
            zero_shot=True,
            zero_shot_weight=0.3,
            num_clips=1,
            num_workers=0,
            cpu=True,
            output_dir=str(tmp_path / "out"),
        )
    )

    predictions = Dataset.from_parquet(str(tmp_path / "out" / "predictions.parquet"))
    classifier = pipeline("zero-shot-video-classification", model=tiny_dist)
    for row in predictions:
        best, _ = classifier(row["video"], candidate_labels=["Pan Left", "Pan Right"], zero_shot_weight=0.3)
        assert row["prediction_name"] == best["label"]
        assert row["score"] == pytest.approx(best["score"], rel=1e-4)
