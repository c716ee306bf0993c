"""Files and folders appear complete or not at all."""

from types import SimpleNamespace

import pytest

from modeling_dist.data import ScanSettings, scan
from modeling_dist.evaluation import EvaluationSettings, PredictionSettings, evaluate, predict_files
from modeling_dist.files import (
    atomic_file,
    atomic_folder,
    check_writable,
    read_json,
    read_json_object,
    write_json,
)
from modeling_dist.training import TrainingSettings, train


def test_file_is_replaced_at_the_end(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic_file(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_failed_write_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(type(error)), atomic_file(path) as temporary:
        temporary.write_text("ne")
        raise error
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_folder_appears_whole(tmp_path):
    path = tmp_path / "new" / "folder"
    with atomic_folder(path) as temporary:
        (temporary / "a").touch()
        assert not path.exists()
    assert [file.name for file in path.iterdir()] == ["a"]
    assert path.stat().st_mode == (tmp_path / "new").stat().st_mode  # others may read it


def test_empty_folder_may_be_there_already(tmp_path):
    with atomic_folder(tmp_path) as temporary:
        (temporary / "a").touch()
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_nothing_is_overwritten(tmp_path, kind):
    path = tmp_path / "there"
    if kind == "folder":
        path.mkdir()
        path = path.parent
    else:
        path.touch()
    with pytest.raises(FileExistsError, match="is not an empty folder"), atomic_folder(path):
        raise AssertionError("never reached")


def test_failure_leaves_no_folder(tmp_path):
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "new") as temporary:
        (temporary / "a").touch()
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_json_is_read_as_it_was_written(tmp_path):
    content = {"name": "Élan → 跑", "values": [1, None, 0.5]}
    write_json(tmp_path / "a.json", content)
    assert read_json(tmp_path / "a.json") == read_json_object(tmp_path / "a.json") == content
    assert "跑" in (tmp_path / "a.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe{}"])
def test_broken_json_is_named(tmp_path, content):
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.json is not a valid JSON file"):
        read_json(path)


def test_other_json_than_an_object_is_refused(tmp_path):
    write_json(tmp_path / "a.json", [1])
    with pytest.raises(ValueError, match=r"a\.json must hold a JSON object, and holds a list"):
        read_json_object(tmp_path / "a.json")


@pytest.mark.parametrize("is_folder", [True, False])
def test_a_place_that_cannot_be_written_to_is_found_before(tmp_path, is_folder, monkeypatch):
    check_writable(tmp_path / "new" / "deep" / "out", is_folder)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("in the way")
    for path in (tmp_path / "file" / "out", tmp_path / "file" / "deep" / "out"):
        with pytest.raises(
            NotADirectoryError, match=rf"{path} cannot be written, because {tmp_path}/file is not a folder"
        ):
            check_writable(path, is_folder)
    if is_folder:
        with pytest.raises(NotADirectoryError, match="is not a folder"):
            check_writable(tmp_path / "file")
    else:
        check_writable(tmp_path / "file", is_folder=False)
        with pytest.raises(IsADirectoryError, match="it is a folder"):
            check_writable(tmp_path, is_folder=False)
    monkeypatch.setattr("modeling_dist.files.os.access", lambda path, mode: False)
    with pytest.raises(PermissionError, match=rf"no permission to write to {tmp_path}\. Choose"):
        check_writable(tmp_path / "out", is_folder)
    monkeypatch.undo()
    monkeypatch.setattr("modeling_dist.files.shutil.disk_usage", lambda path: SimpleNamespace(free=100))
    with pytest.raises(OSError, match="only 100 bytes left"):
        check_writable(tmp_path / "out", is_folder)


def test_commands_find_it_before_they_load_anything(tmp_path):
    (tmp_path / "file").write_text("in the way")
    path, gone = str(tmp_path / "file" / "out"), str(tmp_path / "gone")
    for run in (
        lambda: train(TrainingSettings(dataset=gone, output_dir=path)),
        lambda: evaluate(EvaluationSettings(dataset=gone, model=gone, output_dir=path)),
        lambda: predict_files(PredictionSettings(videos=[gone], model=gone, output=f"{path}.csv")),
        lambda: scan(ScanSettings(dataset=gone, num_frames=8, output=f"{path}.csv")),
    ):
        with pytest.raises(NotADirectoryError, match="cannot be written, because"):
            run()
