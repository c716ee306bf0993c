# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""What augmentation makes of clips and labels, measured on the pixels it returns."""

import math

import pytest
import torch
from torch.testing import assert_close

from modeling_dist import DiSTConfig, DiSTForVideoClassification
from modeling_dist.data.augmentation import BatchMixing, ClipAugmentation, parse_label_pairs


MEAN, STD = (0.48, 0.45, 0.40), (0.26, 0.25, 0.27)
HEIGHT, WIDTH = 160, 180
SSV2_PAIRS = [(86, 87), (93, 94), (166, 167)]


def unnormalized(clip: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    return clip * std + mean


def coordinate_frames(num_frames: int = 3) -> torch.Tensor:
    """Frames that say where a pixel comes from: red is its column, green its row, blue is noise, other in each frame."""
    columns = torch.arange(WIDTH, dtype=torch.uint8).expand(num_frames, HEIGHT, WIDTH)
    rows = torch.arange(HEIGHT, dtype=torch.uint8)[:, None].expand(num_frames, HEIGHT, WIDTH)
    noise = torch.randint(0, 256, (num_frames, HEIGHT, WIDTH), dtype=torch.uint8)
    return torch.stack([columns, rows, noise], dim=1)


def read_window(frame: torch.Tensor) -> tuple[float, float, float, float, bool]:
    """
    Left, top, width and height of the window that a resized frame of `coordinate_frames` shows, and whether it is flipped.

    Pixel i of `size` stands at (i + 1/2) · width / size − 1/2 in the window.
    """
    red, green = frame[0, 0] * 255, frame[1, :, 0] * 255
    is_flipped = bool(red[0] > red[-1])
    red = red.flip(0) if is_flipped else red
    found = []
    for line in (red, green):
        extent = (line[-1] - line[0]).item() * len(line) / (len(line) - 1)
        found.append((line[0].item() - extent / len(line) / 2 + 0.5, extent))
    (left, width), (top, height) = found
    return left, top, width, height, is_flipped


def crop_only(size, **kwargs) -> ClipAugmentation:
    return ClipAugmentation(size, MEAN, STD, grayscale_probability=0.0, **kwargs)


# ---- crop


@pytest.mark.parametrize("size", [16, (12, 20)])
def test_clip_is_one_window_of_all_frames_resized_without_antialiasing_and_normalized(size):
    height, width = (size, size) if isinstance(size, int) else size
    augmentation, frames = crop_only(size), coordinate_frames()
    flips = []
    for seed in range(12):
        torch.manual_seed(seed)
        clip, _ = augmentation(frames, 0)
        assert clip.shape == (3, 3, height, width) and clip.dtype == torch.float32

        left, top, crop_width, crop_height, is_flipped = read_window(unnormalized(clip)[0])
        window = [round(value) for value in (left, top, crop_width, crop_height)]
        assert_close(
            torch.tensor([left, top, crop_width, crop_height]), torch.tensor(window).float(), atol=2e-2, rtol=0
        )
        left, top, crop_width, crop_height = window
        # Every frame by this one window, its bytes never rounded again.
        crop = frames[:, :, top : top + crop_height, left : left + crop_width].float() / 255
        expected = torch.nn.functional.interpolate(crop, (height, width), mode="bilinear", align_corners=False)
        expected = expected.flip(-1) if is_flipped else expected
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
        assert_close(clip, (expected - mean) / std, atol=1e-5, rtol=1e-5)
        flips.append(is_flipped)
    assert set(flips) == {True, False}


def draw_windows(augmentation: ClipAugmentation, count: int = 300) -> torch.Tensor:
    """Left, top, width, height of many draws."""
    frames = coordinate_frames(1)
    windows = []
    for seed in range(count):
        torch.manual_seed(seed)
        windows.append(read_window(unnormalized(augmentation(frames, 0)[0])[0])[:4])
    return torch.tensor(windows)


def test_windows_fill_the_papers_ranges_of_area_and_ratio():
    left, top, width, height = draw_windows(crop_only(16)).T
    share, ratio = width * height / (WIDTH * HEIGHT), width / height
    # Edges are whole pixels.
    assert share.min() > 0.4 - 0.01 and share.max() < 1 + 1e-3
    assert ratio.min() > 3 / 4 - 0.02 and ratio.max() < 4 / 3 + 0.02
    assert share.min() < 0.43 and share.max() > 0.95
    assert ratio.min() < 0.77 and ratio.max() > 1.28
    # Anywhere within the frame, both ends included.
    right, bottom = left + width, top + height
    assert left.min() > -0.02 and top.min() > -0.02 and right.max() < WIDTH + 0.02 and bottom.max() < HEIGHT + 0.02
    assert left.min() < 3 and top.min() < 3 and right.max() > WIDTH - 3 and bottom.max() > HEIGHT - 3


def test_ranges_of_the_crop_are_options():
    _, _, width, height = draw_windows(crop_only(16, crop_scale=(0.25, 0.25), crop_ratio=(2.0, 2.0)), 20).T
    assert_close(width / height, torch.full((20,), 2.0), atol=0.03, rtol=0)
    assert_close(width * height / (WIDTH * HEIGHT), torch.full((20,), 0.25), atol=0.01, rtol=0)


def test_whole_frame_of_the_right_size_is_only_normalized():
    augmentation = crop_only((8, 8), crop_scale=(1, 1), crop_ratio=(1, 1), flip_probability=0)
    frames = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    clip, label = augmentation(frames, 4)
    assert_close(unnormalized(clip) * 255, frames.float(), atol=1e-4, rtol=0)
    assert label == 4


def test_given_frames_stay_as_they_were():
    frames = coordinate_frames()
    before = frames.clone()
    ClipAugmentation(16, MEAN, STD, color_jitter_probability=1.0, grayscale_probability=1.0, flip_probability=1.0)(
        frames, 0
    )
    assert torch.equal(frames, before)


# ---- one draw per clip


@pytest.mark.parametrize("probabilities", [{}, {"color_jitter_probability": 1.0}])
def test_clip_of_equal_frames_stays_one_of_equal_frames(probabilities):
    augmentation = ClipAugmentation(12, MEAN, STD, **probabilities)
    frame = torch.randint(0, 256, (3, 40, 50), dtype=torch.uint8)
    clips = []
    for seed in range(30):
        torch.manual_seed(seed)
        clip, _ = augmentation(frame.expand(5, -1, -1, -1), 0)
        assert_close(clip, clip[:1].expand_as(clip), atol=1e-6, rtol=0)
        clips.append(clip)
    assert len({clip.sum().item() for clip in clips}) == 30  # but every draw is another clip


def test_same_seed_gives_the_same_clip():
    augmentation = ClipAugmentation(12, MEAN, STD, flip_label_pairs=[(0, 1)], color_jitter_probability=0.5)
    frames = torch.randint(0, 256, (4, 3, 40, 50), dtype=torch.uint8)

    def draw(seed):
        torch.manual_seed(seed)
        return augmentation(frames, 0)

    drawn = [draw(seed) for seed in range(10)]
    for seed in reversed(range(10)):
        clip, label = draw(seed)
        assert torch.equal(clip, drawn[seed][0]) and label == drawn[seed][1]


# ---- flip


def is_flipped(clip: torch.Tensor) -> bool:
    """Of frames that get brighter from left to right."""
    return bool(clip[0, 0, 0, 0] > clip[0, 0, 0, -1])


def flips_and_labels(augmentation: ClipAugmentation, label: int, count: int) -> list[tuple[bool, int]]:
    frames = torch.linspace(0, 255, 20).to(torch.uint8).expand(2, 3, 20, 20)
    drawn = []
    for seed in range(count):
        torch.manual_seed(seed)
        clip, new_label = augmentation(frames, label)
        drawn.append((is_flipped(clip), new_label))
    return drawn


def test_half_of_the_clips_are_flipped():
    drawn = flips_and_labels(ClipAugmentation(8, MEAN, STD), 3, 300)
    assert 0.42 < sum(flipped for flipped, _ in drawn) / 300 < 0.58
    assert {label for _, label in drawn} == {3}


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_flip_probability_is_an_option(probability):
    drawn = flips_and_labels(ClipAugmentation(8, MEAN, STD, flip_probability=probability), 3, 20)
    assert {flipped for flipped, _ in drawn} == {bool(probability)}


@pytest.mark.parametrize(
    ("label", "other"), [(86, 87), (87, 86), (93, 94), (94, 93), (166, 167), (167, 166), (0, 0), (85, 85), (95, 95)]
)
def test_flip_exchanges_the_paired_labels_and_only_a_flip_does(label, other):
    drawn = flips_and_labels(ClipAugmentation(8, MEAN, STD, flip_label_pairs=SSV2_PAIRS), label, 24)
    assert set(drawn) == {(True, other), (False, label)}


# ---- colors


def test_a_fifth_of_the_clips_loses_its_colors_in_all_frames():
    augmentation = ClipAugmentation(4, MEAN, STD)
    frames = torch.randint(0, 256, (2, 3, 12, 12), dtype=torch.uint8)
    num_gray = 0
    for seed in range(400):
        torch.manual_seed(seed)
        pixels = unnormalized(augmentation(frames, 0)[0])
        differences = (pixels - pixels[:, :1]).abs().amax(dim=(1, 2, 3))
        is_gray = differences < 1e-5
        assert is_gray.all() or not is_gray.any()
        num_gray += is_gray.all().item()
    assert 0.14 < num_gray / 400 < 0.26


def test_gray_is_the_luma_of_the_colors():
    options = {"crop_scale": (1, 1), "crop_ratio": (1, 1), "flip_probability": 0, "grayscale_probability": 1.0}
    frames = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    pixels = unnormalized(ClipAugmentation(8, MEAN, STD, **options)(frames, 0)[0])
    red, green, blue = (frames.float() / 255).unbind(1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    assert_close(pixels, luma[:, None].expand(-1, 3, -1, -1), atol=1e-3, rtol=0)


def whole_frame(**kwargs) -> ClipAugmentation:
    options = {"crop_scale": (1, 1), "crop_ratio": (1, 1), "flip_probability": 0, "grayscale_probability": 0}
    return ClipAugmentation(8, MEAN, STD, **{**options, **kwargs})


def test_color_jitter_is_off_unless_asked_for():
    frames = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    original = frames.float() / 255
    for seed in range(40):
        torch.manual_seed(seed)
        assert_close(unnormalized(whole_frame()(frames, 0)[0]), original, atol=1e-6, rtol=0)
    changes = []
    for seed in range(40):
        torch.manual_seed(seed)
        pixels = unnormalized(whole_frame(color_jitter_probability=1.0)(frames, 0)[0])
        changes.append((pixels - original).abs().max().item())
    assert min(changes) > 1e-3


def test_color_jitter_has_the_given_strength():
    """Of a gray clip brightness alone changes, by a factor from 1 − 0.4 to 1 + 0.4."""
    augmentation = whole_frame(color_jitter_probability=1.0, color_jitter=(0.4, 0.0, 0.0, 0.0))
    frames = torch.full((2, 3, 8, 8), 100, dtype=torch.uint8)
    factors = []
    for seed in range(200):
        torch.manual_seed(seed)
        factors.append((unnormalized(augmentation(frames, 0)[0]).mean() * 255 / 100).item())
    assert 0.6 - 1e-4 < min(factors) < 0.63 and 1.37 < max(factors) < 1.4 + 1e-4


# ---- errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flip_probability": 1.5}, r"`flip_probability` must lie in \[0, 1\], got 1.5"),
        ({"grayscale_probability": -0.1}, "`grayscale_probability`"),
        ({"color_jitter_probability": 2}, "`color_jitter_probability`"),
        ({"crop_scale": (0.5, 0.4)}, r"`crop_scale` must be an increasing pair in \(0, 1\], got \(0.5, 0.4\)"),
        ({"crop_scale": (0, 1)}, "`crop_scale`"),
        ({"crop_scale": (0.4, 1.1)}, "`crop_scale`"),
        ({"crop_ratio": (-1, 1)}, "`crop_ratio`"),
        ({"crop_ratio": (4 / 3, 3 / 4)}, "`crop_ratio`"),
        ({"flip_label_pairs": [(1, 1)]}, "`flip_label_pairs` must be pairs of different labels"),
        ({"flip_label_pairs": [(0, 1), (1, 2)]}, "none in two pairs"),
        ({"flip_label_pairs": [(0, 1), (2, 0)]}, "none in two pairs"),
    ],
)
def test_impossible_augmentation_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ClipAugmentation(16, MEAN, STD, **options)


