"""DiST: published sizes, what is frozen, other clip lengths, initialisation, temporal convolutions."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from models.clip import Clip, build_clip, describe_architecture
from models.config import DistConfig
from models.dist import Dist
from models.dist_pooling import normalised
from models.heads import Recognizer, TextHead, trainable_count
from models.interface import Role, apply_roles
from models.layers.attention import SingleQueryAttention
from models.layers.basic import LayerNorm
from models.layers.temporal import interpolate_in_time, temporal_convolution


def tiny(frames: int = 8, alpha: int = 2, **config: object) -> Dist:
    """A DiST on the tiny CLIP, ready to train."""
    torch.manual_seed(0)
    settings = {"integration_dim": 64, "temporal_dim": 16, "initialization": "fan_in"} | config
    model = Dist(build_clip("tiny-test"), DistConfig(**settings), frames=frames, alpha=alpha)  # type: ignore[arg-type]
    apply_roles(model)
    return model


def on_meta(name: str, frames: int, pooling_layers: int) -> Dist:
    """A published recipe's network without memory behind it."""
    with torch.device("meta"):
        model = Dist(
            Clip(describe_architecture(name)[0]),
            DistConfig(ada_pooling_layers=pooling_layers),
            frames=frames,
            alpha=2,
        )
    apply_roles(model)
    return model


@pytest.mark.parametrize(
    ("architecture", "frames", "pooling_layers", "trainable"),
    [
        ("ViT-B-16", 16, 2, 19_001_184),
        ("ViT-B-16", 16, 4, 26_105_184),
        ("ViT-L-14", 64, 2, 32_745_312),
        ("ViT-L-14", 64, 4, 39_867_744),
    ],
)
def test_trainable_weights_as_published(
    architecture: str, frames: int, pooling_layers: int, trainable: int
) -> None:
    assert trainable_count(on_meta(architecture, frames, pooling_layers)) == trainable


@pytest.mark.parametrize(
    ("architecture", "pooling_layers", "published"),
    [("ViT-B-16", 2, 480 / 3), ("ViT-B-16", 4, 163), ("ViT-L-14", 2, 2130 / 3), ("ViT-L-14", 4, 710)],
)
def test_multiply_adds_of_a_view_as_published(
    architecture: str, pooling_layers: int, published: float
) -> None:
    model = on_meta(architecture, 16, pooling_layers)
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, 16, 224, 224, device="meta"))
    assert counter.get_total_flops() / 2e9 == pytest.approx(published, rel=0.03)


def test_clip_stays_as_it_is() -> None:
    model = tiny()
    network = Recognizer(model, [TextHead(torch.randn(4, 32))])
    network.train()
    before = {name: tensor.clone() for name, tensor in model.clip.state_dict().items()}
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=0.1)
    (logits,) = network(torch.randn(2, 3, 8, 32, 32))
    F.cross_entropy(logits, torch.tensor([0, 1])).backward()
    optimizer.step()
    assert all(parameter.grad is None for parameter in model.clip.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.clip.state_dict().items())
    assert not model.clip.visual.training
    assert model.branch.training
    assert all(parameter.grad is not None for parameter in model.branch.parameters())


def test_roles_and_decay_cover_the_network() -> None:
    network = Recognizer(tiny(), [TextHead(torch.randn(4, 32))])
    trained = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert trained == {name for name in dict(network.named_parameters()) if network.role(name) is Role.NEW}
    assert all(name.startswith("model.branch.") for name in trained)
    undecayed = {
        name.split("branch.")[1]
        for name, parameter in network.named_parameters()
        if parameter.requires_grad and parameter.ndim >= 2 and not network.decays(name, parameter)
    }
    assert undecayed == {
        *(f"steps.{i}.to_integration.class_token" for i in range(2)),
        *(f"pooling.{i}.positions" for i in range(2)),
    }


def test_the_frozen_encoder_sees_sparse_frames_only() -> None:
    model = tiny()
    seen = []
    embed = model.clip.visual.embed
    model.clip.visual.embed = lambda images: seen.append(images.clone()) or embed(images)  # type: ignore
    video = torch.randn(2, 3, 8, 32, 32)
    model(video)
    assert torch.equal(torch.cat(seen), video[:, :, ::2].transpose(1, 2).flatten(0, 1))


