# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Which frames the processor takes, what it makes of their pixels, and what it accepts and refuses."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoVideoProcessor, CLIPImageProcessor
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD
from transformers.video_utils import VideoMetadata

from modeling_dist import DiSTVideoProcessor, VideoDecodingError
from modeling_dist.testing import moving_square, write_video
from modeling_dist.video_decoding_dist import available_decoders, decode_video
from modeling_dist.video_processing_dist import dense_frame_indices, segment_frame_indices


FIXTURES = Path(__file__).parent / "fixtures"
MEAN = torch.tensor(OPENAI_CLIP_MEAN).view(3, 1, 1)
STD = torch.tensor(OPENAI_CLIP_STD).view(3, 1, 1)


@pytest.fixture
def processor():
    return DiSTVideoProcessor(num_frames=4, size=32, crop_size=24)


@pytest.fixture
def untouched():
    """A processor that leaves pixels as they are, to see which frames it took."""
    steps = ("do_resize", "do_center_crop", "do_rescale", "do_normalize")
    return DiSTVideoProcessor(num_frames=4, **dict.fromkeys(steps, False))


@pytest.fixture
def video():
    """`(frames, height, width, channels)`"""
    return np.random.default_rng(0).integers(0, 256, (10, 40, 52, 3), dtype=np.uint8)


def pixels(processor, videos, **options) -> torch.Tensor:
    return processor(videos, return_tensors="pt", **options)["pixel_values_videos"]


def numbered_video(num_frames: int, height: int = 6, width: int = 8) -> torch.Tensor:
    """Every pixel of frame i is i: `(frames, 3, height, width)`."""
    return torch.arange(num_frames, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, height, width)


def taken_frames(pixel_values: torch.Tensor) -> torch.Tensor:
    """Which frames of `numbered_video` an output holds."""
    return pixel_values.flatten(-3).amax(-1).long()


# Against the authors' implementation


def golden_cases(kind: str) -> list[dict]:
    return json.loads((FIXTURES / "frame_sampling.json").read_text())[kind]


def test_segment_sampling_equals_the_authors_on_912_cases():
    cases = golden_cases("segment")
    assert len(cases) == 912
    for case in cases:
        clips = segment_frame_indices(case["total_frames"], case["num_frames"], case["num_clips"])
        assert clips[case["clip_index"]].tolist() == case["indices"], case


def test_dense_sampling_equals_the_authors_on_147_cases():
    cases = golden_cases("interval")
    assert len(cases) == 147
    for case in cases:
        clips = dense_frame_indices(
            case["total_frames"], case["num_frames"], case["stride"], fps=case["fps"], num_clips=case["num_clips"]
        )
        assert case["target_fps"] == 30
        assert clips[case["clip_index"]].tolist() == case["indices"], case


@pytest.mark.parametrize("index", range(6))
def test_pixels_equal_the_authors_for_the_center_and_for_three_crops(index):
    golden = {
        name.removeprefix(f"{index}."): tensor
        for name, tensor in load_file(FIXTURES / "eval_preprocessing.safetensors").items()
        if name.startswith(f"{index}.")
    }
    processor = DiSTVideoProcessor(size=32, crop_size=32, do_sample_frames=False)
    video = golden["video_uint8_thwc"]
    center = pixels(processor, video)[0]
    torch.testing.assert_close(center, golden["center_cthw"].movedim(0, 1), rtol=0, atol=1e-5)
    crops = pixels(processor, video, num_crops=3)[0]
    for crop_index, crop in enumerate(crops):
        expected = golden[f"three_crops.{crop_index}_cthw"].movedim(0, 1)
        torch.testing.assert_close(crop, expected, rtol=0, atol=1e-5)


# Which frames


@pytest.mark.parametrize("total_num_frames", [16, 17, 40, 300])
def test_random_sampling_takes_one_frame_of_each_segment(total_num_frames):
    generator = torch.Generator().manual_seed(0)
    clips = segment_frame_indices(total_num_frames, 8, num_clips=200, random=True, generator=generator)
    bounds = torch.linspace(0, total_num_frames, 9)
    # Rounding to a whole frame can reach half a frame over the border.
    assert (clips >= bounds[:-1] - 0.5).all()
    assert (clips <= bounds[1:] + 0.5).all()
    # All of a segment is reached, not only its middle.
    assert (clips.amax(0) - clips.amin(0) >= total_num_frames / 8 * 0.9 - 1).all()


