# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""`modeling-dist convert`, which `python -m modeling_dist.convert_dist_to_hf` is too."""

from ..conversion.options import make_parser


def main(arguments: list[str] | None = None):
    """Convert one of the authors' checkpoints."""
    options = make_parser(prog="modeling-dist convert").parse_args(arguments)

    from ..convert_dist_to_hf import run

    run(options)
