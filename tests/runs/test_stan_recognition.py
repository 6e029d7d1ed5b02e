"""STAN and CLIP4Clip recognise classes through the same loop that trains DiST."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.runs.conftest import Pairs
from tests.runs.tiny_runs import start_run

TUNED = {
    "VIDEO__BACKBONE__FREEZE_VISUAL": "false",
    "DATA__SPARSE_SAMPLE_ALPHA": "1",
    "OPTIMIZER__MAX_EPOCH": "1",
}
STAN = TUNED | {"MODEL__NAME": "stan", "VIDEO__BACKBONE__STAN__DEPTH": "2"}


@pytest.mark.parametrize(
    ("changes", "processes"),
    [
        (STAN | {"VIDEO__HEAD__NAME": "linear"}, 2),
        (STAN | {"VIDEO__BACKBONE__FREEZE_TEXT": "false", "TRAIN__ACTIVATION_CHECKPOINTING": "true"}, 1),
        (TUNED | {"MODEL__NAME": "clip4clip", "VIDEO__BACKBONE__CLIP4CLIP__POOLING": "mean"}, 1),
    ],
    ids=["stan-linear", "stan-text", "clip4clip-text"],
)
def test_recognition(pairs_of: Pairs, changes: dict[str, str], processes: int) -> None:
    pairs = pairs_of(**changes)
    run = start_run(pairs, processes)
    assert set(run.codes()) == {0}, run.text()
    scores = json.loads(Path(pairs["OUTPUT_DIR"], "summary.json").read_text())["test"]["scores"]
    assert scores["videos"] == 7 and 0 <= scores["top1"] <= 100
