"""What the tests run in two processes on a CPU: `accelerate launch two_processes.py OUTPUT RECIPE CLIP`.

OUTPUT gets `sharded/`, of a model sharded by FSDP2, with a checkpoint in the middle and the weights at the end, of the run that went
on itself (whole.safetensors) and of one that went on from the checkpoint (resumed.safetensors); and `two/`, of a training of
the settings in RECIPE, whose log is `two.log`, which has then been resumed from its checkpoint; before.safetensors has the
weights that it had ended with.
"""

import logging
import shutil
import sys
from pathlib import Path

import torch
from accelerate import Accelerator, PartialState
from safetensors.torch import save_file
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from modeling_dist import DiSTForVideoClassification
from modeling_dist.testing import tiny_config_kwargs
from modeling_dist.training import train
from modeling_dist.training.checkpoint import TrainingState, load_checkpoint, save_checkpoint, tunable_state_dict
from modeling_dist.training.optimization import cosine_schedule, parameter_groups
from modeling_dist.training.settings import parse_settings


class ShardedRun:
    def __init__(self, clip: str, accelerator: Accelerator):
        torch.manual_seed(0)
        self.accelerator = accelerator
        self.model = DiSTForVideoClassification.from_backbone(
            clip, class_names=["left", "right"], **tiny_config_kwargs()
        ).train()
        mesh = init_device_mesh("cpu", (accelerator.num_processes,))
        dist = self.model.dist
        for module in (*dist.layers, *dist.spatial_encoder.encoder.layers, dist.pooling, self.model):
            fully_shard(module, mesh=mesh)
        self.optimizer = accelerator.prepare(torch.optim.AdamW(parameter_groups(self.model, 1e-4), lr=1e-3))
        self.scheduler = cosine_schedule(self.optimizer.optimizer, steps_per_epoch=2, num_epochs=3, warmup_epochs=1)

    def parts(self):
        return self.accelerator, self.model, self.optimizer, self.scheduler

    def train(self, begin: int, end: int):
        for step in range(begin, end):
            torch.manual_seed(step)
            videos, labels = torch.randn(2, 8, 3, 32, 32), torch.tensor([0, 1])
            own = slice(self.accelerator.process_index, None, self.accelerator.num_processes)
            self.model(pixel_values_videos=videos[own], labels=labels[own]).loss.backward()
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.scheduler.step()

    def save_weights(self, path: Path):
        weights = tunable_state_dict(self.accelerator, self.model)
        if self.accelerator.is_main_process:
            save_file(weights, path)


def run_sharded(clip: str, output: Path):
    accelerator = Accelerator(cpu=True)
    whole = ShardedRun(clip, accelerator)
    whole.train(0, 3)
    checkpoint = save_checkpoint(output, *whole.parts(), TrainingState(step=3), run={})
    whole.train(3, 6)
    whole.save_weights(output / "whole.safetensors")
    resumed = ShardedRun(clip, accelerator)
    load_checkpoint(checkpoint, *resumed.parts())
    resumed.train(3, 6)
    resumed.save_weights(output / "resumed.safetensors")


def run_training(recipe: str, output: Path):
    logger = logging.getLogger("modeling_dist")
    logger.setLevel(logging.INFO)
    is_main_process = PartialState().is_main_process
    if is_main_process:
        logger.addHandler(logging.FileHandler(output / "two.log"))
    folder = output / "two"
    settings = [
        "--recipe",
        recipe,
        "--output_dir",
        str(folder),
        "--per_device_train_batch_size",
        "2",
        "--eval_every",
        "0",
    ]
    train(parse_settings(settings))
    if is_main_process:
        shutil.copyfile(folder / "model.safetensors", folder / "before.safetensors")
    train(parse_settings([*settings, "--resume_from_checkpoint", str(folder / "checkpoint-8")]))


if __name__ == "__main__":
    output, recipe, clip = sys.argv[1:]
    run_sharded(clip, Path(output) / "sharded")
    run_training(recipe, Path(output))
    PartialState().destroy_process_group()
