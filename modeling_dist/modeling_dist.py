# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""DiST (https://arxiv.org/abs/2309.07911): a frozen CLIP vision encoder, a temporal encoder and an integration branch.

Letters in the comments: B videos, T frames, S spatial frames (T / α), N patches per frame, and the widths D of CLIP,
C of the integration branch and M of the temporal encoder. Token tensors have their channels last.
"""

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from transformers import CLIPVisionModel
from transformers import initialization as init
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.processing_utils import Unpack
from transformers.utils import ModelOutput, TransformersKwargs, logging
from transformers.utils.generic import can_return_tuple

from .checkpoint_dist import DOWNLOAD_OPTIONS
from .configuration_dist import DiSTConfig
from .frozen_backbone_dist import FrozenBackboneModel
from .text_head_dist import DiSTTextClassifier, TextHeadMixin, no_autocast


logger = logging.get_logger(__name__)


@dataclass
class DiSTModelOutput(ModelOutput):
    """
    Output of [`DiSTModel`].

    Args:
        video_embeds (`torch.FloatTensor` of shape `(batch_size, projection_dim)`):
            The video embeddings, not normalized.
        last_hidden_state (`torch.FloatTensor` of shape `(batch_size, num_spatial_frames, 1 + num_patches, integration_dim)`):
            The integration branch's output, which the pooling reads. The first token of each frame is its class token.
        temporal_last_hidden_state (`torch.FloatTensor` of shape `(batch_size, num_frames, num_patches, temporal_dim)`):
            The last temporal block's output.
        hidden_states (`tuple(torch.FloatTensor)`, *optional*, with `output_hidden_states`):
            The output of each integration block, shaped like `last_hidden_state`, one per selected layer. `None` at the
            indices that a list such as `output_hidden_states=[0, -1]` leaves out.
        temporal_hidden_states (`tuple(torch.FloatTensor)`, *optional*, with `output_hidden_states`):
            The output of the temporal stem and of each temporal block, shaped like `temporal_last_hidden_state`. One more
            than `hidden_states`, and selected by the same indices.
        attentions (`tuple(torch.FloatTensor)`, *optional*, with `output_attentions`):
            Attention weights of the frame token over its frame in each pooling layer:
            `(batch_size * num_spatial_frames, num_heads, 1, 1 + num_patches)`.
        video_attentions (`tuple(torch.FloatTensor)`, *optional*, with `output_attentions`):
            Attention weights of the video token over the frames in each pooling layer:
            `(batch_size, num_heads, 1, num_spatial_frames)`.
        spatial_pooler_output (`torch.FloatTensor` of shape `(batch_size, num_spatial_frames, vision_config.hidden_size)`, *optional*, with `output_spatial_pooler`):
            CLIP's own pooled output of each frame that it sees, of which its visual projection makes an image embedding.
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
            Scores before the softmax, or the sigmoid for multi-label problems. For several views of a video, the
            logarithm of the views' mean probabilities, so that a softmax gives these back.
        video_embeds (`torch.FloatTensor` of shape `(batch_size, projection_dim)` or `(batch_size, num_views, projection_dim)`):
            The video embeddings, not normalized.
        hidden_states, temporal_hidden_states, attentions, video_attentions:
            As in [`DiSTModelOutput`], with every view counted as a video.
    """

    loss: torch.FloatTensor | None = None
    logits: torch.FloatTensor | None = None
    video_embeds: torch.FloatTensor | None = None
    hidden_states: tuple[torch.FloatTensor | None, ...] | None = None
    temporal_hidden_states: tuple[torch.FloatTensor | None, ...] | None = None
    attentions: tuple[torch.FloatTensor, ...] | None = None
    video_attentions: tuple[torch.FloatTensor, ...] | None = None


class HiddenStateCollector:
    """Keeps the hidden states that `output_hidden_states` selects: all, none, or those at some indices and `None` elsewhere."""

    def __init__(self, output_hidden_states: bool | int | list[int] | None, count: int):
        if isinstance(output_hidden_states, bool) or output_hidden_states is None:
            self.selected = set(range(count)) if output_hidden_states else None
        else:
            indices = [output_hidden_states] if isinstance(output_hidden_states, int) else output_hidden_states
            self.selected = {index % count for index in indices if -count <= index < count}
        self.collected = ()

    def add(self, hidden_states: torch.Tensor):
        if self.selected is not None:
            self.collected += (hidden_states if len(self.collected) in self.selected else None,)

    def to_tuple(self) -> tuple[torch.Tensor | None, ...] | None:
        return None if self.selected is None else self.collected


def cast_for(module: nn.Module, hidden_states: torch.Tensor) -> torch.Tensor:
    """Cast the spatial encoder's output, whose precision may be lower, to that of a module, unless autocast does so."""
    device_type = hidden_states.device.type
    if device_type != "meta" and torch.is_autocast_enabled(device_type):
        return hidden_states
    return hidden_states.to(module.weight.dtype)


