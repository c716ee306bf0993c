"""Runs a script as its own process would, and kills it without warning in the middle: `run_and_kill.py WHEN script.py …`.

WHEN is `update:N`, before the N-th update of the weights, or `save:N`, in the middle of writing the N-th file with
`torch.save`, of which half is then on disk.
"""

import os
import runpy
import signal
import sys

import torch


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
    when, *sys.argv = sys.argv[1:]
    kill_at(when)
    runpy.run_path(sys.argv[0], run_name="__main__")
