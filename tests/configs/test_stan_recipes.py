"""STAN's recipes are those of its release: rates, schedules, batches, frames."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from datasets.transforms.crop import random_resized_crop_box
from runs.build import build_schedule
from runs.config import RunConfig, load_run_config

TEXTS = ("didemo", "lsmdc", "msrvtt")
STAN = Path(__file__).resolve().parents[2] / "configs" / "projects" / "stan"

# recipe -> frames (training, test), tokens, epochs, weight decay, temperature, batch, rates (CLIP, branch)
PUBLISHED = {
    "msrvtt/b32-12f": (12, 12, 32, 10, 0.05, 0.01, 128, 2e-6, 2e-5),
    "msrvtt/b16-12f": (12, 12, 32, 10, 0.05, 0.02, 64, 2e-6, 2e-5),
    "didemo/b32-64f": (64, 64, 77, 20, 0.01, 0.05, 64, 2e-6, 2e-5),
    "lsmdc/b32-12f": (12, 12, 32, 100, 0.2, 0.01, 128, 1e-6, 1e-5),
    "msrvtt/mug-b32-12f": (12, 32, 32, 100, 0.02, 0.01, 128, 2e-6, 2e-5),
    "msrvtt/mug-b16-12f": (12, 32, 32, 100, 0.2, 0.02, 64, 1e-6, 1e-5),
    "didemo/mug-b32-64f": (64, 64, 77, 20, 0.01, 0.05, 64, 2e-6, 2e-5),
    "lsmdc/mug-b32-12f": (12, 12, 32, 100, 0.1, 0.03, 128, 2e-6, 1e-5),
}


def rate_at(config: RunConfig, epoch: float) -> float:
    return build_schedule(config.optimizer, config.train.batch_size).at(epoch)


@pytest.mark.parametrize("recipe", PUBLISHED)
def test_a_recipe_is_the_published_one(recipe: str) -> None:
    config = load_run_config(STAN / f"{recipe}.yaml")
    data, optimizer, retrieval = config.data, config.optimizer, config.retrieval
    frames, test_frames, tokens, epochs, decay, temperature, batch, rate, branch_rate = PUBLISHED[recipe]
    assert (data.num_input_frames, data.test_frames) == (frames, test_frames)
    assert (retrieval.max_tokens, retrieval.temperature) == (tokens, temperature)
    assert (optimizer.max_epoch, config.train.batch_size, optimizer.betas) == (epochs, batch, (0.9, 0.98))
    assert (optimizer.weight_decay, optimizer.new_net_weight_decay) == (decay, decay)
    assert optimizer.base_lr == rate
    assert optimizer.base_lr * optimizer.new_net_lrmult == pytest.approx(branch_rate)
    assert config.train.clip_grad_norm == 5
    assert retrieval.alignment == ("mug" if "mug" in recipe else "pooled")
    assert retrieval.captions == "all"  # epochs are counted in pairs: 180,000 of MSR-VTT
    assert not (config.video.backbone.freeze_text or config.video.backbone.freeze_visual)
    assert (config.video.backbone.stan.depth, config.video.backbone.stan.drop_path) == (4, 0.1)
    assert (data.sampling_mode, data.num_sparse_frames) == ("segment_offset", frames)


@pytest.mark.parametrize("path", sorted(path for path in STAN.rglob("*.yaml") if path.parent.name in TEXTS))
def test_published_crops(path: Path) -> None:
    config = load_run_config(path)
    area, ratio = config.data.train_jitter_scales, config.augmentation.ratio
    assert (area, ratio, config.augmentation.flip_prob) == ((0.08, 1.0), (0.75, 1.3333), 0)
    generator = torch.Generator().manual_seed(0)
    for height, width in ((240, 320), (1080, 1920), (256, 256)):
        boxes = [random_resized_crop_box(height, width, area, ratio, generator) for _ in range(100)]
        assert len(set(boxes)) > 95  # not the centre, which is what stands in for boxes that do not fit
    assert config.data.test_scale == (256 if path.parent.name == "didemo" else 224)


def test_published_courses_of_the_rate() -> None:
    msrvtt = load_run_config(STAN / "msrvtt/b32-12f.yaml")
    assert [rate_at(msrvtt, e) for e in (0, 5, 10)] == pytest.approx([1e-7, 1.05e-6, 2e-6])
    didemo = load_run_config(STAN / "didemo/b32-64f.yaml")
    assert [rate_at(didemo, e) for e in (4, 12.5)] == pytest.approx([2e-6, 1e-6])
    assert 0 < rate_at(didemo, 20) < 2e-8
    lsmdc = load_run_config(STAN / "lsmdc/b32-12f.yaml")
    assert [rate_at(lsmdc, e) for e in (0, 10, 14.5, 19)] == pytest.approx([5e-8, 1e-6, 0, 1e-6], abs=1e-12)
    mug = load_run_config(STAN / "lsmdc/mug-b32-12f.yaml")
    rates = [rate_at(mug, e) for e in (0, 5, 7, 10, 14.5, 100)]
    assert rates == pytest.approx([1e-7, 2e-6, 2e-6, 2e-6, 0, 2e-6], abs=1e-12)


@pytest.mark.parametrize("path", sorted(STAN.rglob("*-cosine.yaml")), ids=lambda path: path.stem)
def test_plain_variants_differ_in_nothing_but_the_schedule(path: Path) -> None:
    plain = load_run_config(path)
    published = load_run_config(path.with_name(path.name.replace("-cosine", "")))
    assert (plain.data, plain.retrieval, plain.video, plain.train) == (
        published.data,
        published.retrieval,
        published.video,
        published.train,
    )
    assert plain.optimizer.lr_policy == "cosine"
    assert rate_at(plain, plain.optimizer.max_epoch) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("path", "depth"), [("k400/b16-8f", 4), ("ssv2/b16-16f", 6), ("ssv2/b16-8f-conv", 6)]
)
def test_recognition(path: str, depth: int) -> None:
    config = load_run_config(STAN / f"{path}.yaml")
    stan = config.video.backbone.stan
    assert (stan.depth, stan.time_module) == (depth, "conv" if "conv" in path else "selfattn")
    assert (config.task_type, config.video.head.name) == ("classification", "linear")
    assert config.video.backbone.freeze_text and not config.video.backbone.freeze_visual
