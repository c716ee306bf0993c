# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""
Generate videos that need temporal order to be understood: random textures that pan, zoom or rotate, a folder per class.

    modeling-dist motions --output motions
    modeling-dist motions --output motions --classes all --num_train 4000 --num_validation 800

No single frame tells the class, and neither do all frames of a video without their order.
"""

from ..command_line import ArgumentParser, exit_with_message, parse_options
from ..data.settings import MotionSettings


def make_parser() -> ArgumentParser:
    """Return the parser of the generator's options."""
    usage = "%(prog)s --output FOLDER [options]"
    return ArgumentParser(MotionSettings, prog="modeling-dist motions", usage=usage, description=__doc__)


def main(arguments: list[str] | None = None):
    """Write the videos, and print where they are."""
    settings = parse_options(MotionSettings, make_parser(), arguments)

    from ..data.motion_dataset import make_motion_dataset

    with exit_with_message():
        options = {name: value for name, value in vars(settings).items() if name != "output"}
        folder = make_motion_dataset(settings.output, **options, progress=True)
    print(f"{settings.num_train} training and {settings.num_validation} validation videos are in {folder}")
