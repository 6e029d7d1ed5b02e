"""Features in files: what several processes wrote, read in slices."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from utils.feature_table import FeatureTable, FeatureWriter


def write(folder: Path, values: torch.Tensor, world_size: int) -> None:
    for rank in range(world_size):
        writer = FeatureWriter(folder, "video", len(values), rank=rank, world_size=world_size)
        for items in torch.arange(rank, len(values), world_size).split(2):
            writer.write(items, values[items])
        writer.close()


@pytest.mark.parametrize("world_size", [1, 2, 3, 8])
def test_any_slice_of_what_any_number_of_processes_wrote(tmp_path: Path, world_size: int) -> None:
    values = torch.rand(7, 2, 3)
    write(tmp_path, values, world_size)
    table = FeatureTable(tmp_path, "video", 7, world_size)
    for start in range(8):
        for stop in range(start, 8):
            assert torch.equal(table[start:stop], values[start:stop])


def test_items_that_nobody_wrote_are_zeros(tmp_path: Path) -> None:
    writer = FeatureWriter(tmp_path, "video", 4, rank=1, world_size=2)
    writer.write(torch.tensor([3]), torch.ones(1, 2))
    writer.close()
    table = FeatureTable(tmp_path, "video", 4, 2)
    assert table[0:4].tolist() == [[0, 0], [0, 0], [0, 0], [1, 1]]
    with pytest.raises(ValueError, match="no features"):
        FeatureTable(tmp_path, "text", 4)


def test_another_processes_item_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="not of process 1"):
        FeatureWriter(tmp_path, "video", 4, rank=1, world_size=2).write(torch.tensor([2]), torch.ones(1, 2))
