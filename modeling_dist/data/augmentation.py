# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""What training does to a clip (crop, flip, colours) and to a batch of them (mixup, CutMix, label smoothing).

All randomness comes from torch's global generator, so that whoever seeds it gets the same clip again.
"""

from collections.abc import Sequence

import torch
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F


def parse_label_pairs(pairs: Sequence[str], class_names: Sequence[str]) -> list[tuple[int, int]]:
    """
    Pairs of labels as they are written on a command line.

    Args:
        pairs (`Sequence[str]`):
            `"86:87"` or `"pan left:pan right"`, with the labels or the classes' names, which go first where a name is a
            number; `["none"]` means no pair.
        class_names (`Sequence[str]`):
            In the order of the labels.

    Raises:
        ValueError: If there is no such class.
    """
    if list(pairs) == ["none"]:
        return []
    labels = {str(label): label for label in range(len(class_names))}
    labels |= {name: label for label, name in enumerate(class_names)}
    parsed = []
    for pair in pairs:
        # Names may hold colons themselves.
        cuts = [index for index, letter in enumerate(pair) if letter == ":"]
        found = [(labels.get(pair[:cut].strip()), labels.get(pair[cut + 1 :].strip())) for cut in cuts]
        found = [(left, right) for left, right in found if left is not None and right is not None]
        if not found:
            raise ValueError(
                f"A pair of labels must be two labels from 0 to {len(class_names) - 1}, or two class names, with a colon "
                f"between them, got {pair!r}."
            )
        parsed.append(found[0])
    return parsed


class RandomResizedCrop(v2.RandomResizedCrop):
    """
    As in torchvision, but bytes become float32 in [0, 1] before they are resized, so that the pixels are not rounded
    again, and only within the crop, so that nothing is converted in vain.
    """

    def transform(self, inpt: torch.Tensor, params: dict) -> torch.Tensor:
        inpt = F.to_dtype(F.crop(inpt, **params), torch.float32, scale=True)
        return F.resize(inpt, self.size, interpolation=self.interpolation, antialias=self.antialias)


class ClipAugmentation:
    """
    The paper's augmentation of one clip: random resized crop, horizontal flip, colour jitter, grayscale, normalization.
    Each is drawn once for all frames.

    Args:
        size (`int` or `tuple[int, int]`):
            Height and width of the result, in pixels.
        image_mean, image_std (`Sequence[float]`):
            Per channel, of pixels in [0, 1]. The processor's.
        crop_scale (`tuple[float, float]`, defaults to `(0.4, 1.0)`):
            Range of the crop's share of the frame's area.
        crop_ratio (`tuple[float, float]`, defaults to `(3 / 4, 4 / 3)`):
            Range of the crop's width over its height.
        flip_probability (`float`, defaults to 0.5):
            Of a horizontal flip.
        flip_label_pairs (`Sequence[tuple[int, int]]`, *optional*):
            Pairs of labels that a flip makes of each other, as "pushing something from left to right" and "… right to
            left" (Something-Something V2: 86 and 87, 93 and 94, 166 and 167). Other labels stay.
        grayscale_probability (`float`, defaults to 0.2):
            Of the clip losing its colours.
        color_jitter (`tuple[float, float, float, float]`, defaults to `(0.4, 0.4, 0.2, 0.1)`):
            Strengths of the jitter of brightness, contrast, saturation and hue.
        color_jitter_probability (`float`, defaults to 0.0):
            Of the jitter. The paper has it off.

    Raises:
        ValueError: If a probability or range is impossible, or a label is in two pairs.
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
        probabilities = {
            "flip_probability": flip_probability,
            "grayscale_probability": grayscale_probability,
            "color_jitter_probability": color_jitter_probability,
        }
        for name, probability in probabilities.items():
            if not 0 <= probability <= 1:
                raise ValueError(f"`{name}` must lie in [0, 1], got {probability}.")
        for name, (low, high), limit in (("crop_scale", crop_scale, 1.0), ("crop_ratio", crop_ratio, float("inf"))):
            if not 0 < low <= high <= limit:
                raise ValueError(f"`{name}` must be a rising pair in (0, {limit:g}], got {(low, high)}.")
        if len(color_jitter) != 4:
            raise ValueError(f"`color_jitter` must be four strengths, got {color_jitter}.")
        self.flipped_labels: dict[int, int] = {}
        for left, right in flip_label_pairs or ():
            if left == right or {left, right} & set(self.flipped_labels):
                raise ValueError(
                    f"`flip_label_pairs` must be pairs of different labels, none in two pairs, got {flip_label_pairs}."
                )
            self.flipped_labels |= {left: right, right: left}
        self.flip_probability = flip_probability
        self.crop = RandomResizedCrop(size, scale=tuple(crop_scale), ratio=tuple(crop_ratio), antialias=False)
        self.colors = v2.Compose(
            [
                v2.RandomApply([v2.ColorJitter(*color_jitter)], p=color_jitter_probability),
                v2.RandomGrayscale(p=grayscale_probability),
                v2.Normalize(mean=list(image_mean), std=list(image_std)),
            ]
        )

    def __call__(self, frames: torch.ByteTensor, label: int) -> tuple[torch.FloatTensor, int]:
        """
        From `(num_frames, 3, height, width)` uint8 and its label to `(num_frames, 3, *size)` float32, normalized, and the
        label that the clip has now.
        """
        clip = self.crop(frames)
        if torch.rand(()) < self.flip_probability:
            clip, label = F.horizontal_flip(clip), self.flipped_labels.get(label, label)
        return self.colors(clip), label


