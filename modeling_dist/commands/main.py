# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""`modeling-dist <command>`, which `python -m modeling_dist` is too."""

import argparse
import importlib
import importlib.metadata
import sys


# Under their headings in the help. Each is the name of a module in this folder, with a function `main(arguments)`.
COMMANDS = {
    "train and use a model": {
        "train": "train a DiST on your videos",
        "evaluate": "measure its accuracy on a dataset, also zero-shot",
        "predict": "classify videos into a table",
    },
    "prepare data": {
        "scan": "find unreadable, damaged and short videos before training",
        "motions": "generate videos that need temporal order to be understood",
    },
    "share": {
        "publish": "upload a model, its code and a model card to the Hub",
        "convert": "convert a checkpoint of the authors",
    },
    "try out": {
        "demo": "train, evaluate and classify in miniature, offline and on a CPU",
        "env": "print what a bug report needs: versions, devices, decoders",
    },
}
# These run under accelerate's launcher.
LAUNCHED = ("train", "evaluate")


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of what comes before a command's own options."""
    names = [name for commands in COMMANDS.values() for name in commands]
    width = max(map(len, names))
    listed = [
        f"{heading}:\n" + "\n".join(f"  {name:<{width}}  {description}" for name, description in commands.items())
        for heading, commands in COMMANDS.items()
    ]
    introduction = "DiST: video classification with a frozen CLIP and a light temporal encoder."
    parser = argparse.ArgumentParser(
        prog="modeling-dist",
        usage="modeling-dist COMMAND [options]",
        description="\n\n".join([introduction, *listed]),
        epilog="`modeling-dist COMMAND --help` lists the options of a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("command", choices=names, metavar="COMMAND", help=argparse.SUPPRESS)
    parser.add_argument(
        "--version",
        action="version",
        version=f"modeling_dist {importlib.metadata.version('modeling_dist')}",
        help="show the version and exit",
    )
    return parser


def main(arguments: list[str] | None = None):
    """Run the command that the arguments name, by default those of the process."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = make_parser()
    if not arguments:
        parser.print_help()
        return
    command = parser.parse_args(arguments[:1]).command
    if command in LAUNCHED:
        from .launch import launch

        launch(command, arguments[1:])
    else:
        importlib.import_module(f".{command}", __package__).main(arguments[1:])
