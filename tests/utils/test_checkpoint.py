"""Checkpoints: round trip, atomic, checked, refused when they could run code, kept when the disk is full."""

from __future__ import annotations

import errno
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from utils import checkpoint
from utils.checkpoint import (
    CheckpointDamagedError,
    CheckpointError,
    frozen_fingerprint,
    load_trainable_state,
    read_checkpoint,
    serialise,
    trainable_state,
    write_checkpoint,
)
from utils.checkpoint_folder import CheckpointFolder

STATE: dict[str, Any] = {
    "step": 3,
    "rates": [0.1, None, True],
    "weights": {"a": torch.arange(6.0).view(2, 3)},
}


class RunsCode:
    """Pickles into a call that creates a file: what a malicious checkpoint does."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


def test_round_trip_stays_an_ordinary_torch_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.pt"
    size = write_checkpoint(path, STATE)
    assert size == path.stat().st_size
    for state in (read_checkpoint(path), torch.load(path, weights_only=True)):
        assert state["rates"] == STATE["rates"]
        assert torch.equal(state["weights"]["a"], STATE["weights"]["a"])
    assert [entry.name for entry in path.parent.iterdir()] == ["a.pt"]


def test_every_torn_or_flipped_file_is_found(tmp_path: Path) -> None:
    whole = serialise(STATE)
    path = tmp_path / "a.pt"
    lengths = [*range(0, len(whole), 97), len(whole) - 1]
    for length in lengths:
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointDamagedError, match=r"a\.pt"):
            read_checkpoint(path)
    for position in range(0, len(whole), 53):
        flipped = bytearray(whole)
        flipped[position] ^= 0x10
        path.write_bytes(bytes(flipped))
        with pytest.raises(CheckpointDamagedError):
            read_checkpoint(path)


def test_malicious_checkpoint_is_refused_and_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap, path = tmp_path / "trap", tmp_path / "evil.pt"
    with pytest.raises(TypeError, match=r"state\['x'\] is a RunsCode"):
        serialise({"x": RunsCode(trap)})
    monkeypatch.setattr(checkpoint, "assert_plain", lambda state: None)  # an attacker has no such scruples
    path.write_bytes(serialise({"x": RunsCode(trap)}))
    with pytest.raises(CheckpointError, match="refusing"):
        read_checkpoint(path)
    raw = tmp_path / "raw.pt"
    raw.write_bytes(pickle.dumps(RunsCode(trap)))
    with pytest.raises(CheckpointError):
        checkpoint.load_trusted_types(raw)
    assert not trap.exists()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_full_disk_leaves_the_previous_checkpoint_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    folder = CheckpointFolder(tmp_path, keep=2)
    for step in (1, 2):
        folder.save({"step": step}, step)

    def full(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match=r"no room .* step_000000001\.pt .* resumes"):
        folder.save({"step": 3}, 3)
    monkeypatch.undo()
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["step_000000001.pt", "step_000000002.pt"]
    found = folder.newest_valid()
    assert found is not None and found.state == {"step": 2}


def test_keeps_the_last_k_and_the_best(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, keep=2)
    for step in range(5):
        folder.save({"step": step}, step, best=step == 1)
    assert [path.name for path in folder.paths()] == ["step_000000003.pt", "step_000000004.pt"]
    assert read_checkpoint(folder.best) == {"step": 1}


def test_newest_valid_names_and_passes_over_a_torn_one(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, keep=3)
    assert folder.newest_valid() is None
    for step in (1, 2, 3):
        folder.save({"step": step}, step)
    newest = folder.path_of(3)
    newest.write_bytes(newest.read_bytes()[:-100])
    (tmp_path / ".step_000000004.pt.partial").write_bytes(b"half")
    found = folder.newest_valid()
    assert found is not None and found.state == {"step": 2}
    assert len(found.passed_over) == 1 and "step_000000003.pt" in found.passed_over[0]
    assert folder.remove_partial_files() == [".step_000000004.pt.partial"]
    for step in (1, 2):
        folder.path_of(step).write_bytes(b"")
    with pytest.raises(CheckpointDamagedError, match=r"no checkpoint in .* is whole"):
        folder.newest_valid()


@pytest.mark.parametrize("keep", [1, 2])
def test_a_torn_file_of_a_later_step_pushes_no_whole_one_out(tmp_path: Path, keep: int) -> None:
    folder = CheckpointFolder(tmp_path, keep=keep)
    folder.save({"step": 200}, 200)
    folder.path_of(300).write_bytes(b"torn")
    for step in (250, 299):
        folder.save({"step": step}, step)
        found = folder.newest_valid()
        assert found is not None and found.state == {"step": step}
    folder.save({"step": 350}, 350)
    folder.save({"step": 400}, 400)
    assert folder.paths() == [folder.path_of(350), folder.path_of(400)][-keep:]


class HalfFrozen(nn.Module):
    """A frozen layer, one with buffers and one that trains."""

    def __init__(self, width: int = 3) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Linear(2, width).requires_grad_(False)
        self.norm = nn.BatchNorm1d(width)
        self.head = nn.Linear(width, 1)


def test_only_what_trains_is_stored_and_it_must_fit() -> None:
    source, target = HalfFrozen(), HalfFrozen()
    state = trainable_state(source)
    assert not any(name.startswith("encoder.") for name in state) and "norm.running_mean" in state
    state = {name: tensor + 1 for name, tensor in state.items()}
    load_trainable_state(target, state, "a.pt")
    assert torch.equal(target.head.weight, source.head.weight + 1)
    assert torch.equal(target.encoder.weight, source.encoder.weight)
    with pytest.raises(CheckpointError, match=r"a\.pt is of another architecture .* shape \(3,\)"):
        load_trainable_state(HalfFrozen(4), state, "a.pt")
    del state["head.bias"]
    with pytest.raises(CheckpointError, match=r"lacks head\.bias"):
        load_trainable_state(target, state, "a.pt")


def test_fingerprint_follows_frozen_weights_only() -> None:
    network = HalfFrozen()
    before = frozen_fingerprint(network)
    with torch.no_grad():
        network.head.weight.add_(1)
    assert frozen_fingerprint(network) == before
    with torch.no_grad():
        network.encoder.weight[0, 0] += 1e-6
    assert frozen_fingerprint(network) != before
    assert frozen_fingerprint(nn.Linear(1, 1)) == ""
