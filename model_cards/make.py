# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Writes the model cards of the paper's nine checkpoints, from the table below and the template of every published model.

    python model_cards/make.py
    python model_cards/make.py --namespace my-organization --output folder

The figures are the authors'. A converted checkpoint that has been evaluated is published with its own `metrics.json`
(`examples/publish.py`), and its card then has the measured figures beside.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import ModelCard
from transformers import CLIPVisionConfig

from modeling_dist import DiSTConfig, DiSTVideoProcessor
from modeling_dist.model_card import DATASET_NAMES, make_model_card


@dataclass(frozen=True)
class Checkpoint:
    """One of the paper's models and what the authors report of it, in percent."""

    architecture: str
    num_frames: int
    dataset: str
    top1: float
    top5: float
    pretrained_on: str | None = None

    @property
    def name(self) -> str:
        pretraining = f"-{self.pretrained_on}" if self.pretrained_on else ""
        return f"dist-vit-{self.architecture}-{self.num_frames // 2}-{self.num_frames}f{pretraining}-{self.dataset}"


CHECKPOINTS = (
    Checkpoint("b16", 16, "k400", 83.6, 96.3),
    Checkpoint("b16", 32, "k400", 84.4, 96.7),
    Checkpoint("b16", 64, "k400", 85.0, 97.0),
    Checkpoint("l14", 64, "k400", 88.0, 97.9),
    Checkpoint("l14", 64, "k400", 89.6, 98.4, pretrained_on="k710"),
    Checkpoint("b16", 16, "ssv2", 68.7, 91.1),
    Checkpoint("b16", 32, "ssv2", 70.2, 92.0),
    Checkpoint("b16", 64, "ssv2", 70.9, 92.1),
    Checkpoint("l14", 64, "ssv2", 73.1, 93.2),
)

BACKBONES = {"b16": "openai/clip-vit-base-patch16", "l14": "openai/clip-vit-large-patch14"}
L14 = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "patch_size": 14,
    "projection_dim": 768,
}
VISION_CONFIGS = {"b16": {"patch_size": 16}, "l14": L14}
NUM_CLASSES = {"k400": 400, "ssv2": 174}


def make_card(checkpoint: Checkpoint, namespace: str) -> ModelCard:
    """The card of one checkpoint."""
    vision_config = CLIPVisionConfig(**VISION_CONFIGS[checkpoint.architecture])
    config = DiSTConfig(
        vision_config=vision_config,
        backbone=BACKBONES[checkpoint.architecture],
        num_frames=checkpoint.num_frames,
        num_pooling_layers=4 if checkpoint.dataset == "k400" else 2,
        projection_dim=vision_config.projection_dim,
        num_labels=NUM_CLASSES[checkpoint.dataset],
        architectures=["DiSTForVideoClassification"],
    )
    settings = {
        "dataset": checkpoint.dataset,
        "pretrained_on": DATASET_NAMES.get(checkpoint.pretrained_on),
        "epochs": 36,
        "warmup_epochs": 6,
        "optimizer": "AdamW, β = (0.9, 0.999)",
        "learning_rate": "3.2e-4 for 256 clips, scaled with the batch; cosine",
        "weight_decay": "1e-4",
        "label_smoothing": 0.1,
        "mixup_or_cutmix": "α 0.8 or 1.0, one of the two for every batch",
        "crops": "scale 0.4 to 1, ratio 3/4 to 4/3",
        "flips": "½" if checkpoint.dataset == "k400" else "½, the labels of mirrored motions exchanged",
        "grayscale": 0.2,
    }
    protocol = {
        "dataset": checkpoint.dataset,
        "split": "validation",
        "num_frames": checkpoint.num_frames,
        "num_clips": 3,
        "num_crops": 1,
    }
    return make_model_card(
        config,
        f"{namespace}/{checkpoint.name}",
        authors_metrics={"top1": checkpoint.top1 / 100, "top5": checkpoint.top5 / 100, "protocol": protocol},
        training_settings=settings,
        processor=DiSTVideoProcessor(num_frames=checkpoint.num_frames),
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--namespace", default="org", help="user or organization that the repositories belong to")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, help="folder to write the cards to")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    for checkpoint in CHECKPOINTS:
        path = args.output / f"{checkpoint.name}.md"
        make_card(checkpoint, args.namespace).save(path)
        print(path)


if __name__ == "__main__":
    main()
