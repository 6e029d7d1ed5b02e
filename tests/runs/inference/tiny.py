"""A tiny DiST in the released layout, with a vocabulary that has a tokenizer, for tests of the commands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from datasets.moving_shapes.encoding import write_clip
from models.build import ClipShape, build_video_model
from models.clip import Clip, build_clip, describe_architecture
from models.clip_weights import without_text_prefix
from models.config import BackboneConfig, DistConfig, ModelConfig, VideoConfig
from models.conversion import to_dist_release
from models.interface import VideoModel
from runs.config import load_run_config
from runs.inference.classifier import VideoClassifier
from runs.inference.loading import untrained_model

FRAMES, ALPHA, SIDE = 8, 2, 32


def tiny_dist(seed: int = 0) -> VideoModel:
    """A DiST on a random CLIP of 32 px whose text tower reads real words."""
    torch.manual_seed(seed)
    clip = Clip(describe_architecture("tiny-test")[0])
    dist = DistConfig(integration_dim=64, temporal_dim=16, ada_pooling_layers=1, initialization="fan_in")
    backbone = BackboneConfig(meta_arch_name="tiny-test", pretrain_weight_path="", dist=dist)
    shape = ClipShape(FRAMES, ALPHA)
    return build_video_model(
        ModelConfig(name="dist"), VideoConfig(backbone=backbone), shape, clip=clip
    ).eval()


def write_release(path: Path, seed: int = 0) -> VideoModel:
    """Saves such a model as the release saves its checkpoints, and returns it."""
    model = tiny_dist(seed)
    torch.save({"model_state": to_dist_release(model.state_dict(), {}), "epoch": 35}, path)
    return model


def tuned_clip(folder: Path) -> VideoClassifier:
    """A CLIP that was tuned with its texts and its scale (ViFi-CLIP); the original is `folder`/clip.pt."""
    torch.manual_seed(0)
    torch.save(without_text_prefix(build_clip("tiny-test").state_dict()), folder / "clip.pt")
    settings = {
        "MODEL.NAME": "clip",
        "VIDEO.BACKBONE.META_ARCH_NAME": "tiny-test",
        "VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH": str(folder / "clip.pt"),
        "VIDEO.BACKBONE.FREEZE_VISUAL": "false",
        "VIDEO.BACKBONE.FREEZE_TEXT": "false",
        "DATA.NUM_INPUT_FRAMES": str(FRAMES),
        "DATA.TRAIN_CROP_SIZE": str(SIDE),
        "DATA.TEST_SCALE": str(SIDE),
        "DATA.TEST_CROP_SIZE": str(SIDE),
    }
    config = load_run_config(None, [word for pair in settings.items() for word in pair])
    tuned = untrained_model(config, torch.device("cpu"))
    with torch.no_grad():
        for weight in tuned.network.parameters():
            weight.add_(0.1 * torch.randn(weight.shape))
        tuned.model.clip.logit_scale.fill_(3.0)
    return tuned


def write_noise(path: Path, frames: int = 20, seed: int = 0, size: tuple[int, int] = (40, 48)) -> Path:
    """A small real video of smooth noise at 10 frames a second."""
    generator = np.random.default_rng(seed)
    base = generator.integers(0, 256, (frames, size[0] // 8, size[1] // 8, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_clip(path, base.repeat(8, axis=1).repeat(8, axis=2), fps=10, quantiser=10)
    return path
