"""Memory of ranking token-level (Mug) similarities, at growing sizes. Torch-free until it measures.

    python runs/benchmark.py retrieval [--full-width]

Random features lie in memory-mapped files, as an evaluation leaves them. For each size a fresh process ranks
all texts and videos in both directions, plain and with dual softmax; what is printed is the peak of the
process's own memory (anonymous pages: mapped files do not count) above what it was before ranking.
--full-width ranks one stripe of texts against 10,000 videos at the sizes of the published models instead.
"""

from __future__ import annotations

import argparse
import multiprocessing
from dataclasses import dataclass


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


def add_options(parser: argparse.ArgumentParser) -> None:
    """Those of the command line."""
    parser.add_argument("--full-width", action="store_true", help="one stripe against 10,000 videos")


def run(options: argparse.Namespace) -> int:
    """Measure every size in a process of its own, and print a table."""
    from runs.benchmarks.retrieval_memory import measure

    sizes = FULL_WIDTH if options.full_width else GROWING
    print("| texts | videos | tokens x frames x width | peak above start, MB | s |\n|---|---|---|---|---|")
    for size in sizes:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            peak, seconds = pool.apply(measure, (size,))
        shape = f"{size.tokens} x {size.frames} x {size.width}"
        print(f"| {size.texts} | {size.videos} | {shape} | {peak:.0f} | {seconds:.0f} |", flush=True)
    return 0
