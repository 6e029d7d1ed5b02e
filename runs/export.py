"""Writes a trained model as a file for others.

    python runs/export.py --model NAME|PATH --format release --output model.safetensors
    python runs/export.py --model NAME|PATH --format onnx|torch --output FILE [--classes "a, b"]

release: this project's format; the file alone is enough to predict. torch, onnx: one graph from pixels
(uint8, resized and cropped) to embedding and logits for fixed classes, whose names and the clip's
preprocessing stand in the file, too (ONNX metadata; extra_files of torch.export.load). Every file is read
back and compared with the model before it gets its name.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from utils.stopping import leave_on_interrupt

    leave_on_interrupt()

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from models.errors import ConversionError
from models.weights import locate_weights
from models.zoo import ZooError
from runs.cli import readable_errors
from runs.inference.inputs import InputError, check_output_file, read_classes
from runs.inference.options import add_model_options, load_model_of, share_of
from utils.download import DownloadError
from utils.progress import byte_progress

if TYPE_CHECKING:
    from runs.inference.classifier import VideoClassifier

_SUFFIXES = {"release": ".safetensors", "torch": ".pt2", "onnx": ".onnx"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    with readable_errors(InputError, ZooError, DownloadError, ConversionError):
        options = _parse(arguments)
        classes = read_classes(options.classes, options.classes_file)
        locate_weights(options.model, progress_for=byte_progress)
        if options.output.exists():
            raise InputError(f"{options.output} is there already; delete it, or give another --output")
        check_output_file(options.output)
        return _export(options, classes)


def _export(options: argparse.Namespace, classes: list[str] | None) -> int:
    from runs.inference.graph import ExportError  # torch is imported only now: mistakes are told before

    try:
        difference = (
            _save_release(options, classes) if options.format == "release" else _save_graph(options, classes)
        )
    except ExportError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    size = options.output.stat().st_size / 1e6
    print(f"{options.output}: {size:.1f} MB, read back, largest relative difference {difference:.1e}")
    return 0


def _save_release(options: argparse.Namespace, classes: list[str] | None) -> float:
    from runs.inference.releasing import save_release, scores_of_run

    model = load_model_of(options)
    _check_classes(model, classes)
    return save_release(
        model,
        options.output,
        class_names=[classes] if classes is not None else model.class_names,
        with_encoder=not options.without_encoder,
        scores={} if classes is not None else scores_of_run(locate_weights(options.model), model),
        notes=options.notes,
    )


def _check_classes(model: VideoClassifier, classes: list[str] | None, fusion: float | None = None) -> None:
    from runs.api import check_classes

    try:
        if classes is not None or fusion is not None:
            check_classes(model, classes, fusion)
    except ValueError as error:
        raise InputError(str(error)) from error


def _save_graph(options: argparse.Namespace, classes: list[str] | None) -> float:
    from runs.api import default_fusion
    from runs.inference.graph import ClassifierGraph, save_onnx, save_torch_export

    model = load_model_of(options)
    _check_classes(model, classes, options.fusion)
    graph = ClassifierGraph(model, classes, default_fusion(model, classes, options.fusion)).cpu().eval()
    save = save_onnx if options.format == "onnx" else save_torch_export
    return save(graph, model, options.output)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add_model_options(parser)
    parser.add_argument("--format", choices=tuple(_SUFFIXES), default="release", help="default release")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="the file to write")
    parser.add_argument("--classes", metavar='"A, B"', help="words in place of the model's own classes")
    parser.add_argument("--classes-file", type=Path, metavar="FILE", help="the same, one a line")
    parser.add_argument(
        "--fusion",
        type=share_of,
        metavar="W",
        help="torch, onnx: weight of the model against the frozen CLIP (own words: the configuration's, as "
        "in runs/predict.py, else 1); a release takes the words as its own classes, for the model alone",
    )
    parser.add_argument(
        "--without-encoder", action="store_true", help="release: leave the frozen encoder's weights out"
    )
    parser.add_argument("--notes", default="", metavar="TEXT", help="release: what else a person should know")
    options = parser.parse_args(arguments)
    if options.output.suffix != _SUFFIXES[options.format]:
        parser.error(f"--format {options.format} writes files that end in {_SUFFIXES[options.format]}")
    without_effect = {
        "--fusion": options.format == "release" and options.fusion is not None,
        "--without-encoder": options.format != "release" and options.without_encoder,
        "--notes": options.format != "release" and options.notes,
    }
    for option, given in without_effect.items():
        if given:
            parser.error(f"{option} has no effect on --format {options.format}: leave it out")
    return options


if __name__ == "__main__":
    sys.exit(main())
