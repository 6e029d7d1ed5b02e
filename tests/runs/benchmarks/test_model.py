"""The model benchmark: the baseline is the same network, and the report says what was measured."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.clip import build_clip
from models.config import DistConfig
from models.dist import Dist
from models.interface import apply_roles
from runs.benchmarks.model_report import ModelMeasurement, write_report
from runs.benchmarks.reference_dist import ReferenceDist


def test_the_baseline_is_the_same_network_in_values_and_gradients() -> None:
    torch.manual_seed(0)
    config = DistConfig(integration_dim=128, temporal_dim=16, initialization="fan_in")
    model = Dist(build_clip("tiny-test"), config, frames=8, alpha=2)
    apply_roles(model)
    video = torch.randn(2, 3, 8, 32, 32)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    ours, theirs = model(video).video, ReferenceDist(model)(video)
    assert torch.allclose(ours, theirs, atol=1e-5)
    gradients = [
        torch.autograd.grad(output.square().sum(), trained, allow_unused=True) for output in (ours, theirs)
    ]
    for a, b in zip(*gradients, strict=True):
        if b is not None:  # what the baseline does not use has a gradient of zero here
            assert a is not None and torch.allclose(a, b, atol=1e-4 * float(b.abs().max()) + 1e-5)
        else:
            assert a is None or a.abs().max() == 0


def measurement(step: float) -> ModelMeasurement:
    """A measurement whose training step takes `step` seconds."""
    seconds = {
        "frozen forward": [1.0, 1.0, 1.0],
        "training step": [step] * 3,
        "baseline step": [2.5] * 3,
        "inference": [1.0] * 3,
        "baseline inference": [2.0] * 3,
    }
    settings = {"architecture": "x", "frames": 16, "alpha": 2, "batch": 4, "rounds": 3}
    return ModelMeasurement(
        settings, "CPU", "float32", seconds, 1e-6, {"half": 0.9999}, {"training step": 2.0}, {"torch": "2"}
    )


@pytest.mark.parametrize(("step", "far_off"), [(1.5, False), (4.0, True)])
def test_a_check_fails_only_far_outside(step: float, far_off: bool) -> None:
    assert measurement(step).is_far_off == far_off


def test_the_report_leads_with_ratios(tmp_path: Path) -> None:
    text = write_report([measurement(1.5)], tmp_path)
    assert "| training step / baseline step | 0.60 | 0.60 | 0.60 |" in text
    assert {path.name for path in tmp_path.iterdir()} == {"results.json", "results.md", "results.png"}
