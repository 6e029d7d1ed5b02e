"""The command line of `runs/prepare.py`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

X264_PRESETS = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast"),
    *("medium", "slow", "slower", "veryslow", "placebo"),
)


def parse(arguments: Sequence[str], description: str) -> argparse.Namespace:
    """The command and its options; `browse` has a command line of its own."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=description, formatter_class=raw)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_check(commands.add_parser("check", help="decode every frame of every video"))
    _add_shrink(commands.add_parser("shrink", help="small copies with many keyframes"))
    _add_pack(commands.add_parser("pack", help="all frames as JPEG, one file a video"))
    _add_shard(commands.add_parser("shard", help="the files as they are in large tar files"))
    commands.add_parser("browse", help="a sheet of training clips: see browse --help")
    return parser.parse_args(arguments)


def _add_check(command: argparse.ArgumentParser) -> None:
    _add_videos(command)
    _add_work(command, time_limit=120.0)
    command.add_argument("--output", default="bad_videos.csv", help="list of bad videos (%(default)s)")


def _add_shrink(command: argparse.ArgumentParser) -> None:
    _add_videos(command)
    _add_copies(command)
    _add_work(command, time_limit=1800.0)
    command.add_argument("--short-side", type=int, default=256, help="pixels (%(default)s)")
    command.add_argument("--keyframe-interval", type=int, default=12, help="frames (%(default)s)")
    command.add_argument("--quality", type=int, default=20, help="x264's rate factor (%(default)s)")
    command.add_argument(
        "--preset", default="fast", choices=X264_PRESETS, metavar="NAME", help="x264's preset (%(default)s)"
    )
    command.add_argument("--fps", type=float, help="frames per second (the original's average)")


def _add_pack(command: argparse.ArgumentParser) -> None:
    _add_videos(command)
    _add_copies(command)
    _add_work(command, time_limit=1800.0)
    command.add_argument("--short-side", type=int, default=256, help="pixels (%(default)s)")
    command.add_argument("--quality", type=int, default=90, help="of the JPEG files (%(default)s)")


def _add_shard(command: argparse.ArgumentParser) -> None:
    _add_videos(command)
    _add_copies(command)
    command.add_argument("--shard-size", type=int, default=500, help="MB (%(default)s)")
    command.set_defaults(decoder="auto")


def _add_videos(command: argparse.ArgumentParser) -> None:
    command.add_argument("videos", help="folder of the videos")
    command.add_argument("--dataset", default="", help="only the videos of an annotation list of this kind")
    command.add_argument("--split", default="train", help="which split of it (%(default)s)")
    command.add_argument("--fold", type=int, default=1, help="which official split, 1 to 3 (%(default)s)")
    command.add_argument("--anno-dir", default="", help="folder of the annotation files (VIDEOS)")
    command.add_argument("--list", default="", help="annotation file, inside --anno-dir or absolute")


def _add_copies(command: argparse.ArgumentParser) -> None:
    command.add_argument("copies", help="folder of the copies")


def _add_work(command: argparse.ArgumentParser, time_limit: float) -> None:
    command.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (%(default)s)")
    command.add_argument(
        "--time-limit", type=float, default=time_limit, help="seconds for one video (%(default)s)"
    )
    command.add_argument("--decoder", default="auto", help="as DATA.DECODER (%(default)s)")
