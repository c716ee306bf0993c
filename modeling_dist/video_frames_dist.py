# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Videos in any form that people hold them in, as frames of one form, some at a time.

Files are decoded. A folder of pictures, a list of images, an array, a tensor and the reader objects of decord, torchcodec and
torchvision are sequences of frames already: of other types, ranges and orders of dimensions.
"""

import math
import os
import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from transformers.image_utils import ChannelDimension, is_pil_image
from transformers.utils import logging

from .video_decoding_dist import BYTES_PER_PIECE, DecodedVideo, decode_video
from .video_files_dist import Deadline, VideoDecodingError, VideoLimits


logger = logging.get_logger(__name__)

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
CHANNELS = (3, 4, 1)
# Orders of the dimensions of a video, by the values of `input_data_format`.
FORMATS = {"channels_first": "TCHW", "channels_last": "THWC", "frames_second": "CTHW"}


def _channels_are_first(input_data_format: str | ChannelDimension | None, frame: torch.Tensor) -> bool:
    """Return whether a frame of three dimensions is (channels, height, width) rather than (height, width, channels)."""
    shape = tuple(frame.shape)
    if input_data_format is not None:
        is_first = FORMATS[_format_name(input_data_format)] == "TCHW"
        if shape[0 if is_first else 2] not in CHANNELS:
            raise ValueError(f"`input_data_format` must leave 1, 3 or 4 channels, got a frame of the shape {shape}.")
        return is_first
    first, last = shape[0] in CHANNELS, shape[2] in CHANNELS
    if first == last:
        reason = "may be either" if first else "neither has 1, 3 or 4 channels"
        raise ValueError(
            f"A frame must be (height, width, channels) or (channels, height, width), and the shape {shape} {reason}. Give "
            '`input_data_format`, "channels_last" or "channels_first".'
        )
    return first


def _format_name(input_data_format: str | ChannelDimension) -> str:
    name = str(getattr(input_data_format, "value", input_data_format))
    if name not in FORMATS:
        allowed = ", ".join(f'"{name}" ({", ".join(order)})' for name, order in FORMATS.items())
        raise ValueError(f'`input_data_format` must be one of {allowed}, got "{name}".')
    return name


def order_of(shape: Sequence[int], input_data_format: str | ChannelDimension | None = None) -> str:
    """
    Return the order of a video's four dimensions, `"THWC"`, `"TCHW"` or `"CTHW"`.

    The channels are the last dimension, the second or the first, whichever is 3, 4 or 1. A second dimension of 3 goes before
    the first one, so that `(3, 3, height, width)` has three frames. Other videos in which two dimensions can be that of the
    channels, such as `(3, 4, height, width)`, are refused unless `input_data_format` decides.
    """
    shape = tuple(shape)
    if input_data_format is not None:
        order = FORMATS[_format_name(input_data_format)]
        if shape[order.index("C")] not in CHANNELS:
            raise ValueError(
                f"`input_data_format` says ({', '.join(order)}), where C is 1, 3 or 4 channels, got shape {shape}."
            )
        return order
    is_first, is_second, is_last = shape[0] in CHANNELS, shape[1] in CHANNELS, shape[3] in CHANNELS
    if is_last and not is_second:
        return "THWC"
    if is_second and not is_last and (shape[1] == 3 or not is_first):
        return "TCHW"
    if is_first and not is_second and shape[3] > 4:
        return "CTHW"
    several = is_second and (is_first or is_last)
    reason = (
        "several dimensions can be that of the channels" if several else "no dimension can be that of the channels"
    )
    allowed = ", ".join(f'"{name}" for ({", ".join(order)})' for name, order in FORMATS.items())
    raise ValueError(f"Of a video with the shape {shape}, {reason} (1, 3 or 4). Give `input_data_format`: {allowed}.")


# ---- sequences of frames


class FrameSequence:
    """
    Frames by their numbers.

    Args:
        num_frames (`int`):
            How many there are.
        get (`Callable[[int], np.ndarray | torch.Tensor | PIL.Image]`):
            Returns one of them: an image, an array or a tensor with three dimensions, or two if it is gray.
        input_data_format (`str`, *optional*):
            `"channels_last"` or `"channels_first"`.
        name (`str`):
            What messages call the video.
    """

    fps: float | None = None
    backend: str | None = None
    damage: str | None = None

    def __init__(self, num_frames: int, get: Callable, input_data_format=None, name: str = "A video"):
        if num_frames == 0:
            raise ValueError(f"{name} must have at least one frame.")
        self.num_frames, self._get, self.input_data_format, self.name = num_frames, get, input_data_format, name

    def read(self, indices: Sequence[int]) -> Iterator[torch.Tensor]:
        """Yield frames as (channels, height, width), in their own type."""
        for index in indices:
            yield self._channels_first(self._get(index))

    def pieces(
        self, indices: Sequence[int], convert: Callable[[torch.Tensor], torch.Tensor]
    ) -> Iterator[torch.Tensor]:
        """Yield frames, each converted, as (frames, channels, height, width), some at a time."""
        piece: list[torch.Tensor] = []
        first = None
        for count, frame in enumerate(self.read(indices), 1):
            frame = convert(frame)
            first = frame if first is None else first
            if frame.shape != first.shape or frame.dtype != first.dtype:
                described = [f"{tuple(one.shape)} of {_type_name(one.dtype)}" for one in (first, frame)]
                raise ValueError(
                    "The frames of a video must have the same shape and type, got (channels, height, width) = "
                    f"{' and '.join(described)}."
                )
            piece.append(frame)
            if count == len(indices) or len(piece) * frame.numel() >= BYTES_PER_PIECE:
                yield torch.stack(piece)
                piece.clear()

    def _channels_first(self, frame) -> torch.Tensor:
        is_image, frame = is_pil_image(frame), _to_tensor(frame)
        if 0 in frame.shape:
            raise ValueError(f"{self.name} has no pixels.")
        if frame.ndim == 2:
            frame = frame[None]
        elif frame.ndim != 3:
            raise ValueError(f"A frame must have 2 or 3 dimensions, got shape {tuple(frame.shape)}.")
        elif is_image or not _channels_are_first(self.input_data_format, frame):
            frame = frame.movedim(-1, 0)
        return frame


def _to_tensor(frame) -> torch.Tensor:
    """Return a frame, or several, as a tensor of a type for which torch has all operations, or uint16."""
    if is_pil_image(frame):
        frame = _image_to_array(frame)
    elif hasattr(frame, "asnumpy"):  # of decord
        frame = frame.asnumpy()
    if not isinstance(frame, torch.Tensor):
        frame = np.asarray(frame)
        if frame.dtype.kind not in "biuf":
            raise ValueError(f"Frames must hold numbers, got an array of the type {frame.dtype}.")
        common = {"u4": np.int64, "u8": np.int64, "f12": np.float64, "f16": np.float64}.get(frame.dtype.str[1:])
        frame = frame.astype(common or frame.dtype.newbyteorder("="), copy=False)
        # Copies only what torch does not accept: negative strides, such as in `frame[..., ::-1]`, and read-only memory.
        is_accepted = frame.flags.writeable and min(frame.strides, default=0) >= 0
        return torch.from_numpy(frame if is_accepted else frame.copy())
    if frame.is_complex():
        raise ValueError(f"Frames must hold numbers, got a tensor of the type {_type_name(frame.dtype)}.")
    return frame.long() if frame.dtype in (torch.uint32, torch.uint64) else frame


def _image_to_array(image) -> np.ndarray:
    """Return an image as RGB or RGBA, or as it is if it has a wider range than bytes."""
    if image.mode == "I":  # the 32 bits of Pillow for what files hold in 16
        values = np.asarray(image)
        return values.astype(np.uint16) if values.min() >= 0 and values.max() <= 65535 else values
    if image.mode.startswith("I;16") or image.mode == "F":
        return np.asarray(image)
    has_alpha = image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info
    return np.asarray(image.convert("RGBA" if has_alpha else "RGB"))


class _Array(FrameSequence):
    """An array or a tensor with four dimensions, several of whose frames are taken at once."""

    def __init__(self, video: np.ndarray | torch.Tensor, input_data_format):
        order = order_of(video.shape, input_data_format)
        # (frames, channels, height, width), as a view.
        axes = tuple(map(order.index, "TCHW"))
        self.video = video.permute(axes) if isinstance(video, torch.Tensor) else video.transpose(axes)
        name = f"A video of shape {tuple(video.shape)}"
        super().__init__(len(self.video), self.video.__getitem__, "channels_first", name)
        if 0 in self.video.shape:
            raise ValueError(f"{name} has no pixels.")

    def pieces(
        self, indices: Sequence[int], convert: Callable[[torch.Tensor], torch.Tensor]
    ) -> Iterator[torch.Tensor]:
        size = max(1, BYTES_PER_PIECE // max(1, math.prod(self.video.shape[1:])))
        for start in range(0, len(indices), size):
            yield convert(_to_tensor(self.video[indices[start : start + size]]))


def _open_list(frames: Sequence, input_data_format) -> FrameSequence:
    return FrameSequence(len(frames), frames.__getitem__, input_data_format)


class _FolderOfPictures(FrameSequence):
    """The pictures in a folder, in the order of the numbers in their names."""

    def __init__(self, folder: str, limits: VideoLimits):
        self.limits = limits
        names = [name for name in os.listdir(folder) if not name.startswith(".")]
        names = [name for name in names if os.path.splitext(name)[1].lower() in PICTURES]
        if not names:
            raise VideoDecodingError(
                f"The video {folder} is a folder without pictures ({' '.join(PICTURES)}). Give the videos in it."
            )
        if len(names) > limits.num_frames:
            raise VideoDecodingError(
                f"The video {folder} has more than {limits.num_frames:,} frames, the limit (`num_frames`)."
            )
        numbered: dict[tuple[str, str], dict[int, str]] = {}
        for name in sorted(names):
            before, digits, after = re.fullmatch(r"(.*?)(\d*)(\D*)", name, re.DOTALL).groups()
            pictures = numbered.setdefault((before, after.lower()), {})
            other = pictures.setdefault(int(digits or 0), name)
            if other != name or len(numbered) > 1:
                other = other if other != name else min(next(iter(numbered.values())).values())
                raise VideoDecodingError(
                    f"The pictures in the folder {folder} are not one video: their names must differ by a number alone, got "
                    f"{other} and {name}."
                )
        self.paths = [os.path.join(folder, pictures[number]) for number in sorted(pictures)]
        super().__init__(len(self.paths), self._read_picture, "channels_last", f"The video {folder}")
        steps = {after - before for before, after in zip(sorted(pictures), sorted(pictures)[1:])}
        if len(steps) > 1 and min(steps) == 1:
            missing = next(number + 1 for number in sorted(pictures) if number + 1 not in pictures)
            self.damage = f"the picture with the number {missing} is missing"
        self.size: tuple[int, int] | None = None
        self.deadline = Deadline(limits.seconds)

    def _read_picture(self, index: int):
        from PIL import Image, ImageOps

        path = self.paths[index]
        try:
            self.deadline.check()
            with Image.open(path) as image:
                if image.width * image.height > self.limits.frame_pixels:
                    raise ValueError(
                        f"{image.width} x {image.height} pixels exceed the limit of {self.limits.frame_pixels:,} (`frame_pixels`)"
                    )
                array = _image_to_array(ImageOps.exif_transpose(image))
        except Exception as error:
            raise VideoDecodingError(f"The picture {path} cannot be read: {error}") from error
        self.size = self.size or array.shape[:2]
        if array.shape[:2] != self.size:
            raise VideoDecodingError(
                f"The pictures of a video must have one size, and {path} has {array.shape[1]} x {array.shape[0]} pixels, "
                f"others {self.size[1]} x {self.size[0]}."
            )
        return array


class _SequentialReader(FrameSequence):
    """torchvision's `VideoReader`, which yields dictionaries with a frame and does not know how many there are."""

    backend = "torchvision"

    def __init__(self, reader):
        self.reader = reader
        num_frames = sum(1 for _ in self._frames())
        super().__init__(num_frames, None, "channels_first")
        metadata = reader.get_metadata() if hasattr(reader, "get_metadata") else {}
        fps = metadata.get("video", {}).get("fps")
        self.fps = float(fps[0] if isinstance(fps, (list, tuple)) else fps) if fps else None

    def _frames(self) -> Iterator:
        self.reader.seek(0)
        for item in self.reader:
            yield item["data"]

    def read(self, indices: Sequence[int]) -> Iterator[torch.Tensor]:
        wanted = set(indices)
        for index, frame in enumerate(self._frames()):
            if index in wanted:
                yield self._channels_first(frame)


