"""`benchmark.py data`: every variant runs, and the ratios are the right way round."""

from __future__ import annotations

from pathlib import Path

import pytest

from runs.benchmarks.data import VARIANTS, pack, report
from runs.benchmarks.data_variants import _VARIANTS, Setting, run_variant
from tests.datasets.decoding.numbered import write_numbered_video


@pytest.mark.parametrize("variant", [name for name in VARIANTS if "decord" not in name])
def test_every_variant_yields_clips(variant: str, tmp_path: Path) -> None:
    write_numbered_video(tmp_path / "a.mp4", 20)
    paths = [str(tmp_path / "a.mp4")]
    setting = Setting(tuple(paths), tuple(pack(paths, str(tmp_path))), 4, 0, 8, "auto")
    assert run_variant(variant, setting) > 0


def test_the_names_are_those_of_the_variants() -> None:
    assert tuple(_VARIANTS) == VARIANTS


def test_ratios_say_what_was_wanted() -> None:
    text = report(2, {"decode only": 10.0, "pipeline": 9.0, "naive": 4.5, "packed": 45.0})
    assert "pipeline / decode only (time): 1.11 (wanted: at most 1.2)" in text
    assert "pipeline / naive (rate): 2.00 (wanted: at least 1.3)" in text
    assert "packed / pipeline (rate): 5.00 (wanted: at least 5.0)" in text
    assert "| pipeline | 9.0 | 111.1 |" in text