@pytest.mark.parametrize("sample", [segment_frame_indices, dense_frame_indices])
def test_random_sampling_is_reproduced_by_a_generator_and_differs_between_clips(sample):
    options = {"frame_step": 4} if sample is dense_frame_indices else {}

    def draw(seed):
        generator = torch.Generator().manual_seed(seed)
        return sample(300, 8, num_clips=3, random=True, generator=generator, **options)

    torch.testing.assert_close(draw(0), draw(0), rtol=0, atol=0)
    assert not torch.equal(draw(0), draw(1))
    first, second, third = draw(0)
    assert not torch.equal(first, second) and not torch.equal(second, third)


def test_random_sampling_draws_anew_with_every_call_and_follows_torchs_seed(untouched):
    video = numbered_video(200)
    torch.manual_seed(0)
    first, second = (taken_frames(pixels(untouched, video, random_sampling=True)) for _ in range(2))
    torch.manual_seed(0)
    again = taken_frames(pixels(untouched, video, random_sampling=True))
    assert not torch.equal(first, second)
    torch.testing.assert_close(again, first, rtol=0, atol=0)


def test_random_dense_windows_lie_within_the_video_and_keep_their_step():
    generator = torch.Generator().manual_seed(0)
    clips = dense_frame_indices(100, 8, frame_step=4, fps=30.0, num_clips=200, random=True, generator=generator)
    assert clips.amin() >= 0 and clips.amax() <= 99
    steps = clips.diff(dim=-1)
    assert steps.amin() >= 4 and steps.amax() <= 5
    # The starts spread over what the window of 32 frames leaves free.
    assert clips[:, 0].amin() <= 7 and clips[:, 0].amax() >= 60


def test_dense_sampling_steps_by_time_and_not_by_frames():
    for fps, step in ((15.0, 15 / 7), (30.0, 31 / 7), (60.0, 63 / 7)):
        frames = dense_frame_indices(600, 8, frame_step=4, fps=fps)[0]
        assert frames.diff().float().mean().item() == pytest.approx(step, abs=1 / 7)
    unknown = dense_frame_indices(600, 8, frame_step=4)
    torch.testing.assert_close(unknown, dense_frame_indices(600, 8, frame_step=4, fps=30.0), rtol=0, atol=0)


@pytest.mark.parametrize("sampling", ["segment", "dense"])
@pytest.mark.parametrize("random_sampling", [False, True])
@pytest.mark.parametrize("total_num_frames", [1, 2, 5])
def test_short_videos_repeat_frames_in_order(untouched, total_num_frames, random_sampling, sampling):
    frames = taken_frames(
        pixels(
            untouched,
            numbered_video(total_num_frames),
            num_frames=16,
            frame_sampling=sampling,
            random_sampling=random_sampling,
        )
    )[0]
    assert frames.shape == (16,)
    assert (frames.diff() >= 0).all()
    assert set(frames.tolist()) == (
        set(range(total_num_frames)) if sampling == "segment" else {0, total_num_frames - 1}
    )


@pytest.mark.parametrize("sampling", ["segment", "dense"])
def test_the_processor_takes_the_frames_that_the_sampling_names(untouched, sampling):
    metadata = VideoMetadata(total_num_frames=90, fps=20.0)
    taken = taken_frames(
        pixels(
            untouched, numbered_video(90), num_clips=3, frame_sampling=sampling, frame_step=5, video_metadata=metadata
        )
    )[0]
    options = {"num_clips": 3} if sampling == "segment" else {"num_clips": 3, "frame_step": 5, "fps": 20.0}
    sample = segment_frame_indices if sampling == "segment" else dense_frame_indices
    torch.testing.assert_close(taken, sample(90, 4, **options), rtol=0, atol=0)
    named = untouched.sample_frames(metadata, num_clips=3, frame_sampling=sampling, frame_step=5)
    torch.testing.assert_close(taken, named, rtol=0, atol=0)


def test_without_sampling_every_frame_is_taken(untouched):
    taken = taken_frames(pixels(untouched, numbered_video(9), do_sample_frames=False, num_frames=3))
    assert taken.tolist() == [list(range(9))]


