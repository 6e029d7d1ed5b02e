"""Every method's forward pass, and our own backward functions, for a GPU in all precisions: devices, types,
shapes. There are no numbers in it; those are compared on a CPU.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from datasets.mixing import ClipMixer, MixSettings
from models.frozen_tower import keep_frozen_tower_in
from models.heads import LinearHead, Recognizer
from models.interface import VideoModel
from models.losses import soft_cross_entropy
from runs.config import load_run_config
from runs.inference.loading import untrained_model
from tests.pretended_gpu import DEVICE, OWN_FUNCTIONS, PretendedGpu, in_a_process_of_its_own
from tests.runs.test_every_method import METHODS
from tests.runs.tiny_runs import tiny_pairs, words
from utils.optim import build_adamw, clip_gradients
from utils.precision import resolve_precision

PRECISIONS = ("fp32", "bf16", "fp16")


def untrained(name: str) -> tuple[VideoModel, nn.Module]:
    """A method, and what a run trains of it."""
    pairs = tiny_pairs(Path("videos"), Path("run")) | {"MODEL.NAME": name, **METHODS[name]}
    config = load_run_config(None, words(pairs))
    model = untrained_model(config, torch.device("cpu")).model
    if config.video.head.name != "linear":
        return model, model
    return model, Recognizer(model, [LinearHead(model.video_width, 3)])


def clips_for(model: VideoModel) -> torch.Tensor:
    size = model.clip.architecture.image_size
    return torch.empty(2, 3, 4, size, size, device=DEVICE)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", METHODS)
@in_a_process_of_its_own
def test_a_method_keeps_to_the_gpu_and_to_its_types(name: str, precision: str) -> None:
    model, network = untrained(name)
    gpu = PretendedGpu()
    gpu.take(network)
    with gpu.running():
        clips = clips_for(model)
        with resolve_precision(precision, DEVICE).autocast():
            network.train()(clips)
            with torch.no_grad():
                network.eval()(clips)
    expected = {"dist": {function.__name__ for function in OWN_FUNCTIONS}, "linear probe": set()}
    if name in expected:
        assert gpu.called == expected[name]


@pytest.mark.parametrize("precision", PRECISIONS)
@in_a_process_of_its_own
def test_frozen_weights_in_half_precision_keep_to_the_gpu(precision: str) -> None:
    model, network = untrained("dist")
    gpu, tower = PretendedGpu(), model.clip.visual
    with gpu.running():
        resolved = resolve_precision(precision, DEVICE)
    keep_frozen_tower_in(tower, "half", resolved.half)
    waiting = tower.transformer.resblocks  # the originals stay in the host's memory
    tower.transformer.resblocks = nn.ModuleList()
    gpu.take(network)
    tower.transformer.resblocks = waiting
    for stand_in in tower.stand_ins:
        gpu.take(vars(stand_in)["copy"])
    with gpu.running(), resolved.autocast():
        network.train()(clips_for(model))


@in_a_process_of_its_own
def test_mixing_loss_and_update_keep_to_the_gpu() -> None:
    gpu, network = PretendedGpu(), nn.Linear(4, 5)
    gpu.take(network)
    with gpu.running():
        clips, labels = torch.empty(4, 3, 2, 8, 8, device=DEVICE), torch.zeros(4, 1, device=DEVICE)
        for mode in ("batch", "pair", "elem"):
            mixer = ClipMixer(MixSettings(group_size=4, mode=mode), (5,), label_smoothing=0.1)
            mixed, (soft,) = mixer(clips, labels.long(), step=3)
            assert mixed.device == soft.device == DEVICE
            loss = soft_cross_entropy(network(mixed.flatten(1)[:, :4]), soft)
            assert loss.device == DEVICE and loss.dtype == torch.float32

        optimizer = build_adamw([{"params": list(network.parameters()), "lr_multiplier": 1.0}])
        for weight in network.parameters():
            weight.grad = torch.empty_like(weight)
        assert clip_gradients(optimizer, 1.0).device == DEVICE
        optimizer.step()
        assert all(value.device == DEVICE for value in optimizer.state[network.weight].values())
