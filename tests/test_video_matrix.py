# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Sound files of every container and codec give their frames: by their numbers, as they are shown, without a word about damage."""

import contextlib
import functools
import io
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from modeling_dist import VideoDecodingError
from modeling_dist.video_decoding_dist import available_decoders, decode_video


decoders = pytest.mark.parametrize("decoder", [name for name in available_decoders() if name != "torchcodec"])

COUNT, HEIGHT, WIDTH = 30, 64, 96
# What other libraries get wrong: frames before a seek, at both sides of keyframes, and the last ones.
SCATTERED = [0, 1, 11, 13, 17, 24, 29]
# Mean absolute difference of what lossy coding leaves; one wrong bit of a frame's number makes 12.
TOLERANCE = 8

# Codec: encoder, its options, and how pictures are stored.
GROUPS = {"g": "12", "bf": "0"}
B_FRAMES = {"g": "12", "bf": "3"}
QUICK_VPX = {"g": "12", "deadline": "realtime", "cpu-used": "8", "b": "1M"}
ALT_REF = {"g": "12", "auto-alt-ref": "1", "lag-in-frames": "10", "deadline": "good", "cpu-used": "5", "b": "1M"}
QUICK_AV1 = {"g": "12", "preset": "10", "svtav1-params": "lp=1"}
QUIET_X265 = "log-level=none:pools=1:frame-threads=1"
CODECS = {
    "h264": ("libx264", GROUPS, "yuv420p"),
    "h264_b_frames": ("libx264", {**B_FRAMES, "x264-params": "b-pyramid=normal:b-adapt=0"}, "yuv420p"),
    "h264_open_groups": ("libx264", {**B_FRAMES, "x264-params": "open-gop=1:b-adapt=0"}, "yuv420p"),
    "h264_intra": ("libx264", {"g": "1"}, "yuv420p"),
    "h264_one_keyframe": ("libx264", {"g": "1000", "bf": "2"}, "yuv420p"),
    "h264_intra_refresh": ("libx264", {"g": "12", "x264-params": "intra-refresh=1"}, "yuv420p"),
    "h264_interlaced": ("libx264", {**B_FRAMES, "x264-params": "interlaced=1"}, "yuv420p"),
    "h264_slices": ("libx264", {**B_FRAMES, "x264-params": "slices=4"}, "yuv420p"),
    "h264_16_b_frames": ("libx264", {"g": "99", "bf": "16", "x264-params": "b-adapt=0:b-pyramid=strict"}, "yuv420p"),
    "h264_10_bits": ("libx264", B_FRAMES, "yuv420p10le"),
    "h264_444": ("libx264", B_FRAMES, "yuv444p"),
    "h264_rgb": ("libx264rgb", B_FRAMES, "rgb24"),
    "h264_gray": ("libx264", {**B_FRAMES, "x264-params": "fullrange=on"}, "gray"),
    "h264_full_range": ("libx264", B_FRAMES, "yuvj420p"),
    "hevc": ("libx265", {"x265-params": f"{QUIET_X265}:keyint=12:bframes=3:open-gop=0"}, "yuv420p"),
    "hevc_open_groups": ("libx265", {"x265-params": f"{QUIET_X265}:keyint=12:bframes=3:open-gop=1"}, "yuv420p"),
    "hevc_layers": ("libx265", {"x265-params": f"{QUIET_X265}:keyint=12:bframes=3:temporal-layers=3"}, "yuv420p"),
    "hevc_pyramid": ("libx265", {"x265-params": f"{QUIET_X265}:keyint=12:bframes=7:b-adapt=0:b-pyramid=1"}, "yuv420p"),
    "hevc_10_bits": ("libx265", {"x265-params": f"{QUIET_X265}:keyint=12:bframes=3"}, "yuv420p10le"),
    "vp8": ("libvpx", QUICK_VPX, "yuv420p"),
    "vp8_alt_ref": ("libvpx", ALT_REF, "yuv420p"),
    "vp9": ("libvpx-vp9", QUICK_VPX, "yuv420p"),
    "vp9_alt_ref": ("libvpx-vp9", ALT_REF, "yuv420p"),
    "vp9_444": ("libvpx-vp9", QUICK_VPX, "yuv444p"),
    "vp9_alpha": ("libvpx-vp9", {**QUICK_VPX, "auto-alt-ref": "0"}, "yuva420p"),
    "av1": ("libsvtav1", QUICK_AV1, "yuv420p"),
    "av1_10_bits": ("libsvtav1", QUICK_AV1, "yuv420p10le"),
    "mpeg4": ("mpeg4", {"g": "12", "qscale": "3"}, "yuv420p"),
    "mpeg4_b_frames": ("mpeg4", {"g": "12", "bf": "2"}, "yuv420p"),
    "mpeg2": ("mpeg2video", {"g": "12", "bf": "2"}, "yuv420p"),
    "mpeg2_interlaced": ("mpeg2video", {"g": "12", "bf": "2", "flags": "+ilme+ildct"}, "yuv420p"),
    "mpeg1": ("mpeg1video", {"g": "12", "bf": "2"}, "yuv420p"),
    "flv1": ("flv", {"g": "12"}, "yuv420p"),
    "msmpeg4v3": ("msmpeg4", {"g": "12"}, "yuv420p"),
    "wmv1": ("wmv1", {"g": "12"}, "yuv420p"),
    "wmv2": ("wmv2", {"g": "12"}, "yuv420p"),
    "mjpeg": ("mjpeg", {}, "yuvj420p"),
    "prores": ("prores", {}, "yuv422p10le"),
    "prores_alpha": ("prores_ks", {"profile": "4444"}, "yuva444p10le"),
    "ffv1": ("ffv1", {"g": "12"}, "yuv420p"),
    "huffyuv": ("huffyuv", {}, "yuv422p"),
    "png": ("png", {}, "rgb24"),
    "png_alpha": ("png", {}, "rgba"),
    "raw": ("rawvideo", {}, "yuyv422"),
    "theora": ("libtheora", {"g": "12"}, "yuv420p"),
    "gif": ("gif", {}, "rgb8"),
    "apng": ("apng", {}, "rgb24"),
    "rv10": ("rv10", {"g": "12"}, "yuv420p"),
    "rv20": ("rv20", {"g": "12"}, "yuv420p"),
}
# Container: FFmpeg's name of it, its options, and the codecs that are tried in it.
OF_H264 = (
    "h264 h264_b_frames h264_open_groups h264_intra h264_one_keyframe h264_intra_refresh h264_interlaced h264_slices"
)
OF_PIXELS = "h264_10_bits h264_444 h264_rgb h264_gray h264_full_range hevc_10_bits"
OF_HEVC = "hevc hevc_open_groups hevc_layers hevc_pyramid"
OF_MP4 = f"{OF_H264} {OF_PIXELS} {OF_HEVC} h264_16_b_frames vp9 vp9_alt_ref av1 mpeg4 mpeg4_b_frames mpeg2 mjpeg"
CONTAINERS = {
    "mp4": ("mp4", {}, f"{OF_MP4} png"),
    "faststart.mp4": ("mp4", {"movflags": "faststart"}, "h264_b_frames hevc mpeg4"),
    "no_edits.mp4": ("mp4", {"use_editlist": "0"}, "h264_b_frames hevc"),
    "fragmented.mp4": (
        "mp4",
        {"movflags": "frag_keyframe+empty_moov"},
        "h264_b_frames h264_open_groups hevc vp9 av1 mpeg4_b_frames",
    ),
    "dash.mp4": ("mp4", {"movflags": "dash"}, "h264_b_frames hevc"),
    "mov": ("mov", {}, "h264_b_frames hevc mpeg4 mjpeg prores prores_alpha png png_alpha raw"),
    "3gp": ("3gp", {}, "h264_b_frames mpeg4"),
    "mkv": ("matroska", {}, f"{OF_MP4} vp8 ffv1 mpeg1 msmpeg4v3 prores raw theora"),
    "clusters.mkv": ("matroska", {"cluster_time_limit": "200", "cues_to_front": "1"}, "h264_b_frames"),
    "live.mkv": ("matroska", {"live": "1"}, "h264_b_frames vp9"),
    "webm": ("webm", {}, "vp8 vp8_alt_ref vp9 vp9_alt_ref vp9_444 vp9_alpha av1 av1_10_bits"),
    "avi": (
        "avi",
        {},
        "h264 h264_b_frames mpeg4 mpeg4_b_frames mpeg2 mjpeg msmpeg4v3 wmv2 ffv1 huffyuv raw flv1 vp8 vp9",
    ),
    "ts": (
        "mpegts",
        {},
        "h264 h264_b_frames h264_open_groups h264_interlaced h264_16_b_frames hevc hevc_open_groups mpeg1 mpeg2 "
        "mpeg2_interlaced mpeg4",
    ),
    "m2ts": ("mpegts", {"mpegts_m2ts_mode": "1"}, "h264_b_frames hevc"),
    "mpg": ("mpeg", {}, "mpeg1 mpeg2 mpeg2_interlaced"),
    "vob": ("vob", {}, "mpeg2 h264_b_frames"),
    "flv": ("flv", {}, "flv1 h264 h264_b_frames hevc av1"),
    "wmv": ("asf", {}, "wmv1 wmv2 msmpeg4v3 h264 mpeg4"),
    "ogv": ("ogg", {}, "theora vp8"),
    "nut": ("nut", {}, "h264_b_frames mpeg4_b_frames hevc vp9 ffv1 raw"),
    "mxf": ("mxf", {}, "mpeg2 h264_b_frames prores"),
    "gif": ("gif", {}, "gif"),
    "apng": ("apng", {}, "apng"),
    "ivf": ("ivf", {}, "vp8 vp9 vp9_alt_ref av1"),
    "rm": ("rm", {}, "rv10 rv20"),
    "h264": ("h264", {}, "h264 h264_b_frames h264_open_groups h264_interlaced"),
    "hevc": ("hevc", {}, "hevc hevc_open_groups"),
    "m4v": ("m4v", {}, "mpeg4 mpeg4_b_frames"),
    "m2v": ("mpeg2video", {}, "mpeg2"),
    "mjpeg": ("mjpeg", {}, "mjpeg"),
    "obu": ("obu", {}, "av1"),
}
CELLS = [(codec, container) for container, (_, _, codecs) in CONTAINERS.items() for codec in codecs.split()]


