# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Clips are a function of seed, epoch and video, and unreadable videos are replaced or reported."""

import itertools
import os

import numpy as np
import pytest
import torch
from datasets import Dataset, Features
from torch.testing import assert_close

from modeling_dist import DiSTVideoProcessor, VideoDecodingError
from modeling_dist.data.augmentation import ClipAugmentation
from modeling_dist.data.loading import (
    EvaluationViews,
    TrainingClips,
    collate_clips,
    collate_views,
)
from modeling_dist.data.samplers import EvaluationBatchSampler, TrainingBatchSampler
from modeling_dist.data.sources import load_videos
from modeling_dist.data.workers import VideoLoader
from modeling_dist.testing import moving_square, write_video


NUM_FRAMES = 4
LOSSLESS = {"crf": "0"}


def brightening(num_frames: int = 40) -> np.ndarray:
    """A video whose frames tell their index by their brightness."""
    levels = 16 + 5 * np.arange(num_frames, dtype=np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (num_frames, 36, 48, 3))


def frame_indices(pixel_values: torch.Tensor, processor: DiSTVideoProcessor) -> list[int]:
    """Which frames of a `brightening` video a clip shows."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (processor.image_mean, processor.image_std))
    levels = ((pixel_values * std + mean) * 255).mean(dim=(-3, -2, -1))
    indices = (levels - 16) / 5
    assert_close(indices, indices.round(), atol=0.3, rtol=0)
    return indices.round().int().tolist()


@pytest.fixture(scope="module")
def processor():
    return DiSTVideoProcessor(num_frames=NUM_FRAMES, size=32, crop_size=32)


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Dataset:
    """Six videos in three classes; the fourth has 3 frames."""
    folder = tmp_path_factory.mktemp("videos")
    for label in ("a", "b", "c"):
        (folder / label).mkdir()
    for index in range(6):
        frames = moving_square(3) if index == 3 else (moving_square(20) * (0.4 + 0.1 * index)).astype(np.uint8)
        write_video(folder / "abc"[index // 2] / f"{index}.mp4", frames)
    return load_videos(folder)


@pytest.fixture(scope="module")
def ramp(tmp_path_factory) -> Dataset:
    """One video whose frames tell their index."""
    folder = tmp_path_factory.mktemp("ramp")
    (folder / "only").mkdir()
    write_video(folder / "only" / "ramp.mp4", brightening(), options=LOSSLESS)
    return load_videos(folder)


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory) -> Dataset:
    """Two good videos, a 3-frame one, and a corrupted, an empty, a text and a missing file."""
    folder = tmp_path_factory.mktemp("spoiled")
    for label in ("bad", "good"):
        (folder / label).mkdir()
    good = write_video(folder / "good" / "first.mp4", moving_square(20))
    write_video(folder / "good" / "second.mp4", moving_square(24))
    write_video(folder / "good" / "short.mp4", moving_square(3))
    with open(good, "rb") as file:
        content = file.read()
    (folder / "bad" / "corrupted.mp4").write_bytes(content[: len(content) // 2])
    (folder / "bad" / "empty.mp4").write_bytes(b"")
    (folder / "bad" / "missing.mp4").write_bytes(content)
    (folder / "bad" / "text.mp4").write_text("This is no video.\n")
    videos = load_videos(folder)
    os.remove(folder / "bad" / "missing.mp4")
    return videos


def name_of(videos: Dataset, index: int) -> str:
    return os.path.basename(videos[index]["video"]["path"])


def equal_clips(one: dict, other: dict) -> bool:
    return torch.equal(one["pixel_values_videos"], other["pixel_values_videos"]) and one["label"] == other["label"]


# ---- training clips


def test_clip_takes_a_random_frame_of_each_segment_in_order(ramp, processor):
    clips = TrainingClips(ramp, processor)
    drawn = [frame_indices(clips[epoch, 0]["pixel_values_videos"], processor) for epoch in range(25)]
    for indices in drawn:
        assert all(10 * segment <= index <= 10 * segment + 10 for segment, index in enumerate(indices))
    # Anew in every epoch, and not the middles as in evaluation.
    assert len({tuple(indices) for indices in drawn}) > 20
    assert len({indices[0] for indices in drawn}) > 5


def test_clip_without_augmentation_has_the_processors_pixels(videos, processor):
    clips = TrainingClips(videos, processor)
    clip = clips[0, 3]  # of 3 frames, so that the middles are among the few choices
    assert clip["pixel_values_videos"].shape == (NUM_FRAMES, 3, 32, 32)
    assert clip["pixel_values_videos"].dtype == torch.float32
    assert clip["label"] == videos[3]["label"] == 1 and clip["unreadable"] == {}
    every_frame = processor(videos[3]["video"]["path"], do_sample_frames=False, return_tensors="pt")
    frames = every_frame["pixel_values_videos"][0]
    for frame in clip["pixel_values_videos"]:
        assert any(torch.equal(frame, whole) for whole in frames)


def test_augmentation_gets_the_decoded_frames_and_the_label(ramp, processor):
    seen = []

    def augmentation(frames, label):
        seen.append((frames.clone(), label))
        return frames[..., :8, :8].float(), 7

    clip = TrainingClips(ramp, processor, augmentation)[0, 0]
    ((frames, label),) = seen
    assert frames.shape == (NUM_FRAMES, 3, 36, 48) and frames.dtype == torch.uint8 and label == 0
    assert clip["label"] == 7
    assert torch.equal(clip["pixel_values_videos"], frames[..., :8, :8].float())


def test_clip_depends_on_seed_epoch_and_video_alone(videos, processor):
    augmentation = ClipAugmentation(32, processor.image_mean, processor.image_std)
    keys = [(epoch, index) for epoch in (0, 1) for index in range(len(videos))]
    expected = {key: TrainingClips(videos, processor, augmentation, seed=3)[key] for key in keys}

    clips = TrainingClips(videos, processor, augmentation, seed=3)
    for key in reversed(keys):
        torch.rand(7)  # whatever else draws
        assert equal_clips(clips[key], expected[key])
    other_seed = TrainingClips(videos, processor, augmentation, seed=4)
    for index in range(len(videos)):
        assert not equal_clips(expected[0, index], expected[1, index])
        assert not equal_clips(expected[0, index], other_seed[0, index])


def test_clips_of_workers_equal_those_of_the_process_itself(spoiled, processor):
    augmentation = ClipAugmentation(32, processor.image_mean, processor.image_std, color_jitter_probability=0.5)

    def first_batches(num_workers, count=5):
        batches = TrainingBatchSampler(len(spoiled), 2, 3, seed=1)
        clips = TrainingClips(spoiled, processor, augmentation, seed=1)
        loader = VideoLoader(clips, batches, collate_clips, num_workers)
        return list(itertools.islice(loader, count))

    expected, found = first_batches(0), first_batches(2)
    assert any(batch["unreadable"] for batch in expected)
    for one, other in zip(expected, found, strict=True):
        assert torch.equal(one["pixel_values_videos"], other["pixel_values_videos"])
        assert torch.equal(one["labels"], other["labels"])
        assert one["unreadable"] == other["unreadable"]


def test_clips_leave_the_global_random_state_alone(spoiled, processor):
    augmentation = ClipAugmentation(32, processor.image_mean, processor.image_std)
    np.random.seed(0)
    state, numpy_state = torch.get_rng_state(), np.random.get_state()
    for index in range(len(spoiled)):
        TrainingClips(spoiled, processor, augmentation)[0, index]
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(np.random.get_state()[1], numpy_state[1])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_clips_leave_the_random_state_of_a_gpu_alone(videos, processor):
    torch.cuda.init()
    state = torch.cuda.get_rng_state()
    TrainingClips(videos, processor)[0, 0]
    assert torch.equal(torch.cuda.get_rng_state(), state)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("corrupted.mp4", "cannot be decoded"),
        ("empty.mp4", "is empty"),
        ("missing.mp4", "does not exist"),
        ("text.mp4", "cannot be decoded"),
    ],
)
def test_unreadable_video_is_replaced_by_a_readable_one_and_reported(spoiled, processor, name, reason):
    index = next(index for index in range(len(spoiled)) if name_of(spoiled, index) == name)
    path = spoiled[index]["video"]["path"]
    good = {label for label, names in enumerate(spoiled.features["label"].names) if names == "good"}
    clips = TrainingClips(spoiled, processor)
    drawn = [clips[epoch, index] for epoch in range(12)]
    for clip in drawn:
        assert reason in clip["unreadable"][index] and path in clip["unreadable"][index]
        for other, other_reason in clip["unreadable"].items():
            assert spoiled.features["label"].names[spoiled[other]["label"]] == "bad"
            assert spoiled[other]["video"]["path"] in other_reason
        # The label comes with the video that is there, whose pixels are no zeros.
        assert clip["label"] in good
        assert clip["pixel_values_videos"].shape == (NUM_FRAMES, 3, 32, 32)
        assert clip["pixel_values_videos"].std() > 0.1
    assert len({clip["pixel_values_videos"].sum().item() for clip in drawn}) > 3  # not always the same replacement
    assert equal_clips(clips[0, index], drawn[0])


def test_video_of_three_frames_is_no_unreadable_one(spoiled, processor):
    index = next(index for index in range(len(spoiled)) if name_of(spoiled, index) == "short.mp4")
    clip = TrainingClips(spoiled, processor)[0, index]
    assert clip["unreadable"] == {} and clip["pixel_values_videos"].shape == (NUM_FRAMES, 3, 32, 32)


def test_dataset_without_readable_videos_is_an_error(spoiled, processor):
    bad = spoiled.select([index for index, label in enumerate(spoiled["label"]) if label == 0])
    draws = []

    class Counting(TrainingClips):
        def _load(self, video, *args):
            draws.append(video)
            return super()._load(video, *args)

    with pytest.raises(VideoDecodingError, match="5 videos drawn in a row cannot be read") as caught:
        Counting(bad, processor, max_draws=5)[0, 1]
    assert len(draws) == 5 and draws[0] == bad[1]["video"]["path"]
    assert draws[-1] in str(caught.value)


def test_faults_of_the_augmentation_are_not_taken_for_unreadable_videos(videos, processor):
    def broken(frames, label):
        raise RuntimeError("broken augmentation")

    with pytest.raises(RuntimeError, match="broken augmentation"):
        TrainingClips(videos, processor, broken)[0, 0]


def test_wrong_options_are_not_taken_for_unreadable_videos(videos):
    processor = DiSTVideoProcessor(num_frames=NUM_FRAMES, size=32, crop_size=32)
    processor.decoder = "ffmpeg"
    for clips, key in ((TrainingClips(videos, processor), (0, 0)), (EvaluationViews(videos, processor, 1, 1), 0)):
        with pytest.raises(ValueError, match="`decoder` must be"):
            clips[key]


def test_videos_that_are_bytes_are_read(videos, processor):
    path = videos[0]["video"]["path"]
    with open(path, "rb") as file:
        rows = {"video": [{"path": None, "bytes": file.read()}], "label": [0]}
    in_memory = Dataset.from_dict(rows, features=Features(videos.features))
    on_disk = TrainingClips(videos, processor)[0, 0]
    assert equal_clips(TrainingClips(in_memory, processor)[0, 0], on_disk)


def test_number_of_clips_is_that_of_the_videos(videos, processor):
    assert len(TrainingClips(videos, processor)) == len(EvaluationViews(videos, processor)) == 6


def test_collated_clips_are_a_batch_with_all_unreadable_videos():
    clips = [
        {"pixel_values_videos": torch.full((2, 3, 4, 4), 1.0), "label": 2, "unreadable": {5: "empty"}, "damaged": {}},
        {"pixel_values_videos": torch.full((2, 3, 4, 4), 2.0), "label": 0, "unreadable": {}, "damaged": {3: "cut"}},
        {
            "pixel_values_videos": torch.full((2, 3, 4, 4), 3.0),
            "label": 1,
            "unreadable": {5: "empty", 7: "text"},
            "damaged": {},
        },
    ]
    batch = collate_clips(clips)
    assert batch["pixel_values_videos"].shape == (3, 2, 3, 4, 4)
    assert batch["pixel_values_videos"][:, 0, 0, 0, 0].tolist() == [1, 2, 3]
    assert batch["labels"].dtype == torch.int64 and batch["labels"].tolist() == [2, 0, 1]
    assert batch["unreadable"] == {5: "empty", 7: "text"} and batch["damaged"] == {3: "cut"}


# ---- views for the evaluation


@pytest.mark.parametrize(("num_clips", "num_crops"), [(1, 1), (3, 1), (1, 3), (2, 3)])
def test_views_are_clips_times_crops_and_equal_the_processors(videos, processor, num_clips, num_crops):
    views = EvaluationViews(videos, processor, num_clips, num_crops)[0]
    assert views["index"] == 0 and "error" not in views
    assert views["pixel_values_videos"].shape == (num_clips * num_crops, NUM_FRAMES, 3, 32, 32)
    expected = processor(videos[0]["video"]["path"], num_clips=num_clips, num_crops=num_crops, return_tensors="pt")[
        "pixel_values_videos"
    ]
    assert torch.equal(views["pixel_values_videos"], expected.view(-1, NUM_FRAMES, 3, 32, 32))


def test_views_are_the_processors_own_by_default(videos):
    processor = DiSTVideoProcessor(num_frames=NUM_FRAMES, size=32, crop_size=32, num_clips=2, num_crops=3)
    assert EvaluationViews(videos, processor)[1]["pixel_values_videos"].shape[0] == 6


def test_views_are_not_random_though_the_processor_samples_at_random(ramp):
    processor = DiSTVideoProcessor(num_frames=NUM_FRAMES, size=32, crop_size=32, random_sampling=True)
    views = EvaluationViews(ramp, processor, num_clips=1, num_crops=1)
    assert frame_indices(views[0]["pixel_values_videos"][0], processor) == [5, 15, 25, 35]
    assert torch.equal(views[0]["pixel_values_videos"], views[0]["pixel_values_videos"])


def test_shuffled_views_are_permutations_of_their_frames_and_the_same_every_time(ramp):
    processor = DiSTVideoProcessor(num_frames=8, size=32, crop_size=32)
    plain = EvaluationViews(ramp, processor, 3, 1)[0]["pixel_values_videos"]
    state = torch.get_rng_state()
    shuffled = EvaluationViews(ramp, processor, 3, 1, shuffle_frames=True)[0]["pixel_values_videos"]
    assert torch.equal(torch.get_rng_state(), state)
    orders = []
    for plain_view, shuffled_view in zip(plain, shuffled, strict=True):
        before, after = (frame_indices(view, processor) for view in (plain_view, shuffled_view))
        assert sorted(after) == before and after != before
        orders.append(tuple(before.index(index) for index in after))
    assert len(set(orders)) > 1
    torch.manual_seed(99)
    again = EvaluationViews(ramp, processor, 3, 1, shuffle_frames=True)[0]["pixel_values_videos"]
    assert torch.equal(again, shuffled)


def test_videos_are_shuffled_differently_from_each_other(tmp_path):
    (tmp_path / "only").mkdir()
    for index in range(6):
        write_video(tmp_path / "only" / f"{index}.mp4", brightening(), options=LOSSLESS)
    processor = DiSTVideoProcessor(num_frames=8, size=32, crop_size=32)
    views = EvaluationViews(load_videos(tmp_path), processor, 1, 1, shuffle_frames=True)
    orders = {tuple(frame_indices(views[index]["pixel_values_videos"][0], processor)) for index in range(6)}
    assert len(orders) == 6


def test_views_of_an_unreadable_video_are_its_error(spoiled, processor):
    views = EvaluationViews(spoiled, processor, 1, 1)
    for index in range(len(spoiled)):
        path, name = spoiled[index]["video"]["path"], name_of(spoiled, index)
        if name in ("first.mp4", "second.mp4", "short.mp4"):
            assert set(views[index]) == {"index", "pixel_values_videos"}
        else:
            assert set(views[index]) == {"index", "error"} and views[index]["index"] == index
            assert path in views[index]["error"]


def test_collated_views_keep_readable_and_unreadable_videos_apart():
    view = torch.zeros(3, 2, 3, 4, 4)
    batch = collate_views(
        [
            {"index": 4, "pixel_values_videos": view + 4},
            {"index": 6, "error": "it is empty"},
            {"index": 8, "pixel_values_videos": view + 8, "damage": "it is cut off"},
        ]
    )
    assert batch["indices"] == [4, 8] and batch["unreadable"] == {6: "it is empty"}
    assert batch["damaged"] == {8: "it is cut off"}
    assert batch["pixel_values_videos"].shape == (2, 3, 2, 3, 4, 4)
    assert batch["pixel_values_videos"][:, 0, 0, 0, 0, 0].tolist() == [4, 8]
    nothing = {"indices": [], "pixel_values_videos": None}
    assert collate_views([{"index": 6, "error": "it is empty"}]) == nothing | {
        "unreadable": {6: "it is empty"},
        "damaged": {},
    }
    assert collate_views([]) == nothing | {"unreadable": {}, "damaged": {}}


# ---- loaders


@pytest.mark.parametrize("num_workers", [0, 1])
def test_loader_gives_every_view_and_leaves_the_global_random_state_alone(spoiled, processor, num_workers):
    # The last of two processes with seven videos, so that its last batch is short.
    batches = EvaluationBatchSampler(len(spoiled), 2, num_processes=2, process_index=1)
    state = torch.get_rng_state()
    loader = VideoLoader(EvaluationViews(spoiled, processor, 1, 1), batches, collate_views, num_workers)
    found = list(loader)
    assert torch.equal(torch.get_rng_state(), state)
    assert len(loader) == len(found) == 2
    assert sorted(index for batch in found for index in [*batch["indices"], *batch["unreadable"]]) == [1, 3, 5]


def test_loader_passes_empty_batches_on(videos, processor):
    batches = EvaluationBatchSampler(1, 2, num_processes=3, process_index=2)
    found = list(VideoLoader(EvaluationViews(videos, processor, 1, 1), batches, collate_views))
    assert found == [{"indices": [], "pixel_values_videos": None, "unreadable": {}, "damaged": {}}]
