# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Figures of an evaluation and of a training: confusion matrix, accuracy per class, loss and accuracy curves."""

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from transformers.utils import logging


try:
    from matplotlib import colormaps, font_manager
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure
    from matplotlib.ft2font import FT2Font
    from matplotlib.ticker import MaxNLocator, PercentFormatter
except ImportError as error:
    raise ImportError("Plots need matplotlib, which cannot be imported here. Run `pip install matplotlib`.") from error


logger = logging.get_logger(__name__)

# Okabe and Ito's colours, which stay apart for colour-blind readers and in print.
BLUE, SKY, VERMILION, GREEN = "#0072B2", "#56B4E9", "#D55E00", "#009E73"
INK, GREY, LIGHT_GREY = "#222222", "#767676", "#DDDDDD"

DPI = 200
# Up to this many classes all are named; beyond, names would be too small to read on a page.
MAX_NAMED_CLASSES = 60
# Up to this many classes a cell of the confusion matrix has room for its count.
MAX_COUNTED_CLASSES = 12
NUM_LISTED = 10


def _shorten(text: str, length: int) -> str:
    """
    Cuts words out of the middle: class names often differ only at their end ("from left to right", "from right to left").
    """
    if len(text) <= length:
        return text
    cut = length // 2
    head = text[:cut]
    if " " in head and text[cut] != " ":
        head = head[: head.rindex(" ")]
    head = head.rstrip()
    cut = len(text) - (length - len(head) - 3)
    tail = text[cut:]
    if " " in tail and text[cut - 1] != " ":
        tail = tail[tail.index(" ") + 1 :]
    return f"{head} … {tail.lstrip()}"


def _fonts_for(texts: Sequence[str]) -> tuple[list[str], set[str]]:
    """
    Font families that together draw the texts, and the characters that no installed font has. matplotlib's own font
    lacks Chinese, Japanese, Korean and more, so the installed fonts are searched where it does not suffice.
    """
    families = ["DejaVu Sans"]
    default = font_manager.findfont(font_manager.FontProperties(family=families))
    missing = {character for text in texts for character in text} - _characters_of(default)
    # Last Resort draws a symbol for the script instead of the character.
    installed = font_manager.fontManager.ttflist if missing else []
    candidates = {entry.name: entry.fname for entry in installed if not entry.name.startswith("Last Resort")}
    drawn_by = {name: missing & _characters_of(path) for name, path in candidates.items()}
    while missing:
        name = max(drawn_by, key=lambda name: len(drawn_by[name] & missing), default=None)
        if name is None or not drawn_by[name] & missing:
            break
        families.append(name)
        missing = missing - drawn_by[name]
    return families, missing


def _characters_of(path: str) -> set[str]:
    try:
        return {chr(code) for code in FT2Font(path).get_charmap()}
    except (OSError, RuntimeError):
        # A font file that cannot be opened draws nothing.
        return set()


class _Lettering:
    """Text properties for one figure, and names as they can be drawn in it."""

    def __init__(self, names: Sequence[str]):
        names = [" ".join(str(name).split()) for name in names]
        self.families, self.missing = _fonts_for(names)
        if self.missing:
            logger.warning(
                f"No installed font has the characters {''.join(sorted(self.missing))!r}; the plot shows '□' for them. "
                "Install a font that has them, such as Noto Sans CJK, and plot again."
            )

    def names(self, texts: Sequence[str], length: int) -> list[str]:
        """The names shortened to `length`; those that would then read the same are left longer."""
        full = []
        for text in texts:
            text = " ".join(str(text).split())
            full.append("".join("□" if character in self.missing else character for character in text))
        lengths = [length] * len(full)
        while True:
            names = [_shorten(text, length) for text, length in zip(full, lengths)]
            counts = Counter(names)
            alike = [i for i, name in enumerate(names) if counts[name] > 1 and lengths[i] < len(full[i])]
            if not alike:
                return names
            for i in alike:
                lengths[i] += 4

    def properties(self, size: float, **kwargs) -> dict:
        # A class name may hold dollar signs, which are no mathematics.
        return {"fontsize": size, "fontfamily": self.families, "color": INK, "parse_math": False, **kwargs}


