"""Training runs on real videos, in the test's own process: what they compute, write, refuse and leave alone."""

import dataclasses
import json
import shutil
from pathlib import Path

import matplotlib.figure
import pytest
import torch
from safetensors.torch import load_file

from modeling_dist import DiSTForVideoClassification, DiSTVideoProcessor, VideoDecodingError
from modeling_dist.data.motion_dataset import make_motion_dataset
from modeling_dist.data.settings import PANS
from modeling_dist.training import loop, train
from modeling_dist.training.checkpoint import find_checkpoint, list_checkpoints
from modeling_dist.training.settings import parse_settings


FIXTURES = Path(__file__).parent / "fixtures"
BAD_FILES = {"empty.mp4", "text.mp4", "truncated.mp4"}
NUM_VALIDATION = 5
RANDOM = {"augmentation": True, "mixing_probability": 1.0}
SHORT = {"num_epochs": 1, "warmup_epochs": 0}
FROZEN = {**SHORT, "learning_rate": 1e-12}  # so little that the weights stay as they were


@pytest.fixture(autouse=True)
def _no_plots(monkeypatch):
    """Plots are not drawn, for speed, except those of `trained_dist`, which is made before this."""
    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", lambda figure, path, **kwargs: Path(path).touch())


@pytest.fixture
def run(tiny_training):
    """Trains with some settings changed, and evaluates after the last epoch only."""

    def run(output_dir: Path, **changes):
        return train(dataclasses.replace(tiny_training, output_dir=str(output_dir), **{"eval_every": 0, **changes}))

    return run


def assert_same_weights(left: Path, right: Path, atol: float):
    left, right = load_file(left / "model.safetensors"), load_file(right / "model.safetensors")
    assert left.keys() == right.keys()
    for name in left:
        torch.testing.assert_close(
            left[name], right[name], rtol=0, atol=atol, msg=lambda text, name=name: f"{name}: {text}"
        )


def checkpoints_of(folder: Path) -> list[str]:
    return [path.name for path in list_checkpoints(folder)]


def read_json(path: Path):
    return json.loads(path.read_text(encoding="utf-8"))


# ---- what a run leaves


def test_output_has_all_that_is_promised(trained_dist):
    assert checkpoints_of(trained_dist) == ["checkpoint-8", "checkpoint-12"]
    settings = read_json(trained_dist / "training_settings.json")
    assert settings["learning_rate"] == 1e-3 and settings["num_epochs"] == 3 and settings["augmentation"] is False
    history = read_json(trained_dist / "training_history.json")
    evaluations = [record for record in history if "eval_top1" in record]
    assert [record["epoch"] for record in evaluations] == [1, 2, 3]
    assert [record["step"] for record in history if "loss" in record] == [2, 4, 6, 8, 10, 12]
    best = max(record["eval_top1"] for record in evaluations)
    assert read_json(trained_dist / "best_model" / "metrics.json")["top1"] == best
    assert (trained_dist / "training_curves.png").stat().st_size > 1000
    assert {path.name for path in (trained_dist / "evaluation").iterdir()} == {
        *("metrics.json", "predictions.parquet", "confusion_matrix.png", "per_class_accuracy.png")
    }


def test_bad_videos_are_named_once_counted_and_replaced(trained_dist):
    log = trained_dist.with_suffix(".log").read_text()
    for name in BAD_FILES:
        assert sum(name in line and "cannot be read" in line for line in log.splitlines()) == 1, name
    assert "short.mp4" not in log
    assert "notes.txt" not in log and "not named like videos" in log
    assert read_json(trained_dist / "training_history.json")[-2]["num_unreadable"] == len(BAD_FILES)
    metrics = read_json(trained_dist / "metrics.json")
    assert metrics["protocol"]["num_unreadable_in_training"] == len(BAD_FILES)
    assert metrics["num_unreadable"] == 0


def test_checkpoints_hold_no_backbone(trained_dist):
    model = DiSTForVideoClassification.from_pretrained(trained_dist)
    tunable = {name for name in model.state_dict() if model.is_tunable(name)}
    for folder in (trained_dist, trained_dist / "checkpoint-12", trained_dist / "best_model"):
        assert set(load_file(folder / "model.safetensors")) == tunable
    bytes_of_weights = sum(model.state_dict()[name].nbytes for name in tunable)
    # AdamW keeps two values for each weight.
    assert (trained_dist / "checkpoint-12" / "training.pt").stat().st_size < 2.5 * bytes_of_weights


