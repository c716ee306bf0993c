import os


# Before transformers is imported: nothing in these tests may ask the network for anything.
os.environ["HF_HUB_OFFLINE"] = "1"

import logging

import pytest
import torch
import transformers
from transformers.utils.logging import disable_progress_bar

from modeling_dist import DiSTForVideoClassification, DiSTVideoProcessor
from modeling_dist.hub import export_code
from modeling_dist.testing import make_tiny_clip, moving_square, tiny_config_kwargs, write_video


disable_progress_bar()


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


@pytest.fixture
def log(caplog):
    """What transformers and this package log, from `INFO` on."""
    logger = logging.getLogger("transformers")
    logger.addHandler(caplog.handler)
    verbosity = transformers.logging.get_verbosity()
    yield caplog
    transformers.logging.set_verbosity(verbosity)
    logger.removeHandler(caplog.handler)
