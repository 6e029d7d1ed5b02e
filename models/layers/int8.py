"""Transformer blocks whose weights are 8-bit integers: the frozen encoder on a CPU, without gradients.

Dynamic quantisation as torch's own kernels do it: each row of a weight matrix has its scale, fixed once; the
activations of a product share one that is found anew each time. Norms, softmax and residual sums stay
float32. The kernels are torch's (oneDNN where there is one), which use a CPU's VNNI or AMX units.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from models.layers.attention import ResidualAttentionBlock
from models.layers.basic import QUICK_GELU_SLOPE, full_precision, quick_gelu

_LARGEST = 127
_ENGINES = ("onednn", "x86", "fbgemm", "qnnpack")  # the fastest first, where a CPU has several


class Int8Block:
    """What a `ResidualAttentionBlock` computes, with its four matrices in 8 bits. Holds no parameters."""

    def __init__(self, block: ResidualAttentionBlock) -> None:
        """Raises ValueError for weights that are not on a CPU, or where torch has no such kernels."""
        attention, mlp = block.attn, block.mlp
        self.block = block
        # QuickGELU's factors go into the products around it, as in `Mlp`.
        slope = QUICK_GELU_SLOPE if mlp.activation is quick_gelu else 1.0
        self.activation: Callable[[Tensor], Tensor] = (
            F.silu if mlp.activation is quick_gelu else mlp.activation
        )
        self.in_proj = _packed(attention.in_proj_weight, attention.in_proj_bias)
        self.out_proj = _packed(attention.out_proj.weight, attention.out_proj.bias)
        self.c_fc = _packed(mlp.c_fc.weight * slope, mlp.c_fc.bias * slope)
        self.c_proj = _packed(mlp.c_proj.weight / slope, mlp.c_proj.bias)

    def __call__(self, x: Tensor) -> Tensor:
        """x (n, L, width) → the same shape in float32, which the kernels take alone, under autocast, too."""
        with full_precision(x):
            return self._compute(x.float())

    def _compute(self, x: Tensor) -> Tensor:
        block, attention = self.block, self.block.attn
        n, length, width = x.shape
        packed = _product(block.ln_1(x), self.in_proj)
        split = packed.view(n, length, 3, attention.heads, width // attention.heads).permute(2, 0, 3, 1, 4)
        query, key, value = split.unbind(0)
        mixed = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        x = x + _product(mixed, self.out_proj)
        hidden = self.activation(_product(block.ln_2(x), self.c_fc))
        return x + _product(hidden, self.c_proj)


def _product(x: Tensor, packed: torch.ScriptObject) -> Tensor:
    """x (..., in) → (..., out): quantised by its own range, multiplied in integers, scaled back."""
    return torch.ops.quantized.linear_dynamic(x, packed)


@torch.no_grad()
def _packed(weight: Tensor, bias: Tensor) -> torch.ScriptObject:
    """A weight (out, in) with one scale a row, and its bias, in the form that the kernels take."""
    if weight.device.type != "cpu":
        raise ValueError("8-bit weights are for CPUs; on a GPU take half precision")
    weight = weight.detach().float()
    scales = weight.abs().amax(dim=1).clamp_min(torch.finfo(torch.float32).tiny) / _LARGEST
    zeros = torch.zeros(len(weight), dtype=torch.long)
    with warnings.catch_warnings():
        # torch means to take its quantised tensors away one day, not yet the kernels that want one
        warnings.simplefilter("ignore", UserWarning)
        quantised = torch.quantize_per_channel(weight, scales.double(), zeros, 0, torch.qint8)
    engines = torch.backends.quantized.supported_engines
    usable = [engine for engine in _ENGINES if engine in engines]
    if not usable:
        raise ValueError("this build of torch has no 8-bit kernels for its CPU")
    before = torch.backends.quantized.engine
    torch.backends.quantized.engine = usable[0]
    try:
        return torch.ops.quantized.linear_prepack(quantised, bias.detach().float().clone())
    finally:
        torch.backends.quantized.engine = before
