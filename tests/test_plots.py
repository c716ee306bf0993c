import builtins
import importlib
import os
import sys
import tempfile

import numpy as np
import pytest
from PIL import Image


# Before matplotlib is imported: it keeps its list of fonts in the user's home otherwise.
os.environ.setdefault("MPLCONFIGDIR", tempfile.mkdtemp())

from modeling_dist.evaluation import plots
from modeling_dist.evaluation.plots import plot_confusion_matrix, plot_per_class_accuracy, plot_training_curves


NUM_CLASSES = [1, 2, 4, 30, 174, 400]
HISTORY = [
    {"step": 40, "epoch": 1.0, "eval_top1": 0.5, "eval_top5": 0.9, "eval_loss": 1.5},
    {"step": 20, "epoch": 0.5, "loss": 2.0, "learning_rate": 2e-3},
    {"step": 10, "epoch": 0.25, "loss": 2.3, "learning_rate": 1e-3},
    {"step": 80, "epoch": 2.0, "eval_top1": 0.7, "eval_top5": 0.8, "eval_loss": 1.25},
    {"step": 50, "epoch": 1.25, "loss": float("nan"), "learning_rate": 1e-3},
]


def names_of(num_classes):
    return [f"Клас {index}: moving $something_{index} from the left to the right" for index in range(num_classes)]


def counts_of(num_classes):
    """A confusion matrix with few confusions, and a class without videos where there are more than two."""
    generator = np.random.default_rng(num_classes)
    matrix = np.diag(generator.integers(5, 20, num_classes))
    matrix[generator.integers(0, num_classes, num_classes), generator.integers(0, num_classes, num_classes)] += 3
    if num_classes > 2:
        matrix[1] = 0
    return matrix


def accuracies_of(num_classes):
    accuracies = np.random.default_rng(num_classes).random(num_classes).tolist()
    if num_classes > 2:
        accuracies[1] = None
    return dict(zip(names_of(num_classes), accuracies))


def texts_of(figure):
    figure.draw_without_rendering()
    return [
        text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")) if text.get_visible()
    ]


def assert_no_overlap(labels):
    boxes = [label.get_window_extent() for label in labels]
    assert not any(one.overlaps(other) for one, other in zip(boxes, boxes[1:]))


