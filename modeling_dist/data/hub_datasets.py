# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Datasets that the datasets library loads: from the Hub, from `save_to_disk`, from Parquet files."""

import functools
import os
import re
from urllib.parse import quote

from datasets import ClassLabel, Dataset, DatasetDict, Video, config, load_dataset, load_from_disk
from huggingface_hub.constants import HF_HUB_CACHE
from huggingface_hub.file_download import repo_folder_name

from .lists import LABEL_COLUMNS, choose_columns
from .rows import (
    LabeledVideos,
    absolute_root,
    check_some_exist,
    has_bytes,
    make_path_dataset,
    paths_to_open,
    resolve_path,
    video_paths,
)
from .settings import DatasetSettings
from .text import quote_some


# Protocols of fsspec that read a file out of another one.
ARCHIVES = ("zip", "tar", "gzip", "bz2", "xz", "zstd", "lz4", "7z")


def open_dataset(
    path: str, format: str, settings: DatasetSettings, wanted: list[str], token: str | bool | None
) -> dict[str | None, Dataset]:
    """Return the splits of a dataset, and those of the wanted ones that are slices of splits, such as "train[:10%]"."""
    if format == "disk":
        loaded = load_from_disk(path)
    elif path.lower().endswith(".parquet"):
        loaded = load_dataset("parquet", data_files=path, split="train")
    else:
        hub_options = {} if os.path.isdir(path) else {"revision": settings.dataset_revision, "token": token}
        load = functools.partial(load_dataset, path, settings.dataset_config, **hub_options)
        try:
            loaded = load()
        except (FileNotFoundError, ConnectionError) as error:
            raise FileNotFoundError(
                f"{path} is neither a local file or folder nor a dataset that can be loaded from the Hub: {error}"
            ) from error
        loaded |= {split: load(split=split) for split in wanted if re.search(r"[\[+]", split)}
    return dict(loaded) if isinstance(loaded, DatasetDict) else {None: loaded}


def _is_video_feature(feature) -> bool:
    """Whether a column is a `Video`, or has its content without its type: `{"path": …, "bytes": …}`."""
    return isinstance(feature, Video) or (isinstance(feature, dict) and set(feature) == {"path", "bytes"})


def _hub_url(settings: DatasetSettings) -> str:
    revision = f"@{quote(settings.dataset_revision, safe='')}" if settings.dataset_revision else ""
    return f"hf://datasets/{settings.dataset}{revision}"


def _check_path(path: str, origin: str, settings: DatasetSettings, relative_is_allowed: bool):
    """
    Make sure that a row of a dataset on the Hub names a file of that dataset, or an http(s) URL, and none of this machine's
    files or other repositories, which whoever wrote the dataset would have this process read.
    """
    *archives, place = path.split("::")
    protocol, is_absolute, rest = place.partition("://")
    if is_absolute:
        own = f"datasets/{settings.dataset}"
        is_own = protocol == "hf" and (rest + "/").startswith((f"{own}/", f"{own}@"))
        is_allowed = protocol in ("http", "https") or is_own
    elif os.path.isabs(place):
        # Where the datasets library keeps what it has downloaded of the dataset.
        cached = os.path.join(HF_HUB_CACHE, repo_folder_name(repo_id=settings.dataset, repo_type="dataset"))
        folders = [os.path.realpath(folder) for folder in (cached, config.DOWNLOADED_DATASETS_PATH)]
        is_allowed = any(os.path.realpath(place).startswith(folder + os.sep) for folder in folders)
    else:
        is_allowed = relative_is_allowed
    is_inside = ".." not in re.split(r"[/\\]", rest if is_absolute else place)
    in_archives = all(archive.partition("://")[0] in ARCHIVES for archive in archives)
    if not (is_allowed and is_inside and in_archives):
        raise ValueError(
            f'A row of {origin} names the video "{path}". Rows of a dataset on the Hub may name its own files, by relative '
            "paths or hf:// URLs, and http(s) URLs. If you trust the dataset, allow other paths with `allow_local_paths` "
            "(--allow_local_paths)."
        )


def load_rows(dataset: Dataset, origin: str, settings: DatasetSettings) -> LabeledVideos:
    """Return the videos and labels of a dataset."""
    features = dataset.features
    columns = list(features)
    video_column, label_column = settings.video_column, settings.label_column
    if video_column is None:
        found = [name for name in columns if _is_video_feature(features[name])]
        if len(found) > 1:
            raise ValueError(
                f"{origin} has several columns of videos, {quote_some(found)}. Choose one with `video_column`."
            )
        video_column = found[0] if found else None
    if label_column is None:
        usual = [name for name in columns if name.strip().lower() in LABEL_COLUMNS]
        found = [name for name in columns if isinstance(features[name], ClassLabel)]
        if not usual and len(found) == 1:
            label_column = found[0]
    video_column, label_column = choose_columns(columns, video_column, label_column, origin)

    labels = dataset.select_columns(label_column)[label_column][:]
    feature = features[label_column]
    class_names = feature.names if isinstance(feature, ClassLabel) else None
    for number, label in enumerate(labels):
        if not isinstance(label, (int, str)) or isinstance(label, bool) or (class_names and label < 0):
            raise ValueError(
                f'Row {number} of {origin} has the label {label!r} in the column "{label_column}", but must have an index or '
                "name of a class. A split without labels cannot be used; choose another with `split`."
            )
    labels = [class_names[label] if class_names else str(label).strip() for label in labels]

    videos = dataset.select_columns(video_column)
    if video_column != "video":
        videos = videos.rename_column(video_column, "video")
    feature = features[video_column]
    if not _is_video_feature(feature) and getattr(feature, "dtype", None) not in ("string", "large_string", "binary"):
        raise ValueError(
            f'The column "{video_column}" of {origin} holds {feature}, but must hold a Video, a path, or bytes.'
        )
    # Before a row is read, because decoding in `datasets` needs torchcodec.
    videos = videos.cast_column("video", Video(decode=False))
    root = None if settings.video_root is None else absolute_root(settings.video_root)
    if not os.path.exists(settings.dataset):  # but on the Hub
        root = root or _hub_url(settings)
        for path in paths_to_open(videos) if not settings.allow_local_paths else ():
            _check_path(path, origin, settings, relative_is_allowed=not has_bytes(videos))
    paths = video_paths(videos)
    if not has_bytes(videos) and all(paths):
        how = "These are the paths in the dataset itself."
        if root is not None:
            paths = [resolve_path(path, root) for path in paths]
            how = f"Relative paths are resolved against {root}" + ", `video_root`." * (settings.video_root is not None)
            videos = make_path_dataset(paths)
        check_some_exist(paths, origin, how)
    return LabeledVideos(videos, labels, origin, class_names if settings.class_names is None else None, root=root)
