# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Class names, and labels as indices into them."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from .text import find_repeated, quote_some, read_json_or_lines, read_text


if TYPE_CHECKING:  # the converter reads class names without importing datasets
    from .rows import LabeledVideos


# A file per dataset with its class names, in the order of the labels.
LABELS_FOLDER = Path(__file__).parents[1] / "labels"


def is_integer(label: str) -> bool:
    return re.fullmatch(r"-?\d+", label) is not None


def class_name_in_words(name: str) -> str:
    """
    Return a class name as words that CLIP's text encoder knows: "Apply Eye Makeup" for "ApplyEyeMakeup", "brush hair" for
    "brush_hair". A name that consists of several words already stays as it is.
    """
    if len(name.split()) > 1:
        return name
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", re.sub(r"[_+]", " ", name))
    return " ".join(words.split()) or name


def read_class_names(class_names: list[str] | str | os.PathLike) -> list[str]:
    """
    Return class names in the order of their indices, from the names themselves; `"k400"` (Kinetics-400) or `"ssv2"`
    (Something-Something V2); or a file: a JSON list, a JSON object that maps names to indices or indices to names, or
    a text file with one name per line.
    """
    if isinstance(class_names, (str, os.PathLike)):
        built_in = {path.stem: str(path) for path in LABELS_FOLDER.glob("*.json")}
        origin = built_in.get(os.fspath(class_names), os.fspath(class_names))
        if not os.path.isfile(origin):
            raise FileNotFoundError(
                f"`class_names` is {origin}, but there is no such file. Give a list of names, one of {', '.join(built_in)}, a "
                "JSON file with a list of names or the index of each name, or a text file with one name per line."
            )
        if origin.lower().endswith(".json"):
            names = read_json_or_lines(origin)
        else:
            names = [line.strip() for line in read_text(origin).split("\n") if line.strip()]
    else:
        origin, names = "`class_names`", list(class_names)
    if isinstance(names, dict):
        by_index = all(is_integer(str(key)) for key in names)
        pairs = [(str(key), value) if by_index else (str(value), key) for key, value in names.items()]
        if sorted(index for index, _ in pairs) != sorted(str(index) for index in range(len(pairs))):
            raise ValueError(
                f"{origin} gives {len(pairs)} class names the indices {quote_some(index for index, _ in pairs)}; "
                f"they must be 0 to {len(pairs) - 1}, each exactly once."
            )
        names = [name for _, name in sorted(pairs, key=lambda pair: int(pair[0]))]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
        raise ValueError(f"{origin} must hold at least one class name, and nothing but class names.")
    repeated = find_repeated(names)
    if repeated:
        raise ValueError(f"{origin} holds class names more than once: {quote_some(repeated)}.")
    return names


def _in_words(labels: list[str]) -> list[str]:
    """Return the names of classes in words, which must be different ones."""
    names = [class_name_in_words(label) for label in labels]
    for name in find_repeated(names):
        same = [label for label, words in zip(labels, names) if words == name]
        raise ValueError(
            f"The classes {quote_some(same)} have the same name in words, {name!r}. Rename one of them, or list all classes with "
            "`class_names`."
        )
    return names


def check_words(class_names: list[str]):
    """Make sure that class names are words, of which the text head makes its vectors, and not the numbers of classes."""
    if all(map(is_integer, class_names)):
        raise ValueError(
            f"The classes are the numbers {quote_some(class_names)}, which mean nothing to the text head. Give their names with "
            "`class_names` (--class_names FILE), or train a linear head (--head_type linear)."
        )


def choose_class_names(videos: list["LabeledVideos"], class_names) -> tuple[list[str], str]:
    """
    Return the class names of labeled videos, and a description of where they come from: the given ones, otherwise those
    that the source defines, otherwise the labels. Labels and names of the source are put into words.
    """
    if class_names is not None:
        given_by = f"from {class_names}" if isinstance(class_names, (str, os.PathLike)) else "`class_names`"
        return read_class_names(class_names), given_by
    for part in videos:
        if part.class_names is not None:
            return _in_words(part.class_names), f"of {part.origin}"
    labels = {label for part in videos for label in part.labels}
    given_by = f"those of {videos[0].origin}"
    are_integers = all(map(is_integer, labels))
    if are_integers and not any(part.labels_are_words for part in videos):
        negative = [label for label in labels if int(label) < 0]
        if negative:
            raise ValueError(
                f"{videos[0].origin} has the labels {quote_some(negative)}, but labels must not be negative. If they mark "
                "videos without a label, use another split or leave these videos out."
            )
        return [str(index) for index in range(max(map(int, labels)) + 1)], given_by
    return _in_words(sorted(labels, key=int if are_integers else None)), given_by


def number_labels(videos: "LabeledVideos", class_names: list[str], given_by: str) -> list[int]:
    """
    Return the indices of the labels: those of their names, as they are or in words, or the labels themselves if they are
    integers and not names.
    """
    indices = {name: index for index, name in enumerate(class_names)}
    in_words: dict[str, set[int]] = {}
    for name, index in indices.items():
        in_words.setdefault(class_name_in_words(name).lower(), set()).add(index)
    for label in dict.fromkeys(videos.labels):
        found = in_words.get(class_name_in_words(label).lower(), ())
        if len(found) == 1:
            indices.setdefault(label, *found)
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
        f"{quote_some(unknown)}. The class names are {quote_some(class_names)}. Correct the labels, leave these videos out, or "
        "list all classes with `class_names`."
    )
