# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Starts a command under accelerate's launcher, whose options stand among the command's own."""

import importlib
import logging
import os
import subprocess
from pathlib import Path

from ..command_line import ArgumentParser


# Configurations of the launcher that are given by name: `--config_file multi_gpu`.
CONFIGURATIONS = {path.stem: path for path in sorted((Path(__file__).parent / "accelerate_configs").glob("*.yaml"))}

LAUNCHER_HELP = (
    "Options of `accelerate launch` are passed on to it: --num_processes, --num_machines, --main_process_port, …, and "
    f"--config_file with a file or one of {', '.join(CONFIGURATIONS)}."
)


def split_arguments(parser: ArgumentParser, arguments: list[str]) -> tuple[list[str], list[str]]:
    """Return the arguments that the parser knows, and the others, each in their order."""
    arguments = parser.with_underscores(arguments)
    _, others = parser.parse_known_args(arguments)
    known, pending = [], list(others)
    for argument in arguments:
        if pending and argument == pending[0]:
            pending.pop(0)
        else:
            known.append(argument)
    return known, others


def launch(command: str, arguments: list[str]):
    """
    Run a command of this package as `accelerate launch` runs a script, and end as it does. `command` is a module of
    this folder with `make_parser()`, `parse(arguments)` and `main(arguments)`; `arguments` are options of the command
    and of the launcher, in any order.
    """
    module = importlib.import_module(f".{command}", __package__)
    parser = module.make_parser()
    own, others = split_arguments(parser, arguments)
    settings = module.parse(own)  # ends with a message before anything is started

    # Only now, because these import torch.
    from accelerate.commands.launch import launch_command
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    precision = getattr(settings, "mixed_precision", None)
    launcher_arguments = read_launcher_arguments(parser, others, settings.cpu, precision)
    launcher_arguments.training_script = module.__name__
    launcher_arguments.module = True
    launcher_arguments.training_script_args = own
    # Each process has reported itself what went wrong in it.
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    try:
        launch_command(launcher_arguments)
    except subprocess.CalledProcessError as error:
        raise SystemExit(describe_failure(error.returncode)) from None
    except ChildFailedError as error:
        raise SystemExit(describe_failure(error.get_first_failure()[1].exitcode)) from None
    except ValueError as error:  # contradicting options of the launcher
        parser.error(str(error))
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def read_launcher_arguments(parser: ArgumentParser, arguments: list[str], cpu: bool, mixed_precision: str | None):
    """Return the launcher's parsed options, completed by what it should not have to ask or warn about."""
    import torch
    from accelerate.commands.config import default_config_file
    from accelerate.commands.launch import launch_command_parser

    script = "script"
    parsed, unknown = launch_command_parser().parse_known_args([*arguments, script])
    if unknown or parsed.training_script != script:
        words = arguments if parsed.training_script != script else unknown
        parser.error(f"unrecognized arguments: {' '.join(words)}; `accelerate launch` does not know them either")
    if parsed.config_file in CONFIGURATIONS and not os.path.exists(parsed.config_file):
        parsed.config_file = str(CONFIGURATIONS[parsed.config_file])
    parsed.mixed_precision = parsed.mixed_precision or mixed_precision

    on_cpu = cpu or not torch.accelerator.is_available()
    if parsed.config_file is None and on_cpu and (parsed.num_processes or 1) > 1:
        # Without this file the launcher would start a single process.
        parsed.config_file = str(CONFIGURATIONS["cpu"])
    if parsed.config_file is not None or os.path.isfile(default_config_file):
        return parsed
    parsed.cpu = cpu
    parsed.num_processes = parsed.num_processes or (1 if on_cpu else torch.accelerator.device_count())
    parsed.multi_gpu = parsed.multi_gpu or parsed.num_processes > 1
    parsed.num_machines = parsed.num_machines or 1
    parsed.mixed_precision = parsed.mixed_precision or "no"
    parsed.dynamo_backend = parsed.dynamo_backend or "no"
    if on_cpu and parsed.num_cpu_threads_per_process is None and "OMP_NUM_THREADS" not in os.environ:
        # The launcher's own choice is one thread.
        parsed.num_cpu_threads_per_process = torch.get_num_threads()
    return parsed


def describe_failure(exit_code: int) -> int | str:
    """Return what to exit with: the code of a process that has said what is wrong, words for one that could not."""
    if exit_code >= 0:
        return exit_code
    return f"A process was ended by signal {-exit_code}. If that is 9, the machine may have run out of memory."
