"""CLIP4Clip's recipes: what they change of the text–video data."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from datasets.transforms.crop import centre_box, random_resized_crop_box
from runs.config import load_run_config

FOLDER = Path(__file__).resolve().parents[2] / "configs" / "projects" / "clip4clip"


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.yaml")), ids=lambda path: path.stem)
def test_training_sees_the_centre_of_a_frame(path: Path) -> None:
    config = load_run_config(path)
    area, ratio = config.data.train_jitter_scales, config.augmentation.ratio
    box = random_resized_crop_box(240, 320, area, ratio, torch.Generator().manual_seed(0))
    assert box == centre_box(240, 320, 240, 240)
    assert config.augmentation.flip_prob == 0
    assert config.data.test_scale == config.data.test_crop_size == 224
    assert (config.data.interpolation, config.data.antialias) == ("bicubic", True)  # as Pillow's
