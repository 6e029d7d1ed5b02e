"""Embeddings of videos, per video and per frame, in one file.

    python runs/extract.py VIDEO|FOLDER|LIST ... --model NAME|PATH --output FILE.safetensors|FILE.parquet

`video` (n,E) is the mean over a video's clips, `frames` (n,S,E) are those of its first clip; neither is
normalised. Ids are the paths as listed, in that order. The same command goes on with a run that was
interrupted; with other settings it is refused. Exit codes: 0 all videos, 1 some or all could not be read,
2 wrong input, 130 interrupted.
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

from models.errors import ConversionError
from models.weights import locate_weights
from models.zoo import ZooError
from runs.cli import escape_on_stdout, readable_errors
from runs.inference.embedding_store import EmbeddingStore, NothingStoredError, StoreError, check_suffix
from runs.inference.inputs import InputError, check_output_file, find_videos
from runs.inference.options import add_frozen_precision_option, add_model_options, count_of, load_model_of
from utils.download import DownloadError
from utils.progress import byte_progress


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    escape_on_stdout()
    with readable_errors(InputError, StoreError, ZooError, DownloadError, ConversionError):
        options = _parse(arguments)
        videos = find_videos(options.inputs)
        if options.output.exists():
            raise StoreError(f"{options.output} is there already; delete it, or give another --output")
        check_suffix(options.output)
        check_output_file(options.output)
        locate_weights(options.model, progress_for=byte_progress)
        return _extract(options, videos)


def _extract(options: argparse.Namespace, videos: list[str]) -> int:
    from runs.inference.clips import ClipSettings  # torch is imported only now: mistakes are told before
    from runs.inference.extraction import extract_into
    from utils.checkpoint import fingerprint
    from utils.logging import Progress

    model = load_model_of(options)
    settings = {
        "model": options.model,
        "weights_sha256": fingerprint(dict(model.network.named_parameters())),
        "precision": model.precision.name,
        "views": str(options.views),
        "crops": str(options.crops),
        **({} if options.frozen_precision == "fp32" else {"frozen_precision": options.frozen_precision}),
        "data": str(model.config.data),
        "network": f"{model.config.model} {model.config.video} {model.config.custom}",
    }
    store = EmbeddingStore(options.output, settings)
    left = [video for video in videos if video not in store.done]
    if len(left) < len(videos):
        print(f"{len(videos) - len(left)} of {len(videos)} videos are done already", file=sys.stderr)
    clips = ClipSettings(model.config, options.views, options.crops)
    with Progress(len(videos), "videos", done=len(videos) - len(left)) as progress:
        try:
            for path in left:
                extract_into(store, model, clips, path)
                progress.advance()
        except KeyboardInterrupt:
            store.flush()
            print(f"interrupted after {len(store.done)} videos: the same command goes on", file=sys.stderr)
            return 130
    for path, reason in store.failed.items():
        print(f"{path}: could not be read: {reason}", file=sys.stderr)
    if unlisted := len(store.done.difference(videos)):
        print(f"{unlisted} videos that are done are not among the inputs: left out", file=sys.stderr)
    try:
        count = store.finish(videos)
    except NothingStoredError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{options.output}: {count} videos" + (f", {len(store.failed)} failed" if store.failed else ""))
    return 1 if store.failed else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("inputs", nargs="+", metavar="VIDEO|FOLDER|LIST", help="what to embed")
    add_model_options(parser)
    add_frozen_precision_option(parser)
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help=".safetensors or .parquet")
    parser.add_argument(
        "--views", type=count_of, default=1, metavar="N", help="clips over the video (default 1)"
    )
    parser.add_argument("--crops", type=int, choices=(1, 3), default=1, help="crops of each clip (default 1)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
