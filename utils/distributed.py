"""Communication between the processes of one run, right with no process group too.

A run is one process (no process group: every function below is then the identity), or W processes that
torchrun or `runs/launch.py` started, one per GPU, or per worker on a CPU. On GPUs tensors travel through NCCL
and small host-side facts through gloo; on a CPU everything travels through gloo.

Collective functions must be called by every process, in the same order.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from utils.farewell import Farewell

Value = TypeVar("Value")

# Texts by which NCCL and gloo say that the other end of a connection has gone, not that we made a mistake.
PEER_LOSS_MARKS = (
    "connection closed by peer",
    "connection reset by peer",
    "connection refused",
    "broken pipe",
    "socket timeout",
    "timed out",
    "remote process exited",
    "nccl communicator was aborted",
    "gloo/transport/tcp",
)


# The name changed in torch 2.15; buffers are ignored altogether, so both mean the same here.
_KNOWN_SWITCHES = inspect.signature(DistributedDataParallel).parameters
_BUFFER_SWITCH = "forward_sync_buffers" if "forward_sync_buffers" in _KNOWN_SWITCHES else "broadcast_buffers"


_farewells: list[Farewell] = []
"""Of the process group that `initialise` has joined: one, or none."""
_losses: list[str] = []
"""What was said of peers that were lost: nothing can be taken down in order with them afterwards."""


class PeerLostError(RuntimeError):
    """Another process of this run died or stopped answering, so a collective operation could not finish."""


class MainProcessError(RuntimeError):
    """The main process failed in something that it does for all; it reports the error itself.

    `kind` is the name of its error's class.
    """

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


def launched_by_elastic() -> bool:
    """True when torchrun (or another launcher with its environment) started this process."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def is_initialised() -> bool:
    """True when this process belongs to a process group."""
    return dist.is_available() and dist.is_initialized()


def rank() -> int:
    """This process's number among all processes of the run; 0 without a process group."""
    return dist.get_rank() if is_initialised() else 0


def world_size() -> int:
    """Number of processes of the run; 1 without a process group."""
    return dist.get_world_size() if is_initialised() else 1


def local_rank() -> int:
    """This process's number on its own machine, as the launcher gave it; 0 without one."""
    return int(os.environ.get("LOCAL_RANK", "0")) if is_initialised() else 0


def is_main() -> bool:
    """True for the one process that writes files and speaks to the user."""
    return rank() == 0


def initialise(device_type: str, timeout_seconds: float, backend: str = "") -> None:
    """Join the process group that the launcher's environment describes; without one do nothing.

    device_type: "cuda" or "cpu". backend: "nccl" or "gloo" for the tensors; "" takes what suits the device.
    Raises ValueError for a backend that cannot serve the device, PeerLostError when the others do not come.
    """
    if not launched_by_elastic() or is_initialised():
        return
    backend = backend or ("nccl" if device_type == "cuda" else "gloo")
    if device_type == "cpu" and backend != "gloo":
        raise ValueError(f"backend {backend!r} cannot serve a CPU run: use gloo")
    # The host side always gets gloo: stop flags and counts then need no GPU synchronisation.
    groups = "gloo" if device_type == "cpu" else f"cpu:gloo,cuda:{backend}"
    try:
        dist.init_process_group(groups, timeout=timedelta(seconds=timeout_seconds))
    except dist.DistError as error:
        raise PeerLostError(
            f"the processes of this run did not all meet within {timeout_seconds:.0f} s"
        ) from error
    _farewells.append(Farewell(dist.distributed_c10d._get_default_store(), world_size()))


def announce_end(code: int) -> None:
    """Tell the other processes that this one is about to leave with exit code `code`, which is why they will
    lose contact with it.
    """
    for farewell in _farewells:
        farewell.announce(code)


def announced_end() -> int:
    """The exit code that another process has announced; 0 when none has, as when it was lost."""
    return max((farewell.announced() for farewell in _farewells), default=0)


def stay_until_heard() -> None:
    """In the main process, where what any of them has announced may lie: wait until all know, for a moment at
    most.
    """
    if is_main() and announced_end():
        for farewell in _farewells:
            farewell.wait_until_heard()


def shutdown() -> None:
    """Leave the process group, if there is one."""
    while _farewells:
        _farewells.pop().close()
    if is_initialised():
        dist.destroy_process_group()


