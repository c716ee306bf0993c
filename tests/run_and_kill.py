"""Trains, and kills its own process without warning in the middle: `run_and_kill.py WHEN [options of the training]`.

WHEN is `update:N`, before the N-th update of the weights, or `save:N`, in the middle of writing the N-th file with
`torch.save`, of which half is then on disk.
"""

import logging
import os
import signal
import sys

import torch

from modeling_dist.training import train
from modeling_dist.training.settings import parse_settings


def kill_at(when: str):
    kind, count = when.split(":")
    left = [int(count)]

    def is_due() -> bool:
        left[0] -= 1
        return left[0] == 0

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    save, step = torch.save, torch.optim.AdamW.step

    def killing_save(content, path, *args, **kwargs):
        save(content, path, *args, **kwargs)
        if is_due():
            os.truncate(path, os.path.getsize(path) // 2)
            die()

    def killing_step(self, *args, **kwargs):
        if is_due():
            die()
        return step(self, *args, **kwargs)

    if kind == "save":
        torch.save = killing_save
    else:
        torch.optim.AdamW.step = killing_step


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    kill_at(sys.argv[1])
    train(parse_settings(sys.argv[2:]))
