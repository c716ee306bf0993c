import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np
import pytest

import modeling_dist
from modeling_dist.evaluation.metrics import classification_metrics, confusion_matrix, top_k_accuracy
from modeling_dist.evaluation.report import write_predictions
from modeling_dist.evaluation.topk_accuracy.topk_accuracy import TopKAccuracy


MODULE = Path(modeling_dist.__file__).parent / "evaluation" / "topk_accuracy"

# Five videos, three classes: right, second, third (a tie with a lower class before it), a tie won by the lower class, right.
SCORES = np.array([[0.7, 0.2, 0.1], [0.5, 0.4, 0.1], [0.4, 0.5, 0.4], [0.4, 0.4, 0.2], [0.1, 0.2, 0.7]])
LABELS = [0, 1, 2, 0, 2]
NAMES = ["links", "größer", 'up, "手"']


def naive_top_k(scores, labels, k):
    """Sorts the classes of every video by score, equal ones by index, and looks for the true one among the first k."""
    right = 0
    for row, label in zip(scores.tolist(), labels):
        ranking = sorted(range(len(row)), key=lambda index: (-row[index], index))
        right += label in ranking[:k]
    return right / len(labels)


def run_python(code, environment):
    """Runs code in a fresh process whose Hugging Face caches are where `environment` says."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "XDG_"))}
    inherited["PYTHONPATH"] = str(Path(modeling_dist.__file__).parents[1])
    inherited["HF_HUB_OFFLINE"] = "1"
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={**inherited, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def assert_runs(process):
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return output


@pytest.fixture
def metric(tmp_path):
    return TopKAccuracy(keep_in_memory=True, cache_dir=str(tmp_path))


def test_top_k_counts_by_hand():
    assert top_k_accuracy(SCORES, LABELS, k=[1, 2, 3]) == {"top1": 3 / 5, "top2": 4 / 5, "top3": 1.0}


@pytest.mark.parametrize("num_levels", [3, 1000])
@pytest.mark.parametrize("num_classes", [1, 2, 7])
def test_top_k_equals_a_naive_ranking(num_classes, num_levels):
    generator = np.random.default_rng(num_classes)
    scores = generator.integers(0, num_levels, (60, num_classes)) / num_levels  # with three levels, mostly ties
    labels = generator.integers(0, num_classes, 60)
    expected = {f"top{k}": naive_top_k(scores, labels, k) for k in (1, 2, 5)}
    assert top_k_accuracy(scores, labels, k=[1, 2, 5]) == pytest.approx(expected)


def test_a_constant_model_stays_at_chance():
    scores, labels = np.zeros((40, 8)), np.arange(40) % 8
    assert top_k_accuracy(scores, labels, k=[1, 4]) == {"top1": 1 / 8, "top4": 4 / 8}


def test_more_places_than_classes_is_always_right():
    assert top_k_accuracy(np.array([[0.9, 0.1]]), [1], k=[1, 2, 5]) == {"top1": 0.0, "top2": 1.0, "top5": 1.0}


def test_one_class_is_always_right():
    assert top_k_accuracy(np.array([[0.3], [-2.0]]), [0, 0], k=[1, 5]) == {"top1": 1.0, "top5": 1.0}


def test_infinite_scores_are_ranked():
    scores = np.array([[-np.inf, 0.0], [np.inf, 0.0]])
    assert top_k_accuracy(scores, [1, 0], k=[1]) == {"top1": 1.0}


def test_module_takes_one_k_and_batches(metric):
    for row, label in zip(SCORES, LABELS):
        metric.add_batch(predictions=[row], references=[label])
    assert metric.compute(k=2) == {"top2": 4 / 5}
    assert metric.compute(predictions=SCORES, references=LABELS) == {"top1": 3 / 5}


@pytest.mark.parametrize("k", [0, -1, [], [1, 0], 1.5, True])
def test_k_below_one_is_refused(metric, k):
    with pytest.raises(ValueError, match="`k` is"):
        metric.compute(predictions=SCORES, references=LABELS, k=k)


@pytest.mark.parametrize(
    "predictions, references, message",
    [
        ([[0.1, np.nan]], [0], "NaN"),
        ([[0.1, None]], [0], "NaN"),
        ([[0.1, 0.2], [0.1]], [0, 0], r"one score per class.*\[1, 2\]"),
        ([[0.1, 0.2]], [2], r"class 2.*\[0, 1\]"),
        ([[0.1, 0.2]], [-1], "class -1"),
        ([], [], "empty"),
    ],
)
def test_module_refuses_what_has_no_accuracy(metric, predictions, references, message):
    with pytest.raises(ValueError, match=message):
        metric.compute(predictions=predictions, references=references, k=1)


@pytest.mark.parametrize(
    "scores, labels, message",
    [
        (np.array([[0.1, np.nan]]), [0], "NaN"),
        (np.zeros(3), [0], "shape"),
        (np.zeros((2, 3)), [0], "1 `labels` for 2 videos"),
        (np.zeros((1, 3)), [3], r"\[0, 2\]"),
        (np.zeros((1, 3)), [0.0], "integers"),
        (np.zeros((0, 3)), [], "empty"),
    ],
)
def test_metrics_refuse_what_does_not_fit(scores, labels, message):
    with pytest.raises(ValueError, match=message):
        classification_metrics(scores, labels, [str(index) for index in range(scores.shape[-1])])


def test_classification_metrics_by_hand():
    metrics = classification_metrics(SCORES, LABELS, NAMES)
    assert metrics == {
        "num_videos": 5,
        "top1": 3 / 5,
        "top5": 1.0,
        "mean_class_accuracy": pytest.approx((1 + 0 + 1 / 2) / 3),
        "per_class_accuracy": dict(zip(NAMES, [1.0, 0.0, 0.5])),
        "num_videos_per_class": dict(zip(NAMES, [2, 1, 2])),
    }
    assert json.loads(json.dumps(metrics)) == metrics


def test_a_class_without_videos_is_left_out_of_the_mean():
    metrics = classification_metrics(SCORES[[0, 3, 4, 2]], [0, 0, 2, 2], NAMES)
    assert metrics["per_class_accuracy"]["größer"] is None
    assert metrics["num_videos_per_class"]["größer"] == 0
    assert metrics["mean_class_accuracy"] == (1.0 + 0.5) / 2


def test_repeated_class_names_are_refused():
    with pytest.raises(ValueError, match=r"distinct.*\['a'\]"):
        classification_metrics(SCORES, LABELS, ["a", "b", "a"])


def test_figures_agree_with_each_other_on_ties():
    generator = np.random.default_rng(0)
    scores, labels = generator.integers(0, 3, (200, 6)).astype(float), generator.integers(0, 6, 200)
    metrics = classification_metrics(scores, labels, list("abcdef"))
    matrix = confusion_matrix(scores.argmax(1), labels, 6)
    assert metrics["top1"] == matrix.trace() / 200
    weighted = sum(metrics["per_class_accuracy"][name] * metrics["num_videos_per_class"][name] for name in "abcdef")
    assert metrics["top1"] == pytest.approx(weighted / 200)


def test_confusion_matrix_equals_counting():
    generator = np.random.default_rng(0)
    predictions, labels = generator.integers(0, 5, 100), generator.integers(0, 4, 100)
    expected = np.zeros((5, 5), dtype=int)
    for prediction, label in zip(predictions, labels):
        expected[label, prediction] += 1
    matrix = confusion_matrix(predictions, labels, 5)
    np.testing.assert_array_equal(matrix, expected)
    assert np.issubdtype(matrix.dtype, np.integer)
    np.testing.assert_array_equal(confusion_matrix([], [], 2), np.zeros((2, 2), dtype=int))


@pytest.mark.parametrize("predictions, labels", [([0, 3], [0, 0]), ([0, 0], [0, 3]), ([0], [0, 0]), ([0, -1], [0, 0])])
def test_confusion_matrix_refuses_what_does_not_fit(predictions, labels):
    with pytest.raises(ValueError, match="predictions|labels"):
        confusion_matrix(predictions, labels, 3)


VIDEOS = ["a/1.mp4", "b,2.mp4", 'c "3".mp4', "ü.mp4", "e.mp4"]


def test_parquet_predictions_read_back(tmp_path):
    write_predictions(tmp_path / "p.parquet", VIDEOS, LABELS, SCORES, NAMES, top=2)
    rows = datasets.Dataset.from_parquet(str(tmp_path / "p.parquet"), cache_dir=str(tmp_path / "cache"))
    assert rows["video"][:] == VIDEOS
    assert rows["label"][:] == LABELS
    assert rows["label_name"][:] == [NAMES[label] for label in LABELS]
    assert rows["prediction"][:] == [0, 0, 1, 0, 2]
    assert rows["prediction_name"][:] == [NAMES[prediction] for prediction in [0, 0, 1, 0, 2]]
    assert rows["score"][:] == pytest.approx([0.7, 0.5, 0.5, 0.4, 0.7])
    assert rows["correct"][:] == [True, False, False, True, True]
    assert rows["top_labels"][:] == [[0, 1], [0, 1], [1, 0], [0, 1], [2, 1]]
    assert rows["top_label_names"][0] == NAMES[:2]
    assert rows["top_scores"][2] == pytest.approx([0.5, 0.4])


def test_csv_predictions_read_back(tmp_path):
    write_predictions(tmp_path / "p.csv", VIDEOS, LABELS, SCORES, NAMES)
    with open(tmp_path / "p.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["video"] for row in rows] == VIDEOS
    assert [int(row["label"]) for row in rows] == LABELS
    assert [row["label_name"] for row in rows] == [NAMES[label] for label in LABELS]
    assert [row["correct"] for row in rows] == ["True", "False", "False", "True", "True"]
    assert json.loads(rows[0]["top_scores"]) == [0.7, 0.2, 0.1]
    assert json.loads(rows[4]["top_labels"]) == [2, 1, 0]
    assert json.loads(rows[4]["top_label_names"]) == NAMES[::-1]
    assert "größer" in rows[4]["top_label_names"]


def test_tied_classes_are_listed_in_the_order_of_the_metric(tmp_path):
    scores = np.zeros((1, 40))
    scores[0, 20:] = 1.0
    write_predictions(tmp_path / "p.csv", ["v"], [20], scores, [str(index) for index in range(40)], top=30)
    with open(tmp_path / "p.csv", encoding="utf-8", newline="") as file:
        row = next(csv.DictReader(file))
    assert json.loads(row["top_labels"]) == [*range(20, 40), *range(10)]


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_predictions_without_labels_leave_three_columns_empty(tmp_path, suffix):
    path = tmp_path / f"p{suffix}"
    write_predictions(path, VIDEOS, None, SCORES, NAMES)
    read = datasets.Dataset.from_csv if suffix == ".csv" else datasets.Dataset.from_parquet
    rows = read(str(path), cache_dir=str(tmp_path / "cache"))
    for name in ("label", "label_name", "correct"):
        assert rows[name][:] == [None] * 5
    assert rows["prediction"][:] == [0, 0, 1, 0, 2]


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "p.csv"
    write_predictions(path, VIDEOS, LABELS, SCORES, NAMES)
    before = path.read_bytes()

    def fail(self, target, **kwargs):
        Path(target).write_text("half a fi")
        raise OSError("No space left on device")

    monkeypatch.setattr(datasets.Dataset, "to_csv", fail)
    with pytest.raises(OSError, match="No space"):
        write_predictions(path, VIDEOS[:1], LABELS[:1], SCORES[:1], NAMES)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["p.csv"]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"path": "p.xlsx"}, "parquet or a .csv"),
        ({"videos": VIDEOS[:2]}, "5 videos, but 2"),
        ({"labels": LABELS[:2]}, "2 `labels` for 5"),
        ({"class_names": NAMES[:2]}, "2 `class_names` for 3"),
        ({"top": 0}, "`top` is 0"),
    ],
)
def test_predictions_that_do_not_fit_are_not_written(tmp_path, changes, message):
    arguments = {
        "path": "p.csv",
        "videos": VIDEOS,
        "labels": LABELS,
        "scores": SCORES,
        "class_names": NAMES,
        **changes,
    }
    with pytest.raises(ValueError, match=message):
        write_predictions(**{**arguments, "path": tmp_path / arguments["path"]})
    assert os.listdir(tmp_path) == []


def test_module_loads_offline_in_several_processes_at_once(tmp_path):
    code = f"""if True:
        import evaluate
        metric = evaluate.load({str(MODULE)!r})
        print(metric.compute(predictions=[[0.1, 0.7, 0.2], [0.5, 0.2, 0.3]], references=[1, 2], k=[1, 2]))
    """
    processes = [run_python(code, {"HF_HOME": str(tmp_path / "home")}) for _ in range(2)]
    assert [assert_runs(process) for process in processes] == ["{'top1': 0.5, 'top2': 1.0}\n"] * 2


def test_metrics_need_no_writable_cache(tmp_path):
    (tmp_path / "file").touch()
    code = """if True:
        import numpy as np
        from modeling_dist.evaluation.metrics import classification_metrics
        from modeling_dist.evaluation.report import write_predictions
        print(classification_metrics(np.eye(3), [0, 1, 1], ["a", "b", "c"])["top1"])
        write_predictions("p.parquet", ["v"], [0], np.ones((1, 1)), ["a"])
    """
    code = f"import os; os.chdir({str(tmp_path)!r})\n" + code
    # No folder can be made below a file, whoever runs the test.
    assert float(assert_runs(run_python(code, {"HF_HOME": str(tmp_path / "file" / "home")}))) == pytest.approx(2 / 3)
    assert (tmp_path / "p.parquet").is_file()
