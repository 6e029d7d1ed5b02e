"""How much memory a process has used at most."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import torch

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_CLEAR_PEAK = "5"  # proc(5): sets the peak resident size to what is resident now


def peak_memory_bytes(device: torch.device) -> int:
    """Peak memory that torch allocated on a GPU; for a CPU the peak resident size of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if _STATUS.exists():
        # getrusage would count what the process that started this one had, too: a peak survives exec
        return _status_bytes("VmHWM")
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def reset_peak_memory(device: torch.device) -> int:
    """Let the peak be counted from now on, where that is possible; returns what is in use now."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    if not _CLEAR.exists():
        return peak_memory_bytes(device)
    _CLEAR.write_text(_CLEAR_PEAK)
    return _status_bytes("VmRSS")


def _status_bytes(name: str) -> int:
    """A size out of Linux's description of this process, which counts in kB."""
    lines = _STATUS.read_text(encoding="utf-8").splitlines()
    value = next(line for line in lines if line.startswith(f"{name}:"))
    return int(value.split()[1]) * 1024
