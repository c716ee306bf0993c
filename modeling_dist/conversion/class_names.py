# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""The class names of a checkpoint, as token ids and as embeddings of its own text tower."""

import json
import os
from pathlib import Path

import torch
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer
from transformers.utils import logging

from .backbone import Backbone
from .names import convert_text_tower


def _parse_json(text: str, path: str | os.PathLike):
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is no JSON file: {error}.") from error


def _read_token_ids(class_token_ids, text_config: CLIPTextConfig) -> torch.Tensor:
    if isinstance(class_token_ids, (str, os.PathLike)):
        class_token_ids = _parse_json(Path(class_token_ids).read_text(encoding="utf-8"), class_token_ids)
    rows = [torch.as_tensor(row) for row in class_token_ids]
    if not rows or not all(row.ndim == 1 and len(row) and not row.is_floating_point() for row in rows):
        raise ValueError("`class_token_ids` must be one sequence of token ids per class.")
    # The padding comes after a text's largest id, at which it ends.
    token_ids = nn.utils.rnn.pad_sequence([row.long() for row in rows], batch_first=True)
    return _check_token_ids(token_ids, text_config, "`class_token_ids`")


def _check_token_ids(token_ids: torch.Tensor, text_config: CLIPTextConfig, what: str) -> torch.Tensor:
    if token_ids.min() < 0 or token_ids.max() >= text_config.vocab_size:
        raise ValueError(
            f"{what} must lie from 0 to {text_config.vocab_size - 1}, the text tower's vocabulary; got "
            f"{token_ids.min().item()} to {token_ids.max().item()}."
        )
    # What comes after the end of the longest text has no effect on it.
    token_ids = token_ids[:, : token_ids.argmax(dim=-1).max() + 1]
    if token_ids.shape[1] > text_config.max_position_embeddings:
        longest = token_ids.argmax(dim=-1).argmax().item()
        raise ValueError(
            f"A class name may have {text_config.max_position_embeddings} tokens, and that of label {longest} has "
            f"{token_ids.shape[1]}."
        )
    return token_ids


def _tokenize(class_names: list[str], tokenizer, text_config: CLIPTextConfig, download_kwargs: dict) -> torch.Tensor:
    if isinstance(tokenizer, (str, os.PathLike)):
        source = os.fspath(tokenizer)
        what_to_do = (
            "Give a folder with `vocab.json` and `merges.txt`, or a Hub id, as `tokenizer`; or the names' token ids as "
            "`class_token_ids`."
        )
        try:
            tokenizer = CLIPTokenizer.from_pretrained(source, **download_kwargs)
        except Exception as error:  # whatever the tokenizers library finds wrong with a file
            raise OSError(f"CLIP's tokenizer could not be loaded from {source}. {what_to_do} ({error})") from error
        # Where it finds no files, the library makes a tokenizer of two tokens.
        if len(tokenizer) != text_config.vocab_size:
            raise ValueError(
                f"The tokenizer of the checkpoint's text tower is not in {source}, or cannot be reached there: what it has "
                f"is of {len(tokenizer)} tokens, and the text tower's is of {text_config.vocab_size}. {what_to_do}"
            )
    names = [name.strip().strip('"') for name in class_names]
    token_ids = tokenizer(names, padding=True, return_tensors="pt")["input_ids"]
    return _check_token_ids(token_ids, text_config, "The token ids that the tokenizer gives")


@torch.no_grad()
def _embed_classes(
    tensors: dict[str, torch.Tensor], text_config: CLIPTextConfig, token_ids: torch.Tensor
) -> torch.Tensor:
    text_model = CLIPTextModelWithProjection(text_config).eval()
    text_model.load_state_dict(convert_text_tower(tensors))
    batches = logging.tqdm(token_ids.split(64), desc="Embedding the classes", unit="batch")
    return torch.cat([text_model(input_ids=batch).text_embeds for batch in batches])


def _find_token_ids(
    class_names: list[str] | None,
    class_token_ids,
    tokenizer,
    backbone: Backbone | None,
    why_none: str,
    text_config: CLIPTextConfig,
    download_kwargs: dict,
) -> torch.Tensor:
    """Those that were given, or what the tokenizer that was given, or else the backbone's, makes of the names."""
    if class_token_ids is not None:
        return _read_token_ids(class_token_ids, text_config)
    if tokenizer is None and backbone is None:
        raise ValueError(
            f"The class names need CLIP's tokenizer, and there is no backbone to take it from: {why_none}. Give a "
            "folder or Hub id of it as `tokenizer`, or the names' `class_token_ids`."
        )
    if tokenizer is None:
        return _tokenize(class_names, backbone.source, text_config, download_kwargs)
    # another repository has other revisions
    tokenizer_kwargs = {name: value for name, value in download_kwargs.items() if name != "revision"}
    return _tokenize(class_names, tokenizer, text_config, tokenizer_kwargs)
