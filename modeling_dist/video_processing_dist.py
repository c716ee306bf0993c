# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""From video files, arrays or tensors to the input of DiST: which frames, which crops, which pixels."""

import json
import os

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
    infer_channel_dimension_format,
    is_pil_image,
)
from transformers.processing_utils import Unpack, VideosKwargs
from transformers.utils import IMAGE_PROCESSOR_NAME, TensorType, logging
from transformers.video_processing_utils import BaseVideoProcessor
from transformers.video_utils import VideoInput, VideoMetadata

from .video_decoding_dist import DECODERS, decode_video


logger = logging.get_logger(__name__)

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
    The paper's sampling: the video is cut into `num_frames` segments of equal length, and each gives one frame.

    Args:
        total_num_frames (`int`):
            Frames of the video (L). With fewer than `num_frames` of them, frames repeat.
        num_frames (`int`):
            Frames of a clip (T).
        num_clips (`int`, defaults to 1):
            Clips (V). One takes the middles of the segments; clip k of several their points (k + 1) / V.
        random (`bool`, defaults to `False`):
            Take a uniformly random point of each segment instead, as in training.
        generator (`torch.Generator`, *optional*):
            Where the randomness comes from.

    Returns:
        `torch.LongTensor` of shape `(num_clips, num_frames)`: Indices from 0 to `total_num_frames - 1`.
    """
    bounds = torch.linspace(0, total_num_frames, num_frames + 1)
    starts, lengths = bounds[:-1], bounds[1:] - bounds[:-1]
    if random:
        offsets = torch.rand(num_clips, num_frames, generator=generator) * lengths
    elif num_clips == 1:
        offsets = (lengths / 2)[None]
    else:
        offsets = lengths * torch.arange(1, num_clips + 1)[:, None] / num_clips
    # `round` takes halves to the even neighbour.
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
    Frames close to each other: a window of `num_frames` frames that are `frame_step` apart at 30 frames per second.

    Args:
        total_num_frames (`int`):
            Frames of the video. In a shorter one than the window the first and the last frame repeat.
        num_frames (`int`):
            Frames of a clip.
        frame_step (`int`):
            Distance between two frames of a clip, in frames at 30 per second.
        fps (`float`, *optional*):
            Frames per second of the video; 30 where they are not known.
        num_clips (`int`, defaults to 1):
            Clips. The window of one stands in the middle; that of clip k of several at k / `num_clips` of the way.
        random (`bool`, defaults to `False`):
            Place the windows at random instead, as in training.
        generator (`torch.Generator`, *optional*):
            Where the randomness comes from.

    Returns:
        `torch.LongTensor` of shape `(num_clips, num_frames)`: Indices from 0 to `total_num_frames - 1`.
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
        Temporal samplings of a video.
    num_crops (`int`, defaults to 1):
        Spatial windows of each clip: 1 for the centre, 3 for the start, middle and end of the long side.
    frame_sampling (`str`, defaults to `"segment"`):
        `"segment"` (the paper's: over the whole video) or `"dense"` (neighbouring frames).
    frame_step (`int`, defaults to 4):
        With `"dense"`, the distance between two frames, at 30 frames per second.
    random_sampling (`bool`, defaults to `False`):
        Draw the frames at random within their segments, or the window at random, as in training.
    decoder (`str`, defaults to `"auto"`):
        `"decord"`, `"torchcodec"`, `"pyav"`, or `"auto"` for the first of them that works.
    """

    num_clips: int
    num_crops: int
    frame_sampling: str
    frame_step: int
    random_sampling: bool
    decoder: str


