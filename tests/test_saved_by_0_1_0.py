"""Checkpoints that version 0.1.0 saved."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.testing import assert_close
from transformers import AutoModel, AutoModelForVideoClassification

from modeling_dist import DiSTConfig, DiSTForVideoClassification, DiSTVideoProcessor


SAVED = Path(__file__).parent / "fixtures" / "saved_by_0_1_0"
# By configuration: the weights it belongs to, its weight of CLIP's frame logits, and whether the head holds the projection.
CONFIGURATIONS = {
    "absent": ("model", 0.0, False),
    "null": ("model", 0.0, False),
    "0": ("model_with_projection", 0.0, True),
    "half": ("model_with_projection", 0.5, True),
}


@pytest.fixture(params=CONFIGURATIONS)
def saved(request, tmp_path):
    """A folder as version 0.1.0 saved it, and what it holds."""
    weights, zero_shot_weight, has_visual_projection = CONFIGURATIONS[request.param]
    folder = shutil.copytree(SAVED / weights, tmp_path / "saved")
    config = json.loads((SAVED / f"config_{request.param}.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "backbone": str(SAVED / "clip")}))
    assert "has_visual_projection" not in config
    logits = load_file(SAVED / "expected.safetensors")[f"logits_{request.param}"]
    return folder, logits, (zero_shot_weight, has_visual_projection)


def zero_shot_fields(config):
    return config.zero_shot_weight, config.has_visual_projection


@torch.no_grad()
@pytest.mark.parametrize("auto_class", [DiSTForVideoClassification, AutoModelForVideoClassification])
def test_saved_model_gives_the_same_logits_and_is_saved_with_the_new_fields(saved, auto_class, tmp_path):
    folder, logits, fields = saved
    video = load_file(SAVED / "expected.safetensors")["video"]
    model = auto_class.from_pretrained(folder)
    assert zero_shot_fields(model.config) == fields
    assert_close(model(video).logits, logits)

    model.save_pretrained(tmp_path / "again")
    config = json.loads((tmp_path / "again" / "config.json").read_text())
    assert (config["zero_shot_weight"], config["has_visual_projection"]) == fields
    assert load_file(tmp_path / "again" / "model.safetensors").keys() == load_file(folder / "model.safetensors").keys()
    again = auto_class.from_pretrained(tmp_path / "again")
    assert zero_shot_fields(again.config) == fields
    assert_close(again(video).logits, logits)


@torch.no_grad()
def test_saved_base_model_gives_the_classifiers_embeddings(saved):
    folder, _, _ = saved
    video = load_file(SAVED / "expected.safetensors")["video"]
    expected = DiSTForVideoClassification.from_pretrained(folder)(video).video_embeds
    assert_close(AutoModel.from_pretrained(folder)(video).video_embeds, expected)


@torch.no_grad()
def test_saved_weight_can_be_changed_on_loading(saved):
    folder, _, (_, has_visual_projection) = saved
    if not has_visual_projection:
        with pytest.raises(ValueError, match="needs a head with CLIP's visual projection"):
            DiSTForVideoClassification.from_pretrained(folder, zero_shot_weight=0.5)
        return
    expected = load_file(SAVED / "expected.safetensors")
    model = DiSTForVideoClassification.from_pretrained(folder, zero_shot_weight=0.5)
    assert_close(model(expected["video"]).logits, expected["logits_half"])


def test_saved_processor_loads():
    config = DiSTConfig.from_pretrained(SAVED / "config_null.json")
    assert DiSTVideoProcessor.from_pretrained(SAVED / "model").num_frames == config.num_frames
