"""The order-blind baseline: a classifier on frozen features, pooled so that the frames' order is lost.

    features (n,T,F) ──mean, deviation, least, greatest over T──► (n,4F) ──MLP──► motion

It is trained as well as it can be: what it lacks is the order of the frames, nothing else. Clips come in
time-reversed twins with the same set of frames, so about half of them is the most that it can get right.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from runs.demonstration.config import ProbeConfig
from runs.demonstration.features import FrameFeatures
from utils.schedule import LearningRateSchedule


def order_blind_accuracy(
    train: FrameFeatures, test: FrameFeatures, classes: int, config: ProbeConfig
) -> float:
    """Percentage of test clips whose class the probe names."""
    inputs, questions = pooled(train), pooled(test)
    mean, deviation = inputs.mean(dim=0), inputs.std(dim=0).clamp(min=1e-4)
    inputs, questions = (inputs - mean) / deviation, (questions - mean) / deviation
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        probe = _trained(inputs, train.targets, classes, config)
    with torch.no_grad():
        answers = probe(questions).argmax(dim=1)
    return 100.0 * float((answers == test.targets).float().mean())


def pooled(features: FrameFeatures) -> Tensor:
    """A clip's features (n,4F): the same for any order of its frames."""
    frames = torch.cat([features.embeddings, features.class_tokens], dim=-1)
    statistics = (frames.mean(dim=1), frames.std(dim=1), frames.amin(dim=1), frames.amax(dim=1))
    return torch.cat(statistics, dim=-1)


def _trained(inputs: Tensor, targets: Tensor, classes: int, config: ProbeConfig) -> nn.Module:
    probe = nn.Sequential(
        nn.Dropout(config.dropout),
        nn.Linear(inputs.shape[1], config.hidden),
        nn.GELU(),
        nn.Dropout(config.dropout),
        nn.Linear(config.hidden, classes),
    )
    optimizer = torch.optim.AdamW(probe.parameters(), weight_decay=config.weight_decay)
    schedule = LearningRateSchedule(config.learning_rate, 1.0, warmup_epochs=0.05)
    for epoch in range(config.epochs):
        for group in optimizer.param_groups:
            group["lr"] = schedule.at(epoch / config.epochs)
        for rows in torch.randperm(len(inputs)).split(config.batch_size):
            optimizer.zero_grad()
            F.cross_entropy(probe(inputs[rows]), targets[rows]).backward()
            optimizer.step()
    return probe.eval()
