# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Folders of videos: one subfolder per class, either directly or within a folder per split."""

import os
from collections.abc import Iterator

from transformers.utils import logging

from .rows import LabeledVideos, make_path_dataset
from .settings import TRAIN_SPLITS, VALIDATION_SPLITS, DatasetSettings
from .text import quote_some


logger = logging.get_logger(__name__)

VIDEO_EXTENSIONS = (
    *(".mp4", ".m4v", ".mkv", ".webm", ".avi", ".mov", ".mpg", ".mpeg", ".wmv", ".flv", ".f4v"),
    *(".3gp", ".3g2", ".ogv", ".ogm", ".ts", ".mts", ".m2ts", ".m2t", ".trp", ".vob", ".mod", ".tod"),
    *(".gif", ".apng", ".asf", ".mxf", ".qt", ".mpe", ".m1v", ".m2v", ".mpv", ".divx", ".xvid", ".dv", ".rm", ".rmvb"),
    *(
        ".nut",
        ".wtv",
        ".ivf",
        ".y4m",
        ".gxf",
        ".h264",
        ".264",
        ".avc",
        ".hevc",
        ".h265",
        ".265",
        ".mjpg",
        ".mjpeg",
        ".obu",
    ),
)


def walk_folders(folder: str) -> Iterator[tuple[str, list[str]]]:
    """Yield a folder and all folders below it, except hidden ones, each with the names of its files. Links are followed."""
    seen = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        if os.path.realpath(parent) in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add(os.path.realpath(parent))
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield parent, files


def is_video_name(name: str) -> bool:
    """Whether a file is named like a video. Hidden files are not, such as the "._a.mp4" that macOS writes beside "a.mp4"."""
    return name.lower().endswith(VIDEO_EXTENSIONS) and not name.startswith(".")


def _list_videos(folder: str) -> tuple[list[str], int]:
    """Return the sorted paths of all videos below a folder, relative to it, and the number of other files."""
    videos, num_others = [], 0
    for parent, files in walk_folders(folder):
        names = [name for name in files if is_video_name(name)]
        videos += [os.path.relpath(os.path.join(parent, name), folder) for name in names]
        num_others += len(files) - len(names)
    return sorted(videos), num_others


def find_videos(folder: str | os.PathLike) -> list[str]:
    """
    Return the absolute paths of the video files in a folder and its subfolders, sorted. Files are recognized by their
    extension; hidden files and subfolders are ignored.
    """
    folder = os.path.abspath(folder)
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"There is no folder {folder}.")
    return [os.path.join(folder, path) for path in _list_videos(folder)[0]]


def _find_split_folders(folder: str, wanted: list[str]) -> dict[str, str] | None:
    """Return the folder of each split, or `None` if the subfolders are classes."""
    folders = [entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith(".")]
    splits = [
        name for name in sorted(folders) if name in wanted or name.lower() in (*TRAIN_SPLITS, *VALIDATION_SPLITS)
    ]
    validation = [name for name in splits if name.lower() not in TRAIN_SPLITS]
    # "train" beside other folders, none of which is named like a validation split, is a class.
    has_splits = len(splits) == len(folders) or len(splits) > len(validation) > 0
    if not folders or not (has_splits or any(name in folders for name in wanted)):
        return None
    return {name: os.path.join(folder, name) for name in splits}


def load_folder(folder: str, settings: DatasetSettings, wanted: list[str]) -> dict[str | None, LabeledVideos]:
    """Return the videos of each split, or all of them under `None`. Subfolders named in `wanted` are splits."""
    splits = _find_split_folders(folder, wanted)
    loaded, num_others = {}, 0
    empty_classes, classes = {}, set()
    for split, split_folder in (splits or {None: folder}).items():
        paths, num_other_files = _list_videos(split_folder)
        num_others += num_other_files
        outside = [path for path in paths if os.sep not in path]
        if outside:
            others = f" (and {len(outside) - 1} more)" if len(outside) > 1 else ""
            raise ValueError(
                f"{os.path.join(split_folder, outside[0])}{others} is not in the folder of a class. Arrange the videos as in "
                f"{os.path.join(split_folder, 'archery', outside[0])}, or give a list of paths and labels."
            )
        classes |= {path.split(os.sep, 1)[0] for path in paths}
        empty_classes |= {
            entry.name: entry.path
            for entry in os.scandir(split_folder)
            if entry.is_dir() and not entry.name.startswith(".")
        }
        if paths:
            loaded[split] = LabeledVideos(
                make_path_dataset([os.path.join(split_folder, path) for path in paths]),
                [path.split(os.sep, 1)[0] for path in paths],
                split_folder,
                labels_are_words=settings.class_names is None,
                root=folder,
            )
    if num_others:
        logger.info(f"{num_others} files in {folder} are ignored because they are not named like videos.")
    if not loaded:
        raise ValueError(
            f"There are no videos in {folder}: no file ends with {', '.join(VIDEO_EXTENSIONS)}. Arrange the videos as in "
            f"{folder}/train/archery/a.mp4 or {folder}/archery/a.mp4, or give a list of paths and labels."
        )
    missing = sorted(path for name, path in empty_classes.items() if name not in classes)
    if missing:
        files = sorted(name for _, names in walk_folders(missing[0]) for name in names)[:3]
        raise ValueError(
            f"There is no video in {quote_some(missing, 3)}{f', but {quote_some(files)}' if files else ''}. Each folder is a class: "
            "remove those that are none, or convert the files in it to a format of videos."
        )
    return loaded
