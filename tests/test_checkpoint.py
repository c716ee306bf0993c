"""What a checkpoint holds, and loading a model from two repositories."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch.testing import assert_close
from transformers import (
    AutoModel,
    AutoModelForVideoClassification,
    CLIPModel,
    CLIPVisionModel,
    Trainer,
    TrainingArguments,
)

from modeling_dist import DiSTConfig, DiSTForVideoClassification, DiSTModel
from modeling_dist.testing import make_tiny_clip, tiny_config_kwargs


CLASS_NAMES = ["abseiling", "air drumming", "archery"]


def saved_names(folder):
    with safe_open(os.path.join(folder, "model.safetensors"), framework="pt") as file:
        return set(file.keys())


def edit_config(folder, **values):
    path = os.path.join(folder, "config.json")
    with open(path) as file:
        config = json.load(file)
    config.update(values)
    with open(path, "w") as file:
        json.dump(config, file)


@pytest.fixture
def copy_of_dist(tiny_dist, tmp_path):
    return shutil.copytree(tiny_dist, tmp_path / "copy")


def assert_same_state(actual, expected):
    assert actual.state_dict().keys() == expected.state_dict().keys()
    for name, tensor in expected.state_dict().items():
        assert torch.equal(actual.state_dict()[name], tensor), name


def lay_out_as_hub_cache(cache, repository, commit, source):
    """Lay out a repository as the Hub's client does in its cache, with `main` at that commit."""
    root = cache / f"models--{repository.replace('/', '--')}"
    shutil.copytree(source, root / "snapshots" / commit, dirs_exist_ok=True)
    (root / "refs").mkdir(exist_ok=True)
    (root / "refs" / "main").write_text(commit)
    return root


# Saving


def test_saved_file_holds_only_tunable_weights_and_the_head(tiny_dist):
    pooling_layer = [
        *(f"{kind}_{part}" for kind in ("frame", "video") for part in ("layernorm.weight", "layernorm.bias")),
        *(
            f"{kind}_attention.{part}"
            for kind in ("frame", "video")
            for part in ("in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias")
        ),
        *(f"{kind}_mlp_layernorm.{part}" for kind in ("frame", "video") for part in ("weight", "bias")),
        *(
            f"{kind}_mlp.{part}.{kind_of}"
            for kind in ("frame", "video")
            for part in ("fc1", "fc2")
            for kind_of in ("weight", "bias")
        ),
        "position_embeddings",
    ]
    modules = [
        "temporal_block.layernorm",
        "temporal_block.temporal_conv",
        "temporal_block.spatial_conv",
        "input_projection",
        "integration_to_temporal",
        "temporal_to_integration",
        "integration_block.layernorm",
        "integration_block.mlp.fc1",
        "integration_block.mlp.fc2",
        "integration_block.temporal_layernorm",
        "integration_block.temporal_mlp.fc1",
        "integration_block.temporal_mlp.temporal_conv",
        "integration_block.temporal_mlp.fc2",
    ]
    layer = ["class_token", *(f"{module}.{part}" for module in modules for part in ("weight", "bias"))]
    expected = {f"dist.layers.{index}.{name}" for index in range(3) for name in layer}
    expected -= {f"dist.layers.2.integration_to_temporal.{part}" for part in ("weight", "bias")}
    expected |= {f"dist.pooling.layers.{index}.{name}" for index in range(2) for name in pooling_layer}
    expected |= {f"dist.temporal_stem.{part}" for part in ("weight", "bias")}
    expected |= {f"dist.pooling.{name}" for name in ("video_token", "frame_token", "projection.weight")}
    expected |= {
        f"dist.pooling.{module}.{part}"
        for module in ("class_token_projection", "layernorm")
        for part in ("weight", "bias")
    }
    expected |= {"classifier.class_embeds", "classifier.logit_scale"}
    assert saved_names(tiny_dist) == expected


def test_configuration_names_the_backbone(tiny_dist, tiny_clip):
    config = DiSTConfig.from_pretrained(tiny_dist)
    assert config.backbone == tiny_clip
    assert config.vision_config.hidden_size == 64
    assert len(config.backbone_fingerprint) == 32


