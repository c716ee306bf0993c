"""The examples: the notebook, the training loop on one page, and the commands as scripts."""

import importlib.util
import json
from pathlib import Path

import nbformat
import pytest
from accelerate.state import AcceleratorState, GradientState
from nbclient import NotebookClient
from safetensors import safe_open
from transformers import pipeline

from modeling_dist.commands import demo, evaluate, predict, publish, scan, train
from modeling_dist.data.motion_dataset import make_motion_dataset


ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
NOTEBOOK = EXAMPLES / "fine_tune.ipynb"

# A horizontal flip, which the augmentation makes, does not change these classes.
CLASSES = ("pan up", "pan down")
# Far above chance: a coin gets so many of the 32 validation videos right once in 1000 times.
ACCURACY = 0.78
# With the paper's logit scale, a tiny model takes longer to learn.
TINY_CONFIG = {
    "num_frames": 8,
    "integration_dim": 64,
    "temporal_dim": 32,
    "num_pooling_layers": 1,
    "initializer_range": None,
    "logit_scale_init_value": 3.0,
}
NUM_EPOCHS, BATCH_SIZE, LEARNING_RATE = 8, 4, 5e-4


@pytest.fixture(scope="module")
def pans(tmp_path_factory) -> Path:
    """A folder of videos of two classes: 64 to train on, 32 to validate on."""
    folder = tmp_path_factory.mktemp("pans") / "videos"
    options = {"num_train": 64, "num_validation": 32, "num_frames": 10, "size": 32, "num_workers": 1}
    return Path(make_motion_dataset(folder, classes=CLASSES, **options))


def load_example(name: str):
    """Return an example as a module."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check_saved_model(folder: Path, videos: Path):
    """Make sure that the stock pipeline classifies video files with the model, and that its backbone is not saved."""
    with safe_open(folder / "model.safetensors", "pt") as file:
        assert file.keys() and not any("spatial_encoder" in name for name in file.keys())
    files = [str(path) for name in CLASSES for path in sorted((videos / "validation" / name).iterdir())]
    predictions = pipeline("video-classification", model=str(folder))(files, top_k=2)
    assert all({prediction["label"] for prediction in video} == set(CLASSES) for video in predictions)
    is_right = [Path(file).parent.name == video[0]["label"] for file, video in zip(files, predictions)]
    assert sum(is_right) / len(is_right) >= ACCURACY


# ---- the notebook


@pytest.fixture
def notebook():
    return nbformat.read(NOTEBOOK, as_version=nbformat.NO_CONVERT)


def test_notebook_is_valid_and_has_no_outputs(notebook):
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    nbformat.validate(notebook)  # also that every cell has an id of its own
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None, cell.id


def test_notebook_fine_tunes_evaluates_and_saves(notebook, pans, tiny_clip, tmp_path, monkeypatch):
    parameters = {
        "DATASET": str(pans),
        "BACKBONE": tiny_clip,
        "MODEL_OPTIONS": TINY_CONFIG,
        "NUM_EPOCHS": NUM_EPOCHS,
        "BATCH_SIZE": BATCH_SIZE,
        "LEARNING_RATE": LEARNING_RATE,
        "NUM_WORKERS": 0,
        "OUTPUT_DIR": "tuned",
    }
    (position,) = [index for index, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", [])]
    given = notebook.cells[position].source
    assert all(f"\n{name} = " in f"\n{given}" for name in parameters)
    assert "\nPUSH = False" in given
    values = "\n".join(f"{name} = {value!r}" for name, value in parameters.items())
    notebook.cells.insert(position + 1, nbformat.v4.new_code_cell(values))
    results = """
import json

with open("results.json", "w") as file:
    json.dump({"metrics": metrics, "history": trainer.state.log_history}, file)
"""
    notebook.cells.append(nbformat.v4.new_code_cell(results))

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "jupyter"))
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()

    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    losses = [record["loss"] for record in results["history"] if "loss" in record]
    assert losses[-1] < losses[0] / 2
    assert results["metrics"]["eval_top1"] >= ACCURACY
    check_saved_model(tmp_path / "tuned", pans)
    checkpoints = list((tmp_path / "tuned").glob("checkpoint-*"))
    assert checkpoints
    for checkpoint in checkpoints:
        with safe_open(checkpoint / "model.safetensors", "pt") as file:
            assert not any("spatial_encoder" in name for name in file.keys())


# ---- scripts


def test_minimal_training_learns_and_saves(pans, tiny_clip, tmp_path):
    arguments = ["--dataset", pans, "--backbone", tiny_clip, "--config", json.dumps(TINY_CONFIG)]
    arguments += ["--output_dir", tmp_path, "--num_epochs", NUM_EPOCHS, "--batch_size", BATCH_SIZE]
    arguments += ["--learning_rate", LEARNING_RATE, "--num_workers", 0]
    # Accelerate keeps its state for the life of a process.
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    history = load_example("minimal_training").main([str(argument) for argument in arguments])
    losses, accuracies = zip(*history)
    assert len(history) == NUM_EPOCHS
    assert losses[-1] < losses[0] / 2
    assert accuracies[-1] >= ACCURACY
    check_saved_model(tmp_path, pans)


@pytest.mark.parametrize("command", [train, evaluate, predict, scan, publish, demo])
def test_script_is_the_command(command):
    assert load_example(command.__name__.split(".")[-1]).main is command.main
