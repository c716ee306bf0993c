# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Reading single frames of video files, with whichever of decord, torchcodec and PyAV is there.

Every reader gives frames upright (rotation metadata applied) as RGB, and counts the frames in the order in which they are
shown, so that the three agree on what frame 17 is.
"""

import importlib
import io
import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from huggingface_hub import get_session
from transformers.utils import logging


logger = logging.get_logger(__name__)


class VideoDecodingError(OSError):
    """A video that cannot be read: missing, empty, truncated, or not a video. The message names it."""


@dataclass
class DecodedVideo:
    """
    Some frames of a video.

    Args:
        frames (`torch.ByteTensor` of shape `(frames, 3, height, width)`):
            The frames that were asked for, each of them once, in rising order.
        frame_indices (`list[int]`):
            Their indices in the video.
        total_num_frames (`int`):
            Frames of the whole video.
        fps (`float`, *optional*):
            Frames per second, where the file tells.
        decoder (`str`):
            The library that decoded them.
    """

    frames: torch.Tensor
    frame_indices: list[int]
    total_num_frames: int
    fps: float | None
    decoder: str


# What follows reads a file (a path, or bytes in memory) in three ways. Each function gives the number of frames, the frames
# per second, and a function from rising indices to the frames, (frames, height, width, 3) uint8.
Reader = tuple[int, float | None, Callable[[list[int]], np.ndarray]]


def _open_with_decord(source: str | io.BytesIO) -> Reader:
    decord = importlib.import_module("decord")
    reader = decord.VideoReader(source)

    def read(indices: list[int]) -> np.ndarray:
        batch = reader.get_batch(indices)
        # What `get_batch` returns depends on the bridge that the process has set.
        return batch.asnumpy() if hasattr(batch, "asnumpy") else np.asarray(batch)

    return len(reader), reader.get_avg_fps() or None, read


def _open_with_torchcodec(source: str | io.BytesIO) -> Reader:
    decoders = importlib.import_module("torchcodec.decoders")
    decoder = decoders.VideoDecoder(source, dimension_order="NHWC")
    metadata = decoder.metadata
    return metadata.num_frames, metadata.average_fps, lambda indices: decoder.get_frames_at(indices).data.numpy()


def _open_with_pyav(source: str | io.BytesIO) -> Reader:
    av = importlib.import_module("av")

    def open_stream():
        if isinstance(source, io.BytesIO):
            source.seek(0)
        container = av.open(source)
        if not container.streams.video:
            container.close()
            raise ValueError("it holds no video stream")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        return container, stream

    # Packets come in the order of decoding. Sorted by time they number the frames, without decoding any of them.
    container, stream = open_stream()
    with container:
        packets = [(packet.pts, packet.is_keyframe) for packet in container.demux(stream) if packet.size]
        fps = float(stream.average_rate) if stream.average_rate else None
    times = sorted(pts for pts, _ in packets if pts is not None)
    has_times = len(set(times)) == len(packets)
    keyframe_times = sorted(pts for pts, is_keyframe in packets if is_keyframe and pts is not None)

    def read(indices: list[int]) -> np.ndarray:
        container, stream = open_stream()
        frames = []
        with container:
            if not has_times:
                wanted = set(indices)
                for index, frame in enumerate(container.decode(stream)):
                    if index in wanted:
                        frames.append(_upright(frame))
                    if index == indices[-1]:
                        break
            else:
                decoded, position = container.decode(stream), times[0] - 1
                for time in (times[index] for index in indices):
                    # A seek pays only where it skips frames: to a keyframe that decoding has not passed yet.
                    keyframe = max((key for key in keyframe_times if key <= time), default=None)
                    if keyframe is not None and keyframe > position:
                        container.seek(keyframe, stream=stream)
                        decoded = container.decode(stream)
                    for frame in decoded:
                        position = frame.pts
                        if position >= time:
                            break
                    else:
                        break
                    if position != time:
                        break
                    frames.append(_upright(frame))
        if len(frames) != len(indices):
            raise ValueError(f"frame {indices[len(frames)]} of {len(packets)} cannot be decoded")
        return np.stack(frames)

    return len(packets), fps, read


def _upright(frame) -> np.ndarray:
    """A PyAV frame as (height, width, 3), turned as its display matrix says (counter-clockwise degrees)."""
    return np.rot90(frame.to_ndarray(format="rgb24"), k=round(frame.rotation / 90) % 4)


# In the order in which "auto" tries them, with the module that shows whether the library works.
DECODERS: dict[str, tuple[str, Callable[[str | io.BytesIO], Reader]]] = {
    "decord": ("decord", _open_with_decord),
    "torchcodec": ("torchcodec.decoders", _open_with_torchcodec),
    "pyav": ("av", _open_with_pyav),
}


def available_decoders() -> list[str]:
    """The decoders that can be used here, in the order in which they are preferred."""
    available = []
    for name, (module, _) in DECODERS.items():
        try:
            importlib.import_module(module)
        except (ImportError, OSError, RuntimeError):  # torchcodec without a system FFmpeg raises the last one
            continue
        available.append(name)
    return available


def _fetch(url: str) -> io.BytesIO:
    try:
        response = get_session().get(url, follow_redirects=True)
        response.raise_for_status()
    except Exception as error:
        raise VideoDecodingError(f"The video {url} cannot be downloaded: {error}") from error
    return io.BytesIO(response.content)


def decode_video(
    video: str | os.PathLike | bytes,
    choose_frames: Callable[[int, float | None], list[int]],
    decoder: str = "auto",
) -> DecodedVideo:
    """
    Decodes the frames that `choose_frames` asks for, and no others that can be skipped.

    Args:
        video (`str`, `os.PathLike` or `bytes`):
            A file, a http(s) URL, or the content of a file.
        choose_frames (`Callable[[int, float | None], list[int]]`):
            From the number of frames and the frames per second to the indices that are needed, repeats allowed.
        decoder (`str`, defaults to `"auto"`):
            `"decord"`, `"torchcodec"`, `"pyav"`, or `"auto"` for the first of them that is installed and reads the file.

    Raises:
        VideoDecodingError: If the video cannot be read; it names the video and each decoder's reason.
        ImportError: If the decoder, or with `"auto"` every decoder, is missing; it says what to install.
        ValueError: If there is no decoder of that name.
    """
    if decoder not in ("auto", *DECODERS):
        raise ValueError(f'`decoder` must be "auto" or one of {", ".join(DECODERS)}, got "{decoder}".')
    available = available_decoders()
    if not available or decoder not in ("auto", *available):
        what = (
            "None of decord, torchcodec and PyAV" if decoder == "auto" else f"The decoder {decoder} cannot be used: it"
        )
        raise ImportError(
            f"{what} is{' not' if decoder != 'auto' else ''} installed and working. Install PyAV with `pip install av` "
            "(any platform), decord with `pip install decord` (Linux and Windows on x86-64), or torchcodec with "
            "`pip install torchcodec`, which needs FFmpeg on the system."
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
            raise VideoDecodingError(f"The video {name} is a folder; give the files in it.")
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
            indices = sorted(set(choose_frames(total_num_frames, fps)))
            frames = read(indices)
            if len(frames) != len(indices):
                raise ValueError(f"only {len(frames)} of {len(indices)} frames can be decoded")
        except Exception as error:
            reasons.append(f"{candidate}: {str(error).strip().splitlines()[0] if str(error).strip() else repr(error)}")
            continue
        # (frames, height, width, 3) -> (frames, 3, height, width)
        tensor = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2)
        return DecodedVideo(tensor, indices, total_num_frames, fps, candidate)
    raise VideoDecodingError(
        f"The video {name} cannot be decoded; it may be corrupted or truncated. {'; '.join(reasons)}"
    )


__all__ = ["DecodedVideo", "VideoDecodingError", "available_decoders", "decode_video"]