# ---- pairs of labels on a command line

NAMES = ["pan left", "pan right", "time 9:30", "time: later", "stay"]


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        (["0:1"], [(0, 1)]),
        (["pan left:pan right"], [(0, 1)]),
        (["pan right : pan left"], [(1, 0)]),
        (["0:pan right"], [(0, 1)]),
        (["time 9:30:time: later"], [(2, 3)]),
        (["time: later:4"], [(3, 4)]),
        (["4:time 9:30", "0:1"], [(4, 2), (0, 1)]),
        (["none"], []),
        ([], []),
    ],
)
def test_label_pairs_are_read_as_labels_or_names(pairs, expected):
    assert parse_label_pairs(pairs, NAMES) == expected


@pytest.mark.parametrize("pair", ["pan left:pan up", "0:5", "-1:0", "0", "pan left", "pan left:", "", "0-1", "1:2:3"])
def test_unknown_label_pair_is_refused_by_name(pair):
    with pytest.raises(ValueError, match="two labels from 0 to 4, or two class names") as caught:
        parse_label_pairs(["0:1", pair], NAMES)
    assert repr(pair) in str(caught.value)


def test_none_beside_a_pair_is_refused():
    with pytest.raises(ValueError, match="'none'"):
        parse_label_pairs(["none", "0:1"], NAMES)


