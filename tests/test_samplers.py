# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Batches are a function of the seed and their number alone, whichever process makes them."""

import itertools

import pytest
import torch

from modeling_dist.data.samplers import EvaluationBatchSampler, TrainingBatchSampler, seed_from


# ---- seeds


def test_seeds_of_different_keys_differ():
    keys = [
        *itertools.product(range(6), repeat=3),
        *itertools.product(range(6), repeat=2),
        *((key,) for key in range(6)),
    ]
    seeds = [seed_from(*key) for key in keys]
    assert len(set(seeds)) == len(keys)
    assert all(0 <= seed < 2**64 for seed in seeds)
    assert max(seeds) > 2**63
    assert seeds == [seed_from(*key) for key in keys]


# ---- training batches


def take(sampler: TrainingBatchSampler, count: int) -> list[list[tuple[int, int]]]:
    return list(itertools.islice(sampler, count))


@pytest.mark.parametrize("num_processes", [1, 2, 4])
def test_processes_share_the_same_global_batches(num_processes):
    global_batches = take(TrainingBatchSampler(50, 8, 6, seed=5), 14)
    batch_size = 8 // num_processes
    by_process = [
        take(TrainingBatchSampler(50, batch_size, 6, num_processes, process_index, seed=5), 14)
        for process_index in range(num_processes)
    ]
    joined = [sum(batches, []) for batches in zip(*by_process)]
    assert joined == global_batches


@pytest.mark.parametrize("num_processes", [1, 2])
def test_accumulated_batches_make_the_same_global_batches(num_processes):
    global_batches = take(TrainingBatchSampler(50, 8, 6, seed=5), 14)
    num_micro = 4 // num_processes
    by_process = [
        take(TrainingBatchSampler(50, 2, 6 * num_micro, num_processes, process_index, seed=5), 14 * num_micro)
        for process_index in range(num_processes)
    ]
    micro_batches = [sum(batches, []) for batches in zip(*by_process)]
    joined = [sum(micro_batches[i : i + num_micro], []) for i in range(0, len(micro_batches), num_micro)]
    assert joined == global_batches


def test_epoch_is_a_permutation_without_repeats_and_each_is_another():
    batches = take(TrainingBatchSampler(23, 4, 5, seed=2), 5 * 6)
    epochs = [sum(batches[5 * epoch : 5 * epoch + 5], []) for epoch in range(6)]
    orders = []
    for epoch, keys in enumerate(epochs):
        assert {key[0] for key in keys} == {epoch}
        indices = [index for _, index in keys]
        assert len(indices) == 20 and len(set(indices)) == 20 and set(indices) <= set(range(23))
        orders.append(tuple(indices))
    assert len(set(orders)) == 6
    assert list(orders[0]) != sorted(orders[0])
    # In the next epochs, others are left over.
    assert set().union(*orders) == set(range(23))
    left_over = {frozenset(range(23)) - frozenset(order) for order in orders}
    assert len(left_over) > 1


def test_seed_decides_the_order():
    assert take(TrainingBatchSampler(23, 4, 5, seed=2), 9) == take(TrainingBatchSampler(23, 4, 5, seed=2), 9)
    assert take(TrainingBatchSampler(23, 4, 5, seed=2), 9) != take(TrainingBatchSampler(23, 4, 5, seed=3), 9)


def test_batches_neither_use_nor_change_the_global_random_state():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = take(TrainingBatchSampler(23, 4, 5), 12)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert take(TrainingBatchSampler(23, 4, 5), 12) == first


@pytest.mark.parametrize(("num_processes", "process_index"), [(1, 0), (2, 1)])
@pytest.mark.parametrize("start", [0, 1, 3, 4, 5, 8, 11, 12])
def test_start_gives_the_tail(start, num_processes, process_index):
    options = {"num_processes": num_processes, "process_index": process_index, "seed": 7}
    whole = take(TrainingBatchSampler(18, 2, 4, **options), 20)
    assert take(TrainingBatchSampler(18, 2, 4, **options, start=start), 20 - start) == whole[start:]


# ---- evaluation batches


@pytest.mark.parametrize("num_processes", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("num_videos", [0, 1, 3, 7, 10, 24])
@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_every_video_is_evaluated_once_in_equally_many_batches(num_videos, batch_size, num_processes):
    by_process = [
        list(EvaluationBatchSampler(num_videos, batch_size, num_processes, process_index))
        for process_index in range(num_processes)
    ]
    indices = [index for batches in by_process for batch in batches for index in batch]
    assert sorted(indices) == list(range(num_videos))
    assert {len(batches) for batches in by_process} == {
        len(EvaluationBatchSampler(num_videos, batch_size, num_processes, 0))
    }
    # No more of them than that takes, and none too large.
    assert len(by_process[0]) == -(-num_videos // (batch_size * num_processes))
    assert all(len(batch) <= batch_size for batches in by_process for batch in batches)
