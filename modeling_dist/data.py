# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""From folders, lists and datasets of the Hub to `datasets.Dataset` objects of videos and labels; no video is opened here
but by [`scan_videos`], which looks for those that cannot be read.

Every dataset has the features `{"video": Video(decode=False), "label": ClassLabel(names=[...])}`: a row's video is a path,
or the bytes of a file, which [`video_source`] makes what the processor takes.
"""

import csv
import functools
import hashlib
import io
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import fsspec
import numpy as np
from datasets import (
    ClassLabel,
    Dataset,
    DatasetDict,
    Video,
    concatenate_datasets,
    load_dataset,
    load_from_disk,
)
from torch.utils.data import DataLoader
from tqdm.auto import tqdm
from transformers.utils import logging

from .video_decoding_dist import VideoDecodingError, decode_video
from .video_processing_dist import segment_frame_indices


logger = logging.get_logger(__name__)

VIDEO_EXTENSIONS = (
    *(".mp4", ".m4v", ".mkv", ".webm", ".avi", ".mov", ".mpg", ".mpeg", ".wmv", ".flv", ".f4v"),
    *(".3gp", ".ogv", ".ts", ".mts", ".m2ts", ".vob"),
)
FORMATS = ("auto", "folder", "csv", "json", "list", "ssv2", "hub", "disk")
# In the order in which they are preferred.
VALIDATION_SPLITS = ("validation", "val", "valid", "test")
VIDEO_COLUMNS = (
    *("video", "video_path", "path", "file_path", "filepath", "clip_path", "file", "file_name", "filename"),
    *("video_name", "clip", "clip_name", "name"),
)
LABEL_COLUMNS = (
    *("label", "labels", "class", "class_name", "label_name", "category", "action", "target"),
    *("label_id", "class_id", "label_index", "class_index"),
)
# The paper evaluates three clips of a video; the last one reaches to its last frame.
EVALUATION_CLIPS = 3
# A whole video is decoded in pieces of at most so many bytes of pixels.
BYTES_PER_PIECE = 2**28

_ENDS_LIKE_A_VIDEO = rf"(?:{'|'.join(re.escape(extension) for extension in VIDEO_EXTENSIONS)})"
# "some path/a b.mp4 17", "a.mp4,riding a bike", '"a, b.mp4"<tab>riding'
_LINE_WITH_VIDEO = re.compile(rf"""(?P<path>.+{_ENDS_LIKE_A_VIDEO}["']?)[\s,;]+(?P<label>\S.*)""", re.IGNORECASE)
# A path without an extension: the label is what follows the last tab, or else the last token.
_LINE_WITH_TAB = re.compile(r"(?P<path>.*\S)\s*\t\s*(?P<label>[^\t]+)")
_LINE = re.compile(r"(?P<path>.*\S)[\s,;]+(?P<label>[^\s,;]+)")
_SEVERAL_INTEGERS = re.compile(r"\d+(?:[\s,;]+\d+)+")


@dataclass
class _Videos:
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


@dataclass
class VideoProblem:
    """
    What is wrong with a video.

    Args:
        index (`int`):
            Its row in the dataset.
        video (`str`):
            Its name, see [`video_name`].
        problem (`"unreadable"` or `"too short"`):
            A video that is too short, with fewer frames than the model takes, can be used all the same: frames repeat.
        reason (`str`):
            In words.
    """

    index: int
    video: str
    problem: Literal["unreadable", "too short"]
    reason: str


# ---- names and rows


def _is_url(path: str) -> bool:
    return "://" in path


def _folders_and_files(folder: str) -> Iterator[tuple[str, list[str]]]:
    """Every folder below a folder, itself included, with the names of its files. Links are followed, but not in circles."""
    seen = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        if os.path.realpath(parent) in seen:
            folders.clear()
            continue
        seen.add(os.path.realpath(parent))
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield parent, files


def _is_named_like_video(name: str) -> bool:
    """Hidden files are none of the user's, as "._a.mp4", which macOS writes beside "a.mp4" on foreign disks."""
    return name.lower().endswith(VIDEO_EXTENSIONS) and not name.startswith(".")


def _walk(folder: str) -> tuple[list[str], int]:
    """The videos below a folder as paths relative to it, sorted, and how many other files there are."""
    videos, num_others = [], 0
    for parent, files in _folders_and_files(folder):
        named = [name for name in files if _is_named_like_video(name)]
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
    if not _is_url(path) or path.startswith(("http://", "https://")):
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


def _video_paths(dataset: Dataset) -> list[str | None]:
    """Without reading the bytes beside them."""
    return dataset.with_format(None).flatten().select_columns("video.path")["video.path"][:]


def _has_bytes(dataset: Dataset) -> bool:
    """Then paths are names at most, and two videos can have the same."""
    return dataset.flatten().data.column("video.bytes").null_count < len(dataset.data)


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
    names = [path or f"video {index}" for index, path in enumerate(_video_paths(dataset))]
    parts = [name.replace(os.sep, "/").split("/") for name in names]
    # The common start of the smallest and the largest is that of all of them.
    folders = [min(parts)[:-1], max(parts)[:-1]] if parts else [[], []]
    num_common = len(os.path.commonprefix(folders))
    class_names = dataset.features["label"].names
    digest = hashlib.sha256()
    for part, label in zip(parts, dataset.with_format(None)["label"][:]):
        digest.update(json.dumps(["/".join(part[num_common:]), class_names[label]]).encode())
    return digest.hexdigest()[:16]


# ---- class names


def _is_integer(label: str) -> bool:
    return re.fullmatch(r"-?\d+", label) is not None


def _sorted_class_names(labels: set[str]) -> list[str]:
    return sorted(labels, key=int) if all(map(_is_integer, labels)) else sorted(labels)


def read_class_names(class_names: list[str] | str | os.PathLike) -> list[str]:
    """
    Class names in the order of their indices.

    Args:
        class_names (`list[str]`, `str` or `os.PathLike`):
            The names themselves, or a file: a JSON list, a JSON object from name to index or from index to name, or a text
            file with a name per line.

    Returns:
        `list[str]`: The names.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds something else, a name twice, or indices with a gap.
    """
    if isinstance(class_names, (str, os.PathLike)):
        origin = os.fspath(class_names)
        if not os.path.isfile(origin):
            raise FileNotFoundError(
                f"`class_names` is {origin}, but there is no such file. Give a list of names, a JSON file with a list or "
                "with the index of each name, or a text file with a name per line."
            )
        text = _read_text(origin)
        if origin.lower().endswith(".json"):
            names = _parse_json(text, origin)
        else:
            names = [line.strip() for line in text.split("\n") if line.strip()]
    else:
        origin, names = "`class_names`", list(class_names)
    if isinstance(names, dict):
        by_index = all(_is_integer(str(key)) for key in names)
        pairs = [(str(key), value) if by_index else (str(value), key) for key, value in names.items()]
        if sorted(index for index, _ in pairs) != sorted(str(index) for index in range(len(pairs))):
            raise ValueError(
                f"{origin} gives {len(pairs)} class names the indices {_some(index for index, _ in pairs)}; "
                f"they have to be 0 to {len(pairs) - 1}, each of them once."
            )
        names = [name for _, name in sorted(pairs, key=lambda pair: int(pair[0]))]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
        raise ValueError(f"{origin} has to give at least one class name, as words, or a number for each of them.")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"{origin} holds class names more than once: {_some(twice)}.")
    return names


