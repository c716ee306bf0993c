# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""What the commands of this package have in common."""

import argparse
import contextlib
from collections.abc import Iterator


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """The description as it is written, and every option's default."""


@contextlib.contextmanager
def exit_with_message() -> Iterator[None]:
    """
    Ends the command with the message of an error instead of a traceback, around what reads the user's files and options:
    there, a `ValueError` or an `OSError` says what was given and what to do.
    """
    try:
        yield
    except (ValueError, OSError) as error:
        raise SystemExit(f"{type(error).__name__}: {error}") from error


__all__ = ["HelpFormatter", "exit_with_message"]
