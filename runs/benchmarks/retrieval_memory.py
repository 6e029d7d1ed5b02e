"""Memory that ranking takes beside the features' mapped files; `retrieval.py` is the command."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.mug import mug_similarity
from runs.benchmarks.retrieval import Size
from utils.feature_table import FeatureTable
from utils.retrieval_metrics import streamed_ranks


def measure(size: Size) -> tuple[float, float]:
    """(peak of own memory above the start in MB, seconds) of ranking random features of that size."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_random(folder, "tokens", (size.texts, size.tokens, size.width), seed=0)
        _write_random(folder, "frames", (size.videos, size.frames, size.width), seed=1)
        tokens, frames = (
            FeatureTable(folder, "tokens", size.texts),
            FeatureTable(folder, "frames", size.videos),
        )
        owners = torch.arange(size.texts) % size.videos

        def similarity(rows: slice, columns: slice) -> Tensor:
            text = tokens[rows]
            return mug_similarity(text, frames[columns], torch.ones(text.shape[:2]))

        similarity(slice(0, 1), slice(0, 1))  # what torch sets up once
        before, started = own_memory(), time.perf_counter()
        with _peak() as peak, torch.no_grad():
            streamed_ranks(similarity, owners, size.videos)
        return (peak[0] - before) / 1e6, time.perf_counter() - started


def own_memory() -> int:
    """Anonymous resident memory of this process in bytes (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("this system does not tell a process's anonymous memory")


@contextmanager
def _peak() -> Iterator[list[int]]:
    """A list whose element is the highest own memory seen inside the block, looked at every 5 ms."""
    highest, done = [own_memory()], threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            highest[0] = max(highest[0], own_memory())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield highest
    finally:
        done.set()
        watcher.join()


def _write_random(folder: Path, name: str, shape: tuple[int, ...], seed: int) -> None:
    generator = np.random.default_rng(seed)
    file = np.lib.format.open_memmap(folder / f"{name}.0.npy", mode="w+", dtype=np.float32, shape=shape)
    for start in range(0, shape[0], 256):
        file[start : start + 256] = generator.standard_normal((len(file[start : start + 256]), *shape[1:]))
    file.flush()
