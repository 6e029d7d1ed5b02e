"""Measures the video decoders on files of your own; datasets/decoding/README.md holds our figures.

python runs/check_decoders.py table FOLDER            does every backend show the right frames? (Markdown)
python runs/check_decoders.py speed FILE [FILE ...]   time to open a video and take 16 frames out of it
python runs/check_decoders.py memory FILE [FILE ...]  growth of the process over 2000 clips
python runs/check_decoders.py fuzz FILE [FILE ...]    2000 damaged copies, read in child processes
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

from datasets.decoding import available_decoders
from datasets.decoding_checks.fuzz import fuzz
from datasets.decoding_checks.memory import measure_growth
from datasets.decoding_checks.speed import Timing, time_backends
from datasets.decoding_checks.table import examine_files, to_markdown
from runs.cli import readable_errors

GROWTH_LIMIT = 50.0  # MB


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit code is 1 when a decoder does what it must not."""
    options = parse(arguments)
    with readable_errors():
        if options.decoders is None:
            reasons = available_decoders()
            options.decoders = [name for name in reasons if reasons[name] is None and name != "frames"]
        return COMMANDS[options.command](options)


def table(options: argparse.Namespace) -> int:
    """`check_decoders.py table`."""
    folder = options.files[0]
    names = sorted(name for name in os.listdir(folder) if not name.endswith((".md", ".txt", ".csv")))
    rows = examine_files(
        folder, names, options.decoders, num_workers=options.workers, time_limit=options.time_limit
    )
    print(to_markdown(rows, options.decoders))
    wrong = [row.name for row in rows if any(finding.verdict == "WRONG" for finding in row.findings)]
    lost = [row.name for row in rows if not row.findings]
    print(
        f"\n{len(rows)} files; wrong frames: {', '.join(wrong) or 'none'}; lost: {', '.join(lost) or 'none'}"
    )
    return 1 if wrong or lost else 0


def speed(options: argparse.Namespace) -> int:
    """`check_decoders.py speed`."""
    timings = time_backends(options.files, options.decoders)
    print("| file | " + " | ".join(f"{name} spread | {name} dense" for name in options.decoders) + " |")
    print("|---" * (1 + 2 * len(options.decoders)) + "|")
    for path in options.files:
        cells = [
            f"{milliseconds:.0f}" if milliseconds is not None else "refused"
            for timing in timings
            if timing.path == path
            for milliseconds in (timing.spread, timing.dense)
        ]
        print(f"| {os.path.basename(path)} | " + " | ".join(cells) + " |")
    everywhere = _read_by_all(timings)
    for name in options.decoders:
        mine = [timing for timing in timings if timing.backend == name and timing.path in everywhere]
        if mine:
            spread = sum(timing.spread or 0 for timing in mine) / len(mine)
            dense = sum(timing.dense or 0 for timing in mine) / len(mine)
            print(f"{name}: {spread:.1f} ms spread, {dense:.1f} ms dense (mean of {len(mine)} files)")
    return 0


def _read_by_all(timings: Sequence[Timing]) -> set[str]:
    refused = {timing.path for timing in timings if timing.spread is None or timing.dense is None}
    return {timing.path for timing in timings} - refused


def memory(options: argparse.Namespace) -> int:
    """`check_decoders.py memory`."""
    code = 0
    for name in options.decoders:
        growth = measure_growth(options.files, name, options.count)
        print(
            f"{name}: {growth.megabytes:+.1f} MB over {growth.clips} clips "
            f"({growth.before / 2**20:.0f} MB before, at most {growth.peak / 2**20:.0f} MB)"
        )
        code |= growth.megabytes > GROWTH_LIMIT
    return code


def fuzz_files(options: argparse.Namespace) -> int:
    """`check_decoders.py fuzz`."""
    for name in options.decoders:
        endings = fuzz(
            options.files, name, options.count, num_workers=options.workers, time_limit=options.time_limit
        )
        print(f"{name}: {sum(endings.values())} damaged copies of {len(options.files)} files")
        for ending, count in endings.most_common():
            print(f"  {count:6d}  {ending}")
    return 0


COMMANDS = {"table": table, "speed": speed, "memory": memory, "fuzz": fuzz_files}


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("command", choices=sorted(COMMANDS))
    parser.add_argument("files", nargs="+", help="videos; for table, one folder")
    parser.add_argument("--decoders", nargs="+", metavar="NAME", help="some of the decoders (all that work)")
    parser.add_argument("--count", type=int, default=2000, help="clips or copies (%(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="child processes (%(default)s)")
    parser.add_argument("--time-limit", type=float, default=300.0, help="seconds a file (%(default)s)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