def test_dense_frames_reach_the_output() -> None:
    model = tiny().eval()
    video = torch.randn(1, 3, 8, 32, 32)
    other = video.clone()
    other[:, :, 1::2] += 1  # frames that the frozen encoder never sees
    assert not torch.allclose(model(video).video, model(other).video)
    assert torch.equal(model(video).frames, model(other).frames)


def test_order_matters() -> None:
    model = tiny().eval()
    video = torch.randn(1, 3, 8, 32, 32)
    assert not torch.allclose(model(video).video, model(video.flip(2)).video, atol=1e-3)


@pytest.mark.parametrize("frames", [4, 8, 16, 12])
def test_other_clip_lengths_work(frames: int) -> None:
    features = tiny().eval()(torch.randn(1, 3, frames, 32, 32))
    assert features.video.shape == (1, 32)
    assert features.frames.shape == (1, frames // 2, 32)


def test_impossible_sizes_say_what_to_change() -> None:
    with pytest.raises(ValueError, match="S_PATCH_SIZE 14 does not fit"):
        tiny(s_patch_size=14)
    with pytest.raises(ValueError, match="not a multiple of DATA.SPARSE_SAMPLE_ALPHA"):
        tiny(frames=9)
    with pytest.raises(ValueError, match="names block 7"):
        tiny(selected_layers=(0, 7))
    with pytest.raises(ValueError, match="does not divide by SPARSE_SAMPLE_ALPHA"):
        tiny()(torch.zeros(1, 3, 7, 32, 32))


def test_initialisations_differ_in_scale_alone() -> None:
    published, fan_in = tiny(initialization="published").branch, tiny(initialization="fan_in").branch
    weight = "steps.0.input_linear.weight"
    std = [dict(branch.named_parameters())[weight].std().item() for branch in (published, fan_in)]
    assert std[0] == pytest.approx(0.02, rel=0.1)
    assert std[1] == pytest.approx(64**-0.5, rel=0.1)
    for branch in (published, fan_in):
        assert all(p.abs().max() == 0 for name, p in branch.named_parameters() if name.endswith("bias"))
        assert branch.proj.std().item() == pytest.approx(64**-0.5, rel=0.1)


@pytest.mark.parametrize(("frames", "kernel"), [(5, 3), (5, 5), (1, 3), (2, 5)])
def test_temporal_convolution_is_conv3d(frames: int, kernel: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, frames, 4, 6, requires_grad=True)
    conv = nn.Conv3d(6, 3, (kernel, 1, 1), padding=(kernel // 2, 0, 0))
    ours = temporal_convolution(x, conv.weight, conv.bias)  # type: ignore[arg-type]
    expected = conv(x.permute(0, 3, 1, 2)[..., None])[..., 0].permute(0, 2, 3, 1)
    assert torch.allclose(ours, expected, atol=1e-6)
    weights = torch.randn_like(ours)
    inputs = [x, *conv.parameters()]
    for a, b in zip(
        torch.autograd.grad((ours * weights).sum(), inputs),
        torch.autograd.grad((expected * weights).sum(), inputs),
        strict=True,
    ):
        assert torch.allclose(a, b, atol=1e-5)


def test_single_query_attention_is_multi_head_attention() -> None:
    torch.manual_seed(0)
    reference = nn.MultiheadAttention(128, 2, batch_first=True)
    nn.init.normal_(reference.in_proj_bias)
    ours = SingleQueryAttention(128, 2)
    ours.load_state_dict(reference.state_dict())
    query, sequence = torch.randn(3, 128), torch.randn(3, 7, 128)
    expected = reference(query[:, None], sequence, sequence, need_weights=False)[0][:, 0]
    assert torch.allclose(ours(query, sequence), expected, atol=1e-5)


def test_a_norms_weights_may_come_after_it() -> None:
    torch.manual_seed(0)
    attention, norm = SingleQueryAttention(128, 2), LayerNorm(128)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    query, sequence = torch.randn(3, 128), torch.randn(3, 7, 128)
    expected = attention(query, norm(sequence))
    assert torch.allclose(attention(query, normalised(sequence), norm), expected, atol=1e-5)


def test_interpolation_in_time_keeps_what_it_can() -> None:
    table = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
    assert interpolate_in_time(table, 4) is table
    assert interpolate_in_time(table, 2).flatten().tolist() == [0.5, 2.5]
