"""Communication: the identity with no process group; sums, gathers, errors, gradients over gloo."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as multiprocessing
from torch import nn

from utils import distributed


def test_one_process_needs_no_group() -> None:
    assert (distributed.rank(), distributed.world_size(), distributed.is_main()) == (0, 1, True)
    assert distributed.gather(3) == [3] and distributed.broadcast("a") == "a"
    assert distributed.all_reduce_sum(torch.tensor([2.0])).tolist() == [2.0]
    distributed.barrier()
    assert distributed.on_main(lambda: 5) == 5
    network = nn.Linear(1, 1)
    assert distributed.wrap(network, torch.device("cpu")) is network


def test_a_backend_that_cannot_serve_a_cpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    with pytest.raises(ValueError, match="nccl"):
        distributed.initialise("cpu", 10, backend="nccl")


class StoreError(RuntimeError):
    """An error of a part of ours."""


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (RuntimeError("[gloo/transport/tcp/pair.cc:553] Connection closed by peer [10.0.0.2]:4711"), True),
        (torch.distributed.DistBackendError("NCCL error: unhandled system error"), True),
        (torch.distributed.DistNetworkError("failed to recv, got 0 bytes"), True),
        (StoreError("s3://bucket/v.mp4: 4 attempts failed, the last with connection timed out"), False),
        (distributed.MainProcessError("checkpoint: Connection timed out", "CheckpointError"), False),
        (RuntimeError("shape mismatch"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_errors_of_the_connection_itself_mean_a_lost_process(
    error: RuntimeError, named: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    expected = distributed.PeerLostError if named else type(error)
    with pytest.raises(RuntimeError) as caught, distributed.peer_loss_named():
        raise error
    assert type(caught.value) is expected


class HalfFrozen(nn.Module):
    """A frozen layer below one that trains."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Linear(3, 4).requires_grad_(False)
        self.head = nn.Linear(4, 2)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B,3) → (B,2)."""
        return self.head(self.encoder(inputs).tanh())


def _fail() -> int:
    raise ValueError("disk on fire")


def _check_in_process(process: int, processes: int, folder: str) -> None:
    torch.set_num_threads(1)
    os.environ.update(
        RANK=str(process), WORLD_SIZE=str(processes), LOCAL_RANK=str(process), MASTER_ADDR="127.0.0.1"
    )
    store = torch.distributed.FileStore(f"{folder}/store", processes)
    torch.distributed.init_process_group("gloo", store=store, rank=process, world_size=processes)
    assert (distributed.rank(), distributed.world_size()) == (process, processes)
    assert distributed.gather({"rank": process}) == [{"rank": 0}, {"rank": 1}]
    assert distributed.broadcast(process + 10) == 10
    assert distributed.all_reduce_sum(torch.tensor([process, 1])).tolist() == [1, 2]
    assert distributed.on_main(lambda: process) == 0
    with pytest.raises((ValueError, distributed.MainProcessError), match="disk on fire"):
        distributed.on_main(_fail)
    _check_gradients(process)
    distributed.shutdown()
    Path(folder, f"passed{process}").touch()


def _check_gradients(process: int) -> None:
    """Averaged over processes where asked, kept where not; frozen weights are not synchronised at all."""
    inputs = torch.arange(12.0).view(4, 3)
    expected = HalfFrozen()
    expected(inputs).square().mean().backward()
    network = HalfFrozen()
    with torch.no_grad():
        network.encoder.weight.add_(
            process * 1e-3
        )  # would be overwritten by process 0's if it were communicated
    wrapped = distributed.wrap(network, torch.device("cpu"))
    assert float((network.encoder.weight - expected.encoder.weight).detach().abs().max()) == pytest.approx(
        process * 1e-3, rel=1e-3
    )
    with torch.no_grad():
        network.encoder.weight.copy_(expected.encoder.weight)
    halves = inputs[2 * process : 2 * process + 2]
    for number, rows in enumerate(halves.split(1)):
        with distributed.gradients_kept_local(wrapped, active=number == 0):
            (wrapped(rows).square().mean() / 2).backward()
    for weight, other in zip(network.head.parameters(), expected.head.parameters(), strict=True):
        torch.testing.assert_close(weight.grad, other.grad)


def test_two_gloo_processes(tmp_path: Path) -> None:
    multiprocessing.start_processes(
        _check_in_process, args=(2, str(tmp_path)), nprocs=2, start_method="fork", join=True
    )
    assert sorted(path.name for path in tmp_path.glob("passed*")) == ["passed0", "passed1"]
