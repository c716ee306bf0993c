# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""
Training on one page, to copy and change: an Accelerate loop around the package's model, data and processor.

    python examples/minimal_training.py --dataset videos/ --output_dir my-dist
    accelerate launch --mixed_precision bf16 examples/minimal_training.py --dataset videos/ --output_dir my-dist

`modeling-dist train` adds what a long run needs: resuming, the paper's recipes, mixup, reports.
"""

import argparse
import json
from itertools import islice

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed

from modeling_dist import DiSTForVideoClassification, DiSTVideoProcessor
from modeling_dist.data import (
    ClipAugmentation,
    TrainingBatchSampler,
    TrainingClips,
    VideoLoader,
    collate_clips,
    load_train_and_validation,
)
from modeling_dist.evaluation import predict_videos, top_k_accuracy
from modeling_dist.training.optimization import cosine_schedule, parameter_groups


def main(arguments: list[str] | None = None) -> list[tuple[float, float]]:
    """Train a model, save it, and return the loss and the validation accuracy of each epoch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True, help="folder with one subfolder per class, or a list of videos")
    parser.add_argument("--output_dir", required=True, help="folder for the model and its processor")
    parser.add_argument("--backbone", default="openai/clip-vit-base-patch16", help="Hub id or folder of a CLIP")
    parser.add_argument("--config", type=json.loads, default={}, help="values of DiSTConfig: '{\"num_frames\": 8}'")
    parser.add_argument("--num_epochs", type=int, default=10)
    parser.add_argument("--batch_size", type=int, default=8, help="number of clips in a batch of one process")
    parser.add_argument("--learning_rate", type=float, default=1e-4)
    parser.add_argument("--num_workers", type=int, default=4, help="number of processes that decode videos")
    args = parser.parse_args(arguments)
    # Without `cpu`, several processes on a machine that has no GPU would not know of each other.
    accelerator = Accelerator(cpu=not torch.accelerator.is_available())
    set_seed(0)

    train_videos, validation_videos = load_train_and_validation(args.dataset)
    class_names = train_videos.features["label"].names
    model = DiSTForVideoClassification.from_backbone(args.backbone, class_names=class_names, **args.config)
    size = model.config.vision_config.image_size
    processor = DiSTVideoProcessor(num_frames=model.config.num_frames, size=size, crop_size=size)

    # A flip turns left into right: set flip_probability=0 if that changes a class.
    augmentation = ClipAugmentation(size, processor.image_mean, processor.image_std)
    clips = TrainingClips(train_videos, processor, augmentation)
    num_updates = len(clips) // (args.batch_size * accelerator.num_processes)  # per epoch
    processes = (accelerator.num_processes, accelerator.process_index)
    sampler = TrainingBatchSampler(len(clips), args.batch_size, num_updates, *processes)
    batches = iter(VideoLoader(clips, sampler, collate_clips, args.num_workers))  # one epoch after the other

    optimizer = torch.optim.AdamW(parameter_groups(model, weight_decay=1e-4), lr=args.learning_rate)
    scheduler = cosine_schedule(optimizer, num_updates, args.num_epochs, warmup_epochs=args.num_epochs / 6)
    model, optimizer = accelerator.prepare(model, optimizer)

    history = []
    model.train()
    for epoch in range(args.num_epochs):
        total_loss = torch.zeros((), device=accelerator.device)
        for batch in islice(batches, num_updates):
            inputs = {name: batch[name].to(accelerator.device) for name in ("pixel_values_videos", "labels")}
            loss = model(**inputs).loss
            accelerator.backward(loss)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
            total_loss += loss.detach()

        predictions = predict_videos(model, validation_videos, processor, accelerator, num_workers=args.num_workers)
        accuracy = top_k_accuracy(predictions.probabilities, validation_videos["label"][:])["top1"]
        mean_loss = accelerator.reduce(total_loss, "mean").item() / num_updates
        accelerator.print(f"epoch {epoch + 1}: loss {mean_loss:.3f}, accuracy {accuracy:.1%}")
        history.append((mean_loss, accuracy))

    if accelerator.is_main_process:
        accelerator.unwrap_model(model).save_pretrained(args.output_dir)
        processor.save_pretrained(args.output_dir)
    accelerator.end_training()
    return history


if __name__ == "__main__":
    main()
