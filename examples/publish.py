# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Publishes a trained or converted DiST on the Hub, in one commit: weights, configuration, processor, code and model card.

    hf auth login                                            # once, with a token that may write

    python examples/publish.py --model my-dist --repo_id org/dist-vitb16-k400 --dry_run
    python examples/publish.py --model my-dist --repo_id org/dist-vitb16-k400 --license apache-2.0
    python examples/publish.py --model my-dist --repo_id org/dist-vitb16-k400 --private --revision longer-training
    python examples/publish.py --model my-dist --repo_id somebody/dist-vitb16-k400 --create_pr

    # A model whose backbone lies in a folder: name the repository that holds the same weights, or publish them too.
    python examples/publish.py --model my-dist --repo_id org/my-dist --backbone openai/clip-vit-base-patch16
    python examples/publish.py --model my-dist --repo_id org/my-dist --include_backbone

    # One of the paper's checkpoints, converted: its card has the authors' figures, told apart from measured ones.
    python examples/publish.py --model my-dist --repo_id org/my-dist --paper_checkpoint dist-vit-b16-8-16f-k400

The card is rendered from the folder's configuration, `metrics.json` and `training_settings.json`. A `README.md` that you
have written into the folder takes its place. What the repository holds already is not sent again, so a command that was
interrupted is simply run again.
"""

import argparse
import sys

from huggingface_hub.errors import HfHubHTTPError
from transformers.utils import logging

from modeling_dist.hub import publish
from modeling_dist.paper import PAPER_CHECKPOINTS


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", required=True, help="folder that `save_pretrained`, training or conversion has written"
    )
    parser.add_argument("--repo_id", required=True, help="namespace/name on the Hub; made if it does not exist")
    parser.add_argument("--backbone", help="Hub id that holds the backbone's weights, instead of a folder")
    parser.add_argument(
        "--backbone_revision",
        metavar="REVISION",
        help="commit, branch or tag of the backbone (default: what the configuration pins)",
    )
    parser.add_argument(
        "--include_backbone", action="store_true", default=None, help="publish the backbone's weights too"
    )
    parser.add_argument("--private", action="store_true", default=None, help="make a new repository private")
    parser.add_argument("--revision", metavar="BRANCH", help="commit to this branch; made if it does not exist")
    parser.add_argument("--create_pr", action="store_true", help="propose the commit as a pull request")
    parser.add_argument("--metrics", help="the evaluation's metrics.json (default: the folder's)")
    parser.add_argument(
        "--authors_metrics",
        metavar="FILE",
        help="what the authors of the weights report, as a file like metrics.json; told apart from what was measured",
    )
    parser.add_argument(
        "--paper_checkpoint",
        metavar="NAME",
        choices=PAPER_CHECKPOINTS,
        help=f"the paper's model that this one was converted from, for its figures and settings: {', '.join(PAPER_CHECKPOINTS)}",
    )
    parser.add_argument(
        "--training_settings", help="the training's settings (default: training_settings.json of the folder)"
    )
    parser.add_argument(
        "--license", help='of the weights, by its identifier on the Hub ("apache-2.0", "cc-by-nc-4.0", …)'
    )
    parser.add_argument("--tags", nargs="+", help="more tags for the card")
    parser.add_argument("--commit_message")
    parser.add_argument("--token", help="instead of the one that `hf auth login` has stored")
    parser.add_argument("--dry_run", action="store_true", help="list the files and their bytes, and upload nothing")
    args = parser.parse_args()
    logging.disable_progress_bar()

    options = vars(args)
    folder = options.pop("model")
    try:
        published = publish(folder, **options)
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise SystemExit(f"{type(error).__name__}: {error}") from None

    if args.dry_run:
        for name, size in published.items():
            print(f"{size:15,}  {name}")
        print(
            f"{sum(published.values()):15,}  bytes in {len(published)} files for {args.repo_id}; nothing was uploaded."
        )
        return
    if args.license is None:
        print(
            "The card names no license, and without one nobody has leave to use the weights: --license adds it.",
            file=sys.stderr,
        )
    print(published.pr_url or published.commit_url)


if __name__ == "__main__":
    main()