class DiSTVideoProcessor(BaseVideoProcessor):
    r"""
    Makes `pixel_values_videos` of videos: `(batch_size, num_frames, 3, height, width)`, and with several clips or crops
    `(batch_size, num_clips * num_crops, num_frames, 3, height, width)`, the crops of a clip next to each other.
    [`DiSTForVideoClassification`] averages the views.

    Frames are scaled to [0, 1], resized bilinearly without antialiasing, cropped and normalized: the paper's evaluation,
    on which its weights depend.

    Args:
        num_frames (`int`, defaults to 16):
            Frames of a clip; has to be the model's.
        size (`dict[str, int]` or `int`, defaults to `{"shortest_edge": 224}`):
            What frames are resized to. A number means the shortest edge.
        crop_size (`dict[str, int]` or `int`, defaults to 224 by 224):
            The window.
        resample (`PILImageResampling`, defaults to bilinear):
            Nearest, bilinear or bicubic.
        do_sample_frames, do_convert_rgb, do_resize, do_center_crop, do_rescale, do_normalize (`bool`, defaults to `True`):
            Steps that can be left out. Without `do_sample_frames` every frame of the video is taken.
        rescale_factor (`float`, defaults to 1/255), image_mean, image_std (defaults to CLIP's):
            Pixels are multiplied by the first, then normalized with the others.
        num_clips, num_crops, frame_sampling, frame_step, random_sampling, decoder:
            See [`DiSTVideoProcessorKwargs`].

    Raises:
        ValueError: If an option has a value that it cannot have.

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
    valid_kwargs = DiSTVideoProcessorKwargs
    model_input_names = ["pixel_values_videos"]

    def __init__(self, **kwargs: Unpack[DiSTVideoProcessorKwargs]):
        super().__init__(**kwargs)
        _check_options({name: getattr(self, name, None) for name in self.valid_kwargs.__annotations__})

    def save_pretrained(self, save_directory: str | os.PathLike, push_to_hub: bool = False, **kwargs) -> list[str]:
        """
        Saves the processor, and beside it what its geometry means for a single image, as a `CLIPImageProcessor`:
        `pipeline("video-classification")` batches only where it finds an image processor.

        Args:
            save_directory (`str` or `os.PathLike`):
                Folder to save to, created where it does not exist.
            push_to_hub, kwargs:
                As in `BaseVideoProcessor.save_pretrained`.

        Returns:
            `list[str]`: The files.
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
        if push_to_hub:  # after both files are there
            repo_id = kwargs.pop("repo_id", os.path.basename(os.path.abspath(save_directory)))
            self.push_to_hub(repo_id, **kwargs)
        return [*files, image_processor_file]

    def sample_frames(
        self,
        metadata: VideoMetadata,
        num_frames: int | None = None,
        num_clips: int | None = None,
        frame_sampling: str | None = None,
        frame_step: int | None = None,
        random_sampling: bool | None = None,
        fps: float | None = None,
        **kwargs,
    ) -> torch.LongTensor:
        """
        The frames that a video's clips consist of.

        Args:
            metadata (`VideoMetadata`):
                `total_num_frames` and, for dense sampling, `fps`.
            num_frames, num_clips, frame_sampling, frame_step, random_sampling (*optional*):
                Instead of the processor's own.

        Returns:
            `torch.LongTensor` of shape `(num_clips, num_frames)`.

        Raises:
            ValueError: If `fps` is given, which this model's sampling has no use for.
        """
        _refuse_fps(fps)
        frame_sampling = self.frame_sampling if frame_sampling is None else frame_sampling
        options = {
            "total_num_frames": metadata.total_num_frames,
            "num_frames": self.num_frames if num_frames is None else num_frames,
            "num_clips": self.num_clips if num_clips is None else num_clips,
            "random": self.random_sampling if random_sampling is None else random_sampling,
        }
        if frame_sampling == "segment":
            return segment_frame_indices(**options)
        frame_step = self.frame_step if frame_step is None else frame_step
        return dense_frame_indices(**options, frame_step=frame_step, fps=metadata.fps)

    def preprocess(self, videos: VideoInput, **kwargs: Unpack[DiSTVideoProcessorKwargs]) -> BatchFeature:
        """
        Args:
            videos (`str`, `os.PathLike`, `bytes`, `np.ndarray`, `torch.Tensor`, `list` of images, or a `list` of these):
                One video or several, mixed as they come: a file, a http(s) URL, a file's content, an array or tensor of
                `(frames, height, width, channels)` or `(frames, channels, height, width)` with 1, 3 or 4 channels, a
                list of images; also a batch as an array of five dimensions. Tensors stay on their device.
            video_metadata (`VideoMetadata`, `dict` or a `list` of them, *optional*):
                For arrays, whose frames per second dense sampling needs.
            return_metadata (`bool`, *optional*):
                Whether to return `video_metadata` too, with the indices of the frames taken.
            device (`str` or `torch.device`, *optional*):
                Where to compute.
            return_tensors (`str`, *optional*):
                `"pt"` or `"np"` for one batch; by default a list with a tensor per video.
            kwargs:
                Instead of the processor's own options.

        Returns:
            `BatchFeature`: With `pixel_values_videos`, float32.

        Raises:
            VideoDecodingError: If a video cannot be read; the message names it.
            ValueError: If an option or an array does not fit.
        """
        names = self.valid_kwargs.__annotations__
        unknown = sorted(set(kwargs) - set(names))
        if unknown:
            raise ValueError(f"Unknown options: {', '.join(unknown)}. There are: {', '.join(sorted(names))}.")
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
            frames, indices, found_metadata = self._take_frames(video, given_metadata, options)
            views = self._make_views(frames, options)
            # (crops, distinct frames, 3, H, W) -> (crops, clips, T, 3, H, W) -> (clips * crops, T, 3, H, W)
            views = views[:, indices].transpose(0, 1).flatten(0, 1)
            views = views[0] if len(views) == 1 else views
            if data_format == ChannelDimension.LAST:
                views = views.movedim(-3, -1)
            pixel_values.append(views)
            video_metadata.append(found_metadata)
        data = {"pixel_values_videos": pixel_values}
        return_tensors: str | TensorType | None = options["return_tensors"]
        if return_tensors is not None:
            shapes = sorted({tuple(views.shape) for views in pixel_values})
            if len(shapes) > 1:
                raise ValueError(
                    f"Videos of different shapes make no batch: {shapes}. Leave `return_tensors` out, or let the "
                    "processor sample and crop."
                )
            data = {"pixel_values_videos": torch.stack(pixel_values)}
        features = BatchFeature(data=data, tensor_type=return_tensors)
        if options["return_metadata"]:
            features["video_metadata"] = video_metadata
        return features

    def _take_frames(
        self, video, metadata: VideoMetadata | None, options: dict
    ) -> tuple[torch.Tensor, torch.LongTensor, VideoMetadata]:
        """
        The distinct frames that the clips need, `(frames, channels, height, width)`, and the positions in them of each
        clip's frames, `(num_clips, num_frames)`.
        """

        def choose(total_num_frames: int, fps: float | None) -> torch.LongTensor:
            if not options["do_sample_frames"]:
                return torch.arange(total_num_frames)[None]
            return self.sample_frames(VideoMetadata(total_num_frames=total_num_frames, fps=fps), **options)

        if isinstance(video, (str, os.PathLike, bytes)):
            chosen = []

            def choose_frames(total_num_frames: int, fps: float | None) -> list[int]:
                chosen[:] = [choose(total_num_frames, fps)]
                return chosen[0].flatten().tolist()

            decoded = decode_video(video, choose_frames, decoder=options["decoder"])
            frames, indices, distinct = decoded.frames, chosen[0], torch.tensor(decoded.frame_indices)
            metadata = VideoMetadata(
                total_num_frames=decoded.total_num_frames, fps=decoded.fps, video_backend=decoded.decoder
            )
            if decoded.fps:
                metadata.duration = decoded.total_num_frames / decoded.fps
        else:
            frames = _to_channels_first(video, options["input_data_format"])
            metadata = metadata or VideoMetadata(total_num_frames=len(frames))
            metadata.total_num_frames = metadata.total_num_frames or len(frames)
            indices = choose(len(frames), metadata.fps)
            distinct = indices.unique()
            frames = frames[distinct.to(frames.device)]
        metadata.height, metadata.width = frames.shape[-2:]
        metadata.frames_indices = indices.flatten().tolist()
        return frames, torch.searchsorted(distinct, indices), metadata

    def _make_views(self, frames: torch.Tensor, options: dict) -> torch.Tensor:
        """From `(frames, channels, height, width)` to float32 `(crops, frames, 3, height, width)`."""
        if options["device"] is not None:
            frames = frames.to(options["device"])
        if frames.shape[1] != 3 and options["do_convert_rgb"]:
            frames = self.convert_to_rgb(frames)
        if options["do_rescale"] and frames.is_floating_point() and frames.max() <= 1:
            logger.warning_once(
                "Frames with values up to 1 are being rescaled by `rescale_factor`. If they lie in [0, 1] already, pass "
                "`do_rescale=False`."
            )
        frames = frames.to(torch.float32)
        if options["do_rescale"]:
            frames = frames * options["rescale_factor"]
        if options["do_resize"]:
            size = _resized_size(frames.shape[-2:], options["size"])
            mode = INTERPOLATION_MODES[options["resample"]]
            corners = {} if mode == "nearest" else {"align_corners": False}
            # Without antialiasing, which is what the weights were trained on.
            frames = torch.nn.functional.interpolate(frames, size=size, mode=mode, **corners)
        views = (
            _crop(frames, options["crop_size"], options["num_crops"]) if options["do_center_crop"] else frames[None]
        )
        if options["do_normalize"]:
            mean, std = (
                torch.as_tensor(options[name], dtype=torch.float32, device=views.device).view(-1, 1, 1)
                for name in ("image_mean", "image_std")
            )
            views = (views - mean) / std
        return views


