# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""A model on a frozen backbone: which of its weights are tunable, and a checkpoint that holds no others.

The backbone (the spatial encoder, CLIP's vision encoder) stays in its own repository, which the configuration names with
the commit and a fingerprint of the weights. Loading puts the two together; saving leaves the backbone out as long as its
weights are still those.
"""

import contextlib
import dataclasses
import importlib
import importlib.util
import os
import re
import shutil
import tempfile
from collections.abc import Collection, Iterator

import torch
from huggingface_hub import CommitInfo, CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.utils import CONFIG_NAME, logging

from .checkpoint_dist import (
    BACKBONE_MODULE,
    Backbone,
    fingerprint_weights,
    in_backbone,
    read_checkpoint,
    same_samples,
    sample_weights,
    select_backbone,
    shorten,
)


logger = logging.get_logger(__name__)


def _stale_weights(present: Collection[str], written: Collection[str], variant: str | None = None) -> list[str]:
    """Weights of an earlier save in another number of files, which a loader could take for those of this one."""
    suffix = f".{variant}" if variant else ""
    whole = {f"model{suffix}.safetensors", f"model.safetensors.index{suffix}.json"}
    shard = re.compile(re.escape(f"model{suffix}") + r"-\d{5}-of-\d{5}\.safetensors")
    return [name for name in present if name not in written and (name in whole or shard.fullmatch(name))]


def refuse_local_backbone(backbone: str | None):
    """
    Raises:
        ValueError: If the backbone is a folder on this machine.
    """
    if backbone and (os.path.isabs(backbone) or os.path.isdir(backbone)):
        raise ValueError(
            f"The backbone is a folder on this machine, {backbone}, which nobody else has. Name the repository that holds the "
            "same weights with `backbone=<Hub id>` (`--backbone ID`), or put them into the checkpoint with "
            "`include_backbone=True` (`--include_backbone`)."
        )


# httpx's base class of all that can go wrong with a request, by whichever name the client imports httpx.
_RequestError = HfHubHTTPError.__bases__[0]


@contextlib.contextmanager
def explain_interruption(repo_id: str) -> Iterator[None]:
    """
    Says what to do where the Hub answers with a server error or not at all. Its refusals (a wrong token, no write access, …)
    pass as they are: the client's own words are clear.

    Raises:
        ConnectionError: Instead of what the client raises for such an interruption.
    """
    try:
        yield
    except Exception as error:
        causes = [error]
        while causes[-1].__cause__ is not None:
            causes.append(causes[-1].__cause__)
        refused = any(isinstance(cause, HfHubHTTPError) and cause.response.status_code < 500 for cause in causes)
        if refused or not any(isinstance(cause, (_RequestError, ConnectionError, TimeoutError)) for cause in causes):
            raise
        reason = next(cause for cause in reversed(causes) if str(cause))
        raise ConnectionError(
            f"Publishing to `{repo_id}` was interrupted: {reason}\n"
            "The repository holds either all of this commit or nothing of it, and your files are as they were. Run the same "
            "again when the Hub can be reached; what has arrived already is not sent twice."
        ) from error


def open_repository(
    api: HfApi, repo_id: str, private: bool | None = None, revision: str | None = None, create_pr: bool | None = None
) -> tuple[str, list[str]]:
    """
    Makes a model's repository and its branch `revision` where they do not exist.

    Args:
        api (`HfApi`):
            The client.
        repo_id (`str`):
            `namespace/name`, or a name in one's own namespace.
        private (`bool`, *optional*):
            Whether a new repository is private.
        revision (`str`, *optional*):
            Branch, or pull request (`refs/pr/…`), to commit to.
        create_pr (`bool`, *optional*):
            Whether the commit is to become a new pull request.

    Returns:
        `tuple[str, list[str]]`: The full id, and the files that are there.

    Raises:
        ValueError: If both `revision` and `create_pr` are given, or `private=True` and the repository is public.
    """
    if create_pr and revision not in (None, "main"):
        raise ValueError(
            f'`create_pr=True` proposes a commit to "main", so it does not go with `revision="{revision}"`. Give one of them.'
        )
    repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
    if private and not api.model_info(repo_id).private:
        raise ValueError(
            f"`{repo_id}` is there already, and public, so `private=True` would not be kept. Make it private in its settings, "
            "or take another name."
        )
    if revision not in (None, "main") and not revision.startswith("refs/pr/"):
        api.create_branch(repo_id, branch=revision, exist_ok=True)
    return repo_id, api.list_repo_files(repo_id, revision=revision)


def commit_files(
    api: HfApi,
    repo_id: str,
    files: dict[str, str | os.PathLike],
    present: Collection[str],
    commit_message: str,
    commit_description: str | None = None,
    revision: str | None = None,
    create_pr: bool | None = None,
    variant: str | None = None,
) -> CommitInfo:
    """
    Puts files into a repository in one commit, and takes weights of an earlier one in another number of files out.

    Args:
        api (`HfApi`), repo_id (`str`), revision (`str`, *optional*), create_pr (`bool`, *optional*):
            As in [`open_repository`].
        files (`dict[str, str]`):
            Where they lie on this machine, by their path in the repository.
        present (`Collection[str]`):
            What is in the repository.
        commit_message (`str`), commit_description (`str`, *optional*):
            Of the commit.
        variant (`str`, *optional*):
            Of the weights; those of other variants stay.

    Returns:
        `CommitInfo`: The commit, or the last one where nothing has changed.
    """
    operations = [CommitOperationAdd(name, os.fspath(path)) for name, path in files.items()]
    operations += [CommitOperationDelete(name) for name in _stale_weights(present, files, variant)]
    return api.create_commit(
        repo_id,
        operations,
        commit_message=commit_message,
        commit_description=commit_description,
        revision=revision,
        create_pr=create_pr,
    )


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
        backbone = Backbone.read(backbone, **download_kwargs)
        vision_config = backbone.read_vision_config(**download_kwargs)
        config_kwargs.setdefault("projection_dim", vision_config.projection_dim)
        config = cls.config_class(vision_config=vision_config, backbone=backbone.name_or_path, **config_kwargs)
        tensors = backbone.vision_weights(config.vision_config)
        options = {} if attn_implementation is None else {"attn_implementation": attn_implementation}
        dtype = torch.float32 if dtype in (None, "auto") else dtype
        model = cls._from_config(config, dtype=dtype, **options)
        model.base_model.spatial_encoder.load_state_dict(tensors)
        model._remember_backbone(tensors, backbone.name_or_path, backbone.commit_hash, fingerprint_weights(tensors))
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
        backbone_tensors = select_backbone(tensors)
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
        missing = sorted(name for name in info["missing_keys"] if not cls._may_be_missing(name))
        if missing:
            raise ValueError(
                f"{path} lacks {len(missing)} of the weights that its configuration asks for: {shorten(missing)}."
            )
        model.name_or_path = model.config.name_or_path = path
        model._remember_backbone(backbone_tensors, backbone, commit_hash, fingerprint)
        model.base_model._backbone_came_along = came_along
        model._mark_tunable()
        return (model, info) if wants_info else model

    @classmethod
    def _may_be_missing(cls, name: str) -> bool:
        """Whether a checkpoint may lack that weight, which is new then."""
        return name.startswith(cls.head_prefix)

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
            backbone = Backbone.read(config.backbone, revision=revision, **download_kwargs)
        except OSError as error:
            raise OSError(
                f"The backbone's weights could not be loaded from `{config.backbone}` (revision {revision or 'main'}). "
                "If they lie elsewhere, pass `backbone=<folder or Hub id>`, with `backbone_revision` if it is another "
                f"repository. The cause: {error}"
            ) from error
        tensors = backbone.vision_weights(config.vision_config)
        fingerprint = fingerprint_weights(tensors)
        if config.backbone_fingerprint not in (None, fingerprint):
            raise ValueError(
                f"The backbone `{config.backbone}` is not the one that {path} was trained on: the fingerprint of its "
                f"weights is {fingerprint}, and the configuration has {config.backbone_fingerprint} (revision "
                f"{config.backbone_revision}). Pass `backbone=<folder or Hub id>` of the right one."
            )
        return tensors, backbone.commit_hash or revision, fingerprint

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
                Whether to publish on the Hub as well, to `repo_id` (by default the folder's name), as
                [`~FrozenBackboneModel.push_to_hub`] does, whose other options can be given too.
            include_backbone (`bool`, *optional*):
                Whether to save the backbone too. By default it is left out where it is frozen and its weights are those
                of `config.backbone`, and saved where they can be had nowhere else (random or fine-tuned ones) or came
                with the checkpoint that the model was loaded from.
            kwargs:
                What else `PreTrainedModel.save_pretrained` takes (`max_shard_size`, `variant`, `token`, …).

        Returns:
            With `push_to_hub`, what [`~FrozenBackboneModel.push_to_hub`] returns.

        Raises:
            OSError: If the files cannot be written.
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

        asked_to_include = include_backbone
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
        publishing_kwargs = {}
        if push_to_hub:
            names = ("max_shard_size", "variant", "save_original_format", "save_peft_format")
            publishing_kwargs = {name: value for name, value in kwargs.items() if name not in names}
            publishing_kwargs["include_backbone"] = asked_to_include
            kwargs = {name: value for name, value in kwargs.items() if name in names}
            if not include_backbone and not publishing_kwargs.get("backbone"):
                refuse_local_backbone(backbone)

        os.makedirs(save_directory, exist_ok=True)
        aside = tempfile.mkdtemp(prefix=".saving-", dir=save_directory)
        fingerprint = self.config.backbone_fingerprint
        try:
            # What the base class leaves out of what it writes.
            self._keys_to_ignore_on_save = set() if include_backbone else set(filter(in_backbone, state_dict))
            if not is_unchanged:
                self.config.backbone_fingerprint = None
            super().save_pretrained(aside, is_main_process=is_main_process, state_dict=state_dict, **kwargs)
            written = sorted(os.listdir(aside), key=CONFIG_NAME.__eq__)
            for name in written:
                path = os.path.join(aside, name)
                if name.endswith(".safetensors") and CONFIG_NAME in written:
                    shutil.copymode(os.path.join(aside, CONFIG_NAME), path)  # safetensors lets nobody else read it
                os.replace(path, os.path.join(save_directory, name))
        except BaseException as error:
            self.config.backbone_fingerprint = fingerprint
            # safetensors has an error of its own for files that cannot be written.
            if isinstance(error, OSError) or type(error).__name__ == "SafetensorError":
                raise OSError(
                    f"Saving to {save_directory} failed: {error}. The folder is as it was. Make room or save elsewhere, and "
                    "save again."
                ) from error
            raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)
            self._leave_frozen_out_of_saves()
        if is_main_process and written:  # of several processes only the first has written anything
            for name in _stale_weights(os.listdir(save_directory), written, kwargs.get("variant")):
                os.remove(os.path.join(save_directory, name))
            if push_to_hub:
                repo_id = publishing_kwargs.pop("repo_id", None) or os.path.basename(os.path.abspath(save_directory))
                return self._publish(
                    save_directory, written, repo_id, variant=kwargs.get("variant"), **publishing_kwargs
                )

    def push_to_hub(
        self,
        repo_id: str,
        *,
        commit_message: str | None = None,
        commit_description: str | None = None,
        private: bool | None = None,
        token: bool | str | None = None,
        revision: str | None = None,
        create_pr: bool = False,
        max_shard_size: int | str = "50GB",
        tags: list[str] | None = None,
        include_backbone: bool | None = None,
        **publishing_kwargs,
    ) -> CommitInfo:
        """
        Publishes the model on the Hub in one commit: the tunable weights, the head, the configuration, the video processor,
        the code for people without this package, and a model card.

        Args:
            repo_id (`str`):
                `namespace/name` (yourself or an organization), or a name in your own namespace. Made if it does not exist.
            commit_message, commit_description (`str`, *optional*):
                Of the commit.
            private (`bool`, *optional*):
                Whether a new repository is private.
            token (`bool` or `str`, *optional*):
                Instead of the one that `hf auth login` has stored.
            revision (`str`, *optional*):
                Branch to commit to, made if it does not exist.
            create_pr (`bool`, defaults to `False`):
                Whether to propose the commit as a pull request.
            max_shard_size (`int` or `str`, defaults to `"50GB"`):
                Of one file of weights.
            tags (`list[str]`, *optional*):
                For the model card.
            include_backbone (`bool`, *optional*):
                As in [`~FrozenBackboneModel.save_pretrained`].
            publishing_kwargs:
                What else `modeling_dist.hub.publish` takes: `backbone` (the Hub id of a backbone that lies in a folder here),
                `backbone_revision`, `processor`, `metrics`, `authors_metrics`, `paper_checkpoint`, `training_settings`,
                `license`, `dry_run`. A model that was loaded as remote code
                takes none of these: it has no more than its own files at hand, and uploads weights, configuration and code.

        Returns:
            `CommitInfo`: The commit.

        Raises:
            ValueError: If the backbone is a folder on this machine, or its weights would be lost.
            ConnectionError: If the Hub fails in the middle. Nothing is half done, and the same can be run again.
            huggingface_hub.errors.HfHubHTTPError: If the Hub refuses.
        """
        if getattr(self, "_hf_peft_config_loaded", False):
            # Adapters alone are pushed, to files of their own.
            commit = {
                "commit_message": commit_message,
                "commit_description": commit_description,
                "create_pr": create_pr,
            }
            return super().push_to_hub(
                repo_id, private=private, token=token, revision=revision, tags=tags, **commit, **publishing_kwargs
            )
        publishing_kwargs |= {
            "commit_message": commit_message,
            "commit_description": commit_description,
            "private": private,
            "token": token,
            "revision": revision,
            "create_pr": create_pr,
            "tags": [*(self.model_tags or []), *([tags] if isinstance(tags, str) else tags or [])],
        }
        with tempfile.TemporaryDirectory() as folder:
            return self.save_pretrained(
                folder,
                push_to_hub=True,
                repo_id=repo_id,
                include_backbone=include_backbone,
                max_shard_size=max_shard_size,
                **publishing_kwargs,
            )

    def _publish(
        self, folder: str, names: list[str], repo_id: str, variant: str | None = None, **kwargs
    ) -> CommitInfo:
        """Publishes what was just saved to a folder."""
        # The module is no part of the remote code: it lies beside this one in the package alone.
        if importlib.util.find_spec(".hub", __package__) is not None:
            publish = importlib.import_module(".hub", __package__).publish
            # Metrics that lie in the folder are of what was there before.
            kwargs = {"metrics": {}, "training_settings": {}, "origin": self.name_or_path, **kwargs}
            return publish(folder, repo_id, variant=variant, **kwargs)

        for name in ("tags", "include_backbone"):  # for the card that there is not, and done already
            kwargs.pop(name, None)
        destination = {name: kwargs.pop(name, None) for name in ("revision", "create_pr")}
        message = {name: kwargs.pop(name, None) for name in ("commit_message", "commit_description")}
        message["commit_message"] = message["commit_message"] or f"Upload {type(self).__name__}"
        api, private = HfApi(token=kwargs.pop("token", None)), kwargs.pop("private", None)
        if kwargs:
            raise ValueError(
                f"{', '.join(sorted(kwargs))}: this needs the package modeling_dist, and the model was loaded as remote "
                "code. Install the package, and load the model without `trust_remote_code`."
            )
        with explain_interruption(repo_id):
            repo_id, present = open_repository(api, repo_id, private, **destination)
            files = {name: os.path.join(folder, name) for name in names}
            return commit_files(api, repo_id, files, present, variant=variant, **message, **destination)

    def _backbone_is_unchanged(self, state_dict: dict[str, torch.Tensor]) -> bool:
        """Whether the backbone's weights are those that `config.backbone` holds, up to the precision."""
        loaded_sample = self.base_model._loaded_backbone_sample
        if loaded_sample is None or not self.config.backbone or not self.config.backbone_fingerprint:
            return False
        if os.path.isabs(self.config.backbone) and not os.path.isdir(self.config.backbone):
            return False  # a folder that is gone
        tensors = select_backbone(state_dict)
        if not tensors or any(tensor.is_meta for tensor in tensors.values()):
            # A state dict of the tunable weights alone, or weights offloaded out of reach of training.
            return True
        return same_samples(sample_weights(tensors), loaded_sample)


__all__ = ["FrozenBackboneModel"]
