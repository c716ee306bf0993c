# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""A video that crashes or hangs its decoder costs that video, and neither a batch nor the run."""

import dataclasses
import itertools
import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

import modeling_dist.data.workers
from modeling_dist import DiSTVideoProcessor, VideoDecodingError, video_frames_dist
from modeling_dist.data.loading import EvaluationViews, TrainingClips, collate_clips, collate_views
from modeling_dist.data.samplers import EvaluationBatchSampler, TrainingBatchSampler
from modeling_dist.data.sources import load_videos
from modeling_dist.data.workers import VideoLoader
from modeling_dist.evaluation import EvaluationSettings, evaluate
from modeling_dist.testing import moving_square, write_video
from modeling_dist.training import train


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="workers are forked")
NUM_VIDEOS = 8


def segfault():
    os.kill(os.getpid(), signal.SIGSEGV)


def exhaust_memory():
    os.kill(os.getpid(), signal.SIGKILL)


def hang():
    # As in a call that never returns, no exception can end it.
    while True:
        try:
            time.sleep(60)
        except BaseException:
            continue


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    for index in range(NUM_VIDEOS):
        (folder / f"class {index % 2}").mkdir(exist_ok=True)
        frames = moving_square(12 + index, 32, 32)
        write_video(folder / f"class {index % 2}" / f"{index}.mp4", frames[:, ::-1] if index % 2 else frames)
    return load_videos(folder)


@pytest.fixture
def processor():
    return DiSTVideoProcessor(num_frames=4, size=32, crop_size=32)


@pytest.fixture
def log_of_workers(monkeypatch):
    messages = []
    monkeypatch.setattr(modeling_dist.data.workers.logger, "warning", messages.append)
    return messages


@pytest.fixture
def treat(monkeypatch):
    """Let a file do something to the process that decodes it, as often as it is said."""
    decode, actions = video_frames_dist.decode_video, {}

    def decode_video(video, *args, **options):
        if str(video) in actions:
            action, count, times = actions[str(video)]
            count.value += 1
            if times is None or count.value <= times:
                if isinstance(action, Exception):
                    raise action
                action()
        return decode(video, *args, **options)

    monkeypatch.setattr(video_frames_dist, "decode_video", decode_video)

    def treat(path, action, times=None):
        count = multiprocessing.Value("i", 0)
        actions[path] = (action, count, times)
        return count

    return treat


def load(videos, processor, num_workers):
    views = EvaluationViews(videos, processor, 1, 1)
    return list(VideoLoader(views, EvaluationBatchSampler(len(videos), 2), collate_views, num_workers))


def assert_same(batches, expected):
    assert [batch["indices"] for batch in batches] == [batch["indices"] for batch in expected]
    for batch, other in zip(batches, expected, strict=True):
        assert_close(batch["pixel_values_videos"], other["pixel_values_videos"], rtol=0, atol=0)


@pytest.mark.parametrize("action", [segfault, exhaust_memory])
def test_a_single_crash_costs_nothing(videos, processor, treat, log_of_workers, action):
    expected = load(videos, processor, 0)
    treat(videos[3]["video"]["path"], action, times=1)
    batches = load(videos, processor, 2)
    assert_same(batches, expected)
    assert not any(batch["unreadable"] for batch in batches)
    (message,) = log_of_workers
    assert videos[3]["video"]["path"] in message and "is tried again" in message
    assert ("SIGSEGV" if action is segfault else "SIGKILL") in message


def test_a_video_that_crashes_again_is_unreadable_and_named(videos, processor, treat):
    path = videos[3]["video"]["path"]
    treat(path, VideoDecodingError("broken"))
    expected = load(videos, processor, 0)
    count = treat(path, segfault)
    batches = load(videos, processor, 2)
    assert count.value == 2
    assert_same(batches, expected)
    unreadable = {index: reason for batch in batches for index, reason in batch["unreadable"].items()}
    assert unreadable == {3: f"The video {path} cannot be decoded: the decoder ended its process (SIGSEGV)."}


def test_a_video_that_hangs_is_unreadable_and_named(videos, processor, treat, monkeypatch):
    monkeypatch.setattr(modeling_dist.data.workers, "GRACE", 0.5)
    processor.limits = {"seconds": 1}
    path = videos[0]["video"]["path"]
    count = treat(path, hang)
    batches = load(videos, processor, 1)
    assert count.value == 1
    assert batches[0]["unreadable"] == {0: f"The video {path} cannot be decoded: it takes too long."}
    assert [index for batch in batches for index in batch["indices"]] == list(range(1, NUM_VIDEOS))


