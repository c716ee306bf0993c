# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Every decoder gives exactly the frames that were asked for, or an error that names the video."""

import functools
import struct
import threading
from fractions import Fraction
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import huggingface_hub
import numpy as np
import pytest
import torch

from modeling_dist import VideoDecodingError
from modeling_dist.testing import write_video
from modeling_dist.video_decoding_dist import DECODERS, FrameReader, available_decoders, decode_video


decoders = pytest.mark.parametrize("decoder", available_decoders())

# What can go wrong when a single frame is looked for: B-frames change the order, keyframes are where decoding can start.
GROUPS_WITH_B_FRAMES = {"g": "12", "bf": "3"}
# Of these files, every decoder gives every frame.
PLAIN_FILES = {
    "defaults.mp4": {},
    "groups.mp4": {"options": GROUPS_WITH_B_FRAMES},
    "groups.mov": {"options": GROUPS_WITH_B_FRAMES},
    "groups.mkv": {"options": GROUPS_WITH_B_FRAMES},
    "only_keyframes.mp4": {"options": {"g": "1"}},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"g": "12", "deadline": "realtime", "cpu-used": "8"}},
    "late.mp4": {"options": GROUPS_WITH_B_FRAMES, "first_time": 40},
}
# In these, decord or torchcodec find other frames than those asked for, or none; "auto" has to find the right ones.
DIFFICULT_FILES = {
    "open_groups.mp4": {"options": {**GROUPS_WITH_B_FRAMES, "x264-params": "open-gop=1"}},
    "open_groups.mkv": {"codec": "mpeg4", "options": {"g": "12", "bf": "2"}},
    "fragments.mp4": {
        "codec": "mpeg4",
        "options": {"g": "5", "bf": "2"},
        "container_options": {"movflags": "frag_keyframe+empty_moov"},
    },
    "mpeg4.avi": {"codec": "mpeg4"},
    "b_frames.avi": {"codec": "mpeg4", "options": {"g": "12", "bf": "2"}},
    "h264.avi": {"options": GROUPS_WITH_B_FRAMES},
    "transport_stream.ts": {"options": GROUPS_WITH_B_FRAMES},
    "program_stream.mpg": {"codec": "mpeg2video", "options": {"g": "12", "bf": "2"}},
    "no_container.h264": {"options": GROUPS_WITH_B_FRAMES},
}
REQUESTS = {
    "first": [0],
    "last": [59],
    "scattered": [5, 11, 12, 13, 24, 37, 58],
    "unsorted_and_repeated": [47, 2, 2, 31, 47, 30],
    "all": list(range(60)),
}


