"""Conversion of the authors' checkpoints: reading, comparing with the backbone, saving, checking."""

import argparse
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.testing import assert_close
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionConfig,
    pipeline,
)

from modeling_dist import DiSTConfig, DiSTForVideoClassification, DiSTVideoProcessor, convert_dist_to_hf, paper
from modeling_dist.conversion import names
from modeling_dist.convert_dist_to_hf import (
    OLD_NAMES,
    PREFIX,
    convert_dist_checkpoint,
    convert_state_dict,
    convert_text_tower,
    main,
    read_official_checkpoint,
)
from modeling_dist.reference_dist import ReferenceCLIPBlock, ReferenceDiST
from modeling_dist.testing import make_tiny_clip


ROOT = Path(__file__).parent.parent
GOLDEN = Path(__file__).parent / "fixtures" / "golden_tiny"
OFFICIAL = GOLDEN / "official_checkpoint.pyth"
NAMES = ["catching", "throwing", "air drumming", "zumba", "archery", "yoga", "writing"]


def relative_error(actual, expected):
    return ((actual - expected).abs().max() / expected.abs().max()).item()


def saved_names(folder):
    return set(load_file(Path(folder) / "model.safetensors"))


def holds_backbone(folder):
    return any("spatial_encoder" in name for name in saved_names(folder))


@pytest.fixture(scope="module")
def golden():
    """The authors' figures."""
    inputs, expected = load_file(GOLDEN / "inputs.safetensors"), load_file(GOLDEN / "expected.safetensors")
    return inputs["video"].transpose(1, 2), inputs["label_token_ids"], expected


@pytest.fixture(scope="module")
def tensors():
    """The golden checkpoint's tensors, without the prefix of their names."""
    return read_official_checkpoint(OFFICIAL)[0]


def write_official(path, tensors, prefix=PREFIX, **entries):
    torch.save(
        {"model_state": {f"{prefix}{name}": tensor.clone() for name, tensor in tensors.items()}, **entries}, path
    )
    return path


def write_clip(folder, tensors, num_attention_heads=1):
    """Write the CLIP of one of the authors' checkpoints to a folder in the format of transformers."""
    vision = {
        name.replace("spatial_encoder.", "vision_model."): tensor
        for name, tensor in convert_state_dict(tensors)[0].items()
        if name.startswith("spatial_encoder.")
    }
    own = vision | convert_text_tower(tensors)
    own |= {"visual_projection.weight": tensors["visual.proj"].T, "logit_scale": tensors["logit_scale"]}
    sizes = {"hidden_size": 64, "intermediate_size": 256, "num_attention_heads": num_attention_heads}
    vocab_size, num_text_layers = len(tensors["token_embedding.weight"]), 1
    config = CLIPConfig(
        text_config={
            **sizes,
            "num_hidden_layers": num_text_layers,
            "vocab_size": vocab_size,
            "bos_token_id": vocab_size - 2,
            "eos_token_id": vocab_size - 1,
        },
        vision_config={**sizes, "num_hidden_layers": 3, "image_size": 32, "patch_size": 8},
        projection_dim=48,
    )
    clip = CLIPModel(config)
    clip.load_state_dict({name: tensor.float() for name, tensor in own.items()}, strict=True)
    clip.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def golden_clip(tensors, tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clip"), tensors)


@pytest.fixture
def convert(golden, tmp_path):
    """A function that converts into `tmp_path / "out"` with the golden token ids: model, folder and report."""

    def convert(checkpoint=OFFICIAL, **options):
        reports = []
        options = {"class_token_ids": golden[1], "report": reports.append, **options}
        model = convert_dist_checkpoint(checkpoint, tmp_path / "out", **options)
        return model, tmp_path / "out", reports[0]

    return convert


@pytest.fixture
def token_ids_file(golden, tmp_path):
    path = tmp_path / "token_ids.json"
    path.write_text(json.dumps(golden[1].tolist()))
    return str(path)


def make_official(path, vision=None, text_heads=1, vocab_size=514, **config_kwargs):
    """Write a random checkpoint in the authors' layout, and return its configuration."""
    vision_config = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3, "num_attention_heads": 1}
    vision_config |= {"image_size": 32, "patch_size": 8, **(vision or {})}
    config_kwargs = {"integration_dim": 64, "temporal_dim": 16, "num_pooling_layers": 2, **config_kwargs}
    config_kwargs = {"num_frames": 8, "projection_dim": 48, **config_kwargs}
    vision_config["projection_dim"] = config_kwargs["projection_dim"]
    config = DiSTConfig(vision_config=vision_config, **config_kwargs)
    width, projection_dim = 32, config.projection_dim
    block = CLIPVisionConfig(hidden_size=width, intermediate_size=64, num_attention_heads=text_heads)
    tensors = ReferenceDiST(config).state_dict()
    for layer in range(2):
        for name, tensor in ReferenceCLIPBlock(block).state_dict().items():
            tensors[f"transformer.resblocks.{layer}.{name}"] = tensor
    tensors |= {
        "token_embedding.weight": torch.randn(vocab_size, width),
        "positional_embedding": torch.randn(77, width),
        "ln_final.weight": torch.ones(width),
        "ln_final.bias": torch.zeros(width),
        "text_projection": torch.randn(width, projection_dim) * width**-0.5,
        "logit_scale": torch.tensor(4.0),
    }
    write_official(path, tensors)
    return config


