# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Folders of videos: a subfolder per class, in a folder per split or not."""

import os
from collections.abc import Iterator

from transformers.utils import logging

from .rows import LabeledVideos, dataset_of_paths
from .settings import VALIDATION_SPLITS


logger = logging.get_logger(__name__)


VIDEO_EXTENSIONS = (
    *(".mp4", ".m4v", ".mkv", ".webm", ".avi", ".mov", ".mpg", ".mpeg", ".wmv", ".flv", ".f4v"),
    *(".3gp", ".ogv", ".ts", ".mts", ".m2ts", ".vob"),
)


def walk_folders(folder: str) -> Iterator[tuple[str, list[str]]]:
    """Every folder below a folder, itself included, with the names of its files. Links are followed, but not in circles."""
    seen = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        if os.path.realpath(parent) in seen:
            folders.clear()
            continue
        seen.add(os.path.realpath(parent))
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield parent, files


def is_named_like_video(name: str) -> bool:
    """Hidden files are none of the user's, as "._a.mp4", which macOS writes beside "a.mp4" on foreign disks."""
    return name.lower().endswith(VIDEO_EXTENSIONS) and not name.startswith(".")


def _walk(folder: str) -> tuple[list[str], int]:
    """The videos below a folder as paths relative to it, sorted, and how many other files there are."""
    videos, num_others = [], 0
    for parent, files in walk_folders(folder):
        named = [name for name in files if is_named_like_video(name)]
        videos += [os.path.relpath(os.path.join(parent, name), folder) for name in named]
        num_others += len(files) - len(named)
    return sorted(videos), num_others


def find_videos(folder: str | os.PathLike) -> list[str]:
    """
    The video files of a folder and of the folders in it, sorted; a video is what is named like one.

    Args:
        folder (`str` or `os.PathLike`):
            The folder. What is hidden in it (names that start with a dot) is left out.

    Returns:
        `list[str]`: Absolute paths.

    Raises:
        FileNotFoundError: If there is no such folder.
    """
    folder = os.path.abspath(folder)
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"There is no folder {folder}.")
    return [os.path.join(folder, path) for path in _walk(folder)[0]]


def _split_folders(folder: str, wanted: list[str]) -> dict[str, str] | None:
    """The folders of the splits, or `None` where the folders are classes."""
    folders = [entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith(".")]
    splits = [name for name in sorted(folders) if name in wanted or name.lower() in ("train", *VALIDATION_SPLITS)]
    validation = [name for name in splits if name.lower() != "train"]
    # A class can be called "train", too: then there are others beside it.
    has_splits = len(splits) == len(folders) or len(splits) > len(validation) > 0
    if not folders or not (has_splits or any(name in folders for name in wanted)):
        return None
    return {name: os.path.join(folder, name) for name in splits}


def load_folder(folder: str, options: dict, wanted: list[str]) -> dict[str | None, LabeledVideos]:
    splits = _split_folders(folder, wanted)
    loaded, num_others = {}, 0
    for split, split_folder in (splits or {None: folder}).items():
        paths, num_other_files = _walk(split_folder)
        num_others += num_other_files
        outside = [path for path in paths if os.sep not in path]
        if outside:
            raise ValueError(
                f"{os.path.join(split_folder, outside[0])} lies in no folder of a class"
                f"{f', and so do {len(outside) - 1} others' if len(outside) > 1 else ''}. Lay them out as "
                f"{os.path.join(split_folder, 'archery', outside[0])}, or give a list of paths and labels."
            )
        if not paths:
            continue
        loaded[split] = LabeledVideos(
            dataset_of_paths([os.path.join(split_folder, path) for path in paths]),
            [path.split(os.sep, 1)[0] for path in paths],
            split_folder,
            labels_are_words=options["class_names"] is None,
            root=folder,
        )
    if num_others:
        logger.info(f"{num_others} files in {folder} are not named like videos and are ignored.")
    if not loaded:
        raise ValueError(
            f"There are no videos in {folder}: no file in it ends with {', '.join(VIDEO_EXTENSIONS)}. Lay them out as "
            f"{os.path.join(folder, 'train', 'archery', 'a.mp4')} or {os.path.join(folder, 'archery', 'a.mp4')}, or give a list of paths and labels."
        )
    return loaded


__all__ = ["find_videos"]
