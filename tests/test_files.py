"""Files and folders appear complete or not at all."""

import pytest

from modeling_dist.files import (
    atomic_file,
    atomic_folder,
    read_json,
    read_json_object,
    write_json,
)


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
