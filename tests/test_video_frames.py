# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Videos in any form give the pixels that their frames have as bytes, and what is ambiguous or out of range is refused."""

import os

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close
from transformers.image_utils import ChannelDimension

from modeling_dist import DiSTVideoProcessor, VideoDecodingError
from modeling_dist.video_frames_dist import order_of


COUNT, HEIGHT, WIDTH = 12, 40, 56


@pytest.fixture(scope="module")
def frames():
    """(frames, height, width, channels), without two equal ones."""
    return np.random.default_rng(0).integers(0, 256, (COUNT, HEIGHT, WIDTH, 3), dtype=np.uint8)


@pytest.fixture
def processor():
    return DiSTVideoProcessor(num_frames=4, size=32, crop_size=32)


def pixels_of(processor, video, **options):
    return processor(video, return_tensors="pt", **options)["pixel_values_videos"]


@pytest.fixture
def same(processor, frames):
    """Asserts that a video gives the pixels of `frames`, or of other ones."""

    def same(video, other=None, atol=1e-5, **options):
        expected = pixels_of(processor, frames if other is None else other)
        assert_close(pixels_of(processor, video, **options), expected, rtol=0, atol=atol)

    return same


# ---- order of dimensions


@pytest.mark.parametrize(("shape", "order"), [
    ((8, 40, 56, 3), "THWC"), ((8, 3, 40, 56), "TCHW"), ((3, 8, 40, 56), "CTHW"), ((8, 40, 56, 1), "THWC"), ((8, 1, 40, 56), "TCHW"),
    ((1, 8, 40, 56), "CTHW"), ((8, 40, 56, 4), "THWC"), ((8, 4, 40, 56), "TCHW"), ((4, 8, 40, 56), "CTHW"), ((3, 3, 40, 56), "TCHW"),
    ((1, 3, 40, 56), "TCHW"), ((4, 3, 40, 56), "TCHW"), ((1, 40, 56, 3), "THWC"), ((3, 40, 56, 3), "THWC"), ((4, 40, 56, 3), "THWC"),
])  # fmt: skip
def test_the_dimension_of_the_channels_is_found_by_its_size(shape, order):
    assert order_of(shape) == order


@pytest.mark.parametrize("shape", [
    (3, 4, 40, 56), (3, 1, 40, 56), (4, 4, 40, 56), (1, 1, 40, 56), (8, 3, 40, 3), (8, 40, 56, 2), (8, 2, 40, 56), (8, 9, 40, 56),
])  # fmt: skip
def test_an_ambiguous_order_is_refused_until_it_is_given(processor, shape):
    with pytest.raises(ValueError, match='dimension.* Give `input_data_format`: "channels_first" for'):
        processor(np.zeros(shape, np.uint8))
    for name, order in {"channels_first": "TCHW", "channels_last": "THWC", "frames_second": "CTHW"}.items():
        if shape[order.index("C")] in (1, 3, 4):
            assert order_of(shape, name) == order
        else:
            with pytest.raises(
                ValueError,
                match=f"where C is 1, 3 or 4 channels, got shape {shape}".replace("(", r"\(").replace(")", r"\)"),
            ):
                order_of(shape, name)


def test_an_unknown_order_is_refused_by_name(processor, frames):
    with pytest.raises(ValueError, match='`input_data_format` must be one of "channels_first".*got "TCHW"'):
        processor(frames, input_data_format="TCHW")


@pytest.mark.parametrize("count", [1, 3, 4, COUNT])
@pytest.mark.parametrize("order", ["THWC", "TCHW", "CTHW"])
@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_arrays_in_any_order_give_the_same(same, frames, count, order, kind):
    video = frames[:count]
    names = {"TCHW": "channels_first", "THWC": "channels_last", "CTHW": "frames_second"}
    ordered = kind(np.ascontiguousarray(video.transpose(["THWC".index(axis) for axis in order])))
    is_clear = order != "CTHW" or count == COUNT
    same(ordered, video, input_data_format=names[order])
    if is_clear:
        same(ordered, video)
        same(ordered[None], video)
        same(np.asarray(ordered)[::-1][::-1], video)  # negative strides


def test_a_batch_may_have_its_frames_second(processor, frames):
    batch = np.stack([frames, frames[::-1]]).transpose(0, 4, 1, 2, 3)
    expected = torch.cat([pixels_of(processor, frames), pixels_of(processor, frames[::-1].copy())])
    assert_close(pixels_of(processor, batch), expected)


