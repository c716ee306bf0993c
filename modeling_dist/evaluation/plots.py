# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Plots of an evaluation and of a training run: confusion matrix, accuracy of each class, loss and accuracy curves."""

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from transformers.utils import logging

from ..files import atomic_file
from .metrics import as_class_names


try:
    import matplotlib
    from matplotlib import font_manager, style
    from matplotlib.axes import Axes
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure
    from matplotlib.ft2font import FT2Font
    from matplotlib.ticker import MaxNLocator
except ImportError as error:
    raise ImportError("Plots need matplotlib, which cannot be imported here. Run `pip install matplotlib`.") from error


logger = logging.get_logger(__name__)

# The colors of Okabe and Ito, which color-blind readers can tell apart, also in print.
BLUE, SKY, VERMILION, GREEN = "#0072B2", "#56B4E9", "#D55E00", "#009E73"
GRAY, LIGHT_GRAY = "#767676", "#DDDDDD"
DPI = 200
STYLE = {
    "figure.dpi": DPI,
    "font.size": 8,
    "text.parse_math": False,  # a class name may contain dollar signs
    "axes.axisbelow": True,
    "axes.edgecolor": GRAY,
    "axes.labelsize": 10,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "grid.color": LIGHT_GRAY,
    "legend.edgecolor": "none",
    **dict.fromkeys(("xtick.color", "ytick.color"), GRAY),
    **dict.fromkeys(("xtick.labelcolor", "ytick.labelcolor"), "black"),
}
# A decorator: the style is the same whatever the caller has set, and what the caller has set stays as it is.
_styled = style.context(["default", STYLE])

PERCENT = "{x:.0%}"
# Up to this many classes, all of them are named; with more, names would be too small to read on a page.
MAX_NAMED_CLASSES = 60
# Up to this many classes, the cells of the confusion matrix have room for counts.
MAX_COUNTED_CLASSES = 12
NUM_LISTED = 10


# ---- names


