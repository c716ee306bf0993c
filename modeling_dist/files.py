# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Files and folders that appear complete or not at all, and JSON whose errors name the file."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def atomic_file(path: str | os.PathLike) -> Iterator[Path]:
    """
    Give a temporary path to write to, which takes the place of `path` at the end. Whatever fails in between leaves an
    existing file as it was, and no other one behind. The folder has to exist.
    """
    path = Path(path)
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(path: str | os.PathLike, is_folder: bool = True):
    """
    Make sure, before much time is spent on what shall be written, that a folder (or a file) can be written: that no file is in
    the way, or folder where the file belongs, and that there are permission and space. Nothing is changed.
    """
    path = Path(path).absolute()
    if not is_folder and path.is_dir():
        raise IsADirectoryError(f"{path} cannot be written, because it is a folder. Give the name of a file.")
    folder = path if is_folder else path.parent
    while not os.path.lexists(folder):
        folder = folder.parent
    if not folder.is_dir():
        raise NotADirectoryError(f"{path} cannot be written, because {folder} is not a folder. Choose another place.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"{path} cannot be written: no permission to write to {folder}. Choose another place.")
    free = shutil.disk_usage(folder).free
    if free < 2**20:
        raise OSError(f"{path} cannot be written: there are only {free:,} bytes left on the disk. Make room.")


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike) -> Iterator[Path]:
    """
    Give an empty temporary folder to write to, which is renamed to `path` at the end, or removed if anything fails.
    `path` must not exist, or be empty.
    """
    path = Path(path).absolute()
    if os.path.lexists(path) and not (path.is_dir() and not any(path.iterdir())):
        raise FileExistsError(f"{path} exists and is not an empty folder. Remove it, or choose another folder.")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        if path.is_dir():
            path.rmdir()
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: str | os.PathLike, text: str):
    """Write a text file in UTF-8, complete or not at all."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike, content: Any, indent: int = 2, sort_keys: bool = False):
    """Write a JSON file, complete or not at all."""
    write_text(path, json.dumps(content, indent=indent, sort_keys=sort_keys, ensure_ascii=False) + "\n")


def read_json(path: str | os.PathLike) -> Any:
    """Return the content of a JSON file. What is not JSON in UTF-8 is a `ValueError` that names the file."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not a valid JSON file: {error}. Fix the file or recreate it.") from error


def read_json_object(path: str | os.PathLike) -> dict[str, Any]:
    """Return the content of a JSON file that holds an object; anything else is a `ValueError` that names the file."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold a JSON object, and holds a {type(content).__name__}.")
    return content
