# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""The generated videos move as their class says, and nothing but their motion tells the class."""

import hashlib
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from modeling_dist.commands.motions import main
from modeling_dist.data import motion_dataset
from modeling_dist.data.motion_dataset import SWAYS, TRAVELS, WAVELENGTHS, make_motion_dataset, moving_texture
from modeling_dist.data.settings import MOTIONS, PANS, MotionSettings
from modeling_dist.video_decoding_dist import decode_video
from modeling_dist.video_processing_dist import segment_frame_indices


REVERSED = {
    "pan left": "pan right",
    "pan up": "pan down",
    "zoom in": "zoom out",
    "rotate clockwise": "rotate counterclockwise",
}
SMALL = {"num_train": 8, "num_validation": 4, "num_frames": 6, "size": 32}


def _files(folder) -> dict[str, bytes]:
    folder = Path(folder)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.*"))}


def _decode(path) -> np.ndarray:
    return decode_video(path, lambda num_frames, fps: range(num_frames)).frames.permute(0, 2, 3, 1).numpy()


def _velocities(frames: np.ndarray) -> np.ndarray:
    """
    By least squares, the motion that explains best how the pixels change at each time: to the right, down, growing, and
    turning clockwise, `(frames, 4)`. Lengths are fractions of the picture's edge, times of the video.
    """
    num_frames, size = frames.shape[:2]
    pixels = (np.arange(size) + 0.5) / size - 0.5
    right, down = np.meshgrid(pixels, pixels)
    zero, one = np.zeros_like(right), np.ones_like(right)
    # Where each part of a motion takes a pixel, (right, down). Below the centre, turning clockwise goes to the left.
    fields = [[one, zero], [zero, one], [right, down], [-down, right]]
    gradients = np.gradient(frames.mean(axis=-1), 1 / num_frames, 1 / size, 1 / size)
    # At the first and the last frame the derivative in time is one-sided, and inaccurate.
    return np.stack(
        [
            np.linalg.lstsq(
                np.stack([-(field[0] * horizontal + field[1] * vertical).ravel() for field in fields], axis=1),
                change.ravel(),
                rcond=None,
            )[0]
            for change, vertical, horizontal in list(zip(*gradients))[1:-1]
        ]
    )


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_motion_dataset(tmp_path_factory.mktemp("data") / "new" / "motions", **SMALL, num_workers=1)


def test_one_folder_per_class_in_each_split(dataset):
    expected = [f"train/{name}/{index:05d}.mp4" for name in PANS for index in range(2)]
    expected += [f"validation/{name}/00000.mp4" for name in PANS]
    assert sorted(_files(dataset)) == sorted(expected)
    assert [path.name for path in Path(dataset).parent.iterdir()] == ["motions"]


def test_classes_are_balanced_where_the_number_does_not_divide(tmp_path):
    folder = make_motion_dataset(tmp_path / "d", classes=["zoom in", "pan up", "zoom out"], **SMALL)
    counts = Counter(name.rpartition("/")[0] for name in _files(folder))
    assert [counts[f"train/{name}"] for name in ("zoom in", "pan up", "zoom out")] == [3, 3, 2]
    assert [counts[f"validation/{name}"] for name in ("zoom in", "pan up", "zoom out")] == [2, 1, 1]


def test_files_hold_the_videos_that_were_asked_for(tmp_path):
    folder = make_motion_dataset(tmp_path / "d", num_train=4, num_validation=4, num_frames=7, size=48, fps=5)
    for path in Path(folder).rglob("*.mp4"):
        video = decode_video(path, lambda num_frames, fps: range(num_frames))
        assert video.frames.shape == (7, 3, 48, 48) and video.total_num_frames == 7 and video.fps == 5


def test_bytes_do_not_depend_on_workers_or_on_the_rest_of_the_dataset(dataset, tmp_path):
    files = _files(dataset)
    assert _files(make_motion_dataset(tmp_path / "workers", **SMALL, num_workers=3)) == files
    larger = make_motion_dataset(
        tmp_path / "larger", **{**SMALL, "num_train": 27, "num_validation": 9}, classes=MOTIONS[::-1]
    )
    shared = {name: content for name, content in _files(larger).items() if name in files}
    assert shared == files


def test_every_texture_is_another_one(dataset, tmp_path):
    files = [_files(dataset), _files(make_motion_dataset(tmp_path / "seed", **SMALL, seed=1))]
    contents = [hashlib.sha256(content).hexdigest() for each in files for content in each.values()]
    assert len(set(contents)) == 2 * (8 + 4)
    # The same content could still be there in another position: a texture's palette stays with it.
    colors = np.stack([_decode(path).mean(axis=(0, 1, 2)) for path in Path(dataset).rglob("*.mp4")])
    distances = np.linalg.norm(colors[:, None] - colors, axis=-1) + 1e3 * np.eye(len(colors))
    assert distances.min() > 1


