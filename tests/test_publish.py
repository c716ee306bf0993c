"""Publishing on the Hub and loading from it, with the real client and the loopback Hub."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from hub_server import HubClient, LoopbackHub
from huggingface_hub import ModelCard
from safetensors.torch import load, load_file
from test_card import METRICS
from without_package import HIDE_PACKAGE

from modeling_dist import DiSTConfig, DiSTForVideoClassification, DiSTVideoProcessor
from modeling_dist.data.motion_dataset import make_motion_dataset
from modeling_dist.hub import AUTO_MAP, CODE_FILES, PIPELINE_FILES, publish
from modeling_dist.hub.card import make_model_card
from modeling_dist.testing import make_tiny_clip


ROOT = Path(__file__).parent.parent
PUBLISH = "from modeling_dist.commands.publish import main; main()"
TRAIN = """
import json, sys
from modeling_dist.training import TrainingSettings, train
train(TrainingSettings(**json.loads(sys.argv[1])))
"""
FILES = {
    *CODE_FILES,
    *PIPELINE_FILES,
    "README.md",
    "config.json",
    "model.safetensors",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory, tiny_clip):
    """A Hub with a CLIP, and a client."""
    with LoopbackHub() as hub, HubClient(hub, tmp_path_factory.mktemp("client")) as client:
        hub.add_user("me", token="secret", organizations=["org"])
        hub.add_user("other", token="others")
        hub.clip_commit = hub.add_folder("org/tiny-clip", tiny_clip)
        yield hub, client


@pytest.fixture(scope="module")
def moved_clip(server, tmp_path_factory):
    """Move the main branch of CLIP's repository on to other weights, and return the commit."""
    hub, _ = server
    return hub.add_folder("org/tiny-clip", make_tiny_clip(tmp_path_factory.mktemp("moved"), seed=1))


@pytest.fixture
def published(server, tiny_dist, tmp_path):
    """The folder of a model whose configuration names CLIP's repository."""
    hub, _ = server
    folder = shutil.copytree(tiny_dist, tmp_path / "named")
    edit_config(folder, backbone="org/tiny-clip", backbone_revision=hub.clip_commit)
    return folder


def edit_config(folder, **values):
    path = Path(folder) / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def run(client, code, *argv, token="secret", with_package=True, **kwargs):
    result = client.run(code, *argv, token=token, path=[ROOT] if with_package else [], **kwargs)
    assert result.returncode == 0, result.stderr
    return result.stdout


def refused(client, code, *argv, token="secret", **kwargs):
    """Run a process that has to fail, and return its error output."""
    result = client.run(code, *argv, token=token, path=[ROOT], **kwargs)
    assert result.returncode == 1, result.stdout
    return result.stderr


def uploads_of(hub, call):
    before = len(hub.uploads)
    call()
    return hub.uploads[before:]


# From a trained model to another machine

TRAINED = """
import sys, torch
from modeling_dist import DiSTForVideoClassification, DiSTVideoProcessor
torch.manual_seed(0)
video, output = sys.argv[1:]
model = DiSTForVideoClassification.from_backbone(
    "org/tiny-clip", class_names=["abseiling", "air drumming", "archery"], num_frames=8, num_pooling_layers=2
)
processor = DiSTVideoProcessor(num_frames=8, size=32, crop_size=32)
commit = model.push_to_hub("org/dist-tiny", commit_message="A tiny DiST", private=True)
with torch.no_grad():
    torch.save(model(**processor(video, return_tensors="pt")).logits, output)
tunable = {name: tensor for name, tensor in model.state_dict().items() if model.is_tunable(name)}
print(commit.oid, sum(tensor.nbytes for tensor in tunable.values()))
again = model.push_to_hub("org/dist-tiny", commit_message="Again")
assert again.oid == commit.oid
"""

LOADED = """
import sys, torch
from transformers import AutoModel, AutoModelForVideoClassification, AutoVideoProcessor, pipeline
repo_id, video, output, *trust = sys.argv[1:]
kwargs = {"trust_remote_code": True} if trust else {}
if not trust:
    import modeling_dist
expected = torch.load(output)
processor = AutoVideoProcessor.from_pretrained(repo_id, **kwargs)
inputs = processor(video, return_tensors="pt")
model = AutoModelForVideoClassification.from_pretrained(repo_id, **kwargs)
base = AutoModel.from_pretrained(repo_id, **kwargs)
assert (type(model).__name__, type(base).__name__) == ("DiSTForVideoClassification", "DiSTModel")
assert type(model).__module__.startswith("transformers_modules" if trust else "modeling_dist")
with torch.no_grad():
    torch.testing.assert_close(model(**inputs).logits, expected)
    torch.testing.assert_close(base(**inputs).video_embeds, model(**inputs).video_embeds)
classifier = pipeline("video-classification", model=repo_id, **kwargs)
prediction = classifier(video)[0]
assert abs(prediction["score"] - expected.softmax(-1).max().item()) < 1e-4
assert prediction["label"] == model.config.id2label[expected.argmax().item()]
model.set_class_names(["a", "b"])
print(model.config.backbone_revision)
"""


