"""The model card: what it says about the configuration, the figures and the training, and what it leaves out."""

import importlib.util
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from modeling_dist import DiSTConfig
from modeling_dist.hub.card import RECIPE_SETTINGS, make_model_card
from modeling_dist.paper import PAPER_CHECKPOINTS
from modeling_dist.training.settings import TrainingSettings


ROOT = Path(__file__).parent.parent
METRICS = {
    "top1": 0.8312,
    "top5": 0.9634,
    "mean_class_accuracy": 0.825,
    "num_videos": 19796,
    "protocol": {
        "dataset": "k400",
        "split": "validation",
        "num_frames": 8,
        "num_clips": 3,
        "num_crops": 1,
        "precision": "bfloat16",
        "list_hash": "0123abcd",
        "num_unreadable": 2,
        "backbone": "org/tiny-clip",
        "backbone_revision": "f" * 40,
    },
    "per_class_accuracy": {f"class {index}": index / 10 for index in range(10)},
}


def card_of(config=None, **kwargs):
    return make_model_card(config or DiSTConfig(num_labels=3), "org/name", **kwargs)


def test_card_without_figures_says_so():
    card = card_of()
    assert "No evaluation of these weights is recorded." in card.text
    assert "model-index" not in card.data.to_dict()
    assert card.data.license is None and card.data.datasets is None


@pytest.mark.parametrize("missing", [*METRICS, *METRICS["protocol"]])
def test_card_needs_none_of_the_metrics(missing):
    metrics = {name: value for name, value in METRICS.items() if name != missing}
    metrics["protocol"] = {name: value for name, value in METRICS["protocol"].items() if name != missing}
    card = card_of(metrics={name: value for name, value in metrics.items() if name != missing})
    assert "None" not in card.text and "undefined" not in card.text.lower()
    assert len(card.data.eval_results) == (2 if missing in ("top1", "top5", "mean_class_accuracy") else 3)


def test_authors_figures_are_named_as_theirs():
    figures = {"top1": 0.836, "protocol": {"dataset": "k400"}}
    card = card_of(authors_metrics=figures, metrics={"top1": 0.8, "protocol": {"dataset": "/data/videos"}})
    theirs, own = card.text.split("### The authors' figures")[1], card.text.split("### The authors' figures")[0]
    assert "83.6" in theirs and "83.6" not in own and "are listed separately above" in theirs
    assert "80.0" in own and "/data" not in card.content
    sources = {result.dataset_type: result.source_name for result in card.data.eval_results}
    assert sources == {"kinetics-400": "The authors' figures (DiST, ICCV 2023)", "unknown": None}


def test_measured_figures_are_never_merged_with_the_authors():
    """The model-index merges figures of one dataset, so it only holds the measured ones."""
    figures = {"top1": 0.836, "protocol": {"dataset": "k400", "split": "validation"}}
    card = ModelCard(str(card_of(authors_metrics=figures, metrics=METRICS)))
    assert "83.6" in card.text.split("### The authors' figures")[1]
    assert {(result.metric_value, result.source_name) for result in card.data.eval_results} == {
        (0.8312, None),
        (0.9634, None),
        (0.825, None),
    }


@pytest.mark.parametrize(
    ("settings", "dataset", "name"),
    [
        ({"dataset": "org/videos"}, "org/videos", "org/videos"),
        ({"dataset": "org/videos", "dataset_format": "auto"}, "org/videos", "org/videos"),
        ({"dataset": "videos", "dataset_format": "hub"}, "videos", "videos"),
        ({"dataset": "ucf101", "dataset_format": "folder"}, "ucf101", "UCF101"),
        ({"dataset": "org/videos", "dataset_format": "folder"}, None, "videos"),
        ({"dataset": "videos"}, None, "videos"),
        ({"dataset": "/data/my videos/"}, None, "my videos"),
        ({"dataset": "../lists/train.csv"}, None, "train.csv"),
        ({"dataset": "lists/train.csv"}, None, "train.csv"),
        ({"dataset": "here/videos"}, None, "videos"),
    ],
)
def test_only_ids_of_the_hub_are_the_cards_datasets(settings, dataset, name, tmp_path, monkeypatch):
    (tmp_path / "here" / "videos").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    metrics = {"top1": 0.5, "protocol": {"dataset": settings["dataset"]}}
    card = card_of(training_settings=settings, metrics=metrics)
    assert card.data.datasets == (dataset and [dataset])
    assert card.data.eval_results[0].dataset_type == (dataset or "unknown")
    assert f"Evaluated on {name}." in card.text and card.data.eval_results[0].dataset_name == name
    assert f"Trained on {name}." in card.text and f"| dataset | {name} |" in card.text


def test_card_says_that_figures_are_zero_shot_over_official_splits():
    split = {"top1": 0.8, "top5": 0.9}
    protocol = {"dataset": "ucf101", "num_frames": 8, "num_clips": 3, "num_crops": 1, "zero_shot_weight": 0.5}
    metrics = {"top1": 0.8123, "top1_std": 0.0071, "top5": 0.9, "top5_std": 0.002, "splits": [split] * 3}
    card = ModelCard(str(card_of(metrics={**metrics, "num_videos": 13320, "protocol": protocol})))
    for words in (
        "| Top-1 accuracy | 81.2 ± 0.7 |",
        "| Top-5 accuracy | 90.0 ± 0.2 |",
        "13,320 videos of UCF101; mean ± standard deviation over the three official splits; zero-shot, on classes given",
        "the class names alone, without a prompt template; CLIP's own frame logits with a weight of 0.5",
    ):
        assert words in card.text, words
    result = {result.metric_type: result for result in card.data.eval_results}["accuracy"]
    assert result.metric_name == "Top-1 accuracy, zero-shot, mean over the three official splits"
    assert (result.metric_value, result.metric_args) == (0.8123, {"standard_deviation": 0.0071})
    assert (result.dataset_type, result.dataset_name) == ("ucf101", "UCF101")
    assert result.dataset_args["zero_shot_weight"] == 0.5 and result.dataset_args["num_splits"] == 3

    protocol |= {"dataset": "hmdb51", "zero_shot_weight": 0.0, "prompt_templates": ["a video of {}."]}
    card = card_of(metrics={"top1": 0.5, "protocol": protocol})
    assert "Evaluated on HMDB51; zero-shot" in card.text and "“a video of {}.”" in card.text
    assert "without CLIP's own frame logits" in card.text
    (result,) = card.data.eval_results
    assert result.metric_name == "Top-1 accuracy, zero-shot" and result.dataset_type == "hmdb51"
    assert result.dataset_args["prompt_templates"] == ["a video of {}."]


