"""Peaks of memory are this process's own, and can be counted from a moment on."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from utils.memory import peak_memory_bytes, reset_peak_memory

CPU = torch.device("cpu")
MEGABYTE = 1_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can reset a peak")
def test_a_peak_is_counted_from_its_reset_on() -> None:
    before = reset_peak_memory(CPU)
    block = np.ones(150 * MEGABYTE, dtype=np.uint8)
    assert 140 * MEGABYTE < peak_memory_bytes(CPU) - before < 170 * MEGABYTE
    del block
    assert peak_memory_bytes(CPU) - before > 140 * MEGABYTE  # a peak stays
    after = reset_peak_memory(CPU)
    assert peak_memory_bytes(CPU) - after < 20 * MEGABYTE
