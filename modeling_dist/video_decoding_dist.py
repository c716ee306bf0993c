# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Decode single frames of video files with PyAV, decord or torchcodec.

A frame is what FFmpeg shows: of the stream that it chooses, turned and mirrored by the display matrix, in the size of the first
one. Two things stay as they are stored, as in the training of published weights: pixels that are not square, and the two
fields of interlaced frames. Frames are counted in presentation order.

PyAV numbers the frames for all decoders, and alone notices damage within them. The others step aside for it where they would
give other frames than FFmpeg, or where damage is to be an error.
"""

import bisect
import contextlib
import functools
import gc
import importlib
import itertools
import struct
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from transformers.utils import logging

from .video_files_dist import Deadline, Video, VideoDecodingError, VideoFile, VideoLimits, open_video_file
from .video_structure_dist import LARGE_FILE, StructureError, check_structure


logger = logging.get_logger(__name__)

# The demuxers of FFmpeg that may open a video. Playlists and scripts (concat, HLS, DASH, SDP), sequences of pictures, network
# protocols and devices are not among them.
CONTAINERS = (
    "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,live_flv,asf,ogg,gif,apng,mxf,rm,nut,wtv,dv,ivf,gxf,nsv,nuv,swf,"
    "yuv4mpegpipe,h261,h263,h264,hevc,vvc,m4v,vc1,vc1test,obu,av1,mjpeg,dirac,cavsvideo"
)
# Only these store the time of every frame and find it again after a seek. For others (AVI, MPEG), FFmpeg guesses, wrongly if
# there are B-frames.
INDEXED_CONTAINERS = {"mp4", "matroska"}
DAMAGED = ("error", "warn", "ignore")
# Frames are handed on in pieces of about this many bytes, so that large ones are not held together.
BYTES_PER_PIECE = 2**24


@dataclass
class DecodedVideo:
    """
    Some frames of a video, uint8 `(frames, 3, height, width)`, each of the requested ones once and in increasing order, or
    `None` if a function has taken them; their indices; the number of frames and the frames per second of the whole video, if
    the file specifies them; the library that decoded them; and the damage that was noticed, in words.
    """

    frames: torch.Tensor | None
    frame_indices: list[int]
    total_num_frames: int
    fps: float | None
    decoder: str
    damage: str | None = None


class DamageError(ValueError):
    """Raised for damage that a decoder can conceal. The message goes on from the name of the file."""


class StepAsideError(ValueError):
    """Raised by a decoder that would give other frames than FFmpeg."""


# ---- numbering and decoding with PyAV


class _Packet(NamedTuple):
    """A compressed frame."""

    time: int | None
    is_keyframe: bool
    is_shown: bool  # not cut away by an edit list
    is_closed: bool  # for a keyframe: decoding can start here, whatever comes before
    layer: int | None  # temporal layer of a frame that no other frame of this layer is decoded from


class _Run(NamedTuple):
    """Frames that are decoded in one go, from one packet to another."""

    start: int
    end: int
    times: list[int]


class FrameReader:
    """
    The frames of a video file by their numbers.

    Args:
        file (`VideoFile`):
            The file.
        limits (`VideoLimits`):
            What it may cost.
        is_strict (`bool`):
            Whether damage that FFmpeg conceals is a [`DamageError`].
        container_format (`str`, *optional*):
            FFmpeg's name of a format that is not among `CONTAINERS`.

    Raises:
        ValueError: If there is no video in the file, or it exceeds the limits.
    """

    def __init__(self, file: VideoFile, limits: VideoLimits, is_strict: bool, container_format: str | None = None):
        self.file, self.limits, self.is_strict, self.container_format = file, limits, is_strict, container_format
        self.deadline = Deadline(limits.seconds)
        # Of this reader alone, and not of its frames, for the same reason: frames are freed when Python finds the time for it.
        self.reformatter = importlib.import_module("av.video.reformatter").VideoReformatter()
        self.garbage = 0  # pixels of frames that wait for the garbage collector
        self._open()
        self.stream_matrix = None
        try:
            if self.codec is not self.stream.codec_context:
                self._look_at_stream()
            self.num_video_streams = len(self.container.streams.video)
            self.size = self.stream.width, self.stream.height
            self.fps = float(self.stream.average_rate) if self.stream.average_rate else None
            self.packets: list[_Packet] = []
            self.times: list[int] | None = None  # in presentation order; `None` if frames can only be counted
            self.num_frames = self._number_frames()
        except BaseException:
            self.container.close()
            raise

    def _open(self):
        av = importlib.import_module("av")
        allowed = (
            {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"} if self.container_format is None else {}
        )
        # One thread: Python may free a decoder in a process that was forked meanwhile, where its threads do not exist.
        codec_options = {"max_pixels": str(self.limits.frame_pixels), "threads": "1"}
        try:
            self.container = av.open(
                self.file.open(),
                format=self.container_format,
                options=codec_options,
                container_options=allowed,
                metadata_errors="replace",
            )
        except Exception as error:
            content = self.file.describe_content()
            is_other = isinstance(error, av.error.ArgumentError)  # than those that are allowed
            reason = "it has none of the formats of videos" if is_other else str(error)
            raise ValueError(f"it is {content}" if content else reason) from error
        # The cover picture of a recording is not its video.
        pictures = av.stream.Disposition.attached_pic | av.stream.Disposition.still_image
        streams = [stream for stream in self.container.streams.video if not stream.disposition & pictures]
        best = self.container.streams.best("video")
        self.stream = best if best in streams else max(streams, key=lambda s: s.width * s.height, default=None)
        if self.stream is None:
            reason = "it holds no video stream" + " but a cover picture" * bool(self.container.streams.video)
        elif self.stream.width * self.stream.height > self.limits.frame_pixels:
            size = f"{self.stream.width} x {self.stream.height}"
            reason = f"a frame of {size} pixels exceeds the limit of {self.limits.frame_pixels:,} (`frame_pixels`)"
        else:
            self.codec = self.stream.codec_context
            # FFmpeg's own decoder of VP9 takes whatever follows a wrong bit for a picture; libvpx checks that a frame ends
            # where its data ends. It knows frames of 8 bits alone, which are those of these profiles.
            if self.is_strict and self.codec.name == "vp9" and self.codec.profile in ("Profile 0", "Profile 1"):
                with contextlib.suppress(ValueError):  # of an FFmpeg without it
                    self.codec = av.CodecContext.create("libvpx-vp9", "r")
            # The decoder of H.264 marks frames that it had to mend, and would take the end of a reference for damage where a
            # sound video was cut without encoding it again. Others do not mark all.
            if self.is_strict and self.codec.name != "h264":
                codec_options["err_detect"] = "explode"
            self.codec.options = codec_options
            self.codec.thread_count = 1
            return
        self.container.close()
        raise ValueError(reason)

    def _look_at_stream(self):
        """Find the display matrix of the container, which reaches the frames of the stream's own decoder alone."""
        with contextlib.suppress(Exception):
            own = self.stream.codec_context
            for frame in [*own.decode(next(self._demux())), *own.decode(None)]:
                self.stream_matrix = self.stream_matrix or _display_matrix(frame)
        self._reopen()

    def relax(self):
        """Decode damaged frames as FFmpeg conceals their damage."""
        self.is_strict = False
        self._reopen()

    def _reopen(self):
        self.container.close()
        self._open()

    def _demux(self) -> Iterator:
        for packet in self.container.demux(self.stream):
            self.deadline.check()
            if packet.size:
                yield packet

    def _number_frames(self) -> int:
        """Number the frames by the time stamps of their packets, without decoding them if the container allows it."""
        if INDEXED_CONTAINERS & set(self.container.format.name.split(",")):
            describe = _packet_parser(self.stream.codec_context)
            is_cut_off = False
            for packet in self._demux():
                is_cut_off = packet.is_corrupt
                is_closed, layer = describe(packet)
                self.packets.append(_Packet(packet.pts, packet.is_keyframe, not packet.is_discard, is_closed, layer))
                self._check_count(len(self.packets))
            if is_cut_off:
                raise ValueError(f"the file ends within frame {len(self.packets) - 1}")
            times = [packet.time for packet in self.packets]
            shown = [packet.time for packet in self.packets if packet.is_shown]
            if shown and None not in times and len(set(times)) == len(times):
                self.times = sorted(set(shown) - self._find_leading(shown))
                return len(self.times)
            self._reopen()
        num_frames = 0
        # FFmpeg marks what follows a jump of a counter, also where a recording was appended to another one.
        has_checked_counters = self.container.format.name == "mpegts" and self.file.size <= LARGE_FILE
        for packet in self._demux():
            if packet.is_corrupt and self.is_strict and not has_checked_counters:
                raise DamageError(f"it is damaged near frame {num_frames:,}")
            num_frames += len(self._decode(packet))
            self._check_count(num_frames)
        num_frames += len(self._decode(None))
        self._check_count(num_frames)
        return num_frames

    def _find_leading(self, times: list[int]) -> set[int]:
        """
        Return the times of frames that are shown before the first keyframe and need others from before it, which are gone
        where a video was cut without encoding it again. Decoders leave them out.
        """
        first = self.packets[0].time
        leading = {time for time in times if time < first}
        if leading and self.packets[0].is_keyframe:
            self._reopen()
            for packet in self._demux():
                decoded = {frame.pts for frame in self._decode(packet)}
                leading -= decoded
                if any(time >= first for time in decoded):
                    return leading
        return set()

    def _check_count(self, num_frames: int):
        if num_frames > self.limits.num_frames:
            raise ValueError(f"it has more than {self.limits.num_frames:,} frames, the limit (`num_frames`)")

    def _decode(self, packet) -> list:
        """Decode a packet; `None` drains the decoder. The frames may be those of earlier packets."""
        try:
            frames = self.codec.decode(packet)
            if self.is_strict and any(frame.is_corrupt for frame in frames):
                raise ValueError("parts of a frame are missing, and made up by the decoder")
            return frames
        except EOFError:
            return []
        except Exception as error:
            if not self.is_strict:
                return []
            is_timed = packet is not None and packet.pts is not None
            where = f" at {float(packet.pts * packet.time_base):.2f} s" if is_timed else ""
            raise DamageError(f"it is damaged{where}: {_first_line(error)}") from error

    def read(self, indices: list[int]) -> Iterator[np.ndarray]:
        """
        Yield the frames of increasing indices as they are shown: (height, width, 3), uint8, all of one size.

        Raises:
            DamageError: If a frame is damaged, and the reader is strict.
            ValueError: If a frame cannot be decoded.
        """
        self.matrix, self.has_looked, self.shape = self.stream_matrix, False, None
        if self.times is None:
            frames = self._count_frames(indices)
        else:
            frames = self._find_frames([self.times[index] for index in indices if index < self.num_frames])
        found = 0
        for pixels in frames:
            yield pixels
            found += 1
        if found < len(indices):
            raise ValueError(f"frame {indices[found]} of {self.num_frames} cannot be decoded")

    def _count_frames(self, indices: list[int]) -> Iterator[np.ndarray]:
        """Decode from the start and count, up to the last of the frames."""
        self._reopen()
        wanted, numbers, remaining = set(indices), itertools.count(), len(indices)
        packets = self._demux()
        while remaining:
            packet = next(packets, None)
            for pixels in self._show(self._decode(packet), lambda frame: next(numbers) in wanted):
                if pixels is not None:
                    yield pixels
                    remaining -= 1
            if packet is None:
                return

    def _find_frames(self, times: list[int]) -> Iterator[np.ndarray]:
        """Decode the frames of these times, each from the keyframe before it."""
        runs = self._plan(times)
        if runs and runs[0].start > 0:
            self._look_at_start()
        for run in runs:
            missing = list(run.times)
            try:
                yield from self._decode_run(run, missing)
            except DamageError:
                if run.start == 0:
                    raise
                # Decoding may not start at every keyframe.
            if missing and run.start > 0:  # or the seek has missed its keyframe, as in fragmented files
                yield from self._decode_run(run._replace(start=0), missing)
            if missing:
                return

    def _look_at_start(self):
        """Find the orientation in the first frame of H.264 or HEVC, which holds for the whole video, as in FFmpeg's player."""
        if self.codec.name in ("h264", "hevc"):
            self._reopen()
            with contextlib.suppress(Exception):  # of a frame that was not asked for
                frames: list = []
                packets = self._demux()
                while not frames:
                    packet = next(packets, None)
                    frames = self._decode(packet)
                    if packet is None:
                        break
                list(self._show(frames[:1], lambda frame: False))
            self._reopen()

    def _plan(self, times: list[int]) -> list[_Run]:
        """Divide the frames into runs: one ends where decoding can skip packets by starting at another keyframe."""
        places = {packet.time: place for place, packet in enumerate(self.packets)}
        keyframes = sorted(packet.time for packet in self.packets if packet.is_keyframe)
        runs: list[_Run] = []
        for time in times:
            before = bisect.bisect_right(keyframes, time)
            start = places[keyframes[before - 1]] if before else 0
            if runs and start <= runs[-1].end:
                run = runs[-1]
                runs[-1] = _Run(run.start, max(run.end, places[time]), [*run.times, time])
            else:
                runs.append(_Run(start, places[time], [time]))
        return runs

    def _decode_run(self, run: _Run, missing: list[int]) -> Iterator[np.ndarray]:
        """Yield the frames of a run that are missing, and remove their times."""
        first = self.packets[run.start].time
        if run.start == 0:
            self._reopen()
        else:
            self.container.seek(first, stream=self.stream)
            self.codec.flush_buffers()
        places = {self.packets[place].time: place for place in range(run.start, run.end + 1)}
        layers = [packet.layer for packet in self.packets if packet.layer is not None]
        wanted, last_layer = set(missing), max(layers, default=0)
        has_started = False

        def deliver(frames: list) -> Iterator[np.ndarray]:
            for pixels in self._show(frames, lambda frame: bool(missing) and frame.pts == missing[0]):
                if pixels is not None:
                    missing.pop(0)
                    yield pixels

        for packet in self._demux():
            place = places.get(packet.pts)
            if not has_started and place != run.start:
                if place is not None:
                    return  # the seek has led too far
                continue
            has_started = True
            # Frames that are shown before the keyframe may need others from before it.
            is_needed = place is not None and (run.start == 0 or packet.pts >= first)
            if is_needed and (packet.pts in wanted or self.packets[place].layer != last_layer):
                yield from deliver(self._decode(packet))
            if place == run.end:
                break
        yield from deliver(self._decode(None))

    def _show(self, frames: list, is_wanted: Callable[[object], bool]) -> Iterator[np.ndarray | None]:
        """Yield each frame as it is shown, or `None` if it is not wanted, and let go of it."""
        frames.reverse()
        while frames:
            frame = frames.pop()
            # The first frame tells how all of them are shown.
            if not self.has_looked:
                self.matrix, self.has_looked = _display_matrix(frame) or self.matrix, True
                self.garbage += frame.width * frame.height
            pixels = self._upright(frame) if is_wanted(frame) else None
            del frame
            # PyAV's frames are in reference cycles once their side data has been looked at, and Python's garbage collector
            # counts objects, not bytes.
            if self.garbage > BYTES_PER_PIECE:
                gc.collect(1)
                self.garbage = 0
            yield pixels

    def _upright(self, frame) -> np.ndarray:
        """Return a frame as it is shown, in the size of the first one."""
        is_transposed = self.matrix is not None and abs(self.matrix[1]) > abs(self.matrix[0])
        if self.shape is None:
            width, height = self.size if all(self.size) else (frame.width, frame.height)
            self.shape = (width, height) if is_transposed else (height, width)
        height, width = reversed(self.shape) if is_transposed else self.shape
        options = {}
        if (frame.width, frame.height) != (width, height):  # the size changes within the file
            options = {"width": width, "height": height, "interpolation": "BICUBIC"}
        pixels = self.reformatter.reformat(frame, format="rgb24", **options).to_ndarray()
        return pixels if self.matrix is None else _turn(pixels, self.matrix)


