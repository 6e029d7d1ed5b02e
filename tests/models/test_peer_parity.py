"""The compared methods against the numbers that their released networks gave for small random checkpoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from models.aim import Aim
from models.evl import Evl
from models.heads import LinearHead, Recognizer, TextHead
from models.interface import VideoModel
from models.loading import fill_from
from models.peer_config import AimConfig, EvlConfig, StAdapterConfig, XclipConfig
from models.st_adapter import StAdapter
from models.xclip import Xclip, XclipFeatures
from tests.models.peers import checkpoint, relative, tiny_clip

BOUND = 1e-5
GRADIENT_BOUND = 1e-4


def facts_of(folder: Path, name: str) -> dict[str, Any]:
    return json.loads((folder / f"{name}.json").read_text())


def classifier(model: VideoModel, facts: dict[str, Any], tensors: dict[str, Tensor]) -> Recognizer:
    """The model with a linear head and the weights of a parity checkpoint."""
    network = Recognizer(model, [LinearHead(model.video_width, facts["nc"])])
    fill_from(network, tensors, "the parity checkpoint")
    return network.eval()


def assert_gradients(network: Recognizer, expected: Any, names: dict[str, str]) -> None:
    parameters = dict(network.named_parameters())
    for theirs, ours in names.items():
        gradient = parameters[ours].grad
        assert gradient is not None, ours
        recorded = expected[f"grad/{theirs}"]
        assert relative(gradient.reshape(recorded.shape), recorded) < GRADIENT_BOUND, ours
    frozen = [name for name, parameter in parameters.items() if not parameter.requires_grad]
    assert all(parameters[name].grad is None for name in frozen)


BLOCK = "transformer.resblocks"
ST_ADAPTER = {
    "st_adapter_a": {
        f"{BLOCK}.0.adapter_pre_mlp.conv.weight": "model.blocks.0.before_mlp.conv.weight",
        f"{BLOCK}.1.adapter_pre_mlp.fc1.weight": "model.blocks.1.before_mlp.fc1.weight",
        "fc.weight": "heads.0.fc.weight",
    },
    "st_adapter_a_two_per_block": {
        f"{BLOCK}.0.adapter_pre_mlp.conv.weight": "model.blocks.0.before_mlp.conv.weight",
        f"{BLOCK}.1.adapter_pre_attn.fc1.weight": "model.blocks.1.before_attention.fc1.weight",
        "fc.weight": "heads.0.fc.weight",
    },
}


@pytest.mark.parametrize("name", ST_ADAPTER)
def test_st_adapter(shared: Path, name: str) -> None:
    folder = shared / "parity"
    facts, expected = facts_of(folder, name), np.load(folder / f"{name}_expected.npz")
    per_block: Literal[1, 2] = 2 if name.endswith("two_per_block") else 1
    config = StAdapterConfig(facts["aw"], per_block)
    network = classifier(StAdapter(tiny_clip(facts), config), facts, checkpoint(folder, name)["state_dict"])
    (logits,) = network(torch.from_numpy(expected["x"]))
    assert relative(logits, expected["logits"]) < BOUND
    logits.square().sum().backward()
    assert_gradients(network, expected, ST_ADAPTER[name])


def test_aim(shared: Path) -> None:
    folder = shared / "parity"
    facts, expected = facts_of(folder, "aim_a"), np.load(folder / "aim_a_expected.npz")
    config = AimConfig(adapter_ratio=facts["mlp_ratio"], adapter_scale=facts["adapter_scale"])
    model = Aim(tiny_clip(facts), config, frames=facts["T"])
    network = classifier(model, facts, checkpoint(folder, "aim_a")["state_dict"])
    video = torch.from_numpy(expected["x"])
    assert relative(model(video).frames.transpose(1, 2), expected["features"]) < BOUND
    (logits,) = network(video)
    assert relative(logits, expected["logits"]) < BOUND
    logits.square().sum().backward()
    names = {
        f"backbone.{BLOCK}.0.T_Adapter.D_fc1.weight": "model.blocks.0.temporal.fc1.weight",
        f"backbone.{BLOCK}.1.S_Adapter.D_fc2.weight": "model.blocks.1.spatial.fc2.weight",
        "backbone.temporal_embedding": "model.positions",
    }
    assert_gradients(network, expected, names)


def test_evl(shared: Path) -> None:
    folder = shared / "parity"
    facts, expected = facts_of(folder, "evl_a"), np.load(folder / "evl_a_expected.npz")
    stored = checkpoint(folder, "evl_a")
    clip = tiny_clip(facts)
    clip.visual.load_state_dict(stored["clip_visual"])
    model = Evl(clip, EvlConfig(decoder_layers=facts["dec_layers"]), frames=facts["T"])
    released = {f"module.{name}": tensor for name, tensor in stored["state_dict"].items()}
    network = classifier(model, facts, released)
    (logits,) = network(torch.from_numpy(expected["x"]))
    assert relative(logits, expected["logits"]) < BOUND
    logits.square().sum().backward()
    names = {
        "decoder.cls_token": "model.query",
        "decoder.cross_attention.0.w1": "model.layers.0.frame_to_frame.w1",
        "decoder.temporal_conv.1.weight": "model.layers.1.temporal_conv.weight",
        "decoder.decoder_layers.0.attn.k_proj.weight": "model.layers.0.attention.k_proj.weight",
    }
    assert_gradients(network, expected, names)


def test_xclip(shared: Path) -> None:
    folder = shared / "parity"
    facts, expected = facts_of(folder, "xclip_a"), np.load(folder / "xclip_a_expected.npz")
    clip = tiny_clip(facts)
    model = Xclip(clip, XclipConfig(), frames=facts["T"])
    network = Recognizer(model, [])
    fill_from(network, checkpoint(folder, "xclip_a")["state_dict"], "the parity checkpoint")
    network.eval()
    text = clip.encode_text(torch.from_numpy(expected["tokens"])).detach()
    assert relative(text, expected["text_features"]) < BOUND
    features = model(torch.from_numpy(expected["x"]).transpose(1, 2))
    assert isinstance(features, XclipFeatures)
    assert relative(features.video, expected["video_features"]) < BOUND
    assert relative(features.patches, expected["image_features"].mean(axis=1)) < BOUND
    logits = TextHead(text)(model, features)
    assert relative(logits, expected["logits"]) < BOUND
    logits.square().sum().backward()
    names = {
        f"visual.{BLOCK}.1.message_fc.weight": "model.blocks.1.message_fc.weight",
        "prompts_generator.alpha": "model.prompts.alpha",
        "mit.positional_embedding": "model.integration.positions",
    }
    assert_gradients(network, expected, names)
