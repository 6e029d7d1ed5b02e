"""`runs/benchmark.py data`: how fast clips come, beside what bounds them and beside the field's usual way.

    decode only     open the video, read the clip's frames, throw them away: nobody can be faster
    pipeline        our data set and loader, with training transforms
    naive           the same frames as float whole frames, then crop, jitter, flip, normalise (in the worker)
    packed          our pipeline on packed copies of the same videos
    3 views         test views of a video from one decode, beside one decode per view: by the same reader,
                    which leaves out pictures that a single view does not need, and by decord, as is usual

All read the same videos with the same decoder and the same sampling. Every variant runs several times, in
turns; the fastest run counts, since whatever else the machine does only ever makes a run slower.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from utils.config import ConfigError
from utils.versions import versions

if TYPE_CHECKING:
    from runs.benchmarks.data_variants import Setting

VARIANTS = (
    "decode only",
    "pipeline",
    "pipeline, colours and normalisation on the CPU",
    "naive",
    "packed",
    "3 views, one decode",
    "3 views, a decode each",
    "3 views, decord for each",
)
BARS = (
    ("pipeline", "decode only", "time", 1.2, "at most"),
    ("pipeline", "naive", "rate", 1.3, "at least"),
    ("3 views, one decode", "3 views, a decode each", "rate", 2.5, "at least"),
    ("3 views, one decode", "3 views, decord for each", "rate", 2.5, "at least"),
    ("packed", "pipeline", "rate", 5.0, "at least"),
)
"""(variant, compared with, ratio of, bound, its sense)."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "videos", nargs="+", metavar="FILE", help="video files, such as 340x256 clips of 10 s"
    )
    parser.add_argument("--frames", type=int, default=16, help="frames of a clip (%(default)s)")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="numbers of workers (1 2)")
    parser.add_argument("--clips", type=int, default=48, help="clips that are timed in a run (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each variant (%(default)s)")
    parser.add_argument("--decoder", default="auto", help="as DATA.DECODER (%(default)s)")
    parser.add_argument(
        "--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS), help="some of them"
    )
    parser.add_argument("--output", type=Path, help="JSON file for the results")


def run(options: argparse.Namespace) -> int:
    """Measure and print. Raises ConfigError and VideoReadError."""
    from runs.benchmarks.data_variants import Setting  # brings torch

    if missing := [path for path in options.videos if not os.path.isfile(path)]:
        raise ConfigError(f"{missing[0]}: there is no such file")
    paths = [os.path.realpath(path) for path in options.videos]
    check_videos(paths, options.decoder)
    with tempfile.TemporaryDirectory() as folder:
        packed = pack(paths, folder) if "packed" in options.variants else []
        rates = {}
        for workers in options.workers:
            setting = Setting(
                tuple(paths), tuple(packed), options.frames, workers, options.clips, options.decoder
            )
            rates[workers] = measure(setting, options.variants, options.rounds)
            print(report(workers, rates[workers]))
    told = versions()
    frames, cores = options.frames, os.cpu_count()
    print(f"{len(paths)} files, {frames} frames a clip, {cores} CPU cores, torch {told['torch']}")
    if options.output is not None:
        found = {"clips_per_second": rates, "cpu_cores": os.cpu_count(), "versions": told}
        options.output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 0


def check_videos(paths: Sequence[str], decoder: str) -> None:
    """Raises VideoReadError for a file that is no video or has a damaged frame, and ConfigError for a decoder
    that does not work: the workers would only fail on them, or read another file instead.
    """
    from datasets.decoding.opening import choose_decoder, open_video

    try:
        choose_decoder(decoder)
    except ValueError as error:
        raise ConfigError(str(error), key="--decoder") from error
    for path in paths:
        with open_video(path, decoder) as reader:
            for _ in reader.frames_in_order():
                pass


def pack(paths: Sequence[str], folder: str) -> list[str]:
    """Packed copies of the videos, at their size."""
    from datasets.preparation.packing import PackSettings, PackTask, pack_video

    copies = [os.path.join(folder, f"{number}.packed") for number in range(len(paths))]
    for path, copy in zip(paths, copies, strict=True):
        pack_video(PackTask(path, copy, PackSettings(short_side=10_000)))
    return copies


def measure(setting: Setting, variants: Sequence[str], rounds: int) -> dict[str, float]:
    """Clips per second of each variant, the best of the rounds."""
    from runs.benchmarks.data_variants import run_variant

    best = dict.fromkeys(variants, 0.0)
    for _ in range(rounds):
        for variant in variants:
            best[variant] = max(best[variant], run_variant(variant, setting))
    return best


def report(workers: int, rates: dict[str, float]) -> str:
    """A table of the variants, and the ratios that matter."""
    lines = [f"\n{workers} worker{'s' * (workers > 1)}", "| variant | clips/s | ms a clip |", "|---|---|---|"]
    lines += [f"| {name} | {rate:.1f} | {1000 / rate:.1f} |" for name, rate in rates.items()]
    for variant, other, kind, bound, sense in BARS:
        if variant in rates and other in rates:
            ratio = rates[variant] / rates[other]
            ratio = 1 / ratio if kind == "time" else ratio
            lines.append(f"{variant} / {other} ({kind}): {ratio:.2f} (wanted: {sense} {bound})")
    return "\n".join(lines)
