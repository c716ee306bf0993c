# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""
Print what a bug report needs: versions, devices, and the decoders with the FFmpeg that each of them uses.

    modeling-dist env
"""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from ..command_line import ArgumentParser


PACKAGES = (
    *("modeling_dist", "transformers", "torch", "torchvision", "accelerate", "datasets", "huggingface_hub"),
    *("safetensors", "tokenizers", "evaluate", "numpy", "pillow", "av", "decord", "torchcodec", "flash-attn"),
)


def installed_version(package: str) -> str:
    """Return the version of an installed package, or that it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def describe_devices() -> Iterator[tuple[str, str]]:
    """Yield the processor and the accelerators that torch sees."""
    import torch

    yield "CPU cores, threads of torch", f"{os.cpu_count()}, {torch.get_num_threads()}"
    if not torch.accelerator.is_available():
        yield "accelerator", "none"
        return
    kind = torch.accelerator.current_accelerator().type
    yield "accelerator", f"{torch.accelerator.device_count()} × {kind}"
    if kind == "cuda":
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            yield f"GPU {index}", f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
        yield "CUDA, cuDNN", f"{torch.version.cuda}, {torch.backends.cudnn.version()}"


def describe_decoders() -> Iterator[tuple[str, str]]:
    """Yield the decoders that work here, in the order in which they are tried, and the libraries behind them."""
    from ..video_decoding_dist import DECODERS, available_decoders

    available = available_decoders()
    yield "decoders, preferred first", ", ".join(available) or "none"
    for name in DECODERS:
        if name in available:
            yield f"FFmpeg of {name}", ffmpeg_version(name)
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        yield "FFmpeg on the path", "none"
    else:
        finished = subprocess.run([ffmpeg, "-version"], capture_output=True, text=True)
        yield "FFmpeg on the path", (finished.stdout.splitlines() or ["does not run"])[0]


def ffmpeg_version(decoder: str) -> str:
    """Return the version of the FFmpeg that a decoder uses, or of its libavcodec where that is all there is to see."""
    if decoder == "pyav":
        import av

        return getattr(av, "ffmpeg_version_info", None) or f"libavcodec {av.library_versions['libavcodec']}"
    if decoder == "torchcodec":
        from torchcodec._core import get_ffmpeg_library_versions

        return str(get_ffmpeg_library_versions().get("ffmpeg_version"))
    spec = importlib.util.find_spec(decoder)
    libraries = Path(spec.origin).parent.with_name(f"{decoder}.libs").glob("libavcodec*")
    versions = [library.name.split(".so.")[-1] for library in libraries]
    return f"libavcodec {versions[0]}" if versions else "unknown"


def describe_environment() -> list[tuple[str, str]]:
    """Return all that is printed, by name."""
    rows = [("Python", f"{platform.python_version()} ({sys.executable})"), ("platform", platform.platform())]
    rows += [(package, installed_version(package)) for package in PACKAGES]
    return [*rows, *describe_devices(), *describe_decoders()]


def main(arguments: list[str] | None = None):
    """Print the environment as a table."""
    ArgumentParser(prog="modeling-dist env", description=__doc__).parse_args(arguments)
    rows = describe_environment()
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")
