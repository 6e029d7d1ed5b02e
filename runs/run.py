"""Trains and tests a video model as one YAML file says.

    python runs/run.py --cfg configs/projects/dist/ssv2/vit-b16-8+16f.yaml DATA.DATA_ROOT_DIR … DATA.ANNO_DIR
    …

The same command goes on with a run that stopped. Exit codes: 0 complete, 2 wrong input, 75 stopped by SIGTERM
or SIGUSR1 with its state saved, 130 the same after Ctrl-C, 76 another process of the run was lost, 1 anything
else.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from utils.stopping import leave_on_interrupt

    leave_on_interrupt()

from runs.cli import parse_command, readable_errors
from runs.config import RunConfig
from runs.preflight import check_joint_space, check_paths
from utils.fork_server import gpus_by_files, start_fork_server
from utils.huge_pages import prefer_huge_pages
from utils.stopping import leaving_at_once


def main(arguments: list[str]) -> int:
    """Run the command; returns its exit code."""
    prefer_huge_pages()
    # where process 0 is gone, torch would print a stack of its own for every question to it
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    with readable_errors():
        invocation = parse_command(arguments, description=__doc__ or "")
        check_joint_space(invocation.config)
        check_paths(invocation.config)
        _start_imports_of_workers(invocation.config)
        with leaving_at_once():
            from runs.launch import launch  # torch is imported only now: mistakes are told before

            return launch(invocation, arguments)


def _start_imports_of_workers(config: RunConfig) -> None:
    """Where this process is likely to read videos itself, rather than to start others that do."""
    gpus = gpus_by_files() if config.num_gpus is None else config.num_gpus
    trains_here = "RANK" in os.environ or gpus <= 1
    if trains_here and config.data_loader.num_workers:
        start_fork_server()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
