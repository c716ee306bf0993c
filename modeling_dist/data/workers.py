# Copyright 2026 The modeling_dist authors. Licensed under the Apache License, Version 2.0.
"""Worker processes that survive their videos: one that crashes or hangs in a decoder is replaced, and the video is named.

The loader is PyTorch's. It is started again from the first batch that has not come; what the other workers were decoding is
decoded again, so that the batches are the same as without the incident.
"""

import collections
import contextlib
import faulthandler
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Any

import torch
from torch.utils.data import DataLoader, get_worker_info
from transformers.utils import logging

from ..video_decoding_dist import VideoDecodingError
from ..video_files_dist import VideoLimits


logger = logging.get_logger(__name__)

# A video may have been decoded by chance when the system ran out of memory, and is tried again.
CRASHES_OF_A_VIDEO = 2
# Seconds after which a worker is ended whose video should have been given up long ago.
GRACE = 10.0


class VideoWatch:
    """
    Which video each worker process is decoding, and since when, where the main process can see it; and the videos that are
    not to be decoded again, with the reasons. A dataset has one, and opens each video within it:

        with watch(index, limits): …

    Raises:
        VideoDecodingError: On entering, for a video that has crashed or kept its process twice.
    """

    def __init__(self):
        self.fatal: dict[int, str] = {}
        self._slots: torch.Tensor | None = None  # float64 (workers, 3): process id, index or -1, deadline

    def prepare(self, num_workers: int):
        """Make room for what workers that are started next will say."""
        self._slots = torch.full((num_workers, 3), -1.0, dtype=torch.float64).share_memory_()

    @contextlib.contextmanager
    def __call__(self, index: int, limits: VideoLimits) -> Iterator[None]:
        if index in self.fatal:
            raise VideoDecodingError(self.fatal[index])
        worker = get_worker_info()
        if worker is None or self._slots is None:
            yield
            return
        # Downloading and decoding end by themselves after their time, unless the decoder hangs in a call.
        seconds = 2 * limits.seconds + GRACE
        slot = self._slots[worker.id]
        slot.copy_(torch.tensor([os.getpid(), index, time.monotonic() + seconds], dtype=torch.float64))
        with open(os.devnull, "w") as file:
            # Needs neither Python's lock nor the decoder's cooperation to end the process.
            faulthandler.dump_traceback_later(seconds, exit=True, file=file)
            try:
                yield
            finally:
                faulthandler.cancel_dump_traceback_later()
                slot[1] = -1

    def find(self, processes: list[multiprocessing.Process]) -> dict[int, tuple[str, bool]]:
        """Return what happened to the videos that ended processes were decoding, and whether it took too long."""
        exit_codes = {process.pid: process.exitcode for process in processes}
        found = {}
        for pid, index, deadline in self._slots.tolist():
            if pid in exit_codes and index >= 0:
                is_late = time.monotonic() > deadline
                found[int(index)] = ("it takes too long" if is_late else _describe_end(exit_codes[pid])), is_late
        return found


def _describe_end(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        with contextlib.suppress(ValueError):
            return f"the decoder ended its process ({signal.Signals(-exit_code).name})"
    return f"the decoder ended its process (exit code {exit_code})"


class _WorkerEndedError(Exception):
    """Raised where the main process waits for a batch when a worker has ended."""


class VideoLoader:
    """
    The batches of a dataset that has a [`VideoWatch`], `dataset.watch`, and a method `dataset.name_of(index)` for messages.

    Args:
        dataset (`torch.utils.data.Dataset`):
            Whose items `dataset[key]` are collated.
        batches (`Iterable[list]`):
            The keys of each batch.
        collate (`Callable[[list], Any]`):
            Makes a batch of items.
        num_workers (`int`, defaults to 0):
            Number of worker processes. With 0, this process decodes the videos, and a crash ends it.
    """

    def __init__(self, dataset: Any, batches: Iterable[list], collate: Callable[[list], Any], num_workers: int = 0):
        self.dataset, self.batches, self.collate, self.num_workers = dataset, batches, collate, num_workers

    def __len__(self) -> int:
        if not isinstance(self.batches, Sized):
            raise TypeError("The batches have no end.")
        return len(self.batches)

    def __iter__(self) -> Iterator:
        source = iter(self.batches)
        # Those that workers were told to load, and that have not come yet.
        pending: collections.deque[list] = collections.deque()
        crashes: collections.Counter[int] = collections.Counter()
        while True:
            try:
                for batch in self._load(source, pending):
                    pending.popleft()
                    yield batch
                return
            except _WorkerEndedError as error:
                self._judge(error.args[0], crashes)

    def _load(self, source: Iterator[list], pending: collections.deque) -> Iterator:
        """Yield the pending batches and those after them, until a worker ends."""

        def batches() -> Iterator[list]:
            yield from list(pending)
            for batch in source:
                pending.append(batch)
                yield batch

        loader = DataLoader(
            self.dataset,
            batch_sampler=batches(),
            collate_fn=self.collate,
            num_workers=self.num_workers,
            pin_memory=torch.cuda.is_available(),
            # Otherwise the workers' seeds would come from the global generator, and a run would depend on how often it was
            # resumed.
            generator=torch.Generator(),
        )
        if self.num_workers == 0:
            yield from loader
            return
        self.dataset.watch.prepare(self.num_workers)
        others = set(multiprocessing.active_children())
        # PyTorch's own handler would raise an error wherever this process is by then, such as in a forward pass.
        with _when_a_child_ends(signal.SIG_DFL):
            iterator = iter(loader)
        workers = set(multiprocessing.active_children()) - others

        def raise_if_ended(*args):
            ended = [worker for worker in workers if not worker.is_alive() and worker.exitcode != 0]
            if ended:
                raise _WorkerEndedError(ended)

        while True:
            raise_if_ended()
            try:
                with _when_a_child_ends(raise_if_ended):
                    batch = next(iterator)
            except StopIteration:
                return
            except RuntimeError:  # also PyTorch's, of a worker that has ended
                raise_if_ended()
                raise
            yield batch

    def _judge(self, ended: list[multiprocessing.Process], crashes: collections.Counter):
        """Find the videos that have ended workers, and those of them that are not to be tried again."""
        found = self.dataset.watch.find(ended)
        if not found:
            reasons = ", ".join(sorted({_describe_end(process.exitcode) for process in ended}))
            raise RuntimeError(
                f"A worker process ended while it was decoding no video: {reasons}. The system may have run out of memory or "
                "of shared memory; use fewer workers (--num_workers), or enlarge /dev/shm."
            )
        for index, (reason, is_late) in found.items():
            crashes[index] += 1
            name = self.dataset.name_of(index)
            if is_late or crashes[index] == CRASHES_OF_A_VIDEO:
                self.dataset.watch.fatal[index] = f"The video {name} cannot be decoded: {reason}."
            else:
                logger.warning(f"The video {name} is tried again, because {reason}.")


@contextlib.contextmanager
def _when_a_child_ends(handler) -> Iterator[None]:
    """Set the signal handler for it for a while, where there is such a signal and this thread may do so."""
    if not hasattr(signal, "SIGCHLD") or threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.getsignal(signal.SIGCHLD) or signal.SIG_DFL
    signal.signal(signal.SIGCHLD, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, previous)
