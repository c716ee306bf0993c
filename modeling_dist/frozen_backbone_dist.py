# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""A model on a frozen backbone: which of its weights are tunable, and a checkpoint that holds no others.

The backbone (the spatial encoder, CLIP's vision encoder) stays in its own repository, which the configuration names with
the commit and a fingerprint of the weights. Loading puts the two together; saving leaves the backbone out as long as its
weights are still those.
"""

import dataclasses
import hashlib
import os
import re
import shutil
import tempfile

import torch
from huggingface_hub import HfApi
from transformers import CLIPVisionConfig, CLIPVisionModel, PreTrainedConfig, PreTrainedModel
from transformers.modeling_utils import load_state_dict
from transformers.utils import (
    SAFE_WEIGHTS_INDEX_NAME,
    SAFE_WEIGHTS_NAME,
    WEIGHTS_INDEX_NAME,
    WEIGHTS_NAME,
    cached_file,
    logging,
)
from transformers.utils.hub import extract_commit_hash, get_checkpoint_shard_files


logger = logging.get_logger(__name__)

BACKBONE_MODULE = "spatial_encoder"


def in_backbone(name: str) -> bool:
    """Whether a parameter or buffer of that name belongs to the backbone."""
    return BACKBONE_MODULE in name.split(".")


def read_checkpoint(
    folder_or_id: str, variant: str | None = None, use_safetensors: bool | None = None, **download_kwargs
) -> tuple[dict[str, torch.Tensor], str | None]:
    """
    The tensors of a checkpoint in a folder or on the Hub, safetensors before pickles, sharded or not.

    Args:
        folder_or_id (`str`):
            Local folder or Hub id.
        variant, use_safetensors:
            As in `PreTrainedModel.from_pretrained`.
        download_kwargs:
            `revision`, `subfolder`, `cache_dir`, `force_download`, `local_files_only`, `proxies`, `token`.

    Returns:
        `tuple[dict[str, torch.Tensor], str | None]`: The tensors, mapped from the files until they are used, and the
        commit that they come from (`None` for a folder).

    Raises:
        OSError: If there is no such checkpoint, or it cannot be read.
    """
    names = []
    if use_safetensors is not False:
        names += [SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME]
    if not use_safetensors:
        names += [WEIGHTS_NAME, WEIGHTS_INDEX_NAME]
    if variant is not None:
        names = [f"{stem}.{variant}.{suffix}" for stem, suffix in (name.rsplit(".", 1) for name in names)]
    for name in names:
        path = cached_file(folder_or_id, name, _raise_exceptions_for_missing_entries=False, **download_kwargs)
        if path is not None:
            break
    else:
        raise OSError(
            f"{folder_or_id} holds no weights: none of {', '.join(names)} is there, or, for a repository on the Hub, none "
            "is in the cache and the Hub cannot be reached."
        )
    paths = [path]
    if path.endswith(".json"):
        paths, _ = get_checkpoint_shard_files(folder_or_id, path, **download_kwargs)
    tensors = {}
    for path in paths:
        try:
            tensors.update(load_state_dict(path))
        except Exception as error:
            raise OSError(f"{path} cannot be read as a checkpoint; it may be truncated. ({error})") from error
    return tensors, extract_commit_hash(path, None)


def select_weights(
    tensors: dict[str, torch.Tensor], source: str, model_class: type[PreTrainedModel], config: PreTrainedConfig
) -> dict[str, torch.Tensor]:
    """
    The weights of one part of CLIP, under the names that its class has.

    Args:
        tensors (`dict[str, torch.Tensor]`):
            A checkpoint of the whole CLIP, or of that part.
        source (`str`):
            Where it comes from, for the error.
        model_class (`type[PreTrainedModel]`), config (`PreTrainedConfig`):
            The part: `CLIPVisionModel` or `CLIPTextModelWithProjection`.

    Raises:
        ValueError: If tensors are missing or have another shape.
    """
    with torch.device("meta"):
        expected = model_class(config).state_dict()
    if model_class is CLIPVisionModel:
        tensors = {name.removeprefix("vision_model."): tensor for name, tensor in tensors.items()}
    problems = [f"{name} is missing" for name in expected if name not in tensors]
    problems += [
        f"{name} has shape {tuple(tensors[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in tensors and tensors[name].shape != tensor.shape
    ]
    if problems:
        raise ValueError(
            f"`{source}` holds no complete {model_class.__name__} of the sizes that the configuration gives: "
            f"{_some(problems)}."
        )
    return {name: tensors[name] for name in expected}


def _some(items: list[str], limit: int = 8) -> str:
    return "; ".join(items[:limit]) + (f"; and {len(items) - limit} more" if len(items) > limit else "")


def sample_weights(tensors: dict[str, torch.Tensor]) -> torch.Tensor:
    """A few values of every tensor, in the order of the names: cheap to read, and training changes them all."""
    samples = []
    for name in sorted(tensors):
        tensor = tensors[name].detach()
        tensor = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor  # sharded over processes
        values = tensor.reshape(-1)
        samples.append(values[:: max(1, values.numel() // 16)].float().cpu())
    return torch.cat(samples)


def fingerprint_weights(tensors: dict[str, torch.Tensor]) -> str:
    """Checksum of the names, the shapes and a sample of the values."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name}{tuple(tensors[name].shape)}".encode())
    digest.update(sample_weights(tensors).numpy().tobytes())
    return digest.hexdigest()[:32]


