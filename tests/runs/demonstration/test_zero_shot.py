"""The zero-shot demonstration runs from a relative folder to its table and plot, and again without work."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets.moving_shapes.held_out import APPEARANCES
from datasets.moving_shapes.scene import MOTION_NAMES
from runs.demonstration.config import QUICK
from runs.demonstration.zero_shot import TEMPLATES, demonstrate


def test_table_and_plot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert demonstrate(QUICK, Path("output")) == 0
    result = Path("output/zero_shot/result.md").read_text()
    assert "| frozen CLIP |" in result and "| model |" in result
    assert Path("output/zero_shot/fusion.png").stat().st_size > 0
    assert demonstrate(QUICK, Path("output")) == 0


def test_prompts_are_worded_as_the_captions_are() -> None:
    captions = {f"{appearance} {motion}" for appearance in APPEARANCES for motion in MOTION_NAMES}
    assert {text.format(motion) for text in TEMPLATES["motion"] for motion in MOTION_NAMES} == captions
    asked = {text.format(appearance) for text in TEMPLATES["appearance"] for appearance in APPEARANCES}
    assert asked == captions | set(APPEARANCES)