def test_saving_leaves_the_given_state_dict_as_it_is(tiny_dist, tmp_path):
    model = DiSTForVideoClassification.from_pretrained(tiny_dist)
    state_dict = model.state_dict()
    names = list(state_dict)
    model.save_pretrained(tmp_path, state_dict=state_dict)
    assert list(state_dict) == names
    assert saved_names(tmp_path) == saved_names(tiny_dist)


def test_backbone_can_be_included(tiny_dist, tmp_path):
    model = DiSTForVideoClassification.from_pretrained(tiny_dist)
    model.save_pretrained(tmp_path, include_backbone=True)
    assert saved_names(tmp_path) == set(model.state_dict())
    # It stays included although its folder exists: whoever loads this checkpoint may not have the backbone otherwise.
    DiSTForVideoClassification.from_pretrained(tmp_path).save_pretrained(tmp_path / "again")
    assert saved_names(tmp_path / "again") == set(model.state_dict())
    edit_config(tmp_path, backbone="/nowhere")
    reloaded = DiSTForVideoClassification.from_pretrained(tmp_path, local_files_only=True)
    assert_same_state(reloaded, model)
    assert not any(p.requires_grad for p in reloaded.dist.spatial_encoder.parameters())


def test_backbone_whose_folder_is_gone_is_included(tiny_clip, tmp_path):
    clip = shutil.copytree(tiny_clip, tmp_path / "clip")
    model = DiSTModel.from_backbone(clip, **tiny_config_kwargs())
    shutil.rmtree(clip)
    model.save_pretrained(tmp_path / "dist")
    assert_same_state(DiSTModel.from_pretrained(tmp_path / "dist"), model)


def test_backbone_is_not_overwritten(tiny_clip, tmp_path):
    clip = shutil.copytree(tiny_clip, tmp_path / "clip")
    model = DiSTModel.from_backbone(clip, **tiny_config_kwargs())
    with pytest.raises(ValueError, match="the backbone's own folder"):
        model.save_pretrained(clip)
    assert_same_state(CLIPVisionModel.from_pretrained(clip), CLIPVisionModel.from_pretrained(tiny_clip))


def test_backbone_that_is_in_no_repository_is_included(tmp_path):
    """The weights are random, although the configuration names CLIP's repository."""
    vision_config = {"num_hidden_layers": 1, "hidden_size": 64, "num_attention_heads": 1, "image_size": 32}
    model = DiSTModel(DiSTConfig(vision_config=vision_config, num_frames=2))
    model.save_pretrained(tmp_path)
    assert saved_names(tmp_path) == set(model.state_dict())
    assert_same_state(DiSTModel.from_pretrained(tmp_path), model)
    with pytest.raises(ValueError, match="would be lost"):
        model.save_pretrained(tmp_path / "other", include_backbone=False)
    without = {name: tensor for name, tensor in model.state_dict().items() if "spatial_encoder" not in name}
    with pytest.raises(ValueError, match="lacks the backbone's weights"):
        model.save_pretrained(tmp_path / "other", state_dict=without)
    assert not (tmp_path / "other").exists()


def test_fine_tuned_backbone_is_included_and_stays_so(tiny_dist, tmp_path):
    model = DiSTForVideoClassification.from_pretrained(tiny_dist)
    model.unfreeze_backbone()
    with torch.no_grad():
        for parameter in model.dist.spatial_encoder.parameters():
            parameter.mul_(1 + 1e-6)
    model.freeze_backbone()
    model.save_pretrained(tmp_path / "first")
    reloaded = DiSTForVideoClassification.from_pretrained(tmp_path / "first")
    assert_same_state(reloaded, model)
    reloaded.save_pretrained(tmp_path / "second")
    assert_same_state(DiSTForVideoClassification.from_pretrained(tmp_path / "second"), model)
    # CLIP's text encoder still comes from the backbone's repository.
    reloaded.set_class_names(["a", "b"])


def test_unfrozen_backbone_is_included(tiny_dist, tmp_path):
    model = DiSTForVideoClassification.from_pretrained(tiny_dist)
    model.unfreeze_backbone()
    model.save_pretrained(tmp_path)
    reloaded = DiSTForVideoClassification.from_pretrained(tmp_path)
    assert_same_state(reloaded, model)
    assert [p.requires_grad for p in reloaded.parameters()] == [p.requires_grad for p in model.parameters()]
    assert all(p.requires_grad for p in reloaded.dist.spatial_encoder.encoder.parameters())


