"""The recipes of the compared methods are their published ones, and build what was published."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datasets.config import CLIP_MEAN, CLIP_STD
from datasets.sampling import sample_generator
from datasets.transforms.rand_augment import RandAugment
from runs.build import build_schedule, group_settings
from runs.build_data import build_sampling
from runs.config import RunConfig, load_run_config
from utils.optim import parameter_groups

BASELINES = Path(__file__).resolve().parents[2] / "configs" / "projects" / "baselines"
RECIPES = sorted(BASELINES.rglob("*.yaml"))
MODELS = {
    "st-adapter": "st_adapter",
    "aim": "aim",
    "evl": "evl",
    "xclip": "xclip",
    "clip-zero-shot": "clip",
    "clip-linear-probe": "clip",
    "vifi-clip": "clip",
}
PUBLISHED = {
    # rate of new weights, their decay, global batch, epochs, warm-up
    "st-adapter k400": (7.5e-4, 0.01, 192, 12, 2),
    "st-adapter ssv2": (1e-3, 0.01, 256, 50, 2),
    "aim k400": (3e-4, 0.05, 64, 30, 2.5),
    "aim ssv2": (3e-4, 0.05, 64, 50, 2.5),
    "evl k400": (4e-4, 0.05, 256, 53, 0),
    "evl ssv2": (4e-4, 0.05, 256, 46, 0),
    "xclip k400": (8e-5, 1e-3, 256, 30, 5),
}


def name_of(path: Path) -> str:
    return f"{path.parts[-2]}/{path.stem}"


def method_of(path: Path) -> str:
    return next(method for method in sorted(MODELS, key=len, reverse=True) if path.stem.startswith(method))


@pytest.mark.parametrize("path", RECIPES, ids=name_of)
def test_a_recipe_is_what_its_name_says(path: Path) -> None:
    config = load_run_config(path)
    found = re.search(r"-vit-(b16|l14)(-336px)?-(\d+)f", path.stem)
    assert found
    size = {"b16": "ViT-B-16", "l14": "ViT-L-14"}[found[1]] + ("-336" if found[2] else "")
    assert config.video.backbone.meta_arch_name == size
    assert config.model.name == MODELS[method_of(path)]
    assert (config.data.num_input_frames, config.data.sparse_sample_alpha) == (int(found[3]), 1)
    assert config.train.dataset == path.parts[-2]
    assert config.video.head.classes_per_head == ((400,) if path.parts[-2] == "k400" else (174,))
    if config.data.sampling_mode == "interval_based":
        strides = {8: 16, 16: 16, 32: 8} if config.model.name == "evl" else {8: 16, 16: 8, 32: 4}
        assert config.data.sampling_rate == strides[config.data.num_input_frames]
        for fps in (30.0, 29.97, 25.0, 24.0, 15.0):
            clips = build_sampling(config).test_clips(300, fps, config.test.num_ensemble_views)
            generators = [sample_generator(0, 0, index) for index in range(5)]
            drawn = build_sampling(config, training=True).training_clips(300, fps, generators)
            assert set(np.diff(np.concatenate([clips, drawn])).flat) == {config.data.sampling_rate}
    if path.parts[-2] == "ssv2":
        assert config.augmentation.flip_prob == (0.5 if "zero-shot" in path.stem else 0)
    assert config.data.interpolation == ("bicubic" if config.model.name == "st_adapter" else "bilinear")
    imagenet = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    as_imagenet = method_of(path) in ("xclip", "vifi-clip")
    assert (config.data.mean, config.data.std) == (imagenet if as_imagenet else (CLIP_MEAN, CLIP_STD))
    if path.stem == "vifi-clip-vit-b16-32f-zero-shot":  # one view, as its release shows it
        assert (config.data.test_scale, config.data.test_crop_size) == (256, 224)
    else:
        assert config.data.test_scale == config.data.test_crop_size
    if config.model.name == "evl":  # the release has an option for mirroring, which it never applies
        assert config.augmentation.flip_prob == 0


@pytest.mark.parametrize("setting", PUBLISHED)
def test_a_recipe_trains_as_published(setting: str) -> None:
    method, dataset = setting.split()
    paths = [
        path for path in RECIPES if path.parts[-2] == dataset and path.stem.startswith(f"{method}-vit-b16")
    ]
    assert paths
    for path in paths:
        config = load_run_config(path)
        optimizer = config.optimizer
        rate, *others = PUBLISHED[setting]
        assert config.video.backbone.aim.tower_rate_share == 1
        begins_late = optimizer.lr_policy == "cosine_from_peak"
        assert begins_late == (method == "st-adapter")
        schedule = build_schedule(optimizer, config.train.batch_size)
        first = 0.1 * rate if method == "aim" else 0.0
        started = schedule.at(0) * optimizer.new_net_lrmult
        assert method == "evl" or started == pytest.approx(first, abs=1e-6)  # EVL has no warm-up
        assert schedule.base_lr * optimizer.new_net_lrmult == pytest.approx(rate)
        assert optimizer.adjust_lr == (method == "st-adapter")  # its release scales with the batch
        assert others == [
            optimizer.new_net_weight_decay,
            config.train.batch_size,
            optimizer.max_epoch,
            optimizer.warmup_epochs,
        ]
        whole_video = method == "evl" and config.data.num_input_frames > 8
        expected = (4, 3) if method == "xclip" else (1, 3) if dataset == "ssv2" or whole_video else (3, 1)
        assert (config.test.num_ensemble_views, config.test.num_spatial_crops) == expected
        linear = method != "xclip"
        assert config.video.head.name == ("linear" if linear else "text")
        assert config.video.head.dropout_rate == (0.5 if linear else 0)


@pytest.mark.parametrize("path", sorted(BASELINES.rglob("aim-vit-l14-*.yaml")), ids=name_of)
def test_aim_trains_the_adapters_of_a_large_clip_at_a_tenth_of_the_rate(path: Path) -> None:
    from models.aim import Aim
    from models.heads import LinearHead, Recognizer
    from tests.models.peers import tiny_clip

    config = load_run_config(path)
    clip = tiny_clip({"width": 64, "layers": 2, "patch": 16, "res": 32})
    model = Aim(clip, config.video.backbone.aim, frames=4)
    network: Any = Recognizer(model, [LinearHead(model.video_width, 5)])
    groups = parameter_groups(network, group_settings(network, config.optimizer))
    rates = {name: config.optimizer.base_lr * g["lr_multiplier"] for g in groups for name in g["names"]}
    assert rates.pop("heads.0.fc.weight") == rates.pop("heads.0.fc.bias") == pytest.approx(3e-4)
    assert {"model.positions", "model.clip.visual.ln_post.weight"} < rates.keys()
    assert list(rates.values()) == pytest.approx([3e-5] * len(rates))


AUGMENTED = {
    # magnitude on a scale to 30, operations, probability, on the whole frame
    "st-adapter ssv2": (21, 4, 0.5, True),
    "aim ssv2": (7, 4, 1.0, False),
    "evl k400": (21, 4, 0.5, True),
    "evl ssv2": (21, 4, 0.5, True),
}


@pytest.mark.parametrize("path", RECIPES, ids=name_of)
def test_a_recipe_augments_as_published(path: Path) -> None:
    augmentation = load_run_config(path).augmentation
    auto, erasing = augmentation.autoaugment, augmentation.random_erasing
    setting = f"{method_of(path)} {path.parts[-2]}"
    assert auto.enable == (setting in AUGMENTED)
    if auto.enable:
        drawn = RandAugment.from_description(auto.type)
        found = (round(3 * drawn.magnitude), drawn.num_operations, drawn.probability, auto.before_crop)
        assert found == AUGMENTED[setting]
    assert erasing.enable == (setting == "aim ssv2")
    if erasing.enable:
        assert (erasing.prob, erasing.mode) == (0.25, "const")


SIZES = {
    "k400/st-adapter-vit-b16-8f": 7_417_744,
    "ssv2/st-adapter-vit-b16-8f": 14_354_094,
    "k400/aim-vit-b16-8f": 10_966_672,
    "ssv2/aim-vit-b16-8f": 14_343_342,
    "k400/evl-vit-b16-8f": 33_183_376,
    "k400/xclip-vit-b16-8f": 131_501_056,
    "k400/vifi-clip-vit-b16-16f": 124_323_841,
    "k400/clip-zero-shot-vit-b16-8f": 0,
    "k400/clip-linear-probe-vit-b16-8f": 512 * 400 + 400,
}


def built_weights(config: RunConfig) -> int:
    """Trainable weights of what the recipe builds, on the meta device."""
    import torch

    from models.build import ClipShape, build_heads, build_video_model
    from models.clip import Clip, describe_architecture
    from models.heads import Recognizer, trainable_count

    with torch.device("meta"):
        architecture, _ = describe_architecture(config.video.backbone.meta_arch_name)
        shape = ClipShape(config.data.num_input_frames, config.data.sparse_sample_alpha)
        model = build_video_model(config.model, config.video, shape, clip=Clip(architecture))
        (classes,) = config.video.head.classes_per_head or (0,)
        head = config.video.head
        names = [[str(number) for number in range(classes)]]
        heads = build_heads(head, model, names, ("{}",)) if head.name == "linear" else []
        return trainable_count(Recognizer(model, heads))


@pytest.mark.parametrize("name", SIZES)
def test_a_recipe_trains_as_many_weights_as_published(name: str) -> None:
    assert built_weights(load_run_config(BASELINES / f"{name}.yaml")) == SIZES[name]
