import dataclasses
import json
import os
import re
from pathlib import Path

import pytest

from modeling_dist import DiSTConfig
from modeling_dist.paper import RECIPES
from modeling_dist.training.settings import TrainingSettings, make_parser, parse_settings, read_recipe


NEEDED = ["--dataset", "videos", "--output_dir", "out"]

# The paper's training, written down once more.
SHARED = {
    "total_batch_size": 256,
    "base_learning_rate": 3.2e-4,
    "base_batch_size": 256,
    "weight_decay": 1e-4,
    "adam_beta1": 0.9,
    "adam_beta2": 0.999,
    "num_epochs": 36,
    "warmup_epochs": 6,
    "warmup_start_learning_rate": 8e-7,
    "label_smoothing": 0.1,
    "mixup_alpha": 0.8,
    "cutmix_alpha": 1.0,
    "mixing_probability": 1.0,
    "cutmix_probability": 0.5,
    "augmentation": True,
    "crop_scale": [0.4, 1.0],
    "crop_ratio": [0.75, 1.3333333333333333],
    "flip_probability": 0.5,
    "grayscale_probability": 0.2,
    "color_jitter": [0.4, 0.4, 0.2, 0.1],
    "color_jitter_probability": 0.0,
    "frame_sampling": "segment",
    "head_type": "text",
    "spatial_frame_stride": 2,
    "integration_dim": 384,
    "temporal_dim": 96,
    "initializer_range": 0.02,
    "num_clips": 3,
    "num_crops": 1,
    "learning_rate": None,
    "model": None,
}
# Name: backbone, T, pooling layers, labels that a flip exchanges.
B16, L14 = "openai/clip-vit-base-patch16", "openai/clip-vit-large-patch14"
SSV2_PAIRS = ["86:87", "93:94", "166:167"]
TABLE = {
    "k400-b16-8": (B16, 16, 4, []),
    "k400-b16-16": (B16, 32, 4, []),
    "k400-b16-32": (B16, 64, 4, []),
    "k400-l14-32": (L14, 64, 4, []),
    "ssv2-b16-8": (B16, 16, 2, SSV2_PAIRS),
    "ssv2-b16-16": (B16, 32, 2, SSV2_PAIRS),
    "ssv2-b16-32": (B16, 64, 2, SSV2_PAIRS),
    "ssv2-l14-32": (L14, 64, 2, SSV2_PAIRS),
}


def message_of(capsys, arguments: list[str]) -> str:
    """What the command says where it refuses its arguments."""
    with pytest.raises(SystemExit) as caught:
        parse_settings(arguments)
    assert caught.value.code == 2
    return " ".join(capsys.readouterr().err.split())


# ---- recipes


def test_there_is_a_recipe_for_each_row_of_the_papers_table():
    assert set(RECIPES) == set(TABLE)


@pytest.mark.parametrize("recipe", TABLE)
def test_recipe_equals_the_papers_values(recipe):
    settings = parse_settings(["--recipe", recipe, *NEEDED])
    backbone, num_frames, num_pooling_layers, pairs = TABLE[recipe]
    own = {
        "backbone": backbone,
        "num_frames": num_frames,
        "num_pooling_layers": num_pooling_layers,
        "flip_label_pairs": pairs,
    }
    assert {name: getattr(settings, name) for name in SHARED | own} == SHARED | own
    assert settings.recipe == recipe
    assert settings.peak_learning_rate(settings.total_batch_size) == pytest.approx(3.2e-4)


def test_recipe_says_nothing_that_the_paper_does_not():
    """What depends on the machine and the user stays at its default."""
    default = TrainingSettings()
    for recipe in RECIPES:
        others = (
            set(RECIPES[recipe]) - set(SHARED) - {"backbone", "num_frames", "num_pooling_layers", "flip_label_pairs"}
        )
        assert not others
    settings = parse_settings(["--recipe", "ssv2-l14-32", *NEEDED])
    for name in ("per_device_train_batch_size", "num_workers", "mixed_precision", "seed", "gradient_checkpointing"):
        assert getattr(settings, name) == getattr(default, name)


def test_defaults_are_the_smallest_kinetics_recipe_but_for_the_batch():
    default = dataclasses.asdict(TrainingSettings())
    different = {name for name, value in RECIPES["k400-b16-8"].items() if default[name] != value}
    assert different == {"total_batch_size", "warmup_epochs"}  # the latter is a sixth of the epochs, as in the paper