def test_saving_does_not_change_what_requires_gradients(tiny_dist, tmp_path):
    model = DiSTForVideoClassification.from_pretrained(tiny_dist)
    model.dist.temporal_stem.requires_grad_(False)
    model.save_pretrained(tmp_path)
    assert not model.dist.temporal_stem.weight.requires_grad


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_backbone_in_a_lower_precision_is_still_the_same_backbone(tiny_dist, tmp_path, dtype):
    DiSTForVideoClassification.from_pretrained(tiny_dist, dtype=dtype).save_pretrained(tmp_path / "loaded")
    DiSTForVideoClassification.from_pretrained(tiny_dist).to(dtype).float().save_pretrained(tmp_path / "cast")
    for name in ("loaded", "cast"):
        assert not [key for key in saved_names(tmp_path / name) if "spatial_encoder" in key]
    reloaded = DiSTForVideoClassification.from_pretrained(tmp_path / "loaded")
    assert reloaded.dtype == dtype
    assert DiSTForVideoClassification.from_pretrained(tmp_path / "loaded", dtype=torch.float32).dtype == torch.float32


def test_failed_save_leaves_the_folder_as_it_was(copy_of_dist, monkeypatch):
    model = DiSTForVideoClassification.from_pretrained(copy_of_dist)
    before = {path.name: path.read_bytes() for path in copy_of_dist.iterdir()}
    with torch.no_grad():
        model.dist.temporal_stem.weight.add_(1)

    def disk_full(*args, **kwargs):
        with open(args[1], "wb") as file:
            file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("transformers.modeling_utils.safe_save_file", disk_full)
    fingerprint = model.config.backbone_fingerprint
    with pytest.raises(OSError, match="No space left"):
        model.save_pretrained(copy_of_dist)
    with torch.no_grad():
        model.dist.spatial_encoder.pre_layrnorm.weight.add_(1)  # saving this would drop the fingerprint
    with pytest.raises(OSError, match="No space left"):
        model.save_pretrained(copy_of_dist)
    assert model.config.backbone_fingerprint == fingerprint
    assert {path.name: path.read_bytes() for path in copy_of_dist.iterdir()} == before


def test_model_can_be_saved_over_the_files_it_was_loaded_from(copy_of_dist):
    model = DiSTForVideoClassification.from_pretrained(copy_of_dist)
    with torch.no_grad():
        model.dist.temporal_stem.weight.add_(1)
    expected = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.save_pretrained(copy_of_dist)
    for name, tensor in DiSTForVideoClassification.from_pretrained(copy_of_dist).state_dict().items():
        assert torch.equal(tensor, expected[name]), name


