"""Runs of a grid as processes of `runs/run.py`, a few at a time, each on its own device.

    GridRun ──already complete?──► passed over
            └─► free device ─► python runs/run.py --cfg BASE KEY VALUE … ─► OUTPUT_DIR, and run.log in it
                └─► with SWEEP_FUSION: python runs/zero_shot.py --sweep-fusion … ─► OUTPUT_DIR/fusion

A run that stopped goes on where it was, as any run does. One that fails does not stop the others.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from datasets.annotations import AnnotationError
from runs.ablation.config import GridRun
from runs.ablation.fusion import read_curve, sweep_command
from runs.config import RunConfig, load_run_config
from runs.list_digests import lists_sha256
from runs.output_folder import OutputFolder, differing_keys
from utils.config import ConfigError, to_dict
from utils.logging import get_logger

ENTRY = Path(__file__).resolve().parents[1] / "run.py"
LOG_NAME = "run.log"


@dataclass(frozen=True)
class Device:
    """Where one run at a time computes: a GPU, or a share of the CPU's cores."""

    gpu: str | None
    threads: int

    def environment(self) -> dict[str, str]:
        """The environment of a run on this device."""
        wanted = {"OMP_NUM_THREADS": str(self.threads)}
        if self.gpu is not None:
            wanted["CUDA_VISIBLE_DEVICES"] = self.gpu
        return {**os.environ, **wanted}


Execute = Callable[[GridRun, Device], int]


def devices(jobs: int | None) -> list[Device]:
    """One device per GPU; without GPUs `jobs` shares of the cores (None: one of all cores)."""
    from torch.cuda import device_count

    cores, gpus = os.cpu_count() or 1, device_count()
    if gpus:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(gpus)))).split(",")
        return [Device(gpu, max(1, cores // gpus)) for gpu in visible[: jobs or gpus]]
    count = jobs or 1
    return [Device(None, max(1, cores // count))] * count


def is_complete(run: GridRun) -> bool:
    """Whether the run's folder holds its result.

    Raises ConfigError when it holds another run's, or that of other lists, which are compared as far as they
    and their videos are here.
    """
    folder = OutputFolder(run.output_dir)
    if not folder.is_complete:
        return False
    stored, wanted = load_run_config(folder.config), run.config()
    different = differing_keys(to_dict(stored), to_dict(wanted))
    if different:
        raise ConfigError(
            f"{folder.root} holds another run than the grid asks for: {'; '.join(different[:4])}",
            key="OUTPUT_DIR",
            remedy="give the grid another OUTPUT_DIR, or delete that folder",
        )
    _compare_lists(folder, wanted)
    return not run.sweeps_fusion or read_curve(run) is not None


def _compare_lists(folder: OutputFolder, config: RunConfig) -> None:
    """Raises ConfigError where the run in the folder has read other lists."""
    from runs.build_data import load_splits

    try:
        splits = load_splits(config)
    except (AnnotationError, ConfigError) as error:
        get_logger().warning("%s is taken for complete without comparing its lists: %s", folder.root, error)
    else:
        folder.check_lists(lists_sha256(splits))


class Starter:
    """Runs runs as processes."""

    def __init__(self) -> None:
        self._under_way: set[subprocess.Popen[bytes]] = set()

    def start(self, run: GridRun, device: Device) -> int:
        """Run one run to its end, and its fusion's sweep when there is one; returns the exit code."""
        run.output_dir.mkdir(parents=True, exist_ok=True)
        code = self._call([sys.executable, str(ENTRY), "--cfg", str(run.base), *run.pairs], run, device)
        return code or (self._call(sweep_command(run), run, device) if run.sweeps_fusion else 0)

    def _call(self, command: Sequence[str], run: GridRun, device: Device) -> int:
        with (
            (run.output_dir / LOG_NAME).open("a", encoding="utf-8") as log,
            subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, env=device.environment()
            ) as process,
        ):
            self._under_way.add(process)
            try:
                return process.wait()
            finally:
                self._under_way.discard(process)

    def interrupt(self) -> None:
        """Pass a Ctrl-C on: what is under way saves its state and ends. A terminal has sent it one already,
        perhaps: one that comes so soon after is not taken for a second one.
        """
        for process in tuple(self._under_way):
            process.send_signal(signal.SIGINT)


def run_missing(
    runs: Sequence[GridRun], places: Sequence[Device], execute: Execute | None = None
) -> list[GridRun]:
    """Run what has no result yet, as many at a time as there are places; returns the runs that failed.

    Interrupted, it waits until the runs under way have saved their state.
    """
    missing = [run for run in runs if not is_complete(run)]
    get_logger().info(
        "%d of %d runs have results; %d to run", len(runs) - len(missing), len(runs), len(missing)
    )
    starter = Starter()
    work = execute or starter.start
    free: queue.SimpleQueue[Device] = queue.SimpleQueue()
    for place in places:
        free.put(place)

    def on_free_device(run: GridRun) -> int:
        device = free.get()
        try:
            get_logger().info("starts: %s, seed %d (%s)", run.name, run.seed, run.output_dir)
            return work(run, device)
        finally:
            free.put(device)

    failed = []
    with ThreadPoolExecutor(len(places)) as pool:
        try:
            for run, code in zip(missing, pool.map(on_free_device, missing), strict=True):
                if code:
                    _tell_failure(run, code)
                    failed.append(run)
        except KeyboardInterrupt:
            get_logger().info("stopping: the runs under way save their state")
            pool.shutdown(wait=False, cancel_futures=True)
            starter.interrupt()
            raise
    return failed


def _tell_failure(run: GridRun, code: int) -> None:
    log = run.output_dir / LOG_NAME
    get_logger().error("FAILED with exit code %d: %s, seed %d; see %s", code, run.name, run.seed, log)