def test_figures_of_shuffled_frames_stay_out_of_the_model_index():
    metrics = {**METRICS, "protocol": {**METRICS["protocol"], "shuffled_frames": True}}
    card = card_of(metrics=metrics)
    assert "the frames in random order" in card.text and "83.1" in card.text
    assert "model-index" not in card.data.to_dict() and "metrics" not in card.data.to_dict()
    metrics["protocol"]["shuffled_frames"] = False
    card = card_of(metrics=metrics)
    assert "random order" not in card.text and len(card.data.eval_results) == 3


def test_card_says_whose_weights_the_backbone_has():
    config = DiSTConfig(backbone="org/clip", backbone_fingerprint="0" * 32)
    for text in (card_of(config).text, card_of(config, holds_backbone=True).text):
        assert "a frozen CLIP vision encoder ([org/clip]" in text and "only the last two are trained" in text
        assert "differ" not in text
    config = DiSTConfig(backbone="org/clip", backbone_fingerprint=None)
    assert "differ" not in card_of(config).text
    text = card_of(config, holds_backbone=True).text
    assert "They differ from those of [org/clip]" in text and "text encoder and visual projection" in text
    config.freeze_backbone = False
    text = card_of(config, holds_backbone=True).text
    assert "a CLIP vision encoder, a lightweight" in text and "only the last two are trained" not in text
    assert "all three are trained together" in text and "They differ from those of" in text


def test_card_has_the_recipe_and_nothing_else():
    assert set(RECIPE_SETTINGS) <= set(TrainingSettings.__dataclass_fields__)
    settings = {
        **{name: f"value of {name}" for name in TrainingSettings.__dataclass_fields__},
        "recipe": "/home/me/training_settings.json",
        "base_learning_rate": 3.2e-4,
        "crop_scale": [0.4, 1.0],
        "wandb_key": "hidden",
        "server": "http://10.0.0.1",
    }
    text = card_of(training_settings=settings).text
    assert "| base_learning_rate | 0.00032 |" in text and "| crop_scale | 0.4, 1 |" in text
    assert "| seed | value of seed |" in text
    for name in ("output_dir", "video_root", "class_names", "hub_model_id", "exclude", "model"):
        assert f"value of {name} " not in text
    for words in ("/home/me", "hidden", "10.0.0.1", "| recipe |"):
        assert words not in text


def test_card_says_that_no_license_is_stated():
    words = "The license of these weights is not stated."
    assert words in card_of().text and words not in card_of(license="mit").text


def test_card_follows_the_head():
    config = DiSTConfig(head_type="linear", num_labels=2, backbone=None, architectures=["DiSTForVideoClassification"])
    card = card_of(config)
    assert "zero-shot" not in card.text and "linear" in card.text and card.data.base_model is None
    text = card_of(DiSTConfig(backbone=None)).text
    assert text.count('text_model="openai/clip-vit-base-patch16"') == 2
    assert "zero_shot_weight=0.5" not in text and "zero_shot_weight=0)" in text  # no projection is available
    text = card_of(DiSTConfig(backbone=None, has_visual_projection=True, zero_shot_weight=0.5)).text
    assert "zero_shot_weight=0.5" in text and "zero_shot_weight=0)" not in text
    vision_config = {"hidden_size": 64, "num_attention_heads": 2, "num_hidden_layers": 12}
    text = card_of(DiSTConfig(backbone=None, vision_config=vision_config)).text
    assert text.count('text_model="folder or Hub id of the CLIP that it was trained with"') == 2


def test_cards_of_the_papers_checkpoints_are_those_of_the_table():
    spec = importlib.util.spec_from_file_location("make", ROOT / "model_cards" / "make.py")
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    expected = {
        f"{checkpoint.name}.md": str(make.make_card(checkpoint, "org")) for checkpoint in PAPER_CHECKPOINTS.values()
    }
    assert len(expected) == 9
    paths = {path.name: path for path in (ROOT / "model_cards").glob("dist-*.md")}
    assert paths.keys() == expected.keys()
    for name, content in expected.items():
        assert paths[name].read_text(encoding="utf-8") == content, f"run model_cards/make.py ({name})"


def test_configuration_is_checked_against_the_papers_checkpoint():
    name = "dist-vit-b16-8-16f-k400"
    config = DiSTConfig(num_frames=16, num_labels=400)
    PAPER_CHECKPOINTS[name].check(config)
    with pytest.raises(ValueError, match="num_labels=174"):
        PAPER_CHECKPOINTS[name.replace("k400", "ssv2")].check(config)
    with pytest.raises(ValueError, match="patch_size=14"):
        PAPER_CHECKPOINTS["dist-vit-l14-32-64f-k400"].check(DiSTConfig(num_frames=64, num_labels=400))
