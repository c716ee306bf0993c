# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""DiST (https://arxiv.org/abs/2309.07911): a frozen CLIP vision encoder, a temporal encoder and an integration branch.

Letters in the comments: B videos, T frames, S spatial frames (T / α), N patches of a frame, and the widths D of CLIP,
C of the integration branch and M of the temporal encoder. Token tensors keep their channels last.
"""

import contextlib
import functools
import os
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from transformers import (
    AutoTokenizer,
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionModel,
    PreTrainedModel,
)
from transformers import initialization as init
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.processing_utils import Unpack
from transformers.utils import ModelOutput, TransformersKwargs, logging
from transformers.utils.generic import can_return_tuple

from .checkpoint_dist import Backbone, select_weights
from .configuration_dist import DiSTConfig
from .frozen_backbone_dist import FrozenBackboneModel


logger = logging.get_logger(__name__)


@dataclass
class DiSTModelOutput(ModelOutput):
    """
    Output of [`DiSTModel`].

    Args:
        video_embeds (`torch.FloatTensor` of shape `(batch_size, projection_dim)`):
            The video embeddings, not normalized.
        last_hidden_state (`torch.FloatTensor` of shape `(batch_size, num_spatial_frames, 1 + num_patches, integration_dim)`):
            What the integration branch hands to the pooling; the first token of a frame is its class token.
        temporal_last_hidden_state (`torch.FloatTensor` of shape `(batch_size, num_frames, num_patches, temporal_dim)`):
            The last temporal block's output.
        hidden_states (`tuple(torch.FloatTensor)`, *optional*, with `output_hidden_states`):
            The integration block's output of each layer, shaped as `last_hidden_state`, one per selected layer.
            `None` at the indices that `output_hidden_states=[0, -1]` leaves out.
        temporal_hidden_states (`tuple(torch.FloatTensor)`, *optional*, with `output_hidden_states`):
            The temporal stem's output and that of each temporal block, shaped as `temporal_last_hidden_state`; one more
            than `hidden_states`, selected by the same indices.
        attentions (`tuple(torch.FloatTensor)`, *optional*, with `output_attentions`):
            Of each pooling layer, where the frame token looks within its frame:
            `(batch_size * num_spatial_frames, num_heads, 1, 1 + num_patches)`.
        video_attentions (`tuple(torch.FloatTensor)`, *optional*, with `output_attentions`):
            Of each pooling layer, where the video token looks among the frames:
            `(batch_size, num_heads, 1, num_spatial_frames)`.
        spatial_pooler_output (`torch.FloatTensor` of shape `(batch_size, num_spatial_frames, vision_config.hidden_size)`, *optional*, with `output_spatial_pooler`):
            CLIP's own pooled output of each frame that it sees, which its visual projection makes an image embedding of.
    """

    video_embeds: torch.FloatTensor | None = None
    last_hidden_state: torch.FloatTensor | None = None
    temporal_last_hidden_state: torch.FloatTensor | None = None
    hidden_states: tuple[torch.FloatTensor | None, ...] | None = None
    temporal_hidden_states: tuple[torch.FloatTensor | None, ...] | None = None
    attentions: tuple[torch.FloatTensor, ...] | None = None
    video_attentions: tuple[torch.FloatTensor, ...] | None = None
    spatial_pooler_output: torch.FloatTensor | None = None


@dataclass
class DiSTVideoClassifierOutput(ModelOutput):
    """
    Output of [`DiSTForVideoClassification`].

    Args:
        loss (`torch.FloatTensor` of shape `(1,)`, *optional*, with `labels`):
            The loss of the logits.
        logits (`torch.FloatTensor` of shape `(batch_size, num_labels)`):
            Scores before the softmax (the sigmoid for multi-label problems). For several views of a video, the logarithm
            of the views' mean probabilities, so that a softmax gives these back.
        video_embeds (`torch.FloatTensor` of shape `(batch_size, projection_dim)` or `(batch_size, num_views, projection_dim)`):
            The video embeddings, not normalized.
        hidden_states, temporal_hidden_states, attentions, video_attentions:
            As in [`DiSTModelOutput`], every view counted as a video.
    """

    loss: torch.FloatTensor | None = None
    logits: torch.FloatTensor | None = None
    video_embeds: torch.FloatTensor | None = None
    hidden_states: tuple[torch.FloatTensor | None, ...] | None = None
    temporal_hidden_states: tuple[torch.FloatTensor | None, ...] | None = None
    attentions: tuple[torch.FloatTensor, ...] | None = None
    video_attentions: tuple[torch.FloatTensor, ...] | None = None


class DiSTMLP(nn.Module):
    """Linear, activation, linear."""

    def __init__(self, config: DiSTConfig, intermediate_size: int):
        super().__init__()
        self.fc1 = nn.Linear(config.integration_dim, intermediate_size)
        self.activation_fn = ACT2FN[config.hidden_act]
        self.fc2 = nn.Linear(intermediate_size, config.integration_dim)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return self.fc2(self.activation_fn(self.fc1(hidden_states)))


class DiSTTemporalMLP(nn.Module):
    """The integration block's feed-forward network along the frames, at each token's position (TFFN)."""

    def __init__(self, config: DiSTConfig):
        super().__init__()
        intermediate_size = int(config.integration_dim * config.integration_temporal_mlp_ratio)
        kernel_size = config.temporal_kernel_size
        self.fc1 = nn.Linear(config.integration_dim, intermediate_size)
        self.temporal_conv = nn.Conv2d(
            intermediate_size, intermediate_size, kernel_size=(kernel_size, 1), padding=(kernel_size // 2, 0)
        )
        self.activation_fn = ACT2FN[config.hidden_act]
        self.fc2 = nn.Linear(intermediate_size, config.integration_dim)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        # (B, S, 1 + N, channels) -> (B, channels, S, 1 + N): an image of frames by tokens, in channels-last memory
        hidden_states = self.temporal_conv(self.fc1(hidden_states).permute(0, 3, 1, 2))
        return self.fc2(self.activation_fn(hidden_states.permute(0, 2, 3, 1)))


class DiSTTemporalBlock(nn.Module):
    """The temporal encoder's block: a convolution in time, then one in space (T-Block)."""

    def __init__(self, config: DiSTConfig):
        super().__init__()
        dim, kernel_size = config.temporal_dim, config.temporal_kernel_size
        intermediate_size = int(dim * config.temporal_mlp_ratio)
        self.layernorm = nn.LayerNorm(dim, eps=config.layer_norm_eps)
        self.temporal_conv = nn.Conv2d(
            dim, intermediate_size, kernel_size=(kernel_size, 1), padding=(kernel_size // 2, 0)
        )
        self.spatial_conv = nn.Conv2d(intermediate_size, dim, kernel_size=3, padding=1)
        self.activation_fn = ACT2FN[config.hidden_act]

    def forward(self, hidden_states: torch.Tensor, grid_size: tuple[int, int]) -> torch.Tensor:
        batch_size, num_frames, _, _ = hidden_states.shape
        residual = hidden_states
        # (B, T, N, M) -> (B, M, T, N): an image of frames by tokens, in channels-last memory
        hidden_states = self.temporal_conv(self.layernorm(hidden_states).permute(0, 3, 1, 2))
        hidden_states = self.activation_fn(hidden_states.permute(0, 2, 3, 1))
        # (B, T, N, M) -> (B * T, M, height, width)
        hidden_states = hidden_states.reshape(batch_size * num_frames, *grid_size, -1).permute(0, 3, 1, 2)
        hidden_states = self.spatial_conv(hidden_states).permute(0, 2, 3, 1).reshape(residual.shape)
        return self.activation_fn(residual + hidden_states)


class DiSTIntegrationBlock(nn.Module):
    """The integration branch's block: two feed-forward networks side by side, without a residual (I-Block)."""

    def __init__(self, config: DiSTConfig):
        super().__init__()
        self.layernorm = nn.LayerNorm(config.integration_dim, eps=config.layer_norm_eps)
        self.mlp = DiSTMLP(config, int(config.integration_dim * config.integration_mlp_ratio))
        self.temporal_layernorm = nn.LayerNorm(config.integration_dim, eps=config.layer_norm_eps)
        self.temporal_mlp = DiSTTemporalMLP(config)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return self.mlp(self.layernorm(hidden_states)) + self.temporal_mlp(self.temporal_layernorm(hidden_states))


class DiSTLayer(GradientCheckpointingLayer):
    """
    What follows one selected layer of the spatial encoder: a temporal block, an integration block, and the exchange
    between the two branches (section 3 of the paper).
    """

    def __init__(self, config: DiSTConfig, layer_idx: int):
        super().__init__()
        self.num_spatial_frames = config.num_spatial_frames
        stride, dim = config.spatial_frame_stride, config.integration_dim
        self.temporal_block = DiSTTemporalBlock(config)
        self.input_projection = nn.Linear(config.vision_config.hidden_size, dim)
        # Nothing reads what the last layer would give back to the temporal encoder.
        is_last = layer_idx == config.num_hidden_layers - 1
        self.integration_to_temporal = None if is_last else nn.Linear(dim, config.temporal_dim)
        self.temporal_to_integration = nn.Conv2d(config.temporal_dim, dim, kernel_size=(stride, 1), stride=(stride, 1))
        self.class_token = nn.Parameter(torch.empty(1, config.num_spatial_frames, 1, dim))
        self.integration_block = DiSTIntegrationBlock(config)

    def forward(
        self,
        temporal_hidden_states: torch.Tensor,
        spatial_hidden_states: torch.Tensor,
        integration_hidden_states: torch.Tensor | None,
        grid_size: tuple[int, int],
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """
        From Z (B, T, N, M), X (B * S, 1 + N, D) and R (B, S, 1 + N, C; `None` in the first layer) to the integration
        block's output R, its input U, the temporal block's output Z', and Z' with the integration branch's feedback.
        """
        temporal_hidden_states = self.temporal_block(temporal_hidden_states, grid_size)

        hidden_states = self.input_projection(spatial_hidden_states).unflatten(0, (-1, self.num_spatial_frames))
        if integration_hidden_states is not None:
            hidden_states = hidden_states + integration_hidden_states

        next_temporal_hidden_states = temporal_hidden_states
        if self.integration_to_temporal is not None:
            # (B, S, 1 + N, M) -> (B, S, 1, N, M), added to each of the α frames that a spatial frame stands for
            feedback = self.integration_to_temporal(hidden_states)[:, :, 1:].unsqueeze(2)
            by_spatial_frame = temporal_hidden_states.unflatten(1, (self.num_spatial_frames, -1))
            next_temporal_hidden_states = (by_spatial_frame + feedback).flatten(1, 2)

        # (B, T, N, M) -> (B, M, T, N) -> (B, C, S, N) -> (B, S, N, C)
        fused = self.temporal_to_integration(temporal_hidden_states.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        class_tokens = self.class_token.to(fused.dtype).expand(fused.shape[0], -1, -1, -1)
        hidden_states = hidden_states + torch.cat([class_tokens, fused], dim=2)

        integration_hidden_states = self.integration_block(hidden_states)
        return integration_hidden_states, hidden_states, temporal_hidden_states, next_temporal_hidden_states


def eager_attention_forward(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **kwargs: Unpack[TransformersKwargs],
) -> tuple[torch.Tensor, torch.Tensor]:
    attn_weights = torch.matmul(query, key.transpose(2, 3)) * scaling
    attn_weights = nn.functional.softmax(attn_weights, dim=-1, dtype=torch.float32).to(query.dtype)
    attn_output = torch.matmul(attn_weights, value).transpose(1, 2).contiguous()
    return attn_output, attn_weights


class DiSTAttention(nn.Module):
    """
    Multi-head attention of one query token over its context. The projections to query, key and value are one packed
    parameter, as in the authors' model, because they are initialized as one matrix; the last two run as one matmul.
    """

    def __init__(self, config: DiSTConfig):
        super().__init__()
        self.config = config
        self.embed_dim = config.integration_dim
        self.head_dim = self.embed_dim // config.num_attention_heads
        self.scaling = self.head_dim**-0.5
        self.is_causal = False
        self.in_proj_weight = nn.Parameter(torch.empty(3 * self.embed_dim, self.embed_dim))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * self.embed_dim))
        self.out_proj = nn.Linear(self.embed_dim, self.embed_dim)

    def forward(
        self,
        hidden_states: torch.Tensor,
        context: torch.Tensor,
        output_attentions: bool = False,
        **kwargs: Unpack[TransformersKwargs],
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        q_weight, kv_weight = self.in_proj_weight.split([self.embed_dim, 2 * self.embed_dim])
        q_bias, k_bias, v_bias = self.in_proj_bias.chunk(3)
        # A bias of the keys adds the same to all scores of a query, and nothing to their softmax. What would come back
        # as its gradient is rounding noise, which Adam scales up to whole steps.
        kv_bias = torch.cat([k_bias.detach(), v_bias])
        # (batch, tokens, C) -> (batch, heads, tokens, head_dim)
        query = nn.functional.linear(hidden_states, q_weight, q_bias)
        query = query.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        key, value = nn.functional.linear(context, kv_weight, kv_bias).chunk(2, dim=-1)
        key = key.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        value = value.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)

        # Only the eager function gives the weights, and with one query it costs next to nothing.
        attention_interface: Callable = eager_attention_forward
        if not output_attentions:
            attention_interface = ALL_ATTENTION_FUNCTIONS.get_interface(
                self.config._attn_implementation, eager_attention_forward
            )
        attn_output, attn_weights = attention_interface(
            self, query, key, value, None, dropout=0.0, scaling=self.scaling, **kwargs
        )
        return self.out_proj(attn_output.flatten(-2)), attn_weights


class DiSTPoolingLayer(GradientCheckpointingLayer):
    """A frame token looks at its frame's tokens, then the video token at the frame tokens."""

    def __init__(self, config: DiSTConfig):
        super().__init__()
        dim = config.integration_dim
        self.frame_layernorm = nn.LayerNorm(dim, eps=config.layer_norm_eps)
        self.frame_attention = DiSTAttention(config)
        self.frame_mlp_layernorm = nn.LayerNorm(dim, eps=config.layer_norm_eps)
        self.frame_mlp = DiSTMLP(config, 4 * dim)
        self.position_embeddings = nn.Parameter(torch.empty(1, config.num_spatial_frames, dim))
        self.video_layernorm = nn.LayerNorm(dim, eps=config.layer_norm_eps)
        self.video_attention = DiSTAttention(config)
        self.video_mlp_layernorm = nn.LayerNorm(dim, eps=config.layer_norm_eps)
        self.video_mlp = DiSTMLP(config, 4 * dim)

    def forward(
        self,
        video_token: torch.Tensor,
        frame_tokens: torch.Tensor,
        hidden_states: torch.Tensor,
        **kwargs: Unpack[TransformersKwargs],
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        attn_output, frame_attn_weights = self.frame_attention(
            self.frame_layernorm(frame_tokens), self.frame_layernorm(hidden_states), **kwargs
        )
        frame_tokens = frame_tokens + attn_output
        frame_tokens = frame_tokens + self.frame_mlp(self.frame_mlp_layernorm(frame_tokens))

        # (B * S, 1, C) -> (B, S, C)
        frames = frame_tokens.view(video_token.shape[0], -1, frame_tokens.shape[-1]) + self.position_embeddings
        attn_output, video_attn_weights = self.video_attention(
            self.video_layernorm(video_token), self.video_layernorm(frames), **kwargs
        )
        video_token = video_token + attn_output
        video_token = video_token + self.video_mlp(self.video_mlp_layernorm(video_token))
        return video_token, frame_tokens, frame_attn_weights, video_attn_weights


class DiSTPooling(nn.Module):
    """From the integration branch's tokens and the spatial encoder's class tokens to one embedding of the video."""

    def __init__(self, config: DiSTConfig):
        super().__init__()
        dim = config.integration_dim
        self.num_spatial_frames = config.num_spatial_frames
        self.video_token = nn.Parameter(torch.empty(1, 1, dim))
        self.frame_token = nn.Parameter(torch.empty(1, 1, dim))
        self.layers = nn.ModuleList([DiSTPoolingLayer(config) for _ in range(config.num_pooling_layers)])
        self.class_token_projection = nn.Linear(config.vision_config.hidden_size, dim)
        self.layernorm = nn.LayerNorm(dim, eps=config.layer_norm_eps)
        self.projection = nn.Linear(dim, config.projection_dim, bias=False)

    def forward(
        self, hidden_states: torch.Tensor, spatial_class_tokens: torch.Tensor, **kwargs: Unpack[TransformersKwargs]
    ) -> tuple[torch.Tensor, tuple, tuple]:
        """From (B * S, 1 + N, C) and (B * S, D) to (B, projection_dim) and the layers' attention weights."""
        batch_size = hidden_states.shape[0] // self.num_spatial_frames
        video_token = self.video_token.expand(batch_size, -1, -1)
        frame_tokens = self.frame_token.expand(hidden_states.shape[0], -1, -1)
        frame_attentions, video_attentions = (), ()
        for layer in self.layers:
            video_token, frame_tokens, frame_attn_weights, video_attn_weights = layer(
                video_token, frame_tokens, hidden_states, **kwargs
            )
            frame_attentions += (frame_attn_weights,)
            video_attentions += (video_attn_weights,)

        class_tokens = self.class_token_projection(spatial_class_tokens)
        class_tokens = class_tokens.unflatten(0, (batch_size, -1)).mean(dim=1)
        video_embeds = self.projection(self.layernorm(video_token.squeeze(1) + class_tokens))
        return video_embeds, frame_attentions, video_attentions


class DiSTTextClassifier(nn.Module):
    """
    The paper's head: the cosine between a video embedding and the text embedding of each class name, scaled. Frozen,
    hence buffers. Loaded and computed in float32 whatever the model's precision, since CLIP's scale of 100 would leave
    bfloat16 steps of a whole 0.1 between two logits.

    With a `zero_shot_weight` in the configuration, be it 0, CLIP's visual projection is part of the head: it makes image
    embeddings of what CLIP gives for single frames.
    """

    def __init__(self, config: DiSTConfig):
        super().__init__()
        self.class_embeds = nn.Buffer(torch.empty(config.num_labels, config.projection_dim, dtype=torch.float32))
        self.logit_scale = nn.Buffer(torch.tensor(config.logit_scale_init_value, dtype=torch.float32))
        self.register_buffer("visual_projection", None)
        if config.zero_shot_weight is not None:
            shape = (config.projection_dim, config.vision_config.hidden_size)
            self.visual_projection = torch.empty(shape, dtype=torch.float32)

    def forward(self, embeds: torch.Tensor, class_embeds: torch.Tensor | None = None) -> torch.Tensor:
        """From embeddings (…, projection_dim) to logits (…, labels), of other classes than the head's if given."""
        class_embeds = self.class_embeds if class_embeds is None else class_embeds
        with _no_autocast(embeds.device):
            embeds = nn.functional.normalize(embeds.float(), dim=-1)
            class_embeds = nn.functional.normalize(class_embeds.float(), dim=-1)
            return self.logit_scale.float().exp() * (embeds @ class_embeds.T)

    def classify_frames(
        self, spatial_pooler_output: torch.Tensor, class_embeds: torch.Tensor | None = None
    ) -> torch.Tensor:
        """CLIP's own logits: from (B, S, D) to the mean over the frames, (B, labels)."""
        with _no_autocast(spatial_pooler_output.device):
            frame_embeds = nn.functional.linear(spatial_pooler_output.float(), self.visual_projection.float())
        return self(frame_embeds, class_embeds).mean(dim=1)


def _no_autocast(device: torch.device) -> contextlib.AbstractContextManager:
    return contextlib.nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)


class InPlaceQuickGELU(nn.Module):
    """
    CLIP's activation, x · sigmoid(1.702 x), for the frozen encoder: written as a SiLU, which works in place where no
    gradient is asked for. On a CPU the memory traffic of its intermediate results is most of what it costs. Half
    precisions keep CLIP's own order of rounding.
    """

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        if hidden_states.dtype != torch.float32 or torch.is_grad_enabled():
            return hidden_states * torch.sigmoid(1.702 * hidden_states)
        return nn.functional.silu(1.702 * hidden_states, inplace=True).mul_(1 / 1.702)


class DiSTPreTrainedModel(FrozenBackboneModel):
    """What both models share: their initialization, and what the library has to know of them."""

    config: DiSTConfig
    base_model_prefix = "dist"
    main_input_name = "pixel_values_videos"
    _input_embed_layer = "temporal_stem"
    input_modalities = ("video",)
    supports_gradient_checkpointing = True
    # The default loss averages over the batch and takes no count of items, so a trainer has to scale it itself.
    accepts_loss_kwargs = False
    _no_split_modules = ["DiSTLayer", "DiSTPooling"]
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True

    def __init__(self, config: DiSTConfig):
        # Once more, because values given to `from_pretrained` are put into a configuration that is there already.
        config.validate_architecture()
        super().__init__(config)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module):
        super()._init_weights(module)
        std = self.config.initializer_range
        token_std = 0.02 if std is None else std
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.Conv3d)):
            fan_in = module.weight[0].numel()
            init.trunc_normal_(module.weight, std=fan_in**-0.5 if std is None else std)
        elif isinstance(module, DiSTAttention):
            init.xavier_uniform_(module.in_proj_weight)
            init.zeros_(module.in_proj_bias)
        elif isinstance(module, DiSTLayer):
            init.trunc_normal_(module.class_token, std=token_std)
        elif isinstance(module, DiSTPoolingLayer):
            init.trunc_normal_(module.position_embeddings, std=token_std)
        elif isinstance(module, DiSTPooling):
            init.trunc_normal_(module.video_token, std=token_std)
            init.trunc_normal_(module.frame_token, std=token_std)
            init.normal_(module.projection.weight, std=self.config.integration_dim**-0.5)
        elif isinstance(module, DiSTTextClassifier):
            # Stands in for text embeddings until `set_class_names` or a checkpoint brings them.
            init.normal_(module.class_embeds, std=self.config.projection_dim**-0.5)
            init.constant_(module.logit_scale, self.config.logit_scale_init_value)
            if module.visual_projection is not None:
                init.normal_(module.visual_projection, std=self.config.vision_config.hidden_size**-0.5)

    def initialize_weights(self):
        # First CLIP by its own rules: from outside of transformers they would not reach the modules that hold no
        # parameter of their own.
        self.base_model.spatial_encoder.initialize_weights()
        super().initialize_weights()