def test_a_file_gives_the_frames_that_its_array_gives(tmp_path, processor):
    file = write_video(tmp_path / "square.mp4", moving_square(30))
    frames = decode_video(file, lambda total_num_frames, fps: list(range(total_num_frames))).frames
    for options in ({}, {"num_clips": 3, "num_crops": 3}, {"frame_sampling": "dense", "frame_step": 2}):
        given = {"video_metadata": VideoMetadata(total_num_frames=30, fps=25.0)}
        torch.testing.assert_close(
            pixels(processor, file, **options), pixels(processor, frames, **options, **given), rtol=0, atol=0
        )


@pytest.mark.parametrize("decoder", available_decoders())
def test_the_decoder_can_be_chosen(tmp_path, processor, decoder):
    file = write_video(tmp_path / "square.mp4", moving_square(30))
    features = processor(file, decoder=decoder, return_metadata=True, return_tensors="pt")
    assert features["video_metadata"][0].video_backend == decoder
    torch.testing.assert_close(features["pixel_values_videos"], pixels(processor, file), rtol=0, atol=0)


# Shapes and views


def test_a_single_view_has_no_dimension_of_views(processor, video):
    assert pixels(processor, [video, video]).shape == (2, 4, 3, 24, 24)


@pytest.mark.parametrize("num_clips, num_crops", [(2, 1), (1, 3), (3, 3)])
def test_views_come_after_the_batch(processor, video, num_clips, num_crops):
    views = pixels(processor, [video, video], num_clips=num_clips, num_crops=num_crops)
    assert views.shape == (2, num_clips * num_crops, 4, 3, 24, 24)


def test_crops_of_a_clip_stand_next_to_each_other(processor, video):
    views = pixels(processor, video, num_clips=2, num_crops=3)[0]
    clips = pixels(processor, video, num_clips=2)[0]
    assert not torch.equal(clips[0], clips[1])
    # The center is the second of three crops.
    torch.testing.assert_close(views[[1, 4]], clips, rtol=0, atol=0)
    assert not torch.equal(views[0], views[1]) and not torch.equal(views[1], views[2])


@pytest.mark.parametrize("shape", [(48, 80), (80, 48)])
def test_three_crops_are_the_start_the_middle_and_the_end_of_the_long_side(shape):
    height, width = shape
    video = torch.rand(2, 3, height, width)
    processor = DiSTVideoProcessor(
        num_frames=2, crop_size=48, num_crops=3, do_resize=False, do_rescale=False, do_normalize=False
    )
    crops = pixels(processor, video, do_sample_frames=False)[0]
    along = -1 if width > height else -2
    for crop, start in zip(crops, (0, 16, 32)):
        torch.testing.assert_close(crop, video.narrow(along, start, 48), rtol=0, atol=0)


def test_videos_of_different_lengths_and_sizes_make_one_batch(processor):
    rng = np.random.default_rng(0)
    videos = [rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in ((3, 40, 60), (20, 90, 33), (7, 64, 64))]
    batch = pixels(processor, videos)
    assert batch.shape == (3, 4, 3, 24, 24)
    for pixel_values, video in zip(batch, videos):
        torch.testing.assert_close(pixel_values, pixels(processor, video)[0], rtol=0, atol=0)


def test_videos_that_make_no_batch_are_an_error_that_gives_their_shapes(processor, video):
    videos = [video, video[:, :, :40]]
    with pytest.raises(ValueError, match=r"\(4, 3, 32, 32\), \(4, 3, 32, 41\)"):
        pixels(processor, videos, do_center_crop=False)
    separate = processor(videos, do_center_crop=False)["pixel_values_videos"]
    assert [tuple(pixel_values.shape) for pixel_values in separate] == [(4, 3, 32, 41), (4, 3, 32, 32)]


# What a video can be


