# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""
The whole way in miniature, offline and on a CPU: from a folder of videos to a trained model in the stock pipeline.

    python examples/demo.py
    python examples/demo.py --video my_video.mp4 --output demo

It writes a tiny CLIP with random weights, and a folder of short videos of random textures that move to the left, to the
right, up or down, so that no single frame tells the class. Then it runs the commands that one runs on videos of one's own:
training, and evaluation with three clips of each video. As a check, the same model looks at the same videos with their
frames in a random order, where it should know next to nothing. At last the saved model is loaded by AutoModel and by
pipeline("video-classification"), which classifies videos it has not been trained on, and yours.
"""

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from transformers import AutoModel, pipeline
from transformers.utils import logging

import modeling_dist  # noqa: F401 registers the model with the auto classes
from modeling_dist.command_line import exit_with_message
from modeling_dist.data.motion_dataset import PANS, make_motion_dataset
from modeling_dist.testing import make_tiny_clip
from modeling_dist.video_decoding_dist import decode_video


EXAMPLES = Path(__file__).resolve().parent
# Small enough for a CPU. Such widths need initial weights scaled by their number of inputs (--initializer_range 0); the
# videos are made for this, so the paper's augmentation and mixing would only take time.
TRAINING_OPTIONS = shlex.split(
    "--num_frames 8 --integration_dim 64 --temporal_dim 32 --num_pooling_layers 1 --initializer_range 0 "
    "--no_augmentation --mixing_probability 0 --label_smoothing 0 --learning_rate 1e-3 --weight_decay 0.05 --max_grad_norm 1 "
    "--per_device_train_batch_size 32 --eval_every 4 --num_clips 1 "
    "--per_device_eval_batch_size 16 --num_workers 2"
)


TINY_CLIP = {"hidden_size": 64, "num_hidden_layers": 2, "image_size": 64, "patch_size": 16}


def run(script: str, *options: str | Path):
    """Runs one of the other examples as a command, and shows the command."""
    options = [str(option) for option in options]
    print(f"\n$ accelerate launch examples/{script} {shlex.join(options)}", flush=True)
    # The launcher's defaults, which it would ask for in a warning.
    launcher = "--num_processes 1 --num_machines 1 --mixed_precision no --dynamo_backend no".split()
    command = [sys.executable, "-m", "accelerate.commands.launch", *launcher, EXAMPLES / script, *options]
    subprocess.run(command, check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", help="a video file or URL of yours to classify as well")
    parser.add_argument("--num_videos", type=int, default=1200, help="videos to train on")
    parser.add_argument("--num_epochs", type=int, default=8, help="passes over them")
    parser.add_argument("--output", type=Path, help="new folder to keep everything in; by default nothing is kept")
    args = parser.parse_args()
    if args.output is not None and args.output.exists() and any(args.output.iterdir()):
        parser.error(f"--output {args.output} is not empty; choose a new folder.")
    if args.video is not None:
        with exit_with_message():
            decode_video(args.video, lambda total_num_frames, fps: [0])  # before minutes of training
    logging.disable_progress_bar()
    started = time.perf_counter()

    with tempfile.TemporaryDirectory() as temporary:
        output = args.output or Path(temporary)
        backbone = make_tiny_clip(output / "clip", **TINY_CLIP)
        videos, model_folder = output / "videos", output / "dist"
        print(f"{len(PANS)} classes of moving textures: {', '.join(PANS)}")
        make_motion_dataset(
            videos, num_train=args.num_videos, num_validation=max(8, args.num_videos // 6), progress=True
        )

        options = [*TRAINING_OPTIONS, "--num_epochs", args.num_epochs, "--warmup_epochs", args.num_epochs / 4]
        run("train.py", "--dataset", videos, "--backbone", backbone, "--output_dir", model_folder, *options)
        evaluation = ("--model", model_folder, "--dataset", videos, "--num_clips", "3", "--num_workers", "2")
        run("evaluate.py", *evaluation, "--output_dir", output / "evaluation")
        run("evaluate.py", *evaluation, "--shuffle_frames", "--output_dir", output / "shuffled")

        model = AutoModel.from_pretrained(model_folder)
        counts = model.count_parameters()
        print(
            f"\n{type(model).__name__} from {model_folder}: {counts['frozen']:,} parameters frozen, {counts['tunable']:,} "
            f"trained, {(model_folder / 'model.safetensors').stat().st_size / 1e6:.2f} MB on disk."
        )
        classifier = pipeline("video-classification", model=str(model_folder))
        for video in [*(next((videos / "validation" / name).iterdir()) for name in PANS), args.video]:
            if video is None:
                continue
            print(f"\n{video}")
            for prediction in classifier(str(video), top_k=2):
                print(f"  {prediction['score']:7.2%}  {prediction['label']}")
        if args.video is not None:
            print("(The model knows these four motions only.)")

        accuracy, shuffled = (
            json.loads((output / name / "metrics.json").read_text(encoding="utf-8"))["top1"]
            for name in ("evaluation", "shuffled")
        )
        print(
            f"\ntop-1 accuracy {accuracy:.1%}; with the frames in a random order {shuffled:.1%}, where chance is "
            f"{1 / len(PANS):.0%}. It took {time.perf_counter() - started:.0f} s."
        )
        is_whole = args.num_videos >= 1200 and args.num_epochs >= 8
        if is_whole and not (accuracy >= 0.9 and shuffled <= 0.4):
            raise SystemExit("That is not what it should be: at least 90 %, and near chance.")


if __name__ == "__main__":
    main()