def test_from_a_trained_model_to_an_empty_machine(server, video, tmp_path, request):
    hub, client = server
    before = len(hub.uploads)
    commit, num_bytes = run(client, TRAINED, video, tmp_path / "logits").split()

    # One commit, with the tunable weights and the small files; nothing is sent the second time.
    assert [made.oid for made in hub.commits("org/dist-tiny")][0] == commit
    assert [made.title for made in hub.commits("org/dist-tiny")] == ["A tiny DiST", "initial commit"]
    uploads = hub.uploads[before:]
    assert sum(upload.size for upload in uploads) == pytest.approx(int(num_bytes), rel=0.01)
    assert [upload.via for upload in uploads].count("lfs") == 1
    files = hub.files("org/dist-tiny")
    assert set(files) == FILES
    assert not [name for name in load(files["model.safetensors"]) if "spatial_encoder" in name]
    assert json.loads(files["config.json"])["auto_map"] == AUTO_MAP
    assert json.loads(files["config.json"])["backbone_revision"] == hub.clip_commit
    assert hub.repositories["model", "org/dist-tiny"].private

    assert request.getfixturevalue("moved_clip") != hub.clip_commit
    for trust in ([], ["trust"]):
        code = HIDE_PACKAGE + LOADED if trust else LOADED
        arguments = ("org/dist-tiny", video, tmp_path / "logits", *trust)
        result = client.run(code, *arguments, token="secret", path=[] if trust else [ROOT])
        assert result.returncode == 0, result.stderr
        assert result.stdout.strip() == hub.clip_commit
        assert "newly initialized" not in result.stderr
    assert client.run(LOADED, *arguments, token="others", path=[ROOT]).returncode == 1  # it is private


PUSHED = """
import os, sys, tempfile
from modeling_dist import DiSTForVideoClassification, DiSTVideoProcessor
folder = sys.argv[1]
model = DiSTForVideoClassification.from_pretrained(folder)
"""


def test_branches_pull_requests_and_names(server, published):
    hub, client = server
    hub.add_files("org/pushed", {"README.md": b"# By hand"})
    code = """
from huggingface_hub import HfApi
listed = model.push_to_hub("org/pushed", dry_run=True)
assert not HfApi().list_repo_commits("org/pushed")[2:]
commit = model.push_to_hub("org/pushed", revision="dev", tags=["robots"], license="mit")
print(len(listed), commit.pr_url)
print(model.push_to_hub("mine").repo_url.repo_id)
with tempfile.TemporaryDirectory() as folder:
    print(model.save_pretrained(os.path.join(folder, "mine-too"), push_to_hub=True).repo_url.repo_id)
try:
    model.push_to_hub("org/pushed", private=True)
except ValueError as error:
    print(error)
try:
    model.push_to_hub("org/pushed", revision="dev", create_pr=True)
except ValueError as error:
    print(error)
"""
    lines = run(client, PUSHED + code, published).splitlines()
    files = hub.files("org/pushed", "dev")
    assert set(files) == FILES and set(hub.files("org/pushed")) == {"README.md"}
    assert files["README.md"] == b"# By hand"
    assert lines[0] == f"{len(FILES)} None"
    assert lines[1:3] == ["me/mine", "me/mine-too"]
    assert set(hub.files("me/mine")) == set(hub.files("me/mine-too")) == FILES
    assert "is public" in lines[3] and "Give one of them" in lines[4]
    assert len(hub.commits("org/pushed", "dev")) == 3

    # Somebody without write access proposes a change; the repository has the weights already.
    code = 'print(model.push_to_hub("org/pushed", create_pr=True, commit_message="Better").pr_revision)'
    uploads = uploads_of(hub, lambda: run(client, PUSHED + code, published, token="others"))
    assert set(hub.files("org/pushed", "refs/pr/1")) == FILES
    assert [commit.title for commit in hub.commits("org/pushed", "refs/pr/1")][0] == "Better"
    assert "lfs" not in [upload.via for upload in uploads]