@pytest.mark.parametrize("num_channels", [1, 4])
def test_gray_and_transparent_videos_may_have_their_frames_second(same, frames, num_channels):
    video = np.concatenate([frames, np.full_like(frames[..., :1], 255)], -1)[..., :num_channels]
    expected = frames if num_channels == 4 else frames[..., :1].repeat(3, -1)
    same(np.ascontiguousarray(video.transpose(3, 0, 1, 2)), expected)
    same(torch.from_numpy(video).permute(3, 0, 1, 2), expected, input_data_format="frames_second")


def test_gray_frames_have_two_dimensions_alone_or_between_others(same, frames):
    gray = frames[..., 0]
    expected = gray[..., None].repeat(3, -1)
    same(list(gray), expected)
    same(list(torch.from_numpy(gray)), expected, input_data_format="channels_first")
    same(list(gray / 255), expected)
    same([*gray[:4], *frames[4:]], np.concatenate([expected[:4], frames[4:]]))


def test_ambiguous_frames_of_a_list_are_refused_until_their_order_is_given(processor):
    frames = list(np.random.default_rng(0).integers(0, 256, (4, 3, 40, 4), dtype=np.uint8))
    with pytest.raises(ValueError, match=r"\(3, 40, 4\) may be either. Give `input_data_format`"):
        processor(frames)
    with pytest.raises(ValueError, match=r"\(40, 3, 7\) neither has 1, 3 or 4 channels"):
        processor([np.zeros((40, 3, 7), np.uint8)])
    for order in ("channels_first", "channels_last"):
        one = pixels_of(processor, frames, input_data_format=order)
        assert_close(one, pixels_of(processor, np.stack(frames), input_data_format=order), rtol=0, atol=1e-5)


def test_an_order_may_be_one_of_transformers(same, frames):
    same(frames.transpose(0, 3, 1, 2), input_data_format=ChannelDimension.FIRST)


def test_the_order_of_arrays_says_nothing_about_images(processor, frames):
    images = [Image.fromarray(frame) for frame in frames]
    videos = [frames.transpose(0, 3, 1, 2), images]
    expected = pixels_of(processor, [frames, frames])
    assert_close(pixels_of(processor, videos, input_data_format="channels_first"), expected, rtol=0, atol=1e-5)


def test_an_order_that_leaves_a_frame_of_a_list_without_channels_is_refused(processor, frames):
    for wrong in (list(frames[..., :2]), list(frames.transpose(0, 3, 1, 2))):
        with pytest.raises(ValueError, match="1, 3 or 4 channels"):
            processor(wrong, input_data_format="channels_last")


def test_a_list_of_frames_without_pixels_is_refused(processor, frames):
    with pytest.raises(ValueError, match="no pixels"):
        processor(list(frames[:, :0]))


# ---- range of values


@pytest.mark.parametrize("convert", [
    lambda f: f.astype(np.int16), lambda f: f.astype(np.int64), lambda f: f.astype(">i4"), lambda f: f.astype(np.uint32),
    lambda f: f.astype(np.uint16) * 257, lambda f: f.astype(">u2") * 257,
    lambda f: f / 255, lambda f: (f / 255).astype(np.float32), lambda f: f.astype(np.float32), lambda f: f.astype(np.longdouble),
    lambda f: torch.from_numpy(f / 255).float(), lambda f: torch.from_numpy(f.astype(np.uint16) * 257),
    lambda f: list(f.astype(np.uint16) * 257), lambda f: list(f / 255), lambda f: [torch.from_numpy(one) for one in f],
])  # fmt: skip
def test_values_of_any_type_give_the_pixels_of_bytes(same, frames, convert):
    same(convert(frames))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_values_in_half_precision_are_as_exact_as_they_are(same, frames, dtype):
    same(torch.from_numpy(frames / 255).to(dtype), atol=0.02)
    same(torch.from_numpy(frames).to(dtype), atol=0.02)


def test_booleans_are_black_and_white(same, frames):
    mask = frames > 127
    same(mask, mask.astype(np.uint8) * 255)


@pytest.mark.parametrize("as_form", [list, torch.from_numpy, lambda video: list(torch.from_numpy(video))])
def test_dark_frames_of_a_bright_video_are_dark_in_any_form(processor, as_form):
    video = np.ones((40, HEIGHT, WIDTH, 3), np.float32)
    expected = pixels_of(processor, video.astype(np.uint8))
    video[1] = 200.0
    assert_close(pixels_of(processor, as_form(video)), expected)
    assert_close(pixels_of(processor, as_form(video[2:])), pixels_of(processor, np.full_like(video, 255, np.uint8)))


