# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""The options of datasets, scans and generated videos. Nothing here imports torch or datasets."""

from dataclasses import dataclass

from ..command_line import Settings, option


# How a dataset can be stored; "auto" finds out.
DATASET_FORMATS = ("auto", "folder", "csv", "json", "list", "ssv2", "hub", "disk")
# Datasets that are evaluated on three official splits, see `load_official_splits`.
OFFICIAL_SPLITS = ("ucf101", "hmdb51")
# Names of a validation split, preferred ones first.
VALIDATION_SPLITS = ("validation", "val", "valid", "test")
DECODERS = ("auto", "pyav", "decord", "torchcodec")
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


@dataclass
class ScanSettings(DatasetSettings):
    """The options of [`~modeling_dist.data.scan`]."""

    split: str | None = option(None, "split to scan; all of them by default")
    num_frames: int | None = option(None, "frames that the model takes", group="Scan", required=True, minimum=1)
    full: bool = option(False, "decode every frame instead of those that an evaluation takes")
    decoder: str = option("auto", "library that decodes videos", choices=DECODERS)
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
