import pytest
import torch
from torch.testing import assert_close

from modeling_dist import DiSTConfig, DiSTForVideoClassification
from modeling_dist.paper import RECIPES
from modeling_dist.training.optimization import cosine_schedule, learning_rate_at, make_optimizer, parameter_groups
from modeling_dist.training.settings import TrainingSettings


# Kinetics-400, 256 clips: epoch, iteration of 100, learning rate. 3.2e-4 · (cos(π e / 36) + 1) / 2 from epoch 6 on, before
# it the line from 8e-7 to 2.985641e-4.
PAPER_LEARNING_RATES = [
    (0, 0, 8e-7),
    (0, 1, 1.296273e-6),
    (1, 0, 5.042734e-5),
    (2, 50, 1.248684e-4),
    (3, 0, 1.496820e-4),
    (5, 99, 2.980678e-4),
    (6, 0, 2.985641e-4),
    (6, 1, 2.984941e-4),
    (9, 0, 2.731371e-4),
    (12, 0, 2.4e-4),
    (18, 0, 1.6e-4),
    (20, 25, 1.287855e-4),
    (24, 0, 8e-5),
    (30, 0, 2.143594e-5),
    (35, 0, 6.088487e-7),
    (35, 99, 6.092348e-11),
    (36, 0, 0.0),
]


def adamw(learning_rate: float, model=None) -> torch.optim.AdamW:
    groups = [{"params": [torch.nn.Parameter(torch.ones(2))], "weight_decay": decay} for decay in (1e-4, 0.0)]
    groups = groups if model is None else parameter_groups(model, 1e-4)
    return torch.optim.AdamW(groups, lr=learning_rate)


def rates_of(optimizer, scheduler, num_steps: int) -> list[list[float]]:
    """The learning rates of every group at every iteration, and after the last one."""
    rates = []
    for _ in range(num_steps + 1):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    return rates


def test_schedule_equals_the_papers_numbers():
    settings = TrainingSettings(**RECIPES["k400-b16-8"])
    peak = settings.peak_learning_rate(256)
    assert peak == pytest.approx(3.2e-4, rel=1e-12)
    optimizer = adamw(peak)
    scheduler = cosine_schedule(
        optimizer, 100, settings.num_epochs, settings.warmup_epochs, settings.warmup_start_learning_rate
    )
    rates = rates_of(optimizer, scheduler, 3600)
    for epoch, iteration, expected in PAPER_LEARNING_RATES:
        assert rates[100 * epoch + iteration] == pytest.approx([expected] * 2, rel=1e-5, abs=1e-15), (epoch, iteration)
    # Up without a step to the end of the warm-up, then down.
    highest = [rate for rate, _ in rates]
    assert highest[:601] == sorted(highest[:601]) and highest[600:] == sorted(highest[600:], reverse=True)
    assert max(highest) == highest[600]


@pytest.mark.parametrize(("epoch", "iteration", "expected"), PAPER_LEARNING_RATES)
def test_learning_rate_at_a_place_of_the_training(epoch, iteration, expected):
    rate = learning_rate_at(epoch + iteration / 100, 3.2e-4, 36, 6, 8e-7)
    assert rate == pytest.approx(expected, rel=1e-5, abs=1e-15)


def test_learning_rate_stays_zero_after_the_end():
    assert learning_rate_at(36.5, 3.2e-4, 36, 6, 8e-7) == pytest.approx(0, abs=1e-15)
    assert learning_rate_at(72, 3.2e-4, 36, 6, 8e-7) == pytest.approx(0, abs=1e-15)


def test_schedule_without_warmup_is_the_cosine_from_the_peak():
    optimizer = adamw(1e-3)
    rates = rates_of(optimizer, cosine_schedule(optimizer, 2, 2), 4)
    # cos(0), cos(π/4), cos(π/2), cos(3π/4), cos(π)
    expected = [1e-3, 8.535534e-4, 5e-4, 1.464466e-4, 0.0]
    assert [rate for rate, _ in rates] == pytest.approx(expected, rel=1e-6, abs=1e-15)