def _number_labels(videos: _Videos, class_names: list[str], given_by: str) -> list[int]:
    """The index of each label: the place of its name, or the label itself where it is an integer and no name."""
    indices = {name: index for index, name in enumerate(class_names)}
    unknown = [label for label in dict.fromkeys(videos.labels) if label not in indices]
    if not unknown:
        return [indices[label] for label in videos.labels]
    if not videos.labels_are_words and all(map(_is_integer, videos.labels)):
        outside = [label for label in unknown if not 0 <= int(label) < len(class_names)]
        if not outside:
            return [int(label) for label in videos.labels]
        raise ValueError(
            f"{videos.origin} has the labels {_some(outside)}, but there are {len(class_names)} class names "
            f"({given_by}), for the labels 0 to {len(class_names) - 1}."
        )
    raise ValueError(
        f"{videos.origin} has labels that are not among the {len(class_names)} class names ({given_by}): "
        f"{_some(unknown)}. Known are {_some(class_names)}. Correct them, leave these videos out, or give all names as "
        "`class_names`."
    )


def _choose_class_names(videos: list[_Videos], class_names) -> tuple[list[str], str]:
    """The class names of what is there, and where they come from; given ones go first, then the source's own."""
    if class_names is not None:
        given_by = f"from {class_names}" if isinstance(class_names, (str, os.PathLike)) else "`class_names`"
        return read_class_names(class_names), given_by
    for part in videos:
        if part.class_names is not None:
            return part.class_names, f"of {part.origin}"
    labels = {label for part in videos for label in part.labels}
    given_by = f"those of {videos[0].origin}"
    if all(map(_is_integer, labels)) and not any(part.labels_are_words for part in videos):
        negative = [label for label in labels if int(label) < 0]
        if negative:
            raise ValueError(
                f"{videos[0].origin} has the labels {_some(negative)}; a label is 0 or more. Where this marks videos "
                "without a label, take another split, or leave them out."
            )
        return [str(index) for index in range(max(map(int, labels)) + 1)], given_by
    return _sorted_class_names(labels), given_by


# ---- reading lists


def _some(values, limit: int = 5) -> str:
    values = [str(value) for value in values]
    shown = ", ".join(f'"{value}"' for value in values[:limit])
    return shown if len(values) <= limit else f"{shown} and {len(values) - limit} more"


def _read_text(path: str) -> str:
    try:
        with open(path, encoding="utf-8-sig") as file:
            return file.read()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text file in UTF-8: {error}. Save it as UTF-8.") from error


