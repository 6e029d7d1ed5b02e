"""Zero-shot recognition on the demonstration's data: combinations that were never trained on.

    python runs/zero_shot_demo.py [--to output/demo] [--quick]

Data and tiny CLIP (made unless they are there), training on the captions of three quarters of the
combinations of motion and appearance, then two questions about the others: what moves how, and what does it
look like. Writes zero_shot/result.md and fusion.png. The same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from utils.stopping import leave_on_interrupt

    leave_on_interrupt()

from runs.cli import readable_errors
from runs.demonstration.config import FULL, QUICK


def main(arguments: list[str]) -> int:
    """Runs the command; returns its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument(
        "--to", type=Path, default=Path("output/demo"), metavar="DIR", help="default output/demo"
    )
    parser.add_argument("--quick", action="store_true", help="a few steps, to see that it runs")
    options = parser.parse_args(arguments)
    with readable_errors():
        from runs.demonstration.zero_shot import demonstrate  # torch is imported only now

        return demonstrate(QUICK if options.quick else FULL, options.to)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
