import pytest
from transformers import AutoConfig, CLIPVisionConfig

from modeling_dist import DiSTConfig


def test_defaults_are_b16_8_16f_for_kinetics():
    config = DiSTConfig()
    assert (config.vision_config.hidden_size, config.vision_config.patch_size) == (768, 16)
    assert (config.num_spatial_frames, config.num_frames) == (8, 16)
    assert config.selected_layers == list(range(12))
    assert (config.integration_dim, config.temporal_dim, config.num_pooling_layers) == (384, 96, 4)
    assert config.backbone == "openai/clip-vit-base-patch16"
    assert config.freeze_backbone


def test_default_configuration_logs_nothing(log, capsys):
    DiSTConfig()
    assert log.records == []
    assert capsys.readouterr() == ("", "")


def test_configuration_survives_disk(tmp_path):
    config = DiSTConfig(
        vision_config=CLIPVisionConfig(num_hidden_layers=5, hidden_size=64, num_attention_heads=1),
        backbone=None,
        num_frames=12,
        spatial_frame_stride=4,
        selected_layers=(1, 3),
        head_type="linear",
        initializer_range=None,
        num_labels=5,
    )
    config.save_pretrained(tmp_path)
    for reloaded in (DiSTConfig.from_pretrained(tmp_path), AutoConfig.from_pretrained(tmp_path)):
        assert isinstance(reloaded, DiSTConfig)
        assert reloaded.to_json_string() == config.to_json_string()
        assert reloaded.selected_layers == [1, 3]
        assert isinstance(reloaded.vision_config, CLIPVisionConfig)


def test_overrides_on_loading_reach_the_configuration(tmp_path):
    DiSTConfig().save_pretrained(tmp_path)
    assert DiSTConfig.from_pretrained(tmp_path, num_frames=32).num_spatial_frames == 16


@pytest.mark.parametrize(
    ("values", "given", "allowed"),
    [
        ({"num_frames": 15}, "num_frames=15", "multiple of `spatial_frame_stride`"),
        ({"num_frames": 0}, "got 0", "greater than 0"),
        ({"spatial_frame_stride": -2}, "got -2", "greater than 0"),
        ({"integration_dim": 100}, "got 100", "multiple of 64"),
        ({"selected_layers": [0, 12]}, "[0, 12]", "from 0 to 11"),
        ({"selected_layers": [-1]}, "[-1]", "from 0 to 11"),
        ({"selected_layers": [3, 2]}, "[3, 2]", "ascending order"),
        ({"selected_layers": [2, 2]}, "[2, 2]", "none twice"),
        ({"selected_layers": []}, "[]", "at least one"),
        ({"temporal_kernel_size": 4}, "got 4", "odd"),
        ({"temporal_stem_kernel_size": 2}, "got 2", "odd"),
        ({"temporal_mlp_ratio": 0.001}, "0.001", "at least 1"),
        ({"integration_temporal_mlp_ratio": 0}, "got 0", "greater than 0"),
        ({"num_pooling_layers": 0}, "got 0", "greater than 0"),
        ({"head_type": "mlp"}, '"mlp"', '"text" or "linear"'),
        ({"initializer_range": 0.0}, "got 0.0", "greater than 0 or None"),
        ({"zero_shot_weight": 1.5, "has_visual_projection": True}, "got 1.5", "from 0 to 1"),
        ({"zero_shot_weight": 0.5}, "zero_shot_weight=0.5", "call `model.set_zero_shot_weight`"),
        ({"vision_config": {"num_channels": 1}}, "got 1", "3 (RGB)"),
        ({"vision_config": {"image_size": 100, "patch_size": 16}}, "100 and 16", "multiple of"),
        ({"vision_config": {"image_size": [32, 64]}}, "[32, 64]", "integer"),
    ],
)
def test_impossible_combination_says_what_was_given_and_what_is_allowed(values, given, allowed):
    with pytest.raises(ValueError) as error:
        DiSTConfig(**values)
    assert given in str(error.value)
    assert allowed in str(error.value)
