"""Tensors of all processes side by side, with gradients that flow back to the process they came from."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from utils import distributed


class _Gathered(torch.autograd.Function):
    """Concatenation over processes; the backward pass sums what every process has to say about one's rows."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        """own (n, ...) → (processes · n, ...), in the order of the ranks."""
        ctx.rows = len(own)
        return _gathered(own)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """Gradient (processes · n, ...) → (n, ...)."""
        (gradient,) = gradients
        kind = torch.promote_types(gradient.dtype, torch.float32)
        # NCCL wants contiguous tensors, and a sum over processes in half precision would lose digits
        copy = torch.empty(gradient.shape, dtype=kind, device=gradient.device).copy_(gradient)
        total = distributed.all_reduce_sum(copy)
        first = distributed.rank() * ctx.rows
        return total[first : first + ctx.rows].to(gradient.dtype)


def gather_with_gradients(own: Tensor) -> Tensor:
    """The rows of all processes, in the order of the ranks; `own` itself when there is one process.

    own (n, ...), of the same shape everywhere → (processes · n, ...). The gradient of own is the sum of the
    processes' gradients of it: of losses that differ from process to process, and are averaged afterwards as
    DistributedDataParallel does, it is the gradient of their mean times their number, as it must be.
    """
    if distributed.world_size() == 1:
        return own
    if own.is_floating_point() and torch.is_grad_enabled():
        return _Gathered.apply(own)
    return _gathered(own)


def _gathered(own: Tensor) -> Tensor:
    own = own.contiguous()  # what is received has the memory layout of what is sent
    parts = [torch.empty_like(own) for _ in range(distributed.world_size())]
    with distributed.peer_loss_named():
        dist.all_gather(parts, own)
    return torch.cat(parts)
