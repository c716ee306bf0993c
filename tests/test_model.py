import copy
import math
import pickle

import pytest
import torch
from torch.testing import assert_close
from transformers import AutoModelForVideoClassification, CLIPVisionModel

from modeling_dist import DiSTConfig, DiSTForVideoClassification, DiSTModel
from modeling_dist.convert_dist_to_hf import convert_state_dict, convert_tunable_tensor
from modeling_dist.reference_dist import ReferenceDiST


def tiny_config(**kwargs) -> DiSTConfig:
    vision_config = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "image_size": 16,
        "patch_size": 8,
        "projection_dim": 24,
        **kwargs.pop("vision_config", {}),
    }
    values = {
        "backbone": None,
        "num_frames": 4,
        "integration_dim": 64,
        "temporal_dim": 8,
        "num_pooling_layers": 2,
        "projection_dim": 24,
        "num_labels": 3,
        "initializer_range": None,
    }
    return DiSTConfig(vision_config=vision_config, **{**values, **kwargs})


def random_videos(config: DiSTConfig, batch_size: int = 2, height: int = 16, width: int = 16) -> torch.Tensor:
    return torch.randn(batch_size, config.num_frames, 3, height, width)


def shake(model: torch.nn.Module) -> torch.nn.Module:
    """Change every parameter, so that zeros and ones do not hide mistakes."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


ODD_CONFIGURATIONS = {
    "stride_1": {"spatial_frame_stride": 1},
    "stride_4": {"spatial_frame_stride": 4, "num_frames": 8},
    "one_spatial_frame": {"spatial_frame_stride": 4, "num_frames": 4},
    "some_layers": {"selected_layers": [1, 3], "vision_config": {"num_hidden_layers": 5}},
    "one_layer": {"selected_layers": [0]},
    "long_kernels": {"temporal_kernel_size": 5, "temporal_stem_kernel_size": 3, "num_frames": 8},
    "no_time": {"temporal_kernel_size": 1, "temporal_stem_kernel_size": 1},
    "ratios": {"temporal_mlp_ratio": 2, "integration_mlp_ratio": 0.5, "integration_temporal_mlp_ratio": 0.5},
    "two_heads": {"integration_dim": 128, "num_pooling_layers": 1},
    "other_activation": {"hidden_act": "gelu", "layer_norm_eps": 1e-3},
}


@pytest.mark.parametrize("name", ODD_CONFIGURATIONS)
def test_model_equals_the_naive_formulation(name):
    config = tiny_config(**copy.deepcopy(ODD_CONFIGURATIONS[name]))
    reference = shake(ReferenceDiST(config)).double()
    model = DiSTModel(config).double()
    model.load_state_dict(convert_state_dict(reference.state_dict())[0], strict=True)
    videos = random_videos(config).double()

    outputs, expected = model(videos, output_hidden_states=True), reference(videos.transpose(1, 2))
    assert_close(outputs.video_embeds, expected.video_embeds)
    for index, hidden_state in enumerate(outputs.hidden_states):
        # (1 + N, B * S, C) -> (B, S, 1 + N, C)
        block = expected.activations[f"integration_block.{index}"].transpose(0, 1)
        assert_close(hidden_state, block.unflatten(0, (-1, config.num_spatial_frames)))

    direction = torch.randn_like(outputs.video_embeds)
    (outputs.video_embeds * direction).sum().backward()
    (expected.video_embeds * direction).sum().backward()
    gradients = {}
    for key, parameter in reference.named_parameters():
        if key.startswith("dist_net.") and parameter.grad is not None:
            renamed, gradient = convert_tunable_tensor(key.removeprefix("dist_net."), parameter.grad)
            gradients[renamed] = gradient
    for key, parameter in model.named_parameters():
        if model.is_tunable(key):
            assert_close(parameter.grad, gradients[key], msg=lambda text, key=key: f"{key}: {text}")


@pytest.mark.parametrize(("height", "width"), [(24, 40), (16, 32), (8, 8)])
def test_other_sizes_equal_the_naive_formulation_by_interpolation(height, width):
    config = tiny_config()
    reference = shake(ReferenceDiST(config)).double()
    model = DiSTModel(config).double()
    model.load_state_dict(convert_state_dict(reference.state_dict())[0], strict=True)
    videos = random_videos(config, height=height, width=width).double()
    actual = model(videos, interpolate_pos_encoding=True).video_embeds
    assert_close(actual, reference(videos.transpose(1, 2)).video_embeds)


@pytest.mark.parametrize(
    ("shape", "hint"),
    [
        ((2, 5, 3, 16, 16), "(2, 5, 3, 16, 16)"),
        ((2, 4, 1, 16, 16), "(2, 4, 1, 16, 16)"),
        ((4, 3, 16, 16), "(4, 3, 16, 16)"),
        ((2, 4, 3, 16, 24), "interpolate_pos_encoding=True"),
        ((2, 3, 4, 16, 16), "(2, 3, 4, 16, 16)"),
    ],
)
def test_wrong_shape_names_what_came_and_what_is_expected(shape, hint):
    for model in (DiSTModel(tiny_config()), DiSTForVideoClassification(tiny_config())):
        with pytest.raises(ValueError) as error:
            model(torch.zeros(shape))
        assert "(batch, 4, 3, 16, 16)" in str(error.value)
        assert hint in str(error.value)


def test_wrong_shape_with_views_is_named_as_it_came():
    model = DiSTForVideoClassification(tiny_config())
    with pytest.raises(ValueError, match=r"\(batch, views, 4, 3, 16, 16\), got \(2, 3, 5, 3, 16, 16\)"):
        model(torch.zeros(2, 3, 5, 3, 16, 16))


def test_trainable_parameters_in_the_frozen_encoder_are_refused():
    """Adapters in it, for example, would get no gradient."""
    model = DiSTModel(tiny_config()).train()
    model.spatial_encoder.encoder.layers[0].mlp.fc1.weight.requires_grad_(True)
    with pytest.raises(ValueError, match="unfreeze_backbone"):
        model(random_videos(model.config))
    model.eval()(random_videos(model.config))


def test_size_that_is_no_multiple_of_the_patch_is_refused():
    with pytest.raises(ValueError, match=r"multiple of 8.*\(2, 4, 3, 20, 16\)"):
        DiSTModel(tiny_config())(torch.zeros(2, 4, 3, 20, 16), interpolate_pos_encoding=True)


def test_missing_input_is_named():
    with pytest.raises(ValueError, match="`pixel_values_videos` is needed"):
        DiSTForVideoClassification(tiny_config())(None)


def test_only_tunable_parameters_get_gradients():
    model = DiSTForVideoClassification(tiny_config()).train()
    model(random_videos(model.config), labels=torch.tensor([0, 2])).loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad == model.is_tunable(name)
        assert (parameter.grad is not None) == model.is_tunable(name), name
    assert not model.dist.spatial_encoder.training
    assert model.dist.layers[0].training


def test_freezing_and_unfreezing_switch_gradient_mode_and_counts():
    model = DiSTForVideoClassification(tiny_config()).train()
    frozen = model.count_parameters()
    assert frozen["frozen"] == sum(p.numel() for p in model.dist.spatial_encoder.parameters())
    assert sum(frozen.values()) == model.num_parameters()
    assert frozen["tunable"] == model.num_parameters(only_trainable=True)

    model.unfreeze_backbone()
    assert model.count_parameters() == {"frozen": 0, "tunable": model.num_parameters()}
    assert model.dist.spatial_encoder.training
    model(random_videos(model.config), labels=torch.tensor([0, 2])).loss.backward()
    assert model.dist.spatial_encoder.embeddings.patch_embedding.weight.grad.abs().sum() > 0

    never_run = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert never_run == {name for name, p in model.named_parameters() if p.grad is None}
    assert never_run == {f"dist.spatial_encoder.post_layernorm.{part}" for part in ("weight", "bias")}

    model.zero_grad()
    model.freeze_backbone()
    assert model.count_parameters() == frozen
    assert not model.dist.spatial_encoder.training
    model(random_videos(model.config), labels=torch.tensor([0, 2])).loss.backward()
    assert model.dist.spatial_encoder.embeddings.patch_embedding.weight.grad is None


def test_nothing_of_the_frozen_encoder_is_kept_for_backward_but_its_features():
    config = tiny_config(vision_config={"hidden_size": 48})  # a width that no other tensor has
    model = DiSTModel(config).train()
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: saved.append(tensor) or tensor, lambda tensor: tensor
    ):
        model(random_videos(config))
    frozen = {parameter.data_ptr() for parameter in model.spatial_encoder.parameters()}
    assert not [tensor for tensor in saved if tensor.data_ptr() in frozen]
    # One feature map per layer, and the last one's class tokens.
    features = {tensor.data_ptr() for tensor in saved if tensor.shape[-1] == 48 and tensor.numel() >= 4 * 5 * 48}
    assert len(features) == config.num_hidden_layers


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("frozen", [True, False])
def test_spatial_encoder_equals_clips_own(dtype, frozen):
    model = DiSTModel(tiny_config(freeze_backbone=frozen)).to(dtype)
    clip = CLIPVisionModel(model.config.vision_config).to(dtype).eval()
    clip.load_state_dict(model.spatial_encoder.state_dict())
    images = torch.randn(3, 3, 16, 16, dtype=dtype)
    for no_grad in (True, False):
        with torch.no_grad() if no_grad else torch.enable_grad():
            actual, expected = model.spatial_encoder(images), clip(images)
        assert_close(actual.last_hidden_state, expected.last_hidden_state)


def test_layers_after_the_last_selected_one_are_not_run():
    model = DiSTModel(tiny_config(selected_layers=[0, 1]))
    model.spatial_encoder.encoder.layers[2].forward = None
    assert model(random_videos(model.config)).video_embeds.isfinite().all()


def test_outputs_have_the_documented_shapes():
    config = tiny_config(num_frames=6)
    outputs = DiSTModel(config)(random_videos(config), output_hidden_states=True, output_attentions=True)
    assert outputs.video_embeds.shape == (2, 24)
    assert outputs.last_hidden_state.shape == (2, 3, 5, 64)
    assert outputs.temporal_last_hidden_state.shape == (2, 6, 4, 8)
    assert [state.shape for state in outputs.hidden_states] == 3 * [(2, 3, 5, 64)]
    assert [state.shape for state in outputs.temporal_hidden_states] == 4 * [(2, 6, 4, 8)]
    assert [weights.shape for weights in outputs.attentions] == 2 * [(6, 1, 1, 5)]
    assert [weights.shape for weights in outputs.video_attentions] == 2 * [(2, 1, 1, 3)]
    assert_close(outputs.attentions[0].sum(-1), torch.ones(6, 1, 1))
    assert_close(outputs.temporal_hidden_states[-1], outputs.temporal_last_hidden_state)


def test_video_features_come_as_other_models_give_them():
    videos = torch.randn(2, 4, 3, 16, 16)
    for model in (DiSTModel(tiny_config()), DiSTForVideoClassification(tiny_config())):
        features = model.get_video_features(videos, output_hidden_states=True)
        assert_close(features.pooler_output, model(videos).video_embeds)
        assert features.last_hidden_state.shape == (2, 2, 5, 64)
        assert len(features.hidden_states) == 3
        assert_close(model.get_video_features(videos, return_dict=False)[1], features.pooler_output)


def test_input_embeddings_are_the_temporal_stem():
    model = DiSTForVideoClassification(tiny_config())
    assert model.get_input_embeddings() is model.dist.temporal_stem
    new = copy.deepcopy(model.dist.temporal_stem)
    model.set_input_embeddings(new)
    assert model.dist.temporal_stem is new


@pytest.mark.parametrize("selection", [0, -1, [0, -1], [1], [7]])
def test_hidden_states_can_be_selected_by_index(selection):
    model = DiSTModel(tiny_config())
    videos = random_videos(model.config)
    every = model(videos, output_hidden_states=True)
    some = model(videos, output_hidden_states=selection)
    indices = selection if isinstance(selection, list) else [selection]
    for name, count in (("hidden_states", 3), ("temporal_hidden_states", 4)):
        wanted = {index % count for index in indices if -count <= index < count}
        for index in range(count):
            if index in wanted:
                assert_close(some[name][index], every[name][index])
            else:
                assert some[name][index] is None


def test_hidden_states_can_be_asked_for_in_the_configuration():
    config = tiny_config(output_hidden_states=True)
    assert len(DiSTModel(config)(random_videos(config)).hidden_states) == 3
    assert DiSTModel(tiny_config())(random_videos(config)).hidden_states is None


def test_hidden_states_and_attentions_keep_gradients():
    model = DiSTForVideoClassification(tiny_config())
    outputs = model(random_videos(model.config), output_hidden_states=True, output_attentions=True)
    kept = [*outputs.hidden_states, *outputs.temporal_hidden_states, *outputs.attentions, *outputs.video_attentions]
    for tensor in kept:
        tensor.retain_grad()
    outputs.logits.sum().backward()
    assert all(tensor.grad is not None for tensor in kept)


def test_tuple_equals_output_class():
    model = DiSTForVideoClassification(tiny_config())
    videos, labels = random_videos(model.config), torch.tensor([0, 1])
    for kwargs in ({}, {"labels": labels}, {"output_hidden_states": True, "output_attentions": True}):
        outputs = model(videos, **kwargs)
        as_tuple = model(videos, return_dict=False, **kwargs)
        assert isinstance(as_tuple, tuple)
        assert_close(as_tuple, outputs.to_tuple())


def test_a_video_in_a_batch_equals_the_video_alone():
    for head_type in ("text", "linear"):
        model = DiSTForVideoClassification(tiny_config(head_type=head_type)).eval()
        videos = random_videos(model.config, batch_size=3)
        batched = model(videos, output_hidden_states=True, output_attentions=True)
        for index in range(3):
            alone = model(videos[index : index + 1], output_hidden_states=True)
            assert_close(alone.logits[0], batched.logits[index], rtol=1e-4, atol=1e-4)
            assert_close(alone.hidden_states[-1][0], batched.hidden_states[-1][index], rtol=1e-4, atol=1e-4)


def test_sdpa_equals_eager():
    eager = DiSTForVideoClassification._from_config(tiny_config(), attn_implementation="eager").eval()
    sdpa = DiSTForVideoClassification._from_config(tiny_config(), attn_implementation="sdpa").eval()
    sdpa.load_state_dict(eager.state_dict())
    assert eager.dist.spatial_encoder.config._attn_implementation == "eager"
    assert sdpa.dist.pooling.layers[0].frame_attention.config._attn_implementation == "sdpa"
    videos = random_videos(sdpa.config)
    assert_close(sdpa(videos).logits, eager(videos).logits, rtol=1e-4, atol=1e-4)
    assert_close(sdpa(videos, output_attentions=True).attentions, eager(videos, output_attentions=True).attentions)


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_gradient_checkpointing_equals_none(use_reentrant):
    model = DiSTForVideoClassification(tiny_config()).train()
    videos, labels = random_videos(model.config), torch.tensor([0, 1])

    def gradients():
        model.zero_grad()
        model(videos, labels=labels).loss.backward()
        return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    plain = gradients()
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": use_reentrant})
    assert model.is_gradient_checkpointing
    calls = []
    hook = model.dist.layers[0].temporal_block.register_forward_pre_hook(lambda *_: calls.append(1))
    assert_close(gradients(), plain)
    assert len(calls) == 2  # once forward, once again for the backward pass
    hook.remove()
    model.gradient_checkpointing_disable()
    assert_close(gradients(), plain)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precisions_stay_close_to_float32(dtype):
    model = DiSTForVideoClassification(tiny_config(head_type="linear")).eval()
    videos = random_videos(model.config)
    expected = model(videos).logits
    logits = model.to(dtype)(videos.to(dtype)).logits
    assert logits.dtype == dtype
    assert_close(logits.float(), expected, rtol=0.1, atol=0.1)


def test_text_logits_stay_in_float32():
    model = DiSTForVideoClassification(tiny_config()).to(torch.bfloat16)
    assert model(random_videos(model.config).bfloat16()).logits.dtype == torch.float32


def test_autocast_trains_a_float32_branch_on_a_bfloat16_backbone():
    model = DiSTForVideoClassification(tiny_config()).train()
    model.dist.spatial_encoder.to(torch.bfloat16)
    videos, labels = random_videos(model.config), torch.tensor([0, 1])
    for autocast in (False, True):
        model.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            outputs = model(videos, labels=labels)
        assert outputs.logits.dtype == torch.float32
        outputs.loss.backward()
        assert all(p.grad.dtype == torch.float32 for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("head_type", ["text", "linear"])
def test_compiles_without_graph_breaks(head_type):
    model = DiSTForVideoClassification(tiny_config(head_type=head_type)).train()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    videos, labels = random_videos(model.config), torch.tensor([0, 1])
    outputs = compiled(videos, labels=labels)
    assert_close(outputs.logits, model(videos).logits, rtol=1e-4, atol=1e-4)
    outputs.loss.backward()
    assert model.dist.temporal_stem.weight.grad is not None
    with torch.no_grad():
        views = random_videos(model.config, batch_size=6).unflatten(0, (2, 3))
        assert_close(compiled(views).logits, model(views).logits, rtol=1e-4, atol=1e-4)


def test_exports_with_a_batch_of_any_size():
    model = DiSTForVideoClassification(tiny_config()).eval()
    videos = random_videos(model.config)
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(
        model, (), {"pixel_values_videos": videos}, dynamic_shapes={"pixel_values_videos": {0: batch}}
    )
    more = random_videos(model.config, batch_size=5)
    assert_close(program.module()(pixel_values_videos=more).logits, model(more).logits, rtol=1e-4, atol=1e-4)


def test_exports_with_any_number_of_views():
    model = DiSTForVideoClassification(tiny_config()).eval()
    views = torch.export.Dim("views", min=1, max=30)
    program = torch.export.export(
        model,
        (),
        {"pixel_values_videos": torch.randn(2, 3, 4, 3, 16, 16)},
        dynamic_shapes={"pixel_values_videos": {1: views}},
    )
    more = torch.randn(2, 5, 4, 3, 16, 16)
    assert_close(program.module()(pixel_values_videos=more).logits, model(more).logits, rtol=1e-4, atol=1e-4)


def test_copies_and_pickles_are_equal():
    model = DiSTForVideoClassification(tiny_config()).eval()
    videos = random_videos(model.config)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert_close(other(videos).logits, model(videos).logits)
        assert other.count_parameters() == model.count_parameters()


def test_runs_on_the_meta_device():
    with torch.device("meta"):
        model = DiSTForVideoClassification(tiny_config())
        assert model(torch.empty(2, 4, 3, 16, 16)).logits.shape == (2, 3)


# Initialization


def test_weights_are_initialized_as_the_paper_says():
    config = tiny_config(initializer_range=0.02, integration_dim=256, temporal_dim=64, projection_dim=128)
    model = DiSTModel(config)
    layer, pooling_layer = model.layers[0], model.pooling.layers[0]
    truncated_normal = [
        layer.input_projection.weight,
        layer.temporal_block.temporal_conv.weight,
        layer.temporal_block.spatial_conv.weight,
        layer.integration_block.mlp.fc1.weight,
        pooling_layer.frame_mlp.fc2.weight,
        pooling_layer.frame_attention.out_proj.weight,
        model.temporal_stem.weight,
        model.pooling.class_token_projection.weight,
        layer.class_token,
        pooling_layer.position_embeddings,
        model.pooling.frame_token,
    ]
    for weight in truncated_normal:
        assert weight.std().item() == pytest.approx(0.02, rel=0.15)
        assert abs(weight.mean().item()) < 0.02 * 4 / math.sqrt(weight.numel())
    # Xavier over the packed matrix of (3C, C), not over each projection.
    bound = math.sqrt(6 / (4 * 256))
    packed = pooling_layer.frame_attention.in_proj_weight
    assert packed.abs().max().item() == pytest.approx(bound, rel=1e-3)
    assert packed.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)
    assert model.pooling.projection.weight.std().item() == pytest.approx(256**-0.5, rel=0.05)
    for name, parameter in model.named_parameters():
        if name.endswith("bias") and "spatial_encoder" not in name:
            assert not parameter.any(), name
        if "layernorm.weight" in name:
            assert (parameter == 1).all(), name


def test_initializer_range_none_scales_by_the_fan_in():
    model = DiSTModel(tiny_config(initializer_range=None, integration_dim=256))
    assert model.layers[0].integration_block.mlp.fc1.weight.std().item() == pytest.approx(1 / 16, rel=0.05)


def test_text_head_starts_at_clips_scale():
    model = DiSTForVideoClassification(tiny_config())
    assert model.classifier.logit_scale.item() == pytest.approx(4.6052)
    assert model.classifier.class_embeds.any()


@pytest.mark.parametrize("head_type", ["text", "linear"])
def test_initialization_reaches_every_parameter_and_buffer(head_type):
    config = tiny_config(head_type=head_type)
    with torch.device("meta"):
        model = DiSTForVideoClassification(config)
    model.to_empty(device="cpu")
    tensors = [*model.named_parameters(), *model.named_buffers()]
    with torch.no_grad():
        for _, tensor in tensors:
            tensor.fill_(123)
    model.initialize_weights()
    for name, tensor in tensors:
        assert not (tensor == 123).all(), name


@pytest.mark.parametrize("model_class", [DiSTModel, DiSTForVideoClassification])
def test_initialization_from_the_meta_device_equals_the_ordinary_one(model_class):
    """In particular by CLIP's own rules, which the base class does not apply in a class outside of transformers."""
    config = tiny_config(vision_config={"hidden_size": 128, "intermediate_size": 512})
    ordinary = model_class(config)
    from_meta = model_class.from_pretrained(None, config=config, state_dict={})
    for (name, expected), actual in zip(ordinary.named_parameters(), from_meta.parameters(), strict=True):
        if expected.numel() >= 1000 and expected.std() > 0:
            assert actual.std().item() == pytest.approx(expected.std().item(), rel=0.2), name
        elif expected.numel() > 1:
            assert (actual.std() > 0) == (expected.std() > 0), name
        assert actual.requires_grad == expected.requires_grad


