# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Finds the videos of a dataset that cannot be read, and those with fewer frames than the model takes.

    python examples/scan.py --dataset my_videos --num_frames 16 --output problems.csv
    python examples/scan.py --dataset kinetics/train.txt --video_root /data/kinetics --num_frames 16 --num_workers 8 \\
        --output problems.csv
    python examples/scan.py --dataset owner/name --split train --num_frames 32 --full --output problems.csv

The dataset is a folder, a list, or a dataset of the Hub, as for training. Of every video the frames are decoded that an
evaluation takes, or with --full all of them. The result is a CSV file with the columns video, problem ("unreadable" or
"too short") and reason, which training and evaluation take as --exclude. A video that is too short can be used all the
same, its frames repeat: delete its line to keep it.
"""

import argparse
import csv
import os
from pathlib import Path

from modeling_dist.data.scanning import scan_videos
from modeling_dist.data.sources import load_videos


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True, help="a folder, a list (CSV, JSON, text), or a dataset of the Hub")
    parser.add_argument(
        "--dataset_format", default="auto", help="folder, csv, json, list, ssv2, hub or disk (default: %(default)s)"
    )
    parser.add_argument("--split", help="one split of the dataset (default: all of them)")
    parser.add_argument("--video_root", help="folder that relative paths start from (default: the list's)")
    parser.add_argument("--class_names", help="file of class names, where the labels are their indices")
    parser.add_argument("--video_column", help="column of the videos, where it is not called as usual")
    parser.add_argument("--label_column", help="column of the labels, where it is not called as usual")
    parser.add_argument("--dataset_config", help="configuration of a dataset of the Hub")
    parser.add_argument("--dataset_revision", help="revision of a dataset of the Hub")
    parser.add_argument("--num_frames", type=int, required=True, help="frames that the model takes")
    parser.add_argument("--full", action="store_true", help="decode every frame")
    parser.add_argument("--decoder", default="auto", help="decord, torchcodec, pyav or auto (default: %(default)s)")
    parser.add_argument("--num_workers", type=int, default=2, help="processes that decode (default: %(default)s)")
    parser.add_argument("--output", type=Path, required=True, help="the CSV file to write")
    args = parser.parse_args()

    try:
        dataset = load_videos(
            args.dataset,
            dataset_format=args.dataset_format,
            split=args.split,
            video_root=args.video_root,
            class_names=args.class_names,
            video_column=args.video_column,
            label_column=args.label_column,
            dataset_config=args.dataset_config,
            dataset_revision=args.dataset_revision,
        )
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(str(error)) from None
    problems = scan_videos(
        dataset, num_frames=args.num_frames, full=args.full, num_workers=args.num_workers, decoder=args.decoder
    )

    # Under another name until it is whole, so that a scan that is stopped leaves no list that looks finished.
    args.output.parent.mkdir(parents=True, exist_ok=True)
    unfinished = args.output.with_name(f".{args.output.name}.{os.getpid()}")
    with open(unfinished, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["video", "problem", "reason"])
        writer.writerows([problem.video, problem.problem, problem.reason] for problem in problems)
    os.replace(unfinished, args.output)

    num_unreadable = sum(problem.problem == "unreadable" for problem in problems)
    num_too_short = len(problems) - num_unreadable
    print(
        f"{len(dataset) - len(problems)} good, {num_unreadable} unreadable, {num_too_short} too short: {args.output}"
    )


if __name__ == "__main__":
    main()
