# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""The public classes, registered with transformers' auto classes and pipelines on import."""

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForVideoClassification,
    AutoProcessor,
    AutoVideoProcessor,
)
from transformers.pipelines import PIPELINE_REGISTRY

from .configuration_dist import DiSTConfig
from .modeling_dist import DiSTForVideoClassification, DiSTModel, DiSTPreTrainedModel
from .pipelines_dist import DiSTVideoClassificationPipeline, ZeroShotVideoClassificationPipeline
from .video_processing_dist import DiSTVideoProcessor


def _publish(*args, **kwargs):
    from .hub import publish

    return publish(*args, **kwargs)


AutoConfig.register(DiSTConfig.model_type, DiSTConfig, exist_ok=True)
AutoModel.register(DiSTConfig, DiSTModel, exist_ok=True)
AutoModelForVideoClassification.register(DiSTConfig, DiSTForVideoClassification, exist_ok=True)
AutoVideoProcessor.register(DiSTConfig, DiSTVideoProcessor, exist_ok=True)
AutoProcessor.register(DiSTConfig, DiSTVideoProcessor, exist_ok=True)
# Instead of `register_pipeline`, which would warn, and would save the code with every pipeline of the task.
PIPELINE_REGISTRY.supported_tasks["video-classification"]["impl"] = DiSTVideoClassificationPipeline
PIPELINE_REGISTRY.register_pipeline(
    "zero-shot-video-classification",
    pipeline_class=ZeroShotVideoClassificationPipeline,
    pt_model=AutoModelForVideoClassification,
    type="multimodal",
)
DiSTConfig.knows_pipelines = True
DiSTPreTrainedModel.publisher = staticmethod(_publish)
