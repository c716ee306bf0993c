# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""The facts of the paper: its models' sizes, datasets, recipes, and checkpoints with the figures that the authors report."""

from dataclasses import dataclass
from typing import Any


PAPER_URL = "https://arxiv.org/abs/2309.07911"

# Sizes of the vision encoders, as `CLIPVisionConfig` takes them.
VISION_SIZES = {
    architecture: {
        "hidden_size": hidden_size,
        "intermediate_size": 4 * hidden_size,
        "num_hidden_layers": num_hidden_layers,
        "num_attention_heads": hidden_size // 64,
        "image_size": 224,
        "patch_size": patch_size,
        "projection_dim": projection_dim,
    }
    for architecture, hidden_size, num_hidden_layers, patch_size, projection_dim in (
        ("b16", 768, 12, 16, 512),
        ("l14", 1024, 24, 14, 768),
    )
}

# OpenAI's CLIP models by hidden size, number of layers, patch size and image size.
OPENAI_CLIP = {
    (768, 12, 16, 224): "openai/clip-vit-base-patch16",
    (768, 12, 32, 224): "openai/clip-vit-base-patch32",
    (1024, 24, 14, 224): "openai/clip-vit-large-patch14",
    (1024, 24, 14, 336): "openai/clip-vit-large-patch14-336",
}


def find_openai_clip(vision_sizes: dict[str, Any]) -> str | None:
    """Return the Hub id of OpenAI's CLIP that has the sizes of a `CLIPVisionConfig`, or `None` if there is none."""
    names = ("hidden_size", "num_hidden_layers", "patch_size", "image_size")
    return OPENAI_CLIP.get(tuple(vision_sizes[name] for name in names))


BACKBONES = {architecture: find_openai_clip(sizes) for architecture, sizes in VISION_SIZES.items()}

# Datasets by the keys that this package uses, and their names in papers.
DATASET_NAMES = {
    "hmdb51": "HMDB51",
    "k400": "Kinetics-400",
    "k600": "Kinetics-600",
    "k700": "Kinetics-700",
    "k710": "Kinetics-710",
    "ssv2": "Something-Something V2",
    "ucf101": "UCF101",
}
NUM_LABELS = {"k400": 400, "ssv2": 174}

# The settings that all of the paper's runs share, including those that are defaults.
SHARED_SETTINGS = {
    "total_batch_size": 256,
    "base_learning_rate": 3.2e-4,
    "base_batch_size": 256,
    "weight_decay": 1e-4,
    "adam_beta1": 0.9,
    "adam_beta2": 0.999,
    "num_epochs": 36,
    "warmup_epochs": 6,
    "warmup_start_learning_rate": 8e-7,
    "label_smoothing": 0.1,
    "mixup_alpha": 0.8,
    "cutmix_alpha": 1.0,
    "mixing_probability": 1.0,
    "cutmix_probability": 0.5,
    "crop_scale": [0.4, 1.0],
    "crop_ratio": [3 / 4, 4 / 3],
    "flip_probability": 0.5,
    "grayscale_probability": 0.2,
    "color_jitter": [0.4, 0.4, 0.2, 0.1],
    "color_jitter_probability": 0.0,
    "frame_sampling": "segment",
    "head_type": "text",
    "spatial_frame_stride": 2,
    "integration_dim": 384,
    "temporal_dim": 96,
    "initializer_range": 0.02,
    "num_clips": 3,
    "num_crops": 1,
}
DATASET_SETTINGS = {
    "k400": {"num_pooling_layers": 4, "flip_label_pairs": []},
    "ssv2": {"num_pooling_layers": 2, "flip_label_pairs": ["86:87", "93:94", "166:167"]},
}
# The rows of the paper's table, named by dataset, backbone and number of frames that CLIP sees.
RECIPES = {
    f"{dataset}-{architecture}-{num_spatial_frames}": {
        **SHARED_SETTINGS,
        **DATASET_SETTINGS[dataset],
        "backbone": BACKBONES[architecture],
        "num_frames": SHARED_SETTINGS["spatial_frame_stride"] * num_spatial_frames,
    }
    for dataset in DATASET_SETTINGS
    for architecture, num_spatial_frames in (("b16", 8), ("b16", 16), ("b16", 32), ("l14", 32))
}


@dataclass(frozen=True)
class PaperCheckpoint:
    """
    One of the paper's models: the key of its architecture in `VISION_SIZES`, the frames of a clip that CLIP sees, the
    dataset that it was trained and evaluated on, the accuracies that the authors report, in percent, and the dataset
    of a training before.
    """

    architecture: str
    num_spatial_frames: int
    dataset: str
    top1: float
    top5: float
    pretrained_on: str | None = None

    @property
    def name(self) -> str:
        """The name of its model card, which `modeling-dist publish --paper_checkpoint` takes."""
        pretraining = f"-{self.pretrained_on}" if self.pretrained_on else ""
        frames = f"{self.num_spatial_frames}-{self.num_frames}f"
        return f"dist-vit-{self.architecture}-{frames}{pretraining}-{self.dataset}"

    @property
    def recipe(self) -> str:
        """Key of `RECIPES`."""
        return f"{self.dataset}-{self.architecture}-{self.num_spatial_frames}"

    @property
    def num_frames(self) -> int:
        """Frames of a clip."""
        return RECIPES[self.recipe]["num_frames"]

    @property
    def metrics(self) -> dict:
        """The authors' figures in the form of `metrics.json`."""
        protocol = {
            "dataset": self.dataset,
            "split": "validation",
            **{name: RECIPES[self.recipe][name] for name in ("num_frames", "num_clips", "num_crops")},
        }
        return {"top1": round(self.top1 / 100, 6), "top5": round(self.top5 / 100, 6), "protocol": protocol}

    @property
    def training_settings(self) -> dict:
        """The paper's settings in the form of `training_settings.json`."""
        pretrained_on = DATASET_NAMES.get(self.pretrained_on)
        return {"dataset": self.dataset, "recipe": self.recipe, **RECIPES[self.recipe], "pretrained_on": pretrained_on}

    def check(self, config):
        """Raise a `ValueError` if a model is not this one, as far as its `DiSTConfig` tells."""
        patch_size = VISION_SIZES[self.architecture]["patch_size"]
        for what, expected, given in (
            ("num_frames", self.num_frames, config.num_frames),
            ("num_labels", NUM_LABELS[self.dataset], config.num_labels),
            ("vision_config.patch_size", patch_size, config.vision_config.patch_size),
        ):
            if expected != given:
                raise ValueError(
                    f"The paper's {self.name} has {what}={expected}, and this model has {given}. Name the checkpoint that "
                    f"it was converted from: {', '.join(PAPER_CHECKPOINTS)}."
                )


PAPER_CHECKPOINTS = {
    checkpoint.name: checkpoint
    for checkpoint in (
        PaperCheckpoint("b16", 8, "k400", 83.6, 96.3),
        PaperCheckpoint("b16", 16, "k400", 84.4, 96.7),
        PaperCheckpoint("b16", 32, "k400", 85.0, 97.0),
        PaperCheckpoint("l14", 32, "k400", 88.0, 97.9),
        PaperCheckpoint("l14", 32, "k400", 89.6, 98.4, pretrained_on="k710"),
        PaperCheckpoint("b16", 8, "ssv2", 68.7, 91.1),
        PaperCheckpoint("b16", 16, "ssv2", 70.2, 92.0),
        PaperCheckpoint("b16", 32, "ssv2", 70.9, 92.1),
        PaperCheckpoint("l14", 32, "ssv2", 73.1, 93.2),
    )
}
