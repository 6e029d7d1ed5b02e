"""One process of a run: its device, its place among the others, its numerics; and how it ends."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable

import torch

from datasets.annotations import AnnotationError
from datasets.loader import UnreadableRateError, WorkerFailureError
from datasets.video_dataset import UnreadableVideoError
from runs.cli import EXIT_BAD_INPUT, print_block
from runs.config import RunConfig
from runs.train import NonFiniteLossError
from utils import distributed
from utils.checkpoint import CheckpointError
from utils.config import ConfigError
from utils.disk import disk_full_text, is_disk_full
from utils.logging import get_logger
from utils.precision import allow_tf32
from utils.reproducibility import deterministic_kernels, seed_everything
from utils.stopping import EXIT_INTERRUPTED, EXIT_PREEMPTED, RunStopped

EXIT_FAILED = 1
EXIT_PEER_LOST = 76
_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)

BAD_INPUT = (ConfigError, AnnotationError)
EXPECTED_FAILURES = (
    CheckpointError,
    NonFiniteLossError,
    UnreadableVideoError,
    UnreadableRateError,
    WorkerFailureError,
    FloatingPointError,
)


def start_process(config: RunConfig) -> torch.device:
    """Take this process's device, join the others, set the numerics and seeds; returns the device.

    Raises ConfigError when the devices that the configuration asks for are not there.
    """
    device = choose_device(config.num_gpus, torch.cuda.device_count())
    if distributed.launched_by_elastic():
        stop_with_launcher()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    distributed.initialise(device.type, config.dist_timeout, _backend(config.dist_backend, device))
    allow_tf32(config.train.tf32)
    deterministic_kernels(config.train.deterministic)
    seed_everything(config.random_seed)  # alike everywhere: new weights must be the same in all processes
    return device


def _backend(asked: str, device: torch.device) -> str:
    """The backend to join the others with; "" for the device's own. Files of the original release say nccl
    whatever the machine, and load as they are.
    """
    if device.type == "cpu" and asked == "nccl" and distributed.launched_by_elastic():
        if os.environ["RANK"] == "0":
            text = "DIST_BACKEND nccl is for GPUs: these processes on the CPU talk through gloo"
            print_block("warning", text)
        return ""
    return "" if asked == "auto" else asked


def stop_with_launcher() -> None:
    """Have the system send this process SIGTERM when its launcher dies, so that no orphan keeps a GPU."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)


def choose_device(num_gpus: int | None, visible: int) -> torch.device:
    """The GPU of this process (its number on the machine under a launcher), or the CPU."""
    if num_gpus == 0 or (num_gpus is None and visible == 0):
        return torch.device("cpu")
    index = int(os.environ.get("LOCAL_RANK", "0"))
    if index >= visible:
        raise ConfigError(
            f"process {index} of this machine has no GPU: {visible} are visible",
            key="NUM_GPUS",
            remedy="start as many processes as there are GPUs, or set NUM_GPUS 0 for the CPU",
        )
    return torch.device("cuda", index)


def exit_code_of(job: Callable[[], None]) -> int:
    """Run `job`; tell people what ended it, where that was foreseen, and return its exit code; the other
    processes of the run hear of it, also of what was not foreseen and is raised.
    """
    try:
        code = _exit_code_of(job)
    except BaseException:
        distributed.announce_end(EXIT_FAILED)
        distributed.stay_until_heard()
        raise
    if code not in (0, EXIT_PEER_LOST):
        distributed.announce_end(code)
    return code


def leave(code: int) -> None:
    """Leave the other processes of the run with the exit code of this one's job."""
    distributed.leave(code, in_order=code not in (EXIT_FAILED, EXIT_PEER_LOST))


def _exit_code_of(job: Callable[[], None]) -> int:
    try:
        with distributed.peer_loss_named():
            job()
    except RunStopped as stop:
        _say(str(stop))
        return stop.exit_code
    except KeyboardInterrupt:
        _tell("stopped at once; the newest checkpoint in OUTPUT_DIR is where the same command goes on")
        return EXIT_INTERRUPTED
    except BAD_INPUT as error:
        _tell(str(error))
        return EXIT_BAD_INPUT
    except EXPECTED_FAILURES as error:
        _tell(str(error))
        return EXIT_FAILED
    except distributed.MainProcessError as error:  # process 0 tells
        return EXIT_BAD_INPUT if error.kind in {kind.__name__ for kind in BAD_INPUT} else EXIT_FAILED
    except distributed.PeerLostError as error:
        code = distributed.announced_end()
        if code in (EXIT_PREEMPTED, EXIT_INTERRUPTED):
            _say("stopped as asked through another process: the same command goes on, as from that one")
            return code
        if code:
            _tell("another process of this run had to end, and says why")
            return code
        _tell(
            f"{error}. The run ends here, because a step needs all processes. Look at that machine; the same "
            "command on all machines goes on from the newest checkpoint in OUTPUT_DIR"
        )
        return EXIT_PEER_LOST
    except torch.cuda.OutOfMemoryError as error:
        _tell(
            f"{str(error).splitlines()[0]} Remedies: a smaller TRAIN.MICRO_BATCH_SIZE (gradients are "
            "accumulated, results stay the same but for TEMPORAL_ENCODER tada, which normalises over those "
            "clips; TASK_TYPE retrieval compares all pairs of a batch and takes none), "
            "TRAIN.ACTIVATION_CHECKPOINTING True, or a smaller TEST.BATCH_SIZE"
        )
        return EXIT_FAILED
    except OSError as error:
        if not is_disk_full(error):
            raise
        _tell(disk_full_text(error) + ": it goes on from the newest checkpoint in OUTPUT_DIR")
        return EXIT_FAILED
    return 0


def _tell(message: str) -> None:
    """An error, to the log and, before there is one, to stderr."""
    if get_logger().handlers:
        get_logger().error("error: %s", message)
        return
    place = f" in process {distributed.rank()}" if distributed.world_size() > 1 else ""
    print_block(f"error{place}", message)


def _say(message: str) -> None:
    """What is no error, to the log and, before there is one, to stderr; from the main process alone."""
    if get_logger().handlers:
        get_logger().info("%s", message)
    elif distributed.is_main():
        print_block("stopped", message)