def test_processor_of_the_model_is_published(server, published):
    """It is given, or in the repository, or where the model came from, or made for the sizes in the configuration."""
    hub, client = server
    processor = DiSTVideoProcessor(num_frames=8, size=40, crop_size=32, num_clips=3)
    processor.save_pretrained(published)
    code = """
processor = DiSTVideoProcessor(num_frames=8, size=36, crop_size=32)
model.push_to_hub("org/its-own")
model.push_to_hub("org/given", processor=processor)
processor.push_to_hub("org/there")
model.push_to_hub("org/there")
os.remove(os.path.join(folder, "video_preprocessor_config.json"))
model.push_to_hub("org/made")
"""
    run(client, PUSHED + code, published)
    sizes = {}
    for name in ("its-own", "given", "there", "made"):
        settings = json.loads(hub.files(f"org/{name}")["video_preprocessor_config.json"])
        assert settings["auto_map"] == {"AutoVideoProcessor": AUTO_MAP["AutoVideoProcessor"]}
        sizes[name] = (settings["size"]["shortest_edge"], settings["num_clips"], settings["num_frames"])
    assert sizes == {"its-own": (40, 3, 8), "given": (36, 1, 8), "there": (36, 1, 8), "made": (32, 1, 8)}
    assert b"rendered by modeling_dist" in hub.files("org/there")["README.md"]  # replaces the library's


def test_processor_for_another_number_of_frames_is_refused(published):
    processor = DiSTVideoProcessor(num_frames=16)
    with pytest.raises(ValueError, match="clips of 16 frames, and the model takes 8"):
        publish(published, "org/name", processor=processor, dry_run=True)
    processor.save_pretrained(published)
    with pytest.raises(ValueError, match="clips of 16 frames"):
        publish(published, "org/name", dry_run=True)


def test_trainer_and_pipeline_push_too(server, published):
    hub, client = server
    code = """
from transformers import Trainer, TrainingArguments, pipeline
arguments = TrainingArguments("out", hub_model_id="org/trainer", report_to=[], use_cpu=True, disable_tqdm=True)
Trainer(model, arguments).push_to_hub()
pipeline("video-classification", model=folder).push_to_hub("org/pipeline")
"""
    run(client, PUSHED + code, published)
    for name in ("trainer", "pipeline"):
        files = hub.files(f"org/{name}")
        assert {"config.json", "model.safetensors", "README.md"} <= set(files)
        assert not [name for name in load(files["model.safetensors"]) if "spatial_encoder" in name]


def test_shards_of_an_earlier_push_are_taken_out(server, published):
    hub, client = server
    for size, is_sharded in (("300KB", True), ("50GB", False), ("300KB", True)):
        run(client, PUSHED + f'model.push_to_hub("org/sharded", max_shard_size="{size}")', published)
        weights = [name for name in hub.files("org/sharded") if name.startswith("model")]
        assert ("model.safetensors" in weights) != is_sharded
        assert ("model.safetensors.index.json" in weights) == is_sharded
        assert (len([name for name in weights if "-of-" in name]) > 2) == is_sharded


def test_model_loaded_as_remote_code_pushes_what_it_has(server, published, video, tmp_path):
    hub, client = server
    run(
        client,
        PUSHED + 'model.push_to_hub("org/origin", processor=DiSTVideoProcessor(num_frames=8, size=32, crop_size=32))',
        published,
    )
    code = (
        HIDE_PACKAGE
        + """
from transformers import AutoModelForVideoClassification, AutoVideoProcessor
kwargs = {"trust_remote_code": True}
model = AutoModelForVideoClassification.from_pretrained("org/origin", **kwargs)
print(model.push_to_hub("org/copy", revision="dev", include_backbone=True, commit_message="Copied").commit_message)
again = AutoModelForVideoClassification.from_pretrained("org/copy", revision="dev", **kwargs)
print(again.count_parameters() == model.count_parameters())
AutoVideoProcessor.from_pretrained("org/origin", **kwargs).push_to_hub("org/copy", revision="dev")
try:
    model.push_to_hub("org/copy", dry_run=True)
except ValueError as error:
    print(error)
"""
    )
    message, same, error = run(client, code, with_package=False).splitlines()
    assert (message, same) == ("Copied", "True") and "needs the package modeling_dist" in error
    files = hub.files("org/copy", "dev")
    assert set(files) == FILES
    assert [name for name in load(files["model.safetensors"]) if "spatial_encoder" in name]

    del hub.repositories["model", "org/origin"]
    code = """
import sys
from transformers import AutoModel, AutoModelForVideoClassification, pipeline
kwargs = {"model": "org/copy", "revision": "dev", "trust_remote_code": True}
print(len(pipeline("video-classification", **kwargs)(sys.argv[1])))
zero_shot = pipeline("zero-shot-video-classification", **kwargs)
print(len(zero_shot(sys.argv[1], candidate_labels=["a", "b"])))
"""
    assert run(client, HIDE_PACKAGE + code, video, with_package=False).split() == ["3", "2"]


