"""Shared by all tests: the checkout first on `sys.path`, one torch thread, the folder of real data."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
if sys.path[0] != str(CHECKOUT):
    # our `datasets` must win over any installed package of that name
    sys.path.insert(0, str(CHECKOUT))
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The root of the working tree."""
    return CHECKOUT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real clips, annotation files and reference outputs; tests without it are skipped."""
    folder = CHECKOUT.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there: this test needs the real files in it")
    return folder


@pytest.fixture(autouse=True)
def _one_torch_thread() -> None:
    """Tests run beside each other: one thread each. Torch is not imported for tests that do not use it."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != 1:
        torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    """Torch's launcher takes signals over in the process that called it, and leaves them so."""
    kinds = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    before = [signal.getsignal(kind) for kind in kinds]
    yield
    for kind, handler in zip(kinds, before, strict=True):
        signal.signal(kind, handler)
