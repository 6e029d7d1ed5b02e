"""Checkpoints of STAN and CLIP4Clip into a network for retrieval, by the loader that all commands use."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.clip import Clip
from models.clip4clip import Clip4Clip
from models.config import Clip4ClipConfig, StanConfig
from models.key_table import ConversionError
from models.loading import fill_from
from models.retriever import Retriever
from models.stan import Stan
from models.weight_files import read_weight_file
from tests.models.test_clip4clip import architecture
from tests.models.test_stan import released_model

_HUGGING_FACE = (
    ("text_model.embeddings.token_embedding.weight", "token_embedding.weight"),
    ("text_model.embeddings.position_embedding.weight", "positional_embedding"),
    ("text_model.final_layer_norm.weight", "ln_final.weight"),
    ("text_model.final_layer_norm.bias", "ln_final.bias"),
)
_BLOCK = (
    ("layer_norm1", "ln_1"),
    ("layer_norm2", "ln_2"),
    ("mlp.fc1", "mlp.c_fc"),
    ("mlp.fc2", "mlp.c_proj"),
    ("self_attn.out_proj", "attn.out_proj"),
)


def with_text_tower(tensors: dict[str, torch.Tensor], clip: Clip) -> dict[str, torch.Tensor]:
    """The release's file with a text tower, as its full checkpoints have one."""
    state = clip.text.state_dict()
    named = {f"text_backbone.{theirs}": state[ours] for theirs, ours in _HUGGING_FACE}
    named["text_backbone.text_projection.weight"] = state["text_projection"].t()
    for number in range(len(clip.text.transformer.resblocks)):
        layer, block = f"text_backbone.text_model.encoder.layers.{number}", f"transformer.resblocks.{number}"
        for part, place in zip("qkv", range(3), strict=True):
            for kind in ("weight", "bias"):
                packed = state[f"{block}.attn.in_proj_{kind}"]
                named[f"{layer}.self_attn.{part}_proj.{kind}"] = packed.chunk(3)[place]
        for theirs, ours in _BLOCK:
            for kind in ("weight", "bias"):
                named[f"{layer}.{theirs}.{kind}"] = state[f"{block}.{ours}.{kind}"]
    return tensors | named


def test_a_released_stan_fills_a_retriever(shared: Path) -> None:
    expected = released_model(shared / "parity", "stan_tiny_a")
    tensors = dict(read_weight_file(shared / "parity" / "stan_tiny_a.pth").tensors)
    torch.manual_seed(3)
    text = Clip(expected.clip.architecture)
    network = Retriever(Stan(Clip(expected.clip.architecture), StanConfig(depth=2)), temperature=0.01)
    fill_from(network, with_text_tower(tensors, text), "a file")
    ours = network.model.state_dict()
    for name, tensor in expected.state_dict().items():
        if not name.startswith("clip.text.") and name != "clip.logit_scale":
            assert torch.equal(ours[name], tensor), name
    for name, tensor in text.text.state_dict().items():
        assert torch.equal(ours[f"clip.text.{name}"], tensor), name


def test_a_stan_without_its_tuned_text_tower_is_an_error(shared: Path) -> None:
    tensors = dict(read_weight_file(shared / "parity" / "stan_tiny_a.pth").tensors)
    architecture = released_model(shared / "parity", "stan_tiny_a").clip.architecture
    network = Retriever(Stan(Clip(architecture), StanConfig(depth=2)), temperature=0.01)
    with pytest.raises(ConversionError, match=r"missing: model\.clip\.text"):
        fill_from(network, tensors, "a file")


def test_a_clip4clip_checkpoint_fills_a_retriever() -> None:
    torch.manual_seed(0)
    source = Clip4Clip(Clip(architecture()), Clip4ClipConfig(layers=2))
    released = {}
    for name, tensor in source.state_dict().items():
        name = name.replace("clip.text.", "clip.")
        name = name.replace("over_frames.positions", "frame_position_embeddings.weight")
        released[name.replace("over_frames.transformer", "transformerClip")] = tensor
    network = Retriever(Clip4Clip(Clip(architecture()), Clip4ClipConfig(layers=2)))
    fill_from(network, released, "a file")
    ours = network.model.state_dict()
    assert all(torch.equal(ours[name], tensor) for name, tensor in source.state_dict().items())
