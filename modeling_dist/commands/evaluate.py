# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""
Evaluate a DiST as the paper does: three clips of every video, their probabilities averaged.

    modeling-dist evaluate --model my-dist --dataset videos/
    modeling-dist evaluate --model my-dist --dataset videos/ --shuffle_frames   # what it recognizes without temporal order

Zero-shot, on classes that the model was not trained on, averaged with CLIP's own predictions for single frames:

    modeling-dist evaluate --model org/dist-vitb16-k400 --dataset videos/ --zero_shot
    modeling-dist evaluate --model org/dist-vitb16-k400 --zero_shot --dataset_format ucf101 \\
        --dataset ucfTrainTestlist --video_root UCF-101 --output_dir ucf101
"""

from ..command_line import ArgumentParser, exit_with_message, parse_options
from ..evaluation.settings import EvaluationSettings
from .launch import LAUNCHER_HELP


def make_parser() -> ArgumentParser:
    """Return the parser of the evaluation options."""
    usage, description = "%(prog)s --model MODEL --dataset DATASET [options]", f"{__doc__}\n{LAUNCHER_HELP}"
    return ArgumentParser(EvaluationSettings, prog="modeling-dist evaluate", usage=usage, description=description)


def parse(arguments: list[str] | None = None) -> EvaluationSettings:
    """Return the settings that a command line gives; exit with a message where they make no sense."""
    return parse_options(EvaluationSettings, make_parser(), arguments)


def main(arguments: list[str] | None = None):
    """Evaluate in this process, as one of those that the launcher has started, and print the accuracies."""
    settings = parse(arguments)

    import datasets
    from accelerate import PartialState
    from transformers.utils import logging

    from ..evaluation.run import evaluate

    logging.disable_progress_bar()
    datasets.disable_progress_bars()
    with exit_with_message():
        evaluation = evaluate(settings)
    if evaluation.is_main_process:
        print(evaluation.describe())
    PartialState().destroy_process_group()


if __name__ == "__main__":
    main()