def _open_decord_reader(reader) -> FrameSequence:
    frames = FrameSequence(len(reader), reader.__getitem__, "channels_last")
    frames.fps, frames.backend = float(reader.get_avg_fps()), "decord"
    return frames


def _open_torchcodec_decoder(decoder) -> FrameSequence:
    frames = FrameSequence(len(decoder), decoder.__getitem__)
    frames.fps, frames.backend = decoder.metadata.average_fps, "torchcodec"
    return frames


# The reader objects of other libraries: by the package that defines them, and a method that tells them from others there.
_READERS: dict[str, tuple[str, Callable]] = {
    "decord": ("get_avg_fps", _open_decord_reader),
    "torchcodec": ("get_frame_at", _open_torchcodec_decoder),
    "torchvision": ("seek", _SequentialReader),
}


def _reader_opener(video) -> Callable | None:
    method, opener = _READERS.get(type(video).__module__.split(".")[0], ("", None))
    return opener if opener is not None and hasattr(video, method) else None


def is_reader(video) -> bool:
    """Return whether this is a reader object of decord, torchcodec or torchvision."""
    return _reader_opener(video) is not None


# ---- range of values


def _white(frames: FrameSequence, indices: Sequence[int]) -> float:
    """
    Return the value that stands for full intensity, by the type of the frames: 255 for bytes, 65,535 for uint16, 1 for
    booleans. Other integers must lie in the range of bytes. Floating-point numbers lie in [0, 1] if none of them exceeds 1.5,
    and else in [0, 255]; what interpolation overshoots is allowed.
    """
    # Most videos show in their first frame what they are.
    low, high, kind = float("inf"), float("-inf"), None
    others = sorted(set(range(frames.num_frames)) - set(indices))
    for frame in frames.read([*indices]):
        kind = frame.dtype
        if kind == torch.uint8:
            return 255.0
        if kind == torch.bool:
            return 1.0
        if kind == torch.uint16:
            return 65535.0
        low, high = _extend(low, high, frame)
    if not kind.is_floating_point:
        if low < 0 or high > 255:
            raise ValueError(
                f"{frames.name} has frames of the type {_type_name(kind)} with values from {low:g} to {high:g}. Integers must lie in "
                "0 to 255, or be uint16, which has the range 0 to 65535. Scale them, or pass `do_rescale=False`."
            )
        return 255.0
    if high <= 1.5:  # dark frames were taken, or all of them are in [0, 1]
        for frame in frames.read(others):
            low, high = _extend(low, high, frame)
            if high > 1.5:
                break
    is_unit = high <= 1.5
    if not (-0.5 <= low if is_unit else -64 <= low and high <= 319) or (low < -0.5 and high < 16):
        raise ValueError(
            f"{frames.name} has frames of the type {_type_name(kind)} with values from {low:g} to {high:g}. They must lie in 0 to 1, or in 0 "
            "to 255. For frames that are normalized already, pass `do_rescale=False, do_normalize=False`."
        )
    return 1.0 if is_unit else 255.0