def _packet_parser(codec) -> Callable[[object], tuple[bool, int | None]]:
    """
    Return a function from a packet to whether decoding can start at it if it is a keyframe, and to its temporal layer if no
    other frame of that layer is decoded from it. Both are read from the units of H.264 and HEVC.
    """
    extradata, name = codec.extradata or b"", codec.name
    if extradata[:1] != b"\x01" or (name, len(extradata) > 22) not in (
        ("h264", True),
        ("h264", False),
        ("hevc", True),
    ):
        return lambda packet: (name != "h264", -1 if packet.is_disposable else None)
    length_size = (extradata[4 if name == "h264" else 21] & 3) + 1

    def parse(packet) -> tuple[bool, int | None]:
        data, position = memoryview(packet), 0
        while position + length_size + 1 < len(data):
            # Each unit is preceded by its length and begins with its type; the first slice tells about the frame.
            first, second = data[position + length_size], data[position + length_size + 1]
            if name == "h264":
                kind = first & 31
                if 1 <= kind <= 5:
                    return kind == 5, None if first & 0x60 else 0
            else:
                kind = first >> 1 & 63
                if kind < 32:
                    return True, (second & 7) - 1 if kind < 16 and kind % 2 == 0 else None
            position += length_size + int.from_bytes(data[position : position + length_size], "big")
        return False, None

    return parse


