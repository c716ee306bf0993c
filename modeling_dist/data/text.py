# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Text files as people write them, and values as messages quote them."""

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any


def quote_some(values: Iterable, limit: int = 5) -> str:
    """Return the first values in quotes, and the number of the others, for a message."""
    values = [str(value) for value in values]
    shown = ", ".join(f'"{value}"' for value in values[:limit])
    return shown if len(values) <= limit else f"{shown} and {len(values) - limit} more"


def find_repeated(values: Iterable) -> list:
    """Return each value that occurs more than once."""
    return [value for value, count in Counter(values).items() if count > 1]


def read_text(path: str) -> str:
    """Return the content of a text file in UTF-8, with or without a byte order mark."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            return file.read()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text file in UTF-8: {error}. Save it as UTF-8.") from error


def read_json_or_lines(path: str) -> Any:
    """Return the content of a JSON file, or a list of the values in a JSON Lines file."""
    text = read_text(path)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        first_error = error
    try:
        return [json.loads(line) for line in text.split("\n") if line.strip()]
    except json.JSONDecodeError:
        raise ValueError(f"{path} is neither JSON nor JSON Lines: {first_error}.") from None