@pytest.mark.parametrize(("batch_size", "expected"), [(256, 3.2e-4), (64, 8e-5), (8, 1e-5), (512, 6.4e-4)])
def test_peak_grows_with_the_batch(batch_size, expected):
    assert TrainingSettings().peak_learning_rate(batch_size) == pytest.approx(expected, rel=1e-12)


def test_peak_can_be_given_as_it_is_or_by_another_rule():
    assert TrainingSettings(learning_rate=1e-3).peak_learning_rate(64) == 1e-3
    settings = TrainingSettings(base_learning_rate=1e-3, base_batch_size=32)
    assert settings.peak_learning_rate(64) == pytest.approx(2e-3, rel=1e-12)


def test_schedule_goes_on_where_its_state_was_saved():
    def begin():
        optimizer = adamw(3.2e-4)
        return optimizer, cosine_schedule(optimizer, 10, 36, 6, 8e-7)

    expected = rates_of(*begin(), 360)
    optimizer, scheduler = begin()
    rates_of(optimizer, scheduler, 99)
    resumed_optimizer, resumed_scheduler = begin()
    resumed_optimizer.load_state_dict(optimizer.state_dict())
    resumed_scheduler.load_state_dict(scheduler.state_dict())
    assert rates_of(resumed_optimizer, resumed_scheduler, 260) == expected[100:]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((36, 36, 0.0), "`warmup_epochs` must be at least 0 and less than `num_epochs`, got 36 and 36"),
        ((36, -1, 0.0), "`warmup_epochs`"),
        ((36, 6, 2e-3), "must start between 0 and the learning rate 0.001, got 0.002"),
        ((36, 6, -1e-9), "must start between 0"),
    ],
)
def test_impossible_schedule_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        cosine_schedule(adamw(1e-3), 10, *arguments)


# ---- parameter groups


def names_of(model, group) -> list[str]:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [names[id(parameter)] for parameter in group["params"]]


def tiny_model(head_type: str = "text", **kwargs) -> DiSTForVideoClassification:
    vision_config = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "image_size": 16,
        "patch_size": 8,
        "projection_dim": 24,
    }
    sizes = {"num_frames": 4, "integration_dim": 64, "temporal_dim": 8, "num_pooling_layers": 1, "projection_dim": 24}
    return DiSTForVideoClassification(
        DiSTConfig(
            vision_config=vision_config, backbone=None, head_type=head_type, num_labels=3, **{**sizes, **kwargs}
        )
    )


# Every weight of a linear or convolutional layer, written down by hand.
DECAYING_IN_LAYER = (
    "temporal_block.temporal_conv.weight",
    "temporal_block.spatial_conv.weight",
    "input_projection.weight",
    "integration_to_temporal.weight",
    "temporal_to_integration.weight",
    "integration_block.mlp.fc1.weight",
    "integration_block.mlp.fc2.weight",
    "integration_block.temporal_mlp.fc1.weight",
    "integration_block.temporal_mlp.temporal_conv.weight",
    "integration_block.temporal_mlp.fc2.weight",
)
DECAYING_IN_POOLING_LAYER = tuple(
    f"{which}_{weight}"
    for which in ("frame", "video")
    for weight in ("attention.in_proj_weight", "attention.out_proj.weight", "mlp.fc1.weight", "mlp.fc2.weight")
)
DECAYING_IN_CLIP_LAYER = tuple(
    f"{weight}.weight"
    for weight in (
        *("self_attn.k_proj", "self_attn.v_proj", "self_attn.q_proj", "self_attn.out_proj"),
        *("mlp.fc1", "mlp.fc2"),
    )
)


def decaying_names(num_layers: int, num_pooling_layers: int) -> set[str]:
    """The tunable weights that decay, of a model with a frozen backbone and a text head."""
    names = {f"dist.layers.{layer}.{name}" for layer in range(num_layers) for name in DECAYING_IN_LAYER}
    names.remove(f"dist.layers.{num_layers - 1}.integration_to_temporal.weight")  # which it does not have
    names |= {
        f"dist.pooling.layers.{layer}.{name}"
        for layer in range(num_pooling_layers)
        for name in DECAYING_IN_POOLING_LAYER
    }
    names |= {f"dist.pooling.{name}.weight" for name in ("class_token_projection", "projection")}
    return names | {"dist.temporal_stem.weight"}