def test_ssv2_pairs_are_read_from_their_labels():
    names = [f"something {label}" for label in range(174)]
    assert parse_label_pairs(["86:87", "93:94", "166:167"], names) == SSV2_PAIRS


# ---- mixup, CutMix, label smoothing

NUM_CLASSES = 5
LABELS = torch.tensor([3, 0, 4])


def pure_clips(num_frames: int = 2, size: int = 16) -> torch.Tensor:
    """Three clips, each of which is one in a channel of its own and zero elsewhere: (3, num_frames, 3, size, size)."""
    return torch.eye(3)[:, None, :, None, None].repeat(1, num_frames, 1, size, size)


def read_shares(mixed: torch.Tensor) -> torch.Tensor:
    """What share of each of `pure_clips` is in each mixed clip, (mixed, pure): intensity with mixup, pixels with CutMix."""
    return mixed.double().mean(dim=(1, 3, 4))


def read_kind(mixed: torch.Tensor) -> str:
    is_binary = bool(((mixed == 0) | (mixed == 1)).all())
    is_constant = bool((mixed == mixed[:, :1, :, :1, :1]).all())
    if is_binary:
        return "unmixed" if is_constant and torch.equal(read_shares(mixed), torch.eye(3).double()) else "cutmix"
    assert is_constant, "neither mixup nor CutMix"
    return "mixup"


