"""torch.compile by regions: each block of a network, rather than the network as one graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from utils.activation_checkpointing import Recomputed

_VARIANTS = 64
"""Graphs that torch keeps of one block's code: blocks at the start, in the middle and at the end differ, and
so do training and evaluation, and sizes of batches. Beyond torch's own 8 it would stop compiling.
"""


def compile_blocks(module: nn.Module, backend: str | Callable[..., Any] = "inductor") -> int:
    """Compile the members of every ModuleList in `module`, at their first call; returns how many there are.

    Blocks that are alike share one compilation, so that the start costs what one block costs, whatever the
    depth, and torch's cache on disk makes the next start cheaper still. Names of weights stay as they are.
    Blocks whose activations are recomputed are compiled inside of that.
    """
    blocks = [
        block for container in module.modules() if isinstance(container, nn.ModuleList) for block in container
    ]
    inner = {id(part) for block in blocks for part in block.modules() if part is not block}
    outermost = [block for block in blocks if id(block) not in inner]
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, _VARIANTS)
    for block in outermost:
        if isinstance(block.forward, Recomputed):
            block.forward.inside = torch.compile(block.forward.inside, backend=backend)
        else:
            block.compile(backend=backend)
    return len(outermost)