# Classification


def test_views_are_averaged_as_probabilities():
    model = DiSTForVideoClassification(tiny_config()).eval()
    videos = random_videos(model.config, batch_size=6)
    one_by_one = model(videos)
    outputs = model(videos.unflatten(0, (2, 3)))
    expected = one_by_one.logits.softmax(-1).unflatten(0, (2, 3)).mean(1)
    assert_close(outputs.logits.softmax(-1), expected)
    assert_close(outputs.logits, expected.log(), rtol=1e-4, atol=1e-4)
    assert_close(outputs.video_embeds, one_by_one.video_embeds.unflatten(0, (2, 3)))


def test_views_of_multi_label_and_regression_problems():
    videos = torch.randn(6, 4, 3, 16, 16)
    model = DiSTForVideoClassification(
        tiny_config(head_type="linear", problem_type="multi_label_classification")
    ).eval()
    one_by_one = model(videos).logits.unflatten(0, (2, 3))
    assert_close(model(videos.unflatten(0, (2, 3))).logits.sigmoid(), one_by_one.sigmoid().mean(1))
    model.config.problem_type = "regression"
    assert_close(model(videos.unflatten(0, (2, 3))).logits, one_by_one.mean(1))
    one_label = DiSTForVideoClassification(tiny_config(head_type="linear", num_labels=1)).eval()
    one_by_one = one_label(videos).logits.unflatten(0, (2, 3))
    assert_close(one_label(videos.unflatten(0, (2, 3))).logits, one_by_one.mean(1))