class FrozenBackboneModel(PreTrainedModel):
    """
    A `PreTrainedModel` whose module `spatial_encoder` is frozen and kept in a repository of its own.

    The configuration has `vision_config`, `backbone`, `backbone_revision`, `backbone_fingerprint` and `freeze_backbone`.
    """

    # Prefix of the backbone's weights in this class's state dict.
    backbone_prefix = f"{BACKBONE_MODULE}."
    # Weights that may be missing from a checkpoint, as a new head is.
    head_prefix = "classifier."
    # A few values of the backbone's weights as its repository holds them, to tell on saving whether they have changed.
    _loaded_backbone_sample: torch.Tensor | None = None
    # Whether the checkpoint that this model was loaded from held the backbone.
    _backbone_came_along: bool = False

    def is_tunable(self, name: str) -> bool:
        """
        Whether the parameter or buffer of that name belongs to what is trained and saved: all but those of a frozen
        backbone. Freezing, saving, counting and the optimizer go by this.
        """
        return not (self.config.freeze_backbone and in_backbone(name))

    def count_parameters(self) -> dict[str, int]:
        """The number of parameters by kind: `{"frozen": …, "tunable": …}`."""
        counts = {"frozen": 0, "tunable": 0}
        for name, parameter in self.named_parameters():
            counts["tunable" if self.is_tunable(name) else "frozen"] += parameter.numel()
        return counts

    @property
    def saves_backbone(self) -> bool:
        """Whether `save_pretrained` saves the backbone too, by default: where it can be had nowhere else, or is trained."""
        came_along = self.base_model._backbone_came_along or not self.config.freeze_backbone
        return came_along or not self._backbone_is_unchanged(self.state_dict())

    def freeze_backbone(self):
        """Freezes the backbone: no gradient, evaluation mode, left out of what is saved. The default."""
        self.config.freeze_backbone = True
        self._mark_tunable()

    def unfreeze_backbone(self):
        """Makes the backbone trainable as well. The whole model is saved from then on."""
        self.config.freeze_backbone = False
        self._mark_tunable()

    def _mark_tunable(self):
        config = self.config
        # What the model never runs gets no gradient even where the backbone is trained, which DDP would not forgive.
        never_run = ("post_layernorm.",) + tuple(
            f"encoder.layers.{layer}."
            for layer in range(config.selected_layers[-1] + 1, config.vision_config.num_hidden_layers)
        )
        for name, parameter in self.named_parameters():
            if parameter.is_floating_point():  # quantized weights can have no gradient
                is_run = not (in_backbone(name) and name.split(f"{BACKBONE_MODULE}.", 1)[1].startswith(never_run))
                parameter.requires_grad_(self.is_tunable(name) and is_run)
        self.train(self.training)
        self._leave_frozen_out_of_saves()

    def _leave_frozen_out_of_saves(self):
        # What `save_pretrained` leaves out by default, and `Trainer` does not miss when it resumes.
        self._keys_to_ignore_on_save = {name for name in self.state_dict() if not self.is_tunable(name)}

    @classmethod
    def from_backbone(
        cls,
        backbone: str | os.PathLike,
        *,
        dtype: str | torch.dtype | None = None,
        attn_implementation: str | None = None,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | os.PathLike | None = None,
        local_files_only: bool = False,
        force_download: bool = False,
        **config_kwargs,
    ):
        """
        A model to train: CLIP's weights in the frozen backbone, new weights everywhere else.

        Args:
            backbone (`str` or `os.PathLike`):
                Hub id or local folder of a CLIP model, or of its vision encoder.
            dtype, attn_implementation, revision, token, cache_dir, local_files_only, force_download:
                As in `from_pretrained`; `dtype` is float32 unless it is given.
            config_kwargs:
                Values of the configuration. `projection_dim` is CLIP's own unless it is given.

        Raises:
            OSError: If the backbone cannot be found or read.
            ValueError: If its checkpoint is incomplete, or a value does not fit.
        """
        download_kwargs = {
            "revision": revision,
            "token": token,
            "cache_dir": cache_dir,
            "local_files_only": local_files_only,
            "force_download": force_download,
        }
        found_here = {"vision_config", "backbone", "backbone_revision", "backbone_fingerprint"}
        allowed = {field.name for field in dataclasses.fields(cls.config_class)} - found_here | {"num_labels"}
        unknown = sorted(set(config_kwargs) - allowed)
        if unknown:
            raise ValueError(
                f"`from_backbone` takes no {', '.join(unknown)}. Of {cls.config_class.__name__} it takes: "
                f"{', '.join(sorted(allowed))}."
            )
        backbone = os.fspath(backbone)
        vision_config = CLIPVisionConfig.from_pretrained(backbone, **download_kwargs)
        tensors, commit_hash = read_checkpoint(backbone, **download_kwargs)
        if "visual_projection.weight" in tensors:
            vision_config.projection_dim = len(tensors["visual_projection.weight"])
        config_kwargs.setdefault("projection_dim", vision_config.projection_dim)
        config = cls.config_class(vision_config=vision_config, backbone=backbone, **config_kwargs)
        tensors = select_weights(tensors, backbone, CLIPVisionModel, config.vision_config)
        options = {} if attn_implementation is None else {"attn_implementation": attn_implementation}
        dtype = torch.float32 if dtype in (None, "auto") else dtype
        model = cls._from_config(config, dtype=dtype, **options)
        model.base_model.spatial_encoder.load_state_dict(tensors)
        model._remember_backbone(tensors, backbone, commit_hash, fingerprint_weights(tensors))
        return model.eval()

    def _remember_backbone(
        self, tensors: dict[str, torch.Tensor], backbone: str | None, commit_hash: str | None, fingerprint: str | None
    ):
        if backbone is not None and os.path.isdir(backbone):
            backbone = os.path.abspath(backbone)
        self.config.backbone = backbone
        self.config.backbone_revision = commit_hash
        self.config.backbone_fingerprint = fingerprint
        self.base_model._loaded_backbone_sample = sample_weights(tensors)

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike | None,
        *model_args,
        config: PreTrainedConfig | str | os.PathLike | None = None,
        **kwargs,
    ):
        """
        Loads the tunable weights from their repository and the backbone from the one that the configuration names, as
        one model in evaluation mode, the backbone frozen. A checkpoint that holds the backbone too needs no second
        repository.

        Args:
            pretrained_model_name_or_path (`str` or `os.PathLike`):
                Hub id or local folder.
            config (`PreTrainedConfig` or `str`, *optional*):
                Instead of the checkpoint's own configuration.
            kwargs:
                All that `PreTrainedModel.from_pretrained` takes (`dtype`, `device_map`, `attn_implementation`,
                `local_files_only`, `revision`, `token`, `subfolder`, `cache_dir`, …), and values of the configuration,
                for instance `backbone`, a folder or Hub id to read the backbone from instead.

        Raises:
            OSError: If one of the two checkpoints cannot be found or read.
            ValueError: If weights are missing, or the backbone is not the one that the weights were trained on.
        """
        if pretrained_model_name_or_path is None:
            # The weights come as `state_dict`; they are frozen as the configuration says.
            loaded = super().from_pretrained(None, *model_args, config=config, **kwargs)
            (loaded[0] if isinstance(loaded, tuple) else loaded)._mark_tunable()
            return loaded
        if kwargs.get("state_dict") is not None:
            raise ValueError("`state_dict` goes with `pretrained_model_name_or_path=None`, not with the name of one.")

        path = os.fspath(pretrained_model_name_or_path)
        shared_names = ("cache_dir", "force_download", "local_files_only", "proxies", "token")
        shared_kwargs = {name: kwargs[name] for name in shared_names if name in kwargs}
        own_kwargs = {name: kwargs[name] for name in ("revision", "subfolder") if name in kwargs} | shared_kwargs
        if not isinstance(config, PreTrainedConfig):
            # These are options of the loading, though the configuration has attributes of the same names.
            options = ("dtype", "torch_dtype", "attn_implementation", "quantization_config")
            held_back = {name: kwargs.pop(name) for name in options if name in kwargs}
            config, kwargs = cls.config_class.from_pretrained(config or path, return_unused_kwargs=True, **kwargs)
            kwargs = own_kwargs | kwargs | held_back

        weights_kwargs = {name: kwargs.pop(name) for name in ("variant", "use_safetensors") if name in kwargs}
        tensors, _ = read_checkpoint(path, **weights_kwargs, **own_kwargs)
        is_base_model = not cls.backbone_prefix.startswith(f"{cls.base_model_prefix}.")
        if is_base_model:  # it has no use for the head
            tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(cls.head_prefix)}
        backbone_tensors = {
            name.split(f"{BACKBONE_MODULE}.", 1)[1]: tensor for name, tensor in tensors.items() if in_backbone(name)
        }
        backbone, commit_hash, fingerprint = config.backbone, config.backbone_revision, config.backbone_fingerprint
        came_along = bool(backbone_tensors)
        if came_along:
            # Weights that are not those of the named repository have to stay in this checkpoint when it is saved.
            fingerprint = fingerprint if fingerprint == fingerprint_weights(backbone_tensors) else None
        else:
            backbone_tensors, commit_hash, fingerprint = cls._read_named_backbone(path, config, shared_kwargs)
            tensors |= {f"{cls.backbone_prefix}{name}": tensor for name, tensor in backbone_tensors.items()}

        wants_info = kwargs.pop("output_loading_info", False)
        model, info = super().from_pretrained(
            None, *model_args, config=config, state_dict=tensors, output_loading_info=True, **kwargs
        )
        missing = sorted(name for name in info["missing_keys"] if not name.startswith(cls.head_prefix))
        if missing:
            raise ValueError(
                f"{path} lacks {len(missing)} of the weights that its configuration asks for: {_some(missing)}."
            )
        model.name_or_path = model.config.name_or_path = path
        model._remember_backbone(backbone_tensors, backbone, commit_hash, fingerprint)
        model.base_model._backbone_came_along = came_along
        model._mark_tunable()
        return (model, info) if wants_info else model

    @classmethod
    def _read_named_backbone(
        cls, path: str, config: PreTrainedConfig, download_kwargs: dict
    ) -> tuple[dict[str, torch.Tensor], str | None, str]:
        """The weights that `config.backbone` names, checked to be the right ones, their commit and fingerprint."""
        if config.backbone is None:
            raise ValueError(
                f"{path} holds only the tunable weights, and its configuration names no backbone. Pass "
                "`backbone=<folder or Hub id>` of the CLIP model that it was trained on."
            )
        revision = None if os.path.isdir(config.backbone) else config.backbone_revision
        try:
            tensors, commit_hash = read_checkpoint(config.backbone, revision=revision, **download_kwargs)
        except OSError as error:
            raise OSError(
                f"The backbone's weights could not be loaded from `{config.backbone}` (revision {revision or 'main'}). "
                "If they lie elsewhere, pass `backbone=<folder or Hub id>`, with `backbone_revision` if it is another "
                f"repository. The cause: {error}"
            ) from error
        tensors = select_weights(tensors, config.backbone, CLIPVisionModel, config.vision_config)
        fingerprint = fingerprint_weights(tensors)
        if config.backbone_fingerprint not in (None, fingerprint):
            raise ValueError(
                f"The backbone `{config.backbone}` is not the one that {path} was trained on: the fingerprint of its "
                f"weights is {fingerprint}, and the configuration has {config.backbone_fingerprint} (revision "
                f"{config.backbone_revision}). Pass `backbone=<folder or Hub id>` of the right one."
            )
        return tensors, commit_hash or revision, fingerprint

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
        Saves the tunable weights, the head and the configuration, which names the backbone. All files are written
        aside first, so that a failure while writing leaves the folder as it was.

        Args:
            save_directory (`str` or `os.PathLike`):
                Folder to save to, created where it does not exist.
            is_main_process (`bool`, defaults to `True`):
                Whether this process writes; the others only take part in gathering sharded weights.
            state_dict (`dict[str, torch.Tensor]`, *optional*):
                Instead of the model's own state; left as it is.
            push_to_hub (`bool`, defaults to `False`):
                Whether to upload to the Hub as well, to `repo_id` (by default the folder's name).
            include_backbone (`bool`, *optional*):
                Whether to save the backbone too. By default it is left out where it is frozen and its weights are those
                of `config.backbone`, and saved where they can be had nowhere else (random or fine-tuned ones) or came
                with the checkpoint that the model was loaded from.
            kwargs:
                What else `PreTrainedModel.save_pretrained` takes (`max_shard_size`, `variant`, `token`, …).

        Raises:
            ValueError: If the backbone's weights would be lost with `include_backbone=False` or by saving over them, if
                `save_directory` is a file, or if a model is pushed whose backbone is a folder on this machine.
        """
        save_directory = os.fspath(save_directory)
        if getattr(self, "_hf_peft_config_loaded", False):
            # Adapters alone are saved, to files of their own.
            kwargs |= {"is_main_process": is_main_process, "state_dict": state_dict, "push_to_hub": push_to_hub}
            return super().save_pretrained(save_directory, **kwargs)
        if os.path.isfile(save_directory):
            raise ValueError(f"`save_directory` must be a folder, and {save_directory} is a file.")
        backbone = self.config.backbone or ""
        if os.path.isdir(save_directory) and os.path.isdir(backbone) and os.path.samefile(save_directory, backbone):
            raise ValueError(
                f"`save_directory` must not be the backbone's own folder, {backbone}: it would be overwritten."
            )
        if kwargs.get("distributed_checkpoint"):
            raise ValueError(
                "`distributed_checkpoint=True` is not supported: a checkpoint here is written as a whole."
            )
        state_dict = dict(self.state_dict() if state_dict is None else state_dict)

        is_unchanged = self._backbone_is_unchanged(state_dict)
        if not is_unchanged:
            if include_backbone is False:
                raise ValueError(
                    "The backbone's weights are not, or no longer, those of "
                    f"`{self.config.backbone}`, and would be lost with `include_backbone=False`. Leave that out, or load "
                    "the backbone with `from_pretrained` or `from_backbone`."
                )
            include_backbone = True
            logger.info("The backbone's weights can be had nowhere else, so the checkpoint holds them.")
        if include_backbone is None:
            include_backbone = self.base_model._backbone_came_along or not self.config.freeze_backbone
        if include_backbone and state_dict and not any(map(in_backbone, state_dict)):
            raise ValueError(
                "`state_dict` lacks the backbone's weights, which have to be saved because they can be had nowhere else."
            )
        if push_to_hub and not include_backbone and os.path.isabs(backbone):
            raise ValueError(
                f"The backbone is a folder on this machine, {backbone}, which nobody else has. Pass "
                "`include_backbone=True`, or load the model with `backbone=<Hub id>` of the same weights."
            )

        os.makedirs(save_directory, exist_ok=True)
        aside = tempfile.mkdtemp(prefix=".saving-", dir=save_directory)
        fingerprint = self.config.backbone_fingerprint
        try:
            # What the base class leaves out of what it writes.
            self._keys_to_ignore_on_save = set() if include_backbone else set(filter(in_backbone, state_dict))
            if not is_unchanged:
                self.config.backbone_fingerprint = None
            super().save_pretrained(aside, is_main_process=is_main_process, state_dict=state_dict, **kwargs)
            written = os.listdir(aside)
            for name in written:
                os.replace(os.path.join(aside, name), os.path.join(save_directory, name))
        except BaseException:
            self.config.backbone_fingerprint = fingerprint
            raise
        finally:
            shutil.rmtree(aside)
            self._leave_frozen_out_of_saves()
        if is_main_process and written:  # of several processes only the first has written anything
            _remove_stale_weights(save_directory, written, kwargs.get("variant"))
            if push_to_hub:
                self._upload(save_directory, written, **kwargs)

    def _upload(self, folder: str, names: list[str], repo_id: str | None = None, **kwargs):
        """Uploads what was just saved, in one commit."""
        api = HfApi(token=kwargs.get("token"))
        repo_id = repo_id or os.path.basename(os.path.abspath(folder))
        repo_id = api.create_repo(repo_id, private=kwargs.get("private"), exist_ok=True).repo_id
        api.upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            allow_patterns=names,
            commit_message=kwargs.get("commit_message") or f"Upload {type(self).__name__}",
            revision=kwargs.get("revision"),
            create_pr=kwargs.get("create_pr"),
        )

    def _backbone_is_unchanged(self, state_dict: dict[str, torch.Tensor]) -> bool:
        """Whether the backbone's weights are those that `config.backbone` holds, up to the precision."""
        loaded_sample = self.base_model._loaded_backbone_sample
        if loaded_sample is None or not self.config.backbone or not self.config.backbone_fingerprint:
            return False
        if os.path.isabs(self.config.backbone) and not os.path.isdir(self.config.backbone):
            return False  # a folder that is gone
        tensors = {
            name.split(f"{BACKBONE_MODULE}.", 1)[1]: tensor for name, tensor in state_dict.items() if in_backbone(name)
        }
        if not tensors or any(tensor.is_meta for tensor in tensors.values()):
            # A state dict of the tunable weights alone, or weights offloaded out of reach of training.
            return True
        sample = sample_weights(tensors)
        precisions = (torch.float32, torch.bfloat16, torch.float16)
        return any(torch.equal(sample, loaded_sample.to(precision).float()) for precision in precisions)


def _remove_stale_weights(folder: str, written: list[str], variant: str | None = None):
    """Removes the weights of an earlier save in another number of files, which a loader could take for those of this."""
    suffix = f".{variant}" if variant else ""
    whole = {f"model{suffix}.safetensors", f"model.safetensors.index{suffix}.json"}
    shard = re.compile(re.escape(f"model{suffix}") + r"-\d{5}-of-\d{5}\.safetensors")
    for name in os.listdir(folder):
        if name not in written and (name in whole or shard.fullmatch(name)):
            os.remove(os.path.join(folder, name))


__all__ = ["FrozenBackboneModel"]
