# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""The public classes, registered with transformers' auto classes and pipelines on import."""

from transformers import AutoConfig, AutoModel, AutoModelForVideoClassification, AutoVideoProcessor
from transformers.pipelines import PIPELINE_REGISTRY

from .configuration_dist import DiSTConfig
from .modeling_dist import DiSTForVideoClassification, DiSTModel, DiSTPreTrainedModel
from .video_processing_dist import DiSTVideoProcessor
from .zero_shot_pipeline_dist import ZeroShotVideoClassificationPipeline


def _publish(*args, **kwargs):
    from .hub import publish

    return publish(*args, **kwargs)


AutoConfig.register(DiSTConfig.model_type, DiSTConfig, exist_ok=True)
AutoModel.register(DiSTConfig, DiSTModel, exist_ok=True)
AutoModelForVideoClassification.register(DiSTConfig, DiSTForVideoClassification, exist_ok=True)
AutoVideoProcessor.register(DiSTConfig, DiSTVideoProcessor, exist_ok=True)
PIPELINE_REGISTRY.register_pipeline(
    "zero-shot-video-classification",
    pipeline_class=ZeroShotVideoClassificationPipeline,
    pt_model=AutoModelForVideoClassification,
    type="multimodal",
)
DiSTConfig.knows_pipelines = True
DiSTPreTrainedModel.publisher = staticmethod(_publish)