def test_defaults_are_the_models_own():
    config, default = DiSTConfig(), TrainingSettings()
    names = (
        *("backbone", "num_frames", "spatial_frame_stride", "num_pooling_layers", "integration_dim", "temporal_dim"),
        *("head_type", "initializer_range"),
    )
    for name in names:
        assert getattr(default, name) == getattr(config, name)


def test_recipes_are_not_changed_by_the_runs_that_use_them():
    before = json.dumps(RECIPES)
    settings = parse_settings(["--recipe", "ssv2-b16-8", *NEEDED])
    settings.num_frames = 99
    read_recipe("ssv2-b16-8")["num_epochs"] = 1
    assert json.dumps(RECIPES) == before
    one, other = TrainingSettings(), TrainingSettings()
    one.crop_scale.append(3)
    assert other.crop_scale == [0.4, 1.0]


# ---- the command line


def test_command_line_goes_over_the_recipe_and_the_recipe_over_the_defaults():
    arguments = [
        *("--recipe", "ssv2-b16-16", *NEEDED),
        *("--num_epochs", "12", "--warmup_epochs", "1.5", "--weight_decay", "0.05", "--crop_scale", "0.2", "0.9"),
        *("--flip_label_pairs", "none", "--no_augmentation", "--backbone", "my/clip", "--total_batch_size", "64"),
    ]
    for order in (arguments, [*arguments[2:], *arguments[:2]]):
        settings = parse_settings(order)
        assert (settings.num_epochs, settings.warmup_epochs, settings.weight_decay) == (12, 1.5, 0.05)
        assert settings.crop_scale == [0.2, 0.9] and settings.flip_label_pairs == ["none"]
        assert settings.augmentation is False and settings.backbone == "my/clip" and settings.total_batch_size == 64
        assert (settings.num_frames, settings.num_pooling_layers) == (32, 2)  # the recipe's
        assert settings.dataset == "videos" and settings.output_dir == "out"


def test_equals_sign_hyphens_and_flags_are_read():
    settings = parse_settings(["--recipe=ssv2-b16-8", *NEEDED, "--push-to-hub", "--no_cpu", "--num-clips", "5"])
    assert settings.num_pooling_layers == 2 and settings.push_to_hub and not settings.cpu and settings.num_clips == 5
    assert parse_settings([*NEEDED, "--no_augmentation"]).augmentation is False
    assert parse_settings([*NEEDED, "--no_augmentation", "--augmentation"]).augmentation is True


def test_without_a_recipe_there_are_the_defaults():
    assert parse_settings(NEEDED) == TrainingSettings(dataset="videos", output_dir="out")


def test_label_pairs_and_trackers_are_lists():
    settings = parse_settings(
        [*NEEDED, "--flip_label_pairs", "0:1", "pan left:pan right", "--report_to", "tensorboard", "trackio"]
    )
    assert settings.flip_label_pairs == ["0:1", "pan left:pan right"]
    assert settings.report_to == ["tensorboard", "trackio"]


