# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""What the commands share: options declared as dataclass fields, one spelling of them, and errors as a line of text.

Nothing here imports torch, so that `--help` answers at once.
"""

import argparse
import contextlib
import copy
import dataclasses
import os
import sys
import time
import types
import typing
from collections.abc import Iterator, Sequence
from typing import Any


# Set to 1 to see the whole traceback of an error of which a command shows the message alone.
TRACEBACK_VARIABLE = "MODELING_DIST_TRACEBACK"

AnySettings = typing.TypeVar("AnySettings", bound="Settings")


def option(
    default: Any,
    help: str,
    *,
    group: str | None = None,
    choices: Sequence[Any] | None = None,
    minimum: float | None = None,
    required: bool = False,
    metavar: str | None = None,
) -> Any:
    """
    Declare a field of [`Settings`] as an option of a command. `help` is a phrase that stands alone; `group` is a
    heading in the help, for this field and those after it; `choices`, `minimum` and `required` say which values are
    allowed. A list as `default` is copied for every instance.
    """
    names = ("help", "group", "choices", "minimum", "required", "metavar")
    metadata = dict(zip(names, (help, group, choices, minimum, required, metavar)))
    if isinstance(default, list):
        return dataclasses.field(default_factory=lambda: list(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


class Settings:
    """Base of the dataclasses whose fields are options."""

    def select(self, *names: str) -> dict[str, Any]:
        """Return the values of some settings, by name."""
        return {name: getattr(self, name) for name in names}

    def check(self):
        """Raise a `ValueError` for what is not allowed, as far as that shows before anything is read or written."""
        for field in dataclasses.fields(self):
            value, allowed = getattr(self, field.name), field.metadata
            if allowed["required"] and value in (None, []):
                raise ValueError(f"--{field.name} is required.")
            values = value if isinstance(value, list) else [] if value is None else [value]
            for value in values:
                if allowed["choices"] and value not in allowed["choices"]:
                    choices = ", ".join(map(str, allowed["choices"]))
                    raise ValueError(f"--{field.name} must be one of {choices}, got {value}.")
                if allowed["minimum"] is not None and value < allowed["minimum"]:
                    raise ValueError(f"--{field.name} must be at least {allowed['minimum']}, got {value}.")


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Leaves the description as it is, and adds the default of every option that has a telling one."""

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help
        if action.default not in (None, [], argparse.SUPPRESS) and action.nargs != 0:
            default = " ".join(map(str, action.default)) if isinstance(action.default, list) else action.default
            text += f" (default: {default})"
        return text.replace("%", "%%")


class Flag(argparse.Action):
    """`--name` for true and `--no_name` for false."""

    def __init__(self, option_strings: list[str], dest: str, **kwargs):
        kwargs.pop("nargs", None)
        super().__init__(option_strings, dest, nargs=0, **kwargs)

    def __call__(self, parser, namespace, values, option_string=None):
        setattr(namespace, self.dest, not option_string.startswith("--no_"))


class ArgumentParser(argparse.ArgumentParser):
    """
    Takes options in full, with underscores and hyphens alike: `--num_frames`, `--num-frames`. Those of a class of
    [`Settings`] are added to it.
    """

    def __init__(self, settings_class: type[Settings] | None = None, **kwargs):
        super().__init__(**{"formatter_class": HelpFormatter, "allow_abbrev": False, **kwargs})
        if settings_class is not None:
            add_options(self, settings_class)

    def parse_known_args(self, args=None, namespace=None):
        return super().parse_known_args(self.with_underscores(sys.argv[1:] if args is None else args), namespace)

    def with_underscores(self, arguments: Sequence[str]) -> list[str]:
        """Return the arguments with the options that this parser knows spelled as it does."""
        spelled = []
        for argument in arguments:
            name, equals, value = str(argument).partition("=")
            known = f"--{name[2:].replace('-', '_')}"
            is_known = name.startswith("--") and known in self._option_string_actions
            spelled.append(f"{known}{equals}{value}" if is_known else str(argument))
        return spelled


def add_options(parser: argparse.ArgumentParser, settings_class: type[Settings]):
    """Add the options of a dataclass to a parser, in their groups."""
    hints, defaults = typing.get_type_hints(settings_class), settings_class()
    group = parser
    groups: dict[str, Any] = {}
    for field in dataclasses.fields(settings_class):
        title = field.metadata["group"]
        if title is not None:
            if title not in groups:
                groups[title] = parser.add_argument_group(title)
            group = groups[title]
        kwargs = {"default": getattr(defaults, field.name), "help": field.metadata["help"]}
        value_type, is_list = _value_type(hints[field.name])
        names = [f"--{field.name}"]
        if value_type is bool:
            names.append(f"--no_{field.name}")
            kwargs["action"] = Flag
            if kwargs["default"]:
                kwargs["help"] += f"; on by default, and --no_{field.name} turns it off"
        else:
            kwargs |= {"type": value_type, "choices": field.metadata["choices"], "metavar": field.metadata["metavar"]}
            kwargs["nargs"] = "+" if is_list else None
        group.add_argument(*names, **kwargs)


def _value_type(hint: Any) -> tuple[type, bool]:
    """Return the type of one value, and whether there can be several, from `int`, `int | None`, `list[int]`, …"""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        (hint,) = (part for part in typing.get_args(hint) if part is not type(None))
    if typing.get_origin(hint) is list:
        return typing.get_args(hint)[0], True
    return hint, False


def parse_options(
    settings_class: type[AnySettings], parser: argparse.ArgumentParser, arguments: Sequence[str] | None = None
) -> AnySettings:
    """
    Return the settings that a command line gives, with a parser to which [`add_options`] has added them. Settings that
    their own `check()` refuses, with a `ValueError`, end the process as any mistake on the command line does.
    """
    # Copied, because a list that is a default belongs to the parser.
    settings = settings_class(**copy.deepcopy(vars(parser.parse_args(arguments))))
    try:
        settings.check()
    except ValueError as error:
        parser.error(str(error))
    return settings


@contextlib.contextmanager
def exit_with_message(*others: type[Exception]) -> Iterator[None]:
    """
    End the process with the message of an error instead of a traceback: a `ValueError` or an `OSError` of this package
    says what was given and what to do, as do the `others`.
    """
    try:
        yield
    except Exception as error:
        is_explained = isinstance(error, (ValueError, OSError, FloatingPointError, *others))
        is_first = int(os.environ.get("LOCAL_RANK", 0)) == 0
        if int(os.environ.get("WORLD_SIZE", 1)) > 1 and not (is_explained and is_first):
            # Mostly another process meets the same error, or has ended and with it the connection. It reports what is
            # wrong, and the launcher then ends this process.
            time.sleep(5)
        if not is_explained or os.environ.get(TRACEBACK_VARIABLE) == "1":
            raise
        raise SystemExit(f"{type(error).__name__}: {error}") from None