# The command


def test_golden_checkpoint_through_the_command_gives_the_authors_figures(golden, tmp_path, token_ids_file, capsys):
    video, _, expected = golden
    (tmp_path / "names.txt").write_text("\n".join(NAMES) + "\n")
    output = tmp_path / "a" / "dist"
    main(
        ["--checkpoint", str(OFFICIAL), "--output", str(output), "--class_token_ids", token_ids_file]
        + ["--class_names", str(tmp_path / "names.txt")]
    )
    model = DiSTForVideoClassification.from_pretrained(output)
    with torch.no_grad():
        assert relative_error(model(video).logits, expected["logits"]) < 1e-5
        assert relative_error(model(video).video_embeds, expected["video_embeds"]) < 1e-5
        assert relative_error(model(video, zero_shot_weight=0.5).logits, expected["zero_shot_logits"]) < 1e-5
    assert relative_error(model.classifier.class_embeds, expected["text_embeds"]) < 1e-5
    assert list(model.config.id2label.values()) == NAMES
    report = capsys.readouterr().out
    assert "163,648 parameters frozen, 288,848 tunable" in report
    assert "integration2temporal_nets.2.linear_fuse.weight: nothing reads it" in report
    assert "the whole model" in report and "no CLIP of these sizes" in report
    assert "passed" in report


def test_command_runs_as_a_module(tmp_path, token_ids_file):
    arguments = ["--checkpoint", str(OFFICIAL), "--output", "out", "--class_token_ids", token_ids_file]
    result = subprocess.run(
        [sys.executable, "-m", "modeling_dist.convert_dist_to_hf", *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert "self-check" in result.stdout and "5/5" in result.stderr
    assert sorted(os.listdir(tmp_path)) == ["out", "token_ids.json"]


def test_command_ends_with_the_message_of_an_error(tmp_path, token_ids_file):
    with pytest.raises(SystemExit, match="not empty") as ending:
        main(["--checkpoint", str(OFFICIAL), "--output", str(tmp_path), "--class_token_ids", token_ids_file])
    assert ending.value.__suppress_context__


def test_converted_folder_works_in_the_pipeline(convert, video):
    model, folder, _ = convert(class_names=NAMES)
    predictions = pipeline("video-classification", model=str(folder))(video, top_k=7)
    assert sorted(p["label"] for p in predictions) == sorted(NAMES)
    processor = DiSTVideoProcessor.from_pretrained(folder)
    pixel_values = processor(video, return_tensors="pt")["pixel_values_videos"]
    assert pixel_values.shape == (1, 8, 3, 32, 32)
    with torch.no_grad():
        expected = model(pixel_values).logits.softmax(-1).max().item()
    assert predictions[0]["score"] == pytest.approx(expected, rel=1e-4)


def test_returned_model_is_the_saved_one(convert):
    model, folder, _ = convert()
    assert model.name_or_path == str(folder)
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.dist.spatial_encoder.parameters())
    reloaded = DiSTForVideoClassification.from_pretrained(folder)
    for name, tensor in reloaded.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name]), name
    assert reloaded.config.id2label[6] == "LABEL_6"


# Sizes


