"""A run whose frozen tower is kept in 8 bits: what it stores, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runs.config import load_run_config
from tests.runs.conftest import Pairs
from tests.runs.tiny_runs import start_run, words
from utils.config import ConfigError


def test_the_weights_a_run_tells_of_are_those_it_was_given(pairs_of: Pairs) -> None:
    facts = {}
    for kind in ("fp32", "int8"):
        pairs = pairs_of(kind, VIDEO__BACKBONE__FROZEN_PRECISION=kind, OPTIMIZER__MAX_EPOCH="1")
        run = start_run(pairs)
        assert run.codes() == [0], run.text()
        facts[kind] = json.loads(Path(pairs["OUTPUT_DIR"], "summary.json").read_text())["weights"]
    assert facts["int8"]["frozen_sha256"] == facts["fp32"]["frozen_sha256"]
    assert facts["int8"]["trained_sha256"] != facts["fp32"]["trained_sha256"]


@pytest.mark.parametrize("model", ["aim", "st_adapter"])
def test_models_inside_the_tower_refuse(pairs_of: Pairs, model: str) -> None:
    pairs = pairs_of(MODEL__NAME=model, VIDEO__BACKBONE__FROZEN_PRECISION="int8", VIDEO__HEAD__NAME="linear")
    with pytest.raises(ConfigError, match="FROZEN_PRECISION"):
        load_run_config(None, words(pairs))
