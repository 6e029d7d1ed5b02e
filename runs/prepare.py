"""Prepares a collection of videos: finds the broken ones, makes small or packed copies, shows training clips.

    python runs/prepare.py check  VIDEOS [--output bad.csv]      decode every frame of every video
    python runs/prepare.py shrink VIDEOS COPIES                  short side 256, a keyframe every 12 frames
    python runs/prepare.py pack   VIDEOS COPIES                  all frames as JPEG, one file a video
    python runs/prepare.py browse --cfg FILE [--output sheet.png]  a sheet of augmented training clips

VIDEOS is a folder. All videos below it are taken, or those of an annotation list: `--dataset ssv2 --split
train --anno-dir DIR`, or `--dataset list --list FILE`. The originals are never touched. Every command can be
interrupted and called again: it goes on where it was. `check` writes two files: the bad videos with the
reasons, for DATA.EXCLUDE_LIST, and beside it (`bad.all.csv`) what it knows of every video. Copies lie under
the same relative names, so that the same annotations serve with DATA.DATA_ROOT_DIR set to COPIES.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import os
from collections.abc import Sequence

from datasets.annotations import load_split
from datasets.decoding.opening import choose_decoder
from datasets.decoding.packed import PACKED_SUFFIX
from datasets.preparation.jobs import Summary, Workforce, check_all, convert_all
from datasets.preparation.journal import write_bad_list
from datasets.preparation.packing import PackSettings, PackTask
from datasets.preparation.shrinking import ShrinkSettings, ShrinkTask
from datasets.preparation.sources import distinct, find_videos, target_paths

NAMED_PROBLEMS = 10


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit code is 1 when some videos are bad, 2 when it could not begin."""
    options = parse(arguments)
    try:
        options.decoder = choose_decoder(options.decoder)
        return COMMANDS[options.command](options)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def check(options: argparse.Namespace) -> int:
    """`prepare.py check`."""
    paths = _paths(options)
    journal = f"{os.path.splitext(options.output)[0]}.all.csv"
    summary = check_all(options.videos, paths, journal, _workforce(options), decoder=options.decoder)
    write_bad_list(options.output, summary.problems)
    _report(summary, "checked")
    print(f"bad videos: {options.output} (for DATA.EXCLUDE_LIST); all videos: {journal}")
    return 1 if summary.problems else 0


def shrink(options: argparse.Namespace) -> int:
    """`prepare.py shrink`."""
    settings = ShrinkSettings(
        options.short_side, options.keyframe_interval, options.quality, options.fps, options.preset
    )
    tasks = [
        ShrinkTask(source, target, settings, options.decoder) for source, target in _copies(options, ".mp4")
    ]
    return _convert(tasks, options, "shrink")


def pack(options: argparse.Namespace) -> int:
    """`prepare.py pack`."""
    settings = PackSettings(options.short_side, options.quality)
    tasks = [
        PackTask(source, target, settings, options.decoder)
        for source, target in _copies(options, PACKED_SUFFIX)
    ]
    return _convert(tasks, options, "pack")


COMMANDS = {"check": check, "shrink": shrink, "pack": pack}


def _convert(
    tasks: Sequence[ShrinkTask] | Sequence[PackTask], options: argparse.Namespace, label: str
) -> int:
    summary = convert_all(tasks, _workforce(options), label)
    failures = os.path.join(options.copies, "not_copied.csv")
    relative = {os.path.relpath(path, options.videos): problem for path, problem in summary.problems.items()}
    write_bad_list(failures, relative)
    _report(summary, "copied")
    print(f"not copied: {failures}")
    return 1 if summary.problems else 0


def _copies(options: argparse.Namespace, suffix: str) -> list[tuple[str, str]]:
    """(original, copy) of every video."""
    root, copies = os.path.realpath(options.videos), os.path.realpath(options.copies)
    if root == copies or copies.startswith(root + os.sep):
        raise ValueError(f"{options.copies} lies in the folder of the originals: give another folder")
    targets = target_paths(_paths(options), suffix)
    return [
        (os.path.join(options.videos, path), os.path.join(options.copies, target))
        for path, target in targets.items()
    ]


def _paths(options: argparse.Namespace) -> list[str]:
    if not options.dataset:
        return find_videos(options.videos)
    split = load_split(
        options.dataset,
        options.split,
        anno_dir=options.anno_dir,
        data_root=options.videos,
        list_file=options.list,
        fold=options.fold,
    )
    return distinct(record.path for record in split.records)


def _workforce(options: argparse.Namespace) -> Workforce:
    return Workforce(options.workers, options.time_limit)


def _report(summary: Summary, word: str) -> None:
    again = f" ({summary.already_done} of them before)" if summary.already_done else ""
    print(f"{summary.videos} videos {word}{again}: {len(summary.problems)} bad")
    for path, problem in list(summary.problems.items())[:NAMED_PROBLEMS]:
        print(f"  {path}: {problem}")
    if len(summary.problems) > NAMED_PROBLEMS:
        print(f"  and {len(summary.problems) - NAMED_PROBLEMS} more")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    command = commands.add_parser("check", help="decode every frame of every video")
    _add_common(command, time_limit=120.0)
    command.add_argument("--output", default="bad_videos.csv", help="list of bad videos (%(default)s)")
    for name, meaning in (("shrink", "small copies with many keyframes"), ("pack", "frames as JPEG")):
        command = commands.add_parser(name, help=meaning)
        _add_common(command, time_limit=1800.0)
        command.add_argument("copies", help="folder of the copies")
        command.add_argument("--short-side", type=int, default=256, help="pixels (%(default)s)")
        if name == "pack":
            command.add_argument("--quality", type=int, default=90, help="of the JPEG files (%(default)s)")
            continue
        command.add_argument("--keyframe-interval", type=int, default=12, help="frames (%(default)s)")
        command.add_argument("--quality", type=int, default=20, help="x264's rate factor (%(default)s)")
        command.add_argument("--preset", default="fast", help="x264's preset (%(default)s)")
        command.add_argument("--fps", type=float, help="frames per second (the original's average)")
    return parser.parse_args(arguments)


def _add_common(command: argparse.ArgumentParser, time_limit: float) -> None:
    command.add_argument("videos", help="folder of the videos")
    command.add_argument("--dataset", default="", help="only the videos of an annotation list of this kind")
    command.add_argument("--split", default="train", help="which split of it (%(default)s)")
    command.add_argument("--fold", type=int, default=1, help="which official split, 1 to 3 (%(default)s)")
    command.add_argument("--anno-dir", default="", help="folder of the annotation files (VIDEOS)")
    command.add_argument("--list", default="", help="annotation file, inside --anno-dir or absolute")
    command.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (%(default)s)")
    command.add_argument(
        "--time-limit", type=float, default=time_limit, help="seconds for one video (%(default)s)"
    )
    command.add_argument("--decoder", default="auto", help="as DATA.DECODER (%(default)s)")


if __name__ == "__main__":
    sys.exit(main())
