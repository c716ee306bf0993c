# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""
What DiST costs beside a bare CLIP, and beside its naive formulation: time, memory, FLOPs, parameters.

From the repository's folder, with the package installed (`pip install -e .`):

    python benchmarks/model.py --size tiny                                        # does it work, in seconds
    python benchmarks/model.py --size base --batch_size 1 4 --output base.json    # on the GPU where there is one
    python benchmarks/model.py --size base --device cpu --threads 8 --dtype float32 bfloat16 \
        --attn_implementation sdpa eager --rounds 5
    python benchmarks/model.py --size large --num_frames 64 --dtype bfloat16 \
        --attn_implementation sdpa flash_attention_2 --compile --skip reference reference_training

The contenders, with random weights in the precision asked for:

    bare                CLIPVisionModel on the same spatial frames, B * S images; inference. The yardstick of the others.
    dist                DiSTModel; inference
    dist_compiled       the same through torch.compile; with --compile
    dist_training       DiSTForVideoClassification, text head of 400 classes; forward with labels, and backward
    reference           ReferenceDiST, the naive formulation; inference
    reference_training  the same with a text head; forward and backward, CLIP under no_grad

**Time.** The contenders of all precisions and attention implementations take turns, A B C D A B C D …, after one round
that is not counted. The ratio to bare is the median of the rounds' ratios, so that a machine that drifts does not matter;
the speed-up of a 16-bit precision over float32 likewise. The naive formulation has one attention of its own, and is
compared with the first attention implementation's bare.

**Memory** is measured apart from the time: the contender's weights plus the most that is allocated at once during one
step on top of what was there before, gradients included, inputs not. On CUDA that is `torch.cuda.max_memory_allocated`
after a reset. On a CPU it is the highest sum of PyTorch's allocations and releases in the order in which the profiler
saw them: the bytes of live tensors, without the scratch space that oneDNN and MKL take for themselves.

