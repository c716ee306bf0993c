# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""
Train, evaluate and classify in miniature, offline and on a CPU: all that one does with videos of one's own.

    modeling-dist demo
    modeling-dist demo --video my_video.mp4 --output demo

It writes a tiny CLIP with random weights, and a folder of short videos of random textures that move to the left, to the
right, up or down, so that no single frame tells the class. It trains a DiST on them and evaluates it with three clips of
each video, then once more with the frames in random order, which should leave it near chance. Finally the stock pipeline
classifies videos that the model was not trained on, and yours. Everything stays in the output folder, and what is there
already is not made again.
"""

import dataclasses
import os
import shlex
import shutil
import sys
import time
from pathlib import Path

from ..command_line import ArgumentParser, Settings, exit_with_message, option, parse_options
from ..data.settings import PANS
from ..evaluation.settings import EvaluationSettings
from ..files import atomic_folder, read_json, write_json
from ..training.settings import TrainingSettings


TINY_CLIP = {"hidden_size": 64, "num_hidden_layers": 2, "image_size": 64, "patch_size": 16}
# What a demo of the default size has to reach.
LOWEST_ACCURACY, HIGHEST_SHUFFLED_ACCURACY = 0.9, 0.4


@dataclasses.dataclass
class DemoSettings(Settings):
    """Options of `modeling-dist demo`."""

    video: str | None = option(None, "file or URL of a video to classify as well")
    output: str = option("demo", "folder to keep everything in")
    num_videos: int = option(1200, "number of videos to train on", minimum=32)
    num_epochs: int = option(8, "number of passes over them", minimum=1)


def training_settings(videos: Path, backbone: Path, output_dir: Path, num_epochs: int) -> TrainingSettings:
    """Return settings with which a tiny model learns the generated videos on a CPU in minutes."""
    return TrainingSettings(
        dataset=str(videos),
        backbone=str(backbone),
        output_dir=str(output_dir),
        num_frames=8,
        integration_dim=64,
        temporal_dim=32,
        num_pooling_layers=1,
        initializer_range=0,  # small widths need initial weights scaled by their fan-in
        augmentation=False,  # a flip would change the class
        mixing_probability=0.0,
        label_smoothing=0.0,
        learning_rate=1e-3,
        weight_decay=0.05,
        max_grad_norm=1.0,
        per_device_train_batch_size=32,
        num_epochs=num_epochs,
        warmup_epochs=num_epochs / 4,
        eval_every=4,
        num_clips=1,
        per_device_eval_batch_size=16,
        num_workers=2,
    )


def command_of(name: str, settings: Settings) -> str:
    """Return the command line that gives these settings."""
    words, defaults = [*command_words(), name], vars(type(settings)())
    for option_name, value in vars(settings).items():
        if value == defaults[option_name]:
            continue
        if isinstance(value, bool):
            words.append(f"--{option_name}" if value else f"--no_{option_name}")
        else:
            words += [f"--{option_name}", *map(str, value if isinstance(value, list) else [value])]
    return shlex.join(words)


def command_words() -> list[str]:
    """Return how to run the command here, whether or not it is on the path."""
    if shutil.which("modeling-dist"):
        return ["modeling-dist"]
    script = Path(sys.executable).with_name("modeling-dist")
    return [os.path.relpath(script)] if script.exists() else ["python", "-m", "modeling_dist"]


def run_demo(settings: DemoSettings) -> dict[str, float]:
    """
    Make what the output folder does not hold yet, and classify some videos. Return `top1`, and `shuffled_top1` with
    the frames in random order.
    """
    import datasets
    from transformers import pipeline
    from transformers.utils import logging

    from .. import auto_classes  # noqa: F401 registers the model for `pipeline`
    from ..data.motion_dataset import make_motion_dataset
    from ..evaluation.run import evaluate
    from ..testing import make_tiny_clip
    from ..training.loop import train
    from ..video_decoding_dist import decode_video

    output = Path(settings.output)
    check_output(output, {"num_videos": settings.num_videos, "num_epochs": settings.num_epochs})
    if settings.video is not None:
        decode_video(settings.video, lambda total_num_frames, fps: [0])  # before minutes of training
    logging.disable_progress_bar()
    datasets.disable_progress_bars()
    backbone, videos, model = output / "clip", output / "videos", output / "dist"
    if not backbone.exists():
        with atomic_folder(backbone) as folder:
            make_tiny_clip(folder, **TINY_CLIP)
    print(f"{len(PANS)} classes of moving textures: {', '.join(PANS)}")
    if not videos.exists():
        num_validation = max(8, settings.num_videos // 6)
        make_motion_dataset(videos, num_train=settings.num_videos, num_validation=num_validation, progress=True)
    if not (model / "metrics.json").exists():
        training = training_settings(videos, backbone, model, settings.num_epochs)
        print(f"\n$ {command_of('train', training)}", flush=True)
        train(dataclasses.replace(training, resume_from_checkpoint="latest"))

    accuracies = {}
    for name, folder, shuffle in (("top1", "evaluation", False), ("shuffled_top1", "shuffled", True)):
        report = output / folder
        if not (report / "metrics.json").exists():
            evaluation = EvaluationSettings(
                model=str(model), dataset=str(videos), shuffle_frames=shuffle, num_workers=2, output_dir=str(report)
            )
            print(f"\n$ {command_of('evaluate', evaluation)}", flush=True)
            evaluate(evaluation)
        accuracies[name] = read_json(report / "metrics.json")["top1"]

    classifier = pipeline("video-classification", model=str(model))
    for video in [*(next((videos / "validation" / name).iterdir()) for name in PANS), settings.video]:
        if video is not None:
            print(f"\n{video}")
            for prediction in classifier(str(video), top_k=2):
                print(f"  {prediction['score']:7.2%}  {prediction['label']}")
    return accuracies


def check_output(output: Path, options: dict[str, int]):
    """Make the output folder, or raise a `ValueError` if it holds anything but a demo of the same size."""
    record = output / "demo.json"
    if output.exists() and not output.is_dir() or output.is_dir() and any(output.iterdir()) and not record.exists():
        raise ValueError(f"--output {output} is not empty and holds no demo. Choose a new folder.")
    if record.exists() and read_json(record) != options:
        made_with = " ".join(f"--{name} {value}" for name, value in read_json(record).items())
        raise ValueError(f"{output} holds a demo made with {made_with}. Delete it, or choose another --output.")
    output.mkdir(parents=True, exist_ok=True)
    write_json(record, options)


def make_parser() -> ArgumentParser:
    """Return the parser of the demo's options."""
    return ArgumentParser(DemoSettings, prog="modeling-dist demo", description=__doc__)


