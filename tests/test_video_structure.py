# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Damage is said: what is cut off, inserted or overwritten, in every container, and nothing of a sound file."""

import functools
import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from modeling_dist import VideoDecodingError, video_decoding_dist
from modeling_dist.testing import moving_square
from modeling_dist.video_decoding_dist import available_decoders, decode_video
from modeling_dist.video_files_dist import VideoFile
from modeling_dist.video_structure_dist import StructureError, check_structure


# Suffix, encoder and its options, options of the container.
FORMATS = {
    "mp4": ("mp4", "libx264", {"bf": "2", "g": "12"}, {}),
    "faststart.mp4": ("mp4", "libx264", {"g": "12"}, {"movflags": "faststart"}),
    "fragmented.mp4": ("mp4", "libx264", {"g": "12"}, {"movflags": "frag_keyframe+empty_moov"}),
    "mov": ("mov", "mpeg4", {"g": "12"}, {}),
    "3gp": ("3gp", "mpeg4", {"g": "12"}, {}),
    "mkv": ("mkv", "libx264", {"bf": "2", "g": "12"}, {}),
    "live.mkv": ("mkv", "libx264", {"g": "12"}, {"live": "1"}),
    "webm": ("webm", "libvpx-vp9", {"g": "12", "deadline": "realtime", "cpu-used": "8"}, {}),
    "vp8.webm": ("webm", "libvpx", {"g": "12", "deadline": "realtime", "cpu-used": "8"}, {}),
    "avi": ("avi", "mpeg4", {"g": "12"}, {}),
    "flv": ("flv", "libx264", {"g": "12"}, {}),
    "ts": ("ts", "libx264", {"g": "12"}, {}),
    "m2ts": ("m2ts", "libx264", {"g": "12"}, {}),
    "ogv": ("ogv", "libtheora", {"g": "12"}, {}),
    "wmv": ("wmv", "wmv2", {"g": "12"}, {}),
    "mpg": ("mpg", "mpeg2video", {"g": "12"}, {}),
    "gif": ("gif", "gif", {}, {}),
}
# Those whose structure tells where they end.
KNOWN = [name for name in FORMATS if name not in ("live.mkv", "wmv", "mpg", "gif")]
FRAMES = moving_square(40)


