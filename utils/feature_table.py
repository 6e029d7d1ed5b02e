"""Features of many items in files, read in slices without being loaded: memory holds what is looked at.

process r of W writes items r, r + W, r + 2W, … ──► <name>.<r>.npy ──memory-mapped──► FeatureTable[a:b]

The files lie in one folder that all processes see, as the output folder of a run is.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor


class FeatureWriter:
    """This process's part of a table: its items in rising order, all of one shape."""

    def __init__(self, folder: Path, name: str, count: int, *, rank: int = 0, world_size: int = 1) -> None:
        """count: items of all processes together."""
        self._path = folder / f"{name}.{rank}.npy"
        self._own = len(range(rank, count, world_size))
        self._rank, self._world_size = rank, world_size
        self._file: np.memmap | None = None

    def write(self, items: Tensor, values: Tensor) -> None:
        """Set the values (n, ...) of items (n,), which belong to this process."""
        array = values.detach().float().cpu().numpy()
        if self._file is None:
            shape = (self._own, *array.shape[1:])
            self._file = np.lib.format.open_memmap(self._path, mode="w+", dtype=np.float32, shape=shape)
        assert bool((items % self._world_size == self._rank).all()), f"not of process {self._rank}: {items}"
        self._file[(items // self._world_size).cpu().numpy()] = array

    def close(self) -> None:
        """Make sure that it is on disk."""
        if self._file is not None:
            self._file.flush()
            self._file = None


class FeatureTable:
    """All processes' items in their order; float32."""

    def __init__(self, folder: Path, name: str, count: int, world_size: int = 1) -> None:
        self._count = count
        paths = [folder / f"{name}.{rank}.npy" for rank in range(world_size)]
        # A process that has stored nothing has written no file: its items are zeros.
        self._parts = [np.lib.format.open_memmap(path, mode="r") if path.exists() else None for path in paths]
        whole = next((part for part in self._parts if part is not None), None)
        if whole is None:
            raise ValueError(f"no features {name} in {folder}")
        self._shape = whole.shape[1:]

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, items: slice) -> Tensor:
        """Items start … stop − 1, (n, ...), copied into memory."""
        start, stop, _ = items.indices(self._count)
        world_size = len(self._parts)
        values = np.zeros((stop - start, *self._shape), dtype=np.float32)
        for offset in range(min(world_size, stop - start)):
            first = start + offset
            part = self._parts[first % world_size]
            if part is None:
                continue
            length = len(range(first, stop, world_size))
            values[offset::world_size] = part[first // world_size : first // world_size + length]
        return torch.from_numpy(values)