def test_trained_model_has_the_class_names_and_takes_videos(trained_dist, motion_videos):
    model = DiSTForVideoClassification.from_pretrained(trained_dist)
    processor = DiSTVideoProcessor.from_pretrained(trained_dist)
    assert list(model.config.id2label.values()) == sorted(PANS)
    video = next((motion_videos / "validation" / PANS[0]).iterdir())
    logits = model(**processor(str(video), num_clips=2, return_tensors="pt")).logits
    assert logits.shape == (1, len(PANS))


def test_result_has_history_metrics_and_speed(tiny_training, tmp_path):
    settings = dataclasses.replace(tiny_training, **SHORT, output_dir=str(tmp_path))
    before = dataclasses.asdict(settings)
    result = train(settings)
    assert dataclasses.asdict(settings) == before
    assert result.state.step == 4 and result.state.history == read_json(tmp_path / "training_history.json")
    assert result.metrics["top1"] == read_json(tmp_path / "metrics.json")["top1"]
    assert result.speed.num_clips == 16
    assert result.speed.clips_per_second > 0 and 0 < result.speed.data_wait_share < 1


# ---- resuming


def test_resuming_within_an_epoch_gives_the_same_weights(run, trained_dist, tmp_path):
    settings = {"checkpointing_steps": 3, "checkpoints_total_limit": 0}
    run(tmp_path, **settings)
    assert checkpoints_of(tmp_path) == [f"checkpoint-{step}" for step in (3, 6, 9, 12)]
    whole = (tmp_path / "model.safetensors").read_bytes()

    run(tmp_path, **settings, resume_from_checkpoint=str(tmp_path / "checkpoint-9"))

    assert (tmp_path / "model.safetensors").read_bytes() == whole
    # Other numbers of evaluations and checkpoints do not change what is learned.
    assert_same_weights(trained_dist, tmp_path, atol=1e-6)


def test_checkpoint_may_be_given_by_a_relative_path(run, trained_dist, tmp_path, monkeypatch):
    copy = shutil.copytree(trained_dist, tmp_path / "copy")
    monkeypatch.chdir(tmp_path)
    run(copy, resume_from_checkpoint="copy/checkpoint-8", num_epochs=4)
    assert checkpoints_of(copy) == ["checkpoint-12", "checkpoint-16"]


def test_damaged_videos_are_trained_on_named_once_and_counted(run, tiny_training, damaged_video, tmp_path, log):
    videos = shutil.copytree(tiny_training.dataset, tmp_path / "videos")
    for split in ("train", "validation"):
        shutil.copy(damaged_video, videos / split / PANS[0] / "cut.mkv")
    state = run(tmp_path / "run", dataset=str(videos)).state
    path = str(videos / "train" / PANS[0] / "cut.mkv")
    (damage,) = state.damaged.values()
    assert path in damage and "cut off" in damage and not any(path in text for text in state.unreadable.values())
    assert sum(record.getMessage().endswith(damage) for record in log.records) == 1
    assert state.history[-1]["eval_num_damaged"] == 1 and state.history[-2]["num_damaged"] == 1
    metrics = read_json(tmp_path / "run" / "evaluation" / "metrics.json")
    (name,) = metrics["damaged"]
    assert name == str(videos / "validation" / PANS[0] / "cut.mkv") and metrics["num_damaged"] == 1
    assert metrics["protocol"]["num_damaged_in_training"] == metrics["protocol"]["num_damaged"] == 1

    state = run(tmp_path / "run", dataset=str(videos), resume_from_checkpoint="latest", num_epochs=4).state
    assert len(state.damaged) == 1

    state = run(tmp_path / "strict", dataset=str(videos), damaged="error", skip_unreadable=True).state
    assert not state.damaged and any(path in reason for reason in state.unreadable.values())
    assert state.history[-1]["eval_num_unreadable"] == 1
    # It is not what others want who use the model.
    assert DiSTVideoProcessor.from_pretrained(tmp_path / "strict").damaged == "warn"


