"""Boxes of mp4 files: fragments and edit lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets.decoding.mp4 import Mp4Layout, read_layout
from tests.datasets.decoding.numbered import write_numbered_video


@pytest.mark.parametrize(
    ("muxing", "layout"),
    [
        ({}, Mp4Layout(False, (True,))),
        ({"movflags": "faststart"}, Mp4Layout(False, (True,))),
        ({"use_editlist": "0"}, Mp4Layout(False, (False,))),
        ({"movflags": "frag_keyframe"}, Mp4Layout(True, (False,))),
        ({"movflags": "frag_keyframe+empty_moov"}, Mp4Layout(True, (False,))),
        ({"movflags": "frag_keyframe+delay_moov"}, Mp4Layout(True, (True,))),
    ],
)
def test_layout_of_a_file(muxing: dict[str, str], layout: Mp4Layout, tmp_path: Path) -> None:
    write_numbered_video(tmp_path / "a.mp4", 30, options={"g": "12", "bf": "2"}, muxing=muxing)
    assert read_layout(str(tmp_path / "a.mp4")) == layout


@pytest.mark.parametrize("content", [b"", b"moov", b"\0\0\0\0moov", b"\0\0\0\1moov" + bytes(8), bytes(64)])
def test_what_is_no_mp4_has_no_tracks(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    assert read_layout(str(tmp_path / "a.mp4")) == Mp4Layout(False, ())
