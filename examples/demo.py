# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""From nothing to a classified video, offline and on a CPU: what a published DiST is made of, in miniature.

    python examples/demo.py
    python examples/demo.py --video my_video.mp4

It writes a tiny CLIP with random weights to one folder and a tiny DiST on it to another, and runs the stock pipeline of
transformers on a short video that it encodes, or on yours. Random weights know nothing: the labels are as good as dice.
"""

import argparse
import tempfile
from pathlib import Path

import torch
from transformers import pipeline
from transformers.utils import logging

from modeling_dist import DiSTForVideoClassification, DiSTVideoProcessor, VideoDecodingError
from modeling_dist.testing import make_tiny_clip, moving_square, tiny_config_kwargs, write_video


CLASS_NAMES = [
    "abseiling",
    "air drumming",
    "archery",
    "arm wrestling",
    "baking cookies",
    "catching or throwing frisbee",
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", help="a video file or URL to classify instead of the generated one")
    parser.add_argument("--output", type=Path, help="folder to keep the two repositories and the video in")
    args = parser.parse_args()
    logging.disable_progress_bar()
    torch.manual_seed(0)

    with tempfile.TemporaryDirectory() as temporary:
        output = args.output or Path(temporary)
        backbone = make_tiny_clip(output / "clip")

        # A repository of DiST: the tunable weights, the head for these class names, and where to find the backbone.
        model = DiSTForVideoClassification.from_backbone(backbone, class_names=CLASS_NAMES, **tiny_config_kwargs())
        model.save_pretrained(output / "dist")
        DiSTVideoProcessor(num_frames=model.config.num_frames, size=32, crop_size=32).save_pretrained(output / "dist")

        video = args.video or write_video(output / "moving_square.mp4", moving_square())
        classifier = pipeline("video-classification", model=str(output / "dist"))
        print(f"\n{video}")
        try:
            predictions = classifier(video, top_k=3)
        except VideoDecodingError as error:
            raise SystemExit(str(error)) from None
        for prediction in predictions:
            print(f"  {prediction['score']:7.2%}  {prediction['label']}")

        counts = model.count_parameters()
        print(f"\n{'':20}{'parameters':>12}{'on disk':>12}")
        for kind, repository in (("frozen (backbone)", "clip"), ("tunable", "dist")):
            size = (output / repository / "model.safetensors").stat().st_size
            print(f"{kind:20}{counts[kind.split()[0]]:12,}{size / 1e6:9.2f} MB")
        print("(The backbone's file holds CLIP's text encoder as well.)")


if __name__ == "__main__":
    main()