def _display_matrix(frame) -> tuple[float, ...] | None:
    """Return the first two rows of a frame's display matrix, (a, b, c, d): a pixel at (x, y) is shown at (ax + cy, bx + dy)."""
    for data in frame.side_data:
        if data.type.name == "DISPLAYMATRIX":
            a, b, _, c, d, *_ = struct.unpack("=9i", bytes(data))
            return a / 2**16, b / 2**16, c / 2**16, d / 2**16
    return None


def _turn(pixels: np.ndarray, matrix: tuple[float, ...]) -> np.ndarray:
    """Turn and mirror pixels by a display matrix, to the nearest multiple of 90 degrees."""
    a, b, c, d = matrix
    if abs(b) > abs(a):
        pixels = pixels.swapaxes(0, 1)
        right, down = c, b
    else:
        right, down = a, d
    return pixels[:: -1 if down < 0 else 1, :: -1 if right < 0 else 1]


# ---- decoders: each takes a reader, and returns a function from increasing indices to frames

ReadFrames = Callable[[list[int]], Iterator[np.ndarray]]


def _open_with_pyav(reader: FrameReader) -> ReadFrames:
    return reader.read


def _check_plain(reader: FrameReader, num_frames: int, get_frame: Callable[[int], np.ndarray]):
    """
    Check that a decoder that seeks by itself finds the right frames. decord takes a keyframe's position in the file for its
    position in time, and loses the first frame of fragments; both decord and torchcodec rely on decoding to start at a
    keyframe, choose other streams, and know less of display matrices.
    """
    if num_frames != reader.num_frames:
        raise StepAsideError(f"it finds {num_frames} of {reader.num_frames} frames")
    if reader.times is None or reader.num_frames < len(reader.packets):
        raise StepAsideError("its frames can only be counted")
    keyframes = [(place, packet) for place, packet in enumerate(reader.packets) if packet.is_keyframe]
    if not all(packet.is_closed and reader.times[place] == packet.time for place, packet in keyframes):
        raise StepAsideError("its groups of pictures are open")
    if reader.num_video_streams > 1:
        raise StepAsideError("it has several video streams")
    if reader.stream.frames == 0 and "mp4" in reader.container.format.name:
        raise StepAsideError("its frames are in fragments")
    first, other = next(reader.read([0])), get_frame(0)
    if reader.matrix not in (None, (1.0, 0.0, 0.0, 1.0)):
        raise StepAsideError("it is turned or mirrored")
    if first.shape != other.shape or np.abs(first.astype(np.int16) - other).mean() > 4:
        raise StepAsideError("its first frame is another one")


