"""The Mug head against the release's numbers, and the padding leak of the release's full form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models.mug import mug_similarity


def released_full_form(tokens: Tensor, frames: Tensor, mask: Tensor, *, leaks: bool) -> Tensor:
    """The full form as the release writes it, pooled features and all; `leaks`: with its fault, too."""
    t, f, k = F.normalize(tokens, dim=-1), F.normalize(frames, dim=-1), mask.bool()[:, None, :, None]
    pairs = torch.einsum("ale,bte->ablt", t, f) * k
    over_frames = (100 * pairs).softmax(dim=3)
    over_tokens = (100 * pairs).masked_fill(~k, -torch.inf).softmax(dim=2)
    seen_frames = torch.einsum("ablt,bte->able", over_frames, f)
    seen_tokens = torch.einsum("ablt,ale->abte", over_tokens, t)
    a, b = torch.einsum("able,ale->abl", seen_frames, t), torch.einsum("abte,bte->abt", seen_tokens, f)
    a = a if leaks else a.masked_fill(~k[..., 0], -torch.inf)
    text = torch.einsum("abl,ale->abe", (100 * a).softmax(dim=2), t)
    video = torch.einsum("abt,bte->abe", (100 * b).softmax(dim=2), f)
    return (text * video).sum(dim=-1)


def relative(ours: Tensor, theirs: Tensor) -> float:
    return float((ours.detach() - theirs.detach()).abs().max() / theirs.detach().abs().max())


class Fixture:
    """The recorded inputs and outputs."""

    def __init__(self, shared: Path) -> None:
        self.arrays = np.load(shared / "parity" / "mug_a_expected.npz")
        self.tokens = self["text_tokens"].requires_grad_()
        self.frames = self["frames"].requires_grad_()
        self.mask = self["mask"]

    def __getitem__(self, key: str) -> Tensor:
        return torch.from_numpy(self.arrays[key])


@pytest.fixture
def fixture(shared: Path) -> Fixture:
    return Fixture(shared)


def test_simple_form_and_gradients_equal_the_releases(fixture: Fixture) -> None:
    similarity = mug_similarity(fixture.tokens, fixture.frames, fixture.mask)
    assert relative(similarity, fixture["sim_simple"]) < 1e-5
    similarity.square().sum().backward()
    for name, value in (("text_tokens", fixture.tokens), ("frames", fixture.frames)):
        assert value.grad is not None
        assert relative(value.grad, fixture[f"grad_simple/{name}"]) < 1e-4


def test_full_form_equals_the_releases_but_for_its_padding_leak(fixture: Fixture) -> None:
    """The release counts padded tokens in its last softmax; without them its formula gives what ours does."""
    ours = mug_similarity(fixture.tokens, fixture.frames, fixture.mask, full=True)
    leaking = released_full_form(fixture.tokens, fixture.frames, fixture.mask, leaks=True)
    mended = released_full_form(fixture.tokens, fixture.frames, fixture.mask, leaks=False)
    assert relative(leaking, fixture["sim_full"]) < 1e-5
    assert relative(ours, mended) < 1e-5
    assert relative(ours[:1], fixture["sim_full"][:1]) < 1e-5  # the first text has no padding
    # the third text: two real tokens, five padded ones
    assert fixture["sim_full"][2].tolist() == pytest.approx([0.03029, 0.15197], abs=1e-5)
    assert ours[2].tolist() == pytest.approx([0.00461, 0.15197], abs=1e-5)


def test_gradients_of_the_full_form(fixture: Fixture) -> None:
    """With every token real, gradients are the release's; with padding, the mended formula's."""
    mug_similarity(fixture.tokens, fixture.frames, fixture.mask, full=True).square().sum().backward()
    again_tokens = fixture["text_tokens"].clone().requires_grad_()
    again_frames = fixture["frames"].clone().requires_grad_()
    released_full_form(again_tokens, again_frames, fixture.mask, leaks=False).square().sum().backward()
    for ours, theirs in ((fixture.tokens, again_tokens), (fixture.frames, again_frames)):
        assert ours.grad is not None
        assert theirs.grad is not None
        assert relative(ours.grad, theirs.grad) < 1e-4
    # the first text has no padding: the release's own gradient
    assert fixture.tokens.grad is not None
    assert relative(fixture.tokens.grad[0], fixture["grad_full/text_tokens"][0]) < 1e-4


@pytest.mark.parametrize("full", [False, True])
def test_what_stands_in_padding_and_how_much_of_it_changes_nothing(full: bool) -> None:
    torch.manual_seed(0)
    tokens, frames = torch.randn(2, 5, 8), torch.randn(3, 4, 8)
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 0, 0]])
    alone = mug_similarity(tokens[:, :3], frames, mask[:, :3], full=full)
    torch.testing.assert_close(mug_similarity(tokens, frames, mask, full=full), alone)


@pytest.mark.parametrize("full", [False, True])
def test_a_text_that_is_the_video_is_most_similar(full: bool) -> None:
    frames = torch.eye(8)[:4][None]
    tokens = torch.stack([torch.eye(8)[:4], torch.eye(8)[4:]])
    near, far = mug_similarity(tokens, frames, torch.ones(2, 4), full=full)[:, 0]
    assert near > far + 0.2
