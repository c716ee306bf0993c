# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""
Train a DiST on your videos: CLIP stays frozen, the temporal encoder and the integration branch are trained.

A folder with one subfolder per class, on whatever this machine has:

    modeling-dist train --dataset videos/ --output_dir my-dist

The paper's recipe for Something-Something V2, on eight GPUs in bfloat16, resumed if it has been stopped:

    modeling-dist train --recipe ssv2-b16-8 --config_file multi_gpu \\
        --dataset something-something-v2-train.json --validation something-something-v2-validation.json \\
        --video_root 20bn-something-something-v2 --output_dir dist-vitb16-ssv2 --resume_from_checkpoint latest
"""

import logging
import os

from ..command_line import ArgumentParser, exit_with_message
from ..training import settings as training_settings
from ..training.settings import TrainingSettings
from .launch import LAUNCHER_HELP


def make_parser() -> ArgumentParser:
    """Return the parser of the training options."""
    return training_settings.make_parser(prog="modeling-dist train", description=f"{__doc__}\n{LAUNCHER_HELP}")


def parse(arguments: list[str] | None = None) -> TrainingSettings:
    """Return the settings that a command line gives; exit with a message where they make no sense."""
    return training_settings.parse_settings(arguments, make_parser())


def set_up_logging():
    """Show what the run reports, each message once, and no progress bar beside that of the training."""
    import datasets
    import transformers

    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    for library in ("datasets", "huggingface_hub"):
        logging.getLogger(library).propagate = False  # these have handlers of their own
    is_main_process = os.environ.get("RANK", "0") == "0"
    logging.getLogger("modeling_dist").setLevel(logging.INFO if is_main_process else logging.WARNING)
    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()


def main(arguments: list[str] | None = None):
    """Train in this process, as one of those that the launcher has started."""
    settings = parse(arguments)

    from accelerate import PartialState
    from tqdm.contrib.logging import logging_redirect_tqdm

    from ..training.loop import train

    set_up_logging()
    with exit_with_message(), logging_redirect_tqdm():
        train(settings)
    PartialState().destroy_process_group()


if __name__ == "__main__":
    main()
