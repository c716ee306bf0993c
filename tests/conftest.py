import os


# Before transformers is imported: nothing in these tests may ask the network for anything.
os.environ["HF_HUB_OFFLINE"] = "1"

import dataclasses
import logging
from pathlib import Path

import pytest
import torch
import transformers
from transformers.utils.logging import disable_progress_bar

from modeling_dist import DiSTForVideoClassification, DiSTVideoProcessor
from modeling_dist.data.motion_dataset import make_motion_dataset
from modeling_dist.data.settings import PANS
from modeling_dist.hub import export_code
from modeling_dist.testing import make_tiny_clip, moving_square, tiny_config_kwargs, write_video
from modeling_dist.training import TrainingSettings, train


disable_progress_bar()
# Tiny models gain nothing from several threads, which cost CPU time, and on one the arithmetic is the same every time.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory):
    """A folder with a tiny CLIP and its tokenizer."""
    return make_tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="session")
def tiny_dist(tiny_clip, tmp_path_factory):
    """A folder with a tiny DiST of three classes on `tiny_clip`, and its processor."""
    folder = tmp_path_factory.mktemp("dist")
    torch.manual_seed(0)
    model = DiSTForVideoClassification.from_backbone(
        tiny_clip, class_names=["abseiling", "air drumming", "archery"], **tiny_config_kwargs()
    )
    model.save_pretrained(folder)
    DiSTVideoProcessor(num_frames=8, size=32, crop_size=32).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def standalone(tiny_dist, tmp_path_factory):
    """A folder with the code beside the weights."""
    folder = tmp_path_factory.mktemp("standalone")
    DiSTForVideoClassification.from_pretrained(tiny_dist).save_pretrained(folder)
    DiSTVideoProcessor.from_pretrained(tiny_dist).save_pretrained(folder)
    export_code(folder)
    return folder


@pytest.fixture(scope="session")
def video(tmp_path_factory):
    """A video file of 40 frames."""
    return write_video(tmp_path_factory.mktemp("videos") / "square.mp4", moving_square())


@pytest.fixture(scope="session")
def short_video(tmp_path_factory):
    """A video file of 3 frames, fewer than any model asks for."""
    return write_video(tmp_path_factory.mktemp("videos") / "short.mp4", moving_square(3))


@pytest.fixture(scope="session")
def damaged_video(tmp_path_factory):
    """A video file that is cut off, most of whose 40 frames can be decoded."""
    path = tmp_path_factory.mktemp("videos") / "cut.mkv"
    content = Path(write_video(path, moving_square())).read_bytes()
    path.write_bytes(content[: len(content) * 4 // 5])
    return str(path)


@pytest.fixture(scope="session")
def motion_videos(tmp_path_factory):
    """A folder of classes: to train on, 12 good videos, one of 3 frames and three that cannot be read; 5 to evaluate on."""
    folder = Path(tmp_path_factory.mktemp("motions")) / "videos"
    make_motion_dataset(folder, num_train=12, num_validation=5, size=32, num_frames=10, num_workers=1)
    bad = folder / "train" / PANS[0]
    good = next((folder / "train" / PANS[1]).iterdir()).read_bytes()
    (bad / "truncated.mp4").write_bytes(good[: len(good) // 3])
    (bad / "empty.mp4").touch()
    (bad / "text.mp4").write_text("not a video")
    (bad / "notes.txt").write_text("not named like one either")
    write_video(bad / "short.mp4", moving_square(3, 32, 32))
    return folder


@pytest.fixture(scope="session")
def tiny_training(motion_videos, tiny_clip) -> TrainingSettings:
    """A training of three epochs of four updates, in a second; the output folder is missing."""
    return TrainingSettings(
        dataset=str(motion_videos),
        backbone=tiny_clip,
        num_frames=8,
        integration_dim=64,
        temporal_dim=16,
        num_pooling_layers=1,
        initializer_range=0,
        augmentation=False,
        mixing_probability=0,
        num_epochs=3,
        warmup_epochs=1,
        learning_rate=1e-3,
        per_device_train_batch_size=4,
        num_workers=0,
        num_clips=2,
        logging_steps=2,
        cpu=True,
    )


@pytest.fixture(scope="session")
def trained_dist(tiny_training, tmp_path_factory):
    """The output folder of `tiny_training`; what it has logged is beside it, with the suffix ".log"."""
    folder = tmp_path_factory.mktemp("runs") / "trained"
    logger, handler = logging.getLogger("modeling_dist"), logging.FileHandler(folder.with_suffix(".log"))
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.INFO)
    train(dataclasses.replace(tiny_training, output_dir=str(folder)))
    logger.setLevel(level)
    logger.removeHandler(handler)
    return folder


@pytest.fixture
def log(caplog):
    """What transformers and this package log, from `INFO` on."""
    logger = logging.getLogger("transformers")
    logger.addHandler(caplog.handler)
    verbosity = transformers.logging.get_verbosity()
    yield caplog
    transformers.logging.set_verbosity(verbosity)
    logger.removeHandler(caplog.handler)