def as_forms(video: np.ndarray) -> dict:
    channels_first = np.ascontiguousarray(np.moveaxis(video, -1, 1))
    read_only = video.copy()
    read_only.flags.writeable = False
    return {
        "array": video,
        "array, channels first": channels_first,
        "array, read-only": read_only,
        "array, strides negative": video[::-1, ..., ::-1].copy()[::-1, ..., ::-1],
        "tensor": torch.from_numpy(channels_first),
        "tensor, channels last": torch.from_numpy(video),
        "images": [Image.fromarray(frame) for frame in video],
        "arrays": list(video),
        "arrays, strides negative": [frame[..., ::-1] for frame in video[..., ::-1].copy()],
        "arrays, channels first": list(channels_first),
        "tensors": list(torch.from_numpy(channels_first)),
        "tuple of arrays": tuple(video),
        "images and arrays": [Image.fromarray(video[0]), *video[1:]],
        "batch": video[None],
        "batch, channels first": torch.from_numpy(channels_first)[None],
        "nested": [[[video]]],
        "nested images": [[Image.fromarray(frame) for frame in video]],
        "opaque alpha": np.concatenate([video, np.full_like(video[..., :1], 255)], axis=-1),
        "images with opaque alpha": [Image.fromarray(frame).convert("RGBA") for frame in video],
        "larger integers": video.astype(np.int64),
        "floats up to 255": video.astype(np.float64),
    }


@pytest.mark.parametrize("form", as_forms(np.zeros((1, 8, 8, 3), dtype=np.uint8)))
def test_the_same_video_in_any_form_gives_the_same_pixels(processor, video, form):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = pixels(processor, as_forms(video)[form])
    torch.testing.assert_close(result, pixels(processor, video), rtol=0, atol=1e-6)


def test_a_batch_can_mix_all_forms(tmp_path, processor):
    file = write_video(tmp_path / "square.mp4", moving_square(20))
    frames = decode_video(file, lambda total_num_frames, fps: list(range(total_num_frames))).frames
    array = frames.movedim(1, -1).numpy()
    mixed = [
        file,
        Path(file),
        Path(file).read_bytes(),
        array,
        frames,
        list(array),
        [Image.fromarray(f) for f in array],
    ]
    batch = pixels(processor, mixed)
    assert batch.shape == (7, 4, 3, 24, 24)
    torch.testing.assert_close(batch, batch[:1].expand_as(batch), rtol=0, atol=0)


def test_a_list_of_files_is_a_batch_in_order(tmp_path, processor):
    files = [write_video(tmp_path / f"{n}.mp4", moving_square(n)) for n in (12, 5)]
    batch = pixels(processor, files)
    for pixel_values, file in zip(batch, files):
        torch.testing.assert_close(pixel_values, pixels(processor, file)[0], rtol=0, atol=0)


def test_an_array_of_five_dimensions_is_a_batch(processor, video):
    other = video[::-1].copy()
    expected = torch.cat([pixels(processor, video), pixels(processor, other)])
    torch.testing.assert_close(pixels(processor, np.stack([video, other])), expected, rtol=0, atol=0)


@pytest.mark.parametrize("form", ["array", "array, channels first", "images", "palette images"])
def test_gray_videos_become_color(processor, video, form):
    gray = video[..., :1]
    given = {
        "array": gray,
        "array, channels first": np.moveaxis(gray, -1, 1),
        "images": [Image.fromarray(frame[..., 0]) for frame in gray],
        "palette images": [Image.fromarray(frame[..., 0]).convert("P") for frame in gray],
    }[form]
    expected = pixels(processor, gray.repeat(3, axis=-1))
    torch.testing.assert_close(pixels(processor, given), expected, rtol=0, atol=1e-6)


def test_images_in_print_colors_become_rgb(processor, video):
    images = [Image.fromarray(frame).convert("CMYK") for frame in video]
    expected = pixels(processor, [image.convert("RGB") for image in images])
    torch.testing.assert_close(pixels(processor, images), expected, rtol=0, atol=0)


def test_input_data_format_decides_where_the_shape_does_not(untouched):
    video = torch.arange(4 * 3 * 5 * 3).view(4, 3, 5, 3)
    first = pixels(untouched, video, do_sample_frames=False, input_data_format="channels_first")
    last = pixels(untouched, video, do_sample_frames=False, input_data_format="channels_last")
    torch.testing.assert_close(first[0], video.float(), rtol=0, atol=0)
    torch.testing.assert_close(last[0], video.movedim(-1, 1).float(), rtol=0, atol=0)


def test_floats_from_0_to_1_without_rescaling_equal_bytes(processor, video):
    result = pixels(processor, video.astype(np.float32) / 255, do_rescale=False)
    torch.testing.assert_close(result, pixels(processor, video), rtol=0, atol=1e-5)


