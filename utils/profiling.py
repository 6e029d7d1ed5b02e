"""What a network costs, counted without computing it: on meta tensors, which have shapes and no content."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode


def multiply_adds(module: nn.Module, *shapes: tuple[int, ...]) -> float:
    """Multiply-adds of one forward pass of `module` on float inputs of these shapes; nothing is computed or
    copied.

    Matrix products, convolutions and both products of attention are counted, nothing else.
    """
    hollow: dict[str, Any] = {
        name: tensor.detach().to("meta")
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]
    }
    inputs = tuple(torch.empty(shape, device="meta") for shape in shapes)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        functional_call(module, hollow, inputs)
    return counter.get_total_flops() / 2