def hand_written_targets(shares: torch.Tensor, smoothing: float) -> torch.Tensor:
    """(1 − s) · (λ · one_hot(a) + (1 − λ) · one_hot(b)) + s / K, from the shares that the pixels show."""
    targets = torch.full((3, NUM_CLASSES), smoothing / NUM_CLASSES, dtype=torch.float64)
    for row in range(3):
        for source in range(3):
            targets[row, LABELS[source]] += (1 - smoothing) * shares[row, source]
    return targets


KINDS = {
    "mixup": {"cutmix_alpha": 0.0},
    "cutmix": {"mixup_alpha": 0.0},
    "either": {},
    "smoothing_only": {"mixing_probability": 0.0},
    "no_smoothing": {"label_smoothing": 0.0},
}


@pytest.mark.parametrize("name", KINDS)
def test_targets_follow_from_what_the_pixels_show(name):
    mixing = BatchMixing(NUM_CLASSES, **KINDS[name])
    clips, smoothing = pure_clips(), KINDS[name].get("label_smoothing", 0.1)
    kinds = set()
    for seed in range(40):
        torch.manual_seed(seed)
        mixed, targets = mixing(clips, LABELS)
        assert mixed.shape == clips.shape and mixed.dtype == torch.float32 and type(mixed) is torch.Tensor
        assert targets.shape == (3, NUM_CLASSES) and targets.dtype == torch.float32 and type(targets) is torch.Tensor
        assert_close(targets.sum(dim=1), torch.ones(3))
        shares = read_shares(mixed)
        assert_close(targets.double(), hand_written_targets(shares, smoothing), atol=1e-5, rtol=0)
        # At most one other clip is mixed into each, by the same share.
        assert ((shares > 1e-7).sum(dim=1) <= 2).all()
        assert_close(shares.diag(), shares[0, 0].expand(3), atol=1e-6, rtol=0)
        kinds.add(read_kind(mixed))
    expected = {"mixup": {"mixup"}, "cutmix": {"cutmix"}, "smoothing_only": {"unmixed"}}
    assert kinds - {"unmixed"} == expected.get(name, {"mixup", "cutmix"}) - {"unmixed"}
    if name == "smoothing_only":
        assert kinds == {"unmixed"}