def assert_is_a_picture(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        width, height = image.size
        colors = image.convert("RGB").getcolors(maxcolors=1 << 24)
    assert 400 <= width <= 4000 and 200 <= height <= 4000
    assert len(colors) > 20


@pytest.mark.parametrize("num_classes", NUM_CLASSES)
def test_confusion_matrix_is_drawn_as_shares_of_rows(num_classes, tmp_path):
    matrix, names = counts_of(num_classes), names_of(num_classes)
    image = plot_confusion_matrix(matrix, names).axes[0].images[0]
    drawn = image.get_array()
    for row in range(num_classes):
        if matrix[row].sum() == 0:
            assert drawn.mask[row].all()
        else:
            np.testing.assert_allclose(drawn[row].filled(-1), matrix[row] / matrix[row].sum())
    assert image.get_clim() == (0, 1)
    plot_confusion_matrix(matrix, names, tmp_path / "matrix.png")
    assert_is_a_picture(tmp_path / "matrix.png")


def test_few_classes_have_their_counts_in_the_cells():
    matrix = np.array([[31, 7, 0], [2, 53, 0], [0, 0, 0]])
    figure = plot_confusion_matrix(matrix, ["left", "größer", "нагоре"])
    texts = texts_of(figure)
    for text in ("31", "7", "2", "53", "left", "größer", "нагоре", "true class", "predicted class"):
        assert text in texts
    cells = {text.get_position(): text.get_text() for text in figure.axes[0].texts}
    assert cells == {(0, 0): "31", (1, 0): "7", (0, 1): "2", (1, 1): "53"}  # the column is x, the row y
    assert any("no videos" in text for text in texts)


@pytest.mark.parametrize("num_classes", [4, 12, 30, 60])
def test_all_of_a_few_classes_are_named_without_overlap(num_classes):
    figure = plot_confusion_matrix(counts_of(num_classes), names_of(num_classes))
    figure.draw_without_rendering()
    axes = figure.axes[0]
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [label.get_text().split(":")[0] for label in labels] == [f"Клас {i}" for i in range(num_classes)]
        assert_no_overlap(labels)


def test_many_classes_have_their_worst_confusions_listed():
    matrix = np.diag(np.full(100, 50))
    matrix[3, 7], matrix[9, 2], matrix[50, 51] = 25, 10, 1
    texts = texts_of(plot_confusion_matrix(matrix, [f"class {index}" for index in range(100)]))
    pairs = [text for text in texts if "→" in text and "class" in text]
    assert pairs == ["3 class 3\n→ 7 class 7", "9 class 9\n→ 2 class 2", "50 class 50\n→ 51 class 51"]
    assert "25 of 75 (33%)" in texts
    assert "class 4" not in texts


def test_perfect_predictions_list_no_confusion():
    assert "none" in texts_of(plot_confusion_matrix(np.diag(np.full(70, 3)), [str(index) for index in range(70)]))


@pytest.mark.parametrize(
    "matrix, names", [(np.zeros((2, 3)), ["a", "b"]), (np.zeros((2, 2)), ["a"]), (np.zeros((0, 0)), [])]
)
def test_confusion_matrix_that_does_not_fit_is_refused(matrix, names):
    with pytest.raises(ValueError, match="square|class_names"):
        plot_confusion_matrix(matrix, names)


@pytest.mark.parametrize("num_classes", NUM_CLASSES)
def test_per_class_accuracy_is_a_picture_for_any_number_of_classes(num_classes, tmp_path):
    per_class = accuracies_of(num_classes)
    plot_per_class_accuracy(per_class, tmp_path / "accuracy.png", num_videos=dict.fromkeys(per_class, 12))
    assert_is_a_picture(tmp_path / "accuracy.png")


def test_few_classes_are_ranked_bars():
    per_class = {"low": 0.25, "high": 1.0, "absent": None, "middle": 0.5}
    num_videos = {"low": 4, "high": 3, "absent": 0, "middle": 2}
    figure = plot_per_class_accuracy(per_class, num_videos=num_videos)
    texts, axes = texts_of(figure), figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["high", "middle", "low", "absent"]
    assert [bar.get_width() for bar in axes.patches] == [1.0, 0.5, 0.25, 0.0]
    assert axes.yaxis_inverted()
    assert {"100% (n = 3)", "50% (n = 2)", "25% (n = 4)", "no videos"} <= set(texts)
    assert f"mean over classes {(0.25 + 1 + 0.5) / 3:.1%}" in texts


def test_many_classes_are_a_sorted_curve_with_the_best_and_worst_named():
    per_class = {f"class {index}": (index * 37 % 100) / 100 for index in range(100)}
    per_class["absent"] = None
    figure = plot_per_class_accuracy(per_class)
    figure.draw_without_rendering()
    curve, best, worst = figure.axes
    np.testing.assert_allclose(curve.patches[0].get_data().values, np.arange(99, -1, -1) / 100)
    by_accuracy = sorted((name for name in per_class if name != "absent"), key=per_class.get, reverse=True)
    assert [label.get_text() for label in best.get_yticklabels()] == by_accuracy[:10]
    assert [label.get_text() for label in worst.get_yticklabels()] == by_accuracy[-10:]
    assert "1 without videos" in curve.get_xlabel()
    for axes in (best, worst):
        assert_no_overlap(axes.get_yticklabels())


@pytest.mark.parametrize("num_classes", [3, 100])
def test_accuracies_of_no_video_at_all_are_drawn(num_classes, tmp_path):
    plot_per_class_accuracy({str(index): None for index in range(num_classes)}, tmp_path / "accuracy.png")
    assert (tmp_path / "accuracy.png").is_file()


def test_no_class_is_refused():
    with pytest.raises(ValueError, match="empty"):
        plot_per_class_accuracy({})


def test_names_are_shortened_in_the_middle_and_stay_distinct():
    names = [
        "Pretending to push something from the left side to the right side",
        "Pretending to push something from the right side to the left side",
        "Pretending to pull something from the right side to the left side",
        "x" * 100,
        "short\n name",
    ]
    shown = [
        label.get_text() for label in plot_confusion_matrix(np.eye(5, dtype=int), names).axes[0].get_yticklabels()
    ]
    assert len(set(shown)) == 5
    assert all("…" in name and len(name) < 60 for name in shown[:4])
    assert shown[0].startswith("Pretending") and shown[0].endswith("the right side")
    assert shown[1].endswith("the left side")
    assert shown[4] == "short name"


def test_dollar_signs_are_no_mathematics():
    # A lone command would not parse as mathematics.
    figure = plot_confusion_matrix(np.eye(2, dtype=int), [r"$\frac$", "a$_$b"])
    figure.draw_without_rendering()
    assert {r"$\frac$", "a$_$b"} <= set(texts_of(figure))


def test_characters_without_a_font_are_boxes_and_said_so(log, monkeypatch):
    monkeypatch.setattr(plots.font_manager.fontManager, "ttflist", [])
    figure = plot_confusion_matrix(np.eye(2, dtype=int), ["手 up", "down"])
    assert "□ up" in texts_of(figure)
    assert "'手'" in log.text and "Install a font" in log.text


def test_another_installed_font_draws_what_the_first_lacks(log, monkeypatch):
    monkeypatch.setattr(plots, "_characters_of", lambda path: set("手") if path == "han.ttf" else set("a"))
    entry = plots.font_manager.FontEntry(fname="han.ttf", name="Han")
    monkeypatch.setattr(plots.font_manager.fontManager, "ttflist", [entry])
    assert plots._fonts_for(["手a"]) == (["DejaVu Sans", "Han"], set())


def lines_of(axes):
    return {line.get_label(): line.get_xydata().tolist() for line in axes.lines}


def test_training_curves_hold_what_was_logged(tmp_path):
    losses, accuracies, rates = plot_training_curves(HISTORY).axes
    assert lines_of(losses) == {"training": [[0.25, 2.3], [0.5, 2.0]], "evaluation": [[1.0, 1.5], [2.0, 1.25]]}
    assert lines_of(accuracies) == {"top-1": [[1.0, 0.5], [2.0, 0.7]], "top-5": [[1.0, 0.9], [2.0, 0.8]]}
    np.testing.assert_allclose(rates.lines[0].get_xydata(), [[0.25, 1e-3], [0.5, 2e-3], [1.25, 1e-3]])
    assert losses.get_xlabel() == accuracies.get_xlabel() == "epoch"
    assert accuracies.get_title(loc="left") == "best top-1 70.0% at epoch 2"
    plot_training_curves(HISTORY, tmp_path / "curves.png")
    assert_is_a_picture(tmp_path / "curves.png")


def test_long_curves_are_drawn_with_their_running_mean():
    history = [{"step": step, "loss": 2.0 + (-1) ** step} for step in range(1, 201)]
    losses = plot_training_curves(history).axes[0]
    raw, mean = losses.lines
    np.testing.assert_array_equal(raw.get_ydata(), [entry["loss"] for entry in history])
    assert np.abs(mean.get_ydata()[10:-10] - 2.0).max() < 0.2
    assert losses.get_xlabel() == "step"


@pytest.mark.parametrize(
    "history, said",
    [
        ([], {"no loss logged yet", "no evaluation yet", "no learning rate logged yet"}),
        (HISTORY[1:3], {"no evaluation yet"}),
        ([{"step": 3, "eval_top1": 0.5, "eval_top5": None}], {"no loss logged yet", "no learning rate logged yet"}),
        ([{"step": 0, "epoch": 0.0, "loss": 1.0, "learning_rate": 0.0}], {"no evaluation yet"}),
    ],
)
def test_missing_parts_of_a_history_are_said(history, said, tmp_path):
    texts = texts_of(plot_training_curves(history))
    assert {text for text in texts if text.startswith("no ")} == said
    plot_training_curves(history, tmp_path / "curves.png")
    assert_is_a_picture(tmp_path / "curves.png")


def test_suffix_chooses_the_format_and_nothing_else_is_left(tmp_path):
    plot_training_curves(HISTORY, tmp_path / "curves.pdf")
    assert (tmp_path / "curves.pdf").read_bytes().startswith(b"%PDF")
    with pytest.raises(ValueError, match="suffix.*png"):
        plot_training_curves(HISTORY, tmp_path / "curves.txt")
    assert os.listdir(tmp_path) == ["curves.pdf"]


def test_plots_touch_no_global_state(tmp_path):
    import matplotlib
    from matplotlib._pylab_helpers import Gcf

    before = dict(matplotlib.rcParams)
    plot_training_curves(HISTORY, tmp_path / "curves.png")
    assert dict(matplotlib.rcParams) == before
    # The figures that pyplot knows, which live until somebody closes them.
    assert Gcf.get_all_fig_managers() == []


def test_missing_matplotlib_is_said_with_what_to_do(monkeypatch):
    original = builtins.__import__

    def without_matplotlib(name, *args, **kwargs):
        if name.split(".")[0] == "matplotlib":
            raise ImportError("No module named 'matplotlib'")
        return original(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "modeling_dist.evaluation.plots")
    monkeypatch.setattr(builtins, "__import__", without_matplotlib)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        importlib.import_module("modeling_dist.evaluation.plots")