def _shorten(text: str, length: int) -> str:
    """Cut words out of the middle, because class names often differ only at their end ("… to the left", "… to the right")."""
    if len(text) <= length:
        return text
    head = text[: length // 2 + 1].rsplit(" ", 1)[0][: length // 2]
    room = length - len(head) - 3
    tail = text[-room - 1 :].split(" ", 1)[-1][-room:]
    return f"{head} … {tail}"


def _shorten_all(names: Sequence[str], length: int) -> list[str]:
    """Shorten names; those that would then read the same are left longer."""
    shortened = [_shorten(name, length) for name in names]
    counts = Counter(shortened)
    alike = [i for i, name in enumerate(names) if counts[shortened[i]] > 1 and len(name) > length]
    if alike:
        for i, name in zip(alike, _shorten_all([names[i] for i in alike], length + 4)):
            shortened[i] = name
    return shortened


def _characters_of(path: str) -> set[str]:
    try:
        return {chr(code) for code in FT2Font(path).get_charmap()}
    except (OSError, RuntimeError):
        return set()  # a font file that cannot be opened


def _fonts_for(texts: Sequence[str]) -> tuple[list[str], set[str]]:
    """Return font families that together draw the texts, and the characters that no installed font has."""
    families = ["DejaVu Sans"]  # comes with matplotlib, and has no Chinese, Japanese, Korean and more
    missing = set().union(*texts) - _characters_of(font_manager.findfont(families[0]))
    installed = font_manager.fontManager.ttflist if missing else []
    # Last Resort draws a symbol for the script instead of the character.
    paths = {entry.name: entry.fname for entry in installed if not entry.name.startswith("Last Resort")}
    drawn_by = {name: missing & _characters_of(path) for name, path in paths.items()}
    for name in sorted(drawn_by, key=lambda name: -len(drawn_by[name])):
        if drawn_by[name] & missing:
            families.append(name)
            missing = missing - drawn_by[name]
    return families, missing


def _use_fonts_for(names: Sequence[str]) -> list[str]:
    """Set fonts for the names, and return the names as they can be drawn, each on one line."""
    names = [" ".join(str(name).split()) for name in names]
    matplotlib.rcParams["font.family"], missing = _fonts_for(names)
    if missing:
        logger.warning(
            f"No installed font has the characters {''.join(sorted(missing))!r}; the plot shows '□' for them. Install a font "
            "that has them, such as Noto Sans CJK, and plot again."
        )
    boxes = str.maketrans(dict.fromkeys(missing, "□"))
    return [name.translate(boxes) for name in names]


def _running_mean(values: np.ndarray) -> np.ndarray:
    """Return a centered mean over a 25th of the curve; at its ends, over as much of that as there is."""
    kernel = np.ones(max(3, len(values) // 25) | 1)
    return np.convolve(values, kernel, mode="same") / np.convolve(np.ones(len(values)), kernel, mode="same")


# ---- figures: without pyplot, which would keep each of them until somebody closes it


def _save(figure: Figure, path: str | os.PathLike | None) -> Figure:
    if path is not None:
        path = Path(path)
        format = path.suffix.lstrip(".").lower()
        supported = figure.canvas.get_supported_filetypes()
        if format not in supported:
            raise ValueError(f"Cannot plot to {path}: the suffix has to be one of {sorted(supported)}.")
        with atomic_file(path) as temporary:
            figure.savefig(temporary, format=format, bbox_inches="tight", pad_inches=0.08)
    return figure


def _draw_bars(axes: Axes, bars: Sequence[tuple[str, float, str]], color: str):
    """Draw shares as horizontal bars, the first one at the top, with a name on the left and a note on the right of each."""
    names, shares, notes = zip(*bars) if bars else ((), (), ())
    axes.barh(range(len(bars)), shares, height=0.72, color=color)
    for place, note in enumerate(notes):
        axes.text(1.02, place, note, va="center", fontsize=7.5, color=GRAY)
    axes.set_yticks(range(len(bars)), names)
    axes.tick_params(axis="y", length=0)
    axes.set(xlim=(0, 1), ylim=(len(bars) - 0.4, -0.6))
    axes.xaxis.set_major_formatter(PERCENT)
    axes.grid(axis="x")


def _find_confusions(matrix: np.ndarray, names: Sequence[str]) -> list[tuple[str, float, str]]:
    """Return a bar for each of the confusions with the most videos."""
    wrong, num_videos = matrix - np.diag(matrix.diagonal()), matrix.sum(axis=1)
    order = np.argsort(-wrong, axis=None, kind="stable")[:NUM_LISTED]
    bars = []
    for true, predicted in zip(*np.unravel_index(order, matrix.shape)):
        count, total = wrong[true, predicted], num_videos[true]
        if count:
            name = f"{true} {names[true]}\n→ {predicted} {names[predicted]}"
            bars.append((name, count / total, f"{count} of {total} ({count / total:.0%})"))
    return bars or [("none", 0, "")]


@_styled
def plot_confusion_matrix(
    matrix: np.ndarray, class_names: Sequence[str], path: str | os.PathLike | None = None
) -> Figure:
    """
    Draw a confusion matrix of counts, true classes in rows, each row as shares of that class's videos. Up to 12
    classes, the cells hold counts; up to 60, all classes are named; with more, the axes show class indices, and the
    most frequent confusions are listed by name. Rows without videos are gray. With a `path`, the figure is written in
    the format of its suffix.
    """
    matrix = np.asarray(matrix)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) == 0:
        raise ValueError(f"A confusion matrix is square, but this one has the shape {matrix.shape}.")
    num_classes, num_videos = len(matrix), matrix.sum(axis=1, keepdims=True)
    shares = np.ma.masked_array(matrix / np.maximum(num_videos, 1), np.broadcast_to(num_videos == 0, matrix.shape))
    named, counted = num_classes <= MAX_NAMED_CLASSES, num_classes <= MAX_COUNTED_CLASSES
    names = _shorten_all(_use_fonts_for(as_class_names(class_names, num_classes)), 32 if named else 44)

    # In inches. Unnamed cells have a whole number of pixels, at least three, so that a single confusion is visible.
    cell = 0.52 if counted else 0.17 if named else max(3, math.ceil(6.4 * DPI / num_classes)) / DPI
    side = max(2.4 if counted else 5.0, cell * num_classes)
    # The cells fill the figure, so that their size does not depend on the names; the rest is outside.
    figure = Figure(figsize=(side, side))
    axes = figure.add_axes((0, 0, 1, 1))
    # With many classes, most confusions are a few percent, which a linear scale would leave white.
    norm = PowerNorm(1.0 if counted else 0.5, vmin=0.0, vmax=1.0)
    colors = matplotlib.colormaps["Blues"].with_extremes(bad=LIGHT_GRAY)
    image = axes.imshow(shares, cmap=colors, norm=norm, interpolation="nearest")
    axes.spines[:].set_visible(True)
    if named:
        size, ticks = 9 if counted else 7, range(num_classes)
        fits = max(map(len, names)) * 0.075 * size / 9 < side / num_classes
        axes.set_xticks(ticks, names, fontsize=size, rotation=0 if fits else 90)
        axes.set_yticks(ticks, names, fontsize=size)
    else:
        list_axes = figure.add_axes((1 + 4.6 / side, 1 - 6.0 / side, 2.4 / side, 6.0 / side))
        _draw_bars(list_axes, _find_confusions(matrix, names), VERMILION)
        list_axes.set(title="most frequent confusions: true → predicted", xlabel="share of the true class's videos")
    axes.set_xlabel("predicted class" if named else "predicted class (index)")
    axes.set_ylabel("true class" if named else "true class (index)")
    if counted:
        for row, column in np.argwhere(matrix):
            color = "white" if shares[row, column] > 0.55 else "black"
            axes.text(column, row, str(matrix[row, column]), ha="center", va="center", fontsize=9, color=color)
    if (num_videos == 0).any():
        axes.set_title("gray: no videos of the class", fontsize=8, color=GRAY)
    bar = figure.colorbar(image, cax=axes.inset_axes((1 + 0.12 / side, 0, 0.16 / side, 1)), format=PERCENT)
    bar.set_ticks([0, 0.25, 0.5, 0.75, 1] if counted else [0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1])
    bar.set_label("share of the class's videos" + ("" if counted else ", square-root scale"), fontsize=9)
    return _save(figure, path)


@_styled
def plot_per_class_accuracy(
    per_class: Mapping[str, float | None],
    path: str | os.PathLike | None = None,
    num_videos: Mapping[str, int] | None = None,
) -> Figure:
    """
    Draw the accuracy of every class, from the best to the worst, with its number of videos if given. With more than 60
    classes, it is a curve, with the best and the worst classes named beside it. A class without videos has the
    accuracy `None`.
    """
    if not per_class:
        raise ValueError("`per_class` is empty: there is no accuracy to plot.")
    num_videos = num_videos or {}
    shown = dict(zip(per_class, _shorten_all(_use_fonts_for(list(per_class)), 40)))

    def bar(name: str) -> tuple[str, float, str]:
        if per_class[name] is None:
            return shown[name], 0.0, "no videos"
        count = f" (n = {num_videos[name]})" if name in num_videos else ""
        return shown[name], per_class[name], f"{per_class[name]:.0%}{count}"

    # Of equal accuracies, the one over more videos is the more reliable.
    known = [name for name in per_class if per_class[name] is not None]
    known.sort(key=lambda name: (-per_class[name], -num_videos.get(name, 0)))
    absent = [name for name in per_class if per_class[name] is None]
    accuracies = [per_class[name] for name in known]
    if len(per_class) <= MAX_NAMED_CLASSES:
        figure = Figure(figsize=(6.5, max(1.9, 0.9 + 0.19 * len(per_class))), layout="constrained")
        axes = figure.add_subplot(xlabel="top-1 accuracy")
        _draw_bars(axes, [bar(name) for name in known + absent], BLUE)
        draw_mean = axes.axvline
    else:
        figure = Figure(figsize=(11.0, 4.8), layout="constrained")
        grid = figure.add_gridspec(2, 2, width_ratios=[1.0, 0.9])
        axes = figure.add_subplot(grid[:, 0], ylabel="top-1 accuracy")
        axes.stairs(accuracies, range(len(known) + 1), fill=True, color=SKY, alpha=0.45)
        axes.stairs(accuracies, range(len(known) + 1), color=BLUE, linewidth=1.2, baseline=None)
        axes.set(xlim=(0, max(len(known), 1)), ylim=(0, 1.02))
        axes.set_xlabel("classes, from best to worst" + f"; {len(absent)} without videos left out" * bool(absent))
        axes.yaxis.set_major_formatter(PERCENT)
        axes.grid(axis="y")
        draw_mean = axes.axhline
        best = figure.add_subplot(grid[0, 1], title=f"best {NUM_LISTED} of {len(known)} classes")
        _draw_bars(best, [bar(name) for name in known[:NUM_LISTED]], BLUE)
        worst = figure.add_subplot(grid[1, 1], title=f"worst {NUM_LISTED} of {len(known)} classes")
        _draw_bars(worst, [bar(name) for name in known[-NUM_LISTED:]], VERMILION)
        worst.set_xlabel("top-1 accuracy")
    if accuracies:
        mean = np.mean(accuracies)
        draw_mean(mean, color=VERMILION, linewidth=1.2, linestyle=(0, (4, 2)))
        axes.set_title(f"mean over classes {mean:.1%}", color=VERMILION)
    return _save(figure, path)


@_styled
def plot_training_curves(history: Sequence[Mapping[str, float]], path: str | os.PathLike | None = None) -> Figure:
    """
    Draw the losses, the accuracies and the learning rate of a training run. Records have `step`, mostly `epoch`, and
    any of `loss`, `learning_rate`, `eval_loss`, `eval_top1`, `eval_top5`. If a record has no `epoch`, the axis is in
    steps; a panel without any data says so.
    """
    unit = "epoch" if all("epoch" in record for record in history) else "step"
    end = max((record[unit] for record in history), default=0)
    figure = Figure(figsize=(13.0, 3.8), layout="constrained")
    all_axes = figure.subplots(1, 3)
    panels = {
        "loss": {"loss": ("training", BLUE, ""), "eval_loss": ("evaluation", VERMILION, "o")},
        "accuracy": {"eval_top1": ("top-1", BLUE, "o"), "eval_top5": ("top-5", GREEN, "s")},
        "learning rate": {"learning_rate": ("learning rate", GRAY, "")},
    }
    for axes, (quantity, curves) in zip(all_axes, panels.items()):
        for key, (label, color, marker) in curves.items():
            points = sorted((record[unit], record[key]) for record in history if record.get(key) is not None)
            where, values = np.array([point for point in points if math.isfinite(point[1])]).reshape(-1, 2).T
            if len(values) > 50 and key == "loss":
                axes.plot(where, values, color=SKY, linewidth=0.6, alpha=0.7)
                values, label = _running_mean(values), f"{label} (running mean)"
            if len(values):
                axes.plot(where, values, color=color, marker=marker, markersize=4, label=label)
            if len(values) and key == "eval_top1":
                best = np.argmax(values)
                axes.set_title(f"best top-1 {values[best]:.1%} at {unit} {where[best]:g}", color=BLUE)
        axes.set(xlabel=unit, ylabel=quantity, xlim=(0, end * 1.02 or 1))
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10], integer=unit == "step" or end > 2))
        axes.grid()
        if axes.lines:
            axes.legend()
        else:
            nothing = "no evaluation yet" if quantity == "accuracy" else f"no {quantity} logged yet"
            place = {"ha": "center", "va": "center", "transform": axes.transAxes, "backgroundcolor": "white"}
            axes.text(0.5, 0.5, nothing, fontsize=10, color=GRAY, **place)
    all_axes[1].set_ylim(0, 1.02)
    all_axes[1].yaxis.set_major_formatter(PERCENT)
    all_axes[2].ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
    return _save(figure, path)
