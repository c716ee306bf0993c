# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""
Evaluates a DiST as the paper does: three clips of every video, their probabilities averaged.

    accelerate launch examples/evaluate.py --model my-dist --dataset videos/
    accelerate launch --multi_gpu --num_processes 8 examples/evaluate.py --model org/dist-vitb16-ssv2 \\
        --dataset something-something-v2-validation.json --video_root 20bn-something-something-v2 --dtype bfloat16 \\
        --output_dir evaluation
    accelerate launch examples/evaluate.py --model my-dist --dataset videos/ --shuffle_frames  # what it knows without time

Zero-shot, on classes that the model was not trained on, averaged with what CLIP says of the single frames; UCF101 and HMDB51 by
their three official splits:

    accelerate launch examples/evaluate.py --model org/dist-vitb16-k400 --dataset videos/ --zero_shot
    accelerate launch examples/evaluate.py --model org/dist-vitb16-k400 --zero_shot --dataset_format ucf101 \\
        --dataset ucfTrainTestlist --video_root UCF-101 --output_dir ucf101

The dataset is a folder of classes (its validation/ or test/ where it has splits), a list, or a dataset of the Hub, as for
training. The output folder gets metrics.json (the figures, and the protocol that they were measured with), the prediction
of every video, and plots of the confusion matrix and of each class's accuracy.
"""

import argparse
import logging
import statistics
import sys
from pathlib import Path


# To the end of the path with this folder: `import evaluate` means the library, not the script of that name beside this.
sys.path.sort(key=lambda path: Path(path).resolve() == Path(__file__).resolve().parent)

import datasets
import torch
import transformers
from accelerate import Accelerator
from accelerate.logging import get_logger
from datasets import Dataset
from transformers import AutoModelForVideoClassification, AutoVideoProcessor

from modeling_dist.command_line import HelpFormatter, exit_with_message
from modeling_dist.data.official_splits import load_official_splits
from modeling_dist.data.rows import video_name
from modeling_dist.data.settings import OFFICIAL_SPLITS, VALIDATION_SPLITS
from modeling_dist.data.sources import load_videos
from modeling_dist.evaluation.prediction import (
    compute_metrics,
    compute_split_metrics,
    describe_protocol,
    predict_videos,
    write_report,
)


logger = get_logger(__name__)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    parser.add_argument("--model", required=True, help="trained DiST: Hub id or folder")
    parser.add_argument("--revision", help="revision of the model")
    parser.add_argument(
        "--dataset", required=True, help="a folder of classes, a list, or a dataset of the Hub or on disk"
    )
    parser.add_argument("--split", help="split of the dataset; the one for validation by default")
    parser.add_argument(
        "--dataset_format",
        default="auto",
        help="folder, csv, json, list, ssv2, hub or disk; or ucf101 or hmdb51, with the folder of its split files as --dataset",
    )
    parser.add_argument("--dataset_config", help="configuration of a dataset of the Hub")
    parser.add_argument("--dataset_revision", help="revision of a dataset of the Hub")
    parser.add_argument("--video_root", help="folder that the paths in a list start from")
    parser.add_argument("--video_column", help="column of the videos")
    parser.add_argument("--label_column", help="column of the labels")
    parser.add_argument(
        "--zero_shot", action="store_true", help="classify into the dataset's classes, not the model's"
    )
    parser.add_argument(
        "--zero_shot_weight", type=float, default=0.5, help="with --zero_shot, the share of CLIP's own frame logits"
    )
    parser.add_argument(
        "--prompt_templates",
        nargs="+",
        help="with --zero_shot, sentences with {} for the name; the name alone by default",
    )
    parser.add_argument("--text_model", help="with --zero_shot, CLIP's text encoder; the backbone's by default")
    parser.add_argument("--tokenizer", help="with --zero_shot, its tokenizer; the text encoder's by default")
    parser.add_argument("--class_names", help="with --zero_shot, file with names for the dataset's classes")
    parser.add_argument("--exclude", help="list of videos to leave out, as examples/scan.py writes it")
    parser.add_argument("--num_clips", type=int, default=3, help="clips of a video")
    parser.add_argument("--num_crops", type=int, default=1, choices=(1, 3), help="crops of each clip")
    parser.add_argument("--shuffle_frames", action="store_true", help="put the frames of each clip in a random order")
    parser.add_argument(
        "--skip_unreadable", action="store_true", help="leave out videos that cannot be read; count them"
    )
    parser.add_argument("--batch_size", type=int, default=8, help="videos decoded together, in each process")
    parser.add_argument("--view_batch_size", type=int, help="views through the model at once; batch_size by default")
    parser.add_argument("--num_workers", type=int, default=4, help="processes that decode, for each process")
    parser.add_argument("--decoder", help="decord, torchcodec, pyav or auto; the processor's by default")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"), help="precision")
    parser.add_argument("--attn_implementation", help="sdpa, eager, flash_attention_2")
    parser.add_argument("--torch_compile", action="store_true", help="compile the model with torch.compile")
    parser.add_argument("--cpu", action="store_true", help="evaluate on the CPU though there is a GPU")
    parser.add_argument(
        "--predictions_format", default="parquet", choices=("parquet", "csv"), help="of the predictions"
    )
    parser.add_argument(
        "--output_dir", type=Path, help="folder for the report; evaluation…/ in a model's folder by default"
    )
    args = parser.parse_args()
    for name in ("num_clips", "batch_size", "view_batch_size"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            parser.error(f"--{name} must be at least 1, got {getattr(args, name)}.")
    if args.dataset_format in OFFICIAL_SPLITS and (args.video_root is None or not args.zero_shot or args.exclude):
        parser.error(
            f"--dataset_format {args.dataset_format} needs --video_root and --zero_shot, and takes no --exclude."
        )
    if not args.zero_shot and (args.class_names or args.prompt_templates or args.text_model or args.tokenizer):
        parser.error(
            "--class_names, --prompt_templates, --text_model and --tokenizer go with --zero_shot: without it, the classes are "
            "the model's."
        )
    return args


def find_held_out(model: str, videos: Dataset) -> list[int]:
    """
    The rows that training has set aside for validation, where all of them are among these videos and others are as well;
    else all rows. The list of them lies beside the model that training has saved, or beside the folder of its best one.
    """
    rows = list(range(len(videos)))
    for folder in (Path(model), Path(model).resolve().parent):
        path = folder / "validation.csv"
        if path.is_file():
            held_out = {video_name(row["video"]) for row in load_videos(path)}
            found = [row for row in rows if video_name(videos[row]["video"]) in held_out]
            return found if len(found) == len(held_out) else rows
    return rows


def load_dataset(
    args: argparse.Namespace, class_names: list[str] | str | None
) -> tuple[Dataset, list[list[int]] | None]:
    """The videos, and the rows of each of the official splits where the dataset has such."""
    if args.dataset_format in OFFICIAL_SPLITS:
        return load_official_splits(args.dataset_format, args.dataset, args.video_root, class_names)
    videos = load_videos(
        args.dataset,
        dataset_format=args.dataset_format,
        split=args.split or VALIDATION_SPLITS,
        video_root=args.video_root,
        class_names=class_names,
        video_column=args.video_column,
        label_column=args.label_column,
        dataset_config=args.dataset_config,
        dataset_revision=args.dataset_revision,
        exclude=args.exclude,
    )
    if args.split is None:
        held_out = find_held_out(args.model, videos)
        if len(held_out) < len(videos):
            logger.warning(f"Evaluating on the {len(held_out)} of {len(videos)} videos that training has set aside.")
            videos = videos.select(held_out)
    return videos, None


def main():
    args = parse_arguments()
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    # Without `cpu`, several processes on a machine without a GPU would not know of each other.
    accelerator = Accelerator(cpu=args.cpu or not torch.accelerator.is_available())

    # Model
    options = {} if args.attn_implementation is None else {"attn_implementation": args.attn_implementation}
    with exit_with_message(), accelerator.main_process_first():
        model = AutoModelForVideoClassification.from_pretrained(
            args.model, revision=args.revision, dtype=getattr(torch, args.dtype), **options
        )
        processor = AutoVideoProcessor.from_pretrained(args.model, revision=args.revision)
    class_names = [model.config.id2label[label] for label in range(model.config.num_labels)]
    if args.decoder is not None:
        processor.decoder = args.decoder

    # Data, its labels in the model's order, or, zero-shot, the model's in the data's
    with exit_with_message(), accelerator.main_process_first():
        videos, splits = load_dataset(args, args.class_names if args.zero_shot else class_names)
        if args.zero_shot:
            class_names = videos.features["label"].names
            model.set_class_names(
                class_names,
                text_model=args.text_model,
                tokenizer=args.tokenizer,
                prompt_templates=args.prompt_templates,
                zero_shot_weight=args.zero_shot_weight,
            )

    # Evaluation
    model.to(accelerator.device)
    if args.torch_compile:
        model.compile()
    with exit_with_message():
        predictions = predict_videos(
            model,
            videos,
            processor,
            accelerator,
            num_clips=args.num_clips,
            num_crops=args.num_crops,
            batch_size=args.batch_size,
            view_batch_size=args.view_batch_size,
            num_workers=args.num_workers,
            skip_unreadable=args.skip_unreadable,
            shuffle_frames=args.shuffle_frames,
            progress=f"{len(videos)} videos",
        )
        metrics = compute_metrics(predictions, videos, class_names)
    metrics["protocol"] = describe_protocol(
        model,
        videos,
        args.num_clips,
        args.num_crops,
        args.dtype,
        metrics["num_unreadable"],
        dataset=args.dataset_format if splits else args.dataset,
        split=args.split,
        shuffled_frames=args.shuffle_frames,
        **(
            {"zero_shot_weight": args.zero_shot_weight, "prompt_templates": args.prompt_templates}
            if args.zero_shot
            else {}
        ),
    )
    if splits is not None:
        metrics["splits"] = [compute_split_metrics(predictions, videos, class_names, split) for split in splits]
        for name in ("top1", "top5", "mean_class_accuracy"):
            values = [split[name] for split in metrics["splits"]]
            metrics[name], metrics[f"{name}_std"] = statistics.mean(values), statistics.pstdev(values)

    # Report
    if accelerator.is_main_process:
        variant = "_zero_shot" * args.zero_shot + "_shuffled" * args.shuffle_frames
        parent = Path(args.model) if Path(args.model).is_dir() else Path()
        output_dir = args.output_dir or parent / f"evaluation{variant}"
        files = write_report(output_dir, predictions, videos, class_names, metrics, args.predictions_format)
        for name in ("top1", "top5", "mean_class_accuracy"):
            deviation = f" ± {metrics[f'{name}_std']:.2%} over the {len(splits)} splits" if splits else ""
            print(f"{name:20} {metrics[name]:7.2%}{deviation}")
        print(f"{'videos':20} {metrics['num_videos']:7,}")
        if metrics["num_unreadable"]:
            print(f"{'unreadable':20} {metrics['num_unreadable']:7,}")
        print(f"The report is in {output_dir}: {', '.join(file.name for file in files)}.")
    accelerator.end_training()


if __name__ == "__main__":
    main()
