# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""The pipelines `video-classification`, into the model's classes, and `zero-shot-video-classification`, into any others."""

import os
from typing import Any

from transformers import CLIPTextModelWithProjection, Pipeline, VideoClassificationPipeline

from .modeling_dist import DiSTForVideoClassification


TASK = "zero-shot-video-classification"
# The options of the video processor that a call of a pipeline takes.
PROCESSOR_OPTIONS = (
    *("num_clips", "num_crops", "frame_sampling", "frame_step", "random_sampling"),
    *("decoder", "damaged", "limits", "input_data_format"),
)


def _split_options(kwargs: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Divide the arguments of a call into those for the processor, and the others."""
    options = {name: value for name, value in kwargs.items() if name in PROCESSOR_OPTIONS and value is not None}
    return options, {name: value for name, value in kwargs.items() if name not in PROCESSOR_OPTIONS}


class DiSTVideoClassificationPipeline(VideoClassificationPipeline):
    """
    The pipeline `video-classification` of transformers, whose calls also take options of [`DiSTVideoProcessor`]: `num_clips`,
    `num_crops`, `frame_sampling`, `frame_step`, `random_sampling`, `decoder`, `damaged`, `limits` and `input_data_format`.
    Models of other kinds work as they do without them.

    Example:

    ```python
    >>> from transformers import pipeline
    >>> import modeling_dist

    >>> classifier = pipeline("video-classification", model="org/dist-vitb16-k400")
    >>> classifier("video.mp4", num_clips=3, top_k=1)
    ```
    """

    def _sanitize_parameters(self, **kwargs) -> tuple[dict, dict, dict]:
        options, others = _split_options(kwargs)
        preprocess_params, forward_params, postprocess_params = super()._sanitize_parameters(**others)
        return preprocess_params | options, forward_params, postprocess_params

    def preprocess(self, video, num_frames=None, frame_sampling_rate=1, **options) -> dict:
        if not options:
            return super().preprocess(video, num_frames, frame_sampling_rate)
        if self.video_processor is None:
            raise ValueError(f"{', '.join(sorted(options))}: these options need a model with a video processor.")
        options |= {"num_frames": num_frames or self.model.config.num_frames, "do_sample_frames": True}
        return self.video_processor(video, **options, return_tensors="pt").to(self.dtype)


class ZeroShotVideoClassificationPipeline(Pipeline):
    """
    Classify videos into classes that are named in words, with a [`DiSTForVideoClassification`] that has the text head. The
    model's own classes play no part and are not changed.

    CLIP's text encoder and visual projection are loaded from the repository of the model's backbone when they are first
    needed; the projection stays in the model's head. For a model that names no backbone, give the text encoder and its
    tokenizer.

    Args:
        text_model (`CLIPTextModelWithProjection`, `str` or `os.PathLike`, *optional*):
            CLIP's text encoder, or where to load it from. Defaults to the backbone's repository.
        tokenizer (tokenizer, `str` or `os.PathLike`, *optional*):
            Its tokenizer, or where to load it from. Defaults to where the text encoder comes from.
        download_kwargs (`dict`, *optional*):
            `token`, `cache_dir`, … for loading these and the projection. The function `pipeline` does not pass on its own
            `token`, so a private backbone needs `download_kwargs={"token": …}` too, unless the user is logged in.
        local_files_only (`bool`, *optional*):
            Whether to load these from local files alone, as the model.
        kwargs:
            Everything else that a `Pipeline` takes, and defaults for the options of a call.

    Raises:
        ValueError: If the model has a linear head, or there is no video processor.

    Example:

    ```python
    >>> from transformers import pipeline
    >>> import modeling_dist  # registers the task

    >>> classifier = pipeline("zero-shot-video-classification", model="org/dist-vitb16-k400")
    >>> classifier("video.mp4", candidate_labels=["feeding ducks", "a goal at football"])
    ```
    """

    _load_processor = False
    _load_image_processor = False
    _load_video_processor = True
    _load_feature_extractor = False
    _load_tokenizer = False

    def __init__(
        self,
        *args,
        text_model: CLIPTextModelWithProjection | str | os.PathLike | None = None,
        tokenizer=None,
        download_kwargs: dict[str, Any] | None = None,
        local_files_only: bool | None = None,
        **kwargs,
    ):
        super().__init__(*args, **kwargs)
        # By name, because remote code has a class of its own.
        self.check_model_type([DiSTForVideoClassification.__name__])
        if self.model.config.head_type != "text":
            raise ValueError(
                f"The {TASK} pipeline needs a model with the text head, and this one has "
                f'`head_type="{self.model.config.head_type}"`.'
            )
        if self.video_processor is None:
            raise ValueError(f"The {TASK} pipeline needs a `video_processor`.")
        # The base class makes batches with an image processor, and saves it.
        self.image_processor = self.video_processor
        self._text_encoder_options = (text_model, tokenizer)
        self._download_kwargs = dict(download_kwargs or {})
        if local_files_only is not None:
            self._download_kwargs.setdefault("local_files_only", local_files_only)
        self._text_encoder = None
        self._embedded = (None, None)

    def __call__(self, inputs: Any, candidate_labels: list[str] | None = None, **kwargs) -> list:
        """
        Classify one or more videos.

        Args:
            inputs (`str`, `bytes`, `np.ndarray`, `torch.Tensor`, or a `list`, dataset or generator of these):
                The videos: files, http(s) URLs, or anything else that the video processor takes as one video.
            candidate_labels (`list[str]`):
                The classes, in words.
            hypothesis_template (`str` or `list[str]`, *optional*):
                Sentences with `{}` in the place of the label, averaged as in CLIP. By default the label stands alone, as in
                the training of DiST.
            zero_shot_weight (`float`, *optional*):
                Share of CLIP's own logits for the single frames, 0 for DiST alone. Defaults to `config.zero_shot_weight` if
                that is more than 0, else to the paper's 0.5.
            top_k (`int`, *optional*):
                Number of labels to return. Defaults to all.
            num_clips, num_crops, frame_sampling, frame_step, random_sampling, decoder, damaged, limits, input_data_format:
                Options of the video processor, instead of its own.
            batch_size (`int`, *optional*), num_workers (`int`, *optional*):
                As in every pipeline.

        Returns:
            `list[dict]`, or a `list` of them for several videos: `{"score": …, "label": …}` per label, highest score first.
            The scores of all labels sum to 1.

        Raises:
            ValueError: If the labels, the template or the weight are not allowed.
            VideoDecodingError: If a video cannot be read; the message names it.
        """
        if candidate_labels is not None:
            kwargs["candidate_labels"] = candidate_labels
        elif "candidate_labels" not in self._forward_params:
            raise ValueError(
                f"The {TASK} pipeline needs `candidate_labels`. For the model's own classes, use "
                f'`pipeline("video-classification", model="{self.model.name_or_path}", …)`.'
            )
        return super().__call__(inputs, **kwargs)

    def _sanitize_parameters(
        self, candidate_labels=None, hypothesis_template=None, zero_shot_weight=None, top_k=None, **kwargs
    ) -> tuple[dict, dict, dict]:
        options, unknown = _split_options(kwargs)
        if unknown:
            raise TypeError(f"The {TASK} pipeline has no options {', '.join(sorted(unknown))}.")
        forward_params, postprocess_params = {}, {}
        if candidate_labels is not None:
            if isinstance(candidate_labels, str):
                raise ValueError(f"`candidate_labels` must be a list of strings, got the string {candidate_labels!r}.")
            candidate_labels = tuple(candidate_labels)
            forward_params["candidate_labels"] = postprocess_params["candidate_labels"] = candidate_labels
        if hypothesis_template is not None:
            templates = [hypothesis_template] if isinstance(hypothesis_template, str) else hypothesis_template
            forward_params["hypothesis_template"] = tuple(templates)
        if zero_shot_weight is not None:
            forward_params["zero_shot_weight"] = zero_shot_weight
        if top_k is not None:
            postprocess_params["top_k"] = top_k
        return options, forward_params, postprocess_params

    def preprocess(self, video, **options) -> dict:
        options |= {"num_frames": self.model.config.num_frames, "do_sample_frames": True}
        return self.video_processor(video, **options, return_tensors="pt").to(self.dtype)

    def _forward(self, model_inputs, candidate_labels, hypothesis_template=None, zero_shot_weight=None) -> dict:
        if zero_shot_weight is None:
            zero_shot_weight = self.model.zero_shot_weight or 0.5
        if zero_shot_weight > 0:
            self.model.load_visual_projection(**self._download_kwargs)
        class_embeds = self._embed(candidate_labels, hypothesis_template)
        outputs = self.model(**model_inputs, class_embeds=class_embeds, zero_shot_weight=zero_shot_weight)
        return {"logits": outputs.logits}

    def _embed(self, candidate_labels: tuple[str, ...], hypothesis_template: tuple[str, ...] | None):
        """Return the labels' text embeddings, which are computed once for all videos with the same labels."""
        key = (candidate_labels, hypothesis_template)
        if self._embedded[0] != key:
            if self._text_encoder is None:
                text_model, tokenizer = self.model.load_text_encoder(
                    *self._text_encoder_options, **self._download_kwargs
                )
                self._text_encoder = (text_model.to(self.device), tokenizer)
            embeds = self.model.embed_class_names(candidate_labels, *self._text_encoder, hypothesis_template)
            self._embedded = (key, embeds)
        return self._embedded[1]

    def postprocess(self, model_outputs, candidate_labels, top_k=None) -> list[dict]:
        probabilities = model_outputs["logits"][0].softmax(-1)
        scores, indices = probabilities.sort(descending=True)
        ranked = zip(scores.tolist()[:top_k], indices.tolist())
        return [{"score": score, "label": candidate_labels[index]} for score, index in ranked]


__all__ = ["DiSTVideoClassificationPipeline", "ZeroShotVideoClassificationPipeline"]
