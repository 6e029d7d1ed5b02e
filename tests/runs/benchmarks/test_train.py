"""The benchmark of training: exact counts, an honest report, and the real command at a tiny size."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from runs.benchmark import main
from runs.benchmarks import train
from runs.benchmarks.train import METHODS, PROJECTS, chosen_methods
from runs.benchmarks.training_report import Measurement, Settings, as_table, deviations
from runs.benchmarks.training_step import benchmark_network, multiply_adds
from runs.config import load_run_config
from utils.config import ConfigError

ONE = Measurement(
    label="DiST",
    device="cpu",
    precision="fp32",
    batch=2,
    frames=16,
    step_ms=4000.0,
    fastest_step_ms=3900.0,
    clips_per_second=0.5,
    peak_memory_gb=3.0,
    step_memory_gb=1.0,
    trainable_parameters=19_001_184,
    forward_gmacs=162.9,
    step_gmacs=205.0,
    encoder_ms=3000.0,
)


def test_every_method_is_compared_on_equal_terms() -> None:
    for method in METHODS:
        config = load_run_config(PROJECTS / method.recipe, method.pairs)
        assert config.data.num_input_frames // config.data.sparse_sample_alpha == 8, method.label
        assert config.video.head.classes_per_head == (174,), method.label
        assert config.video.backbone.meta_arch_name == "ViT-B-16"


def test_dist_costs_what_is_published() -> None:
    dist = chosen_methods(["dist"])[0]
    forward, step = multiply_adds(load_run_config(PROJECTS / dist.recipe))
    assert forward / 1e9 == pytest.approx(162.9, rel=0.02)
    # No gradient passes through the frozen encoder: 141 G once, the branch three times, less the gradients of
    # its inputs: tokens at 12 Linear layers, pixels at the stem.
    inputs = 12 * 8 * 197 * 768 * 384 + 16 * 196 * 768 * 96 * 5
    assert step / 1e9 == pytest.approx(141 + 3 * (forward / 1e9 - 141) - inputs / 1e9, rel=0.01)


def test_an_unknown_method_is_told_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"(?s)no method 'dst'.*DiST"):
        chosen_methods(["dst"])
    assert [method.label for method in chosen_methods(["EVL", "dist"])] == ["DiST", "EVL"]


def test_what_differs_from_the_published_order_is_said() -> None:
    evl = dataclasses.replace(ONE, label="EVL", step_memory_gb=2.0, step_ms=3000.0, step_gmacs=300.0)
    (sentence,) = deviations([evl, ONE])
    assert sentence.startswith("time: DiST (4000 ms/step) needs more than EVL (3000 ms/step)")
    assert "| DiST | 16 | 4000 | 0.50 | 3.00 GB | 1.00 GB | 19,001,184 | 162.9 | 205.0 | 75% |" in as_table(
        [ONE]
    )


def test_the_command_measures_and_reports(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # a process of its own takes seconds to import torch; the peaks it is for mean nothing here
    monkeypatch.setattr(train, "measured_apart", train._measure)
    sizes = {
        "VIDEO.BACKBONE.META_ARCH_NAME": "tiny-test",
        "VIDEO.BACKBONE.DIST.SELECTED_LAYERS": "null",
        "DATA.TRAIN_CROP_SIZE": "32",
        "DATA.TEST_CROP_SIZE": "32",
    }
    words = [word for key, value in sizes.items() for word in ("--set", key, value)]
    command = [
        "train",
        "--methods",
        "DiST",
        "--device",
        "cpu",
        "--threads",
        "1",
        "--steps",
        "2",
        "--warmup",
        "1",
    ]
    assert main([*command, "--output", str(tmp_path), *words]) == 0
    assert "| DiST | 16 |" in capsys.readouterr().out
    content = json.loads((tmp_path / "results.json").read_text())
    (found,) = content["measurements"]
    config = load_run_config(
        PROJECTS / chosen_methods(["DiST"])[0].recipe, [word for pair in sizes.items() for word in pair]
    )
    network = benchmark_network(config)
    assert found["trainable_parameters"] == sum(w.numel() for w in network.parameters() if w.requires_grad)
    assert found["peak_memory_gb"] > found["step_memory_gb"] >= 0
    assert 0 < found["encoder_share"] < 1
    assert content["settings"] == dataclasses.asdict(
        Settings(batch=2, steps=2, warmup=1, device="cpu", precision="auto", threads=1)
    ) | {"videos": []}
    assert (tmp_path / "results.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_peak_of_memory_is_the_methods_own() -> None:
    hog = bytearray(2_000_000_000)
    hog[::4096] = b"x" * len(hog[::4096])
    settings = Settings(batch=1, steps=1, warmup=0, device="cpu", precision="auto", threads=1)
    tiny = ("VIDEO.BACKBONE.META_ARCH_NAME", "tiny-test", "DATA.TRAIN_CROP_SIZE", "32")
    method = dataclasses.replace(chosen_methods(["AIM"])[0])
    found = train.measured_apart(dataclasses.replace(method, pairs=(*method.pairs, *tiny)), settings)
    assert found.peak_memory_gb < 2