def _read_singly(reader: FrameReader, get_frame: Callable[[int], np.ndarray]) -> ReadFrames:
    def read(indices: list[int]) -> Iterator[np.ndarray]:
        for index in indices:
            reader.deadline.check()
            yield get_frame(index)

    return read


def _open_with_decord(reader: FrameReader) -> ReadFrames:
    # By default, decord replaces frames that it cannot decode by others. The tolerance makes the first one an error.
    decoder = importlib.import_module("decord").VideoReader(reader.file.open(), fault_tol=1e-9)

    def get_frame(index: int) -> np.ndarray:
        frame = decoder[index]
        # The type depends on the bridge that the process has set.
        return frame.asnumpy() if hasattr(frame, "asnumpy") else np.asarray(frame)

    _check_plain(reader, len(decoder), get_frame)
    return _read_singly(reader, get_frame)


def _open_with_torchcodec(reader: FrameReader) -> ReadFrames:
    decoder = importlib.import_module("torchcodec.decoders").VideoDecoder(reader.file.open(), dimension_order="NHWC")

    def get_frame(index: int) -> np.ndarray:
        return decoder.get_frame_at(index).data.numpy()

    _check_plain(reader, len(decoder), get_frame)
    return _read_singly(reader, get_frame)


# The first one is what "auto" means: it gives the right frames of any file, and is at least as fast as the others. Each with the
# module whose import shows whether the library is there.
DECODERS: dict[str, tuple[str, Callable[[FrameReader], ReadFrames]]] = {
    "pyav": ("av", _open_with_pyav),
    "decord": ("decord", _open_with_decord),
    "torchcodec": ("torchcodec.decoders", _open_with_torchcodec),
}