**FLOPs** are those of one video's forward (a multiply-add counts two) as `torch.utils.flop_counter` knows them: matrix
products, convolutions and attention.
"""

import argparse
import copy
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from measuring import (
    NUM_LABELS,
    TIME_COLUMNS,
    TRAINING_BUDGET,
    compare_to_bare,
    describe_run,
    format_times,
    make_config,
    synchronize,
    yes_or_no,
)
from torch import nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPVisionModel

from modeling_dist import DiSTConfig, DiSTForVideoClassification
from modeling_dist.reference_dist import ReferenceDiST


# Of the real sizes: the tiny CLIP is no bigger than the branches beside it.
BUDGETS = {"dist": 1.20, "dist_training": TRAINING_BUDGET}  # times bare
CPU_BFLOAT16_BUDGET = 2.0  # times as fast as float32
FLOP_FLOOR = 1.16  # dist over bare at B/16 8+16f
OPTIONAL = ("dist", "dist_compiled", "dist_training", "reference", "reference_training")


@dataclass
class Inputs:
    """One batch, in each of the layouts that the contenders take."""

    pixel_values_videos: torch.Tensor  # (B, T, 3, H, W)
    spatial_frames: torch.Tensor  # (B * S, 3, H, W)
    videos: torch.Tensor  # (B, 3, T, H, W)
    labels: torch.Tensor  # (B,)


@dataclass
class Contender:
    """`module` is what it needs in memory, `forward` gives the loss if it is trained."""

    name: str
    dtype: str
    attn_implementation: str | None
    module: nn.Module
    forward: Callable[[Inputs], object]
    is_trained: bool = False


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Time, memory and FLOPs of DiST beside the bare CLIP and the naive formulation.",
        epilog="What the contenders are and how they are measured stands at the top of the file.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--size", choices=("tiny", "base", "large"), default="base", help="tiny CLIP, ViT-B/16 or ViT-L/14"
    )
    parser.add_argument("--num_frames", type=int, default=16, help="frames of a video; CLIP sees every second one")
    parser.add_argument("--batch_size", type=int, nargs="+", default=[1], help="videos in a batch, one or more sizes")
    parser.add_argument("--dtype", nargs="+", choices=("float32", "bfloat16", "float16"), default=["float32"])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cpu or cuda")
    parser.add_argument(
        "--attn_implementation",
        nargs="+",
        default=["sdpa"],
        help="sdpa, eager, flash_attention_2 (left out for float32, which it does not know); one or more",
    )
    parser.add_argument("--rounds", type=int, default=10, help="rounds that count")
    parser.add_argument("--threads", type=int, help="threads of PyTorch on the CPU; its own choice by default")
    parser.add_argument("--compile", action="store_true", help="measure torch.compile(DiSTModel) in inference as well")
    parser.add_argument("--skip", nargs="+", choices=OPTIONAL, default=[], help="contenders to leave out")
    parser.add_argument("--output", type=Path, help="JSON file for all figures")
    arguments = parser.parse_args()
    if arguments.rounds < 1 or min(arguments.batch_size) < 1:
        parser.error("--rounds and --batch_size must be at least 1")
    if "float32" in arguments.dtype and set(arguments.attn_implementation) == {"flash_attention_2"}:
        parser.error("flash_attention_2 does not know float32: give --dtype bfloat16 or float16, or sdpa as well")
    return arguments


def make_inputs(config: DiSTConfig, batch_size: int, dtype: torch.dtype, device: torch.device) -> Inputs:
    size = config.vision_config.image_size
    shape = (batch_size, config.num_frames, 3, size, size)
    pixel_values_videos = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device, dtype)
    return Inputs(
        pixel_values_videos=pixel_values_videos,
        spatial_frames=pixel_values_videos[:, :: config.spatial_frame_stride].flatten(0, 1).contiguous(),
        videos=pixel_values_videos.transpose(1, 2).contiguous(),
        labels=torch.arange(batch_size, device=device) % NUM_LABELS,
    )


def make_dist_contenders(
    arguments: argparse.Namespace, dtype: str, attn_implementation: str, device: torch.device
) -> list[Contender]:
    """A CLIP, and all that one DiST can take part as."""
    model = DiSTForVideoClassification(make_config(arguments.size, arguments.num_frames))
    clip = CLIPVisionModel(copy.deepcopy(model.config.vision_config))
    for each in (model, clip):
        each.to(device, getattr(torch, dtype)).eval()
        each.set_attn_implementation(attn_implementation)
    dist = model.dist
    kind = (dtype, attn_implementation)
    contenders = [
        Contender("bare", *kind, clip, lambda inputs: clip(inputs.spatial_frames)),
        Contender("dist", *kind, dist, lambda inputs: dist(inputs.pixel_values_videos)),
    ]
    if arguments.compile:
        compiled = torch.compile(dist, dynamic=False)
        contenders.append(Contender("dist_compiled", *kind, dist, lambda inputs: compiled(inputs.pixel_values_videos)))
    contenders.append(
        Contender(
            "dist_training",
            *kind,
            model,
            lambda inputs: model(inputs.pixel_values_videos, labels=inputs.labels).loss,
            is_trained=True,
        )
    )
    return [contender for contender in contenders if contender.name not in arguments.skip]


def make_reference_contenders(arguments: argparse.Namespace, dtype: str, device: torch.device) -> list[Contender]:
    if {"reference", "reference_training"} <= set(arguments.skip):
        return []
    config = make_config(arguments.size, arguments.num_frames)
    reference = ReferenceDiST(config).to(device, getattr(torch, dtype))
    class_embeds = nn.functional.normalize(torch.randn(NUM_LABELS, config.projection_dim, device=device), dim=-1)

    def embed(inputs: Inputs) -> torch.Tensor:
        return reference(inputs.videos, output_activations=False).video_embeds

    def loss(inputs: Inputs) -> torch.Tensor:
        video_embeds = nn.functional.normalize(embed(inputs).float(), dim=-1)
        return nn.functional.cross_entropy(100 * video_embeds @ class_embeds.T, inputs.labels)

    contenders = [
        Contender("reference", dtype, None, reference, embed),
        Contender("reference_training", dtype, None, reference, loss, is_trained=True),
    ]
    return [contender for contender in contenders if contender.name not in arguments.skip]


def make_contenders(arguments: argparse.Namespace, device: torch.device) -> list[Contender]:
    contenders = []
    for dtype in arguments.dtype:
        for attn_implementation in arguments.attn_implementation:
            if (dtype, attn_implementation) != ("float32", "flash_attention_2"):
                contenders += make_dist_contenders(arguments, dtype, attn_implementation, device)
        contenders += make_reference_contenders(arguments, dtype, device)
    return contenders


def run_step(contender: Contender, inputs: Inputs):
    with torch.set_grad_enabled(contender.is_trained):
        outputs = contender.forward(inputs)
        if contender.is_trained:
            outputs.backward()


def measure_seconds(contender: Contender, inputs: Inputs, device: torch.device) -> float:
    contender.module.train(contender.is_trained)
    synchronize(device)
    start = time.perf_counter()
    run_step(contender, inputs)
    synchronize(device)
    seconds = time.perf_counter() - start
    contender.module.zero_grad(set_to_none=True)
    return seconds


def measure_rounds(
    contenders: list[Contender], inputs: dict[str, Inputs], num_rounds: int, device: torch.device
) -> list[list[float]]:
    """The seconds of each contender in each round, the contenders taking turns."""
    rounds = []
    for _ in range(1 + num_rounds):
        rounds.append([measure_seconds(contender, inputs[contender.dtype], device) for contender in contenders])
    return [list(seconds) for seconds in zip(*rounds[1:])]


def measure_peak_bytes(contender: Contender, inputs: Inputs, device: torch.device) -> dict[str, int]:
    """The contender's weights, and the most that a step allocates on top of them."""
    contender.module.train(contender.is_trained)
    if device.type == "cuda":
        synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        run_step(contender, inputs)
        synchronize(device)
        step = torch.cuda.max_memory_allocated(device) - before
    else:
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
            run_step(contender, inputs)
        step = highest_live_bytes(profiler)
    contender.module.zero_grad(set_to_none=True)
    tensors = [*contender.module.parameters(), *contender.module.buffers()]
    weights = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    return {"weights": weights, "step": step, "peak": weights + step}


