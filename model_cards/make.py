# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""
Write the model cards of the paper's nine checkpoints, from the facts in modeling_dist/paper.py and the template that every
published model has.

    python model_cards/make.py
    python model_cards/make.py --namespace my-organization --output folder

The figures are the authors'. To publish a converted checkpoint with them, give its name here; if its folder has a
`metrics.json`, the card lists the measured figures separately:

    modeling-dist publish --model my-dist --repo_id org/my-dist --paper_checkpoint dist-vit-b16-8-16f-k400
"""

import argparse
from pathlib import Path

from huggingface_hub import ModelCard
from transformers import CLIPVisionConfig

from modeling_dist import DiSTConfig, DiSTVideoProcessor
from modeling_dist.hub import make_model_card
from modeling_dist.paper import BACKBONES, NUM_LABELS, PAPER_CHECKPOINTS, VISION_SIZES, PaperCheckpoint


def make_card(checkpoint: PaperCheckpoint, namespace: str) -> ModelCard:
    """Return the card of one checkpoint."""
    vision_config = CLIPVisionConfig(**VISION_SIZES[checkpoint.architecture])
    config = DiSTConfig(
        vision_config=vision_config,
        backbone=BACKBONES[checkpoint.architecture],
        num_frames=checkpoint.num_frames,
        num_pooling_layers=checkpoint.training_settings["num_pooling_layers"],
        projection_dim=vision_config.projection_dim,
        num_labels=NUM_LABELS[checkpoint.dataset],
    )
    return make_model_card(
        config,
        f"{namespace}/{checkpoint.name}",
        authors_metrics=checkpoint.metrics,
        training_settings=checkpoint.training_settings,
        processor=DiSTVideoProcessor(num_frames=checkpoint.num_frames),
    )


def main():
    """Write the cards."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--namespace", default="org", help="user or organization that the repositories belong to")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, help="folder to write the cards to")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    for checkpoint in PAPER_CHECKPOINTS.values():
        path = args.output / f"{checkpoint.name}.md"
        make_card(checkpoint, args.namespace).save(path)
        print(path)


if __name__ == "__main__":
    main()
