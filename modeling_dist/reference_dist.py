# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""
DiST written as the paper describes it, without regard to speed, to check [`DiSTModel`] against.

Every module has the name that it has in the authors' checkpoints, so that these load as they are. The videos are
(B, 3, T, H, W), the temporal encoder consists of three-dimensional convolutions on (B, M, T, h, w), and CLIP and the
integration branch have their tokens first, (1 + N, B * S, channels). The letters are those of `modeling_dist.py`.
"""

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import nn
from transformers import CLIPTextConfig, CLIPVisionConfig
from transformers.activations import ACT2FN

from .configuration_dist import DiSTConfig


@dataclass
class ReferenceDiSTOutput:
    """
    Output of [`ReferenceDiST`]: the video embeddings (B, projection_dim) and CLIP's image embeddings of the spatial
    frames (B, S, vision_config.projection_dim), not normalized, and the activations `temporal_stem` and
    `temporal_block.i`, (B, M, T, h, w), and `integration_block.i`, (1 + N, B * S, C).
    """

    video_embeds: torch.FloatTensor
    frame_embeds: torch.FloatTensor
    activations: dict[str, torch.FloatTensor]


def _sequential(**layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(layers))


def _mlp(dim: int, intermediate_size: int, hidden_act: str) -> nn.Sequential:
    return _sequential(
        c_fc=nn.Linear(dim, intermediate_size),
        activation=ACT2FN[hidden_act],
        c_proj=nn.Linear(intermediate_size, dim),
    )


class ReferenceCLIPBlock(nn.Module):
    """A layer of one of CLIP's transformers."""

    def __init__(self, config: CLIPVisionConfig | CLIPTextConfig):
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attn = nn.MultiheadAttention(config.hidden_size, config.num_attention_heads)
        self.ln_2 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = _mlp(config.hidden_size, config.intermediate_size, config.hidden_act)

    def forward(self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        normalized = self.ln_1(hidden_states)
        attended, _ = self.attn(normalized, normalized, normalized, need_weights=False, attn_mask=attention_mask)
        hidden_states = hidden_states + attended
        return hidden_states + self.mlp(self.ln_2(hidden_states))


class ReferenceCLIP(nn.Module):
    """CLIP's vision tower in OpenAI's layout."""

    def __init__(self, config: CLIPVisionConfig):
        super().__init__()
        dim, patch_size = config.hidden_size, config.patch_size
        self.grid_size = config.image_size // patch_size
        self.conv1 = nn.Conv2d(3, dim, kernel_size=patch_size, stride=patch_size, bias=False)
        self.class_embedding = nn.Parameter(torch.randn(dim) * dim**-0.5)
        self.positional_embedding = nn.Parameter(torch.randn(1 + self.grid_size**2, dim) * dim**-0.5)
        self.ln_pre = nn.LayerNorm(dim, eps=config.layer_norm_eps)
        blocks = [ReferenceCLIPBlock(config) for _ in range(config.num_hidden_layers)]
        self.transformer = nn.ModuleDict({"resblocks": nn.ModuleList(blocks)})
        self.ln_post = nn.LayerNorm(dim, eps=config.layer_norm_eps)
        self.proj = nn.Parameter(torch.randn(dim, config.projection_dim) * dim**-0.5)

    def _position_embeddings(self, grid_size: tuple[int, int]) -> torch.Tensor:
        """Return the position embeddings (1 + N, D), resized if the frames do not have the size that CLIP was trained on."""
        if grid_size == (self.grid_size, self.grid_size):
            return self.positional_embedding
        class_position, patch_positions = self.positional_embedding[:1], self.positional_embedding[1:]
        # (N, D) -> (1, D, h, w) -> (new N, D)
        patch_positions = patch_positions.T.unflatten(1, (self.grid_size, self.grid_size)).unsqueeze(0)
        patch_positions = nn.functional.interpolate(patch_positions, grid_size, mode="bicubic", align_corners=False)
        return torch.cat([class_position, patch_positions.squeeze(0).flatten(1).T])

    def forward(self, videos: torch.Tensor, frame_stride: int) -> tuple[list[torch.Tensor], torch.Tensor]:
        """From (B, 3, T, H, W) to the output of every layer, (1 + N, B * S, D), and the image embeddings (B, S, P)."""
        batch_size = videos.shape[0]
        # (B, 3, T, H, W) -> (B * T, 3, H, W) -> (B * T, D, h, w), of which every α-th frame is used
        patches = self.conv1(videos.transpose(1, 2).flatten(0, 1))
        patches = patches.unflatten(0, (batch_size, -1))[:, ::frame_stride].flatten(0, 1)
        # (B * S, D, h, w) -> (N, B * S, D)
        grid_size = tuple(patches.shape[2:])
        patches = patches.flatten(2).permute(2, 0, 1)
        class_tokens = self.class_embedding.expand(1, patches.shape[1], -1)
        hidden_states = torch.cat([class_tokens, patches]) + self._position_embeddings(grid_size).unsqueeze(1)
        hidden_states = self.ln_pre(hidden_states)

        all_hidden_states = []
        for block in self.transformer["resblocks"]:
            hidden_states = block(hidden_states)
            all_hidden_states.append(hidden_states)
        frame_embeds = self.ln_post(hidden_states[0]) @ self.proj
        return all_hidden_states, frame_embeds.unflatten(0, (batch_size, -1))


class ReferenceCLIPText(nn.Module):
    """CLIP's text tower in OpenAI's layout."""

    def __init__(self, config: CLIPTextConfig):
        super().__init__()
        dim = config.hidden_size
        self.token_embedding = nn.Embedding(config.vocab_size, dim)
        self.positional_embedding = nn.Parameter(torch.randn(config.max_position_embeddings, dim) * dim**-0.5)
        blocks = [ReferenceCLIPBlock(config) for _ in range(config.num_hidden_layers)]
        self.transformer = nn.ModuleDict({"resblocks": nn.ModuleList(blocks)})
        self.ln_final = nn.LayerNorm(dim, eps=config.layer_norm_eps)
        self.text_projection = nn.Parameter(torch.randn(dim, config.projection_dim) * dim**-0.5)

    def forward(self, token_ids: torch.Tensor) -> torch.Tensor:
        """From token ids (texts, length) to text embeddings (texts, P). A text ends at its largest token id."""
        length = token_ids.shape[1]
        # (texts, length, dim) -> (length, texts, dim)
        hidden_states = (self.token_embedding(token_ids) + self.positional_embedding[:length]).transpose(0, 1)
        causal_mask = torch.full((length, length), -torch.inf).triu(1)
        for block in self.transformer["resblocks"]:
            hidden_states = block(hidden_states, causal_mask)
        last = hidden_states[token_ids.argmax(dim=-1), torch.arange(len(token_ids))]
        return self.ln_final(last) @ self.text_projection


class ReferenceTemporalBlock(nn.Module):
    """The temporal encoder's block (T-Block)."""

    def __init__(self, config: DiSTConfig):
        super().__init__()
        dim, kernel_size = config.temporal_dim, config.temporal_kernel_size
        intermediate_size = int(dim * config.temporal_mlp_ratio)
        self.ln = nn.LayerNorm(dim, eps=config.layer_norm_eps)
        self.temporal_net = _sequential(
            c_fc1=nn.Conv3d(dim, intermediate_size, (kernel_size, 1, 1), padding="same"),
            activation=ACT2FN[config.hidden_act],
            c_fc2=nn.Conv3d(intermediate_size, dim, (1, 3, 3), padding="same"),
        )
        self.activation = ACT2FN[config.hidden_act]

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        # (B, M, T, h, w) -> (B, T, h, w, M) and back: a LayerNorm takes its channels last
        normalized = self.ln(hidden_states.permute(0, 2, 3, 4, 1)).permute(0, 4, 1, 2, 3)
        return self.activation(hidden_states + self.temporal_net(normalized))


class ReferenceIntegrationToTemporal(nn.Module):
    """The feedback of the integration branch to a temporal block's output."""

    def __init__(self, config: DiSTConfig):
        super().__init__()
        self.frame_stride = config.spatial_frame_stride
        self.linear_fuse = nn.Linear(config.integration_dim, config.temporal_dim)

    def forward(self, hidden_states: torch.Tensor, batch_size: int, grid_size: tuple[int, int]) -> torch.Tensor:
        feedback = self.linear_fuse(hidden_states[1:])
        # (N, B * S, M) -> (B, M, S, h, w) -> (B, M, T, h, w)
        feedback = feedback.unflatten(0, grid_size).unflatten(2, (batch_size, -1)).permute(2, 4, 3, 0, 1)
        return feedback.repeat_interleave(self.frame_stride, dim=2)


class ReferenceTemporalToIntegration(nn.Module):
    """The contribution of a temporal block's output to the integration branch."""

    def __init__(self, config: DiSTConfig):
        super().__init__()
        stride, dim = config.spatial_frame_stride, config.integration_dim
        self.linear_fuse = nn.Conv3d(config.temporal_dim, dim, (stride, 1, 1), stride=(stride, 1, 1))
        self.cls_token = nn.Parameter(torch.randn(1, 1, config.num_spatial_frames, dim) * dim**-0.5)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        # (B, M, T, h, w) -> (B, C, S, h, w) -> (N, B * S, C)
        fused = self.linear_fuse(hidden_states).flatten(3).permute(3, 0, 2, 1).flatten(1, 2)
        class_tokens = self.cls_token.expand(-1, hidden_states.shape[0], -1, -1).flatten(1, 2)
        return torch.cat([class_tokens, fused])


class ReferenceIntegrationBlock(nn.Module):
    """The integration branch's block (I-Block)."""

    def __init__(self, config: DiSTConfig):
        super().__init__()
        dim, kernel_size = config.integration_dim, config.temporal_kernel_size
        intermediate_size = int(dim * config.integration_temporal_mlp_ratio)
        self.ln = nn.LayerNorm(dim, eps=config.layer_norm_eps)
        self.ffn = _mlp(dim, int(dim * config.integration_mlp_ratio), config.hidden_act)
        self.ln_temporal = nn.LayerNorm(dim, eps=config.layer_norm_eps)
        self.temporal_ffn = _sequential(
            c_fc1=nn.Conv3d(dim, intermediate_size, 1),
            c_fc2=nn.Conv3d(intermediate_size, intermediate_size, (kernel_size, 1, 1), padding="same"),
            activation=ACT2FN[config.hidden_act],
            c_proj=nn.Conv3d(intermediate_size, dim, 1),
        )

    def forward(self, hidden_states: torch.Tensor, batch_size: int) -> torch.Tensor:
        # (1 + N, B * S, C) -> (B, C, S, 1 + N, 1) and back: one column of tokens per frame
        columns = self.ln_temporal(hidden_states).unflatten(1, (batch_size, -1)).permute(1, 3, 2, 0).unsqueeze(-1)
        along_frames = self.temporal_ffn(columns).squeeze(-1).permute(3, 0, 2, 1).flatten(1, 2)
        return self.ffn(self.ln(hidden_states)) + along_frames


class ReferenceTokenAttention(nn.Module):
    """Attention of one token to a context, with the same LayerNorm for both."""

    def __init__(self, config: DiSTConfig):
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.integration_dim, eps=config.layer_norm_eps)
        self.attn = nn.MultiheadAttention(config.integration_dim, config.num_attention_heads)

    def forward(self, token: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        context = self.ln_1(context)
        return token + self.attn(self.ln_1(token), context, context, need_weights=False)[0]


class ReferencePoolingLayer(nn.Module):
    """A layer of the adaptive pooling: within each frame, then over the frames."""

    def __init__(self, config: DiSTConfig):
        super().__init__()
        dim = config.integration_dim
        self.spatial_transformer = ReferenceTokenAttention(config)
        self.ln_out_spat_cls_token = nn.LayerNorm(dim, eps=config.layer_norm_eps)
        self.output_map_spatial_cls_token = _mlp(dim, 4 * dim, config.hidden_act)
        self.positional_embedding = nn.Parameter(torch.randn(1, config.num_spatial_frames, dim) * dim**-0.5)
        self.temporal_transformer = ReferenceTokenAttention(config)
        self.ln_out_temp_cls_token = nn.LayerNorm(dim, eps=config.layer_norm_eps)
        self.output_map_cls_token = _mlp(dim, 4 * dim, config.hidden_act)

    def forward(
        self, video_token: torch.Tensor, frame_tokens: torch.Tensor, hidden_states: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """From video token (1, B, C), frame tokens (1, B * S, C) and hidden states (1 + N, B * S, C) to the new tokens."""
        frame_tokens = self.spatial_transformer(frame_tokens, hidden_states)
        frame_tokens = frame_tokens + self.output_map_spatial_cls_token(self.ln_out_spat_cls_token(frame_tokens))
        # (1, B * S, C) -> (B, S, C) -> (S, B, C)
        frames = frame_tokens.squeeze(0).unflatten(0, (video_token.shape[1], -1)) + self.positional_embedding
        video_token = self.temporal_transformer(video_token, frames.transpose(0, 1))
        video_token = video_token + self.output_map_cls_token(self.ln_out_temp_cls_token(video_token))
        return video_token, frame_tokens


class ReferenceDiSTNet(nn.Module):
    """Everything that is trained: the temporal encoder, the integration branch and the pooling."""

    def __init__(self, config: DiSTConfig):
        super().__init__()
        self.selected_layers = config.selected_layers
        dim, num_layers = config.integration_dim, config.num_hidden_layers
        spatial_dim, patch_size = config.vision_config.hidden_size, config.vision_config.patch_size
        kernel_size = (config.temporal_stem_kernel_size, patch_size, patch_size)
        stride = (1, patch_size, patch_size)
        padding = (config.temporal_stem_kernel_size // 2, 0, 0)
        self.temporal_stem = nn.Conv3d(3, config.temporal_dim, kernel_size, stride, padding)
        self.input_linears = nn.ModuleList([nn.Linear(spatial_dim, dim) for _ in range(num_layers)])
        self.temporal_nets = nn.ModuleList([ReferenceTemporalBlock(config) for _ in range(num_layers)])
        # Nothing reads the output of the last of these, but the authors' checkpoints hold its weights.
        integration2temporal_nets = [ReferenceIntegrationToTemporal(config) for _ in range(num_layers)]
        self.integration2temporal_nets = nn.ModuleList(integration2temporal_nets)
        temporal2integration_nets = [ReferenceTemporalToIntegration(config) for _ in range(num_layers)]
        self.temporal2integration_nets = nn.ModuleList(temporal2integration_nets)
        self.integration_nets = nn.ModuleList([ReferenceIntegrationBlock(config) for _ in range(num_layers)])
        self.aggregated_cls_token = nn.Parameter(torch.randn(1, 1, dim) * dim**-0.5)
        self.aggregated_spatial_cls_token = nn.Parameter(torch.randn(1, 1, dim) * dim**-0.5)
        self.adapooling_nets = nn.ModuleList([ReferencePoolingLayer(config) for _ in range(config.num_pooling_layers)])
        self.proj_spatial_cls_token = nn.Linear(spatial_dim, dim)
        self.ln_post = nn.LayerNorm(dim, eps=config.layer_norm_eps)
        self.proj = nn.Parameter(torch.randn(dim, config.projection_dim) * dim**-0.5)

    def forward(
        self, videos: torch.Tensor, spatial_hidden_states: list[torch.Tensor], output_activations: bool
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """From (B, 3, T, H, W) and CLIP's layers' outputs to (B, projection_dim) and the activations."""
        batch_size = videos.shape[0]
        temporal = self.temporal_stem(videos)
        activations = {"temporal_stem": temporal} if output_activations else {}
        grid_size = tuple(temporal.shape[3:])
        integration = 0
        for i, layer in enumerate(self.selected_layers):
            temporal_output = self.temporal_nets[i](temporal)
            integration_inputs = self.input_linears[i](spatial_hidden_states[layer]) + integration
            fused = integration_inputs + self.temporal2integration_nets[i](temporal_output)
            if i < len(self.selected_layers) - 1:
                feedback = self.integration2temporal_nets[i](integration_inputs, batch_size, grid_size)
                temporal = temporal_output + feedback
            integration = self.integration_nets[i](fused, batch_size)
            if output_activations:
                activations[f"temporal_block.{i}"] = temporal_output
                activations[f"integration_block.{i}"] = integration

        pooled = integration + fused
        video_token = self.aggregated_cls_token.expand(-1, batch_size, -1)
        frame_tokens = self.aggregated_spatial_cls_token.expand(-1, pooled.shape[1], -1)
        for pooling_layer in self.adapooling_nets:
            video_token, frame_tokens = pooling_layer(video_token, frame_tokens, pooled)

        # (B * S, D) -> (B, S, C) -> (B, C)
        class_tokens = self.proj_spatial_cls_token(spatial_hidden_states[self.selected_layers[-1]][0])
        class_tokens = class_tokens.unflatten(0, (batch_size, -1)).mean(dim=1)
        return self.ln_post(video_token.squeeze(0) + class_tokens) @ self.proj, activations


class ReferenceDiST(nn.Module):
    """
    DiST up to the video embedding, in its plainest form and under the authors' names: its state dict is that of one of
    their checkpoints without the prefix `backbone.base_encoder.` and the text tower. Slow; for checking [`DiSTModel`].

    The weights of `ReferenceDiST(config)` are random, at a scale at which every part of the model matters to the output,
    and not initialized for training. The vision tower is frozen.
    """

    def __init__(self, config: DiSTConfig):
        super().__init__()
        self.frame_stride = config.spatial_frame_stride
        self.visual = ReferenceCLIP(config.vision_config).requires_grad_(False)
        self.dist_net = ReferenceDiSTNet(config)

    def forward(self, videos: torch.FloatTensor, output_activations: bool = True) -> ReferenceDiSTOutput:
        """
        From normalized frames (B, 3, T, H, W) to a [`ReferenceDiSTOutput`]. CLIP's position embeddings are resized to
        frames of another size than its own.
        """
        with torch.no_grad():
            spatial_hidden_states, frame_embeds = self.visual(videos, self.frame_stride)
        video_embeds, activations = self.dist_net(videos, spatial_hidden_states, output_activations)
        return ReferenceDiSTOutput(video_embeds, frame_embeds, activations)