def _refuse_fps(fps: float | None):
    if fps is not None:
        raise ValueError(
            "`fps` is not supported: frames are taken by `num_frames`, over the whole video, or with "
            '`frame_sampling="dense"` every `frame_step` frames at 30 per second.'
        )


def _check_options(options: dict):
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
            raise ValueError(f"`{name}` must be a whole number of at least 1, got {options[name]}.")
    if options["num_clips"] > 1 and not options["do_sample_frames"]:
        raise ValueError("`num_clips` greater than 1 needs `do_sample_frames=True`.")
    _refuse_fps(options["fps"])
    if options["do_resize"] and options["resample"] not in INTERPOLATION_MODES:
        allowed = ", ".join(f"{int(mode)} ({name})" for mode, name in INTERPOLATION_MODES.items())
        raise ValueError(f"`resample` must be one of {allowed}, got {options['resample']}.")
    for name in ("image_mean", "image_std"):
        if options["do_normalize"] and (options[name] is None or np.size(options[name]) not in (1, 3)):
            raise ValueError(f"`{name}` must be a number, or one for each of the 3 channels, got {options[name]}.")


def _list_videos(videos) -> list:
    """Whatever was given as a flat list of videos."""
    if isinstance(videos, (str, os.PathLike, bytes)):
        return [videos]
    if isinstance(videos, (np.ndarray, torch.Tensor)):
        if videos.ndim == 5:
            return list(videos)
        if videos.ndim == 4:
            return [videos]
        raise ValueError(
            "An array must have 4 dimensions, (frames, height, width, channels) or (frames, channels, height, width), "
            f"or 5 for a batch, got shape {tuple(videos.shape)}."
        )
    if isinstance(videos, (list, tuple)):
        is_frame = [
            is_pil_image(item) or (isinstance(item, (np.ndarray, torch.Tensor)) and item.ndim == 3) for item in videos
        ]
        if videos and all(is_frame):
            frames = [_to_tensor(frame) for frame in videos]
            shapes = {tuple(frame.shape) for frame in frames}
            if len(shapes) > 1:
                raise ValueError(f"The frames of a video must have one shape, got {sorted(shapes)}.")
            return [torch.stack(frames)]
        return [video for item in videos for video in _list_videos(item)]
    raise ValueError(
        "A video must be a path, a URL, bytes, an array, a tensor, or a list of images or of videos, got "
        f"{type(videos).__name__}."
    )


