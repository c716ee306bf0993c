"""examples/train.py as a command: real processes, real videos, a dataset with bad files in it."""

import contextlib
import json
import os
import re
import runpy
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.state import AcceleratorState, GradientState
from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env
from safetensors.torch import load_file

from modeling_dist import DiSTForVideoClassification, DiSTVideoProcessor
from modeling_dist.data.motion_dataset import PANS, make_motion_dataset
from modeling_dist.testing import moving_square, write_video
from modeling_dist.training.checkpoint import find_checkpoint, list_checkpoints


ROOT = Path(__file__).resolve().parents[1]
NUM_VALIDATION = 9  # which two processes cannot share out evenly
BAD_FILES = {"empty.mp4", "text.mp4", "truncated.mp4"}


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """A folder of classes with 24 good videos to train on, one of 3 frames, three that cannot be read, and 9 to evaluate."""
    folder = Path(tmp_path_factory.mktemp("motions")) / "videos"
    make_motion_dataset(folder, num_train=24, num_validation=NUM_VALIDATION, size=32, num_frames=10, num_workers=1)
    bad = folder / "train" / PANS[0]
    good = next((folder / "train" / PANS[1]).iterdir()).read_bytes()
    (bad / "truncated.mp4").write_bytes(good[: len(good) // 3])
    (bad / "empty.mp4").touch()
    (bad / "text.mp4").write_text("not a video")
    (bad / "notes.txt").write_text("not named like one either")
    write_video(bad / "short.mp4", moving_square(3, 32, 32))
    return folder


@pytest.fixture(scope="module")
def options(videos, tiny_clip):
    """A training of three epochs of seven updates, in seconds."""
    return [
        *("--dataset", str(videos), "--backbone", tiny_clip, "--num_frames", "8", "--integration_dim", "64"),
        *("--temporal_dim", "16", "--num_pooling_layers", "1", "--initializer_range", "0", "--num_epochs", "3"),
        *("--warmup_epochs", "1", "--learning_rate", "1e-3", "--num_workers", "1", "--num_clips", "2"),
        *("--per_device_train_batch_size", "4", "--per_device_eval_batch_size", "2", "--logging_steps", "2"),
    ]


PLAIN = ("--no_augmentation", "--mixing_probability", "0")


def run(*command: str | Path) -> subprocess.CompletedProcess:
    """A command in a process of its own, on one thread, so that its arithmetic is the same every time."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "TQDM_MININTERVAL": "60"}
    return subprocess.run(
        [str(part) for part in command], env=environment, capture_output=True, text=True, timeout=300
    )


def launch(script: str, *options: str | Path, num_processes: int = 1) -> subprocess.CompletedProcess:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    several = ("--config_file", ROOT / "examples" / "accelerate" / "cpu.yaml", "--main_process_port", str(port))
    finished = run(
        *(sys.executable, "-m", "accelerate.commands.launch", *(several if num_processes > 1 else ())),
        *("--num_processes", str(num_processes), ROOT / "examples" / script, *options),
    )
    assert finished.returncode == 0, finished.stderr[-4000:]
    return finished


@pytest.fixture
def in_process(monkeypatch):
    """Runs a script within the test's own process: quicker, where it makes no difference."""

    def run_script(script: str, *options: str | Path):
        monkeypatch.setattr(sys, "argv", [script, *map(str, options)])
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        num_threads = torch.get_num_threads()
        torch.set_num_threads(1)
        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()
        try:
            runpy.run_path(str(ROOT / "examples" / script), run_name="__main__")
        except SystemExit as stop:
            if stop.code not in (None, 0):
                raise
        finally:
            torch.set_num_threads(num_threads)
            AcceleratorState._reset_state(reset_partial_state=True)
            GradientState._reset_state()

    return run_script


def assert_same_weights(left: Path, right: Path, atol: float):
    left, right = load_file(left / "model.safetensors"), load_file(right / "model.safetensors")
    assert left.keys() == right.keys()
    for name in left:
        torch.testing.assert_close(
            left[name], right[name], rtol=0, atol=atol, msg=lambda text, name=name: f"{name}: {text}"
        )


def read_json(path: Path):
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def plain_run(options, tmp_path_factory):
    """The output of a run of one process without augmentation."""
    folder = tmp_path_factory.mktemp("runs") / "plain"
    folder.with_suffix(".log").write_text(launch("train.py", *options, *PLAIN, "--output_dir", folder).stderr)
    return folder


def test_two_processes_train_and_evaluate_as_one(options, plain_run, tmp_path):
    halves = ("--per_device_train_batch_size", "2", "--output_dir", tmp_path / "two")
    log = launch("train.py", *options, *PLAIN, *halves, num_processes=2).stderr

    assert "2 process(es)" in log
    assert_same_weights(plain_run, tmp_path / "two", atol=1e-5)
    one, two = (read_json(folder / "evaluation" / "metrics.json") for folder in (plain_run, tmp_path / "two"))
    assert one["num_videos"] == two["num_videos"] == NUM_VALIDATION
    assert one["confusion_matrix"] == two["confusion_matrix"]
    assert one["protocol"]["list_hash"] == two["protocol"]["list_hash"]
    assert two["loss"] == pytest.approx(one["loss"], rel=1e-5)

    weights = (tmp_path / "two" / "model.safetensors").read_bytes()
    again = ("--resume_from_checkpoint", tmp_path / "two" / "checkpoint-14")
    launch("train.py", *options, *PLAIN, *halves, *again, num_processes=2)
    assert (tmp_path / "two" / "model.safetensors").read_bytes() == weights


def test_killed_run_goes_on_to_the_same_weights_bit_for_bit(options, tmp_path):
    """With augmentation, mixing and workers; killed between two checkpoints, and again while one is being written."""
    train = (ROOT / "examples" / "train.py", *options, "--num_workers", "2")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    killer = (sys.executable, ROOT / "tests" / "run_and_kill.py")
    assert run(sys.executable, *train, "--output_dir", whole).returncode == 0

    first = run(*killer, "update:18", *train, "--output_dir", killed)
    assert first.returncode == -signal.SIGKILL, first.stderr[-4000:]
    assert [path.name for path in list_checkpoints(killed)] == ["checkpoint-7", "checkpoint-14"]

    again = ("--output_dir", killed, "--resume_from_checkpoint", "latest")
    second = run(*killer, "save:1", *train, *again)
    assert second.returncode == -signal.SIGKILL, second.stderr[-4000:]
    assert "after 14 updates" in second.stderr
    assert (killed / ".incomplete-checkpoint-21").is_dir()
    assert find_checkpoint(killed, "latest").name == "checkpoint-14"

    third = run(sys.executable, *train, *again)
    assert third.returncode == 0, third.stderr[-4000:]
    assert (killed / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert read_json(killed / "training_history.json") == read_json(whole / "training_history.json")
    assert not list(killed.glob(".incomplete-*"))
    assert [path.name for path in list_checkpoints(killed)] == ["checkpoint-14", "checkpoint-21"]


def test_resuming_within_an_epoch_gives_the_same_weights(options, plain_run, tmp_path, in_process):
    kwargs = (*options, *PLAIN, "--checkpointing_steps", "4", "--checkpoints_total_limit", "0")
    in_process("train.py", *kwargs, "--output_dir", tmp_path)
    assert [path.name for path in list_checkpoints(tmp_path)] == [f"checkpoint-{n}" for n in (4, 8, 12, 16, 20, 21)]
    whole = (tmp_path / "model.safetensors").read_bytes()

    in_process("train.py", *kwargs, "--output_dir", tmp_path, "--resume_from_checkpoint", tmp_path / "checkpoint-12")

    assert (tmp_path / "model.safetensors").read_bytes() == whole
    # Other numbers of records and checkpoints do not change what is learned.
    assert_same_weights(plain_run, tmp_path, atol=1e-6)


def test_bad_videos_are_named_once_counted_and_replaced(plain_run):
    log = plain_run.with_suffix(".log").read_text()
    for name in BAD_FILES:
        assert sum(name in line and "cannot be read" in line for line in log.splitlines()) == 1, name
    assert "short.mp4" not in log
    assert "notes.txt" not in log and "not named like videos" in log
    assert read_json(plain_run / "training_history.json")[-2]["num_unreadable"] == len(BAD_FILES)
    metrics = read_json(plain_run / "metrics.json")
    assert metrics["protocol"]["num_unreadable_in_training"] == len(BAD_FILES)
    assert metrics["num_unreadable"] == 0


def test_checkpoints_hold_no_backbone(plain_run):
    model = DiSTForVideoClassification.from_pretrained(plain_run)
    tunable = {name for name in model.state_dict() if model.is_tunable(name)}
    for folder in (plain_run, plain_run / "checkpoint-21", plain_run / "best_model"):
        assert set(load_file(folder / "model.safetensors")) == tunable
    bytes_of_weights = sum(model.state_dict()[name].nbytes for name in tunable)
    # AdamW keeps two values for each weight.
    assert (plain_run / "checkpoint-21" / "training.pt").stat().st_size < 2.5 * bytes_of_weights


def test_output_has_all_that_is_promised(plain_run, options):
    assert [path.name for path in list_checkpoints(plain_run)] == ["checkpoint-14", "checkpoint-21"]
    settings = read_json(plain_run / "training_settings.json")
    assert settings["learning_rate"] == 1e-3 and settings["num_epochs"] == 3 and settings["augmentation"] is False
    history = read_json(plain_run / "training_history.json")
    evaluations = [record for record in history if "eval_top1" in record]
    assert [record["epoch"] for record in evaluations] == [1, 2, 3]
    assert [record["step"] for record in history if "loss" in record] == [*range(2, 21, 2), 21]
    best = max(record["eval_top1"] for record in evaluations)
    assert read_json(plain_run / "best_model" / "metrics.json")["top1"] == best
    assert (plain_run / "training_curves.png").stat().st_size > 1000
    assert {path.name for path in (plain_run / "evaluation").iterdir()} == {
        *("metrics.json", "predictions.parquet", "confusion_matrix.png", "per_class_accuracy.png")
    }


def test_trained_model_has_the_class_names_and_takes_videos(plain_run, videos):
    model = DiSTForVideoClassification.from_pretrained(plain_run)
    processor = DiSTVideoProcessor.from_pretrained(plain_run)
    assert list(model.config.id2label.values()) == sorted(PANS)
    video = next((videos / "validation" / PANS[0]).iterdir())
    logits = model(**processor(str(video), num_clips=2, return_tensors="pt")).logits
    assert logits.shape == (1, len(PANS))


def test_accumulated_batches_train_as_one(options, plain_run, tmp_path, in_process):
    in_process(
        "train.py",
        *options,
        *PLAIN,
        "--per_device_train_batch_size",
        "2",
        "--total_batch_size",
        "4",
        "--output_dir",
        tmp_path,
    )
    assert_same_weights(plain_run, tmp_path, atol=1e-5)


def test_gradient_checkpointing_changes_nothing(options, plain_run, tmp_path, in_process):
    in_process("train.py", *options, *PLAIN, "--gradient_checkpointing", "--output_dir", tmp_path)
    assert_same_weights(plain_run, tmp_path, atol=1e-5)


def test_mixed_precision_holds_the_backbone_in_it_and_saves_float32_weights(
    options, tmp_path, in_process, monkeypatch
):
    dtypes = set()
    forward = DiSTForVideoClassification.forward

    def observed(self, *args, **kwargs):
        if self.training:
            dtypes.add((self.dist.spatial_encoder.dtype, self.dist.temporal_stem.weight.dtype))
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(DiSTForVideoClassification, "forward", observed)
    in_process("train.py", *options, "--mixed_precision", "bf16", "--num_epochs", "2", "--output_dir", tmp_path)

    assert dtypes == {(torch.bfloat16, torch.float32)}
    weights = load_file(tmp_path / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}
    assert not any("spatial_encoder" in name for name in weights)
    assert DiSTForVideoClassification.from_pretrained(tmp_path).dist.spatial_encoder.dtype == torch.float32
    assert read_json(tmp_path / "metrics.json")["protocol"]["precision"] == "bfloat16"


def test_linear_head_clipping_and_tracker(options, tmp_path, in_process):
    in_process(
        *(
            "train.py",
            *options,
            "--head_type",
            "linear",
            "--max_grad_norm",
            "1",
            "--num_epochs",
            "2",
            "--eval_every",
            "0",
        ),
        *("--report_to", "tensorboard", "--output_dir", tmp_path),
    )
    model = DiSTForVideoClassification.from_pretrained(tmp_path)
    assert model.config.head_type == "linear" and model.num_labels == len(PANS)
    assert [record["epoch"] for record in read_json(tmp_path / "training_history.json") if "eval_top1" in record] == [
        2
    ]
    assert list((tmp_path / "logs").rglob("events.out.tfevents.*"))


def test_trained_model_goes_on_with_other_classes(plain_run, options, videos, tmp_path, in_process):
    (tmp_path / "names.txt").write_text("\n".join([*sorted(PANS), "standing still"]))
    in_process(
        *("train.py", *options, "--model", plain_run, "--class_names", tmp_path / "names.txt", "--num_epochs", "2"),
        *("--num_frames", "4", "--learning_rate", "1e-12", "--warmup_epochs", "0", "--output_dir", tmp_path / "out"),
    )
    before, after = load_file(plain_run / "model.safetensors"), load_file(tmp_path / "out" / "model.safetensors")
    assert after["classifier.class_embeds"].shape[0] == len(PANS) + 1
    torch.testing.assert_close(after["dist.pooling.video_token"], before["dist.pooling.video_token"])
    # What the settings say of the model is what it is, not what was asked of a new one.
    assert read_json(tmp_path / "out" / "training_settings.json")["num_frames"] == 8


def test_saved_settings_repeat_the_run(plain_run, tmp_path, in_process):
    in_process("train.py", "--recipe", plain_run / "training_settings.json", "--output_dir", tmp_path)
    assert_same_weights(plain_run, tmp_path, atol=1e-6)


def test_nothing_is_overwritten_unasked(plain_run, options, tmp_path, in_process):
    before = (plain_run / "model.safetensors").read_bytes()
    with pytest.raises(SystemExit, match="holds a training run.*--resume_from_checkpoint latest"):
        in_process("train.py", *options, "--output_dir", plain_run)
    assert (plain_run / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (("--seed", "1"), "another seed: 0 then, 1 now"),
        (("--per_device_train_batch_size", "2"), "another global batch size: 4 then, 2 now"),
        (("--learning_rate", "1e-4"), "another learning rate: 0.001 then, 0.0001 now"),
        (("--weight_decay", "0.1"), "another weight decay"),
        (("--exclude", "{list}"), "another list of training videos"),
    ],
)
def test_resuming_another_run_is_refused(plain_run, options, videos, tmp_path, in_process, changes, message):
    bad = tmp_path / "bad.csv"
    bad.write_text(f"video,problem,reason\n{videos / 'train' / PANS[0] / 'empty.mp4'},unreadable,\n")
    changes = [change.format(list=bad) for change in changes]
    with pytest.raises(SystemExit, match=message):
        in_process(
            "train.py", *options, *PLAIN, *changes, "--output_dir", plain_run, "--resume_from_checkpoint", "latest"
        )
    assert [path.name for path in list_checkpoints(plain_run)] == ["checkpoint-14", "checkpoint-21"]


def test_mistake_in_a_new_run_leaves_the_old_one(plain_run, options, tmp_path, in_process):
    copy = shutil.copytree(plain_run, tmp_path / "copy")
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    for changes in (
        ("--overwrite_output_dir", "--backbone", tmp_path),
        ("--resume_from_checkpoint", copy / "checkpoint-14", "--seed", "1"),
        ("--resume_from_checkpoint", copy / "checkpoint-14", "--temporal_dim", "8"),
        ("--resume_from_checkpoint", plain_run / "checkpoint-14"),  # of a run in another folder
        ("--model", copy, "--overwrite_output_dir"),
    ):
        with pytest.raises(SystemExit):
            in_process("train.py", *options, *PLAIN, *changes, "--output_dir", copy)
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before


def test_models_are_not_taken_for_empty_folders(plain_run, options, tmp_path, in_process):
    """Neither one that comes from elsewhere, nor a finished run whose checkpoints were deleted to save space."""
    for resume in ((), ("--resume_from_checkpoint", "latest")):
        folder = tmp_path / f"model{len(resume)}"
        shutil.copytree(plain_run / "best_model", folder)
        with pytest.raises(SystemExit, match="holds a training run or a model"):
            in_process("train.py", *options, *resume, "--output_dir", folder)
        assert (folder / "model.safetensors").read_bytes() == (
            plain_run / "best_model" / "model.safetensors"
        ).read_bytes()


def test_checkpoint_may_be_given_by_a_relative_path(plain_run, options, tmp_path, in_process, monkeypatch):
    copy = shutil.copytree(plain_run, tmp_path / "copy")
    monkeypatch.chdir(tmp_path)
    resume = ("--resume_from_checkpoint", "copy/checkpoint-14", "--num_epochs", "4")
    in_process("train.py", *options, *PLAIN, *resume, "--output_dir", tmp_path / "copy")
    assert [path.name for path in list_checkpoints(copy)] == ["checkpoint-21", "checkpoint-28"]


def test_linear_head_of_other_classes_is_a_new_one(options, plain_run, tmp_path, in_process):
    linear = ("--head_type", "linear", "--num_epochs", "1", "--warmup_epochs", "0", "--learning_rate", "1e-12")
    in_process("train.py", *options, "--model", plain_run, *linear, "--output_dir", tmp_path / "linear")
    (tmp_path / "names.txt").write_text("\n".join(["nothing", *sorted(PANS)]))
    again = ("--model", tmp_path / "linear", "--learning_rate", "1e-12", "--num_epochs", "1", "--warmup_epochs", "0")
    in_process("train.py", *options, *again, "--output_dir", tmp_path / "same")
    in_process(
        "train.py", *options, *again, "--class_names", tmp_path / "names.txt", "--output_dir", tmp_path / "other"
    )
    heads = [
        load_file(tmp_path / name / "model.safetensors")["classifier.weight"] for name in ("linear", "same", "other")
    ]
    torch.testing.assert_close(heads[1], heads[0])
    # The old rows would stand for other classes now.
    assert heads[2].shape[0] == 5 and not torch.allclose(heads[2][:4], heads[0], atol=1e-3)
    assert read_json(tmp_path / "same" / "training_settings.json")["head_type"] == "linear"


def test_new_run_in_the_place_of_an_old_one_leaves_nothing_of_it(plain_run, options, tmp_path, in_process):
    copy = shutil.copytree(plain_run, tmp_path / "copy")
    in_process("train.py", *options, "--overwrite_output_dir", "--num_epochs", "2", "--output_dir", copy)
    assert [path.name for path in list_checkpoints(copy)] == ["checkpoint-7", "checkpoint-14"]
    assert read_json(copy / "training_history.json")[-1]["epoch"] == 2


def test_unreadable_validation_video_costs_no_training(options, videos, tmp_path, in_process):
    copy = shutil.copytree(videos, tmp_path / "videos")
    (copy / "validation" / PANS[0] / "bad.mp4").write_text("not a video")
    run = (
        *options,
        *PLAIN,
        "--dataset",
        copy,
        "--num_epochs",
        "1",
        "--warmup_epochs",
        "0",
        "--output_dir",
        tmp_path / "out",
    )
    with pytest.raises(SystemExit, match=r"(?s)bad\.mp4.*--skip_unreadable"):
        in_process("train.py", *run)
    assert find_checkpoint(tmp_path / "out", "latest").name == "checkpoint-7"

    in_process("train.py", *run, "--resume_from_checkpoint", "latest", "--skip_unreadable")

    metrics = read_json(tmp_path / "out" / "metrics.json")
    assert metrics["num_videos"] == NUM_VALIDATION and metrics["num_unreadable"] == 1
    assert (tmp_path / "out" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (("--per_device_train_batch_size", "29"), "28 videos are less than one batch of 29"),
        (("--per_device_train_batch_size", "1"), "Mixup and CutMix need two clips or more"),
        (("--total_batch_size", "6"), "must be a multiple"),
        (("--dataset", "{folder}/nowhere"), "nowhere"),
        (("--backbone", "{folder}"), "holds no weights"),
        (("--flip_label_pairs", "0:9"), "two labels from 0 to 3"),
        (("--resume_from_checkpoint", "{folder}/checkpoint-3"), "is no checkpoint of a training run"),
        (("--push_to_hub",), "folder on this machine"),
        (("--report_to", "tensorbored"), "tensorbored is no tracker"),
    ],
)
def test_mistakes_are_told_before_anything_is_trained_or_written(options, tmp_path, in_process, changes, message):
    changes = [change.format(folder=tmp_path) for change in changes]
    with pytest.raises(SystemExit) as stop:
        in_process("train.py", *options, "--output_dir", tmp_path / "out", *changes)
    assert isinstance(stop.value.code, str)
    stop.match(message)
    assert not list_checkpoints(tmp_path / "out")
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_launcher_understands_the_configurations():
    for path in sorted((ROOT / "examples" / "accelerate").glob("*.yaml")):
        arguments = launch_command_parser().parse_args(["--config_file", str(path), "train.py"])
        arguments, _, _ = _validate_launch_command(arguments)
        assert arguments.num_processes >= 1 and arguments.mixed_precision in ("no", "bf16"), path
        if arguments.use_deepspeed:
            arguments.deepspeed_fields_from_accelerate_config = ""
            _, environment = prepare_deepspeed_cmd_env(arguments)
            # Accelerate makes a number of it.
            int(environment.get("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", 1))
        else:
            environment = prepare_multi_gpu_env(arguments)
        assert environment["ACCELERATE_MIXED_PRECISION"] == arguments.mixed_precision
        assert (environment.get("ACCELERATE_USE_FSDP") == "true") == (path.stem == "fsdp")


def test_documented_commands_have_the_options_that_they_use(in_process, capsys):
    """Every command in the READMEs and in the scripts' own descriptions."""
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "examples/README.md")]
    texts += [path.read_text(encoding="utf-8").split('"""')[1] for path in (ROOT / "examples").glob("*.py")]
    commands = re.findall(r"examples/(\w+\.py)((?:[^`\n]|\\\n)*)", "\n".join(texts).replace("\\\\", "\\"))
    known = {}
    for script, rest in commands:
        if script not in known:
            with contextlib.suppress(SystemExit):
                in_process(script, "--help")
            known[script] = set(re.findall(r"--\w+", capsys.readouterr().out))
        used = set(re.findall(r"--\w+", rest))
        assert used <= known[script], (script, used - known[script])
    assert {"train.py", "evaluate.py", "predict.py", "scan.py", "publish.py"} <= known.keys()