def _new_figure(width: float, height: float, layout: str = "constrained") -> Figure:
    """A figure of its own, known to no global list of figures."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _tidy(axes: Axes, grid: str | None) -> None:
    """Light grid behind the data, no box, small ticks."""
    axes.set_axisbelow(True)
    if grid is not None:
        axes.grid(axis=grid, color=LIGHT_GREY, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(colors=GREY, labelcolor=INK, labelsize=8, labelfontfamily="DejaVu Sans", length=3, width=0.6)


def _save(figure: Figure, path: str | os.PathLike) -> None:
    """Writes the figure in the format of the path's suffix; the file appears complete or not at all."""
    path = Path(path)
    form = path.suffix.lstrip(".").lower()
    supported = figure.canvas.get_supported_filetypes()
    if form not in supported:
        raise ValueError(f"Cannot plot to {path}: the suffix has to be one of {sorted(supported)}.")
    aside = path.with_name(path.name + ".new")
    try:
        figure.savefig(aside, format=form, dpi=DPI, bbox_inches="tight", pad_inches=0.08)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def confusion_matrix_figure(matrix: np.ndarray, class_names: Sequence[str]) -> Figure:
    """
    Draws a confusion matrix, each row as shares of that class's videos. Up to 12 classes the cells hold their counts; up to
    60 all classes are named; beyond, the axes count classes and the most frequent confusions are listed by name.

    Args:
        matrix (`np.ndarray` of shape `(classes, classes)`):
            Counts, true classes in rows and predicted classes in columns. Rows without videos are drawn grey.
        class_names (`Sequence[str]`):
            The name of every class.

    Returns:
        `matplotlib.figure.Figure`: The figure.

    Raises:
        ValueError: If the matrix is not square, or the names are not as many as its rows.
    """
    matrix = np.asarray(matrix)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) == 0:
        raise ValueError(f"A confusion matrix is square, but this one has the shape {matrix.shape}.")
    num_classes = len(matrix)
    if len(class_names) != num_classes:
        raise ValueError(
            f"There are {len(class_names)} `class_names` for a confusion matrix of {num_classes} classes."
        )
    num_videos = matrix.sum(axis=1, keepdims=True)
    shares = np.ma.masked_array(matrix / np.maximum(num_videos, 1), np.broadcast_to(num_videos == 0, matrix.shape))
    lettering = _Lettering(class_names)
    named = num_classes <= MAX_NAMED_CLASSES
    counted = num_classes <= MAX_COUNTED_CLASSES

    if counted:
        side = max(2.4, 0.52 * num_classes)
    elif named:
        side = max(5.0, 0.17 * num_classes)
    else:
        # A whole number of pixels per cell, at least three: a single confusion stays visible.
        side = max(3, math.ceil(6.4 * DPI / num_classes)) * num_classes / DPI
    names = lettering.names(class_names, 32 if named else 44)
    margin = 0.6 + (0.075 * max(map(len, names)) if named else 0.0)
    width, height = margin + side + (1.2 if named else 6.2), margin + side + 0.3
    # Placed in inches, so that cells are square and of the size above whatever the length of the names.
    figure = _new_figure(width, height, layout="none")
    axes = figure.add_axes((margin / width, margin / height, side / width, side / height))
    if not named:
        panel = min(side, 8.0)
        where = ((margin + side + 1.6) / width, (margin + side - panel) / height, 4.4 / width, panel / height)
        _list_confusions(figure.add_axes(where), matrix, names, lettering)

    # With many classes most confusions are a few percent, which a linear scale would leave white.
    norm = PowerNorm(1.0 if counted else 0.5, vmin=0.0, vmax=1.0)
    colors = colormaps["Blues"].with_extremes(bad=LIGHT_GREY)
    image = axes.imshow(shares, cmap=colors, norm=norm, interpolation="nearest")
    _tidy(axes, grid=None)
    axes.spines[:].set_visible(True)
    axes.spines[:].set_color(GREY)
    if named:
        size = 9 if counted else 7
        ticks = np.arange(num_classes)
        fits = max(map(len, names)) * 0.075 * size / 9 < side / num_classes
        axes.set_xticks(ticks, names, **lettering.properties(size, rotation=0 if fits else 90))
        axes.set_yticks(ticks, names, **lettering.properties(size))
        axes.set_xlabel("predicted class", **lettering.properties(10))
        axes.set_ylabel("true class", **lettering.properties(10))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(9, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(9, integer=True))
        axes.set_xlabel("predicted class (index)", **lettering.properties(10))
        axes.set_ylabel("true class (index)", **lettering.properties(10))
    if counted:
        for row, column in np.argwhere(matrix):
            color = "white" if shares[row, column] > 0.55 else INK
            axes.text(
                column, row, str(matrix[row, column]), ha="center", va="center", **lettering.properties(9, color=color)
            )
    bar = figure.colorbar(
        image,
        cax=axes.inset_axes((1 + 0.12 / side, 0, 0.16 / side, 1)),
        format=PercentFormatter(1.0, decimals=0),
        ticks=[0, 0.25, 0.5, 0.75, 1] if counted else [0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1],
    )
    title = "share of the class's videos" + ("" if counted else ", square-root scale")
    bar.set_label(title, **lettering.properties(9))
    if (num_videos == 0).any():
        axes.set_title("grey: no videos of the class", loc="left", **lettering.properties(8, color=GREY))
    bar.outline.set_edgecolor(GREY)
    bar.ax.tick_params(colors=GREY, labelcolor=INK, labelsize=8, length=3, width=0.6)
    return figure