def token_names(num_layers: int, num_pooling_layers: int) -> set[str]:
    """The parameters of more than one axis that do not decay."""
    names = {f"dist.layers.{layer}.class_token" for layer in range(num_layers)}
    names |= {f"dist.pooling.layers.{layer}.position_embeddings" for layer in range(num_pooling_layers)}
    return names | {"dist.pooling.video_token", "dist.pooling.frame_token"}


def check_groups(model, decaying: set[str], tokens: set[str]):
    groups = parameter_groups(model, 0.05)
    assert [group["weight_decay"] for group in groups] == [0.05, 0.0]
    decay, no_decay = (names_of(model, group) for group in groups)
    assert set(decay) == decaying
    tunable = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert sorted(decay + no_decay) == sorted(tunable)  # each of them once, and nothing else
    flat = {name for name, parameter in model.named_parameters() if parameter.requires_grad and parameter.ndim == 1}
    assert set(no_decay) == flat | tokens
    assert {name for name in tunable if name.endswith("bias")} <= set(no_decay)


@pytest.mark.parametrize("num_pooling_layers", [1, 2])
def test_weights_decay_but_biases_norms_tokens_and_positions_do_not(num_pooling_layers):
    model = tiny_model(num_pooling_layers=num_pooling_layers)
    check_groups(model, decaying_names(3, num_pooling_layers), token_names(3, num_pooling_layers))
    assert not any(
        "spatial_encoder" in name for group in parameter_groups(model, 0.1) for name in names_of(model, group)
    )


def test_weight_of_a_linear_head_decays():
    check_groups(tiny_model("linear"), decaying_names(3, 1) | {"classifier.weight"}, token_names(3, 1))


def test_groups_of_the_papers_model_hold_all_of_its_tunable_parameters():
    with torch.device("meta"):
        model = DiSTForVideoClassification(DiSTConfig(num_labels=400))
    check_groups(model, decaying_names(12, 4), token_names(12, 4))
    total = sum(parameter.numel() for group in parameter_groups(model, 1e-4) for parameter in group["params"])
    assert total == model.count_parameters()["tunable"]
    assert total == pytest.approx(26.1e6, rel=0.01)


def test_trained_backbone_is_in_the_groups_by_the_same_rule():
    model = tiny_model(selected_layers=[0, 1])
    model.unfreeze_backbone()
    clip = "dist.spatial_encoder."
    decaying = decaying_names(2, 1) | {f"{clip}embeddings.patch_embedding.weight"}
    # The third layer is never run.
    decaying |= {f"{clip}encoder.layers.{layer}.{name}" for layer in range(2) for name in DECAYING_IN_CLIP_LAYER}
    check_groups(model, decaying, token_names(2, 1) | {f"{clip}embeddings.position_embedding.weight"})
    names = [name for group in parameter_groups(model, 0.1) for name in names_of(model, group)]
    assert f"{clip}embeddings.class_embedding" in names
    assert not any(part in name for name in names for part in ("encoder.layers.2.", "post_layernorm"))

    model.freeze_backbone()
    check_groups(model, decaying_names(2, 1), token_names(2, 1))


def test_parameters_that_were_frozen_by_hand_are_left_out():
    model = tiny_model()
    model.dist.temporal_stem.requires_grad_(False)
    check_groups(model, decaying_names(3, 1) - {"dist.temporal_stem.weight"}, token_names(3, 1))


def test_adamw_moves_idle_weights_by_the_decay_alone_and_tokens_not_at_all():
    model = tiny_model()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = torch.optim.AdamW(parameter_groups(model, 0.1), lr=0.5)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    decaying = decaying_names(3, 1)
    for name, parameter in model.named_parameters():
        assert_close(parameter.detach(), before[name] * (0.95 if name in decaying else 1.0), msg=name)


def test_adamw_is_the_papers_by_default():
    optimizer = make_optimizer(tiny_model(), TrainingSettings(), 3.2e-4)
    assert isinstance(optimizer, torch.optim.AdamW)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [1e-4, 0.0]
    for group in optimizer.param_groups:
        assert (group["lr"], group["betas"], group["eps"]) == (3.2e-4, (0.9, 0.999), 1e-8)
