# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""From folders, lists and datasets of the Hub to `datasets.Dataset` objects for training, validation and evaluation, without
opening a video.

Every dataset has the features `{"video": Video(decode=False), "label": ClassLabel(names=[...])}`. A row's video is a path or
the bytes of a file, which [`video_source`] turns into what the processor accepts.
"""

import dataclasses
import functools
import os
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from datasets import ClassLabel, Dataset, concatenate_datasets
from transformers.utils import logging

from .folders import VIDEO_EXTENSIONS, is_video_name, load_folder, walk_folders
from .hub_datasets import load_rows, open_dataset
from .labels import choose_class_names, number_labels
from .lists import detect_list_format, load_list, read_excluded, split_list
from .rows import LabeledVideos, find_common_files, has_bytes, is_url, resolve_path, video_paths
from .settings import DATASET_FORMATS, TRAIN_SPLITS, VALIDATION_SPLITS, DatasetSettings
from .text import find_repeated, quote_some


logger = logging.get_logger(__name__)

# The functions that load the videos of each split; a source without splits has one named `None`.
Splits = dict[str | None, Callable[[], LabeledVideos]]


# ---- opening


def _as_settings(dataset: str | os.PathLike | DatasetSettings, options: dict[str, Any]) -> DatasetSettings:
    if isinstance(dataset, DatasetSettings):
        return dataclasses.replace(dataset, **options)
    return DatasetSettings(dataset=os.fspath(dataset), **options)


def _detect_format(path: str, settings: DatasetSettings) -> str:
    if os.path.isdir(path):
        names = os.listdir(path)
        if "dataset_dict.json" in names or {"state.json", "dataset_info.json"} <= set(names):
            return "disk"
        has_parquet = False
        for _, files in walk_folders(path):
            if any(map(is_video_name, files)):
                return "folder"
            has_parquet |= any(name.lower().endswith(".parquet") for name in files)
        return "hub" if has_parquet else "folder"
    if os.path.isfile(path):
        extension = os.path.splitext(path)[1].lower()
        if extension in VIDEO_EXTENSIONS:
            raise ValueError(f"{path} is a single video. Give a folder of videos, or a list with a label for each.")
        return "hub" if extension == ".parquet" else detect_list_format(path, settings)
    if re.fullmatch(r"[\w.-]+(/[\w.-]+)?", path) and not re.search(r"\.(csv|tsv|jsonl?|txt|parquet)$", path.lower()):
        return "hub"
    raise FileNotFoundError(
        f"There is no file or folder {os.path.abspath(path)}. Give a folder with one subfolder per class, a CSV, JSON or text "
        'list, a folder written by `Dataset.save_to_disk`, or a dataset on the Hub ("owner/name").'
    )


def _open_splits(settings: DatasetSettings, wanted: list[str], token: str | bool | None) -> Splits:
    """Return the splits of a dataset; `wanted` are folder names or slices that are to be splits, too."""
    path, format = os.fspath(settings.dataset), settings.dataset_format
    if format not in DATASET_FORMATS:
        raise ValueError(f'`dataset_format` must be one of {", ".join(DATASET_FORMATS)}, got "{format}".')
    if format == "auto":
        format = _detect_format(path, settings)
    if os.path.exists(path):
        path = os.path.abspath(path)
        if format != "hub" and os.path.isdir(path) != (format in ("folder", "disk")):
            kind = "folder" if os.path.isdir(path) else "file"
            raise ValueError(f'{path} is a {kind}, which `dataset_format="{format}"` cannot read.')
    elif format != "hub":
        raise FileNotFoundError(f'There is no {os.path.abspath(path)}, which `dataset_format="{format}"` needs.')
    if format == "folder":
        return {split: lambda part=part: part for split, part in load_folder(path, settings, wanted).items()}
    if format in ("hub", "disk"):
        parts = open_dataset(path, format, settings, wanted, token)
        if not any(map(len, parts.values())):
            raise ValueError(f"{path} holds no videos.")
        return {
            split: functools.partial(load_rows, part, path if split is None else f"{path} ({split})", settings)
            for split, part in parts.items()
            if len(part)
        }
    if format in ("csv", "json"):
        return split_list(load_list(path, format, settings))
    return {None: functools.partial(load_list, path, format, settings)}


def _find_split(splits: Splits, names: tuple[str, ...]) -> str | None:
    """Return the first split that has one of the names, in any case."""
    lowered = {split.lower(): split for split in splits if split is not None}
    return next((lowered[name.lower()] for name in names if name.lower() in lowered), None)


def _missing_split(dataset, name: str, splits: Splits) -> ValueError:
    present = "it has no splits" if None in splits else f"its splits are {quote_some(splits)}"
    return ValueError(f'{dataset} has no videos in a split "{name}"; {present}.')


# ---- finishing


def _finish(parts: list[LabeledVideos], class_names: list[str], given_by: str, exclude) -> list[Dataset]:
    """Return the datasets with numbered labels, without the videos to leave out."""
    feature = ClassLabel(names=class_names)
    finished = [
        part.videos.add_column("label", number_labels(part, class_names, given_by), feature=feature) for part in parts
    ]
    return finished if exclude is None else _leave_out(finished, parts, exclude)


def _leave_out(datasets: list[Dataset], parts: list[LabeledVideos], exclude: str | os.PathLike) -> list[Dataset]:
    excluded = read_excluded(exclude)
    kept_datasets, found = [], set()
    for dataset, part in zip(datasets, parts):
        paths = video_paths(dataset)
        if excluded and not all(paths):
            raise ValueError(
                f"{part.origin} holds videos without a path, which `exclude` ({exclude}) cannot name. Filter the dataset itself."
            )
        matching = {
            *excluded,
            *(os.path.abspath(name) for name in excluded if not is_url(name)),
            *(resolve_path(name, str(part.root)) for name in excluded if part.root is not None),
        }
        shared = [path for path in find_repeated(paths) if path in matching] if has_bytes(dataset) else []
        if shared:
            logger.warning(
                f"Several videos of {part.origin} are named {quote_some(shared, 3)}. {exclude} excludes all of them."
            )
        kept = [index for index, path in enumerate(paths) if path not in matching]
        found |= matching & set(paths)
        if not kept:
            raise ValueError(f"`exclude` ({exclude}) leaves no video of {part.origin}.")
        if len(kept) < len(paths):
            dataset = dataset.select(kept)
            logger.info(f"{exclude} excludes {len(paths) - len(kept)} of the {len(paths)} videos of {part.origin}.")
        kept_datasets.append(dataset)
    if excluded and not found:
        logger.warning(
            f"{exclude} names {len(excluded)} videos to leave out, beginning with {sorted(excluded)[0]}, but none of them is in "
            f"{', '.join(part.origin for part in parts)}."
        )
    return kept_datasets


def _warn_about_repeated(datasets: list[Dataset], origin):
    repeated = find_repeated(path for dataset in datasets if not has_bytes(dataset) for path in video_paths(dataset))
    if repeated:
        logger.warning(f"{len(repeated)} videos of {origin} are listed more than once: {quote_some(repeated, 3)}.")


def load_videos(
    dataset: str | os.PathLike | DatasetSettings,
    *,
    split: str | tuple[str, ...] | None = None,
    token: str | bool | None = None,
    **options,
) -> Dataset:
    """
    Load labeled videos from any of the supported formats. No video is opened: a missing one is noticed only when it is
    decoded, unless all of the first ones are missing.

    Args:
        dataset (`str`, `os.PathLike` or `DatasetSettings`):
            One of the following, or settings that name it and whose fields are the options below:

            - a folder with one subfolder per class, or with `train` (`training`) and `validation` (`val`, `valid`, `dev`,
              `eval`, `test`, `testing`) folders that hold these, in upper or lower case;
            - a CSV or TSV file with a header, or a JSON or JSON Lines file, with columns for the path and the label, and if
              there are splits one called `split`, `subset` or `partition`;
            - a text file with a path and a label per line, separated by a space, a tab or a comma. Paths may contain
              spaces, and so may labels after a path with the extension of a video;
            - a JSON file of Something-Something V2 (train or validation), with `labels.json` beside it;
            - a folder written by `Dataset.save_to_disk`, a Parquet file, or a dataset on the Hub.
        split (`str` or `tuple[str, ...]`, *optional*):
            Split to load; all of them by default. Of several names, the first one that exists is used, and everything if
            there are no splits. Class names come from all splits of a folder, but only from this split of a dataset
            whose labels are not `ClassLabel`; pass `class_names` in that case.
        token (`str` or `bool`, *optional*):
            Token for a dataset on the Hub, as for `load_dataset`.
        dataset_format (`str`, defaults to `"auto"`):
            `"folder"`, `"csv"`, `"json"`, `"list"`, `"ssv2"`, `"disk"`, or `"hub"`, which also reads local folders and
            Parquet files as `load_dataset` does. With `"auto"`, a folder with `dataset_dict.json` or `state.json` is
            `"disk"`, one with Parquet files and no videos is `"hub"`, any other is `"folder"`. A `.csv` or `.tsv` file is
            `"csv"`, or `"list"` if its first line is a video already; a `.json` file whose entries have an id and a
            template is `"ssv2"`, other `.json` and `.jsonl` files are `"json"`; any other file is a `"list"`. A name that
            is not a local path is `"hub"`.
        dataset_config, dataset_revision (`str`, *optional*):
            Configuration and revision of a dataset on the Hub.
        video_root (`str` or `os.PathLike`, *optional*):
            Folder or URL that relative paths start from. Defaults to the folder of the list.
        class_names (`list[str]`, `str` or `os.PathLike`, *optional*):
            Class names in the order of their indices, in any form that [`read_class_names`] accepts. Defaults to the
            dataset's own, or the labels in alphabetical order; integer labels are named by their digits.
        allow_local_paths (`bool`, defaults to `False`):
            Whether rows of a dataset on the Hub may name any file or URL that this process can read, and not only files of
            that dataset and http(s) URLs.
        video_column, label_column (`str`, *optional*):
            Columns of a CSV or JSON file or a dataset, if they do not have usual names.
        exclude (`str` or `os.PathLike`, *optional*):
            CSV file whose column `video` lists videos to leave out, as `modeling-dist scan` writes it.

    Returns:
        `datasets.Dataset`: With the features `{"video": Video(decode=False), "label": ClassLabel(names=[...])}`.

    Raises:
        FileNotFoundError: If the dataset or all of its first videos do not exist.
        ValueError: If there are no videos, or a file cannot be understood; the message says where and why.
    """
    settings = _as_settings(dataset, options)
    splits = _open_splits(settings, [split] if isinstance(split, str) else [], token)
    chosen = list(splits)
    if split is not None and (isinstance(split, str) or None not in splits):
        names = (split,) if isinstance(split, str) else split
        chosen = [_find_split(splits, names)]
        if chosen == [None]:
            raise _missing_split(settings.dataset, " or ".join(names), splits)
    parts = [splits[name]() for name in chosen]
    share_classes = any(part.labels_are_words or part.is_part for part in parts)
    named = [load_split() for load_split in splits.values()] if share_classes else parts
    finished = _finish(parts, *choose_class_names(named, settings.class_names), settings.exclude)
    _warn_about_repeated(finished, settings.dataset)
    return concatenate_datasets(finished) if len(finished) > 1 else finished[0]


# ---- training and validation


def _split_at_random(dataset: Dataset, fraction: float, seed: int, origin: str) -> tuple[list[int], list[int]]:
    """
    Return the rows to train on and to validate on: the same share of every class, rounded so that the total is right, but at
    least one video of each class that has two.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"`validation_fraction` must lie between 0 and 1, got {fraction}.")
    repeated = [] if has_bytes(dataset) else find_repeated(video_paths(dataset))
    if repeated:
        raise ValueError(
            f"{origin} lists {len(repeated)} videos more than once ({quote_some(repeated, 3)}), so a random validation set "
            "could contain training videos. List each video once, or provide validation videos."
        )
    labels, names = np.asarray(dataset["label"][:]), dataset.features["label"].names
    classes, counts = np.unique(labels, return_counts=True)
    generator = np.random.default_rng(seed)
    shares = counts * fraction
    held_out = np.floor(shares).astype(int)
    missing = max(1, round(len(labels) * fraction)) - held_out.sum()
    # The largest remainders are rounded up; equal ones in random order.
    order = np.lexsort((generator.random(len(classes)), -(shares - held_out)))
    for place in [place for place in order if held_out[place] < counts[place] - 1][: max(missing, 0)]:
        held_out[place] += 1
    held_out[(held_out == 0) & (counts > 1)] = 1
    alone = [names[label] for label, count in zip(classes, counts) if count == 1]
    if alone and len(alone) < len(classes):
        logger.warning(
            f"No video is set aside for validation of the classes of {origin} that have only one: {quote_some(alone)}."
        )
    if not held_out.sum():
        raise ValueError(
            f"{origin} has only one video of every class, so none can be set aside for validation. Provide validation videos."
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
    dataset: str | os.PathLike | DatasetSettings,
    validation: str | os.PathLike | None = None,
    *,
    train_split: str = "train",
    validation_split: str | None = None,
    validation_fraction: float = 0.1,
    seed: int = 0,
    token: str | bool | None = None,
    **options,
) -> tuple[Dataset, Dataset]:
    """
    Load training and validation videos with the same class names.

    Args:
        dataset (`str`, `os.PathLike` or `DatasetSettings`):
            As for [`load_videos`].
        validation (`str` or `os.PathLike`, *optional*):
            A second dataset for validation, read with the same options.
        train_split, validation_split (`str`, default to `"train"` and `None`):
            Splits to train and to validate on. `"train"` is also `"training"`. With `None`, the first that exists of
            `validation`, `val`, `valid`, `dev`, `eval`, `evaluation`, `test` and `testing`; if there is none, a random part of the training videos is set aside.
        validation_fraction (`float`, defaults to 0.1), seed (`int`, defaults to 0):
            Size of the random part, in which proportion every class is divided as nearly as possible, though of two videos
            or more at least one is set aside and one trained on, and its seed: the same videos in the same order are always divided in the same way.
        token, options:
            As for [`load_videos`].

    Returns:
        `tuple[datasets.Dataset, datasets.Dataset]`: Training and validation videos.

    Raises:
        FileNotFoundError: As for [`load_videos`].
        ValueError: As for [`load_videos`], or if a validation label does not occur in training.
    """
    settings = _as_settings(dataset, options)
    # Folders with these names are splits, whatever else is beside them.
    explicit = [name for name in (train_split, validation_split) if name not in (None, "train")]

    splits = _open_splits(settings, explicit, token)
    train_name = _find_split(splits, TRAIN_SPLITS if train_split == "train" else (train_split,))
    if train_name is None and (None not in splits or train_split != "train"):
        raise _missing_split(settings.dataset, train_split, splits)
    train = splits[train_name]()
    validation_settings = settings if validation is None else dataclasses.replace(settings, dataset=validation)
    validation_splits = splits if validation is None else _open_splits(validation_settings, explicit, token)
    validation_names = VALIDATION_SPLITS if validation_split is None else (validation_split,)
    validation_name = _find_split(validation_splits, validation_names)
    if validation_name is not None or (validation is not None and None in validation_splits):
        parts = [train, validation_splits[validation_name]()]
    elif validation is None and validation_split is None:
        parts = [train]
    else:
        raise _missing_split(validation_settings.dataset, validation_names[0], validation_splits)

    finished = _finish(parts, *choose_class_names([train], settings.class_names), settings.exclude)
    if len(finished) == 1:
        rows, held_out = _split_at_random(finished[0], validation_fraction, seed, train.origin)
        logger.info(
            f"Validation: {len(held_out)} of the {len(finished[0])} videos of {train.origin}, chosen at random "
            f"(`validation_fraction={validation_fraction}`, `seed={seed}`)."
        )
        return finished[0].select(rows), finished[0].select(held_out)

    for name, part, part_dataset in zip(("Training", "Validation"), parts, finished):
        logger.info(f"{name}: {len(part_dataset)} videos of {part.origin}.")
        _warn_about_repeated([part_dataset], part.origin)
    if not any(map(has_bytes, finished)):
        both = find_common_files(*map(video_paths, finished))
        if both:
            logger.warning(f"{len(both)} videos are in both training and validation: {quote_some(both, 3)}.")
    return finished[0], finished[1]
