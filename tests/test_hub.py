"""The loopback Hub that other tests use, as the real client sees it."""

import hashlib
import urllib.error
import urllib.request

import pytest
from hub_server import HubClient, LoopbackHub


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A Hub and a client."""
    with LoopbackHub() as hub, HubClient(hub, tmp_path_factory.mktemp("client")) as client:
        hub.add_user("me", token="secret", organizations=["org"])
        hub.add_user("other", token="others")
        hub.add_user("me", token="reading", organizations=["org"], can_write=False)
        yield hub, client


PREAMBLE = """
from huggingface_hub import CommitOperationAdd, HfApi, errors, hf_api, hf_hub_download, snapshot_download
api = HfApi()
"""


def run(client, code, *argv, token="secret", **kwargs):
    result = client.run(PREAMBLE + code, *argv, token=token, **kwargs)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_what_a_client_pushes_is_what_it_gets_back(server, tmp_path):
    hub, client = server
    (tmp_path / "model.safetensors").write_bytes(weights := bytes(range(256)) * 5000)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a b.txt").write_text("hello")
    code = """
import sys, pathlib
assert api.whoami()["name"] == "me"
url = api.create_repo("round-trip", private=True)
assert (url.repo_id, url.repo_type) == ("me/round-trip", "model")
commit = api.upload_folder(repo_id="me/round-trip", folder_path=sys.argv[1], commit_message="First")
folder = pathlib.Path(snapshot_download("me/round-trip"))
for path in ("model.safetensors", "notes/a b.txt"):
    assert (folder / path).read_bytes() == (pathlib.Path(sys.argv[1]) / path).read_bytes()
assert folder.name == commit.oid == api.model_info("me/round-trip").sha
info = {entry.path: entry for entry in api.list_repo_tree("me/round-trip", recursive=True)}
assert info["model.safetensors"].lfs.size == info["model.safetensors"].size == 1280000
assert info["notes/a b.txt"].lfs is None and isinstance(info["notes"], hf_api.RepoFolder)
assert {entry.path for entry in api.list_repo_tree("me/round-trip")} == {".gitattributes", "model.safetensors", "notes"}
assert [entry.path for entry in api.get_paths_info("me/round-trip", ["notes", "nowhere"])] == ["notes"]
assert api.file_exists("me/round-trip", "notes/a b.txt") and not api.file_exists("me/round-trip", "b.txt")
try:
    hf_hub_download("me/round-trip", "b.txt")
except errors.EntryNotFoundError:
    pass
api.delete_file("notes/a b.txt", repo_id="me/round-trip")
again = api.upload_folder(repo_id="me/round-trip", folder_path=sys.argv[1])
"""
    run(client, code, tmp_path)
    assert hub.repositories["model", "me/round-trip"].private
    assert hub.files("me/round-trip") == {"model.safetensors": weights, "notes/a b.txt": b"hello"}
    assert len(hub.commits("me/round-trip")) == 4
    by_lfs = [upload for upload in hub.uploads if upload.via == "lfs"]
    assert [(upload.size, upload.sha256) for upload in by_lfs] == [(1280000, hashlib.sha256(weights).hexdigest())]
    run(client, 'api.delete_repo("me/round-trip")')
    assert ("model", "me/round-trip") not in hub.repositories


def test_revisions_stay_when_main_moves_on(server):
    hub, client = server
    first = hub.add_files("org/moving", {"config.json": b"1", "a.bin": b"old"})
    code = """
import sys
from pathlib import Path
first = sys.argv[1]
read = lambda **kwargs: Path(hf_hub_download("org/moving", **kwargs)).read_text()
api.create_branch("org/moving", branch="dev")
api.create_tag("org/moving", tag="v1")
api.upload_file(path_or_fileobj=b"new", path_in_repo="a.bin", repo_id="org/moving")
api.upload_file(path_or_fileobj=b"branched", path_in_repo="a.bin", repo_id="org/moving", revision="dev")
pull = api.upload_file(path_or_fileobj=b"proposed", path_in_repo="a.bin", repo_id="org/moving", create_pr=True)
assert pull.pr_num == 1
contents = [read(filename="a.bin", revision=name) for name in ("main", "dev", "v1", first, pull.pr_revision)]
assert contents == ["new", "branched", "old", "old", "proposed"]
refs = api.list_repo_refs("org/moving", include_pull_requests=True)
assert {ref.name for ref in refs.branches} == {"main", "dev"}
assert [ref.ref for ref in refs.pull_requests] == ["refs/pr/1"] and [ref.name for ref in refs.tags] == ["v1"]
assert [commit.commit_id for commit in api.list_repo_commits("org/moving")][1] == first
api.create_branch("org/moving", branch="dev", exist_ok=True)
api.delete_branch("org/moving", branch="dev")
for revision in ("dev", "0" * 40):
    try:
        read(filename="a.bin", revision=revision, force_download=True)
    except errors.RevisionNotFoundError:
        print("gone")
