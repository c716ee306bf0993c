# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Find the videos of a dataset that cannot be read, or have fewer frames than the model takes, before training does.

Every video is decoded. One that is broken enough to crash the process that decodes it is found, too.
"""

import csv
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from datasets import Dataset
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from ..files import atomic_file
from ..video_decoding_dist import VideoDecodingError, decode_video
from ..video_processing_dist import segment_frame_indices
from .rows import video_name, video_source
from .settings import ScanSettings
from .sources import load_videos


# The paper evaluates three clips of a video; the last one extends to its last frame.
EVALUATION_CLIPS = 3
# Videos are decoded in pieces of at most this many bytes of pixels.
BYTES_PER_PIECE = 2**28


@dataclass
class VideoProblem:
    """
    What is wrong with a video, `"unreadable"` or `"too short"`, and why. A video that is too short, with fewer frames
    than the model takes, can still be used: frames repeat.
    """

    index: int
    video: str
    problem: Literal["unreadable", "too short"]
    reason: str


@dataclass
class ScanReport:
    """The result of [`scan`]: the number of videos, and the problems in the order of the dataset."""

    num_videos: int
    problems: list[VideoProblem]

    def describe(self) -> str:
        """Return the result in a line."""
        num_unreadable = sum(problem.problem == "unreadable" for problem in self.problems)
        num_problems = len(self.problems)
        return f"{self.num_videos - num_problems} good, {num_unreadable} unreadable, {num_problems - num_unreadable} too short"


@dataclass
class _Probe:
    """Dataset for a `DataLoader` that decodes a video and returns its index and its problem, if any."""

    dataset: Dataset
    num_frames: int
    full: bool
    decoder: str

    def __getitem__(self, index: int) -> tuple[int, VideoProblem | None]:
        video = self.dataset[index]["video"]
        name = video_name(video, index)
        try:
            source = video_source(video)
            total_num_frames = self._decode_all(source) if self.full else self._decode_some(source)
        except VideoDecodingError as error:
            return index, VideoProblem(index, name, "unreadable", " ".join(str(error).split()))
        if total_num_frames < self.num_frames:
            reason = f"{total_num_frames} frames, fewer than {self.num_frames}"
            return index, VideoProblem(index, name, "too short", reason)
        return index, None

    def _decode_some(self, source: str | bytes) -> int:
        def choose_frames(total_num_frames, fps):
            return segment_frame_indices(total_num_frames, self.num_frames, EVALUATION_CLIPS).flatten().tolist()

        return decode_video(source, choose_frames, self.decoder).total_num_frames

    def _decode_all(self, source: str | bytes) -> int:
        first = decode_video(source, lambda total_num_frames, fps: [0], self.decoder)
        step = max(1, BYTES_PER_PIECE // first.frames[0].numel())
        for start in range(0, first.total_num_frames, step):
            piece = range(start, min(start + step, first.total_num_frames))
            decode_video(source, lambda total_num_frames, fps, piece=piece: list(piece), self.decoder)
        return first.total_num_frames


def scan_videos(
    dataset: Dataset,
    *,
    num_frames: int,
    full: bool = False,
    num_workers: int = 0,
    progress: bool = True,
    decoder: str = "auto",
) -> list[VideoProblem]:
    """
    Decode every video of a dataset, and return the problems in the order of the dataset.

    The frames that an evaluation with three clips takes are decoded, or every frame with `full`. A video with fewer
    frames than the model's `num_frames` is too short. With at least one worker process, a video that crashes its
    decoder is reported; with none, the crash ends this process.
    """
    if num_frames < 1:
        raise ValueError(f"`num_frames` must be at least 1, got {num_frames}.")
    probe = _Probe(dataset, num_frames, full, decoder)
    found: dict[int, VideoProblem | None] = {}
    with tqdm(total=len(dataset), disable=not progress, desc="Scanning", unit="video") as bar:

        def run(indices: Sequence[int], num_workers: int) -> str | None:
            """Add to `found`, in order, and return the reason if a worker died."""
            try:
                for index, problem in DataLoader(probe, batch_size=None, sampler=indices, num_workers=num_workers):
                    found[index] = problem
                    bar.update(len(found) - bar.n)
            except RuntimeError as error:
                # An exception in a worker is raised again here with its own type.
                if "DataLoader worker (pid" not in str(error):
                    raise
                return re.sub(r" \(pid[^:]*?\d+\)", "", str(error).splitlines()[0])
            return None

        while len(found) < len(dataset) and run(range(len(found), len(dataset)), num_workers) is not None:
            # The video that did it is among those that the workers had prefetched: decode each of these alone.
            start = len(found)
            for index in range(start, min(start + num_workers * 2, len(dataset))):
                reason = run([index], 1)
                if reason is not None:
                    name = video_name(dataset[index]["video"], index)
                    found[index] = VideoProblem(index, name, "unreadable", f"Decoding it ended the process: {reason}")
    return [problem for _, problem in sorted(found.items()) if problem is not None]


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
    dataset = load_videos(settings, split=settings.split)
    options = settings.select("num_frames", "full", "num_workers", "decoder")
    problems = scan_videos(dataset, **options, progress=progress)
    write_problems(settings.output, problems)
    return ScanReport(len(dataset), problems)