def _parse_json(text: str, path: str):
    """A JSON document, or JSON Lines."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        first_error = error
    try:
        return [json.loads(line) for line in text.split("\n") if line.strip()]
    except json.JSONDecodeError:
        raise ValueError(f"{path} is neither JSON nor JSON Lines: {first_error}.") from None


def _choose_column(columns: list[str], given: str | None, usual: tuple[str, ...], option: str, origin: str) -> str:
    if given is not None:
        if given in columns:
            return given
        raise ValueError(f'{origin} has no column "{given}" (`{option}`); its columns are {_some(columns, 20)}.')
    lowered = {column.strip().lower(): column for column in reversed(columns)}
    for name in usual:
        if name in lowered:
            return lowered[name]
    raise ValueError(
        f"{origin} has the columns {_some(columns, 20)}; none of them is called {', '.join(usual)}. Name it with `{option}`."
    )


def _read_csv(path: str, options: dict) -> list[tuple[str, str]]:
    text = _read_text(path)
    first = text.split("\n", 1)[0]
    lines = csv.reader(io.StringIO(text), delimiter=max(",\t;", key=first.count))
    columns = next(lines, None)
    if not columns:
        raise ValueError(f"{path} is empty; its first line has to name the columns, as in: video,label")
    video = columns.index(_choose_column(columns, options["video_column"], VIDEO_COLUMNS, "video_column", path))
    label = columns.index(_choose_column(columns, options["label_column"], LABEL_COLUMNS, "label_column", path))
    rows = []
    for line in lines:
        if len(line) not in (0, len(columns)):
            raise ValueError(
                f"Line {lines.line_num} of {path} has {len(line)} values for the {len(columns)} columns {_some(columns)}. "
                'What holds a comma itself has to stand in quotes: "a, b.mp4",archery'
            )
        if line:
            rows.append((line[video], line[label]))
    return rows


def _read_json(path: str, options: dict) -> list[tuple[str, str]]:
    rows = _parse_json(_read_text(path), path)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(
            f"{path} has to hold a list of objects, or an object per line, each with a video and a label: "
            '[{"video": "a.mp4", "label": "archery"}, …].'
        )
    columns = list(dict.fromkeys(key for row in rows for key in row))
    if not columns:
        return []
    video = _choose_column(columns, options["video_column"], VIDEO_COLUMNS, "video_column", path)
    label = _choose_column(columns, options["label_column"], LABEL_COLUMNS, "label_column", path)
    return [(row.get(video), row.get(label)) for row in rows]


def _read_list(path: str) -> list[tuple[str, str]]:
    rows = []
    for number, line in enumerate(_read_text(path).split("\n"), start=1):
        line = line.strip()
        if not line:
            continue
        match = _LINE_WITH_VIDEO.fullmatch(line) or _LINE_WITH_TAB.fullmatch(line) or _LINE.fullmatch(line)
        if match is None:
            raise ValueError(
                f'Line {number} of {path} is "{line}"; a line has to be a path and a label, with a space, a tab or a '
                "comma between them."
            )
        label = match["label"]
        if _SEVERAL_INTEGERS.fullmatch(label):
            raise ValueError(f'Line {number} of {path} has the labels "{label}"; a video can have only one.')
        row = _unquote(match["path"].rstrip(" ,;\t")), _unquote(label)
        if not rows and row[0].lower() in VIDEO_COLUMNS and row[1].lower() in LABEL_COLUMNS:
            continue  # a header
        rows.append(row)
    return rows


def _unquote(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def _read_ssv2(path: str) -> list[tuple[str, str]]:
    rows = _parse_json(_read_text(path), path)
    if not isinstance(rows, list) or not all(isinstance(row, dict) and "id" in row for row in rows):
        raise ValueError(
            f"{path} has to be a JSON file of Something-Something V2: a list of objects with "
            '"id", "label", "template" and "placeholders".'
        )
    if any("template" not in row for row in rows):
        raise ValueError(
            f"{path} has no templates, from which the classes follow: it is the test split of Something-Something V2, "
            "whose labels are not published. Take the train or the validation file."
        )
    return [(str(row["id"]), row["template"].replace("[", "").replace("]", "")) for row in rows]


def _ssv2_class_names(path: str) -> list[str] | None:
    """From the label file beside a split's file."""
    folder = os.path.dirname(path)
    found = [name for name in sorted(os.listdir(folder)) if name.lower().endswith("labels.json")]
    if len(found) > 1:
        raise ValueError(f"There are several label files in {folder}: {_some(found)}. Name one as `class_names`.")
    return read_class_names(os.path.join(folder, found[0])) if found else None


def _load_list(path: str, format: str, options: dict) -> _Videos:
    root = options["video_root"]
    root = os.path.dirname(path) if root is None else root if _is_url(str(root)) else os.path.abspath(root)
    class_names = None
    if format == "ssv2":
        rows = _read_ssv2(path)
        class_names = _ssv2_class_names(path) if options["class_names"] is None else None
        files = set(os.listdir(root)) if os.path.isdir(root) else set()
        # In the release they are WebM; MP4 is what people convert them to.
        rows = [
            (next((f"{video}{end}" for end in (".webm", ".mp4") if f"{video}{end}" in files), f"{video}.webm"), label)
            for video, label in rows
        ]
    else:
        rows = _read_list(path) if format == "list" else {"csv": _read_csv, "json": _read_json}[format](path, options)
    if not rows:
        raise ValueError(f"{path} lists no videos.")
    for number, row in enumerate(rows, start=1):
        if any(
            value is None or isinstance(value, (dict, list, bool, float)) or not str(value).strip() for value in row
        ):
            raise ValueError(f"Video {number} of {path} needs a path and a label; it has {row[0]!r} and {row[1]!r}.")
    paths = [_resolve(str(video).strip(), str(root)) for video, _ in rows]
    root_is = (
        "`video_root`" if options["video_root"] is not None else "the folder of the list, as no `video_root` is given"
    )
    _check_some_exist(paths, path, f"Relative paths are resolved against {root}, {root_is}.")
    return _Videos(_dataset_of_paths(paths), [str(label).strip() for _, label in rows], path, class_names, root=root)


