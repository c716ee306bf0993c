"""DiST for transformers: video classification with a frozen CLIP (https://arxiv.org/abs/2309.07911)."""

from .configuration_dist import DiSTConfig
from .modeling_dist import DiSTForVideoClassification, DiSTModel, DiSTPreTrainedModel
