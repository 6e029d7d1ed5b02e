"""What is told of weights that are used otherwise than they were trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from models.weight_files import WeightFile
from runs.config import load_run_config
from runs.trained_with import tell_glued_prefix, tell_other_clips
from utils.config import to_dict


def test_no_frame_rate_is_told_as_it_is_written(caplog: pytest.LogCaptureFixture) -> None:
    words = ["DATA.SAMPLING_MODE", "interval_based"]
    trained = to_dict(load_run_config(None, words))
    file = WeightFile(Path("a.pt"), {}, facts={"config": trained})
    tell_other_clips(file, load_run_config(None, [*words, "DATA.TARGET_FPS", "null"]))
    assert "trained with DATA.TARGET_FPS 30.0 and is used with DATA.TARGET_FPS null:" in caplog.text


@pytest.mark.parametrize("config", ["abc", {"DATA": None}, {"DATA": {"DATASET_LABEL_TEXT": None}}])
def test_configurations_of_others_are_passed_over(config: Any, caplog: pytest.LogCaptureFixture) -> None:
    own = load_run_config(None)
    tell_other_clips(WeightFile(Path("a.pt"), {}, facts={"config": config}), own)
    tell_glued_prefix(own, {"config": config}, "a.pt")
    assert not caplog.text
