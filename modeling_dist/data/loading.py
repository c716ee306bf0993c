# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""From rows of a dataset (see data.py) to batches for the model: decoded in workers, opened when their turn comes.

What a training clip looks like depends on the seed, the epoch and the video alone, and which videos a batch holds on the
seed and the number of the batch alone; never on a worker, a process, or on what was drawn before. So a run that is
stopped can go on at any batch, and several processes train on the same clips as one.
"""

from collections.abc import Callable

import torch
from datasets import Dataset
from torch.utils.data import DataLoader
from transformers.video_utils import VideoMetadata

from ..video_decoding_dist import VideoDecodingError, decode_video
from ..video_processing_dist import DiSTVideoProcessor
from .rows import video_source
from .samplers import seed_from


class TrainingClips(torch.utils.data.Dataset):
    """
    A random clip of a video: `clips[epoch, index]`.

    A video that cannot be read is replaced by another one drawn at random, and reported.

    Args:
        videos (`datasets.Dataset`):
            With the columns `video` and `label`, as `load_videos` gives it.
        processor (`DiSTVideoProcessor`):
            Its frame sampling, number of frames and decoder are used, and its pixels where there is no augmentation.
        augmentation (`Callable`, *optional*):
            From uint8 frames `(num_frames, 3, height, width)` and a label to pixels and a label; see
            [`ClipAugmentation`]. Without it, clips are cropped at the centre as in evaluation.
        seed (`int`, defaults to 0):
            Of all that is random.
        max_draws (`int`, defaults to 20):
            Unreadable videos in a row that are taken for a fault of the whole dataset.
    """

    def __init__(
        self,
        videos: Dataset,
        processor: DiSTVideoProcessor,
        augmentation: Callable[[torch.ByteTensor, int], tuple[torch.FloatTensor, int]] | None = None,
        seed: int = 0,
        max_draws: int = 20,
    ):
        self.videos = videos
        self.processor = processor
        self.augmentation = augmentation
        self.seed = seed
        self.max_draws = max_draws

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, key: tuple[int, int]) -> dict:
        """
        Returns:
            `dict`: `pixel_values_videos` (num_frames, 3, height, width), `label`, and `unreadable`, the videos that were
            tried before: index to reason.

        Raises:
            VideoDecodingError: If `max_draws` videos in a row cannot be read.
        """
        epoch, index = key
        unreadable = {}
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed_from(self.seed, epoch, index))
            for _ in range(self.max_draws):
                row = self.videos[index]
                try:
                    frames = self._decode(video_source(row["video"]))
                    break
                except VideoDecodingError as error:
                    unreadable[index] = reason = str(error)
                    index = int(torch.randint(len(self.videos), ()))
            else:
                raise VideoDecodingError(
                    f"{self.max_draws} videos drawn one after another cannot be read; something is wrong with the "
                    f"dataset or the way to it. The last one: {reason}"
                )
            label = row["label"]
            if self.augmentation is None:
                inputs = self.processor(frames, do_sample_frames=False, num_clips=1, num_crops=1, return_tensors="pt")
                pixel_values = inputs["pixel_values_videos"][0]
            else:
                pixel_values, label = self.augmentation(frames, label)
        return {"pixel_values_videos": pixel_values, "label": label, "unreadable": unreadable}

    def _decode(self, video: str | bytes) -> torch.ByteTensor:
        """The frames of one clip, `(num_frames, 3, height, width)`."""
        chosen = []

        def choose_frames(total_num_frames: int, fps: float | None) -> list[int]:
            metadata = VideoMetadata(total_num_frames=total_num_frames, fps=fps)
            chosen[:] = [self.processor.sample_frames(metadata, num_clips=1, random_sampling=True)[0]]
            return chosen[0].tolist()

        decoded = decode_video(video, choose_frames, decoder=self.processor.decoder)
        return decoded.frames[torch.searchsorted(torch.tensor(decoded.frame_indices), chosen[0])]


def collate_clips(clips: list[dict]) -> dict:
    """A batch of [`TrainingClips`]: `pixel_values_videos`, `labels`, and the unreadable videos of all of them."""
    return {
        "pixel_values_videos": torch.stack([clip["pixel_values_videos"] for clip in clips]),
        "labels": torch.tensor([clip["label"] for clip in clips]),
        "unreadable": {index: reason for clip in clips for index, reason in clip["unreadable"].items()},
    }


class EvaluationViews(torch.utils.data.Dataset):
    """
    All views of a video: `views[index]`.

    Args:
        videos (`datasets.Dataset`):
            With the column `video` and, unless there are no labels, `label`.
        processor (`DiSTVideoProcessor`):
            Says how many frames, which pixels.
        num_clips, num_crops (`int`, default to the processor's):
            The views are their product.
        shuffle_frames (`bool`, defaults to `False`):
            Give the frames of every view in a random order: what a model then still knows, it knows without time.
    """

    def __init__(
        self,
        videos: Dataset,
        processor: DiSTVideoProcessor,
        num_clips: int | None = None,
        num_crops: int | None = None,
        shuffle_frames: bool = False,
    ):
        self.videos = videos
        self.processor = processor
        self.num_clips = processor.num_clips if num_clips is None else num_clips
        self.num_crops = processor.num_crops if num_crops is None else num_crops
        self.shuffle_frames = shuffle_frames

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> dict:
        """
        Returns:
            `dict`: `index`, and either `pixel_values_videos` (views, num_frames, 3, height, width) or `error`, why the
            video cannot be read.
        """
        row = self.videos[index]
        try:
            inputs = self.processor(
                video_source(row["video"]),
                num_clips=self.num_clips,
                num_crops=self.num_crops,
                random_sampling=False,
                return_tensors="pt",
            )
        except VideoDecodingError as error:
            return {"index": index, "error": str(error)}
        views = inputs["pixel_values_videos"][0]
        views = views[None] if views.ndim == 4 else views
        if self.shuffle_frames:
            generator = torch.Generator().manual_seed(seed_from(index))
            views = torch.stack([view[torch.randperm(len(view), generator=generator)] for view in views])
        return {"index": index, "pixel_values_videos": views}


def collate_views(videos: list[dict]) -> dict:
    """
    A batch of [`EvaluationViews`]: `indices` and `pixel_values_videos` (videos, views, …; `None` if there is none) of those
    that can be read, and `unreadable`, index to reason, of the others.
    """
    readable = [video for video in videos if "error" not in video]
    return {
        "indices": [video["index"] for video in readable],
        "pixel_values_videos": torch.stack([video["pixel_values_videos"] for video in readable]) if readable else None,
        "unreadable": {video["index"]: video["error"] for video in videos if "error" in video},
    }


def make_loader(
    dataset: torch.utils.data.Dataset,
    batches: torch.utils.data.Sampler,
    collate: Callable[[list[dict]], dict],
    num_workers: int = 0,
) -> DataLoader:
    """A `DataLoader` of the classes above; its workers ready the next batches while the model is at work."""
    return DataLoader(
        dataset,
        batch_sampler=batches,
        collate_fn=collate,
        num_workers=num_workers,
        pin_memory=torch.cuda.is_available(),
        # Without a generator of its own it would draw the workers' seeds from the global one, and a run would depend on
        # how often it was resumed.
        generator=torch.Generator(),
    )


__all__ = [
    "EvaluationViews",
    "TrainingClips",
    "collate_clips",
    "collate_views",
    "make_loader",
]
