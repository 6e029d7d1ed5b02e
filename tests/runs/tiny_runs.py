"""Real runs of a tiny DiST on tiny videos, in processes forked from the test: no interpreter to start."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datasets.moving_shapes.encoding import write_clip
from models.clip import build_clip
from runs.cli import Invocation
from runs.config import RunConfig, load_run_config
from runs.job import run_job
from runs.train import Trainer
from utils.figures import new_figure
from utils.stopping import StopSignals

COLOURS = ((200, 40, 40), (40, 200, 40), (40, 40, 200))
TRAIN_VIDEOS, TEST_VIDEOS = 20, 7
EPOCHS, BATCH = 4, 8
STEPS = EPOCHS * (TRAIN_VIDEOS // BATCH)
_FORK = multiprocessing.get_context("fork")


def warm_up() -> None:
    """Import in the test's process what every run would import again after the fork."""
    build_clip("tiny-test").tokenize(["a"])
    new_figure()


def write_videos(folder: Path) -> None:
    """Coloured noise in three classes, with lists train.csv and val.csv."""
    generator = np.random.default_rng(0)
    for split, count in (("train", TRAIN_VIDEOS), ("val", TEST_VIDEOS)):
        lines = ["path,label"]
        for number in range(count):
            label = number % len(COLOURS)
            noise = generator.integers(-40, 40, (8, 40, 48, 3))
            frames = np.clip(np.array(COLOURS[label]) + noise, 0, 255).astype(np.uint8)
            path = f"{split}{number:02d}.mp4"
            write_clip(folder / path, frames, fps=8, quantiser=20)
            lines.append(f"{path},colour {label}")
        (folder / f"{split}.csv").write_text("\n".join(lines) + "\n")


def tiny_pairs(videos: Path, output: Path) -> dict[str, str]:
    """The configuration of a run of ten steps as KEY: value, with everything on that could go wrong on
    resume.
    """
    return {
        "OUTPUT_DIR": str(output),
        "NUM_GPUS": "0",
        "LOG_PERIOD": "1",
        "LOG_CONFIG_INFO": "false",
        "LOG_MODEL_INFO": "false",
        "DIST_TIMEOUT": "300",
        "TRAIN.DATASET": "csv",
        "TRAIN.BATCH_SIZE": str(BATCH),
        "TRAIN.EVAL_PERIOD": "2",
        "TRAIN.CHECKPOINT_STEPS": "1",
        "TRAIN.CLIP_GRAD_NORM": "10",
        "TEST.BATCH_SIZE": "2",
        "TEST.NUM_ENSEMBLE_VIEWS": "2",
        "DATA.DATA_ROOT_DIR": str(videos),
        "DATA.NUM_INPUT_FRAMES": "4",
        "DATA.TRAIN_CROP_SIZE": "32",
        "DATA.TEST_SCALE": "32",
        "DATA.TEST_CROP_SIZE": "32",
        "DATA_LOADER.NUM_WORKERS": "0",
        "AUGMENTATION.COLOR_AUG": "true",
        "AUGMENTATION.MIXUP.ENABLE": "true",
        "AUGMENTATION.CUTMIX.ENABLE": "true",
        "AUGMENTATION.MIXUP.GROUP_SIZE": "2",
        "MODEL.EMA.ENABLE": "true",
        "MODEL.EMA.DECAY": "0.9",
        "VIDEO.BACKBONE.META_ARCH_NAME": "tiny-test",
        "VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH": '""',
        "VIDEO.BACKBONE.DIST.INTEGRATION_DIM": "64",
        "VIDEO.BACKBONE.DIST.TEMPORAL_DIM": "16",
        "OPTIMIZER.MAX_EPOCH": str(EPOCHS),
        "OPTIMIZER.WARMUP_EPOCHS": "0.5",
        "OPTIMIZER.BASE_LR": "1.0e-4",
    }


def words(pairs: dict[str, str]) -> list[str]:
    """KEY value KEY value … as on a command line."""
    return [word for pair in pairs.items() for word in pair]


@dataclass(frozen=True)
class ForkedRun:
    """A run that has been started. `text` is what its processes have said so far."""

    processes: Sequence[multiprocessing.process.BaseProcess]
    log: Path

    def codes(self, timeout: float = 300.0) -> list[int | None]:
        """The exit codes, once all processes have ended."""
        for process in self.processes:
            process.join(timeout)
            if process.is_alive():
                process.kill()
                raise TimeoutError(f"a run did not end within {timeout} s:\n{self.text()}")
        return [process.exitcode for process in self.processes]

    def text(self) -> str:
        """Standard output and error of all processes."""
        return self.log.read_text(errors="replace")

    def wait_for(self, mark: str, timeout: float = 300.0) -> None:
        """Wait until a process says `mark`."""
        end = time.monotonic() + timeout
        while mark not in self.text():
            alive = any(process.is_alive() for process in self.processes)
            assert alive and time.monotonic() < end, f"{mark!r} never came:\n{self.text()}"
            time.sleep(0.005)


def start_run(
    pairs: dict[str, str],
    processes: int = 1,
    before: Callable[[], None] | None = None,
    log_folder: Path | None = None,
) -> ForkedRun:
    """Start a run of so many processes. before: called in each process first, to lay traps."""
    config = load_run_config(None, words(pairs))
    output = Path(config.output_dir)
    log = (log_folder or output.parent) / f"{output.name}.{time.monotonic_ns()}.txt"
    log.touch()
    port = free_port()
    started = []
    for rank in range(processes):
        place = {"RANK": str(rank), "WORLD_SIZE": str(processes), "LOCAL_RANK": str(rank)}
        place |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        child = _FORK.Process(target=_run, args=(config, place if processes > 1 else {}, log, before))
        child.start()
        started.append(child)
    return ForkedRun(started, log)


def _run(config: RunConfig, place: dict[str, str], log: Path, before: Callable[[], None] | None) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    sys.stdout, sys.stderr = open(1, "w", buffering=1), open(2, "w", buffering=1)  # noqa: SIM115
    os.environ.update(place)
    # one that an earlier test started is no child of ours
    forkserver._forkserver.__init__()  # type: ignore[misc]
    torch.set_num_threads(1)
    if before is not None:
        before()
    options = argparse.Namespace(cfg=None)
    code = run_job(Invocation(config, {}, options, "python runs/run.py"))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def held_at(step: int, gate: Path) -> Callable[[], None]:
    """For `before`: the run waits after `step` steps for a signal or for the end of the file `gate`.

    So a test acts on it at a known moment, however busy the machine is.
    """
    gate.touch()

    def lay_trap() -> None:
        take_step = Trainer._take_step

        def take_and_wait(self: Trainer, batches: Sequence[Any], signals: StopSignals) -> None:
            take_step(self, batches, signals)
            while self.progress.step == step and gate.exists() and signals.received is None:
                time.sleep(0.01)

        Trainer._take_step = take_and_wait  # type: ignore[method-assign]

    return lay_trap


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