try:
    api.create_commit("org/moving", [CommitOperationAdd("b", b"b")], commit_message="Late", parent_commit=first)
except errors.HfHubHTTPError as error:
    assert error.response.status_code == 412
"""
    assert run(client, code, first).split() == ["gone", "gone"]
    assert hub.files("org/moving", "refs/pr/1")["a.bin"] == b"proposed"
    assert "b" not in hub.files("org/moving")


def test_rights(server):
    hub, client = server
    hub.add_files("org/hidden", {"config.json": b"{}"}, private=True)
    hub.add_files("org/open", {"config.json": b"{}"})
    hub.add_files("org/open", {"data.csv": b"1"}, repo_type="dataset")
    code = """
def what(call, **kwargs):
    try:
        call(**kwargs)
        print("fine")
    except errors.HfHubHTTPError as error:
        print(type(error).__name__, error.response.status_code)

what(hf_hub_download, repo_id="org/hidden", filename="config.json")
what(hf_hub_download, repo_id="org/open", filename="config.json")
what(hf_hub_download, repo_id="org/open", filename="data.csv", repo_type="dataset")
what(api.create_repo, repo_id="org/new")
what(api.upload_file, path_or_fileobj=b"1", path_in_repo="a", repo_id="org/open")
what(api.upload_file, path_or_fileobj=b"1", path_in_repo="a", repo_id="org/open", create_pr=True)
"""
    refused, missing = "HfHubHTTPError 403", "RepositoryNotFoundError"
    expected = {
        "secret": ["fine", "fine", "fine", "fine", "fine", "fine"],
        "others": [f"{missing} 404", "fine", "fine", refused, refused, "fine"],
        "reading": ["fine", "fine", "fine", refused, refused, "fine"],
    }
    for token, answers in expected.items():
        assert run(client, code, token=token).splitlines() == answers, token
    anonymous = [line.split()[-1] for line in run(client, code, token=None).splitlines()]
    assert anonymous == ["401", "fine", "fine", "401", "401", "401"]
    wrong = [line.split()[-1] for line in run(client, code, token="invented").splitlines()]
    assert wrong == 6 * ["401"]


def test_faults_leave_no_half_made_commit(server):
    hub, client = server
    hub.add_files("org/faults", {"old.txt": b"old"})
    code = """
import sys, time
time.sleep = lambda seconds: None  # the client waits before it retries
try:
    api.create_commit(
        "org/faults",
        [CommitOperationAdd("a.bin", b"a" * 10000), CommitOperationAdd("b.txt", b"b")],
        commit_message="Both",
    )
except Exception as error:
    print(type(error).__name__)
"""
    faults = {
        "preupload": {"status": 500, "times": None},
        "PUT /lfs/upload": {"drop": "request", "times": None},
        r"lfs/verify": {"status": 503, "times": None},
        r"POST /api/models/org/faults/commit": {"drop": "reply", "status": 500},
        r"POST /api/models/org/faults/commit/main$": {"status": 500},
    }
    for pattern, fault in faults.items():
        hub.fail(pattern, **fault)
        assert run(client, code), pattern
        assert hub.files("org/faults") == {"old.txt": b"old"}, pattern
        hub.heal()
    hub.fail("PUT /lfs/upload", status=500)
    hub.fail("PUT /lfs/upload", drop="request")
    assert run(client, code) == ""  # the client has retried
    assert hub.files("org/faults") == {"old.txt": b"old", "a.bin": b"a" * 10000, "b.txt": b"b"}


def test_lost_answer_of_a_commit(server):
    hub, client = server
    hub.add_files("org/lost", {"old.txt": b"old"})
    hub.fail("/commit/", drop="lost")
    code = """