@pytest.mark.parametrize("motion", REVERSED)
@pytest.mark.parametrize("num_frames", [1, 7, 8])
def test_a_motion_backwards_is_its_partner(motion, num_frames):
    forwards = moving_texture(motion, num_frames, 32, np.random.default_rng(3))
    backwards = moving_texture(REVERSED[motion], num_frames, 32, np.random.default_rng(3))
    np.testing.assert_array_equal(forwards, backwards[::-1])
    assert num_frames == 1 or not np.array_equal(forwards, backwards)


def test_a_coded_frame_does_not_tell_what_came_before_it(monkeypatch, tmp_path):
    """With the same textures in all classes, the files of two partners hold the same frames to the last bit."""
    monkeypatch.setattr(np.random, "SeedSequence", lambda seed, spawn_key: seed)
    folder = Path(make_motion_dataset(tmp_path / "d", classes=MOTIONS, num_train=8, num_validation=8, num_frames=9))
    for motion, partner in REVERSED.items():
        forwards, backwards = (_decode(folder / "train" / name / "00000.mp4") for name in (motion, partner))
        np.testing.assert_array_equal(forwards, backwards[::-1])
    # And they are what was made, except for colors, which H.264 stores at half the resolution.
    made = moving_texture("rotate clockwise", 9, 64, np.random.default_rng(0))
    decoded = _decode(folder / "train" / "rotate clockwise" / "00000.mp4")
    assert np.abs(made.astype(float) - decoded).mean() < 6


@pytest.mark.parametrize("motion", MOTIONS)
def test_every_motion_is_the_one_of_its_name_and_no_other(motion):
    parts = ("pan right", "pan down", "zoom in", "rotate clockwise")
    opposites = ("pan left", "pan up", "zoom out", "rotate counterclockwise")
    expected = [(motion == part) - float(motion == opposite) for part, opposite in zip(parts, opposites)]
    directions = []
    for seed in range(10):
        velocity = _velocities(moving_texture(motion, 32, 64, np.random.default_rng(seed))).mean(axis=0)
        speed = np.abs(velocity).max()
        assert TRAVELS[0] * 0.6 < speed / (1 if motion in PANS else 2) < TRAVELS[1] * 1.4
        directions.append(velocity / speed)
        # In a zoom, waves that come and go can look a little like another motion.
        np.testing.assert_allclose(directions[-1], expected, atol=0.5)
    np.testing.assert_allclose(np.mean(directions, axis=0), expected, atol=0.1)


@pytest.mark.parametrize("motion", PANS)
def test_pans_are_steady_and_sway_across_and_back(motion):
    along, across = (0, 1) if motion in ("pan left", "pan right") else (1, 0)
    for seed in range(5):
        velocities = _velocities(moving_texture(motion, 32, 64, np.random.default_rng(seed)))
        assert np.abs(velocities[:, along]).min() > 0.8 * np.abs(velocities[:, along]).max()
        positions = np.cumsum(velocities[:, across]) / 32
        assert 2 * SWAYS[0] * 0.8 < np.ptp(positions) < 2 * SWAYS[1] * 1.1
        assert abs(positions[-1]) < 0.5 * np.ptp(positions)


def _statistics(frames: np.ndarray) -> np.ndarray:
    """Brightness, contrast, and how fine each picture is in each direction: `(pictures, 5)`."""
    contrast = frames.std(axis=(1, 2)).mean(axis=-1)
    horizontal, vertical = (np.abs(np.diff(frames, axis=axis)).mean(axis=(1, 2, 3)) for axis in (2, 1))
    brightness = frames.mean(axis=(1, 2, 3))
    return np.stack([brightness, contrast, horizontal / contrast, vertical / contrast, horizontal - vertical], axis=1)


@pytest.fixture(scope="module")
def statistics_of_stills():
    """Of textures that do not move, because there is but one frame."""
    stills = [moving_texture("pan left", 1, 16, np.random.default_rng((1, seed)))[0] for seed in range(400)]
    return _statistics(np.stack(stills).astype(float))


@pytest.mark.parametrize("motion", MOTIONS)
def test_the_first_frames_of_all_classes_look_alike(motion, statistics_of_stills):
    firsts = [moving_texture(motion, 8, 16, np.random.default_rng((2, seed)))[0] for seed in range(400)]
    statistics = _statistics(np.stack(firsts).astype(float))
    error = np.sqrt((statistics.var(axis=0) + statistics_of_stills.var(axis=0)) / 400)
    assert (np.abs(statistics.mean(axis=0) - statistics_of_stills.mean(axis=0)) < 4 * error).all()
    # Neither direction is finer than the other.
    assert abs(statistics[:, -1].mean()) < 4 * statistics[:, -1].std() / np.sqrt(400)


