"""How the weights of a frozen image tower are kept while it runs: float32, half precision, 8-bit integers.

The tower's parameters stay what they are, for checkpoints, fingerprints and exports; its blocks get stand-ins
that compute instead of them. What a frozen weight is kept in is no matter of what it is.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from models.clip import VisionTower
from models.layers.attention import ResidualAttentionBlock
from models.layers.int8 import Int8Block


def keep_frozen_tower_in(
    tower: VisionTower, kind: str, half: torch.dtype = torch.bfloat16, *, compiled: bool = False
) -> None:
    """Give the tower's blocks stand-ins of its present weights; call again when those have changed.

    kind: fp32 (none), int8 (a CPU's kernels, dynamic quantisation), half (copies in `half`, bfloat16 or
    float16, on the blocks' device; on a GPU the originals wait in the host's memory). compiled: copies go
    through torch.compile, as the blocks do. Raises ValueError for a tower that is trained, and for int8 on
    another device than a CPU.
    """
    blocks = [block for block in tower.transformer.resblocks if isinstance(block, ResidualAttentionBlock)]
    if any(parameter.requires_grad for parameter in tower.parameters()):
        raise ValueError("only a frozen image tower can be kept in other numbers than float32")
    device = tower.conv1.weight.device
    if kind == "int8":
        tower.stand_ins = tuple(Int8Block(block) for block in blocks)
    elif kind == "half":
        tower.stand_ins = tuple(_HalfBlock(block, device, half, compiled) for block in blocks)
        _move(tower.transformer, torch.device("cpu"))
    else:
        tower.stand_ins = ()
        _move(tower.transformer, device)


class _HalfBlock:
    """A copy of a block whose weights need no conversion at every step."""

    def __init__(
        self, block: ResidualAttentionBlock, device: torch.device, kind: torch.dtype, compiled: bool
    ) -> None:
        self.copy = copy.deepcopy(block).to(device, kind)
        if compiled:  # a copy of a compiled module is not
            self.copy.compile()
        self.kind = kind

    def __call__(self, x: Tensor) -> Tensor:
        """x (n, L, width) → the same shape, in half precision."""
        return self.copy(x.to(self.kind))


def _move(module: nn.Module, device: torch.device) -> None:
    """Move the values of the parameters, which stay the same objects."""
    for parameter in module.parameters():
        parameter.data = parameter.data.to(device)