def test_remote_code_does_not_push_the_path_of_a_backbone(server, standalone):
    hub, client = server
    code = """
import sys
from transformers import AutoModelForVideoClassification
model = AutoModelForVideoClassification.from_pretrained(sys.argv[1], trust_remote_code=True)
for push in (
    lambda **kwargs: model.push_to_hub("org/local-backbone", **kwargs),
    lambda **kwargs: model.save_pretrained("saved", push_to_hub=True, repo_id="org/local-backbone", **kwargs),
):
    try:
        push()
    except ValueError as error:
        print(error)
print(push(include_backbone=True, commit_message="Whole").commit_message)
"""
    *refusals, message = run(client, HIDE_PACKAGE + code, standalone, with_package=False).splitlines()
    assert len(refusals) == 2 and all("a folder on this machine" in refusal for refusal in refusals)
    assert message == "Whole" and len(hub.commits("org/local-backbone")) == 2
    assert [name for name in load(hub.files("org/local-backbone")["model.safetensors"]) if "spatial_encoder" in name]


# The backbone


def test_backbone_in_a_folder_is_not_published_by_its_path(server, tiny_dist, tiny_clip, moved_clip, tmp_path):
    hub, client = server
    error = refused(client, PUSHED + 'model.push_to_hub("org/local")', tiny_dist)
    assert "a folder on this machine" in error and "`backbone=<Hub id>`" in error and "include_backbone=True" in error
    arguments = ("--model", tiny_dist, "--repo_id", "org/local")
    error = refused(client, PUBLISH, *arguments)
    assert error.startswith("ValueError: The backbone is a folder") and "--include_backbone" in error
    error = refused(client, PUBLISH, *arguments, "--backbone", tiny_clip)
    assert "must be the id of a repository" in error
    error = refused(client, PUBLISH, *arguments, "--backbone", "org/tiny-clip")  # whose main branch holds others now
    assert "does not hold the weights" in error and "Traceback" not in error
    error = refused(client, PUBLISH, *arguments, "--backbone", "org/no-clip")
    assert "Repository Not Found" in error and "Traceback" not in error
    assert ("model", "org/local") not in hub.repositories

    same = hub.add_folder("org/same-clip", tiny_clip)
    run(client, PUBLISH, *arguments, "--backbone", "org/same-clip")
    config = json.loads(hub.files("org/local")["config.json"])
    assert (config["backbone"], config["backbone_revision"]) == ("org/same-clip", same)
    assert config["backbone_fingerprint"] == DiSTConfig.from_pretrained(tiny_dist).backbone_fingerprint
    assert str(tiny_clip).encode() not in b"".join(hub.files("org/local").values())
    code = """
from modeling_dist import DiSTForVideoClassification
print(DiSTForVideoClassification.from_pretrained("org/local").config.backbone_revision)
"""
    assert run(client, code).strip() == same


def test_included_backbone_needs_no_other_repository(server, tiny_dist, tiny_clip, tmp_path):
    hub, client = server
    run(client, PUBLISH, "--model", tiny_dist, "--repo_id", "org/whole", "--include_backbone")
    run(client, PUSHED + 'model.push_to_hub("org/whole-too", include_backbone=True)', tiny_dist)
    files = hub.files("org/whole")
    assert json.loads(files["config.json"])["backbone"] is None
    assert str(tiny_clip).encode() not in b"".join(files.values())
    assert load(files["model.safetensors"]).keys() == load(hub.files("org/whole-too")["model.safetensors"]).keys()
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    reloaded = DiSTForVideoClassification.from_pretrained(tmp_path, local_files_only=True)
    expected = DiSTForVideoClassification.from_pretrained(tiny_dist).state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in reloaded.state_dict().items())

    # When its repository is known, the weights are compared and no longer published.
    hub.add_folder("org/same-clip", tiny_clip)
    run(client, PUBLISH, "--model", tmp_path, "--repo_id", "org/whole", "--backbone", "org/same-clip")
    names = load(hub.files("org/whole")["model.safetensors"])
    assert names.keys() == load_file(Path(tiny_dist) / "model.safetensors").keys()
    assert json.loads(hub.files("org/whole")["config.json"])["backbone"] == "org/same-clip"


