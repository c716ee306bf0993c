# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Videos in any form give the pixels that their frames have as bytes, and what is ambiguous or out of range is refused."""

import gc
import io
import os
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from modeling_dist import DiSTVideoProcessor, VideoDecodingError, video_decoding_dist
from modeling_dist.data.augmentation import ClipAugmentation
from modeling_dist.data.loading import EvaluationViews, TrainingClips, collate_clips, collate_views
from modeling_dist.data.rows import make_path_dataset
from modeling_dist.testing import moving_square, write_video
from modeling_dist.video_decoding_dist import available_decoders, decode_video
from modeling_dist.video_frames_dist import order_of
from modeling_dist.video_processing_dist import resize


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


def test_a_dark_part_of_a_bright_video_is_not_scaled_twice(processor):
    video = np.zeros((40, HEIGHT, WIDTH, 3), np.float32)
    video[::2] = 1.0  # as bytes, all but black
    video[1] = 200.0
    taken = processor(video, return_metadata=True)["video_metadata"][0].frames_indices
    assert 1 not in taken
    assert_close(pixels_of(processor, video), pixels_of(processor, video.astype(np.uint8)))


def test_what_interpolation_overshoots_is_allowed(processor, frames):
    for scale in (1.0, 1 / 255):
        video = frames.astype(np.float32) * scale
        video[0, 0, 0], video[1, 0, 0] = -20 * scale, 270 * scale
        assert pixels_of(processor, video).isfinite().all()


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


def test_pictures_have_the_limits_of_frames(processor, folder):
    path = folder([f"{number}.png" for number in range(COUNT)])
    with pytest.raises(VideoDecodingError, match=r"png cannot be read: 56 x 40 pixels exceed the limit of 2,239"):
        processor(path, limits={"frame_pixels": HEIGHT * WIDTH - 1})


def test_pictures_of_16_bits_have_their_range(same, frames, tmp_path):
    for number, frame in enumerate(frames):
        Image.fromarray(frame[..., 0].astype(np.uint16) * 257).save(tmp_path / f"{number}.png")
    same(tmp_path, frames[..., :1].repeat(3, -1))


# ---- files in other forms


def test_a_file_in_any_form_is_the_same(processor, tmp_path, video):
    content, expected = (
        Path(video).read_bytes(),
        pixels_of(DiSTVideoProcessor(num_frames=4, size=32, crop_size=32), video),
    )
    with open(video, "rb") as file, open(video, "rb") as half_read:
        half_read.read(100)
        forms = [
            content, bytearray(content), memoryview(content), io.BytesIO(content), io.BufferedReader(io.BytesIO(content)), file,
            half_read, {"path": video, "bytes": None}, {"path": None, "bytes": content}, {"path": "gone.mp4", "bytes": content},
            {"bytes": content}, {"path": video}, Path(video),
        ]  # fmt: skip
        for form in forms:
            assert_close(pixels_of(processor, form), expected)
        assert_close(pixels_of(processor, forms), expected.expand(len(forms), -1, -1, -1, -1))


def test_an_open_file_must_be_binary_and_within_the_limits(processor, video):
    with open(video) as file, pytest.raises(VideoDecodingError, match='square.mp4 is open as text. .*"rb"'):
        processor(file)
    with open(video, "rb") as file, pytest.raises(VideoDecodingError, match="square.mp4 .*more than 100 bytes"):
        processor(file, limits={"download_bytes": 100})
    read, write = os.pipe()
    with open(read, "rb") as file, open(write, "wb") as end:
        with pytest.raises(VideoDecodingError, match="longer than 0.2 s"):
            processor(file, limits={"seconds": 0.2})
        end.close()  # lets the reading thread go
    for nothing in ({"path": None, "bytes": None}, {}):
        with pytest.raises(VideoDecodingError, match="neither a path nor bytes"):
            processor(nothing)


@pytest.fixture(scope="module")
def varied(tmp_path_factory):
    """A file whose frames per second are not 30, in which dense sampling takes other frames."""
    return write_video(tmp_path_factory.mktemp("videos") / "varied.mp4", moving_square(60), fps=10)


