"""DiST for transformers: video classification with a frozen CLIP (https://arxiv.org/abs/2309.07911)."""

from transformers import AutoConfig, AutoModel, AutoModelForVideoClassification, AutoVideoProcessor

from .configuration_dist import DiSTConfig
from .modeling_dist import DiSTForVideoClassification, DiSTModel, DiSTPreTrainedModel
from .video_decoding_dist import VideoDecodingError
from .video_processing_dist import DiSTVideoProcessor


AutoConfig.register(DiSTConfig.model_type, DiSTConfig)
AutoModel.register(DiSTConfig, DiSTModel)
AutoModelForVideoClassification.register(DiSTConfig, DiSTForVideoClassification)
AutoVideoProcessor.register(DiSTConfig, DiSTVideoProcessor)
