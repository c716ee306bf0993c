# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""The video processor of DiST: from files, arrays or tensors to sampled, cropped and normalized frames."""

import dataclasses
import json
import os
from collections.abc import Callable

import numpy as np
import torch
from huggingface_hub.dataclasses import validate_typed_dict
from huggingface_hub.errors import StrictDataclassError
from transformers.image_processing_utils import BatchFeature, get_size_dict
from transformers.image_utils import (
    OPENAI_CLIP_MEAN,
    OPENAI_CLIP_STD,
    ChannelDimension,
    PILImageResampling,
    is_pil_image,
)
from transformers.processing_utils import Unpack, VideosKwargs
from transformers.utils import IMAGE_PROCESSOR_NAME
from transformers.video_processing_utils import BaseVideoProcessor
from transformers.video_utils import VideoInput, VideoMetadata

from .video_decoding_dist import DAMAGED, DECODERS
from .video_files_dist import VideoLimits
from .video_frames_dist import is_reader, take_frames


# Frames with more values than this are converted to float32 one channel at a time.
LARGE = 2**24
INTERPOLATION_MODES = {
    PILImageResampling.NEAREST: "nearest",
    PILImageResampling.BILINEAR: "bilinear",
    PILImageResampling.BICUBIC: "bicubic",
}


def segment_frame_indices(
    total_num_frames: int,
    num_frames: int,
    num_clips: int = 1,
    random: bool = False,
    generator: torch.Generator | None = None,
) -> torch.LongTensor:
    """
    Return the frames of the paper's sampling, `(num_clips, num_frames)`: one from each of `num_frames` segments of
    equal length. A single clip takes the middle of each segment, clip k of V the point (k + 1) / V, and with `random`,
    each takes a uniformly random point, as in training. If the video has fewer frames, frames repeat.
    """
    bounds = torch.linspace(0, total_num_frames, num_frames + 1)
    starts, lengths = bounds[:-1], bounds[1:] - bounds[:-1]
    if random:
        offsets = torch.rand(num_clips, num_frames, generator=generator) * lengths
    elif num_clips == 1:
        offsets = (lengths / 2)[None]
    else:
        offsets = lengths * torch.arange(1, num_clips + 1)[:, None] / num_clips
    # `round` rounds halves to even.
    return (starts + offsets).clamp(0, total_num_frames - 1).round().long()


def dense_frame_indices(
    total_num_frames: int,
    num_frames: int,
    frame_step: int,
    fps: float | None = None,
    num_clips: int = 1,
    random: bool = False,
    generator: torch.Generator | None = None,
) -> torch.LongTensor:
    """
    Return the frames of dense sampling, `(num_clips, num_frames)`: a window of `num_frames` frames, `frame_step` apart
    at 30 frames per second, which is also the default of `fps`. The window of a single clip is in the middle, that of
    clip k of V at k / V of the free range, and with `random`, each is at a random place, as in training. If the video
    is shorter than the window, its first and last frame repeat.
    """
    window = num_frames * frame_step * (fps or 30.0) / 30.0
    slack = max(total_num_frames - window, 0)
    if random:
        starts = (torch.rand(num_clips, generator=generator, dtype=torch.float64) * slack).tolist()
    elif num_clips == 1:
        starts = [slack / 2]
    else:
        starts = [slack * clip / num_clips for clip in range(num_clips)]
    clips = [torch.linspace(start, start + window - 1, num_frames) for start in starts]
    return torch.stack(clips).clamp(0, total_num_frames - 1).long()


class DiSTVideoProcessorKwargs(VideosKwargs, total=False):
    """
    num_clips (`int`, defaults to 1):
        Number of clips to sample from each video.
    num_crops (`int`, defaults to 1):
        Number of crops of each clip: 1 for the center, 3 for the start, middle and end of the long side.
    frame_sampling (`str`, defaults to `"segment"`):
        `"segment"` for frames from the whole video, as in the paper, or `"dense"` for frames close to each other.
    frame_step (`int`, defaults to 4):
        Distance between two frames of dense sampling, in frames at 30 per second.
    random_sampling (`bool`, defaults to `False`):
        Whether to draw the frames of each segment, or the dense window, at random, as in training.
    decoder (`str`, defaults to `"auto"`):
        `"pyav"`, which is also `"auto"`, `"decord"` or `"torchcodec"`. The latter two step aside for PyAV where they would
        give other frames than FFmpeg shows, and with `damaged="error"`, because PyAV alone notices damage within frames.
    damaged (`str`, defaults to `"warn"`):
        What to do about a damaged file whose frames can be decoded, though maybe not all or not rightly: `"error"`, `"warn"`
        or `"ignore"`. A function is called with the warning.
    limits (`dict[str, float]`, *optional*):
        What reading a video may cost, values of [`VideoLimits`] such as `{"seconds": 60}`.
    """

    num_clips: int
    num_crops: int
    frame_sampling: str
    frame_step: int
    random_sampling: bool
    decoder: str
    damaged: str | Callable
    limits: dict | None


