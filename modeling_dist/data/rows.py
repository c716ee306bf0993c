# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""The videos in the rows of a dataset: each is a path or URL, the bytes of a file, or both."""

import csv
import hashlib
import io
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import fsspec
import pyarrow.compute
from datasets import Dataset, Video

from ..files import atomic_file
from ..video_decoding_dist import VideoDecodingError
from ..video_files_dist import VideoLimits, copy_within_limits


@dataclass
class LabeledVideos:
    """The videos of a source, a dataset with the single column `video`, and their labels, which are not numbered yet."""

    videos: Dataset
    labels: list[str]  # class names, or integers as text
    origin: str  # what messages call the source
    class_names: list[str] | None = None  # all classes, if the source defines their order
    labels_are_words: bool = False  # labels are class names even if all of them are integers
    root: str | None = None  # folder or URL that relative paths start from
    splits: list[str] | None = None  # the split of each video, if a column of the source names it
    is_part: bool = False  # of a list that has other splits with the same classes


# ---- paths


def is_url(path: str) -> bool:
    return "://" in path


def resolve_path(path: str, root: str) -> str:
    """Return the path or URL that `path` stands for if relative paths start from `root`."""
    if is_url(path):
        return path
    if is_url(root) and not os.path.isabs(path):
        return f"{root.rstrip('/')}/{path}"
    return os.path.normpath(os.path.join(root, path))


def absolute_root(video_root: str | os.PathLike) -> str:
    """Return a folder as an absolute path, and a URL as it is."""
    return str(video_root) if is_url(str(video_root)) else os.path.abspath(video_root)


def check_some_exist(paths: list[str], origin: str, how: str):
    """
    Make sure that not all of the first videos are missing, in which case the paths are wrong. A single missing video is
    handled later, as any other unreadable one.
    """
    local = [path for path in paths[:20] if not is_url(path)]
    if local and not any(os.path.exists(path) for path in local):
        raise FileNotFoundError(
            f"None of the first {len(local)} videos of {origin} exists, beginning with {local[0]}. {how} Set `video_root` "
            "to the folder that the paths are relative to."
        )


def make_path_dataset(paths: list[str]) -> Dataset:
    """Return a dataset of video files, with the column `video`."""
    return Dataset.from_dict({"video": paths}).cast_column("video", Video(decode=False))


# ---- rows


def video_source(video: dict | str, limits: VideoLimits | None = None) -> str | bytes:
    """
    Return a row's video, a path or a dictionary with `"path"` and `"bytes"`, in a form that [`DiSTVideoProcessor`]
    accepts: the bytes if there are any, otherwise the path or http(s) URL. A file at another kind of URL, such as
    `zip://a.mp4::archive.zip` or `hf://datasets/…`, is read here, within the limits of a download.
    """
    path, content = (video, None) if isinstance(video, str) else ((video or {}).get(key) for key in ("path", "bytes"))
    if content is not None:
        return content
    if not path:
        raise VideoDecodingError("The video has neither a path nor bytes.")
    if not is_url(path) or path.startswith(("http://", "https://")):
        return path
    content = io.BytesIO()
    try:
        with fsspec.open(path, "rb") as file:
            copy_within_limits(iter(lambda: file.read(2**20), b""), content, limits or VideoLimits())
        return content.getvalue()
    # The possible errors depend on the file system.
    except Exception as error:
        raise VideoDecodingError(f"The video {path} cannot be read: {error or repr(error)}") from error


def video_name(video: dict | str, index: int | None = None) -> str:
    """Return the name of a row's video for messages and tables: its path, or such as `"video 17"` by its index."""
    path = video if isinstance(video, str) else (video or {}).get("path")
    return path or ("a video without a path" if index is None else f"video {index}")


def video_paths(dataset: Dataset) -> list[str | None]:
    """Return the paths of all videos, without reading their bytes."""
    return dataset.with_format(None).flatten().select_columns("video.path")["video.path"][:]


def paths_to_open(dataset: Dataset) -> list[str]:
    """Return the paths of the videos whose bytes the dataset does not hold."""
    columns = dataset.with_format(None).flatten().data
    paths, contents = columns.column("video.path"), columns.column("video.bytes")
    return paths.filter(pyarrow.compute.is_null(contents)).drop_null().to_pylist()


def has_bytes(dataset: Dataset) -> bool:
    """Whether any row holds the bytes of its video. Paths are then only names, which need not be unique."""
    return dataset.flatten().data.column("video.bytes").null_count < len(dataset.data)


def _identify(path: str | None) -> tuple[int, int] | str | None:
    """Return what all names of a file have in common, such as links to it, or the name itself if there is no such file."""
    if path is None or is_url(path):
        return path
    try:
        status = os.stat(path)
    except OSError:
        return path
    return (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(path)


def find_common_files(paths: list[str | None], other_paths: list[str | None]) -> list[str]:
    """Return those of the first paths, sorted, whose files are among the other ones, under whatever name."""
    with ThreadPoolExecutor(16) as pool:  # a disk on the network answers slowly, but many questions at once
        identities, others = (list(pool.map(_identify, given, chunksize=256)) for given in (paths, other_paths))
    found = set(others)
    return sorted({path for path, identity in zip(paths, identities) if path is not None and identity in found})


def write_video_list(dataset: Dataset, path: str | os.PathLike):
    """
    Write a list of the videos and labels of a dataset, a CSV file with the columns `video` and `label`, which
    [`load_videos`] reads. Nothing is written if the dataset holds the videos themselves instead of paths.
    """
    paths = video_paths(dataset)
    if has_bytes(dataset) or None in paths:
        return
    names = dataset.features["label"].names
    with atomic_file(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["video", "label"])
        writer.writerows(zip(paths, (names[label] for label in dataset["label"][:])))


def hash_videos(dataset: Dataset) -> str:
    """
    Return 16 hexadecimal digits for a list of labeled videos: the names of the videos, their order, and their class
    names.

    Folders that all paths have in common are ignored, so that moving the videos does not change the hash. The contents
    of the files are ignored as well: videos without a path are told apart only by their number and labels.
    """
    names = [path or f"video {index}" for index, path in enumerate(video_paths(dataset))]
    parts = [name.replace(os.sep, "/").split("/") for name in names]
    # What the smallest and the largest path have in common, all paths have in common.
    folders = [min(parts)[:-1], max(parts)[:-1]] if parts else [[], []]
    num_common = len(os.path.commonprefix(folders))
    class_names = dataset.features["label"].names
    digest = hashlib.sha256()
    for part, label in zip(parts, dataset.with_format(None)["label"][:]):
        digest.update(json.dumps(["/".join(part[num_common:]), class_names[label]]).encode())
    return digest.hexdigest()[:16]
