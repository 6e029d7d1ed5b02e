"""From one command to the processes of a run: one, or one per GPU through torch's elastic launcher.

    torchrun … runs/run.py --cfg …           this process is one of many already: it runs its part
    python runs/run.py --cfg … NUM_GPUS 8    starts eight workers on a free port, and waits for them
    python runs/run.py --cfg …               NUM_GPUS 0 or 1, or a machine without GPUs: everything here

NUM_GPUS 0 under torchrun means CPU processes that talk through gloo.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from runs.cli import EXIT_BAD_INPUT, Invocation
from utils.config import ConfigError
from utils.distributed import launched_by_elastic
from utils.stopping import EXIT_INTERRUPTED, EXIT_PREEMPTED

Job = Callable[[Invocation], int]
"""One process's part of an invocation; returns the exit code."""
SIGNALS = "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"
GRACE_SECONDS = 600
"""Time that workers get to finish a step and save after a signal."""


def launch(invocation: Invocation, arguments: list[str], run: Job | None = None) -> int:
    """Run `invocation` in as many processes as it asks for; returns the exit code.

    arguments: the words after the script's name, which every worker gets again. run: what one process does;
    by default what `runs/run.py` is for.
    """
    if not launched_by_elastic():
        processes = processes_to_start(invocation.config.num_gpus, torch.cuda.device_count())
        if processes > 1:
            return start_workers(processes, [sys.argv[0], *arguments])
    if run is not None:
        return run(invocation)
    from runs.job import run_job  # imports the whole project: not needed in the process that only waits

    return run_job(invocation)


def processes_to_start(num_gpus: int | None, visible: int) -> int:
    """Processes for NUM_GPUS (None: all that are visible; 0: the CPU). Raises ConfigError for more than there
    are.
    """
    if num_gpus is not None and num_gpus > visible:
        raise ConfigError(
            f"{num_gpus} asked for, {visible} visible to this process",
            key="NUM_GPUS",
            remedy=f"take {visible or '0, the CPU'}, or check the driver and CUDA_VISIBLE_DEVICES",
        )
    return max(1, visible if num_gpus is None else num_gpus)


def start_workers(processes: int, command: list[str]) -> int:
    """Start `processes` copies of `command` (script, arguments) on this machine; returns their exit code."""
    with tempfile.TemporaryDirectory(prefix="video-launch-") as folder:
        launcher = elastic_launch(_launch_config(processes, folder), sys.executable)
        try:
            launcher("-u", *command)
        except ChildFailedError as error:
            return exit_code_of(error.failures)
        except SignalException as error:
            return EXIT_INTERRUPTED if error.sigval.name == "SIGINT" else EXIT_PREEMPTED
    return 0


def exit_code_of(failures: Mapping[int, ProcessFailure]) -> int:
    """One exit code for the workers' own: a stop on request or bad input is passed on, anything else is 1."""
    codes = {failure.exitcode for failure in failures.values()}
    return next((code for code in (EXIT_BAD_INPUT, EXIT_PREEMPTED, EXIT_INTERRUPTED) if code in codes), 1)


def _launch_config(processes: int, log_folder: str) -> LaunchConfig:
    wanted: dict[str, Any] = {
        "min_nodes": 1,
        "max_nodes": 1,
        "nproc_per_node": processes,
        "rdzv_backend": "c10d",
        "rdzv_endpoint": "localhost:0",  # port 0: any free one
        "run_id": f"video-{os.getpid()}",
        "max_restarts": 0,
        "logs_specs": DefaultLogsSpecs(log_dir=log_folder),
        "signals_to_handle": SIGNALS,
        "shutdown_timeout": GRACE_SECONDS,
    }
    # Older versions of torch have neither of the last two.
    known = {field.name for field in dataclasses.fields(LaunchConfig)}
    return LaunchConfig(**{name: value for name, value in wanted.items() if name in known})
