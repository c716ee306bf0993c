# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Files in any form, the readers of other libraries, and large frames give the pixels of the video, a few frames at a time."""

import gc
import io
import os
import shutil
import tempfile
import zipfile
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
from modeling_dist.video_files_dist import VideoLimits
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


def test_a_temporary_file_is_an_open_file(processor, video):
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        file.write(Path(video).read_bytes())
        file.flush()
        assert_close(pixels_of(processor, file), pixels_of(processor, video))


def test_open_files_of_other_kinds_are_files(processor, video, tmp_path):
    expected = pixels_of(processor, video)
    with zipfile.ZipFile(tmp_path / "videos.zip", "w") as archive:
        archive.write(video, "square.mp4")
    with zipfile.ZipFile(tmp_path / "videos.zip") as archive, archive.open("square.mp4") as file:
        assert_close(pixels_of(processor, file), expected)
    with open(video, "rb", buffering=0) as file:
        assert_close(pixels_of(processor, file), expected)
    file.close()
    with pytest.raises(VideoDecodingError, match="square.mp4 cannot be read: I/O operation on closed file"):
        processor(file)
    with pytest.raises(VideoDecodingError, match="is open as text"):
        processor(io.StringIO("text"))


def test_a_row_may_name_a_folder_of_pictures(same, folder):
    path = folder([f"{number}.png" for number in range(COUNT)])
    same({"path": str(path), "bytes": None})
    with pytest.raises(VideoDecodingError, match=r"of 0 bytes in memory is empty"):
        same({"path": str(path), "bytes": b""})


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


def test_readers_of_decord_may_give_tensors(processor, varied):
    decord = pytest.importorskip("decord")
    expected = pixels_of(processor, decord.VideoReader(varied))
    decord.bridge.set_bridge("torch")
    try:
        assert isinstance(decord.VideoReader(varied)[0], torch.Tensor)
        assert_close(pixels_of(processor, decord.VideoReader(varied)), expected)
    finally:
        decord.bridge.reset_bridge()


def test_readers_of_torchcodec_may_put_channels_last_and_not_know_the_frames_per_second(processor, varied):
    reader = VideoDecoder(varied)
    reader.frames = reader.frames.movedim(1, -1)
    assert_close(pixels_of(processor, reader), pixels_of(processor, varied))
    reader.metadata.average_fps = None
    options = {"frame_sampling": "dense", "frame_step": 2}
    assert_close(pixels_of(processor, reader, **options), pixels_of(processor, read_all(varied), **options))


class ShrinkingReader(VideoReader):
    """A file that is shorter each time it is read, as one that is being written over."""

    __module__ = VideoReader.__module__

    def seek(self, seconds):
        self.frames = self.frames[:-15]
        return super().seek(seconds)


def test_a_reader_with_fewer_frames_than_it_had_is_an_error(processor, varied):
    with pytest.raises(VideoDecodingError, match="has fewer frames than it says"):
        processor(ShrinkingReader(varied))


def test_a_batch_may_hold_videos_of_every_form(processor, varied, tmp_path):
    frames = read_all(varied)
    array = frames.movedim(1, -1).numpy()
    images = [Image.fromarray(frame) for frame in array]
    for number, image in enumerate(images):
        image.save(tmp_path / f"{number}.png")
    content = Path(varied).read_bytes()
    with open(varied, "rb") as file:
        videos = [
            varied, tmp_path, images, array, frames, list(frames), file, io.BytesIO(content), {"path": varied, "bytes": None},
            VideoDecoder(varied), VideoReader(varied), [array.transpose(3, 0, 1, 2)], memoryview(content), array / 255,
        ]  # fmt: skip
        batch = pixels_of(processor, videos)
    assert len(batch) == len(videos)
    assert_close(batch, batch[:1].expand_as(batch), rtol=0, atol=1e-5)


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


