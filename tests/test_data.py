# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Every format of datasets gives the same rows, and what cannot be read is an error that says where and why."""

import json
import os
import re
import shutil
import zipfile
from pathlib import Path

import datasets
import numpy as np
import pytest
from listed_videos import class_names, make_files, rows, write

from modeling_dist import VideoDecodingError
from modeling_dist.data.folders import find_videos
from modeling_dist.data.labels import read_class_names
from modeling_dist.data.rows import hash_videos, video_name, video_source
from modeling_dist.data.settings import ScanSettings
from modeling_dist.data.sources import load_train_and_validation, load_videos
from modeling_dist.video_files_dist import VideoLimits


@pytest.fixture(autouse=True)
def _datasets_cache(tmp_path, monkeypatch):
    """Nothing is left in the home folder."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets_cache")
    datasets.disable_progress_bars()


# ---- folders


def test_folder_per_class_is_read_recursively_sorted_and_without_other_files(tmp_path, caplog):
    caplog.set_level("INFO", "modeling_dist.data")
    paths = [
        "archery/b.MP4",
        "archery/deep/er/a.mkv",
        "Bogenschießen 2/ü é.webm",
        "archery/notes.txt",
        "archery/._b.mp4",
    ]
    make_files(tmp_path / "v", *paths, "archery/.cache/c.mp4")
    dataset = load_videos(tmp_path / "v")
    assert rows(dataset, tmp_path / "v") == [
        ("Bogenschießen 2/ü é.webm", "Bogenschießen 2"),
        ("archery/b.MP4", "archery"),
        ("archery/deep/er/a.mkv", "archery"),
    ]
    assert class_names(dataset) == ["Bogenschießen 2", "archery"]
    assert [record.message for record in caplog.records if "ignored" in record.message] == [
        f"2 files in {tmp_path / 'v'} are ignored because they are not named like videos."
    ]
    assert find_videos(tmp_path / "v") == [row["video"]["path"] for row in dataset]


def test_links_are_followed_but_not_in_circles(tmp_path):
    make_files(tmp_path, "elsewhere/a.mp4", "v/archery/b.mp4")
    (tmp_path / "v" / "bowling").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "v")
    (tmp_path / "v" / "archery" / "here").symlink_to(tmp_path / "v" / "archery")
    assert rows(load_videos(tmp_path / "v"), tmp_path / "v") == [
        ("archery/b.mp4", "archery"),
        ("bowling/a.mp4", "bowling"),
    ]


def test_folders_named_by_numbers_are_ordered_as_numbers(tmp_path):
    make_files(tmp_path, *(f"{name}/a.mp4" for name in ("10", "9", "2")))
    assert class_names(load_videos(tmp_path)) == ["2", "9", "10"]


@pytest.mark.parametrize("present, chosen", [
    (["test", "valid", "val", "validation"], "validation"), (["test", "valid", "val"], "val"),
    (["test", "valid"], "valid"), (["test"], "test"), (["Val"], "Val"),
])  # fmt: skip
def test_the_first_validation_split_that_is_there_is_taken(tmp_path, present, chosen):
    make_files(tmp_path, *(f"{split}/{name}/{split}.mp4" for split in ["train", *present] for name in "ab"))
    train, validation = load_train_and_validation(tmp_path)
    assert rows(train, tmp_path) == [("train/a/train.mp4", "a"), ("train/b/train.mp4", "b")]
    assert rows(validation, tmp_path) == [(f"{chosen}/a/{chosen}.mp4", "a"), (f"{chosen}/b/{chosen}.mp4", "b")]


def test_splits_of_other_names_and_classes_named_like_splits(tmp_path):
    make_files(tmp_path / "s", "fit/a/1.mp4", "held out/a/2.mp4")
    train, validation = load_train_and_validation(tmp_path / "s", train_split="fit", validation_split="held out")
    assert rows(train, tmp_path / "s") + rows(validation, tmp_path / "s") == [
        ("fit/a/1.mp4", "a"),
        ("held out/a/2.mp4", "a"),
    ]
    # Vehicles, among them a train.
    make_files(tmp_path / "v", "train/1.mp4", "bus/2.mp4")
    assert class_names(load_videos(tmp_path / "v")) == ["bus", "train"]


def test_every_split_of_a_folder_has_the_class_names_of_all(tmp_path):
    make_files(tmp_path, "train/a/1.mp4", "train/b/2.mp4", "train/c/3.mp4", "val/c/4.mp4")
    validation = load_videos(tmp_path, split="val")
    assert class_names(validation) == ["a", "b", "c"] and rows(validation, tmp_path) == [("val/c/4.mp4", "c")]
    assert len(load_videos(tmp_path)) == 4
    with pytest.raises(ValueError, match='no videos in a split "tset"; its splits are "train", "val"'):
        load_videos(tmp_path, split="tset")


def test_a_class_that_only_validation_has_is_an_error_that_names_it(tmp_path):
    make_files(tmp_path, "train/a/1.mp4", "train/b/2.mp4", "val/a/3.mp4", "val/zorbing/4.mp4")
    with pytest.raises(
        ValueError,
        match=r'val has labels that are not among the 2 class names .*: "zorbing"\. The class names are "a", "b"',
    ):
        load_train_and_validation(tmp_path)
    train, validation = load_train_and_validation(tmp_path, class_names=["zorbing", "b", "a"])
    assert class_names(train) == class_names(validation) == ["zorbing", "b", "a"]
    assert validation["label"][:] == [2, 0]


@pytest.mark.parametrize("paths, message", [
    (["a/notes.txt"], r"There are no videos in .*: no file ends with .mp4.* Arrange the videos as in .*archery/a.mp4"),
    (["1.mp4", "2.mp4", "a/3.mp4"], r"1.mp4 \(and 1 more\) is not in the folder of a class.*archery/1.mp4"),
    (["train/1.mp4", "val/a/2.mp4"], r"train/1.mp4 is not in the folder of a class\."),
])  # fmt: skip
def test_a_folder_that_is_laid_out_otherwise_is_an_error(tmp_path, paths, message):
    with pytest.raises(ValueError, match=message):
        load_videos(make_files(tmp_path, *paths))


# ---- the random split


def test_random_split_is_stratified_disjoint_and_deterministic(tmp_path, caplog):
    caplog.set_level("INFO", "modeling_dist.data")
    counts = {"a": 40, "b": 20, "c": 12, "alone": 1}
    make_files(tmp_path / "v", *(f"{name}/{i:02d}.mp4" for name, count in counts.items() for i in range(count)))
    train, validation = load_train_and_validation(tmp_path / "v", validation_fraction=0.25, seed=3)
    everything = rows(load_videos(tmp_path / "v"), tmp_path / "v")
    assert sorted(rows(train, tmp_path / "v") + rows(validation, tmp_path / "v")) == sorted(everything)
    labels = [label for _, label in rows(validation, tmp_path / "v")]
    assert {name: labels.count(name) for name in counts} == {"a": 10, "b": 5, "c": 3, "alone": 0}
    assert class_names(train) == class_names(validation) == ["a", "alone", "b", "c"]
    assert f'classes of {tmp_path / "v"} that have only one: "alone".' in caplog.text
    assert any(
        "18 of the 73 videos" in record.message and "chosen at random" in record.message for record in caplog.records
    )

    again = load_train_and_validation(tmp_path / "v", validation_fraction=0.25, seed=3)
    assert [hash_videos(part) for part in again] == [hash_videos(train), hash_videos(validation)]
    other = load_train_and_validation(tmp_path / "v", validation_fraction=0.25, seed=4)
    assert hash_videos(other[1]) != hash_videos(validation)


@pytest.mark.parametrize("num_classes, fraction, expected", [(10, 0.1, 10), (3, 0.01, 3), (4, 0.99, 8)])
def test_random_split_leaves_every_class_in_training_and_in_validation(tmp_path, num_classes, fraction, expected):
    make_files(tmp_path, *(f"{name}/{i}.mp4" for name in range(num_classes) for i in range(3)))
    train, validation = load_train_and_validation(tmp_path, validation_fraction=fraction)
    assert len(validation) == expected
    assert set(train["label"][:]) == set(range(num_classes))
    held_out = np.bincount(validation["label"][:], minlength=num_classes)
    assert held_out.max() - held_out.min() <= 1


@pytest.mark.parametrize("lines, options, message", [
    ("1.mp4 a\n2.mp4 a", {"validation_fraction": 1.0}, "`validation_fraction` must lie between 0 and 1, got 1.0"),
    ("1.mp4 a\n2.mp4 b", {}, "only one video of every class"),
    ("1.mp4 a\n2.mp4 a\n1.mp4 b", {}, r'lists 1 videos more than once \(".*1.mp4"\).*List each video once'),
    ("1.mp4 a\n2.mp4 a", {"validation_split": "val"}, 'no videos in a split "val"; it has no splits'),
    ("1.mp4 a\n2.mp4 a", {"train_split": "fit"}, 'no videos in a split "fit"; it has no splits'),
])  # fmt: skip
def test_random_split_that_cannot_be_made_is_an_error(tmp_path, lines, options, message):
    make_files(tmp_path, "1.mp4", "2.mp4")
    with pytest.raises(ValueError, match=message):
        load_train_and_validation(write(tmp_path / "list.txt", lines), **options)


# ---- lists


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("text", [
    "a b/ü 1.mp4 1\nc.MKV 0\n", "a b/ü 1.mp4,1\nc.MKV,0\n\n", "a b/ü 1.mp4\t1\nc.MKV\t0", '"a b/ü 1.mp4", 1\n"c.MKV", 0',
    "path label\na b/ü 1.mp4 1\nc.MKV 0\n", "\ufeffa b/ü 1.mp4 1\nc.MKV 0\n",
])  # fmt: skip
def test_kinetics_list(tmp_path, text, newline):
    make_files(tmp_path, "a b/ü 1.mp4", "c.MKV")
    for name in ("list.txt", "list.csv", "list"):
        dataset = load_videos(write(tmp_path / name, text, newline))
        assert rows(dataset, tmp_path) == [("a b/ü 1.mp4", "1"), ("c.MKV", "0")] and class_names(dataset) == ["0", "1"]
    named = load_videos(tmp_path / "list", class_names=["eins", "zwei", "drei"])
    assert class_names(named) == ["eins", "zwei", "drei"] and named["label"][:] == [1, 0]


def test_list_with_words_as_labels_and_paths_without_extension(tmp_path):
    make_files(tmp_path, "a, b.mp4", "c d", "e")
    path = write(tmp_path / "list.txt", "a, b.mp4 riding a bike\nc d\triding a bike\ne yoga\n")
    dataset = load_videos(path)
    assert rows(dataset, tmp_path) == [("a, b.mp4", "riding a bike"), ("c d", "riding a bike"), ("e", "yoga")]


def test_integer_labels_without_names_count_up_to_the_largest(tmp_path):
    make_files(tmp_path, "a.mp4")
    dataset = load_videos(write(tmp_path / "list.txt", "a.mp4 4\n"))
    assert class_names(dataset) == ["0", "1", "2", "3", "4"] and dataset["label"][:] == [4]


def test_relative_paths_start_at_the_list_or_at_video_root_and_urls_stay(tmp_path):
    make_files(tmp_path, "lists/a.mp4", "videos/a.mp4", "videos/b.mp4")
    path = write(tmp_path / "lists" / "list.txt", f"a.mp4 0\n{tmp_path}/videos/b.mp4 0\nhttps://host/c.mp4 0\n")
    names = [video_name(row["video"]) for row in load_videos(path)]
    assert names == [f"{tmp_path}/lists/a.mp4", f"{tmp_path}/videos/b.mp4", "https://host/c.mp4"]
    assert video_name(load_videos(path, video_root=tmp_path / "videos")[0]["video"]) == f"{tmp_path}/videos/a.mp4"
    assert video_name(load_videos(path, video_root="hf://datasets/o/n")[0]["video"]) == "hf://datasets/o/n/a.mp4"


def test_names_do_not_depend_on_where_the_process_stands(tmp_path, monkeypatch):
    make_files(tmp_path, "a.mp4")
    write(tmp_path / "list.txt", "a.mp4 0")
    monkeypatch.chdir(tmp_path)
    assert video_name(load_videos("list.txt")[0]["video"]) == str(tmp_path / "a.mp4")


def test_a_missing_video_is_not_noticed_but_a_wrong_root_is(tmp_path):
    make_files(tmp_path, "v/a.mp4")
    path = write(tmp_path / "list.txt", "gone.mp4 0\na.mp4 0\n")
    assert len(load_videos(path, video_root=tmp_path / "v")) == 2
    message = f"None of the first 2 videos of {path} exists, beginning with {tmp_path}/gone.mp4. Relative paths are resolved "
    with pytest.raises(FileNotFoundError, match=re.escape(f"{message}against {tmp_path}, the folder of the list")):
        load_videos(path)
    with pytest.raises(FileNotFoundError, match=re.escape(f"against {tmp_path / 'w'}, `video_root`")):
        load_videos(path, video_root=tmp_path / "w")


def test_only_the_first_videos_are_looked_for(tmp_path):
    make_files(tmp_path, "a.mp4")
    missing = [f"{index}.mp4 0\n" for index in range(20)]
    assert len(load_videos(write(tmp_path / "list.txt", "".join([*missing[:19], "a.mp4 0\n"])))) == 20
    with pytest.raises(FileNotFoundError, match="None of the first 20 videos"):
        load_videos(write(tmp_path / "list.txt", "".join([*missing, "a.mp4 0\n"])))


def test_csv_keeps_quotes_leading_zeros_and_words_that_look_like_nothing(tmp_path):
    make_files(tmp_path, "a, b.mp4", "c.mp4", "d.mp4")
    text = '\ufeffid,Label, Video \n1,None,"a, b.mp4"\n2,"say ""hi"", ok",c.mp4\n\n3,007,d.mp4\n'
    for newline in ("\n", "\r\n"):
        dataset = load_videos(write(tmp_path / "list.csv", text, newline))
        assert rows(dataset, tmp_path) == [("a, b.mp4", "None"), ("c.mp4", 'say "hi", ok'), ("d.mp4", "007")]


def test_csv_with_other_separators_and_named_columns(tmp_path):
    make_files(tmp_path, "c.mp4")
    for name, text in [("list.csv", "what;where\nyoga;c.mp4\n"), ("list.tsv", "what\twhere\nyoga\tc.mp4\n")]:
        path = write(tmp_path / name, text)
        assert rows(load_videos(path, video_column="where", label_column="what"), tmp_path) == [("c.mp4", "yoga")]


@pytest.mark.parametrize("name, text", [
    ("list.json", '[{"path": "é 1.mp4", "class": "yoga"}, {"path": "b.mp4", "class": "archery", "note": 1}]'),
    ("list.jsonl", '{"path": "é 1.mp4", "class": "yoga"}\n\n{"path": "b.mp4", "class": "archery", "note": 1}\n'),
    ("list.json", '{"path": "\\u00e9 1.mp4", "class": "yoga"}\r\n{"path": "b.mp4", "class": "archery"}'),
])  # fmt: skip
def test_json(tmp_path, name, text):
    make_files(tmp_path, "é 1.mp4", "b.mp4")
    dataset = load_videos(write(tmp_path / name, text))
    assert rows(dataset, tmp_path) == [("é 1.mp4", "yoga"), ("b.mp4", "archery")]


def test_json_with_integer_labels(tmp_path):
    make_files(tmp_path, "a.mp4")
    dataset = load_videos(write(tmp_path / "list.json", '[{"video": "a.mp4", "label": 1}]'), class_names=["x", "y"])
    assert rows(dataset, tmp_path) == [("a.mp4", "y")]


@pytest.mark.parametrize("name, text, options, message", [
    ("l.txt", "", {}, "l.txt lists no videos"),
    ("l.txt", "a.mp4 0\nb.mp4\n", {}, 'Line 2 of .*l.txt is "b.mp4", but must be a path and a label'),
    ("l.txt", "a.mp4 1 2\n", {}, 'Line 1 of .*l.txt has the labels "1 2", but a video can have only one'),
    ("l.txt", "a.mp4 -1\n", {}, 'l.txt has the labels "-1", but labels must not be negative'),
    ("l.txt", "a.mp4 2\n", {"class_names": ["x", "y"]}, r'the labels "2", but there are 2 class names \(`class_names`\), for the labels 0 to 1'),
    ("l.txt", "a.mp4 z\n", {"class_names": ["x", "y"]}, 'not among the 2 class names .*: "z". The class names are "x", "y"'),
    ("l.csv", "", {"dataset_format": "csv"}, "l.csv is empty"),
    ("l.csv", "video,label\n", {}, "l.csv lists no videos"),
    ("l.csv", "clip no,label\n1,a\n", {}, 'has the columns "clip no", "label", none of which is called video, .*Name the column with `video_column`'),
    ("l.csv", "video,kind\na.mp4,b\n", {}, "Name the column with `label_column`"),
    ("l.csv", "video,label\na.mp4,b\n", {"label_column": "kind"}, r'no column "kind" \(`label_column`\)\. Its columns are "video", "label"'),
    ("l.csv", "video,label\na, b.mp4,c\n", {}, "Line 2 of .*l.csv has 3 values for the 2 columns"),
    ("l.csv", "video,label\na.mp4,\n", {}, "Video 1 of .*l.csv needs a path and a label, but has 'a.mp4' and ''"),
    ("l.json", "[1, 2]", {}, "l.json must hold a list of objects"),
    ("l.json", "{", {}, "l.json is neither JSON nor JSON Lines"),
    ("l.jsonl", '{"video": "a.mp4", "label": "x"}\n{"video": "b.mp4"}', {}, "Video 2 of .*l.jsonl needs a path and a label"),
    ("l.json", '[{"video": "a.mp4", "label": true}]', {}, "Video 1 of .*l.json needs a path and a label, but has 'a.mp4' and True"),
    ("l.json", '[{"video": "a.mp4", "label": 0.5}]', {}, "Video 1 of .*l.json needs a path and a label, but has 'a.mp4' and 0.5"),
    ("l.mp4", "", {}, "l.mp4 is a single video. Give a folder of videos"),
    ("l.txt", "a.mp4 0", {"dataset_format": "kinetics"}, '`dataset_format` must be one of auto, folder, .*, got "kinetics"'),
    ("l.txt", "a.mp4 0", {"dataset_format": "folder"}, 'l.txt is a file, which `dataset_format="folder"` cannot read'),
    ("l.txt", "a.mp4 0", {"split": "train"}, 'no videos in a split "train"; it has no splits'),
])  # fmt: skip
def test_a_list_that_cannot_be_understood_is_an_error_that_says_where(tmp_path, name, text, options, message):
    make_files(tmp_path, "a.mp4")
    with pytest.raises(ValueError, match=message):
        load_videos(write(tmp_path / name, text), **options)


def test_a_list_in_another_encoding_is_an_error(tmp_path):
    (tmp_path / "l.txt").write_bytes("ü.mp4 0".encode("latin-1"))
    with pytest.raises(ValueError, match="l.txt is not a text file in UTF-8"):
        load_videos(tmp_path / "l.txt")


def test_settings_are_taken_in_place_of_keywords(tmp_path):
    make_files(tmp_path, "v/a.mp4", "v/b.mp4")
    path = write(tmp_path / "l.csv", "what,where\n1,a.mp4\n1,b.mp4\n")
    options = {
        "video_root": tmp_path / "v",
        "video_column": "where",
        "label_column": "what",
        "class_names": ["x", "y"],
    }
    settings = ScanSettings(dataset=path, **options, num_frames=8)
    assert rows(load_videos(settings), tmp_path / "v") == rows(load_videos(path, **options), tmp_path / "v")
    assert class_names(load_videos(settings, class_names=["s", "t"])) == ["s", "t"] and settings.class_names == [
        "x",
        "y",
    ]
    for one, other in zip(load_train_and_validation(settings), load_train_and_validation(path, **options)):
        assert hash_videos(one) == hash_videos(other)
    with pytest.raises(TypeError, match="format"):
        load_videos(path, format="csv")


def test_lists_for_training_and_validation(tmp_path, caplog):
    make_files(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    train = write(tmp_path / "train.csv", "video,label\na.mp4,yoga\nb.mp4,archery\n")
    validation = write(tmp_path / "val.txt", "a.mp4 yoga\nc.mp4 yoga\n")
    training, validating = load_train_and_validation(train, validation)
    assert rows(training, tmp_path) == [("a.mp4", "yoga"), ("b.mp4", "archery")]
    assert rows(validating, tmp_path) == [("a.mp4", "yoga"), ("c.mp4", "yoga")]
    assert class_names(training) == class_names(validating) == ["archery", "yoga"]
    assert "1 videos are in both training and validation" in caplog.text


def test_many_paths_are_not_touched_one_by_one(tmp_path, monkeypatch):
    path = write(tmp_path / "list.txt", "a.mp4 0\n" + "".join(f"{i:06d}.mp4 {i % 400}\n" for i in range(50_000)))
    make_files(tmp_path, "a.mp4")
    looked_at = []
    exists = os.path.exists
    monkeypatch.setattr(os.path, "exists", lambda path: looked_at.append(path) or exists(path))
    monkeypatch.setattr(os.path, "isfile", lambda path: looked_at.append(path) or exists(path))
    assert len(load_videos(path)) == 50_001
    assert len(looked_at) < 100


# ---- Something-Something V2


@pytest.fixture
def ssv2(tmp_path):
    make_files(tmp_path, "webm/78687.webm", "webm/42326.mp4")
    entries = [
        {
            "id": "78687",
            "label": "holding potato",
            "template": "Holding [something] next to [something]",
            "placeholders": [],
        },
        {"id": "42326", "label": "x", "template": "Approaching [something] with your camera", "placeholders": []},
        {"id": "1", "label": "x", "template": "Holding [something] next to [something]", "placeholders": []},
    ]
    write(tmp_path / "train.json", json.dumps(entries))
    write(tmp_path / "validation.json", json.dumps(entries[:1]))
    write(tmp_path / "test.json", json.dumps([{"id": "7"}]))
    names = ["Throwing something", "Holding something next to something", "Approaching something with your camera"]
    write(tmp_path / "labels.json", json.dumps({name: str(index) for index, name in enumerate(names)}))
    return tmp_path


def test_something_something_v2(ssv2):
    train, validation = load_train_and_validation(
        ssv2 / "train.json", ssv2 / "validation.json", video_root=ssv2 / "webm"
    )
    holding, approaching = "Holding something next to something", "Approaching something with your camera"
    # One that is not there goes by the release's own extension.
    assert rows(train, ssv2 / "webm") == [("78687.webm", holding), ("42326.mp4", approaching), ("1.webm", holding)]
    assert rows(validation, ssv2 / "webm") == [("78687.webm", holding)]
    assert class_names(validation) == ["Throwing something", holding, approaching]
    assert class_names(load_videos(ssv2 / "train.json", video_root=ssv2 / "webm", class_names=ssv2 / "labels.json")) == [
        "Throwing something", holding, approaching,
    ]  # fmt: skip
    (ssv2 / "labels.json").unlink()
    assert class_names(load_videos(ssv2 / "train.json", video_root=ssv2 / "webm")) == [approaching, holding]


def test_something_something_v2_errors(ssv2):
    with pytest.raises(
        ValueError, match="test.json has no templates.* test split .* Use the train or the validation file"
    ):
        load_videos(ssv2 / "test.json", video_root=ssv2 / "webm")
    with pytest.raises(FileNotFoundError, match="Set `video_root`"):
        load_videos(ssv2 / "train.json")
    with pytest.raises(ValueError, match="must be a JSON file of Something-Something V2"):
        load_videos(ssv2 / "labels.json", dataset_format="ssv2")
    write(ssv2 / "old-labels.json", "{}")
    with pytest.raises(ValueError, match='several label files .*"labels.json", "old-labels.json"'):
        load_videos(ssv2 / "train.json", video_root=ssv2 / "webm")


# ---- datasets on disk and of the Hub


def make_dataset(paths, labels, feature) -> datasets.Dataset:
    """With the bytes of the videos and the names of their files, as videos are uploaded."""
    clips = [{"path": os.path.basename(path), "bytes": Path(path).read_bytes()} for path in paths]
    features = datasets.Features({"clip": datasets.Video(), "action": feature, "note": datasets.Value("string")})
    return datasets.Dataset.from_dict({"clip": clips, "action": labels, "note": ["x"] * len(paths)}, features=features)


@pytest.fixture
def video_dataset(video, short_video):
    return make_dataset([video, short_video], [1, 0], datasets.ClassLabel(names=["yoga", "archery"]))


def names_labels_sizes(dataset):
    label = dataset.features["label"]
    assert dataset.features == {"video": datasets.Video(decode=False), "label": datasets.ClassLabel(names=label.names)}
    return [
        (os.path.basename(row["video"]["path"]), label.int2str(row["label"]), len(row["video"]["bytes"]))
        for row in dataset
    ]


def test_dataset_saved_to_disk(video_dataset, video, short_video, tmp_path):
    expected = [("square.mp4", "archery", os.path.getsize(video)), ("short.mp4", "yoga", os.path.getsize(short_video))]
    video_dataset.save_to_disk(tmp_path / "one")
    dataset = load_videos(tmp_path / "one")
    assert names_labels_sizes(dataset) == expected and class_names(dataset) == ["yoga", "archery"]
    assert video_source(dataset[1]["video"]) == Path(short_video).read_bytes()

    splits = {"train": video_dataset, "validation": video_dataset.select([1])}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "several")
    train, validation = load_train_and_validation(tmp_path / "several")
    assert names_labels_sizes(train) == expected and names_labels_sizes(validation) == expected[1:]
    assert names_labels_sizes(load_videos(tmp_path / "several", split="validation")) == expected[1:]
    # Reading leaves the folder as it was.
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == [
        "data-00000-of-00001.arrow", "dataset_info.json", "state.json",
    ]  # fmt: skip


def test_test_labels_that_are_not_published_do_not_matter_to_training(video_dataset, video, tmp_path):
    hidden = make_dataset([video], [-1], video_dataset.features["action"])
    datasets.DatasetDict(train=video_dataset, validation=video_dataset, test=hidden).save_to_disk(tmp_path / "d")
    assert [len(part) for part in load_train_and_validation(tmp_path / "d")] == [2, 2]
    with pytest.raises(
        ValueError,
        match=r'Row 0 of .*d \(test\) has the label -1 in the column "action".* choose another with `split`',
    ):
        load_videos(tmp_path / "d")


@pytest.mark.parametrize("feature, labels, expected", [
    (datasets.Value("string"), ["yoga", "archery"], ["archery", "yoga"]), (datasets.Value("int64"), [2, 0], ["0", "1", "2"]),
])  # fmt: skip
def test_dataset_with_other_labels(video, short_video, tmp_path, feature, labels, expected):
    make_dataset([video, short_video], labels, feature).save_to_disk(tmp_path / "d")
    dataset = load_videos(tmp_path / "d")
    assert class_names(dataset) == expected
    assert dataset["label"][:] == [expected.index(str(label)) for label in labels]


def test_dataset_without_usual_columns(video_dataset, tmp_path):
    video_dataset.add_column("view", [{"path": "a", "bytes": b""}] * 2, feature=datasets.Video()).save_to_disk(
        tmp_path / "2"
    )
    with pytest.raises(ValueError, match='several columns of videos, "clip", "view". Choose one with `video_column`'):
        load_videos(tmp_path / "2")
    assert video_name(load_videos(tmp_path / "2", video_column="clip")[0]["video"]) == "square.mp4"
    video_dataset.remove_columns("clip").save_to_disk(tmp_path / "0")
    with pytest.raises(ValueError, match="Name the column with `video_column`"):
        load_videos(tmp_path / "0")
    with pytest.raises(ValueError, match='"action" of .* holds ClassLabel.*, but must hold a Video, a path, or bytes'):
        load_videos(tmp_path / "0", video_column="action")
    with pytest.raises(ValueError, match="has the label None"):
        video_dataset.add_column("label", [None, 1]).save_to_disk(tmp_path / "n")
        load_videos(tmp_path / "n")


def test_parquet_file_and_folder(video_dataset, tmp_path):
    (tmp_path / "repository" / "data").mkdir(parents=True)
    for split, part in (("train", video_dataset), ("test", video_dataset.select([1]))):
        part.cast_column("clip", datasets.Video(decode=False)).to_parquet(
            tmp_path / f"repository/data/{split}-0.parquet"
        )
    assert len(load_videos(tmp_path / "repository" / "data" / "train-0.parquet")) == 2
    train, validation = load_train_and_validation(tmp_path / "repository")
    assert (len(train), len(validation)) == (2, 1) and class_names(validation) == ["yoga", "archery"]
    train, validation = load_train_and_validation(
        tmp_path / "repository", train_split="train[:1]", validation_split="train[1:]"
    )
    assert [video_name(part[0]["video"]).split("/")[-1] for part in (train, validation)] == ["square.mp4", "short.mp4"]


@pytest.mark.parametrize("with_empty_bytes", [False, True])
def test_dataset_of_paths(tmp_path, with_empty_bytes):
    make_files(tmp_path / "videos", "a.mp4")
    paths = ["a.mp4", "gone.mp4"]
    clips = [{"path": path, "bytes": None} for path in paths] if with_empty_bytes else paths
    feature = {"path": datasets.Value("string"), "bytes": datasets.Value("binary")}
    features = datasets.Features(
        {"clip": feature if with_empty_bytes else feature["path"], "label": datasets.Value("string")}
    )
    datasets.Dataset.from_dict({"clip": clips, "label": ["x", "y"]}, features=features).to_parquet(
        tmp_path / "l.parquet"
    )
    with pytest.raises(FileNotFoundError, match="beginning with a.mp4. These are the paths in the dataset itself"):
        load_videos(tmp_path / "l.parquet")
    dataset = load_videos(tmp_path / "l.parquet", video_root=tmp_path / "videos")
    assert rows(dataset, tmp_path / "videos") == [("a.mp4", "x"), ("gone.mp4", "y")]
    with pytest.raises(FileNotFoundError, match=re.escape(f"against {tmp_path / 'v'}, `video_root`")):
        load_videos(tmp_path / "l.parquet", video_root=tmp_path / "v")


def test_hub_dataset_from_the_cache(video_dataset, tmp_path):
    """As `load_dataset("someone/clips")` leaves it, for use without a network."""
    folder = tmp_path / "datasets_cache" / "someone___clips" / "default" / "0.0.0" / ("0" * 40)
    video_dataset.save_to_disk(tmp_path / "d")
    shutil.copytree(tmp_path / "d", folder)
    (folder / "state.json").unlink()
    (folder / "data-00000-of-00001.arrow").rename(folder / "clips-train.arrow")
    info = json.loads((folder / "dataset_info.json").read_text())
    split = {"name": "train", "num_bytes": 1, "num_examples": 2, "dataset_name": "clips"}
    info |= {"builder_name": "parquet", "dataset_name": "clips", "config_name": "default", "splits": {"train": split}}
    info |= {"version": {"version_str": "0.0.0", "major": 0, "minor": 0, "patch": 0}}
    (folder / "dataset_info.json").write_text(json.dumps(info))
    dataset = load_videos("someone/clips", split="train")
    assert [name for name, _, _ in names_labels_sizes(dataset)] == ["square.mp4", "short.mp4"]
    with pytest.raises(ValueError, match='no videos in a split "validation"; its splits are "train"'):
        load_train_and_validation("someone/clips", validation_split="validation")


@pytest.fixture
def hub_dataset(tmp_path, monkeypatch):
    """Returns a function that makes `load_dataset` load rows with these paths as a dataset on the Hub."""

    def make(paths, contents=None):
        clips = [{"path": path, "bytes": content} for path, content in zip(paths, contents or [None] * len(paths))]
        features = datasets.Features(
            {"video": datasets.Video(decode=False), "label": datasets.ClassLabel(names=["x"])}
        )
        dataset = datasets.Dataset.from_dict({"video": clips, "label": [0] * len(clips)}, features=features)
        loaded = datasets.DatasetDict({"train": dataset})
        monkeypatch.setattr("modeling_dist.data.hub_datasets.load_dataset", lambda *args, **kwargs: loaded)

    return make


@pytest.mark.parametrize("path", [
    "/home/me/a.mp4", "../../secret.mp4", "videos/../../secret.mp4", "file:///home/me/a.mp4", "FILE:///home/me/a.mp4",
    "hf://datasets/someone/private/a.mp4", "hf://datasets/someone/clips2/a.mp4", "hf://datasets/someone/clips/../private/a.mp4",
    "zip://a.mp4::/home/me/a.zip", "zip://a.mp4::file:///home/me/a.zip", "s3://bucket/a.mp4", "local:///home/me/a.mp4",
    "filecache::https://host/a.mp4", "simplecache://a.mp4::https://host/a.mp4",
])  # fmt: skip
def test_rows_of_a_hub_dataset_name_no_file_of_this_machine(hub_dataset, path):
    hub_dataset(["videos/a.mp4", path])
    with pytest.raises(ValueError, match=re.escape(f'names the video "{path}"') + ".*--allow_local_paths"):
        load_videos("someone/clips", split="train")
    if not path.startswith(("/", "..")):
        assert len(load_videos("someone/clips", split="train", allow_local_paths=True)) == 2
    # Where the content is there, the path is no more than a name.
    hub_dataset(["videos/a.mp4", path], [b"1", b"2"])
    assert len(load_videos("someone/clips", split="train")) == 2


def test_rows_of_a_hub_dataset_name_its_own_files_and_urls(hub_dataset, tmp_path, monkeypatch, video):
    monkeypatch.setattr("modeling_dist.data.hub_datasets.HF_HUB_CACHE", str(tmp_path))
    snapshot = tmp_path / "datasets--someone--clips" / "snapshots" / "1" / "a.mp4"
    snapshot.parent.mkdir(parents=True)
    shutil.copy(video, snapshot)
    paths = [
        str(snapshot), "https://host/a.mp4", "hf://datasets/someone/clips@main/a.mp4",
        "zip://in/a.mp4::hf://datasets/someone/clips/a.zip", "videos/a.mp4",
    ]  # fmt: skip
    hub_dataset(paths)
    found = [video_name(row["video"]) for row in load_videos("someone/clips", split="train")]
    assert found == [*paths[:4], "hf://datasets/someone/clips/videos/a.mp4"]
    revision = load_videos("someone/clips", split="train", dataset_revision="refs/pr/1")
    assert video_name(revision[4]["video"]) == "hf://datasets/someone/clips@refs%2Fpr%2F1/videos/a.mp4"
    rooted = load_videos("someone/clips", split="train", video_root=tmp_path)
    assert video_name(rooted[4]["video"]) == str(tmp_path / "videos/a.mp4")


def test_a_source_that_is_nowhere_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="someone/nothing is neither a local file or folder nor a dataset"):
        load_videos("someone/nothing")
    with pytest.raises(FileNotFoundError, match="There is no file or folder .*train.csv"):
        load_videos("lists/train.csv")
    with pytest.raises(FileNotFoundError, match='There is no .*gone, which `dataset_format="disk"` needs'):
        load_videos(tmp_path / "gone", dataset_format="disk")


# ---- class names


@pytest.mark.parametrize("name, text", [
    ("n.json", '["b c", "ä"]'), ("n.json", '{"ä": "1", "b c": "0"}'), ("n.json", '{"1": "ä", "0": "b c"}'),
    ("n.txt", "b c\r\nä\r\n\r\n"),
])  # fmt: skip
def test_class_names_from_a_file(tmp_path, name, text):
    assert read_class_names(write(tmp_path / name, text)) == read_class_names(["b c", "ä"]) == ["b c", "ä"]


@pytest.mark.parametrize("text, message", [
    ('["a", "b", "a"]', 'class names more than once: "a"'), ("[]", "at least one class name"), ("[1]", "at least one class name"),
    ('{"a": 0, "b": 2}', "indices .* they must be 0 to 1"), ('{"a": 0, "b": 0}', "they must be 0 to 1"),
    ('{"a": 0, "b": "x"}', "they must be 0 to 1"), ('"a"', "at least one class name"), ("a, b", "neither JSON nor JSON Lines"),
])  # fmt: skip
def test_class_names_that_are_none(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_class_names(write(tmp_path / "n.json", text))


def test_class_names_in_a_file_that_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="`class_names` is .*n.txt, but there is no such file"):
        read_class_names(tmp_path / "n.txt")


# ---- leaving videos out


def test_excluded_videos_are_left_out_and_the_class_names_stay(tmp_path, caplog):
    make_files(tmp_path / "v", "train/a/1.mp4", "train/b/2, x.mp4", "train/b/3.mp4", "val/b/4.mp4", "val/a/5.mp4")
    problems = write(
        tmp_path / "p.csv", f'video,problem\n"{tmp_path}/v/train/b/2, x.mp4",\nval/a/5.mp4,\n/else/where.mp4,\n'
    )
    train, validation = load_train_and_validation(tmp_path / "v", exclude=problems)
    assert rows(train, tmp_path / "v") == [("train/a/1.mp4", "a"), ("train/b/3.mp4", "b")]
    assert rows(validation, tmp_path / "v") == [("val/b/4.mp4", "b")] and class_names(validation) == ["a", "b"]
    assert not caplog.records

    load_videos(tmp_path / "v", split="train", exclude=write(tmp_path / "q.csv", "video\n/else/where.mp4\n"))
    assert "q.csv names 1 videos to leave out, beginning with /else/where.mp4, but none of them is in" in caplog.text
    assert len(load_videos(tmp_path / "v", exclude=write(tmp_path / "r.csv", "video,problem,reason\r\n"))) == 5


@pytest.mark.parametrize("text, message", [
    ("path\na.mp4\n", r'must be a CSV file with a column "video".* its columns are "path"'),
    ("", 'a column "video"'), ("video\na.mp4\n", "leaves no video of"),
])  # fmt: skip
def test_exclude_errors(tmp_path, text, message):
    make_files(tmp_path, "a.mp4")
    path = write(tmp_path / "l.txt", "a.mp4 0")
    with pytest.raises(ValueError, match=message):
        load_videos(path, exclude=write(tmp_path / "e.csv", text))
    with pytest.raises(FileNotFoundError, match="There is no file .*gone.csv"):
        load_videos(path, exclude=tmp_path / "gone.csv")


def test_excluding_a_name_that_several_videos_have_says_so(tmp_path, video, caplog):
    clips = [video, video, shutil.copy(video, tmp_path / "c.mp4")]
    make_dataset(clips, ["a", "a", "b"], datasets.Value("string")).save_to_disk(tmp_path / "d")
    dataset = load_videos(tmp_path / "d", exclude=write(tmp_path / "e.csv", "video\nsquare.mp4\n"))
    assert [video_name(row["video"]) for row in dataset] == ["c.mp4"]
    assert "Several videos of" in caplog.text and 'are named "square.mp4"' in caplog.text


def test_videos_without_a_path_cannot_be_excluded(tmp_path, video):
    features = datasets.Features({"video": datasets.Video(), "label": datasets.Value("string")})
    content = Path(video).read_bytes()
    datasets.Dataset.from_dict({"video": [content], "label": ["a"]}, features=features).save_to_disk(tmp_path / "d")
    assert load_videos(tmp_path / "d")[0]["video"] == {"bytes": content, "path": None}
    with pytest.raises(ValueError, match="videos without a path"):
        load_videos(tmp_path / "d", exclude=write(tmp_path / "e.csv", "video\nvideo 0\n"))


# ---- rows


def test_video_source_and_name(tmp_path, video):
    content = Path(video).read_bytes()
    assert video_source(video) == video_source({"path": video, "bytes": None}) == video
    assert video_source({"path": "a.mp4", "bytes": content}) == content
    assert video_source("https://host/a.mp4") == "https://host/a.mp4"
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(video, "in/a.mp4")
    assert video_source({"path": f"zip://in/a.mp4::{tmp_path}/a.zip", "bytes": None}) == content
    with pytest.raises(VideoDecodingError, match="zip://b.mp4::.* cannot be read"):
        video_source(f"zip://b.mp4::{tmp_path}/a.zip")
    with pytest.raises(VideoDecodingError, match="zip://in/a.mp4::.* more than 1,000 bytes"):
        video_source(f"zip://in/a.mp4::{tmp_path}/a.zip", VideoLimits(download_bytes=1000))
    for nothing in ({"path": None, "bytes": None}, None):
        with pytest.raises(VideoDecodingError, match="neither a path nor bytes"):
            video_source(nothing)
    assert video_name({"path": video, "bytes": None}, 3) == video
    assert video_name({"path": None, "bytes": b""}, 17) == "video 17"


def test_hash_tells_lists_apart_but_not_where_they_lie(tmp_path):
    text = "a/1.mp4 x\nb/2.mp4 y\nb/3.mp4 y\n"
    make_files(tmp_path / "here", "a/1.mp4")
    make_files(tmp_path / "moved" / "there", "a/1.mp4")
    first = hash_videos(load_videos(write(tmp_path / "here" / "l.txt", text)))
    assert re.fullmatch("[0-9a-f]{16}", first)
    assert hash_videos(load_videos(write(tmp_path / "moved" / "there" / "l.txt", text))) == first
    lines = text.splitlines()
    others = [
        text.replace("2.mp4 y", "2.mp4 x"), text.replace("3.mp4", "4.mp4"), "\n".join(lines[::-1]), "\n".join(lines[:2]),
        text.replace("b/", "c/"),
    ]  # fmt: skip
    hashes = [hash_videos(load_videos(write(tmp_path / "here" / "l.txt", other))) for other in others]
    assert len({first, *hashes}) == 6


@pytest.mark.parametrize(
    ("source", "count", "first", "last"),
    [
        ("k400", 400, "abseiling", "zumba"),
        ("ssv2", 174, "Approaching something with your camera", "Wiping something off of something"),
    ],
)
def test_built_in_class_names(source, count, first, last):
    names = read_class_names(source)
    assert len(set(names)) == count
    assert (names[0], names[-1]) == (first, last)


def test_class_names_that_are_nowhere_are_named(tmp_path):
    with pytest.raises(OSError, match="k600.*one of k400, ssv2"):
        read_class_names("k600")