@functools.cache
def encode(name: str, folder: str) -> bytes:
    suffix, codec, options, container_options = FORMATS[name]
    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV is built without {codec}")
    generator = np.random.default_rng(0)
    path = Path(folder, f"whole.{suffix}")
    with av.open(str(path), "w", options=container_options) as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width = FRAMES.shape[1:3]
        stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        for index, frame in enumerate(FRAMES):
            noisy = np.clip(frame + generator.integers(0, 40, frame.shape), 0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(noisy, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path.read_bytes()


@pytest.fixture
def whole(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("whole"))
    return lambda name: encode(name, folder)


@pytest.fixture
def write(tmp_path):
    def write(name: str, content: bytes) -> str:
        path = tmp_path / f"clip.{FORMATS[name][0]}"
        path.write_bytes(content)
        return str(path)

    return write


def decode_all(video, **options):
    return decode_video(video, lambda total_num_frames, fps: list(range(total_num_frames)), **options)


@pytest.mark.parametrize("name", FORMATS)
def test_a_sound_file_is_not_refused(whole, write, name):
    decoded = decode_all(write(name, whole(name)), damaged="error")
    assert decoded.total_num_frames == len(decoded.frames) == len(FRAMES)
    assert decoded.damage is None
    assert decode_all(whole(name), damaged="error").damage is None  # from memory


@pytest.mark.parametrize("name", ["mp4", "mkv", "webm", "avi", "flv", "ts"])
def test_zeros_at_the_end_are_no_damage(whole, write, name):
    check_structure(VideoFile("clip", write(name, whole(name) + bytes(4096))))


@pytest.mark.parametrize("fraction", [0.5, 0.8, 0.97])
@pytest.mark.parametrize("name", KNOWN)
def test_a_file_that_is_cut_off_is_said(whole, write, name, fraction):
    content = whole(name)
    # An odd length, because a transport stream that ends with a packet looks whole.
    path = write(name, content[: int(len(content) * fraction) | 1])
    with pytest.raises(VideoDecodingError, match="clip"):
        decode_all(path, damaged="error")


@pytest.mark.parametrize("change", ["insert", "delete"])
@pytest.mark.parametrize("name", KNOWN)
def test_bytes_too_many_or_too_few_are_said(whole, write, name, change):
    content, place = whole(name), len(whole(name)) // 2
    foreign = np.random.default_rng(1).bytes(100)
    damaged = content[:place] + (foreign + content[place:] if change == "insert" else content[place + 100 :])
    with pytest.raises(VideoDecodingError, match="clip"):
        decode_all(write(name, damaged), damaged="error")


@pytest.mark.parametrize("name", ["mp4", "fragmented.mp4", "mkv", "mov"])
def test_overwritten_frames_are_said(whole, write, name):
    content = bytearray(whole(name))
    with av.open(write(name, bytes(content))) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][20]
        start, size = packet.pos, packet.size
    content[start + size // 4 : start + size] = bytes(size - size // 4)
    with pytest.raises(VideoDecodingError, match="is damaged|frame 20 of 40 cannot be decoded"):
        decode_all(write(name, bytes(content)), damaged="error")


def test_a_checksum_of_matroska_is_checked(whole, write):
    content = bytearray(whole("mkv"))
    content[len(content) // 2] ^= 1
    with pytest.raises(StructureError, match="checksum"):
        check_structure(VideoFile("clip", write("mkv", bytes(content))))


def test_damage_is_an_error_a_warning_or_nothing(whole, write, monkeypatch):
    said = []
    monkeypatch.setattr(video_decoding_dist.logger, "warning", said.append)
    content = whole("avi")
    path = write("avi", content[: int(len(content) * 0.8)])

    with pytest.raises(VideoDecodingError, match="clip.avi is damaged: it is cut off.*--damaged warn"):
        decode_all(path, damaged="error")
    assert not said
    warned = decode_all(path)
    assert 0 < warned.total_num_frames < len(FRAMES) and "cut off" in warned.damage
    assert len(said) == 1 and "clip.avi is damaged: it is cut off" in said[0]
    ignored = decode_all(path, damaged="ignore")
    assert ignored.damage is None and len(said) == 1
    np.testing.assert_array_equal(ignored.frames, warned.frames)


def test_damage_must_be_treated_in_a_known_way():
    with pytest.raises(ValueError, match="`damaged` must be one of error, warn, ignore, got 'repair'"):
        decode_all("clip.mp4", damaged="repair")


# ---- transport streams


def packets_of(content: bytes) -> list[bytearray]:
    return [bytearray(content[place : place + 188]) for place in range(0, len(content), 188)]


def lose_a_packet(packets: list[bytearray]):
    place = next(place for place in range(len(packets) // 2, len(packets)) if packets[place][3] & 15 not in (0, 15))
    del packets[place]


def mark_an_error(packets: list[bytearray]):
    packets[len(packets) // 2][1] |= 0x80


def overwrite_a_start(packets: list[bytearray]):
    # Of a packet that begins a frame, in the stream that has most packets.
    stream = max(packets, key=lambda packet: sum(other[1:3] == packet[1:3] for other in packets))[2]
    starts = [packet for packet in packets if packet[2] == stream and packet[1] & 0x40]
    packet = starts[len(starts) // 2]
    payload = 4 + (packet[4] + 1 if packet[3] & 0x20 else 0)
    assert packet[payload : payload + 3] == b"\0\0\1"
    packet[payload + 2] = 9


@pytest.mark.parametrize(("change", "message"), [
    (lose_a_packet, "packets are missing before packet"), (mark_an_error, "marked as damaged in transmission"),
    (overwrite_a_start, "should begin a frame, and does not"),
])  # fmt: skip
@pytest.mark.parametrize("piece", [2**24, 188, 188 * 7])
def test_packets_of_a_transport_stream_are_checked(whole, write, change, message, piece, monkeypatch):
    monkeypatch.setattr("modeling_dist.video_structure_dist.TS_PIECE", piece)
    check_structure(VideoFile("clip", write("ts", whole("ts"))))
    packets = packets_of(whole("ts"))
    change(packets)
    with pytest.raises(VideoDecodingError, match=message):
        decode_all(write("ts", b"".join(packets)), damaged="error")


def test_recordings_that_were_appended_to_each_other_are_sound(whole, write):
    decoded = decode_all(write("ts", whole("ts") * 2), damaged="error")
    assert decoded.total_num_frames == 2 * len(FRAMES)


# ---- within frames


@pytest.mark.parametrize("name", ["webm", "mp4", "mov"])
def test_a_wrong_bit_in_a_frame_is_said(whole, write, name):
    content = bytearray(whole(name))
    with av.open(write(name, bytes(content))) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][24]  # a keyframe
        start, size = packet.pos, packet.size
    found = content.find(bytes(packet), start)  # in Matroska, the position is that of the block
    for place in range(found + size // 3, found + size - 8, size // 8):
        content[place] ^= 0x10
    for decoder in available_decoders():
        with pytest.raises(VideoDecodingError, match="is damaged|cannot be decoded"):
            decode_all(write(name, bytes(content)), decoder=decoder, damaged="error")
        assert decode_all(write(name, bytes(content)), decoder=decoder, damaged="ignore").damage is None


def test_decoders_that_notice_no_damage_step_aside_where_it_matters(whole, write):
    if "decord" not in available_decoders():
        pytest.skip("decord is not installed")
    path = write("mp4", whole("mp4"))
    assert decode_all(path, decoder="decord").decoder == "decord"
    assert decode_all(path, decoder="decord", damaged="error").decoder == "pyav"
    content = whole("webm")
    cut = write("webm", content[: len(content) * 3 // 4])
    assert decode_all(cut, decoder="decord").decoder == "pyav"


# ---- cut without encoding again

OPEN_GROUPS = {
    "h264": ("libx264", {"x264-params": "keyint=12:min-keyint=12:scenecut=0:bframes=3:b-adapt=0:open-gop=1"}),
    "hevc": ("libx265", {"x265-params": "log-level=none:pools=1:keyint=12:min-keyint=12:bframes=3:b-adapt=0:open-gop=1"}),
    "mpeg2": ("mpeg2video", {"g": "12", "bf": "2"}),
}  # fmt: skip


def cut_at_keyframe(path: Path, source: bytes, which: int) -> int:
    """Copy a video from one of its keyframes on, as `ffmpeg -ss … -c copy` does, and return the number of packets."""
    with av.open(io.BytesIO(source)) as container, av.open(str(path), "w") as output:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        first = [place for place, packet in enumerate(packets) if packet.is_keyframe][which]
        copy = output.add_stream_from_template(stream)
        start = min(packet.dts for packet in packets[first:])
        for packet in packets[first:]:
            packet.pts, packet.dts, packet.stream = packet.pts - start, packet.dts - start, copy
            output.mux(packet)
    return len(packets) - first


# In a transport stream, FFmpeg writes the parameters of H.264 before no other keyframe than the first of a closed group.
@pytest.mark.parametrize(
    ("codec", "suffix"),
    [(codec, suffix) for codec in OPEN_GROUPS for suffix in ("mkv", "mp4", "mov", "ts") if codec + suffix != "h264ts"],
)
def test_a_video_that_was_cut_without_encoding_again_is_sound(codec, suffix, tmp_path):
    """What is shown before its first keyframe cannot be decoded, and is not counted."""
    encoder, options = OPEN_GROUPS[codec]
    if encoder not in av.codecs_available:
        pytest.skip(f"this PyAV is built without {encoder}")
    whole = io.BytesIO()
    with av.open(whole, "w", format="mp4") as container:
        stream = container.add_stream(encoder, rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = *FRAMES.shape[1:3], "yuv420p"
        for frame in FRAMES:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    expected = decode_all(whole.getvalue()).frames

    path = tmp_path / f"cut.{suffix}"
    num_packets = cut_at_keyframe(path, whole.getvalue(), 1)
    for decoder in available_decoders():
        decoded = decode_all(path, decoder=decoder, damaged="error")
        count = decoded.total_num_frames
        assert num_packets - 3 <= count <= num_packets
        np.testing.assert_array_equal(decoded.frames, expected[-count:])
        for index in (0, 5, count - 1):
            one = decode_video(path, lambda total, fps, index=index: [index], decoder, damaged="error")
            np.testing.assert_array_equal(one.frames[0], expected[index - count])
