"""Exponential moving average of the trainable weights, by torch's own AveragedModel.

    average ← decay · average + (1 − decay) · weight        after every optimizer step that really happened

Frozen weights are the same in both, so only trainable ones are held.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class WeightAverage:
    """The running average of `module`'s trainable parameters; `module` itself is not copied."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        if not 0.0 < decay < 1.0:
            raise ValueError(f"EMA decay must lie between 0 and 1, got {decay}")
        trainable = {name: weight for name, weight in module.named_parameters() if weight.requires_grad}
        self._names = list(trainable)
        # Shares the live parameters; AveragedModel deep-copies it, and with it the trainable weights alone.
        self._live = nn.ParameterList(trainable.values())
        self._average = AveragedModel(self._live, multi_avg_fn=get_ema_multi_avg_fn(decay))

    def update(self) -> None:
        """Move the average towards the weights as they are now. The first call copies them."""
        self._average.update_parameters(self._live)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, the module's trainable weights are the averages; afterwards they are what they were."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def state_dict(self) -> dict[str, Tensor | int]:
        """Averages by parameter name, and the number of updates under "updates".

        Before the first of these, the weights as they are now: they may have been loaded since the average
        was made.
        """
        updates = int(self._average.n_averaged)
        kept = self._average if updates else self._live
        averages: dict[str, Tensor | int] = {
            name: weight.detach() for name, weight in zip(self._names, kept.parameters(), strict=True)
        }
        return {**averages, "updates": updates}

    def load_state_dict(self, state: dict[str, Tensor | int]) -> None:
        """Restore what `state_dict` gave; ValueError when the names are not the same."""
        if set(state) != {*self._names, "updates"}:
            wrong = sorted(set(state) ^ {*self._names, "updates"})
            raise ValueError(f"the saved weight average does not fit this model: {', '.join(wrong[:5])}")
        with torch.no_grad():
            for name, average in zip(self._names, self._average.parameters(), strict=True):
                average.copy_(torch.as_tensor(state[name]))
            self._average.n_averaged.fill_(state["updates"])

    @torch.no_grad()
    def _exchange(self) -> None:
        if int(self._average.n_averaged) == 0:
            return  # nothing averaged yet: the weights stand for their average
        for weight, average in zip(self._live, self._average.parameters(), strict=True):
            kept = weight.detach().clone()
            weight.copy_(average)
            average.copy_(kept)