def _list_confusions(axes: Axes, matrix: np.ndarray, names: Sequence[str], lettering: _Lettering) -> None:
    """The confusions with the most videos, as bars under "true → predicted"."""
    wrong = matrix - np.diag(matrix.diagonal())
    num_videos = matrix.sum(axis=1)
    order = np.argsort(-wrong, axis=None, kind="stable")[:NUM_LISTED]
    listed = [divmod(int(index), len(matrix)) for index in order if wrong.flat[index] > 0]
    axes.set_title("most frequent confusions: true → predicted", loc="left", **lettering.properties(10))
    axes.set_xlim(0, 1)
    axes.set_ylim(NUM_LISTED, 0)
    axes.set_axis_off()
    if not listed:
        axes.text(0, 0.5, "none", **lettering.properties(9, color=GREY))
    for place, (true, predicted) in enumerate(listed):
        share = matrix[true, predicted] / num_videos[true]
        pair = f"{true} {names[true]}\n→ {predicted} {names[predicted]}"
        axes.text(0, place + 0.48, pair, va="bottom", linespacing=1.25, **lettering.properties(8))
        axes.barh(place + 0.64, 0.6, height=0.2, color="#F0F0F0")
        axes.barh(place + 0.64, 0.6 * share, height=0.2, color=VERMILION)
        counts = f"{matrix[true, predicted]} of {num_videos[true]} ({share:.0%})"
        axes.text(0.62, place + 0.64, counts, va="center", **lettering.properties(8, color=GREY))


def plot_confusion_matrix(matrix: np.ndarray, class_names: Sequence[str], path: str | os.PathLike) -> None:
    """Saves `confusion_matrix_figure` to `path`, in the format of its suffix (`.png`, `.pdf`, `.svg`, …)."""
    _save(confusion_matrix_figure(matrix, class_names), path)


