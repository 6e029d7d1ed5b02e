"""DiST against the numbers that the original network gave for two small random checkpoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models.architecture import clip_architecture
from models.clip import Clip
from models.config import DistConfig
from models.conversion import bare_release_names, from_dist_release, to_dist_release
from models.dist import Dist
from models.interface import apply_roles
from models.weight_files import read_weight_file

BOUND = 1e-5
"""Largest difference over the largest value; the requirement is 1e-4."""
GRADIENT_BOUND = 5e-5
"""The recorded gradients were rounded to float32 in the original: float64 here differs from them by 2e-5."""


def relative(ours: Tensor, theirs: np.ndarray) -> float:
    """Largest absolute difference over the largest absolute value."""
    expected = torch.from_numpy(theirs)
    return float((ours.detach() - expected).abs().max() / expected.abs().max())


def released_model(folder: Path, name: str) -> Dist:
    """The network of a parity checkpoint, through the key table."""
    sizes = json.loads((folder / f"{name}.json").read_text())
    branch: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in sizes["dist"].items()
    }
    tensors = read_weight_file(folder / f"{name}.pyth").tensors
    clip = Clip(clip_architecture(bare_release_names(tensors)))
    model = Dist(clip, DistConfig(**branch), frames=sizes["frames"], alpha=sizes["alpha"])
    model.load_state_dict(from_dist_release(tensors, model.state_dict()))
    apply_roles(model)
    return model.eval()


@pytest.mark.parametrize("name", ["dist_tiny_a", "dist_tiny_c"])
def test_outputs_and_gradients_equal_the_originals(shared: Path, name: str) -> None:
    folder = shared / "parity"
    expected = np.load(folder / f"{name}_expected.npz")
    model = released_model(folder, name)
    text = model.clip.encode_text(torch.from_numpy(expected["text"]))
    assert relative(text, expected["text_features"]) < BOUND
    features = model(torch.from_numpy(expected["video"]))
    assert relative(F.normalize(features.video, dim=-1), expected["video_embedding"]) < BOUND
    assert relative(features.frames.flatten(0, 1), expected["frame_embeddings"]) < BOUND
    logits = model.similarity(features, text)
    assert relative(logits, expected["logits"]) < BOUND
    frames = F.normalize(features.frames, dim=-1).mean(dim=1)
    assert (
        relative(
            0.5 * logits + 0.5 * model.clip.logit_scale.exp() * frames @ F.normalize(text, dim=-1).T,
            expected["logits_zero_shot"],
        )
        < BOUND
    )
    loss = F.cross_entropy(logits, torch.from_numpy(expected["labels"]))
    assert relative(loss, expected["loss"]) < BOUND
    loss.backward()
    weights = dict(model.branch.named_parameters())
    gradients = {
        "grad_temporal_stem": weights["stem.weight"],
        "grad_integration0_in": weights["steps.0.input_linear.weight"],
        "grad_proj": weights["proj"],
    }
    for key, parameter in gradients.items():
        assert parameter.grad is not None
        assert relative(parameter.grad, expected[key]) < GRADIENT_BOUND, key
    assert all(parameter.grad is None for parameter in model.clip.parameters())


def test_the_key_table_reads_in_both_directions(shared: Path) -> None:
    folder = shared / "parity"
    tensors = read_weight_file(folder / "dist_tiny_a.pyth").tensors
    model = released_model(folder, "dist_tiny_a")
    back = to_dist_release(model.state_dict(), {name: tuple(t.shape) for name, t in tensors.items()})
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[name], tensors[name]) for name in tensors)


def test_older_names_load_alike(shared: Path) -> None:
    tensors = read_weight_file(shared / "parity" / "dist_tiny_a.pyth").tensors
    renames = {
        "dist_net.": "ladder_net.",
        "input_linears": "input_map_feat_nets",
        "integration2temporal_nets": "s2t_fuse_nets",
        "temporal2integration_nets": "t2s_fuse_nets",
        "integration_nets": "spatial_nets",
        "adapooling_nets": "final_temporal_nets",
    }
    older = {}
    for name, tensor in tensors.items():
        for new, old in renames.items():
            name = name.replace(new, old)
        older[name] = tensor
    assert bare_release_names(older).keys() == bare_release_names(tensors).keys()
