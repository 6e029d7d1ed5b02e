"""runs/demonstration/other_encoder.py: a run counts only for the frozen weights that it was trained on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from models.clip import build_clip
from models.clip_weights import without_text_prefix
from runs.config import RunConfig, load_run_config
from runs.demonstration.other_encoder import set_aside_run_of_other_encoder
from tests.runs.tiny_runs import start_run, tiny_pairs, words, write_videos

ENCODER = "encoder.pt"


def write_encoder(folder: Path, seed: int) -> None:
    torch.manual_seed(seed)
    torch.save(without_text_prefix(build_clip("tiny-test").state_dict()), folder / ENCODER)


@pytest.fixture
def finished(tmp_path: Path) -> RunConfig:
    """The configuration of a run that is complete."""
    write_encoder(tmp_path, seed=0)
    write_videos(tmp_path)
    pairs = tiny_pairs(tmp_path, tmp_path / "run")
    pairs |= {"DATA.ANNO_DIR": str(tmp_path), "OPTIMIZER.MAX_EPOCH": "1", "OPTIMIZER.WARMUP_EPOCHS": "0"}
    pairs["VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH"] = str(tmp_path / ENCODER)
    run = start_run(pairs)
    assert run.codes() == [0], run.text()
    return load_run_config(None, words(pairs))


def test_a_run_stays_while_its_encoder_does(finished: RunConfig) -> None:
    assert set_aside_run_of_other_encoder(finished) is None
    assert Path(finished.output_dir).exists()


def test_a_run_on_other_frozen_weights_is_set_aside(finished: RunConfig, tmp_path: Path) -> None:
    root = Path(finished.output_dir)
    sha256 = json.loads((root / "summary.json").read_text())["weights"]["frozen_sha256"]
    write_encoder(tmp_path, seed=1)
    told = set_aside_run_of_other_encoder(finished)
    assert told is not None and "trained again" in told and sha256[:12] in told
    assert not root.exists()
    assert (tmp_path / f"run-on-{sha256[:12]}" / "summary.json").exists()
    assert set_aside_run_of_other_encoder(finished) is None  # nothing is there any more
