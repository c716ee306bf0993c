# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Datasets of files that nobody opens, and what was loaded of them."""

import os
from pathlib import Path

import datasets


def make_files(root, *paths) -> Path:
    """Files that are named like videos; nobody looks into them."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"not decoded")
    return root


def write(path, text, newline="\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.replace("\n", newline).encode())
    return path


def rows(dataset, root) -> list[tuple[str, str]]:
    """Paths relative to a folder, and class names; checks the promise that every dataset keeps."""
    label = dataset.features["label"]
    assert dataset.features == {"video": datasets.Video(decode=False), "label": datasets.ClassLabel(names=label.names)}
    assert all(row["video"]["bytes"] is None for row in dataset)
    return [(os.path.relpath(row["video"]["path"], root), label.int2str(row["label"])) for row in dataset]


def class_names(dataset) -> list[str]:
    return dataset.features["label"].names