def test_losses_by_problem_type():
    config = tiny_config(head_type="linear")
    videos = random_videos(config)
    hard = torch.tensor([0, 2])
    soft = torch.tensor([[0.7, 0.3, 0.0], [0.1, 0.1, 0.8]])
    cases = {
        "single_label_classification": (hard, torch.nn.functional.cross_entropy),
        "multi_label_classification": (soft, torch.nn.functional.binary_cross_entropy_with_logits),
        "regression": (soft, torch.nn.functional.mse_loss),
    }
    for problem_type, (labels, loss_function) in cases.items():
        model = DiSTForVideoClassification(tiny_config(head_type="linear", problem_type=problem_type)).eval()
        outputs = model(videos, labels=labels)
        assert_close(outputs.loss, loss_function(outputs.logits, labels))

    model = DiSTForVideoClassification(config).eval()  # the type follows from the labels
    outputs = model(videos, labels=hard)
    assert_close(outputs.loss, torch.nn.functional.cross_entropy(outputs.logits, hard))
    assert model.config.problem_type == "single_label_classification"


def test_soft_targets_of_single_label_problems():
    soft = torch.tensor([[0.7, 0.3, 0.0], [0.1, 0.1, 0.8]])
    for kwargs in ({"problem_type": "single_label_classification", "head_type": "linear"}, {"head_type": "text"}):
        model = DiSTForVideoClassification(tiny_config(**kwargs)).eval()
        outputs = model(random_videos(model.config), labels=soft)
        assert_close(outputs.loss, -(soft * outputs.logits.log_softmax(-1)).sum(-1).mean())