class BatchMixing:
    """
    Mixup or CutMix of a batch, one of the two at random, and label smoothing of the targets, as the paper combines them:
    every target is (1 − s) · (λ · one_hot(a) + (1 − λ) · one_hot(b)) + s / num_classes, where b is the label of the clip
    that is mixed in, and λ the share of pixels (CutMix) or of intensity (mixup) that a keeps.

    Args:
        num_classes (`int`):
            Number of classes.
        mixup_alpha (`float`, defaults to 0.8), cutmix_alpha (`float`, defaults to 1.0):
            λ is drawn from Beta(alpha, alpha), once per batch. 0 turns the one off.
        mixing_probability (`float`, defaults to 1.0):
            Of a batch being mixed at all.
        cutmix_probability (`float`, defaults to 0.5):
            Of CutMix rather than mixup where both are on.
        label_smoothing (`float`, defaults to 0.1):
            s, in [0, 1).

    Raises:
        ValueError: If a value is impossible.
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
        for name, probability in (
            ("mixing_probability", mixing_probability),
            ("cutmix_probability", cutmix_probability),
        ):
            if not 0 <= probability <= 1:
                raise ValueError(f"`{name}` must lie in [0, 1], got {probability}.")
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
        """Whether batches are mixed, which takes two clips or more in each."""
        return self.mixing_probability > 0 and (self.mixup is not None or self.cutmix is not None)

    def __call__(
        self, pixel_values_videos: torch.FloatTensor, labels: torch.LongTensor
    ) -> tuple[torch.FloatTensor, torch.FloatTensor]:
        """
        From `(batch_size, num_frames, 3, height, width)` and `(batch_size,)` to clips of the same shape and targets of
        shape `(batch_size, num_classes)`, float32, each summing to one.
        """
        targets = torch.nn.functional.one_hot(labels, self.num_classes).float()
        if self.mixes and torch.rand(()) < self.mixing_probability:
            mix = self.cutmix if torch.rand(()) < self.cutmix_probability else self.mixup
            clips, targets = mix(tv_tensors.Video(pixel_values_videos), targets)
            pixel_values_videos = clips.as_subclass(torch.Tensor)
        return pixel_values_videos, targets * (1 - self.label_smoothing) + self.label_smoothing / self.num_classes


__all__ = ["BatchMixing", "ClipAugmentation", "parse_label_pairs"]