def test_pans_are_not_ambiguous_between_the_frames_of_a_clip():
    """Whatever frames are drawn, a pan covers at most half of the shortest wavelength from one to the next."""
    for num_frames in (16, 24, 40):
        indices = segment_frame_indices(num_frames, 8, num_clips=2000, random=True)
        # Indices are rounded, which can add one frame to a distance of a quarter of the video.
        times = (indices.diff(dim=1).max().item() - 1) / num_frames
        assert np.hypot(TRAVELS[1] * times, 2 * SWAYS[1] * np.sin(np.pi * times)) <= WAVELENGTHS[0] / 2


def test_a_folder_with_something_in_it_is_refused_and_left_as_it_was(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="not an empty folder. Remove it, or choose another folder"):
        make_motion_dataset(tmp_path, **SMALL)
    with pytest.raises(FileExistsError, match="notes.txt"):
        make_motion_dataset(tmp_path / "notes.txt", **SMALL)
    assert _files(tmp_path) == {"notes.txt": b"mine"}


def test_an_empty_folder_is_filled(tmp_path):
    assert make_motion_dataset(str(tmp_path), **SMALL) == str(tmp_path)
    assert len(_files(tmp_path)) == 12


@pytest.mark.parametrize("num_workers", [1, 2])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_run_leaves_nothing_behind(num_workers, error, tmp_path, monkeypatch):
    calls = []

    def fail_at_the_fifth(path, *arguments):
        calls.append(path)
        if len(calls) == 5:
            raise error("stop")
        Path(path).write_bytes(b"a video")
        time.sleep(0.01)

    monkeypatch.setattr(motion_dataset, "write_video", fail_at_the_fifth)
    with pytest.raises(error):
        make_motion_dataset(tmp_path / "d", **{**SMALL, "num_train": 200}, num_workers=num_workers)
    assert len(calls) < 200  # what has not begun is not begun any more
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"classes": ["pan left", "spin"]}, "no motion 'spin'; there are 'pan left', 'pan right'.*'rotate counter"),
        ({"classes": []}, "one or more different motions"),
        ({"classes": ["pan left", "pan left"]}, "one or more different motions"),
        ({"num_train": 3}, "`num_train` must be at least 4, got 3"),
        ({"num_validation": 0}, "`num_validation` must be at least 4, got 0"),
        ({"num_frames": 0}, "`num_frames` must be at least 1, got 0"),
        ({"size": 33}, "`size` must be even"),
        ({"size": 0}, "`size` must be at least 2, got 0"),
        ({"fps": 0}, "`fps` must be at least 1, got 0"),
        ({"num_workers": 0}, "`num_workers` must be at least 1, got 0"),
        ({"seed": -1}, "`seed` must be at least 0, got -1"),
    ],
)
def test_impossible_arguments_are_refused(arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        make_motion_dataset(tmp_path / "d", **{**SMALL, **arguments})
    assert list(tmp_path.iterdir()) == []


def test_an_impossible_texture_is_refused():
    with pytest.raises(ValueError, match="no motion 'pan'; there are 'pan left'"):
        moving_texture("pan", 8, 32, np.random.default_rng(0))
    with pytest.raises(ValueError, match="`num_frames` must be at least 1, got 0"):
        moving_texture("pan left", 0, 32, np.random.default_rng(0))


def test_classes_can_be_named_in_groups(tmp_path):
    for name, motions in {"pans": PANS, "all": MOTIONS}.items():
        folder = make_motion_dataset(tmp_path / name, classes=name, **{**SMALL, "num_validation": 8})
        assert {path.name for path in (tmp_path / name / "train").iterdir()} == set(motions)
        assert folder == str(tmp_path / name)


def test_the_command_writes_what_the_function_writes(dataset, tmp_path, capsys):
    options = [f"--{name}={value}" for name, value in SMALL.items()]
    main(["--output", str(tmp_path / "pans"), *options])
    assert _files(tmp_path / "pans") == _files(dataset)
    assert capsys.readouterr().out == f"8 training and 4 validation videos are in {tmp_path / 'pans'}\n"
    main(["--output", str(tmp_path / "two"), "--classes", "zoom in", "zoom out", *options])
    assert {path.name for path in (tmp_path / "two" / "train").iterdir()} == {"zoom in", "zoom out"}


def test_the_command_has_the_defaults_of_the_function():
    defaults = make_motion_dataset.__kwdefaults__
    settings = {name: value for name, value in vars(MotionSettings()).items() if name != "output"}
    assert settings | {"classes": PANS, "progress": False} == defaults


def test_the_command_says_what_is_wrong_without_a_traceback(dataset, tmp_path, capsys):
    with pytest.raises(SystemExit, match="is not an empty folder. Remove it, or choose another folder"):
        main(["--output", dataset])
    with pytest.raises(SystemExit) as error:
        main(["--output", str(tmp_path / "d"), "--classes", "spin"])
    assert error.value.code == 2
    message = capsys.readouterr().err
    assert "'spin'" in message and "'pan left'" in message
