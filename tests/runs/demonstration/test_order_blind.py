"""The order-blind baseline sees every frame and no order."""

from __future__ import annotations

import torch

from runs.demonstration.config import ProbeConfig
from runs.demonstration.features import FrameFeatures
from runs.demonstration.order_blind import order_blind_accuracy, pooled

FAST = ProbeConfig(hidden=32, epochs=20, batch_size=32, learning_rate=1e-2, dropout=0.0)


def features(frames: torch.Tensor, targets: torch.Tensor) -> FrameFeatures:
    """The same numbers as embeddings and class tokens."""
    return FrameFeatures(frames, frames, targets)


def test_pooling_forgets_the_order() -> None:
    frames = torch.randn(3, 8, 5)
    shuffled = frames[:, torch.randperm(8)]
    targets = torch.zeros(3, dtype=torch.long)
    assert torch.allclose(pooled(features(frames, targets)), pooled(features(shuffled, targets)), atol=1e-6)


def test_the_probe_learns_what_a_bag_of_frames_tells() -> None:
    targets = torch.arange(200) % 2
    frames = torch.randn(200, 8, 5) + 2.0 * targets[:, None, None]
    train = features(frames[:120], targets[:120])
    assert order_blind_accuracy(train, features(frames[120:], targets[120:]), 2, FAST) > 95


def test_the_probe_cannot_tell_time_reversed_twins_apart() -> None:
    rising = torch.linspace(-1, 1, 8)[None, :, None] + 0.1 * torch.randn(100, 1, 5)
    frames = torch.stack([rising, rising.flip(1)], dim=1).flatten(0, 1)
    targets = torch.arange(200) % 2
    train = features(frames[:120], targets[:120])
    assert order_blind_accuracy(train, features(frames[120:], targets[120:]), 2, FAST) == 50
