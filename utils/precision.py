"""Numeric precision of a run: which type autocast computes in, and loss scaling where that type needs it.

fp32   no autocast
bf16   autocast to bfloat16; its range is float32's, so no scaling
fp16   autocast to float16 with a gradient scaler

Weights, optimizer state and losses stay float32 in all of them.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Precision:
    """A resolved choice. `notice` is what the user should be told about how it was made, or ""."""

    name: str
    device_type: str
    notice: str = ""

    @property
    def dtype(self) -> torch.dtype:
        """The type that matrix products compute in."""
        return PRECISIONS[self.name]

    @property
    def half(self) -> torch.dtype:
        """The 16-bit type of what is kept in half precision, in a float32 run, too."""
        return torch.bfloat16 if self.name == "fp32" else self.dtype

    @property
    def scales_loss(self) -> bool:
        """True for fp16, whose small gradients would vanish without scaling."""
        return self.name == "fp16"

    def autocast(self) -> AbstractContextManager[None]:
        """Context in which the forward pass runs."""
        if self.name == "fp32":
            return nullcontext()
        return torch.autocast(self.device_type, dtype=self.dtype)

    def scaler(self) -> torch.amp.GradScaler:
        """A gradient scaler; for anything but fp16 it passes values through."""
        return torch.amp.GradScaler(self.device_type, enabled=self.scales_loss)


def resolve_precision(requested: str, device: torch.device) -> Precision:
    """The precision to run in: "fp32", "bf16" or "fp16" outright, or "auto".

    auto: bf16 where the device has it, fp16 with loss scaling on other GPUs, fp32 with a notice on a CPU.
    Raises ValueError for an unknown name, or for one that the device cannot do.
    """
    if requested == "auto":
        return _best_precision(device)
    if requested not in PRECISIONS:
        raise ValueError(f"precision {requested!r} is unknown: choose auto, {', '.join(PRECISIONS)}")
    if requested == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise ValueError("this GPU has no bfloat16: set TRAIN.PRECISION to fp16, or leave it out")
    return Precision(requested, device.type)


def _best_precision(device: torch.device) -> Precision:
    if device.type == "cpu":
        notice = (
            "mixed precision asked for, but on a CPU it needs saying: running fp32. TRAIN.PRECISION bf16 is "
            "faster where the CPU has units for it (amx_bf16 or avx512_bf16 among its flags)"
        )
        return Precision("fp32", "cpu", notice)
    # Emulated bfloat16 (before Ampere) would be slower than float16.
    native = torch.cuda.is_bf16_supported(including_emulation=False)
    return Precision("bf16" if native else "fp16", device.type)


def allow_tf32(enabled: bool) -> None:
    """Let float32 matrix products and convolutions on GPUs use TensorFloat-32 (10-bit mantissa), or forbid
    it.
    """
    torch.set_float32_matmul_precision("high" if enabled else "highest")
    torch.backends.cudnn.allow_tf32 = enabled
