"""Memory that is used again: buffers of products whose results do not outlive the call.

On a CPU a product's result of tens of megabytes comes from the system anew each time, page by page: of the
81 ms that the first product of a ViT-B's MLP takes for 32 frames, 15 go there. A buffer that stays is written
to at once.
"""

from __future__ import annotations

import threading
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor

_kept = threading.local()


def linear_into_scratch(x: Tensor, weight: Tensor, bias: Tensor, purpose: str, factor: float = 1.0) -> Tensor:
    """(x Wᵀ + bias) · factor without a graph: x (rows, in), weight (out, in), bias (out) → (rows, out).

    The result is valid until the next call for the same purpose in the same thread.
    """
    scaled = bias if factor == 1 else bias * factor
    if not _may_use_scratch(x, weight):
        return torch.addmm(scaled, x, weight.t(), alpha=factor)
    size = (len(x), len(weight))  # not before: len would fix a traced batch
    buffer = _scratch(f"{purpose} {x.dtype}", prod(size), x.dtype).view(size)
    return torch.addmm(scaled, x, weight.t(), alpha=factor, out=buffer)


def silu_into_scratch(x: Tensor, purpose: str) -> Tensor:
    """silu(x) without a graph, valid until the next call for the same purpose in the same thread."""
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return F.silu(x)
    buffer = _scratch(f"{purpose} {x.dtype}", x.numel(), x.dtype).view(x.shape)
    return torch.ops.aten.silu.out(x, out=buffer)


def product_into_scratch(x: Tensor, matrix: Tensor, purpose: str) -> Tensor:
    """x matrix without a graph: x (rows, in), matrix (in, out) → (rows, out), valid until the next call for
    the same purpose in the same thread.
    """
    if not _may_use_scratch(x, matrix):
        return x @ matrix
    size = (len(x), matrix.shape[1])
    return torch.mm(x, matrix, out=_scratch(f"{purpose} {x.dtype}", prod(size), x.dtype).view(size))


def _may_use_scratch(x: Tensor, weight: Tensor) -> bool:
    """Whether this is a plain product on a CPU: neither traced, nor given other types by autocast."""
    if x.device.type != "cpu" or x.dtype != weight.dtype or torch.compiler.is_compiling():
        return False
    return x.dtype != torch.float32 or not torch.is_autocast_enabled("cpu")


def _scratch(key: str, values: int, kind: torch.dtype) -> Tensor:
    buffers: dict[str, Tensor] = _kept.__dict__
    buffer = buffers.get(key)
    if buffer is None or len(buffer) < values:
        buffers.pop(key, None)
        with torch.inference_mode(False):  # it may serve both inside and outside
            buffer = torch.empty(values, dtype=kind)
        buffers[key] = buffer
    return buffer[:values]
