"""Tensors out of any file of weights, without running what is in it.

safetensors, torch files (zip or the older format) and TorchScript archives are told apart by their first
bytes. Torch files are read with `weights_only`; one that holds more than tensors and plain types (training
frameworks save their own objects beside the weights) is read again with every such object replaced by an
inert stand-in, so that no code of the file or of those frameworks runs. What comes back are the tensors, by
name, and the file's own description where the format has one.
"""

from __future__ import annotations

import pickle
import types
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from models.key_table import ConversionError
from utils.checkpoint import has_broken_seal

_WRAPPERS = ("model_state", "state_dict", "weights", "model", "module")
_CHECKPOINT_FACTS = ("config", "class_names", "frozen_sha256", "encoder", "behaviour", "floor_adjusted")
_LEAST_HEADER = 8
# What torch.load raises on damaged or foreign files, by experience.
_UNREADABLE = (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, ValueError, TypeError, IndexError)
_UNREADABLE += (AttributeError, zipfile.BadZipFile)  # type: ignore[assignment]
_SAFE_GLOBALS = {
    ("collections", "OrderedDict"),
    ("torch", "Size"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch._utils", "_rebuild_tensor"),
    ("torch._utils", "_rebuild_tensor_v2"),
}


@dataclass(frozen=True)
class WeightFile:
    """What a file of weights holds."""

    path: Path
    tensors: Mapping[str, Tensor]
    """Name -> tensor on the CPU, as stored."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """safetensors: the file's own description."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """A training checkpoint of this project: its `config`, `frozen_sha256` of the weights not in it, of its
    `encoder` what weights do not show, and the `behaviour` of its version."""


def read_weight_file(path: Path) -> WeightFile:
    """The tensors in a file. Raises ConversionError: not there, a folder, damaged, or no file of weights."""
    if path.is_dir():
        names = ", ".join(sorted(item.name for item in path.iterdir())[:6]) or "nothing"
        raise ConversionError(f"{path} is a folder; name one of its files (it holds {names})")
    try:
        with path.open("rb") as stream:
            start = stream.read(64)
    except OSError as error:
        raise ConversionError(f"cannot read {path}: {error.strerror}") from error
    if _looks_like_safetensors(start):
        return _read_safetensors(path)
    if not start.startswith((b"PK", b"\x80")):
        raise ConversionError(f"{path} is no file of weights: it begins with {start[:24]!r}")
    if has_broken_seal(path):
        raise ConversionError(f"{path} is damaged: its bytes do not match its checksum")
    content = _read_torch_script(path) if _is_torch_script(path) else _read_torch(path)
    tensors = _tensors_of(content)
    if not tensors:
        raise ConversionError(f"{path} holds no tensors")
    return WeightFile(path, tensors, facts=_facts_of(content))


def _looks_like_safetensors(start: bytes) -> bool:
    return len(start) > _LEAST_HEADER and start[_LEAST_HEADER : _LEAST_HEADER + 1] == b"{"


def _read_safetensors(path: Path) -> WeightFile:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in list(file.keys())}
            return WeightFile(path, tensors, file.metadata() or {})
    except (SafetensorError, OSError, ValueError) as error:
        raise ConversionError(f"{path} is a damaged safetensors file: {error}") from error


def _is_torch_script(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False  # the older format, or damaged: reading it as a torch file will tell


def _read_torch_script(path: Path) -> dict[str, Tensor]:
    """Parameters and buffers of a TorchScript archive, as OpenAI distributes CLIP."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # the format is deprecated, and nobody here can change these files
            return dict(torch.jit.load(path, map_location="cpu").state_dict())
    except (RuntimeError, ValueError) as error:
        raise ConversionError(f"{path} is a damaged TorchScript archive: {_first_line(error)}") from error


def _read_torch(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        return _read_with_stand_ins(path)
    except (OSError, *_UNREADABLE) as error:
        raise ConversionError(f"{path} is damaged, or no torch file: {_first_line(error)}") from error


def _read_with_stand_ins(path: Path) -> Any:
    """Reads a torch file whose pickle names other classes, none of which is imported."""
    module = types.SimpleNamespace(Unpickler=_InertUnpickler, __name__="inert_pickle", load=_inert_load)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", pickle_module=module, weights_only=False)
    except (OSError, *_UNREADABLE) as error:
        raise ConversionError(f"{path} is damaged, or no torch file: {_first_line(error)}") from error


def _tensors_of(content: Any) -> dict[str, Tensor]:
    """The state dict inside a checkpoint, whichever of the usual keys it lies under.

    This project's checkpoints may hold a running `average` of the weights, which takes their place.
    """
    if not isinstance(content, Mapping):
        return {}
    inner = next((content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)), None)
    if inner is None:
        return {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
    average = content.get("average") if "weights" in content else None
    return _tensors_of(inner) | _tensors_of(average)


def _facts_of(content: Any) -> dict[str, Any]:
    """What a checkpoint of this project says beside its tensors; {} for others."""
    if not isinstance(content, Mapping) or "weights" not in content:
        return {}
    return {key: content[key] for key in _CHECKPOINT_FACTS if key in content}


class _Inert:
    """Stands for an object of a class that is not to be imported; takes whatever pickle does to it."""

    def __new__(cls, *_: Any, **__: Any) -> _Inert:
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, item: Any) -> None:
        """Takes an item of a pickled list."""

    def extend(self, items: Any) -> None:
        """Takes items of a pickled list."""


class _InertUnpickler(pickle.Unpickler):
    """Finds the few globals that tensors need, and inert stand-ins for all others."""

    def find_class(self, module: str, name: str) -> Any:
        is_storage = module in ("torch", "torch.storage") and name.endswith("Storage")
        is_type = module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)
        if (module, name) in _SAFE_GLOBALS or is_storage or is_type:
            return super().find_class(module, name)
        return type(name, (_Inert,), {})


def _inert_load(file: Any, **options: Any) -> Any:
    return _InertUnpickler(file, **options).load()


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