def highest_live_bytes(profiler: profile) -> int:
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text())["traceEvents"]
    live = highest = 0
    for event in sorted((event for event in events if event["name"] == "[memory]"), key=lambda event: event["ts"]):
        live += event["args"]["Bytes"]
        highest = max(highest, live)
    return highest


def count_flops(contenders: list[Contender], inputs: Inputs) -> dict[str, int]:
    """Of one forward of bare, dist and reference, in the first precision."""
    flops = {}
    for contender in contenders:
        if contender.name not in ("bare", "dist", "reference") or contender.name in flops:
            continue
        if contender.attn_implementation is not None:
            # What flash_attention_2 computes is not known to the counter.
            contender.module.set_attn_implementation("sdpa")
        # With gradients enabled: the counter's bookkeeping fails on expanded parameters under no_grad.
        with FlopCounterMode(display=False) as counter:
            contender.forward(inputs)
        flops[contender.name] = counter.get_total_flops()
        if contender.attn_implementation is not None:
            contender.module.set_attn_implementation(contender.attn_implementation)
    return flops


def count_parameters(contenders: list[Contender]) -> dict[str, dict[str, int]]:
    counts = {}
    for contender in contenders:
        if contender.name in ("dist", "dist_training"):
            counts.setdefault("dist", contender.module.count_parameters())
        elif contender.name.startswith("reference"):
            parameters = list(contender.module.parameters())
            tunable = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
            frozen = sum(parameter.numel() for parameter in parameters) - tunable
            counts.setdefault("reference", {"frozen": frozen, "tunable": tunable})
    return counts


def summarize(
    contenders: list[Contender],
    seconds: list[list[float]],
    peak_bytes: list[dict[str, int]],
    has_budget: bool,
) -> list[dict[str, object]]:
    bare = {}
    for contender, measured in zip(contenders, seconds):
        if contender.name == "bare":
            bare[contender.dtype, contender.attn_implementation] = measured
            bare.setdefault((contender.dtype, None), measured)
    results = []
    for contender, measured, peak in zip(contenders, seconds, peak_bytes):
        yardstick = bare[contender.dtype, contender.attn_implementation]
        budget = BUDGETS.get(contender.name) if has_budget else None
        results.append(
            {
                "contender": contender.name,
                "dtype": contender.dtype,
                "attn_implementation": contender.attn_implementation,
                **compare_to_bare(measured, yardstick, budget),
                "peak_bytes": peak,
                "seconds": measured,
            }
        )
    return results