@pytest.mark.parametrize(
    "sizes",
    [
        {"num_frames": 16, "spatial_frame_stride": 4, "temporal_stem_kernel_size": 3, "temporal_kernel_size": 5},
        {"temporal_mlp_ratio": 1.5, "integration_mlp_ratio": 0.5, "integration_temporal_mlp_ratio": 23 / 64},
        {"integration_dim": 128, "temporal_dim": 24, "num_pooling_layers": 3, "projection_dim": 40},
        # 49 * (8 / 49) is less than 8 in floating point
        {"temporal_dim": 49, "temporal_mlp_ratio": 8.5 / 49},
        {"spatial_frame_stride": 1, "vision": {"patch_size": 16, "hidden_size": 128, "num_hidden_layers": 2}},
    ],
)
def test_every_size_is_read_from_the_tensors(tmp_path, convert, sizes):
    expected = make_official(tmp_path / "any.pyth", **sizes)
    options = {"num_attention_heads": 1, "num_text_attention_heads": 1}
    config = convert(tmp_path / "any.pyth", **options)[0].config
    for name in (
        "num_frames",
        "spatial_frame_stride",
        "selected_layers",
        "integration_dim",
        "temporal_dim",
        "temporal_stem_kernel_size",
        "temporal_kernel_size",
        "num_pooling_layers",
        "projection_dim",
    ):
        assert getattr(config, name) == getattr(expected, name), name
    for name in ("temporal_mlp_ratio", "integration_mlp_ratio", "integration_temporal_mlp_ratio"):
        dim = config.temporal_dim if name == "temporal_mlp_ratio" else config.integration_dim
        assert int(dim * getattr(config, name)) == int(dim * getattr(expected, name)), name
    for name in ("hidden_size", "intermediate_size", "num_hidden_layers", "image_size", "patch_size"):
        assert getattr(config.vision_config, name) == getattr(expected.vision_config, name), name


def test_selected_layers_are_required_if_they_are_not_all(tmp_path, convert):
    make_official(tmp_path / "some.pyth", selected_layers=[0, 2])
    heads = {"num_text_attention_heads": 1}
    with pytest.raises(ValueError, match="2 of the 3 layers.*Give them as `selected_layers`"):
        convert(tmp_path / "some.pyth", **heads)
    with pytest.raises(ValueError, match=r"must name 2 layers.*got \[0, 1, 2\]"):
        convert(tmp_path / "some.pyth", selected_layers=[0, 1, 2], **heads)
    with pytest.raises(ValueError, match="from 0 to 2"):
        convert(tmp_path / "some.pyth", selected_layers=[0, 3], **heads)
    model, _, _ = convert(tmp_path / "some.pyth", selected_layers=[0, 2], **heads)
    assert model.config.selected_layers == [0, 2]


def test_number_of_heads_is_required_if_64_does_not_divide_the_width(tmp_path, convert):
    make_official(tmp_path / "narrow.pyth", vision={"hidden_size": 96, "num_attention_heads": 3}, text_heads=2)
    with pytest.raises(ValueError, match="width 96.*`num_attention_heads`"):
        convert(tmp_path / "narrow.pyth")
    with pytest.raises(ValueError, match="width 32.*`num_text_attention_heads`"):
        convert(tmp_path / "narrow.pyth", num_attention_heads=3)
    with pytest.raises(ValueError, match="must divide the vision tower's width, 96; got 5"):
        convert(tmp_path / "narrow.pyth", num_attention_heads=5)
    model, _, _ = convert(tmp_path / "narrow.pyth", num_attention_heads=3, num_text_attention_heads=2)
    assert model.config.vision_config.num_attention_heads == 3


def test_heads_of_the_backbone_are_taken_over(tensors, tmp_path, convert):
    clip = write_clip(tmp_path / "clip", tensors, num_attention_heads=4)
    with pytest.raises(ValueError, match="num_attention_heads=4.*num_attention_heads=2"):
        convert(backbone=clip, num_attention_heads=2)
    assert convert(backbone=clip)[0].config.vision_config.num_attention_heads == 4


# Tensors


def test_old_names_give_the_same_model(tensors, tmp_path, convert, golden):
    old_parts = {new: old for old, new in OLD_NAMES.items()}
    old = {}
    for name, tensor in tensors.items():
        if name.startswith("dist_net."):
            _, part, *rest = name.split(".")
            name = ".".join(["ladder_net", old_parts.get(part, part), *rest])
        old[name] = tensor
    assert set(OLD_NAMES) == {name.split(".")[1] for name in old if name.startswith("ladder_net.")} & set(OLD_NAMES)
    model, _, _ = convert(write_official(tmp_path / "old.pyth", old))
    with torch.no_grad():
        assert relative_error(model(golden[0]).logits, golden[2]["logits"]) < 1e-5


