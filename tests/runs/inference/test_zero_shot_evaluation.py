"""runs/inference/zero_shot_evaluation.py: the frozen CLIP beside a model that has tuned its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from models.heads import frozen_logits
from models.mean_pool import MeanPool
from runs.inference.zero_shot_evaluation import collect_logits, original_clip
from tests.runs.inference.tiny import tuned_clip
from utils.config import ConfigError

NAMES = ["a cat", "a dog", "a bird"]
CLIPS = torch.randint(
    0, 256, (2, 3, 8, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
)


class OneBatch:
    """Two videos of one view each."""

    num_views = 1

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Any]:
        yield SimpleNamespace(video_id=torch.arange(2), clips=lambda: CLIPS)

    def missing(self) -> tuple[()]:
        return ()


def test_the_frozen_clip_is_the_original_with_its_own_scale(tmp_path: Path) -> None:
    tuned = tuned_clip(tmp_path)
    original = original_clip(tuned)
    assert original is not None
    found = collect_logits(tuned, cast(Any, OneBatch()), NAMES)
    text = tuned.clip_text_features(original, NAMES)
    expected = frozen_logits(MeanPool(original, alpha=tuned.model.alpha), tuned.normalised(CLIPS), text)
    torch.testing.assert_close(found.clip[:, 0], expected)
    assert not torch.allclose(found.model, found.clip, atol=0.1)


def test_the_frozen_clip_sees_the_clips_as_it_was_trained(tmp_path: Path) -> None:
    """A tuned tower may have another mean and standard deviation than the CLIP it started from."""
    tuned = tuned_clip(tmp_path)
    data = replace(tuned.config.data, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    other = replace(tuned, config=replace(tuned.config, data=data))
    found, expected = (collect_logits(model, cast(Any, OneBatch()), NAMES) for model in (other, tuned))
    assert torch.equal(found.clip, expected.clip)
    assert not torch.equal(found.model, expected.model)


def test_an_original_that_is_gone_is_one_clear_message(tmp_path: Path) -> None:
    tuned = tuned_clip(tmp_path)
    (tmp_path / "clip.pt").unlink()
    with pytest.raises(
        ConfigError, match=r"PRETRAIN_WEIGHT_PATH.*the frozen CLIP to compare clip with cannot"
    ):
        original_clip(tuned)
