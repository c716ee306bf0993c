# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Finds the videos of a dataset that cannot be read, or that have fewer frames than the model takes, before training does.

Every video is decoded. One that is so broken that it ends the process which decodes it is found, too.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from datasets import Dataset
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from ..video_decoding_dist import VideoDecodingError, decode_video
from ..video_processing_dist import segment_frame_indices
from .rows import video_name, video_source


# The paper evaluates three clips of a video; the last one reaches to its last frame.
EVALUATION_CLIPS = 3
# A whole video is decoded in pieces of at most so many bytes of pixels.
BYTES_PER_PIECE = 2**28


@dataclass
class VideoProblem:
    """
    What is wrong with a video.

    Args:
        index (`int`):
            Its row in the dataset.
        video (`str`):
            Its name, see [`~modeling_dist.data.sources.video_name`].
        problem (`"unreadable"` or `"too short"`):
            A video that is too short, with fewer frames than the model takes, can be used all the same: frames repeat.
        reason (`str`):
            In words.
    """

    index: int
    video: str
    problem: Literal["unreadable", "too short"]
    reason: str


class _Probe:
    """What is wrong with each video of a dataset, as a dataset for `DataLoader`."""

    def __init__(self, dataset: Dataset, num_frames: int, full: bool, decoder: str):
        self.dataset = dataset
        self.num_frames = num_frames
        self.full = full
        self.decoder = decoder

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
    Decodes every video, and says which cannot be read or are short.

    Args:
        dataset (`datasets.Dataset`):
            As [`~modeling_dist.data.sources.load_videos`] gives it.
        num_frames (`int`):
            Frames that the model takes.
        full (`bool`, defaults to `False`):
            Decode every frame, rather than those that an evaluation with three clips takes.
        num_workers (`int`, defaults to 0):
            Processes that decode. With at least one, a video that crashes its decoder is found, too; without, the crash
            ends this process.
        progress (`bool`, defaults to `True`):
            Whether to show a progress bar.
        decoder (`str`, defaults to `"auto"`):
            As for [`decode_video`].

    Returns:
        `list[VideoProblem]`: In the order of the dataset.
    """
    if num_frames < 1:
        raise ValueError(f"`num_frames` must be at least 1, got {num_frames}.")
    probe = _Probe(dataset, num_frames, full, decoder)
    found: dict[int, VideoProblem | None] = {}
    with tqdm(total=len(dataset), disable=not progress, desc="Scanning", unit="video") as bar:

        def run(indices: Sequence[int], num_workers: int) -> str | None:
            """Adds to what is found, in order; gives the reason where a worker died."""
            try:
                for index, problem in DataLoader(probe, batch_size=None, sampler=indices, num_workers=num_workers):
                    found[index] = problem
                    bar.update(len(found) - bar.n)
            except RuntimeError as error:
                # An exception in a worker is raised again as its own type, with its traceback.
                if "DataLoader worker (pid" not in str(error):
                    raise
                return re.sub(r" \(pid[^:]*?\d+\)", "", str(error).splitlines()[0])
            return None

        while len(found) < len(dataset) and run(range(len(found), len(dataset)), num_workers) is not None:
            # The one that it was is among those which the workers had in hand: each of them alone.
            start = len(found)
            for index in range(start, min(start + num_workers * 2, len(dataset))):
                reason = run([index], 1)
                if reason is not None:
                    name = video_name(dataset[index]["video"], index)
                    found[index] = VideoProblem(index, name, "unreadable", f"Decoding it ended the process: {reason}")
    return [problem for _, problem in sorted(found.items()) if problem is not None]


__all__ = ["VideoProblem", "scan_videos"]