def test_name_under_both_spellings_is_refused(tensors, tmp_path, convert):
    both = {**tensors, "ladder_net.input_map_feat_nets.0.weight": torch.zeros(64, 64)}
    with pytest.raises(ValueError, match="input_linears.0.weight twice"):
        convert(write_official(tmp_path / "both.pyth", both))


def test_all_tensors_that_do_not_fit_are_in_one_error(tensors, tmp_path, convert):
    wrong = dict(tensors)
    wrong["dist_net.surprise"] = torch.zeros(1)
    wrong["visual.transformer.resblocks.1.mlp.c_fc.extra"] = torch.zeros(1)
    del wrong["dist_net.input_linears.1.bias"], wrong["transformer.resblocks.0.ln_2.weight"]
    wrong["dist_net.adapooling_nets.1.positional_embedding"] = torch.zeros(1, 5, 64)
    wrong["visual.proj"] = torch.zeros(64, 47)
    with pytest.raises(ValueError) as error:
        convert(write_official(tmp_path / "wrong.pyth", wrong))
    lines = str(error.value).splitlines()
    assert "6 of its tensors do not fit" in lines[0] and str(tmp_path / "wrong.pyth") in lines[0]
    assert sorted(line.strip() for line in lines[1:]) == [
        "dist_net.adapooling_nets.1.positional_embedding: shape (1, 5, 64) instead of (1, 4, 64)",
        "dist_net.input_linears.1.bias: missing",
        "dist_net.surprise: unknown",
        "transformer.resblocks.0.ln_2.weight: missing",
        "visual.proj: shape (64, 47) instead of (64, 48)",
        "visual.transformer.resblocks.1.mlp.c_fc.extra: unknown",
    ]


def test_tensors_that_the_sizes_are_read_from_are_listed_with_the_unknown_ones(tensors, tmp_path, convert):
    wrong = {**tensors, "head.weight": torch.zeros(1), "dist_net.temporal_stem.weight": torch.zeros(16, 3)}
    del wrong["token_embedding.weight"]
    with pytest.raises(ValueError) as error:
        convert(write_official(tmp_path / "wrong.pyth", wrong))
    assert sorted(line.strip() for line in str(error.value).splitlines()[1:]) == [
        "dist_net.temporal_stem.weight: shape (16, 3) instead of one of 5 axes",
        "head.weight: unknown",
        "token_embedding.weight: missing",
    ]


def test_unused_weights_may_be_missing(tensors, tmp_path, convert, golden):
    rest = {name: tensor for name, tensor in tensors.items() if "integration2temporal_nets.2." not in name}
    model, _, report = convert(write_official(tmp_path / "rest.pyth", rest))
    assert "nothing reads it" not in report
    with torch.no_grad():
        assert relative_error(model(golden[0]).logits, golden[2]["logits"]) < 1e-5


@pytest.mark.parametrize("prefix", ["module.", f"module.{PREFIX}"])
def test_prefix_of_distributed_training_is_removed(tensors, tmp_path, convert, golden, prefix):
    path = write_official(tmp_path / "distributed.pyth", tensors, prefix=prefix)
    model, _, _ = convert(path)
    with torch.no_grad():
        assert relative_error(model(golden[0]).logits, golden[2]["logits"]) < 1e-5
    raw = torch.load(path, weights_only=True)["model_state"]
    assert convert_state_dict(raw)[0].keys() == convert_state_dict(tensors)[0].keys()
    assert convert_text_tower(raw).keys() == convert_text_tower(tensors).keys()


def test_tensors_without_the_authors_prefix_are_accepted(tensors, tmp_path, convert, golden):
    model, _, _ = convert(write_official(tmp_path / "bare.pyth", tensors, prefix=""))
    with torch.no_grad():
        assert relative_error(model(golden[0]).logits, golden[2]["logits"]) < 1e-5


# The file


def test_malicious_pickle_is_refused_and_runs_nothing(tensors, tmp_path, convert):
    class Malice:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "owned"),)

    for content in ({"model_state": tensors, "cfg": Malice()}, {"model_state": {"weight": Malice()}}, Malice()):
        torch.save(content, tmp_path / "malicious.pyth")
        with pytest.raises(ValueError, match="malicious.pyth is refused.*mkdir") as error:
            convert(tmp_path / "malicious.pyth")
        assert "weights_only" not in str(error.value)
    assert sorted(os.listdir(tmp_path)) == ["malicious.pyth"]
    with pytest.raises(SystemExit, match="refused"):
        main(
            ["--checkpoint", str(tmp_path / "malicious.pyth"), "--output", str(tmp_path / "out")]
            + ["--class_names", "k400"]
        )
    assert sorted(os.listdir(tmp_path)) == ["malicious.pyth"]


