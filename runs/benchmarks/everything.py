"""`runs/benchmark.py all`: the other benchmarks one after the other, with their defaults. Torch-free."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("videos", nargs="*", metavar="FILE", help="videos to measure reading on")
    parser.add_argument("--quick", action="store_true", help="for checks, not for figures")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("output/benchmark"),
        help="folder of results (default: %(default)s)",
    )


def run(options: argparse.Namespace) -> int:
    """Measure all; the exit code of the first that fails."""
    for name, arguments in _commands(options).items():
        module = importlib.import_module(f"runs.benchmarks.{name}")
        parser = argparse.ArgumentParser()
        module.add_options(parser)
        print(f"# {name}\n", flush=True)
        if code := module.run(parser.parse_args(arguments)):
            return int(code)
    return 0


def _commands(options: argparse.Namespace) -> dict[str, list[str]]:
    quick, folder = options.quick, options.output
    commands = {
        "model": ["--output", str(folder / "model"), *(["--quick"] if quick else [])],
        "train": [
            *("--output", str(folder / "train")),
            *(["--methods", "DiST", "ST-Adapter", "--batch", "1", "--steps", "1"] if quick else []),
        ],
    }
    if options.videos:
        folder.mkdir(parents=True, exist_ok=True)
        few = ["--clips", "8", "--rounds", "1", "--workers", "1"] if quick else []
        commands["data"] = [*options.videos, "--output", str(folder / "data.json"), *few]
    return commands
