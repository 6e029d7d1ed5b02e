"""Memory of ranking token-level (Mug) similarities, at growing sizes.

    python runs/benchmark.py retrieval [--full-width]

Random features lie in memory-mapped files, as an evaluation leaves them. For each size a fresh process ranks
all texts and videos in both directions, plain and with dual softmax; what is printed is the peak of the
process's own memory (anonymous pages: mapped files do not count) above what it was before ranking.
--full-width ranks one stripe of texts against 10,000 videos at the sizes of the published models instead.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.mug import mug_similarity
from utils.feature_table import FeatureTable
from utils.retrieval_metrics import streamed_ranks


@dataclass(frozen=True)
class Size:
    """Of one measurement."""

    texts: int
    videos: int
    tokens: int = 16
    frames: int = 8
    width: int = 64


GROWING = (Size(1250, 125), Size(2500, 250), Size(5000, 500), Size(10000, 1000))
FULL_WIDTH = (Size(128, 2500, 32, 12, 512), Size(128, 10000, 32, 12, 512), Size(256, 10000, 32, 12, 512))


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


def add_options(parser: argparse.ArgumentParser) -> None:
    """Those of the command line."""
    parser.add_argument("--full-width", action="store_true", help="one stripe against 10,000 videos")


def run(options: argparse.Namespace) -> int:
    """Measure every size in a process of its own, and print a table."""
    sizes = FULL_WIDTH if options.full_width else GROWING
    print("| texts | videos | tokens x frames x width | peak above start, MB | s |\n|---|---|---|---|---|")
    for size in sizes:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            peak, seconds = pool.apply(measure, (size,))
        shape = f"{size.tokens} x {size.frames} x {size.width}"
        print(f"| {size.texts} | {size.videos} | {shape} | {peak:.0f} | {seconds:.0f} |", flush=True)
    return 0