@functools.cache
def draw(count: int = COUNT, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Pictures with their number in six bright or dark blocks, and a corner of each color: `(count, height, width, 3)`."""
    pictures = np.full((count, height, width, 3), 60, np.uint8)
    rows, columns = np.arange(height) * 4 // height, np.arange(width) * 8 // width
    for row, column, color in (
        (0, 0, (220, 30, 30)),
        (0, 6, (30, 200, 30)),
        (3, 0, (30, 30, 220)),
        (3, 6, (230, 230, 30)),
    ):
        pictures[:, (rows == row)[:, None] & (columns // 2 == column // 2)] = color
    for number, picture in enumerate(pictures):
        for bit in range(6):
            inside = ((rows == 1) | (rows == 2))[:, None] & (columns == bit + 1)
            picture[inside] = 230 if number >> bit & 1 else 25
    pictures.setflags(write=False)
    return pictures


def gray(pictures: np.ndarray) -> np.ndarray:
    return (pictures @ (0.299, 0.587, 0.114)).round().astype(np.uint8)[..., None].repeat(3, -1)


def write(
    path: str | Path,
    pictures: np.ndarray,
    codec: str = "h264",
    container: str = "mp4",
    container_options: dict[str, str] | None = None,
    times: list[int] | None = None,
    rate: int = 25,
    prepare=lambda stream: None,
    collect: list | None = None,
) -> str:
    """
    Encode pictures. Their times are in units of 1 / `rate` seconds, `prepare` sets what else is to be set of the stream, and
    packets are added to `collect`: content, times, and whether it is a keyframe.
    """
    encoder, options, pix_fmt = CODECS[codec]
    format_name, own_options, _ = CONTAINERS[container]
    try:
        av.codec.Codec(encoder, "w")
    except ValueError:
        pytest.skip(f"this PyAV is built without {encoder}")

    def mux(packets):
        if collect is not None:
            collect.extend((bytes(packet), packet.pts, packet.dts, packet.is_keyframe) for packet in packets)
        file.mux(packets)

    with av.open(str(path), "w", format=format_name, options={**own_options, **(container_options or {})}) as file:
        stream = file.add_stream(encoder, rate=rate, options=dict(options))
        stream.height, stream.width, stream.pix_fmt = *pictures.shape[1:3], pix_fmt
        stream.codec_context.time_base = Fraction(1, rate)
        prepare(stream)
        for time, picture in zip(times or range(len(pictures)), pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, rate)
            mux(stream.encode(frame))
        mux(stream.encode())
    return str(path)


def decode(video, indices=None, decoder="pyav", damaged="error"):
    """Decode frames, all of them by default."""
    return decode_video(
        video, lambda total, fps: range(total) if indices is None else indices, decoder, damaged=damaged
    )


def check(decoded, pictures: np.ndarray, indices: list[int] | None = None, tolerance: int = TOLERANCE):
    """Of all pictures, each frame shows the one of its index, and looks like it."""
    indices = list(range(len(pictures))) if indices is None else indices
    assert decoded.total_num_frames == len(pictures)
    assert decoded.frame_indices == indices
    frames = decoded.frames.permute(0, 2, 3, 1).numpy()
    assert frames.shape == (len(indices), *pictures.shape[1:])
    frames, pictures = frames[:, ::3, ::3].astype(np.int16), pictures[:, ::3, ::3].astype(np.int16)
    differences = np.abs(frames[:, None] - pictures).mean((2, 3, 4))
    assert differences.argmin(1).tolist() == indices
    assert differences.min(1).max() < tolerance


def check_file(path: str, pictures: np.ndarray, decoder: str):
    """Any frames of the file and of its content are right, whatever is to be done about damage, of which there is none."""
    content, last = Path(path).read_bytes(), len(pictures) - 1
    scattered = [index for index in SCATTERED if index < last] + [last]
    tolerance = 30 if path.endswith("gif") else TOLERANCE  # its palette has few colors
    for video, indices, damaged in (
        (path, [last], "ignore"),
        # Where damage is to be an error, all decoders leave the file to PyAV.
        (path, list(range(len(pictures))), "error" if decoder == "pyav" else pytest.fail),
        (content, scattered, pytest.fail),
    ):
        decoded = decode(video, indices, decoder, damaged)
        check(decoded, pictures, indices, tolerance)
        assert decoded.damage is None
    if decoder != "pyav":
        by_pyav = decode(path, scattered).frames
        assert (decoded.frames.int() - by_pyav.int()).abs().float().mean() < 2


@pytest.fixture(scope="module")
def encoded(tmp_path_factory):
    """From a codec and a container to the file, which is encoded once."""
    folder = tmp_path_factory.mktemp("matrix")

    @functools.cache
    def encoded(codec: str, container: str) -> str:
        return write(folder / f"{codec}.{container}", draw(), codec, container)

    return encoded


@decoders
@pytest.mark.parametrize(("codec", "container"), CELLS, ids=lambda name: name)
def test_the_frames_of_a_file_are_the_pictures_that_went_into_it(encoded, codec, container, decoder):
    pictures = gray(draw()) if "gray" in codec else draw()
    check_file(encoded(codec, container), pictures, decoder)


# ---- what is unusual in time and size

SHORT_CELLS = [
    *("h264_b_frames mp4", "h264_b_frames fragmented.mp4", "h264_b_frames mkv", "h264_b_frames flv"),
    *("h264_b_frames h264", "vp9_alt_ref webm", "vp8_alt_ref webm", "av1 webm", "mpeg4_b_frames avi"),
    *("mpeg2 mpg", "wmv2 wmv", "gif gif", "mjpeg avi", "vp8 ogv", "mpeg2 mxf", "mpeg4_b_frames nut"),
]


@decoders
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("cell", SHORT_CELLS)
def test_a_video_of_one_or_two_frames_is_a_video(tmp_path, cell, count, decoder):
    codec, container = cell.split()
    check_file(write(tmp_path / f"short.{container}", draw(count), codec, container), draw(count), decoder)


ODD_CELLS = [
    *("h264_444 mp4", "mpeg4_b_frames mp4", "mpeg2 ts", "vp8 webm", "vp9 webm", "av1 webm", "ffv1 mkv"),
    *("mjpeg mov", "png mov", "gif gif"),
]


@decoders
@pytest.mark.parametrize("cell", ODD_CELLS)
def test_an_odd_number_of_pixels_stays_odd(tmp_path, cell, decoder):
    codec, container = cell.split()
    pictures = draw(COUNT, 67, 99)
    check_file(write(tmp_path / f"odd.{container}", pictures, codec, container), pictures, decoder)


# Milliseconds between frames.
GAPS = [40, 20, 40, 500, 1, 33, 34, 33, 80, 40, 2000] * 3
TIMES = {
    "uneven": [sum(GAPS[:index]) for index in range(COUNT)],
    "late": [7_000 + 40 * index for index in range(COUNT)],
    "early": [-280 + 40 * index for index in range(COUNT)],
    "fast": list(range(COUNT)),
}
TIMED_CELLS = [
    *("h264_b_frames mp4", "h264_open_groups mp4", "h264_b_frames fragmented.mp4", "h264_b_frames mov", "hevc mp4"),
    *("vp9_alt_ref mp4", "h264_b_frames mkv", "mpeg4_b_frames mkv", "mjpeg mkv", "vp9_alt_ref webm", "vp8 webm"),
    *("h264_b_frames ts", "h264_b_frames flv", "mpeg4_b_frames nut", "wmv2 wmv"),
]


@decoders
@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("cell", TIMED_CELLS)
def test_frames_are_counted_whatever_their_times(tmp_path, cell, times, decoder):
    codec, container = cell.split()
    path = write(tmp_path / f"timed.{container}", draw(), codec, container, times=TIMES[times], rate=1000)
    # An edit list cuts away what is shown before time 0.
    is_cut = times == "early" and container in ("mp4", "mov")
    check_file(path, draw()[7:] if is_cut else draw(), decoder)


# ---- orientation

# The upper left entries of a display matrix (a, b, c, d), which shows the pixel at (x, y) at (ax + cy, bx + dy), and what
# becomes of pictures.
TURNS = {
    "upright": ((1, 0, 0, 1), lambda pictures: pictures),
    "clockwise": ((0, 1, -1, 0), lambda pictures: np.rot90(pictures, -1, (1, 2))),
    "upside_down": ((-1, 0, 0, -1), lambda pictures: np.rot90(pictures, 2, (1, 2))),
    "anticlockwise": ((0, -1, 1, 0), lambda pictures: np.rot90(pictures, 1, (1, 2))),
    "left_for_right": ((-1, 0, 0, 1), lambda pictures: pictures[:, :, ::-1]),
    "top_for_bottom": ((1, 0, 0, -1), lambda pictures: pictures[:, ::-1]),
    "transposed": ((0, 1, 1, 0), lambda pictures: pictures.swapaxes(1, 2)),
    "other_diagonal": ((0, -1, -1, 0), lambda pictures: np.rot90(pictures, 2, (1, 2)).swapaxes(1, 2)),
}


def set_matrix(path: str, turned: Path, turn: str, box: bytes = b"tkhd", offset: int = 40) -> str:
    """Write a copy of an MP4 file with another display matrix, of its track or (mvhd, 36) of all tracks."""
    a, b, c, d = (value << 16 for value in TURNS[turn][0])
    content = bytearray(Path(path).read_bytes())
    struct.pack_into(">9i", content, content.index(box) + 4 + offset, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    turned.write_bytes(content)
    return str(turned)


def remux(path: str, copy: str | Path, container: str, change=lambda packet: bytes(packet)) -> str:
    """Copy the packets of a file to another one, each as `change` returns it."""
    with av.open(path) as source, av.open(str(copy), "w", format=CONTAINERS[container][0]) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                changed = av.Packet(change(packet))
                changed.pts, changed.dts, changed.time_base = packet.pts, packet.dts, packet.time_base
                changed.duration, changed.is_keyframe, changed.stream = packet.duration, packet.is_keyframe, stream
                target.mux(changed)
    return str(copy)


@decoders
@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize(
    "cell", ["h264_b_frames mp4", "h264_open_groups mp4", "hevc mp4", "vp9 mp4", "mpeg4 mov", "h264 fragmented.mp4"]
)
def test_the_display_matrix_of_a_track_turns_and_mirrors(encoded, tmp_path, cell, turn, decoder):
    codec, container = cell.split()
    path = set_matrix(encoded(codec, container), tmp_path / f"turned.{container}", turn)
    check_file(path, TURNS[turn][1](draw()), decoder)


@decoders
@pytest.mark.parametrize("turn", TURNS)
def test_the_display_matrix_of_all_tracks_turns_and_mirrors(encoded, tmp_path, turn, decoder):
    path = set_matrix(encoded("h264_b_frames", "mp4"), tmp_path / "turned.mp4", turn, b"mvhd", 36)
    check_file(path, TURNS[turn][1](draw()), decoder)


@decoders
@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("codec", ["h264_b_frames", "vp9", "hevc"])
def test_the_projection_of_matroska_turns_and_mirrors(encoded, tmp_path, codec, turn, decoder):
    turned = set_matrix(encoded(codec, "mp4"), tmp_path / "turned.mp4", turn)
    check_file(remux(turned, tmp_path / "turned.mkv", "mkv"), TURNS[turn][1](draw()), decoder)


def orientation_unit(quarters: int, is_mirrored: bool) -> bytes:
    """The unit of H.264 that has frames mirrored left for right, and then turned anticlockwise."""
    # cancel flag, two flips, 16 bits of angle, period of repetition (1, in three bits), extension flag, end
    bits = is_mirrored << 22 | quarters << 19 | 0b010 << 2 | 1
    payload = bits.to_bytes(3, "big")
    return b"\x06\x2f" + bytes([len(payload)]) + payload + b"\x80"


ORIENTATIONS = {
    None: b"",
    "upright": orientation_unit(0, False),
    "anticlockwise": orientation_unit(1, False),
    "upside_down": orientation_unit(2, False),
    "clockwise": orientation_unit(3, False),
    "left_for_right": orientation_unit(0, True),
}


def orient(path: str, copy: Path, container: str, turn: str, later: str | None) -> str:
    """Copy an MP4 file of H.264 with an orientation in its first keyframe, and another one, or none, in the later ones."""
    turns = iter([turn])

    def change(packet) -> bytes:
        unit = ORIENTATIONS[next(turns, later)] if packet.is_keyframe else b""
        return (len(unit).to_bytes(4, "big") + unit if unit else b"") + bytes(packet)

    return remux(path, copy, container, change)


@decoders
@pytest.mark.parametrize("turn", [name for name in ORIENTATIONS if name])
@pytest.mark.parametrize(
    "cell", ["h264_b_frames mp4", "h264_open_groups mkv", "h264_b_frames ts", "h264_open_groups flv", "h264 h264"]
)
def test_the_orientation_message_of_h264_turns_and_mirrors(encoded, tmp_path, cell, turn, decoder):
    codec, container = cell.split()
    path = orient(encoded(codec, "mp4"), tmp_path / f"turned.{container}", container, turn, turn)
    check_file(path, TURNS[turn][1](draw()), decoder)


@decoders
@pytest.mark.parametrize("later", [None, "upright"])
@pytest.mark.parametrize("container", ["mp4", "mkv", "ts"])
def test_the_orientation_of_a_frame_does_not_depend_on_what_else_is_read(encoded, tmp_path, container, later, decoder):
    path = orient(encoded("h264_b_frames", "mp4"), tmp_path / f"turned.{container}", container, "anticlockwise", later)
    whole, single = decode(path, None, decoder).frames, decode(path, [20], decoder).frames
    assert single.shape[1:] == whole.shape[1:]
    assert (single[0].int() - whole[20].int()).abs().float().mean() < 2


# ---- other streams, names and sizes


def add_video(file, pictures: np.ndarray, codec: str = "libx264"):
    """Return a stream of a file, and its packets."""
    stream = file.add_stream(codec, rate=25)
    stream.height, stream.width, stream.pix_fmt = *pictures.shape[1:3], "yuv420p"
    frames = [av.VideoFrame.from_ndarray(picture, format="rgb24") for picture in pictures]
    return stream, [*(packet for frame in frames for packet in stream.encode(frame)), *stream.encode()]


@decoders
@pytest.mark.parametrize("container", ["mp4", "mkv", "mov", "ts"])
@pytest.mark.parametrize("is_first", [True, False])
def test_of_two_video_streams_the_one_that_ffmpeg_chooses_is_shown(tmp_path, container, is_first, decoder):
    large, small = draw(), 255 - draw(20, 32, 48)
    path = tmp_path / f"two.{container}"
    with av.open(str(path), "w", format=CONTAINERS[container][0]) as file:
        streams = [add_video(file, pictures) for pictures in ((large, small) if is_first else (small, large))]
        for packet in sorted((packet for _, packets in streams for packet in packets), key=lambda packet: packet.dts):
            file.mux(packet)
    with av.open(str(path)) as file:
        is_large = file.streams.best("video").width == large.shape[2]
    check_file(str(path), large if is_large else small, decoder)


@decoders
@pytest.mark.parametrize("container", ["mp4", "mkv", "mov"])
@pytest.mark.parametrize("default", [0, 1])
def test_of_two_video_streams_the_default_one_is_shown(tmp_path, container, default, decoder):
    pictures = draw(), 255 - draw(20, 32, 48)
    path = tmp_path / f"two.{container}"
    with av.open(str(path), "w", format=CONTAINERS[container][0]) as file:
        streams = [add_video(file, each) for each in pictures]
        for place, (stream, _) in enumerate(streams):
            stream.disposition = av.stream.Disposition.default if place == default else av.stream.Disposition(0)
        for packet in sorted((packet for _, packets in streams for packet in packets), key=lambda packet: packet.dts):
            file.mux(packet)
    check_file(str(path), pictures[default], decoder)


def add_cover(path: Path, codec: str, video: str | None):
    """Write a file with sound, a cover picture, and the video, if there is one."""
    cover = io.BytesIO()
    Image.fromarray(draw(1, 400, 400)[0]).save(cover, "JPEG" if codec == "mjpeg" else "PNG")
    source = av.open(video) if video else contextlib.nullcontext()
    with av.open(str(path), "w") as file, source:
        sound = file.add_stream(file.default_audio_codec, rate=44100, layout="mono")
        picture = file.add_stream(codec, rate=1)
        picture.width, picture.height, picture.pix_fmt = 400, 400, "yuvj420p" if codec == "mjpeg" else "rgb24"
        picture.disposition = av.stream.Disposition.attached_pic
        copy = file.add_stream_from_template(source.streams.video[0]) if video else None
        packet = av.Packet(cover.getvalue())
        packet.stream, packet.pts, packet.dts, packet.time_base = picture, 0, 0, Fraction(1, 25)
        packets = [packet]
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 44100, 0
        packets += [*sound.encode(frame), *sound.encode()]
        for packet in source.demux(video=0) if video else ():
            if packet.size:
                packet.stream = copy
                packets.append(packet)
        for packet in packets:
            file.mux(packet)


@decoders
@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "png"), ("mp4", "mjpeg"), ("mp3", "png")])
def test_a_cover_picture_is_no_video(encoded, tmp_path, suffix, codec, decoder):
    path = tmp_path / f"cover.{suffix}"
    add_cover(path, codec, None)
    with pytest.raises(VideoDecodingError, match="no video stream but a cover picture|MP3 file, which is sound"):
        decode(path, [0], decoder)
    if suffix != "mp3":
        add_cover(path, codec, encoded("h264_b_frames", "mp4"))
        check_file(str(path), draw(), decoder)


RAW = {"h264": "h264", "hevc": "hevc", "mpeg4": "m4v", "mpeg2": "m2v", "av1": "obu"}


@decoders
@pytest.mark.parametrize(
    "cell",
    [
        *("vp8 webm", "vp9 webm", "av1 mkv", "mpeg2 mkv", "mpeg4 avi", "hevc ts"),
        *("h264_b_frames mkv", "h264_b_frames ts", "h264 mp4", "h264 flv"),
    ],
)
def test_frames_have_the_size_of_the_first_one(tmp_path, cell, decoder):
    """Two recordings one after the other, as a browser records a phone that is turned."""
    codec, container = cell.split()
    wide, tall = draw()[:15], draw(COUNT, WIDTH, HEIGHT)[15:]
    parts = []
    for pictures in (wide, tall):
        # A format without a header of its own leaves the size to the packets.
        raw = write(tmp_path / "part", pictures, codec, RAW.get(codec.split("_")[0], "ivf"), collect=(packets := []))
        parts.append(packets)
        Path(raw).unlink()
    path = tmp_path / f"turned.{container}"
    encoder, options, pix_fmt = CODECS[codec]
    with av.open(str(path), "w", format=CONTAINERS[container][0]) as file:
        stream = file.add_stream(encoder, rate=25, options=dict(options))
        stream.height, stream.width, stream.pix_fmt = *wide.shape[1:3], pix_fmt
        for part, packets in enumerate(parts):
            for content, pts, dts, is_keyframe in packets:
                packet = av.Packet(content)
                packet.pts, packet.dts, packet.time_base = pts + 15 * part, dts + 15 * part, Fraction(1, 25)
                packet.stream, packet.is_keyframe = stream, is_keyframe
                file.mux(packet)
    stretched = [np.asarray(Image.fromarray(picture).resize((WIDTH, HEIGHT))) for picture in tall]
    check_file(str(path), np.concatenate([wide, stretched]), decoder)


@decoders
@pytest.mark.parametrize(
    "name", ["a:b.mp4", "http:b.mp4", "%03d.mp4", "a b.mp4", "ä 🙂.mp4", "-i.mp4", "pipe:0", "[0].mp4", "a*?.mp4"]
)
def test_a_relative_name_is_a_name(encoded, tmp_path, monkeypatch, name, decoder):
    Path(tmp_path, name).write_bytes(Path(encoded("h264_b_frames", "mp4")).read_bytes())
    monkeypatch.chdir(tmp_path)
    check_file(name, draw(), decoder)


# ---- what stays as it is stored


@decoders
@pytest.mark.parametrize("cell", ["h264_b_frames mp4", "h264_b_frames mkv", "mpeg2 mpg", "vp9 webm", "mpeg4 avi"])
def test_pixels_that_are_not_square_are_not_stretched(tmp_path, cell, decoder):
    codec, container = cell.split()

    def prepare(stream):
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)

    path = write(tmp_path / f"sar.{container}", draw(), codec, container, prepare=prepare)
    check_file(path, draw(), decoder)


@pytest.mark.parametrize("cell", ["h264_interlaced mp4", "h264_interlaced ts", "mpeg2_interlaced mpg"])
def test_the_fields_of_interlaced_frames_stay_together(tmp_path, cell):
    codec, container = cell.split()
    later = np.roll(draw(), 8, 2)
    woven = draw().copy()
    woven[:, 1::2] = later[:, 1::2]
    path = write(tmp_path / f"interlaced.{container}", woven, codec, container)
    frames = decode(path).frames.permute(0, 2, 3, 1).numpy().astype(int)
    # Rows by turns from either field.
    for field, pictures in ((0, draw()), (1, later)):
        own, other = (np.abs(frames[:, field::2] - source[:, field::2]).mean() for source in (woven, woven[:, ::-1]))
        assert own < 2 * TOLERANCE and own < other / 2
        assert np.abs(frames[:, field::2] - pictures[:, field::2]).mean() < 2 * TOLERANCE
