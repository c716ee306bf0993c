# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""
What damaged and large videos cost: wrong frames, and memory.

    python benchmarks/robustness.py damage --files 1000 --output damage.json
    python benchmarks/robustness.py memory --output memory.json
    python benchmarks/robustness.py speed --videos FOLDER --before CHECKOUT --output speed.json

`damage` writes videos whose frames show their number, damages them in five ways, and reads the numbers that decoding returns: a file is
refused, right, or wrong without a word. `memory` measures the peak of a process that prepares one video, beyond what it occupied before.
`speed` prepares sound videos by turns with this version of the package and with the one in another checkout. Both take `--before`.
"""

import argparse
import collections
import functools
import itertools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import av
import numpy as np
import torch
from measuring import describe_run
from transformers.utils import logging

from modeling_dist import VideoDecodingError
from modeling_dist.video_decoding_dist import decode_video


NUM_FRAMES, HEIGHT, WIDTH, BLOCK = 60, 64, 96, 16
# Container, encoder and their options.
FORMATS = {
    "mp4": ("mp4", "libx264", {"g": "12", "bf": "2"}, {"movflags": "faststart"}),
    "fragmented mp4": ("mp4", "libx264", {"g": "12", "bf": "2"}, {"movflags": "frag_keyframe+empty_moov"}),
    "mkv": ("mkv", "libx264", {"g": "12", "bf": "2"}, {}),
    "webm": ("webm", "libvpx-vp9", {"g": "12", "deadline": "realtime", "cpu-used": "8"}, {}),
    "webm (VP8)": ("webm", "libvpx", {"g": "12", "deadline": "realtime", "cpu-used": "8"}, {}),
    "avi": ("avi", "mpeg4", {"g": "12"}, {}),
    "ts": ("ts", "libx264", {"g": "12", "bf": "2"}, {}),
}
KINDS = ("truncate", "zero", "flip", "insert", "delete")
OUTCOMES = ("refused", "right", "fewer frames", "shifted numbers", "repeated frames", "other pixels")


# ---- damage


def number_frames(seed: int) -> np.ndarray:
    """Return frames with their number in ten blocks, bright for 1, over a moving texture."""
    generator = np.random.default_rng(seed)
    texture = generator.integers(0, 60, (NUM_FRAMES, HEIGHT, WIDTH, 3), dtype=np.uint8)
    frames = np.cumsum(texture, axis=0, dtype=np.uint8) % 60
    for number in range(NUM_FRAMES):
        for bit in range(10):
            row, column = BLOCK * (bit // 5), BLOCK * (bit % 5)
            frames[number, row : row + BLOCK, column : column + BLOCK] = 25 + 200 * (number >> bit & 1)
    return frames


def read_numbers(frames: torch.Tensor) -> list[int]:
    """Return the numbers that frames show; -1 where a block is neither bright nor dark."""
    numbers = []
    for frame in frames.float().mean(dim=1):
        blocks = [
            frame[
                BLOCK * (bit // 5) + 4 : BLOCK * (bit // 5 + 1) - 4, BLOCK * (bit % 5) + 4 : BLOCK * (bit % 5 + 1) - 4
            ]
            for bit in range(10)
        ]
        means = [block.mean().item() for block in blocks]
        clear = all(mean < 80 or mean > 170 for mean in means)
        numbers.append(sum((mean > 125) << bit for bit, mean in enumerate(means)) if clear else -1)
    return numbers


@functools.cache
def sound_file(name: str, seed: int) -> bytes:
    suffix, codec, options, container_options = FORMATS[name]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"sound.{suffix}")
        with av.open(str(path), "w", options=container_options) as container:
            stream = container.add_stream(codec, rate=25, options=options)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            for frame in number_frames(seed):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
        return path.read_bytes()


def damage(content: bytes, kind: str, generator: np.random.Generator) -> bytes:
    place = int(generator.integers(len(content) // 20, len(content)))
    length = int(generator.integers(1, 400))
    if kind == "truncate":
        return content[:place]
    if kind == "zero":
        return content[:place] + bytes(min(length, len(content) - place)) + content[place + length :]
    if kind == "insert":
        return content[:place] + generator.bytes(length) + content[place:]
    if kind == "delete":
        return content[:place] + content[place + length :]
    flipped = bytearray(content)
    for position in generator.integers(place, min(place + length, len(content)), 8):
        flipped[position] ^= 1 << int(generator.integers(8))
    return bytes(flipped)


def judge(path: Path, decoder: str, damaged: str, choose_frames) -> str:
    try:
        decoded = decode_video(path, choose_frames, decoder, damaged=damaged)
    except VideoDecodingError:
        return "refused"
    numbers, expected = read_numbers(decoded.frames), decoded.frame_indices
    if decoded.total_num_frames < NUM_FRAMES:
        return "fewer frames"
    if numbers == expected:
        return "right"
    if -1 in numbers:
        return "other pixels"
    return "repeated frames" if len(set(numbers)) < len(numbers) else "shifted numbers"


def measure_damage(arguments: argparse.Namespace) -> list[dict]:
    choices = {
        "all frames": lambda total, fps: list(range(total)),
        "8 frames": lambda total, fps: [total * i // 8 for i in range(8)],
    }
    counts = collections.defaultdict(collections.Counter)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(arguments.files):
            name, kind = list(FORMATS)[number % len(FORMATS)], KINDS[number // len(FORMATS) % len(KINDS)]
            content = damage(sound_file(name, number % 3), kind, np.random.default_rng(number))
            path = Path(folder, f"{number}.{FORMATS[name][0]}")
            path.write_bytes(content)
            for decoder in arguments.decoders:
                for damaged in ("error", "ignore"):
                    for chosen, choose_frames in choices.items():
                        outcome = judge(path, decoder, damaged, choose_frames)
                        counts[name, kind, decoder, damaged, chosen][outcome] += 1
                        if arguments.keep and damaged == "error" and outcome not in ("refused", "right"):
                            arguments.keep.mkdir(exist_ok=True, parents=True)
                            (arguments.keep / f"{outcome.replace(' ', '-')}-{kind}-{number}{path.suffix}").write_bytes(
                                content
                            )
            path.unlink()
    keys = ("format", "kind", "decoder", "damaged", "chosen")
    return [dict(zip(keys, key)) | dict(counter) for key, counter in sorted(counts.items())]


def print_damage(rows: list[dict]):
    decoders = sorted({row["decoder"] for row in rows})
    for decoder, damaged, chosen in itertools.product(decoders, ("ignore", "error"), ("all frames", "8 frames")):
        print(f'\n{decoder}, damaged="{damaged}", {chosen}: refused + right + wrong = files')
        names = {"decoder": decoder, "damaged": damaged, "chosen": chosen}
        for name in FORMATS:
            cells = []
            for kind in KINDS:
                count = count_outcomes(rows, format=name, kind=kind, **names)
                wrong = count.total() - count["refused"] - count["right"]
                cells.append(f"{kind} {count['refused']:3}+{count['right']:3}+{wrong:3}")
            print(f"{name:15}", "  ".join(cells))
        for title, formats in (("all", FORMATS), ("all but VP8", [name for name in FORMATS if "VP8" not in name])):
            count = sum((count_outcomes(rows, format=name, **names) for name in formats), collections.Counter())
            decoded = count.total() - count["refused"]
            wrong = decoded - count["right"]
            kinds = ", ".join(f"{outcome} {count[outcome]}" for outcome in OUTCOMES[2:])
            print(
                f"{title:15} {count['refused']} refused, {decoded} decode, {wrong} of these wrong ({wrong / decoded:.1%}): {kinds}"
            )


def count_outcomes(rows: list[dict], **keys: str) -> collections.Counter:
    """Add up the rows that have these values."""
    chosen = [row for row in rows if all(row[key] == value for key, value in keys.items())]
    return collections.Counter({outcome: sum(row.get(outcome, 0) for row in chosen) for outcome in OUTCOMES})


# ---- memory and speed, in processes of their own


def write_moving_noise(path: Path, width: int, height: int, num_frames: int, codec: str = "libx264", **options: str):
    """Write a video of noise that moves."""
    generator = np.random.default_rng(0)
    texture = generator.integers(0, 256, (height // 8 + 33, width // 8 + 33), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    with av.open(str(path), "w") as container:
        options = {"g": "16"} | ({"preset": "ultrafast"} if codec == "libx264" else {}) | options
        stream = container.add_stream(codec, rate=30, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(num_frames):
            y, x = number % 256, 2 * number % 256
            frame = np.repeat(texture[y : y + height, x : x + width, None], 3, axis=2)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())


# Runs with the package of either version: prepares a video at every line of its input, and prints the seconds and the peak in bytes.
WORKER = """
import json, sys, time
import numpy as np, torch
from modeling_dist import DiSTVideoProcessor
torch.set_num_threads(1)
options, what = json.loads(sys.argv[1]), sys.argv[2]
processor = DiSTVideoProcessor(num_frames=options.pop("num_frames"))
warm = np.zeros((4, 64, 64, 3), np.uint8)
processor(warm, return_tensors="pt")
video = np.random.default_rng(0).integers(0, 256, json.loads(what), dtype=np.uint8) if what.startswith("[") else what