class DiSTVideoProcessor(BaseVideoProcessor):
    r"""
    Video processor of DiST. It turns videos into `pixel_values_videos` of shape
    `(batch_size, num_frames, 3, height, width)`, or with several clips or crops
    `(batch_size, num_clips * num_crops, num_frames, 3, height, width)`, where the crops of a clip are adjacent and
    [`DiSTForVideoClassification`] averages over the views.

    Frames are scaled to [0, 1], resized bilinearly without antialiasing, cropped and normalized, as in the paper's evaluation,
    which its weights rely on.

    Args:
        num_frames (`int`, defaults to 16):
            Number of frames of a clip, which must be the model's.
        size (`dict[str, int]` or `int`, defaults to `{"shortest_edge": 224}`):
            Size that frames are resized to. A number is the length of the shortest edge.
        crop_size (`dict[str, int]` or `int`, defaults to 224 by 224):
            Size of the crops.
        resample (`PILImageResampling`, defaults to bilinear):
            Nearest, bilinear or bicubic interpolation.
        do_sample_frames, do_convert_rgb, do_resize, do_center_crop, do_rescale, do_normalize (`bool`, defaults to `True`):
            Whether to apply each step. Without `do_sample_frames`, all frames of the video are used.
        rescale_factor (`float`, defaults to 1/255), image_mean, image_std (defaults to CLIP's):
            Factor that pixels are multiplied by, and mean and standard deviation that they are then normalized with.
        num_clips, num_crops, frame_sampling, frame_step, random_sampling, decoder, damaged, limits:
            See [`DiSTVideoProcessorKwargs`].

    Raises:
        ValueError: If an option has an invalid value.

    Example:

    ```python
    >>> from modeling_dist import DiSTVideoProcessor

    >>> processor = DiSTVideoProcessor(num_frames=16)
    >>> inputs = processor(["a.mp4", "b.mkv"], num_clips=3, return_tensors="pt")
    >>> inputs["pixel_values_videos"].shape
    torch.Size([2, 3, 16, 3, 224, 224])
    ```
    """

    resample = PILImageResampling.BILINEAR
    image_mean = OPENAI_CLIP_MEAN
    image_std = OPENAI_CLIP_STD
    size = {"shortest_edge": 224}
    crop_size = {"height": 224, "width": 224}
    default_to_square = False
    do_sample_frames = True
    do_convert_rgb = True
    do_resize = True
    do_center_crop = True
    do_rescale = True
    do_normalize = True
    num_frames = 16
    num_clips = 1
    num_crops = 1
    frame_sampling = "segment"
    frame_step = 4
    random_sampling = False
    decoder = "auto"
    damaged = "warn"
    limits = None
    valid_kwargs = DiSTVideoProcessorKwargs
    model_input_names = ["pixel_values_videos"]

    def __init__(self, **kwargs: Unpack[DiSTVideoProcessorKwargs]):
        super().__init__(**kwargs)
        if callable(self.damaged):
            raise ValueError(
                "`damaged` can be a function in a call, but not of a processor, because it could not be saved."
            )
        _check_options({name: getattr(self, name, None) for name in self.valid_kwargs.__annotations__})

    @property
    def video_limits(self) -> VideoLimits:
        """What reading a video may cost."""
        return VideoLimits(**(self.limits or {}))

    def save_pretrained(self, save_directory: str | os.PathLike, push_to_hub: bool = False, **kwargs) -> list[str]:
        """
        Save the processor, and beside it a `CLIPImageProcessor` with the same geometry, without which
        `pipeline("video-classification")` does not batch. Arguments and the returned list of files are those of
        `BaseVideoProcessor.save_pretrained`.
        """
        save_directory = os.fspath(save_directory)
        files = super().save_pretrained(save_directory, **({} if push_to_hub else kwargs))
        names = ("size", "crop_size", "resample", "image_mean", "image_std", "rescale_factor")
        flags = ("do_resize", "do_center_crop", "do_rescale", "do_normalize")
        options = self.to_dict()
        image_processor = {"image_processor_type": "CLIPImageProcessor"}
        image_processor |= {name: options[name] for name in (*names, *flags) if name in options}
        image_processor_file = os.path.join(save_directory, IMAGE_PROCESSOR_NAME)
        with open(image_processor_file, "w", encoding="utf-8") as file:
            json.dump(image_processor, file, indent=2, sort_keys=True)
            file.write("\n")
        if push_to_hub:  # with both files
            repo_id = kwargs.pop("repo_id", os.path.basename(os.path.abspath(save_directory)))
            self.push_to_hub(repo_id, **kwargs)
        return [*files, image_processor_file]

    def sample_frames(
        self, metadata: VideoMetadata, num_frames: int | None = None, fps: float | None = None, **options
    ) -> torch.LongTensor:
        """
        Return the frames of each clip of a video, `(num_clips, num_frames)`, given its `total_num_frames` and, for
        dense sampling, its `fps`. Options replace the processor's own; `fps` is not among them.
        """
        _refuse_fps(fps)
        options["num_frames"] = num_frames
        names = ("num_frames", "num_clips", "frame_sampling", "frame_step", "random_sampling")
        num_frames, num_clips, frame_sampling, frame_step, random = (
            getattr(self, name) if options.get(name) is None else options[name] for name in names
        )
        total, fps = metadata.total_num_frames, metadata.fps
        if frame_sampling == "segment":
            return segment_frame_indices(total, num_frames, num_clips, random)
        return dense_frame_indices(total, num_frames, frame_step, fps, num_clips, random)

    def preprocess(self, videos: VideoInput, **kwargs: Unpack[DiSTVideoProcessorKwargs]) -> BatchFeature:
        """
        Prepare videos for the model.

        Args:
            videos (`str`, `os.PathLike`, `bytes`, `dict`, `np.ndarray`, `torch.Tensor`, a reader, or a `list`):
                One or several videos, in any mixture of

                - files, http(s) URLs, contents of files, open files, and rows `{"path": …, "bytes": …}` of datasets,
                - folders of numbered pictures, and lists of images or of frames as arrays or tensors,
                - arrays or tensors of shape `(frames, height, width, channels)`, `(frames, channels, height, width)` or
                  `(channels, frames, height, width)` with 1, 3 or 4 channels; batches with five dimensions. Tensors stay on
                  their device,
                - decord's `VideoReader`, torchcodec's `VideoDecoder` and torchvision's `VideoReader`.

                Bytes have the range 0 to 255, uint16 has 0 to 65,535. Floating-point numbers are taken for [0, 1] if none
                of the video exceeds 1.5, and else for [0, 255].
            input_data_format (`str`, *optional*):
                Order of an array's dimensions: `"channels_last"`, `"channels_first"`, or `"frames_second"` for channels,
                frames, height, width. By default, the dimension of the channels is found by its size, and a video for which
                that is ambiguous is refused.
            video_metadata (`VideoMetadata`, `dict` or a `list` of them, *optional*):
                Metadata of videos that are arrays, whose frames per second dense sampling needs.
            return_metadata (`bool`, *optional*):
                Whether to return `video_metadata` as well, with the indices of the sampled frames.
            device (`str` or `torch.device`, *optional*):
                Device to compute on.
            return_tensors (`str`, *optional*):
                `"pt"` or `"np"` for a batch. By default, a list with one tensor per video is returned.
            kwargs:
                Options to use instead of the processor's own.

        Returns:
            `BatchFeature`: With `pixel_values_videos`, float32.

        Raises:
            VideoDecodingError: If a video cannot be read; the message names it.
            ValueError: If an option or a video is invalid.
        """
        names = self.valid_kwargs.__annotations__
        unknown = sorted(set(kwargs) - set(names))
        if unknown:
            raise ValueError(f"Unknown options: {', '.join(unknown)}. Known options: {', '.join(sorted(names))}.")
        given = {name: value for name, value in kwargs.items() if value is not None}
        try:
            validate_typed_dict(self.valid_kwargs, given)
        except StrictDataclassError as error:
            raise ValueError(str(error)) from error
        options = {name: getattr(self, name, None) for name in names} | given
        _check_options(options)
        data_format = ChannelDimension(options["data_format"] or ChannelDimension.FIRST)
        if options["do_resize"]:
            options["size"] = get_size_dict(options["size"], default_to_square=bool(options["default_to_square"]))
        if options["do_center_crop"]:
            options["crop_size"] = get_size_dict(options["crop_size"], param_name="crop_size")

        videos = _list_videos(videos)
        if not videos:
            raise ValueError("`videos` holds no video.")
        metadata = _list_metadata(options["video_metadata"], len(videos))
        pixel_values, video_metadata = [], []
        for video, given_metadata in zip(videos, metadata):
            views, found_metadata = self._make_views(video, given_metadata, options)
            views = views[0] if len(views) == 1 else views
            if data_format == ChannelDimension.LAST:
                views = views.movedim(-3, -1)
            pixel_values.append(views)
            video_metadata.append(found_metadata)
        if options["return_tensors"] is not None:
            shapes = sorted({tuple(views.shape) for views in pixel_values})
            if len(shapes) > 1:
                raise ValueError(
                    f"Videos of different shapes cannot be batched: {shapes}. Omit `return_tensors`, or let the processor "
                    "sample and crop."
                )
            pixel_values = torch.stack(pixel_values) if len(pixel_values) > 1 else pixel_values[0][None]
        features = BatchFeature({"pixel_values_videos": pixel_values}, tensor_type=options["return_tensors"])
        if options["return_metadata"]:
            features["video_metadata"] = video_metadata
        return features

    def _make_views(
        self, video, metadata: VideoMetadata | None, options: dict
    ) -> tuple[torch.FloatTensor, VideoMetadata]:
        """Return the views of a video, float32 `(num_clips * num_crops, num_frames, 3, height, width)`, and its metadata."""
        metadata = metadata or VideoMetadata(total_num_frames=None)
        indices, slots, views = None, None, None

        def choose_frames(total_num_frames: int, fps: float | None) -> list[int]:
            nonlocal indices, slots
            metadata.fps = metadata.fps or fps
            if options["do_sample_frames"]:
                known = VideoMetadata(total_num_frames=total_num_frames, fps=metadata.fps)
                indices = self.sample_frames(known, **options)
            else:
                indices = torch.arange(total_num_frames)[None]
            # Where the frames of each clip are among the different ones.
            distinct, slots = indices.unique(return_inverse=True)
            return distinct.tolist()

        def fill_views(start: int, frames: torch.Tensor, white: float):
            nonlocal views
            metadata.height, metadata.width = frames.shape[-2:]
            crops = self._make_crops(frames, white, options)  # (crops, frames, 3, height, width)
            if views is None:
                views = crops.new_empty((*slots.shape, crops.shape[0], *crops.shape[2:]))
            # The same frame may be in several clips, and more than once.
            clips, places = ((slots >= start) & (slots < start + len(frames))).nonzero(as_tuple=True)
            views[clips, places] = crops[:, slots[clips, places] - start].transpose(0, 1)

        taken = take_frames(
            video,
            choose_frames,
            fill_views,
            decoder=options["decoder"],
            damaged=options["damaged"],
            limits=VideoLimits(**(options["limits"] or {})),
            input_data_format=options["input_data_format"],
            convert_rgb=bool(options["do_convert_rgb"]),
            check_range=bool(options["do_rescale"]),
        )
        metadata.total_num_frames = metadata.total_num_frames or taken.total_num_frames
        metadata.video_backend = taken.decoder or metadata.video_backend
        if taken.fps and metadata.duration is None:
            metadata.duration = taken.total_num_frames / taken.fps
        metadata.frames_indices = indices.flatten().tolist()
        # (clips, T, crops, 3, H, W) -> (clips * crops, T, 3, H, W)
        return views.transpose(1, 2).flatten(0, 1), metadata

    def _make_crops(self, frames: torch.Tensor, white: float, options: dict) -> torch.Tensor:
        """Turn frames `(frames, channels, height, width)` into float32 crops `(crops, frames, 3, height, width)`."""
        if options["device"] is not None:
            frames = frames.to(options["device"])
        if options["do_resize"]:
            size = _resized_size(frames.shape[-2:], options["size"])
            frames = resize(frames, size, INTERPOLATION_MODES[options["resample"]])
        views = (
            _crop(frames, options["crop_size"], options["num_crops"]) if options["do_center_crop"] else frames[None]
        )
        views = views.to(torch.float32)
        scale, shift = 1.0, 0.0
        if options["do_rescale"]:
            scale = options["rescale_factor"] * (255 / white)
        if options["do_normalize"]:
            mean, std = (np.reshape(options[name], (-1, 1, 1)) for name in ("image_mean", "image_std"))
            scale, shift = scale / std, -mean / std
        if options["do_rescale"] or options["do_normalize"]:
            scale, shift = (views.new_tensor(value) for value in (scale, shift))
            views = torch.addcmul(shift, views, scale)
        return views


