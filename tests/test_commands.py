"""The command `modeling-dist`: what it lists, how it reads options, how it starts and ends under accelerate's launcher."""

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env

from modeling_dist.commands import env, launch, main, train
from modeling_dist.commands.demo import DemoSettings, command_of, run_demo, training_settings
from modeling_dist.data.settings import DECODERS as DECODER_CHOICES
from modeling_dist.video_decoding_dist import DECODERS


ROOT = Path(__file__).resolve().parents[1]
COMMANDS = [command for commands in main.COMMANDS.values() for command in commands]
WITH_OPTIONS = [command for command in COMMANDS if command != "env"]


def make_parser(command: str):
    return importlib.import_module(f"modeling_dist.commands.{command}").make_parser()


def options_of(parser) -> set[str]:
    return {name for action in parser._actions for name in action.option_strings}


def run(*arguments, **kwargs) -> subprocess.CompletedProcess:
    """The command in a process of its own."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "modeling_dist", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, **kwargs)


# ---- help and options


def test_help_lists_every_command(capsys):
    main.main([])
    listed = capsys.readouterr().out
    modules = {path.stem for path in Path(main.__file__).parent.glob("*.py")} - {"__init__", "main", "launch"}
    assert set(COMMANDS) == modules
    for command in COMMANDS:
        assert re.search(rf"^  {command} +\w", listed, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_of_its_own(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main.main([command, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: modeling-dist {command} ")
    assert "None)" not in text


@pytest.mark.parametrize("arguments", [["trian"], ["--num_frames", "8"]])
def test_unknown_command_is_refused(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main.main(arguments)
    assert stop.value.code == 2 and "modeling-dist: error:" in capsys.readouterr().err


@pytest.mark.parametrize("command", WITH_OPTIONS)
def test_help_of_every_option_is_a_phrase_that_stands_alone(command):
    for action in make_parser(command)._actions:
        assert action.help and action.help[0] not in " ,;" and not action.help.endswith("."), action.dest
        assert not re.match(r"(of|see|but|the same|instead)\b", action.help), (action.dest, action.help)


@pytest.mark.parametrize("command", WITH_OPTIONS)
def test_options_are_spelled_with_underscores_or_hyphens(command):
    parser = make_parser(command)
    names = [name for name in options_of(parser) if name.startswith("--") and "_" in name]
    assert command == "demo" or names
    for name in names:
        assert parser.with_underscores([name.replace("_", "-")]) == [name]


def test_commands_share_the_spelling_of_options():
    dataset_options = {"--dataset", "--dataset_format", "--dataset_config", "--dataset_revision", "--video_root"}
    dataset_options |= {"--class_names", "--video_column", "--label_column", "--exclude"}
    for command in ("train", "evaluate", "scan"):
        assert dataset_options <= options_of(make_parser(command)), command


def test_decoders_of_the_options_are_those_that_there_are():
    assert DECODER_CHOICES == ("auto", *DECODERS)


def test_documented_commands_have_the_options_that_they_use():
    """Every command in the documentation and in the commands' own descriptions."""
    paths = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").glob("*.md")]
    paths += [*(ROOT / "examples").glob("*.py"), *(ROOT / "modeling_dist" / "commands").glob("*.py")]
    paths += [ROOT / "modeling_dist" / "convert_dist_to_hf.py", ROOT / "model_cards" / "make.py"]
    text = "\n".join(path.read_text(encoding="utf-8") for path in paths).replace("\\\\\n", "\\\n")
    launcher_options = options_of(launch_command_parser())
    found = set()
    for command, rest in re.findall(r"modeling-dist (\w+)((?:[^`\n\\]|\\\n)*)", text):
        if command not in WITH_OPTIONS:
            continue
        found.add(command)
        known = options_of(make_parser(command)) | (launcher_options if command in main.LAUNCHED else set())
        used = {option.replace("-", "_").replace("__", "--", 1) for option in re.findall(r"(?<!\w)--[\w-]+", rest)}
        assert used <= known | {"--help"}, (command, used - known)
    assert found == set(WITH_OPTIONS)


# ---- accelerate's launcher


def test_arguments_are_shared_out_between_command_and_launcher():
    arguments = "--num-processes 2 --dataset 2 --report_to a b --main_process_port=0 --num-workers 2 --no-augmentation"
    own, others = launch.split_arguments(train.make_parser(), arguments.split())
    assert own == "--dataset 2 --report_to a b --num_workers 2 --no_augmentation".split()
    assert others == ["--num-processes", "2", "--main_process_port=0"]


@pytest.mark.parametrize("arguments", [["--nmu_epochs", "2"], ["videos/"], ["--num_processes", "2", "stray", "more"]])
def test_what_neither_knows_is_refused(arguments, capsys):
    options = ["--dataset", "videos", "--output_dir", "out"]
    with pytest.raises(SystemExit) as stop:
        launch.launch("train", [*options, *arguments])
    assert stop.value.code == 2
    message = capsys.readouterr().err
    assert "modeling-dist train: error: unrecognized arguments" in message and arguments[-1] in message


def read_launcher_arguments(*arguments, cpu=False, mixed_precision=None):
    return launch.read_launcher_arguments(train.make_parser(), list(arguments), cpu, mixed_precision)


