# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""
What a training step costs compared with a bare CLIP's forward pass, from video files on disk; and how long an epoch takes.

From the repository's folder, with the package installed (`pip install -e .`):

    python benchmarks/training.py --size tiny                                     # check that it works, in a minute
    python benchmarks/training.py --size base --dtype bfloat16 --output training.json
    python benchmarks/training.py --size base --device cpu --batch_size 4 --num_workers 2 --rounds 5
    python benchmarks/training.py --size base --videos kinetics400/train --num_workers 12
    python benchmarks/training.py --epoch                                         # of the generated dataset of motions

The contenders, with random weights:

    bare               CLIPVisionModel on as many spatial frames, B * S images; inference. The yardstick of the others.
    step               one update on a batch in memory: copying to the device, mixing, forward, loss, backward, AdamW
    data               one batch made in this process: decoding, augmentation, collation
    step_with_data     a batch made in this process, and then a step on it
    step_with_workers  the mean of --steps consecutive steps, while --num_workers processes make the batches

A step is that of `modeling_dist.training.train`: DiSTForVideoClassification with a text head, the paper's augmentation, mixing
and optimizer. In bfloat16, the frozen encoder has this data type and the rest runs under autocast; bare CLIP has it as a whole.

**Videos** are encoded in a temporary folder, similar to the clips of Kinetics: H.264, 340x256, 10 seconds at 25 frames per
second, keyframes at x264's default distance. Their pictures have the spectrum of photographs, moving parts and grain. With
--videos, they are your own.

**Time.** The contenders take turns, A B C D A B C D …, after one round that is not counted; every batch has other clips than
the previous one. Ratios and shares are medians over the rounds. After the first round, the files are in the system's cache:
what is measured is decoding, not a disk. Decoding takes as many threads as the decoder likes; augmentation takes PyTorch's
in this process, and one in a worker.

step_with_workers starts the workers anew in each round, because none may be running during the others' turns. Neither their
start counts nor the first steps, as many as there are workers: for these, all workers have prepared batches while nothing was
computed. From then on, workers and model share the machine as in training.