def test_shards_are_loaded_and_replaced_by_a_single_file(tiny_dist, tmp_path):
    model = DiSTForVideoClassification.from_pretrained(tiny_dist)
    model.save_pretrained(tmp_path, max_shard_size="300KB")
    assert len([name for name in os.listdir(tmp_path) if name.endswith(".safetensors")]) > 2
    assert_same_state(DiSTForVideoClassification.from_pretrained(tmp_path), model)
    model.save_pretrained(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["config.json", "model.safetensors"]
    with torch.no_grad():
        model.dist.temporal_stem.weight.add_(1)
    model.save_pretrained(tmp_path, max_shard_size="300KB")
    assert not (tmp_path / "model.safetensors").exists()
    assert_same_state(DiSTForVideoClassification.from_pretrained(tmp_path), model)


def test_processes_that_write_nothing_remove_nothing(tiny_dist, tmp_path, monkeypatch):
    """Each process of a distributed run saves; only the first one writes."""
    model = DiSTForVideoClassification.from_pretrained(tiny_dist)
    model.save_pretrained(tmp_path, max_shard_size="300KB")
    before = sorted(os.listdir(tmp_path))
    model.save_pretrained(tmp_path, is_main_process=False, max_shard_size="300KB")
    monkeypatch.setattr(type(model), "should_save_on_this_rank", lambda *_: False, raising=False)
    model.save_pretrained(tmp_path, max_shard_size="300KB")
    assert sorted(os.listdir(tmp_path)) == before


def test_variant_is_saved_and_loaded(tiny_dist, tmp_path):
    model = DiSTForVideoClassification.from_pretrained(tiny_dist)
    model.save_pretrained(tmp_path, variant="fp32")
    assert os.path.isfile(tmp_path / "model.fp32.safetensors")
    model.save_pretrained(tmp_path, variant="other", max_shard_size="300KB")
    assert_same_state(DiSTForVideoClassification.from_pretrained(tmp_path, variant="other"), model)
    assert_same_state(DiSTForVideoClassification.from_pretrained(tmp_path, variant="fp32"), model)
    with pytest.raises(OSError, match="holds no weights"):
        DiSTForVideoClassification.from_pretrained(tmp_path)


def test_saving_to_a_file_is_refused(tiny_dist, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="is a file"):
        DiSTForVideoClassification.from_pretrained(tiny_dist).save_pretrained(tmp_path / "file")


# Loading


def test_reloaded_weights_are_bit_equal_and_frozen_again(tiny_clip, tmp_path):
    model = DiSTForVideoClassification.from_backbone(tiny_clip, class_names=CLASS_NAMES, **tiny_config_kwargs())
    model.save_pretrained(tmp_path)
    reloaded = DiSTForVideoClassification.from_pretrained(tmp_path)
    assert_same_state(reloaded, model)
    videos = torch.randn(1, 8, 3, 32, 32)
    assert_close(reloaded(videos).logits, model(videos).logits, rtol=1e-5, atol=1e-5)
    assert not reloaded.training
    for name, parameter in reloaded.named_parameters():
        assert parameter.requires_grad == reloaded.is_tunable(name)
    assert reloaded.config.id2label == dict(enumerate(CLASS_NAMES))
    assert reloaded.name_or_path == str(tmp_path)


def test_backbone_holds_clips_weights(tiny_dist, tiny_clip):
    clip = CLIPVisionModel.from_pretrained(tiny_clip)
    model = DiSTModel.from_pretrained(tiny_dist)
    assert_same_state(model.spatial_encoder, clip)


@pytest.mark.parametrize(
    "auto_class", [AutoModel, AutoModelForVideoClassification, DiSTModel, DiSTForVideoClassification]
)
def test_loading_logs_nothing(auto_class, tiny_dist, log, capsys):
    model = auto_class.from_pretrained(tiny_dist)
    assert [record.getMessage() for record in log.records if record.levelname != "INFO"] == []
    assert "newly initialized" not in capsys.readouterr().err
    expected = DiSTModel if auto_class in (AutoModel, DiSTModel) else DiSTForVideoClassification
    assert type(model) is expected
    assert not any(p.requires_grad for p in model.base_model.spatial_encoder.parameters())


def test_auto_model_loads_the_base_of_a_classifier_and_back(tiny_dist, tmp_path):
    classifier = DiSTForVideoClassification.from_pretrained(tiny_dist)
    base = AutoModel.from_pretrained(tiny_dist)
    assert_same_state(base, classifier.dist)
    base.save_pretrained(tmp_path)
    assert_same_state(DiSTForVideoClassification.from_pretrained(tmp_path).dist, base)


def test_new_linear_head_on_trained_branches(tiny_dist, log):
    model = DiSTForVideoClassification.from_pretrained(tiny_dist, head_type="linear", num_labels=5)
    assert model.classifier.weight.shape == (5, 48)
    assert_same_state(model.dist, DiSTModel.from_pretrained(tiny_dist))
    assert "classifier.weight" in log.text  # the head is new, and the library says so


def test_loading_info_is_empty_for_a_complete_checkpoint(tiny_dist):
    model, info = DiSTForVideoClassification.from_pretrained(tiny_dist, output_loading_info=True)
    assert isinstance(model, DiSTForVideoClassification)
    assert not any(info.values())


@pytest.mark.parametrize("device_map", ["cpu", "auto", {"": "cpu"}])
def test_device_maps(tiny_dist, device_map):
    model = DiSTForVideoClassification.from_pretrained(tiny_dist, device_map=device_map)
    assert_same_state(model, DiSTForVideoClassification.from_pretrained(tiny_dist))


def test_attention_implementation_reaches_both_parts(tiny_dist):
    for auto_class in (DiSTModel, AutoModel):
        model = auto_class.from_pretrained(tiny_dist, attn_implementation="eager")
        assert model.config._attn_implementation == "eager"
        assert model.spatial_encoder.config._attn_implementation == "eager"


def test_subfolder_and_cache(tiny_dist, tiny_clip, tmp_path):
    """Both repositories are in the Hub's cache, the model in a subfolder, and there is no network."""
    source = tmp_path / "source"
    shutil.copytree(tiny_dist, source / "models" / "k400")
    edit_config(source / "models" / "k400", backbone="org/tiny-clip", backbone_revision="b" * 40)
    cache = tmp_path / "cache"
    lay_out_as_hub_cache(cache, "org/dist-tiny", "a" * 40, source)
    lay_out_as_hub_cache(cache, "org/tiny-clip", "b" * 40, tiny_clip)
    for auto_class in (AutoModelForVideoClassification, DiSTForVideoClassification):
        model = auto_class.from_pretrained(
            "org/dist-tiny", subfolder="models/k400", cache_dir=cache, local_files_only=True
        )
        assert_same_state(model, DiSTForVideoClassification.from_pretrained(tiny_dist))
        assert (model.config.backbone, model.config.backbone_revision) == ("org/tiny-clip", "b" * 40)


def test_revision_of_the_checkpoint_is_respected(tiny_dist, tmp_path):
    cache = tmp_path / "cache"
    lay_out_as_hub_cache(cache, "org/dist-tiny", "a" * 40, tiny_dist)
    other = shutil.copytree(tiny_dist, tmp_path / "other")
    tensors = load_file(other / "model.safetensors")
    tensors["dist.pooling.video_token"] += 1
    save_file(tensors, other / "model.safetensors")
    lay_out_as_hub_cache(cache, "org/dist-tiny", "e" * 40, other)  # where `main` is now
    for revision, expected in (("a" * 40, tiny_dist), ("e" * 40, other), ("main", other), (None, other)):
        kwargs = {} if revision is None else {"revision": revision}
        model = AutoModel.from_pretrained("org/dist-tiny", cache_dir=cache, local_files_only=True, token="x", **kwargs)
        assert_same_state(model, AutoModel.from_pretrained(expected))


def test_backbone_stays_at_the_pinned_commit_when_main_moves_on(tiny_dist, tiny_clip, tmp_path):
    cache = tmp_path / "cache"
    lay_out_as_hub_cache(cache, "org/tiny-clip", "b" * 40, tiny_clip)
    model = DiSTForVideoClassification.from_backbone(
        "org/tiny-clip", cache_dir=cache, local_files_only=True, class_names=CLASS_NAMES, **tiny_config_kwargs()
    )
    assert model.config.backbone_revision == "b" * 40
    model.save_pretrained(tmp_path / "dist")

    moved_on = make_tiny_clip(tmp_path / "moved_on", seed=1)
    lay_out_as_hub_cache(cache, "org/tiny-clip", "c" * 40, moved_on)
    reloaded = DiSTForVideoClassification.from_pretrained(tmp_path / "dist", cache_dir=cache)
    assert_same_state(reloaded, model)
    assert_close(
        CLIPVisionModel.from_pretrained("org/tiny-clip", cache_dir=cache).state_dict(),
        CLIPVisionModel.from_pretrained(moved_on).state_dict(),
    )


def test_backbone_may_be_a_vision_encoder_alone_or_a_pickle(tiny_clip, tiny_dist, tmp_path):
    vision_model = CLIPVisionModel.from_pretrained(tiny_clip)
    vision_model.save_pretrained(tmp_path / "vision")
    state_dict = CLIPModel.from_pretrained(tiny_clip).state_dict()
    (tmp_path / "pickle").mkdir()
    torch.save(state_dict, tmp_path / "pickle" / "pytorch_model.bin")
    expected = DiSTModel.from_pretrained(tiny_dist)
    for name in ("vision", "pickle"):
        assert_same_state(DiSTModel.from_pretrained(tiny_dist, backbone=str(tmp_path / name)), expected)


MEASURE_LOADING = """
import resource
import sys
import torch
from transformers import CLIPVisionConfig, CLIPVisionModel
from transformers.utils.logging import disable_progress_bar
from modeling_dist import DiSTModel

disable_progress_bar()
with torch.no_grad():  # the first forward pass of a process allocates memory that loading does not need
    CLIPVisionModel(CLIPVisionConfig(num_hidden_layers=1, image_size=32))(torch.zeros(1, 3, 32, 32))
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = peak()
model = DiSTModel.from_pretrained(sys.argv[1])
for parameter in model.parameters():
    parameter.sum()
print((peak() - before) / model.get_memory_footprint())
"""


def test_loading_takes_little_more_memory_than_the_model(tmp_path):
    sizes = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 6, "num_attention_heads": 16}
    clip = make_tiny_clip(tmp_path / "clip", **sizes)
    model = DiSTModel.from_backbone(clip, integration_dim=384, temporal_dim=96)
    assert model.get_memory_footprint() > 300e6  # large compared with what an allocator keeps
    model.save_pretrained(tmp_path / "dist")
    result = subprocess.run(
        [sys.executable, "-c", MEASURE_LOADING, str(tmp_path / "dist")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert float(result.stdout) < 1.2


# Wrong backbones, and other errors


def test_missing_backbone_names_it_and_the_way_out(copy_of_dist):
    edit_config(copy_of_dist, backbone="/nowhere/clip")
    with pytest.raises(OSError, match=r"/nowhere/clip.*pass `backbone=<folder or Hub id>`"):
        DiSTForVideoClassification.from_pretrained(copy_of_dist)


def test_backbone_that_is_not_cached_is_a_clear_error_offline(copy_of_dist):
    edit_config(copy_of_dist, backbone="org/not-there", backbone_revision="d" * 40)
    with pytest.raises(OSError, match=r"`org/not-there` \(revision d{40}\).*pass `backbone="):
        DiSTForVideoClassification.from_pretrained(copy_of_dist)


def test_no_backbone_named_is_a_clear_error(copy_of_dist):
    edit_config(copy_of_dist, backbone=None)
    with pytest.raises(ValueError, match="names no backbone"):
        DiSTForVideoClassification.from_pretrained(copy_of_dist)


def test_backbone_elsewhere_can_be_given(copy_of_dist, tiny_clip, tiny_dist):
    edit_config(copy_of_dist, backbone="/nowhere/clip")
    for auto_class in (DiSTForVideoClassification, AutoModelForVideoClassification):
        model = auto_class.from_pretrained(copy_of_dist, backbone=tiny_clip)
        assert_same_state(model, DiSTForVideoClassification.from_pretrained(tiny_dist))


def test_other_backbone_of_the_same_sizes_is_refused(tiny_dist, tmp_path):
    other = make_tiny_clip(tmp_path / "other", seed=1)
    with pytest.raises(ValueError, match="is not the one that .* was trained on"):
        DiSTForVideoClassification.from_pretrained(tiny_dist, backbone=other)


def test_backbone_of_other_sizes_is_refused(tiny_dist, tmp_path):
    other = make_tiny_clip(tmp_path / "other", patch_size=16)
    with pytest.raises(ValueError, match=r"embeddings.patch_embedding.weight has shape"):
        DiSTForVideoClassification.from_pretrained(tiny_dist, backbone=other)


def test_incomplete_backbone_is_refused(tiny_dist, tiny_clip, tmp_path):
    broken = shutil.copytree(tiny_clip, tmp_path / "broken")
    tensors = load_file(os.path.join(broken, "model.safetensors"))
    del tensors["vision_model.encoder.layers.1.mlp.fc1.weight"]
    save_file(tensors, os.path.join(broken, "model.safetensors"))
    with pytest.raises(ValueError, match="encoder.layers.1.mlp.fc1.weight is missing"):
        DiSTForVideoClassification.from_pretrained(tiny_dist, backbone=str(broken))
    with pytest.raises(ValueError, match="encoder.layers.1.mlp.fc1.weight is missing"):
        DiSTForVideoClassification.from_backbone(broken, **tiny_config_kwargs())


@pytest.mark.parametrize("of_backbone", [True, False])
def test_truncated_file_is_named(tiny_dist, tiny_clip, tmp_path, of_backbone):
    broken = shutil.copytree(tiny_clip if of_backbone else tiny_dist, tmp_path / "broken")
    path = os.path.join(broken, "model.safetensors")
    with open(path, "r+b") as file:
        file.truncate(os.path.getsize(path) // 2)
    with pytest.raises(OSError, match=r"broken/model.safetensors cannot be read.*truncated"):
        if of_backbone:
            DiSTForVideoClassification.from_pretrained(tiny_dist, backbone=str(broken))
        else:
            DiSTForVideoClassification.from_pretrained(broken)


def test_missing_tunable_weight_is_an_error(copy_of_dist):
    tensors = load_file(copy_of_dist / "model.safetensors")
    del tensors["dist.layers.1.class_token"]
    save_file(tensors, copy_of_dist / "model.safetensors")
    with pytest.raises(ValueError, match=r"lacks 1 of the weights.*layers.1.class_token"):
        DiSTForVideoClassification.from_pretrained(copy_of_dist)


@pytest.mark.parametrize("auto_class", [AutoModelForVideoClassification, DiSTForVideoClassification])
def test_impossible_override_is_an_error(tiny_dist, auto_class):
    with pytest.raises(ValueError, match="`num_frames` must be a multiple"):
        auto_class.from_pretrained(tiny_dist, num_frames=7)
    with pytest.raises(ValueError, match='"text" or "linear"'):
        auto_class.from_pretrained(tiny_dist, head_type="lineer")


@pytest.mark.parametrize("auto_class", [AutoModelForVideoClassification, DiSTForVideoClassification])
def test_other_repository_is_not_asked_for_the_first_ones_commit(tiny_dist, tiny_clip, tmp_path, auto_class):
    cache = tmp_path / "cache"
    lay_out_as_hub_cache(cache, "org/first", "b" * 40, tiny_clip)
    lay_out_as_hub_cache(cache, "org/mirror", "c" * 40, tiny_clip)
    model = DiSTForVideoClassification.from_backbone(
        "org/first", cache_dir=cache, class_names=CLASS_NAMES, **tiny_config_kwargs()
    )
    model.save_pretrained(tmp_path / "dist")
    reloaded = auto_class.from_pretrained(tmp_path / "dist", backbone="org/mirror", cache_dir=cache)
    assert_same_state(reloaded, model)
    assert (reloaded.config.backbone, reloaded.config.backbone_revision) == ("org/mirror", "c" * 40)


def test_configuration_that_asks_for_more_than_the_checkpoint_has_is_an_error(tiny_dist):
    with pytest.raises(ValueError, match="lacks .* of the weights"):
        DiSTForVideoClassification.from_pretrained(tiny_dist, num_pooling_layers=3)


def test_misspelt_option_of_a_new_model_is_an_error(tiny_clip):
    with pytest.raises(ValueError, match="takes no num_frame. .*num_frames"):
        DiSTModel.from_backbone(tiny_clip, num_frame=8)


def test_folder_without_weights_is_an_error(tmp_path):
    DiSTConfig().save_pretrained(tmp_path)
    with pytest.raises(OSError, match="holds no weights"):
        DiSTModel.from_pretrained(tmp_path)


def test_malicious_pickle_is_refused(copy_of_dist, tmp_path):
    class Malice:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "owned"),)

    (copy_of_dist / "model.safetensors").unlink()
    torch.save({"weight": Malice()}, copy_of_dist / "pytorch_model.bin")
    with pytest.raises(OSError, match="cannot be read"):
        DiSTForVideoClassification.from_pretrained(copy_of_dist)
    assert not (tmp_path / "owned").exists()


# The text head


def test_class_names_are_embedded_by_clips_text_encoder(tiny_clip, tiny_dist):
    from transformers import AutoTokenizer

    names = ["arm wrestling", "zumba"]
    model = DiSTForVideoClassification.from_pretrained(tiny_dist)
    model.set_class_names([f'"{name}"' for name in names])
    clip = CLIPModel.from_pretrained(tiny_clip)
    tokenizer = AutoTokenizer.from_pretrained(tiny_clip)
    for name, class_embeds in zip(names, model.classifier.class_embeds, strict=True):
        inputs = tokenizer([name], return_tensors="pt")
        assert_close(class_embeds, clip.get_text_features(**inputs).pooler_output[0], rtol=1e-4, atol=1e-5)
    assert not model.classifier.class_embeds.requires_grad


def test_setting_class_names_logs_nothing(tiny_dist, log):
    DiSTForVideoClassification.from_pretrained(tiny_dist).set_class_names(["a", "b"])
    assert [record.getMessage() for record in log.records if record.levelname != "INFO"] == []


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_head_keeps_its_values_in_half_precision(tiny_dist, tiny_clip, tmp_path, dtype):
    expected = DiSTForVideoClassification.from_pretrained(tiny_dist)
    model = DiSTForVideoClassification.from_pretrained(tiny_dist, dtype=dtype)
    assert model.dist.temporal_stem.weight.dtype == dtype
    assert_same_state(model.classifier, expected.classifier)
    model.save_pretrained(tmp_path)
    reloaded = DiSTForVideoClassification.from_pretrained(tmp_path, dtype=torch.float32)
    assert_same_state(reloaded.classifier, expected.classifier)
    new = DiSTForVideoClassification.from_backbone(
        tiny_clip, dtype=dtype, class_names=list(expected.config.id2label.values()), **tiny_config_kwargs()
    )
    assert_same_state(new.classifier, expected.classifier)


def test_text_head_without_class_names_says_so(tiny_clip, log):
    DiSTForVideoClassification.from_backbone(tiny_clip, **tiny_config_kwargs())
    assert "no class names yet" in log.text
    log.clear()
    DiSTForVideoClassification.from_backbone(tiny_clip, head_type="linear", num_labels=3, **tiny_config_kwargs())
    DiSTForVideoClassification.from_backbone(tiny_clip, class_names=CLASS_NAMES, **tiny_config_kwargs())
    assert "class names" not in log.text


def test_class_names_survive_disk(tiny_dist, tmp_path):
    model = DiSTForVideoClassification.from_pretrained(tiny_dist)
    model.set_class_names(["a", "b", "c", "d"])
    model.save_pretrained(tmp_path)
    reloaded = DiSTForVideoClassification.from_pretrained(tmp_path)
    assert_same_state(reloaded, model)
    assert reloaded.config.id2label == {0: "a", 1: "b", 2: "c", 3: "d"}


def test_backbone_without_a_text_encoder_is_named(tiny_clip, tmp_path):
    CLIPVisionModel.from_pretrained(tiny_clip).save_pretrained(tmp_path)
    model = DiSTForVideoClassification.from_backbone(tmp_path, **tiny_config_kwargs())
    with pytest.raises((ValueError, OSError), match=str(tmp_path)):
        model.set_class_names(["a", "b"])
    model.set_class_names(["a", "b"], text_model=tiny_clip)


def test_class_name_of_too_many_tokens_is_named(tiny_dist):
    with pytest.raises(ValueError, match="77 tokens.*x{80}"):
        DiSTForVideoClassification.from_pretrained(tiny_dist).set_class_names(["a", "x" * 80])


# Other tools


def test_trainer_saves_and_resumes_without_a_warning(tiny_dist, tmp_path, log):
    class RandomVideos(torch.utils.data.Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            generator = torch.Generator().manual_seed(index)
            videos = torch.randn(8, 3, 32, 32, generator=generator)
            return {"pixel_values_videos": videos, "labels": index % 3}

    def trainer(max_steps):
        arguments = TrainingArguments(
            output_dir=str(tmp_path),
            max_steps=max_steps,
            save_steps=1,
            per_device_train_batch_size=2,
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
        )
        model = DiSTForVideoClassification.from_pretrained(tiny_dist)
        return Trainer(model=model, args=arguments, train_dataset=RandomVideos())

    straight = trainer(2)
    straight.train()
    expected = {name: tensor.clone() for name, tensor in straight.model.state_dict().items()}
    shutil.rmtree(tmp_path / "checkpoint-2")
    log.clear()
    resumed = trainer(2)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-1"))
    assert "missing keys" not in log.text
    assert_close(dict(resumed.model.state_dict()), expected)
    assert resumed.predict(RandomVideos()).predictions.shape == (4, 3)  # the logits alone
    assert not [name for name in saved_names(tmp_path / "checkpoint-2") if "spatial_encoder" in name]


@pytest.mark.skipif(os.name == "nt", reason="has no such permissions")
def test_whoever_may_read_the_configuration_may_read_the_weights(tiny_dist, tmp_path):
    DiSTForVideoClassification.from_pretrained(tiny_dist).save_pretrained(tmp_path, max_shard_size="200KB")
    shards = list(tmp_path.glob("*.safetensors"))
    assert len(shards) > 1
    assert {path.stat().st_mode for path in shards} == {(tmp_path / "config.json").stat().st_mode}
