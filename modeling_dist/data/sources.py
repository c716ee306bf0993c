# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""From folders, lists and datasets of the Hub to `datasets.Dataset` objects of videos and labels, split into those to train
on and those to validate with. No video is opened here.

Every dataset has the features `{"video": Video(decode=False), "label": ClassLabel(names=[...])}`: a row's video is a path,
or the bytes of a file, which [`video_source`] makes what the processor takes.
"""

import csv
import functools
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

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
from transformers.utils import logging

from ..video_decoding_dist import VideoDecodingError
from .lists import (
    LABEL_COLUMNS,
    VIDEO_COLUMNS,
    VIDEO_EXTENSIONS,
    absolute_root,
    check_some_exist,
    choose_column,
    detect_list_format,
    is_integer,
    is_url,
    quote_some,
    read_class_names,
    read_excluded,
    read_video_list,
    repeated,
    resolve_path,
)


logger = logging.get_logger(__name__)

FORMATS = ("auto", "folder", "csv", "json", "list", "ssv2", "hub", "disk")
# In the order in which they are preferred.
VALIDATION_SPLITS = ("validation", "val", "valid", "test")


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


# ---- rows


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


def _video_paths(dataset: Dataset) -> list[str | None]:
    """Without reading the bytes beside them."""
    return dataset.with_format(None).flatten().select_columns("video.path")["video.path"][:]


def _has_bytes(dataset: Dataset) -> bool:
    """Then paths are names at most, and two videos can have the same."""
    return dataset.flatten().data.column("video.bytes").null_count < len(dataset.data)


def write_video_list(dataset: Dataset, path: str | os.PathLike):
    """
    Writes a dataset of files as a CSV file with the columns `video` and `label`, which [`load_videos`] reads. A dataset that
    holds the videos themselves makes no list, and nothing is written.
    """
    paths = _video_paths(dataset)
    if _has_bytes(dataset) or None in paths:
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


# ---- labels


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
    are_integers = all(map(is_integer, labels))
    if are_integers and not any(part.labels_are_words for part in videos):
        negative = [label for label in labels if int(label) < 0]
        if negative:
            raise ValueError(
                f"{videos[0].origin} has the labels {quote_some(negative)}; a label is 0 or more. Where this marks videos "
                "without a label, take another split, or leave them out."
            )
        return [str(index) for index in range(max(map(int, labels)) + 1)], given_by
    return sorted(labels, key=int if are_integers else None), given_by


def _number_labels(videos: _Videos, class_names: list[str], given_by: str) -> list[int]:
    """The index of each label: the place of its name, or the label itself where it is an integer and no name."""
    indices = {name: index for index, name in enumerate(class_names)}
    unknown = [label for label in dict.fromkeys(videos.labels) if label not in indices]
    if not unknown:
        return [indices[label] for label in videos.labels]
    if not videos.labels_are_words and all(map(is_integer, videos.labels)):
        outside = [label for label in unknown if not 0 <= int(label) < len(class_names)]
        if not outside:
            return [int(label) for label in videos.labels]
        raise ValueError(
            f"{videos.origin} has the labels {quote_some(outside)}, but there are {len(class_names)} class names "
            f"({given_by}), for the labels 0 to {len(class_names) - 1}."
        )
    raise ValueError(
        f"{videos.origin} has labels that are not among the {len(class_names)} class names ({given_by}): "
        f"{quote_some(unknown)}. Known are {quote_some(class_names)}. Correct them, leave these videos out, or give all names as "
        "`class_names`."
    )


# ---- folders


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


def _dataset_of_paths(paths: list[str]) -> Dataset:
    return Dataset.from_dict({"video": paths}).cast_column("video", Video(decode=False))


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


# ---- datasets


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
            raise ValueError(
                f"{origin} has several columns of videos, {quote_some(found)}. Name one with `video_column`."
            )
        video_column = found[0] if found else None
    video_column = choose_column(columns, video_column, VIDEO_COLUMNS, "video_column", origin)
    if label_column is None:
        usual = [name for name in columns if name.strip().lower() in LABEL_COLUMNS]
        found = [name for name in columns if isinstance(features[name], ClassLabel)]
        if not usual and len(found) == 1:
            label_column = found[0]
    label_column = choose_column(columns, label_column, LABEL_COLUMNS, "label_column", origin)

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
            root = absolute_root(root)
            paths = [resolve_path(path, root) for path in paths]
            how = f"Relative paths are resolved against {root}, `video_root`."
            videos = _dataset_of_paths(paths)
        check_some_exist(paths, origin, how)
    return _Videos(videos, labels, origin, class_names if options["class_names"] is None else None, root=root)


# ---- loading


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
        if extension in VIDEO_EXTENSIONS:
            raise ValueError(f"{source} is a video; give a folder of them, or a list with a label for each.")
        return "hub" if extension == ".parquet" else detect_list_format(source, options)
    if re.fullmatch(r"[\w.-]+(/[\w.-]+)?", source) and not re.search(
        r"\.(csv|tsv|jsonl?|txt|parquet)$", source.lower()
    ):
        return "hub"
    raise FileNotFoundError(
        f"There is no file or folder {os.path.abspath(source)}. Give a folder with a folder per class, a CSV, JSON or text "
        'list, a folder written by `Dataset.save_to_disk`, or a dataset of the Hub ("owner/name").'
    )


def _load_list(path: str, format: str, options: dict) -> _Videos:
    paths, labels, class_names, root = read_video_list(path, format, options)
    return _Videos(_dataset_of_paths(paths), labels, path, class_names, root=root)


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
    present = "it has no splits" if None in splits else f"its splits are {quote_some(splits)}"
    return ValueError(f'{source} has no videos in a split "{split}"; {present}.')


def _finish(parts: dict[str | None, _Videos], names: list[str], given_by: str, exclude) -> dict[str | None, Dataset]:
    """Labels as `ClassLabel`, without the excluded videos."""
    label = ClassLabel(names=names)
    finished = {
        split: part.videos.add_column("label", _number_labels(part, names, given_by), feature=label)
        for split, part in parts.items()
    }
    if exclude is None:
        return finished
    excluded = read_excluded(exclude)
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
            *(os.path.abspath(name) for name in excluded if not is_url(name)),
            *(resolve_path(name, str(part.root)) for name in excluded if part.root is not None),
        }
        shared = [path for path in repeated(paths) if path in matching] if _has_bytes(part.videos) else []
        if shared:
            logger.warning(
                f"Several videos of {part.origin} are called {quote_some(shared, 3)}; {exclude} leaves out all of them."
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
            The class names in the order of their indices, or a file of them, see
            [`~modeling_dist.data.lists.read_class_names`]. By default a
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
    twice = repeated(paths)
    if twice:
        logger.warning(f"{len(twice)} videos of {source} are listed more than once: {quote_some(twice, 3)}.")


def _split_at_random(dataset: Dataset, fraction: float, seed: int, origin: str) -> tuple[list[int], list[int]]:
    """Rows to train on and to validate with: each class in the same proportion, rounded so that the total is right."""
    if not 0 < fraction < 1:
        raise ValueError(f"`validation_fraction` must lie between 0 and 1, got {fraction}.")
    twice = [] if _has_bytes(dataset) else repeated(_video_paths(dataset))
    if twice:
        raise ValueError(
            f"{origin} lists {len(twice)} videos more than once ({quote_some(twice, 3)}), so that a random part to "
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
            logger.warning(f"{len(both)} videos are trained on and validated with: {quote_some(sorted(both), 3)}.")
    _warn_of_repeats({"train": finished["train"]}, train.origin)
    _warn_of_repeats({"validation": finished["validation"]}, validating.origin)
    return finished["train"], finished["validation"]


__all__ = [
    "find_videos",
    "hash_videos",
    "load_train_and_validation",
    "load_videos",
    "video_name",
    "video_source",
]