def status(name):
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith(name))

for line in sys.stdin:
    open("/proc/self/clear_refs", "w").write("5")
    occupied, start = status("VmRSS"), time.perf_counter()
    processor(video, return_tensors="pt", **options)
    print(json.dumps([time.perf_counter() - start, status("VmHWM") - occupied]), flush=True)
"""


class Worker:
    """A process that prepares a video again and again."""

    def __init__(self, checkout: Path, video: str, options: dict):
        # Python looks for modules in the working directory first.
        where = {"cwd": checkout, "env": os.environ | {"PYTHONPATH": str(checkout.resolve())}}
        command = [sys.executable, "-c", WORKER, json.dumps(options), video]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen(command, text=True, **where, **pipes)

    def prepare(self) -> tuple[float, int]:
        """Return seconds and bytes; raise an error if the process has ended."""
        print("go", file=self.process.stdin, flush=True)
        seconds, peak = json.loads(self.process.stdout.readline())
        return seconds, peak

    def close(self):
        self.process.stdin.close()
        self.process.wait()


THIS = Path(__file__).parents[1]
LARGE_VIDEOS = {"1080p": (1920, 1080, 192), "4K": (3840, 2160, 48), "8K": (7680, 4320, 16)}
MEMORY_CASES = (
    ("1080p", {"num_frames": 16}),
    ("1080p", {"num_frames": 64, "num_clips": 3}),
    ("4K", {"num_frames": 16}),
    ("4K", {"num_frames": 48}),
    ("8K", {"num_frames": 16}),
)


def measure_memory(arguments: argparse.Namespace) -> list[dict]:
    rows = []
    versions = {"this version": THIS} | ({"before": arguments.before} if arguments.before else {})
    with tempfile.TemporaryDirectory() as folder:
        for size, options in MEMORY_CASES:
            width, height, num_frames = LARGE_VIDEOS[size]
            path = Path(folder, f"{size}.mp4")
            if not path.exists():
                write_moving_noise(path, width, height, num_frames)
            frames = options["num_frames"] * options.get("num_clips", 1)
            array = json.dumps([min(frames, num_frames), height, width, 3])
            for form, video in (("file", str(path)), ("array", array)):
                row = {"size": size, **options, "form": form}
                for version, checkout in versions.items():
                    worker = Worker(checkout, video, options)
                    try:
                        row[version] = worker.prepare()[1]
                    except json.JSONDecodeError:  # killed
                        row[version] = None
                    worker.close()
                rows.append(row)
                print(row, flush=True)
    return rows


def print_memory(rows: list[dict]):
    versions = [name for name in ("this version", "before") if name in rows[0]]
    print("\nPeak beyond what the process occupied before, and beyond the array itself, in MB")
    print(f"{'size':8}{'frames x clips':16}{'form':8}" + "".join(f"{name:>14}" for name in versions))
    for row in rows:
        peaks = [f"{row[name] / 1e6:14.0f}" if row[name] is not None else f"{'killed':>14}" for name in versions]
        print(f"{row['size']:8}{row['num_frames']:>6} x {row.get('num_clips', 1):<7}{row['form']:8}" + "".join(peaks))


SPEED_CASES = (
    {"num_frames": 16},
    {"num_frames": 16, "num_clips": 3, "num_crops": 3},
    {"num_frames": 64, "num_clips": 3},
)
ARRAYS = ([64, 128, 170, 3], [64, 240, 320, 3], [64, 720, 1280, 3])
# 300 frames of 340 x 256, as Kinetics is often stored.
SOUND_VIDEOS = {
    "groups of 12.mp4": {"codec": "libx264", "g": "12", "preset": "veryfast"},
    "groups of 250.mp4": {"codec": "libx264", "g": "250", "preset": "veryfast"},
    "groups of 250.mkv": {"codec": "libx264", "g": "250", "preset": "veryfast"},
    "VP9.webm": {"codec": "libvpx-vp9", "g": "120", "deadline": "realtime", "cpu-used": "8", "b": "1M"},
    "MPEG-4.avi": {"codec": "mpeg4", "g": "12", "b": "1M"},
}


def measure_speed(arguments: argparse.Namespace) -> list[dict]:
    videos = [json.dumps(shape) for shape in ARRAYS]
    with tempfile.TemporaryDirectory() as folder:
        for name, options in SOUND_VIDEOS.items():
            write_moving_noise(Path(folder, name), 340, 256, 300, **options)
            videos.append(str(Path(folder, name)))
        videos += sorted(str(path.resolve()) for path in arguments.videos.iterdir()) if arguments.videos else []
        return compare_speed(videos, arguments.before, arguments.rounds)


def compare_speed(videos: list[str], before: Path, num_rounds: int) -> list[dict]:
    rows = []
    for video in videos:
        for options in SPEED_CASES:
            workers = [Worker(checkout, video, options) for checkout in (THIS, before)]
            try:
                # By turns, because other processes share the machine; the first round warms up.
                rounds = [[worker.prepare()[0] for worker in workers] for _ in range(num_rounds + 1)][1:]
            except (json.JSONDecodeError, BrokenPipeError):
                print(f"{video} cannot be read")
                break
            finally:
                for worker in workers:
                    worker.close()
            seconds = dict(zip(("seconds", "seconds_before"), np.median(rounds, axis=0)))
            ratio = float(np.median([now / then for now, then in rounds]))
            name = video if video.startswith("[") else Path(video).name
            rows.append({"video": name, **options, **seconds, "ratio": ratio})
            print(rows[-1], flush=True)
    return rows


def print_speed(rows: list[dict]):
    print(f"\n{'video':24}{'frames x clips x crops':>24}{'ms':>10}{'before':>10}{'ratio':>8}")
    for row in rows:
        views = f"{row['num_frames']} x {row.get('num_clips', 1)} x {row.get('num_crops', 1)}"
        times = f"{row['seconds'] * 1e3:10.1f}{row['seconds_before'] * 1e3:10.1f}{row['ratio']:8.2f}"
        print(f"{row['video']:24}{views:>24}{times}")


# ---- command


PARTS = {
    "damage": (measure_damage, print_damage),
    "memory": (measure_memory, print_memory),
    "speed": (measure_speed, print_speed),
}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=PARTS)
    parser.add_argument("--files", type=int, default=1000, help="number of damaged files")
    parser.add_argument("--decoders", nargs="+", default=["auto"], help="decoders to try on damaged files")
    parser.add_argument("--keep", type=Path, help="folder for files that decode to wrong frames without a word")
    parser.add_argument("--videos", type=Path, help="folder of sound videos, for speed")
    parser.add_argument("--before", type=Path, help="checkout of another version, for memory and speed")
    parser.add_argument("--rounds", type=int, default=9, help="number of measurements, for speed")
    parser.add_argument("--output", type=Path, help="JSON file for the figures")
    arguments = parser.parse_args()
    if arguments.what == "speed" and arguments.before is None:
        parser.error("speed needs --before")
    return arguments


def main():
    arguments = parse_arguments()
    logging.set_verbosity_error()
    run = describe_run(arguments, torch.device("cpu"))
    for name, value in run.items():
        print(f"{name}: {value}")
    measure, show = PARTS[arguments.what]
    rows = measure(arguments)
    show(rows)
    if arguments.output is not None:
        arguments.output.write_text(json.dumps({"run": run, "results": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
