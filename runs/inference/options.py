"""Options that all commands with `--model` share. Torch-free until a model is loaded."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runs.inference.classifier import VideoClassifier


def add_model_options(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """--model, --cfg, --set, --device, --precision."""
    parser.add_argument(
        "--model",
        required=required,
        metavar="NAME|PATH",
        help="a model of the zoo (runs/download.py --list) or a file: release, checkpoint, CLIP",
    )
    parser.add_argument(
        "--cfg",
        metavar="FILE",
        help="configuration that takes the place of what the weights say of themselves",
    )
    parser.add_argument(
        "--set",
        nargs=2,
        action="append",
        default=[],
        dest="pairs",
        metavar=("KEY", "VALUE"),
        help="override a key of the configuration, such as DATA.DECODER pyav",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 (default auto)")
    parser.add_argument(
        "--precision", default="auto", choices=("auto", "fp32", "bf16", "fp16"), help="as TRAIN.PRECISION"
    )
    parser.set_defaults(frozen_precision="fp32")


def add_frozen_precision_option(parser: argparse.ArgumentParser) -> None:
    """--frozen-precision, for commands that run the model."""
    parser.add_argument(
        "--frozen-precision",
        default="fp32",
        choices=("fp32", "half", "int8"),
        help="as VIDEO.BACKBONE.FROZEN_PRECISION: half or int8 are several times as fast on many CPUs",
    )


def load_model_of(options: argparse.Namespace) -> VideoClassifier:
    """The model that the options name. Raises as `load_model`."""
    from runs.inference.loading import load_model  # torch is imported only now: mistakes are told before

    return load_model(
        options.model,
        config=options.cfg,
        overrides=[word for pair in options.pairs for word in pair],
        device=options.device,
        precision=options.precision,
        frozen_precision=options.frozen_precision,
    )


def count_of(text: str) -> int:
    """A positive whole number."""
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{value} is not positive")
    return value


def seconds_of(text: str) -> float:
    """A positive number."""
    if not (value := float(text)) > 0:
        raise argparse.ArgumentTypeError(f"{value} is not positive")
    return value


def share_of(text: str) -> float:
    """A number from 0 to 1."""
    if not 0 <= (value := float(text)) <= 1:
        raise argparse.ArgumentTypeError(f"{value} is not between 0 and 1")
    return value