@pytest.mark.parametrize("convert", [
    lambda f: f > 127, lambda f: f.int() * 257, lambda f: f.half(), lambda f: f.float() / 255, lambda f: f.double() / 255,
    lambda f: f[..., 1:-2, 3:-5], lambda f: f[:, :1].expand(-1, 3, -1, -1), lambda f: f.movedim(1, -1).contiguous().movedim(-1, 1)[..., 5:, 7:],
])  # fmt: skip
@pytest.mark.parametrize("size", [(1, 1), (33, 47), (120, 100)])
def test_frames_of_any_type_and_layout_are_resized_alike(convert, size):
    frames = convert(torch.randint(0, 256, (2, 3, 145, 211), dtype=torch.uint8))
    expected = torch.nn.functional.interpolate(frames.float(), size=size, mode="bilinear", align_corners=False)
    resized = resize(frames, size, "bilinear")
    assert resized.dtype == torch.float32
    assert_close(resized, expected, rtol=1e-5, atol=float(expected.max()) * 1e-5)


def test_frames_with_more_values_than_are_converted_at_a_time_are_resized_alike():
    frames = torch.randint(0, 256, (1, 3, 2400, 2400), dtype=torch.uint8)
    assert frames.numel() > 2**24
    expected = torch.nn.functional.interpolate(frames.float(), size=(32, 57), mode="bicubic", align_corners=False)
    assert_close(resize(frames, (32, 57), "bicubic"), expected, rtol=0, atol=255e-5)


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


def test_a_large_video_in_pieces_gives_the_pixels_of_its_frames_together(tmp_path, monkeypatch):
    blocks = np.random.default_rng(0).integers(0, 256, (5, 27, 48, 3), dtype=np.uint8)
    path = write_video(tmp_path / "large.mp4", blocks.repeat(40, 1).repeat(40, 2), options={"preset": "ultrafast"})
    lengths = []
    indices = list(range(5))
    decode_video(path, lambda total, fps: indices, consume=lambda start, frames: lengths.append(len(frames)))
    assert sum(lengths) == 5 and len(lengths) > 1
    processor = DiSTVideoProcessor(num_frames=4, size=67, crop_size=64, num_clips=3, num_crops=3)
    in_pieces, together = pixels_of(processor, path), read_all(path).numpy()
    monkeypatch.setattr("modeling_dist.video_frames_dist.BYTES_PER_PIECE", 2**40)
    assert_close(in_pieces, pixels_of(processor, together), rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [1, 48 * 64 * 3 * 2])
@pytest.mark.parametrize("form", ["file", "array", "list"])
def test_clips_that_share_frames_each_get_them(processor, short_video, form, size, monkeypatch):
    every = pixels_of(processor, short_video, do_sample_frames=False, num_crops=3)[0]  # (crops, frames, …)
    frames = read_all(short_video).numpy()
    monkeypatch.setattr("modeling_dist.video_decoding_dist.BYTES_PER_PIECE", size)
    monkeypatch.setattr("modeling_dist.video_frames_dist.BYTES_PER_PIECE", size)
    video = {"file": short_video, "array": frames, "list": list(frames)}[form]
    found = processor(video, num_clips=3, num_crops=3, return_metadata=True, return_tensors="pt")
    clips = torch.tensor(found["video_metadata"][0].frames_indices).view(3, 4)
    assert len(clips.unique()) == 3 and clips[0].unique().numel() < 4
    expected = torch.cat([every[:, clip] for clip in clips])
    assert_close(found["pixel_values_videos"][0], expected, rtol=0, atol=1e-5)


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


@pytest.mark.parametrize("decoder", available_decoders())
@pytest.mark.parametrize("kind", [VideoDecodingError, TimeoutError, video_decoding_dist.DamageError, RuntimeError])
def test_an_error_of_the_one_who_takes_the_frames_is_not_taken_for_the_decoders(varied, decoder, kind):
    error, calls = kind("not the video's fault"), []

    def consume(start, frames):
        calls.append(start)
        raise error

    with pytest.raises(kind) as caught:
        decode_video(varied, lambda total, fps: [0, 5], decoder, consume=consume)
    assert caught.value is error and calls == [0]