def available_decoders() -> list[str]:
    """Return the decoders that can be used here, preferred ones first."""
    # PyAV is imported before decord: in the other order, it gets decord's libvpx and cannot encode with it.
    return [name for name, (module, _) in DECODERS.items() if _works(module)]


@functools.cache
def _works(module: str) -> bool:
    try:
        decoders = importlib.import_module(module)
        if module == "torchcodec.decoders":
            decoders.VideoDecoder(b"")
    except (ImportError, OSError):
        return False
    except Exception as error:  # torchcodec, of nothing to decode, or of FFmpeg that is not on the system
        return "Could not load" not in str(error)
    return True


def decode_video(
    video: Video,
    choose_frames: Callable[[int, float | None], list[int]],
    decoder: str = "auto",
    *,
    consume: Callable[[int, torch.Tensor], None] | None = None,
    damaged: str | Callable[[str], None] = "warn",
    limits: VideoLimits | None = None,
    container_format: str | None = None,
) -> DecodedVideo:
    """
    Decode the frames that `choose_frames` requests, skipping others where possible.

    Args:
        video (`str`, `os.PathLike`, `bytes`, `bytearray` or `io.BytesIO`):
            A file, an http(s) URL, or the content of a file.
        choose_frames (`Callable[[int, float | None], list[int]]`):
            Maps the number of frames and the frames per second to the indices of the frames to decode, in any order and
            with repetitions.
        decoder (`str`, defaults to `"auto"`):
            `"pyav"`, which is also `"auto"`, or `"decord"` or `"torchcodec"`, which step aside for PyAV where they would give
            other frames than FFmpeg shows, and with `damaged="error"`, because PyAV alone notices damage within frames.
        consume (`Callable[[int, torch.ByteTensor], None]`, *optional*):
            Takes the frames in their place, some at a time, so that large ones are not in memory together: called with the
            position of the first one among the requested frames, and with frames `(frames, 3, height, width)`. Where
            damage is found on the way, it is called again from the first frame.
        damaged (`str` or `Callable[[str], None]`, defaults to `"warn"`):
            What to do about damage that the decoder can conceal: `"error"`, `"warn"`, `"ignore"`, or a function that is
            called with the warning instead. Damage that leaves a requested frame without a picture is always an error.
        limits (`VideoLimits`, *optional*):
            What the video may cost.
        container_format (`str`, *optional*):
            FFmpeg's name of the file's format. Formats that make FFmpeg open other files or connections, such as playlists,
            are read only if they are named here.

    Returns:
        `DecodedVideo`: The frames.

    Raises:
        VideoDecodingError: If the video cannot be read; the message names the video and the reason.
        ImportError: If the decoder, or PyAV, is missing; the message says what to install.
        ValueError: If there is no decoder with this name, or `damaged` has another value.
    """
    if decoder not in ("auto", *DECODERS):
        raise ValueError(f'`decoder` must be "auto" or one of {", ".join(DECODERS)}, got "{decoder}".')
    if not callable(damaged) and damaged not in DAMAGED:
        raise ValueError(f"`damaged` must be one of {', '.join(DAMAGED)}, got {damaged!r}.")
    available = available_decoders()
    # PyAV numbers the frames for the others as well.
    missing = "PyAV" if "pyav" not in available else decoder if decoder not in ("auto", *available) else None
    if missing is not None:
        raise ImportError(
            f"The decoder {missing} is not installed or cannot be loaded. Install PyAV with `pip install av` (all platforms, "
            "always required), decord with `pip install decord` (Linux and Windows on x86-64), or torchcodec with `pip "
            "install torchcodec`, which needs FFmpeg on the system."
        )
    limits = limits or VideoLimits()
    decoder = "pyav" if decoder == "auto" else decoder
    with open_video_file(video, limits) as file:
        try:
            decoded = _decode_file(file, choose_frames, decoder, consume, damaged, limits, container_format)
        except _ChoiceError as error:
            raise error.__cause__ from None
        except DamageError as error:
            _release_frames(error)
            raise VideoDecodingError(
                f'The video {file.name} is damaged: {error}. `damaged="warn"` (`--damaged warn`) decodes what there is.'
            ) from error
        except Exception as error:
            _release_frames(error)
            raise VideoDecodingError(
                f"The video {file.name} cannot be decoded; it may be corrupted or truncated: {_first_line(error)}"
            ) from error
    if decoded.damage is not None:
        warn = damaged if callable(damaged) else logger.warning
        warn(f"The video {file.name} is damaged: {decoded.damage}. Frames may be missing or wrong.")
    return decoded


