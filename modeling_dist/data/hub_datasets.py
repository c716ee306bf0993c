# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Datasets as the datasets library reads them: of the Hub, saved to disk, in Parquet files."""

import functools
import os
import re

from datasets import ClassLabel, Dataset, DatasetDict, Video, load_dataset, load_from_disk

from .lists import LABEL_COLUMNS, VIDEO_COLUMNS, choose_column
from .rows import (
    LabeledVideos,
    absolute_root,
    check_some_exist,
    dataset_of_paths,
    has_bytes,
    resolve_path,
    video_paths,
)
from .text import quote_some


def open_dataset(source: str, format: str, wanted: list[str], options: dict) -> dict[str | None, Dataset]:
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


def from_dataset(dataset: Dataset, origin: str, options: dict) -> LabeledVideos:
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
    paths = video_paths(videos)
    root = options["video_root"]
    if not has_bytes(videos) and all(paths):
        how = "These are the paths that the dataset itself holds."
        if root is not None:
            root = absolute_root(root)
            paths = [resolve_path(path, root) for path in paths]
            how = f"Relative paths are resolved against {root}, `video_root`."
            videos = dataset_of_paths(paths)
        check_some_exist(paths, origin, how)
    return LabeledVideos(videos, labels, origin, class_names if options["class_names"] is None else None, root=root)
