# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""
Find the videos of a dataset that cannot be read, are damaged, or have fewer frames than the model takes.

    modeling-dist scan --dataset videos/ --num_frames 16 --output problems.csv
    modeling-dist scan --dataset kinetics/train.txt --video_root /data/kinetics --num_frames 16 --output problems.csv
    modeling-dist scan --dataset owner/name --split train --num_frames 32 --full --output problems.csv

The frames that an evaluation takes are decoded from every video, or all of its frames with --full. The result is a CSV file
with the columns video, problem ("unreadable", "damaged" or "too short") and reason, which training and evaluation take as
--exclude. A damaged video can still be used, though frames may be missing or wrong, and so can one that is too short, whose
frames repeat: delete its line to keep it.
"""

from ..command_line import ArgumentParser, exit_with_message, parse_options
from ..data.settings import ScanSettings


def make_parser() -> ArgumentParser:
    """Return the parser of the scan's options."""
    usage = "%(prog)s --dataset DATASET --num_frames N --output FILE [options]"
    return ArgumentParser(ScanSettings, prog="modeling-dist scan", usage=usage, description=__doc__)


def main(arguments: list[str] | None = None):
    """Scan a dataset, write what is wrong with it, and print how many videos are good."""
    settings = parse_options(ScanSettings, make_parser(), arguments)

    from ..data.scanning import scan

    with exit_with_message():
        report = scan(settings)
    print(f"{report.describe()}: {settings.output}")