def _refuse_fps(fps: float | None):
    if fps is not None:
        raise ValueError(
            "`fps` is not supported: `num_frames` frames are sampled from the whole video, or with "
            '`frame_sampling="dense"` every `frame_step` frames at 30 per second.'
        )


def _check_options(options: dict):
    if not callable(options["damaged"]) and options["damaged"] not in DAMAGED:
        raise ValueError(f"`damaged` must be one of {', '.join(DAMAGED)}, got {options['damaged']!r}.")
    try:
        VideoLimits(**(options["limits"] or {}))
    except TypeError as error:
        names = ", ".join(field.name for field in dataclasses.fields(VideoLimits))
        raise ValueError(f"`limits` must have values for some of {names}, got {options['limits']!r}.") from error
    if options["frame_sampling"] not in ("segment", "dense"):
        raise ValueError(f'`frame_sampling` must be "segment" or "dense", got "{options["frame_sampling"]}".')
    if options["decoder"] not in ("auto", *DECODERS):
        raise ValueError(f'`decoder` must be "auto" or one of {", ".join(DECODERS)}, got "{options["decoder"]}".')
    if options["num_crops"] not in (1, 3):
        raise ValueError(f"`num_crops` must be 1 or 3, got {options['num_crops']}.")
    if options["num_crops"] == 3 and not options["do_center_crop"]:
        raise ValueError("`num_crops=3` needs `do_center_crop=True`.")
    for name in ("num_frames", "num_clips", "frame_step"):
        if not isinstance(options[name], int) or options[name] < 1:
            raise ValueError(f"`{name}` must be an integer of at least 1, got {options[name]}.")
    if options["num_clips"] > 1 and not options["do_sample_frames"]:
        raise ValueError("`num_clips` greater than 1 needs `do_sample_frames=True`.")
    _refuse_fps(options["fps"])
    if options["do_resize"] and options["resample"] not in INTERPOLATION_MODES:
        allowed = ", ".join(f"{int(mode)} ({name})" for mode, name in INTERPOLATION_MODES.items())
        raise ValueError(f"`resample` must be one of {allowed}, got {options['resample']}.")
    for name in ("image_mean", "image_std"):
        if options["do_normalize"] and (options[name] is None or np.size(options[name]) not in (1, 3)):
            raise ValueError(f"`{name}` must be a number, or one number per channel, got {options[name]}.")


