"""Prepares a collection of videos: finds the broken ones, makes small or packed copies, shows training clips.

    python runs/prepare.py check  VIDEOS [--output bad.csv]      decode every frame of every video
    python runs/prepare.py shrink VIDEOS COPIES                  short side 256, a keyframe every 12 frames
    python runs/prepare.py pack   VIDEOS COPIES                  all frames as JPEG, one file a video
    python runs/prepare.py shard  VIDEOS COPIES                  the files as they are in tar files of 500 MB
    python runs/prepare.py browse --cfg FILE [--output sheet.png]  a sheet of augmented training clips

VIDEOS is a folder. All videos below it are taken, or those of an annotation list: `--dataset ssv2 --split
train --anno-dir DIR`, or `--dataset list --list FILE`. The originals are never touched. Every command can be
interrupted and called again: it goes on where it was, tries again what failed, and does again what other
settings or a changed video make out of date (`copied.csv` among the copies tells what they were made of).
Called again for another split, it adds to the copies, shards and lists that are there. `check` writes two
files: the bad videos with the reasons, for DATA.EXCLUDE_LIST, and beside it (`bad.all.csv`) what it knows of
every video. Copies lie under the same relative names, so that the same annotations serve with
DATA.DATA_ROOT_DIR set to COPIES.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from utils.stopping import leave_on_interrupt

    leave_on_interrupt()

import argparse
import os
from collections.abc import Sequence

from datasets.annotations import load_split
from datasets.decoding.opening import choose_decoder
from datasets.decoding.packed import PACKED_SUFFIX
from datasets.preparation.jobs import Summary, Workforce, check_all, convert_all
from datasets.preparation.journal import write_bad_list
from datasets.preparation.packing import PackSettings, PackTask
from datasets.preparation.sharding import write_shards
from datasets.preparation.shrinking import ShrinkSettings, ShrinkTask
from datasets.preparation.sources import distinct, find_videos, target_paths
from runs.browse import main as browse
from runs.cli import escape_on_stdout, readable_errors
from runs.inference.inputs import check_output_file, check_output_folder
from runs.prepare_options import parse

NAMED_PROBLEMS = 10


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit code is 1 when some videos are bad, 2 when it could not begin."""
    escape_on_stdout()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["browse"]:
        return browse(words[1:])
    options = parse(words, __doc__ or "")
    with readable_errors(ValueError):
        if options.command == "check":
            check_output_file(Path(options.output))
        else:
            check_output_folder(Path(options.copies))
        options.decoder = choose_decoder(options.decoder)
        return COMMANDS[options.command](options)


def check(options: argparse.Namespace) -> int:
    """`prepare.py check`."""
    paths = _paths(options)
    journal = f"{os.path.splitext(options.output)[0]}.all.csv"
    summary = check_all(options.videos, paths, journal, _workforce(options), decoder=options.decoder)
    _report(summary, "checked", options.output, "bad videos, for DATA.EXCLUDE_LIST")
    print(f"all videos: {journal}")
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


def shard(options: argparse.Namespace) -> int:
    """`prepare.py shard`."""
    paths = _paths(options)
    target_paths(paths, "")  # that they lie below their root
    summary = write_shards(options.videos, paths, options.copies, options.shard_size * 1_000_000)
    print(f"shards: set DATA.DATA_ROOT_DIR to {options.copies}")
    return _report_copies(summary, options)


COMMANDS = {"check": check, "shrink": shrink, "pack": pack, "shard": shard}


def _convert(
    tasks: Sequence[ShrinkTask] | Sequence[PackTask], options: argparse.Namespace, label: str
) -> int:
    journal = os.path.join(options.copies, "copied.csv")
    summary = convert_all(options.videos, tasks, journal, _workforce(options), label)
    return _report_copies(summary, options)


def _report_copies(summary: Summary, options: argparse.Namespace) -> int:
    _report(summary, "copied", os.path.join(options.copies, "not_copied.csv"), "not copied")
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


def _report(summary: Summary, word: str, bad_list: str, title: str) -> None:
    """Write the list of the bad videos, and say how many there are."""
    write_bad_list(bad_list, summary.problems | summary.problems_before)
    again = f" ({summary.already_done} of them before)" if summary.already_done else ""
    print(f"{summary.videos} videos {word}{again}: {len(summary.problems)} bad")
    for path, problem in list(summary.problems.items())[:NAMED_PROBLEMS]:
        print(f"  {path}: {problem}")
    if len(summary.problems) > NAMED_PROBLEMS:
        print(f"  and {len(summary.problems) - NAMED_PROBLEMS} more")
    before = len(summary.problems_before)
    print(f"{title}: {bad_list}{f' (with {before} of other lists, from before)' if before else ''}")


if __name__ == "__main__":
    sys.exit(main())