def test_what_is_given_is_not_changed(processor, video):
    tensor = torch.rand(6, 3, 24, 24)
    before, tensor_before, metadata = video.copy(), tensor.clone(), VideoMetadata(total_num_frames=10, fps=5.0)
    processor(video, video_metadata=metadata)
    processor(tensor, do_resize=False, do_rescale=False)
    assert np.array_equal(video, before)
    assert torch.equal(tensor, tensor_before)
    assert metadata == VideoMetadata(total_num_frames=10, fps=5.0)


# What becomes of the pixels


def test_the_defaults_are_the_papers():
    video = np.full((20, 30, 40, 3), 255, dtype=np.uint8)
    result = pixels(DiSTVideoProcessor(), video)
    assert result.shape == (1, 16, 3, 224, 224)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, ((1 - MEAN) / STD).expand_as(result))


@pytest.mark.parametrize(
    "size, height, width",
    [
        (42, 42, 54),  # 42 * 52 / 40 = 54.6: the long side is truncated
        ({"shortest_edge": 42}, 42, 54),
        ({"height": 20, "width": 30}, 20, 30),
    ],
)
def test_size_says_what_frames_are_resized_to(processor, video, size, height, width):
    assert pixels(processor, video, size=size, do_center_crop=False).shape[-2:] == (height, width)
    upright = video.transpose(0, 2, 1, 3)
    expected = (height, width) if isinstance(size, dict) and "height" in size else (width, height)
    assert pixels(processor, upright, size=size, do_center_crop=False).shape[-2:] == expected


@pytest.mark.parametrize("crop_size, shape", [(20, (20, 20)), ({"height": 16, "width": 30}, (16, 30))])
def test_crop_size_is_the_size_of_the_output(processor, video, crop_size, shape):
    assert pixels(processor, video, crop_size=crop_size).shape[-2:] == shape


def test_a_number_means_both_sides_with_default_to_square(processor, video):
    result = pixels(processor, video, size=30, default_to_square=True, do_center_crop=False)
    assert result.shape[-2:] == (30, 30)


def test_resize_takes_neighbors_and_does_not_average(untouched):
    """Without antialiasing, a frame that is halved is the mean of the two middle pixels of four."""
    row = torch.tensor([0.0, 100.0, 40.0, 0.0] * 4)
    video = row.expand(1, 3, 16, 16)
    halved = pixels(untouched, video, do_resize=True, size={"height": 16, "width": 4}, do_sample_frames=False)
    torch.testing.assert_close(halved, torch.full((1, 1, 3, 16, 4), 70.0))


def test_resample_selects_the_interpolation(untouched, video):
    options = {"do_resize": True, "size": 23, "do_sample_frames": False}
    frames = torch.from_numpy(video).movedim(-1, 1).float()
    for resample, mode in ((0, "nearest"), (2, "bilinear"), (3, "bicubic"), (Image.Resampling.BICUBIC, "bicubic")):
        corners = {} if mode == "nearest" else {"align_corners": False}
        expected = torch.nn.functional.interpolate(frames, size=(23, 29), mode=mode, **corners)
        torch.testing.assert_close(pixels(untouched, video, resample=resample, **options)[0], expected)


@pytest.mark.parametrize("step", ["do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_sample_frames"])
def test_each_step_can_be_left_out(processor, video, step):
    """Against the chain of the other steps, written out."""
    steps = dict.fromkeys(["do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_sample_frames"], True)
    steps[step] = False
    expected = torch.from_numpy(video).movedim(-1, 1).float()
    if steps["do_sample_frames"]:
        expected = expected[[1, 4, 6, 9]]  # of 10 frames: 1.25, 3.75, 6.25 and 8.75, rounded
    if steps["do_rescale"]:
        expected = expected / 255
    if steps["do_resize"]:
        expected = torch.nn.functional.interpolate(expected, size=(32, 41), mode="bilinear", align_corners=False)
    if steps["do_center_crop"]:
        top, left = (expected.shape[-2] - 24) // 2, (expected.shape[-1] - 24) // 2
        expected = expected[..., top : top + 24, left : left + 24]
    if steps["do_normalize"]:
        expected = (expected - MEAN) / STD
    torch.testing.assert_close(pixels(processor, video, **steps)[0], expected, rtol=0, atol=1e-4)


def test_without_conversion_channels_stay_as_they_are(untouched, video):
    gray = video[..., :1]
    assert pixels(untouched, gray, do_convert_rgb=False).shape[2] == 1
    assert pixels(untouched, gray).shape[2] == 3


