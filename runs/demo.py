"""The whole job on a small generated data set: data, frozen CLIP, DiST, training, multi-view test, report.

    python runs/demo.py [--to output/demo] [--quick]

Everything is written below the folder. The same command goes on with a demo that was interrupted, and says
what a finished one found. The main job in the middle is `runs/run.py` with configs/projects/demo/dist.yaml.
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
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--to", type=Path, default=Path("output/demo"), metavar="FOLDER")
    parser.add_argument("--quick", action="store_true", help="tiny and meaningless, to see that it runs")
    options = parser.parse_args(arguments)
    with readable_errors(ValueError):
        from runs.demonstration.job import run_demo  # torch is imported only now

        return run_demo(QUICK if options.quick else FULL, options.to)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
