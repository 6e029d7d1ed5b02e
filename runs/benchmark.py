"""Measures speed, memory and cost, side by side.

    python runs/benchmark.py data       how fast clips come, beside what bounds them
    python runs/benchmark.py model      DiST beside the frozen encoder and the obvious implementation
    python runs/benchmark.py train      every method's training step: time, clips/s, memory, weights, cost
    python runs/benchmark.py retrieval  memory of ranking token-level similarities at growing sizes

`python runs/benchmark.py COMMAND --help` tells the options of one.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from utils.stopping import leave_on_interrupt

    leave_on_interrupt()

from datasets.decoding import VideoReadError
from runs.cli import readable_errors
from utils.huge_pages import prefer_huge_pages

COMMANDS = {
    "data": ("runs.benchmarks.data", "how fast clips come"),
    "model": ("runs.benchmarks.model", "DiST beside the frozen encoder and the obvious implementation"),
    "train": ("runs.benchmarks.train", "every method's training step"),
    "retrieval": ("runs.benchmarks.retrieval", "memory of ranking texts and videos"),
    "all": ("runs.benchmarks.everything", "model and train; data, too, when videos are given"),
}
"""Name -> module with `add_options(parser)` and `run(options) -> exit code`, and its line of help."""


def main(arguments: list[str]) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (module, line) in COMMANDS.items():
        importlib.import_module(module).add_options(commands.add_parser(name, help=line, description=line))
    options = parser.parse_args(arguments)
    prefer_huge_pages()
    with readable_errors(VideoReadError):
        module, _ = COMMANDS[options.command]
        code: int = importlib.import_module(module).run(options)
        return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