def test_frames_are_handed_on_again_from_the_start_where_another_decoder_fails(varied, monkeypatch):
    def open_reader(reader):
        def read(indices):
            for frame in list(reader.read(indices))[:2]:
                yield 255 - frame
            raise RuntimeError("the decoder has failed")

        return read

    monkeypatch.setitem(video_decoding_dist.DECODERS, "decord", ("av", open_reader))
    monkeypatch.setattr(video_decoding_dist, "BYTES_PER_PIECE", 1)
    indices, starts, last = [3, 20, 41], [], {}

    def consume(start, frames):
        starts.append(start)
        last[start] = frames

    decoded = decode_video(varied, lambda total, fps: indices, "decord", consume=consume)
    assert decoded.decoder == "pyav" and starts == [0, 1, 0, 1, 2]
    assert torch.equal(torch.cat([last[start] for start in range(3)]), read_all(varied)[indices])


@pytest.fixture(scope="module")
def groups(tmp_path_factory):
    """A file with a keyframe at every tenth frame."""
    noise = np.random.default_rng(1).integers(0, 256, (40, 48, 64, 3), dtype=np.uint8)
    options = {"x264-params": "keyint=10:min-keyint=10:scenecut=0:bframes=0"}
    return write_video(tmp_path_factory.mktemp("videos") / "groups.mp4", noise, options=options)


def test_frames_are_given_once_where_decoding_from_a_keyframe_fails_midway(groups, monkeypatch):
    indices = [*range(20, 27)]
    expected = read_all(groups)[indices]
    calls, decode = [], video_decoding_dist.FrameReader._decode

    def fail_once(reader, packet):
        calls.append(packet)
        if len(calls) == 5:
            raise video_decoding_dist.DamageError("a reference from before the keyframe is missing")
        return decode(reader, packet)

    monkeypatch.setattr(video_decoding_dist.FrameReader, "_decode", fail_once)
    decoded = decode_video(groups, lambda total, fps: indices)
    assert decoded.damage is None
    assert torch.equal(decoded.frames, expected)


