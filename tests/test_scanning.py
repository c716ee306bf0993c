# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""A scan finds what training and evaluation would stumble over, and writes the list that leaves it out."""

import csv
import gc
import os
import shutil
import signal
import sys
from pathlib import Path

import datasets
import pytest
import torch

import modeling_dist.data.scanning
from modeling_dist.commands.scan import main
from modeling_dist.data.rows import video_name
from modeling_dist.data.scanning import VideoProblem, scan, scan_videos
from modeling_dist.data.settings import ScanSettings
from modeling_dist.data.sources import load_videos


@pytest.fixture(scope="module")
def messy(tmp_path_factory, video, short_video):
    folder = tmp_path_factory.mktemp("messy")
    for name in ("a/good 1.mp4", "b/good é.mp4"):
        (folder / name).parent.mkdir()
        shutil.copy(video, folder / name)
    (folder / "a" / "text.mp4").write_text("no video")
    shutil.copy(short_video, folder / "b" / "short.mp4")
    content = Path(video).read_bytes()
    (folder / "a" / "truncated.mp4").write_bytes(content[: len(content) * 2 // 3])
    (folder / "b" / "empty.mp4").write_bytes(b"")
    return folder


@pytest.mark.parametrize("num_workers, full", [(0, False), (2, False), (0, True)])
def test_scan_finds_what_is_wrong(messy, num_workers, full):
    dataset = load_videos(messy)
    problems = scan_videos(dataset, num_frames=8, num_workers=num_workers, full=full, progress=False)
    assert [(problem.index, os.path.relpath(problem.video, messy), problem.problem) for problem in problems] == [
        (1, "a/text.mp4", "unreadable"),
        (2, "a/truncated.mp4", "unreadable"),
        (3, "b/empty.mp4", "unreadable"),
        (5, "b/short.mp4", "too short"),
    ]
    assert "is empty (0 bytes)" in problems[2].reason and problems[3].reason == "3 frames, fewer than 8"
    assert all("\n" not in problem.reason for problem in problems)


def test_scan_decodes_what_an_evaluation_takes_or_everything(video, tmp_path, monkeypatch):
    taken = []
    decode = modeling_dist.data.scanning.decode_video

    def record(*args, **options):
        decoded = decode(*args, **options)
        taken.append(decoded.frame_indices)
        return decoded

    monkeypatch.setattr(modeling_dist.data.scanning, "decode_video", record)
    (tmp_path / "list.txt").write_text(f"{video} 0")
    dataset = load_videos(tmp_path / "list.txt")
    assert scan_videos(dataset, num_frames=4, progress=False) == []
    # Three clips take the thirds of four segments of ten frames.
    assert taken == [[3, 7, 10, 13, 17, 20, 23, 27, 30, 33, 37, 39]]
    assert scan_videos(dataset, num_frames=4, full=True, progress=False) == []
    assert taken[1:] == [list(range(40))]


@pytest.mark.skipif(sys.platform == "win32", reason="workers are forked")
@pytest.mark.parametrize("end", ["signal", "exit"])
def test_a_video_that_ends_the_worker_is_reported_and_the_rest_is_scanned(messy, monkeypatch, end):
    decode = modeling_dist.data.scanning.decode_video

    def crash(source, *args, **options):
        if "text" in source or "short" in source:
            os.kill(os.getpid(), signal.SIGKILL) if end == "signal" else os._exit(1)
        return decode(source, *args, **options)

    monkeypatch.setattr(modeling_dist.data.scanning, "decode_video", crash)
    problems = scan_videos(load_videos(messy), num_frames=8, num_workers=2, progress=False)
    assert [(problem.index, problem.problem) for problem in problems] == [(i, "unreadable") for i in (1, 2, 3, 5)]
    how = "SIGKILL" if end == "signal" else "exit code 1"
    expected = f"The video {messy / 'a' / 'text.mp4'} cannot be decoded: the decoder ended its process ({how})."
    assert problems[0].reason == expected
    assert ["ended its process" in problem.reason for problem in problems] == [True, False, False, True]


def test_scan_lists_damaged_videos_with_the_reason_unless_told_otherwise(damaged_video, tmp_path):
    (tmp_path / "list.txt").write_text(f"{damaged_video} 0")
    dataset, options = load_videos(tmp_path / "list.txt"), {"num_frames": 8, "progress": False}
    (problem,) = scan_videos(dataset, **options)
    assert problem.problem == "damaged" and "it is cut off" in problem.reason
    (problem,) = scan_videos(dataset, damaged="error", **options)
    assert problem.problem == "unreadable" and "it is cut off" in problem.reason
    assert scan_videos(dataset, damaged="ignore", **options) == []
    (problem,) = scan_videos(dataset, limits={"num_frames": 20}, damaged="ignore", **options)
    assert problem.problem == "unreadable" and "more than 20 frames" in problem.reason


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_mistake_of_the_scan_itself_is_not_a_videos_fault(messy, monkeypatch, num_workers):
    def fail(*args, **options):
        raise RuntimeError("a bug")

    monkeypatch.setattr(modeling_dist.data.scanning, "decode_video", fail)
    # How long the loader waits for its worker when it is thrown away.
    monkeypatch.setattr(torch.utils.data._utils, "MP_STATUS_CHECK_INTERVAL", 0.1)
    with pytest.raises(RuntimeError, match="a bug"):
        scan_videos(load_videos(messy).select([0]), num_frames=8, num_workers=num_workers, progress=False)
    gc.collect()


def test_scan_with_options_that_cannot_be(messy):
    with pytest.raises(ValueError, match='`decoder` must be "auto" or one of'):
        scan_videos(load_videos(messy), num_frames=8, progress=False, decoder="decrod")
    with pytest.raises(ValueError, match="`num_frames` must be at least 1, got 0"):
        scan_videos(load_videos(messy), num_frames=0)


def test_scan_reads_videos_that_have_only_bytes(tmp_path, video, short_video):
    features = datasets.Features({"video": datasets.Video(), "label": datasets.Value("string")})
    contents = [Path(video).read_bytes(), b"no video", Path(short_video).read_bytes()]
    datasets.Dataset.from_dict({"video": contents, "label": ["a"] * 3}, features=features).save_to_disk(tmp_path / "d")
    problems = scan_videos(load_videos(tmp_path / "d"), num_frames=8, progress=False)
    assert [(problem.video, problem.problem) for problem in problems] == [
        ("video 1", "unreadable"), ("video 2", "too short"),
    ]  # fmt: skip
    assert isinstance(problems[0], VideoProblem)


def test_scan_writes_the_list_that_exclude_takes(messy, tmp_path):
    output = tmp_path / "new" / "problems.csv"
    settings = ScanSettings(dataset=messy, num_frames=8, num_workers=1, output=output)
    assert scan(settings).describe() == "2 good, 3 unreadable, 0 damaged, 1 too short"
    assert [path.name for path in output.parent.iterdir()] == ["problems.csv"]
    with open(output, newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert [list(line) for line in lines] == [["video", "problem", "reason"]] * 4
    kept = [os.path.relpath(video_name(row["video"]), messy) for row in load_videos(messy, exclude=output)]
    assert kept == ["a/good 1.mp4", "b/good é.mp4"]


def test_command_prints_what_was_found_and_where_it_is_written(messy, tmp_path, capsys):
    output = tmp_path / "problems.csv"
    main(["--dataset", str(messy), "--num_frames", "8", "--num_workers", "0", "--output", str(output)])
    assert capsys.readouterr().out == f"2 good, 3 unreadable, 0 damaged, 1 too short: {output}\n"


@pytest.mark.parametrize("missing", ["dataset", "num_frames", "output"])
def test_scan_says_what_it_needs(missing):
    options = {"dataset": "videos", "num_frames": 8, "output": "problems.csv"}
    with pytest.raises(ValueError, match=f"--{missing} is required"):
        scan(ScanSettings(**options | {missing: None}))


def test_scan_of_what_is_no_dataset_leaves_no_list(tmp_path):
    options = {"dataset": str(tmp_path / "gone.csv"), "num_frames": 8, "output": str(tmp_path / "x.csv")}
    with pytest.raises(FileNotFoundError, match="There is no file or folder"):
        scan(ScanSettings(**options))
    with pytest.raises(SystemExit, match="There is no file or folder"):
        main([word for name, value in options.items() for word in (f"--{name}", str(value))])
    assert list(tmp_path.iterdir()) == []
