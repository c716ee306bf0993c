# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""A text head has the vectors of the names that stand in the configuration, in whatever way the names were given."""

import dataclasses
import shutil

import datasets
import pytest
import torch
from torch.testing import assert_close
from transformers import AutoConfig, AutoModelForVideoClassification

from modeling_dist import DiSTForVideoClassification
from modeling_dist.data import load_train_and_validation, load_videos
from modeling_dist.evaluation import EvaluationSettings, evaluate
from modeling_dist.testing import moving_square, tiny_config_kwargs, write_video
from modeling_dist.training import train


def labels_of(class_names):
    return {"id2label": dict(enumerate(class_names)), "label2id": {name: i for i, name in enumerate(class_names)}}


def assert_head_is_of(model, class_names):
    assert [model.config.id2label[label] for label in range(model.config.num_labels)] == class_names
    assert model.num_labels == len(class_names)
    assert_close(model.classifier.class_embeds, model.embed_class_names(class_names))


# ---- from_pretrained with other classes


@pytest.mark.parametrize("class_names", [
    ["pouring", "cutting", "stirring"], ["pouring", "cutting"], ["a", "b", "c", "d"], ["archery", "air drumming", "abseiling"],
])  # fmt: skip
@pytest.mark.parametrize("ignore", [{}, {"ignore_mismatched_sizes": True}])
def test_other_classes_have_the_vectors_of_their_names(tiny_dist, class_names, ignore, caplog):
    model = AutoModelForVideoClassification.from_pretrained(tiny_dist, **labels_of(class_names), **ignore)
    assert_head_is_of(model, class_names)
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    model = DiSTForVideoClassification.from_pretrained(
        tiny_dist, config=AutoConfig.from_pretrained(tiny_dist, **labels_of(class_names)), **ignore
    )
    assert_head_is_of(model, class_names)


def test_the_same_classes_need_no_text_encoder(tiny_dist, monkeypatch):
    monkeypatch.setattr(DiSTForVideoClassification, "load_text_encoder", lambda *args, **kwargs: pytest.fail("loaded"))
    own = DiSTForVideoClassification.from_pretrained(tiny_dist)
    again = DiSTForVideoClassification.from_pretrained(tiny_dist, **labels_of(list(own.config.id2label.values())))
    assert_close(again.classifier.class_embeds, own.classifier.class_embeds)


def test_a_model_with_other_classes_is_saved_and_loaded_with_them(tiny_dist, tmp_path):
    model = DiSTForVideoClassification.from_pretrained(tiny_dist, **labels_of(["pouring", "cutting"]))
    model.save_pretrained(tmp_path)
    assert_head_is_of(DiSTForVideoClassification.from_pretrained(tmp_path), ["pouring", "cutting"])


@pytest.mark.parametrize("options", [{"num_labels": 5}, {"id2label": {0: "LABEL_0", 1: "LABEL_1"}}])
def test_a_number_of_classes_without_names_is_refused_with_the_cures(tiny_dist, options):
    with pytest.raises(
        ValueError, match=r"needs the names of its \d classes.*`set_class_names`.*`head_type=\"linear\"`"
    ):
        DiSTForVideoClassification.from_pretrained(tiny_dist, **options)


def test_other_classes_without_a_text_encoder_are_refused_with_the_cures(tiny_dist, tiny_clip, tmp_path):
    clip = shutil.copytree(tiny_clip, tmp_path / "clip")
    for name in ("tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json"):
        (clip / name).unlink(missing_ok=True)
    with pytest.raises(
        OSError, match="has the classes 'abseiling'.*'pouring'.*`set_class_names`.*`head_type=\"linear\"`"
    ):
        DiSTForVideoClassification.from_pretrained(tiny_dist, backbone=str(clip), **labels_of(["pouring"]))


def test_a_linear_head_is_new_for_other_classes_as_everywhere(tiny_dist, tiny_clip, tmp_path):
    options = {**labels_of(["a", "b"]), "ignore_mismatched_sizes": True}
    model = DiSTForVideoClassification.from_pretrained(tiny_dist, head_type="linear", **options)
    assert model.classifier.weight.shape[0] == 2 and model.classifier.weight.requires_grad
    DiSTForVideoClassification.from_backbone(
        tiny_clip, head_type="linear", num_labels=3, **tiny_config_kwargs()
    ).save_pretrained(tmp_path)
    model = DiSTForVideoClassification.from_pretrained(tmp_path, **options)
    assert model.classifier.weight.shape[0] == 2 and list(model.config.id2label.values()) == ["a", "b"]


