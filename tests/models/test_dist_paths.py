"""Every way to compute DiST gives the original network's numbers, up to the precision of the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models.dist import Dist
from models.feature_cache import FeatureCache, FeatureShape
from models.frozen_tower import keep_frozen_tower_in
from tests.models.test_dist_parity import BOUND, GRADIENT_BOUND, relative, released_model
from utils.activation_checkpointing import recompute_activations
from utils.compilation import compile_blocks

Way = Callable[[Dist, Tensor, Path], object]


def cached(model: Dist, video: Tensor, folder: Path) -> None:
    """The features are read: an earlier batch has filled the cache with them."""
    visual, sizes = model.clip.visual, model.sizes
    tokens, width = visual.positional_embedding.shape
    shape = FeatureShape(len(sizes.layers), video.shape[2] // sizes.alpha, tokens, width, sizes.embed_dim)
    slots = list(range(len(video)))
    digests = [bytes([slot + 1]) * 16 for slot in slots]
    visual.cache = FeatureCache(folder, len(video), shape, {})
    visual.cache.expect(slots, digests)
    with torch.no_grad():
        model(video)
    visual.cache.expect(slots, digests)


WAYS: dict[str, tuple[Way, float, float]] = {
    "eager": (lambda model, video, folder: None, BOUND, GRADIENT_BOUND),
    "recomputed activations": (
        lambda model, video, folder: recompute_activations(model),
        BOUND,
        GRADIENT_BOUND,
    ),
    "compiled graphs": (
        lambda model, video, folder: compile_blocks(model, "aot_eager"),
        BOUND,
        GRADIENT_BOUND,
    ),
    "cached features, float16": (cached, 2e-3, 5e-3),
    "frozen tower in int8": (
        lambda model, video, folder: keep_frozen_tower_in(model.clip.visual, "int8"),
        0.05,
        0.2,
    ),
    "bfloat16": (lambda model, video, folder: None, 0.1, 0.25),
    "bfloat16, frozen tower too": (
        lambda model, video, folder: keep_frozen_tower_in(model.clip.visual, "half", torch.bfloat16),
        0.1,
        0.25,
    ),
}
"""How the network is prepared, and bounds of outputs and gradients as shares of the largest value."""


@contextmanager
def _precision(name: str) -> Iterator[None]:
    with torch.autocast("cpu", torch.bfloat16) if name.startswith("bfloat16") else nullcontext():
        yield


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["dist_tiny_a", "dist_tiny_c"])
def test_outputs_and_gradients(shared: Path, tmp_path: Path, name: str, way: str) -> None:
    prepare, bound, gradient_bound = WAYS[way]
    expected = np.load(shared / "parity" / f"{name}_expected.npz")
    model, video = released_model(shared / "parity", name), torch.from_numpy(expected["video"])
    text = model.clip.encode_text(torch.from_numpy(expected["text"]))
    prepare(model, video, tmp_path)
    with _precision(way):
        features = model(video)
    logits = model.similarity(features, text)
    found = {"logits": relative(logits, expected["logits"])}
    found["frames"] = relative(features.frames.float().flatten(0, 1), expected["frame_embeddings"])
    assert max(found.values()) < bound, found
    F.cross_entropy(logits, torch.from_numpy(expected["labels"])).backward()
    gradients = {
        "grad_temporal_stem": "stem.weight",
        "grad_integration0_in": "steps.0.input_linear.weight",
        "grad_proj": "proj",
    }
    weights = dict(model.branch.named_parameters())
    for key, parameter in gradients.items():
        gradient = weights[parameter].grad
        assert gradient is not None
        found[key] = relative(gradient, expected[key])
    assert max(found[key] for key in gradients) < gradient_bound, found
    print(way, {key: f"{value:.1e}" for key, value in found.items()})