def _resolve(path: str, root: str) -> str:
    if _is_url(path):
        return path
    return f"{root.rstrip('/')}/{path}" if _is_url(root) else os.path.normpath(os.path.join(root, path))


def _dataset_of_paths(paths: list[str]) -> Dataset:
    return Dataset.from_dict({"video": paths}).cast_column("video", Video(decode=False))


def _check_some_exist(paths: list[str], origin: str, how: str):
    """A missing video is an unreadable one, found later; but where all of them are missing, the paths are wrong."""
    local = [path for path in paths[:20] if not _is_url(path)]
    if local and not any(os.path.exists(path) for path in local):
        raise FileNotFoundError(
            f"None of the first {len(local)} videos of {origin} exists, beginning with {local[0]}. {how} Set `video_root` "
            "to the folder that the paths are relative to."
        )


# ---- reading folders


def _split_folders(folder: str, wanted: list[str]) -> dict[str, str] | None:
    """The folders of the splits, or `None` where the folders are classes."""
    folders = [entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith(".")]
    splits = {name: name for name in sorted(folders) if name.lower() in ("train", *VALIDATION_SPLITS)}
    splits |= {name: name for name in wanted if name in folders}
    validation = [name for name in splits if name.lower() != "train"]
    # A class can be called "train", too: then there are others beside it.
    has_splits = len(splits) == len(folders) or len(splits) > len(validation) > 0
    if not folders or not (has_splits or any(name in folders for name in wanted)):
        return None
    return {name: os.path.join(folder, name) for name in splits}


