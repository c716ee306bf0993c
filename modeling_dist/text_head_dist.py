# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""The text head: classes named in words, which CLIP's text encoder embeds, and CLIP's own logits for single frames."""

import contextlib
import os
import re
from collections import Counter
from collections.abc import Callable

import torch
from torch import nn
from transformers import AutoTokenizer, CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer, PreTrainedModel

from .checkpoint_dist import Backbone, select_weights
from .configuration_dist import DiSTConfig, check_zero_shot_weight


def no_autocast(device: torch.device) -> contextlib.AbstractContextManager:
    """Return a context in which everything is computed in the precision of its inputs."""
    if device.type == "meta" or not torch.is_autocast_enabled(device.type):
        return contextlib.nullcontext()
    return torch.autocast(device.type, enabled=False)


class DiSTTextClassifier(nn.Module):
    """
    The paper's head: the scaled cosine between a video embedding and the text embedding of each class name. It is frozen,
    so its tensors are buffers. They are kept and used in float32 whatever the model's precision, because with CLIP's scale
    of 100, bfloat16 would leave steps of 0.1 between two logits.

    With `config.has_visual_projection`, the head also holds CLIP's visual projection, which makes image embeddings of
    single frames.
    """

    def __init__(self, config: DiSTConfig):
        super().__init__()
        self.class_embeds = nn.Buffer(torch.empty(config.num_labels, config.projection_dim, dtype=torch.float32))
        self.logit_scale = nn.Buffer(torch.tensor(config.logit_scale_init_value, dtype=torch.float32))
        self.register_buffer("visual_projection", None)
        if config.has_visual_projection:
            shape = (config.projection_dim, config.vision_config.hidden_size)
            self.visual_projection = torch.empty(shape, dtype=torch.float32)

    def forward(self, embeds: torch.Tensor, class_embeds: torch.Tensor | None = None) -> torch.Tensor:
        """From embeddings (…, projection_dim) to logits (…, labels), of the head's classes unless others are given."""
        class_embeds = self.class_embeds if class_embeds is None else class_embeds
        with no_autocast(embeds.device):
            embeds = nn.functional.normalize(embeds.float(), dim=-1)
            class_embeds = nn.functional.normalize(class_embeds.float(), dim=-1)
            return self.logit_scale.float().exp() * (embeds @ class_embeds.T)

    def classify_frames(
        self, spatial_pooler_output: torch.Tensor, class_embeds: torch.Tensor | None = None
    ) -> torch.Tensor:
        """CLIP's own logits: from (B, S, D) to their mean over the frames, (B, labels)."""
        with no_autocast(spatial_pooler_output.device):
            frame_embeds = nn.functional.linear(spatial_pooler_output.float(), self.visual_projection.float())
        return self(frame_embeds, class_embeds).mean(dim=1)


def clean_class_names(class_names: list[str]) -> list[str]:
    """Strip class names of spaces and quotes, as the paper does before embedding them; a `ValueError` if one is empty."""
    given = [class_names] if isinstance(class_names, str) else list(class_names)
    class_names = [name.strip().strip('"') if isinstance(name, str) else "" for name in given]
    if not class_names or not all(class_names):
        where = f" (class {class_names.index('')})" if class_names else ""
        raise ValueError(f"`class_names` must be one or more strings that are not empty, got {given[:8]}{where}.")
    return class_names


def _class_names(config: DiSTConfig) -> list[str]:
    return [str(config.id2label[label]) for label in sorted(config.id2label)]


def _shorten(class_names: list[str]) -> str:
    shown = ", ".join(map(repr, class_names[:4]))
    return shown + f", … ({len(class_names)})" * (len(class_names) > 4)


def load_text_model(name_or_path: str | os.PathLike, **download_kwargs) -> CLIPTextModelWithProjection:
    """Load CLIP's text encoder from a repository or folder that may hold more of CLIP."""
    config = CLIPTextConfig.from_pretrained(name_or_path, **download_kwargs)
    clip = Backbone.read(name_or_path, **download_kwargs)
    if "text_projection.weight" in clip.tensors:
        config.projection_dim = len(clip.tensors["text_projection.weight"])
    weights = select_weights(clip.tensors, clip.name_or_path, CLIPTextModelWithProjection, config)
    text_model = CLIPTextModelWithProjection(config).eval()
    text_model.load_state_dict(weights)
    return text_model