def test_configurations_are_given_by_name():
    assert set(launch.CONFIGURATIONS) == {"cpu", "multi_gpu", "fsdp", "deepspeed"}
    for name, path in launch.CONFIGURATIONS.items():
        assert read_launcher_arguments("--config_file", name).config_file == str(path)
    assert (ROOT / "examples" / "accelerate" / "multi_gpu.yaml").is_file()


def test_launcher_has_nothing_to_ask_or_warn_about(monkeypatch, caplog, tmp_path):
    monkeypatch.setattr("accelerate.commands.config.default_config_file", str(tmp_path / "none.yaml"))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    arguments = read_launcher_arguments(mixed_precision="bf16")
    assert arguments.mixed_precision == "bf16" and arguments.num_processes >= 1
    _validate_launch_command(arguments)
    assert "had defaults used instead" not in caplog.text
    assert arguments.num_cpu_threads_per_process >= 1


def test_several_processes_on_a_cpu_are_started():
    assert read_launcher_arguments("--num_processes", "2", cpu=True).config_file == str(launch.CONFIGURATIONS["cpu"])


def test_launcher_understands_the_configurations():
    for path in launch.CONFIGURATIONS.values():
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


@pytest.mark.parametrize("num_processes", [1, 2])
def test_an_error_ends_a_launched_command_with_its_message_alone(tmp_path, num_processes):
    options = ["--dataset", tmp_path / "nowhere", "--output_dir", tmp_path / "out"]
    finished = run("train", "--num_processes", num_processes, "--main_process_port", 0, *options)
    assert finished.returncode == 1
    (message,) = finished.stderr.splitlines()
    assert message.startswith("FileNotFoundError: ") and "nowhere" in message
    assert not (tmp_path / "out").exists()


def test_mistakes_on_the_command_line_start_nothing(capsys, monkeypatch):
    monkeypatch.setattr(launch, "read_launcher_arguments", lambda *_: pytest.fail("it was started"))
    with pytest.raises(SystemExit) as stop:
        main.main(["train", "--dataset", "videos", "--output_dir", "out", "--num_epochs", "0"])
    assert stop.value.code == 2 and "--num_epochs must be at least 1, got 0" in capsys.readouterr().err


# ---- env and demo


def test_environment_has_what_a_bug_report_needs():
    rows = dict(env.describe_environment())
    assert rows["torch"] and rows["transformers"] and rows["modeling_dist"]
    assert "pyav" in rows["decoders, preferred first"] and re.match(r"\d|libavcodec", rows["FFmpeg of pyav"])


@pytest.fixture(scope="module")
def small_demo(tmp_path_factory):
    settings = DemoSettings(output=str(tmp_path_factory.mktemp("demo") / "demo"), num_videos=32, num_epochs=1)
    run_demo(settings)
    return settings


def test_demo_keeps_what_it_makes_and_makes_it_once(small_demo, capsys, video):
    output = Path(small_demo.output)
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*") if path.is_file()}
    assert {"clip", "videos", "dist", "evaluation", "shuffled", "demo.json"} == {
        path.name for path in output.iterdir()
    }

    main.main(["demo", "--output", str(output), "--num_videos", "32", "--num_epochs", "1", "--video", video])

    after = {path: path.stat().st_mtime_ns for path in output.rglob("*") if path.is_file()}
    assert after.pop(output / "demo.json") and before.pop(output / "demo.json")
    assert after == before
    accuracy, shuffled = (
        json.loads((output / name / "metrics.json").read_text()) for name in ("evaluation", "shuffled")
    )
    assert accuracy["num_videos"] == shuffled["num_videos"] == 8 and accuracy["protocol"]["num_clips"] == 3
    assert shuffled["protocol"]["shuffled_frames"] is True
    lines = capsys.readouterr().out.splitlines()
    figures = f"Top-1 accuracy {accuracy['top1']:.1%}; with the frames in random order {shuffled['top1']:.1%}, "
    assert video in lines and any(line.startswith(figures) for line in lines)
    predictions = [line for line in lines if re.fullmatch(r" +\d+\.\d\d%  pan (?:left|right|up|down)", line)]
    assert len(predictions) == 2 * 5
    assert lines[-3].startswith("Look at") and "predict --model" in lines[-2] and "train --dataset" in lines[-1]


def test_demo_of_another_size_or_in_a_used_folder_is_refused(small_demo, tmp_path):
    with pytest.raises(ValueError, match="--num_videos 32 --num_epochs 1"):
        run_demo(DemoSettings(output=small_demo.output, num_videos=16, num_epochs=1))
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(ValueError, match="is not empty and holds no demo"):
        run_demo(DemoSettings(output=str(tmp_path)))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_demo_tells_a_bad_video_before_it_trains(tmp_path):
    with pytest.raises(OSError, match=r"gone\.mp4"):
        run_demo(DemoSettings(output=str(tmp_path / "demo"), video=str(tmp_path / "gone.mp4")))
    assert not (tmp_path / "demo" / "videos").exists()


def test_shown_command_gives_the_settings_of_the_demo(tmp_path):
    settings = training_settings(tmp_path / "videos", tmp_path / "clip", tmp_path / "dist", 8)
    words = command_of("train", settings).split()
    assert train.parse(words[words.index("train") + 1 :]) == settings


def test_a_message_of_a_library_is_shown_once():
    code = (
        "from modeling_dist.commands.train import set_up_logging; set_up_logging(); "
        "import logging; logging.getLogger('huggingface_hub.file_download').warning('trying again')"
    )
    finished = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert finished.stderr.count("trying again") == 1
