# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Tiny models and generated videos, for the demo, the tests and experiments without downloads."""

import os

import numpy as np
import torch
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode


def make_tiny_clip(folder: str | os.PathLike, seed: int = 0, **vision_kwargs) -> str:
    """
    Write a CLIP with random weights and a tokenizer of single letters to a folder, laid out like a CLIP repository, and
    return the folder. `vision_kwargs` are values of `CLIPVisionConfig`, by default 3 layers of width 64, images of 32
    pixels and patches of 8. The state of torch's global generator does not change.
    """
    letters = list(bytes_to_unicode().values())
    vocabulary = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    tokenizer = CLIPTokenizer(vocab={token: index for index, token in enumerate(vocabulary)}, merges=[])
    tokenizer.save_pretrained(folder)
    tokenizer.backend_tokenizer.model.save(os.fspath(folder))  # `vocab.json` and `merges.txt`

    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    tokens = {"bos_token_id": len(vocabulary) - 2, "eos_token_id": len(vocabulary) - 1}
    text = {**sizes, **tokens, "pad_token_id": tokens["eos_token_id"], "vocab_size": len(vocabulary)}
    vision = sizes | {"num_hidden_layers": 3, "image_size": 32, "patch_size": 8, "projection_dim": 48} | vision_kwargs
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=vision["projection_dim"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        CLIPModel(config).save_pretrained(folder)
    return os.fspath(folder)


def tiny_config_kwargs() -> dict:
    """Return values of `DiSTConfig` for a tiny model on [`make_tiny_clip`]."""
    return {"num_frames": 8, "integration_dim": 64, "temporal_dim": 16, "num_pooling_layers": 2}


def write_video(
    path: str | os.PathLike, frames: np.ndarray, fps: int = 25, options: dict[str, str] | None = None
) -> str:
    """
    Write uint8 RGB frames (frames, height, width, 3) of even height and width to a video file, encoded as H.264, and
    return its path. The container format follows from the extension. `options` are those of libx264 in FFmpeg.
    """
    import av

    with av.open(os.fspath(path), mode="w") as container:
        stream = container.add_stream("libx264", rate=fps, options=options or {})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())
    return os.fspath(path)


def moving_square(num_frames: int = 40, height: int = 48, width: int = 64) -> np.ndarray:
    """Return a video of a bright square that crosses a dark frame from left to right: `(num_frames, height, width, 3)`, uint8."""
    frames = np.full((num_frames, height, width, 3), 24, dtype=np.uint8)
    edge = height // 3
    for index, frame in enumerate(frames):
        left = round(index * (width - edge) / max(num_frames - 1, 1))
        frame[edge : 2 * edge, left : left + edge] = (230, 160, 40)
    return frames