def test_mixing_leaves_what_it_was_given_as_it_was():
    clips, labels = pure_clips(), LABELS.clone()
    for seed in range(10):
        torch.manual_seed(seed)
        BatchMixing(NUM_CLASSES)(clips, labels)
        assert torch.equal(clips, pure_clips()) and torch.equal(labels, LABELS)


def test_cutmix_pastes_one_rectangle_into_all_frames():
    mixing = BatchMixing(NUM_CLASSES, mixup_alpha=0.0)
    rectangles = set()
    for seed in range(30):
        torch.manual_seed(seed)
        mixed, _ = mixing(pure_clips(num_frames=4), LABELS)
        own = torch.stack([mixed[clip, :, clip] for clip in range(3)])
        assert torch.equal(own, own[:1, :1].expand_as(own))  # in every clip and frame
        pasted = own[0, 0] == 0
        rows, columns = pasted.any(dim=1), pasted.any(dim=0)
        assert torch.equal(pasted, rows[:, None] & columns)
        if pasted.any():
            edges = [side.nonzero().flatten()[[0, -1]].tolist() for side in (rows, columns)]
            assert rows.sum() == edges[0][1] - edges[0][0] + 1 and columns.sum() == edges[1][1] - edges[1][0] + 1
            rectangles.add(tuple(map(tuple, edges)))
    assert len(rectangles) > 15


def kinds_of(mixing: BatchMixing, count: int) -> list[str]:
    clips, kinds = pure_clips(num_frames=1), []
    for seed in range(count):
        torch.manual_seed(seed)
        kinds.append(read_kind(mixing(clips, LABELS)[0]))
    return kinds


def test_every_batch_is_mixed_by_one_of_the_two_each_half_of_the_time():
    kinds = kinds_of(BatchMixing(NUM_CLASSES), 600)
    assert 0.44 < kinds.count("mixup") / 600 < 0.56
    # A rectangle may be smaller than a pixel, but for that every batch is mixed.
    assert kinds.count("unmixed") / 600 < 0.02