def numbered_frames(num_frames: int = 60, height: int = 64, width: int = 96) -> np.ndarray:
    """Frames that show their index as eight bars, bright for 1: they can still be read after lossy compression."""
    bits = np.arange(num_frames)[:, None] >> np.arange(8) & 1
    bars = np.repeat(bits * 200 + 25, width // 8, axis=1).astype(np.uint8)
    return np.broadcast_to(bars[:, None, :, None], (num_frames, height, width, 3)).copy()


def numbers_on(frames: torch.Tensor) -> list[int]:
    """The inverse of `numbered_frames`, for `(frames, 3, height, width)`."""
    bars = frames.float().mean(dim=(1, 2)).unflatten(-1, (8, -1))[..., 2:-2].mean(-1)
    return ((bars > 125).long() * 2 ** torch.arange(8)).sum(-1).tolist()


def encode(path, frames, codec="libx264", options=None, container_options=None, first_time=0, pix_fmt="yuv420p"):
    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV is built without {codec}")
    with av.open(str(path), mode="w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = Fraction(1, 25)
        for index, frame in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(frame, format="rgb24")
            frame.pts, frame.time_base = first_time + index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return str(path)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """From a name in the tables above to the file, which is encoded once."""
    folder = tmp_path_factory.mktemp("videos")

    @functools.cache
    def file(name: str) -> str:
        return encode(folder / name, numbered_frames(), **{**PLAIN_FILES, **DIFFICULT_FILES}[name])

    return file


def decode(video, indices, decoder="auto"):
    return decode_video(video, lambda total_num_frames, fps: indices, decoder=decoder)


def decode_all(video, decoder="auto"):
    return decode_video(video, lambda total_num_frames, fps: list(range(total_num_frames)), decoder=decoder)


@decoders
@pytest.mark.parametrize("request_name", REQUESTS)
@pytest.mark.parametrize("name", PLAIN_FILES)
def test_the_frames_asked_for_are_the_frames_given(files, name, request_name, decoder):
    indices = REQUESTS[request_name]
    decoded = decode(files(name), indices, decoder)
    assert numbers_on(decoded.frames) == sorted(set(indices))
    assert decoded.frame_indices == sorted(set(indices))
    assert decoded.total_num_frames == 60
    assert decoded.decoder == decoder and decoded.damage is None


@pytest.mark.parametrize("decoder", ["auto", "pyav"])
@pytest.mark.parametrize("request_name", REQUESTS)
@pytest.mark.parametrize("name", DIFFICULT_FILES)
def test_the_frames_asked_for_are_given_where_order_and_times_are_difficult(files, name, request_name, decoder):
    indices = REQUESTS[request_name]
    decoded = decode(files(name), indices, decoder)
    assert numbers_on(decoded.frames) == sorted(set(indices))
    assert decoded.total_num_frames == 60


@decoders
@pytest.mark.parametrize("name", DIFFICULT_FILES)
def test_a_decoder_steps_aside_rather_than_give_other_frames(files, name, decoder):
    for indices in REQUESTS.values():
        decoded = decode(files(name), indices, decoder)
        assert numbers_on(decoded.frames) == sorted(set(indices))


@decoders
@pytest.mark.parametrize("name", PLAIN_FILES)
def test_decoders_agree_bit_for_bit_on_content_with_detail(tmp_path, name, decoder):
    noise = np.random.default_rng(0).integers(0, 256, (60, 8, 12, 3), dtype=np.uint8).repeat(8, 1).repeat(8, 2)
    file = encode(tmp_path / name, noise, **PLAIN_FILES[name])
    indices = [0, 11, 12, 30, 59]
    torch.testing.assert_close(
        decode(file, indices, decoder).frames, decode(file, indices, "pyav").frames, rtol=0, atol=0
    )


@decoders
def test_decoded_frames_look_like_the_encoded_ones(tmp_path, decoder):
    frames = np.zeros((4, 64, 96, 3), dtype=np.uint8)
    frames[..., :32, 0], frames[..., 32:64, 1], frames[..., 64:, 2] = 200, 150, 250
    decoded = decode_all(write_video(tmp_path / "colors.mp4", frames), decoder)
    assert decoded.frames.dtype == torch.uint8
    expected = torch.from_numpy(frames).permute(0, 3, 1, 2)
    # Chroma is stored at half the resolution, so the borders between colors are left out.
    inner = (..., [*range(4, 28), *range(36, 60), *range(68, 92)])
    torch.testing.assert_close(decoded.frames[inner].float(), expected[inner].float(), rtol=0, atol=6)


@decoders
def test_number_of_frames_and_frames_per_second_reach_the_one_who_chooses(tmp_path, decoder):
    file = write_video(tmp_path / "slow.mp4", numbered_frames(7), fps=12)
    seen = []
    decoded = decode_video(file, lambda *told: seen.append(told) or [6], decoder=decoder)
    assert seen == [(7, 12.0)]
    assert (decoded.total_num_frames, decoded.fps) == (7, 12.0)


@decoders
def test_a_video_of_three_frames(tmp_path, decoder):
    file = write_video(tmp_path / "three.mp4", numbered_frames(3))
    decoded = decode(file, [0, 0, 0, 1, 1, 1, 2, 2, 2], decoder)
    assert numbers_on(decoded.frames) == decoded.frame_indices == [0, 1, 2]


def patch_box(content: bytes, box: bytes, offset: int, layout: str, *values) -> bytes:
    """Overwrites numbers of an mp4's box, `offset` bytes behind its name."""
    start = content.index(box) + len(box) + offset
    packed = struct.pack(layout, *values)
    return content[:start] + packed + content[start + len(packed) :]


@decoders
@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_rotated_videos_are_given_upright(tmp_path, turn, decoder):
    frames = np.full((3, 64, 96, 3), 30, dtype=np.uint8)
    frames[:, :32, :32, 0] = 220  # red at the top left
    content = Path(encode(tmp_path / "lying.mp4", frames)).read_bytes()
    cosine, sine = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[turn]
    matrix = [value << 16 for value in (cosine, sine, 0, -sine, cosine, 0, 0, 0)] + [1 << 30]
    path = tmp_path / f"turned_by_{turn}.mp4"
    path.write_bytes(patch_box(content, b"tkhd", 40, ">9i", *matrix))

    decoded = decode_all(str(path), decoder).frames
    upright = decode_all(str(tmp_path / "lying.mp4"), decoder).frames.rot90(-turn // 90, dims=(2, 3))
    torch.testing.assert_close(decoded, upright, rtol=0, atol=0)
    # Clockwise by the angle: from the top left to the top right, the bottom right and the bottom left.
    top, left = {0: (16, 16), 90: (16, -16), 180: (-16, -16), 270: (-16, 16)}[turn]
    assert decoded[0, 0, top, left] > 180


@pytest.fixture
def trimmed(tmp_path):
    """As `ffmpeg -ss` does without re-encoding: the file holds 40 frames, and tells players to start at the 16th."""
    whole = encode(tmp_path / "whole.mp4", numbered_frames(40), options={"bf": "2", "g": "100"})
    with av.open(whole) as container:
        ticks_per_frame = round(1 / 25 / container.streams.video[0].time_base)
    content = Path(whole).read_bytes()
    (media_time,) = struct.unpack_from(">i", content, content.index(b"elst") + 16)
    path = tmp_path / "trimmed.mp4"
    path.write_bytes(patch_box(content, b"elst", 12, ">i", media_time + 15 * ticks_per_frame))
    return path


@pytest.mark.parametrize("decoder", ["auto", "pyav"])
def test_frames_that_an_edit_list_cuts_away_do_not_count(trimmed, decoder):
    decoded = decode_all(trimmed, decoder)
    assert decoded.total_num_frames == 25
    assert numbers_on(decoded.frames) == list(range(15, 40))
    assert numbers_on(decode(trimmed, [0, 7, 24], decoder).frames) == [15, 22, 39]


def test_decord_steps_aside_where_it_would_count_frames_that_are_cut_away(trimmed):
    if "decord" not in available_decoders():
        pytest.skip("decord is not installed")
    decoded = decode_all(trimmed, "decord")
    assert decoded.decoder == "pyav" and numbers_on(decoded.frames) == list(range(15, 40))


@decoders
def test_sound_beside_the_picture_does_not_matter(tmp_path, decoder):
    path = tmp_path / "with_sound.mp4"
    with av.open(str(path), mode="w") as container:
        sound = container.add_stream("aac", rate=16000)
        picture = container.add_stream("libx264", rate=25)
        picture.height, picture.width, picture.pix_fmt = 64, 96, "yuv420p"
        for frame in numbered_frames(10):
            samples = av.AudioFrame.from_ndarray(np.zeros((1, 640), dtype=np.float32), format="fltp", layout="mono")
            samples.rate = 16000
            container.mux(sound.encode(samples))
            container.mux(picture.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(sound.encode())
        container.mux(picture.encode())
    assert numbers_on(decode(str(path), [1, 9], decoder).frames) == [1, 9]


@decoders
def test_a_path_a_path_object_and_bytes_give_the_same(files, decoder):
    file = files("groups.mp4")
    expected = decode(file, [3, 40], decoder).frames
    for same in (Path(file), Path(file).read_bytes()):
        torch.testing.assert_close(decode(same, [3, 40], decoder).frames, expected, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["groups.mp4", "b_frames.avi"])
def test_only_the_chosen_frames_are_converted(files, name, monkeypatch):
    converted = []
    upright = FrameReader._upright
    monkeypatch.setattr(FrameReader, "_upright", lambda self, frame: converted.append(frame) or upright(self, frame))
    decode(files(name), [41, 7, 7], "pyav")
    assert len(converted) == 2


def test_a_decoder_is_asked_for_each_chosen_frame_once_and_in_order(files, monkeypatch):
    asked = []

    def spy(reader):
        read = DECODERS["pyav"][1](reader)
        return lambda indices: asked.append(indices) or read(indices)

    monkeypatch.setitem(DECODERS, "decord", ("av", spy))
    decode(files("groups.mp4"), [41, 7, 7, 3], "decord")
    assert asked == [[3, 7, 41]]


# What cannot be read


def write_truncated_mp4(folder: Path) -> Path:
    content = Path(encode(folder / "whole.mp4", numbered_frames())).read_bytes()
    path = folder / "index_missing.mp4"  # it stands at the end of the file
    path.write_bytes(content[: len(content) // 2])
    return path


def write_truncated_mp4_with_index(folder: Path) -> Path:
    frames = np.random.default_rng(0).integers(0, 256, (40, 64, 96, 3), dtype=np.uint8)
    whole = encode(folder / "whole.mp4", frames, container_options={"movflags": "faststart"})
    path = folder / "half.mp4"
    path.write_bytes(Path(whole).read_bytes()[: Path(whole).stat().st_size // 2])
    return path


def write_damaged_mp4(folder: Path) -> Path:
    whole = encode(folder / "whole.mp4", numbered_frames())
    with av.open(whole) as container:
        start, size = next((packet.pos, packet.size) for packet in container.demux(video=0))
    content = bytearray(Path(whole).read_bytes())
    content[start : start + size] = b"\xff" * size
    path = folder / "damaged.mp4"
    path.write_bytes(content)
    return path


def write_sound_only(folder: Path) -> Path:
    path = folder / "sound.mp4"
    with av.open(str(path), mode="w") as container:
        stream = container.add_stream("aac", rate=16000)
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 8000), dtype=np.float32), format="fltp", layout="mono")
        samples.rate = 16000
        container.mux(stream.encode(samples))
        container.mux(stream.encode())
    return path


def write_empty(folder: Path) -> Path:
    path = folder / "empty.mp4"
    path.touch()
    return path


def write_text(folder: Path) -> Path:
    path = folder / "text.mp4"
    path.write_text("This is no video. " * 100)
    return path


def write_folder(folder: Path) -> Path:
    path = folder / "folder.mp4"
    path.mkdir()
    return path


def write_nothing(folder: Path) -> Path:
    return folder / "missing.mp4"


UNREADABLE = [
    write_truncated_mp4,
    write_truncated_mp4_with_index,
    write_damaged_mp4,
    write_sound_only,
    write_empty,
    write_text,
    write_folder,
    write_nothing,
]


@pytest.mark.parametrize("decoder", ["auto", *available_decoders()])
@pytest.mark.parametrize("write", UNREADABLE)
def test_what_cannot_be_read_is_an_os_error_that_names_the_file(tmp_path, write, decoder):
    path = write(tmp_path)
    with pytest.raises(VideoDecodingError, match=path.name) as error:
        decode(path, [0], decoder)
    assert isinstance(error.value, OSError)


@pytest.mark.parametrize("decoder", ["auto", *available_decoders()])
@pytest.mark.parametrize("content", [b"", b"not a video" * 50])
def test_bytes_that_are_no_video_are_an_error(content, decoder):
    with pytest.raises(VideoDecodingError, match="bytes"):
        decode(content, [0], decoder)


@decoders
@pytest.mark.parametrize("fraction", [0.3, 0.6, 0.9])
def test_of_a_truncated_mkv_every_frame_that_is_given_is_the_right_one(tmp_path, fraction, decoder):
    frames = numbered_frames()
    frames[:, 16:48] += np.random.default_rng(0).integers(0, 20, (60, 32, 96, 3), dtype=np.uint8)
    content = Path(encode(tmp_path / "whole.mkv", frames, options={"bf": "0"})).read_bytes()
    path = tmp_path / "part.mkv"
    path.write_bytes(content[: int(len(content) * fraction)])
    decoded = decode_all(str(path), decoder)
    assert 0 < decoded.total_num_frames < 60
    assert numbers_on(decoded.frames) == list(range(decoded.total_num_frames))


def test_a_frame_beyond_the_end_is_an_error(files):
    for decoder in available_decoders():
        with pytest.raises(VideoDecodingError, match="groups.mp4"):
            decode(files("groups.mp4"), [3, 60], decoder)


# Addresses


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def online(monkeypatch):
    """Lets huggingface_hub's session reach this machine, and no proxy stand in between."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    huggingface_hub.close_session()
    yield
    huggingface_hub.close_session()


@pytest.fixture
def address(files, online):
    """Of the folder with the files, served on this machine."""
    folder = str(Path(files("groups.mp4")).parent)
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(QuietHandler, directory=folder))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@decoders
def test_a_url_gives_what_the_file_behind_it_gives(files, address, decoder):
    decoded = decode(f"{address}/groups.mp4", [3, 40], decoder)
    torch.testing.assert_close(decoded.frames, decode(files("groups.mp4"), [3, 40], decoder).frames, rtol=0, atol=0)


def test_a_url_that_does_not_exist_is_an_error_that_names_it(address):
    with pytest.raises(VideoDecodingError, match=f"{address}/missing.mp4.*404"):
        decode(f"{address}/missing.mp4", [0])


def test_a_server_that_does_not_answer_is_an_error_that_names_the_url(online):
    with pytest.raises(VideoDecodingError, match="http://127.0.0.1:1/a.mp4.*refused"):
        decode("http://127.0.0.1:1/a.mp4", [0])


# Which decoder


def fail(*args):
    raise RuntimeError("this decoder is out of order")


def test_auto_is_pyav_which_gives_the_right_frames_of_any_file(files, monkeypatch):
    monkeypatch.setitem(DECODERS, "decord", ("av", fail))
    monkeypatch.setitem(DECODERS, "torchcodec", ("av", fail))
    decoded = decode(files("groups.mp4"), [5])
    assert decoded.decoder == available_decoders()[0] == "pyav"
    assert numbers_on(decoded.frames) == [5]


def fail_later(reader):
    def read(indices):
        yield next(reader.read(indices[:1]))
        raise RuntimeError("this decoder has lost its way")

    return read


@pytest.mark.parametrize("failing", [fail, fail_later])
def test_a_decoder_that_fails_leaves_the_file_to_pyav(files, monkeypatch, failing):
    monkeypatch.setitem(DECODERS, "decord", ("av", failing))
    decoded = decode(files("groups.mp4"), [5, 40], "decord")
    assert decoded.decoder == "pyav"
    assert numbers_on(decoded.frames) == [5, 40]


@decoders
def test_the_error_gives_the_reason(tmp_path, decoder):
    with pytest.raises(VideoDecodingError, match="text.mp4 .*truncated: it is a text file"):
        decode(write_text(tmp_path), [0], decoder)


def test_without_any_decoder_the_error_says_what_to_install(files, monkeypatch):
    for name, (_, reader) in list(DECODERS.items()):
        monkeypatch.setitem(DECODERS, name, ("a_module_that_is_not_there", reader))
    assert available_decoders() == []
    with pytest.raises(ImportError) as error:
        decode(files("groups.mp4"), [0])
    for hint in ("pip install av", "pip install decord", "pip install torchcodec"):
        assert hint in str(error.value)


def test_a_missing_decoder_that_was_asked_for_is_an_import_error_that_names_it(files, monkeypatch):
    monkeypatch.setitem(DECODERS, "decord", ("a_module_that_is_not_there", fail))
    with pytest.raises(ImportError, match="(?s)decord.*pip install decord"):
        decode(files("groups.mp4"), [0], "decord")
    assert decode(files("groups.mp4"), [0], "auto").decoder != "decord"


def test_a_module_that_is_there_and_does_not_load_counts_as_missing(tmp_path, monkeypatch):
    (tmp_path / "torchcodec_without_ffmpeg.py").write_text("raise RuntimeError('Could not load libtorchcodec')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(DECODERS, "torchcodec", ("torchcodec_without_ffmpeg", fail))
    assert "torchcodec" not in available_decoders()


def test_an_unknown_decoder_is_an_error_that_names_the_known_ones(files):
    with pytest.raises(ValueError, match='"auto" or one of pyav, decord, torchcodec, got "opencv"'):
        decode(files("groups.mp4"), [0], "opencv")


def test_an_error_in_the_choice_of_frames_is_not_taken_for_the_videos_fault(files):
    def choose_frames(total_num_frames, fps):
        raise KeyError("a mistake in the caller's code")

    with pytest.raises(KeyError, match="a mistake in the caller's code"):
        decode_video(files("groups.mp4"), choose_frames)