def test_what_overshoots_is_scaled_as_the_rest(processor, frames):
    video = frames.astype(np.float32)
    video[:, 20, 28], video[:, 10, 30] = -20, 270
    clipped = pixels_of(processor, video.clip(0, 255).astype(np.uint8))
    by_255, by_1 = pixels_of(processor, video), pixels_of(processor, video / 255)
    assert_close(by_1, by_255, rtol=0, atol=1e-5)
    is_equal = (by_255 - clipped).abs() < 1e-5
    assert 0.9 < is_equal.float().mean() < 1  # all but the neighbors of two pixels


def test_a_single_frame_of_a_list_that_is_not_finite_is_refused(processor, frames):
    for value in (np.nan, np.inf, -np.inf):
        video = list(frames / 255)
        video[0][3, 4, 1] = value
        with pytest.raises(ValueError, match="not finite"):
            processor(video)


@pytest.mark.parametrize(("change", "message"), [
    (lambda f: f.astype(np.int32) * 16, "int32 with values from 0 to 4080.*Integers must lie in 0 to 255.*uint16"),
    (lambda f: f.astype(np.int16) - 128, "int16 with values from -128 to 127"),
    (lambda f: ((f / 255) - 0.45) / 0.27, "float64 with values from -1.*do_rescale=False, do_normalize=False"),
    (lambda f: f.astype(np.float32) * 257, "float32 with values from 0 to 65535"),
    (lambda f: np.where(f == 7, np.nan, f / 255), "not finite"), (lambda f: np.where(f == 7, np.inf, f / 255), "not finite"),
    (lambda f: f.astype(complex), "complex128"), (lambda f: f.astype(object), "object"), (lambda f: f.astype(str), "numbers"),
    (lambda f: f[:, :0], "has no pixels"),
])  # fmt: skip
def test_values_out_of_range_are_refused(processor, frames, change, message):
    with pytest.raises(ValueError, match=message):
        processor(change(frames))


def test_normalized_frames_are_taken_as_the_message_says(processor, frames):
    video = (frames / 255 - processor.image_mean) / processor.image_std
    options = {"do_rescale": False, "do_normalize": False}
    assert_close(pixels_of(processor, video, **options), pixels_of(processor, frames), rtol=0, atol=1e-4)


def test_transparency_becomes_white(same, frames):
    alpha = np.zeros((COUNT, HEIGHT, WIDTH, 1), np.uint8)
    alpha[:, : HEIGHT // 2] = 255
    video = np.concatenate([frames, alpha], axis=-1)
    on_white = np.where(alpha > 0, frames, 255).astype(np.uint8)
    for form in (
        video,
        video.transpose(0, 3, 1, 2),
        list(video),
        [Image.fromarray(one) for one in video],
        video / 255,
    ):
        same(form, on_white)
    same(video.astype(np.uint16) * 257, on_white)


# ---- images


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "CMYK", "1", "LA", "I;16", "HSV", "YCbCr"])
def test_images_of_mixed_modes_are_one_video(processor, frames, mode):
    images = [Image.fromarray(frame) for frame in frames]
    if mode == "I;16":
        images[3] = Image.fromarray(frames[3, ..., 0].astype(np.uint16) * 257)
        expected = [*frames[:3], frames[3, ..., :1].repeat(3, -1), *frames[4:]]
        images, expected = [images[3]] * 4, np.stack([expected[3]] * 4)
    else:
        images[3] = images[3].convert(mode)
        expected = np.stack([np.asarray(image.convert("RGB")) for image in images])
    assert_close(pixels_of(processor, images), pixels_of(processor, expected), rtol=0, atol=1e-5)


def test_frames_of_different_sizes_are_refused(processor, frames):
    with pytest.raises(ValueError, match="must have the same shape and type"):
        processor([*frames[:11], frames[11, :, :40]], do_sample_frames=False)


def test_images_of_all_modes_in_one_list_are_what_pillow_makes_of_them(same, frames):
    modes = ["L", "RGB", "RGBA", "P", "CMYK", "LA", "1", "PA"]
    images = [Image.fromarray(frame) for frame in frames]
    images = [
        image.convert("P").convert(mode) if mode == "PA" else image.convert(mode) for image, mode in zip(images, modes)
    ]
    expected = np.stack([np.asarray(image.convert("RGB")) for image in images])
    same(images, expected)
    same(images[::-1], expected[::-1])


def on_white(image) -> np.ndarray:
    """As Pillow puts an image on a white ground."""
    image = image.convert("RGBA")
    ground = Image.new("RGBA", image.size, "white")
    return np.asarray(Image.alpha_composite(ground, image).convert("RGB"))