def test_checkpoint_of_version_0_1_0_is_resumed(tmp_path, monkeypatch):
    """It has random states, which a frozen backbone makes superfluous, and no number of its format."""
    saved = FIXTURES / "saved_by_0_1_0"
    folder = shutil.copytree(saved / "run", tmp_path / "run")
    make_motion_dataset(tmp_path / "videos", num_train=8, num_validation=4, size=32, num_frames=8)
    where = ["--dataset", str(tmp_path / "videos"), "--backbone", str(saved / "clip"), "--output_dir", str(folder)]
    resume = ["--recipe", str(folder / "training_settings.json"), "--resume_from_checkpoint", "latest"]

    state = train(parse_settings([*resume, *where])).state

    expected = read_json(saved / "run" / "training_history.json")
    for record, known in zip(state.history, expected, strict=True):
        # Version 0.1.0 did not count damaged videos.
        assert record.pop("num_damaged", 0) == record.pop("eval_num_damaged", 0) == 0
        assert record == pytest.approx(known, rel=1e-3)
    assert checkpoints_of(folder) == ["checkpoint-2", "checkpoint-4"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 1}, "another seed: 0 then, 1 now"),
        ({"per_device_train_batch_size": 2}, "another global batch size: 4 then, 2 now"),
        ({"learning_rate": 1e-4}, "another learning rate: 0.001 then, 0.0001 now"),
        ({"weight_decay": 0.1}, "another weight decay"),
        ({"exclude": "{list}"}, "another list of training videos"),
        ({"num_epochs": 2}, "checkpoint-12 is beyond the 8 updates of the run: raise --num_epochs"),
    ],
)
def test_resuming_another_run_is_refused(run, trained_dist, motion_videos, tmp_path, changes, message):
    bad = tmp_path / "bad.csv"
    bad.write_text(f"video,problem,reason\n{motion_videos / 'train' / PANS[0] / 'empty.mp4'},unreadable,\n")
    changes = {name: str(bad) if name == "exclude" else value for name, value in changes.items()}
    with pytest.raises(ValueError, match=message):
        run(trained_dist, resume_from_checkpoint="latest", **changes)
    assert checkpoints_of(trained_dist) == ["checkpoint-8", "checkpoint-12"]


def test_unreadable_validation_videos_are_all_named_before_training(run, motion_videos, tmp_path):
    videos = shutil.copytree(motion_videos, tmp_path / "videos")
    for name in ("bad.mp4", "worse.mp4"):
        (videos / "validation" / PANS[0] / name).write_text("not a video")
    settings = {**SHORT, "dataset": str(videos)}
    message = r"(?s)^2 of the 7 validation videos cannot be read\..*--skip_unreadable.*--exclude.*bad\.mp4.*worse\.mp4"
    for num_workers in (0, 1):
        with pytest.raises(VideoDecodingError, match=message):
            run(tmp_path / "out", **settings, num_workers=num_workers)
        assert not (tmp_path / "out").exists()

    run(tmp_path / "out", **settings, skip_unreadable=True)
    metrics = read_json(tmp_path / "out" / "metrics.json")
    assert metrics["num_videos"] == NUM_VALIDATION and metrics["num_unreadable"] == 2


def test_validation_video_that_turns_out_unreadable_costs_no_training(run, motion_videos, tmp_path, monkeypatch):
    videos = shutil.copytree(motion_videos, tmp_path / "videos")
    settings = {**SHORT, "dataset": str(videos)}
    bad = next((videos / "validation" / PANS[0]).iterdir())
    content = bad.read_bytes()
    write = loop.write_video_list
    # After the probe, when the run begins to write.
    monkeypatch.setattr(loop, "write_video_list", lambda *args: (write(*args), bad.write_text("not a video")))
    with pytest.raises(VideoDecodingError, match=rf"(?s){bad.name}.*--skip_unreadable"):
        run(tmp_path / "out", **settings)
    assert find_checkpoint(tmp_path / "out", "latest").name == "checkpoint-4"
    bad.write_bytes(content)
    monkeypatch.setattr(loop, "write_video_list", write)
    run(tmp_path / "out", **settings, resume_from_checkpoint="latest")
    assert (tmp_path / "out" / "model.safetensors").exists()