def test_mean_std_and_rescale_factor_can_be_given_as_numbers(processor, video):
    result = pixels(processor, video, image_mean=0.5, image_std=0.25, rescale_factor=1 / 127.5)
    plain = pixels(processor, video, do_normalize=False)
    torch.testing.assert_close(result, (plain * 2 - 0.5) / 0.25)


def test_resize_and_crop_sizes_are_not_needed_where_their_steps_are_left_out(video):
    processor = DiSTVideoProcessor(num_frames=4, size=None, crop_size=None, do_resize=False, do_center_crop=False)
    assert pixels(processor, video).shape == (1, 4, 3, 40, 52)


# What is returned


def test_return_tensors_decides_what_is_returned(processor, video):
    separate = processor([video, video])["pixel_values_videos"]
    assert isinstance(separate, list) and all(isinstance(pixel_values, torch.Tensor) for pixel_values in separate)
    torch_batch = processor([video, video], return_tensors="pt")["pixel_values_videos"]
    numpy_batch = processor([video, video], return_tensors="np")["pixel_values_videos"]
    assert isinstance(torch_batch, torch.Tensor) and isinstance(numpy_batch, np.ndarray)
    torch.testing.assert_close(torch.stack(separate), torch_batch, rtol=0, atol=0)
    torch.testing.assert_close(torch.from_numpy(numpy_batch), torch_batch, rtol=0, atol=0)


def test_the_only_output_is_what_the_model_takes(processor, video):
    assert list(processor(video)) == processor.model_input_names == ["pixel_values_videos"]


def test_data_format_can_put_channels_last(processor, video):
    last = pixels(processor, video, num_clips=2, data_format="channels_last")
    assert last.shape == (1, 2, 4, 24, 24, 3)
    torch.testing.assert_close(last.movedim(-1, -3), pixels(processor, video, num_clips=2), rtol=0, atol=0)


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu")])
def test_a_device_can_be_named(processor, video, device):
    result = pixels(processor, video, device=device)
    assert result.device == torch.device("cpu")
    torch.testing.assert_close(result, pixels(processor, video), rtol=0, atol=0)


def test_the_output_can_be_cast(processor, video):
    features = processor(video, return_tensors="pt").to("cpu", torch.bfloat16)
    assert features["pixel_values_videos"].dtype == torch.bfloat16


def test_metadata_of_a_file_says_what_was_decoded(tmp_path, processor):
    file = write_video(tmp_path / "square.mp4", moving_square(24), fps=12)
    (metadata,) = processor(file, return_metadata=True, return_tensors="pt")["video_metadata"]
    assert (metadata.total_num_frames, metadata.fps, metadata.duration) == (24, 12.0, 2.0)
    assert (metadata.height, metadata.width) == (48, 64)
    assert metadata.frames_indices == segment_frame_indices(24, 4)[0].tolist()
    assert metadata.video_backend in available_decoders()


def test_metadata_of_arrays_keeps_what_was_given_and_adds_the_frames(processor, video):
    given = VideoMetadata(total_num_frames=10, fps=25.0)
    for metadata in ([given, given], [[given], [given]], [{"fps": 25.0}, {"fps": 25.0, "total_num_frames": 10}]):
        features = processor([video, video[:3]], video_metadata=metadata, return_metadata=True)
        first, second = features["video_metadata"]
        assert first.fps == second.fps == 25.0
        assert first.total_num_frames == 10
        assert first.frames_indices == segment_frame_indices(10, 4)[0].tolist()
        assert second.frames_indices == segment_frame_indices(3, 4)[0].tolist()


def test_metadata_holds_the_frames_of_all_clips_and_is_left_out_unless_asked_for(processor, video):
    (metadata,) = processor(video, num_clips=3, return_metadata=True)["video_metadata"]
    assert metadata.frames_indices == segment_frame_indices(10, 4, num_clips=3).flatten().tolist()
    assert "video_metadata" not in processor(video)


# Saving and loading

UNUSUAL_OPTIONS = {
    "num_frames": 5,
    "num_clips": 3,
    "num_crops": 3,
    "frame_sampling": "dense",
    "frame_step": 7,
    "random_sampling": True,
    "decoder": "pyav",
    "resample": 3,
    "size": {"height": 40, "width": 50},
    "crop_size": {"height": 30, "width": 20},
    "image_mean": [0.1, 0.2, 0.3],
    "image_std": 0.5,
    "rescale_factor": 0.5,
    "do_convert_rgb": False,
    "do_rescale": False,
    "do_normalize": None,
    "return_metadata": True,
}


