"""Runs that keep frozen features: the cache changes the speed, not the training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from models.tiny_architectures import TINY_ARCHITECTURES
from runs.config import load_run_config
from tests.runs.conftest import Pairs
from tests.runs.tiny_runs import STEPS, start_run, words
from utils.checkpoint import read_checkpoint
from utils.config import ConfigError

CACHED = {
    "TRAIN__FEATURE_CACHE_VIEWS": "2",
    "AUGMENTATION__MIXUP__ENABLE": "false",
    "AUGMENTATION__CUTMIX__ENABLE": "false",
}


def weights(pairs: dict[str, str]) -> dict[str, torch.Tensor]:
    return read_checkpoint(Path(pairs["OUTPUT_DIR"], "checkpoints", f"step_{STEPS:09d}.pt"))["weights"]


def test_a_full_cache_and_several_processes_train_the_same(pairs_of: Pairs, tmp_path: Path) -> None:
    found = []
    for name, processes in (("filling", 1), ("reading", 1), ("two", 2)):
        pairs = pairs_of(name, **CACHED, TRAIN__FEATURE_CACHE_DIR=str(tmp_path / "cache"))
        run = start_run(pairs, processes)
        assert set(run.codes()) == {0}, run.text()
        assert "GB when full" in run.text()
        assert (": 0 of 40 clips are there" in run.text()) == (name == "filling")
        found.append(weights(pairs))
    filling, reading, two = found
    for name, tensor in filling.items():
        assert torch.equal(reading[name], tensor), name
        torch.testing.assert_close(two[name], tensor, rtol=1e-5, atol=1e-6)


def test_stan_reads_what_it_left(pairs_of: Pairs, tmp_path: Path) -> None:
    found = []
    for name in ("filling", "reading"):
        pairs = pairs_of(
            name,
            **CACHED,
            MODEL__NAME="stan",
            VIDEO__BACKBONE__STAN__DEPTH="2",
            TRAIN__FEATURE_CACHE_DIR=str(tmp_path / "cache"),
        )
        run = start_run(pairs)
        assert run.codes() == [0], run.text()
        assert (": 0 of 40 clips are there" in run.text()) == (name == "filling")
        found.append(weights(pairs))
    for name, tensor in found[0].items():
        assert torch.equal(found[1][name], tensor), name


def changed_activation(folder: Path) -> str:
    """The file of tiny-test's description with the other activation."""
    path = folder / "with_gelu.json"
    path.write_text(json.dumps(TINY_ARCHITECTURES["tiny-test"] | {"quick_gelu": False}))
    return str(path)


@pytest.mark.parametrize(
    ("key", "first", "then"),
    [
        ("RANDOM_SEED", "0", "1"),
        ("VIDEO.BACKBONE.DIST.SELECTED_LAYERS", "[0]", "[1]"),
        ("VIDEO.BACKBONE.META_ARCH_NAME", "tiny-test", ""),
    ],
)
def test_features_of_something_else_are_not_taken(
    pairs_of: Pairs, tmp_path: Path, key: str, first: str, then: str
) -> None:
    for name, value in (("first", first), ("then", then or changed_activation(tmp_path))):
        pairs = pairs_of(name, **CACHED, OPTIMIZER__MAX_EPOCH="1", TEST__ENABLE="false") | {key: value}
        pairs["TRAIN.FEATURE_CACHE_DIR"] = str(tmp_path / "cache")
        run = start_run(pairs)
        assert run.codes() == [0], run.text()
        assert ": 0 of 40 clips are there" in run.text()
    assert "made under other settings" in run.text()


@pytest.mark.parametrize(
    "changes",
    [
        {"AUGMENTATION__MIXUP__ENABLE": "true"},
        {"MODEL__NAME": "aim", "VIDEO__HEAD__NAME": "linear"},
        {"AUGMENTATION__BATCH_AUG__ENABLE": "true"},
    ],
)
def test_what_changes_the_frames_refuses(pairs_of: Pairs, changes: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="FEATURE_CACHE_VIEWS"):
        load_run_config(None, words(pairs_of(**{**CACHED, **changes})))
