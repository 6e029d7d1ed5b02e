"""Optimizer groups cover each trainable weight once; rates and clipping act on what they should."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from utils.optim import (
    GroupSettings,
    assert_covered_once,
    build_adamw,
    clip_gradients,
    parameter_groups,
    set_learning_rate,
)


def _network() -> nn.Sequential:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2))
    network[0].weight.requires_grad_(False)
    return network


def _settings(name: str, parameter: nn.Parameter) -> GroupSettings:
    return GroupSettings(
        lr_multiplier=10.0 if name.startswith("2") else 1.0, weight_decay=0.1 * (parameter.ndim > 1)
    )


def test_groups_hold_every_trainable_weight_once() -> None:
    groups = parameter_groups(_network(), _settings)
    names = [(group["lr_multiplier"], group["weight_decay"], group["names"]) for group in groups]
    assert names == [
        (10.0, 0.1, ["2.weight"]),
        (10.0, 0.0, ["2.bias"]),
        (1.0, 0.0, ["0.bias", "1.weight", "1.bias"]),
    ]


@pytest.mark.parametrize("fault", ["missing", "twice", "frozen"])
def test_a_wrong_grouping_is_found(fault: str) -> None:
    network = _network()
    groups = parameter_groups(network, _settings)
    if fault == "missing":
        groups = groups[1:]
    elif fault == "twice":
        groups[0]["params"].append(groups[1]["params"][0])
    else:
        groups[0]["params"].append(network[0].weight)
    with pytest.raises(
        AssertionError, match={"missing": "2.weight", "twice": "2.bias", "frozen": "0.weight"}[fault]
    ):
        assert_covered_once(network, groups)


def test_nothing_trainable_is_an_error() -> None:
    with pytest.raises(ValueError, match="no weight is trainable"):
        parameter_groups(_network().requires_grad_(False), _settings)


def test_rate_is_multiplied_and_decay_acts_only_where_asked() -> None:
    network = _network()
    optimizer = build_adamw(parameter_groups(network, _settings))
    set_learning_rate(optimizer, 0.01)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.1, 0.1, 0.01])
    before = {name: weight.clone() for name, weight in network.named_parameters()}
    for weight in network.parameters():
        weight.grad = torch.zeros_like(weight) if weight.requires_grad else None
    optimizer.step()
    for name, weight in network.named_parameters():
        expected = before[name] * (1 - 0.1 * 0.1) if name == "2.weight" else before[name]
        torch.testing.assert_close(weight, expected)


def test_clipping_scales_all_gradients_to_the_norm_and_reports_the_norm_before() -> None:
    network = _network()
    optimizer = build_adamw(parameter_groups(network, _settings))
    network(torch.ones(5, 3)).square().sum().backward()
    gradients = torch.cat(
        [weight.grad.flatten() for weight in network.parameters() if weight.grad is not None]
    )
    norm = clip_gradients(optimizer, 0.5)
    clipped = torch.cat([weight.grad.flatten() for weight in network.parameters() if weight.grad is not None])
    assert float(norm) == pytest.approx(float(gradients.norm()))
    torch.testing.assert_close(clipped, gradients * 0.5 / gradients.norm())
    assert float(clip_gradients(optimizer, None)) == pytest.approx(0.5)