@pytest.mark.parametrize(("class_names", "message"), [
    (["Yoga", "archery", "yoga "], r"must be distinct words, got more than once: \['Yoga', 'yoga'\]"),
    (["brush  hair", "brush hair"], "must be distinct words"), (["a", " ", "b"], r"not empty, got .* \(class 1\)"),
    (["a", "b" * 100], r"at most 77 tokens, and 'bbb.*' has 102"), ([], "one or more strings"),
])  # fmt: skip
def test_names_that_cannot_be_are_named(tiny_dist, class_names, message):
    model = DiSTForVideoClassification.from_pretrained(tiny_dist)
    before = model.classifier.class_embeds.clone()
    with pytest.raises(ValueError, match=message):
        model.set_class_names(class_names)
    assert_close(model.classifier.class_embeds, before)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int8, torch.bool, torch.float64])
@pytest.mark.parametrize("head_type", ["text", "linear"])
def test_multi_label_targets_of_any_type_give_the_same_loss(tiny_dist, dtype, head_type):
    options = {"problem_type": "multi_label_classification", "head_type": head_type}
    model = DiSTForVideoClassification.from_pretrained(tiny_dist, **options)
    pixels, targets = torch.randn(2, 8, 3, 32, 32), torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    expected = torch.nn.functional.binary_cross_entropy_with_logits(model(pixels).logits, targets)
    assert_close(model(pixels, labels=targets.to(dtype)).loss, expected)


# ---- classes of datasets


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    for index in range(8):
        frames = moving_square(10 + index, 32, 32)
        write_video(folder / f"{index}.mp4", frames[:, ::-1] if index % 2 else frames)
    return folder


NAMES = {"ApplyEyeMakeup": "Apply Eye Makeup", "brush_hair": "brush hair"}


@pytest.mark.parametrize("form", ["folder", "csv", "list", "json", "disk"])
def test_names_of_classes_become_words_in_every_format(clips, tmp_path, form):
    labels = list(NAMES) * 4
    if form == "folder":
        for index, label in enumerate(labels):
            (tmp_path / label).mkdir(exist_ok=True)
            shutil.copy(clips / f"{index}.mp4", tmp_path / label)
        source = tmp_path
    elif form == "disk":
        rows = {"video": [str(clips / f"{index}.mp4") for index in range(8)], "label": [0, 1] * 4}
        features = datasets.Features(
            {"video": datasets.Value("string"), "label": datasets.ClassLabel(names=list(NAMES))}
        )
        datasets.Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "d")
        source = tmp_path / "d"
    else:
        lines = {
            "csv": ["video,label", *(f"{index}.mp4,{label}" for index, label in enumerate(labels))],
            "list": [f"{index}.mp4 {label}" for index, label in enumerate(labels)],
            "json": [f'{{"video": "{index}.mp4", "label": "{label}"}}' for index, label in enumerate(labels)],
        }
        suffix = {"csv": "csv", "list": "txt", "json": "jsonl"}[form]
        source = tmp_path / f"list.{suffix}"
        source.write_text("\n".join(lines[form]))
    options = {} if form in ("folder", "disk") else {"video_root": clips}
    dataset = load_videos(source, **options)
    assert dataset.features["label"].names == list(NAMES.values())
    assert dataset["label"][:] == sorted([0, 1] * 4) if form == "folder" else [0, 1] * 4
    # Names that somebody has chosen are taken as they are, and labels are matched to them by their words.
    chosen = load_videos(source, class_names=["brush hair", "apply eye makeup", "zumba"], **options)
    assert chosen.features["label"].names == ["brush hair", "apply eye makeup", "zumba"]
    assert sorted(set(chosen["label"][:])) == [0, 1]


def test_classes_that_are_the_same_in_words_are_refused(clips, tmp_path):
    (tmp_path / "list.csv").write_text("video,label\n0.mp4,brush_hair\n1.mp4,brush hair\n")
    with pytest.raises(ValueError, match='"brush hair", "brush_hair" have the same name in words, \'brush hair\''):
        load_videos(tmp_path / "list.csv", video_root=clips)


