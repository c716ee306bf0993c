# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""UCF101 and HMDB51 as they are evaluated zero-shot: the test videos of their three official splits, from their own files."""

import os
from pathlib import Path

from datasets import ClassLabel, Dataset, Features, Video

from .labels import class_name_in_words, read_class_names
from .settings import OFFICIAL_SPLITS


NUM_SPLITS = 3


def load_official_splits(
    dataset: str,
    folder: str | os.PathLike,
    video_root: str | os.PathLike,
    class_names: list[str] | str | os.PathLike | None = None,
) -> tuple[Dataset, list[list[int]]]:
    """
    The test videos of all three splits, each once, and which of them each split has.

    Args:
        dataset (`str`):
            `"ucf101"` or `"hmdb51"`.
        folder (`str` or `os.PathLike`):
            The dataset's split files: `testlist01.txt` to `testlist03.txt` with lines `Class/video.avi` (UCF101), or
            `<class>_test_split1.txt` to `…3.txt` with lines `video.avi 2`, where 2 means test (HMDB51).
        video_root (`str` or `os.PathLike`):
            The folder with a folder per class.
        class_names (`list[str]`, `str` or `os.PathLike`, *optional*):
            Names for the classes, or a file of them, in the alphabetical order of the folders' names. By default these,
            taken apart into words.

    Returns:
        `tuple[datasets.Dataset, list[list[int]]]`: Videos with the columns `video` and `label`, and for each of the splits
        its rows.

    Raises:
        FileNotFoundError: If a split file is missing, or none of the first videos is there.
        ValueError: If a file has lines of another kind, or the class names are not as many as the classes.
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
    rows = {video: row for row, video in enumerate(videos)}
    paths = [os.path.abspath(os.path.join(video_root, *video)) for video in videos]
    if not any(map(os.path.exists, paths[:20])):
        raise FileNotFoundError(
            f"There is no {paths[0]}, nor any of the other first videos. `video_root` must be the folder with a folder per "
            "class."
        )
    features = Features({"video": Video(decode=False), "label": ClassLabel(names=names)})
    labels = [classes.index(name) for name, _ in videos]
    columns = {"video": [{"path": path, "bytes": None} for path in paths], "label": labels}
    return Dataset.from_dict(columns, features=features), [[rows[video] for video in split] for split in splits]


def _read_lines(path: Path) -> list[str]:
    if not path.is_file():
        raise FileNotFoundError(f"There is no {path}, which is one of the dataset's split files.")
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _read_ucf101(folder: Path, split: int) -> list[tuple[str, str]]:
    path = folder / f"testlist{split:02d}.txt"
    videos = []
    for line in _read_lines(path):
        parts = line.split()[0].split("/")  # a label may follow, as in the lists for training
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


__all__ = ["load_official_splits"]
