"""Looks for videos by text.

    python runs/retrieval.py evaluate --cfg FILE --checkpoint PATH|NAME [--set KEY VALUE ...]
    python runs/retrieval.py index FOLDER --store DIR --cfg FILE [--checkpoint PATH|NAME] [--set …]
    python runs/retrieval.py query "a red circle moving to the right" --store DIR [--top 12] [--gallery FILE]

evaluate ranks all texts and videos of a data set. index embeds the videos of a folder; run again, it embeds
what is new or has changed and forgets what is gone. query prints the best matches and writes them as a page
with pictures that any browser opens. Exit codes: 0 done, 1 some videos could not be read, 2 wrong input.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from utils.stopping import leave_on_interrupt

    leave_on_interrupt()

import argparse
import shlex
from collections.abc import Sequence

from runs.cli import Invocation, escape_on_stdout, readable_errors
from runs.config import resolve_run_config
from runs.inference.inputs import InputError, check_output_folder, find_videos
from runs.inference.options import count_of
from runs.preflight import check_paths


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = _parse(words)
    escape_on_stdout()
    with readable_errors(InputError):
        if options.command == "evaluate":
            return _evaluate(options, words)
        if options.command == "index":
            return _index(options)
        return _query(options)


def _evaluate(options: argparse.Namespace, words: Sequence[str]) -> int:
    pairs = ["TASK_TYPE", "retrieval", "TRAIN.ENABLE", "false", *_pairs(options)]
    if options.checkpoint:
        pairs += ["TEST.CHECKPOINT_FILE_PATH", options.checkpoint]
    if "OUTPUT_DIR" not in pairs:
        trained = resolve_run_config(options.cfg, pairs).config.output_dir
        pairs += ["OUTPUT_DIR", f"{trained}-evaluation"]
    resolved = resolve_run_config(options.cfg, pairs)
    check_paths(resolved.config)
    from runs.job import run_job  # torch is imported only now: mistakes are told before

    command = shlex.join(["python", "runs/retrieval.py", *words])
    return run_job(Invocation(resolved.config, resolved.sources, options, command))


def _index(options: argparse.Namespace) -> int:
    config = resolve_run_config(options.cfg, ["TASK_TYPE", "retrieval", *_pairs(options)]).config
    check_paths(config, reads_videos=False)
    videos = find_videos([options.folder])
    check_output_folder(Path(options.store))
    from runs.inference.video_index import build_index

    with readable_errors(ValueError):
        summary = build_index(Path(options.store), videos, config, options.checkpoint)
    print(summary.text())
    return 1 if summary.failed else 0


def _query(options: argparse.Namespace) -> int:
    if not options.text.strip():
        raise InputError('the query is empty: say what to look for, for example "a dog running on a beach"')
    if not Path(options.store, "config.yaml").is_file():
        raise InputError(f"{options.store} is no index: make one with runs/retrieval.py index")
    from runs.inference.gallery import write_gallery
    from runs.inference.video_index import open_index

    with readable_errors(ValueError):
        index = open_index(Path(options.store))
        matches = index.search(options.text, options.top)
    width = max(len(match.path) for match in matches)
    print(f"{'rank':>4}  {'similarity':>10}  {'video':<{width}}")
    for rank, match in enumerate(matches, start=1):
        print(f"{rank:>4}  {match.similarity:>10.4f}  {match.path:<{width}}")
    gallery = Path(options.gallery or Path(options.store, "gallery.html"))
    write_gallery(gallery, options.text, matches)
    print(f"pictures: {gallery}")
    return 0


def _pairs(options: argparse.Namespace) -> list[str]:
    return [word for pair in options.pairs for word in pair]


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="evaluate|index|query")
    evaluate = commands.add_parser("evaluate", help="rank all texts and videos of a data set")
    index = commands.add_parser("index", help="embed the videos of a folder")
    index.add_argument("folder", metavar="FOLDER|LIST", help="videos, in it and below it")
    for command in (evaluate, index):
        command.add_argument("--cfg", metavar="FILE", required=True, help="YAML file of the trained model")
        command.add_argument(
            "--checkpoint",
            default="",
            metavar="PATH|NAME",
            help="trained weights: a file or a name of the zoo",
        )
        command.add_argument(
            "--set", nargs=2, action="append", default=[], dest="pairs", metavar=("KEY", "VALUE"),
            help="override a key of the configuration",
        )  # fmt: skip
    query = commands.add_parser("query", help="find videos by a text")
    query.add_argument("text", help="what to look for")
    query.add_argument("--top", type=count_of, default=12, metavar="N", help="matches to show (default 12)")
    query.add_argument("--gallery", metavar="FILE", help="page to write (default: gallery.html in the store)")
    for command in (index, query):
        command.add_argument("--store", required=True, metavar="DIR", help="folder of the index")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
