# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Reads the files that say which videos there are and what they show: lists of paths and labels, and lists of class names.

A list of videos is a CSV or TSV file, JSON or JSON Lines, a text file with a path and a label per line, as those of Kinetics,
or a JSON file of Something-Something V2. `modeling_dist.data.sources` makes datasets of what is read here.
"""

import csv
import io
import os
import re

from .folders import VIDEO_EXTENSIONS
from .labels import read_class_names
from .rows import absolute_root, check_some_exist, resolve_path
from .text import parse_json, quote_some, read_text


VIDEO_COLUMNS = (
    *("video", "video_path", "path", "file_path", "filepath", "clip_path", "file", "file_name", "filename"),
    *("video_name", "clip", "clip_name", "name"),
)


LABEL_COLUMNS = (
    *("label", "labels", "class", "class_name", "label_name", "category", "action", "target"),
    *("label_id", "class_id", "label_index", "class_index"),
)


_ENDS_LIKE_A_VIDEO = rf"(?:{'|'.join(re.escape(extension) for extension in VIDEO_EXTENSIONS)})"


# "some path/a b.mp4 17", "a.mp4,riding a bike", '"a, b.mp4"<tab>riding'
_LINE_WITH_VIDEO = re.compile(rf"""(?P<path>.+{_ENDS_LIKE_A_VIDEO}["']?)[\s,;]+(?P<label>\S.*)""", re.IGNORECASE)


# A path without an extension: the label is what follows the last tab, or else the last token.
_LINE_WITH_TAB = re.compile(r"(?P<path>.*\S)\s*\t\s*(?P<label>[^\t]+)")


_LINE = re.compile(r"(?P<path>.*\S)[\s,;]+(?P<label>[^\s,;]+)")


_SEVERAL_INTEGERS = re.compile(r"\d+(?:[\s,;]+\d+)+")


def choose_column(columns: list[str], given: str | None, usual: tuple[str, ...], option: str, origin: str) -> str:
    """The given column, or the first of the usual ones that is there."""
    if given is not None:
        if given in columns:
            return given
        raise ValueError(f'{origin} has no column "{given}" (`{option}`); its columns are {quote_some(columns, 20)}.')
    lowered = {column.strip().lower(): column for column in reversed(columns)}
    for name in usual:
        if name in lowered:
            return lowered[name]
    raise ValueError(
        f"{origin} has the columns {quote_some(columns, 20)}; none of them is called {', '.join(usual)}. Name it with `{option}`."
    )


def _read_csv(path: str, options: dict) -> list[tuple[str, str]]:
    text = read_text(path)
    first = text.split("\n", 1)[0]
    lines = csv.reader(io.StringIO(text), delimiter=max(",\t;", key=first.count))
    columns = next(lines, None)
    if not columns:
        raise ValueError(f"{path} is empty; its first line has to name the columns, as in: video,label")
    video = columns.index(choose_column(columns, options["video_column"], VIDEO_COLUMNS, "video_column", path))
    label = columns.index(choose_column(columns, options["label_column"], LABEL_COLUMNS, "label_column", path))
    rows = []
    for line in lines:
        if len(line) not in (0, len(columns)):
            raise ValueError(
                f"Line {lines.line_num} of {path} has {len(line)} values for the {len(columns)} columns {quote_some(columns)}. "
                'What holds a comma itself has to stand in quotes: "a, b.mp4",archery'
            )
        if line:
            rows.append((line[video], line[label]))
    return rows


def _read_json(path: str, options: dict) -> list[tuple[str, str]]:
    rows = parse_json(read_text(path), path)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(
            f"{path} has to hold a list of objects, or an object per line, each with a video and a label: "
            '[{"video": "a.mp4", "label": "archery"}, …].'
        )
    columns = list(dict.fromkeys(key for row in rows for key in row))
    if not columns:
        return []
    video = choose_column(columns, options["video_column"], VIDEO_COLUMNS, "video_column", path)
    label = choose_column(columns, options["label_column"], LABEL_COLUMNS, "label_column", path)
    return [(row.get(video), row.get(label)) for row in rows]


def _unquote(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def _read_list(path: str) -> list[tuple[str, str]]:
    rows = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
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


def _read_ssv2(path: str) -> list[tuple[str, str]]:
    rows = parse_json(read_text(path), path)
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
        raise ValueError(f"There are several label files in {folder}: {quote_some(found)}. Name one as `class_names`.")
    return read_class_names(os.path.join(folder, found[0])) if found else None


def _looks_like_ssv2(path: str) -> bool:
    rows = parse_json(read_text(path), path)
    first = rows[0] if isinstance(rows, list) and rows else None
    # The test split has nothing but ids.
    return isinstance(first, dict) and "id" in first and ("template" in first or set(first) == {"id"})


def detect_list_format(path: str, options: dict) -> str:
    """The format of a file that is neither a video nor Parquet."""
    extension = os.path.splitext(path)[1].lower()
    if extension in (".csv", ".tsv"):
        first = read_text(path).strip().split("\n", 1)[0]
        header = [name.strip().strip('"').lower() for name in re.split(r"[,;\t]", first)]
        is_named = bool(set(header) & set(VIDEO_COLUMNS)) or options["video_column"] is not None
        is_list = not is_named and (_LINE_WITH_VIDEO.fullmatch(first.strip()) or len(header) == 1)
        return "list" if is_list else "csv"
    if extension in (".json", ".jsonl"):
        return "ssv2" if extension == ".json" and _looks_like_ssv2(path) else "json"
    return "list"


def read_video_list(path: str, format: str, options: dict) -> tuple[list[str], list[str], list[str] | None, str]:
    """Paths, labels, class names where there is a file of them beside the list, and what relative paths start from; the
    format is "csv", "json", "list" or "ssv2"."""
    if options["video_root"] is None:
        root, root_is = os.path.dirname(path), "the folder of the list, as no `video_root` is given"
    else:
        root, root_is = absolute_root(options["video_root"]), "`video_root`"
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
    elif format == "list":
        rows = _read_list(path)
    else:
        rows = (_read_csv if format == "csv" else _read_json)(path, options)
    if not rows:
        raise ValueError(f"{path} lists no videos.")
    for number, row in enumerate(rows, start=1):
        if not all(
            isinstance(value, (str, int)) and not isinstance(value, bool) and str(value).strip() for value in row
        ):
            raise ValueError(f"Video {number} of {path} needs a path and a label; it has {row[0]!r} and {row[1]!r}.")
    paths = [resolve_path(str(video).strip(), root) for video, _ in rows]
    check_some_exist(paths, path, f"Relative paths are resolved against {root}, {root_is}.")
    return paths, [str(label).strip() for _, label in rows], class_names, root


def read_excluded(exclude: str | os.PathLike) -> set[str]:
    """The names in the column "video" of a CSV file."""
    exclude = os.fspath(exclude)
    if not os.path.isfile(exclude):
        raise FileNotFoundError(f"There is no file {exclude} (`exclude`); examples/scan.py writes one.")
    rows = csv.DictReader(io.StringIO(read_text(exclude)))
    if "video" not in (rows.fieldnames or ()):
        raise ValueError(
            f'{exclude} (`exclude`) has to be a CSV file with a column "video", as examples/scan.py writes it; '
            f"its columns are {quote_some(rows.fieldnames or ['none'])}."
        )
    return {row["video"] for row in rows if row["video"]}
