"""STAN against the release's numbers, the paper's sizes and costs, and what its parts promise."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.architecture import ClipArchitecture
from models.clip import Clip, describe_architecture
from models.config import StanConfig
from models.interface import Role, apply_roles
from models.key_table import ConversionError
from models.stan import AttentionOverTime, Stan, StanLayer
from models.stan_conversion import from_stan_release, is_stan_release
from models.weight_files import read_weight_file
from utils.activation_checkpointing import recompute_activations

TimeModule = Literal["selfattn", "conv"]
TINY = ClipArchitecture(
    embed_dim=32, vision_width=64, vision_layers=3, patch_size=16, image_size=48,
    text_width=64, text_layers=1, context_length=8, vocab_size=64,
)  # fmt: skip


def layers_of(model: Stan) -> list[StanLayer]:
    layers = [layer for layer in model.branch.layers if isinstance(layer, StanLayer)]
    assert len(layers) == len(model.selected)
    return layers


def relative(ours: Tensor, theirs: np.ndarray) -> float:
    """Largest absolute difference over the largest absolute value."""
    expected = torch.from_numpy(theirs)
    return float((ours.detach() - expected).abs().max() / expected.abs().max())


def released_model(folder: Path, name: str) -> Stan:
    """The network of a parity checkpoint, through the key table; the file has no text tower."""
    sizes = json.loads((folder / f"{name}.json").read_text())
    vision = sizes["vision"]
    architecture = replace(
        TINY,
        embed_dim=sizes["embed_dim"],
        vision_width=vision["width"],
        vision_layers=vision["layers"],
        image_size=vision["image_size"],
    )
    model = Stan(Clip(architecture), StanConfig(**sizes["stan"]))
    tensors = read_weight_file(folder / f"{name}.pth").tensors
    assert is_stan_release(tensors)
    given = from_stan_release(tensors)
    lacking = set(model.state_dict()) - set(given)
    assert all(key.startswith("clip.text.") or key == "clip.logit_scale" for key in lacking)
    model.load_state_dict(given, strict=False)
    apply_roles(model)
    return model.eval()


@pytest.mark.parametrize("checkpointed", [False, True])
@pytest.mark.parametrize("name", ["stan_tiny_a", "stan_tiny_c"])
def test_output_and_gradients_equal_the_releases(shared: Path, name: str, checkpointed: bool) -> None:
    expected = np.load(shared / "parity" / f"{name}_expected.npz")
    model = released_model(shared / "parity", name)
    if checkpointed:
        assert recompute_activations(model) > 0
    features = model(torch.from_numpy(expected["video"]))
    assert relative(features.video, expected["video_embedding"]) < 1e-5
    features.video.square().sum().backward()
    over_time = layers_of(model)[0].over_time
    assert isinstance(over_time, AttentionOverTime)
    query = over_time.attn.in_proj_weight.grad
    assert query is not None
    gradients = {
        "grad_time_embed": model.branch.temporal_embedding.grad,
        "grad_t0_q": query.chunk(3)[0],
        "grad_patch": model.clip.visual.conv1.weight.grad,
    }
    for key, gradient in gradients.items():
        assert gradient is not None
        assert relative(gradient, expected[key]) < 1e-4, key


def test_a_key_that_the_layout_does_not_have_is_an_error(shared: Path) -> None:
    tensors = dict(read_weight_file(shared / "parity" / "stan_tiny_a.pth").tensors)
    tensors["backbone.STAN_X_layers.0.weight"] = torch.zeros(1)
    with pytest.raises(ConversionError, match="STAN_X_layers"):
        from_stan_release(tensors)


def test_a_released_text_tower_comes_along() -> None:
    names = {
        "text_backbone.text_projection.weight": torch.rand(32, 64),
        "text_backbone.text_model.final_layer_norm.weight": torch.rand(64),
        "text_backbone.text_model.embeddings.position_ids": torch.zeros(1, 8),
    }
    assert from_stan_release(names).keys() == {"clip.text.text_projection", "clip.text.ln_final.weight"}


def on_meta(name: str, config: StanConfig) -> Stan:
    with torch.device("meta"):
        return Stan(Clip(describe_architecture(name)[0]), config)


@pytest.mark.parametrize(
    ("depth", "time_module", "millions"),
    [(4, "selfattn", 40.2), (6, "selfattn", 60.3), (4, "conv", 29.1)],
)
def test_added_parameters(depth: int, time_module: TimeModule, millions: float) -> None:
    branch = on_meta("ViT-B-16", StanConfig(depth=depth, time_module=time_module)).branch
    count = sum(parameter.numel() for parameter in branch.parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.05)


@pytest.mark.parametrize(("time_module", "millions"), [("selfattn", 2.95), ("conv", 0.18)])
def test_parameters_of_a_layer_over_time(time_module: TimeModule, millions: float) -> None:
    layer = layers_of(on_meta("ViT-B-16", StanConfig(time_module=time_module)))[0]
    count = sum(parameter.numel() for parameter in layer.over_time.parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.006)


def giga_multiply_adds(model: nn.Module, frames: int) -> tuple[float, float]:
    """Of three views: (without attention's two products, with them)."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    video = torch.empty(1, 3, frames, 224, 224, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        model(video)
    counts = {str(op): flops for op, flops in counter.get_flop_counts()["Global"].items()}
    total = sum(counts.values())
    products = sum(flops for op, flops in counts.items() if "bmm" in op or "attention" in op)
    return 3 * (total - products) / 2e9, 3 * total / 2e9


@pytest.mark.parametrize(
    ("depth", "frames", "published", "honest"),
    [(4, 8, 593.8, 616.43), (4, 16, 1187.0, 1233.26), (6, 8, 688.4, 713.88)],
)
def test_multiply_adds(depth: int, frames: int, published: float, honest: float) -> None:
    """The published count leaves out attention's two products: of queries with keys, weights with values."""
    counted, whole = giga_multiply_adds(on_meta("ViT-B-16", StanConfig(depth=depth)), frames)
    assert counted == pytest.approx(published, rel=0.01)
    assert whole == pytest.approx(honest, rel=1e-4)


@pytest.mark.parametrize(("depth", "published_way"), [(4, 541.11), (6, 609.49)])
def test_multiply_adds_of_the_convolutional_variant(depth: int, published_way: float) -> None:
    """The paper says 714 and 845, which do not follow from the block that it describes."""
    config = StanConfig(depth=depth, time_module="conv")
    counted, _ = giga_multiply_adds(on_meta("ViT-B-16", config), 8)
    assert counted == pytest.approx(published_way, rel=1e-4)


def tiny(**settings: object) -> Stan:
    torch.manual_seed(0)
    model = Stan(Clip(TINY), StanConfig(depth=2, **settings))  # type: ignore[arg-type]
    apply_roles(model)
    return model


@pytest.mark.parametrize("time_module", ["selfattn", "conv"])
def test_the_new_part_over_time_starts_without_effect(time_module: TimeModule) -> None:
    layer = layers_of(tiny(time_module=time_module))[0]
    x = torch.rand(2, 4, 9, 64)
    assert torch.equal(layer.over_time(x), x)


@pytest.mark.parametrize("time_module", ["selfattn", "conv"])
def test_order_of_frames_matters(time_module: TimeModule) -> None:
    model = tiny(time_module=time_module).eval()
    for layer in layers_of(model):
        for parameter in layer.over_time.parameters():
            nn.init.normal_(parameter, std=0.3)
    video = torch.rand(1, 3, 4, 48, 48)
    assert not torch.allclose(model(video).video, model(video.flip(2)).video, rtol=1e-3)


def test_rows_of_the_time_table_are_used_as_they_are_up_to_its_length() -> None:
    branch = tiny(max_frames=4).branch
    assert torch.equal(branch._time_positions(3), branch.temporal_embedding[:3])
    longer = branch._time_positions(8)
    assert longer.shape == (8, 64)
    # linear interpolation of twice as many rows: neighbours lie a quarter and three quarters of the way
    table = branch.temporal_embedding
    torch.testing.assert_close(longer[1], 0.75 * table[0] + 0.25 * table[1])


def test_what_is_tuned_is_a_choice() -> None:
    model = Stan(Clip(TINY), StanConfig(depth=1), tune_visual=True, tune_text=False)
    assert model.role("branch.temporal_embedding") is Role.NEW
    assert model.role("clip.visual.proj") is Role.PRETRAINED
    assert model.role("clip.text.text_projection") is Role.FROZEN
    assert model.role("clip.logit_scale") is Role.FROZEN
    apply_roles(model.train())
    assert not model.clip.text.training
    assert model.clip.visual.training


def test_drop_path_rises_with_the_layers_and_rests_in_evaluation() -> None:
    model = tiny(drop_path=0.4)
    assert [layer.drop_path.rate for layer in layers_of(model)] == [0.0, 0.4]
    torch.manual_seed(1)
    dropped = layers_of(model)[1].drop_path(torch.ones(10_000, 1, 1))
    assert dropped.unique().tolist() == pytest.approx([0.0, 1 / 0.6])
    assert float(dropped.mean()) == pytest.approx(1.0, abs=0.03)
    model.eval()
    assert torch.equal(layers_of(model)[1].drop_path(torch.ones(3, 1)), torch.ones(3, 1))


def test_a_branch_deeper_than_the_encoder_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"STAN\.DEPTH 4 .* 3 blocks"):
        Stan(Clip(TINY), StanConfig(depth=4))


def test_only_norms_and_biases_do_not_decay() -> None:
    """Class, position and time embeddings do, as released."""
    model = tiny(time_module="selfattn")
    decayed = {name for name, parameter in model.named_parameters() if model.decays(name, parameter)}
    embeddings = {"clip.visual.class_embedding", "clip.visual.positional_embedding"}
    assert embeddings | {"branch.temporal_embedding", "clip.text.positional_embedding"} < decayed
    norms = {f"{name}.weight" for name, module in model.named_modules() if isinstance(module, nn.LayerNorm)}
    assert len(norms) > 6
    spared = {name for name, _ in model.named_parameters()} - decayed
    assert spared == norms | {name for name in spared if name.endswith("bias")}
    assert not any(name.endswith("bias") for name in decayed)
