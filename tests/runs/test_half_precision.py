"""Where half precision ends: scores, logits, losses of every method, in bfloat16 on a CPU as on a GPU."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from models.contrastive import contrastive_loss
from models.interface import VideoModel, cosine_logits
from models.retriever import Matched, Retriever
from runs.api import view_logits
from runs.inference.classifier import VideoClassifier
from tests.runs.test_every_graph import NAMES, with_all_weights_moved
from tests.runs.test_every_method import METHODS
from utils.precision import Precision

BF16 = Precision("bf16", "cpu")


def clip_for(model: VideoClassifier) -> torch.Tensor:
    size = model.model.clip.architecture.image_size
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, 3, 4, size, size), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("name", METHODS)
def test_views_are_scored(name: str) -> None:
    exact = with_all_weights_moved(name)
    clip, half = clip_for(exact), replace(exact, precision=BF16)
    (expected,), (found,) = view_logits(exact, clip), view_logits(half, clip)
    assert found.dtype == torch.float32 and found.shape == (2, len(NAMES))
    assert float((found - expected).abs().max()) <= 0.1 * float(expected.abs().max())


@pytest.mark.parametrize("name", METHODS)
def test_a_run_has_logits_in_float32(name: str) -> None:
    """What is compared with texts, that is: 100 · cosine in bfloat16 would come in steps of 1/8."""
    model = with_all_weights_moved(name).model.train()
    if not model.in_joint_space:
        pytest.skip("outside of the joint space there is a linear head alone")
    texts = model.class_features(NAMES, ("{}",))
    with BF16.autocast():
        features = model(clip_for_model(model))
        logits = model.similarity(features, texts)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, model.similarity(features, texts), rtol=0.01, atol=0.01)


def clip_for_model(model: VideoModel) -> torch.Tensor:
    size = model.clip.architecture.image_size
    return torch.randn(2, 3, 4, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", ["dist", "stan", "clip4clip", "xclip"])
def test_the_contrastive_loss_takes_features_in_half_precision(name: str) -> None:
    model = with_all_weights_moved(name).model
    network = Retriever(model, temperature=0.05).train()
    tokens = model.clip.tokenize(["a red one", "a green one"])
    with BF16.autocast():
        matched: Matched = network(clip_for_model(model), tokens)
    loss = contrastive_loss(matched, network.similarity)
    loss.backward()
    assert loss.dtype == torch.float32 and bool(torch.isfinite(loss))


def test_cosines_are_exact_under_autocast() -> None:
    video, text = torch.randn(8, 16), torch.randn(400, 16)
    scale = torch.tensor(100.0).log()
    with BF16.autocast():
        found = cosine_logits(video, text, scale)
    torch.testing.assert_close(found, cosine_logits(video, text, scale))