@pytest.mark.parametrize("how", ["zip", "legacy", "pickle"])
def test_objects_of_classes_are_refused_without_advice_to_trust_them(tmp_path, convert, how):
    path, content = tmp_path / "objects.pyth", {"model_state": {}, "cfg": argparse.Namespace(lr=0.1)}
    if how == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=how == "zip")
    with pytest.raises(ValueError, match="is refused.*could run code") as error:
        convert(path)
    assert "safe_globals" not in str(error.value) and "weights_only" not in str(error.value)


def test_file_that_is_not_a_checkpoint_is_named(tmp_path, convert):
    path = tmp_path / "some.pyth"
    with pytest.raises(OSError, match=f"no checkpoint {path}"):
        convert(path)
    path.write_bytes(b"")
    with pytest.raises(OSError, match=rf"{path} is not a PyTorch checkpoint \(it is empty\)"):
        convert(path)
    path.write_bytes(OFFICIAL.read_bytes()[:100_000])
    with pytest.raises(OSError, match=f"{path} is not a PyTorch checkpoint.*truncated"):
        convert(path)
    # "c" is the opcode for a function or class, "g" one that the unpickler does not know
    for text in (b"<!DOCTYPE html><html>", b"comment: some\nconfig: file\n", b"git-lfs 1", b"neither" * 100):
        path.write_bytes(text)
        with pytest.raises(OSError, match=f"{path} is not a PyTorch checkpoint .it begins with b.{text[:4].decode()}"):
            convert(path)
    torch.save({"model_state": {"weight": torch.zeros(100)}}, path, _use_new_zipfile_serialization=False)
    legacy = path.read_bytes()
    for length in (1, 50, 200, len(legacy) - 10):
        path.write_bytes(legacy[:length])
        with pytest.raises(OSError, match=f"{path} is not a PyTorch checkpoint"):
            convert(path)
    for content in ({"state_dict": {}, "epoch": 3}, [torch.zeros(1)], {"model_state": {"a": 1}}):
        torch.save(content, path)
        with pytest.raises(ValueError, match=f"{path} is not one of the authors' checkpoints"):
            convert(path)


def test_what_else_the_file_holds_is_named(tensors, tmp_path, convert):
    path = write_official(tmp_path / "full.pyth", tensors, epoch=36, optimizer_state={"lr": 0.1}, cfg="TRAIN: true")
    report = convert(path)[2]
    for name in ("cfg", "epoch", "optimizer_state"):
        assert f"{name}: an entry of the file that is not part of the model" in report


# The backbone


def test_equal_backbone_is_named_and_left_out(golden_clip, convert, golden):
    video, _, expected = golden
    model, folder, report = convert(backbone=golden_clip)
    assert not holds_backbone(folder)
    assert "classifier.visual_projection" not in saved_names(folder)
    assert model.config.backbone == golden_clip and len(model.config.backbone_fingerprint) == 32
    # 12 tensors in each of 3 layers, and 7 others
    assert "equal to the backbone's in all 43 tensors" in report
    with torch.no_grad():
        assert relative_error(model(video).logits, expected["logits"]) < 1e-5
        model.set_zero_shot_weight(0.5)
        assert relative_error(model(video).logits, expected["zero_shot_logits"]) < 1e-5


def test_other_backbone_is_refused_by_the_converted_checkpoint(golden_clip, convert, tmp_path):
    folder = convert(backbone=golden_clip)[1]
    other = make_tiny_clip(tmp_path / "other", intermediate_size=256, num_attention_heads=1)
    with pytest.raises(ValueError, match="not the one"):
        DiSTForVideoClassification.from_pretrained(folder, backbone=other)


def nudge(tensors, name, amount):
    """Return the checkpoint with one value of one tensor changed."""
    changed = tensors[name].clone()
    changed.view(-1)[3] += amount
    return {**tensors, name: changed}


VISION_TENSOR = "visual.transformer.resblocks.1.attn.in_proj_weight"