def test_help_shows_every_option_and_its_default(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")  # no line is broken
    with pytest.raises(SystemExit) as caught:
        parse_settings(["--help"], make_parser(description="Train\n    as it is written"))
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert "Train\n    as it is written" in shown
    for setting in dataclasses.fields(TrainingSettings):
        assert re.search(rf"--{setting.name}[ ,]", shown)
        assert setting.metadata["help"] in shown
    assert "(default: 0.00032)" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output_dir", "out"], "--dataset is required"),
        (["--dataset", "videos"], "--output_dir is required"),
        ([*NEEDED, "--num_epochs", "0"], "--num_epochs must be at least 1, got 0"),
        ([*NEEDED, "--per_device_train_batch_size", "0"], "--per_device_train_batch_size must be at least 1"),
        ([*NEEDED, "--gradient_accumulation_steps", "0"], "--gradient_accumulation_steps must be at least 1"),
        ([*NEEDED, "--num_clips", "0"], "--num_clips must be at least 1"),
        ([*NEEDED, "--per_device_eval_batch_size", "0"], "--per_device_eval_batch_size must be at least 1"),
        ([*NEEDED, "--logging_steps", "0"], "--logging_steps must be at least 1"),
        ([*NEEDED, "--base_batch_size", "0"], "--base_batch_size must be at least 1"),
        ([*NEEDED, "--total_batch_size", "-1"], "--total_batch_size must be at least 0"),
        ([*NEEDED, "--recipe", "k400-b16-8", "--gradient_accumulation_steps", "2"], "--total_batch_size 0 overrides"),
        ([*NEEDED, "--view_batch_size", "0"], "--view_batch_size must be at least 1"),
        ([*NEEDED, "--checkpointing_steps", "0"], "--checkpointing_steps must be at least 1"),
        ([*NEEDED, "--num_workers", "-1"], "--num_workers must be at least 0, got -1"),
        ([*NEEDED, "--eval_every", "-1"], "--eval_every must be at least 0"),
        ([*NEEDED, "--initializer_range", "-0.1"], "--initializer_range must be at least 0"),
        ([*NEEDED, "--weight_decay", "-0.1"], "--weight_decay must be at least 0"),
        ([*NEEDED, "--base_learning_rate", "-1"], "--base_learning_rate must be"),
        ([*NEEDED, "--crop_scale", "0.4"], "--crop_scale takes 2 numbers, got [0.4]"),
        ([*NEEDED, "--crop_ratio", "1", "2", "3"], "--crop_ratio takes 2 numbers"),
        ([*NEEDED, "--color_jitter", "0.4"], "--color_jitter takes 4 numbers"),
        (
            [*NEEDED, "--num_epochs", "6", "--warmup_epochs", "6"],
            "--warmup_epochs must be less than --num_epochs, got 6 and 6",
        ),
        ([*NEEDED, "--warmup_epochs", "-1"], "--warmup_epochs must be at least 0"),
        ([*NEEDED, "--best_metric", "f1"], "argument --best_metric: invalid choice: 'f1'"),
        ([*NEEDED, "--num_epochs", "many"], "invalid int value: 'many'"),
        ([*NEEDED, "--lerning_rate", "1"], "--lerning_rate"),
        ([*NEEDED, "--learning", "1"], "--learning"),
        ([*NEEDED, "--recipe", "k400-b32-8"], "--recipe must be one of k400-b16-8, k400-b16-16"),
        ([*NEEDED, "--recipe"], "argument --recipe: expected one argument"),
    ],
)
def test_settings_that_no_run_can_have_are_refused(capsys, arguments, message):
    assert message in message_of(capsys, arguments)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"best_metric": "f1"}, "--best_metric must be one of top1, top5, mean_class_accuracy, loss, got f1"),
        ({"head_type": "mlp"}, "--head_type must be one of text, linear, got mlp"),
        ({"mixed_precision": "fp32"}, "--mixed_precision must be one of no, bf16, fp16, got fp32"),
        ({"num_crops": 2}, "--num_crops must be one of 1, 3, got 2"),
        ({"dataset_format": "zip"}, "--dataset_format must be one of auto, folder, "),
        ({"output_dir": None}, "--output_dir is required"),
    ],
)
def test_settings_are_checked_in_python_too(changes, message):
    with pytest.raises(ValueError, match=message):
        TrainingSettings(**{"dataset": "videos", "output_dir": "out", **changes}).check()


@pytest.mark.parametrize("option", [["--frame_sampling", "denze"], ["--decoder", "ffmpeg"], ["--frame_step", "0"]])
def test_unknown_ways_of_reading_videos_are_refused(capsys, option):
    assert option[0] in message_of(capsys, [*NEEDED, *option])


@pytest.mark.parametrize("option", [["--base_learning_rate", "0"], ["--learning_rate", "0"], ["--seed", "-1"]])
def test_values_that_would_fail_later_are_refused(capsys, option):
    assert option[0] in message_of(capsys, [*NEEDED, *option])


# ---- accumulation and learning rate


@pytest.mark.parametrize(
    ("total", "per_device", "num_processes", "accumulation", "expected"),
    [
        (None, 8, 1, 1, 1),
        (None, 8, 4, 3, 3),
        (256, 8, 1, 1, 32),
        (256, 8, 8, 1, 4),
        (256, 32, 8, 1, 1),
        (24, 4, 3, 1, 2),
    ],
)
def test_accumulation_makes_the_batch_that_was_asked_for(total, per_device, num_processes, accumulation, expected):
    settings = TrainingSettings(
        total_batch_size=total, per_device_train_batch_size=per_device, gradient_accumulation_steps=accumulation
    )
    assert settings.accumulation_steps(num_processes) == expected