def test_backbone_that_cannot_be_reached_is_taken_at_its_word(tiny_dist, tmp_path, log):
    """These tests are offline, and a dry run does not need the repository."""
    files = publish(tiny_dist, "org/name", backbone="org/tiny-clip", dry_run=True)
    assert set(files) == FILES
    assert "could not be reached" in log.text
    DiSTForVideoClassification.from_pretrained(tiny_dist).save_pretrained(tmp_path, include_backbone=True)
    whole = publish(tmp_path, "org/name", backbone="org/tiny-clip", dry_run=True)["model.safetensors"]
    assert whole == os.path.getsize(tmp_path / "model.safetensors") > files["model.safetensors"]
    edit_config(tmp_path, backbone=None)
    with pytest.raises(ValueError, match="names no backbone"):
        publish(tmp_path, "org/name", include_backbone=False, dry_run=True)
    assert sorted(os.listdir(tiny_dist)) == sorted({*FILES} - {*CODE_FILES, *PIPELINE_FILES, "README.md"})


def test_backbone_is_checked_at_the_pinned_commit(server, published, tiny_clip, tmp_path):
    hub, client = server
    first = hub.add_folder("org/pinned-clip", tiny_clip)
    hub.add_folder("org/pinned-clip", make_tiny_clip(tmp_path / "other", seed=2))  # the main branch has moved on
    code = """
model.push_to_hub("org/pinned", backbone="org/pinned-clip", backbone_revision=sys.argv[2])
"""
    arguments = ("--model", published, "--repo_id", "org/pinned", "--backbone", "org/pinned-clip")
    error = refused(client, PUBLISH, *arguments)
    assert "does not hold the weights" in error and "--backbone_revision" in error
    run(client, PUBLISH, *arguments, "--backbone_revision", first)
    run(client, "import sys\n" + PUSHED + code, published, first)
    config = json.loads(hub.files("org/pinned")["config.json"])
    assert (config["backbone"], config["backbone_revision"]) == ("org/pinned-clip", first)
    # The revision in the configuration is used without giving it.
    edit_config(published, backbone="org/pinned-clip", backbone_revision=first)
    run(client, PUBLISH, *arguments)
    assert json.loads(hub.files("org/pinned")["config.json"])["backbone_revision"] == first


# What goes wrong


def test_folder_that_is_no_dist_and_broken_files_are_named(published, tmp_path):
    (published / "metrics.json").write_text('{"top1": ')
    with pytest.raises(ValueError, match=r"metrics\.json is not a valid JSON file"):
        publish(published, "org/name", dry_run=True)
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(ValueError, match=r"list\.json must hold a JSON object.*a list"):
        publish(published, "org/name", metrics=tmp_path / "list.json", dry_run=True)
    (published / "metrics.json").unlink()
    edit_config(published, architectures=None)
    with pytest.raises(ValueError, match=r"config\.json must name the model's class.*None"):
        publish(published, "org/name", dry_run=True)
    edit_config(published, model_type="clip", architectures=["CLIPModel"])
    with pytest.raises(ValueError, match=r"config\.json is of a model of the type 'clip'"):
        publish(published, "org/name", dry_run=True)


def test_interrupted_push_is_simply_run_again(server, published):
    hub, client = server
    hub.add_files("org/interrupted", {"old.txt": b"old"})
    before = {path.name: path.read_bytes() for path in published.iterdir()}
    push = "import time; time.sleep = lambda seconds: None\n" + PUSHED + 'model.push_to_hub("org/interrupted")'
    faults = {
        "/repos/create": {"status": 500},
        "/preupload/": {"status": 500, "times": None},
        "PUT /lfs/upload": {"drop": "request", "times": None},
        "/commit/": {"status": 500},
        "/commit/main": {"drop": "request"},
    }
    for pattern, fault in faults.items():
        hub.fail(pattern, **fault)
        error = refused(client, push, published)
        hub.heal()
        last = error[error.rindex("ConnectionError: ") :]
        assert (
            "Publishing to `org/interrupted` was interrupted" in last
            and "Try again when the Hub can be reached" in last
        ), pattern
        assert hub.files("org/interrupted") == {"old.txt": b"old"}, pattern
        assert {path.name: path.read_bytes() for path in published.iterdir()} == before
    # The last attempts had sent the weights already.
    uploads = uploads_of(hub, lambda: run(client, push, published))
    assert set(hub.files("org/interrupted")) == {*FILES, "old.txt"}
    assert [upload.via for upload in uploads].count("lfs") == 0
    assert len(hub.commits("org/interrupted")) == 3

    # The commit was made, and only the answer to it was lost.
    hub.fail("/commit/", drop="lost")
    error = refused(client, push.replace("org/interrupted", "org/lost"), published)
    assert "either all of this commit or nothing" in error
    assert set(hub.files("org/lost")) == FILES
    assert uploads_of(hub, lambda: run(client, push.replace("org/interrupted", "org/lost"), published)) == []


