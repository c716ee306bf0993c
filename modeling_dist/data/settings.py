# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""The options of datasets, of reading videos, of scans and generated videos. Nothing here imports torch or datasets."""

import copy
from dataclasses import dataclass
from typing import Any

from ..command_line import Settings, option


# How a dataset can be stored; "auto" finds out.
DATASET_FORMATS = ("auto", "folder", "csv", "json", "list", "ssv2", "hub", "disk")
# Datasets that are evaluated on three official splits, see `load_official_splits`.
OFFICIAL_SPLITS = ("ucf101", "hmdb51")
# Names of splits, in any case, preferred ones first.
TRAIN_SPLITS = ("train", "training", "trn")
VALIDATION_SPLITS = ("validation", "val", "valid", "dev", "eval", "evaluation", "test", "testing", "tst")
# Names of the column of a list that says which split a video belongs to.
SPLIT_COLUMNS = ("split", "subset", "partition")
DECODERS = ("auto", "pyav", "decord", "torchcodec")
DAMAGED = ("error", "warn", "ignore")
MOTIONS = (
    *("pan left", "pan right", "pan up", "pan down"),
    *("zoom in", "zoom out", "rotate clockwise", "rotate counterclockwise"),
)
PANS = MOTIONS[:4]


@dataclass
class DatasetSettings(Settings):
    """
    Where videos and their labels come from. [`~modeling_dist.data.load_videos`] explains each field; commands that read a
    dataset inherit them as options.
    """

    dataset: str | None = option(
        None, "folder of class folders, list (CSV, JSON, text), or dataset of the Hub", group="Data", required=True
    )
    dataset_format: str = option("auto", "format of the dataset", choices=DATASET_FORMATS)
    dataset_config: str | None = option(None, "configuration of a dataset on the Hub")
    dataset_revision: str | None = option(None, "revision of a dataset on the Hub")
    video_root: str | None = option(None, "folder or URL of relative paths in a list; the list's folder by default")
    class_names: str | None = option(None, "k400, ssv2 or a file (JSON, text) with class names in the labels' order")
    video_column: str | None = option(None, "name of the column with the videos, if it is an unusual one")
    label_column: str | None = option(None, "name of the column with the labels, if it is an unusual one")
    exclude: str | None = option(None, "CSV file with videos to leave out, as `modeling-dist scan` writes it")
    allow_local_paths: bool = option(False, "let rows of a dataset on the Hub name files of this machine")


@dataclass
class ReadingSettings(Settings):
    """How videos are read. What is `None` is left to the processor. Commands that decode videos inherit these options."""

    decoder: str | None = option(
        None, "library that decodes videos; the processor's by default", group="Reading videos", choices=DECODERS
    )
    damaged: str | None = option(None, "what to do about damaged videos; by default warn, and count", choices=DAMAGED)
    max_video_seconds: float | None = option(None, "time for downloading or decoding one; by default 300", minimum=0.1)
    max_frame_pixels: int | None = option(None, "width times height of a frame; by default 2**26", minimum=1)
    max_download_bytes: int | None = option(None, "size of a download; by default 4 GiB", minimum=1)

    @property
    def limits(self) -> dict[str, float]:
        """The values of [`VideoLimits`] that are set."""
        values = self.select("max_video_seconds", "max_frame_pixels", "max_download_bytes").values()
        names = ("seconds", "frame_pixels", "download_bytes")
        return {name: value for name, value in zip(names, values) if value is not None}

    def configure(self, processor: Any) -> Any:
        """Return a copy of a video processor that reads as these settings say. The processor to be saved stays as it is."""
        reader = copy.copy(processor)
        for name in ("decoder", "damaged"):
            if getattr(self, name) is not None:
                setattr(reader, name, getattr(self, name))
        reader.limits = {**(processor.limits or {}), **self.limits} or None
        return reader


@dataclass
class ScanSettings(ReadingSettings, DatasetSettings):
    """The options of [`~modeling_dist.data.scan`]."""

    split: str | None = option(None, "split to scan; all of them by default", group="Scan")
    num_frames: int | None = option(None, "frames that the model takes", required=True, minimum=1)
    full: bool = option(False, "decode every frame instead of those that an evaluation takes")
    num_workers: int = option(2, "number of processes that decode videos", minimum=0)
    output: str | None = option(None, "CSV file to write the problems to", required=True)


@dataclass
class MotionSettings(Settings):
    """The options of [`~modeling_dist.data.make_motion_dataset`]."""

    output: str | None = option(None, "folder to write the videos to, new or empty", required=True)
    classes: list[str] = option(
        ["pans"],
        f"pans (the first four), all, or motions out of: {', '.join(map(repr, MOTIONS))}",
        choices=("pans", "all", *MOTIONS),
        metavar="NAME",
    )
    num_train: int = option(1200, "number of training videos, all classes together")
    num_validation: int = option(200, "number of validation videos, all classes together")
    num_frames: int = option(24, "number of frames of each video")
    size: int = option(64, "height and width of the videos in pixels, an even number")
    fps: int = option(12, "frames per second")
    seed: int = option(0, "random seed of the textures and speeds")
    num_workers: int | None = option(None, "number of threads; one per CPU core by default")
