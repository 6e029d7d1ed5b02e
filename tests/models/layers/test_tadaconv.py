"""The temporally-adaptive convolution against the original's numbers, and as a part of DiST."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, multiprocessing

from models.config import DistConfig
from models.dist import Dist
from models.heads import trainable_count
from models.interface import apply_roles
from models.layers.tadaconv import TemporalCalibration
from tests.models.peers import checkpoint, relative, tiny_clip
from tests.runs.tiny_runs import free_port
from utils import distributed
from utils.activation_checkpointing import recompute_activations

PARTS = {"g": "clip_context", "a": "reduce", "bn": "norm", "b": "expand"}


def released_calibration(state: dict[str, Tensor]) -> TemporalCalibration:
    """The route of a parity checkpoint; its kernels have two more axes of length 1."""
    layer = TemporalCalibration(64)
    own = layer.state_dict()
    given = {}
    for name, tensor in state.items():
        if name.startswith("b_rf."):
            part, rest = name.removeprefix("b_rf.").split(".")
            target = f"{PARTS[part]}.{rest}"
            given[target] = tensor.reshape(own[target].shape)
    layer.load_state_dict(given)
    return layer.eval()


def test_it_is_the_original(shared: Path) -> None:
    folder = shared / "parity"
    expected, state = (
        np.load(folder / "tadaconv_a_expected.npz"),
        checkpoint(folder, "tadaconv_a")["state_dict"],
    )
    layer = released_calibration(state)
    weight = state["b.weight"].clone().requires_grad_()
    video = torch.from_numpy(expected["x"])  # (B,C,T,h,w)
    b, c, t, h, w = video.shape
    x = video.permute(0, 2, 3, 4, 1).reshape(b, t, h * w, c)
    assert relative(layer.factors(x).transpose(1, 2)[..., None, None], expected["alpha"]) < 1e-5
    images = layer(x).reshape(b * t, h, w, c).permute(0, 3, 1, 2)
    y = F.conv2d(images, weight[0, 0], padding=1).unflatten(0, (b, t)).transpose(1, 2)
    assert relative(y, expected["y"]) < 1e-5
    y.square().sum().backward()
    gradients = {"b": weight, "b_rf.b": layer.expand.weight, "b_rf.g": layer.clip_context.weight}
    for name, parameter in gradients.items():
        recorded = expected[f"grad/{name}.weight"]
        assert parameter.grad is not None
        assert relative(parameter.grad.reshape(recorded.shape), recorded) < 1e-4, name


@pytest.mark.parametrize(("channels", "count"), [(64, 10_352), (128, 41_184), (256, 164_288), (512, 656_256)])
def test_its_size_is_the_published(channels: int, count: int) -> None:
    assert trainable_count(TemporalCalibration(channels)) == count


FACTS = {"width": 64, "layers": 3, "patch": 16, "res": 32, "embed": 32}


def dist(**settings: object) -> Dist:
    torch.manual_seed(0)
    config = DistConfig(integration_dim=64, temporal_dim=16, ada_pooling_layers=1, **settings)  # type: ignore[arg-type]
    model = Dist(tiny_clip(FACTS), config, frames=4, alpha=2)
    apply_roles(model)
    return model


def clips(seed: int = 1) -> Tensor:
    return torch.randn(2, 3, 4, 32, 32, generator=torch.Generator().manual_seed(seed))


def test_an_adaptive_dist_starts_as_the_plain_one() -> None:
    plain, adaptive = dist(), dist(temporal_encoder="tada")
    missing, unexpected = adaptive.load_state_dict(plain.state_dict(), strict=False)
    assert not unexpected
    assert all(".temporal_block.calibration." in name for name in missing)
    for mode in (True, False):
        plain.train(mode), adaptive.train(mode)
        # to rounding: the plain one has QuickGELU's factors inside its weights
        torch.testing.assert_close(adaptive(clips()).video, plain(clips()).video, rtol=1e-5, atol=1e-5)


def test_an_adaptive_dist_leaves_its_start() -> None:
    model = dist(temporal_encoder="tada")
    model(clips()).video.square().sum().backward()
    routes = [weight for name, weight in model.named_parameters() if name.endswith("expand.weight")]
    assert len(routes) == 3
    assert all(weight.grad is not None and weight.grad.abs().max() > 0 for weight in routes)


SWITCHES = (
    {"temporal_encoder": "none"},
    {"exchange_to_temporal": False},
    {"exchange_to_integration": False},
    {"temporal_encoder": "tada"},
)


@pytest.mark.parametrize("switch", SWITCHES, ids=lambda switch: " ".join(map(str, *switch.items())))
def test_every_weight_of_an_ablation_is_trained(switch: dict[str, object]) -> None:
    model = dist(**switch)
    model(clips()).video.square().sum().backward()
    assert [
        name for name, weight in model.named_parameters() if weight.requires_grad and weight.grad is None
    ] == []


def test_what_an_ablation_takes_away() -> None:
    names = {name for name, _ in dist().branch.named_parameters()}
    none = {name for name, _ in dist(temporal_encoder="none").branch.named_parameters()}
    temporal = ("stem.", "temporal_block.", "to_temporal.", "to_integration.")
    assert names - none == {name for name in names if any(part in name for part in temporal)}
    one_way = {name for name, _ in dist(exchange_to_temporal=False).branch.named_parameters()}
    assert names - one_way == {name for name in names if ".to_temporal." in name}
    late = {name for name, _ in dist(exchange_to_integration=False).branch.named_parameters()}
    assert {name.split(".")[1] for name in late if ".to_integration." in name} == {"2"}


def test_without_a_temporal_encoder_dense_frames_do_not_count() -> None:
    model, video = dist(temporal_encoder="none").eval(), clips()
    other = video.clone()
    other[:, :, 1::2] = 0
    assert torch.equal(model(video).video, model(other).video)
    assert not torch.equal(dist().eval()(video).video, dist().eval()(other).video)


def test_recomputed_activations_move_the_averages_once() -> None:
    plain, recomputing = dist(temporal_encoder="tada").train(), dist(temporal_encoder="tada").train()
    recompute_activations(recomputing)
    for model in (plain, recomputing):
        model(clips()).video.square().sum().backward()
    for (name, ours), theirs in zip(recomputing.named_buffers(), plain.buffers(), strict=True):
        assert torch.equal(ours, theirs), name


def _calibrated(x: Tensor, calibration: TemporalCalibration) -> list[Tensor]:
    """The result, all averages, and the gradients of a weighted sum."""
    result = calibration(x)
    weights = torch.arange(result[0].numel()).remainder(5).view(result[0].shape)
    (result * weights).mean(dim=0).sum().backward()
    gradients = [weight.grad for weight in calibration.parameters() if weight.grad is not None]
    return [result.detach(), *calibration.buffers(), *gradients]


def _moved_calibration() -> TemporalCalibration:
    torch.manual_seed(0)
    calibration = TemporalCalibration(8)
    with torch.no_grad():
        for weight in calibration.parameters():
            weight.add_(0.3 * torch.randn(weight.shape))
    return calibration


def _calibrate_in_process(process: int, world: int, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    x = torch.randn(4, 3, 5, 8, generator=torch.Generator().manual_seed(2))
    expected, *others = _calibrated(x, _moved_calibration())
    os.environ.update(
        RANK=str(process), WORLD_SIZE=str(world), LOCAL_RANK=str(process),
        MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port),
    )  # fmt: skip
    distributed.initialise("cpu", 60)
    own = slice(process * 2, process * 2 + 2)
    found, *rest = _calibrated(x[own], _moved_calibration())
    torch.testing.assert_close(found, expected[own])
    for number, (ours, theirs) in enumerate(zip(rest, others, strict=True)):
        if number >= 3:  # behind the averages: gradients, of which a run takes the mean
            ours = distributed.all_reduce_sum(ours.clone()) / world
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
    distributed.shutdown()
    Path(folder, f"passed{process}").touch()


def test_several_processes_normalise_over_the_clips_of_all(tmp_path: Path) -> None:
    multiprocessing.start_processes(
        _calibrate_in_process, args=(2, free_port(), str(tmp_path)), nprocs=2, start_method="fork"
    )
    assert len(list(tmp_path.glob("passed*"))) == 2
