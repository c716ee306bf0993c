# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""What the benchmarks share: the sizes of the models, the comparison with the bare CLIP, and the description of the machine."""

import argparse
import datetime
import os
import platform
import shlex
import statistics
import sys
from pathlib import Path

import torch
import transformers
from transformers import CLIPVisionConfig

from modeling_dist import DiSTConfig
from modeling_dist.paper import VISION_SIZES


NUM_LABELS = 400
TRAINING_BUDGET = 1.60  # times bare
TIME_COLUMNS = f"{'median s':>10s}{'min s':>10s}{'max s':>10s}{'x bare':>8s}{'budget':>8s}{'met':>5s}"


def make_config(size: str, num_frames: int, num_labels: int = NUM_LABELS) -> DiSTConfig:
    if size == "tiny":
        vision_config = CLIPVisionConfig(
            hidden_size=64,
            intermediate_size=256,
            num_hidden_layers=3,
            num_attention_heads=2,
            image_size=32,
            patch_size=8,
            projection_dim=48,
        )
        sizes = {"integration_dim": 64, "temporal_dim": 16, "num_pooling_layers": 2, "projection_dim": 48}
    else:
        vision_config = CLIPVisionConfig(**VISION_SIZES[{"base": "b16", "large": "l14"}[size]])
        sizes = {"projection_dim": vision_config.projection_dim}
    return DiSTConfig(
        vision_config=vision_config, backbone=None, num_frames=num_frames, num_labels=num_labels, **sizes
    )


def synchronize(device: torch.device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def compare_to_bare(seconds: list[float], bare: list[float], budget: float | None) -> dict[str, object]:
    """Summarize a contender's rounds. The ratio is the median of the rounds' ratios."""
    ratio = statistics.median(own / other for own, other in zip(seconds, bare, strict=True))
    return {
        "seconds_median": statistics.median(seconds),
        "seconds_min": min(seconds),
        "seconds_max": max(seconds),
        "ratio_to_bare": ratio,
        "budget": budget,
        "budget_met": None if budget is None else ratio <= budget,
    }


def read_cpu() -> dict[str, object]:
    """Return the CPU's name and its instructions for bfloat16, as far as the system tells them."""
    fields = {}
    if os.path.exists("/proc/cpuinfo"):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            fields.setdefault(name.strip(), value.strip())
    flags = (fields.get("flags") or fields.get("Features") or "").split()
    return {
        "name": fields.get("model name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "bfloat16_instructions": [flag for flag in ("avx512_bf16", "amx_bf16", "bf16") if flag in flags],
    }


def describe_run(arguments: argparse.Namespace, device: torch.device) -> dict[str, object]:
    # Only the names of files and folders: machine-specific locations are omitted.
    words = sys.argv[1:]
    for path in (value for value in vars(arguments).values() if isinstance(value, Path)):
        words = [word.replace(str(path), path.name) for word in words]
    return {
        "command": shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *words]),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "cpu": read_cpu(),
        "load_average_before": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "cuda": torch.version.cuda if device.type == "cuda" else None,
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
    }


def yes_or_no(met: bool | None) -> str:
    return {None: "-", True: "yes", False: "NO"}[met]


def format_times(result: dict[str, object]) -> str:
    """Return a result of [`compare_to_bare`] as columns below `TIME_COLUMNS`."""
    budget = "-" if result["budget"] is None else f"{result['budget']:.2f}"
    return (
        f"{result['seconds_median']:10.5f}{result['seconds_min']:10.5f}{result['seconds_max']:10.5f}"
        f"{result['ratio_to_bare']:8.3f}{budget:>8s}{yes_or_no(result['budget_met']):>5s}"
    )
