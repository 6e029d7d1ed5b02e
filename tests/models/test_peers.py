"""What the compared methods promise at their start, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from models.aim import Aim
from models.build import build_heads
from models.clip import Clip, build_clip
from models.config import MODELS_OUTSIDE_THE_JOINT_SPACE, HeadConfig
from models.evl import Evl, grid_offsets
from models.heads import LinearHead, Recognizer, TunedTextHead
from models.interface import Role, VideoModel, apply_roles
from models.key_table import ConversionError, KeyRule, convert
from models.layers.depthwise import DepthwiseTemporalConv
from models.loading import fill_from
from models.mean_pool import MeanPool
from models.peer_config import AimConfig, EvlConfig, StAdapterConfig, XclipConfig
from models.peer_conversion import PEER_LAYOUTS, classifiers_of, from_peer_release, peer_layout
from models.st_adapter import StAdapter
from models.xclip import Xclip
from tests.models.peers import tiny_clip
from utils.config import ConfigError

FACTS = {"width": 64, "layers": 2, "patch": 16, "res": 32, "embed": 64}


@pytest.fixture
def clip() -> Clip:
    torch.manual_seed(0)
    return tiny_clip(FACTS).eval()


@pytest.fixture
def video() -> Tensor:
    return torch.randn(2, 3, 4, 32, 32, generator=torch.Generator().manual_seed(1))


def all_peers(clip: Clip) -> dict[str, VideoModel]:
    return {
        "st_adapter": StAdapter(clip, StAdapterConfig(adapter_width=16, adapters_per_block=2)),
        "aim": Aim(clip, AimConfig(temporal_adapters=2), frames=4),
        "evl": Evl(clip, EvlConfig(decoder_layers=2), frames=4),
        "xclip": Xclip(clip, XclipConfig(), frames=4),
    }


def test_adapters_start_as_clip_on_single_frames(clip: Clip, video: Tensor) -> None:
    tokens = clip.visual.transformer(clip.visual.embed(video.transpose(1, 2).flatten(0, 1)))
    class_tokens = tokens[:, 0].unflatten(0, (2, 4))
    peers = all_peers(clip)
    st_adapter, aim = peers["st_adapter"].eval(), peers["aim"].eval()
    expected = clip.visual.ln_post(class_tokens.mean(dim=1))
    torch.testing.assert_close(st_adapter(video).video, expected, rtol=0, atol=1e-5)
    expected = clip.visual.ln_post(class_tokens).mean(dim=1)
    torch.testing.assert_close(aim(video).video, expected, rtol=0, atol=1e-5)


def test_st_adapter_starts_with_gradients_where_published(clip: Clip, video: Tensor) -> None:
    model = all_peers(clip)["st_adapter"]
    network = Recognizer(model, [LinearHead(model.video_width, 5)])
    network(video)[0].square().sum().backward()
    moved = {
        name.removeprefix("model.blocks.0.").removeprefix("model.blocks.1.")
        for name, parameter in network.named_parameters()
        if parameter.grad is not None and parameter.grad.abs().max() > 0
    }
    # fc1 sees a kernel of zeros, fc2's weight an input of zeros
    adapters = {f"before_{place}." for place in ("attention", "mlp")}
    inside = {adapter + part for adapter in adapters for part in ("conv.weight", "conv.bias", "fc2.bias")}
    assert moved == inside | {"heads.0.fc.weight", "heads.0.fc.bias"}


@pytest.mark.parametrize("name", ["st_adapter", "aim", "evl", "xclip"])
def test_frames_meet(clip: Clip, video: Tensor, name: str) -> None:
    """Once its weights have left their start, a method tells a clip from the clip backwards."""
    model = all_peers(clip)[name].eval()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if not key.startswith("clip."):
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
        difference = (model(video).video - model(video.flip(2)).video).abs().max()
    assert difference > 1e-3


@pytest.mark.parametrize("name", ["st_adapter", "aim", "evl", "xclip"])
def test_other_clip_lengths_and_every_second_frame(clip: Clip, name: str) -> None:
    model = all_peers(clip)[name].eval()
    model.alpha = 2
    features = model(torch.randn(1, 3, 12, 32, 32))
    assert features.video.shape == (1, model.video_width)
    assert features.frames.shape[:2] == (1, 6)


@pytest.mark.parametrize("name", ["st_adapter", "aim", "evl", "xclip"])
def test_clips_of_one_frame_train_every_weight(clip: Clip, name: str) -> None:
    model = all_peers(clip)[name]
    network = Recognizer(model, [LinearHead(model.video_width, 5)] if not model.in_joint_space else [])
    features = model(torch.randn(2, 3, 1, 32, 32))
    assert features.frames.shape[:2] == (2, 1)
    if model.in_joint_space:
        scores: Tensor = model.similarity(features, torch.randn(5, model.embed_dim))
    else:
        scores = network.heads[0](model, features)
    scores.square().sum().backward()
    assert all(weight.grad is not None for weight in network.parameters() if weight.requires_grad)


def test_only_what_is_trained_has_gradients(clip: Clip, video: Tensor) -> None:
    for model in all_peers(clip).values():
        apply_roles(model)
        frozen = {name for name, weight in model.named_parameters() if model.role(name) is Role.FROZEN}
        assert frozen == {name for name, weight in model.named_parameters() if not weight.requires_grad}
        assert any(name.startswith("clip.text.") for name in frozen)
        assert not any(name.startswith("blocks.") for name in frozen)


def test_depthwise_is_the_convolution() -> None:
    layer = DepthwiseTemporalConv(6, 3)
    x = torch.randn(2, 5, 4, 6)
    expected = torch.conv3d(
        x.permute(0, 3, 1, 2)[..., None], layer.weight, layer.bias, padding=(1, 0, 0), groups=6
    )
    torch.testing.assert_close(layer(x), expected[..., 0].permute(0, 2, 3, 1))


def test_offsets_are_query_minus_key() -> None:
    grid, rows = 3, grid_offsets(3)
    for p in range(9):
        for other in range(9):
            down, right = p // grid - other // grid, p % grid - other % grid
            assert rows[p, other] == (down + grid - 1) * (2 * grid - 1) + right + grid - 1


def test_evl_refuses_other_crops(clip: Clip) -> None:
    with pytest.raises(ValueError, match="4 patches a frame and got 9"):
        all_peers(clip)["evl"](torch.randn(1, 3, 4, 48, 48))


def test_a_text_head_needs_the_joint_space(clip: Clip) -> None:
    with pytest.raises(ValueError, match=r"VIDEO.HEAD.NAME.*linear"):
        build_heads(HeadConfig(name="text"), all_peers(clip)["aim"], [["a", "b"]], ("{}",))


def test_a_tuned_text_tower_encodes_the_names_at_every_step(video: Tensor) -> None:
    model = MeanPool(build_clip("tiny-test"), tune_visual=True, tune_text=True)
    (head,) = build_heads(HeadConfig(), model, [["run", "jump"]], ("a photo of a {}.",))
    assert isinstance(head, TunedTextHead)
    network = Recognizer(model, [head])
    network(video)[0].square().sum().backward()
    missing = {
        name for name, weight in model.named_parameters() if weight.requires_grad and weight.grad is None
    }
    assert missing == set()
    assert not model.clip.text.token_embedding.weight.requires_grad
    assert model.clip.logit_scale.requires_grad
    with pytest.raises(ValueError, match="2 prompt templates"):
        build_heads(HeadConfig(), model, [["run"]], ("{}", "a {}"))


def test_xclip_takes_texts_as_clip_gives_them() -> None:
    clip = build_clip("tiny-moving-shapes")
    model = Xclip(clip, XclipConfig(), frames=4)
    raw = clip.encode_text(clip.tokenize(["run", "jump"]))
    torch.testing.assert_close(model.class_features(["run", "jump"], ("{}",)), raw)


def released(network: Recognizer, name: str) -> dict[str, Tensor]:
    """The network's weights under the names of a release, by the key table read backwards."""
    layout = next(layout for layout in PEER_LAYOUTS if layout.name == name)
    inverse = tuple(KeyRule(rule.target, rule.source) for rule in layout.table)
    return convert(dict(network.state_dict()), inverse, layout="ours", left_out=(r".*",))


