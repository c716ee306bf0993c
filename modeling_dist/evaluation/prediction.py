# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Predictions over several views of each video, in one or several processes, with every video classified once."""

from dataclasses import dataclass, field

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from accelerate.utils import gather_object
from datasets import Dataset
from tqdm.auto import tqdm

from ..data.loading import EvaluationViews, collate_views
from ..data.samplers import EvaluationBatchSampler
from ..data.workers import VideoLoader
from ..modeling_dist import DiSTForVideoClassification
from ..video_decoding_dist import VideoDecodingError
from ..video_processing_dist import DiSTVideoProcessor
from .settings import EvaluationSettings, PredictionSettings


@dataclass
class Predictions:
    """
    The predictions for the videos of a dataset: the indices of the videos in ascending order, without those that
    cannot be read; their probabilities `(videos, classes)`, averaged over the views, in float32; the reasons for the
    unreadable ones; and what is wrong with damaged ones that were classified all the same.
    """

    indices: list[int]
    probabilities: np.ndarray
    unreadable: dict[int, str] = field(default_factory=dict)
    damaged: dict[int, str] = field(default_factory=dict)


def load_model(
    settings: EvaluationSettings | PredictionSettings, **kwargs
) -> tuple[DiSTForVideoClassification, DiSTVideoProcessor]:
    """
    Return the model and the processor that the settings name, which reads videos as they say; `kwargs` go to the model's
    `from_pretrained`.
    """
    model = DiSTForVideoClassification.from_pretrained(
        settings.model, revision=settings.revision, dtype=getattr(torch, settings.dtype), **kwargs
    )
    processor = DiSTVideoProcessor.from_pretrained(settings.model, revision=settings.revision)
    return model, settings.configure(processor)


def make_accelerator(cpu: bool, **kwargs) -> Accelerator:
    """Return an accelerator, with the arguments of its class, on the CPU if asked to or if there is nothing else."""
    # Accelerate keeps device and precision for the life of a process, and accepts no others afterwards.
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    # Without `cpu`, several processes on a machine without a GPU would not know of each other.
    return Accelerator(cpu=cpu or not torch.accelerator.is_available(), **kwargs)


@torch.no_grad()
def predict_views(model: torch.nn.Module, views: torch.Tensor, view_batch_size: int) -> torch.Tensor:
    """
    Return the class probabilities `(videos, classes)` of views `(videos, views, num_frames, 3, height, width)`,
    averaged over the views (section 4.1 of the paper), in float32. A forward pass has `view_batch_size` views.
    """
    num_views = views.shape[1]
    # (videos, views, …) -> (videos * views, …)
    logits = [model(pixel_values_videos=chunk).logits.float() for chunk in views.flatten(0, 1).split(view_batch_size)]
    return torch.cat(logits).softmax(dim=-1).unflatten(0, (-1, num_views)).mean(dim=1)


def predict_videos(
    model: torch.nn.Module,
    videos: Dataset,
    processor: DiSTVideoProcessor,
    accelerator: Accelerator,
    num_clips: int = 3,
    num_crops: int = 1,
    batch_size: int = 8,
    view_batch_size: int | None = None,
    num_workers: int = 0,
    skip_unreadable: bool = False,
    shuffle_frames: bool = False,
    progress: str | None = None,
) -> Predictions:
    """
    Classify every video once, in the mixed precision of the accelerator. With several processes, all of them have to
    call this, and all of them get all results.

    `batch_size` videos are decoded together, `view_batch_size` views are in a forward pass (by default as many).
    `skip_unreadable` leaves out videos that cannot be read, and returns the reasons, instead of raising an error. Damaged
    videos that can be decoded are classified, and counted, unless the processor has `damaged="error"` or `"ignore"`.
    `shuffle_frames` puts the frames of each view in random order. `progress` is the title of a progress bar.
    """
    # Without DDP's wrapper, whose forward would make the processes wait for each other.
    is_sharded = accelerator.distributed_type.value in ("FSDP", "DEEPSPEED")
    bare_model = accelerator.unwrap_model(model)
    network = model if is_sharded else bare_model
    was_training = network.training
    views = EvaluationViews(videos, processor, num_clips, num_crops, shuffle_frames)
    batches = EvaluationBatchSampler(len(videos), batch_size, accelerator.num_processes, accelerator.process_index)
    config = bare_model.config
    image_size = config.vision_config.image_size
    results, unreadable, damaged = [], {}, {}
    hidden = progress is None or not accelerator.is_main_process
    network.eval()
    try:
        for batch in tqdm(VideoLoader(views, batches, collate_views, num_workers), desc=progress, disable=hidden):
            if batch["unreadable"] and not skip_unreadable:
                raise VideoDecodingError(
                    f"{next(iter(batch['unreadable'].values()))} Set --skip_unreadable (`skip_unreadable=True`) to leave out "
                    "and count such videos."
                )
            unreadable |= batch["unreadable"]
            damaged |= batch["damaged"]
            pixel_values, num_videos = batch["pixel_values_videos"], len(batch["indices"])
            if is_sharded and num_videos < batch_size:
                # All processes have to run a sharded model equally often; the padding's results are dropped below.
                shape = (num_clips * num_crops, config.num_frames, 3, image_size, image_size)
                padding = torch.zeros(batch_size - num_videos, *shape)
                pixel_values = padding if pixel_values is None else torch.cat([pixel_values, padding])
            if pixel_values is None:
                continue
            pixel_values = pixel_values.to(accelerator.device, non_blocking=True)
            with accelerator.autocast():
                probabilities = predict_views(network, pixel_values, view_batch_size or batch_size)
            results.extend(zip(batch["indices"], probabilities[:num_videos].cpu().numpy()))
    finally:
        network.train(was_training)

    results = gather_object(results)
    unreadable, damaged = (dict(sorted(gather_object(list(found.items())))) for found in (unreadable, damaged))
    seen = [index for index, _ in results] + list(unreadable)
    if sorted(seen) != list(range(len(videos))):
        raise RuntimeError(f"{len(videos)} videos were to be classified once each, and {len(seen)} came back.")
    results.sort(key=lambda result: result[0])
    probabilities = np.stack([row for _, row in results]) if results else np.zeros((0, config.num_labels), np.float32)
    return Predictions([index for index, _ in results], probabilities, unreadable, damaged)