def test_readers_of_decord_give_the_frames_of_the_file(processor, varied):
    decord = pytest.importorskip("decord")
    for options in ({}, {"frame_sampling": "dense", "frame_step": 2}, {"num_clips": 3}):
        expected = pixels_of(processor, varied, **options)
        assert_close(pixels_of(processor, decord.VideoReader(varied), **options), expected, rtol=0, atol=0.05)
    metadata = processor(decord.VideoReader(varied), return_metadata=True)["video_metadata"][0]
    assert (metadata.fps, metadata.total_num_frames, metadata.video_backend) == (10, 60, "decord")


def read_all(path):
    return decode_video(path, lambda total, fps: list(range(total))).frames


class VideoDecoder:
    """As torchcodec's, for which FFmpeg would have to be on the system."""

    def __init__(self, path):
        self.frames = read_all(path)
        self.metadata = type("Metadata", (), {"average_fps": 10.0})

    def __len__(self):
        return len(self.frames)

    def __getitem__(self, index):
        return self.frames[index]

    def get_frame_at(self, index):
        raise NotImplementedError


class VideoReader:
    """As torchvision's, which newer versions do not have."""

    def __init__(self, path):
        self.frames, self.position = read_all(path), 0

    def seek(self, seconds):
        self.position = int(seconds * 10)
        return self

    def get_metadata(self):
        return {"video": {"duration": [6.0], "fps": [10.0]}}

    def __iter__(self):
        return self

    def __next__(self):
        if self.position == len(self.frames):
            raise StopIteration
        self.position += 1
        return {"data": self.frames[self.position - 1], "pts": (self.position - 1) / 10}


VideoDecoder.__module__, VideoReader.__module__ = "torchcodec.decoders._video_decoder", "torchvision.io.video_reader"


@pytest.mark.parametrize("reader", [VideoDecoder, VideoReader])
def test_readers_of_other_libraries_give_the_frames_of_the_file(processor, varied, reader):
    for options in ({}, {"frame_sampling": "dense", "frame_step": 2}, {"num_clips": 3, "num_crops": 3}):
        expected = pixels_of(processor, varied, **options)
        assert_close(pixels_of(processor, reader(varied), **options), expected)
    assert_close(pixels_of(processor, [reader(varied), varied])[0], pixels_of(processor, varied)[0])


# ---- large frames


@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "nearest"])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("size", [(32, 57), (100, 178), (270, 480), (271, 481), (600, 1000)])
def test_resizing_is_interpolation_without_antialiasing(mode, channels_last, size):
    frames = torch.randint(0, 256, (2, 3, 540, 961), dtype=torch.uint8)
    if channels_last:
        frames = frames.contiguous(memory_format=torch.channels_last)
    options = {"mode": mode} if mode == "nearest" else {"mode": mode, "align_corners": False}
    expected = torch.nn.functional.interpolate(frames.float(), size=size, **options)
    assert_close(resize(frames, size, mode), expected, rtol=0, atol=255e-5)


def test_resizing_in_parts_changes_nothing(monkeypatch):
    frames = torch.randint(0, 256, (2, 3, 90, 160), dtype=torch.uint8)
    whole = [resize(frames, size, "bilinear") for size in ((32, 57), (80, 142))]
    monkeypatch.setattr("modeling_dist.video_processing_dist.LARGE", 100)
    for expected, size in zip(whole, ((32, 57), (80, 142))):
        assert_close(resize(frames, size, "bilinear"), expected)


@pytest.mark.parametrize(
    "options", [{}, {"num_clips": 3, "num_crops": 3}, {"frame_sampling": "dense", "num_clips": 2}]
)
@pytest.mark.parametrize("form", ["file", "array", "list", "reader"])
def test_frames_in_pieces_give_the_pixels_of_frames_together(processor, varied, form, options, monkeypatch):
    videos = {
        "file": lambda: varied,
        "array": lambda: read_all(varied).numpy(),
        "list": lambda: list(read_all(varied).numpy()),
        "reader": lambda: VideoReader(varied),
    }
    expected = pixels_of(processor, videos[form](), **options)
    for size in (1, 48 * 64 * 3 * 2, 48 * 64 * 3 * 5):
        monkeypatch.setattr("modeling_dist.video_decoding_dist.BYTES_PER_PIECE", size)
        monkeypatch.setattr("modeling_dist.video_frames_dist.BYTES_PER_PIECE", size)
        assert_close(pixels_of(processor, videos[form](), **options), expected, rtol=0, atol=1e-5)