try:
    api.upload_file(path_or_fileobj=b"new", path_in_repo="new.txt", repo_id="org/lost")
except Exception as error:
    print(type(error).__name__)
"""
    assert run(client, code).strip() == "RemoteProtocolError"
    assert hub.files("org/lost") == {"old.txt": b"old", "new.txt": b"new"}


def test_broken_off_download_is_tried_again(server):
    hub, client = server
    content = bytes(range(256)) * 1000
    hub.add_files("org/broken-off", {"model.safetensors": content})
    hub.fail("GET /lfs/objects", drop="reply")
    code = """
import pathlib, time
time.sleep = lambda seconds: None
try:
    path = hf_hub_download("org/broken-off", "model.safetensors")
except Exception:  # clients of version 1 do not retry
    path = hf_hub_download("org/broken-off", "model.safetensors")
print(len(pathlib.Path(path).read_bytes()))
"""
    assert run(client, code).strip() == str(len(content))
    downloads = [line for line in hub.requests if "GET /lfs/objects" in line and "org/broken-off" in line]
    assert len(downloads) == 2


def test_pages_and_ranges(server):
    hub, _ = server
    hub.pages["/videos/a.mp4"] = bytes(range(100))

    def get(path, **headers):
        with urllib.request.urlopen(urllib.request.Request(f"{hub.url}{path}", headers=headers)) as response:
            return response.status, response.read(), response.headers.get("Content-Range")

    assert get("/videos/a.mp4") == (200, bytes(range(100)), None)
    assert get("/videos/a.mp4", Range="bytes=10-19") == (206, bytes(range(10, 20)), "bytes 10-19/100")
    assert get("/videos/a.mp4", Range="bytes=90-") == (206, bytes(range(90, 100)), "bytes 90-99/100")
    assert get("/videos/a.mp4", Range="bytes=-3") == (206, bytes(range(97, 100)), "bytes 97-99/100")
    for path, headers, status in (("/nowhere", {}, 404), ("/videos/a.mp4", {"Range": "bytes=100-"}, 416)):
        with pytest.raises(urllib.error.HTTPError) as error:
            get(path, **headers)
        assert error.value.code == status


def test_name_that_another_type_has(server, monkeypatch):
    hub, client = server
    hub.add_files("me/taken", {"data.csv": b"1"}, repo_type="dataset")
    code = """
print(api.create_repo("me/taken", exist_ok=True).repo_type)
try:
    print(api.model_info("me/taken").id)
except errors.RepositoryNotFoundError:
    print("not found")
"""
    monkeypatch.setattr(hub, "shared_names", True)
    assert run(client, code).split() == ["dataset", "not", "found"]
    monkeypatch.setattr(hub, "shared_names", False)
    assert run(client, code).split() == ["model", "me/taken"]


def test_datasets_are_pushed_and_loaded(server):
    pytest.importorskip("datasets", minversion="5.0")  # older ones upload in a way that this Hub does not support
    hub, client = server
    code = """
import datasets
datasets.Dataset.from_dict({"path": ["a", "b", "c"], "label": [0, 1, 0]}).push_to_hub("org/table")
table = datasets.load_dataset("org/table", split="train")
print(table["label"][:], table["path"][:])
"""
    assert run(client, code).strip().splitlines()[-1] == "[0, 1, 0] ['a', 'b', 'c']"
    assert any(path.endswith(".parquet") for path in hub.files("org/table", repo_type="dataset"))


@pytest.mark.parametrize(
    "line",
    ["datasets: [videos/]", "datasets: [/data/videos]", "base_model: a b", "base_model: a/b/c", "license: my own"],
)
def test_card_with_metadata_that_the_hub_does_not_take_is_refused(server, line):
    hub, client = server
    code = """
import sys
try:
    api.create_repo("org/card", exist_ok=True)
    api.upload_file(path_or_fileobj=sys.argv[1].encode(), path_in_repo="README.md", repo_id="org/card")
except ValueError as error:
    print(error)
"""
    good = "---\ndatasets: [kinetics-400, org/videos]\nbase_model: openai/clip\nlicense: mit\n---\n# A card"
    assert run(client, code, good) == ""
    name = line.split(":")[0]
    assert f'"{name}"' in run(client, code, f"---\n{line}\n---\n# A card")
    assert hub.files("org/card")["README.md"] == good.encode()