class DiSTModel(DiSTPreTrainedModel):
    """
    The model up to the video embedding: the frozen spatial encoder (CLIP) on every α-th frame, the temporal encoder on
    all of them, the integration branch between the two, and the pooling (section 3 of the paper).

    `DiSTModel(config)` has random weights. [`DiSTModel.from_backbone`] puts CLIP's into the spatial encoder, and
    [`DiSTModel.from_pretrained`] loads a trained checkpoint.
    """

    def __init__(self, config: DiSTConfig):
        super().__init__(config)
        self.temporal_stem = nn.Conv3d(
            3,
            config.temporal_dim,
            kernel_size=(config.temporal_stem_kernel_size, *(config.vision_config.patch_size,) * 2),
            stride=(1, *(config.vision_config.patch_size,) * 2),
            padding=(config.temporal_stem_kernel_size // 2, 0, 0),
        )
        self.layers = nn.ModuleList([DiSTLayer(config, layer_idx) for layer_idx in range(config.num_hidden_layers)])
        self.pooling = DiSTPooling(config)
        # After the branches, because gradient checkpointing asks the first layer it meets, and this one is frozen.
        self.spatial_encoder = CLIPVisionModel(config.vision_config)
        if config.vision_config.hidden_act == "quick_gelu":
            for encoder_layer in self.spatial_encoder.encoder.layers:
                encoder_layer.mlp.activation_fn = InPlaceQuickGELU()
        self.post_init()
        self._mark_tunable()

    def train(self, mode: bool = True):
        super().train(mode)
        if self.config.freeze_backbone:
            self.spatial_encoder.eval()
        return self

    def _check_input(self, pixel_values_videos: torch.Tensor, interpolate_pos_encoding: bool, num_axes: int = 5):
        size, patch_size = self.config.vision_config.image_size, self.config.vision_config.patch_size
        batch = "batch" if num_axes == 5 else "batch, views"
        expected = f"({batch}, {self.config.num_frames}, 3, {size}, {size})"
        if interpolate_pos_encoding:
            expected = f"({batch}, {self.config.num_frames}, 3, multiple of {patch_size}, multiple of {patch_size})"
        if pixel_values_videos is None:
            raise ValueError(f"`pixel_values_videos` is needed, of shape {expected}.")
        shape = tuple(pixel_values_videos.shape)
        fits = len(shape) == num_axes and shape[-4:-2] == (self.config.num_frames, 3)
        if fits and interpolate_pos_encoding:
            fits = shape[-2] % patch_size == 0 and shape[-1] % patch_size == 0
        elif fits:
            fits = shape[-2:] == (size, size)
        if not fits:
            hint = "" if interpolate_pos_encoding else " Other sizes need `interpolate_pos_encoding=True`."
            raise ValueError(f"`pixel_values_videos` must have shape {expected}, got {shape}.{hint}")

    @can_return_tuple
    def forward(
        self,
        pixel_values_videos: torch.FloatTensor,
        interpolate_pos_encoding: bool = False,
        output_hidden_states: bool | int | list[int] | None = None,
        output_attentions: bool | None = None,
        output_spatial_pooler: bool = False,
        **kwargs: Unpack[TransformersKwargs],
    ) -> DiSTModelOutput:
        """
        Args:
            pixel_values_videos (`torch.FloatTensor` of shape `(batch_size, num_frames, 3, height, width)`):
                Frames normalized with CLIP's mean and standard deviation, as [`DiSTVideoProcessor`] gives them.
            interpolate_pos_encoding (`bool`, defaults to `False`):
                Whether to resize the spatial encoder's position embeddings to frames of another size, of which height
                and width are multiples of the patch size.
            output_hidden_states (`bool`, `int` or `list[int]`, *optional*):
                Whether to return the hidden states; indices select some of them.
            output_attentions (`bool`, *optional*):
                Whether to return the attention weights of the pooling.
            output_spatial_pooler (`bool`, defaults to `False`):
                Whether to return CLIP's own pooled output of each frame, for which the layers of the spatial encoder
                after the last selected one run too.

        Returns:
            [`DiSTModelOutput`], or a tuple with `return_dict=False`.

        Raises:
            ValueError: If the shape of `pixel_values_videos` does not fit the configuration.
        """
        if output_hidden_states is None:
            output_hidden_states = self.config.output_hidden_states
        if output_attentions is None:
            output_attentions = self.config.output_attentions
        self._check_input(pixel_values_videos, interpolate_pos_encoding)
        config, encoder = self.config, self.spatial_encoder
        if self.training and config.freeze_backbone and any(p.requires_grad for p in encoder.parameters()):
            raise ValueError(
                "Parameters in the frozen spatial encoder require gradients and would get none. Call "
                "`unfreeze_backbone()` to train it, or adapters in it."
            )
        frozen = torch.no_grad if config.freeze_backbone else contextlib.nullcontext
        own_precision = self._encoder_precision(pixel_values_videos.device.type)
        patch_size = config.vision_config.patch_size
        grid_size = (pixel_values_videos.shape[3] // patch_size, pixel_values_videos.shape[4] // patch_size)

        # Only frames 0, α, 2α, … go through the spatial encoder: (B, T, 3, H, W) -> (B * S, 3, H, W)
        spatial_frames = pixel_values_videos[:, :: config.spatial_frame_stride].flatten(0, 1)
        with frozen(), own_precision():
            spatial_hidden_states = encoder.embeddings(
                spatial_frames, interpolate_pos_encoding=interpolate_pos_encoding
            )
            spatial_hidden_states = encoder.pre_layrnorm(spatial_hidden_states)

        # (B, T, 3, H, W) -> (B, M, T, h, w) -> (B, T, N, M)
        frames = pixel_values_videos.to(self.temporal_stem.weight.dtype).transpose(1, 2)
        temporal_hidden_states = self.temporal_stem(frames).flatten(3).permute(0, 2, 3, 1).contiguous()

        wanted = _wanted_indices(output_hidden_states, len(self.layers))
        all_hidden_states, all_temporal_hidden_states = (), ()
        if wanted is not None:
            wanted_temporal = _wanted_indices(output_hidden_states, len(self.layers) + 1)
            all_temporal_hidden_states += (temporal_hidden_states if 0 in wanted_temporal else None,)

        # The two encoders advance together, so that no layer's features outlive their use.
        integration_hidden_states = None
        for encoder_idx, encoder_layer in enumerate(encoder.encoder.layers[: config.selected_layers[-1] + 1]):
            with frozen(), own_precision():
                spatial_hidden_states = encoder_layer(spatial_hidden_states, None, **kwargs)
            if encoder_idx not in config.selected_layers:
                continue
            layer_idx = config.selected_layers.index(encoder_idx)
            features = self._to_branch_dtype(spatial_hidden_states)
            (
                integration_hidden_states,
                integration_inputs,
                temporal_output,
                temporal_hidden_states,
            ) = self.layers[layer_idx](temporal_hidden_states, features, integration_hidden_states, grid_size)
            if wanted is not None:
                all_hidden_states += (integration_hidden_states if layer_idx in wanted else None,)
                all_temporal_hidden_states += (temporal_output if layer_idx + 1 in wanted_temporal else None,)

        last_hidden_state = integration_hidden_states + integration_inputs
        video_embeds, attentions, video_attentions = self.pooling(
            last_hidden_state.flatten(0, 1), features[:, 0], output_attentions=output_attentions, **kwargs
        )
        spatial_pooler_output = None
        if output_spatial_pooler:
            with frozen(), own_precision():
                for encoder_layer in encoder.encoder.layers[config.selected_layers[-1] + 1 :]:
                    spatial_hidden_states = encoder_layer(spatial_hidden_states, None, **kwargs)
                spatial_pooler_output = encoder.post_layernorm(spatial_hidden_states[:, 0])
            # (B * S, D) -> (B, S, D)
            spatial_pooler_output = spatial_pooler_output.unflatten(0, (-1, config.num_spatial_frames))

        return DiSTModelOutput(
            video_embeds=video_embeds,
            last_hidden_state=last_hidden_state,
            temporal_last_hidden_state=temporal_output,
            hidden_states=None if wanted is None else all_hidden_states,
            temporal_hidden_states=None if wanted is None else all_temporal_hidden_states,
            attentions=attentions if output_attentions else None,
            video_attentions=video_attentions if output_attentions else None,
            spatial_pooler_output=spatial_pooler_output,
        )

    def _encoder_precision(self, device_type: str) -> Callable[[], contextlib.AbstractContextManager]:
        """
        A frozen encoder that is held in half precision computes in it: autocast would cast its weights to float32 and
        back at every step.
        """
        is_half = self.config.freeze_backbone and self.spatial_encoder.dtype in (torch.bfloat16, torch.float16)
        if not is_half or device_type == "meta" or not torch.is_autocast_enabled(device_type):
            return contextlib.nullcontext
        return functools.partial(torch.autocast, device_type, enabled=False)

    def _to_branch_dtype(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """The spatial encoder may be held in a lower precision than the branches; autocast sees to it itself."""
        device_type = hidden_states.device.type
        if device_type != "meta" and torch.is_autocast_enabled(device_type):
            return hidden_states
        return hidden_states.to(self.temporal_stem.weight.dtype)

    @can_return_tuple
    def get_video_features(
        self, pixel_values_videos: torch.FloatTensor, **kwargs: Unpack[TransformersKwargs]
    ) -> BaseModelOutputWithPooling:
        """
        The embeddings of videos, in the space of CLIP's text embeddings where they were trained against these.

        Args:
            pixel_values_videos (`torch.FloatTensor` of shape `(batch_size, num_frames, 3, height, width)`):
                As in `forward`, whose other options can be given too.

        Returns:
            `BaseModelOutputWithPooling`, as the other models' `get_…_features` do: the embeddings, not normalized, are its
            `pooler_output` of shape `(batch_size, projection_dim)`.
        """
        outputs = self(pixel_values_videos, return_dict=True, **kwargs)
        return BaseModelOutputWithPooling(
            last_hidden_state=outputs.last_hidden_state,
            pooler_output=outputs.video_embeds,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )


def _wanted_indices(output_hidden_states: bool | int | list[int] | None, count: int) -> set[int] | None:
    """Which of `count` hidden states `output_hidden_states` asks for, `None` for none of them at all."""
    if output_hidden_states is None or output_hidden_states is False:
        return None
    if output_hidden_states is True:
        return set(range(count))
    selected = [output_hidden_states] if isinstance(output_hidden_states, int) else output_hidden_states
    return {index % count for index in selected if -count <= index < count}


def _clean_class_names(class_names: list[str]) -> list[str]:
    """The names stripped of spaces and quotes, as the paper's are."""
    given = [class_names] if isinstance(class_names, str) else list(class_names)
    class_names = [name.strip().strip('"') if isinstance(name, str) else "" for name in given]
    if not class_names or not all(class_names):
        raise ValueError(f"`class_names` must be one or more strings that are not empty, got {given[:8]}.")
    return class_names


def _check_zero_shot_weight(zero_shot_weight: float):
    if not 0 <= zero_shot_weight <= 1:
        raise ValueError(f"`zero_shot_weight` must be a number from 0 to 1, got {zero_shot_weight}.")


def _load_tokenizer(source: str | os.PathLike, download_kwargs: dict) -> Callable:
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, **download_kwargs)
    except (OSError, ValueError) as error:
        # A `vocab.json` and a `merges.txt` alone do not say that they are CLIP's.
        try:
            tokenizer = CLIPTokenizer.from_pretrained(source, **download_kwargs)
        except Exception:  # whatever the tokenizers library finds wrong with a file
            raise error from None
    # Where it finds no files, the library makes a tokenizer without words, to which all names are the same.
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise OSError(
            f"{source} holds no tokenizer, or it cannot be reached. Pass `tokenizer=<folder or Hub id>` of CLIP's."
        )
    return tokenizer


def _embed_texts(texts: list[str], text_model: CLIPTextModelWithProjection, tokenizer: Callable) -> torch.Tensor:
    max_length = text_model.config.max_position_embeddings
    input_ids = tokenizer(texts, padding=True, return_tensors="pt")["input_ids"]
    if input_ids.shape[1] > max_length:
        lengths = [len(ids) for ids in tokenizer(texts)["input_ids"]]
        raise ValueError(
            f"A class name may have {max_length} tokens, and {texts[lengths.index(max(lengths))]!r} has {max(lengths)}."
        )
    # The padding comes after the token that CLIP reads, and its attention is causal: no mask is needed.
    batches = input_ids.to(text_model.device).split(256)
    return torch.cat([text_model(input_ids=batch).text_embeds.float() for batch in batches])


class DiSTForVideoClassification(DiSTPreTrainedModel):
    """
    [`DiSTModel`] with a classifier: the cosines with the class names' text embeddings (`head_type="text"`, the paper's),
    or a linear layer (`head_type="linear"`).
    """

    backbone_prefix = "dist.spatial_encoder."

    def __init__(self, config: DiSTConfig):
        super().__init__(config)
        self.num_labels = config.num_labels
        self.dist = DiSTModel(config)
        if config.head_type == "text":
            self.classifier = DiSTTextClassifier(config)
        else:
            self.classifier = nn.Linear(config.projection_dim, config.num_labels)
        self.post_init()
        self._mark_tunable()

    @classmethod
    def _is_optional(cls, name: str) -> bool:
        # A new head can be trained or made of class names; CLIP's visual projection cannot.
        return super()._is_optional(name) and not name.endswith("visual_projection")

    @classmethod
    def from_backbone(cls, backbone: str | os.PathLike, *, class_names: list[str] | None = None, **kwargs):
        """
        As [`DiSTModel.from_backbone`]; `class_names` goes to [`~DiSTForVideoClassification.set_class_names`], with CLIP's
        text encoder from the same backbone. Without them, a text head is random until that is called.
        """
        model = super().from_backbone(backbone, **kwargs)
        if class_names is not None:
            names = ("revision", "token", "cache_dir", "local_files_only", "force_download")
            model.set_class_names(class_names, **{name: kwargs[name] for name in names if name in kwargs})
        elif model.config.head_type == "text":
            logger.warning("The text head has no class names yet, and knows no classes. Call `set_class_names`.")
        return model

    def get_video_features(
        self, pixel_values_videos: torch.FloatTensor, **kwargs: Unpack[TransformersKwargs]
    ) -> BaseModelOutputWithPooling | tuple:
        """As [`DiSTModel.get_video_features`]."""
        return self.dist.get_video_features(pixel_values_videos, **kwargs)

    @property
    def zero_shot_weight(self) -> float:
        """The share of CLIP's own frame logits in the logits; see [`~DiSTForVideoClassification.set_zero_shot_weight`]."""
        if self.config.head_type != "text":
            return 0.0
        return self.config.zero_shot_weight or 0.0

    @torch.no_grad()
    def set_class_names(
        self,
        class_names: list[str],
        class_embeds: torch.FloatTensor | None = None,
        text_model: CLIPTextModelWithProjection | str | os.PathLike | None = None,
        tokenizer=None,
        prompt_templates: str | list[str] | None = None,
        zero_shot_weight: float | None = None,
        **download_kwargs,
    ):
        """
        Makes the text head classify into the given classes, and writes their names into `config.id2label`. The names are
        embedded as they are, stripped of quotes, without a prompt template, as in the paper.

        Args:
            class_names (`list[str]`):
                One name per class, in the order of the labels; none twice.
            class_embeds (`torch.FloatTensor` of shape `(len(class_names), projection_dim)`, *optional*):
                The classes' text embeddings, instead of computing them.
            text_model (`CLIPTextModelWithProjection`, `str` or `os.PathLike`, *optional*):
                CLIP's text encoder, or where to load it from. Defaults to the backbone's repository.
            tokenizer (tokenizer, `str` or `os.PathLike`, *optional*):
                Its tokenizer, or where to load it from. Defaults to where the text encoder comes from.
            prompt_templates (`str` or `list[str]`, *optional*):
                Sentences to put each name into, in place of their `{}`. A class is the mean of its normalized sentences,
                normalized again, as CLIP does it.
            zero_shot_weight (`float`, *optional*):
                For classes that the model was not trained on: goes to
                [`~DiSTForVideoClassification.set_zero_shot_weight`]. The paper has 0.5.
            download_kwargs:
                `revision`, `token`, `cache_dir`, `local_files_only`, … for loading from the backbone's repository or from
                where `text_model` and `tokenizer` say.

        Raises:
            ValueError: If the head is linear, the names are not distinct strings, or the embeddings, the templates or the
                weight do not fit.
            OSError: If the text encoder, the tokenizer or the visual projection cannot be loaded.
        """
        self._check_text_head("`set_class_names`")
        class_names = _clean_class_names(class_names)
        doubles = sorted({name for name in class_names if class_names.count(name) > 1})
        if doubles:
            raise ValueError(f"`class_names` must differ from each other; more than once came {doubles[:8]}.")

        if class_embeds is None:
            class_embeds = self.embed_class_names(
                class_names, text_model, tokenizer, prompt_templates, **download_kwargs
            )
        elif prompt_templates is not None:
            raise ValueError("`prompt_templates` have no effect on given `class_embeds`. Leave one of the two out.")
        expected = (len(class_names), self.config.projection_dim)
        if tuple(class_embeds.shape) != expected:
            raise ValueError(
                f"`class_embeds` must have shape (number of classes, projection_dim) = {expected}, got "
                f"{tuple(class_embeds.shape)}."
            )
        if zero_shot_weight is not None:
            self.set_zero_shot_weight(zero_shot_weight, **download_kwargs)
        self.classifier.class_embeds = class_embeds.detach().clone().to(self.classifier.class_embeds)
        self.config.id2label = dict(enumerate(class_names))
        self.config.label2id = {name: index for index, name in enumerate(class_names)}
        self.num_labels = self.config.num_labels

    @torch.no_grad()
    def set_zero_shot_weight(
        self, zero_shot_weight: float, visual_projection: torch.FloatTensor | None = None, **download_kwargs
    ):
        """
        Makes the logits the average of the model's own and of those that CLIP gives for the single frames, as the paper
        does for classes that the model was not trained on. The weight stands in `config.zero_shot_weight` and CLIP's
        visual projection in the head from then on; both are saved with it.

        Args:
            zero_shot_weight (`float`):
                The share of CLIP's logits, from 0 to 1. With 0 they are not computed, `forward` costs what it did, and no
                projection is loaded: where the head holds none, `config.zero_shot_weight` is `None`.
            visual_projection (`torch.FloatTensor` of shape `(projection_dim, vision_config.hidden_size)`, *optional*):
                CLIP's visual projection. Defaults to the one that the head holds, then to that of the backbone's
                repository.
            download_kwargs:
                `revision`, `token`, `cache_dir`, `local_files_only`, … for loading it from there.

        Raises:
            ValueError: If the weight or the projection does not fit, or no repository has one.
            OSError: If it cannot be loaded.
        """
        self._check_text_head("`zero_shot_weight`")
        _check_zero_shot_weight(zero_shot_weight)
        if visual_projection is None:
            visual_projection = self.classifier.visual_projection
        if visual_projection is None and zero_shot_weight == 0:
            self.config.zero_shot_weight = None  # with a number, a checkpoint has to hold the projection
            return
        if visual_projection is None:
            visual_projection = self._read_visual_projection(download_kwargs)
        self._set_visual_projection(visual_projection)
        self.config.zero_shot_weight = float(zero_shot_weight)

    @torch.no_grad()
    def load_visual_projection(self, **download_kwargs):
        """
        Loads CLIP's visual projection from the backbone's repository into the head, unless that holds it already, so that
        `forward` takes any `zero_shot_weight`. The weight in the configuration stays what it is, 0 if there was none.

        Args:
            download_kwargs:
                `revision`, `token`, `cache_dir`, `local_files_only`, ….

        Raises:
            ValueError: If the head is linear, or no repository has a projection that fits.
            OSError: If it cannot be loaded.
        """
        self._check_text_head("`load_visual_projection`")
        if self.classifier.visual_projection is None:
            self._set_visual_projection(self._read_visual_projection(download_kwargs))
            self.config.zero_shot_weight = self.zero_shot_weight

    def _set_visual_projection(self, visual_projection: torch.Tensor):
        expected = (self.config.projection_dim, self.config.vision_config.hidden_size)
        if tuple(visual_projection.shape) != expected:
            raise ValueError(
                "CLIP's visual projection must have shape (projection_dim, vision_config.hidden_size) = "
                f"{expected}, got {tuple(visual_projection.shape)}."
            )
        self.classifier.visual_projection = visual_projection.detach().clone().to(self.classifier.class_embeds)

    def _read_visual_projection(self, download_kwargs: dict) -> torch.Tensor:
        source = self.config.backbone
        if source is None:
            raise ValueError(
                "This model names no backbone to load CLIP's visual projection from. Pass it to "
                "`set_zero_shot_weight` as `visual_projection`, or use `zero_shot_weight=0`."
            )
        visual_projection = Backbone.read(source, **self._at_backbone_revision(download_kwargs)).visual_projection
        if visual_projection is None:
            raise ValueError(
                f"`{source}` holds no visual projection; it is not a whole CLIP. Pass that of the whole one to "
                "`set_zero_shot_weight` as `visual_projection`, or use `zero_shot_weight=0`."
            )
        return visual_projection

    def _check_text_head(self, what: str):
        if self.config.head_type != "text":
            raise ValueError(f'{what} needs the text head; this model has `head_type="{self.config.head_type}"`.')

    def _at_backbone_revision(self, download_kwargs: dict) -> dict:
        if os.path.isdir(self.config.backbone):
            return download_kwargs
        return {"revision": self.config.backbone_revision, **download_kwargs}

    def load_text_encoder(
        self,
        text_model: CLIPTextModelWithProjection | str | os.PathLike | None = None,
        tokenizer=None,
        **download_kwargs,
    ) -> tuple[CLIPTextModelWithProjection, Callable]:
        """
        CLIP's text encoder and its tokenizer, to give to [`~DiSTForVideoClassification.embed_class_names`] repeatedly.

        Args:
            text_model, tokenizer, download_kwargs:
                As in [`~DiSTForVideoClassification.set_class_names`].

        Raises:
            ValueError: If the model names no backbone, or that has no text encoder.
            OSError: If they cannot be loaded.
        """
        tokenizer_kwargs = download_kwargs
        if not isinstance(text_model, PreTrainedModel):
            source = text_model or self.config.backbone
            if source is None:
                raise ValueError(
                    "This model names no backbone to load CLIP's text encoder from. Pass `text_model=<folder or Hub id>`, "
                    "or `class_embeds`."
                )
            if text_model is None:
                download_kwargs = self._at_backbone_revision(download_kwargs)
            if tokenizer is None:
                tokenizer, tokenizer_kwargs = source, download_kwargs
            text_config = CLIPTextConfig.from_pretrained(source, **download_kwargs)
            tensors = Backbone.read(source, **download_kwargs).tensors
            if "text_projection.weight" in tensors:
                text_config.projection_dim = len(tensors["text_projection.weight"])
            tensors = select_weights(tensors, source, CLIPTextModelWithProjection, text_config)
            text_model = CLIPTextModelWithProjection(text_config).eval()
            text_model.load_state_dict(tensors)
        if tokenizer is None:
            raise ValueError("`tokenizer` must be given along with a `text_model` that is already loaded.")
        if isinstance(tokenizer, (str, os.PathLike)):
            tokenizer = _load_tokenizer(tokenizer, tokenizer_kwargs)
        return text_model, tokenizer

    @torch.no_grad()
    def embed_class_names(
        self,
        class_names: list[str],
        text_model: CLIPTextModelWithProjection | str | os.PathLike | None = None,
        tokenizer=None,
        prompt_templates: str | list[str] | None = None,
        **download_kwargs,
    ) -> torch.FloatTensor:
        """
        The text embeddings of class names, which `forward` takes as `class_embeds`, without changing the head.

        Args:
            class_names (`list[str]`):
                One name per class.
            text_model, tokenizer, prompt_templates, download_kwargs:
                As in [`~DiSTForVideoClassification.set_class_names`].

        Returns:
            `torch.FloatTensor` of shape `(len(class_names), projection_dim)`, normalized with `prompt_templates` only.

        Raises:
            ValueError: If the names are not strings, or one is too long, or the templates do not fit.
            OSError: If the text encoder or the tokenizer cannot be loaded.
        """
        class_names = _clean_class_names(class_names)
        if prompt_templates is not None:
            prompt_templates = [prompt_templates] if isinstance(prompt_templates, str) else list(prompt_templates)
            if not prompt_templates or not all(isinstance(t, str) and "{}" in t for t in prompt_templates):
                raise ValueError(
                    "`prompt_templates` must be one or more strings with `{}` where the class name goes, got "
                    f"{prompt_templates[:8]}."
                )
        text_model, tokenizer = self.load_text_encoder(text_model, tokenizer, **download_kwargs)
        if prompt_templates is None:
            return _embed_texts(class_names, text_model, tokenizer)
        prompts = [template.replace("{}", name) for name in class_names for template in prompt_templates]
        embeds = nn.functional.normalize(_embed_texts(prompts, text_model, tokenizer), dim=-1)
        embeds = embeds.unflatten(0, (len(class_names), len(prompt_templates))).mean(dim=1)
        return nn.functional.normalize(embeds, dim=-1)

    @can_return_tuple
    def forward(
        self,
        pixel_values_videos: torch.FloatTensor,
        labels: torch.Tensor | None = None,
        interpolate_pos_encoding: bool = False,
        output_hidden_states: bool | int | list[int] | None = None,
        output_attentions: bool | None = None,
        class_embeds: torch.FloatTensor | None = None,
        zero_shot_weight: float | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> DiSTVideoClassifierOutput:
        """
        Args:
            pixel_values_videos (`torch.FloatTensor` of shape `(batch_size, num_frames, 3, height, width)` or `(batch_size, num_views, num_frames, 3, height, width)`):
                Normalized frames. The views of a video are averaged: their probabilities for single-label and
                multi-label problems, their outputs for regression.
            labels (`torch.Tensor`, *optional*):
                As in the other classifiers of transformers, by `config.problem_type`: class indices `(batch_size,)`,
                multi-label targets or regression targets `(batch_size, num_labels)`. With the problem type
                `"single_label_classification"`, and with a text head of no problem type, also class probabilities
                `(batch_size, num_labels)`, as mixup gives them.
            interpolate_pos_encoding, output_hidden_states, output_attentions:
                As in [`DiSTModel.forward`].
            class_embeds (`torch.FloatTensor` of shape `(num_classes, projection_dim)`, *optional*):
                Classes to score instead of the text head's, as [`~DiSTForVideoClassification.embed_class_names`] gives
                them.
            zero_shot_weight (`float`, *optional*):
                The share of CLIP's own frame logits, instead of the model's own
                ([`~DiSTForVideoClassification.set_zero_shot_weight`]). More than 0 needs CLIP's visual projection in the
                head, which that method puts there.

        Returns:
            [`DiSTVideoClassifierOutput`], or a tuple with `return_dict=False`.

        Raises:
            ValueError: If the shape of `pixel_values_videos` does not fit the configuration, or the last two options do
                not fit the head.
        """
        if class_embeds is not None or zero_shot_weight is not None:
            self._check_text_head("`class_embeds` or `zero_shot_weight`")
        zero_shot_weight = self.zero_shot_weight if zero_shot_weight is None else zero_shot_weight
        _check_zero_shot_weight(zero_shot_weight)
        if zero_shot_weight > 0 and self.classifier.visual_projection is None:
            raise ValueError(
                f"`zero_shot_weight={zero_shot_weight}` needs CLIP's visual projection, which this model has not loaded. "
                "Call `set_zero_shot_weight` or `load_visual_projection` first."
            )
        num_views = None
        if pixel_values_videos is not None and pixel_values_videos.ndim == 6:
            self.dist._check_input(pixel_values_videos, interpolate_pos_encoding, num_axes=6)
            num_views = pixel_values_videos.shape[1]
            pixel_values_videos = pixel_values_videos.flatten(0, 1)
        outputs = self.dist(
            pixel_values_videos,
            interpolate_pos_encoding=interpolate_pos_encoding,
            output_hidden_states=output_hidden_states,
            output_attentions=output_attentions,
            output_spatial_pooler=zero_shot_weight > 0,
            return_dict=True,
            **kwargs,
        )
        video_embeds = outputs.video_embeds
        logits = self.classifier(video_embeds) if class_embeds is None else self.classifier(video_embeds, class_embeds)
        if zero_shot_weight > 0:
            frame_logits = self.classifier.classify_frames(outputs.spatial_pooler_output, class_embeds)
            logits = (1 - zero_shot_weight) * logits + zero_shot_weight * frame_logits
        if num_views is not None:
            video_embeds = video_embeds.unflatten(0, (-1, num_views))
            logits = self._average_views(logits.unflatten(0, (-1, num_views)))

        loss = None
        if labels is not None:
            loss = self._loss(labels, logits, **kwargs)
        return DiSTVideoClassifierOutput(
            loss=loss,
            logits=logits,
            video_embeds=video_embeds,
            hidden_states=outputs.hidden_states,
            temporal_hidden_states=outputs.temporal_hidden_states,
            attentions=outputs.attentions,
            video_attentions=outputs.video_attentions,
        )

    def _average_views(self, logits: torch.Tensor) -> torch.Tensor:
        """(B, views, labels) -> (B, labels): the logits of the views' mean probabilities."""
        if self.config.problem_type == "regression" or (self.config.problem_type is None and logits.shape[-1] == 1):
            return logits.mean(dim=1)
        if self.config.problem_type == "multi_label_classification":
            log_yes = nn.functional.logsigmoid(logits).logsumexp(dim=1)
            log_no = nn.functional.logsigmoid(-logits).logsumexp(dim=1)
            return log_yes - log_no
        # The sum of the views' probabilities, made to sum to one again.
        return logits.log_softmax(dim=-1).logsumexp(dim=1).log_softmax(dim=-1)

    def _loss(self, labels: torch.Tensor, logits: torch.Tensor, **kwargs) -> torch.Tensor:
        soft_targets = labels.is_floating_point() and labels.shape == logits.shape
        problem_type = self.config.problem_type
        if problem_type is None and self.config.head_type == "text":
            problem_type = "single_label_classification"
        if soft_targets and problem_type == "single_label_classification":
            return nn.functional.cross_entropy(logits, labels.to(logits))
        return self.loss_function(labels, logits, self.config, **kwargs)


__all__ = ["DiSTForVideoClassification", "DiSTModel", "DiSTPreTrainedModel"]
