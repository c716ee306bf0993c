# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""From the rows of a dataset to batches for the model: videos are decoded in worker processes, when it is their turn.

A training clip depends only on the seed, the epoch and the video, and the videos of a batch only on the seed and the number of
the batch, never on workers, processes or earlier draws. So training can resume at any batch, and several processes train on
the same clips as one.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from datasets import Dataset
from transformers.video_utils import VideoMetadata

from ..video_decoding_dist import VideoDecodingError
from ..video_frames_dist import take_frames
from ..video_processing_dist import DiSTVideoProcessor
from .rows import video_name, video_source
from .samplers import seed_from
from .workers import VideoWatch


@dataclass(eq=False)
class VideoDataset(torch.utils.data.Dataset):
    """Videos that a [`VideoLoader`] decodes, which reads `watch` and calls `name_of`."""

    videos: Dataset
    processor: DiSTVideoProcessor

    def __post_init__(self):
        self.watch = VideoWatch()

    def __len__(self) -> int:
        return len(self.videos)

    def name_of(self, index: int) -> str:
        """Return the name of a video for messages."""
        return video_name(self.videos[index]["video"], index)


@dataclass(eq=False)
class TrainingClips(VideoDataset):
    """
    Dataset of random clips: `clips[epoch, index]`. A video that cannot be read is replaced by another one, drawn at
    random, and reported; after `max_draws` unreadable videos in a row, the dataset is considered unreadable.

    `augmentation` maps uint8 frames `(num_frames, 3, height, width)` and a label to pixel values and a label, as
    [`ClipAugmentation`] does, which crops large frames while they are decoded. By default, clips are center-cropped as in
    evaluation.
    """

    augmentation: Callable[[torch.ByteTensor, int], tuple[torch.FloatTensor, int]] | None = None
    seed: int = 0
    max_draws: int = 20

    def __getitem__(self, key: tuple[int, int]) -> dict:
        """
        Return `pixel_values_videos` of shape `(num_frames, 3, height, width)`, `label`, `unreadable`, which maps the
        indices of the videos that were tried before to the reasons, and `damaged`, which maps that of the video to what is
        wrong with it.
        """
        epoch, index = key
        unreadable, damaged = {}, []
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed_from(self.seed, epoch, index))
            for _ in range(self.max_draws):
                try:
                    with self.watch(index, self.processor.video_limits):
                        row = self.videos[index]
                        video = video_source(row["video"], self.processor.video_limits)
                        pixel_values, label = self._load(video, row["label"], damaged)
                    break
                except VideoDecodingError as error:
                    unreadable[index] = reason = str(error)
                    damaged.clear()
                    index = int(torch.randint(len(self.videos), ()))
            else:
                raise VideoDecodingError(
                    f"{self.max_draws} videos drawn in a row cannot be read, so the dataset is broken or cannot be reached. "
                    f"The last one: {reason}"
                )
        damaged = {index: damaged[0]} if damaged else {}
        return {"pixel_values_videos": pixel_values, "label": label, "unreadable": unreadable, "damaged": damaged}

    def _load(self, video: str | bytes, label: int, damaged: list[str]) -> tuple[torch.FloatTensor, int]:
        """Return the pixel values of a random clip, and its label."""
        processor = self.processor
        options = {"num_clips": 1, "random_sampling": True}
        damage_options = {"damaged": damaged.append if processor.damaged == "warn" else processor.damaged}
        if self.augmentation is None:
            inputs = processor(video, num_crops=1, **options, **damage_options, return_tensors="pt")
            return inputs["pixel_values_videos"][0], label
        draw_crop = getattr(self.augmentation, "draw_crop", None)
        crop, slots, pieces = None, None, []

        def choose_frames(total_num_frames: int, fps: float | None) -> list[int]:
            nonlocal slots
            metadata = VideoMetadata(total_num_frames=total_num_frames, fps=fps)
            distinct, slots = processor.sample_frames(metadata, **options)[0].unique(return_inverse=True)
            return distinct.tolist()

        def crop_frames(start: int, frames: torch.Tensor, white: float):
            nonlocal crop
            if crop is None and draw_crop is not None:
                crop = draw_crop(frames)
            if start == 0:
                pieces.clear()
            frames = frames if white == 255 else frames * (255 / white)
            pieces.append(frames if crop is None else crop(frames))

        reading = {"decoder": processor.decoder, "limits": processor.video_limits, **damage_options}
        take_frames(video, choose_frames, crop_frames, **reading)
        clip = torch.cat(pieces)[slots]
        return self.augmentation(clip, label) if crop is None else self.augmentation.finish(clip, label)


def collate_clips(clips: list[dict]) -> dict:
    """Return a batch of [`TrainingClips`]: `pixel_values_videos`, `labels`, and all `unreadable` and `damaged` videos."""
    return {
        "pixel_values_videos": torch.stack([clip["pixel_values_videos"] for clip in clips]),
        "labels": torch.tensor([clip["label"] for clip in clips]),
        "unreadable": {index: reason for clip in clips for index, reason in clip["unreadable"].items()},
        "damaged": {index: reason for clip in clips for index, reason in clip["damaged"].items()},
    }


@dataclass(eq=False)
class EvaluationViews(VideoDataset):
    """
    Dataset of all views of a video, `num_clips * num_crops` of them, by default as many as the processor makes:
    `views[index]`. `shuffle_frames` puts the frames of each view in random order: what a model then recognizes, it
    recognizes without temporal order.
    """

    num_clips: int | None = None
    num_crops: int | None = None
    shuffle_frames: bool = False

    def __getitem__(self, index: int) -> dict:
        """
        Return `index`, and either `pixel_values_videos` of shape `(views, num_frames, 3, height, width)` or `error`,
        the reason why the video cannot be read; and with the former, `damage` if there is any.
        """
        options = {"num_clips": self.num_clips, "num_crops": self.num_crops, "random_sampling": False}
        damaged, limits = [], self.processor.video_limits
        if self.processor.damaged == "warn":
            options["damaged"] = damaged.append
        try:
            with self.watch(index, limits):
                video = video_source(self.videos[index]["video"], limits)
                inputs = self.processor(video, **options, return_tensors="pt")
        except VideoDecodingError as error:
            return {"index": index, "error": str(error)}
        views = inputs["pixel_values_videos"][0]
        views = views[None] if views.ndim == 4 else views
        if self.shuffle_frames:
            generator = torch.Generator().manual_seed(seed_from(index))
            views = torch.stack([view[torch.randperm(len(view), generator=generator)] for view in views])
        return {"index": index, "pixel_values_videos": views} | ({"damage": damaged[0]} if damaged else {})


def collate_views(videos: list[dict]) -> dict:
    """
    Return a batch of [`EvaluationViews`]: `indices` and `pixel_values_videos` (`(videos, views, …)`, `None` if there are none)
    of the readable videos, and `unreadable` and `damaged`, which map the indices of videos to the reasons.
    """
    readable = [video for video in videos if "error" not in video]
    return {
        "indices": [video["index"] for video in readable],
        "pixel_values_videos": torch.stack([video["pixel_values_videos"] for video in readable]) if readable else None,
        "unreadable": {video["index"]: video["error"] for video in videos if "error" in video},
        "damaged": {video["index"]: video["damage"] for video in readable if "damage" in video},
    }
