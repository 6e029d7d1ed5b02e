"""Checkpoint files: plain types and tensors, written atomically, sealed with a checksum, never executed.

    state ── torch.save ──► zip bytes + SHA-256 as the zip's comment ──► hidden temporary file, fsync
          ──► rename over the final name, fsync of the folder

A file is therefore whole under its final name or not there at all; a disk that lied is found out by the
checksum, which is compared before a byte is interpreted. Reading always goes through
`torch.load(weights_only=True)`: a pickle that wants to run code is refused. The files stay ordinary torch
files (`torch.load(path, weights_only=True)`). `utils/checkpoint_folder.py` decides which files of a run to
keep and which to start from.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from utils.disk import is_disk_full

SEAL_PREFIX = b"sha256:"
SEAL_LENGTH = len(SEAL_PREFIX) + 64
SEAL_LENGTH_FIELD = SEAL_LENGTH.to_bytes(2, "little")
_BLOCK_BYTES = 1 << 20
PLAIN_TYPES = (str, int, float, bool, type(None))
# What torch.load raises on damaged or foreign files, by experience.
_UNREADABLE = (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, ValueError, TypeError, IndexError)


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be written, read, trusted or fitted to the model."""


class CheckpointDamagedError(CheckpointError):
    """A checkpoint file that is torn: cut short, or with other bytes than were written."""


def write_checkpoint(path: Path, state: Mapping[str, Any]) -> int:
    """Write `state` to `path` atomically; returns the number of bytes.

    state: nested dicts, lists and tuples of tensors and plain types (str, int, float, bool, None); others are
    a TypeError. Raises CheckpointError when the disk is full; what was at `path` before is then untouched.
    """
    sealed = serialise(state)
    temporary = temporary_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_through(temporary, sealed)
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if is_disk_full(error):
            raise CheckpointError(_disk_full_message(path, len(sealed), error)) from error
        raise CheckpointError(f"cannot write checkpoint {path}: {error.strerror}") from error
    return len(sealed)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The state in the file at `path`, tensors on the CPU.

    Raises CheckpointDamagedError for a torn file, CheckpointError for a missing one or one that is not ours
    (no checksum) or holds more than tensors and plain types.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"cannot read checkpoint {path}: {error.strerror}") from error
    _check_seal(path, content)
    return load_trusted_types(path, content)


def load_trusted_types(path: Path, content: bytes | None = None) -> dict[str, Any]:
    """`torch.load(weights_only=True)` of any torch file, on the CPU; CheckpointError where it is refused or
    unreadable.
    """
    try:
        state = torch.load(
            io.BytesIO(content) if content is not None else path, map_location="cpu", weights_only=True
        )
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"refusing {path}: it holds objects other than tensors and plain types, and reading those would "
            f"run code from the file ({_first_line(error)})"
        ) from error
    except (OSError, *_UNREADABLE) as error:
        raise CheckpointError(f"{path} is not a readable torch file: {_first_line(error)}") from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{path} holds a {type(state).__name__} where a checkpoint holds a dictionary")
    return state


def serialise(state: Mapping[str, Any]) -> bytes:
    """The bytes of a checkpoint file: a torch zip archive whose comment is the SHA-256 of all that precedes
    it.
    """
    assert_plain(state)
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    content = buffer.getvalue()
    assert content[-22:-18] == b"PK\x05\x06", "torch.save no longer ends its zip archives without a comment"
    body = content[:-2]  # the last two bytes are the length of the comment: zero
    seal = SEAL_PREFIX + hashlib.sha256(body).hexdigest().encode()
    return body + SEAL_LENGTH_FIELD + seal


def assert_plain(value: Any, where: str = "state") -> None:
    """TypeError, naming the place, unless `value` is made of tensors, plain types, dicts, lists and tuples
    only.
    """
    if isinstance(value, Mapping):
        for key, item in value.items():
            assert_plain(key, f"{where} (a key)")
            assert_plain(item, f"{where}[{key!r}]")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            assert_plain(item, f"{where}[{index}]")
    elif type(value) is not Tensor and type(value) not in PLAIN_TYPES:
        raise TypeError(f"{where} is a {type(value).__name__}: checkpoints hold tensors and plain types only")