def test_full_disk_leaves_folder_and_repository_as_they_were(server, published, tmp_path):
    hub, client = server
    (published / "metrics.json").write_text(json.dumps(METRICS))  # of weights that are replaced below
    before = {path.name: path.read_bytes() for path in published.iterdir()}
    full = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
for action in (
    lambda: model.push_to_hub("org/no-room"),
    lambda: model.save_pretrained(folder, push_to_hub=True, repo_id="org/no-room"),
):
    try:
        model.dist.temporal_stem.bias.data.add_(1)
        action()
    except OSError as error:
        print(str(error).splitlines()[-1])
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(*os.listdir(folder))
model.save_pretrained(folder, push_to_hub=True, repo_id="org/no-room")
"""
    check = "assert __import__('huggingface_hub').HfApi().repo_exists('org/no-room') is False\n"
    lines = run(client, PUSHED + full.replace("print(*os", check + "print(*os"), published).splitlines()
    assert len(lines) == 3 and all("The folder is as it was" in line and "Make room" in line for line in lines[:2])
    assert set(lines[2].split()) == set(before)
    assert set(hub.files("org/no-room")) == FILES
    assert b"No evaluation of these weights" in hub.files("org/no-room")["README.md"]
    uploaded = hub.files("org/no-room")["model.safetensors"]
    assert uploaded == (published / "model.safetensors").read_bytes() != before["model.safetensors"]


def test_refusals_are_the_clients_own(server, published, monkeypatch):
    hub, client = server
    hub.add_files("org/theirs", {"data.csv": b"1"}, repo_type="dataset")
    monkeypatch.setattr(hub, "shared_names", True)
    before = dict(hub.repositories)
    cases = {
        ("invented", "org/new"): ("HfHubHTTPError", "401"),
        ("others", "org/new"): ("HfHubHTTPError", "403"),
        ("others", "org/tiny-clip"): ("HfHubHTTPError", "403"),
        ("secret", "org/theirs"): ("RepositoryNotFoundError", "Repository Not Found"),
        ("secret", "not a name"): ("HFValidationError", "Repo id must"),
    }
    for (token, repo_id), (name, words) in cases.items():
        error = refused(client, PUBLISH, "--model", published, "--repo_id", repo_id, token=token)
        assert error.startswith(f"{name}: ") and words in error, error
        assert "Traceback" not in error and "interrupted" not in error
    assert hub.repositories == before
    for options, words in (
        (("--model", published.parent), "holds no model"),
        (("--model", published, "--metrics", "nowhere.json"), "nowhere.json"),
    ):
        error = refused(client, PUBLISH, *options, "--repo_id", "org/new")
        assert error.startswith("FileNotFoundError: ") and words in error


# The card

SETTINGS = {
    "dataset": "k400",
    "recipe": "k400-b16-8",
    "learning_rate": 3.2e-4,
    "hub_token": "secret",
    "output_dir": "/home/me/runs",
    "frames | clips": None,
}


def test_command_publishes_a_folder_with_its_card(server, published):
    hub, client = server
    (published / "metrics.json").write_text(json.dumps(METRICS))
    (published / "training_settings.json").write_text(json.dumps(SETTINGS))
    (published / "optimizer.bin").write_bytes(bytes(1000))
    arguments = ("--model", published, "--repo_id", "org/example", "--license", "apache-2.0")
    requests = len(hub.requests)
    listing = run(client, PUBLISH, *arguments, "--dry_run")
    assert len(hub.requests) == requests and ("model", "org/example") not in hub.repositories
    output = run(client, PUBLISH, *arguments)
    files = hub.files("org/example")
    assert set(files) == FILES
    assert f"{len(files['model.safetensors']):,}  model.safetensors" in listing
    assert f"{sum(map(len, files.values())):,}  bytes in {len(files)} files" in listing
    assert output.strip() == f"{hub.url}/org/example/commit/{hub.commits('org/example')[0].oid}"
    assert files["model.safetensors"] == (published / "model.safetensors").read_bytes()

    card = ModelCard(files["README.md"].decode())
    assert card.data.base_model == "org/tiny-clip"
    assert (card.data.pipeline_tag, card.data.library_name) == ("video-classification", "transformers")
    assert (card.data.license, card.data.datasets, card.data.metrics) == ("apache-2.0", ["kinetics-400"], ["accuracy"])
    results = {result.metric_type: result for result in card.data.eval_results}
    assert {name: result.metric_value for name, result in results.items()} == {
        "accuracy": 0.8312,
        "top_5_accuracy": 0.9634,
        "mean_class_accuracy": 0.825,
    }
    assert results["accuracy"].dataset_name == "Kinetics-400" and results["accuracy"].source_name is None
    text = card.text
    for words in (
        "| Top-1 accuracy | 83.1 |",
        "19,796 videos of the validation split of Kinetics-400; 3 clips × 1 crop of 8 frames each",
        "computed in bfloat16; unreadable videos: 2; the list of videos has the checksum `0123abcd`",
        "288,848 tunable, 114,112 frozen",
        "class 0 (0.0 %), class 1 (10.0 %)",
        'model="org/example", trust_remote_code=True)',
        "import modeling_dist",
        "model.set_class_names(",
        "| learning_rate | 0.00032 |",
        "## Limitations",
        "@inproceedings{qing2023disentangling",
        hub.clip_commit,
    ):
        assert words in text, words
    for words in ("secret", "/home/me", "hub_token", str(published), "authors' figures"):
        assert words not in text, words


def test_card_that_somebody_has_written_is_kept(server, published):
    hub, client = server
    arguments = ("--model", published, "--repo_id", "org/by-hand")
    (published / "README.md").write_text("# Mine")
    run(client, PUBLISH, *arguments)
    assert hub.files("org/by-hand")["README.md"] == b"# Mine"
    (published / "README.md").unlink()
    run(client, PUBLISH, *arguments)
    assert hub.files("org/by-hand")["README.md"] == b"# Mine"
    run(client, PUBLISH, "--model", published, "--repo_id", "org/rendered")
    rendered = hub.files("org/rendered")["README.md"]
    (published / "README.md").write_bytes(rendered)
    (published / "metrics.json").write_text(json.dumps(METRICS))
    run(client, PUBLISH, "--model", published, "--repo_id", "org/rendered")
    run(client, PUBLISH, *arguments)
    assert hub.files("org/by-hand")["README.md"] == b"# Mine"
    assert b"83.1" in hub.files("org/rendered")["README.md"] and b"83.1" not in rendered


def test_authors_figures_reach_the_hub(server, published, tmp_path):
    """They come from a file or from the paper's table, and stand beside measured ones."""
    hub, client = server
    (tmp_path / "theirs.json").write_text(json.dumps({"top1": 0.777, "protocol": {"dataset": "ssv2"}}))
    (published / "metrics.json").write_text(json.dumps(METRICS))
    arguments = ("--model", published, "--repo_id", "org/theirs")
    run(client, PUBLISH, *arguments, "--authors_metrics", tmp_path / "theirs.json")
    card = ModelCard(hub.files("org/theirs")["README.md"].decode())
    own, theirs = card.text.split("### The authors' figures")
    assert "83.1" in own and "77.7" not in own and "77.7" in theirs and "83.1" not in theirs
    sources = {result.dataset_type: result.source_name for result in card.data.eval_results}
    assert sources == {"kinetics-400": None, "something-something-v2": "The authors' figures (DiST, ICCV 2023)"}

    name = "dist-vit-b16-8-16f-k400"
    error = refused(client, PUBLISH, *arguments, "--paper_checkpoint", name)
    assert error.startswith("ValueError: ") and "num_frames=16, and this model has 8" in error


