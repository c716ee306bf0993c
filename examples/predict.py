# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""
Classifies a video, or all videos in a folder, into a table or JSON lines.

    python examples/predict.py --model my-dist --videos video.mp4
    python examples/predict.py --model org/dist-vitb16-k400 --videos folder/ --output predictions.csv --top_k 3
    python examples/predict.py --model my-dist --videos a.mp4 b.mkv https://example.org/c.mp4 --output predictions.jsonl

Into classes of your own, zero-shot, averaged with what CLIP says of the single frames:

    python examples/predict.py --model org/dist-vitb16-k400 --videos folder/ --candidate_labels "feeding ducks" "a goal at football"

Results are written as they come, to a file named .incomplete until it is whole. A video that cannot be read gets a line
with the reason instead of classes, and the others are classified all the same; the exit status is then 1.
"""

import argparse
import contextlib
import csv
import json
import os
import sys
from pathlib import Path


# To the end of the path with this folder: `import evaluate` means the library, not the script of that name beside this.
sys.path.sort(key=lambda path: Path(path).resolve() == Path(__file__).resolve().parent)

import torch
import transformers
from datasets import Dataset, Video
from tqdm.auto import tqdm
from transformers import AutoModelForVideoClassification, AutoVideoProcessor

from modeling_dist.command_line import HelpFormatter, exit_with_message
from modeling_dist.data.folders import find_videos
from modeling_dist.data.loading import EvaluationViews, collate_views, make_loader
from modeling_dist.data.samplers import EvaluationBatchSampler
from modeling_dist.evaluation.prediction import predict_views


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    parser.add_argument("--model", required=True, help="trained DiST: Hub id or folder")
    parser.add_argument("--revision", help="revision of the model")
    parser.add_argument("--videos", required=True, nargs="+", help="files, URLs, or folders with videos at any depth")
    parser.add_argument("--output", type=Path, help="a .csv or .jsonl file; by default a table on the screen")
    parser.add_argument("--top_k", type=int, default=5, help="classes for each video, the most probable first")
    parser.add_argument("--candidate_labels", nargs="+", help="classes in words, instead of the model's own")
    parser.add_argument(
        "--zero_shot_weight",
        type=float,
        default=0.5,
        help="with --candidate_labels, the share of CLIP's own frame logits",
    )
    parser.add_argument("--num_clips", type=int, default=3, help="clips of a video, whose probabilities are averaged")
    parser.add_argument("--num_crops", type=int, default=1, choices=(1, 3), help="crops of each clip")
    parser.add_argument("--batch_size", type=int, default=8, help="videos through the model together")
    parser.add_argument("--num_workers", type=int, default=2, help="processes that decode videos")
    parser.add_argument("--decoder", help="decord, torchcodec, pyav or auto; the processor's by default")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="where to compute")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"), help="precision")
    args = parser.parse_args()
    if args.output is not None and args.output.suffix not in (".csv", ".jsonl"):
        parser.error(f"--output must end in .csv or .jsonl, got {args.output}.")
    for name in ("top_k", "num_clips", "batch_size"):
        if getattr(args, name) < 1:
            parser.error(f"--{name} must be at least 1, got {getattr(args, name)}.")
    return args


def list_videos(given: list[str]) -> list[str]:
    """Folders as the videos in them; a file is taken whatever its name."""
    paths = [path for name in given for path in (find_videos(name) if os.path.isdir(name) else [name])]
    if not paths:
        raise ValueError(f"There are no videos in {', '.join(given)}.")
    return paths


class CSVTable:
    """A row for each video: label and score of the best classes, or the error."""

    def __init__(self, file, top_k: int):
        self.writer = csv.writer(file)
        self.num_cells = 2 * top_k
        self.writer.writerow(
            ["video", *(f"{name}_{rank}" for rank in range(1, top_k + 1) for name in ("label", "score")), "error"]
        )

    def write(self, record: dict):
        cells = [cell for item in record.get("predictions", []) for cell in (item["label"], f"{item['score']:.6f}")]
        padding = [""] * (self.num_cells - len(cells))
        self.writer.writerow([record["video"], *cells, *padding, record.get("error", "")])


class JSONLines:
    """An object for each video: `video`, and `predictions` or `error`."""

    def __init__(self, file):
        self.file = file

    def write(self, record: dict):
        self.file.write(json.dumps(record, ensure_ascii=False) + "\n")


class Screen:
    """A few lines for each video."""

    def write(self, record: dict):
        lines = [f"  {item['score']:7.2%}  {item['label']}" for item in record.get("predictions", [])]
        lines += [f"  {record['error']}"] if "error" in record else []
        tqdm.write("\n".join([record["video"], *lines]))


def main():
    args = parse_arguments()
    transformers.utils.logging.disable_progress_bar()
    with exit_with_message():
        paths = list_videos(args.videos)
        model = AutoModelForVideoClassification.from_pretrained(
            args.model, revision=args.revision, dtype=getattr(torch, args.dtype)
        )
        if args.candidate_labels is not None:
            model.set_class_names(args.candidate_labels, zero_shot_weight=args.zero_shot_weight)
        model.to(args.device)
        processor = AutoVideoProcessor.from_pretrained(args.model, revision=args.revision)
    if args.decoder is not None:
        processor.decoder = args.decoder
    top_k = min(args.top_k, model.config.num_labels)

    videos = Dataset.from_dict({"video": paths}).cast_column("video", Video(decode=False))
    views = EvaluationViews(videos, processor, args.num_clips, args.num_crops)
    loader = make_loader(views, EvaluationBatchSampler(len(paths), args.batch_size), collate_views, args.num_workers)
    num_failed = 0
    with contextlib.ExitStack() as stack:
        if args.output is None:
            output = Screen()
        else:
            # Under another name until it is complete.
            aside = args.output.with_name(f"{args.output.name}.incomplete")
            file = stack.enter_context(open(aside, "w", encoding="utf-8", newline=""))
            output = CSVTable(file, top_k) if args.output.suffix == ".csv" else JSONLines(file)
        progress = stack.enter_context(tqdm(total=len(paths), unit="video", disable=len(paths) == 1))
        for batch in loader:
            records = {index: {"video": paths[index], "error": error} for index, error in batch["unreadable"].items()}
            num_failed += len(records)
            for record in records.values():
                tqdm.write(record["error"], file=sys.stderr)
            if batch["indices"]:
                pixel_values = batch["pixel_values_videos"].to(args.device)
                best = predict_views(model, pixel_values, args.batch_size).topk(top_k)
                for index, scores, labels in zip(batch["indices"], best.values.tolist(), best.indices.tolist()):
                    names = [model.config.id2label[label] for label in labels]
                    predictions = [{"label": name, "score": score} for name, score in zip(names, scores)]
                    records[index] = {"video": paths[index], "predictions": predictions}
            for _, record in sorted(records.items()):
                output.write(record)
            progress.update(len(records))

    if args.output is not None:
        os.replace(aside, args.output)
    if args.output is not None or num_failed:
        print(f"{len(paths) - num_failed} videos classified, {num_failed} could not be read.", file=sys.stderr)
    return 1 if num_failed else 0


if __name__ == "__main__":
    sys.exit(main())