def test_different_vision_tower_is_saved_with_the_model(tensors, golden_clip, tmp_path, convert, golden, caplog):
    path = write_official(tmp_path / "tuned.pyth", nudge(tensors, VISION_TENSOR, 0.5))
    model, folder, report = convert(path, backbone=golden_clip)
    assert holds_backbone(folder) and "classifier.visual_projection" in saved_names(folder)
    difference = "different from the backbone's in 1 of 43 tensors, by up to 0.5"
    assert difference in report and difference in caplog.text
    assert "the whole model" in report
    # The text tower is the backbone's, so that other class names can be embedded by it.
    assert model.config.backbone == golden_clip and model.config.backbone_fingerprint is None
    with torch.no_grad():
        assert relative_error(model(golden[0]).logits, golden[2]["logits"]) > 1e-4
    # The vision tower stays with the model when it is saved again.
    DiSTForVideoClassification.from_pretrained(folder).save_pretrained(tmp_path / "again")
    assert holds_backbone(tmp_path / "again")


def test_different_vision_tower_can_be_an_error_or_be_replaced(tensors, golden_clip, tmp_path, convert, golden):
    path = write_official(tmp_path / "tuned.pyth", nudge(tensors, VISION_TENSOR, 0.5))
    with pytest.raises(ValueError, match="by up to 0.5"):
        convert(path, backbone=golden_clip, backbone_mismatch="error")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match="include, replace, error, got ignore"):
        convert(path, backbone=golden_clip, backbone_mismatch="ignore")
    model, folder, report = convert(path, backbone=golden_clip, backbone_mismatch="replace")
    assert not holds_backbone(folder)
    assert "replaced by the backbone's" in report
    with torch.no_grad():
        assert relative_error(model(golden[0]).logits, golden[2]["logits"]) < 1e-5


def test_tower_with_nan_differs_by_nan(tensors, golden_clip, tmp_path, convert):
    path = write_official(tmp_path / "nan.pyth", nudge(tensors, VISION_TENSOR, float("nan")))
    with pytest.raises(ValueError, match="1 of 43 tensors, by up to nan"):
        convert(path, backbone=golden_clip, backbone_mismatch="error")


def test_different_text_tower_and_projection_are_reported(tensors, golden_clip, tmp_path, convert):
    changed = nudge(nudge(tensors, "token_embedding.weight", 0.25), "visual.proj", 0.125)
    model, folder, report = convert(write_official(tmp_path / "changed.pyth", changed), backbone=golden_clip)
    assert not holds_backbone(folder)
    assert "different from the backbone's in 1 of 17 tensors, by up to 0.25" in report
    assert "in a different embedding space" in report
    assert torch.equal(model.classifier.visual_projection, changed["visual.proj"].T)


def test_backbone_of_other_sizes_is_refused(tmp_path, convert):
    clip = make_tiny_clip(tmp_path / "clip", num_attention_heads=1)
    with pytest.raises(ValueError, match=r"mlp.fc1.weight has shape \(128, 64\) instead of \(256, 64\)"):
        convert(backbone=clip)
    with pytest.raises(OSError):
        convert(backbone=str(tmp_path / "nowhere"))
    assert not (tmp_path / "out").exists()


def test_half_precision_checkpoint_equals_the_backbone_that_it_rounds(tensors, golden_clip, tmp_path, convert, golden):
    half = {name: tensor.half() for name, tensor in tensors.items()}
    model, folder, report = convert(write_official(tmp_path / "half.pyth", half), backbone=golden_clip)
    assert "equal to the backbone's in all 43 tensors" in report and not holds_backbone(folder)
    assert {tensor.dtype for tensor in load_file(folder / "model.safetensors").values()} == {torch.float32}
    with torch.no_grad():
        assert relative_error(model(golden[0]).logits, golden[2]["logits"]) < 0.02


