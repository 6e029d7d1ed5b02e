"""Precision choices, the weight average and random states."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import nn

from utils.ema import WeightAverage
from utils.precision import resolve_precision
from utils.reproducibility import random_state, restore_random_state, seed_everything

CPU = torch.device("cpu")


def test_precision_on_a_cpu() -> None:
    automatic = resolve_precision("auto", CPU)
    assert automatic.name == "fp32" and "CPU" in automatic.notice
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        precision = resolve_precision(name, CPU)
        with precision.autocast():
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
        assert not precision.scaler().is_enabled() and not precision.notice
    assert resolve_precision("fp16", CPU).scaler().is_enabled()
    with pytest.raises(ValueError, match="fp8"):
        resolve_precision("fp8", CPU)


def test_precision_on_gpus_with_and_without_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    for native, name in ((True, "bf16"), (False, "fp16")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *_, native=native, **__: native)
        assert resolve_precision("auto", torch.device("cuda")).name == name
    with pytest.raises(ValueError, match="no bfloat16"):
        resolve_precision("bf16", torch.device("cuda"))


def test_weight_average_follows_the_formula_and_leaves_frozen_weights_alone() -> None:
    network = nn.Linear(2, 1)
    network.bias.requires_grad_(False)
    average = WeightAverage(network, 0.9)
    expected = 1.0  # the first update copies
    for value in (1.0, 2.0, 5.0):
        nn.init.constant_(network.weight, value)
        average.update()
        expected = 0.9 * expected + 0.1 * value
    assert set(average.state_dict()) == {"weight", "updates"}
    with average.applied():
        torch.testing.assert_close(network.weight, torch.full((1, 2), expected))
    assert torch.equal(network.weight, torch.full((1, 2), 5.0))


def test_weights_stand_for_their_average_before_its_first_update() -> None:
    """Also in a checkpoint: they may have been loaded after the average was made."""
    network = nn.Linear(2, 1)
    average = WeightAverage(network, 0.9)
    nn.init.constant_(network.weight, 3.0)
    assert torch.equal(torch.as_tensor(average.state_dict()["weight"]), torch.full((1, 2), 3.0))


def test_weight_average_resumes_exactly() -> None:
    def advance(network: nn.Linear, average: WeightAverage, count: int) -> None:
        for _ in range(count):
            with torch.no_grad():
                network.weight.mul_(1.1)
            average.update()

    whole, part, rest = (nn.Linear(3, 2) for _ in range(3))
    part.load_state_dict(whole.state_dict())
    whole_average, part_average = WeightAverage(whole, 0.99), WeightAverage(part, 0.99)
    advance(whole, whole_average, 7)
    advance(part, part_average, 3)
    rest.load_state_dict(part.state_dict())
    rest_average = WeightAverage(rest, 0.99)
    rest_average.load_state_dict(part_average.state_dict())
    advance(rest, rest_average, 4)
    for name, tensor in whole_average.state_dict().items():
        assert torch.equal(torch.as_tensor(tensor), torch.as_tensor(rest_average.state_dict()[name]))
    with pytest.raises(ValueError, match="does not fit"):
        rest_average.load_state_dict({"updates": 1})


def _draws() -> tuple[float, float, float, float]:
    return random.gauss(0, 1), float(np.random.randn()), float(torch.rand(1)), float(torch.randn(1))


def test_random_states_continue_where_they_were() -> None:
    seed_everything(5)
    _draws()
    state = random_state()
    expected = [_draws() for _ in range(3)]
    restore_random_state(state)
    assert [_draws() for _ in range(3)] == expected
    seed_everything(5, process=1)
    other = _draws()
    seed_everything(5)
    assert other != _draws()