def _list_videos(videos) -> list:
    """Return the given videos as a flat list."""
    is_file = isinstance(videos, (str, os.PathLike, bytes, bytearray, memoryview, dict)) or hasattr(videos, "read")
    if is_file or is_reader(videos):
        return [videos]
    if isinstance(videos, (np.ndarray, torch.Tensor)):
        if videos.ndim == 5:
            return list(videos)
        if videos.ndim == 4:
            return [videos]
        raise ValueError(
            "An array must have 4 dimensions, (frames, height, width, channels) or (frames, channels, height, width), "
            f"or 5 if it is a batch, got shape {tuple(videos.shape)}."
        )
    if isinstance(videos, (list, tuple)):
        is_frame = [
            is_pil_image(item) or (isinstance(item, (np.ndarray, torch.Tensor)) and item.ndim in (2, 3))
            for item in videos
        ]
        if videos and all(is_frame):
            return [videos]
        return [video for item in videos for video in _list_videos(item)]
    raise ValueError(
        "A video must be a path, a URL, bytes, an array, a tensor, a reader of decord, torchcodec or torchvision, or a list of "
        f"images or of videos, got {type(videos).__name__}."
    )


def _list_metadata(metadata, num_videos: int) -> list[VideoMetadata | None]:
    if metadata is None:
        return [None] * num_videos
    flat: list = []
    for item in metadata if isinstance(metadata, (list, tuple)) else [metadata]:
        flat.extend(item if isinstance(item, (list, tuple)) else [item])
    if len(flat) != num_videos:
        raise ValueError(f"`video_metadata` must have one entry per video, got {len(flat)} for {num_videos} videos.")
    # Copies, because the properties of the videos are written into them.
    return [VideoMetadata(**{"total_num_frames": None, **item}) for item in flat]


