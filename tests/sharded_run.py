"""A training of a model that is sharded over two processes (FSDP2, on a CPU), with a checkpoint in the middle.

`torchrun --nproc_per_node 2 sharded_run.py CLIP OUTPUT` leaves the checkpoint there, and the weights that the run ends with, as
it went on itself (whole.safetensors) and as it went on from the checkpoint (resumed.safetensors).
"""

import sys
from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors.torch import save_file
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from modeling_dist import DiSTForVideoClassification
from modeling_dist.testing import tiny_config_kwargs
from modeling_dist.training.checkpoint import load_checkpoint, save_checkpoint, tunable_state_dict
from modeling_dist.training.optimization import cosine_schedule, parameter_groups


class Run:
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


def main(clip: str, output: str):
    accelerator = Accelerator(cpu=True)
    whole = Run(clip, accelerator)
    whole.train(0, 3)
    checkpoint = save_checkpoint(output, 3, *whole.parts(), state={"step": 3})
    whole.train(3, 6)
    whole.save_weights(Path(output) / "whole.safetensors")
    resumed = Run(clip, accelerator)
    load_checkpoint(checkpoint, *resumed.parts())
    resumed.train(3, 6)
    resumed.save_weights(Path(output) / "resumed.safetensors")
    accelerator.end_training()


if __name__ == "__main__":
    main(*sys.argv[1:])