def test_papers_checkpoint_is_published_by_its_name(tiny_clip, tmp_path, monkeypatch):
    class_names = [f"class {index}" for index in range(400)]
    model = DiSTForVideoClassification.from_backbone(
        tiny_clip, class_names=class_names, num_frames=16, num_pooling_layers=2
    )
    model.save_pretrained(tmp_path)
    cards = []
    monkeypatch.setattr(
        "modeling_dist.hub.publishing.make_model_card",
        lambda *args, **kwargs: cards.append(make_model_card(*args, **kwargs)) or cards[-1],
    )
    options = {"include_backbone": True, "dry_run": True, "paper_checkpoint": "dist-vit-b16-8-16f-k400"}
    with pytest.raises(ValueError, match="patch_size=16"):
        publish(tmp_path, "org/name", **options)
    monkeypatch.setattr("modeling_dist.paper.PaperCheckpoint.check", lambda self, config: None)
    publish(tmp_path, "org/name", **options)
    assert "| Top-1 accuracy | 83.6 |" in cards[0].text.split("### The authors' figures")[1]
    assert "have not been measured again with these converted weights" in cards[0].text
    assert "| recipe | k400-b16-8 |" in cards[0].text and "Trained on Kinetics-400." in cards[0].text
    with pytest.raises(ValueError, match="must be one of dist-vit-b16-8-16f-k400"):
        publish(tmp_path, "org/name", **{**options, "paper_checkpoint": "dist"})