def _resized_size(image_size: tuple[int, int], size: dict[str, int]) -> tuple[int, int]:
    """Return height and width after resizing. The long side is truncated to an integer, as in the authors' code."""
    height, width = image_size
    if min(size.values()) < 1:
        raise ValueError(f"`size` must be at least 1, got {dict(size)}.")
    if set(size) == {"height", "width"}:
        return size["height"], size["width"]
    if set(size) != {"shortest_edge"}:
        raise ValueError(f'`size` must have the key "shortest_edge", or "height" and "width", got {dict(size)}.')
    edge = size["shortest_edge"]
    if width < height:
        return int(height / width * edge), edge
    return edge, int(width / height * edge)


def resize(frames: torch.Tensor, size: tuple[int, int], mode: str) -> torch.FloatTensor:
    """
    Resize frames `(frames, channels, height, width)` without antialiasing, as in the training of the paper's weights:
    `torch.nn.functional.interpolate` of frames as float32, without ever having all pixels of large frames as float32.
    """
    options = {"mode": mode} if mode == "nearest" else {"mode": mode, "align_corners": False}
    height = frames.shape[-2]
    if mode == "bilinear" and height >= 2 * size[0]:
        # A row of the result lies between two rows of the frame; the others are not even converted. In the precision of torch.
        scale = np.float64(np.float32(height) / np.float32(size[0]))
        places = np.maximum((np.arange(size[0]) + 0.5) * scale - 0.5, 0).astype(np.float32)
        upper = torch.from_numpy(places.astype(np.int64)).to(frames.device)
        weight = torch.from_numpy(places % 1).to(frames.device)
        # Where the channels come last in memory, as in decoded frames, whole rows are copied in that order.
        order, back = ((0, 2, 3, 1), (0, 3, 1, 2)) if frames.stride(1) == 1 else ((0, 2, 1, 3), (0, 2, 1, 3))
        rows = frames.permute(order)
        upper_rows, lower_rows = (
            rows.index_select(1, place).float() for place in (upper, (upper + 1).clamp(max=height - 1))
        )
        frames = upper_rows.lerp_(lower_rows, weight.view(-1, 1, 1)).permute(back)
    if frames.numel() > LARGE:
        channels = [
            torch.nn.functional.interpolate(channel.float(), size=size, **options)
            for channel in frames.split(1, dim=1)
        ]
        return torch.cat(channels, dim=1)
    return torch.nn.functional.interpolate(frames.float(), size=size, **options)