def per_class_accuracy_figure(
    per_class: Mapping[str, float | None], num_videos: Mapping[str, int] | None = None
) -> Figure:
    """
    Draws the accuracy of every class, from the best to the worst. Beyond 60 classes they are one sorted curve, with the
    best and the worst classes named beside it.

    Args:
        per_class (`Mapping[str, float | None]`):
            From class name to accuracy in [0, 1]; `None` for a class without videos.
        num_videos (`Mapping[str, int]`, *optional*):
            From class name to its number of videos, written beside the accuracy.

    Returns:
        `matplotlib.figure.Figure`: The figure.

    Raises:
        ValueError: If there is no class.
    """
    if not per_class:
        raise ValueError("`per_class` is empty: there is no accuracy to plot.")
    lettering = _Lettering(list(per_class))
    known = {name: accuracy for name, accuracy in per_class.items() if accuracy is not None}
    # Of equal accuracies the one measured on more videos says more.
    ranked = sorted(known, key=lambda name: (-known[name], -num_videos[name] if num_videos is not None else 0))
    absent = [name for name in per_class if name not in known]
    mean = float(np.mean(list(known.values()))) if known else None

    if len(per_class) <= MAX_NAMED_CLASSES:
        names = ranked + absent
        figure = _new_figure(6.5, max(1.9, 0.9 + 0.19 * len(names)))
        axes = figure.add_subplot()
        _accuracy_bars(axes, names, per_class, num_videos, lettering, BLUE)
        if mean is not None:
            axes.axvline(mean, color=VERMILION, linewidth=1.2, linestyle=(0, (4, 2)))
            axes.set_title(f"mean over classes {mean:.1%}", loc="left", **lettering.properties(9, color=VERMILION))
        axes.set_xlabel("top-1 accuracy", **lettering.properties(10))
        return figure

    figure = _new_figure(11.0, 4.8)
    grid = figure.add_gridspec(2, 2, width_ratios=[1.0, 0.9])
    axes = figure.add_subplot(grid[:, 0])
    places = np.arange(len(ranked) + 1)
    values = np.array([known[name] for name in ranked])
    axes.stairs(values, places, fill=True, color=SKY, alpha=0.45)
    axes.stairs(values, places, color=BLUE, linewidth=1.2, baseline=None)
    if mean is not None:
        axes.axhline(mean, color=VERMILION, linewidth=1.2, linestyle=(0, (4, 2)))
        axes.set_title(f"mean over classes {mean:.1%}", loc="left", **lettering.properties(9, color=VERMILION))
    axes.set_xlim(0, max(len(ranked), 1))
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    _tidy(axes, grid="y")
    left_out = f"; {len(absent)} without videos left out" if absent else ""
    axes.set_xlabel(f"classes, from best to worst{left_out}", **lettering.properties(10))
    axes.set_ylabel("top-1 accuracy", **lettering.properties(10))
    for row, (title, names, color) in enumerate(
        [
            (f"best {NUM_LISTED} of {len(ranked)} classes", ranked[:NUM_LISTED], BLUE),
            (f"worst {NUM_LISTED} of {len(ranked)} classes", ranked[-NUM_LISTED:], VERMILION),
        ]
    ):
        axes = figure.add_subplot(grid[row, 1])
        _accuracy_bars(axes, names, per_class, num_videos, lettering, color)
        axes.set_title(title, loc="left", **lettering.properties(9))
    axes.set_xlabel("top-1 accuracy", **lettering.properties(10))
    return figure


def _accuracy_bars(
    axes: Axes,
    names: Sequence[str],
    per_class: Mapping[str, float | None],
    num_videos: Mapping[str, int] | None,
    lettering: _Lettering,
    color: str,
) -> None:
    """One named horizontal bar per class, the first on top."""
    places = np.arange(len(names))
    axes.barh(places, [per_class[name] or 0.0 for name in names], height=0.72, color=color)
    for place, name in enumerate(names):
        accuracy = per_class[name]
        text = "no videos" if accuracy is None else f"{accuracy:.0%}"
        if accuracy is not None and num_videos is not None:
            text += f" (n = {num_videos[name]})"
        axes.text(1.02, place, text, va="center", clip_on=False, **lettering.properties(7.5, color=GREY))
    axes.set_yticks(places, lettering.names(names, 40))
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    _tidy(axes, grid="x")
    for label in axes.get_yticklabels():
        label.set(**lettering.properties(8))
    axes.tick_params(axis="y", length=0)


def plot_per_class_accuracy(
    per_class: Mapping[str, float | None], path: str | os.PathLike, num_videos: Mapping[str, int] | None = None
) -> None:
    """Saves `per_class_accuracy_figure` to `path`, in the format of its suffix (`.png`, `.pdf`, `.svg`, …)."""
    _save(per_class_accuracy_figure(per_class, num_videos), path)


