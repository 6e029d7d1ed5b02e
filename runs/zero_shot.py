"""Zero-shot recognition: a model on a data set that it was not trained on, by the published protocols.

    python runs/zero_shot.py --cfg FILE --checkpoint NAME|PATH TEST.DATASET hmdb51 DATA.ANNO_DIR ... [options]

Without --checkpoint, MODEL.NAME clip measures the frozen CLIP alone, which otherwise stands beside the model
in every table. Writes zero_shot.md, zero_shot.json and zero_shot_per_class.csv to OUTPUT_DIR.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from utils.stopping import leave_on_interrupt

    leave_on_interrupt()

import argparse

from models.errors import ConversionError
from models.weights import locate_weights
from models.zoo import ZooError
from runs.cli import Invocation, parse_command, readable_errors
from runs.inference.inputs import InputError, check_output_folder
from runs.inference.options import count_of, share_of
from utils.config import ConfigError
from utils.download import DownloadError
from utils.progress import byte_progress

PROTOCOLS = ("3-splits", "full", "half-classes", "base-to-novel", "test-list")


def main(arguments: list[str]) -> int:
    """Runs the command; returns its exit code."""
    with readable_errors(InputError, ZooError, DownloadError, ConversionError):
        invocation = parse_command(arguments, description=__doc__ or "", add_options=add_options)
        _check(invocation)
        from runs.launch import launch  # torch is imported only now: mistakes are told before

        return launch(invocation, arguments, _run)


def _run(invocation: Invocation) -> int:
    from runs.inference.zero_shot_job import run_zero_shot

    return run_zero_shot(invocation)


def _check(invocation: Invocation) -> None:
    config, options = invocation.config, invocation.options
    if not config.test_dataset:
        raise ConfigError("no data set given", key="TEST.DATASET", remedy="name one, such as hmdb51 or csv")
    check_output_folder(Path(config.output_dir))
    if options.checkpoint:
        locate_weights(options.checkpoint, progress_for=byte_progress)
    elif config.model.name != "clip":
        raise ConfigError(
            f"a {config.model.name} without trained weights means nothing",
            remedy="add --checkpoint NAME|PATH, or set MODEL.NAME clip for the frozen CLIP alone",
        )


def add_options(parser: argparse.ArgumentParser) -> None:
    """What the command takes beside a configuration."""
    parser.add_argument(
        "--checkpoint", metavar="NAME|PATH", help="trained weights: a name of the zoo or a file"
    )
    parser.add_argument(
        "--protocol",
        choices=PROTOCOLS,
        help="default: 3-splits where the data set has them, else full (its whole test list); test-list: "
        "what a run of this configuration is tested on (DATA.SPLIT, CLASS_HALF, TEST_LIST)",
    )
    parser.add_argument("--video-list", default="", metavar="NAME", help="k600: eval, exist, test or val")
    parser.add_argument(
        "--draws", type=count_of, default=10, metavar="N", help="half-classes: draws (default 10)"
    )
    parser.add_argument(
        "--fusion", type=share_of, metavar="W", help="weight of the model; default: the configuration's, 0.5"
    )
    parser.add_argument("--sweep-fusion", action="store_true", help="try all weights, and plot them")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