class DiSTMLP(nn.Module):
    """The feed-forward network of the integration blocks and the pooling: linear, activation, linear."""

    def __init__(self, config: DiSTConfig, intermediate_size: int):
        super().__init__()
        self.fc1 = nn.Linear(config.integration_dim, intermediate_size)
        self.activation_fn = ACT2FN[config.hidden_act]
        self.fc2 = nn.Linear(intermediate_size, config.integration_dim)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return self.fc2(self.activation_fn(self.fc1(hidden_states)))


class DiSTTemporalMLP(nn.Module):
    """The integration block's feed-forward network along the frames, for each token position (TFFN)."""

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


class DiSTTemporalStem(nn.Conv3d):
    """The temporal encoder's first layer: tubelets of several frames by one patch, overlapping in time."""

    def __init__(self, config: DiSTConfig):
        kernel_size, patch_size = config.temporal_stem_kernel_size, config.vision_config.patch_size
        super().__init__(
            3,
            config.temporal_dim,
            kernel_size=(kernel_size, patch_size, patch_size),
            stride=(1, patch_size, patch_size),
            padding=(kernel_size // 2, 0, 0),
        )

    def forward(self, pixel_values_videos: torch.Tensor) -> torch.Tensor:
        # (B, T, 3, H, W) -> (B, M, T, height, width) -> (B, T, N, M)
        hidden_states = super().forward(pixel_values_videos.to(self.weight.dtype).transpose(1, 2))
        return hidden_states.flatten(3).permute(0, 2, 3, 1).contiguous()


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
    One step of both branches, after one selected layer of the spatial encoder: a temporal block, an integration block,
    and the exchange between the two (section 3 of the paper).
    """

    def __init__(self, config: DiSTConfig, layer_idx: int):
        super().__init__()
        self.num_spatial_frames = config.num_spatial_frames
        stride, dim = config.spatial_frame_stride, config.integration_dim
        self.temporal_block = DiSTTemporalBlock(config)
        self.input_projection = nn.Linear(config.vision_config.hidden_size, dim)
        # Nothing reads what the last layer would return to the temporal encoder.
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

        hidden_states = self.input_projection(cast_for(self.input_projection, spatial_hidden_states))
        hidden_states = hidden_states.unflatten(0, (-1, self.num_spatial_frames))
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
    Multi-head attention of one query token over its context. The projections to query, key and value are packed in one
    parameter, as in the authors' model, because they are initialized as one matrix; key and value take one matmul.
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
        # The bias of the keys adds the same to all scores of a query, and nothing to their softmax. Its gradient would be
        # rounding noise, which Adam scales up to whole steps.
        kv_bias = torch.cat([k_bias.detach(), v_bias])
        # (batch, tokens, C) -> (batch, heads, tokens, head_dim)
        query = nn.functional.linear(hidden_states, q_weight, q_bias)
        query = query.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        key, value = nn.functional.linear(context, kv_weight, kv_bias).chunk(2, dim=-1)
        key = key.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        value = value.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)

        # Only the eager function returns the weights, and with one query it costs next to nothing.
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
    """The frame token attends to the tokens of its frame, then the video token to the frame tokens."""

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
    """Pools the integration branch's tokens and the spatial encoder's class tokens to one embedding of the video."""

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

        class_tokens = self.class_token_projection(cast_for(self.class_token_projection, spatial_class_tokens))
        class_tokens = class_tokens.unflatten(0, (batch_size, -1)).mean(dim=1)
        video_embeds = self.projection(self.layernorm(video_token.squeeze(1) + class_tokens))
        return video_embeds, frame_attentions, video_attentions


class InPlaceQuickGELU(nn.Module):
    """
    CLIP's activation, x · sigmoid(1.702 x), written as a SiLU, which works in place where no gradient is recorded: on a
    CPU, most of the cost is the memory traffic of intermediate results. Half precisions keep CLIP's order of rounding.
    """

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        if hidden_states.dtype != torch.float32 or torch.is_grad_enabled():
            return hidden_states * torch.sigmoid(1.702 * hidden_states)
        return nn.functional.silu(1.702 * hidden_states, inplace=True).mul_(1 / 1.702)


class DiSTPreTrainedModel(FrozenBackboneModel):
    """The initialization that both models share, and what the library has to know about them."""

    config: DiSTConfig
    base_model_prefix = "dist"
    main_input_name = "pixel_values_videos"
    _input_embed_layer = "temporal_stem"
    input_modalities = ("video",)
    supports_gradient_checkpointing = True
    # The default loss averages over the batch and takes no number of items, so a trainer has to scale it itself.
    accepts_loss_kwargs = False
    _no_split_modules = ["DiSTLayer", "DiSTPooling"]
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True

    def __init__(self, config: DiSTConfig):
        # Values given to `from_pretrained` are set on a configuration that has been validated already.
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
            # Placeholders, until `set_class_names` or a checkpoint provides text embeddings.
            init.normal_(module.class_embeds, std=self.config.projection_dim**-0.5)
            init.constant_(module.logit_scale, self.config.logit_scale_init_value)
            if module.visual_projection is not None:
                init.normal_(module.visual_projection, std=self.config.vision_config.hidden_size**-0.5)

    def initialize_weights(self):
        # CLIP first, by its own rules: in a class outside of transformers, the base class does not apply them to modules
        # without parameters of their own.
        self.base_model.spatial_encoder.initialize_weights()
        super().initialize_weights()


class DiSTModel(DiSTPreTrainedModel):
    """
    The model up to the video embedding: the frozen spatial encoder (CLIP) on every α-th frame, the temporal encoder on
    all frames, the integration branch between the two, and the pooling (section 3 of the paper).

    `DiSTModel(config)` has random weights, [`DiSTModel.from_backbone`] has CLIP's in the spatial encoder, and
    [`DiSTModel.from_pretrained`] loads a trained checkpoint.
    """

    def __init__(self, config: DiSTConfig):
        super().__init__(config)
        self.temporal_stem = DiSTTemporalStem(config)
        self.layers = nn.ModuleList([DiSTLayer(config, layer_idx) for layer_idx in range(config.num_hidden_layers)])
        self.pooling = DiSTPooling(config)
        # After the branches, because gradient checkpointing looks at the first layer that it finds, and this one is frozen.
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

    def _check_input(
        self, pixel_values_videos: torch.Tensor, interpolate_pos_encoding: bool, num_axes: int = 5
    ) -> tuple[int, int]:
        """Check the shape, and return the number of patches in a frame's height and width."""
        size, patch_size = self.config.vision_config.image_size, self.config.vision_config.patch_size
        axes = "batch" if num_axes == 5 else "batch, views"
        length = f"multiple of {patch_size}" if interpolate_pos_encoding else size
        expected = f"({axes}, {self.config.num_frames}, 3, {length}, {length})"
        if pixel_values_videos is None:
            raise ValueError(f"`pixel_values_videos` is needed, of shape {expected}.")
        shape = tuple(pixel_values_videos.shape)
        fits = all(length % patch_size == 0 if interpolate_pos_encoding else length == size for length in shape[-2:])
        if len(shape) != num_axes or shape[-4:-2] != (self.config.num_frames, 3) or not fits:
            hint, num_frames = "", self.config.num_frames
            if len(shape) == num_axes and shape[-3] == 3 and shape[-4] != num_frames:
                hint = f" The clips have {shape[-4]} frames, and this model takes {num_frames}: prepare them with `num_frames={num_frames}`."
            elif len(shape) == num_axes and shape[-4:-2] == (num_frames, 3) and not interpolate_pos_encoding:
                hint = " Other sizes need `interpolate_pos_encoding=True`."
            raise ValueError(f"`pixel_values_videos` must have shape {expected}, got {shape}.{hint}")
        return shape[-2] // patch_size, shape[-1] // patch_size

    def _check_frozen(self):
        if not (self.training and self.config.freeze_backbone):
            return
        if any(parameter.requires_grad for parameter in self.spatial_encoder.parameters()):
            raise ValueError(
                "Parameters in the frozen spatial encoder require gradients and would get none. Call "
                "`unfreeze_backbone()` to train it or adapters in it."
            )

    def _encode(self, module: nn.Module, *args, **kwargs) -> torch.Tensor:
        """
        Run a module of the spatial encoder. If this is frozen, it records no gradient, and computes in its own precision
        if that is a half one: autocast would cast the weights to float32 and back in every step.
        """
        if not self.config.freeze_backbone:
            return module(*args, **kwargs)
        is_half = self.spatial_encoder.dtype in (torch.bfloat16, torch.float16)
        with torch.no_grad(), no_autocast(args[0].device) if is_half else contextlib.nullcontext():
            return module(*args, **kwargs)

    def _pool_frames(self, spatial_hidden_states: torch.Tensor, **kwargs) -> torch.Tensor:
        """From the last selected layer's output (B * S, 1 + N, D) to CLIP's own pooled output of each frame (B, S, D)."""
        for encoder_layer in self.spatial_encoder.encoder.layers[self.config.selected_layers[-1] + 1 :]:
            spatial_hidden_states = self._encode(encoder_layer, spatial_hidden_states, None, **kwargs)
        pooler_output = self._encode(self.spatial_encoder.post_layernorm, spatial_hidden_states[:, 0])
        return pooler_output.unflatten(0, (-1, self.config.num_spatial_frames))

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
                Frames normalized with CLIP's mean and standard deviation, as [`DiSTVideoProcessor`] returns them.
            interpolate_pos_encoding (`bool`, defaults to `False`):
                Whether to resize the spatial encoder's position embeddings to frames of another size, whose height and
                width are multiples of the patch size.
            output_hidden_states (`bool`, `int` or `list[int]`, *optional*):
                Whether to return the hidden states, or the indices of those to return.
            output_attentions (`bool`, *optional*):
                Whether to return the attention weights of the pooling.
            output_spatial_pooler (`bool`, defaults to `False`):
                Whether to return CLIP's own pooled output of each frame. The layers of the spatial encoder after the last
                selected one then run too.

        Returns:
            [`DiSTModelOutput`], or a tuple with `return_dict=False`.

        Raises:
            ValueError: If the shape of `pixel_values_videos` does not fit the configuration.
        """
        config, encoder = self.config, self.spatial_encoder
        if output_hidden_states is None:
            output_hidden_states = config.output_hidden_states
        if output_attentions is None:
            output_attentions = config.output_attentions
        grid_size = self._check_input(pixel_values_videos, interpolate_pos_encoding)
        self._check_frozen()
        all_hidden_states = HiddenStateCollector(output_hidden_states, len(self.layers))
        all_temporal_hidden_states = HiddenStateCollector(output_hidden_states, len(self.layers) + 1)

        # Only frames 0, α, 2α, … go through the spatial encoder: (B, T, 3, H, W) -> (B * S, 3, H, W)
        spatial_frames = pixel_values_videos[:, :: config.spatial_frame_stride].flatten(0, 1)
        spatial_hidden_states = self._encode(
            encoder.embeddings, spatial_frames, interpolate_pos_encoding=interpolate_pos_encoding
        )
        spatial_hidden_states = self._encode(encoder.pre_layrnorm, spatial_hidden_states)
        temporal_hidden_states = self.temporal_stem(pixel_values_videos)
        all_temporal_hidden_states.add(temporal_hidden_states)

        # The two encoders advance together, so that no layer's features outlive their use.
        integration_hidden_states = None
        for encoder_idx, encoder_layer in enumerate(encoder.encoder.layers[: config.selected_layers[-1] + 1]):
            spatial_hidden_states = self._encode(encoder_layer, spatial_hidden_states, None, **kwargs)
            if encoder_idx not in config.selected_layers:
                continue
            layer = self.layers[config.selected_layers.index(encoder_idx)]
            integration_hidden_states, integration_inputs, temporal_output, temporal_hidden_states = layer(
                temporal_hidden_states, spatial_hidden_states, integration_hidden_states, grid_size
            )
            all_hidden_states.add(integration_hidden_states)
            all_temporal_hidden_states.add(temporal_output)

        last_hidden_state = integration_hidden_states + integration_inputs
        video_embeds, attentions, video_attentions = self.pooling(
            last_hidden_state.flatten(0, 1), spatial_hidden_states[:, 0], output_attentions=output_attentions, **kwargs
        )
        return DiSTModelOutput(
            video_embeds=video_embeds,
            last_hidden_state=last_hidden_state,
            temporal_last_hidden_state=temporal_output,
            hidden_states=all_hidden_states.to_tuple(),
            temporal_hidden_states=all_temporal_hidden_states.to_tuple(),
            attentions=attentions if output_attentions else None,
            video_attentions=video_attentions if output_attentions else None,
            spatial_pooler_output=self._pool_frames(spatial_hidden_states, **kwargs)
            if output_spatial_pooler
            else None,
        )

    @can_return_tuple
    def get_video_features(
        self, pixel_values_videos: torch.FloatTensor, **kwargs: Unpack[TransformersKwargs]
    ) -> BaseModelOutputWithPooling:
        """
        Return the embeddings of videos, which a model trained with the text head has in the space of CLIP's text
        embeddings. The arguments are those of `forward`. As from the `get_…_features` of other models, the
        `pooler_output` of shape `(batch_size, projection_dim)` holds the embeddings, not normalized.
        """
        outputs = self(pixel_values_videos, return_dict=True, **kwargs)
        return BaseModelOutputWithPooling(
            last_hidden_state=outputs.last_hidden_state,
            pooler_output=outputs.video_embeds,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )


class DiSTForVideoClassification(TextHeadMixin, DiSTPreTrainedModel):
    """
    [`DiSTModel`] with a classifier: the cosines with the class names' text embeddings (`head_type="text"`, as in the
    paper) or a linear layer (`head_type="linear"`).
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
    def from_backbone(cls, backbone: str | os.PathLike, *, class_names: list[str] | None = None, **kwargs):
        """
        Make a model to train, as [`DiSTModel.from_backbone`] does. `class_names` are passed on to
        [`~DiSTForVideoClassification.set_class_names`], with CLIP's text encoder from the same backbone. Without them, a text
        head is random until that is called.
        """
        model = super().from_backbone(backbone, **kwargs)
        if class_names is not None:
            names = ("revision", *DOWNLOAD_OPTIONS)
            model.set_class_names(class_names, **{name: kwargs[name] for name in names if name in kwargs})
        elif model.config.head_type == "text":
            logger.warning("The text head has no class names yet, so its logits mean nothing. Call `set_class_names`.")
        return model

    def get_video_features(
        self, pixel_values_videos: torch.FloatTensor, **kwargs: Unpack[TransformersKwargs]
    ) -> BaseModelOutputWithPooling | tuple:
        """Return the embeddings of videos, as [`DiSTModel.get_video_features`] does."""
        return self.dist.get_video_features(pixel_values_videos, **kwargs)

    def _average_views(self, logits: torch.Tensor) -> torch.Tensor:
        """From the views' logits (B, views, labels) to the logits of their mean probabilities (B, labels)."""
        if self.config.problem_type == "regression" or (self.config.problem_type is None and logits.shape[-1] == 1):
            return logits.mean(dim=1)
        if self.config.problem_type == "multi_label_classification":
            log_yes = nn.functional.logsigmoid(logits).logsumexp(dim=1)
            log_no = nn.functional.logsigmoid(-logits).logsumexp(dim=1)
            return log_yes - log_no
        # The sum of the views' probabilities, normalized again.
        return logits.log_softmax(dim=-1).logsumexp(dim=1).log_softmax(dim=-1)

    def _loss(self, labels: torch.Tensor, logits: torch.Tensor, **kwargs) -> torch.Tensor:
        soft_targets = labels.is_floating_point() and labels.shape == logits.shape
        problem_type = self.config.problem_type
        if problem_type is None and self.config.head_type == "text":
            problem_type = "single_label_classification"
        if soft_targets and problem_type == "single_label_classification":
            return nn.functional.cross_entropy(logits, labels.to(logits))
        if problem_type == "multi_label_classification":  # zeros and ones of any type
            labels = labels.to(logits)
        return self.loss_function(labels, logits, self.config, **kwargs)

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
                Normalized frames. Of several views of a video, the probabilities are averaged for single-label and
                multi-label problems, and the outputs for regression.
            labels (`torch.Tensor`, *optional*):
                As in the other classifiers of transformers, depending on `config.problem_type`: class indices
                `(batch_size,)`, or multi-label (of any type) or regression targets `(batch_size, num_labels)`. With the problem type
                `"single_label_classification"`, and with a text head and no problem type, also class probabilities
                `(batch_size, num_labels)`, such as mixup makes.
            interpolate_pos_encoding, output_hidden_states, output_attentions:
                As in [`DiSTModel.forward`].
            class_embeds (`torch.FloatTensor` of shape `(num_classes, projection_dim)`, *optional*):
                Classes to score in place of the text head's own, from
                [`~DiSTForVideoClassification.embed_class_names`].
            zero_shot_weight (`float`, *optional*):
                Share of CLIP's own frame logits, in place of `config.zero_shot_weight`. More than 0 needs CLIP's visual
                projection in the head; see [`~DiSTForVideoClassification.set_zero_shot_weight`].

        Returns:
            [`DiSTVideoClassifierOutput`], or a tuple with `return_dict=False`.

        Raises:
            ValueError: If the shape of `pixel_values_videos` does not fit the configuration, or if `class_embeds` or
                `zero_shot_weight` do not fit the head.
        """
        if class_embeds is not None or zero_shot_weight is not None:
            self._check_text_head("`class_embeds` or `zero_shot_weight`")
        zero_shot_weight = self._choose_zero_shot_weight(zero_shot_weight)
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

        return DiSTVideoClassifierOutput(
            loss=None if labels is None else self._loss(labels, logits, **kwargs),
            logits=logits,
            video_embeds=video_embeds,
            hidden_states=outputs.hidden_states,
            temporal_hidden_states=outputs.temporal_hidden_states,
            attentions=outputs.attentions,
            video_attentions=outputs.video_attentions,
        )


__all__ = ["DiSTForVideoClassification", "DiSTModel", "DiSTPreTrainedModel"]
