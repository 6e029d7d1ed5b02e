"""The server that worker processes are forked from, started before it is needed. Torch-free.

It imports the workers' libraries once, which takes seconds: as long as the main process needs for its own
imports and for building a network, beside which it can happen.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path

# Only libraries: the server does not look where we do, and another package may be called `datasets`.
WORKER_LIBRARIES = ("torch", "torch.utils.data", "torchvision.transforms.v2", "numpy", "av")


def fork_server_context() -> multiprocessing.context.BaseContext | None:
    """The context whose processes come from the server; None where the system has no such thing."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return None
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(WORKER_LIBRARIES))
    return context


def start_fork_server() -> None:
    """Let the server begin its imports; returns at once. Later calls, and first workers, find it running."""
    if fork_server_context() is None:
        return
    from multiprocessing import forkserver

    with deaf_to_interrupts():  # the server ignores Ctrl-C, but only after its imports
        forkserver.ensure_running()


def gpus_by_files(devices: Path = Path("/dev")) -> int:
    """How many GPUs there seem to be, for who decides before torch, which knows, is imported."""
    there = len(list(devices.glob("nvidia[0-9]*")))
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    return there if chosen is None else min(there, len([word for word in chosen.split(",") if word.strip()]))


@contextmanager
def deaf_to_interrupts() -> Iterator[None]:
    """Processes that are started inside never see a Ctrl-C, which a terminal sends to all: it is for the main
    process, which ends them. (Where the system cannot hold signals back, they do.)
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # which comes first else, and lets all signals through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
