"""Networks of the compared methods for tests, from parity checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.architecture import ClipArchitecture
from models.clip import Clip


def relative(ours: Tensor, theirs: np.ndarray) -> float:
    """Largest absolute difference over the largest absolute value."""
    expected = torch.from_numpy(theirs)
    assert ours.shape == expected.shape
    return float((ours.detach() - expected).abs().max() / expected.abs().max())


def tiny_clip(facts: Mapping[str, Any]) -> Clip:
    """A CLIP of the sizes that a parity checkpoint names."""
    return Clip(
        ClipArchitecture(
            embed_dim=facts.get("embed", 32),
            vision_width=facts["width"],
            vision_layers=facts["layers"],
            patch_size=facts["patch"],
            image_size=facts["res"],
            text_width=facts.get("twidth", 64),
            text_layers=facts.get("tlayers", 1),
            vocab_size=facts.get("vocab", 100),
            context_length=facts.get("ctx", 16),
        )
    )


def checkpoint(folder: Path, name: str) -> dict[str, dict[str, Tensor]]:
    """A parity file: `state_dict`, and what stands beside it."""
    return torch.load(folder / f"{name}.pth", map_location="cpu", weights_only=True)