def make_transparent(frame: np.ndarray, kind: str) -> Image.Image:
    frame = frame.copy()
    frame[10:30, 20:40] = (10, 200, 30)
    image = Image.fromarray(frame)
    if kind == "RGBA":
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    elif kind == "LA":
        image = image.convert("L")
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    elif kind == "P":
        image = image.quantize(16)
        image.info["transparency"] = int(np.bincount(np.asarray(image).ravel()).argmax())
    else:  # one gray value or color is transparent
        image = image.convert(kind)
        image.info["transparency"] = image.getpixel((30, 20))
    return image


@pytest.mark.parametrize("kind", ["RGBA", "LA", "P", "L", "RGB"])
def test_transparent_images_and_pictures_are_on_white(same, frames, kind, tmp_path):
    images = [make_transparent(frame, kind) for frame in frames]
    expected = np.stack([on_white(image) for image in images])
    # Pillow rounds to bytes.
    same(images, expected, atol=0.02)
    for number, image in enumerate(images):
        image.save(tmp_path / f"{number}.png")
    same(tmp_path, expected, atol=0.02)


@pytest.mark.parametrize("form", ["images", "arrays", "pictures"])
def test_some_frames_of_a_video_may_be_opaque(same, frames, form, tmp_path):
    images = [make_transparent(frame, "RGBA") for frame in frames]
    images[:6] = [Image.fromarray(frame).convert("RGBA") for frame in frames[:6]]
    expected = np.stack([on_white(image) for image in images])
    for number, image in enumerate(images):
        image.save(tmp_path / f"{number}.png")
    video = {"images": images, "arrays": list(map(np.asarray, images)), "pictures": tmp_path}[form]
    same(video, expected, atol=0.02)


def test_an_image_of_16_bits_may_be_among_others(same, frames):
    images = [Image.fromarray(frame) for frame in frames[:4]]
    images[2] = Image.fromarray(frames[2, ..., 0].astype(np.uint16) * 257)
    same(images, np.stack([*frames[:2], frames[2, ..., :1].repeat(3, -1), frames[3]]))


# ---- folders of pictures


@pytest.fixture
def folder(tmp_path, frames):
    """Returns a function that writes frames as pictures."""

    def write(names, which=frames, **options):
        path = tmp_path / "clip"
        path.mkdir(exist_ok=True)
        for name, frame in zip(names, which):
            Image.fromarray(frame).save(path / name, **options)
        return path

    return write


@pytest.mark.parametrize(
    "pattern", ["{}.png", "{:05d}.png", "img_{}.bmp", "frame {:03d} b.png", "2024_v1_{}.PNG", "{}.webp"]
)
def test_pictures_are_frames_in_the_order_of_their_numbers(same, folder, pattern):
    path = folder([pattern.format(number + 1) for number in range(COUNT)], lossless=True)
    (path / ".hidden.png").write_bytes(b"")
    (path / "notes.txt").write_text("not a picture")
    same(str(path))
    same(path)
    same([path])


def test_pictures_of_lossy_formats_are_what_pillow_reads(same, folder):
    path = folder([f"{number}.jpg" for number in range(COUNT)])
    same(path, np.stack([np.asarray(Image.open(path / f"{number}.jpg")) for number in range(COUNT)]))


def test_every_other_picture_of_a_video_is_a_video(same, folder):
    same(folder([f"{2 * number}.png" for number in range(COUNT)]), damaged="error")


def test_a_missing_picture_is_damage(processor, folder, monkeypatch):
    path = folder([f"{number}.png" for number in range(COUNT)])
    (path / "5.png").unlink()
    said = []
    processor(path, damaged=said.append)
    assert said == [f"The video {path} is damaged: the picture with the number 5 is missing."]
    with pytest.raises(VideoDecodingError, match="the picture with the number 5 is missing"):
        processor(path, damaged="error")
    processor(path, damaged="ignore")
    assert len(said) == 1


def test_a_missing_picture_is_a_warning_that_names_the_folder_once(processor, folder, monkeypatch):
    path = folder([f"img_{number:04d}.png" for number in range(COUNT)])
    said = []
    monkeypatch.setattr("modeling_dist.video_frames_dist.logger.warning", said.append)
    processor(path)
    assert said == []
    (path / "img_0007.png").unlink()
    processor(path, num_clips=3, num_crops=3)
    assert said == [f"The video {path} is damaged: the picture with the number 7 is missing."]