def test_names_of_several_words_stay_as_they_are(clips, tmp_path):
    names = ["playing McPherson ball", "iPhone in hand", "archery"]
    (tmp_path / "list.csv").write_text("video,label\n" + "".join(f"{i}.mp4,{name}\n" for i, name in enumerate(names)))
    assert load_videos(tmp_path / "list.csv", video_root=clips).features["label"].names == sorted(names)


def test_numbers_are_no_words_for_a_text_head(clips, tiny_training, tiny_dist, tmp_path):
    lists = tmp_path / "list.txt"
    lists.write_text("".join(f"{index}.mp4 {index % 2}\n" for index in range(8)))
    settings = dataclasses.replace(
        tiny_training, dataset=str(lists), video_root=str(clips), output_dir=str(tmp_path / "run"), num_epochs=1, warmup_epochs=0,
        validation_fraction=0.25, per_device_train_batch_size=2,
    )  # fmt: skip
    message = 'the numbers "0", "1", .*`class_names` .*--class_names FILE.*--head_type linear'
    for model in (None, tiny_dist):
        with pytest.raises(ValueError, match=message):
            train(dataclasses.replace(settings, model=model))
        assert not (tmp_path / "run").exists()
    zero_shot = EvaluationSettings(
        model=tiny_dist, dataset=str(lists), video_root=str(clips), zero_shot=True, cpu=True
    )
    with pytest.raises(ValueError, match=message):
        evaluate(dataclasses.replace(zero_shot, output_dir=str(tmp_path / "report")))

    train(dataclasses.replace(settings, head_type="linear"))
    (tmp_path / "names.txt").write_text("left\nright\n")
    named = dataclasses.replace(settings, class_names=str(tmp_path / "names.txt"), output_dir=str(tmp_path / "named"))
    train(named)
    assert_head_is_of(DiSTForVideoClassification.from_pretrained(tmp_path / "named"), ["left", "right"])


def test_a_model_of_classes_in_words_is_evaluated_on_the_folders_that_it_was_trained_on(
    clips, tiny_training, tmp_path
):
    for index in range(8):
        folder = tmp_path / "videos" / list(NAMES)[index % 2]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(clips / f"{index}.mp4", folder)
    train(
        dataclasses.replace(
            tiny_training, dataset=str(tmp_path / "videos"), output_dir=str(tmp_path / "run"), num_epochs=1, warmup_epochs=0,
            validation_fraction=0.25, per_device_train_batch_size=2,
        )
    )  # fmt: skip
    assert_head_is_of(DiSTForVideoClassification.from_pretrained(tmp_path / "run"), list(NAMES.values()))
    settings = EvaluationSettings(
        model=str(tmp_path / "run"), dataset=str(tmp_path / "videos"), cpu=True, num_workers=0
    )
    metrics = evaluate(settings).metrics
    assert list(metrics["per_class_accuracy"]) == list(NAMES.values()) and metrics["num_videos"] == 2
    train_videos, _ = load_train_and_validation(tmp_path / "videos")
    assert {row["video"]["path"].split("/")[-2] for row in train_videos} == set(NAMES)


# ---- what cannot be right


@pytest.mark.parametrize("shape", [(1, 4, 3, 32, 32), (2, 16, 3, 32, 32), (1, 3, 4, 3, 32, 32)])
def test_a_wrong_number_of_frames_is_named(tiny_dist, shape):
    model = DiSTForVideoClassification.from_pretrained(tiny_dist)
    with pytest.raises(
        ValueError, match=rf"The clips have {shape[-4]} frames, and this model takes 8.*`num_frames=8`"
    ) as error:
        model(torch.zeros(shape))
    assert "interpolate_pos_encoding" not in str(error.value)
    with pytest.raises(ValueError, match="Other sizes need `interpolate_pos_encoding=True`"):
        model(torch.zeros(1, 8, 3, 48, 48))


@pytest.mark.parametrize("folder", ["/no/such/folder", "no/such/folder", "./gone", "~/gone"])
def test_a_folder_that_does_not_exist_is_named(tiny_dist, folder):
    for load in (
        lambda: DiSTForVideoClassification.from_pretrained(folder),
        lambda: DiSTForVideoClassification.from_backbone(folder, class_names=["a"]),
        lambda: DiSTForVideoClassification.from_pretrained(tiny_dist, backbone=folder),
    ):
        with pytest.raises(OSError, match=r"There is no folder .*(gone|such/folder)\. Give a folder that exists"):
            load()
