"""torch.compile by regions: each block of a network, rather than the network as one graph."""

from __future__ import annotations

from torch import nn


def compile_blocks(module: nn.Module, backend: str = "inductor") -> int:
    """Compile the members of every ModuleList in `module`, at their first call; returns how many there are.

    Blocks that are alike share one compilation, so that the start costs what one block costs, whatever the
    depth, and torch's cache on disk makes the next start cheaper still. Names of weights stay as they are.
    """
    blocks = [
        block for container in module.modules() if isinstance(container, nn.ModuleList) for block in container
    ]
    inner = {id(part) for block in blocks for part in block.modules() if part is not block}
    outermost = [block for block in blocks if id(block) not in inner]
    for block in outermost:
        block.compile(backend=backend)
    return len(outermost)