def load_tokenizer(name_or_path: str | os.PathLike, **download_kwargs) -> Callable:
    """Load CLIP's tokenizer; an `OSError` if it cannot be found or read."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(name_or_path, **download_kwargs)
    except (OSError, ValueError) as error:
        # The auto class does not recognize `vocab.json` and `merges.txt` without a configuration.
        try:
            tokenizer = CLIPTokenizer.from_pretrained(name_or_path, **download_kwargs)
        except Exception:  # the tokenizers library has no common class for its errors
            raise error from None
    # If it finds no files, the library makes a tokenizer without words, to which all names are the same.
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise OSError(
            f"{name_or_path} holds no tokenizer, or cannot be reached. Pass `tokenizer=<folder or Hub id>` of CLIP's."
        )
    return tokenizer


def embed_texts(texts: list[str], text_model: CLIPTextModelWithProjection, tokenizer: Callable) -> torch.Tensor:
    """Return CLIP's text embeddings, `(len(texts), projection_dim)` in float32, not normalized."""
    max_length = text_model.config.max_position_embeddings
    input_ids = tokenizer(texts, padding=True, return_tensors="pt")["input_ids"]
    if input_ids.shape[1] > max_length:
        lengths = [len(ids) for ids in tokenizer(texts)["input_ids"]]
        longest = lengths.index(max(lengths))
        raise ValueError(
            f"A class name has at most {max_length} tokens, and {texts[longest]!r} has {lengths[longest]}."
        )
    # The padding comes after the token that CLIP reads, and its attention is causal: no mask is needed.
    batches = input_ids.to(text_model.device).split(256)
    return torch.cat([text_model(input_ids=batch).text_embeds.float() for batch in batches])