class _ChoiceError(Exception):
    """Carries an error of `choose_frames` or `consume`, which is not the video's fault."""


def _decode_file(
    file: VideoFile,
    choose_frames: Callable[[int, float | None], list[int]],
    decoder: str,
    consume: Callable[[int, torch.Tensor], None] | None,
    damaged: str | Callable[[str], None],
    limits: VideoLimits,
    container_format: str | None,
) -> DecodedVideo:
    damage: str | None = None

    def note(error: Exception):
        nonlocal damage
        if damaged == "error":
            raise DamageError(str(error)) from error
        damage = damage or str(error)

    try:
        check_structure(file)
    except StructureError as error:
        if damaged != "ignore":
            note(error)
    is_strict = damaged != "ignore"
    try:
        reader = FrameReader(file, limits, is_strict, container_format)
    except DamageError as error:
        note(error)
        reader = FrameReader(file, limits, False, container_format)
    try:
        if not reader.num_frames:
            raise ValueError("it holds no frames")
        try:
            indices = sorted(set(choose_frames(reader.num_frames, reader.fps)))
        except Exception as error:
            raise _ChoiceError from error
        read = reader.read
        if decoder != "pyav":
            try:
                if damaged == "error" or damage is not None:
                    raise StepAsideError("it would not notice damage")
                read = DECODERS[decoder][1](reader)
            except TimeoutError:
                raise
            except Exception as error:  # of what it cannot open either
                logger.debug(f"{decoder} steps aside for the video {file.name}: {error}")
                decoder = "pyav"
        if not indices:
            raise ValueError("no frame was requested")
        kept: list[torch.Tensor] = []

        def keep(start: int, frames: torch.Tensor):
            kept[:] = [frames]

        def hand_on(read: ReadFrames):
            _hand_on(read(indices), len(indices), consume or keep, consume is None)

        try:
            try:
                hand_on(read)
            except (DamageError, TimeoutError, _ChoiceError):
                raise
            except Exception:
                if decoder == "pyav":
                    raise
                decoder = "pyav"
                hand_on(reader.read)
        except DamageError as error:
            note(error)
            reader.relax()
            decoder = "pyav"
            hand_on(reader.read)
        return DecodedVideo(kept[0] if kept else None, indices, reader.num_frames, reader.fps, decoder, damage)
    finally:
        reader.container.close()


def _hand_on(frames: Iterator[np.ndarray], count: int, consume: Callable[[int, torch.Tensor], None], whole: bool):
    """Hand frames (height, width, 3) on as (frames, 3, height, width): in pieces, or as a whole."""
    start, filled, piece = 0, 0, None
    for frame in frames:
        if piece is None:
            room = count - start if whole else min(count - start, max(1, BYTES_PER_PIECE // frame.nbytes))
            # A large frame is a piece by itself, without another copy.
            piece = np.empty((room, *frame.shape), np.uint8) if room > 1 else np.ascontiguousarray(frame)[None]
        if len(piece) > 1:
            piece[filled] = frame
        filled += 1
        if filled == len(piece):
            try:
                consume(start, torch.from_numpy(piece).permute(0, 3, 1, 2))
            except Exception as error:
                raise _ChoiceError from error
            start, filled, piece = start + filled, 0, None


def _release_frames(error: BaseException | None):
    """Let go of the decoder and its frames, which would live as long as somebody keeps the error."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__


def _first_line(error: Exception) -> str:
    return (str(error).strip() or repr(error)).splitlines()[0]


__all__ = ["DecodedVideo", "VideoDecodingError", "VideoLimits", "available_decoders", "decode_video"]