def compare_precisions(results: list[dict[str, object]], has_budget: bool) -> list[dict[str, object]]:
    """How many times as fast as in float32 each contender is in the 16-bit precisions."""
    in_float32 = {
        (result["contender"], result["attn_implementation"]): result["seconds"]
        for result in results
        if result["dtype"] == "float32"
    }
    speedups = []
    for result in results:
        key = (result["contender"], result["attn_implementation"])
        if result["dtype"] == "float32" or key not in in_float32:
            continue
        speedup = statistics.median(slow / fast for slow, fast in zip(in_float32[key], result["seconds"]))
        budget = None
        if has_budget and result["dtype"] == "bfloat16" and result["contender"] in BUDGETS:
            budget = CPU_BFLOAT16_BUDGET
        speedups.append(
            {
                "contender": result["contender"],
                "dtype": result["dtype"],
                "attn_implementation": result["attn_implementation"],
                "speedup_over_float32": speedup,
                "budget": budget,
                "budget_met": None if budget is None else speedup >= budget,
            }
        )
    return speedups


def print_results(batch_size: int, results: list[dict[str, object]], speedups: list[dict[str, object]]):
    print(f"\nbatch of {batch_size}")
    print(
        f"{'contender':19s}{'dtype':9s} {'attention':18s}{TIME_COLUMNS}"
        f"{'weights MiB':>13s}{'step MiB':>10s}{'peak MiB':>10s}"
    )
    for result in results:
        weights, step, peak = (f"{result['peak_bytes'][key] / 2**20:.1f}" for key in ("weights", "step", "peak"))
        print(
            f"{result['contender']:19s}{result['dtype']:9s} {result['attn_implementation'] or '-':18s}"
            f"{format_times(result)}{weights:>13s}{step:>10s}{peak:>10s}"
        )
    for speedup in speedups:
        budget = ""
        if speedup["budget"] is not None:
            budget = f" (budget {speedup['budget']:.1f}, met: {yes_or_no(speedup['budget_met'])})"
        print(
            f"{speedup['contender']} {speedup['attn_implementation'] or ''}: {speedup['dtype']} is "
            f"{speedup['speedup_over_float32']:.2f} times as fast as float32{budget}"
        )


def print_counts(parameters: dict[str, dict[str, int]], flops: dict[str, int]):
    print()
    for name, counts in parameters.items():
        print(f"{name}: {counts['frozen'] / 1e6:.2f} M parameters frozen, {counts['tunable'] / 1e6:.2f} M tunable")
    for name, count in flops.items():
        floor = f" (floor at B/16 8+16f: {FLOP_FLOOR})" if name == "dist" else ""
        print(f"{name}: {count / 1e9:.2f} GFLOPs per video, {count / flops['bare']:.3f} x bare{floor}")


def main():
    arguments = parse_arguments()
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    device = torch.device(arguments.device)
    # The profiler reports every start and stop of its own otherwise.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    run = describe_run(arguments, device)
    for name, value in run.items():
        print(f"{name}: {value}")

    contenders = make_contenders(arguments, device)
    config = make_config(arguments.size, arguments.num_frames)
    parameters = count_parameters(contenders)
    one_video = make_inputs(config, 1, getattr(torch, contenders[0].dtype), device)
    flops = count_flops(contenders, one_video)
    print_counts(parameters, flops)

    has_budget = arguments.size != "tiny"
    has_bfloat16_budget = has_budget and device.type == "cpu" and bool(run["cpu"]["bfloat16_instructions"])
    cases = []
    for batch_size in arguments.batch_size:
        inputs = {
            dtype: make_inputs(config, batch_size, getattr(torch, dtype), device) for dtype in set(arguments.dtype)
        }
        seconds = measure_rounds(contenders, inputs, arguments.rounds, device)
        peak_bytes = [measure_peak_bytes(contender, inputs[contender.dtype], device) for contender in contenders]
        results = summarize(contenders, seconds, peak_bytes, has_budget)
        speedups = compare_precisions(results, has_bfloat16_budget)
        print_results(batch_size, results, speedups)
        cases.append({"batch_size": batch_size, "results": results, "speedups": speedups})

    if arguments.output is not None:
        model = {"size": arguments.size, "num_frames": arguments.num_frames, "device": arguments.device}
        record = {"run": run, "model": model, "parameters": parameters, "flops_per_video": flops, "cases": cases}
        arguments.output.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
