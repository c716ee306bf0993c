# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Lists of videos and labels: CSV and TSV files, JSON and JSON Lines, text files with a path and a label per line such as
those of Kinetics, and the JSON files of Something-Something V2.
"""

import csv
import dataclasses
import functools
import io
import os
import re
from collections.abc import Callable, Iterator

from transformers.utils import logging

from .folders import VIDEO_EXTENSIONS
from .labels import read_class_names
from .rows import LabeledVideos, absolute_root, check_some_exist, make_path_dataset, resolve_path
from .settings import SPLIT_COLUMNS, TRAIN_SPLITS, DatasetSettings
from .text import quote_some, read_json_or_lines, read_text


logger = logging.get_logger(__name__)

# Column names that are recognized, preferred ones first.
VIDEO_COLUMNS = (
    *("video", "video_path", "path", "file_path", "filepath", "clip_path", "file", "file_name", "filename"),
    *("video_name", "clip", "clip_name", "name"),
)
LABEL_COLUMNS = (
    *("label", "labels", "class", "class_name", "label_name", "category", "action", "target"),
    *("label_id", "class_id", "label_index", "class_index"),
)

_EXTENSION = rf"(?:{'|'.join(re.escape(extension) for extension in VIDEO_EXTENSIONS)})"
# "some path/a b.mp4 17", "a.mp4,riding a bike", '"a, b.mp4"<tab>riding'
_LINE_WITH_VIDEO = re.compile(rf"""(?P<path>.+{_EXTENSION}["']?)[\s,;]+(?P<label>\S.*)""", re.IGNORECASE)
# A path without an extension: the label is what follows the last tab, or else the last word.
_LINE_WITH_TAB = re.compile(r"(?P<path>.*\S)\s*\t\s*(?P<label>[^\t]+)")
_LINE = re.compile(r"(?P<path>.*\S)[\s,;]+(?P<label>[^\s,;]+)")
_SEVERAL_INTEGERS = re.compile(r"\d+(?:[\s,;]+\d+)+")


def choose_columns(
    columns: list[str], video_column: str | None, label_column: str | None, origin: str
) -> tuple[str, str]:
    """Return the columns of videos and labels: the given ones, otherwise the first with a usual name."""
    chosen = []
    for option, given, usual in (
        ("video_column", video_column, VIDEO_COLUMNS),
        ("label_column", label_column, LABEL_COLUMNS),
    ):
        lowered = {column.strip().lower(): column for column in reversed(columns)}
        found = given if given is not None else next((lowered[name] for name in usual if name in lowered), None)
        if found is None:
            raise ValueError(
                f"{origin} has the columns {quote_some(columns, 20)}, none of which is called {', '.join(usual)}. Name the "
                f"column with `{option}`."
            )
        if found not in columns:
            raise ValueError(
                f'{origin} has no column "{given}" (`{option}`). Its columns are {quote_some(columns, 20)}.'
            )
        chosen.append(found)
    return chosen[0], chosen[1]


def _find_split_column(columns: list[str]) -> str | None:
    return next((column for column in columns if column.strip().lower() in SPLIT_COLUMNS), None)


def _split_csv(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the lines of a CSV or TSV file that are not empty, with their numbers, as lists of values."""
    first = text.split("\n", 1)[0]
    lines = csv.reader(io.StringIO(text), delimiter=max(",\t;", key=first.count))
    for line in lines:
        if line:
            yield lines.line_num, line


def _read_csv(path: str, settings: DatasetSettings) -> list[tuple[str, ...]]:
    lines = _split_csv(read_text(path))
    _, columns = next(lines, (1, None))
    if not columns:
        raise ValueError(f"{path} is empty. Its first line must name the columns, as in: video,label")
    chosen = [*choose_columns(columns, settings.video_column, settings.label_column, path)]
    split = _find_split_column(columns)
    places = [columns.index(column) for column in (*chosen, *([] if split is None or split in chosen else [split]))]
    rows = []
    for number, line in lines:
        if len(line) != len(columns):
            raise ValueError(
                f"Line {number} of {path} has {len(line)} values for the {len(columns)} columns {quote_some(columns)}. "
                'Put values that contain a comma in quotes: "a, b.mp4",archery'
            )
        rows.append(tuple(line[place] for place in places))
    return rows


def _read_json(path: str, settings: DatasetSettings) -> list[tuple[str, ...]]:
    rows = read_json_or_lines(path)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(
            f"{path} must hold a list of objects, or one object per line, each with a video and a label: "
            '[{"video": "a.mp4", "label": "archery"}, …].'
        )
    columns = list(dict.fromkeys(key for row in rows for key in row))
    if not columns:
        return []
    chosen = [*choose_columns(columns, settings.video_column, settings.label_column, path)]
    split = _find_split_column(columns)
    chosen += [] if split is None or split in chosen else [split]
    return [tuple(row.get(column) for column in chosen) for row in rows]


def _unquote(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def _read_lines(path: str) -> list[tuple[str, str]]:
    if os.path.splitext(path)[1].lower() in (".csv", ".tsv"):
        lines = [line for _, line in _split_csv(read_text(path))]
        if all(len(line) == 2 for line in lines):
            return [(video, label) for video, label in lines]
    rows = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        line = line.strip()
        if not line:
            continue
        match = _LINE_WITH_VIDEO.fullmatch(line) or _LINE_WITH_TAB.fullmatch(line) or _LINE.fullmatch(line)
        if match is None:
            raise ValueError(
                f'Line {number} of {path} is "{line}", but must be a path and a label, separated by a space, a tab or a comma.'
            )
        label = match["label"]
        if _SEVERAL_INTEGERS.fullmatch(label):
            raise ValueError(f'Line {number} of {path} has the labels "{label}", but a video can have only one.')
        row = _unquote(match["path"].rstrip(" ,;\t")), _unquote(label)
        if not rows and row[0].lower() in VIDEO_COLUMNS and row[1].lower() in LABEL_COLUMNS:
            continue  # a header
        rows.append(row)
    return rows


def _read_ssv2(path: str, root: str) -> list[tuple[str, str]]:
    rows = read_json_or_lines(path)
    if not isinstance(rows, list) or not all(isinstance(row, dict) and "id" in row for row in rows):
        raise ValueError(
            f"{path} must be a JSON file of Something-Something V2: a list of objects with "
            '"id", "label", "template" and "placeholders".'
        )
    if any("template" not in row for row in rows):
        raise ValueError(
            f"{path} has no templates, which name the classes: it is the test split of Something-Something V2, whose labels "
            "are not published. Use the train or the validation file."
        )
    files = set(os.listdir(root)) if os.path.isdir(root) else set()
    # The release consists of WebM files; people convert them to MP4.
    names = (
        next((f"{row['id']}{end}" for end in (".webm", ".mp4") if f"{row['id']}{end}" in files), f"{row['id']}.webm")
        for row in rows
    )
    return [(name, row["template"].replace("[", "").replace("]", "")) for name, row in zip(names, rows)]


def _read_ssv2_class_names(path: str) -> list[str] | None:
    """Return the class names of the label file beside the file of a split, or `None` if there is none."""
    folder = os.path.dirname(path)
    found = [name for name in sorted(os.listdir(folder)) if name.lower().endswith("labels.json")]
    if len(found) > 1:
        raise ValueError(
            f"There are several label files in {folder}: {quote_some(found)}. Choose one with `class_names`."
        )
    return read_class_names(os.path.join(folder, found[0])) if found else None


def _is_ssv2(path: str) -> bool:
    rows = read_json_or_lines(path)
    first = rows[0] if isinstance(rows, list) and rows else None
    # The test split has only ids.
    return isinstance(first, dict) and "id" in first and ("template" in first or set(first) == {"id"})


def detect_list_format(path: str, settings: DatasetSettings) -> str:
    """Return the format of a file that is neither a video nor Parquet."""
    extension = os.path.splitext(path)[1].lower()
    if extension in (".csv", ".tsv"):
        first = read_text(path).strip().split("\n", 1)[0]
        header = [name.strip().strip('"').lower() for name in re.split(r"[,;\t]", first)]
        is_named = bool(set(header) & set(VIDEO_COLUMNS)) or settings.video_column is not None
        is_list = not is_named and (_LINE_WITH_VIDEO.fullmatch(first.strip()) or len(header) == 1)
        return "list" if is_list else "csv"
    if extension in (".json", ".jsonl"):
        return "ssv2" if extension == ".json" and _is_ssv2(path) else "json"
    return "list"


def load_list(path: str, format: str, settings: DatasetSettings) -> LabeledVideos:
    """Return the videos of a list in the format "csv", "json", "list" or "ssv2"."""
    if settings.video_root is None:
        root, root_is = os.path.dirname(path), "the folder of the list, because `video_root` is not set"
    else:
        root, root_is = absolute_root(settings.video_root), "`video_root`"
    class_names = None
    if format == "ssv2":
        rows = _read_ssv2(path, root)
        class_names = _read_ssv2_class_names(path) if settings.class_names is None else None
    elif format == "list":
        rows = _read_lines(path)
    else:
        rows = (_read_csv if format == "csv" else _read_json)(path, settings)
    if not rows:
        raise ValueError(f"{path} lists no videos.")
    for number, row in enumerate(rows, start=1):
        if not all(
            isinstance(value, (str, int)) and not isinstance(value, bool) and str(value).strip() for value in row
        ):
            what = ("a path", "a label", "a split")[: len(row)]
            raise ValueError(
                f"Video {number} of {path} needs {', '.join(what[:-1])} and {what[-1]}, but has "
                f"{', '.join(map(repr, row[:-1]))} and {row[-1]!r}."
            )
    paths = [resolve_path(str(video).strip(), root) for video, *_ in rows]
    check_some_exist(paths, path, f"Relative paths are resolved against {root}, {root_is}.")
    labels = [str(label).strip() for _, label, *_ in rows]
    splits = [str(row[2]).strip() for row in rows] if len(rows[0]) == 3 else None
    return LabeledVideos(make_path_dataset(paths), labels, path, class_names, root=root, splits=splits)


def split_list(videos: LabeledVideos) -> dict[str | None, Callable[[], LabeledVideos]]:
    """Return the splits that a column of a list names, or all videos under `None` if it has none for training."""
    names = list(dict.fromkeys(videos.splits or ()))
    if not any(name.lower() in TRAIN_SPLITS for name in names):
        if len(names) > 1:
            logger.warning(
                f"The splits of {videos.origin} are not used, because none of them is called train: {quote_some(names)}."
            )
        return {None: lambda: videos}

    def select(name: str) -> LabeledVideos:
        rows = [row for row, split in enumerate(videos.splits) if split == name]
        return dataclasses.replace(
            videos,
            videos=videos.videos.select(rows),
            labels=[videos.labels[row] for row in rows],
            origin=f"{videos.origin} ({name})",
            splits=None,
            is_part=True,
        )

    counts = ", ".join(f"{videos.splits.count(name)} {name}" for name in names)
    logger.info(f"The splits are those that a column of {videos.origin} names: {counts}.")
    return {name: functools.partial(select, name) for name in names}


def read_excluded(exclude: str | os.PathLike) -> set[str]:
    """Return the videos in a list of videos to leave out, the column `video` of a CSV file."""
    exclude = os.fspath(exclude)
    if not os.path.isfile(exclude):
        raise FileNotFoundError(f"There is no file {exclude} (`exclude`). `modeling-dist scan` writes one.")
    rows = csv.DictReader(io.StringIO(read_text(exclude)))
    if "video" not in (rows.fieldnames or ()):
        raise ValueError(
            f'{exclude} (`exclude`) must be a CSV file with a column "video", as `modeling-dist scan` writes it, but its '
            f"columns are {quote_some(rows.fieldnames or ['none'])}."
        )
    return {row["video"] for row in rows if row["video"]}
