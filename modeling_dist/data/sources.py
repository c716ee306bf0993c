# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""From folders, lists and datasets of the Hub to `datasets.Dataset` objects of videos and labels, split into those to train
on and those to validate with. No video is opened here.

Every dataset has the features `{"video": Video(decode=False), "label": ClassLabel(names=[...])}`: a row's video is a path,
or the bytes of a file, which [`video_source`] makes what the processor takes.
"""

import functools
import os
import re
from collections.abc import Callable

import numpy as np
from datasets import ClassLabel, Dataset, concatenate_datasets
from transformers.utils import logging

from .folders import VIDEO_EXTENSIONS, is_named_like_video, load_folder, walk_folders
from .hub_datasets import from_dataset, open_dataset
from .labels import choose_class_names, number_labels
from .lists import detect_list_format, read_excluded, read_video_list
from .rows import LabeledVideos, dataset_of_paths, has_bytes, is_url, resolve_path, video_paths
from .settings import DATASET_FORMATS, VALIDATION_SPLITS
from .text import quote_some, repeated


logger = logging.get_logger(__name__)


def _detect_format(source: str, options: dict) -> str:
    if os.path.isdir(source):
        names = os.listdir(source)
        if "dataset_dict.json" in names or {"state.json", "dataset_info.json"} <= set(names):
            return "disk"
        has_parquet = False
        for _, files in walk_folders(source):
            if any(map(is_named_like_video, files)):
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


def _load_list(path: str, format: str, options: dict) -> LabeledVideos:
    paths, labels, class_names, root = read_video_list(path, format, options)
    return LabeledVideos(dataset_of_paths(paths), labels, path, class_names, root=root)


def _open_source(
    source: str | os.PathLike, format: str, wanted: list[str], options: dict
) -> dict[str | None, Callable[[], LabeledVideos]]:
    """What gives the videos of each split; a source that knows no splits has one that is called `None`."""
    if format not in DATASET_FORMATS:
        raise ValueError(f'`format` must be one of {", ".join(DATASET_FORMATS)}, got "{format}".')
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
        return {split: lambda part=part: part for split, part in load_folder(source, options, wanted).items()}
    if format in ("hub", "disk"):
        parts = open_dataset(source, format, wanted, options)
        if not any(map(len, parts.values())):
            raise ValueError(f"{source} holds no videos.")
        return {
            split: functools.partial(from_dataset, part, source if split is None else f"{source} ({split})", options)
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


def _finish(
    parts: dict[str | None, LabeledVideos], names: list[str], given_by: str, exclude
) -> dict[str | None, Dataset]:
    """Labels as `ClassLabel`, without the excluded videos."""
    label = ClassLabel(names=names)
    finished = {
        split: part.videos.add_column("label", number_labels(part, names, given_by), feature=label)
        for split, part in parts.items()
    }
    if exclude is None:
        return finished
    excluded = read_excluded(exclude)
    found = set()
    for split, part in parts.items():
        paths = video_paths(part.videos)
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
        shared = [path for path in repeated(paths) if path in matching] if has_bytes(part.videos) else []
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
    names, given_by = choose_class_names(named, class_names)
    finished = _finish(parts, names, given_by, exclude)
    _warn_of_repeats(finished, source)
    return concatenate_datasets(list(finished.values())) if len(finished) > 1 else next(iter(finished.values()))


def _warn_of_repeats(finished: dict[str | None, Dataset], source):
    paths = [path for part in finished.values() if not has_bytes(part) for path in video_paths(part)]
    twice = repeated(paths)
    if twice:
        logger.warning(f"{len(twice)} videos of {source} are listed more than once: {quote_some(twice, 3)}.")


def _split_at_random(dataset: Dataset, fraction: float, seed: int, origin: str) -> tuple[list[int], list[int]]:
    """Rows to train on and to validate with: each class in the same proportion, rounded so that the total is right."""
    if not 0 < fraction < 1:
        raise ValueError(f"`validation_fraction` must lie between 0 and 1, got {fraction}.")
    twice = [] if has_bytes(dataset) else repeated(video_paths(dataset))
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

    names, given_by = choose_class_names([train], class_names)
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
    if not any(map(has_bytes, finished.values())):
        both = set(video_paths(finished["train"])) & set(video_paths(finished["validation"]))
        if both:
            logger.warning(f"{len(both)} videos are trained on and validated with: {quote_some(sorted(both), 3)}.")
    _warn_of_repeats({"train": finished["train"]}, train.origin)
    _warn_of_repeats({"validation": finished["validation"]}, validating.origin)
    return finished["train"], finished["validation"]


__all__ = ["load_train_and_validation", "load_videos"]
