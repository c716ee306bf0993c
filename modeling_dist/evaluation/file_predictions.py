# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""The most probable classes of video files, as a table, as JSON Lines, or as records."""

import contextlib
import csv
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

import torch
from tqdm.auto import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm
from transformers.utils import logging

from ..data.folders import find_videos
from ..data.loading import EvaluationViews, collate_views
from ..data.rows import make_path_dataset
from ..data.samplers import EvaluationBatchSampler
from ..data.workers import VideoLoader
from ..files import check_writable
from .prediction import load_model, predict_views
from .settings import PredictionSettings


logger = logging.get_logger(__name__)

# Takes a video's record: {"video": …, "predictions": [{"label": …, "score": …}, …]}, with "damage": … if there is any, or
# {"video": …, "error": …}.
Writer = Callable[[dict[str, Any]], Any]


def _list_videos(names: list[str]) -> list[str]:
    """Return files and URLs as they are, whatever their suffix, and the videos in folders."""
    paths = [path for name in names for path in (find_videos(name) if os.path.isdir(name) else [name])]
    if not paths:
        raise ValueError(f"There are no videos in {', '.join(names)}.")
    return paths


def _write_csv(file: TextIO, top_k: int) -> Writer:
    """Write the header of a CSV table, and return the function that writes a row."""
    writer = csv.writer(file)
    ranks = range(1, top_k + 1)
    writer.writerow(["video", *(f"{name}_{rank}" for rank in ranks for name in ("label", "score")), "error", "damage"])

    def write(record: dict[str, Any]):
        cells = [cell for item in record.get("predictions", []) for cell in (item["label"], f"{item['score']:.6f}")]
        cells += [""] * (2 * top_k - len(cells))
        writer.writerow([record["video"], *cells, record.get("error", ""), record.get("damage", "")])

    return write


def _write_json_lines(file: TextIO) -> Writer:
    return lambda record: file.write(json.dumps(record, ensure_ascii=False) + "\n")


@contextlib.contextmanager
def _open_output(path: str, top_k: int) -> Iterator[Writer]:
    """Give the function that writes a record to the file, which has another name until it is complete."""
    # Not `atomic_file`: what was classified before an interruption is kept.
    incomplete = Path(f"{path}.incomplete")
    with open(incomplete, "w", encoding="utf-8", newline="") as file:
        yield _write_csv(file, top_k) if path.endswith(".csv") else _write_json_lines(file)
    os.replace(incomplete, path)


def predict_files(settings: PredictionSettings, show: Writer | None = None) -> tuple[int, int]:
    """
    Classify video files, in their order, and return the numbers of classified and of unreadable videos.

    `show` is called with each video's record: a dictionary with `video`, and with either `predictions`, a list of
    dictionaries with `label` and `score`, and `damage` if the video is damaged, or the reason as `error` for a video that
    cannot be read.

    Raises:
        ValueError: If settings are not allowed, there is no video, or the classes do not fit the model.
        OSError: If the model or a folder cannot be read, or the results cannot be written.
    """
    settings.check()
    if settings.output is not None:
        check_writable(settings.output, is_folder=False)
    paths = _list_videos(settings.videos)
    model, processor = load_model(settings)
    if settings.candidate_labels is not None:
        model.set_class_names(settings.candidate_labels, zero_shot_weight=settings.zero_shot_weight)
    device = settings.device or ("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device)
    top_k = min(settings.top_k, model.config.num_labels)

    views = EvaluationViews(make_path_dataset(paths), processor, settings.num_clips, settings.num_crops)
    batches = EvaluationBatchSampler(len(paths), settings.batch_size)
    loader = VideoLoader(views, batches, collate_views, settings.num_workers)
    num_failed = 0
    with contextlib.ExitStack() as stack:
        writers = [] if show is None else [show]
        if settings.output is not None:
            writers.append(stack.enter_context(_open_output(settings.output, top_k)))
        stack.enter_context(logging_redirect_tqdm())
        progress = stack.enter_context(tqdm(total=len(paths), unit="video", disable=len(paths) == 1))
        for batch in loader:
            records = {index: {"video": paths[index], "error": error} for index, error in batch["unreadable"].items()}
            num_failed += len(records)
            if batch["indices"]:
                pixel_values = batch["pixel_values_videos"].to(device)
                best = predict_views(model, pixel_values, settings.batch_size).topk(top_k)
                for index, scores, labels in zip(batch["indices"], best.values.tolist(), best.indices.tolist()):
                    names = [model.config.id2label[label] for label in labels]
                    predictions = [{"label": name, "score": score} for name, score in zip(names, scores)]
                    records[index] = {"video": paths[index], "predictions": predictions}
                    if index in batch["damaged"]:
                        records[index]["damage"] = batch["damaged"][index]
            for _, record in sorted(records.items()):
                for write in writers:
                    write(record)
                if show is None and ("error" in record or "damage" in record):
                    logger.warning(record.get("error") or record["damage"])
            progress.update(len(records))
    return len(paths) - num_failed, num_failed
