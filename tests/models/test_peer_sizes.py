"""The compared methods at ViT-B/16: trainable weights exactly as the releases have them, and their cost."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from models.build import ClipShape, build_heads, build_video_model
from models.clip import Clip, describe_architecture
from models.config import BackboneConfig, HeadConfig, ModelConfig, VideoConfig
from models.heads import Recognizer, TextHead, trainable_count
from models.interface import Role
from models.peer_config import AimConfig, EvlConfig, StAdapterConfig

FRAMES = 8


def published(name: str, classes: int, backbone: BackboneConfig | None = None) -> Recognizer:
    """A method at ViT-B/16 on the meta device, where a network takes no memory."""
    with torch.device("meta"):
        architecture, _ = describe_architecture("ViT-B-16")
        video = VideoConfig(backbone=backbone or BackboneConfig())
        model = build_video_model(
            ModelConfig(name=name), video, ClipShape(FRAMES, 1), clip=Clip(architecture)
        )
        if model.in_joint_space:
            return Recognizer(model, [TextHead(torch.empty(classes, model.embed_dim))])
        names = [[str(number) for number in range(classes)]]
        return Recognizer(model, build_heads(HeadConfig(name="linear"), model, names, ("{}",)))


ST_ADAPTER_TWICE = BackboneConfig(st_adapter=StAdapterConfig(adapters_per_block=2))
AIM_TWICE = BackboneConfig(aim=AimConfig(temporal_adapters=2))
TUNED = BackboneConfig(freeze_visual=False)
# X-CLIP projects the patches of 8 frames and then averages; averaging first saves 7 x 196 x 768 x 512 of it.
# EVL's attention is spread over all 27 x 27 offsets of the grid, not over 196 gathered vectors: more products
# and a third of the time, in each of 4 layers and 7 pairs of neighbours, both ways.
EVL_ON_4 = BackboneConfig(evl=EvlConfig(decoder_layers=4))
EVL_SPREAD = 4 * 7 * 2 * 196 * (27 * 27 - 196) * 768 / 1e9
CASES = {
    "ST-Adapter, K400": ("st_adapter", 400, None, 7_417_744, 151.6),
    "ST-Adapter, SSv2": ("st_adapter", 174, ST_ADAPTER_TWICE, 14_354_094, 162.7),
    "AIM, K400": ("aim", 400, None, 10_966_672, 202.1),
    "AIM, SSv2": ("aim", 174, AIM_TWICE, 14_343_342, 207.7),
    "EVL, K400": (
        "evl",
        400,
        BackboneConfig(evl=EvlConfig(decoder_layers=4)),
        33_183_376,
        151.3 + EVL_SPREAD,
    ),
    "X-CLIP, K400": ("xclip", 400, TUNED, 131_501_056, 144.2 - 0.54),
    "CLIP": ("clip", 400, None, 0, 140.5),
    "ViFi-CLIP": ("clip", 400, BackboneConfig(freeze_visual=False, freeze_text=False), 124_323_841, 140.5),
}
"""Method, classes, backbone -> trainable weights, billions of multiply-adds of one view."""


@pytest.mark.parametrize("case", CASES)
def test_trainable_weights_and_cost_are_the_published(case: str) -> None:
    name, classes, backbone, weights, cost = CASES[case]
    network = published(name, classes, backbone)
    assert trainable_count(network) == weights
    network.eval()
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 3, FRAMES, 224, 224, device="meta"))
    assert counter.get_total_flops() / 2e9 == pytest.approx(cost, rel=2e-3)


def test_the_whole_of_xclip_is_as_large_as_released() -> None:
    assert sum(parameter.numel() for parameter in published("xclip", 400, TUNED).parameters()) == 194_929_153


def test_weight_decay_follows_each_release() -> None:
    """Names of trained weights that do not decay."""
    spared = {}
    for name in ("st_adapter", "aim", "evl", "xclip"):
        network = published(name, 5, TUNED if name == "xclip" else None)
        spared[name] = {
            key.rsplit(".", 1)[-1] if "ln_" not in key else "norm"
            for key, parameter in network.named_parameters()
            if network.role(key) is not Role.FROZEN and not network.decays(key, parameter)
        }
    assert spared["st_adapter"] == {"bias"}
    assert spared["aim"] == {"norm"}
    assert spared["evl"] == set()
    assert {"positions", "positional_embedding", "bias", "alpha", "norm"} <= spared["xclip"]
