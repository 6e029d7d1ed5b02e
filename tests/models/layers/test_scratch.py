"""Buffers that stay change no result, wherever a product is made."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from models.clip import Clip, build_clip
from models.layers.scratch import linear_into_scratch


@pytest.fixture
def clip() -> Clip:
    torch.manual_seed(0)
    return build_clip("tiny-test").requires_grad_(False)


def product(rows: int, kind: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(rows)
    x, weight, bias = (
        torch.randn(*shape, generator=generator).to(kind) for shape in ((rows, 8), (6, 8), (6,))
    )
    expected = (x @ weight.t() + bias) * 1.5
    return linear_into_scratch(x, weight, bias, "test", factor=1.5), expected


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_a_product_is_itself(kind: torch.dtype) -> None:
    for rows in (3, 9, 2):  # growing and shrinking
        found, expected = product(rows, kind)
        assert torch.allclose(
            found.float(), expected.float(), rtol=2e-2, atol=1e-1 if kind.itemsize == 2 else 1e-5
        )


def test_autocast_chooses_the_type() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert product(3)[0].dtype == torch.bfloat16


def test_inference_mode_leaves_nothing_behind(clip: Clip) -> None:
    images = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        inside = clip.visual(images)
    assert torch.equal(inside, clip.visual(images))


def test_threads_do_not_share_buffers(clip: Clip) -> None:
    batches = [torch.randn(2, 3, 32, 32) for _ in range(16)]
    expected = [clip.visual(batch) for batch in batches]
    with ThreadPoolExecutor(4) as threads:
        assert all(map(torch.equal, threads.map(clip.visual, batches), expected))


def test_images_by_groups_are_the_images(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.randn(7, 3, 32, 32)
    whole = list(clip.visual.blocks(clip.visual.embed(images)))
    monkeypatch.setattr("models.clip._GROUP_VALUES", 3 * 5 * 4 * clip.visual.conv1.out_channels)
    grouped = list(clip.visual.blocks(clip.visual.embed(images)))
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(grouped, whole, strict=True))


def test_a_tower_that_is_trained_has_its_gradients_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.clip._GROUP_VALUES", 1)
    clip = build_clip("tiny-test")
    clip.visual(torch.randn(3, 3, 32, 32)).sum().backward()
    assert all(parameter.grad is not None for parameter in clip.visual.transformer.parameters())