**An epoch** (--epoch) is that of `modeling-dist demo`: the generated dataset with 1,200 training videos is written, and
`train` is called with the demo's settings for one epoch. The updates alone are counted apart from the whole call, which also
starts, evaluates on 200 videos and saves.
"""

import argparse
import contextlib
import copy
import dataclasses
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import torch
from datasets import Dataset
from measuring import (
    NUM_LABELS,
    TIME_COLUMNS,
    TRAINING_BUDGET,
    compare_to_bare,
    describe_run,
    format_times,
    make_config,
    synchronize,
)
from transformers import CLIPVisionModel
from transformers.utils import logging

from modeling_dist import DiSTForVideoClassification, DiSTVideoProcessor
from modeling_dist.commands.demo import TINY_CLIP, command_of, training_settings
from modeling_dist.data.augmentation import BatchMixing, ClipAugmentation
from modeling_dist.data.loading import TrainingClips, collate_clips
from modeling_dist.data.motion_dataset import make_motion_dataset
from modeling_dist.data.rows import video_source
from modeling_dist.data.samplers import TrainingBatchSampler, seed_from
from modeling_dist.data.sources import load_videos
from modeling_dist.data.workers import VideoLoader
from modeling_dist.testing import make_tiny_clip, write_video
from modeling_dist.training import TrainingSettings, train
from modeling_dist.training.optimization import make_optimizer
from modeling_dist.video_decoding_dist import DECODERS, available_decoders


HEIGHT, WIDTH, NUM_FRAMES, FPS = 256, 340, 250, 25
NUM_CLASSES = 4  # of the generated videos; the head has more
NUM_TRAIN = 1200  # videos of the generated dataset


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Time a training step, data included, compared with the bare CLIP; or an epoch of generated videos.",
        epilog="The beginning of the file describes the contenders and how they are measured.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--size", choices=("tiny", "base", "large"), default="base", help="tiny CLIP, ViT-B/16 or ViT-L/14"
    )
    parser.add_argument(
        "--num_frames", type=int, default=16, help="number of frames of a clip; CLIP sees every second one"
    )
    parser.add_argument("--batch_size", type=int, default=8, help="number of clips in a batch")
    parser.add_argument(
        "--dtype", choices=("float32", "bfloat16"), default="float32", help="precision of the training"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cpu or cuda")
    parser.add_argument("--attn_implementation", default="sdpa", help="sdpa, eager, flash_attention_2")
    parser.add_argument(
        "--videos", type=Path, help="folder of your own videos, with a subfolder per class; generated by default"
    )
    parser.add_argument("--num_videos", type=int, default=16, help="number of videos to generate")
    parser.add_argument("--decoder", choices=("auto", *DECODERS), default="auto", help="library that decodes videos")
    parser.add_argument(
        "--num_workers", type=int, default=min(4, os.cpu_count() or 1), help="number of processes of step_with_workers"
    )
    parser.add_argument(
        "--steps", type=int, default=4, help="number of steps of step_with_workers that count in each round"
    )
    parser.add_argument("--rounds", type=int, default=10, help="number of rounds that count")
    parser.add_argument(
        "--threads", type=int, help="number of threads of PyTorch on the CPU; its own choice by default"
    )
    parser.add_argument(
        "--epoch",
        type=int,
        nargs="?",
        const=1,
        metavar="TIMES",
        help="time an epoch of the generated dataset instead, once or more often; of the options above, --device and "
        "--threads count",
    )
    parser.add_argument("--output", type=Path, help="JSON file for all results")
    arguments = parser.parse_args()
    for name in ("num_workers", "steps", "rounds", "epoch"):
        if getattr(arguments, name) is not None and getattr(arguments, name) < 1:
            parser.error(f"--{name} must be at least 1, got {getattr(arguments, name)}")
    if arguments.batch_size < 2:
        parser.error(
            f"--batch_size must be at least 2, because clips are mixed with each other, got {arguments.batch_size}"
        )
    if arguments.videos is None and arguments.num_videos < max(arguments.batch_size, NUM_CLASSES):
        parser.error(
            f"--num_videos must be at least {max(arguments.batch_size, NUM_CLASSES)}, one of each class and enough for a "
            f"batch; got {arguments.num_videos}"
        )
    if arguments.attn_implementation == "flash_attention_2" and arguments.dtype == "float32":
        parser.error("flash_attention_2 does not support float32: use --dtype bfloat16 or --attn_implementation sdpa")
    return arguments


# ---- videos


def make_picture(height: int, width: int, generator: np.random.Generator) -> np.ndarray:
    """Return `(height, width, 3)` with the spectrum of photographs: amplitudes fall with the frequency."""
    frequencies = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    frequencies[0, 0] = np.inf
    # Mostly gray: the colors of photographs are correlated, too.
    noise = generator.normal(size=(height, width, 1)) + 0.3 * generator.normal(size=(height, width, 3))
    noise = np.fft.rfft2(noise, axes=(0, 1))
    picture = np.fft.irfft2(noise / frequencies[..., None], s=(height, width), axes=(0, 1))
    return (128 + 50 * picture / picture.std()).astype(np.float32)


def film(generator: np.random.Generator) -> np.ndarray:
    """Return `(frames, height, width, 3)` uint8: a camera that pans over a picture, in which smaller ones move about."""
    background = make_picture(2 * HEIGHT, 2 * WIDTH, generator)
    objects = [make_picture(*generator.integers(40, 120, 2), generator) for _ in range(4)]
    phases = generator.uniform(0, 2 * np.pi, (1 + len(objects), 2))
    speeds = generator.uniform(0.5, 1.5, (1 + len(objects), 2)) * 2 * np.pi / NUM_FRAMES
    grain = generator.normal(0, 2, (2 * HEIGHT, 2 * WIDTH, 3)).astype(np.float32)
    frames = np.empty((NUM_FRAMES, HEIGHT, WIDTH, 3), dtype=np.uint8)
    for index, frame in enumerate(frames):
        places = (1 + np.sin(phases + speeds * index)) / 2  # from 0 to 1, of the room that there is
        top, left = (places[0] * (HEIGHT, WIDTH)).astype(int)
        picture = background[top : top + HEIGHT, left : left + WIDTH].copy()
        for content, place in zip(objects, places[1:]):
            height, width = content.shape[:2]
            top, left = (place * (HEIGHT - height, WIDTH - width)).astype(int)
            picture[top : top + height, left : left + width] = content
        top, left = generator.integers((HEIGHT, WIDTH))
        picture += grain[top : top + HEIGHT, left : left + WIDTH]
        frame[:] = picture.clip(0, 255)
    return frames


def make_videos(folder: Path, num_videos: int):
    for index in range(num_videos):
        class_folder = folder / f"class {index % NUM_CLASSES}"
        class_folder.mkdir(exist_ok=True)
        # 250 is x264's own default, and so what most files have, but not FFmpeg's for every encoder.
        write_video(
            class_folder / f"{index:03d}.mp4",
            film(np.random.default_rng(index)),
            FPS,
            {"g": "250", "preset": "medium"},
        )


def describe_videos(videos: Dataset, num_opened: int = 16) -> dict[str, object]:
    """Return the number of videos and properties of the first ones."""
    codecs, sizes, frames, rates, bits = set(), set(), [], [], []
    for row in videos.select(range(min(num_opened, len(videos)))):
        with contextlib.suppress(av.FFmpegError), av.open(video_source(row["video"])) as container:
            stream = container.streams.video[0]
            codecs.add(stream.codec_context.name)
            sizes.add(f"{stream.width}x{stream.height}")
            frames.append(stream.frames)
            rates.append(float(stream.average_rate or 0))
            bits.append(container.bit_rate)
    if not codecs:
        raise SystemExit(f"None of the first {num_opened} videos can be opened.")
    return {
        "number": len(videos),
        "codecs": sorted(codecs),
        "sizes": sorted(sizes),
        "frames_median": statistics.median(frames),
        "fps_median": statistics.median(rates),
        "kilobits_per_second_median": statistics.median(bits) / 1000,
    }


# ---- contenders


class Stopwatch:
    """A function that adds up the time that its calls take."""

    def __init__(self, function: Callable):
        self.function = function
        self.seconds = 0.0

    def __call__(self, *arguments):
        start = time.perf_counter()
        try:
            return self.function(*arguments)
        finally:
            self.seconds += time.perf_counter() - start


class Contenders:
    """Each is a method that takes its turn and returns its `seconds`, and what they were spent on."""

    def __init__(self, arguments: argparse.Namespace, videos: Dataset, device: torch.device):
        self.batch_size, self.device = arguments.batch_size, device
        self.num_workers, self.num_steps = arguments.num_workers, arguments.steps
        self.batches_per_epoch = len(videos) // arguments.batch_size
        if self.batches_per_epoch == 0:
            raise SystemExit(f"{len(videos)} videos are less than a batch of {arguments.batch_size}.")
        num_labels = max(NUM_LABELS, videos.features["label"].num_classes)
        config = make_config(arguments.size, arguments.num_frames, num_labels)
        dtype = getattr(torch, arguments.dtype)

        # As in training/loop.py.
        self.model = DiSTForVideoClassification(config).to(device)
        self.model.set_attn_implementation(arguments.attn_implementation)
        self.autocast = contextlib.nullcontext
        if dtype == torch.bfloat16:
            self.model.dist.spatial_encoder.to(dtype)
            self.autocast = lambda: torch.autocast(device.type, dtype)
        self.model.train()
        size = config.vision_config.image_size
        processor = DiSTVideoProcessor(num_frames=config.num_frames, size=size, crop_size=size)
        processor.decoder = arguments.decoder
        augmentation = ClipAugmentation(size, processor.image_mean, processor.image_std)
        self.mixing = BatchMixing(num_labels)
        settings = TrainingSettings()
        self.optimizer = make_optimizer(self.model, settings, settings.peak_learning_rate(arguments.batch_size))

        self.clip = CLIPVisionModel(copy.deepcopy(config.vision_config)).to(device, dtype).eval()
        self.clip.set_attn_implementation(arguments.attn_implementation)
        num_images = arguments.batch_size * len(range(0, config.num_frames, config.spatial_frame_stride))
        self.images = torch.randn(num_images, 3, size, size).to(device, dtype)

        self.videos = videos
        self.clips = TrainingClips(videos, processor, augmentation)
        self.num_updates = 0
        self.num_batches_of_workers = 0
        self.unreadable: dict[int, str] = {}
        timed_clips = TrainingClips(videos, processor, augmentation)
        # The row's path is read from the dataset outside of either, which takes next to nothing.
        self.decoding = timed_clips._decode = Stopwatch(timed_clips._decode)
        self.augmentation = timed_clips.augmentation = Stopwatch(augmentation)
        self.batches = iter(VideoLoader(timed_clips, self.make_sampler(), collate_clips))
        self.ready_batch = self.make_batch()[0]

    def make_sampler(self, start: int = 0) -> TrainingBatchSampler:
        return TrainingBatchSampler(len(self.videos), self.batch_size, self.batches_per_epoch, start=start)

    def make_batch(self) -> tuple[dict, dict[str, float]]:
        decoding, augmentation = self.decoding.seconds, self.augmentation.seconds
        start = time.perf_counter()
        batch = next(self.batches)
        seconds = time.perf_counter() - start
        self.unreadable |= batch["unreadable"]
        decoding, augmentation = self.decoding.seconds - decoding, self.augmentation.seconds - augmentation
        return batch, {"seconds": seconds, "decoding": decoding, "augmentation": augmentation}

    def update(self, batch: dict):
        pixel_values = batch["pixel_values_videos"].to(self.device, non_blocking=True)
        labels = batch["labels"].to(self.device, non_blocking=True)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_from(0, self.num_updates, 0, 0))
            pixel_values, targets = self.mixing(pixel_values, labels)
        with self.autocast():
            loss = self.model(pixel_values_videos=pixel_values, labels=targets).loss
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.num_updates += 1

    def bare(self) -> dict[str, float]:
        synchronize(self.device)
        start = time.perf_counter()
        with torch.inference_mode():
            self.clip(self.images)
        synchronize(self.device)
        return {"seconds": time.perf_counter() - start}

    def step(self) -> dict[str, float]:
        synchronize(self.device)
        start = time.perf_counter()
        self.update(self.ready_batch)
        synchronize(self.device)
        return {"seconds": time.perf_counter() - start}

    def data(self) -> dict[str, float]:
        return self.make_batch()[1]

    def step_with_data(self) -> dict[str, float]:
        synchronize(self.device)
        start = time.perf_counter()
        batch, parts = self.make_batch()
        self.update(batch)
        synchronize(self.device)
        seconds = time.perf_counter() - start
        return {"seconds": seconds, "decoding": parts["decoding"], "augmentation": parts["augmentation"]}

    def step_with_workers(self) -> dict[str, float]:
        sampler = self.make_sampler(start=self.num_batches_of_workers)
        loader = iter(VideoLoader(self.clips, sampler, collate_clips, self.num_workers))
        self.num_batches_of_workers += self.num_workers + self.num_steps
        for _ in range(self.num_workers):
            batch = next(loader)
            self.unreadable |= batch["unreadable"]
            self.update(batch)
        synchronize(self.device)
        waited, start = 0.0, time.perf_counter()
        for _ in range(self.num_steps):
            asked = time.perf_counter()
            batch = next(loader)
            waited += time.perf_counter() - asked
            self.unreadable |= batch["unreadable"]
            self.update(batch)
        synchronize(self.device)
        seconds = time.perf_counter() - start
        # The loader's end is that of its workers, which are waited for here.
        del loader
        return {"seconds": seconds / self.num_steps, "waiting": waited / self.num_steps}


NAMES = ("bare", "step", "data", "step_with_data", "step_with_workers")


def measure_rounds(contenders: Contenders, num_rounds: int) -> dict[str, dict[str, list[float]]]:
    """Return the seconds and their parts of each contender in each round, the contenders taking turns."""
    rounds = [{name: getattr(contenders, name)() for name in NAMES} for _ in range(1 + num_rounds)]
    return {name: {part: [turns[name][part] for turns in rounds[1:]] for part in rounds[0][name]} for name in NAMES}


def summarize(
    measured: dict[str, dict[str, list[float]]], batch_size: int, has_budget: bool
) -> list[dict[str, object]]:
    results = []
    for name, parts in measured.items():
        parts = dict(parts)
        seconds = parts.pop("seconds")
        budget = TRAINING_BUDGET if name == "step" and has_budget else None
        results.append(
            {
                "contender": name,
                **compare_to_bare(seconds, measured["bare"]["seconds"], budget),
                "clips_per_second": batch_size / statistics.median(seconds),
                "shares": {
                    part: statistics.median(own / whole for own, whole in zip(values, seconds))
                    for part, values in parts.items()
                },
                "seconds": seconds,
                "seconds_of_parts": parts,
            }
        )
    return results


def print_results(results: list[dict[str, object]]):
    print(f"\n{'contender':19s}{TIME_COLUMNS}{'clips/s':>9s}  of this")
    for result in results:
        shares = ", ".join(f"{part} {share:.1%}" for part, share in result["shares"].items())
        print(f"{result['contender']:19s}{format_times(result)}{result['clips_per_second']:9.2f}  {shares or '-'}")


def measure_steps(arguments: argparse.Namespace, device: torch.device) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        if arguments.videos is None:
            print(f"\nencoding {arguments.num_videos} videos …", flush=True)
            make_videos(Path(folder), arguments.num_videos)
        videos = load_videos(folder if arguments.videos is None else arguments.videos)
        described = describe_videos(videos)
        described["generated"] = arguments.videos is None
        described["decoder"] = available_decoders()[0] if arguments.decoder == "auto" else arguments.decoder
        for name, value in described.items():
            print(f"{name}: {value}")
        contenders = Contenders(arguments, videos, device)
        results = summarize(
            measure_rounds(contenders, arguments.rounds), arguments.batch_size, has_budget=arguments.size != "tiny"
        )
    print_results(results)
    if contenders.unreadable:
        print(f"unreadable videos, replaced by others, which took time too: {len(contenders.unreadable)}")
    described["unreadable"] = len(contenders.unreadable)
    names = ("size", "num_frames", "batch_size", "dtype", "device", "attn_implementation", "num_workers", "steps")
    settings = {name: getattr(arguments, name) for name in names}
    return {"settings": settings, "videos": described, "results": results}


# ---- an epoch


def run_epoch(settings: TrainingSettings) -> dict[str, object]:
    start = time.perf_counter()
    speed = train(settings).speed
    return {
        "call_seconds": time.perf_counter() - start,
        "loop_seconds": speed.seconds,
        "clips": speed.num_clips,
        "clips_per_second": speed.clips_per_second,
        "waiting_share": speed.data_wait_share,
    }


def measure_epoch(arguments: argparse.Namespace) -> dict[str, object]:
    options = {"warmup_epochs": 0, "cpu": torch.device(arguments.device).type == "cpu"}
    settings = dataclasses.replace(training_settings(Path("VIDEOS"), Path("CLIP"), Path("OUTPUT"), 1), **options)
    # However the command is called on this machine.
    command = f"modeling-dist train {command_of('train', settings).partition(' train ')[2]}"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        backbone = make_tiny_clip(folder / "clip", **TINY_CLIP)
        print(f"\nwriting the dataset, {NUM_TRAIN} videos to train on …", flush=True)
        start = time.perf_counter()
        make_motion_dataset(folder / "videos", num_train=NUM_TRAIN)
        generation = time.perf_counter() - start
        print(f"that took {generation:.1f} s\n\n$ {command}", flush=True)
        runs = []
        for index in range(arguments.epoch):
            folders = {
                "backbone": backbone,
                "dataset": str(folder / "videos"),
                "output_dir": str(folder / f"dist-{index}"),
            }
            run = run_epoch(dataclasses.replace(settings, **folders))
            runs.append(run)
            print(
                f"one epoch: updates {run['loop_seconds']:.1f} s for {run['clips']} clips "
                f"({run['clips_per_second']:.1f} per second, waiting for data {run['waiting_share']:.0%}); "
                f"with start, evaluation and saving {run['call_seconds']:.1f} s",
                flush=True,
            )
    return {"generation_seconds": generation, "command": command, "epochs": runs}


def main():
    arguments = parse_arguments()
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    logging.disable_progress_bar()
    device = torch.device(arguments.device)
    run = describe_run(arguments, device)
    for name, value in run.items():
        print(f"{name}: {value}")
    figures = measure_steps(arguments, device) if arguments.epoch is None else measure_epoch(arguments)
    if arguments.output is not None:
        arguments.output.write_text(json.dumps({"run": run, **figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