def _crop(frames: torch.Tensor, crop_size: dict[str, int], num_crops: int) -> torch.Tensor:
    """Crop frames `(frames, 3, height, width)` to `(num_crops, frames, 3, crop height, crop width)`."""
    if set(crop_size) != {"height", "width"} or min(crop_size.values()) < 1:
        raise ValueError(f'`crop_size` must have a "height" and a "width" of at least 1, got {dict(crop_size)}.')
    crop_height, crop_width = crop_size["height"], crop_size["width"]
    slack_y, slack_x = frames.shape[-2] - crop_height, frames.shape[-1] - crop_width
    if slack_y < 0 or slack_x < 0:
        raise ValueError(
            f"`crop_size` must not exceed the frames, got {crop_height}x{crop_width} and frames of "
            f"{frames.shape[-2]}x{frames.shape[-1]}."
        )
    corners = [(slack_y // 2, slack_x // 2)]
    if num_crops == 3 and frames.shape[-1] >= frames.shape[-2]:
        corners = [(slack_y // 2, x) for x in (0, slack_x // 2, slack_x)]
    elif num_crops == 3:
        corners = [(y, slack_x // 2) for y in (0, slack_y // 2, slack_y)]
    return torch.stack([frames[..., y : y + crop_height, x : x + crop_width] for y, x in corners])


__all__ = ["DiSTVideoProcessor", "dense_frame_indices", "segment_frame_indices"]