def trainable_state(module: nn.Module) -> dict[str, Tensor]:
    """Trainable weights and persistent buffers by name, detached: what training changes, not the frozen
    encoder.
    """
    frozen = {name for name, weight in module.named_parameters() if not weight.requires_grad}
    return {name: tensor.detach() for name, tensor in module.state_dict().items() if name not in frozen}


def load_trainable_state(module: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Put back what `trainable_state` gave; CheckpointError, naming keys and shapes, unless it fits exactly.

    source: what to call the checkpoint in messages.
    """
    own = trainable_state(module)
    problems = [f"lacks {name}" for name in own if name not in state]
    problems += [f"has {name}, unknown here" for name in state if name not in own]
    problems += [
        f"has {name} of shape {tuple(state[name].shape)}, here it is {tuple(tensor.shape)}"
        for name, tensor in own.items()
        if name in state and state[name].shape != tensor.shape
    ]
    if problems:
        listed = "; it ".join(problems[:4])
        raise CheckpointError(
            f"{source} is of another architecture than the configured model ({len(problems)} differences): "
            f"it {listed}. Use the configuration that was saved beside the checkpoint"
        )
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(state[name])


def frozen_fingerprint(module: nn.Module) -> str:
    """SHA-256 of the weights that training does not change; "" without any."""
    frozen = {name: weight for name, weight in module.named_parameters() if not weight.requires_grad}
    return fingerprint(frozen)


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and bytes of tensors, in the order of the names; "" for none."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest() if tensors else ""


def temporary_path(path: Path) -> Path:
    """The hidden name under which `path` is written before it is renamed."""
    return path.with_name(f".{path.name}.partial")


def write_text_atomically(path: Path, text: str) -> None:
    """Write a small text file so that readers see the old content or the new, never half of it."""
    temporary = temporary_path(path)
    _write_through(temporary, text.encode("utf-8"))
    os.replace(temporary, path)
    _sync_folder(path.parent)


def has_broken_seal(path: Path) -> bool:
    """Whether a file that ends in a checkpoint's checksum holds other bytes than were written.

    False for files without one: whoever reads those has to find out. Raises OSError.
    """
    with path.open("rb") as stream:
        left = stream.seek(0, os.SEEK_END) - SEAL_LENGTH - 2
        if left < 0:
            return False
        stream.seek(left + 2)
        seal = stream.read()
        if not seal.startswith(SEAL_PREFIX):
            return False
        stream.seek(0)
        digest = hashlib.sha256()
        while block := stream.read(min(left, _BLOCK_BYTES)):
            digest.update(block)
            left -= len(block)
    return digest.hexdigest().encode() != seal.removeprefix(SEAL_PREFIX)


def _check_seal(path: Path, content: bytes) -> None:
    body, ending = content[: -SEAL_LENGTH - 2], content[-SEAL_LENGTH - 2 :]
    length, seal = ending[:2], ending[2:]
    if not seal.startswith(SEAL_PREFIX) or length != SEAL_LENGTH_FIELD:
        raise CheckpointDamagedError(
            f"checkpoint {path} ({len(content)} bytes) does not end in its checksum: it was cut short, "
            "or it was not written by a run of this project"
        )
    if hashlib.sha256(body).hexdigest().encode() != seal.removeprefix(SEAL_PREFIX):
        raise CheckpointDamagedError(f"checkpoint {path} is damaged: its bytes do not match its checksum")


def _write_through(path: Path, content: bytes) -> None:
    """Write and wait until the content has reached the disk."""
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _sync_folder(folder: Path) -> None:
    """Wait until the folder's entries (a rename) have reached the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _disk_full_message(path: Path, needed: int, error: OSError) -> str:
    free = shutil.disk_usage(path.parent).free
    others = sorted(path.parent.glob("*.pt"))
    removable = ", ".join(f"{other.name} ({other.stat().st_size / 1e6:.1f} MB)" for other in others[:-1])
    advice = (
        f"older checkpoints that may be deleted: {removable}"
        if removable
        else "no older checkpoint to delete here"
    )
    return (
        f"no room for checkpoint {path} ({error.strerror}): it needs {needed / 1e6:.1f} MB, the disk of "
        f"{path.parent} has {free / 1e6:.1f} MB free, or a quota or file size limit is reached. Free space "
        f"there ({advice}), then run the same command again: it resumes. Earlier checkpoints are untouched"
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
