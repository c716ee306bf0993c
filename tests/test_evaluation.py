import contextlib
import itertools
import json
import math
import os
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from PIL import Image
from torch.testing import assert_close

import modeling_dist.evaluation.prediction
from modeling_dist import DiSTForVideoClassification, DiSTVideoProcessor, VideoDecodingError
from modeling_dist.data.rows import hash_videos
from modeling_dist.data.sources import load_videos
from modeling_dist.evaluation.prediction import Predictions, predict_videos, predict_views
from modeling_dist.evaluation.report import compute_metrics, describe_protocol, write_metrics, write_report
from modeling_dist.testing import moving_square, tiny_config_kwargs, write_video


CLASS_NAMES = ["abseiling", "air drumming", "archery"]


@pytest.fixture(scope="module")
def model(tiny_clip):
    """A tiny DiST whose weights are large enough for its inputs to matter."""
    torch.manual_seed(0)
    model = DiSTForVideoClassification.from_backbone(
        tiny_clip, class_names=CLASS_NAMES, initializer_range=None, **tiny_config_kwargs()
    )
    # At CLIP's scale of 100, softmax would give one class everything, and hide how the views differ.
    model.classifier.logit_scale.fill_(2.0)
    return model.eval()


@pytest.fixture(scope="module")
def processor():
    return DiSTVideoProcessor(num_frames=8, size=32, crop_size=32)


