"""How options are declared, spelled and read, and what a command says of an error."""

from dataclasses import dataclass

import pytest

from modeling_dist.command_line import ArgumentParser, add_options, exit_with_message, option, parse_options
from modeling_dist.command_line import Settings as SettingsBase


@dataclass
class Settings(SettingsBase):
    video_root: str | None = option(None, "folder of the videos", group="data")
    num_frames: int = option(16, "frames in a clip", group="model", minimum=1)
    crop_scale: list[float] = option([0.4, 1.0], "range of the area, as a % of the frame")
    dtype: str = option("float32", "precision", choices=("float32", "bfloat16"))
    augmentation: bool = option(True, "augment clips", group="data")
    cpu: bool = option(False, "use the CPU")
    seed: int = option(0, "seed of everything")


@pytest.fixture
def parser():
    parser = ArgumentParser(prog="try")
    add_options(parser, Settings)
    return parser


def parse(parser, *arguments):
    return parse_options(Settings, parser, arguments)


def test_defaults_are_the_dataclass_own(parser):
    assert parse(parser) == Settings()
    assert parse(parser).crop_scale is not parse(parser).crop_scale


@pytest.mark.parametrize("spelling", ["--num_frames=8", "--num-frames=8"])
def test_underscores_and_hyphens_are_alike(parser, spelling):
    assert parse(parser, spelling, "--crop-scale", "0.5", "1", "--video-root", "a-b_c").num_frames == 8
    assert parse(parser, "--video_root", "--num-frames".removeprefix("--")).video_root == "num-frames"


def test_values_are_not_respelled(parser):
    assert parse(parser, "--video-root=my-videos").video_root == "my-videos"
    assert parse(parser, "--video_root", "some-folder").video_root == "some-folder"


@pytest.mark.parametrize("spelling", ["--no_augmentation", "--no-augmentation"])
def test_flags_can_be_turned_on_and_off(parser, spelling):
    settings = parse(parser, spelling, "--cpu")
    assert settings.augmentation is False and settings.cpu is True
    parser.set_defaults(cpu=True)
    assert parse(parser, "--no_cpu").cpu is False


@pytest.mark.parametrize("arguments", [["--num"], ["--dtype", "int8"], ["--num_frames", "many"], ["--hidden", "1"]])
def test_what_is_no_option_or_value_is_refused(parser, arguments, capsys):
    with pytest.raises(SystemExit):
        parse(parser, *arguments)
    assert "try: error:" in capsys.readouterr().err


def test_help_has_groups_and_only_telling_defaults(parser, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    text = parser.format_help().split("options:")[1]
    assert text.index("\ndata:") < text.index("--video_root") < text.index("--augmentation") < text.index("\nmodel:")
    assert "frames in a clip (default: 16)" in text
    assert "as a % of the frame (default: 0.4 1.0)" in text
    assert "None" not in text and "False" not in text and "(default: 0)" in text


@pytest.mark.parametrize("error", [ValueError("too many"), FileNotFoundError("no such file")])
def test_errors_of_the_user_end_a_command_with_their_message(error, monkeypatch):
    with pytest.raises(SystemExit, match=f"{type(error).__name__}: {error}") as stop, exit_with_message():
        raise error
    assert stop.value.__cause__ is None and stop.value.__suppress_context__
    monkeypatch.setenv("MODELING_DIST_TRACEBACK", "1")
    with pytest.raises(type(error)), exit_with_message():
        raise error


def test_errors_of_the_program_keep_their_traceback():
    with pytest.raises(KeyError), exit_with_message():
        raise KeyError("a bug")


def test_values_below_the_minimum_are_refused(parser, capsys):
    assert parse(parser, "--num_frames", "1").num_frames == 1
    with pytest.raises(SystemExit):
        parse(parser, "--num_frames", "0")
    assert "try: error: --num_frames must be at least 1, got 0." in capsys.readouterr().err


def test_settings_made_in_python_are_checked_as_well():
    with pytest.raises(ValueError, match="--dtype must be one of float32, bfloat16, got int8"):
        Settings(dtype="int8").check()

    @dataclass
    class Required(SettingsBase):
        videos: list[str] = option([], "videos", required=True)
        output: str | None = option(None, "output", required=True)

    for settings, name in ((Required(output="a"), "videos"), (Required(videos=["a"]), "output")):
        with pytest.raises(ValueError, match=f"--{name} is required"):
            settings.check()
    Required(videos=["a"], output="b").check()