def test_only_a_few_large_frames_are_held_at_a_time(tmp_path, monkeypatch):
    """The largest piece that is handed on is a frame, and the one before it is gone."""
    path = write_video(tmp_path / "large.mp4", moving_square(8, 1080, 1920), options={"preset": "ultrafast"})
    alive, most = set(), 0

    def consume(start, frames):
        nonlocal most
        assert frames.numel() <= 2 * 2**24
        alive.add(id(frames))
        most = max(most, len(alive))
        alive.discard(id(frames))

    decode_video(path, lambda total, fps: list(range(total)), consume=consume)
    gc.collect()
    assert most == 1


# ---- handing on


@pytest.mark.parametrize("decoder", available_decoders())
def test_pieces_make_up_the_frames(varied, decoder, monkeypatch):
    indices = [3, 10, 11, 30, 59]
    expected = decode_video(varied, lambda total, fps: indices, decoder).frames
    monkeypatch.setattr(video_decoding_dist, "BYTES_PER_PIECE", 48 * 64 * 3 * 2)
    pieces = []
    decoded = decode_video(varied, lambda total, fps: indices, decoder, consume=lambda *piece: pieces.append(piece))
    assert decoded.frames is None and decoded.frame_indices == indices
    assert [start for start, _ in pieces] == [0, 2, 4]
    assert torch.equal(torch.cat([piece for _, piece in pieces]), expected)


