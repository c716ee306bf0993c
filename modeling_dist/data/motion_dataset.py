# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""
Generated videos that need time to be understood: random textures that pan, zoom or rotate, a folder per class.

    python -m modeling_dist.data.motion_dataset --output motions

No frame tells the class: the distribution of a single frame is the same in all classes and at all times. Every class has
its time reversal as another class, so that neither do all frames of a video tell these two apart without their order. Pans
sway across their direction and back, so that the other pair of them is hard to tell apart without the order, too.
"""

import argparse
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

import numpy as np
from transformers.utils import logging

from ..testing import write_video


# What the content of the picture does: how fast it goes right and down, grows, and turns clockwise.
VELOCITIES = {
    "pan left": (-1, 0, 0, 0),
    "pan right": (1, 0, 0, 0),
    "pan up": (0, -1, 0, 0),
    "pan down": (0, 1, 0, 0),
    "zoom in": (0, 0, 1, 0),
    "zoom out": (0, 0, -1, 0),
    "rotate clockwise": (0, 0, 0, 1),
    "rotate counterclockwise": (0, 0, 0, -1),
}
MOTIONS = tuple(VELOCITIES)
PANS = MOTIONS[:4]
SPLITS = ("train", "validation")

# Lengths are fractions of the picture's edge. Of 8 frames, one from a random place of each eighth of the video, two
# neighbours are at most a quarter of it apart: there a pan with its sway covers less than half of the shortest wavelength,
# and its direction is not ambiguous.
WAVELENGTHS = (0.4, 1.6)
TRAVELS = (0.35, 0.5)
SWAYS = (0.08, 0.11)
NUM_WAVES = 48

# Every frame is coded on its own and at the same quality. Predicted from its neighbours, it would show traces of motion.
ENCODER_OPTIONS = {"g": "1", "qp": "20", "preset": "veryfast", "threads": "1"}


def moving_texture(motion: str, num_frames: int, size: int, generator: np.random.Generator) -> np.ndarray:
    """
    A random texture in motion. It is a sum of plane waves of random direction, wavelength, phase and colour.

    From the same state of the generator, the frames of a motion are those of its reversal in the opposite order.

    Args:
        motion (`str`):
            One of `MOTIONS`. It says what the content does: with `"pan left"` it moves to the left.
        num_frames (`int`):
            Frames. The speed is random, and such that a video of any number of frames goes equally far.
        size (`int`):
            Height and width in pixels.
        generator (`np.random.Generator`):
            Where the randomness comes from.

    Returns:
        `np.ndarray` of shape `(num_frames, size, size, 3)`: RGB, uint8.

    Raises:
        ValueError: If the motion is not known, or there would be no pixels.
    """
    _check_motions([motion])
    _check_at_least(1, num_frames=num_frames, size=size)
    angles, phases = generator.uniform(0, 2 * np.pi, (2, NUM_WAVES))
    # Between the longest wavelength and the shortest, on a logarithmic scale.
    places = generator.uniform(0, 1, NUM_WAVES)
    colors = generator.normal(size=(3, 3)) @ generator.normal(size=(3, NUM_WAVES))  # of a random palette
    brightness = generator.normal(0, 0.5, (3, 1, 1))
    contrast = np.exp(generator.uniform(*np.log([0.7, 2.5])))
    fineness = generator.uniform(-3, 3)
    travel = generator.uniform(*TRAVELS)
    sway, sway_phase = generator.uniform(*SWAYS), generator.uniform(0, 2 * np.pi)

    # Symmetric about 0, so that a reversed motion passes through exactly the same states. (frames, 1)
    times = travel * ((np.arange(num_frames) - (num_frames - 1) / 2) / num_frames)[:, None]
    right, down, growth, turn = VELOCITIES[motion]
    # Across a pan's direction, once to and fro: without their order, its frames are spread along both axes.
    sways = sway * np.cos(2 * np.pi * (right + down) * times / travel + sway_phase)
    shifts_right = right * times + abs(down) * sways
    shifts_down = down * times + abs(right) * sways
    # With the factor of 2, the middle of an edge moves as fast in a zoom or rotation as in a pan.
    angles = angles + 2 * turn * times
    octaves = np.log(WAVELENGTHS[1] / WAVELENGTHS[0])
    # A wave that a zoom has made too long or too short comes back at the other end, where its amplitude is 0. This is
    # what makes the frames of a zoom look like all others, and the first one of it like the last.
    places = (places - 2 * growth * times / octaves) % 1
    frequencies = 2 * np.pi / WAVELENGTHS[1] * np.exp(octaves * places)
    amplitudes = np.sin(np.pi * places) ** 2 * np.exp(fineness * places)
    amplitudes /= np.sqrt((amplitudes**2).sum(axis=1, keepdims=True))

    # A wave is a product of what depends on the column and what depends on the row: (frames, waves, size).
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
    Writes videos of moving textures as `folder/train/<class>/00000.mp4` and `folder/validation/<class>/00000.mp4`.

    A video depends on the seed, its split, class and number alone, and no two have the same texture. The folder appears
    when all of them are written. A model that is trained on them must not see them mirrored, which changes the class.

    Args:
        folder (`str` or `os.PathLike`):
            Where to. It must not exist yet, or be empty.
        classes (`Sequence[str]`, defaults to the four pans):
            Motions out of `MOTIONS`. Without the reversal of each of them, frames without their order tell more.
        num_train (`int`, defaults to 1200):
            Videos to train on, of all classes together. The numbers of two classes differ by at most 1.
        num_validation (`int`, defaults to 200):
            Videos to validate on, likewise.
        num_frames (`int`, defaults to 24):
            Frames of a video.
        size (`int`, defaults to 64):
            Height and width in pixels. Even.
        fps (`int`, defaults to 12):
            Frames per second.
        seed (`int`, defaults to 0):
            Of the textures and speeds. Not negative.
        num_workers (`int`, *optional*):
            Threads. Defaults to the number of CPU cores.
        progress (`bool`, defaults to `False`):
            Whether to show a progress bar.

    Returns:
        `str`: The folder.

    Raises:
        ValueError: If an argument is not among the values above.
        FileExistsError: If there is a file in the place of the folder, or something in the folder.
    """
    classes = [classes] if isinstance(classes, str) else list(classes)
    _check_motions(classes)
    if not classes or len(set(classes)) < len(classes):
        raise ValueError(f"`classes` must be one or more different motions, got {classes}.")
    _check_at_least(len(classes), num_train=num_train, num_validation=num_validation)  # one of each class
    num_workers = (os.cpu_count() or 1) if num_workers is None else num_workers
    _check_at_least(1, num_frames=num_frames, fps=fps, num_workers=num_workers)
    _check_at_least(2, size=size)
    _check_at_least(0, seed=seed)
    if size % 2:
        raise ValueError(f"`size` must be even, which H.264 needs, got {size}.")
    folder = os.path.abspath(folder)
    if os.path.lexists(folder) and (not os.path.isdir(folder) or os.listdir(folder)):
        raise FileExistsError(f"{folder} exists and is not an empty folder. Delete it, or choose another one.")

    def write(split: str, motion: str, index: int):
        key = (SPLITS.index(split), MOTIONS.index(motion), index)
        generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
        path = os.path.join(unfinished, split, motion, f"{index:05d}.mp4")
        write_video(path, moving_texture(motion, num_frames, size, generator), fps, ENCODER_OPTIONS)

    parent, name = os.path.split(folder)
    os.makedirs(parent, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=f".{name}-unfinished-") as temporary_folder:
        # A folder within it, because the temporary one can be read by its owner alone.
        unfinished = os.path.join(temporary_folder, name)
        videos = []
        for split, count in zip(SPLITS, (num_train, num_validation)):
            for motion in classes:
                os.makedirs(os.path.join(unfinished, split, motion))
            videos += [(split, classes[i % len(classes)], i // len(classes)) for i in range(count)]
        # Threads are enough: almost all of the time is spent in NumPy's and FFmpeg's loops, which run side by side.
        executor = ThreadPoolExecutor(num_workers)
        try:
            futures = [executor.submit(write, *video) for video in videos]
            for future in logging.tqdm(as_completed(futures), total=len(futures), unit="video", disable=not progress):
                future.result()
        finally:
            executor.shutdown(cancel_futures=True)
        if os.path.isdir(folder):
            os.rmdir(folder)
        os.rename(unfinished, folder)
    return folder


def _check_motions(motions: Sequence[str]):
    unknown = [motion for motion in motions if motion not in MOTIONS]
    if unknown:
        raise ValueError(f"There is no motion {unknown[0]!r}; there are {', '.join(map(repr, MOTIONS))}.")


def _check_at_least(least: int, **values: int):
    for name, value in values.items():
        if value < least:
            raise ValueError(f"`{name}` must be at least {least}, got {value}.")


def main(arguments: list[str] | None = None):
    """The command; `arguments` are those of the command line by default."""
    parser = argparse.ArgumentParser(
        prog="python -m modeling_dist.data.motion_dataset",
        description="Writes videos of random textures in motion: a folder per class in train/ and in validation/.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--output", required=True, metavar="FOLDER", help="where to; must not exist yet, or be empty")
    parser.add_argument(
        "--classes",
        nargs="+",
        default=["pans"],
        metavar="NAME",
        help=f'"pans", "all", or names out of {", ".join(map(repr, MOTIONS))}',
    )
    parser.add_argument("--num_train", type=int, default=1200, help="videos to train on, of all classes together")
    parser.add_argument("--num_validation", type=int, default=200, help="videos to validate on, likewise")
    parser.add_argument("--num_frames", type=int, default=24, help="frames of a video")
    parser.add_argument("--size", type=int, default=64, help="height and width in pixels; even")
    parser.add_argument("--fps", type=int, default=12, help="frames per second")
    parser.add_argument("--seed", type=int, default=0, help="of the textures and speeds")
    parser.add_argument("--num_workers", type=int, help="threads; the number of CPU cores if not given")
    options = vars(parser.parse_args(arguments))
    folder = options.pop("output")
    named = {("pans",): PANS, ("all",): MOTIONS}
    options["classes"] = named.get(tuple(options["classes"]), options["classes"])
    try:
        folder = make_motion_dataset(folder, **options, progress=True)
    except (ValueError, FileExistsError) as error:
        parser.error(str(error))
    print(f"{options['num_train']} training and {options['num_validation']} validation videos are in {folder}")


if __name__ == "__main__":
    main()
