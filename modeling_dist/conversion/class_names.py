# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""The class names of a checkpoint: as token ids, and as embeddings made by its own text tower."""

import os
from typing import Any

import torch
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModelWithProjection
from transformers.utils import logging

from ..checkpoint_dist import Backbone
from ..files import read_json
from ..text_head_dist import clean_class_names, load_tokenizer
from .names import convert_text_tower


def _check_token_ids(token_ids: torch.Tensor, text_config: CLIPTextConfig, what: str) -> torch.Tensor:
    if token_ids.min() < 0 or token_ids.max() >= text_config.vocab_size:
        raise ValueError(
            f"{what} must lie from 0 to {text_config.vocab_size - 1}, the text tower's vocabulary; got "
            f"{token_ids.min().item()} to {token_ids.max().item()}."
        )
    # Tokens after the end of the longest text have no effect.
    token_ids = token_ids[:, : token_ids.argmax(dim=-1).max() + 1]
    if token_ids.shape[1] > text_config.max_position_embeddings:
        longest = token_ids.argmax(dim=-1).argmax().item()
        raise ValueError(
            f"A class name may have {text_config.max_position_embeddings} tokens, and that of label {longest} has "
            f"{token_ids.shape[1]}."
        )
    return token_ids


def _read_token_ids(class_token_ids, text_config: CLIPTextConfig) -> torch.Tensor:
    if isinstance(class_token_ids, (str, os.PathLike)):
        class_token_ids = read_json(class_token_ids)
    rows = [torch.as_tensor(row) for row in class_token_ids]
    if not rows or not all(row.ndim == 1 and len(row) and not row.is_floating_point() for row in rows):
        raise ValueError("`class_token_ids` must be one sequence of token ids per class.")
    # The padding comes after a text's largest id, where the text ends.
    token_ids = nn.utils.rnn.pad_sequence([row.long() for row in rows], batch_first=True)
    return _check_token_ids(token_ids, text_config, "`class_token_ids`")


def _tokenize(class_names: list[str], tokenizer, text_config: CLIPTextConfig, download_kwargs: dict) -> torch.Tensor:
    if isinstance(tokenizer, (str, os.PathLike)):
        name_or_path = tokenizer
        try:
            tokenizer = load_tokenizer(name_or_path, **download_kwargs)
        except Exception as error:  # the tokenizers library has no common class for its errors
            raise OSError(
                f"CLIP's tokenizer cannot be loaded from {name_or_path}. Give a folder with `vocab.json` and `merges.txt`, or "
                f"a Hub id, as `tokenizer`; or the names' token ids as `class_token_ids`. ({error})"
            ) from error
        if len(tokenizer) != text_config.vocab_size:
            raise ValueError(
                f"{name_or_path} holds the tokenizer of another model: it is of {len(tokenizer)} tokens, and the text tower's "
                f"is of {text_config.vocab_size}. Give the text tower's as `tokenizer`, or the names' `class_token_ids`."
            )
    token_ids = tokenizer(clean_class_names(class_names), padding=True, return_tensors="pt")["input_ids"]
    return _check_token_ids(token_ids, text_config, "The token ids that the tokenizer gives")


def find_token_ids(
    class_names: list[str] | None,
    class_token_ids,
    tokenizer,
    backbone: Backbone | None,
    why_no_backbone: str,
    text_config: CLIPTextConfig,
    download_kwargs: dict[str, Any],
) -> torch.Tensor:
    """Return the class names' token ids: those given, or those of the given tokenizer, or else of the backbone's."""
    if class_token_ids is not None:
        return _read_token_ids(class_token_ids, text_config)
    if tokenizer is not None:  # another repository has other revisions
        download_kwargs = {name: value for name, value in download_kwargs.items() if name != "revision"}
    elif backbone is not None:
        tokenizer = backbone.name_or_path
    else:
        raise ValueError(
            f"The class names need CLIP's tokenizer, and there is no backbone to take it from: {why_no_backbone}. Give its "
            "folder or Hub id as `tokenizer`, or the names' `class_token_ids`."
        )
    return _tokenize(class_names, tokenizer, text_config, download_kwargs)


@torch.no_grad()
def embed_classes(
    tensors: dict[str, torch.Tensor], text_config: CLIPTextConfig, token_ids: torch.Tensor
) -> torch.Tensor:
    """Return the class names' embeddings `(num_labels, projection_dim)` by the checkpoint's text tower."""
    text_model = CLIPTextModelWithProjection(text_config).eval()
    text_model.load_state_dict(convert_text_tower(tensors))
    batches = logging.tqdm(token_ids.split(64), desc="Embedding the classes", unit="batch")
    return torch.cat([text_model(input_ids=batch).text_embeds for batch in batches])
