# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Training augmentation of clips (crop, flip, colors) and of batches (mixup, CutMix, label smoothing).

All randomness comes from torch's global generator: with the same seed, the result is the same.
"""

from collections.abc import Callable, Sequence

import torch
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from ..video_processing_dist import resize


def parse_label_pairs(pairs: Sequence[str], class_names: Sequence[str]) -> list[tuple[int, int]]:
    """
    Parse pairs of labels or class names as they are written on a command line, such as `"86:87"` or `"pan left:pan
    right"`. A number that is also a class name is read as the name, and `["none"]` stands for no pairs.
    """
    if list(pairs) == ["none"]:
        return []
    labels = {str(label): label for label in range(len(class_names))}
    labels |= {name: label for label, name in enumerate(class_names)}
    parsed = []
    for pair in pairs:
        # Names may contain colons.
        cuts = [index for index, letter in enumerate(pair) if letter == ":"]
        found = [(labels.get(pair[:cut].strip()), labels.get(pair[cut + 1 :].strip())) for cut in cuts]
        found = [(left, right) for left, right in found if left is not None and right is not None]
        if not found:
            raise ValueError(
                f"A pair of labels must be two labels from 0 to {len(class_names) - 1}, or two class names, separated by a "
                f"colon, got {pair!r}."
            )
        parsed.append(found[0])
    return parsed


def _check_probabilities(**probabilities: float):
    for name, probability in probabilities.items():
        if not 0 <= probability <= 1:
            raise ValueError(f"`{name}` must lie in [0, 1], got {probability}.")


class ClipAugmentation:
    """
    The paper's augmentation of a clip: random resized crop, horizontal flip, color jitter, grayscale, normalization. Each is
    drawn once for all frames.

    Args:
        size (`int` or `tuple[int, int]`):
            Height and width of the result, in pixels.
        image_mean, image_std (`Sequence[float]`):
            Mean and standard deviation of each channel, for pixels in [0, 1]. Use the processor's.
        crop_scale, crop_ratio (`tuple[float, float]`, default to `(0.4, 1.0)` and `(3 / 4, 4 / 3)`):
            Range of the crop's area, as a fraction of the frame's, and of its aspect ratio, width / height.
        flip_probability, grayscale_probability (`float`, default to 0.5 and 0.2):
            Probability of a horizontal flip, and of converting the clip to grayscale.
        flip_label_pairs (`Sequence[tuple[int, int]]`, *optional*):
            Pairs of labels that a flip exchanges, such as "pushing something from left to right" and "… right to left"
            (Something-Something V2: 86 and 87, 93 and 94, 166 and 167). Other labels do not change.
        color_jitter (`tuple[float, float, float, float]`, defaults to `(0.4, 0.4, 0.2, 0.1)`):
            Strength of the jitter of brightness, contrast, saturation and hue. By default, `color_jitter_probability` is
            0, because the paper does not use it.

    Raises:
        ValueError: If a probability or range is invalid, or a label is in two pairs.
    """

    def __init__(
        self,
        size: int | tuple[int, int],
        image_mean: Sequence[float],
        image_std: Sequence[float],
        crop_scale: tuple[float, float] = (0.4, 1.0),
        crop_ratio: tuple[float, float] = (3 / 4, 4 / 3),
        flip_probability: float = 0.5,
        flip_label_pairs: Sequence[tuple[int, int]] | None = None,
        grayscale_probability: float = 0.2,
        color_jitter: tuple[float, float, float, float] = (0.4, 0.4, 0.2, 0.1),
        color_jitter_probability: float = 0.0,
    ):
        _check_probabilities(flip_probability=flip_probability, grayscale_probability=grayscale_probability)
        _check_probabilities(color_jitter_probability=color_jitter_probability)
        for name, (low, high), limit in (("crop_scale", crop_scale, 1.0), ("crop_ratio", crop_ratio, float("inf"))):
            if not 0 < low <= high <= limit:
                raise ValueError(f"`{name}` must be an increasing pair in (0, {limit:g}], got {(low, high)}.")
        if len(color_jitter) != 4:
            raise ValueError(f"`color_jitter` must have four values, got {color_jitter}.")
        self.flipped_labels: dict[int, int] = {}
        for left, right in flip_label_pairs or ():
            if left == right or {left, right} & set(self.flipped_labels):
                raise ValueError(
                    f"`flip_label_pairs` must be pairs of different labels, none in two pairs, got {flip_label_pairs}."
                )
            self.flipped_labels |= {left: right, right: left}
        self.flip_probability = flip_probability
        self.window = v2.RandomResizedCrop(size, scale=tuple(crop_scale), ratio=tuple(crop_ratio))
        self.colors = v2.Compose(
            [
                v2.RandomApply([v2.ColorJitter(*color_jitter)], p=color_jitter_probability),
                v2.RandomGrayscale(p=grayscale_probability),
                v2.Normalize(mean=list(image_mean), std=list(image_std)),
            ]
        )

    def __call__(self, frames: torch.ByteTensor, label: int) -> tuple[torch.FloatTensor, int]:
        """
        Augment uint8 frames of shape `(num_frames, 3, height, width)`, and return normalized float32 pixels of shape
        `(num_frames, 3, *size)` and the label of the result.
        """
        return self.finish(self.draw_crop(frames)(frames), label)

    def draw_crop(self, frames: torch.ByteTensor) -> Callable[[torch.ByteTensor], torch.FloatTensor]:
        """
        Draw the crop of a clip, to which these frames belong, and return the function that crops and resizes its frames,
        some at a time, to float32 in [0, 1].
        """
        window = self.window.make_params([frames])

        def crop(frames: torch.ByteTensor) -> torch.FloatTensor:
            # Only the crop is converted, and pixels are not rounded again after resizing.
            return resize(F.crop(frames, **window), self.window.size, "bilinear") / 255

        return crop

    def finish(self, clip: torch.FloatTensor, label: int) -> tuple[torch.FloatTensor, int]:
        """Flip and color a whole clip that has been cropped, and return normalized pixels and the label."""
        if torch.rand(()) < self.flip_probability:
            clip, label = F.horizontal_flip(clip), self.flipped_labels.get(label, label)
        return self.colors(clip), label


class BatchMixing:
    """
    Mixup or CutMix of a batch, chosen at random, and label smoothing, combined as in the paper: every target is
    (1 − s) · (λ · one_hot(a) + (1 − λ) · one_hot(b)) + s / num_classes, where b is the label of the clip that is mixed in, and
    λ the share of intensity (mixup) or pixels (CutMix) that the clip with the label a keeps.

    Args:
        num_classes (`int`):
            Number of classes.
        mixup_alpha (`float`, defaults to 0.8), cutmix_alpha (`float`, defaults to 1.0):
            Parameter of the distribution Beta(alpha, alpha), from which λ is drawn once per batch. 0 disables the method.
        mixing_probability, cutmix_probability (`float`, default to 1.0 and 0.5):
            Probability that a batch is mixed, and that this is by CutMix instead of mixup, if both are enabled.
        label_smoothing (`float`, defaults to 0.1):
            Label smoothing s, in [0, 1).

    Raises:
        ValueError: If a value is invalid.
    """

    def __init__(
        self,
        num_classes: int,
        mixup_alpha: float = 0.8,
        cutmix_alpha: float = 1.0,
        mixing_probability: float = 1.0,
        cutmix_probability: float = 0.5,
        label_smoothing: float = 0.1,
    ):
        if min(mixup_alpha, cutmix_alpha) < 0:
            raise ValueError(f"`mixup_alpha` and `cutmix_alpha` must be 0 or more, got {mixup_alpha}, {cutmix_alpha}.")
        _check_probabilities(mixing_probability=mixing_probability, cutmix_probability=cutmix_probability)
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"`label_smoothing` must lie in [0, 1), got {label_smoothing}.")
        self.num_classes = num_classes
        self.mixing_probability = mixing_probability
        self.label_smoothing = label_smoothing
        self.mixup = v2.MixUp(alpha=float(mixup_alpha), num_classes=num_classes) if mixup_alpha else None
        self.cutmix = v2.CutMix(alpha=float(cutmix_alpha), num_classes=num_classes) if cutmix_alpha else None
        self.cutmix_probability = cutmix_probability if mixup_alpha and cutmix_alpha else float(self.mixup is None)

    @property
    def mixes(self) -> bool:
        """Whether batches can be mixed, for which they need at least two clips."""
        return self.mixing_probability > 0 and (self.mixup is not None or self.cutmix is not None)

    def __call__(
        self, pixel_values_videos: torch.FloatTensor, labels: torch.LongTensor
    ) -> tuple[torch.FloatTensor, torch.FloatTensor]:
        """
        Mix clips of shape `(batch_size, num_frames, 3, height, width)` and labels of shape `(batch_size,)`, and return clips
        of the same shape and float32 targets of shape `(batch_size, num_classes)`, each of which sums to one.
        """
        targets = torch.nn.functional.one_hot(labels, self.num_classes).float()
        if self.mixes and torch.rand(()) < self.mixing_probability:
            mix = self.cutmix if torch.rand(()) < self.cutmix_probability else self.mixup
            clips, targets = mix(tv_tensors.Video(pixel_values_videos), targets)
            pixel_values_videos = clips.as_subclass(torch.Tensor)
        return pixel_values_videos, targets * (1 - self.label_smoothing) + self.label_smoothing / self.num_classes
