"""`runs/benchmark.py model`: DiST beside the frozen encoder and the obvious implementation. Torch-free.

    contenders ──► in turn, round after round, in one process ──► times ──► ratios, round by round
    contenders ──► one process each ──► peak memory
    all ──► results.json, results.md, results.png

Ratios come first: on a shared machine, two times taken in the same round differ less than two rounds do.
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from runs.benchmarks.model_report import ModelMeasurement, write_report
from utils.huge_pages import SETTING

QUICK = {"batch": 1, "rounds": 2}


@dataclasses.dataclass(frozen=True)
class ModelSettings:
    """What is measured and how."""

    architecture: str
    frames: int
    alpha: int
    pooling_layers: int
    batch: int
    rounds: int
    device: str
    precision: str
    threads: int | None
    compile_regions: bool
    contenders: tuple[str, ...] = ()
    """Only these; empty: all."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "--architecture", default="ViT-B-16-quickgelu", help="open_clip's name, or a JSON file"
    )
    parser.add_argument("--frames", type=int, nargs="+", default=[16], help="T, one or several (default: 16)")
    parser.add_argument("--alpha", type=int, default=2, help="sparse frames are every α-th (default: 2)")
    parser.add_argument("--pooling-layers", type=int, default=2, help="ADA_POOLING_LAYERS (default: 2)")
    parser.add_argument(
        "--batch", type=int, nargs="+", default=[4], help="clips, one or several (default: 4)"
    )
    parser.add_argument(
        "--rounds", type=int, default=7, help="rounds that count, after one warm-up (default: 7)"
    )
    parser.add_argument("--device", default="auto", help="cpu or cuda (default: a GPU where there is one)")
    parser.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16", "fp16"))
    parser.add_argument("--threads", type=int, help="CPU threads (default: torch's)")
    parser.add_argument(
        "--contenders",
        nargs="+",
        metavar="NAME",
        default=[],
        help="only these rows of the table (default: all)",
    )
    parser.add_argument("--compile", action="store_true", help="torch.compile for this project's network")
    parser.add_argument(
        "--quick", action="store_true", help="one clip, two rounds: for checks, not for figures"
    )
    parser.add_argument(
        "--check", action="store_true", help="exit code 1 when a ratio is far outside its bounds"
    )
    parser.add_argument(
        "--output", type=Path, default=Path("output/benchmark/model"), help="folder of results"
    )


def run(options: argparse.Namespace) -> int:
    """Measure, write and print the report."""
    batches = [QUICK["batch"]] if options.quick else options.batch
    rounds = QUICK["rounds"] if options.quick else options.rounds
    found = [
        _measured(
            ModelSettings(
                architecture=options.architecture,
                frames=frames,
                alpha=options.alpha,
                pooling_layers=options.pooling_layers,
                batch=batch,
                rounds=rounds,
                device=options.device,
                precision=options.precision,
                threads=options.threads,
                compile_regions=options.compile,
                contenders=tuple(options.contenders),
            )
        )
        for frames in options.frames
        for batch in batches
    ]
    print(write_report(found, options.output))
    return 1 if options.check and any(measurement.is_far_off for measurement in found) else 0


def _measured(settings: ModelSettings) -> ModelMeasurement:
    from runs.benchmarks.model_step import measure_times, peak_memory

    measurement = measure_times(settings)
    memory = {}
    for name in measurement.seconds:
        # The obvious implementation allocates as torch does by itself, ours as runs/run.py lets it.
        plain = name.startswith(("baseline", "open_clip"))
        with (
            _environment({SETTING: "0"} if plain else {}),
            ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process,
        ):
            memory[name] = process.submit(peak_memory, name, settings).result()
    return dataclasses.replace(measurement, memory_gib=memory)


@contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Processes started inside have these variables."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