@pytest.mark.parametrize("options", [{}, UNUSUAL_OPTIONS, {"size": 42, "do_sample_frames": False, "do_resize": False}])
def test_saving_and_loading_keeps_every_option(tmp_path, options):
    processor = DiSTVideoProcessor(**options)
    processor.save_pretrained(tmp_path / "folder")
    processor.to_json_file(tmp_path / "file.json")
    loaded = [
        DiSTVideoProcessor.from_pretrained(tmp_path / "folder"),
        AutoVideoProcessor.from_pretrained(tmp_path / "folder"),
        DiSTVideoProcessor.from_json_file(tmp_path / "file.json"),
        DiSTVideoProcessor.from_dict(processor.to_dict()),
    ]
    expected = json.loads(processor.to_json_string())
    for name, value in options.items():
        assert expected[name] == ({"shortest_edge": 42} if name == "size" and value == 42 else value)
    for other in loaded:
        assert type(other) is DiSTVideoProcessor
        assert json.loads(other.to_json_string()) == expected


def test_a_loaded_processor_gives_the_same_pixels(tmp_path, processor, video):
    processor.save_pretrained(tmp_path)
    loaded = AutoVideoProcessor.from_pretrained(tmp_path)
    torch.testing.assert_close(pixels(loaded, video), pixels(processor, video), rtol=0, atol=0)


def test_options_can_be_overridden_on_loading(tmp_path, processor):
    processor.save_pretrained(tmp_path)
    loaded = DiSTVideoProcessor.from_pretrained(tmp_path, num_frames=9, size=42, crop_size=30, num_crops=3)
    assert (loaded.num_frames, loaded.num_crops) == (9, 3)
    assert loaded.size == {"shortest_edge": 42}
    assert loaded.crop_size == {"height": 30, "width": 30}
    with pytest.raises(ValueError, match="`num_crops` must be 1 or 3, got 2"):
        DiSTVideoProcessor.from_pretrained(tmp_path, num_crops=2)


def test_save_pretrained_returns_the_files_it_wrote(tmp_path, processor):
    files = processor.save_pretrained(tmp_path / "new" / "folder")
    assert {Path(file).name for file in files} == {"video_preprocessor_config.json", "preprocessor_config.json"}
    assert all(Path(file).is_file() for file in files)


@pytest.mark.parametrize("shape", [(40, 52), (52, 40), (30, 71)])
@pytest.mark.parametrize("size", [32, {"height": 33, "width": 44}])
def test_the_image_processor_beside_it_has_the_same_geometry(tmp_path, size, shape):
    processor = DiSTVideoProcessor(size=size, crop_size={"height": 24, "width": 28}, image_mean=[0.1, 0.2, 0.3])
    processor.save_pretrained(tmp_path)
    image_processor = CLIPImageProcessor.from_pretrained(tmp_path)
    frame = np.full((*shape, 3), 200, dtype=np.uint8)
    for options in ({"do_center_crop": False}, {}):
        image = image_processor(frame, return_tensors="pt", **options)["pixel_values"][0]
        frames = pixels(processor, frame[None], do_sample_frames=False, **options)[0, 0]
        # Of one color: what differs is the antialiasing.
        torch.testing.assert_close(image, frames, rtol=0, atol=1e-4)


def test_an_option_changed_on_one_processor_does_not_reach_another():
    first, second = DiSTVideoProcessor(), DiSTVideoProcessor()
    first.size["shortest_edge"] = 7
    assert second.size == DiSTVideoProcessor().size == {"shortest_edge": 224}


# What is refused


def test_an_unknown_option_is_an_error_that_names_it(processor, video):
    with pytest.raises(ValueError, match="Unknown options: number_of_frames, stride.*num_frames"):
        processor(video, stride=3, number_of_frames=8)


