"""Functions that keep less than the layers they stand for have the same values and gradients, to rounding."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers.attention import attend
from models.layers.basic import QUICK_GELU_SLOPE, quick_gelu
from models.layers.exchange import exchange, side_by_side
from models.layers.integration import two_mlps
from models.layers.patches import linear_of_patches, patchify
from models.layers.recomputing import linear_of_norm, spatial_convolution_of_silu
from models.layers.temporal import stack_over_time, temporal_convolution, temporal_convolution_of_norm

EPS = 1e-5
TOKENS = torch.randn(2, 3, 5, 7, generator=torch.Generator().manual_seed(1))


def plain_exchange(
    s: Tensor,
    tokens: Tensor,
    r: Tensor | None,
    w_m: Tensor,
    w_in: Tensor,
    b_in: Tensor,
    token: Tensor,
    w_out: Tensor,
    b_out: Tensor,
) -> Tensor:
    x, m = quick_gelu(s / QUICK_GELU_SLOPE), F.linear(tokens, w_m)
    if r is not None:
        m = m + r
    alpha = s.shape[1] // m.shape[1]
    message = F.linear(m[:, :, 1:], w_out, b_out).repeat_interleave(alpha, dim=1)
    v = F.linear(side_by_side(x * QUICK_GELU_SLOPE, alpha), w_in, b_in)
    token = token[None, :, None].expand(len(v), -1, -1, -1).to(v.dtype)
    joined = m + torch.cat([token, v], dim=2)
    return torch.cat([joined.flatten(), (x + message).flatten()])


def plain_mlps(
    m: Tensor, w: Tensor, b: Tensor, conv: Tensor, conv_b: Tensor, out: Tensor, out_b: Tensor
) -> Tensor:
    hidden = F.linear(F.layer_norm(m, m.shape[-1:], eps=EPS), w, b)
    z = F.conv3d(
        hidden[..., 8:].permute(0, 3, 1, 2)[..., None], conv[..., None, None], conv_b, padding=(1, 0, 0)
    )
    spatial, temporal = F.silu(hidden[..., :8]), F.silu(z[..., 0].permute(0, 2, 3, 1))
    return F.linear(spatial, out[:, :8]) + F.linear(temporal, out[:, 8:], out_b)


def both(*results: Tensor) -> Tensor:
    return torch.cat([result.flatten() for result in results])


def norm_of(width: int, weight: Tensor, bias: Tensor) -> nn.LayerNorm:
    norm = nn.LayerNorm(width)
    del norm.weight, norm.bias
    norm.weight, norm.bias = weight, bias  # type: ignore[assignment]
    return norm


PAIRS: dict[str, tuple[tuple[tuple[int, ...], ...], Callable[..., Tensor], Callable[..., Tensor]]] = {
    "two mlps": (
        ((2, 4, 30, 8), (12, 8), (12,), (4, 4, 3), (4,), (8, 12), (8,)),
        lambda m, w, b, conv, conv_b, *out: two_mlps(m, EPS, w, b, *stack_over_time(conv, conv_b), *out),
        plain_mlps,
    ),
    "linear of norm": (
        ((2, 3, 8), (5, 8)),
        lambda x, w: linear_of_norm(x, w, EPS),
        lambda x, w: F.linear(F.layer_norm(x, x.shape[-1:], eps=EPS), w),
    ),
    "spatial convolution": (
        ((4, 5, 6, 8), (7, 8, 3, 3), (7,)),
        spatial_convolution_of_silu,
        lambda x, w, b: F.conv2d(F.silu(x).permute(0, 3, 1, 2), w, b, padding=1).permute(0, 2, 3, 1),
    ),
    "temporal convolution of norm": (
        ((2, 4, 3, 8), (8,), (8,), (6, 8, 3), (6,)),
        lambda x, g, h, w, b: temporal_convolution_of_norm(x, norm_of(8, g, h), w, b),
        lambda x, g, h, w, b: temporal_convolution(F.layer_norm(x, (8,), g, h, EPS), w, b),
    ),
    "exchange": (
        ((2, 6, 4, 3), (2, 3, 5, 8), (8, 7), (8, 6), (8,), (3, 8), (3, 8), (3,)),
        lambda s, r, *weights: both(*exchange(s, TOKENS, r, *weights)),
        lambda s, r, *weights: plain_exchange(s, TOKENS, r, *weights),
    ),
    "attention of one query": (
        ((3, 2, 8), (3, 7, 8)),
        lambda queries, y: attend(queries, y, 0.5),
        lambda queries, y: (0.5 * queries @ y.transpose(1, 2)).float().softmax(dim=-1).to(queries.dtype) @ y,
    ),
    "first exchange": (
        ((2, 6, 4, 3), (8, 7), (8, 6), (8,), (3, 8), (3, 8), (3,)),
        lambda s, *weights: both(*exchange(s, TOKENS, None, *weights)),
        lambda s, *weights: plain_exchange(s, TOKENS, None, *weights),
    ),
}
"""Shapes of the inputs, our function, and the layers it stands for."""


def outcome(function: Callable[..., Tensor], inputs: list[Tensor]) -> list[Tensor]:
    """The value and the gradients of a weighted sum of it."""
    leaves = [value.clone().requires_grad_() for value in inputs]
    value = function(*leaves)
    weights = torch.arange(value.numel()).remainder(7).sub(3).view(value.shape)
    (value.float() * weights).sum().backward()
    return [value.detach(), *(leaf.grad for leaf in leaves if leaf.grad is not None)]


def inputs_of(shapes: tuple[tuple[int, ...], ...]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator) for shape in shapes]


def furthest(found: list[Tensor], expected: list[Tensor]) -> float:
    assert [value.shape for value in found] == [value.shape for value in expected]
    return max(
        float((a.float() - b.float()).abs().max() / b.float().abs().max())
        for a, b in zip(found, expected, strict=True)
    )


@pytest.mark.parametrize("name", PAIRS)
def test_values_and_gradients(name: str) -> None:
    shapes, ours, plain = PAIRS[name]
    found, expected = outcome(ours, inputs_of(shapes)), outcome(plain, inputs_of(shapes))
    assert len(found) == 1 + len(shapes)
    assert furthest(found, expected) < 2e-6


@pytest.mark.parametrize("name", PAIRS)
def test_values_and_gradients_under_autocast(name: str) -> None:
    shapes, ours, plain = PAIRS[name]
    with torch.autocast("cpu", torch.bfloat16):
        found, expected = outcome(ours, inputs_of(shapes)), outcome(plain, inputs_of(shapes))
    exact = outcome(plain, inputs_of(shapes))
    assert [value.dtype for value in found[1:]] == [torch.float32] * len(shapes)
    # no further from the exact numbers than the layers are, but for the luck of a few roundings
    assert furthest(found, exact) < 2 * furthest(expected, exact) + 0.01


@pytest.mark.parametrize("name", sorted(set(PAIRS) - {"attention of one query"}))
def test_less_is_kept(name: str) -> None:
    shapes, ours, plain = PAIRS[name]
    if name == "temporal convolution of norm":
        shapes = ((2, 4, 30, 8), *shapes[1:])  # a wide kernel's copies weigh more than so few tokens

    def kept(function: Callable[..., Tensor]) -> int:
        sizes: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            sizes[storage.data_ptr()] = storage.nbytes()
            return tensor

        leaves = [value.requires_grad_() for value in inputs_of(shapes)]
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            value = function(*leaves)
        del value
        return sum(sizes.values())

    assert kept(ours) < kept(plain)


def test_patches_are_cut_again() -> None:
    images, weight = inputs_of(((2, 3, 3, 8, 12), (5, 48)))
    found = outcome(lambda w: linear_of_patches(images, w, 4), [weight])
    expected = outcome(lambda w: F.linear(patchify(images, 4), w), [weight])
    assert furthest(found, expected) < 2e-6