def _load_folder(folder: str, options: dict, wanted: list[str]) -> dict[str | None, _Videos]:
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
        loaded[split] = _Videos(
            _dataset_of_paths([os.path.join(split_folder, path) for path in paths]),
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


# ---- reading datasets


def _open_dataset(source: str, format: str, wanted: list[str], options: dict) -> dict[str | None, Dataset]:
    """The dataset's splits, and those of the wanted ones that are parts of splits, as "train[:10%]"."""
    if format == "disk":
        loaded = load_from_disk(source)
    elif source.lower().endswith(".parquet"):
        loaded = load_dataset("parquet", data_files=source, split="train")
    else:
        keywords = {} if os.path.isdir(source) else {name: options[name] for name in ("revision", "token")}
        load = functools.partial(load_dataset, source, options["config_name"], **keywords)
        try:
            loaded = load()
        except (FileNotFoundError, ConnectionError) as error:
            raise FileNotFoundError(
                f"{source} is neither a file or folder here nor a dataset that can be loaded from the Hub: {error}"
            ) from error
        loaded |= {split: load(split=split) for split in wanted if re.search(r"[\[+]", split)}
    return dict(loaded) if isinstance(loaded, DatasetDict) else {None: loaded}


def _is_video_column(feature) -> bool:
    """A `Video`, or what one is without its metadata: `{"path": …, "bytes": …}`."""
    return isinstance(feature, Video) or (isinstance(feature, dict) and set(feature) == {"path", "bytes"})


def _from_dataset(dataset: Dataset, origin: str, options: dict) -> _Videos:
    features = dataset.features
    columns = list(features)
    video_column, label_column = options["video_column"], options["label_column"]
    if video_column is None:
        found = [name for name in columns if _is_video_column(features[name])]
        if len(found) > 1:
            raise ValueError(f"{origin} has several columns of videos, {_some(found)}. Name one with `video_column`.")
        video_column = found[0] if found else None
    video_column = _choose_column(columns, video_column, VIDEO_COLUMNS, "video_column", origin)
    if label_column is None:
        usual = [name for name in columns if name.strip().lower() in LABEL_COLUMNS]
        found = [name for name in columns if isinstance(features[name], ClassLabel)]
        if not usual and len(found) == 1:
            label_column = found[0]
    label_column = _choose_column(columns, label_column, LABEL_COLUMNS, "label_column", origin)

    labels = dataset.select_columns(label_column)[label_column][:]
    feature = features[label_column]
    class_names = feature.names if isinstance(feature, ClassLabel) else None
    for number, label in enumerate(labels):
        if not isinstance(label, (int, str)) or isinstance(label, bool) or (class_names and label < 0):
            raise ValueError(
                f'Row {number} of {origin} has the label {label!r} in the column "{label_column}"; it has to be a class: '
                "an index or a name. A split without labels cannot be used; name another with `split`."
            )
    labels = [class_names[label] if class_names else str(label).strip() for label in labels]

    videos = dataset.select_columns(video_column)
    if video_column != "video":
        videos = videos.rename_column(video_column, "video")
    feature = features[video_column]
    if not _is_video_column(feature) and getattr(feature, "dtype", None) not in ("string", "large_string", "binary"):
        raise ValueError(
            f'The column "{video_column}" of {origin} holds {feature}; it has to be a Video, a path, or bytes.'
        )
    # Before the first row is touched: decoding is what needs torchcodec.
    videos = videos.cast_column("video", Video(decode=False))
    paths = _video_paths(videos)
    root = options["video_root"]
    if not _has_bytes(videos) and all(paths):
        how = "These are the paths that the dataset itself holds."
        if root is not None:
            root = str(root) if _is_url(str(root)) else os.path.abspath(root)
            paths = [_resolve(path, root) for path in paths]
            how = f"Relative paths are resolved against {root}, `video_root`."
            videos = _dataset_of_paths(paths)
        _check_some_exist(paths, origin, how)
    return _Videos(videos, labels, origin, class_names if options["class_names"] is None else None, root=root)


# ---- loading


def _looks_like_ssv2(path: str) -> bool:
    rows = _parse_json(_read_text(path), path)
    first = rows[0] if isinstance(rows, list) and rows else None
    # The test split has nothing but ids.
    return isinstance(first, dict) and "id" in first and ("template" in first or set(first) == {"id"})


def _detect_format(source: str, options: dict) -> str:
    if os.path.isdir(source):
        names = os.listdir(source)
        if "dataset_dict.json" in names or {"state.json", "dataset_info.json"} <= set(names):
            return "disk"
        has_parquet = False
        for _, files in _folders_and_files(source):
            if any(map(_is_named_like_video, files)):
                return "folder"
            has_parquet |= any(name.lower().endswith(".parquet") for name in files)
        return "hub" if has_parquet else "folder"
    if os.path.isfile(source):
        extension = os.path.splitext(source)[1].lower()
        if extension in (".csv", ".tsv"):
            first = _read_text(source).strip().split("\n", 1)[0]
            header = [name.strip().strip('"').lower() for name in re.split(r"[,;\t]", first)]
            is_named = bool(set(header) & set(VIDEO_COLUMNS)) or options["video_column"] is not None
            is_list = not is_named and (_LINE_WITH_VIDEO.fullmatch(first.strip()) or len(header) == 1)
            return "list" if is_list else "csv"
        if extension in (".json", ".jsonl"):
            return "ssv2" if extension == ".json" and _looks_like_ssv2(source) else "json"
        if extension == ".parquet":
            return "hub"
        if extension in VIDEO_EXTENSIONS:
            raise ValueError(f"{source} is a video; give a folder of them, or a list with a label for each.")
        return "list"
    if re.fullmatch(r"[\w.-]+(/[\w.-]+)?", source) and not re.search(
        r"\.(csv|tsv|jsonl?|txt|parquet)$", source.lower()
    ):
        return "hub"
    raise FileNotFoundError(
        f"There is no file or folder {os.path.abspath(source)}. Give a folder with a folder per class, a CSV, JSON or text "
        'list, a folder written by `Dataset.save_to_disk`, or a dataset of the Hub ("owner/name").'
    )


def _open_source(
    source: str | os.PathLike, format: str, wanted: list[str], options: dict
) -> dict[str | None, Callable[[], _Videos]]:
    """What gives the videos of each split; a source that knows no splits has one that is called `None`."""
    if format not in FORMATS:
        raise ValueError(f'`format` must be one of {", ".join(FORMATS)}, got "{format}".')
    source = os.fspath(source)
    if format == "auto":
        format = _detect_format(source, options)
    if os.path.exists(source):
        source = os.path.abspath(source)
        if format != "hub" and os.path.isdir(source) != (format in ("folder", "disk")):
            kind = "folder" if os.path.isdir(source) else "file"
            raise ValueError(f'{source} is a {kind}, which `format="{format}"` cannot read.')
    elif format != "hub":
        raise FileNotFoundError(f'There is no {os.path.abspath(source)}, which `format="{format}"` needs.')
    if format == "folder":
        return {split: lambda part=part: part for split, part in _load_folder(source, options, wanted).items()}
    if format in ("hub", "disk"):
        parts = _open_dataset(source, format, wanted, options)
        if not any(map(len, parts.values())):
            raise ValueError(f"{source} holds no videos.")
        return {
            split: functools.partial(_from_dataset, part, source if split is None else f"{source} ({split})", options)
            for split, part in parts.items()
            if len(part)
        }
    return {None: functools.partial(_load_list, source, format, options)}


def _choose_split(splits: dict[str | None, object], wanted: tuple[str, ...]) -> str | None:
    """The first of the wanted ones that is there."""
    lowered = {split.lower(): split for split in splits if split is not None}
    return next((lowered[name.lower()] for name in wanted if name.lower() in lowered), None)


def _no_split(source, split: str, splits: dict[str | None, object]) -> ValueError:
    present = "it has no splits" if None in splits else f"its splits are {_some(splits)}"
    return ValueError(f'{source} has no videos in a split "{split}"; {present}.')


def _repeated(paths: list[str | None]) -> list[str]:
    return [path for path, count in Counter(path for path in paths if path).items() if count > 1]


def _finish(parts: dict[str | None, _Videos], names: list[str], given_by: str, exclude) -> dict[str | None, Dataset]:
    """Labels as `ClassLabel`, without the excluded videos."""
    label = ClassLabel(names=names)
    finished = {
        split: part.videos.add_column("label", _number_labels(part, names, given_by), feature=label)
        for split, part in parts.items()
    }
    if exclude is None:
        return finished
    excluded = _read_excluded(exclude)
    found = set()
    for split, part in parts.items():
        paths = _video_paths(part.videos)
        if excluded and not all(paths):
            raise ValueError(
                f"{part.origin} holds videos without a path, so that `exclude` ({exclude}) cannot name them; filter the "
                "dataset itself."
            )
        matching = {
            *excluded,
            *(os.path.abspath(name) for name in excluded if not _is_url(name)),
            *(_resolve(name, str(part.root)) for name in excluded if part.root is not None),
        }
        shared = [path for path in _repeated(paths) if path in matching] if _has_bytes(part.videos) else []
        if shared:
            logger.warning(
                f"Several videos of {part.origin} are called {_some(shared, 3)}; {exclude} leaves out all of them."
            )
        kept = [index for index, path in enumerate(paths) if path not in matching]
        found |= matching & set(paths)
        if not kept:
            raise ValueError(f"`exclude` ({exclude}) leaves no video of {part.origin}.")
        if len(kept) < len(paths):
            finished[split] = finished[split].select(kept)
            logger.info(
                f"{len(paths) - len(kept)} of the {len(paths)} videos of {part.origin} are left out, as {exclude} says."
            )
    if excluded and not found:
        logger.warning(
            f"{exclude} names {len(excluded)} videos to leave out, beginning with {sorted(excluded)[0]}, but none of them "
            f"is in {', '.join(part.origin for part in parts.values())}."
        )
    return finished


def _read_excluded(exclude: str | os.PathLike) -> set[str]:
    exclude = os.fspath(exclude)
    if not os.path.isfile(exclude):
        raise FileNotFoundError(f"There is no file {exclude} (`exclude`); examples/scan.py writes one.")
    rows = csv.DictReader(io.StringIO(_read_text(exclude)))
    if "video" not in (rows.fieldnames or ()):
        raise ValueError(
            f'{exclude} (`exclude`) has to be a CSV file with a column "video", as examples/scan.py writes it; '
            f"its columns are {_some(rows.fieldnames or ['none'])}."
        )
    return {row["video"] for row in rows if row["video"]}


def load_videos(
    source: str | os.PathLike,
    *,
    format: str = "auto",
    split: str | tuple[str, ...] | None = None,
    video_root: str | os.PathLike | None = None,
    class_names: list[str] | str | os.PathLike | None = None,
    video_column: str | None = None,
    label_column: str | None = None,
    config_name: str | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
    exclude: str | os.PathLike | None = None,
) -> Dataset:
    """
    Videos with labels from wherever they are. No video is opened, and a missing one is not noticed, unless all of the
    first ones are missing.

    Args:
        source (`str` or `os.PathLike`):
            One of:

            - a folder with a folder per class, or with `train` and `validation` (`val`, `valid`, `test`) that hold these;
            - a CSV or TSV file with a header, or a JSON or JSON Lines file, with a column for the path and for the label;
            - a text file with a path and a label per line, separated by a space, a tab or a comma. Paths may contain
              spaces; labels, too, after a path that ends as a video does;
            - a JSON file of Something-Something V2 (train or validation), with `labels.json` beside it;
            - a folder written by `Dataset.save_to_disk`, a Parquet file, or a dataset of the Hub.
        format (`str`, defaults to `"auto"`):
            `"folder"`, `"csv"`, `"json"`, `"list"`, `"ssv2"`, `"disk"`, or `"hub"`, which also reads local folders and
            Parquet files as `load_dataset` does. `"auto"` looks: a folder with `dataset_dict.json` or `state.json` is
            `"disk"`, one with Parquet files and no videos is `"hub"`, others are `"folder"`. A `.csv` or `.tsv` file is
            `"csv"`, or `"list"` where its first line is a video already; a `.json` file whose entries have an id and a
            template is `"ssv2"`, `.json` and `.jsonl` are `"json"` otherwise; any other file is a `"list"`. What does not
            exist here is `"hub"`.
        split (`str` or `tuple[str, ...]`, *optional*):
            One split of a source that has several; by default all of its videos. Of several names the first that there
            is, and all videos where the source has no splits. The class names are those of all splits
            of a folder, but of this split alone for a dataset whose labels are not `ClassLabel`: there, give
            `class_names`.
        video_root (`str` or `os.PathLike`, *optional*):
            What relative paths start from; by default the folder of the list.
        class_names (`list[str]`, `str` or `os.PathLike`, *optional*):
            The class names in the order of their indices, or a file of them, see [`read_class_names`]. By default a
            dataset's own, or the label words in alphabetical order; integers are named by their digits.
        video_column, label_column (`str`, *optional*):
            Columns of a CSV or JSON file or a dataset, where they do not have usual names.
        config_name, revision, token (*optional*):
            Of a dataset of the Hub, as for `load_dataset`.
        exclude (`str` or `os.PathLike`, *optional*):
            A CSV file whose column `video` names videos to leave out, as examples/scan.py writes it.

    Returns:
        `datasets.Dataset`: With the features `{"video": Video(decode=False), "label": ClassLabel(names=[...])}`.

    Raises:
        FileNotFoundError: If the source, or all of its first videos, do not exist.
        ValueError: If it holds no videos, or something that cannot be understood; the message says where and what.
    """
    options = {
        "video_root": video_root,
        "class_names": class_names,
        "video_column": video_column,
        "label_column": label_column,
        "config_name": config_name,
        "revision": revision,
        "token": token,
    }
    wanted = (split,) if isinstance(split, str) else split
    splits = _open_source(source, format, [split] if isinstance(split, str) else [], options)
    chosen = list(splits)
    if wanted is not None and (isinstance(split, str) or None not in splits):
        chosen = [_choose_split(splits, wanted)]
        if chosen == [None]:
            raise _no_split(source, " or ".join(wanted), splits)
    parts = {name: splits[name]() for name in chosen}
    has_folders = any(part.labels_are_words for part in parts.values())
    named = [open_split() for open_split in splits.values()] if has_folders else list(parts.values())
    names, given_by = _choose_class_names(named, class_names)
    finished = _finish(parts, names, given_by, exclude)
    _warn_of_repeats(finished, source)
    return concatenate_datasets(list(finished.values())) if len(finished) > 1 else next(iter(finished.values()))


def _warn_of_repeats(finished: dict[str | None, Dataset], source):
    paths = [path for part in finished.values() if not _has_bytes(part) for path in _video_paths(part)]
    repeated = _repeated(paths)
    if repeated:
        logger.warning(f"{len(repeated)} videos of {source} are listed more than once: {_some(repeated, 3)}.")


def load_train_and_validation(
    source: str | os.PathLike,
    validation: str | os.PathLike | None = None,
    *,
    train_split: str = "train",
    validation_split: str | None = None,
    validation_fraction: float = 0.1,
    seed: int = 0,
    format: str = "auto",
    video_root: str | os.PathLike | None = None,
    class_names: list[str] | str | os.PathLike | None = None,
    video_column: str | None = None,
    label_column: str | None = None,
    config_name: str | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
    exclude: str | os.PathLike | None = None,
) -> tuple[Dataset, Dataset]:
    """
    Videos to train on and videos to validate with, with the same class names.

    Args:
        source (`str` or `os.PathLike`):
            As for [`load_videos`].
        validation (`str` or `os.PathLike`, *optional*):
            A second source to validate with, of any format that `"auto"` knows, or else of the same.
        train_split (`str`, defaults to `"train"`):
            The split to train on, where the source has splits.
        validation_split (`str`, *optional*):
            The split to validate with. By default the first that there is of `validation`, `val`, `valid` and `test`, and
            without any of them a random part of the training videos.
        validation_fraction (`float`, defaults to 0.1):
            How large that part is. Every class is divided in this proportion as nearly as whole videos allow, and keeps
            at least one video to train on.
        seed (`int`, defaults to 0):
            Of the random part: the same videos in the same order are always divided in the same way.
        format, video_root, class_names, video_column, label_column, config_name, revision, token, exclude:
            As for [`load_videos`].

    Returns:
        `tuple[datasets.Dataset, datasets.Dataset]`: To train on, and to validate with.

    Raises:
        FileNotFoundError, ValueError: As [`load_videos`]; and if a validation label is unknown in training.
    """
    options = {
        "video_root": video_root,
        "class_names": class_names,
        "video_column": video_column,
        "label_column": label_column,
        "config_name": config_name,
        "revision": revision,
        "token": token,
    }
    wanted = VALIDATION_SPLITS if validation_split is None else (validation_split,)
    # A folder of such a name is a split, whatever else there is beside it.
    explicit = [name for name in (train_split, validation_split) if name not in (None, "train")]

    splits = _open_source(source, format, explicit, options)
    train_name = _choose_split(splits, (train_split,))
    if train_name is None and (None not in splits or train_split != "train"):
        raise _no_split(source, train_split, splits)
    train = splits[train_name]()
    validation_splits = splits if validation is None else _open_source(validation, format, explicit, options)
    validation_name = _choose_split(validation_splits, wanted)
    if validation_name is not None or (validation is not None and None in validation_splits):
        validating = validation_splits[validation_name]()
    elif validation is None and validation_split is None:
        validating = None
    else:
        raise _no_split(source if validation is None else validation, wanted[0], validation_splits)

    names, given_by = _choose_class_names([train], class_names)
    if validating is None:
        train_dataset = _finish({None: train}, names, given_by, exclude)[None]
        training, held_out = _split_at_random(train_dataset, validation_fraction, seed, train.origin)
        logger.info(
            f"Validation: {len(held_out)} of the {len(train_dataset)} videos of {train.origin}, taken at random "
            f"(`validation_fraction={validation_fraction}`, `seed={seed}`)."
        )
        return train_dataset.select(training), train_dataset.select(held_out)

    finished = _finish({"train": train, "validation": validating}, names, given_by, exclude)
    logger.info(
        f"Training: {len(finished['train'])} videos of {train.origin}. "
        f"Validation: {len(finished['validation'])} videos of {validating.origin}."
    )
    if not any(map(_has_bytes, finished.values())):
        both = set(_video_paths(finished["train"])) & set(_video_paths(finished["validation"]))
        if both:
            logger.warning(f"{len(both)} videos are trained on and validated with: {_some(sorted(both), 3)}.")
    _warn_of_repeats({"train": finished["train"]}, train.origin)
    _warn_of_repeats({"validation": finished["validation"]}, validating.origin)
    return finished["train"], finished["validation"]


def _split_at_random(dataset: Dataset, fraction: float, seed: int, origin: str) -> tuple[list[int], list[int]]:
    """Rows to train on and to validate with: each class in the same proportion, rounded so that the total is right."""
    if not 0 < fraction < 1:
        raise ValueError(f"`validation_fraction` must lie between 0 and 1, got {fraction}.")
    repeated = [] if _has_bytes(dataset) else _repeated(_video_paths(dataset))
    if repeated:
        raise ValueError(
            f"{origin} lists {len(repeated)} videos more than once ({_some(repeated, 3)}), so that a random part to "
            "validate with could hold what is trained on. List each once, or give videos to validate with."
        )
    labels = np.asarray(dataset["label"][:])
    classes, counts = np.unique(labels, return_counts=True)
    generator = np.random.default_rng(seed)
    shares = counts * fraction
    held_out = np.floor(shares).astype(int)
    missing = max(1, round(len(labels) * fraction)) - held_out.sum()
    # The largest remainders are rounded up, in random order where they are equal.
    order = np.lexsort((generator.random(len(classes)), -(shares - held_out)))
    for place in [place for place in order if held_out[place] < counts[place] - 1][: max(missing, 0)]:
        held_out[place] += 1
    if not held_out.sum():
        raise ValueError(
            f"{origin} has only one video of every class, so that none can be set aside to validate with. Give videos "
            "to validate with."
        )
    rows = [
        row
        for name, count in zip(classes, held_out)
        for row in generator.permutation(np.flatnonzero(labels == name))[:count]
    ]
    is_held_out = np.zeros(len(labels), dtype=bool)
    is_held_out[rows] = True
    return np.flatnonzero(~is_held_out).tolist(), np.flatnonzero(is_held_out).tolist()


# ---- scanning


class _Probe:
    """What is wrong with each video of a dataset, as a dataset for `DataLoader`."""

    def __init__(self, dataset: Dataset, num_frames: int, full: bool, decoder: str):
        self.dataset = dataset
        self.num_frames = num_frames
        self.full = full
        self.decoder = decoder

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[int, VideoProblem | None]:
        video = self.dataset[index]["video"]
        name = video_name(video, index)
        try:
            source = video_source(video)
            total_num_frames = self._decode_all(source) if self.full else self._decode_some(source)
        except VideoDecodingError as error:
            return index, VideoProblem(index, name, "unreadable", " ".join(str(error).split()))
        if total_num_frames < self.num_frames:
            reason = f"{total_num_frames} frames, fewer than {self.num_frames}"
            return index, VideoProblem(index, name, "too short", reason)
        return index, None

    def _decode_some(self, source: str | bytes) -> int:
        def choose_frames(total_num_frames, fps):
            return segment_frame_indices(total_num_frames, self.num_frames, EVALUATION_CLIPS).flatten().tolist()

        return decode_video(source, choose_frames, self.decoder).total_num_frames

    def _decode_all(self, source: str | bytes) -> int:
        first = decode_video(source, lambda total_num_frames, fps: [0], self.decoder)
        step = max(1, BYTES_PER_PIECE // first.frames[0].numel())
        for start in range(0, first.total_num_frames, step):
            piece = range(start, min(start + step, first.total_num_frames))
            decode_video(source, lambda total_num_frames, fps, piece=piece: list(piece), self.decoder)
        return first.total_num_frames


def _probe_in_workers(probe: _Probe, indices, num_workers: int) -> Iterator[tuple[int, VideoProblem | None]]:
    return DataLoader(probe, batch_size=None, sampler=indices, num_workers=num_workers)


def _is_crash(error: RuntimeError) -> bool:
    """Rather than an exception in a worker, which comes with its own type and traceback."""
    return "DataLoader worker (pid" in str(error)


def scan_videos(
    dataset: Dataset,
    *,
    num_frames: int,
    full: bool = False,
    num_workers: int = 0,
    progress: bool = True,
    decoder: str = "auto",
) -> list[VideoProblem]:
    """
    Decodes every video, and says which cannot be read or are short.

    Args:
        dataset (`datasets.Dataset`):
            As [`load_videos`] gives it.
        num_frames (`int`):
            Frames that the model takes.
        full (`bool`, defaults to `False`):
            Decode every frame, rather than those that an evaluation with three clips takes.
        num_workers (`int`, defaults to 0):
            Processes that decode. With at least one, a video that crashes its decoder is found, too; without, the crash
            ends this process.
        progress (`bool`, defaults to `True`):
            Whether to show a progress bar.
        decoder (`str`, defaults to `"auto"`):
            As for [`decode_video`].

    Returns:
        `list[VideoProblem]`: In the order of the dataset.
    """
    if num_frames < 1:
        raise ValueError(f"`num_frames` must be at least 1, got {num_frames}.")
    probe = _Probe(dataset, num_frames, full, decoder)
    found: dict[int, VideoProblem | None] = {}
    with tqdm(total=len(dataset), disable=not progress, desc="Scanning", unit="video") as bar:

        def run(indices, num_workers: int) -> str | None:
            """Adds to what is found, in order; gives the reason where a worker died."""
            try:
                for index, problem in _probe_in_workers(probe, indices, num_workers):
                    found[index] = problem
                    bar.update(len(found) - bar.n)
            except RuntimeError as error:
                if not _is_crash(error):
                    raise
                return re.sub(r" \(pid[^:]*?\d+\)", "", str(error).splitlines()[0])
            return None

        while len(found) < len(dataset) and run(range(len(found), len(dataset)), num_workers) is not None:
            # The one that it was is among those which the workers had in hand: each of them alone.
            start = len(found)
            for index in range(start, min(start + num_workers * 2, len(dataset))):
                reason = run([index], 1)
                if reason is not None:
                    name = video_name(dataset[index]["video"], index)
                    found[index] = VideoProblem(index, name, "unreadable", f"Decoding it ended the process: {reason}")
    return [problem for _, problem in sorted(found.items()) if problem is not None]


__all__ = [
    "VideoProblem",
    "find_videos",
    "hash_videos",
    "load_train_and_validation",
    "load_videos",
    "read_class_names",
    "scan_videos",
    "video_name",
    "video_source",
]