class TextHeadMixin:
    """The methods by which a model with a [`DiSTTextClassifier`] as its `classifier` gets its classes from their names."""

    @classmethod
    def _is_optional(cls, name: str) -> bool:
        # A new head can be trained or made from class names; CLIP's visual projection cannot.
        return super()._is_optional(name) and not name.endswith("visual_projection")

    @classmethod
    def _adapt_head(
        cls, path: str, config: DiSTConfig, tensors: dict[str, torch.Tensor], own_kwargs: dict, backbone_kwargs: dict
    ) -> Callable[[PreTrainedModel], None]:
        """
        Embed the class names of the configuration where they are not the checkpoint's own, as after
        `from_pretrained(…, id2label=…)`, the usual way to fine-tune on other classes. The head is frozen, so that no other
        vectors than those of the names would ever become right.
        """
        own_config = cls.config_class.from_pretrained(path, **own_kwargs)
        class_names, own_class_names = _class_names(config), _class_names(own_config)
        if config.head_type != "text" or class_names == own_class_names or own_config.head_type != "text":
            return super()._adapt_head(path, config, tensors, own_kwargs, backbone_kwargs)
        cures = (
            "Load the model with its own classes and call `set_class_names`, which also takes a text encoder or embeddings, or "
            'load it with `head_type="linear"` and `ignore_mismatched_sizes=True` to train a head on other classes.'
        )
        if all(re.fullmatch(r"LABEL_\d+", class_name) for class_name in class_names):
            raise ValueError(
                f"The text head needs the names of its {len(class_names)} classes, and not their number alone: pass `id2label`. "
                f"{cures}"
            )
        # Without warnings about a tensor that is missing or has another shape.
        tensors[f"{cls.head_prefix}class_embeds"] = torch.zeros(len(class_names), config.projection_dim)

        def finish(model: PreTrainedModel):
            try:
                model.set_class_names(class_names, **backbone_kwargs)
            except (OSError, ValueError) as error:
                raise (OSError if isinstance(error, OSError) else ValueError)(
                    f"{path} has the classes {_shorten(own_class_names)}, and the vectors of {_shorten(class_names)} cannot be made: "
                    f"{error} {cures}"
                ) from error

        return finish

    @property
    def zero_shot_weight(self) -> float:
        """Share of CLIP's own frame logits in the logits; see [`~DiSTForVideoClassification.set_zero_shot_weight`]."""
        return self.config.zero_shot_weight if self.config.head_type == "text" else 0.0

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
        Make the text head classify into the given classes, and write their names to `config.id2label`. As in the paper,
        the names are stripped of quotes and embedded without a prompt template.

        Args:
            class_names (`list[str]`):
                One distinct name per class, in the order of the labels.
            class_embeds (`torch.FloatTensor` of shape `(len(class_names), projection_dim)`, *optional*):
                The text embeddings of the classes. Computed unless they are given.
            text_model (`CLIPTextModelWithProjection`, `str` or `os.PathLike`, *optional*):
                CLIP's text encoder, or where to load it from. Defaults to the backbone's repository.
            tokenizer (tokenizer, `str` or `os.PathLike`, *optional*):
                Its tokenizer, or where to load it from. Defaults to where the text encoder comes from.
            prompt_templates (`str` or `list[str]`, *optional*):
                Sentences with `{}` in the place of the name. The embedding of a class is then the mean of the normalized
                embeddings of its sentences, normalized again, as in CLIP.
            zero_shot_weight (`float`, *optional*):
                Passed to [`~DiSTForVideoClassification.set_zero_shot_weight`], for classes that the model was not trained
                on. The paper has 0.5.
            download_kwargs:
                `revision`, `token`, `cache_dir`, `local_files_only`, … for loading from the backbone's repository or from
                where `text_model` and `tokenizer` are.

        Raises:
            ValueError: If the head is linear, the names are not distinct strings, or the embeddings, the templates or the
                weight do not fit.
            OSError: If the text encoder, the tokenizer or the visual projection cannot be loaded.
        """
        self._check_text_head("`set_class_names`")
        class_names = clean_class_names(class_names)
        # CLIP's tokenizer knows neither capital letters nor the number of spaces.
        words = [" ".join(name.lower().split()) for name in class_names]
        counts = Counter(words)
        duplicates = sorted({name for name, same in zip(class_names, words) if counts[same] > 1})
        if duplicates:
            raise ValueError(f"`class_names` must be distinct words, got more than once: {duplicates[:8]}.")

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
    def embed_class_names(
        self,
        class_names: list[str],
        text_model: CLIPTextModelWithProjection | str | os.PathLike | None = None,
        tokenizer=None,
        prompt_templates: str | list[str] | None = None,
        **download_kwargs,
    ) -> torch.FloatTensor:
        """
        Return the text embeddings of class names, which `forward` takes as `class_embeds`. The head stays as it is.

        Args:
            class_names (`list[str]`):
                One name per class.
            text_model, tokenizer, prompt_templates, download_kwargs:
                As in [`~DiSTForVideoClassification.set_class_names`].

        Returns:
            `torch.FloatTensor` of shape `(len(class_names), projection_dim)`, normalized only with `prompt_templates`.

        Raises:
            ValueError: If the names are not strings, one is too long, or the templates have no place for the name.
            OSError: If the text encoder or the tokenizer cannot be loaded.
        """
        class_names = clean_class_names(class_names)
        if prompt_templates is not None:
            prompt_templates = [prompt_templates] if isinstance(prompt_templates, str) else list(prompt_templates)
            if not prompt_templates or not all(isinstance(t, str) and "{}" in t for t in prompt_templates):
                raise ValueError(
                    "`prompt_templates` must be one or more strings with `{}` where the class name goes, got "
                    f"{prompt_templates[:8]}."
                )
        text_model, tokenizer = self.load_text_encoder(text_model, tokenizer, **download_kwargs)
        if prompt_templates is None:
            return embed_texts(class_names, text_model, tokenizer)
        prompts = [template.replace("{}", name) for name in class_names for template in prompt_templates]
        embeds = nn.functional.normalize(embed_texts(prompts, text_model, tokenizer), dim=-1)
        embeds = embeds.unflatten(0, (len(class_names), len(prompt_templates))).mean(dim=1)
        return nn.functional.normalize(embeds, dim=-1)

    def load_text_encoder(
        self,
        text_model: CLIPTextModelWithProjection | str | os.PathLike | None = None,
        tokenizer=None,
        **download_kwargs,
    ) -> tuple[CLIPTextModelWithProjection, Callable]:
        """
        Load CLIP's text encoder and its tokenizer, which [`~DiSTForVideoClassification.embed_class_names`] takes, to
        embed class names repeatedly. Arguments and errors are those of
        [`~DiSTForVideoClassification.set_class_names`].
        """
        tokenizer_kwargs = download_kwargs
        if not isinstance(text_model, PreTrainedModel):
            name_or_path = text_model or self._require_backbone(
                "text encoder", "Pass `text_model=<folder or Hub id>`, or `class_embeds`."
            )
            if text_model is None:
                download_kwargs = {"revision": self.config.backbone_revision, **download_kwargs}
            if tokenizer is None:
                tokenizer, tokenizer_kwargs = name_or_path, download_kwargs
            text_model = load_text_model(name_or_path, **download_kwargs)
        if tokenizer is None:
            raise ValueError("A `text_model` that is already loaded needs its `tokenizer` too.")
        if isinstance(tokenizer, (str, os.PathLike)):
            tokenizer = load_tokenizer(tokenizer, **tokenizer_kwargs)
        return text_model, tokenizer

    @torch.no_grad()
    def set_zero_shot_weight(
        self, zero_shot_weight: float, visual_projection: torch.FloatTensor | None = None, **download_kwargs
    ):
        """
        Make the logits the weighted mean of the model's own and those that CLIP gives for the single frames, as in the
        paper for classes that the model was not trained on. The weight is saved as `config.zero_shot_weight`, and CLIP's
        visual projection with the head.

        Args:
            zero_shot_weight (`float`):
                Share of CLIP's logits, from 0 to 1. With 0 they are not computed, and no projection is loaded.
            visual_projection (`torch.FloatTensor` of shape `(projection_dim, vision_config.hidden_size)`, *optional*):
                CLIP's visual projection. Defaults to the one that the head holds, then to that of the backbone's
                repository.
            download_kwargs:
                `revision`, `token`, `cache_dir`, `local_files_only`, … for loading it from there.

        Raises:
            ValueError: If the weight or the projection does not fit, or no repository has a projection.
            OSError: If the projection cannot be loaded.
        """
        self._check_text_head("`zero_shot_weight`")
        check_zero_shot_weight(zero_shot_weight)
        if visual_projection is not None:
            self._set_visual_projection(visual_projection)
        elif zero_shot_weight > 0:
            self.load_visual_projection(**download_kwargs)
        self.config.zero_shot_weight = float(zero_shot_weight)

    def _choose_zero_shot_weight(self, zero_shot_weight: float | None) -> float:
        """Return the weight that was given to `forward`, or else the model's own, if the head allows for it."""
        zero_shot_weight = self.zero_shot_weight if zero_shot_weight is None else zero_shot_weight
        check_zero_shot_weight(zero_shot_weight)
        if zero_shot_weight > 0 and self.classifier.visual_projection is None:
            raise ValueError(
                f"`zero_shot_weight={zero_shot_weight}` needs CLIP's visual projection, which this model has not loaded. "
                "Call `set_zero_shot_weight` or `load_visual_projection` first."
            )
        return zero_shot_weight

    @torch.no_grad()
    def load_visual_projection(self, **download_kwargs):
        """
        Load CLIP's visual projection from the backbone's repository into the head, unless the head has it already.
        `forward` then takes any `zero_shot_weight`; that of the configuration stays as it is. Arguments and errors are
        those of [`~DiSTForVideoClassification.set_zero_shot_weight`].
        """
        self._check_text_head("`load_visual_projection`")
        if self.classifier.visual_projection is not None:
            return
        cure = "Pass it to `set_zero_shot_weight` as `visual_projection`, or use `zero_shot_weight=0`."
        name_or_path = self._require_backbone("visual projection", cure)
        clip = Backbone.read(name_or_path, **{"revision": self.config.backbone_revision, **download_kwargs})
        if clip.visual_projection is None:
            raise ValueError(f"`{name_or_path}` holds no visual projection, because it is not a whole CLIP. {cure}")
        self._set_visual_projection(clip.visual_projection)

    def _set_visual_projection(self, visual_projection: torch.Tensor):
        expected = (self.config.projection_dim, self.config.vision_config.hidden_size)
        if tuple(visual_projection.shape) != expected:
            raise ValueError(
                "CLIP's visual projection must have shape (projection_dim, vision_config.hidden_size) = "
                f"{expected}, got {tuple(visual_projection.shape)}."
            )
        self.classifier.visual_projection = visual_projection.detach().clone().to(self.classifier.class_embeds)
        self.config.has_visual_projection = True

    def _require_backbone(self, part: str, cure: str) -> str:
        if self.config.backbone is None:
            raise ValueError(f"This model names no backbone to load CLIP's {part} from. {cure}")
        return self.config.backbone

    def _check_text_head(self, what: str):
        if self.config.head_type != "text":
            raise ValueError(f'{what} needs the text head; this model has `head_type="{self.config.head_type}"`.')
