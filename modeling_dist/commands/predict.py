# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""
Classify a video, or all videos in a folder, into a table or JSON lines.

    modeling-dist predict --model my-dist --videos video.mp4
    modeling-dist predict --model org/dist-vitb16-k400 --videos folder/ --output predictions.csv --top_k 3
    modeling-dist predict --model my-dist --videos a.mp4 b.mkv https://example.org/c.mp4 --output predictions.jsonl

Into classes of your own, zero-shot, averaged with CLIP's own predictions for single frames:

    modeling-dist predict --model org/dist-vitb16-k400 --videos folder/ --candidate_labels "feeding ducks" "scoring a goal"

Results are written as they come, to a file whose name ends in .incomplete until all of them are there. A video that cannot
be read gets a line with the reason; the others are classified all the same, and the exit status is then 1. A damaged video
that can be decoded is classified, and the damage is in its line.
"""

import sys

from ..command_line import ArgumentParser, exit_with_message, parse_options
from ..evaluation.settings import PredictionSettings


def make_parser() -> ArgumentParser:
    """Return the parser of the prediction options."""
    usage = "%(prog)s --model MODEL --videos VIDEO … [options]"
    return ArgumentParser(PredictionSettings, prog="modeling-dist predict", usage=usage, description=__doc__)


def main(arguments: list[str] | None = None):
    """Classify the videos, print their classes or write them, and exit with 1 if any video cannot be read."""
    settings = parse_options(PredictionSettings, make_parser(), arguments)

    from tqdm.auto import tqdm
    from transformers.utils import logging

    from ..evaluation.file_predictions import predict_files

    def show(record: dict):
        lines = [f"  {item['score']:7.2%}  {item['label']}" for item in record.get("predictions", [])]
        lines += [f"  {record[name]}" for name in ("damage", "error") if name in record]
        tqdm.write("\n".join([record["video"], *lines]))

    logging.disable_progress_bar()
    with exit_with_message():
        num_classified, num_failed = predict_files(settings, show=show if settings.output is None else None)
    if settings.output is not None or num_failed:
        print(f"{num_classified} videos classified, {num_failed} could not be read.", file=sys.stderr)
    if num_failed:
        sys.exit(1)