def test_errors_of_the_one_who_takes_the_frames_are_his(varied):
    def consume(start, frames):
        raise ZeroDivisionError("not the video's fault")

    with pytest.raises(ZeroDivisionError, match="not the video's fault"):
        decode_video(varied, lambda total, fps: [0, 5], consume=consume)


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory):
    """A file with a frame in its middle that is overwritten for the most part, and made up by the decoder."""
    path = tmp_path_factory.mktemp("videos") / "spoiled.mp4"
    noise = np.random.default_rng(1).integers(0, 256, (40, 48, 64, 3), dtype=np.uint8)
    content = bytearray(Path(write_video(path, noise, options={"g": "10"})).read_bytes())
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][20]
        start, size = packet.pos, packet.size
    content[start + size // 4 : start + size] = bytes(size - size // 4)
    path.write_bytes(content)
    return str(path)


def test_frames_are_handed_on_again_from_the_start_where_damage_is_found(spoiled, monkeypatch):
    monkeypatch.setattr(video_decoding_dist, "BYTES_PER_PIECE", 48 * 64 * 3 * 4)
    starts, said = [], []
    options = {"consume": lambda start, frames: starts.append((start, len(frames))), "damaged": said.append}
    decoded = decode_video(spoiled, lambda total, fps: list(range(total)), **options)
    assert decoded.damage and "spoiled.mp4 is damaged" in said[0] and len(said) == 1
    last = len(starts) - 1 - [start for start, _ in reversed(starts)].index(0)
    assert last > 0
    assert sum(count for _, count in starts[last:]) == len(decoded.frame_indices)


# ---- options of the processor


def test_the_processor_says_damage_as_it_is_told(processor, damaged_video, monkeypatch):
    said = []
    monkeypatch.setattr(video_decoding_dist.logger, "warning", said.append)
    expected = pixels_of(processor, damaged_video)
    assert len(said) == 1 and "cut.mkv is damaged: it is cut off" in said[0]
    assert_close(pixels_of(processor, damaged_video, damaged="ignore"), expected)
    assert len(said) == 1
    with pytest.raises(VideoDecodingError, match="cut.mkv is damaged: it is cut off"):
        processor(damaged_video, damaged="error")
    with pytest.raises(ValueError, match="`damaged` must be one of error, warn, ignore, got 'repair'"):
        processor(damaged_video, damaged="repair")
    with pytest.raises(ValueError, match="a function in a call, but not of a processor"):
        DiSTVideoProcessor(damaged=said.append)


@pytest.mark.parametrize(("limits", "message"), [
    ({"frame_pixels": 48 * 64 - 1}, "a frame of 64 x 48 pixels exceeds the limit"), ({"num_frames": 39}, "more than 39 frames"),
    ({"seconds": 1e-9}, "longer than 1e-09 s"),
])  # fmt: skip
def test_limits_are_options_of_the_processor(processor, video, limits, message, tmp_path):
    with pytest.raises(VideoDecodingError, match=f"square.mp4 .*{message}"):
        processor(video, limits=limits)
    limited = DiSTVideoProcessor(num_frames=4, limits=limits)
    limited.save_pretrained(tmp_path)
    with pytest.raises(VideoDecodingError, match=message):
        DiSTVideoProcessor.from_pretrained(tmp_path)(video)


def test_limits_that_there_are_not_are_refused_with_those_that_there_are():
    with pytest.raises(
        ValueError, match="`limits` must have values for some of seconds, download_bytes, frame_pixels, num_frames"
    ):
        DiSTVideoProcessor(limits={"minutes": 1})
    with pytest.raises(ValueError, match="`seconds` must be greater than 0, got -1"):
        DiSTVideoProcessor(limits={"seconds": -1})


# ---- clips and views


def test_a_crop_drawn_before_gives_the_clip_of_all_frames(frames):
    augmentation = ClipAugmentation(32, [0.5] * 3, [0.25] * 3, flip_label_pairs=[(0, 1)], color_jitter_probability=0.5)
    clip = torch.from_numpy(frames).permute(0, 3, 1, 2)
    for seed in range(10):
        torch.manual_seed(seed)
        expected = augmentation(clip, 0)
        torch.manual_seed(seed)
        crop = augmentation.draw_crop(clip[:1])
        pixels, label = augmentation.finish(torch.cat([crop(clip[:5]), crop(clip[5:])]), 0)
        assert label == expected[1]
        assert_close(pixels, expected[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("augmented", [False, True])
def test_clips_and_views_say_what_is_damaged(processor, damaged_video, spoiled, video, augmented):
    videos = make_path_dataset([damaged_video, video, spoiled]).add_column("label", [0, 1, 2])
    augmentation = ClipAugmentation(32, [0.5] * 3, [0.25] * 3) if augmented else None
    batch = collate_clips([TrainingClips(videos, processor, augmentation)[0, index] for index in range(3)])
    assert batch["pixel_values_videos"].shape == (3, 4, 3, 32, 32) and batch["labels"].tolist() == [0, 1, 2]
    views = collate_views([EvaluationViews(videos, processor, 3, 1)[index] for index in range(3)])
    assert views["indices"] == [0, 1, 2]
    for found in (batch, views):
        assert found["unreadable"] == {}
        assert 0 in found["damaged"] and 1 not in found["damaged"] and "cut.mkv is damaged" in found["damaged"][0]
    # Three clips take frames behind the damage, which lies in the middle.
    assert "spoiled.mp4 is damaged" in views["damaged"][2]

    processor.damaged = "error"
    views = collate_views([EvaluationViews(videos, processor, 3, 1)[index] for index in range(3)])
    assert sorted(views["unreadable"]) == [0, 2] and views["damaged"] == {}
    clip = TrainingClips(videos, processor, augmentation)[0, 0]
    assert "cut.mkv is damaged" in clip["unreadable"][0] and clip["damaged"] == {}


def test_a_copy_of_a_broken_folder_of_pictures_is_replaced_in_training(processor, folder, tmp_path, video):
    path = folder([f"{number}.png" for number in range(COUNT)])
    broken = shutil.copytree(path, tmp_path / "broken")
    for picture in broken.iterdir():
        picture.write_bytes(b"")
    videos = make_path_dataset([str(path), str(broken)]).add_column("label", [0, 1])
    clips = TrainingClips(videos, processor)
    assert clips[0, 0]["unreadable"] == {}
    assert list(clips[0, 1]["unreadable"]) == [1]