def test_warm_up_scales_with_the_epochs_unless_it_is_set(run, tmp_path):
    run(tmp_path, num_epochs=2, warmup_epochs=None)
    assert read_json(tmp_path / "training_settings.json")["warmup_epochs"] == pytest.approx(1 / 3)
    rates = [record["learning_rate"] for record in read_json(tmp_path / "training_history.json") if "loss" in record]
    assert max(rates) == rates[0]  # the first record comes after two of eight updates, when the warm-up is over


# ---- options


def test_accumulated_batches_train_as_one(run, trained_dist, tmp_path):
    run(tmp_path, per_device_train_batch_size=2, total_batch_size=4)
    assert_same_weights(trained_dist, tmp_path, atol=1e-5)


def test_gradient_checkpointing_changes_nothing(run, trained_dist, tmp_path):
    run(tmp_path, gradient_checkpointing=True)
    assert_same_weights(trained_dist, tmp_path, atol=1e-5)


def test_saved_settings_repeat_the_run(trained_dist, tmp_path):
    train(parse_settings(["--recipe", str(trained_dist / "training_settings.json"), "--output_dir", str(tmp_path)]))
    assert_same_weights(trained_dist, tmp_path, atol=1e-6)


def test_mixed_precision_holds_the_backbone_in_it_and_saves_float32_weights(run, tmp_path, monkeypatch):
    """After other tests have trained in float32 in this process."""
    dtypes = set()
    forward = DiSTForVideoClassification.forward

    def observed(self, *args, **kwargs):
        if self.training:
            dtypes.add((self.dist.spatial_encoder.dtype, self.dist.temporal_stem.weight.dtype))
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(DiSTForVideoClassification, "forward", observed)
    run(tmp_path, **SHORT, **RANDOM, mixed_precision="bf16")

    assert dtypes == {(torch.bfloat16, torch.float32)}
    weights = load_file(tmp_path / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}
    assert not any("spatial_encoder" in name for name in weights)
    assert DiSTForVideoClassification.from_pretrained(tmp_path).dist.spatial_encoder.dtype == torch.float32
    assert read_json(tmp_path / "metrics.json")["protocol"]["precision"] == "bfloat16"


def test_linear_head_clipping_and_tracker(run, tmp_path):
    run(tmp_path, head_type="linear", max_grad_norm=1.0, num_epochs=2, report_to=["tensorboard"])
    model = DiSTForVideoClassification.from_pretrained(tmp_path)
    assert model.config.head_type == "linear" and model.num_labels == len(PANS)
    history = read_json(tmp_path / "training_history.json")
    assert [record["epoch"] for record in history if "eval_top1" in record] == [2]
    assert list((tmp_path / "logs").rglob("events.out.tfevents.*"))


def test_trained_model_goes_on_with_other_classes(run, trained_dist, tmp_path):
    (tmp_path / "names.txt").write_text("\n".join([*sorted(PANS), "standing still"]))
    run(tmp_path / "out", **FROZEN, model=str(trained_dist), class_names=str(tmp_path / "names.txt"), num_frames=4)
    before, after = load_file(trained_dist / "model.safetensors"), load_file(tmp_path / "out" / "model.safetensors")
    assert after["classifier.class_embeds"].shape[0] == len(PANS) + 1
    torch.testing.assert_close(after["dist.pooling.video_token"], before["dist.pooling.video_token"])
    # What the settings say of the model is what it is, not what was asked of a new one.
    assert read_json(tmp_path / "out" / "training_settings.json")["num_frames"] == 8


def test_linear_head_of_other_classes_is_a_new_one(run, trained_dist, tmp_path):
    # A checkpoint can be fine-tuned like any saved model.
    run(tmp_path / "linear", **FROZEN, model=str(trained_dist / "checkpoint-12"), head_type="linear")
    (tmp_path / "names.txt").write_text("\n".join(["nothing", *sorted(PANS)]))
    again = {**FROZEN, "model": str(tmp_path / "linear")}
    run(tmp_path / "same", **again)
    run(tmp_path / "other", **again, class_names=str(tmp_path / "names.txt"))
    heads = [
        load_file(tmp_path / name / "model.safetensors")["classifier.weight"] for name in ("linear", "same", "other")
    ]
    torch.testing.assert_close(heads[1], heads[0])
    # The old rows would stand for other classes now.
    assert heads[2].shape[0] == 5 and not torch.allclose(heads[2][:4], heads[0], atol=1e-3)
    assert read_json(tmp_path / "same" / "training_settings.json")["head_type"] == "linear"


