"""Features that come from the file are those that were computed, for the right pixels and nothing else."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from models.clip import VisionTower, build_clip
from models.config import StanConfig
from models.feature_cache import FeatureCache, FeatureShape
from models.interface import apply_roles
from models.stan import Stan

LAYERS = (0, 1)
FACTS = {"weights": "a"}


def tower_and_shape() -> tuple[VisionTower, FeatureShape]:
    torch.manual_seed(0)
    clip = build_clip("tiny-test").requires_grad_(False)
    architecture = clip.architecture
    tokens = 1 + (32 // architecture.patch_size) ** 2
    return clip.visual, FeatureShape(2, 3, tokens, architecture.vision_width, architecture.embed_dim)


def streamed(tower: VisionTower, frames: Tensor) -> list[Tensor]:
    stream = tower.stream(frames, LAYERS)
    return [next(stream) for _ in range(len(LAYERS) + 1)]  # as models do, who do not ask for an end


def test_what_is_read_is_what_was_given_when_it_was_computed(tmp_path: Path) -> None:
    tower, shape = tower_and_shape()
    frames = torch.randn(2, 3, 3, 32, 32)
    exact = streamed(tower, frames)
    tower.cache = FeatureCache(tmp_path, 5, shape, FACTS)
    tower.cache.expect([4, 1], [b"x" * 16, b"y" * 16])
    computed = streamed(tower, frames)
    for a, b in zip(computed, exact, strict=True):
        assert float((a - b).norm() / b.norm()) < 1e-3  # float16
    tower.cache = FeatureCache(tmp_path, 5, shape, FACTS)  # as another run opens it
    assert tower.cache.filled == 2
    tower.cache.expect([1, 4], [b"y" * 16, b"x" * 16])
    read = streamed(tower, torch.zeros_like(frames))  # the frames themselves are not looked at
    assert all(torch.equal(a.flip(0), b) for a, b in zip(read, computed, strict=True))
    assert (tower.cache.reads, tower.cache.writes) == (2, 0)


def test_stan_finds_what_it_left(tmp_path: Path) -> None:
    """It takes the tokens alone: frame embeddings are its own."""
    torch.manual_seed(0)
    model = Stan(build_clip("tiny-test"), StanConfig(depth=2), tune_visual=False, tune_text=False).eval()
    apply_roles(model)
    shape = replace(tower_and_shape()[1], embed_dim=None)
    video = torch.randn(2, 3, 3, 32, 32)
    exact = model(video).video
    model.clip.visual.cache = cache = FeatureCache(tmp_path, 2, shape, FACTS)
    found = []
    for _ in range(2):
        cache.expect([0, 1], [b"x" * 16, b"y" * 16])
        found.append(model(video).video)
    assert (cache.writes, cache.reads, cache.filled) == (2, 2, 2)
    assert torch.equal(*found)
    assert float(((found[0] - exact).norm() / exact.norm()).detach()) < 1e-2  # float16


def test_other_pixels_are_computed_and_leave_the_slot_alone(tmp_path: Path) -> None:
    tower, shape = tower_and_shape()
    one, other = torch.randn(2, 1, 3, 3, 32, 32)
    tower.cache = cache = FeatureCache(tmp_path, 1, shape, FACTS)
    cache.expect([0], [b"x" * 16])
    first = streamed(tower, one)
    cache.expect([0], [b"z" * 16])
    assert not torch.equal(streamed(tower, other)[0], first[0])
    cache.expect([0], [b"x" * 16])
    assert torch.equal(streamed(tower, other)[0], first[0])


def test_clips_that_were_not_announced_are_computed(tmp_path: Path) -> None:
    tower, shape = tower_and_shape()
    frames = torch.randn(2, 3, 3, 32, 32)
    exact = streamed(tower, frames)
    tower.cache = FeatureCache(tmp_path, 1, shape, FACTS)
    assert all(torch.equal(a, b) for a, b in zip(streamed(tower, frames), exact, strict=True))
    assert tower.cache.filled == 0


def test_other_facts_empty_the_cache(tmp_path: Path) -> None:
    tower, shape = tower_and_shape()
    tower.cache = FeatureCache(tmp_path, 1, shape, FACTS)
    tower.cache.expect([0], [b"x" * 16])
    streamed(tower, torch.randn(1, 3, 3, 32, 32))
    assert not FeatureCache(tmp_path, 1, shape, FACTS).was_outdated
    renewed = FeatureCache(tmp_path, 1, shape, {"weights": "b"})
    assert renewed.was_outdated and renewed.filled == 0


def test_a_cache_whose_making_was_cut_short_is_made_again(tmp_path: Path) -> None:
    _, shape = tower_and_shape()
    FeatureCache(tmp_path, 1, shape, FACTS)
    (tmp_path / "facts.json").unlink()  # comes last
    (tmp_path / "features.f16").write_bytes(b"")
    assert FeatureCache(tmp_path, 5, shape, FACTS).filled == 0


def test_a_disk_without_room_is_said_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage(NamedTuple):
        free: int = 1000

    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage())
    with pytest.raises(ValueError, match="needs .* GB for 5 clips"):
        FeatureCache(tmp_path, 5, tower_and_shape()[1], FACTS)
    assert not list(tmp_path.iterdir())
