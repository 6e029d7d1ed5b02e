"""Optimizers over parameter groups that cover every trainable weight exactly once.

    trainable parameters ──settings(name, parameter)──► groups (multiplier, weight decay) ──► optimizer

What a parameter's settings are is decided by the model and the configuration, outside this file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer


@dataclass(frozen=True, order=True)
class GroupSettings:
    """What sets one parameter group apart from another."""

    lr_multiplier: float = 1.0
    weight_decay: float = 0.0


SettingsOf = Callable[[str, nn.Parameter], GroupSettings]


def parameter_groups(module: nn.Module, settings_of: SettingsOf) -> list[dict[str, Any]]:
    """Groups for a torch optimizer: trainable parameters with equal settings together, in the module's order.

    Each group holds `params`, `names`, `lr_multiplier` and `weight_decay`. The order of the groups is by
    settings, so that it is the same in every process and after every resume. Raises ValueError when nothing
    is trainable.
    """
    members: dict[GroupSettings, dict[str, nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            members.setdefault(settings_of(name, parameter), {})[name] = parameter
    if not members:
        raise ValueError("no weight is trainable: every parameter has requires_grad=False")
    groups = [
        {
            "params": list(members[settings].values()),
            "names": list(members[settings]),
            "lr_multiplier": settings.lr_multiplier,
            "weight_decay": settings.weight_decay,
        }
        for settings in sorted(members, reverse=True)
    ]
    assert_covered_once(module, groups)
    return groups


def assert_covered_once(module: nn.Module, groups: Iterable[dict[str, Any]]) -> None:
    """AssertionError unless the groups hold each trainable parameter of `module` once and nothing else."""
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    trainable = {id(parameter) for parameter in module.parameters() if parameter.requires_grad}
    grouped = [id(parameter) for group in groups for parameter in group["params"]]
    twice = {names.get(key, "a foreign parameter") for key, count in Counter(grouped).items() if count > 1}
    assert not twice, f"in more than one optimizer group: {sorted(twice)}"
    missing = {names[key] for key in trainable - set(grouped)}
    assert not missing, f"trainable but in no optimizer group: {sorted(missing)}"
    extra = {names.get(key, "a foreign parameter") for key in set(grouped) - trainable}
    assert not extra, f"in an optimizer group but not trainable: {sorted(extra)}"


def build_adamw(groups: list[dict[str, Any]], betas: tuple[float, float] = (0.9, 0.999)) -> Optimizer:
    """AdamW over `groups`, as one fused kernel where the parameters' device has it.

    The learning rate is set before every step, by `set_learning_rate`.
    """
    return torch.optim.AdamW(groups, lr=0.0, betas=betas, fused=supports_fused(groups))


def supports_fused(groups: Iterable[dict[str, Any]]) -> bool:
    """True when torch has fused kernels for every parameter: floating point, on a CUDA device or a CPU."""
    parameters = [parameter for group in groups for parameter in group["params"]]
    return all(
        parameter.is_floating_point() and parameter.device.type in ("cuda", "cpu") for parameter in parameters
    )


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """Give every group `rate` times its own multiplier."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["lr_multiplier"]


def highest_learning_rate(optimizer: Optimizer) -> float:
    """The largest rate of any group: the one that a newly added network learns at."""
    return max(group["lr"] for group in optimizer.param_groups)


def clip_gradients(optimizer: Optimizer, max_norm: float | None) -> torch.Tensor:
    """Total 2-norm of all gradients (scalar tensor, before clipping), scaled down to `max_norm` where it
    exceeds it.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = nn.utils.get_total_norm(gradients)
    if max_norm is not None:
        nn.utils.clip_grads_with_norm_(parameters, max_norm, norm)
    return norm