def main(arguments: list[str] | None = None):
    """Run the demo, and print what came of it and what to do next; fail where the accuracy is not as it should be."""
    settings = parse_options(DemoSettings, make_parser(), arguments)
    started = time.perf_counter()
    with exit_with_message():
        accuracies = run_demo(settings)
    if settings.video is not None:
        print("(The model knows these four motions only.)")
    accuracy, shuffled = accuracies["top1"], accuracies["shuffled_top1"]
    print(
        f"\nTop-1 accuracy {accuracy:.1%}; with the frames in random order {shuffled:.1%}, where chance is "
        f"{1 / len(PANS):.0%}. It took {time.perf_counter() - started:.0f} s.\n"
    )
    command, output = shlex.join(command_words()), settings.output
    print(f"Look at   {output}/videos, {output}/dist/training_curves.png and {output}/evaluation/confusion_matrix.png")
    print(f"Then run  {command} predict --model {output}/dist --videos {output}/videos/validation")
    print(f"or, on a folder of yours,  {command} train --dataset FOLDER --output_dir my-dist")
    is_whole = settings.num_videos >= DemoSettings.num_videos and settings.num_epochs >= DemoSettings.num_epochs
    if is_whole and not (accuracy >= LOWEST_ACCURACY and shuffled <= HIGHEST_SHUFFLED_ACCURACY):
        raise SystemExit(
            f"These accuracies are not as they should be: at least {LOWEST_ACCURACY:.0%}, and near chance in random order."
        )