def test_probabilities_of_mixing_are_options():
    kinds = kinds_of(BatchMixing(NUM_CLASSES, mixing_probability=0.3, cutmix_probability=0.2), 600)
    assert 0.64 < kinds.count("unmixed") / 600 < 0.76
    assert 0.19 < kinds.count("mixup") / 600 < 0.29
    assert 0.03 < kinds.count("cutmix") / 600 < 0.10


@pytest.mark.parametrize(("alpha", "cutmix_alpha"), [(0.8, 1.0), (1.0, 0.8), (4.0, 1.0)])
def test_mixup_share_has_the_moments_of_its_beta_distribution(alpha, cutmix_alpha):
    mixing = BatchMixing(NUM_CLASSES, mixup_alpha=alpha, cutmix_alpha=cutmix_alpha, cutmix_probability=0.0)
    clips, shares = pure_clips(num_frames=1, size=1), []
    for _ in range(2000):
        shares.append(read_shares(mixing(clips, LABELS)[0])[0, 0])
    shares = torch.stack(shares)
    variance = 1 / (4 * (2 * alpha + 1))
    assert abs(shares.mean().item() - 0.5) < 0.02
    assert abs(shares.var().item() / variance - 1) < 0.06


def test_cutmix_rectangles_have_the_moments_of_a_uniform_share():
    """
    With λ uniform, a rectangle of sides s = √(1 − λ) about a uniform centre, cut at the frame's edges, has a mean area of
    E[(s − s²/4)²] = 0.3208 and a mean squared one of E[(s² − 5/12 · s³)²] = 0.1386. Whole pixels make it a little smaller.
    """
    mixing = BatchMixing(NUM_CLASSES, mixup_alpha=0.8, cutmix_alpha=1.0, cutmix_probability=1.0)
    clips = pure_clips(num_frames=1, size=64)
    areas = torch.stack([1 - read_shares(mixing(clips, LABELS)[0])[0, 0] for _ in range(1000)])
    assert abs(areas.mean().item() - 0.3208) < 0.03
    assert abs(areas.std().item() - math.sqrt(0.1386 - 0.3208**2)) < 0.02


@pytest.mark.parametrize(("options", "kind"), [({"cutmix_alpha": 0}, "mixup"), ({"mixup_alpha": 0}, "cutmix")])
def test_alphas_may_be_whole_numbers(options, kind):
    mixed, _ = BatchMixing(NUM_CLASSES, **{"mixup_alpha": 1, "cutmix_alpha": 1, **options})(pure_clips(), LABELS)
    assert read_kind(mixed) == kind


def test_mixing_is_repeated_by_its_seed():
    mixing, clips = BatchMixing(NUM_CLASSES), torch.randn(4, 2, 3, 8, 8)
    labels = torch.tensor([0, 1, 2, 3])

    def draw(seed):
        torch.manual_seed(seed)
        return mixing(clips, labels)

    drawn = [draw(seed) for seed in range(8)]
    for seed in reversed(range(8)):
        for again, before in zip(draw(seed), drawn[seed]):
            assert torch.equal(again, before)


