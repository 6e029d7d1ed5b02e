"""Compiled blocks compute what they computed before, under the names they had."""

from __future__ import annotations

import pytest
import torch

from models.clip import build_clip
from models.config import DistConfig
from models.dist import Dist
from models.interface import apply_roles
from utils.compilation import compile_blocks


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_values_and_gradients_are_those_of_the_eager_network(backend: str) -> None:
    torch.manual_seed(0)
    config = DistConfig(integration_dim=64, temporal_dim=16, initialization="fan_in")
    model = Dist(build_clip("tiny-test"), config, frames=8, alpha=2)
    apply_roles(model)
    names = list(model.state_dict())
    video = torch.randn(2, 3, 8, 32, 32)

    def step() -> list[torch.Tensor]:
        output = model(video).video
        trained = [weight for weight in model.parameters() if weight.requires_grad]
        return [output, *torch.autograd.grad(output.square().sum(), trained)]

    eager = step()
    assert compile_blocks(model, backend) > 0
    compiled = step()
    assert list(model.state_dict()) == names
    for a, b in zip(compiled, eager, strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-5 * float(b.detach().abs().max()) + 1e-7)
