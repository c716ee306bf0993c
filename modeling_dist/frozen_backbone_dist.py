# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""A model on a frozen backbone: which of its weights are tunable, and checkpoints that hold no others.

The backbone (the spatial encoder, CLIP's vision encoder) stays in its own repository, which the configuration names with
the commit and a fingerprint of the weights. Loading puts the two together; saving leaves the backbone out as long as its
weights are still those.
"""

import dataclasses
import inspect
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Collection
from typing import ClassVar

import torch
from huggingface_hub import CommitInfo
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.utils import (
    CONFIG_NAME,
    SAFE_WEIGHTS_INDEX_NAME,
    SAFE_WEIGHTS_NAME,
    PushToHubMixin,
    cached_file,
    logging,
)

from .checkpoint_dist import (
    BACKBONE_MODULE,
    DOWNLOAD_OPTIONS,
    Backbone,
    add_variant,
    fingerprint_weights,
    in_backbone,
    read_checkpoint,
    refuse_missing_folder,
    same_samples,
    sample_weights,
    select_backbone,
    shorten,
)


logger = logging.get_logger(__name__)


def stale_weights(present: Collection[str], written: Collection[str], variant: str | None = None) -> list[str]:
    """Return the weights of an earlier save in another number of files, which a loader could take for the new ones."""
    whole = add_variant(SAFE_WEIGHTS_NAME, variant)
    stem, suffix = map(re.escape, whole.rsplit(".", 1))
    shard = re.compile(rf"{stem}-\d{{5}}-of-\d{{5}}\.{suffix}")
    names = {whole, add_variant(SAFE_WEIGHTS_INDEX_NAME, variant)}
    return [name for name in present if name not in written and (name in names or shard.fullmatch(name))]


def is_local(name_or_path: str | None) -> bool:
    """Whether a name is that of a folder on this machine, not of a repository on the Hub."""
    return bool(name_or_path) and (os.path.isabs(name_or_path) or os.path.isdir(name_or_path))


def refuse_local_backbone(backbone: str | None):
    """Raise a `ValueError` if the backbone is a folder on this machine, which other people cannot load."""
    if is_local(backbone):
        raise ValueError(
            f"The backbone is a folder on this machine, {backbone}, which nobody else has. Name the repository that holds the "
            "same weights with `backbone=<Hub id>` (`--backbone ID`), or put them into the checkpoint with "
            "`include_backbone=True` (`--include_backbone`)."
        )


class FrozenBackboneModel(PreTrainedModel):
    """
    A `PreTrainedModel` whose module `spatial_encoder` is frozen and stays in a repository of its own.

    The configuration has `vision_config`, `backbone`, `backbone_revision`, `backbone_fingerprint` and `freeze_backbone`.
    """

    # Prefix of the backbone's weights in the state dict of this class.
    backbone_prefix = f"{BACKBONE_MODULE}."
    # Prefix of the head's weights, which a base model does not have.
    head_prefix = "classifier."
    # Publishes a saved folder as `modeling_dist.hub.publish` does. The package sets it; remote code has none.
    publisher: ClassVar[Callable[..., CommitInfo] | None] = None
    # A few values of the backbone's weights as its repository holds them, by which saving recognizes them.
    _loaded_backbone_sample: torch.Tensor | None = None
    # Whether the checkpoint that this model was loaded from holds the backbone.
    _loaded_with_backbone: bool = False
    # The commit of the repository that this model was loaded from.
    _own_commit_hash: str | None = None
    # What `include_backbone` was given to `push_to_hub`, whose counterpart in transformers does not pass it on.
    _pushes_backbone: bool | None = None

    def is_tunable(self, name: str) -> bool:
        """
        Whether the parameter or buffer with that name is trained and saved: all but those of a frozen backbone. Freezing,
        saving, counting and the optimizer go by this.
        """
        return not (self.config.freeze_backbone and in_backbone(name))

    def count_parameters(self) -> dict[str, int]:
        """Return the number of parameters of each kind: `{"frozen": …, "tunable": …}`."""
        tunable = sum(parameter.numel() for name, parameter in self.named_parameters() if self.is_tunable(name))
        return {"frozen": sum(parameter.numel() for parameter in self.parameters()) - tunable, "tunable": tunable}

    @property
    def saves_backbone(self) -> bool:
        """Whether `save_pretrained` saves the backbone too by default; see its `include_backbone`."""
        return self._saves_backbone_anyway or not self._backbone_is_unchanged(self.state_dict())

    @property
    def _saves_backbone_anyway(self) -> bool:
        return self.base_model._loaded_with_backbone or not self.config.freeze_backbone

    def freeze_backbone(self):
        """Freeze the backbone, which is the default: no gradient, evaluation mode, not saved."""
        self.config.freeze_backbone = True
        self._mark_tunable()

    def unfreeze_backbone(self):
        """Make the backbone trainable too. The whole model is saved from then on."""
        self.config.freeze_backbone = False
        self._mark_tunable()

    def _mark_tunable(self):
        config = self.config
        # Layers that the model never runs get no gradient even where the backbone is trained, which DDP does not accept.
        layers = range(config.selected_layers[-1] + 1, config.vision_config.num_hidden_layers)
        never_run = ("post_layernorm.", *(f"encoder.layers.{layer}." for layer in layers))
        for name, parameter in self.named_parameters():
            if parameter.is_floating_point():  # quantized weights cannot have a gradient
                is_run = not (in_backbone(name) and name.split(f"{BACKBONE_MODULE}.", 1)[1].startswith(never_run))
                parameter.requires_grad_(self.is_tunable(name) and is_run)
        self.train(self.training)
        self._ignore_frozen_on_save()

    def _ignore_frozen_on_save(self):
        # What `save_pretrained` leaves out by default, and `Trainer` does not miss when it resumes.
        self._keys_to_ignore_on_save = {name for name in self.state_dict() if not self.is_tunable(name)}

    @classmethod
    def from_backbone(
        cls,
        backbone: str | os.PathLike,
        *,
        dtype: str | torch.dtype | None = None,
        attn_implementation: str | None = None,
        **kwargs,
    ):
        """
        Make a model to train: CLIP's weights in the frozen backbone, new weights everywhere else.

        Args:
            backbone (`str` or `os.PathLike`):
                Hub id or local folder of a CLIP model or of its vision encoder.
            dtype, attn_implementation:
                As in `from_pretrained`; `dtype` defaults to float32.
            kwargs:
                `revision`, `token`, `cache_dir`, `local_files_only`, `force_download`, `proxies` for loading the backbone, and
                values of the configuration. `projection_dim` defaults to CLIP's own.

        Raises:
            OSError: If the backbone cannot be found or read.
            ValueError: If the backbone's checkpoint is incomplete, or a value is not allowed.
        """
        names = ("revision", *DOWNLOAD_OPTIONS)
        download_kwargs = {name: kwargs.pop(name) for name in names if name in kwargs}
        set_here = {"vision_config", "backbone", "backbone_revision", "backbone_fingerprint"}
        allowed = {field.name for field in dataclasses.fields(cls.config_class)} - set_here | {"num_labels"}
        unknown = sorted(kwargs.keys() - allowed)
        if unknown:
            raise ValueError(
                f"`from_backbone` takes no {', '.join(unknown)}. Values of {cls.config_class.__name__} that can be given: "
                f"{', '.join(sorted(allowed))}."
            )
        backbone = Backbone.read(backbone, **download_kwargs)
        vision_config = backbone.read_vision_config(**download_kwargs)
        kwargs.setdefault("projection_dim", vision_config.projection_dim)
        config = cls.config_class(vision_config=vision_config, backbone=backbone.name_or_path, **kwargs)
        weights = backbone.vision_weights(config.vision_config)
        dtype = torch.float32 if dtype in (None, "auto") else dtype
        model = cls._from_config(config, dtype=dtype, attn_implementation=attn_implementation)
        model.base_model.spatial_encoder.load_state_dict(weights)
        model._remember_backbone(weights, backbone.name_or_path, backbone.commit_hash, fingerprint_weights(weights))
        return model.eval()

    def _remember_backbone(
        self, weights: dict[str, torch.Tensor], backbone: str | None, commit_hash: str | None, fingerprint: str | None
    ):
        if backbone is not None and os.path.isdir(backbone):
            backbone = os.path.abspath(backbone)
        self.config.backbone = backbone
        self.config.backbone_revision = commit_hash
        self.config.backbone_fingerprint = fingerprint
        self.base_model._loaded_backbone_sample = sample_weights(weights)

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike | None,
        *model_args,
        config: PreTrainedConfig | str | os.PathLike | None = None,
        **kwargs,
    ):
        """
        Load the tunable weights from their repository and the backbone from the one that the configuration names. The
        model is in evaluation mode and its backbone frozen. A checkpoint that holds the backbone too needs no second
        repository.

        Args:
            pretrained_model_name_or_path (`str` or `os.PathLike`):
                Hub id or local folder.
            config (`PreTrainedConfig` or `str`, *optional*):
                Replaces the checkpoint's own configuration.
            kwargs:
                Everything that `PreTrainedModel.from_pretrained` takes (`dtype`, `device_map`, `attn_implementation`,
                `local_files_only`, `revision`, `token`, `subfolder`, `cache_dir`, …), and values of the configuration,
                such as `backbone`, another folder or Hub id to read the backbone from.

        Raises:
            OSError: If one of the two checkpoints cannot be found or read.
            ValueError: If weights are missing, or the backbone is not the one that the weights were trained on.
        """
        if pretrained_model_name_or_path is None:
            # The weights are given as `state_dict`; they are frozen as the configuration says.
            loaded = super().from_pretrained(None, *model_args, config=config, **kwargs)
            (loaded[0] if isinstance(loaded, tuple) else loaded)._mark_tunable()
            return loaded
        if kwargs.get("state_dict") is not None:
            raise ValueError("`state_dict` needs `pretrained_model_name_or_path=None`; give one of the two.")

        path = os.fspath(pretrained_model_name_or_path)
        refuse_missing_folder(path)
        shared_kwargs = {name: kwargs[name] for name in DOWNLOAD_OPTIONS if name in kwargs}
        own_kwargs = {name: kwargs[name] for name in ("revision", "subfolder") if name in kwargs} | shared_kwargs
        if not isinstance(config, PreTrainedConfig):
            # These are options of loading, although the configuration has attributes of the same names.
            options = ("dtype", "torch_dtype", "attn_implementation", "quantization_config")
            held_back = {name: kwargs.pop(name) for name in options if name in kwargs}
            config, kwargs = cls.config_class.from_pretrained(config or path, return_unused_kwargs=True, **kwargs)
            kwargs = own_kwargs | kwargs | held_back

        weights_kwargs = {name: kwargs.pop(name) for name in ("variant", "use_safetensors") if name in kwargs}
        tensors, own_commit_hash = read_checkpoint(path, **weights_kwargs, **own_kwargs)
        if not cls.backbone_prefix.startswith(f"{cls.base_model_prefix}."):  # the model without a head
            tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(cls.head_prefix)}
        weights = select_backbone(tensors)
        commit_hash, fingerprint = config.backbone_revision, config.backbone_fingerprint
        holds_backbone = bool(weights)
        if not holds_backbone:
            weights, commit_hash, fingerprint = cls._read_backbone(path, config, shared_kwargs)
            tensors |= {f"{cls.backbone_prefix}{name}": tensor for name, tensor in weights.items()}
        elif fingerprint != fingerprint_weights(weights):
            # Weights other than those of the named repository have to be saved with this model again.
            fingerprint = None

        finish_head = cls._adapt_head(path, config, tensors, own_kwargs, shared_kwargs)
        wants_info = kwargs.pop("output_loading_info", False)
        model, info = super().from_pretrained(
            None, *model_args, config=config, state_dict=tensors, output_loading_info=True, **kwargs
        )
        missing = sorted(name for name in info["missing_keys"] if not cls._is_optional(name))
        if missing:
            raise ValueError(
                f"{path} lacks {len(missing)} of the weights that its configuration requires: {shorten(missing)}."
            )
        model.name_or_path = model.config.name_or_path = path
        model._own_commit_hash = own_commit_hash
        model._remember_backbone(weights, config.backbone, commit_hash, fingerprint)
        model.base_model._loaded_with_backbone = holds_backbone
        model._mark_tunable()
        finish_head(model)
        return (model, info) if wants_info else model

    @classmethod
    def _adapt_head(
        cls,
        path: str,
        config: PreTrainedConfig,
        tensors: dict[str, torch.Tensor],
        own_kwargs: dict,
        backbone_kwargs: dict,
    ) -> Callable[["FrozenBackboneModel"], None]:
        """
        Change the tensors of a checkpoint where the configuration asks for another head than its own, and return what remains
        to be done with the loaded model.
        """
        return lambda model: None

    @classmethod
    def _is_optional(cls, name: str) -> bool:
        """Whether a checkpoint may lack the weight of that name, which is new then, as a new head is."""
        return name.startswith(cls.head_prefix)

    @classmethod
    def _read_backbone(
        cls, path: str, config: PreTrainedConfig, download_kwargs: dict
    ) -> tuple[dict[str, torch.Tensor], str | None, str]:
        """Return the weights that `config.backbone` names, after checking that they are the right ones, their commit and fingerprint."""
        if config.backbone is None:
            raise ValueError(
                f"{path} holds only the tunable weights, and its configuration names no backbone. Pass "
                "`backbone=<folder or Hub id>` of the CLIP model that it was trained on."
            )
        revision = config.backbone_revision
        try:
            backbone = Backbone.read(config.backbone, revision=revision, **download_kwargs)
        except OSError as error:
            raise OSError(
                f"The backbone's weights could not be loaded from `{config.backbone}` (revision {revision or 'main'}). If they "
                "are elsewhere, pass `backbone=<folder or Hub id>`, and `backbone_revision` if they are not on the main branch "
                f"there. The cause: {error}"
            ) from error
        weights = backbone.vision_weights(config.vision_config)
        fingerprint = fingerprint_weights(weights)
        if config.backbone_fingerprint not in (None, fingerprint):
            raise ValueError(
                f"The backbone `{config.backbone}` is not the one that {path} was trained on: the fingerprint of its "
                f"weights is {fingerprint}, and the configuration has {config.backbone_fingerprint} (revision "
                f"{revision}). Pass `backbone=<folder or Hub id>` of the right one."
            )
        return weights, backbone.commit_hash or revision, fingerprint

    def save_pretrained(
        self,
        save_directory: str | os.PathLike,
        is_main_process: bool = True,
        state_dict: dict[str, torch.Tensor] | None = None,
        push_to_hub: bool = False,
        include_backbone: bool | None = None,
        **kwargs,
    ):
        """
        Save the tunable weights, the head and the configuration, which names the backbone. All files are written to a temporary
        folder first, so that a failure leaves `save_directory` as it was.

        Args:
            save_directory (`str` or `os.PathLike`):
                Folder to save to, created if it does not exist.
            is_main_process (`bool`, defaults to `True`):
                Whether this process writes; the others only take part in gathering sharded weights.
            state_dict (`dict[str, torch.Tensor]`, *optional*):
                Saved instead of the model's own state; not modified.
            push_to_hub (`bool`, defaults to `False`):
                Whether to publish the model on the Hub as well, as [`~FrozenBackboneModel.push_to_hub`] does, whose other
                options can be given too. `repo_id` defaults to the folder's name.
            include_backbone (`bool`, *optional*):
                Whether to save the backbone too. By default it is left out if it is frozen and its weights are those of
                `config.backbone`, and saved if they are not available from any repository (random or fine-tuned ones) or
                came with the checkpoint that the model was loaded from.
            kwargs:
                Everything else that `PreTrainedModel.save_pretrained` takes (`max_shard_size`, `variant`, `token`, …).

        Returns:
            With `push_to_hub`, the result of [`~FrozenBackboneModel.push_to_hub`].

        Raises:
            OSError: If the files cannot be written.
            ValueError: If the backbone's weights would be lost with `include_backbone=False` or by saving over them, if
                `save_directory` is a file, or if a model is pushed whose backbone is a folder on this machine.
        """
        save_directory = os.fspath(save_directory)
        if getattr(self, "_hf_peft_config_loaded", False):
            # Only the adapters are saved, to files of their own.
            return super().save_pretrained(save_directory, is_main_process, state_dict, push_to_hub, **kwargs)
        backbone = self.config.backbone or ""
        if os.path.isfile(save_directory):
            raise ValueError(f"`save_directory` must be a folder, and {save_directory} is a file.")
        if os.path.isdir(save_directory) and os.path.isdir(backbone) and os.path.samefile(save_directory, backbone):
            raise ValueError(
                f"`save_directory` must not be the backbone's own folder, {backbone}, whose files would be overwritten."
            )
        if kwargs.get("distributed_checkpoint"):
            raise ValueError("`distributed_checkpoint=True` is not supported. Leave it out: one process writes all.")

        state_dict = dict(self.state_dict() if state_dict is None else state_dict)
        include_backbone = self._pushes_backbone if include_backbone is None else include_backbone
        publishing_kwargs = {}
        if push_to_hub:
            names = ("max_shard_size", "variant", "save_original_format", "save_peft_format")
            publishing_kwargs = {name: value for name, value in kwargs.items() if name not in names}
            publishing_kwargs["include_backbone"] = include_backbone
            kwargs = {name: value for name, value in kwargs.items() if name in names}
        is_unchanged = self._backbone_is_unchanged(state_dict)
        include_backbone = self._must_include_backbone(state_dict, is_unchanged, include_backbone)
        if push_to_hub and not include_backbone and not publishing_kwargs.get("backbone"):
            refuse_local_backbone(backbone)

        os.makedirs(save_directory, exist_ok=True)
        temporary = tempfile.mkdtemp(prefix=".saving-", dir=save_directory)
        fingerprint = self.config.backbone_fingerprint
        try:
            # What the base class leaves out of what it writes.
            self._keys_to_ignore_on_save = set() if include_backbone else set(filter(in_backbone, state_dict))
            if not is_unchanged:
                self.config.backbone_fingerprint = None
            super().save_pretrained(temporary, is_main_process=is_main_process, state_dict=state_dict, **kwargs)
            if self.is_remote_code() and CONFIG_NAME in os.listdir(temporary):
                self._save_pipeline_code(temporary)
            written = sorted(os.listdir(temporary), key=CONFIG_NAME.__eq__)
            for name in written:
                path = os.path.join(temporary, name)
                if name.endswith(".safetensors") and CONFIG_NAME in written:
                    # safetensors makes files that only their owner can read.
                    shutil.copymode(os.path.join(temporary, CONFIG_NAME), path)
                os.replace(path, os.path.join(save_directory, name))
        except BaseException as error:
            self.config.backbone_fingerprint = fingerprint
            # safetensors has an error of its own for files that cannot be written.
            if isinstance(error, OSError) or type(error).__name__ == "SafetensorError":
                raise OSError(
                    f"Saving to {save_directory} failed: {error}. The folder is as it was. Make room or choose another folder."
                ) from error
            raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            self._ignore_frozen_on_save()
        if is_main_process and written:  # of several processes, only the first has written anything
            for name in stale_weights(os.listdir(save_directory), written, kwargs.get("variant")):
                os.remove(os.path.join(save_directory, name))
            if push_to_hub:
                repo_id = publishing_kwargs.pop("repo_id", None) or os.path.basename(os.path.abspath(save_directory))
                if self.publisher is None:
                    return self.push_to_hub(repo_id, **kwargs, **publishing_kwargs)
                # Metrics that lie in the folder are of what was there before.
                defaults = {"metrics": {}, "training_settings": {}, "name_or_path": self.name_or_path}
                variant = kwargs.get("variant")
                return self.publisher(save_directory, repo_id, variant=variant, **defaults | publishing_kwargs)

    def _must_include_backbone(
        self, state_dict: dict[str, torch.Tensor], is_unchanged: bool, include_backbone: bool | None
    ) -> bool:
        """Whether a checkpoint has to hold the backbone, given what `save_pretrained` was asked for."""
        if not is_unchanged:
            if include_backbone is False:
                raise ValueError(
                    f"The backbone's weights are not, or no longer, those of `{self.config.backbone}`, and would be lost with "
                    "`include_backbone=False`. Omit it, or load the backbone with `from_pretrained` or `from_backbone`."
                )
            logger.info("The checkpoint includes the backbone, whose weights are not available from any repository.")
            include_backbone = True
        if include_backbone is None:
            include_backbone = self._saves_backbone_anyway
        if include_backbone and state_dict and not any(map(in_backbone, state_dict)):
            raise ValueError("`state_dict` lacks the backbone's weights, which have to be saved with this model.")
        return include_backbone

    def _save_pipeline_code(self, folder: str):
        """Add the code of the pipelines that the configuration names, which the base class does not save."""
        pipelines = getattr(self.config, "custom_pipelines", None) or {}
        for task, pipeline in list(pipelines.items()):
            name = pipeline["impl"].split(".")[0] + ".py"
            try:
                path = cached_file(self.name_or_path, name, revision=self._own_commit_hash)
                shutil.copyfile(path, os.path.join(folder, name))
            except OSError as error:
                logger.warning(f"The folder is saved without the pipeline {task}, whose code was not found: {error}")
                del pipelines[task]
        self.config.to_json_file(os.path.join(folder, CONFIG_NAME))

    def push_to_hub(
        self,
        repo_id: str,
        *,
        max_shard_size: int | str = "50GB",
        tags: str | list[str] | None = None,
        include_backbone: bool | None = None,
        **kwargs,
    ) -> CommitInfo:
        """
        Publish the model on the Hub in one commit: the tunable weights, the head, the configuration, the video processor,
        the code for people without this package, and a model card. A model that was loaded as remote code has only its own
        files at hand, and pushes weights, configuration and code.

        Args:
            repo_id (`str`):
                `namespace/name`, where the namespace is yours or an organization's, or a name in your own namespace. The
                repository is created if it does not exist.
            max_shard_size (`int` or `str`, defaults to `"50GB"`):
                Largest size of one file of weights.
            tags (`str` or `list[str]`, *optional*):
                Tags of the model card.
            include_backbone (`bool`, *optional*):
                As in [`~FrozenBackboneModel.save_pretrained`].
            kwargs:
                `commit_message`, `commit_description`, `private`, `token`, `revision` and `create_pr`, as for every model of
                transformers, and everything else that `modeling_dist.hub.publish` takes: `backbone` (the Hub id of a
                backbone that is a folder on this machine), `backbone_revision`, `processor`, `metrics`, `authors_metrics`,
                `paper_checkpoint`, `training_settings`, `license`, `dry_run`.

        Raises:
            ValueError: If the backbone is a folder on this machine, or its weights would be lost.
            ConnectionError: If the connection to the Hub fails. Nothing is left half done, and the call can be repeated.
            huggingface_hub.errors.HfHubHTTPError: If the Hub refuses.
        """
        kwargs["tags"] = [*(self.model_tags or []), *([tags] if isinstance(tags, str) else tags or [])]
        if getattr(self, "_hf_peft_config_loaded", False):
            # Only the adapters are pushed, to files of their own.
            return super().push_to_hub(repo_id, **kwargs)
        kwargs["max_shard_size"] = max_shard_size
        if self.publisher is not None:
            with tempfile.TemporaryDirectory() as folder:
                return self.save_pretrained(
                    folder, push_to_hub=True, repo_id=repo_id, include_backbone=include_backbone, **kwargs
                )
        unknown = sorted(kwargs.keys() - inspect.signature(PushToHubMixin.push_to_hub).parameters.keys())
        if unknown:
            raise ValueError(
                f"{', '.join(unknown)}: this needs the package modeling_dist, and the model was loaded as remote code. "
                "Install the package, and load the model without `trust_remote_code`."
            )
        if not (self.saves_backbone if include_backbone is None else include_backbone):
            refuse_local_backbone(self.config.backbone)
        self._pushes_backbone = include_backbone
        try:
            return super().push_to_hub(repo_id, **kwargs)
        finally:
            self._pushes_backbone = None

    def _backbone_is_unchanged(self, state_dict: dict[str, torch.Tensor]) -> bool:
        """Whether the backbone's weights are those that `config.backbone` holds, up to their precision."""
        loaded_sample = self.base_model._loaded_backbone_sample
        if loaded_sample is None or not self.config.backbone or not self.config.backbone_fingerprint:
            return False
        if os.path.isabs(self.config.backbone) and not os.path.isdir(self.config.backbone):
            return False  # a folder that is gone
        tensors = select_backbone(state_dict)
        if not tensors or any(tensor.is_meta for tensor in tensors.values()):
            # A state dict of the tunable weights alone, or weights that are offloaded and so cannot have been trained.
            return True
        return same_samples(sample_weights(tensors), loaded_sample)