def _to_tensor(frames) -> torch.Tensor:
    if isinstance(frames, torch.Tensor):
        return frames
    if is_pil_image(frames) and frames.mode not in ("RGB", "RGBA"):
        frames = frames.convert("RGB")
    # Copies only what torch does not take: negative strides, as of `frame[..., ::-1]`, and memory that is read-only.
    return torch.from_numpy(np.require(frames, requirements=["C", "W"]))


def _list_metadata(metadata, num_videos: int) -> list[VideoMetadata | None]:
    if metadata is None:
        return [None] * num_videos
    flat: list = []
    pending = list(metadata) if isinstance(metadata, (list, tuple)) else [metadata]
    for item in pending:
        flat.extend(item if isinstance(item, (list, tuple)) else [item])
    if len(flat) != num_videos:
        raise ValueError(f"`video_metadata` must have one entry per video, got {len(flat)} for {num_videos} videos.")
    # Copies, since what is found out about the videos is written into them.
    return [VideoMetadata(**{"total_num_frames": None, **item}) for item in flat]


def _to_channels_first(
    video: np.ndarray | torch.Tensor, input_data_format: str | ChannelDimension | None
) -> torch.Tensor:
    video = _to_tensor(video)
    if len(video) == 0:
        raise ValueError(f"A video must have at least one frame, got shape {tuple(video.shape)}.")
    if input_data_format is None:
        input_data_format = infer_channel_dimension_format(video, num_channels=(1, 3, 4))
    if ChannelDimension(input_data_format) == ChannelDimension.LAST:
        video = video.movedim(-1, -3)
    return video


def _resized_size(image_size: tuple[int, int], size: dict[str, int]) -> tuple[int, int]:
    """Height and width after resizing; the long side is truncated to a whole number, as in the authors' code."""
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


def _crop(frames: torch.Tensor, crop_size: dict[str, int], num_crops: int) -> torch.Tensor:
    """From `(frames, 3, height, width)` to `(num_crops, frames, 3, crop height, crop width)`."""
    if set(crop_size) != {"height", "width"} or min(crop_size.values()) < 1:
        raise ValueError(f'`crop_size` must have a "height" and a "width" of at least 1, got {dict(crop_size)}.')
    crop_height, crop_width = crop_size["height"], crop_size["width"]
    slack_y, slack_x = frames.shape[-2] - crop_height, frames.shape[-1] - crop_width
    if slack_y < 0 or slack_x < 0:
        raise ValueError(
            f"`crop_size` must fit into the frames, got {crop_height}x{crop_width} and frames of "
            f"{frames.shape[-2]}x{frames.shape[-1]}."
        )
    corners = [(slack_y // 2, slack_x // 2)]
    if num_crops == 3 and frames.shape[-1] >= frames.shape[-2]:
        corners = [(slack_y // 2, x) for x in (0, slack_x // 2, slack_x)]
    elif num_crops == 3:
        corners = [(y, slack_x // 2) for y in (0, slack_y // 2, slack_y)]
    return torch.stack([frames[..., y : y + crop_height, x : x + crop_width] for y, x in corners])


__all__ = ["DiSTVideoProcessor", "dense_frame_indices", "segment_frame_indices"]
