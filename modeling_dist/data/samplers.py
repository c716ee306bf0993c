# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Which videos are in which batch of which process, and the seeds of everything random."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch


def seed_from(*keys: int) -> int:
    """
    Return a 64-bit seed for several numbers; similar numbers give unrelated seeds. Each use has its own number of keys:
    (seed, epoch) for the order of the videos, (seed, epoch, index) for a clip, (seed, update, batch, process) for the
    mixing of a batch.
    """
    # The number of keys is included because a trailing zero alone would make no difference.
    return int(np.random.SeedSequence([len(keys), *keys]).generate_state(1, np.uint64)[0])


@dataclass(eq=False)
class TrainingBatchSampler(torch.utils.data.Sampler):
    """
    Batch sampler of one process for training: endless batches of (epoch, index), one epoch after the other.

    An epoch is a permutation of the videos, cut into global batches that are distributed among the processes:
    `batches_per_epoch` batches of `batch_size` for each. Videos left over at the end of an epoch are in no batch; the
    next epoch leaves over others. `start` batches, over all epochs, are skipped to resume training.
    """

    num_videos: int
    batch_size: int
    batches_per_epoch: int
    num_processes: int = 1
    process_index: int = 0
    seed: int = 0
    start: int = 0

    def __post_init__(self):
        if not 0 < self.batches_per_epoch * self.batch_size * self.num_processes <= self.num_videos:
            raise ValueError(
                f"{self.num_videos} videos are not enough for {self.batches_per_epoch} batches of {self.batch_size} in each of "
                f"{self.num_processes} processes."
            )

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        first_epoch, first_batch = divmod(self.start, self.batches_per_epoch)
        for epoch in itertools.count(first_epoch):
            generator = torch.Generator().manual_seed(seed_from(self.seed, epoch))
            order = torch.randperm(self.num_videos, generator=generator).tolist()
            for batch in range(first_batch if epoch == first_epoch else 0, self.batches_per_epoch):
                begin = (batch * self.num_processes + self.process_index) * self.batch_size
                yield [(epoch, index) for index in order[begin : begin + self.batch_size]]


class EvaluationBatchSampler(torch.utils.data.Sampler):
    """
    Batch sampler of one process for evaluation: every video is in one batch of one process. All processes have the same
    number of batches, some of them empty, because a sharded model needs them to compute in step.
    """

    def __init__(self, num_videos: int, batch_size: int, num_processes: int = 1, process_index: int = 0):
        self.num_batches = -(-num_videos // (batch_size * num_processes))
        indices = list(range(process_index, num_videos, num_processes))
        self.batches = [indices[begin : begin + batch_size] for begin in range(0, len(indices), batch_size)]
        self.batches += [[]] * (self.num_batches - len(self.batches))

    def __len__(self) -> int:
        return self.num_batches

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)