# Datasets in the card's metadata


def test_dataset_in_a_folder_is_no_id_of_the_hub(server, published):
    hub, client = server
    (published / "training_settings.json").write_text(json.dumps({"dataset": "videos/", "dataset_format": "auto"}))
    (published / "metrics.json").write_text(json.dumps({"top1": 0.5, "protocol": {"dataset": "videos/"}}))
    run(client, PUBLISH, "--model", published, "--repo_id", "org/on-a-folder")
    card = ModelCard(hub.files("org/on-a-folder")["README.md"].decode())
    assert "Trained on videos." in card.text and "Evaluated on videos." in card.text
    assert card.data.datasets is None
    assert [(result.dataset_type, result.dataset_name) for result in card.data.eval_results] == [("unknown", "videos")]
    error = refused(client, PUBLISH, "--model", published, "--repo_id", "org/on-a-folder", "--license", "my own")
    assert error.startswith("ValueError: Invalid metadata") and "license" in error


def test_snippets_of_the_card_run(server, published, video):
    """Each runs as it is, and both ways to other classes give the same scores."""
    hub, client = server
    run(client, PUSHED + 'model.push_to_hub("org/snippets")', published)
    text = hub.files("org/snippets")["README.md"].decode()
    snippets = [part.split("```")[0].replace("video.mp4", str(video)) for part in text.split("```python\n")[1:]]
    assert len(snippets) == 4 and "trust_remote_code" not in snippets[0]
    code = """
import torch
scores = {result["label"]: result["score"] for result in classifier(VIDEO, candidate_labels=labels)}
processor = classifier.video_processor
with torch.no_grad():
    logits = model(**processor(VIDEO, return_tensors="pt")).logits
torch.testing.assert_close(logits.softmax(-1)[0], torch.tensor([scores[label] for label in labels]))
""".replace("VIDEO", repr(str(video)))
    run(client, snippets[0])
    run(client, HIDE_PACKAGE + "".join(snippets[1:]) + code, with_package=False)


# From training


def test_training_ends_on_the_hub_with_its_figures_in_the_card(server, tmp_path):
    hub, client = server
    make_motion_dataset(tmp_path / "motions", num_train=8, num_validation=5, size=32, num_frames=10, num_workers=1)
    settings = {
        "dataset": str(tmp_path / "motions"),
        "backbone": "org/tiny-clip",
        "backbone_revision": hub.clip_commit,
        "num_frames": 8,
        "num_pooling_layers": 1,
        "integration_dim": 64,
        "temporal_dim": 16,
        "num_epochs": 1,
        "warmup_epochs": 0,
        "per_device_train_batch_size": 4,
        "num_workers": 0,
        "cpu": True,
        "push_to_hub": True,
        "hub_private": True,
        "hub_model_id": "org/trained",
    }

    def train_to(folder):
        return json.dumps({**settings, "output_dir": str(tmp_path / folder)})

    assert "401" in refused(client, TRAIN, train_to("no"), token="wrong")
    assert not (tmp_path / "no").exists()

    run(client, TRAIN, train_to("out"))

    assert hub.repositories["model", "org/trained"].private
    files = hub.files("org/trained")
    assert set(files) - {".gitattributes"} == FILES
    config = json.loads(files["config.json"])
    assert (config["backbone"], config["backbone_revision"]) == ("org/tiny-clip", hub.clip_commit)
    assert files["model.safetensors"] == (tmp_path / "out" / "model.safetensors").read_bytes()
    card = ModelCard(files["README.md"].decode())
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    figures = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert figures["accuracy"] == pytest.approx(metrics["top1"])
    assert "4 classes" in card.text
