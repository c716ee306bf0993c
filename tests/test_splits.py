# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Splits and classes as people name them: words for splits, a column of a list, endings of files, links."""

import json
import os
import shutil

import pytest
from listed_videos import class_names, make_files, rows, write

from modeling_dist.data.sources import load_train_and_validation, load_videos


@pytest.mark.parametrize(
    "names", [("training", "testing"), ("Training", "Validation"), ("TRAIN", "DEV"), ("train", "eval")]
)
def test_folders_with_the_usual_words_for_splits_are_splits(tmp_path, names):
    make_files(tmp_path, *(f"{split}/{name}/{split}.mp4" for split in names for name in "ab"))
    train, validation = load_train_and_validation(tmp_path)
    assert rows(train, tmp_path) == [(f"{names[0]}/a/{names[0]}.mp4", "a"), (f"{names[0]}/b/{names[0]}.mp4", "b")]
    assert [path.split("/")[0] for path, _ in rows(validation, tmp_path)] == [names[1]] * 2
    assert rows(load_videos(tmp_path, split=names[1].lower()), tmp_path) == rows(validation, tmp_path)


def test_videos_of_any_format_that_can_be_decoded_count(tmp_path):
    names = [
        f"{i}{end}"
        for i, end in enumerate([".gif", ".ASF", ".mxf", ".3gp", ".3g2", ".ts", ".m2v", ".h264", ".y4m", ".rmvb"])
    ]
    make_files(tmp_path, *(f"class {name}/{name}" for name in names))
    assert len(class_names(load_videos(tmp_path))) == len(names)


def test_a_class_without_a_video_is_an_error_that_names_it(tmp_path):
    make_files(
        tmp_path,
        "train/walking/1.mp4",
        "train/waving/2.psd",
        "train/waving/3.psd",
        "test/walking/4.mp4",
        "test/waving/5.mp4",
    )
    assert class_names(load_videos(tmp_path)) == ["walking", "waving"]
    (tmp_path / "test/waving/5.mp4").unlink()
    with pytest.raises(ValueError, match=r'no video in ".*train/waving"'):
        load_videos(tmp_path)
    (tmp_path / "test/waving").rmdir()
    with pytest.raises(
        ValueError, match=r'no video in ".*train/waving", but "2.psd", "3.psd"\. Each folder is a class'
    ):
        load_videos(tmp_path)
    shutil.rmtree(tmp_path / "train/waving")
    (tmp_path / "train" / ".cache").mkdir()
    assert class_names(load_videos(tmp_path)) == ["walking"]


@pytest.mark.parametrize("column", ["split", "Subset", "partition"])
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_column_may_name_the_splits(tmp_path, column, form, caplog):
    caplog.set_level("INFO", "modeling_dist.data")
    found = [("train", "a"), ("Test", "b"), ("train", "b"), ("Test", "a"), ("extra", "c"), ("train", "c")]
    make_files(tmp_path, *(f"{i}.mp4" for i in range(len(found))))
    if form == "csv":
        text = f"video,label,{column}\n" + "".join(
            f"{i}.mp4,{label},{split}\n" for i, (split, label) in enumerate(found)
        )
    else:
        text = "".join(
            json.dumps({"video": f"{i}.mp4", column: split, "label": label}) + "\n"
            for i, (split, label) in enumerate(found)
        )
    path = write(tmp_path / f"all.{form}", text)
    train, validation = load_train_and_validation(path)
    assert rows(train, tmp_path) == [("0.mp4", "a"), ("2.mp4", "b"), ("5.mp4", "c")]
    assert rows(validation, tmp_path) == [("1.mp4", "b"), ("3.mp4", "a")]
    assert "a column of" in caplog.text and "3 train, 2 Test, 1 extra" in caplog.text
    extra = load_videos(path, split="extra")
    assert rows(extra, tmp_path) == [("4.mp4", "c")] and class_names(extra) == ["a", "b", "c"]
    assert len(load_videos(path)) == 6
    with pytest.raises(ValueError, match='no videos in a split "valid"; its splits are "train", "Test", "extra"'):
        load_train_and_validation(path, validation_split="valid")


def test_a_column_without_a_split_for_training_is_not_used_and_says_so(tmp_path, caplog):
    make_files(tmp_path, *(f"{i}.mp4" for i in range(4)))
    path = write(tmp_path / "all.csv", "video,label,split\n" + "".join(f"{i}.mp4,a,fold{i % 2}\n" for i in range(4)))
    assert len(load_videos(path)) == 4
    assert 'none of them is called train: "fold0", "fold1"' in caplog.text
    with pytest.raises(ValueError, match=r"needs a path, a label and a split, but has '0.mp4', 'a' and ''"):
        load_videos(write(tmp_path / "gap.csv", "video,label,split\n0.mp4,a,\n1.mp4,b,train\n"))


def test_a_csv_without_a_header_may_have_quotes(tmp_path):
    make_files(tmp_path, "a/comma, \"quoted\" 'x'.mp4", "a/plain.mp4")
    path = write(tmp_path / "l.csv", '"a/comma, ""quoted"" \'x\'.mp4",riding a bike\na/plain.mp4,"shaking, hands"\n')
    assert rows(load_videos(path), tmp_path) == [
        ("a/comma, \"quoted\" 'x'.mp4", "riding a bike"), ("a/plain.mp4", "shaking, hands"),
    ]  # fmt: skip


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_file_under_two_names_in_training_and_validation_is_noticed(tmp_path, link, caplog):
    make_files(tmp_path, "train/a/1.mp4", "train/a/2.mp4", "val/a/3.mp4")
    link(tmp_path / "train/a/1.mp4", tmp_path / "val/a/other.mp4")
    load_train_and_validation(tmp_path)
    assert f'1 videos are in both training and validation: "{tmp_path}/train/a/1.mp4"' in caplog.text
