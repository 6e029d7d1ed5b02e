"""What stands in for a frozen tower's blocks computes the same up to its numbers, and is seen nowhere."""

from __future__ import annotations

import pytest
import torch

from models.clip import Clip, build_clip
from models.frozen_tower import keep_frozen_tower_in
from utils.checkpoint import frozen_fingerprint


@pytest.fixture
def clip() -> Clip:
    torch.manual_seed(0)
    clip = build_clip("tiny-test")
    return clip.requires_grad_(False)


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a.float() - b.float()).norm() / b.float().norm())


@pytest.mark.parametrize(("kind", "bound"), [("int8", 0.05), ("half", 0.05), ("fp32", 0.0)])
def test_stand_ins_are_close_and_leave_the_weights_alone(clip: Clip, kind: str, bound: float) -> None:
    images, before = torch.randn(3, 3, 32, 32), frozen_fingerprint(clip)
    exact = clip.visual(images)
    keep_frozen_tower_in(clip.visual, kind, torch.bfloat16)
    close = clip.visual(images)
    assert difference(close, exact) <= bound
    assert (kind == "fp32") == torch.equal(close, exact)
    assert frozen_fingerprint(clip) == before
    keep_frozen_tower_in(clip.visual, "fp32")
    assert torch.equal(clip.visual(images), exact)


def test_the_stream_gives_what_the_stand_ins_compute(clip: Clip) -> None:
    keep_frozen_tower_in(clip.visual, "int8")
    frames = torch.randn(1, 2, 3, 32, 32)
    *tokens, embeddings = clip.visual.stream(frames, [clip.visual.depth - 1])
    assert torch.equal(embeddings[0], clip.visual.pool(tokens[0][0]))
    assert torch.allclose(embeddings[0], clip.visual(frames[0]), atol=1e-6)


def test_half_precision_stays_inside_a_float32_tower(clip: Clip) -> None:
    keep_frozen_tower_in(clip.visual, "half")
    stream = list(clip.visual.stream(torch.randn(1, 2, 3, 32, 32), range(clip.visual.depth)))
    assert {tokens.dtype for tokens in stream} == {torch.float32}


@pytest.mark.parametrize("kind", ["int8", "half"])
@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_stand_ins_run_in_half_precision(clip: Clip, kind: str, half: torch.dtype) -> None:
    images = torch.randn(3, 3, 32, 32)
    exact = clip.visual(images)
    keep_frozen_tower_in(clip.visual, kind, half)
    with torch.autocast("cpu", half):
        assert difference(clip.visual(images), exact) <= 0.05


def test_a_tower_that_is_trained_keeps_its_weights(clip: Clip) -> None:
    clip.requires_grad_(True)
    with pytest.raises(ValueError, match="only a frozen image tower"):
        keep_frozen_tower_in(clip.visual, "int8")
