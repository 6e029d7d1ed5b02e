"""CLIP4Clip against the original's numbers, its sizes, and how it starts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models.architecture import ClipArchitecture
from models.clip import Clip, describe_architecture
from models.clip4clip import Clip4Clip
from models.clip4clip_conversion import from_clip4clip_release
from models.config import Clip4ClipConfig
from models.interface import Role, apply_roles, cosine_logits
from models.weight_files import read_weight_file


def architecture(**sizes: int) -> ClipArchitecture:
    usual = {
        "embed_dim": 64, "vision_width": 64, "vision_layers": 2, "patch_size": 16, "image_size": 32,
        "text_width": 64, "text_layers": 2, "context_length": 16, "vocab_size": 64,
    }  # fmt: skip
    return ClipArchitecture(**{**usual, **sizes})


def relative(ours: Tensor, theirs: np.ndarray) -> float:
    expected = torch.from_numpy(theirs)
    return float((ours.detach() - expected).abs().max() / expected.abs().max())


def test_outputs_and_gradients_equal_the_originals(shared: Path) -> None:
    folder = shared / "parity"
    sizes = json.loads((folder / "clip4clip_seqtransf_a.json").read_text())
    expected = np.load(folder / "clip4clip_seqtransf_a_expected.npz")
    model = Clip4Clip(Clip(architecture()), Clip4ClipConfig(layers=sizes["layers"]))
    tensors = read_weight_file(folder / "clip4clip_seqtransf_a.pth").tensors
    given = from_clip4clip_release(tensors)
    assert len(given) == len(tensors)
    assert not model.load_state_dict(given, strict=False).unexpected_keys
    frames, mask = torch.from_numpy(expected["frames"]), torch.from_numpy(expected["mask"])
    text = torch.from_numpy(expected["text"])[:, 0]
    features = model.pool(frames, mask)
    logits = cosine_logits(features.video, text, model.clip.logit_scale).T
    assert relative(features.frames, expected["frames_out"]) < 1e-5
    assert relative(logits, expected["logits"]) < 1e-5
    logits.square().sum().backward()
    assert model.over_frames is not None
    named = dict(model.named_parameters())
    attention = "resblocks.0.attn.in_proj_weight"
    ours = {
        "frame_position_embeddings.weight": "over_frames.positions",
        f"transformerClip.{attention}": f"over_frames.transformer.{attention}",
        "clip.logit_scale": "clip.logit_scale",
    }
    for key, name in ours.items():
        gradient = named[name].grad
        assert gradient is not None
        assert relative(gradient, expected[f"grad/{key}"]) < 1e-4, key
    mean = Clip4Clip(model.clip, Clip4ClipConfig(pooling="mean")).pool(frames, mask)
    assert (
        relative(cosine_logits(mean.video, text, model.clip.logit_scale).T, expected["logits_meanP"]) < 1e-5
    )


def test_frames_are_normalised_before_the_mean() -> None:
    model = Clip4Clip(Clip(architecture()), Clip4ClipConfig(pooling="mean")).eval()
    video = torch.rand(2, 3, 4, 32, 32)
    features = model(video)
    torch.testing.assert_close(features.video, F.normalize(features.frames, dim=-1).mean(dim=1))
    frames = torch.tensor([[[3.0, 0.0], [0.0, 1.0]]])
    assert model.pool(frames).video.tolist() == [[0.5, 0.5]]


def test_a_mean_of_frames_cannot_tell_a_clip_from_its_reverse() -> None:
    """Whatever it learns: so in pairs of a clip and its reverse, retrieval finds the right one by chance."""
    model = Clip4Clip(Clip(architecture()), Clip4ClipConfig(pooling="mean")).eval()
    video = torch.rand(2, 3, 4, 32, 32)
    torch.testing.assert_close(model(video).video, model(video.flip(2)).video)


def test_the_transformer_can() -> None:
    model = Clip4Clip(Clip(architecture()), Clip4ClipConfig(layers=2)).eval()
    assert model.over_frames is not None
    torch.nn.init.normal_(model.over_frames.positions)
    video = torch.rand(2, 3, 4, 32, 32)
    assert not torch.allclose(model(video).video, model(video.flip(2)).video, rtol=1e-3)


def test_it_starts_as_the_text_tower() -> None:
    clip = Clip(architecture())
    model = Clip4Clip(clip, Clip4ClipConfig(layers=2))
    assert model.over_frames is not None
    assert torch.equal(model.over_frames.positions, clip.text.positional_embedding)
    ours, theirs = model.over_frames.transformer.state_dict(), clip.text.transformer.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize(("sizes", "layers"), [({}, 3), ({"embed_dim": 32}, 2)])
def test_a_text_tower_that_cannot_be_its_start_is_an_error(sizes: dict[str, int], layers: int) -> None:
    with pytest.raises(ValueError, match="POOLING mean"):
        Clip4Clip(Clip(architecture(**sizes)), Clip4ClipConfig(layers=layers))


def test_clips_longer_than_the_positions_are_an_error() -> None:
    model = Clip4Clip(Clip(architecture()), Clip4ClipConfig(layers=1))
    with pytest.raises(ValueError, match="17 frames"):
        model.pool(torch.rand(1, 17, 64))


def test_published_number_of_trained_weights() -> None:
    """123,540,993 of CLIP, of which the scale of the similarity is one, and 12,648,960 of the transformer."""
    with torch.device("meta"):
        model = Clip4Clip(Clip(describe_architecture("ViT-B-32")[0]), Clip4ClipConfig())
    apply_roles(model)
    counts = dict.fromkeys(Role, 0)
    for name, parameter in model.named_parameters():
        counts[model.role(name)] += parameter.numel()
    assert counts[Role.NEW] == 12_648_960
    assert counts[Role.PRETRAINED] == 123_540_993 - 1


def test_only_biases_do_not_decay() -> None:
    """The release names CLIP's norms ln_*, which its list of what does not decay has not."""
    model = Clip4Clip(Clip(architecture()), Clip4ClipConfig(layers=1))
    spared = {name for name, parameter in model.named_parameters() if not model.decays(name, parameter)}
    assert spared == {name for name, _ in model.named_parameters() if name.endswith("bias")}
    assert "clip.visual.ln_post.weight" not in spared
    assert "over_frames.positions" not in spared