def _extend(low: float, high: float, frame: torch.Tensor) -> tuple[float, float]:
    smallest, largest = (value.item() for value in torch.aminmax(frame))
    if not (smallest == smallest and abs(smallest) != float("inf") and abs(largest) != float("inf")):
        raise ValueError("A frame holds values that are not finite (NaN or infinity).")
    return min(low, smallest), max(high, largest)


def _type_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def to_rgb(frame: torch.Tensor, white: float) -> torch.Tensor:
    """Return frames `(…, channels, height, width)` with three channels. What is transparent becomes white."""
    num_channels = frame.shape[-3]
    if num_channels == 3:
        return frame
    if num_channels == 1:
        return frame.expand(*frame.shape[:-3], 3, -1, -1)
    colors, alpha = frame.split((3, 1), dim=-3)
    if not (alpha < white).any():
        return colors
    alpha = alpha.float() / white
    blended = (1 - alpha) * white + alpha * colors
    # In the type of other frames, which may be opaque.
    return blended if frame.is_floating_point() else blended.round().to(frame.dtype)


# ---- any video


def take_frames(
    video,
    choose_frames: Callable[[int, float | None], list[int]],
    consume: Callable[[int, torch.Tensor, float], None],
    *,
    decoder: str = "auto",
    damaged: str | Callable[[str], None] = "warn",
    limits: VideoLimits | None = None,
    input_data_format: str | ChannelDimension | None = None,
    convert_rgb: bool = True,
    check_range: bool = True,
) -> DecodedVideo:
    """
    Hand on the frames of a video that a function chooses, some at a time. All arguments that are not listed here are those of
    [`decode_video`].

    Args:
        video (`str`, `os.PathLike`, `bytes`, `dict`, `np.ndarray`, `torch.Tensor`, `list`, or a reader):
            A file, an http(s) URL, the content of a file, an open file, a folder of pictures, a row `{"path": …, "bytes": …}`,
            an array or a tensor with four dimensions, a list of frames, or a reader object of decord, torchcodec or
            torchvision.
        consume (`Callable[[int, torch.Tensor, float], None]`):
            Called with a position among the chosen frames, with frames `(frames, channels, height, width)` from there on, and
            with the value that stands for full intensity.
        input_data_format (`str`, *optional*):
            Order of the dimensions of an array: `"channels_last"`, `"channels_first"` or `"frames_second"`.
        convert_rgb (`bool`, defaults to `True`):
            Whether to return three channels for frames with one (gray) or four (transparency, on white).
        check_range (`bool`, defaults to `True`):
            Whether values that are neither in [0, 1] nor in the range of bytes or uint16 are an error.

    Raises:
        VideoDecodingError: If a file cannot be read; the message names it.
        ValueError: If frames have a shape, a type or values that are not allowed.
    """
    if isinstance(video, dict):
        video = video["bytes"] if video.get("bytes") is not None else video.get("path")
        if video is None:
            raise VideoDecodingError("The video has neither a path nor bytes.")
    limits = limits or VideoLimits()
    opener = _reader_opener(video)
    if isinstance(video, (np.ndarray, torch.Tensor)):
        frames = _Array(video, input_data_format)
    elif isinstance(video, (list, tuple)):
        frames = _open_list(video, input_data_format)
    elif opener is not None:
        frames = opener(video)
    elif isinstance(video, (str, os.PathLike)) and os.path.isdir(video):
        frames = _FolderOfPictures(os.fspath(video), limits)
    else:
        options = {"decoder": decoder, "damaged": damaged, "limits": limits}
        return decode_video(
            video, choose_frames, consume=lambda start, frames: consume(start, frames, 255.0), **options
        )
    if frames.damage is not None and damaged != "ignore":
        message = f"{frames.name} is damaged: {frames.damage}."
        if damaged == "error":
            raise VideoDecodingError(message)
        (damaged if callable(damaged) else logger.warning)(message)
    indices = sorted(set(choose_frames(frames.num_frames, frames.fps)))
    white = _white(frames, indices) if check_range else None

    def convert(frame: torch.Tensor) -> torch.Tensor:
        nonlocal white
        white = white or _largest_value(frame)
        if frame.dtype == torch.uint16:  # for which torch has few operations
            frame = frame.to(torch.int32)
            if white == 255:  # an image of 16 bits among others
                frame = (frame / 257).round().to(torch.uint8)
        elif frame.dtype == torch.uint8 and white == 65535:
            frame = frame.to(torch.int32) * 257
        return to_rgb(frame, white) if convert_rgb else frame

    start = 0
    for piece in frames.pieces(indices, convert):
        consume(start, piece, white)
        start += len(piece)
    if start < len(indices):
        raise VideoDecodingError(f"{frames.name} has fewer frames than it says: {start} of {len(indices)}.")
    return DecodedVideo(None, indices, frames.num_frames, frames.fps, frames.backend, frames.damage)


def _largest_value(frame: torch.Tensor) -> float:
    """Return the value of full intensity for a frame whose values are used as they are."""
    if frame.is_floating_point():
        return 1.0 if frame.max() <= 1 else 255.0
    return {torch.uint16: 65535.0, torch.bool: 1.0}.get(frame.dtype, 255.0)


__all__ = ["FORMATS", "FrameSequence", "is_reader", "order_of", "take_frames", "to_rgb"]
