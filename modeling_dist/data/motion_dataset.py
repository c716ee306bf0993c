# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Generated videos that need temporal order to be understood: random textures that pan, zoom or rotate, a folder per class.

No single frame tells the class: frames have the same distribution in all classes and at all times. Every class has its time
reversal as another class, so not even all frames of a video tell the two apart without their order. Pans sway across their
direction and back, so that horizontal and vertical pans are hard to tell apart without the order as well.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from transformers.utils import logging

from ..files import atomic_folder
from ..testing import write_video
from .settings import MOTIONS, PANS


# How fast the content moves to the right and down, grows, and turns clockwise.
PAN_VELOCITIES = ((-1, 0, 0, 0), (1, 0, 0, 0), (0, -1, 0, 0), (0, 1, 0, 0))
VELOCITIES = dict(zip(MOTIONS, (*PAN_VELOCITIES, (0, 0, 1, 0), (0, 0, -1, 0), (0, 0, 0, 1), (0, 0, 0, -1))))
SPLITS = ("train", "validation")

# Lengths are fractions of the frame's edge. Two neighboring frames of a clip of 8, each from a random place in its eighth of the
# video, are at most a quarter of the video apart. In that time a pan with its sway covers less than half of the shortest
# wavelength, so its direction is not ambiguous.
WAVELENGTHS = (0.4, 1.6)
TRAVELS = (0.35, 0.5)
SWAYS = (0.08, 0.11)
NUM_WAVES = 48

# Every frame is encoded on its own and at the same quality: predicted from its neighbors, it would show traces of motion.
ENCODER_OPTIONS = {"g": "1", "qp": "20", "preset": "veryfast", "threads": "1"}


def _check_motions(motions: Sequence[str]):
    unknown = [motion for motion in motions if motion not in MOTIONS]
    if unknown:
        raise ValueError(f"There is no motion {unknown[0]!r}; there are {', '.join(map(repr, MOTIONS))}.")


def _check_at_least(least: int, **values: int):
    for name, value in values.items():
        if value < least:
            raise ValueError(f"`{name}` must be at least {least}, got {value}.")


def moving_texture(motion: str, num_frames: int, size: int, generator: np.random.Generator) -> np.ndarray:
    """
    Return a random texture in motion, a sum of plane waves of random direction, wavelength, phase and color, as uint8
    RGB frames `(num_frames, size, size, 3)`. The motion, one of `MOTIONS`, describes the content: with `"pan left"` it
    moves to the left. The distance covered is random, and does not depend on the number of frames.

    From the same state of the generator, a motion and its reversal have the same frames in opposite order.
    """
    _check_motions([motion])
    _check_at_least(1, num_frames=num_frames, size=size)
    angles, phases = generator.uniform(0, 2 * np.pi, (2, NUM_WAVES))
    # From the longest wavelength to the shortest, on a logarithmic scale.
    places = generator.uniform(0, 1, NUM_WAVES)
    colors = generator.normal(size=(3, 3)) @ generator.normal(size=(3, NUM_WAVES))  # from a random palette
    brightness = generator.normal(0, 0.5, (3, 1, 1))
    contrast = np.exp(generator.uniform(*np.log([0.7, 2.5])))
    fineness = generator.uniform(-3, 3)
    travel = generator.uniform(*TRAVELS)
    sway, sway_phase = generator.uniform(*SWAYS), generator.uniform(0, 2 * np.pi)

    # Symmetric about 0, so that a reversed motion passes through exactly the same states: (frames, 1)
    times = travel * ((np.arange(num_frames) - (num_frames - 1) / 2) / num_frames)[:, None]
    right, down, growth, turn = VELOCITIES[motion]
    # Once back and forth across a pan's direction: without their order, its frames spread along both axes.
    sways = sway * np.cos(2 * np.pi * (right + down) * times / travel + sway_phase)
    shifts_right = right * times + abs(down) * sways
    shifts_down = down * times + abs(right) * sways
    # The factor of 2 makes the middle of an edge move as fast in a zoom or rotation as in a pan.
    angles = angles + 2 * turn * times
    octaves = np.log(WAVELENGTHS[1] / WAVELENGTHS[0])
    # A wave that a zoom has made too long or too short comes back at the other end, where its amplitude is 0. So the frames
    # of a zoom look like all others, and its first frame like its last.
    places = (places - 2 * growth * times / octaves) % 1
    frequencies = 2 * np.pi / WAVELENGTHS[1] * np.exp(octaves * places)
    amplitudes = np.sin(np.pi * places) ** 2 * np.exp(fineness * places)
    amplitudes /= np.sqrt((amplitudes**2).sum(axis=1, keepdims=True))

    # A wave is a product of a factor per column and a factor per row: (frames, waves, size)
    pixels = (np.arange(size) + 0.5) / size - 0.5
    columns = (frequencies * np.cos(angles))[..., None] * (pixels - shifts_right[..., None])
    rows = (frequencies * np.sin(angles))[..., None] * (pixels - shifts_down[..., None]) + phases[:, None]
    columns = np.concatenate([np.cos(columns), -np.sin(columns)], axis=1, dtype=np.float32)
    rows = np.concatenate([np.cos(rows), np.sin(rows)], axis=1, dtype=np.float32)
    colors = colors / np.sqrt((colors**2).mean())
    weights = np.tile(amplitudes[:, None] * colors, 2).astype(np.float32)
    # (frames, 3, rows, waves) @ (frames, 1, waves, columns) -> (frames, 3, rows, columns)
    waves = (weights[:, :, None] * rows.swapaxes(1, 2)[:, None]) @ columns[:, None]
    frames = 255 / (1 + np.exp(-(brightness + contrast * np.sqrt(2) * waves)))
    return np.ascontiguousarray(frames.round().astype(np.uint8).transpose(0, 2, 3, 1))