def test_training_clips_are_those_of_a_video_that_cannot_be_read(videos, processor, treat):
    def take(num_workers):
        sampler = TrainingBatchSampler(NUM_VIDEOS, 2, 4)
        loader = VideoLoader(TrainingClips(videos, processor), sampler, collate_clips, num_workers)
        return list(itertools.islice(loader, 8))

    treat(videos[5]["video"]["path"], VideoDecodingError("broken"))
    expected = take(0)
    treat(videos[5]["video"]["path"], segfault)
    batches = take(2)
    for batch, other in zip(batches, expected, strict=True):
        assert batch["unreadable"].keys() == other["unreadable"].keys()
        assert_close(batch["pixel_values_videos"], other["pixel_values_videos"], rtol=0, atol=0)
        assert torch.equal(batch["labels"], other["labels"])
    assert {index for batch in batches for index in batch["unreadable"]} == {5}


def test_the_end_of_a_worker_does_not_disturb_what_the_main_process_does_meanwhile(videos, processor, treat):
    handler = signal.getsignal(signal.SIGCHLD)
    expected = load(videos, processor, 0)
    views = EvaluationViews(videos, processor, 1, 1)
    loader = iter(VideoLoader(views, EvaluationBatchSampler(NUM_VIDEOS, 2), collate_views, 1))
    before = {process.pid for process in multiprocessing.active_children()}
    batches = [next(loader)]
    assert signal.getsignal(signal.SIGCHLD) is handler
    (worker,) = [process for process in multiprocessing.active_children() if process.pid not in before]
    # The video that it is said to decode, because it has decoded all of them by now.
    views.watch._slots[0] = torch.tensor([worker.pid, 4, time.monotonic() + 60], dtype=torch.float64)
    os.kill(worker.pid, signal.SIGSEGV)
    worker.join()
    assert sum(range(1000)) == 499500  # PyTorch's handler would raise its error here
    batches += loader
    assert_same(batches, expected)


def test_a_worker_that_ends_without_a_video_ends_the_run_with_the_cures(videos, processor):
    views = EvaluationViews(videos, processor, 1, 1)
    loader = iter(VideoLoader(views, EvaluationBatchSampler(NUM_VIDEOS, 2), collate_views, 1))
    next(loader)
    time.sleep(1)  # until everything is decoded
    for process in multiprocessing.active_children():
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    with pytest.raises(RuntimeError, match=r"no video: .*\(SIGKILL\)\. .*--num_workers.*/dev/shm"):
        list(loader)


def test_other_errors_of_a_worker_keep_their_type(videos, processor, treat):
    treat(videos[1]["video"]["path"], ZeroDivisionError("a mistake of ours"))
    with pytest.raises(ZeroDivisionError, match="a mistake of ours"):
        load(videos, processor, 1)


def test_batches_without_an_end_have_no_length(videos, processor):
    views = EvaluationViews(videos, processor)
    assert len(VideoLoader(views, EvaluationBatchSampler(NUM_VIDEOS, 3), collate_views)) == 3
    with pytest.raises(TypeError, match="no end"):
        len(VideoLoader(views, TrainingBatchSampler(NUM_VIDEOS, 2, 4), collate_clips))


def test_training_and_evaluation_survive_a_video_that_crashes_its_decoder(tiny_training, treat, log, tmp_path):
    dataset = Path(tiny_training.dataset)
    crashing = {
        split: sorted(path for path in (dataset / split).rglob("*.mp4") if path.stat().st_size > 2000)[-1]
        for split in ("train", "validation")
    }
    for path in crashing.values():
        treat(str(path), segfault)
    settings = dataclasses.replace(
        tiny_training, output_dir=str(tmp_path / "run"), num_workers=1, num_epochs=2, skip_unreadable=True
    )
    result = train(settings)
    assert result.state.step == result.state.history[-1]["step"]
    assert result.metrics["num_unreadable"] == 1
    assert any(str(crashing["train"]) in reason for reason in result.state.unreadable.values())
    assert any(f"Training video {crashing['train']} cannot be read" in record.getMessage() for record in log.records)

    evaluation = EvaluationSettings(
        model=str(tmp_path / "run"), dataset=str(dataset), output_dir=str(tmp_path / "report"), num_workers=1, cpu=True
    )
    with pytest.raises(VideoDecodingError, match=str(crashing["validation"])):
        evaluate(evaluation)
    metrics = evaluate(dataclasses.replace(evaluation, skip_unreadable=True)).metrics
    assert metrics["num_unreadable"] == 1 and metrics["num_videos"] == 4
