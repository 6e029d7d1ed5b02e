"""The collection of awkward files: no backend passes a wrong frame off as the right one.

The small files run always, all of them with `-m slow`; ``datasets/decoding/README.md`` has the whole table.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets.decoding import available_decoders, open_video
from datasets.decoding_checks.agreement import examine, read_reference
from datasets.decoding_checks.table import examine_files, to_markdown

BACKENDS = [name for name in ("pyav", "torchcodec", "decord") if available_decoders()[name] is None]

FRAME_COUNTS = {
    "decord_video_270.mov": 3,
    "mb_avc-aac.avi": 25,
    "mb_bad-keyframes.mp4": 120,
    "mb_edit-list-discard.mp4": 49,
    "mb_hevc-aac.avi": 25,
    "mb_no-initial-keyframe.ts": 15,
    "tc_discard_first_keyframe.mp4": 25,
    "tc_one_frame_mpeg4.mp4": 1,
    "tc_odd_121x81_mpeg2.mp4": 10,
    "tc_test_non_zero_start_short.mp4": 12,
}


@pytest.fixture(scope="module")
def stress(shared: Path) -> Path:
    return shared / "data" / "videos" / "stress"


@pytest.mark.parametrize("name", FRAME_COUNTS)
def test_no_backend_shows_a_wrong_frame(name: str, stress: Path) -> None:
    reference = read_reference(str(stress / name))
    assert reference.frame_count == FRAME_COUNTS[name]
    ours = examine(str(stress / name), "pyav", reference)
    assert (ours.verdict, ours.frame_count) == ("right", FRAME_COUNTS[name])
    for backend in BACKENDS:
        assert examine(str(stress / name), backend, reference).verdict in (
            "right",
            "right (colours)",
            "refused",
        )


def test_metadata_that_is_not_utf8_does_not_make_a_video_unreadable(shared: Path) -> None:
    """One of the HMDB51 files has such metadata; all of them claim a frame too many."""
    paths = sorted((shared / "data" / "videos" / "actions" / "hmdb51").rglob("*.avi"))
    counts = []
    for path in paths:
        with open_video(path, "pyav") as reader:
            counts.append(reader.frame_count)
    assert counts == [83, 242, 172, 140, 72, 74, 48]


@pytest.mark.slow
def test_every_file_through_every_backend(stress: Path) -> None:
    names = sorted(path.name for path in stress.iterdir() if path.suffix != ".md")
    rows = examine_files(str(stress), names, BACKENDS, num_workers=2, time_limit=300)
    assert [row.name for row in rows] == names
    table = to_markdown(rows, BACKENDS)
    assert "WRONG" not in table, table
    assert "lost" not in table, table
