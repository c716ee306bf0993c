# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""The configuration of DiST (https://arxiv.org/abs/2309.07911)."""

from typing import ClassVar

from huggingface_hub.dataclasses import strict
from transformers import CLIPVisionConfig, PreTrainedConfig


# Width of one attention head of the pooling, which has `integration_dim` over this of them.
POOLING_HEAD_DIM = 64


def check_zero_shot_weight(zero_shot_weight: float):
    if not 0 <= zero_shot_weight <= 1:
        raise ValueError(f"`zero_shot_weight` must be a number from 0 to 1, got {zero_shot_weight}.")


@strict
class DiSTConfig(PreTrainedConfig):
    r"""
    Configuration of a [`DiSTModel`]: a frozen CLIP vision encoder (the spatial encoder), a temporal encoder and an
    integration branch. The defaults are the paper's B/16 8+16f for Kinetics-400.

    Args:
        vision_config (`CLIPVisionConfig` or `dict`, *optional*):
            The spatial encoder. Defaults to CLIP's ViT-B/16 at 224 pixels.
        backbone (`str`, *optional*):
            Hub id or local folder of the CLIP model that the spatial encoder's weights come from, and CLIP's text encoder
            with them. With `None`, the model's own checkpoint has to hold the weights.
        backbone_revision (`str`, *optional*):
            Commit of `backbone` that the tunable weights were trained on; filled in on loading.
        backbone_fingerprint (`str`, *optional*):
            Checksum of the spatial encoder's weights as `backbone` holds them; filled in on loading. A checkpoint does
            not load with any other backbone.
        num_frames (`int`, defaults to 16):
            Frames that the temporal encoder sees (T), a multiple of `spatial_frame_stride`.
        spatial_frame_stride (`int`, defaults to 2):
            The spatial encoder sees every `spatial_frame_stride`-th frame (α), the first one included.
        selected_layers (`list[int]`, *optional*):
            Layers of the spatial encoder whose outputs feed the integration branch, in ascending order, counted from 0.
            Defaults to all of them. The layers after the last selected one do not run.
        integration_dim (`int`, defaults to 384):
            Width of the integration branch (C), a multiple of 64, the size of one attention head of the pooling.
        temporal_dim (`int`, defaults to 96):
            Width of the temporal encoder (M).
        temporal_stem_kernel_size (`int`, defaults to 5):
            Frames that the temporal stem's convolution spans, an odd number.
        temporal_kernel_size (`int`, defaults to 3):
            Frames that the temporal convolutions of the blocks span, an odd number.
        temporal_mlp_ratio (`float`, defaults to 1.0):
            Hidden width of a temporal block, relative to `temporal_dim`.
        integration_mlp_ratio (`float`, defaults to 1.0):
            Hidden width of an integration block's feed-forward network, relative to `integration_dim`.
        integration_temporal_mlp_ratio (`float`, defaults to 0.25):
            Hidden width of an integration block's temporal feed-forward network, relative to `integration_dim`.
        num_pooling_layers (`int`, defaults to 4):
            Layers of the pooling. The paper has 4 for Kinetics and 2 for Something-Something V2.
        projection_dim (`int`, defaults to 512):
            Size of a video embedding. The text head compares it with CLIP's text embeddings, which have CLIP's
            `projection_dim`.
        head_type (`str`, defaults to `"text"`):
            Classifier of [`DiSTForVideoClassification`]: `"text"`, the paper's, compares video embeddings with the class
            names' text embeddings; `"linear"` is a trained linear layer, for labels that are not words.
        hidden_act (`str`, defaults to `"quick_gelu"`):
            Activation of every block outside the spatial encoder.
        layer_norm_eps (`float`, defaults to 1e-5):
            Epsilon of every LayerNorm outside the spatial encoder.
        logit_scale_init_value (`float`, defaults to 4.6052):
            Natural logarithm of the text head's scale (CLIP's own ends at ln 100).
        zero_shot_weight (`float`, defaults to 0.0):
            Share of CLIP's own logits for single frames in the text head's logits, from 0 to 1. Set by
            [`~DiSTForVideoClassification.set_zero_shot_weight`].
        has_visual_projection (`bool`, defaults to `False`):
            Whether the text head holds CLIP's visual projection, without which `zero_shot_weight` is 0. Set by
            [`~DiSTForVideoClassification.set_zero_shot_weight`] and
            [`~DiSTForVideoClassification.load_visual_projection`].
        initializer_range (`float`, *optional*, defaults to 0.02):
            Standard deviation of the truncated normal that initializes linear and convolutional weights, tokens and
            positional embeddings. With `None` it is 1/√fan-in for weights and 0.02 for tokens and positions. Small widths
            need this, because at 0.02 they pass almost no signal on.
        freeze_backbone (`bool`, defaults to `True`):
            Whether the spatial encoder is frozen: no gradient, evaluation mode, not saved.

    Raises:
        ValueError: If values are out of range or do not fit together.

    Example:

    ```python
    >>> from modeling_dist import DiSTConfig, DiSTModel

    >>> config = DiSTConfig(num_frames=32)  # B/16 16+32f
    >>> model = DiSTModel(config)  # random weights; see DiSTModel.from_backbone for CLIP's
    ```
    """

    model_type = "dist"
    # Set when the package has registered its pipelines, so that the code that a repository has for them is not run.
    knows_pipelines: ClassVar[bool] = False
    keys_to_ignore_at_inference = ["video_embeds"]  # so that `Trainer` hands `compute_metrics` the logits alone
    # Two names for the same thing: transformers 5.17 reads the first, later versions the second.
    sub_configs = {"vision_config": CLIPVisionConfig}
    sub_configs_defaults = {"vision_config": CLIPVisionConfig}

    vision_config: dict | CLIPVisionConfig | None = None
    backbone: str | None = "openai/clip-vit-base-patch16"
    backbone_revision: str | None = None
    backbone_fingerprint: str | None = None
    num_frames: int = 16
    spatial_frame_stride: int = 2
    selected_layers: list[int] | tuple[int, ...] | None = None
    integration_dim: int = 384
    temporal_dim: int = 96
    temporal_stem_kernel_size: int = 5
    temporal_kernel_size: int = 3
    temporal_mlp_ratio: float | int = 1.0
    integration_mlp_ratio: float | int = 1.0
    integration_temporal_mlp_ratio: float | int = 0.25
    num_pooling_layers: int = 4
    projection_dim: int = 512
    head_type: str = "text"
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5
    logit_scale_init_value: float | int = 4.6052
    zero_shot_weight: float | int = 0.0
    has_visual_projection: bool = False
    initializer_range: float | None = 0.02
    freeze_backbone: bool = True

    def __post_init__(self, **kwargs):
        if self.vision_config is None:
            self.vision_config = CLIPVisionConfig(patch_size=16)
        elif isinstance(self.vision_config, dict):
            self.vision_config = CLIPVisionConfig(**self.vision_config)
        if self.selected_layers is None:
            self.selected_layers = list(range(self.vision_config.num_hidden_layers))
        self.selected_layers = list(self.selected_layers)
        super().__post_init__(**kwargs)
        # `@strict` runs the validation as well, but wraps a ValueError in an error of another type.
        self.validate_architecture()

    @classmethod
    def get_config_dict(cls, pretrained_model_name_or_path, **kwargs) -> tuple[dict, dict]:
        config_dict, kwargs = super().get_config_dict(pretrained_model_name_or_path, **kwargs)
        # The base class warns, and takes the values that happen to have the same names.
        if config_dict and config_dict.get("model_type") != cls.model_type:
            raise ValueError(
                f"{pretrained_model_name_or_path} is not a DiST: the `model_type` in its config.json is "
                f"{config_dict.get('model_type')!r}. A CLIP to build on is a `backbone`."
            )
        return config_dict, kwargs

    @classmethod
    def from_dict(cls, config_dict: dict, **kwargs):
        if "backbone" in kwargs:
            # Another repository has other commits.
            kwargs.setdefault("backbone_revision", None)
        if "has_visual_projection" not in config_dict:
            # Version 0.1.0: with any number as `zero_shot_weight`, even 0, the head holds the projection.
            weight = config_dict.get("zero_shot_weight")
            config_dict = {
                **config_dict,
                "zero_shot_weight": 0.0 if weight is None else weight,
                "has_visual_projection": weight is not None,
            }
        if cls.knows_pipelines:
            config_dict = {name: value for name, value in config_dict.items() if name != "custom_pipelines"}
        return super().from_dict(config_dict, **kwargs)

    @property
    def num_spatial_frames(self) -> int:
        """Frames that the spatial encoder sees (S)."""
        return self.num_frames // self.spatial_frame_stride

    @property
    def num_hidden_layers(self) -> int:
        """Blocks of the temporal encoder and of the integration branch, one per selected layer."""
        return len(self.selected_layers)

    @property
    def hidden_size(self) -> int:
        """Width of the integration branch, and so of `hidden_states`."""
        return self.integration_dim

    @property
    def num_attention_heads(self) -> int:
        """Attention heads of the pooling."""
        return self.integration_dim // POOLING_HEAD_DIM

    def validate_architecture(self):
        """Check what the types of the values do not tell. Part of the validation that `@strict` runs."""
        kernel_sizes = ("temporal_stem_kernel_size", "temporal_kernel_size")
        dim_of_ratio = {
            "temporal_mlp_ratio": "temporal_dim",
            "integration_mlp_ratio": "integration_dim",
            "integration_temporal_mlp_ratio": "integration_dim",
        }
        sizes = ("num_frames", "spatial_frame_stride", "integration_dim", "temporal_dim")
        for name in (*sizes, *kernel_sizes, *dim_of_ratio, "num_pooling_layers", "projection_dim", "layer_norm_eps"):
            if getattr(self, name) <= 0:
                raise ValueError(f"`{name}` must be greater than 0, got {getattr(self, name)}.")
        if self.initializer_range is not None and self.initializer_range <= 0:
            raise ValueError(f"`initializer_range` must be greater than 0 or None, got {self.initializer_range}.")
        check_zero_shot_weight(self.zero_shot_weight)
        if self.zero_shot_weight > 0 and not self.has_visual_projection:
            raise ValueError(
                f"`zero_shot_weight={self.zero_shot_weight}` needs a head with CLIP's visual projection "
                "(`has_visual_projection=True`). Leave it at 0 and call `model.set_zero_shot_weight`, which loads it."
            )
        if self.num_frames % self.spatial_frame_stride != 0:
            raise ValueError(
                f"`num_frames` must be a multiple of `spatial_frame_stride`, got num_frames={self.num_frames} and "
                f"spatial_frame_stride={self.spatial_frame_stride}."
            )
        if self.integration_dim % POOLING_HEAD_DIM != 0:
            raise ValueError(
                f"`integration_dim` must be a multiple of {POOLING_HEAD_DIM}, the width of one attention head of the pooling, got "
                f"{self.integration_dim}."
            )
        for name in kernel_sizes:
            if getattr(self, name) % 2 == 0:
                raise ValueError(
                    f"`{name}` must be odd, so that its convolution gives one output per frame, got {getattr(self, name)}."
                )
        for ratio, dim in dim_of_ratio.items():
            if int(getattr(self, dim) * getattr(self, ratio)) < 1:
                raise ValueError(
                    f"`{dim} * {ratio}` must be at least 1, got {getattr(self, dim)} * {getattr(self, ratio)}."
                )
        num_layers = self.vision_config.num_hidden_layers
        layers = sorted(set(range(num_layers)).intersection(self.selected_layers))
        if not layers or layers != self.selected_layers:
            raise ValueError(
                f"`selected_layers` must be layers of the spatial encoder in ascending order, from 0 to {num_layers - 1}, "
                f"at least one and none twice, got {self.selected_layers}."
            )
        image_size, patch_size = self.vision_config.image_size, self.vision_config.patch_size
        if not (isinstance(image_size, int) and isinstance(patch_size, int) and image_size % patch_size == 0):
            raise ValueError(
                "`vision_config.image_size` must be a multiple of `vision_config.patch_size`, both integers, got "
                f"{image_size} and {patch_size}."
            )
        if self.vision_config.num_channels != 3:
            raise ValueError(f"`vision_config.num_channels` must be 3 (RGB), got {self.vision_config.num_channels}.")
        if self.head_type not in ("text", "linear"):
            raise ValueError(f'`head_type` must be "text" or "linear", got "{self.head_type}".')


__all__ = ["DiSTConfig"]
