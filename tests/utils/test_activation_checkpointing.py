"""Recomputed activations: the same gradients, the same names, less that is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from utils.activation_checkpointing import recompute_activations
from utils.compilation import compile_blocks


def _block() -> nn.Module:
    return nn.Sequential(nn.Linear(8, 64), nn.Dropout(0.2), nn.Linear(64, 8))


class Stack(nn.Module):
    """Blocks with dropout, one of them frozen, one with a list of its own."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.blocks = nn.ModuleList([_block(), _block(), Nested()])
        self.blocks[1].requires_grad_(False)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B,8) → (B,8)."""
        for block in self.blocks:
            inputs = block(inputs)
        return inputs


class Nested(nn.Module):
    """A block that holds a list."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList([nn.Linear(8, 8), nn.Linear(8, 8)])

    def forward(self, inputs: Tensor) -> Tensor:
        """(B,8) → (B,8)."""
        return self.parts[1](self.parts[0](inputs).tanh())


def _gradients(network: nn.Module, kept: list[int]) -> list[Tensor]:
    torch.manual_seed(1)
    inputs = torch.randn(4, 8)

    def pack(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = network(inputs).square().sum()
    loss.backward()
    return [weight.grad for weight in network.parameters() if weight.grad is not None]


def test_gradients_stay_and_memory_shrinks() -> None:
    plain, recomputing = Stack(), Stack()
    names = [name for name, _ in plain.named_parameters()]
    assert recompute_activations(recomputing) == 2
    assert [name for name, _ in recomputing.named_parameters()] == names
    kept_plain: list[int] = []
    kept: list[int] = []
    for ours, theirs in zip(_gradients(plain, kept_plain), _gradients(recomputing, kept), strict=True):
        assert torch.equal(ours, theirs)
    assert sum(kept) < 0.6 * sum(kept_plain)


def test_compiled_blocks_are_compiled_inside_of_the_recomputation() -> None:
    plain, both = Stack().eval(), Stack().eval()
    graphs: list[torch.fx.GraphModule] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        graphs.append(graph)
        return graph.forward

    recompute_activations(both)
    assert compile_blocks(both, backend) == 3
    for ours, theirs in zip(_gradients(both, []), _gradients(plain, []), strict=True):
        assert torch.equal(ours, theirs)
    assert len(graphs) == 3