def test_configurations_know_whose_features_are_no_match_for_texts(clip: Clip) -> None:
    outside = {name for name, model in all_peers(clip).items() if not model.in_joint_space}
    assert outside == set(MODELS_OUTSIDE_THE_JOINT_SPACE)


def trained_only(network: Recognizer) -> dict[str, Any]:
    return {key: value for key, value in network.state_dict().items() if network.role(key) is not Role.FROZEN}


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("st_adapter", "ST-Adapter's release"),
        ("aim", "AIM's release"),
        ("evl", "EVL's release"),
        ("xclip", "X-CLIP's release"),
    ],
)
def test_key_tables_name_every_trained_weight(clip: Clip, name: str, layout: str) -> None:
    model = all_peers(clip)[name]
    network = Recognizer(model, [LinearHead(model.video_width, 5)] if not model.in_joint_space else [])
    state = released(network, layout)
    found = peer_layout(state)
    assert found is not None and found.name == layout
    back = from_peer_release(state, found, network.state_dict())
    assert trained_only(network).keys() <= back.keys()
    assert all(torch.equal(tensor, network.state_dict()[key]) for key, tensor in back.items())
    state["something.else"] = torch.zeros(1)
    with pytest.raises(ConversionError, match=r"something\.else"):
        fill_from(network, state, "a file")


@pytest.mark.parametrize("mark", [layout.mark.strip(".").replace(".", "_") for layout in PEER_LAYOUTS])
def test_a_model_of_the_users_own_names_its_parts_as_it_likes(clip: Clip, mark: str) -> None:
    network = Recognizer(MeanPool(clip), [LinearHead(clip.architecture.embed_dim, 5)])
    network.model.add_module(mark, torch.nn.ModuleList([torch.nn.Linear(2, 2)]))
    state = network.state_dict()
    changed = {name: tensor + 1 for name, tensor in state.items()}
    assert peer_layout(changed) is None and len(classifiers_of(changed)) == 2
    fill_from(network, changed, "a file")
    assert all(torch.equal(tensor, changed[name]) for name, tensor in network.state_dict().items())


def test_a_classifier_takes_a_release_without_its_prompts(clip: Clip, video: Tensor) -> None:
    torch.manual_seed(1)
    whole = Recognizer(Xclip(clip, XclipConfig(), frames=4), []).eval()
    bare = Xclip(clip, XclipConfig(), frames=4, prompts_texts=False)
    network = Recognizer(bare, [LinearHead(bare.video_width, 5)]).eval()
    fill_from(network, released(whole, "X-CLIP's release"), "a file")
    torch.testing.assert_close(network.model(video).video, whole.model(video).video)


def test_sections_refuse_what_cannot_be() -> None:
    for build in (
        lambda: StAdapterConfig(temporal_kernel_size=4),
        lambda: AimConfig(drop_path_rate=1.0),
        lambda: EvlConfig(decoder_layers=0),
        lambda: XclipConfig(prompt_layers=0),
    ):
        with pytest.raises(ConfigError):
            build()
