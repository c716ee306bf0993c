# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""The options of the converter."""

from ..command_line import ArgumentParser


DESCRIPTION = """
Convert one of the authors' checkpoints (.pyth) to a folder that `from_pretrained` and `pipeline` load.

    {prog} --checkpoint dist_vitb16_k400.pyth --class_names k400 --output dist-vitb16-k400
    {prog} --checkpoint my.pyth --class_names names.txt --backbone folder --output my-dist

All sizes are read from the tensors, and the class embeddings are computed by the checkpoint's own text tower. The vision
tower is compared with the backbone (OpenAI's CLIP of the same sizes, or the one that --backbone names). If they are equal,
only the tunable weights are saved, and the configuration names the backbone and its commit. What was saved is loaded again
and compared with a naive forward of the checkpoint; the output folder appears only if the two agree.
"""

# What to do if the checkpoint's vision tower differs from the backbone.
BACKBONE_MISMATCH = ("include", "replace", "error")


def make_parser(prog: str = "python -m modeling_dist.convert_dist_to_hf") -> ArgumentParser:
    """Return the parser of the converter's options."""
    parser = ArgumentParser(
        prog=prog,
        usage="%(prog)s --checkpoint FILE --class_names NAMES --output FOLDER [options]",
        description=DESCRIPTION.format(prog=prog),
    )
    parser.add_argument("--checkpoint", required=True, metavar="FILE", help="one of the authors' .pyth files")
    parser.add_argument("--output", required=True, metavar="FOLDER", help="new or empty folder for the model")
    classes = parser.add_argument_group("Classes")
    classes.add_argument("--class_names", metavar="NAMES", help="k400, ssv2, or a file of the names in order")
    classes.add_argument("--class_token_ids", metavar="FILE", help="JSON file of token ids, instead of a tokenizer")
    classes.add_argument("--tokenizer", help="Hub id or folder of CLIP's tokenizer; by default the backbone's")
    backbone = parser.add_argument_group("Backbone")
    backbone.add_argument("--backbone", help="Hub id or folder of CLIP; by default OpenAI's of the same sizes")
    backbone.add_argument("--revision", help="branch, tag or commit of the backbone")
    what_if = "if the vision tower differs from the backbone: save it with the model, replace it, or stop"
    backbone.add_argument("--backbone_mismatch", choices=BACKBONE_MISMATCH, default="include", help=what_if)
    backbone.add_argument("--cache_dir", metavar="FOLDER", help="folder of the Hub's cache")
    backbone.add_argument("--local_files_only", action="store_true", help="use only files that are already downloaded")
    sizes = parser.add_argument_group("What the tensors do not reveal")
    layers = "layers of CLIP that the checkpoint reads, counted from 0, if not all of them"
    sizes.add_argument("--selected_layers", type=int, nargs="+", metavar="LAYER", help=layers)
    heads = "attention heads of the vision tower; by default the backbone's, or heads of width 64"
    sizes.add_argument("--num_attention_heads", type=int, metavar="HEADS", help=heads)
    heads = "attention heads of the text tower; by default heads of width 64"
    sizes.add_argument("--num_text_attention_heads", type=int, metavar="HEADS", help=heads)
    return parser