@pytest.fixture(scope="module")
def accelerator():
    return Accelerator(cpu=True)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Five videos of three classes, a number that batches and processes do not divide."""
    folder = tmp_path_factory.mktemp("videos")
    for index, label in enumerate([0, 0, 1, 1, 2]):
        (folder / CLASS_NAMES[label]).mkdir(exist_ok=True)
        frames = moving_square(16 + 4 * index) * (0.5 + 0.1 * index)
        frames = frames[:, ::-1] if index % 2 else frames[:, :, ::-1]
        write_video(folder / CLASS_NAMES[label] / f"{index}.mp4", frames.astype(np.uint8))
    return load_videos(folder)


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory):
    """A video, an empty file, a video, a text file."""
    folder = tmp_path_factory.mktemp("spoiled")
    for name in CLASS_NAMES:
        (folder / name).mkdir()
    write_video(folder / "abseiling" / "0.mp4", moving_square(16))
    (folder / "abseiling" / "1.mp4").write_bytes(b"")
    write_video(folder / "air drumming" / "2.mp4", moving_square(16)[:, ::-1])
    (folder / "archery" / "3.mp4").write_text("This is no video.\n")
    return load_videos(folder)


@torch.no_grad()
def probabilities_of(model, processor, path: str, num_clips: int, num_crops: int) -> torch.Tensor:
    """View after view through the model, then the mean."""
    inputs = processor(path, num_clips=num_clips, num_crops=num_crops, return_tensors="pt")["pixel_values_videos"]
    views = inputs.view(-1, *inputs.shape[-4:])
    rows = [model(pixel_values_videos=view[None]).logits[0].double().softmax(dim=0) for view in views]
    return torch.stack(rows).mean(dim=0).float()


# ---- views


@pytest.mark.parametrize("view_batch_size", [1, 2, 3, 4, 6, 100])
def test_views_are_averaged_as_probabilities_whatever_goes_through_at_once(model, view_batch_size):
    views = torch.randn(2, 3, 8, 3, 32, 32)
    probabilities = predict_views(model, views, view_batch_size)
    with torch.no_grad():
        rows = [
            [model(pixel_values_videos=views[video, view][None]).logits[0].softmax(dim=0) for view in range(3)]
            for video in range(2)
        ]
        of_the_model = model(pixel_values_videos=views).logits.softmax(dim=-1)
    expected = torch.stack([torch.stack(row).mean(dim=0) for row in rows])
    assert (torch.stack(rows[0]) - expected[0]).abs().max() > 1e-3  # the views differ
    assert_close(probabilities, expected, atol=1e-5, rtol=1e-4)
    assert_close(probabilities, of_the_model, atol=1e-5, rtol=1e-4)
    assert probabilities.dtype == torch.float32 and not probabilities.requires_grad


def test_no_more_views_than_said_go_through_at_once():
    sizes = []

    def model(pixel_values_videos):
        sizes.append(len(pixel_values_videos))
        return SimpleNamespace(logits=pixel_values_videos.mean(dim=(1, 2, 3, 4))[:, None].expand(-1, 2))

    assert predict_views(model, torch.randn(3, 3, 2, 3, 4, 4), 4).shape == (3, 2)
    assert sizes == [4, 4, 1]


def test_probabilities_of_half_precision_logits_are_float32():
    def model(pixel_values_videos):
        return SimpleNamespace(
            logits=torch.tensor([[100.0, 99.0]], dtype=torch.bfloat16).expand(len(pixel_values_videos), 2)
        )

    probabilities = predict_views(model, torch.zeros(1, 3, 2, 3, 4, 4), 3)
    assert probabilities.dtype == torch.float32
    # In float32, and not in steps of 1/256.
    expected = 1 / (1 + math.exp(-(100.0 - torch.tensor(99.0, dtype=torch.bfloat16).item())))
    assert probabilities[0, 0].item() == pytest.approx(expected, rel=1e-6)


# ---- videos


@pytest.mark.parametrize(("num_clips", "num_crops"), [(1, 1), (3, 1), (2, 3)])
@pytest.mark.parametrize(("batch_size", "view_batch_size"), [(2, None), (8, 1)])
def test_every_video_is_classified_once_in_order(
    model, processor, accelerator, videos, num_clips, num_crops, batch_size, view_batch_size
):
    predictions = predict_videos(
        model, videos, processor, accelerator, num_clips, num_crops, batch_size, view_batch_size
    )
    assert predictions.indices == [0, 1, 2, 3, 4] and predictions.unreadable == {}
    assert predictions.probabilities.shape == (5, 3) and predictions.probabilities.dtype == np.float32
    for index, row in enumerate(predictions.probabilities):
        expected = probabilities_of(model, processor, videos[index]["video"]["path"], num_clips, num_crops)
        assert_close(torch.from_numpy(row), expected, atol=1e-5, rtol=1e-4)
    # Rows that got mixed up would show.
    distances = [np.abs(one - other).max() for one, other in itertools.combinations(predictions.probabilities, 2)]
    assert min(distances) > 1e-4


def test_three_clips_and_one_crop_are_the_default(model, processor, accelerator, videos):
    one = videos.select([2])
    expected = predict_videos(model, one, processor, accelerator, num_clips=3, num_crops=1).probabilities
    assert np.array_equal(predict_videos(model, one, processor, accelerator).probabilities, expected)


def test_workers_change_nothing(model, processor, accelerator, videos):
    expected = predict_videos(model, videos, processor, accelerator, num_clips=1, batch_size=2)
    found = predict_videos(model, videos, processor, accelerator, num_clips=1, batch_size=2, num_workers=1)
    assert found.indices == expected.indices
    assert np.array_equal(found.probabilities, expected.probabilities)


def processes(count: int, index: int, kind: str = "NO") -> SimpleNamespace:
    """What `predict_videos` asks an accelerator for, as one of several processes."""
    return SimpleNamespace(
        distributed_type=SimpleNamespace(value=kind),
        unwrap_model=lambda model: model,
        autocast=contextlib.nullcontext,
        num_processes=count,
        process_index=index,
        is_main_process=index == 0,
        device=torch.device("cpu"),
    )


@pytest.mark.parametrize("count", [2, 3, 7])
@pytest.mark.parametrize("skip", [False, True])
def test_processes_together_classify_every_video_once_and_all_get_the_results(
    model, processor, accelerator, videos, spoiled, count, skip, monkeypatch
):
    dataset = spoiled if skip else videos
    options = {"num_clips": 1, "batch_size": 2, "skip_unreadable": skip}
    expected = predict_videos(model, dataset, processor, accelerator, **options)
    shares = [[], [], []]  # of results, of unreadable and of damaged videos, from all processes
    for index in range(count):
        places = iter(shares)

        def give(share, places=places):
            next(places).extend(share)
            return share

        monkeypatch.setattr(modeling_dist.evaluation.prediction, "gather_object", give)
        with pytest.raises(RuntimeError, match="to be classified once each"):  # with its own share alone
            predict_videos(model, dataset, processor, processes(count, index), **options)

    for index in range(count):
        places = iter(shares)
        monkeypatch.setattr(
            modeling_dist.evaluation.prediction, "gather_object", lambda share, places=places: list(next(places))
        )
        found = predict_videos(model, dataset, processor, processes(count, index), **options)
        assert found.indices == expected.indices and found.unreadable == expected.unreadable
        assert list(found.unreadable) == sorted(found.unreadable)
        assert_close(found.probabilities, expected.probabilities, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["FSDP", "DEEPSPEED"])
@pytest.mark.parametrize("skip", [False, True])
def test_sharded_model_computes_as_often_in_every_process(model, processor, accelerator, videos, spoiled, kind, skip):
    """Such a model waits for all processes in each forward pass, also where a process has no video left."""
    dataset = spoiled if skip else videos
    expected = predict_videos(model, dataset, processor, accelerator, num_clips=2, batch_size=2, skip_unreadable=skip)
    shapes = []
    handle = model.register_forward_pre_hook(
        lambda module, args, kwargs: shapes.append(tuple(kwargs["pixel_values_videos"].shape)), with_kwargs=True
    )
    try:
        found = predict_videos(
            model, dataset, processor, processes(1, 0, kind), 2, 1, batch_size=2, skip_unreadable=skip
        )
        num_full = len(shapes)
        with pytest.raises(RuntimeError):  # on its own, a process does not see all videos
            predict_videos(model, dataset, processor, processes(9, 8, kind), 2, 1, batch_size=2, skip_unreadable=skip)
    finally:
        handle.remove()
    assert set(shapes) == {(2, 8, 3, 32, 32)}
    assert num_full == 2 * math.ceil(len(dataset) / 2)
    assert len(shapes) - num_full == 2  # the ninth process has nothing but padding
    assert found.indices == expected.indices and found.unreadable == expected.unreadable
    assert_close(found.probabilities, expected.probabilities, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("fault", ["lost", "twice"])
def test_video_that_does_not_come_back_once_is_an_error(model, processor, accelerator, videos, fault, monkeypatch):
    def gather(share):
        return share[1:] if fault == "lost" else share + share[:1]

    monkeypatch.setattr(modeling_dist.evaluation.prediction, "gather_object", gather)
    with pytest.raises(RuntimeError, match="5 videos were to be classified once each, and [46] came back"):
        predict_videos(model, videos, processor, accelerator, num_clips=1)


def test_unreadable_video_is_an_error_that_names_it(model, processor, accelerator, spoiled):
    with pytest.raises(VideoDecodingError, match="--skip_unreadable") as caught:
        predict_videos(model, spoiled, processor, accelerator, num_clips=1)
    assert spoiled[1]["video"]["path"] in str(caught.value)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_unreadable_videos_are_left_out_and_counted_where_that_was_asked_for(
    model, processor, accelerator, spoiled, batch_size
):
    predictions = predict_videos(
        model, spoiled, processor, accelerator, num_clips=1, batch_size=batch_size, skip_unreadable=True
    )
    assert predictions.indices == [0, 2] and list(predictions.unreadable) == [1, 3]
    assert "is empty" in predictions.unreadable[1] and "cannot be decoded" in predictions.unreadable[3]
    for index, row in zip(predictions.indices, predictions.probabilities, strict=True):
        expected = probabilities_of(model, processor, spoiled[index]["video"]["path"], 1, 1)
        assert_close(torch.from_numpy(row), expected, atol=1e-5, rtol=1e-4)
    metrics = compute_metrics(predictions, spoiled, CLASS_NAMES)
    assert metrics["num_unreadable"] == 2 and metrics["num_videos"] == 2
    assert metrics["per_class_accuracy"]["archery"] is None


def test_dataset_of_unreadable_videos_has_no_metrics(model, processor, accelerator, spoiled):
    bad = spoiled.select([1, 3])
    predictions = predict_videos(model, bad, processor, accelerator, num_clips=1, skip_unreadable=True)
    assert predictions.indices == [] and predictions.probabilities.shape == (0, 3)
    with pytest.raises(ValueError, match="None of the 2 videos could be evaluated.*is empty"):
        compute_metrics(predictions, bad, CLASS_NAMES)


@pytest.mark.parametrize("mode", [True, False])
def test_model_is_evaluated_in_evaluation_mode_and_given_back_as_it_was(
    model, processor, accelerator, videos, mode, monkeypatch
):
    modes = []
    handle = model.register_forward_pre_hook(lambda module, args: modes.append(module.training))
    model.train(mode)
    try:
        predict_videos(model, videos.select([0]), processor, accelerator, num_clips=1)
        assert modes and not any(modes)
        assert model.training is mode and model.dist.pooling.training is mode
        assert not model.dist.spatial_encoder.training  # frozen
    finally:
        handle.remove()
        model.eval()


def test_model_is_given_back_as_it_was_after_an_error_too(model, processor, accelerator, spoiled):
    model.train()
    try:
        with pytest.raises(VideoDecodingError):
            predict_videos(model, spoiled, processor, accelerator, num_clips=1)
        assert model.training
    finally:
        model.eval()


def test_shuffled_frames_change_what_a_model_with_a_sense_of_time_says(model, processor, accelerator, videos):
    plain = predict_videos(model, videos, processor, accelerator, num_clips=1).probabilities
    shuffled = predict_videos(model, videos, processor, accelerator, num_clips=1, shuffle_frames=True).probabilities
    assert np.abs(plain - shuffled).max() > 1e-3
    torch.manual_seed(123)
    again = predict_videos(
        model, videos, processor, accelerator, num_clips=1, batch_size=2, view_batch_size=1, shuffle_frames=True
    )
    assert_close(again.probabilities, shuffled, atol=1e-5, rtol=1e-4)


def test_progress_is_shown_only_where_it_has_a_title(model, processor, accelerator, videos, capsys):
    predict_videos(model, videos.select([0]), processor, accelerator, num_clips=1)
    assert capsys.readouterr().err == ""
    predict_videos(model, videos.select([0]), processor, accelerator, num_clips=1, progress="Evaluation of one")
    assert "Evaluation of one: 100%" in capsys.readouterr().err


# ---- metrics


def test_metrics_equal_those_worked_out_by_hand(videos):
    # The labels are 0, 0, 1, 1, 2; video 1 could not be read.
    probabilities = np.array([[0.7, 0.2, 0.1], [0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]], np.float32)
    metrics = compute_metrics(Predictions([0, 2, 3, 4], probabilities, {1: "empty"}), videos, CLASS_NAMES)
    assert metrics["loss"] == pytest.approx(-(math.log(0.7) + math.log(0.25) + math.log(0.8) + math.log(0.4)) / 4)
    assert metrics["num_videos"] == 4 and metrics["num_unreadable"] == 1
    assert metrics["top1"] == pytest.approx(3 / 4) and metrics["top5"] == 1
    assert metrics["mean_class_accuracy"] == pytest.approx((1 + 0.5 + 1) / 3)
    assert metrics["per_class_accuracy"] == {"abseiling": 1.0, "air drumming": 0.5, "archery": 1.0}
    assert metrics["num_videos_per_class"] == {"abseiling": 1, "air drumming": 2, "archery": 1}
    json.dumps(metrics, allow_nan=False)


def test_loss_is_finite_where_the_right_class_has_no_probability(videos):
    probabilities = np.tile(np.array([[0.0, 0.0, 1.0]], np.float32), (5, 1))
    metrics = compute_metrics(Predictions([0, 1, 2, 3, 4], probabilities), videos, CLASS_NAMES)
    assert math.isfinite(metrics["loss"]) and metrics["loss"] > 50
    assert metrics["top1"] == pytest.approx(1 / 5)


def test_protocol_says_how_the_figures_came_about(tiny_dist, videos):
    model = DiSTForVideoClassification.from_pretrained(tiny_dist)
    protocol = describe_protocol(model, videos, 3, 1, "bf16", 2, epoch=4.0, dataset="my videos")
    config = model.config
    assert protocol == {
        "num_frames": 8,
        "num_clips": 3,
        "num_crops": 1,
        "precision": "bf16",
        "num_listed_videos": 5,
        "num_unreadable": 2,
        "num_damaged": 0,
        "list_hash": hash_videos(videos),
        "model": tiny_dist,
        "model_revision": None,
        "backbone": config.backbone,
        "backbone_revision": config.backbone_revision,
        "backbone_fingerprint": config.backbone_fingerprint,
        "epoch": 4.0,
        "dataset": "my videos",
    }
    assert protocol["backbone"] and protocol["backbone_fingerprint"]
    json.dumps(protocol, allow_nan=False)
    config._commit_hash = "0123abc"
    assert describe_protocol(model, videos, 3, 1, "no", 0)["model_revision"] == "0123abc"


def test_model_that_was_never_saved_has_no_name_in_the_protocol(model, videos):
    protocol = describe_protocol(model, videos, 1, 3, "no", 0)
    assert protocol["model_revision"] is None and protocol["num_crops"] == 3
    assert protocol["list_hash"] != describe_protocol(model, videos.select([0, 1]), 1, 3, "no", 0)["list_hash"]


# ---- files


def test_metrics_are_a_line_for_each_figure_and_replace_the_old_ones_whole(tmp_path, monkeypatch):
    path = tmp_path / "metrics.json"
    write_metrics(path, {"top1": 0.5})
    seen = []
    replace = os.replace

    def watch(source, destination):
        seen.append((json.loads(path.read_text(encoding="utf-8")), json.loads(open(source, encoding="utf-8").read())))
        replace(source, destination)

    monkeypatch.setattr(os, "replace", watch)
    metrics = {"top1": 0.75, "per_class_accuracy": {"Tänzer": 1.0, "none": None}, "confusion_matrix": [[1, 0], [0, 2]]}
    write_metrics(path, metrics)
    assert seen == [({"top1": 0.5}, metrics)]
    assert json.loads(path.read_text(encoding="utf-8")) == metrics
    assert len(path.read_text(encoding="utf-8").splitlines()) == len(metrics) + 2
    assert "Tänzer" in path.read_text(encoding="utf-8")
    assert os.listdir(tmp_path) == ["metrics.json"]


@pytest.mark.parametrize("predictions_format", ["parquet", "csv"])
def test_report_holds_metrics_predictions_and_plots(tmp_path, spoiled, predictions_format):
    import pandas

    probabilities = np.array([[0.2, 0.7, 0.1], [0.1, 0.8, 0.1]], np.float32)
    predictions = Predictions([0, 2], probabilities, {1: "it is empty", 3: "it is no video"})
    metrics = compute_metrics(predictions, spoiled, CLASS_NAMES) | {"protocol": {"num_clips": 3}}
    given = json.dumps(metrics)
    folder = tmp_path / "new" / "evaluation"
    files = write_report(folder, predictions, spoiled, CLASS_NAMES, metrics, predictions_format)

    table_name = f"predictions.{predictions_format}"
    assert [file.name for file in files] == [
        *("metrics.json", table_name, "confusion_matrix.png", "per_class_accuracy.png"),
    ]
    assert sorted(os.listdir(folder)) == sorted(file.name for file in files)
    assert json.dumps(metrics) == given

    written = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    paths = [row["video"]["path"] for row in spoiled]
    # True classes in rows, predicted in columns.
    assert written.pop("confusion_matrix") == [[0, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert written.pop("unreadable") == {paths[1]: "it is empty", paths[3]: "it is no video"}
    assert written.pop("damaged") == {}
    assert written == json.loads(given)
    assert written["num_unreadable"] == 2 and written["protocol"] == {"num_clips": 3}

    read = pandas.read_parquet if predictions_format == "parquet" else pandas.read_csv
    table = read(folder / table_name)
    assert table["video"].tolist() == [paths[0], paths[2]]
    assert table["label_name"].tolist() == ["abseiling", "air drumming"]
    assert table["prediction_name"].tolist() == ["air drumming", "air drumming"]
    assert table["correct"].tolist() == [False, True]
    assert table["score"].tolist() == pytest.approx([0.7, 0.8])

    for name in ("confusion_matrix.png", "per_class_accuracy.png"):
        with Image.open(folder / name) as image:
            assert image.format == "PNG" and min(image.size) > 100
            assert np.asarray(image.convert("L")).std() > 1  # not blank


def test_report_of_a_real_evaluation_agrees_with_itself(tmp_path, model, processor, accelerator, videos):
    predictions = predict_videos(model, videos, processor, accelerator, num_clips=1)
    metrics = compute_metrics(predictions, videos, CLASS_NAMES)
    write_report(tmp_path, predictions, videos, CLASS_NAMES, metrics)
    written = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))
    matrix = np.array(written["confusion_matrix"])
    assert matrix.sum() == 5 and np.trace(matrix) == round(written["top1"] * 5)
    assert matrix.sum(axis=1).tolist() == [2, 2, 1] == list(written["num_videos_per_class"].values())
    assert written["unreadable"] == {} and written["num_unreadable"] == 0
