# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""The test videos of UCF101 and HMDB51 in their three official splits, for zero-shot evaluation."""

import os
from pathlib import Path

from datasets import ClassLabel, Dataset

from .labels import class_name_in_words, read_class_names
from .rows import check_some_exist, make_path_dataset
from .settings import OFFICIAL_SPLITS
from .text import read_text


NUM_SPLITS = 3


def _read_lines(path: Path) -> list[str]:
    if not path.is_file():
        raise FileNotFoundError(f"There is no {path}, which is one of the dataset's split files.")
    return [line.strip() for line in read_text(path).splitlines() if line.strip()]


def _read_ucf101(folder: Path, split: int) -> list[tuple[str, str]]:
    path = folder / f"testlist{split:02d}.txt"
    videos = []
    for line in _read_lines(path):
        parts = line.split()[0].split("/")  # a label may follow, as in the training lists
        if len(parts) != 2:
            raise ValueError(f"A line of {path} must be Class/video.avi, got {line!r}.")
        videos.append((parts[0], parts[1]))
    return videos


def _read_hmdb51(folder: Path, split: int) -> list[tuple[str, str]]:
    ending = f"_test_split{split}.txt"
    paths = sorted(folder.glob(f"*{ending}"))
    if not paths:
        raise FileNotFoundError(f"There are no files named <class>{ending} in {folder}.")
    videos = []
    for path in paths:
        for line in _read_lines(path):
            name, _, use = line.rpartition(" ")
            if use not in ("0", "1", "2") or not name:
                raise ValueError(f"A line of {path} must be a video and 0, 1 or 2, got {line!r}.")
            if use == "2":
                videos.append((path.name.removesuffix(ending), name.strip()))
    return videos


def load_official_splits(
    dataset: str,
    folder: str | os.PathLike,
    video_root: str | os.PathLike,
    class_names: list[str] | str | os.PathLike | None = None,
) -> tuple[Dataset, list[list[int]]]:
    """
    Load the test videos of all three splits of `"ucf101"` or `"hmdb51"`, each video once, and the rows that belong to
    each split.

    `folder` has the split files: `testlist01.txt` to `testlist03.txt` with lines such as `Class/video.avi` (UCF101),
    or `<class>_test_split1.txt` to `<class>_test_split3.txt` with lines such as `video.avi 2`, where 2 marks a test
    video (HMDB51). `video_root` has one subfolder per class. Class names, in the alphabetical order of the subfolders,
    default to their names, split into words.
    """
    if dataset not in OFFICIAL_SPLITS:
        raise ValueError(f"`dataset` must be one of {', '.join(OFFICIAL_SPLITS)}, got {dataset!r}.")
    read = _read_ucf101 if dataset == "ucf101" else _read_hmdb51
    splits = [read(Path(folder), split) for split in range(1, NUM_SPLITS + 1)]
    classes = sorted({name for split in splits for name, _ in split})
    names = [class_name_in_words(name) for name in classes] if class_names is None else read_class_names(class_names)
    if len(names) != len(classes):
        raise ValueError(
            f"`class_names` must give a name to each of the {len(classes)} classes from {classes[0]} to {classes[-1]}, got "
            f"{len(names)}."
        )
    videos = sorted({video for split in splits for video in split})
    paths = [os.path.abspath(os.path.join(video_root, *video)) for video in videos]
    check_some_exist(paths, str(folder), "A video is expected in the folder of its class.")
    labels = [classes.index(name) for name, _ in videos]
    rows = {video: row for row, video in enumerate(videos)}
    return (
        make_path_dataset(paths).add_column("label", labels, feature=ClassLabel(names=names)),
        [[rows[video] for video in split] for split in splits],
    )
