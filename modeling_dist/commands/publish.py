# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""
Publish a trained or converted DiST on the Hub in one commit: weights, configuration, processor, code and model card.

    hf auth login                                            # once, with a token that may write

    modeling-dist publish --model my-dist --repo_id org/my-dist --dry_run
    modeling-dist publish --model my-dist --repo_id org/my-dist --license apache-2.0
    modeling-dist publish --model my-dist --repo_id org/my-dist --private --revision longer-training
    modeling-dist publish --model my-dist --repo_id somebody/dist --create_pr

    # A model whose backbone lies in a local folder: name the repository that holds the same weights, or publish them too.
    modeling-dist publish --model my-dist --repo_id org/my-dist --backbone openai/clip-vit-base-patch16
    modeling-dist publish --model my-dist --repo_id org/my-dist --include_backbone

    # One of the paper's checkpoints, converted: its card reports the authors' figures as theirs.
    modeling-dist publish --model my-dist --repo_id org/my-dist --paper_checkpoint dist-vit-b16-8-16f-k400

The card is rendered from the folder's configuration, `metrics.json` and `training_settings.json`. A `README.md` that you
have written into the folder takes its place. What the repository holds already is not sent again, so an interrupted
command is simply run again.
"""

import sys

from ..command_line import ArgumentParser, exit_with_message
from ..paper import PAPER_CHECKPOINTS


def make_parser() -> ArgumentParser:
    """Return the parser of the publishing options."""
    parser = ArgumentParser(
        prog="modeling-dist publish", usage="%(prog)s --model FOLDER --repo_id ID [options]", description=__doc__
    )
    what = parser.add_argument_group("What to publish")
    what.add_argument("--model", required=True, help="folder written by training, conversion or `save_pretrained`")
    what.add_argument("--backbone", help="Hub id of the repository that holds the backbone's weights")
    what.add_argument("--backbone_revision", metavar="REVISION", help="commit, branch or tag of the backbone")
    what.add_argument("--include_backbone", action="store_true", default=None, help="publish the backbone too")
    card = parser.add_argument_group("Model card")
    card.add_argument("--metrics", metavar="FILE", help="metrics.json of an evaluation; by default the folder's")
    card.add_argument("--authors_metrics", metavar="FILE", help="the weights' authors' figures, in that form")
    names = f"the paper's model that this one was converted from: {', '.join(PAPER_CHECKPOINTS)}"
    card.add_argument("--paper_checkpoint", metavar="NAME", choices=PAPER_CHECKPOINTS, help=names)
    card.add_argument("--training_settings", metavar="FILE", help="settings of the training; by default the folder's")
    card.add_argument("--license", help="license of the weights, by its id on the Hub: apache-2.0, cc-by-nc-4.0, …")
    card.add_argument("--tags", nargs="+", help="additional tags")
    where = parser.add_argument_group("Where to publish it")
    where.add_argument("--repo_id", required=True, help="namespace/name on the Hub, created if it does not exist")
    where.add_argument("--private", action="store_true", default=None, help="make a new repository private")
    where.add_argument("--revision", metavar="BRANCH", help="branch to commit to, created if it does not exist")
    where.add_argument("--create_pr", action="store_true", help="propose the commit as a pull request")
    where.add_argument("--commit_message", help="summary of the commit")
    where.add_argument("--token", help="access token; by default the one that `hf auth login` has stored")
    where.add_argument("--dry_run", action="store_true", help="list the files and their bytes, and upload nothing")
    return parser


def main(arguments: list[str] | None = None):
    """Publish a model, and print where it is."""
    options = vars(make_parser().parse_args(arguments))

    from transformers.utils import logging

    from ..hub import publish

    logging.disable_progress_bar()
    folder = options.pop("model")
    with exit_with_message():
        published = publish(folder, **options)
    if options["dry_run"]:
        for name, size in published.items():
            print(f"{size:15,}  {name}")
        total = f"{sum(published.values()):15,}  bytes in {len(published)} files for {options['repo_id']}"
        print(f"{total}; nothing was uploaded.")
        return
    if options["license"] is None:
        print("The card names no license; without one, nobody may use the weights. Add --license.", file=sys.stderr)
    print(published.pr_url or published.commit_url)