def test_without_mixing_only_the_targets_change():
    for mixing in (
        BatchMixing(NUM_CLASSES, mixup_alpha=0.0, cutmix_alpha=0.0),
        BatchMixing(NUM_CLASSES, mixing_probability=0.0),
    ):
        assert not mixing.mixes
        clips = torch.randn(3, 2, 3, 4, 4)
        mixed, targets = mixing(clips, LABELS)
        assert torch.equal(mixed, clips)
        expected = torch.full((3, NUM_CLASSES), 0.02)
        expected[range(3), LABELS] = 0.92
        assert_close(targets, expected)
    assert BatchMixing(NUM_CLASSES).mixes
    assert BatchMixing(NUM_CLASSES, cutmix_alpha=0.0).mixes and BatchMixing(NUM_CLASSES, mixup_alpha=0.0).mixes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mixup_alpha": -0.1}, "`mixup_alpha` and `cutmix_alpha` must be 0 or more, got -0.1, 1.0"),
        ({"cutmix_alpha": -1}, "must be 0 or more"),
        ({"mixing_probability": 1.1}, r"`mixing_probability` must lie in \[0, 1\], got 1.1"),
        ({"cutmix_probability": -0.5}, "`cutmix_probability`"),
        ({"label_smoothing": 1.0}, r"`label_smoothing` must lie in \[0, 1\), got 1.0"),
        ({"label_smoothing": -0.1}, "`label_smoothing`"),
    ],
)
def test_impossible_mixing_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        BatchMixing(NUM_CLASSES, **options)


# ---- the loss of mixed batches


def tiny_model(head_type: str, problem_type: str | None) -> DiSTForVideoClassification:
    vision_config = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 16,
        "patch_size": 8,
        "projection_dim": 24,
    }
    config = DiSTConfig(
        vision_config=vision_config,
        backbone=None,
        num_frames=4,
        integration_dim=64,
        temporal_dim=8,
        num_pooling_layers=1,
        projection_dim=24,
        num_labels=NUM_CLASSES,
        initializer_range=None,
        head_type=head_type,
        # So that the loss does not vanish at the scale of 100.
        logit_scale_init_value=1.0,
    )
    config.problem_type = problem_type
    return DiSTForVideoClassification(config).train()


@pytest.mark.parametrize(
    ("head_type", "problem_type"),
    [("text", None), ("text", "single_label_classification"), ("linear", "single_label_classification")],
)
@pytest.mark.parametrize("kind", ["mixup", "cutmix", "smoothing_only"])
def test_loss_and_gradient_of_mixed_batches_equal_the_formula(head_type, problem_type, kind):
    model = tiny_model(head_type, problem_type)
    torch.manual_seed(5)
    mixed, targets = BatchMixing(NUM_CLASSES, **KINDS[kind])(pure_clips(num_frames=4), LABELS)
    shares = read_shares(mixed)
    if kind != "smoothing_only":
        assert 0.05 < shares[0, 0] < 0.95  # this seed mixes visibly
    formula_targets = hand_written_targets(shares, 0.1).float()

    names = ["dist.pooling.projection.weight", "dist.layers.1.class_token"]
    parameters = [model.get_parameter(name) for name in names]
    outputs = model(pixel_values_videos=mixed, labels=targets)
    gradients = torch.autograd.grad(outputs.loss, [outputs.logits, *parameters])

    logits = model(pixel_values_videos=mixed).logits
    formula = -(formula_targets * logits.log_softmax(dim=-1)).sum(dim=-1).mean()
    expected = torch.autograd.grad(formula, parameters, retain_graph=True)
    assert_close(outputs.loss, formula)
    # The formula's derivative: softmax minus targets, over the batch.
    probabilities = logits.detach().exp() / logits.detach().exp().sum(dim=-1, keepdim=True)
    assert_close(gradients[0], (probabilities - formula_targets) / 3, atol=1e-6, rtol=1e-4)
    assert all(gradient.abs().max() > 1e-6 for gradient in expected)
    for gradient, expected_gradient in zip(gradients[1:], expected):
        assert_close(gradient, expected_gradient, atol=1e-6, rtol=1e-4)

    if head_type == "linear":
        model(pixel_values_videos=mixed, labels=targets).loss.backward()
        embeds = outputs.video_embeds.detach()
        by_logit = (probabilities - formula_targets) / 3
        assert_close(model.classifier.weight.grad, by_logit.T @ embeds, atol=1e-6, rtol=1e-4)
        assert_close(model.classifier.bias.grad, by_logit.sum(dim=0), atol=1e-6, rtol=1e-4)
