# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""
What damaged and large videos cost: wrong frames, and memory.

    python benchmarks/robustness.py damage --files 1000 --output damage.json
    python benchmarks/robustness.py memory --output memory.json
    python benchmarks/robustness.py speed --videos FOLDER --before CHECKOUT --output speed.json

`damage` writes videos whose frames show their number, damages them in five ways, and reads the numbers that decoding returns: a file is
refused, right, or wrong without a word. `memory` measures the peak of a process that prepares one video. `speed` decodes and prepares
sound videos by turns with this version of the package and with the one in another checkout.
"""

import argparse
import collections
import functools
import json
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
    "webm": ("webm", "libvpx", {"g": "12", "deadline": "realtime", "cpu-used": "8"}, {}),
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
    for chosen in ("all frames", "8 frames"):
        for damaged in ("ignore", "error"):
            print(f'\n{chosen}, damaged="{damaged}": refused + right + wrong = files; wrong of those that decode')
            totals = collections.Counter()
            for name in FORMATS:
                cells = []
                for kind in KINDS:
                    counter = collections.Counter()
                    for row in rows:
                        if (row["format"], row["kind"], row["damaged"], row["chosen"]) == (
                            name,
                            kind,
                            damaged,
                            chosen,
                        ):
                            counter.update({outcome: row.get(outcome, 0) for outcome in OUTCOMES})
                    totals.update(counter)
                    wrong = counter.total() - counter["refused"] - counter["right"]
                    cells.append(f"{kind} {counter['refused']:4}+{counter['right']:3}+{wrong:3}")
                print(f"{name:15}", "  ".join(cells))
            decoded = totals.total() - totals["refused"]
            wrong = decoded - totals["right"]
            kinds = ", ".join(f"{outcome} {totals[outcome]}" for outcome in OUTCOMES[2:])
            print(
                f"{'all':15} {totals['refused']} refused, {decoded} decode, {wrong} of them wrong ({wrong / max(decoded, 1):.1%}): {kinds}"
            )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("damage",))
    parser.add_argument("--files", type=int, default=1000, help="number of damaged files")
    parser.add_argument("--decoders", nargs="+", default=["auto"], help="decoders to try on damaged files")
    parser.add_argument("--keep", type=Path, help="folder for files that decode to wrong frames without a word")
    parser.add_argument("--output", type=Path, help="JSON file for the figures")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    logging.set_verbosity_error()
    run = describe_run(arguments, torch.device("cpu"))
    for name, value in run.items():
        print(f"{name}: {value}")
    rows = measure_damage(arguments)
    print_damage(rows)
    if arguments.output is not None:
        arguments.output.write_text(json.dumps({"run": run, "results": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
