# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Find the videos of a dataset that cannot be read, are damaged or too short for the model, before training does.

Every video is decoded. One that is broken enough to crash the process that decodes it is found, too.
"""

import csv
import functools
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Literal

from datasets import Dataset
from tqdm.auto import tqdm

from ..files import atomic_file, check_writable
from ..video_decoding_dist import VideoDecodingError, VideoLimits, decode_video
from ..video_processing_dist import segment_frame_indices
from .rows import video_name, video_source
from .settings import ScanSettings
from .sources import load_videos
from .workers import VideoLoader, VideoWatch


# The paper evaluates three clips of a video; the last one extends to its last frame.
EVALUATION_CLIPS = 3


@dataclass
class VideoProblem:
    """
    What is wrong with a video, and why. One that is `"damaged"` can be decoded, though frames may be missing or wrong; of one
    that is `"too short"`, with fewer frames than the model takes, frames repeat. Both can still be used.
    """

    index: int
    video: str
    problem: Literal["unreadable", "damaged", "too short"]
    reason: str


@dataclass
class ScanReport:
    """The result of [`scan`]: the number of videos, and the problems in the order of the dataset."""

    num_videos: int
    problems: list[VideoProblem]

    def describe(self) -> str:
        """Return the result in a line."""
        counts = Counter(problem.problem for problem in self.problems)
        counted = (f"{counts[problem]} {problem}" for problem in ("unreadable", "damaged", "too short"))
        return ", ".join([f"{self.num_videos - len(self.problems)} good", *counted])


class _Probe:
    """Dataset for a [`VideoLoader`] that decodes a video and returns its index and its problem, if any."""

    def __init__(
        self,
        dataset: Dataset,
        choose_frames: Callable[[int, float | None], list[int]],
        num_frames: int = 1,
        decoder: str | None = None,
        damaged: str | None = None,
        limits: dict[str, float] | None = None,
    ):
        self.dataset, self.choose_frames, self.num_frames = dataset, choose_frames, num_frames
        self.decoder, self.damaged, self.limits = decoder or "auto", damaged or "warn", VideoLimits(**(limits or {}))
        self.watch = VideoWatch()

    def name_of(self, index: int) -> str:
        return video_name(self.dataset[index]["video"], index)

    def __getitem__(self, index: int) -> tuple[int, VideoProblem | None]:
        damage: list[str] = []
        try:
            with self.watch(index, self.limits):
                decoded = decode_video(
                    video_source(self.dataset[index]["video"], self.limits),
                    self.choose_frames,
                    self.decoder,
                    consume=lambda start, frames: None,
                    damaged=damage.append if self.damaged == "warn" else self.damaged,
                    limits=self.limits,
                )
        except VideoDecodingError as error:
            return index, self._problem(index, "unreadable", str(error))
        if damage:
            return index, self._problem(index, "damaged", damage[0])
        if decoded.total_num_frames < self.num_frames:
            reason = f"{decoded.total_num_frames} frames, fewer than {self.num_frames}"
            return index, self._problem(index, "too short", reason)
        return index, None

    def _problem(self, index: int, problem: str, reason: str) -> VideoProblem:
        return VideoProblem(index, self.name_of(index), problem, " ".join(reason.split()))


def scan_videos(
    dataset: Dataset,
    *,
    num_frames: int,
    full: bool = False,
    num_workers: int = 0,
    progress: bool = True,
    decoder: str | None = None,
    damaged: str | None = None,
    limits: dict[str, float] | None = None,
) -> list[VideoProblem]:
    """
    Decode every video of a dataset, and return the problems in the order of the dataset.

    The frames that an evaluation with three clips takes are decoded, or every frame with `full`. A video with fewer
    frames than the model's `num_frames` is too short. With at least one worker process, a video that crashes its
    decoder is reported; with none, the crash ends this process. `decoder`, `damaged` and `limits` are those of
    [`DiSTVideoProcessor`]; with `damaged="error"`, damaged videos are listed as unreadable, with `"ignore"` not at all.
    """
    if num_frames < 1:
        raise ValueError(f"`num_frames` must be at least 1, got {num_frames}.")
    choose_frames = _choose_all if full else functools.partial(_choose_for_evaluation, num_frames)
    probe = _Probe(dataset, choose_frames, num_frames, decoder, damaged, limits)
    loader = VideoLoader(probe, [[index] for index in range(len(dataset))], itemgetter(0), num_workers)
    found = dict(tqdm(loader, disable=not progress, desc="Scanning", unit="video"))
    return [problem for _, problem in sorted(found.items()) if problem is not None]


def _choose_all(total_num_frames: int, fps: float | None) -> list[int]:
    return list(range(total_num_frames))


def _choose_first(total_num_frames: int, fps: float | None) -> list[int]:
    return [0]


def _choose_for_evaluation(num_frames: int, total_num_frames: int, fps: float | None) -> list[int]:
    return segment_frame_indices(total_num_frames, num_frames, EVALUATION_CLIPS).flatten().tolist()


def find_unreadable(
    dataset: Dataset, indices: Sequence[int], num_workers: int = 0, progress: str | None = None, **options
) -> dict[int, str]:
    """
    Decode the first frame of some videos of a dataset, and return the reasons for those that cannot be read, by their indices.
    `progress` is the title of a progress bar, and `options` are `decoder`, `damaged` and `limits` as in [`scan_videos`].
    """
    probe = _Probe(dataset, _choose_first, **options)
    loader = VideoLoader(probe, [[index] for index in indices], itemgetter(0), num_workers)
    found = tqdm(loader, disable=progress is None, desc=progress, unit="video")
    return {index: problem.reason for index, problem in found if problem and problem.problem == "unreadable"}


def write_problems(path: str | os.PathLike, problems: Sequence[VideoProblem]):
    """Write problems as a CSV file, which the option `exclude` of datasets accepts. Its folder is made if necessary."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["video", "problem", "reason"])
        writer.writerows([problem.video, problem.problem, problem.reason] for problem in problems)


def scan(settings: ScanSettings, progress: bool = True) -> ScanReport:
    """Load a dataset, scan it as [`scan_videos`] does, and write the problems to `settings.output`."""
    settings.check()
    check_writable(settings.output, is_folder=False)
    dataset = load_videos(settings, split=settings.split)
    options = settings.select("num_frames", "full", "num_workers", "decoder", "damaged", "limits")
    problems = scan_videos(dataset, **options, progress=progress)
    write_problems(settings.output, problems)
    return ScanReport(len(dataset), problems)