# ---- what is left alone, and what is refused


def test_nothing_is_overwritten_unasked(run, trained_dist):
    before = (trained_dist / "model.safetensors").read_bytes()
    with pytest.raises(ValueError, match="holds a training run.*--resume_from_checkpoint latest"):
        run(trained_dist)
    assert (trained_dist / "model.safetensors").read_bytes() == before


def test_mistake_in_a_new_run_leaves_the_old_one(run, trained_dist, tmp_path):
    copy = shutil.copytree(trained_dist, tmp_path / "copy")
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    resume = {"resume_from_checkpoint": str(copy / "checkpoint-8")}
    for changes in (
        {"overwrite_output_dir": True, "backbone": str(tmp_path)},
        {**resume, "seed": 1},
        {**resume, "temporal_dim": 8},
        {"resume_from_checkpoint": str(trained_dist / "checkpoint-8")},  # of a run in another folder
        {"overwrite_output_dir": True, "model": str(copy)},
    ):
        with pytest.raises((ValueError, OSError)):
            run(copy, **changes)
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before


def test_models_are_not_taken_for_empty_folders(run, trained_dist, tmp_path):
    """Neither one that comes from elsewhere, nor a finished run whose checkpoints were deleted to save space."""
    for resume in (None, "latest"):
        folder = shutil.copytree(trained_dist / "best_model", tmp_path / f"model-{resume}")
        with pytest.raises(ValueError, match="holds a training run or a model"):
            run(folder, resume_from_checkpoint=resume)
        before = (trained_dist / "best_model" / "model.safetensors").read_bytes()
        assert (folder / "model.safetensors").read_bytes() == before


def test_new_run_in_the_place_of_an_old_one_leaves_nothing_of_it(run, trained_dist, tmp_path):
    copy = shutil.copytree(trained_dist, tmp_path / "copy")
    run(copy, **RANDOM, overwrite_output_dir=True, num_epochs=2)
    assert checkpoints_of(copy) == ["checkpoint-4", "checkpoint-8"]
    assert read_json(copy / "training_history.json")[-1]["epoch"] == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"per_device_train_batch_size": 17}, "16 videos are less than one batch of 17"),
        ({"per_device_train_batch_size": 1, "mixing_probability": 1.0}, "Mixup and CutMix need two clips or more"),
        ({"total_batch_size": 6}, "must be a multiple"),
        ({"dataset": "{folder}/nowhere"}, "nowhere"),
        ({"backbone": "{folder}"}, "holds no weights"),
        ({"model": "{clip}"}, "is not a DiST: .* A CLIP to build on is a `backbone`"),
        ({"flip_label_pairs": ["0:9"], "augmentation": True}, "two labels from 0 to 3"),
        ({"resume_from_checkpoint": "{folder}/checkpoint-3"}, "is not a checkpoint of a training run"),
        ({"push_to_hub": True}, "folder on this machine"),
        ({"report_to": ["tensorbored"]}, "tensorbored is not a tracker"),
        ({"num_epochs": 0}, "--num_epochs must be at least 1"),
    ],
)
def test_mistakes_are_told_before_anything_is_trained_or_written(run, tiny_clip, tmp_path, changes, message):
    changes = {
        name: value.format(folder=tmp_path, clip=tiny_clip) if isinstance(value, str) else value
        for name, value in changes.items()
    }
    with pytest.raises((ValueError, OSError), match=message):
        run(tmp_path / "out", **changes)
    assert not list_checkpoints(tmp_path / "out")
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_run_stops_when_the_loss_is_no_longer_finite(run, tmp_path):
    with pytest.raises(FloatingPointError, match="no longer finite at update 4.*lower the learning rate"):
        run(tmp_path, **SHORT, learning_rate=1e30, logging_steps=4)
    assert not list_checkpoints(tmp_path)