def make_motion_dataset(
    folder: str | os.PathLike,
    *,
    classes: Sequence[str] = PANS,
    num_train: int = 1200,
    num_validation: int = 200,
    num_frames: int = 24,
    size: int = 64,
    fps: int = 12,
    seed: int = 0,
    num_workers: int | None = None,
    progress: bool = False,
) -> str:
    """
    Write videos of moving textures as `folder/train/<class>/00000.mp4` and `folder/validation/<class>/00000.mp4`, and return
    the folder.

    A video depends only on the seed and its split, class and number, and no two have the same texture. The folder,
    which must not exist or be empty, appears once all videos are written. Do not flip the videos in training, which
    would change their class.

    `classes` are motions out of `MOTIONS`, or `"pans"` or `"all"`; without the reversals of the chosen motions, frames
    tell more even without their order. `num_train` and `num_validation` count the videos of all classes together, of
    which there are equally many, give or take one. `size` is the height and width in pixels, an even number, and
    `num_workers` the number of threads, by default that of the CPU cores.
    """
    classes = [classes] if isinstance(classes, str) else list(classes)
    classes = {("pans",): PANS, ("all",): MOTIONS}.get(tuple(classes), classes)
    _check_motions(classes)
    if not classes or len(set(classes)) < len(classes):
        raise ValueError(f"`classes` must be one or more different motions, got {classes}.")
    _check_at_least(len(classes), num_train=num_train, num_validation=num_validation)  # one of each class
    num_workers = (os.cpu_count() or 1) if num_workers is None else num_workers
    _check_at_least(1, num_frames=num_frames, fps=fps, num_workers=num_workers)
    _check_at_least(2, size=size)
    _check_at_least(0, seed=seed)
    if size % 2:
        raise ValueError(f"`size` must be even, which H.264 requires, got {size}.")

    def write(video: tuple[str, str, int]):
        split, motion, index = video
        key = (SPLITS.index(split), MOTIONS.index(motion), index)
        generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
        path = temporary / split / motion / f"{index:05d}.mp4"
        write_video(path, moving_texture(motion, num_frames, size, generator), fps, ENCODER_OPTIONS)

    with atomic_folder(folder) as temporary:
        videos = []
        for split, count in zip(SPLITS, (num_train, num_validation)):
            for motion in classes:
                (temporary / split / motion).mkdir(parents=True)
            videos += [(split, classes[i % len(classes)], i // len(classes)) for i in range(count)]
        # Threads suffice: almost all of the time is spent in loops of NumPy and FFmpeg, which run in parallel.
        with ThreadPoolExecutor(num_workers) as executor:
            list(logging.tqdm(executor.map(write, videos), total=len(videos), unit="video", disable=not progress))
    return os.path.abspath(folder)
