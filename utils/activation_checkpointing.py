"""Activation checkpointing: keep the input of a block, and compute what is inside again for the backward
pass.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint


class _SecondTime:
    """Entered whenever a block runs again."""

    active = False

    def __enter__(self) -> None:
        _SecondTime.active = True

    def __exit__(self, *error: object) -> None:
        _SecondTime.active = False


def is_recomputing() -> bool:
    """Whether a block runs for the second time: what counts its runs, as running averages do, must not."""
    return _SecondTime.active


class Recomputed:
    """A block's forward pass whose activations are computed again. `inside` is the pass itself."""

    def __init__(self, inside: Callable[..., Any]) -> None:
        self.inside = inside

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        """What `inside` gives."""
        contexts = (nullcontext(), _SecondTime())
        return checkpoint(self.inside, *inputs, use_reentrant=False, context_fn=lambda: contexts, **named)


def recompute_activations(module: nn.Module) -> int:
    """Make the trained members of every ModuleList in `module` recompute their activations; returns how many.

    Names of weights stay as they are. Recomputation is non-reentrant, so it works with several processes and
    with autocast; random states are restored, so dropout repeats. `compile_blocks` comes afterwards.
    """
    blocks: list[nn.Module] = []
    for container in module.modules():
        if isinstance(container, nn.ModuleList):
            blocks += [
                block for block in container if any(weight.requires_grad for weight in block.parameters())
            ]
    inner = {id(part) for block in blocks for part in block.modules() if part is not block}
    outermost = [block for block in blocks if id(block) not in inner]
    for block in outermost:
        block.forward = Recomputed(block.forward)  # type: ignore[method-assign]
    return len(outermost)
