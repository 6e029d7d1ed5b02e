"""Downloads released models by name.

    python runs/download.py NAME [NAME ...] [--to DIR]
    python runs/download.py --list
    python runs/download.py --all [--to DIR]

See MODEL_ZOO.md for the names and models/weights.py for mirrors and machines without a network.
"""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from utils.stopping import leave_on_interrupt

    leave_on_interrupt()

import argparse
from collections.abc import Sequence

from models.weights import download_model, weights_folder
from models.zoo import ZooError, ZooModel, find_model, zoo_models
from models.zoo_page import scores_text
from runs.cli import readable_errors
from utils.download import DownloadError, TransferSettings
from utils.progress import byte_progress


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    with readable_errors():
        return _run(_parse(arguments))


def _run(options: argparse.Namespace) -> int:
    folder = options.to or weights_folder()
    if options.list:
        print(listing(zoo_models(), folder))
        return 0
    try:
        models = zoo_models() if options.all else [find_model(name) for name in options.names]
    except ZooError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    settings = TransferSettings(timeout=options.timeout, attempts=options.attempts)
    failures = [model.name for model in models if not _obtain(model, folder, settings)]
    if failures and len(models) > 1:
        print(f"error: {len(failures)} of {len(models)} not obtained: {', '.join(failures)}", file=sys.stderr)
    return 1 if failures else 0


def listing(models: Sequence[ZooModel], folder: Path) -> str:
    """One line a model: name, backbone, first published scores, and whether it is in `folder`."""
    rows = []
    for model in models:
        scores = (
            f"{model.published[0].data}: {scores_text(model.published[0].scores)}" if model.published else ""
        )
        here = "here" if (folder / model.file).exists() else ""
        rows.append((model.name, model.backbone, scores, here))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    return "\n".join([*lines, f"folder of weights: {folder}"])


def _obtain(model: ZooModel, folder: Path, settings: TransferSettings) -> bool:
    """Downloads or verifies one model and says so; False (with one line on stderr) when that fails."""
    there_already = (folder / model.file).exists()
    try:
        obtained = download_model(model, folder, settings=settings, progress_for=byte_progress)
    except DownloadError as error:
        print(f"error: {error}", file=sys.stderr)
        return False
    except KeyboardInterrupt:
        print(f"\nerror: {model.name}: interrupted; the same command resumes it", file=sys.stderr)
        raise SystemExit(130) from None
    for path, digest in obtained:
        print(f"{'verified' if there_already else 'downloaded'} {path}  sha256 {digest}")
    return True


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Downloads released models by name: resumed, checked, complete or not at all.",
        epilog="Environment: MODEL_ZOO_DIR, MODEL_ZOO_MIRROR (folder or https address), MODEL_ZOO_OFFLINE=1.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="models of the zoo (--list shows them)")
    parser.add_argument("--list", action="store_true", help="list the models and what is here already")
    parser.add_argument("--all", action="store_true", help="download every model of the zoo")
    parser.add_argument("--to", type=Path, metavar="DIR", help="folder to download into")
    parser.add_argument(
        "--timeout", type=float, default=30.0, metavar="S", help="seconds without data (default 30)"
    )
    parser.add_argument(
        "--attempts", type=int, default=5, metavar="N", help="fruitless attempts in a row (default 5)"
    )
    options = parser.parse_args(arguments)
    if not (options.list or options.all or options.names):
        parser.error("name a model, or give --list or --all")
    return options


if __name__ == "__main__":
    sys.exit(main())