def overwrite_packet(path: str, which: int, target: Path) -> str:
    """Write a copy of a file in which most of a compressed frame is overwritten."""
    content = bytearray(Path(path).read_bytes())
    with av.open(path) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][which]
        start, size = packet.pos, packet.size
    content[start + size // 4 : start + size] = bytes(size - size // 4)
    target.write_bytes(content)
    return str(target)


def test_no_frame_is_handed_on_behind_the_last_where_one_is_damaged(groups, tmp_path, monkeypatch):
    path = overwrite_packet(groups, 26, tmp_path / "damaged.mp4")
    monkeypatch.setattr(video_decoding_dist, "BYTES_PER_PIECE", 1)
    indices, starts = [*range(20, 27)], []
    decode_video(
        path,
        lambda total, fps: indices,
        consume=lambda start, frames: starts.append(start),
        damaged=lambda message: None,
    )
    assert starts[-7:] == [*range(7)]
    assert max(starts) < len(indices)


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


@pytest.mark.parametrize("size", [1, 48 * 64 * 3 * 4, 2**24])
def test_the_last_time_frames_are_handed_on_they_are_whole(spoiled, size, monkeypatch):
    expected = decode_video(spoiled, lambda total, fps: list(range(total)), damaged="ignore")
    monkeypatch.setattr(video_decoding_dist, "BYTES_PER_PIECE", size)
    passes = []

    def consume(start, frames):
        if start == 0:
            passes.append([])
        assert start == sum(map(len, passes[-1]))
        passes[-1].append(frames.clone())

    decoded = decode_video(
        spoiled, lambda total, fps: list(range(total)), consume=consume, damaged=lambda message: None
    )
    assert decoded.frames is None and decoded.damage is not None
    assert decoded.frame_indices == expected.frame_indices == list(range(40))
    assert torch.equal(torch.cat(passes[-1]), expected.frames)


def test_a_video_with_damage_in_its_middle_gives_the_pixels_that_can_be_decoded(processor, spoiled, monkeypatch):
    options = {"num_clips": 3, "num_crops": 3}
    expected = pixels_of(processor, spoiled, damaged="ignore", **options)
    monkeypatch.setattr(video_decoding_dist, "BYTES_PER_PIECE", 48 * 64 * 3 * 2)
    said = []
    assert_close(pixels_of(processor, spoiled, damaged=said.append, **options), expected, rtol=0, atol=1e-5)
    assert len(said) == 1


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


def test_damage_and_limits_are_saved(tmp_path, damaged_video):
    limits = {"seconds": 60.0, "frame_pixels": 10_000}
    DiSTVideoProcessor(num_frames=4, damaged="error", limits=limits).save_pretrained(tmp_path)
    loaded = DiSTVideoProcessor.from_pretrained(tmp_path)
    assert loaded.damaged == "error" and loaded.limits == limits
    assert loaded.video_limits == VideoLimits(**limits)
    with pytest.raises(VideoDecodingError, match="cut.mkv is damaged"):
        loaded(damaged_video)
    assert DiSTVideoProcessor.from_pretrained(tmp_path, damaged="ignore")(damaged_video)["pixel_values_videos"]
    with pytest.raises(ValueError, match="`limits` must have values for some of"):
        DiSTVideoProcessor.from_pretrained(tmp_path, limits={"minutes": 1})


def test_each_damaged_video_of_a_batch_is_said(processor, damaged_video, video, spoiled):
    said = []
    processor([damaged_video, video, spoiled, damaged_video], num_clips=3, damaged=said.append)
    assert [message.split(" is damaged: ")[0] for message in said] == [
        f"The video {name}" for name in (damaged_video, spoiled, damaged_video)
    ]


def test_a_limit_of_a_call_is_for_this_call(processor, video):
    expected = pixels_of(processor, video)
    with pytest.raises(VideoDecodingError, match="square.mp4"):
        processor(video, limits={"num_frames": 39})
    assert_close(pixels_of(processor, video, limits={"num_frames": 40, "frame_pixels": 48 * 64}), expected)
    assert_close(pixels_of(processor, video), expected)
    with pytest.raises(ValueError, match="`limits` must have values for some of seconds"):
        processor(video, limits={"frames": 3})


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


@pytest.mark.parametrize("augmented", [False, True])
def test_clips_of_pictures_of_16_bits_are_those_of_bytes(processor, frames, tmp_path, augmented):
    augmentation = ClipAugmentation(32, [0.5] * 3, [0.25] * 3) if augmented else None
    clips = []
    for name, factor in (("bytes", np.uint8(1)), ("words", np.uint16(257))):
        (tmp_path / name).mkdir()
        for number, frame in enumerate(frames[..., 0]):
            Image.fromarray(frame * factor).save(tmp_path / name / f"{number}.png")
        videos = make_path_dataset([str(tmp_path / name)]).add_column("label", [0])
        clips.append(TrainingClips(videos, processor, augmentation)[0, 0]["pixel_values_videos"])
    assert_close(*clips, rtol=0, atol=1e-5)


@pytest.mark.parametrize("augmented", [False, True])
def test_clips_and_views_say_which_picture_is_missing(processor, folder, augmented):
    path = folder([f"{number}.png" for number in range(COUNT)])
    whole = shutil.copytree(path, path.with_name("whole"))
    (path / "5.png").unlink()
    videos = make_path_dataset([str(whole), str(path)]).add_column("label", [0, 1])
    augmentation = ClipAugmentation(32, [0.5] * 3, [0.25] * 3) if augmented else None

    def load():
        clips = collate_clips([TrainingClips(videos, processor, augmentation)[0, index] for index in range(2)])
        return clips, collate_views([EvaluationViews(videos, processor, 2, 3)[index] for index in range(2)])

    message = f"The video {path} is damaged: the picture with the number 5 is missing."
    for batch in load():
        assert batch["damaged"] == {1: message} and batch["unreadable"] == {}
    processor.damaged = "ignore"
    for batch in load():
        assert batch["damaged"] == batch["unreadable"] == {}
    processor.damaged = "error"
    for batch in load():
        assert batch["damaged"] == {} and batch["unreadable"] == {1: message}