def test_text_logits_are_scaled_cosines():
    model = DiSTForVideoClassification(tiny_config()).eval()
    embeds = torch.randn(3, 24)
    model.set_class_names(["a", "b", "c"], class_embeds=embeds)
    outputs = model(random_videos(model.config))
    cosines = torch.nn.functional.cosine_similarity(outputs.video_embeds[:, None], embeds[None], dim=-1)
    assert_close(outputs.logits, math.exp(4.6052) * cosines, rtol=1e-4, atol=1e-4)


def test_set_class_names_changes_head_and_labels():
    model = DiSTForVideoClassification(tiny_config())
    model.set_class_names(['"to stir"', "to pour ", "to cut", "to fold"], class_embeds=torch.randn(4, 24))
    assert model.config.id2label == {0: "to stir", 1: "to pour", 2: "to cut", 3: "to fold"}
    assert model.config.label2id["to fold"] == 3
    assert (model.num_labels, model.config.num_labels) == (4, 4)
    assert model(random_videos(model.config)).logits.shape == (2, 4)


@pytest.mark.parametrize(
    ("names", "embeds", "message"),
    [
        ([], None, "one or more"),
        (["a", ""], None, "not empty"),
        (["a", '""'], None, "not empty"),
        (["a", 3], None, "strings that are not empty"),
        (["a", "b", "a"], None, r"more than once: \['a'\]"),
        (["a", "b"], torch.zeros(2, 5), r"\(2, 24\), got \(2, 5\)"),
        (["a", "b"], torch.zeros(3, 24), r"\(2, 24\), got \(3, 24\)"),
        (["a", "b"], None, "names no backbone"),
    ],
)
def test_wrong_class_names_change_nothing(names, embeds, message):
    model = DiSTForVideoClassification(tiny_config())
    before = copy.deepcopy(model.config.id2label), model.classifier.class_embeds.clone()
    with pytest.raises(ValueError, match=message):
        model.set_class_names(names, class_embeds=embeds)
    assert model.config.id2label == before[0]
    assert_close(model.classifier.class_embeds, before[1])


def test_linear_head_has_no_class_names():
    with pytest.raises(ValueError, match='head_type="linear"'):
        DiSTForVideoClassification(tiny_config(head_type="linear")).set_class_names(["a"])


def test_auto_class_makes_the_model_from_its_configuration():
    model = AutoModelForVideoClassification.from_config(tiny_config(head_type="linear"))
    assert isinstance(model, DiSTForVideoClassification)


def test_paper_sizes():
    """The paper has 26.1 M tunable parameters with 4 pooling layers, 19 M with 2."""
    for num_pooling_layers, expected in ((4, 26.1e6), (2, 19.0e6)):
        with torch.device("meta"):
            model = DiSTModel(DiSTConfig(num_pooling_layers=num_pooling_layers))
        assert model.count_parameters()["tunable"] == pytest.approx(expected, rel=0.01)
