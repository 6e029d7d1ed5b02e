"""Seeds, and the states of all random generators as plain types and tensors, which a checkpoint may hold."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

SEED_LIMIT = 2**63 - 1


def seed_everything(seed: int, process: int = 0) -> None:
    """Seed Python's, numpy's and torch's generators; each process of a run draws from its own stream."""
    combined = (
        seed + process * 0x9E3779B97F4A7C15
    ) % SEED_LIMIT  # the golden ratio spreads neighbouring numbers
    random.seed(combined)
    np.random.seed(combined % 2**32)
    torch.manual_seed(combined)


@contextmanager
def drawn_as_in_a_run(seed: int) -> Iterator[None]:
    """Within, torch's generator for the CPU starts as a run with this seed starts it; after, it goes on as
    if nothing had been drawn. What a run drew first thing (a CLIP without weights) can thus be had again.
    """
    before = torch.get_rng_state()
    torch.default_generator.manual_seed(seed % SEED_LIMIT)
    try:
        yield
    finally:
        torch.set_rng_state(before)


def deterministic_kernels(enabled: bool) -> None:
    """Ask torch for kernels whose result does not depend on timing; operations without one raise."""
    if enabled:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when the first product runs
    torch.use_deterministic_algorithms(enabled)
    torch.backends.cudnn.benchmark = not enabled


def random_state() -> dict[str, Any]:
    """States of this process's generators: Python, numpy (legacy global), torch's for the CPU and its GPU."""
    version, words, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "python": {"version": version, "words": torch.tensor(words), "gauss": gauss},
        "numpy": {
            "name": name,
            "keys": torch.from_numpy(np.asarray(keys, dtype=np.int64)),
            "position": int(position),
            "has_gauss": int(has_gauss),
            "cached": float(cached),
        },
        "torch": torch.get_rng_state(),
        "cuda": [torch.cuda.get_rng_state()] if torch.cuda.is_initialized() else [],
    }


def restore_random_state(state: dict[str, Any]) -> None:
    """Put the generators back to what `random_state` captured in this process's place."""
    python, legacy = state["python"], state["numpy"]
    random.setstate((python["version"], tuple(python["words"].tolist()), python["gauss"]))
    keys = legacy["keys"].numpy().astype(np.uint32)
    np.random.set_state((legacy["name"], keys, legacy["position"], legacy["has_gauss"], legacy["cached"]))
    torch.set_rng_state(state["torch"].cpu())
    if torch.cuda.is_initialized():
        for device_state in state["cuda"]:
            torch.cuda.set_rng_state(device_state.cpu())
