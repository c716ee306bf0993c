# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Decode single frames of video files with decord, torchcodec or PyAV.

PyAV numbers the frames for all three; the others are faster for files in which they find a frame by its number reliably.

All readers return upright RGB frames, with rotation metadata applied, and count the frames in presentation order, so that
they agree on which frame is frame 17.
"""

import importlib
import io
import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from huggingface_hub import get_session


class VideoDecodingError(OSError):
    """Raised for a video that cannot be read: missing, empty, truncated, or not a video. The message names it."""


@dataclass
class DecodedVideo:
    """
    Some frames of a video, uint8 `(frames, 3, height, width)`, each of the requested ones once and in increasing
    order; their indices; the number of frames and the frames per second of the whole video, if the file specifies
    them; and the library that decoded them.
    """

    frames: torch.Tensor
    frame_indices: list[int]
    total_num_frames: int
    fps: float | None
    decoder: str


# Each decoder opens a file (a path, or bytes in memory) and returns its number of frames, the frames per second, and a function
# from increasing indices to frames, (frames, height, width, 3) uint8.
Reader = tuple[int, float | None, Callable[[list[int]], np.ndarray]]


@dataclass
class _FrameIndex:
    """
    The frames of a file in presentation order.

    `times` and `keyframe_times` are `None` if the container does not store them reliably, so that frames can only be
    counted. `has_closed_groups` says that decoding can start at any keyframe: no frame after it in the file is shown before
    it, or refers to a frame before it.
    """

    num_frames: int
    fps: float | None
    times: list[int] | None = None
    keyframe_times: list[int] | None = None
    has_closed_groups: bool = False


def _open_stream(source: str | io.BytesIO):
    av = importlib.import_module("av")
    if isinstance(source, io.BytesIO):
        source.seek(0)
    container = av.open(source)
    stream = container.streams.best("video")
    if stream is None:
        container.close()
        raise ValueError("it holds no video stream")
    return container, stream


def _index_frames(source: str | io.BytesIO) -> _FrameIndex:
    """Number the frames by the timestamps of their packets, without decoding them if the container allows it."""
    container, stream = _open_stream(source)
    with container:
        fps = float(stream.average_rate) if stream.average_rate else None
        # Only these containers store the time of every frame and find it again after a seek. For others (AVI, MPEG) FFmpeg
        # guesses, wrongly if there are B-frames.
        is_indexed = {"mp4", "matroska"} & set(container.format.name.split(","))
        is_h264 = stream.codec_context.name == "h264"
        times, keyframes, has_closed_groups, is_cut_off = [], [], True, False
        for packet in container.demux(stream) if is_indexed else ():
            if not packet.size:
                continue
            is_cut_off = packet.is_corrupt
            if packet.is_keyframe:
                keyframes.append((len(times), packet.pts))
                has_closed_groups &= not is_h264 or _holds_idr_picture(packet, stream.codec_context.extradata or b"")
            if packet.is_discard:  # in the file, but cut by its edit list
                has_closed_groups = False
            else:
                times.append(packet.pts)
    if is_cut_off:
        raise ValueError(f"the file ends within frame {len(times)}")
    if times and None not in times and len(set(times)) == len(times):
        num_frames, times = len(times), sorted(times)
        keyframe_times = sorted(time for _, time in keyframes if time is not None)
        has_closed_groups &= all(place < num_frames and times[place] == time for place, time in keyframes)
        return _FrameIndex(num_frames, fps, times, keyframe_times, has_closed_groups)
    container, stream = _open_stream(source)
    with container:
        return _FrameIndex(sum(1 for _ in container.decode(stream)), fps)


def _holds_idr_picture(packet, extradata: bytes) -> bool:
    """Whether an H.264 keyframe is an IDR picture. After others, decoding takes some frames to recover."""
    if len(extradata) < 5:
        return False
    # Each unit of the packet is preceded by its length, in `length_size` bytes, and starts with its type; 5 is an IDR picture.
    data, position, length_size = memoryview(packet), 0, (extradata[4] & 3) + 1
    while position + length_size < len(data):
        if data[position + length_size] & 31 == 5:
            return True
        position += length_size + int.from_bytes(data[position : position + length_size], "big")
    return False


def _index_for_seeks(source: str | io.BytesIO) -> _FrameIndex:
    """
    Index the frames for decoders that seek by themselves. decord takes a keyframe's position in the file for its position in
    time, and both decord and torchcodec rely on decoding to start at it. In other files they return wrong frames without
    an error.
    """
    index = _index_frames(source)
    if not index.has_closed_groups:
        raise ValueError("it cannot find single frames in such a file reliably")
    if isinstance(source, io.BytesIO):
        source.seek(0)
    return index


def _open_with_decord(source: str | io.BytesIO) -> Reader:
    decord = importlib.import_module("decord")
    index = _index_for_seeks(source)
    # By default, decord replaces frames that it cannot decode by others. The tolerance makes the first one an error.
    reader = decord.VideoReader(source, fault_tol=1e-9)
    if len(reader) != index.num_frames:
        raise ValueError(f"it finds {len(reader)} of {index.num_frames} frames")

    def read(indices: list[int]) -> np.ndarray:
        batch = reader.get_batch(indices)
        # The type depends on the bridge that the process has set.
        return batch.asnumpy() if hasattr(batch, "asnumpy") else np.asarray(batch)

    return index.num_frames, index.fps, read


def _open_with_torchcodec(source: str | io.BytesIO) -> Reader:
    decoders = importlib.import_module("torchcodec.decoders")
    index = _index_for_seeks(source)
    decoder = decoders.VideoDecoder(source, dimension_order="NHWC")
    if len(decoder) != index.num_frames:
        raise ValueError(f"it finds {len(decoder)} of {index.num_frames} frames")
    return index.num_frames, index.fps, lambda indices: decoder.get_frames_at(indices).data.numpy()


def _open_with_pyav(source: str | io.BytesIO) -> Reader:
    index = _index_frames(source)

    def read(indices: list[int]) -> np.ndarray:
        frames = _seek_frames(source, index, indices) if index.times else []
        if len(frames) < len(indices):
            # Seeks can miss their keyframe, as in fragmented files.
            frames = _count_frames(source, indices)
        if len(frames) < len(indices):
            raise ValueError(f"frame {indices[len(frames)]} of {index.num_frames} cannot be decoded")
        return np.stack(frames)

    return index.num_frames, index.fps, read


def _seek_frames(source: str | io.BytesIO, index: _FrameIndex, indices: list[int]) -> list[np.ndarray]:
    """Decode from the keyframe before each of the frames, and stop at the first frame that is not found."""
    container, stream = _open_stream(source)
    frames = []
    with container:
        decoded, position = container.decode(stream), index.times[0]
        for time in (index.times[i] for i in indices):
            # A seek is only useful to a keyframe that decoding has not reached yet.
            keyframe = max((key for key in index.keyframe_times if key <= time), default=None)
            if keyframe is not None and keyframe > position:
                container.seek(keyframe, stream=stream)
                decoded = container.decode(stream)
            for frame in decoded:
                position = frame.pts
                if position >= time:
                    break
            if position != time:
                break
            frames.append(_upright(frame))
    return frames


def _count_frames(source: str | io.BytesIO, indices: list[int]) -> list[np.ndarray]:
    """Decode from the start and count, up to the last of the frames."""
    container, stream = _open_stream(source)
    wanted, frames = set(indices), []
    with container:
        for position, frame in enumerate(container.decode(stream)):
            if position in wanted:
                frames.append(_upright(frame))
            if position == indices[-1]:
                break
    return frames


def _upright(frame) -> np.ndarray:
    """Return a PyAV frame as (height, width, 3), rotated by its display matrix (counterclockwise degrees)."""
    return np.rot90(frame.to_ndarray(format="rgb24"), k=round(frame.rotation / 90) % 4)


# In the order in which "auto" tries them, with the module whose import shows whether the library works.
DECODERS: dict[str, tuple[str, Callable[[str | io.BytesIO], Reader]]] = {
    "decord": ("decord", _open_with_decord),
    "torchcodec": ("torchcodec.decoders", _open_with_torchcodec),
    "pyav": ("av", _open_with_pyav),
}


def available_decoders() -> list[str]:
    """Return the decoders that can be used here, preferred ones first."""
    available = []
    # PyAV before decord: in the other order, PyAV gets decord's libvpx and cannot encode with it.
    for name, (module, _) in reversed(DECODERS.items()):
        try:
            importlib.import_module(module)
        except (ImportError, OSError, RuntimeError):  # RuntimeError: torchcodec without a system FFmpeg
            continue
        available.insert(0, name)
    return available


def _fetch(url: str) -> io.BytesIO:
    try:
        response = get_session().get(url, follow_redirects=True)
        response.raise_for_status()
    except Exception as error:
        raise VideoDecodingError(f"The video {url} cannot be downloaded: {error}") from error
    return io.BytesIO(response.content)


def decode_video(
    video: str | os.PathLike | bytes, choose_frames: Callable[[int, float | None], list[int]], decoder: str = "auto"
) -> DecodedVideo:
    """
    Decode the frames that `choose_frames` requests, skipping others where possible.

    Args:
        video (`str`, `os.PathLike` or `bytes`):
            A file, an http(s) URL, or the content of a file.
        choose_frames (`Callable[[int, float | None], list[int]]`):
            Maps the number of frames and the frames per second to the indices of the frames to decode, in any order and
            with repetitions.
        decoder (`str`, defaults to `"auto"`):
            `"decord"`, `"torchcodec"`, `"pyav"`, or `"auto"` for the first of them that is installed and reads the file.

    Returns:
        `DecodedVideo`: The frames.

    Raises:
        VideoDecodingError: If the video cannot be read; the message names the video and each decoder's reason.
        ImportError: If the decoder, or PyAV, is missing; the message says what to install.
        ValueError: If there is no decoder with this name.
    """
    if decoder not in ("auto", *DECODERS):
        raise ValueError(f'`decoder` must be "auto" or one of {", ".join(DECODERS)}, got "{decoder}".')
    available = available_decoders()
    # PyAV numbers the frames for the others as well.
    missing = "PyAV" if "pyav" not in available else decoder if decoder not in ("auto", *available) else None
    if missing is not None:
        raise ImportError(
            f"The decoder {missing} is not installed or cannot be loaded. Install PyAV with `pip install av` (all platforms, "
            "always required), decord with `pip install decord` (Linux and Windows on x86-64), or torchcodec with `pip "
            "install torchcodec`, which needs FFmpeg on the system."
        )

    if isinstance(video, bytes):
        name, source = f"of {len(video)} bytes in memory", io.BytesIO(video)
    else:
        name = os.fspath(video)
        if name.startswith(("http://", "https://")):
            source = _fetch(name)
        elif not os.path.exists(name):
            raise VideoDecodingError(f"The video {name} does not exist.")
        elif os.path.isdir(name):
            raise VideoDecodingError(f"The video {name} is a folder. Give the files in it.")
        else:
            source = name
    size = source.getbuffer().nbytes if isinstance(source, io.BytesIO) else os.path.getsize(source)
    if size == 0:
        raise VideoDecodingError(f"The video {name} is empty (0 bytes).")

    reasons = []
    for candidate in available if decoder == "auto" else [decoder]:
        try:
            if isinstance(source, io.BytesIO):
                source.seek(0)
            total_num_frames, fps, read = DECODERS[candidate][1](source)
            if not total_num_frames:
                raise ValueError("it holds no frames")
        except Exception as error:
            reasons.append(f"{candidate}: {_first_line(error)}")
            continue
        # Outside of `try`: an error in it is not the video's fault.
        indices = sorted(set(choose_frames(total_num_frames, fps)))
        try:
            frames = read(indices)
            if len(frames) != len(indices):
                raise ValueError(f"only {len(frames)} of {len(indices)} frames can be decoded")
        except Exception as error:
            reasons.append(f"{candidate}: {_first_line(error)}")
            continue
        # (frames, height, width, 3) -> (frames, 3, height, width)
        tensor = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2)
        return DecodedVideo(tensor, indices, total_num_frames, fps, candidate)
    raise VideoDecodingError(
        f"The video {name} cannot be decoded; it may be corrupted or truncated. {'; '.join(reasons)}"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or repr(error)).splitlines()[0]


__all__ = ["DecodedVideo", "VideoDecodingError", "available_decoders", "decode_video"]
