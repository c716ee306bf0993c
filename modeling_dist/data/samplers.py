# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Which videos are in which batch, in each of several processes, and the seeds of what is random."""

import itertools
from collections.abc import Iterator

import numpy as np
import torch


def seed_from(*keys: int) -> int:
    """
    One 64-bit seed of several numbers: neighbouring ones give unrelated seeds. What draws from seeds of its own uses another
    number of them: (seed, epoch) the order of the videos, (seed, epoch, index) a clip, (seed, update, batch, process) the
    mixing of a batch.
    """
    # Their number comes along, because a zero at the end would make no difference.
    return int(np.random.SeedSequence([len(keys), *keys]).generate_state(1, np.uint64)[0])


class TrainingBatchSampler(torch.utils.data.Sampler):
    """
    The batches of one of several processes, epoch after epoch without an end, as lists of (epoch, index).

    An epoch is a permutation of the videos, cut into global batches that the processes share out among each other. What is
    left over at an epoch's end makes no batch; in the next epoch, others are left over.

    Args:
        num_videos (`int`):
            Videos in the dataset.
        batch_size (`int`):
            Of one process.
        batches_per_epoch (`int`):
            Of one process; not more than there are.
        num_processes, process_index (`int`):
            How many processes, and which of them this is.
        seed (`int`, defaults to 0):
            Of the permutations.
        start (`int`, defaults to 0):
            Batches to leave out at the beginning, over all epochs: the place to go on at.

    Raises:
        ValueError: If there are not enough videos for so many batches.
    """

    def __init__(
        self,
        num_videos: int,
        batch_size: int,
        batches_per_epoch: int,
        num_processes: int = 1,
        process_index: int = 0,
        seed: int = 0,
        start: int = 0,
    ):
        if not 0 < batches_per_epoch * batch_size * num_processes <= num_videos:
            raise ValueError(
                f"{num_videos} videos do not make {batches_per_epoch} batches of {batch_size} for each of {num_processes} "
                "processes."
            )
        self.num_videos = num_videos
        self.batch_size = batch_size
        self.batches_per_epoch = batches_per_epoch
        self.num_processes = num_processes
        self.process_index = process_index
        self.seed = seed
        self.start = start

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
    The batches of one of several processes, as lists of indices: every video in one batch of one process. All processes
    have as many batches, since a sharded model computes in step; a process with none left has empty ones.
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


__all__ = ["EvaluationBatchSampler", "TrainingBatchSampler", "seed_from"]
