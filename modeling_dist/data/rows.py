# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""What a row of a dataset says of its video: a path or URL, the bytes of a file, or both."""

import csv
import hashlib
import json
import os
from dataclasses import dataclass

import fsspec
from datasets import Dataset, Video

from ..video_decoding_dist import VideoDecodingError


@dataclass
class LabeledVideos:
    """
    Videos and labels before the labels have numbers.

    `videos` has one column, "video". `labels` are words or integers as words. `class_names` is the order that the source
    itself gives, `root` the folder that the paths lie under.
    """

    videos: Dataset
    labels: list[str]
    origin: str
    class_names: list[str] | None = None
    labels_are_words: bool = False
    root: str | None = None


def is_url(path: str) -> bool:
    return "://" in path


def resolve_path(path: str, root: str) -> str:
    if is_url(path):
        return path
    return f"{root.rstrip('/')}/{path}" if is_url(root) else os.path.normpath(os.path.join(root, path))


def absolute_root(video_root: str | os.PathLike) -> str:
    """A folder that relative paths start from, or a URL."""
    return str(video_root) if is_url(str(video_root)) else os.path.abspath(video_root)


def check_some_exist(paths: list[str], origin: str, how: str):
    """A missing video is an unreadable one, found later; but where all of them are missing, the paths are wrong."""
    local = [path for path in paths[:20] if not is_url(path)]
    if local and not any(os.path.exists(path) for path in local):
        raise FileNotFoundError(
            f"None of the first {len(local)} videos of {origin} exists, beginning with {local[0]}. {how} Set `video_root` "
            "to the folder that the paths are relative to."
        )


def dataset_of_paths(paths: list[str]) -> Dataset:
    return Dataset.from_dict({"video": paths}).cast_column("video", Video(decode=False))


def video_source(video: dict | str) -> str | bytes:
    """
    What [`DiSTVideoProcessor`] takes, of a row's video.

    Args:
        video (`dict` or `str`):
            With `"path"` and `"bytes"`, one of which can be `None`; or a path.

    Returns:
        `str` or `bytes`: The bytes where there are any, else the path or http(s) URL. What lies elsewhere, as in
        `zip://a.mp4::archive.zip` or `hf://datasets/…`, is read here.

    Raises:
        VideoDecodingError: If there is neither, or the place cannot be read.
    """
    path, content = (video, None) if isinstance(video, str) else ((video or {}).get(key) for key in ("path", "bytes"))
    if content is not None:
        return content
    if not path:
        raise VideoDecodingError("The video has neither a path nor bytes.")
    if not is_url(path) or path.startswith(("http://", "https://")):
        return path
    try:
        with fsspec.open(path, "rb") as file:
            return file.read()
    # Which errors there are depends on the file system.
    except Exception as error:
        raise VideoDecodingError(f"The video {path} cannot be read: {error or repr(error)}") from error


def video_name(video: dict | str, index: int | None = None) -> str:
    """
    What to call a row's video in messages and tables.

    Args:
        video (`dict` or `str`):
            As a row has it.
        index (`int`, *optional*):
            Its row, for a video of which there are only bytes.

    Returns:
        `str`: Its path, or `"video 17"`.
    """
    path = video if isinstance(video, str) else (video or {}).get("path")
    return path or ("a video without a path" if index is None else f"video {index}")


def video_paths(dataset: Dataset) -> list[str | None]:
    """Without reading the bytes beside them."""
    return dataset.with_format(None).flatten().select_columns("video.path")["video.path"][:]


def has_bytes(dataset: Dataset) -> bool:
    """Then paths are names at most, and two videos can have the same."""
    return dataset.flatten().data.column("video.bytes").null_count < len(dataset.data)


def write_video_list(dataset: Dataset, path: str | os.PathLike):
    """
    Writes a dataset of files as a CSV file with the columns `video` and `label`, which [`load_videos`] reads. A dataset that
    holds the videos themselves makes no list, and nothing is written.
    """
    paths = video_paths(dataset)
    if has_bytes(dataset) or None in paths:
        return
    names = dataset.features["label"].names
    aside = f"{os.fspath(path)}.new"
    with open(aside, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["video", "label"])
        writer.writerows(zip(paths, (names[label] for label in dataset["label"][:])))
    os.replace(aside, path)


def hash_videos(dataset: Dataset) -> str:
    """
    Identifies a list of videos and labels: which videos, in which order, under which class names.

    What all paths start with, in whole folders, does not count, so that the list may lie anywhere. Nor do the contents of
    the files count: videos that have only bytes differ by their number and labels alone.

    Args:
        dataset (`datasets.Dataset`):
            As [`load_videos`] gives it.

    Returns:
        `str`: 16 hexadecimal digits.
    """
    names = [path or f"video {index}" for index, path in enumerate(video_paths(dataset))]
    parts = [name.replace(os.sep, "/").split("/") for name in names]
    # The common start of the smallest and the largest is that of all of them.
    folders = [min(parts)[:-1], max(parts)[:-1]] if parts else [[], []]
    num_common = len(os.path.commonprefix(folders))
    class_names = dataset.features["label"].names
    digest = hashlib.sha256()
    for part, label in zip(parts, dataset.with_format(None)["label"][:]):
        digest.update(json.dumps(["/".join(part[num_common:]), class_names[label]]).encode())
    return digest.hexdigest()[:16]


__all__ = ["hash_videos", "video_name", "video_source", "write_video_list"]
