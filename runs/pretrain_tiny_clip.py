"""Trains the demonstration's tiny CLIP on single rendered pictures and captions of their appearance.

    python runs/pretrain_tiny_clip.py [--to output/demo/tiny_clip.safetensors] [--quick]

The file is loaded like any CLIP's: VIDEO.BACKBONE.META_ARCH_NAME tiny-moving-shapes,
VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH the file. About a minute on two CPU cores.
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
    parser.add_argument("--to", type=Path, default=Path("output/demo/tiny_clip.safetensors"), metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="a few steps, to see that it runs")
    options = parser.parse_args(arguments)
    with readable_errors():
        from runs.demonstration.clip_pretraining import make_tiny_clip  # torch is imported only now
        from utils.logging import start_logging

        start_logging(None)
        trained = make_tiny_clip((QUICK if options.quick else FULL).pretraining, options.to)
    print(f"{options.to} {'written' if trained else 'is there already: nothing to do'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
