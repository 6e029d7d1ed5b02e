"""The command line that all commands share: configuration, its overrides, help, and errors without traceback.

    python runs/run.py --cfg FILE [--print-config] [--list-keys [PREFIX]] [KEY VALUE ...]

Torch-free: `--help` and a mistake in the configuration are answered before torch is imported.

A command's entry file looks like this:

    with readable_errors():
        invocation = parse_command(sys.argv[1:], description=__doc__)
        from runs.launch import run          # torch is imported only now
        run(invocation.config)
"""

from __future__ import annotations

import argparse
import io
import os
import shlex
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from runs.config import RunConfig, resolve_run_config
from utils.config import ConfigError, list_keys, to_yaml
from utils.disk import disk_full_text, is_disk_full
from utils.stopping import EXIT_INTERRUPTED, interrupts_noted

EXIT_BAD_INPUT = 2
"""Exit code of a command that was given something it cannot work with."""
_PATIENCE = 10.0  # seconds in which the first process of a machine has met, and told, what another one met


@dataclass(frozen=True)
class Invocation:
    """One call of a command, parsed: its configuration, its own options, and the words to repeat it."""

    config: RunConfig
    sources: dict[str, str]
    options: argparse.Namespace
    command: str


def parse_command(
    arguments: Sequence[str],
    *,
    description: str,
    add_options: Callable[[argparse.ArgumentParser], None] | None = None,
    pairs_as_option: bool = False,
    needs_file: bool = True,
) -> Invocation:
    """Parse a command line and load the configuration that it names.

    Args:
        arguments: the words after the script's name.
        description: first part of the help text.
        add_options: adds the command's own options to the parser.
        pairs_as_option: take overrides as `--set KEY VALUE`, for a command with positional arguments.
        needs_file: whether `--cfg` must be given (otherwise all keys have their defaults without it).
    Raises:
        ConfigError: the configuration cannot be used.
        SystemExit: after --help, --print-config or --list-keys, and on unknown options.
    """
    parser = _parser(description, pairs_as_option)
    if add_options is not None:
        add_options(parser)
    options = parser.parse_args(arguments) if pairs_as_option else parser.parse_intermixed_args(arguments)
    if options.list_keys is not None:
        _print_and_exit(list_keys(RunConfig, options.list_keys))
    if options.cfg is None and needs_file:
        raise ConfigError(
            "no configuration given", remedy="add --cfg FILE, such as one below configs/projects"
        )
    pairs = [word for pair in options.pairs for word in pair] if pairs_as_option else options.pairs
    resolved = resolve_run_config(options.cfg, pairs)
    if is_first_process():
        for message in resolved.warnings:
            print_block("warning", message)
    if options.print_config:
        _print_and_exit(to_yaml(resolved.config, resolved.sources).rstrip("\n"))
    command = shlex.join(["python", _script_name(), *arguments])
    return Invocation(resolved.config, resolved.sources, options, command)


def _parser(description: str, pairs_as_option: bool) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--cfg", metavar="FILE", help="YAML file that describes the run")
    parser.add_argument(
        "--print-config", action="store_true", help="print the resolved configuration, with origins, and exit"
    )
    parser.add_argument(
        "--list-keys",
        nargs="?",
        const="",
        metavar="PREFIX",
        help="print every key (that starts with PREFIX) with type, default and meaning, and exit",
    )
    meaning = "override a key of the configuration, such as TRAIN.BATCH_SIZE 64; the value is parsed as YAML"
    if pairs_as_option:
        parser.add_argument(
            "--set",
            nargs=2,
            action="append",
            default=[],
            dest="pairs",
            metavar=("KEY", "VALUE"),
            help=meaning,
        )
    else:
        parser.add_argument("pairs", nargs="*", metavar="KEY VALUE", help=meaning)
    return parser


def _print_and_exit(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:  # `--list-keys | head` closes the pipe early
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(0)


def _script_name() -> str:
    script = sys.argv[0] or "runs/run.py"
    relative = os.path.relpath(script)
    return script if relative.startswith("..") else relative


def is_first_process() -> bool:
    """Whether this is the process that talks: the only one, or the first of those that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


def print_block(kind: str, text: str) -> None:
    """Print a warning or an error to stderr, wrapped, its first line led by `kind`."""
    lines = [
        textwrap.fill(line, 110, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
        for line in text.splitlines()
    ]
    print(f"{kind}: " + "\n".join(lines), file=sys.stderr, flush=True)


def escape_on_stdout() -> None:
    """Let names of files that stdout's encoding does not have come out as `\\udce9`, not end the command."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


@contextmanager
def _interrupts_raised() -> Iterator[None]:
    """An error that comes after a Ctrl-C comes of it, and is raised as KeyboardInterrupt."""
    with interrupts_noted() as noted:
        try:
            yield
        except Exception as error:
            if noted:
                raise KeyboardInterrupt from error
            raise


@contextmanager
def readable_errors(*kinds: type[Exception]) -> Iterator[None]:
    """Turn errors that people can mend into one block of text on stderr and exit code 2.

    `ConfigError` always; further exception types (an unreadable annotation, a failed download) as given. Of
    the processes that torchrun has started, the first of each machine tells at once, and torchrun then ends
    the others; one that is left alone with its error tells it after a while.
    Ctrl-C ends the command with "interrupted" and 130, whatever has become of it on its way, a full disk with
    a line that says so and 1. Anything else is a defect and keeps its traceback.
    """
    expected: tuple[type[Exception], ...] = (ConfigError, *kinds)
    try:
        with _interrupts_raised():
            yield
    except expected as error:
        place = "" if is_first_process() else f" in process {os.environ['RANK']}"
        if os.environ.get("LOCAL_RANK", os.environ.get("RANK", "0")) != "0":
            # torchrun ends all processes once one has left: were this the one, nobody might have told why.
            time.sleep(_PATIENCE)
        print_block(f"error{place}", str(error))
        raise SystemExit(EXIT_BAD_INPUT) from None
    except KeyboardInterrupt:
        if is_first_process():
            print("interrupted", file=sys.stderr, flush=True)
        raise SystemExit(EXIT_INTERRUPTED) from None
    except OSError as error:
        if not is_disk_full(error):
            raise
        print_block("error", disk_full_text(error))
        raise SystemExit(1) from None
