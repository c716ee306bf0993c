# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""A client of the loopback Hub, in processes of its own."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from .server import LoopbackHub


# Reads one request per line, and forks a child for it that has everything imported already.
FORK_SERVER = """
import json, os, sys, traceback
import huggingface_hub, torch, torchvision
import transformers, transformers.models.auto, transformers.models.clip.modeling_clip, transformers.pipelines
import transformers.trainer, transformers.video_processing_utils

def become(request):
    os.chdir(request["folder"])
    os.environ.update(request["environment"])
    sys.path[:0] = request["path"]
    sys.argv = request["argv"]
    for stream, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    try:
        exec(compile(request["code"], "<test>", "exec"), {"__name__": "__main__"})
        status = 0
    except SystemExit as exit:
        status = exit.code if isinstance(exit.code, int) else 0 if exit.code is None else 1
        if isinstance(exit.code, str):
            print(exit.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)

print("ready", flush=True)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        become(json.loads(line))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
os._exit(0)
"""


class HubClient:
    """
    Runs code in new processes whose Hub is a [`LoopbackHub`]; a context manager. The processes are forked from one that has
    imported transformers and the Hub's client, but not this package, so that they do not wait for these imports.

    Args:
        hub (`LoopbackHub`):
            The server.
        home (`str` or `Path`):
            Folder in which the processes run and keep their cache.
    """

    def __init__(self, hub: LoopbackHub, home: str | Path):
        self.hub, self.home = hub, Path(home)
        self.cache = self.home / "huggingface"

    def __enter__(self) -> "HubClient":
        # The caches and tokens of the user who runs the tests are not used.
        foreign = ("HF_", "HUGGINGFACE_", "PYTHONPATH", "TRANSFORMERS_", "XDG_CACHE_HOME")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        environment = {**inherited, **self.hub.environment(self.cache), "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", FORK_SERVER],
            cwd=self.home,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def run(
        self,
        code: str,
        *argv: str | Path,
        path: Iterable[str | Path] = (),
        token: str | None = None,
        keep_cache: bool = False,
        **environment: str,
    ) -> subprocess.CompletedProcess:
        """
        Run code in a new process, with an empty cache unless `keep_cache` is given.

        Args:
            code (`str`):
                The code, whose `sys.argv[1:]` is `argv`.
            path (`Iterable[str]`, *optional*):
                Folders to import from.
            token (`str`, *optional*):
                Token of the user whose process it is.
            keep_cache (`bool`, defaults to `False`):
                Whether the process finds the files that earlier ones have downloaded.
            environment (`str`):
                Further environment variables.
        """
        if not keep_cache:
            shutil.rmtree(self.cache, ignore_errors=True)
        output = {name: str(self.home / name) for name in ("stdout", "stderr")}
        request = {
            "code": code,
            "argv": ["-c", *map(str, argv)],
            "path": [str(folder) for folder in path],
            "folder": str(self.home),
            "environment": {"HF_TOKEN": token or "", **environment},
            **output,
        }
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        returncode = int(self._process.stdout.readline())
        texts = [Path(file).read_text(encoding="utf-8", errors="replace") for file in output.values()]
        return subprocess.CompletedProcess(request["argv"], returncode, *texts)