def leave(code: int, *, in_order: bool) -> None:
    """Leave the process group at the end of the process; after a failure (not in order), or with a peer lost,
    end the process with `code`.

    Threads that wait for a peer which is gone would keep the interpreter from ending, or abort it.
    """
    if not is_initialised():
        return
    stay_until_heard()
    if in_order and not _losses:
        shutdown()
        return
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def barrier() -> None:
    """Wait until every process has come here (on the host side: no GPU is involved)."""
    if world_size() > 1:
        all_reduce_sum(torch.zeros(1))


def all_reduce_sum(tensor: Tensor) -> Tensor:
    """Sum of `tensor`, contiguous, over all processes, in place and returned; on any device the run uses."""
    assert tensor.is_contiguous(), "NCCL takes contiguous tensors alone"
    if world_size() > 1:
        with peer_loss_named():
            dist.all_reduce(tensor, op=dist.ReduceOp.SUM)
    return tensor


def all_reduce_max(tensor: Tensor) -> Tensor:
    """Element-wise maximum of `tensor` over all processes, in place and returned."""
    if world_size() > 1:
        with peer_loss_named():
            dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
    return tensor


def gather(value: Value) -> list[Value]:
    """The value of every process, in rank order, on every process. Values: plain types and CPU tensors."""
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    with peer_loss_named():
        dist.all_gather_object(values, value)  # over gloo: the group always has a host side
    return values


def broadcast(value: Value) -> Value:
    """The main process's value, on every process. Values: plain types and CPU tensors."""
    if world_size() == 1:
        return value
    holder: list[Any] = [value if is_main() else None]
    with peer_loss_named():
        dist.broadcast_object_list(holder, src=0, device=torch.device("cpu"))
    return holder[0]


def on_main(action: Callable[[], Value]) -> Value:
    """What `action` returns on the main process, which alone calls it; its error is raised everywhere."""
    if world_size() == 1:
        return action()
    result: Value | None = None
    failure: Exception | None = None
    if is_main():
        try:
            result = action()
        except Exception as error:  # noqa: BLE001 -- raised below, here and on all other processes
            failure = error
    told = broadcast(None if failure is None else (str(failure), type(failure).__name__))
    if failure is not None:
        raise failure
    if told is not None:
        raise MainProcessError(*told)
    return broadcast(result)  # type: ignore[return-value]


def wrap(module: nn.Module, device: torch.device) -> nn.Module:
    """`module` whose trainable weights' gradients are averaged over the processes; itself when there is one
    process.

    Frozen parameters and all buffers stay outside the communication: every process loads the same ones.
    """
    if world_size() == 1:
        return module
    ignored = [name for name, parameter in module.named_parameters() if not parameter.requires_grad]
    ignored += [name for name, _ in module.named_buffers()]
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(module, ignored)
    device_ids = [device.index] if device.type == "cuda" else None
    no_buffers: dict[str, Any] = {_BUFFER_SWITCH: False}
    with peer_loss_named():
        return DistributedDataParallel(
            module, device_ids=device_ids, gradient_as_bucket_view=True, **no_buffers
        )


@contextmanager
def gradients_kept_local(module: nn.Module, active: bool) -> Iterator[None]:
    """Inside, with `active`, backward passes add up gradients without communicating them."""
    if active and isinstance(module, DistributedDataParallel):
        with module.no_sync():
            yield
    else:
        yield


@contextmanager
def peer_loss_named() -> Iterator[None]:
    """Turn the backends' errors about a vanished process into PeerLostError; leave all others as they are."""
    try:
        yield
    except RuntimeError as error:
        if world_size() > 1 and _speaks_of_a_lost_peer(error):
            _losses.append(str(error))
            raise PeerLostError(
                f"process {rank()} of {world_size()} lost contact with another process of this run: "
                f"{str(error).splitlines()[0]}"
            ) from error
        raise


def _speaks_of_a_lost_peer(error: RuntimeError) -> bool:
    """NCCL raises DistError, gloo a plain RuntimeError. Subclasses are other people's errors, ours among
    them, which may well speak of a connection that timed out: one to a disk or to a store of videos.
    """
    if isinstance(error, dist.DistError):
        return True
    text = str(error).lower()
    return type(error) is RuntimeError and any(mark in text for mark in PEER_LOSS_MARKS)