@pytest.mark.parametrize(("total", "num_processes"), [(256, 3), (4, 1), (100, 1)])
def test_batch_that_cannot_be_had_is_refused(total, num_processes):
    settings = TrainingSettings(total_batch_size=total, per_device_train_batch_size=8)
    message = rf"--total_batch_size {total} must be a multiple of .* 8 \* {num_processes} = {8 * num_processes}"
    with pytest.raises(ValueError, match=message):
        settings.accumulation_steps(num_processes)


# ---- saved settings


def test_saved_settings_repeat_the_run_elsewhere(tmp_path):
    first = parse_settings(
        [
            *("--recipe", "ssv2-b16-16", "--dataset", "Videos of Zoë", "--output_dir", "first", "--num_epochs", "12"),
            *(
                "--no_augmentation",
                "--flip_label_pairs",
                "a:b",
                "--max_grad_norm",
                "1.5",
                "--report_to",
                "tensorboard",
            ),
            *("--resume_from_checkpoint", "latest", "--overwrite_output_dir", "--push_to_hub", "--torch_compile"),
        ]
    )
    path = tmp_path / "training_settings.json"
    first.save(path)

    again = parse_settings(["--recipe", str(path), "--output_dir", "second"])
    expected = dataclasses.asdict(first) | {
        "recipe": str(path),
        "output_dir": "second",
        "resume_from_checkpoint": None,
        "overwrite_output_dir": False,
        "push_to_hub": False,
    }
    assert dataclasses.asdict(again) == expected
    assert again.dataset == "Videos of Zoë" and again.augmentation is False and again.num_frames == 32

    changed = parse_settings(["--recipe", str(path), "--output_dir", "third", "--augmentation", "--num_epochs", "20"])
    assert changed.augmentation is True and changed.num_epochs == 20 and changed.max_grad_norm == 1.5


def test_saved_settings_need_a_new_output_folder(tmp_path, capsys):
    TrainingSettings(dataset="videos", output_dir="first").save(tmp_path / "training_settings.json")
    assert "--output_dir is required" in message_of(capsys, ["--recipe", str(tmp_path / "training_settings.json")])


def test_saved_settings_hold_every_setting_as_readable_json(tmp_path):
    settings = TrainingSettings(dataset="vidéos", output_dir="out")
    settings.save(tmp_path / "training_settings.json")
    text = (tmp_path / "training_settings.json").read_text(encoding="utf-8")
    assert json.loads(text) == dataclasses.asdict(settings)
    assert "vidéos" in text and text.endswith("}\n")
    assert os.listdir(tmp_path) == ["training_settings.json"]


def test_settings_of_version_0_1_0_are_read(tmp_path):
    path = Path(__file__).parent / "fixtures" / "saved_by_0_1_0" / "run" / "training_settings.json"
    settings = parse_settings(["--recipe", str(path), "--output_dir", "out"])
    saved = json.loads(path.read_text(encoding="utf-8"))
    changed = {"recipe": str(path), "output_dir": "out", "resume_from_checkpoint": None, "allow_local_paths": False}
    changed |= dict.fromkeys(["damaged", "max_video_seconds", "max_frame_pixels", "max_download_bytes"])
    assert dataclasses.asdict(settings) == saved | changed


def test_old_settings_stay_until_the_new_ones_are_whole(tmp_path, monkeypatch):
    path = tmp_path / "training_settings.json"
    TrainingSettings(output_dir="old").save(path)
    at_replacement = []
    replace = os.replace

    def watch(source, destination):
        at_replacement.append(
            (json.loads(path.read_text())["output_dir"], json.loads(open(source).read())["output_dir"])
        )
        replace(source, destination)

    monkeypatch.setattr(os, "replace", watch)
    TrainingSettings(output_dir="new").save(path)
    assert at_replacement == [("old", "new")]
    assert json.loads(path.read_text())["output_dir"] == "new"
    assert os.listdir(tmp_path) == ["training_settings.json"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{not JSON", "is not a valid JSON file"),
        ('{"num_epochs": 3, "epochs": 4, "zeal": 1}', "has unknown settings: epochs, zeal"),
        ("[1, 2]", "must hold a JSON object, and holds a list"),
        ('{"num_epochs": "many"}', "invalid int value: 'many'"),
        ('{"head_type": "mlp"}', "--head_type must be one of text, linear, got mlp"),
    ],
)
def test_files_that_are_no_settings_are_refused(tmp_path, capsys, content, message):
    path = tmp_path / "settings.json"
    path.write_text(content, encoding="utf-8")
    said = message_of(capsys, ["--recipe", str(path), *NEEDED])
    assert message in said
