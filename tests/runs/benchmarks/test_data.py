"""`benchmark.py data`: every variant runs, and the ratios are the right way round."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from datasets.decoding import VideoReadError
from runs.benchmarks.data import VARIANTS, check_videos, pack, report
from runs.benchmarks.data_variants import _VARIANTS, Setting, run_variant
from tests.datasets.decoding.numbered import write_numbered_video


@pytest.mark.parametrize("variant", [name for name in VARIANTS if "decord" not in name])
def test_every_variant_yields_clips(variant: str, tmp_path: Path) -> None:
    write_numbered_video(tmp_path / "a.mp4", 20)
    paths = [str(tmp_path / "a.mp4")]
    setting = Setting(tuple(paths), tuple(pack(paths, str(tmp_path))), 4, 0, 8, "auto")
    assert run_variant(variant, setting) > 0


def test_a_video_with_a_damaged_middle_is_told_before_anything_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_numbered_video(path, 40, options={"g": "40", "bf": "0", "qp": "1"})
    with av.open(str(path)) as container:
        broken = list(container.demux(video=0))[20]
        assert broken.pos is not None
    content = bytearray(path.read_bytes())
    content[broken.pos : broken.pos + broken.size] = b"\xff" * broken.size
    path.write_bytes(content)
    with pytest.raises(VideoReadError, match=r"a\.mp4"):
        check_videos([str(path)], "auto")


def test_the_names_are_those_of_the_variants() -> None:
    assert tuple(_VARIANTS) == VARIANTS


def test_ratios_say_what_was_wanted() -> None:
    text = report(2, {"decode only": 10.0, "pipeline": 9.0, "naive": 4.5, "packed": 45.0})
    assert "pipeline / decode only (time): 1.11 (wanted: at most 1.2)" in text
    assert "pipeline / naive (rate): 2.00 (wanted: at least 1.3)" in text
    assert "packed / pipeline (rate): 5.00 (wanted: at least 5.0)" in text
    assert "| pipeline | 9.0 | 111.1 |" in text