def test_openais_clip_is_the_default_if_it_is_cached(golden_clip, tmp_path, convert, monkeypatch):
    commit = "a" * 40
    repository = tmp_path / "cache" / "models--openai--clip-vit-base-patch16"
    shutil.copytree(golden_clip, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    # The tiny sizes stand in for those of ViT-B/16.
    sizes = {(64, 3, 8, 32): "openai/clip-vit-base-patch16"}
    assert "openai/clip-vit-base-patch16" == paper.OPENAI_CLIP[(768, 12, 16, 224)]
    monkeypatch.setattr(paper, "OPENAI_CLIP", sizes)
    model, folder, report = convert(cache_dir=tmp_path / "cache")
    assert not holds_backbone(folder)
    assert (model.config.backbone, model.config.backbone_revision) == ("openai/clip-vit-base-patch16", commit)
    assert f"openai/clip-vit-base-patch16, commit {commit}" in report
    shutil.rmtree(folder)
    report = convert(cache_dir=tmp_path / "empty")[2]
    assert "openai/clip-vit-base-patch16 is not in the cache and cannot be reached" in report
    assert holds_backbone(folder)


def test_revision_that_is_not_there_is_an_error(golden_clip, tmp_path, convert, monkeypatch):
    """Whoever gives a revision does not want a model without a backbone."""
    with pytest.raises(ValueError, match="`revision` is that of the backbone"):
        convert(revision="main")
    monkeypatch.setattr(paper, "OPENAI_CLIP", {(64, 3, 8, 32): "openai/clip-vit-base-patch16"})
    with pytest.raises(OSError):
        convert(revision="mian", cache_dir=tmp_path / "cache")
    assert not (tmp_path / "out").exists()


def count_saved(folder):
    """Count the checkpoint's tensors that were saved; query, key and value are one tensor there."""
    names = saved_names(folder) - {"classifier.class_embeds"}  # not in the checkpoint
    return len({re.sub(r"\.[qkv]_proj\.", ".in_proj.", name) for name in names})


@pytest.mark.parametrize("with_backbone", [False, True])
def test_report_counts_every_tensor_once(tensors, golden_clip, convert, with_backbone):
    _, folder, report = convert(backbone=golden_clip if with_backbone else None)
    total, mapped, used, taken, left_out = map(
        int,
        re.search(
            r"(\d+) in the checkpoint: (\d+) mapped, (\d+) used for the class features, (\d+) taken from the backbone "
            r"instead, (\d+) left out",
            report,
        ).groups(),
    )
    assert total == len(tensors) == mapped + used + taken + left_out
    assert mapped == count_saved(folder)
    assert taken == (len([name for name in tensors if name.startswith("visual.")]) if with_backbone else 0)
    assert left_out == report.count("nothing reads it") == 2
    assert used == 17  # 12 of one layer, and 5 others


def test_saved_files_can_be_read_by_the_same_people(convert):
    folder = convert()[1]
    assert len({file.stat().st_mode for file in folder.iterdir()}) == 1


# Class names


def test_words_are_embedded_by_the_checkpoints_own_text_tower(tiny_clip, tmp_path, convert):
    """Not by the backbone's text encoder, which is a different one here."""
    make_official(tmp_path / "words.pyth")
    names = ["zumba", '"air drumming"', "yoga"]
    options = {"class_token_ids": None, "num_text_attention_heads": 1}
    model, _, _ = convert(tmp_path / "words.pyth", class_names=names, tokenizer=tiny_clip, **options)
    assert list(model.config.id2label.values()) == ["zumba", "air drumming", "yoga"]

    text_tensors = convert_text_tower(read_official_checkpoint(tmp_path / "words.pyth")[0])
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 1}
    tokens = {"vocab_size": 514, "bos_token_id": 512, "eos_token_id": 513}
    text_model = CLIPTextModelWithProjection(CLIPTextConfig(**sizes, **tokens, projection_dim=48)).eval()
    text_model.load_state_dict(text_tensors, strict=True)
    tokenizer = CLIPTokenizer.from_pretrained(tiny_clip)
    for name, class_embeds in zip(["zumba", "air drumming", "yoga"], model.classifier.class_embeds, strict=True):
        with torch.no_grad():
            expected = text_model(**tokenizer([name], return_tensors="pt")).text_embeds[0]
        assert_close(class_embeds, expected, rtol=1e-4, atol=1e-5)


def test_tokenizer_comes_from_the_backbone_by_default(tiny_clip, tensors, tmp_path, convert):
    make_official(tmp_path / "words.pyth", vision={"num_attention_heads": 2})
    options = {"class_token_ids": None, "num_text_attention_heads": 1, "class_names": NAMES}
    model, _, _ = convert(tmp_path / "words.pyth", backbone=tiny_clip, **options)
    shutil.rmtree(tmp_path / "out")
    given, _, _ = convert(tmp_path / "words.pyth", tokenizer=tiny_clip, num_attention_heads=2, **options)
    assert torch.equal(model.classifier.class_embeds, given.classifier.class_embeds)


def test_words_without_a_tokenizer_say_what_to_give(convert, tmp_path):
    options = {"class_token_ids": None, "class_names": NAMES}
    with pytest.raises(ValueError, match="as `tokenizer`, or the names' `class_token_ids`"):
        convert(**options)
    (tmp_path / "empty").mkdir()
    for source in (tmp_path / "empty", "org/nowhere", tmp_path / "nowhere"):
        with pytest.raises((OSError, ValueError), match=f"{source}.*`vocab.json` and `merges.txt`"):
            convert(tokenizer=source, **options)
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match="Give the `class_names`"):
        convert(class_token_ids=None)


