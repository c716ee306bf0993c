"""The outputs of the authors' implementation with random weights: fixtures/golden_tiny."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

from modeling_dist import DiSTConfig, DiSTForVideoClassification
from modeling_dist.convert_dist_to_hf import PREFIX, convert_state_dict, convert_tunable_tensor
from modeling_dist.reference_dist import ReferenceDiST


GOLDEN = Path(__file__).parent / "fixtures" / "golden_tiny"


def relative_error(actual, expected):
    return ((actual - expected).abs().max() / expected.abs().max()).item()


@pytest.fixture(scope="module")
def golden():
    inputs = load_file(GOLDEN / "inputs.safetensors")
    checkpoint = torch.load(GOLDEN / "official_checkpoint.pyth", weights_only=True)["model_state"]
    return inputs, load_file(GOLDEN / "expected.safetensors"), checkpoint


@pytest.fixture(scope="module")
def config():
    sizes = json.loads((GOLDEN / "config.json").read_text())
    vision_config = {
        "hidden_size": sizes["hidden_size"],
        "intermediate_size": 4 * sizes["hidden_size"],
        "num_hidden_layers": sizes["num_hidden_layers"],
        "num_attention_heads": sizes["num_attention_heads"],
        "image_size": sizes["image_size"],
        "patch_size": sizes["patch_size"],
        "projection_dim": sizes["projection_dim"],
    }
    return DiSTConfig(
        vision_config=vision_config,
        backbone=None,
        num_frames=sizes["num_frames"],
        spatial_frame_stride=sizes["spatial_stride"],
        integration_dim=sizes["integration_dim"],
        temporal_dim=sizes["temporal_dim"],
        selected_layers=sizes["selected_layers"],
        num_pooling_layers=sizes["num_pooling_layers"],
        projection_dim=sizes["projection_dim"],
        num_labels=sizes["num_classes"],
    )


@pytest.fixture
def model(golden, config):
    inputs, expected, checkpoint = golden
    model = DiSTForVideoClassification(config)
    model.dist.load_state_dict(convert_state_dict(checkpoint)[0], strict=True)
    names = [f"class {index}" for index in range(config.num_labels)]
    model.set_class_names(names, class_embeds=expected["text_embeds"])
    model.classifier.logit_scale.fill_(checkpoint[f"{PREFIX}logit_scale"])
    return model.train()


def test_only_the_text_tower_the_image_projection_and_unread_weights_are_left_out(golden):
    _, left_out = convert_state_dict(golden[2])
    text_tower = (
        "transformer.",
        "token_embedding.",
        "positional_embedding",
        "ln_final.",
        "text_projection",
        "logit_scale",
    )
    rest = [name for name in left_out if not name.startswith(text_tower)]
    unread = "dist_net.integration2temporal_nets.2.linear_fuse."
    assert sorted(rest) == [f"{unread}bias", f"{unread}weight", "visual.proj"]


def test_embeddings_logits_and_loss_equal_the_authors(golden, model):
    inputs, expected, _ = golden
    outputs = model(inputs["video"].transpose(1, 2), labels=inputs["labels"])
    assert relative_error(outputs.video_embeds, expected["video_embeds"]) < 1e-5
    assert relative_error(outputs.logits, expected["logits"]) < 1e-5
    assert relative_error(outputs.loss, expected["loss"]) < 1e-5
    features = model.get_video_features(inputs["video"].transpose(1, 2)).pooler_output
    assert relative_error(torch.nn.functional.normalize(features), expected["video_embeds_normalized"]) < 1e-5


def test_zero_shot_logits_equal_the_authors(golden, model):
    """Half of the logits are DiST's, half CLIP's own for the frames."""
    inputs, expected, checkpoint = golden
    logits = model(inputs["video"].transpose(1, 2)).logits
    text_embeds = torch.nn.functional.normalize(expected["text_embeds"], dim=-1)
    frame_embeds = torch.nn.functional.normalize(expected["frame_embeds"], dim=-1)
    scale = checkpoint[f"{PREFIX}logit_scale"].exp()
    frame_logits = (scale * frame_embeds @ text_embeds.T).mean(dim=1)
    assert relative_error((logits + frame_logits) / 2, expected["zero_shot_logits"]) < 1e-5


def test_every_activation_equals_the_authors(golden, model):
    inputs, expected, _ = golden
    outputs = model(inputs["video"].transpose(1, 2), output_hidden_states=True)
    # (B, M, T, h, w) -> (B, T, N, M)
    temporal = ["temporal_stem", *(f"temporal_block.{index}" for index in range(3))]
    for actual, name in zip(outputs.temporal_hidden_states, temporal, strict=True):
        assert relative_error(actual, expected[f"activations.{name}"].flatten(3).permute(0, 2, 3, 1)) < 1e-5, name
    # (1 + N, B * S, C) -> (B, S, 1 + N, C)
    for index, actual in enumerate(outputs.hidden_states):
        block = expected[f"activations.integration_block.{index}"].transpose(0, 1).unflatten(0, (2, 4))
        assert relative_error(actual, block) < 1e-5, index


def test_every_gradient_equals_the_authors(golden, model):
    inputs, expected, _ = golden
    model(inputs["video"].transpose(1, 2), labels=inputs["labels"]).loss.backward()
    parameters = dict(model.dist.named_parameters())
    compared = set()
    for name, gradient in expected.items():
        if name.startswith("grad."):
            renamed, gradient = convert_tunable_tensor(name.removeprefix("grad.dist_net."), gradient)
            assert relative_error(parameters[renamed].grad, gradient) < 1e-4, name
            compared.add(renamed)
    assert compared == {name for name, parameter in parameters.items() if parameter.grad is not None}
    assert compared == {name for name in parameters if model.is_tunable(name)}


def test_text_tower_gives_the_authors_class_embeddings(golden, config):
    """`set_class_names` with the checkpoint's text tower and token ids instead of words."""
    inputs, expected, checkpoint = golden
    sizes = json.loads((GOLDEN / "config.json").read_text())["text"]
    text_config = CLIPTextConfig(
        hidden_size=sizes["hidden_size"],
        intermediate_size=4 * sizes["hidden_size"],
        num_hidden_layers=sizes["num_hidden_layers"],
        num_attention_heads=sizes["num_attention_heads"],
        vocab_size=sizes["vocab_size"],
        max_position_embeddings=sizes["max_position_embeddings"],
        bos_token_id=sizes["bos_token_id"],
        eos_token_id=sizes["eos_token_id"],
        projection_dim=config.projection_dim,
    )
    text_model = CLIPTextModelWithProjection(text_config)
    tower = {name.removeprefix(PREFIX): tensor for name, tensor in checkpoint.items()}
    renamed = {
        "text_model.embeddings.token_embedding.weight": tower["token_embedding.weight"],
        "text_model.embeddings.position_embedding.weight": tower["positional_embedding"],
        "text_model.final_layer_norm.weight": tower["ln_final.weight"],
        "text_model.final_layer_norm.bias": tower["ln_final.bias"],
        "text_projection.weight": tower["text_projection"].T,
    }
    for name, tensor in tower.items():
        if not name.startswith("transformer.resblocks."):
            continue
        layer, rest = name.removeprefix("transformer.resblocks.").split(".", 1)
        for old, new in (("ln_1", "layer_norm1"), ("ln_2", "layer_norm2"), ("c_fc", "fc1"), ("c_proj", "fc2")):
            rest = rest.replace(old, new)
        rest = rest.replace("attn.", "self_attn.")
        if "in_proj_" in rest:
            for projection, part in zip(("q_proj", "k_proj", "v_proj"), tensor.chunk(3), strict=True):
                key = rest.replace("in_proj_", f"{projection}.")
                renamed[f"text_model.encoder.layers.{layer}.{key}"] = part
        else:
            renamed[f"text_model.encoder.layers.{layer}.{rest}"] = tensor
    text_model.load_state_dict(renamed, strict=True)

    def tokenizer(names, **_):
        return {"input_ids": inputs["label_token_ids"]}

    model = DiSTForVideoClassification(config)
    model.set_class_names([f"class {i}" for i in range(7)], text_model=text_model, tokenizer=tokenizer)
    assert relative_error(model.classifier.class_embeds, expected["text_embeds"]) < 1e-5


def test_reference_equals_the_authors(golden, config):
    """The oracle of other tests is checked against the same outputs."""
    inputs, expected, checkpoint = golden
    reference = ReferenceDiST(config)
    own = {name.removeprefix(PREFIX): tensor for name, tensor in checkpoint.items()}
    reference.load_state_dict({n: t for n, t in own.items() if n.startswith(("visual.", "dist_net."))}, strict=True)
    outputs = reference(inputs["video"])
    assert relative_error(outputs.video_embeds, expected["video_embeds"]) < 1e-5
    assert relative_error(outputs.frame_embeds, expected["frame_embeds"]) < 1e-5
    for name, activation in outputs.activations.items():
        assert relative_error(activation, expected[f"activations.{name}"]) < 1e-5, name