def training_curves_figure(history: Sequence[Mapping[str, float]]) -> Figure:
    """
    Draws the loss with the learning rate, and the accuracy of the evaluations.

    Args:
        history (`Sequence[Mapping[str, float]]`):
            What was logged, in any order: entries with `step`, mostly `epoch`, and any of `loss`, `learning_rate`,
            `eval_loss`, `eval_top1`, `eval_top5` (accuracies in [0, 1]). Where an entry has no `epoch`, the axis is in
            steps.

    Returns:
        `matplotlib.figure.Figure`: The figure; a panel without any data says so.
    """
    lettering = _Lettering([])
    unit = "epoch" if all("epoch" in entry for entry in history) else "step"
    figure = _new_figure(10.0, 3.8)
    losses, accuracies = figure.subplots(1, 2)

    _, rates = _curve(history, unit, "learning_rate")
    if len(rates):
        _draw_learning_rate(losses, history, unit, lettering)
    where, loss = _curve(history, unit, "loss")
    if len(loss) > 50:
        losses.plot(where, loss, color=SKY, linewidth=0.6, alpha=0.7)
        losses.plot(where, _running_mean(loss), color=BLUE, linewidth=1.6, label="training (running mean)")
    elif len(loss):
        losses.plot(where, loss, color=BLUE, linewidth=1.6, label="training")
    _draw_evaluations(losses, history, unit, {"eval_loss": ("evaluation", VERMILION, "o")})
    losses.set_ylabel("loss", **lettering.properties(10))
    losses.set_ylim(bottom=0)

    styles = {"eval_top1": ("top-1", BLUE, "o"), "eval_top5": ("top-5", GREEN, "s")}
    _draw_evaluations(accuracies, history, unit, styles)
    where, top1 = _curve(history, unit, "eval_top1")
    if len(top1):
        best = int(np.argmax(top1))
        accuracies.set_title(
            f"best top-1 {top1[best]:.1%} at {unit} {where[best]:g}", loc="left", **lettering.properties(9, color=BLUE)
        )
    accuracies.set_ylim(0, 1.02)
    accuracies.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    accuracies.set_ylabel("accuracy", **lettering.properties(10))

    places = [entry[unit] for entry in history if unit in entry]
    for axes, nothing in ((losses, "no loss logged yet"), (accuracies, "no evaluation yet")):
        _tidy(axes, grid="both")
        axes.set_xlabel(unit, **lettering.properties(10))
        axes.xaxis.set_major_locator(
            MaxNLocator(8, steps=[1, 2, 5, 10], integer=unit == "step" or max(places, default=0) > 2)
        )
        if places:
            axes.set_xlim(0, max(places) * 1.02 or 1)
        if axes.lines:
            axes.legend(fontsize=8, labelcolor=INK, edgecolor="none", framealpha=0.8)
        else:
            properties = lettering.properties(10, color=GREY, backgroundcolor="white")
            axes.text(0.5, 0.5, nothing, ha="center", va="center", transform=axes.transAxes, **properties)
    return figure


def _curve(history: Sequence[Mapping[str, float]], unit: str, key: str) -> tuple[np.ndarray, np.ndarray]:
    """The values of one key and where they were logged, sorted; entries without the key are passed over."""
    points = [(entry[unit], entry[key]) for entry in history if unit in entry and entry.get(key) is not None]
    points = np.array(sorted(points, key=lambda point: point[0]), dtype=float).reshape(-1, 2)
    points = points[np.isfinite(points[:, 1])]
    return points[:, 0], points[:, 1]


def _running_mean(values: np.ndarray) -> np.ndarray:
    """A centred mean over a twenty-fifth of the curve; at the ends over what there is of it."""
    width = max(3, len(values) // 25) | 1
    kernel = np.ones(width)
    return np.convolve(values, kernel, mode="same") / np.convolve(np.ones(len(values)), kernel, mode="same")


def _draw_evaluations(
    axes: Axes, history: Sequence[Mapping[str, float]], unit: str, styles: Mapping[str, tuple[str, str, str]]
) -> None:
    for key, (label, color, marker) in styles.items():
        where, values = _curve(history, unit, key)
        if len(values):
            axes.plot(where, values, color=color, linewidth=1.4, marker=marker, markersize=4, label=label)


def _draw_learning_rate(
    losses: Axes, history: Sequence[Mapping[str, float]], unit: str, lettering: _Lettering
) -> None:
    """The learning rate in grey behind the loss, on the right axis."""
    where, rates = _curve(history, unit, "learning_rate")
    axes = losses.twinx()
    axes.fill_between(where, rates, color=LIGHT_GREY, alpha=0.5, linewidth=0)
    axes.plot(where, rates, color="#AAAAAA", linewidth=1.0)
    axes.set_ylim(0, max(rates.max() * 1.05, 1e-12))
    axes.spines[["top", "left", "bottom"]].set_visible(False)
    axes.spines["right"].set_color(LIGHT_GREY)
    axes.tick_params(colors=GREY, labelsize=8, length=3, width=0.6)
    axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3), useMathText=True)
    axes.yaxis.get_offset_text().set(fontsize=8, color=GREY)
    axes.set_ylabel("learning rate", **lettering.properties(9, color=GREY))
    # The loss stays in front of the shaded learning rate.
    losses.set_zorder(axes.get_zorder() + 1)
    losses.patch.set_visible(False)


def plot_training_curves(history: Sequence[Mapping[str, float]], path: str | os.PathLike) -> None:
    """Saves `training_curves_figure` to `path`, in the format of its suffix (`.png`, `.pdf`, `.svg`, …)."""
    _save(training_curves_figure(history), path)