REFUSED = [
    ({"num_frames": 0}, "`num_frames` must be an integer of at least 1, got 0"),
    ({"num_clips": -1}, "`num_clips` must be an integer of at least 1, got -1"),
    ({"frame_step": 0}, "`frame_step` must be an integer of at least 1, got 0"),
    ({"num_crops": 2}, "`num_crops` must be 1 or 3, got 2"),
    ({"num_crops": 3, "do_center_crop": False}, "`num_crops=3` needs `do_center_crop=True`"),
    ({"num_clips": 2, "do_sample_frames": False}, "`num_clips` greater than 1 needs `do_sample_frames=True`"),
    ({"frame_sampling": "uniform"}, '"segment" or "dense", got "uniform"'),
    ({"decoder": "opencv"}, '"auto" or one of pyav, decord, torchcodec, got "opencv"'),
    ({"resample": 1}, r"0 \(nearest\), 2 \(bilinear\), 3 \(bicubic\), got 1"),
    ({"fps": 2}, "`fps` is not supported.*`num_frames`.*frame_step"),
    ({"image_mean": [0.5, 0.5]}, "`image_mean` must be a number, or one number per channel"),
    ({"image_std": [0.5] * 4}, "`image_std` must be a number, or one number per channel"),
]


@pytest.mark.parametrize("options, message", REFUSED)
def test_values_that_cannot_be_are_errors_that_say_what_can(processor, video, options, message):
    with pytest.raises(ValueError, match=message):
        processor(video, **options)
    with pytest.raises(ValueError, match=message):
        DiSTVideoProcessor(**options)


@pytest.mark.parametrize("name", ["num_frames", "num_clips", "frame_step"])
@pytest.mark.parametrize("value", [2.5, "4", None])
def test_numbers_of_the_wrong_type_are_errors_at_construction(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be an integer"):
        DiSTVideoProcessor(**{name: value})


@pytest.mark.parametrize(
    "options, message",
    [
        ({"num_frames": 2.5}, "num_frames"),
        ({"do_resize": "no"}, "do_resize"),
        ({"size": {"longest_edge": 32}}, '"shortest_edge", or "height" and "width"'),
        ({"size": 0}, "`size` must be at least 1"),
        ({"crop_size": 0}, "`crop_size` must have a .* of at least 1"),
        ({"crop_size": {"shortest_edge": 24}}, '`crop_size` must have a "height" and a "width"'),
        ({"crop_size": 33}, "`crop_size` must not exceed the frames, got 33x33 and frames of 32x41"),
        ({"data_format": "channels_middle"}, "channels_first"),
        ({"input_data_format": "channels_middle"}, "channels_first"),
        ({"return_tensors": "tensors"}, "pt"),
    ],
)
def test_values_that_do_not_fit_a_call_are_errors(processor, video, options, message):
    with pytest.raises(ValueError, match=message):
        processor(video, **options)


@pytest.mark.parametrize(
    "videos, message",
    [
        (None, "got NoneType"),
        (3, "got int"),
        ([], "holds no video"),
        (np.zeros((0, 4, 8, 8, 3), dtype=np.uint8), "holds no video"),
        (np.zeros((0, 8, 8, 3), dtype=np.uint8), "at least one frame"),
        (np.zeros((8, 8, 3), dtype=np.uint8), r"4 dimensions.*\(8, 8, 3\)"),
        (np.zeros((1, 1, 2, 8, 8, 3), dtype=np.uint8), r"5 if it is a batch.*\(1, 1, 2, 8, 8, 3\)"),
        ([np.zeros(8, dtype=np.uint8)] * 2, r"\(8,\)"),
        ([np.zeros((8, 8, 3), dtype=np.uint8), np.zeros((8, 9, 3), dtype=np.uint8)], r"the same shape.*\(3, 8, 9\)"),
        (np.zeros((4, 8, 8, 2), dtype=np.uint8), "channel"),
    ],
)
def test_what_is_no_video_is_an_error_that_says_what_was_given(processor, videos, message):
    with pytest.raises(ValueError, match=message):
        processor(videos)


@pytest.mark.parametrize("count", [1, 3])
def test_metadata_of_another_number_of_videos_is_an_error(processor, video, count):
    metadata = [VideoMetadata(total_num_frames=10)] * count
    with pytest.raises(ValueError, match=f"one entry per video, got {count} for 2 videos"):
        processor([video, video], video_metadata=metadata)


def test_one_unreadable_file_of_a_batch_is_an_error_that_names_it(tmp_path, processor, video):
    (tmp_path / "broken.mp4").write_bytes(b"broken" * 100)
    with pytest.raises(VideoDecodingError, match="broken.mp4"):
        processor([video, tmp_path / "broken.mp4"])