def test_tokenizer_of_another_vocabulary_is_refused(convert, tiny_clip):
    options = {"class_token_ids": None, "class_names": NAMES}
    with pytest.raises(ValueError, match="of 514 tokens, and the text tower's is of 300"):
        convert(tokenizer=tiny_clip, **options)
    with pytest.raises(ValueError, match="from 0 to 299, the text tower's vocabulary; got .* 513"):
        convert(tokenizer=CLIPTokenizer.from_pretrained(tiny_clip), **options)


def test_token_ids_of_different_lengths_need_no_padding(convert, golden):
    unpadded = [ids[: ids.argmax() + 1].tolist() for ids in golden[1]]
    model, _, _ = convert(class_token_ids=unpadded)
    assert relative_error(model.classifier.class_embeds, golden[2]["text_embeds"]) < 1e-5


@pytest.mark.parametrize(
    ("token_ids", "message"),
    [
        ([], "one sequence of token ids per class"),
        ([[1.5, 2.0]], "one sequence of token ids per class"),
        ([1, 2], "one sequence of token ids per class"),
        ([[298, 300]], "from 0 to 299"),
        ([[298, 299], [298] + 80 * [5] + [299]], "77 tokens, and that of label 1 has 82"),
    ],
)
def test_impossible_token_ids_are_refused(convert, token_ids, message):
    with pytest.raises(ValueError, match=message):
        convert(class_token_ids=token_ids)


def test_names_and_token_ids_have_to_be_as_many(convert):
    with pytest.raises(ValueError, match="2 `class_names` and 7 `class_token_ids`"):
        convert(class_names=["a", "b"])


# The self-check, and what a failure leaves


def test_wrongly_mapped_tensor_fails_the_self_check(convert, tmp_path, monkeypatch):
    """A tensor of the same shape, which no other check could notice."""
    swapped = {"mlp.fc1.": "mlp.fc2.", "mlp.fc2.": "mlp.fc1."}
    rules = tuple(
        (pattern, target.replace(end, swapped[end]))
        if (end := target[-8:]) in swapped and "integration_block.mlp" in target
        else (pattern, target)
        for pattern, target in names.TUNABLE_NAMES
    )
    assert rules != names.TUNABLE_NAMES
    monkeypatch.setattr(names, "TUNABLE_NAMES", rules)
    with pytest.raises(RuntimeError, match="does not compute what the checkpoint does.*video embeddings"):
        convert()
    assert os.listdir(tmp_path) == []


def test_wrong_text_tower_fails_the_self_check(convert, tmp_path, monkeypatch, token_ids_file):
    embed = convert_dist_to_hf.embed_classes
    monkeypatch.setattr(convert_dist_to_hf, "embed_classes", lambda *args: embed(*args).flip(0))
    with pytest.raises(RuntimeError, match="class embeddings"):
        convert()
    output = str(tmp_path / "out")
    with pytest.raises(SystemExit, match="class embeddings"):
        main(["--checkpoint", str(OFFICIAL), "--output", output, "--class_token_ids", token_ids_file])
    assert os.listdir(tmp_path) == ["token_ids.json"]


@pytest.mark.parametrize("name", ["dist_net.ln_post.weight", "ln_final.bias", "visual.proj"])
def test_nan_weights_fail_the_self_check(tensors, tmp_path, convert, name):
    path = write_official(tmp_path / "nan.pyth", nudge(tensors, name, float("nan")))
    with pytest.raises(RuntimeError, match="nan"):
        convert(path)
    assert os.listdir(tmp_path) == ["nan.pyth"]


@pytest.mark.parametrize("owner", [DiSTVideoProcessor, DiSTForVideoClassification])
def test_full_disk_leaves_nothing_half_written(convert, tmp_path, monkeypatch, owner):
    save = owner.save_pretrained

    def fail(self, folder, *args, **kwargs):
        save(self, folder, *args, **kwargs)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(owner, "save_pretrained", fail)
        with pytest.raises(OSError, match="No space left"):
            convert()
    assert os.listdir(tmp_path) == []
    convert()  # and running it again works
    assert os.listdir(tmp_path) == ["out"]


def test_folder_with_files_is_left_alone(convert, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").write_text("mine")
    with pytest.raises(ValueError, match="not empty"):
        convert()
    assert (tmp_path / "out" / "precious").read_text() == "mine"
    (tmp_path / "out" / "precious").unlink()
    convert()
    assert "model.safetensors" in os.listdir(tmp_path / "out")