def test_an_error_of_the_function_that_is_told_of_damage_comes_out(processor, folder, damaged_video):
    path = folder([f"{number}.png" for number in range(COUNT) if number != 5])

    def refuse(message):
        raise KeyError(message)

    for video in (path, damaged_video):
        with pytest.raises(KeyError, match="is damaged"):
            processor(video, damaged=refuse)


@pytest.mark.parametrize(("spoil", "message"), [
    (lambda path: (path / "3.png").write_bytes(b"no picture"), r"The picture .*3\.png cannot be read"),
    (lambda path: (path / "3.png").write_bytes((path / "2.png").read_bytes()[:500]), r"The picture .*3\.png cannot be read"),
    (lambda path: Image.new("RGB", (8, 9)).save(path / "3.png"), r"must have one size, and .*3\.png has 8 x 9"),
    (lambda path: Image.new("RGB", (8, 9)).save(path / "other.png"), "not one video: their names must differ by a number alone"),
    (lambda path: Image.new("RGB", (8, 9)).save(path / "3.jpg"), "not one video"),
    (lambda path: Image.new("RGB", (8, 9)).save(path / "03.png"), "not one video"),
])  # fmt: skip
def test_pictures_that_are_no_video_are_refused_by_name(processor, folder, spoil, message):
    path = folder([f"{number}.png" for number in range(COUNT)])
    spoil(path)
    with pytest.raises(VideoDecodingError, match=message):
        processor(path, do_sample_frames=False)


def test_a_folder_without_pictures_is_refused(processor, tmp_path):
    with pytest.raises(VideoDecodingError, match="a folder without pictures"):
        processor(tmp_path)


def test_pictures_stand_as_their_camera_was_held(same, folder, frames):
    turned = np.rot90(frames, 1, (1, 2))  # a quarter anticlockwise, which the tag has undone
    exif = Image.Exif()
    exif[0x0112] = 6
    same(folder([f"{number}.png" for number in range(COUNT)], turned, exif=exif))


@pytest.mark.parametrize(("orientation", "store"), [
    (1, lambda f: f), (2, lambda f: f[:, :, ::-1]), (3, lambda f: f[:, ::-1, ::-1]), (4, lambda f: f[:, ::-1]),
    (5, lambda f: f.swapaxes(1, 2)), (7, lambda f: f[:, ::-1, ::-1].swapaxes(1, 2)), (8, lambda f: np.rot90(f, -1, (1, 2))),
])  # fmt: skip
def test_every_orientation_of_a_camera_is_undone(same, folder, frames, orientation, store):
    exif = Image.Exif()
    exif[0x0112] = orientation
    same(folder([f"{number}.png" for number in range(COUNT)], np.ascontiguousarray(store(frames)), exif=exif))


def test_frames_per_second_of_pictures_can_be_given(processor, folder, frames):
    path = folder([f"{number}.png" for number in range(COUNT)])
    options = {"frame_sampling": "dense", "frame_step": 4, "num_clips": 2}
    expected = pixels_of(processor, frames, video_metadata={"fps": 10.0}, **options)
    assert_close(pixels_of(processor, path, video_metadata={"fps": 10.0}, **options), expected)
    assert not torch.equal(pixels_of(processor, path, **options), expected)


def test_reading_pictures_has_a_limit_of_time(processor, folder):
    path = folder([f"{number}.png" for number in range(COUNT)])
    with pytest.raises(VideoDecodingError, match=f"{path}.*longer than 1e-09 s"):
        processor(path, limits={"seconds": 1e-9})


def test_the_number_of_pictures_is_limited(processor, folder):
    path = folder([f"{number}.png" for number in range(COUNT)])
    processor(path, limits={"num_frames": COUNT})
    with pytest.raises(VideoDecodingError, match=f"{path}.*more than {COUNT - 1} frames"):
        processor(path, limits={"num_frames": COUNT - 1})


@pytest.mark.skipif(os.name == "nt", reason="names cannot hold line breaks")
def test_names_of_pictures_may_hold_any_character(same, folder):
    same(folder([f"a\n{number}.png" for number in range(COUNT)]))


def test_pictures_have_the_limits_of_frames(processor, folder):
    path = folder([f"{number}.png" for number in range(COUNT)])
    with pytest.raises(VideoDecodingError, match=r"png cannot be read: 56 x 40 pixels exceed the limit of 2,239"):
        processor(path, limits={"frame_pixels": HEIGHT * WIDTH - 1})


def test_pictures_of_16_bits_have_their_range(same, frames, tmp_path):
    for number, frame in enumerate(frames):
        Image.fromarray(frame[..., 0].astype(np.uint16) * 257).save(tmp_path / f"{number}.png")
    same(tmp_path, frames[..., :1].repeat(3, -1))
