"""Damaged copies of videos are refused or read, and the process that asked survives."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from datasets.decoding_checks.fuzz import Damage, fuzz, read_damaged
from tests.datasets.decoding.numbered import write_numbered_video

EXPECTED = {"refused", "same frames", "other frames"}


@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.mkv"])
def test_damaged_copies_raise_nothing_but_video_read_errors(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    write_numbered_video(path, 30, options={"g": "10", "bf": "2"})
    endings = Counter(read_damaged("pyav", Damage(str(path), seed)) for seed in range(25))
    assert set(endings) <= EXPECTED
    assert endings["refused"] > 5


def test_damage_is_a_function_of_its_seed() -> None:
    data = bytes(range(256)) * 20
    assert Damage("", 3).apply(data) == Damage("", 3).apply(data) != data
    lengths = {len(Damage("", seed).apply(data)) for seed in range(30)}
    assert len(data) in lengths and min(lengths) < len(data)


def test_truncated_copies_are_never_read_as_shorter_videos(tmp_path: Path) -> None:
    """WebM and mp4 say how long they are; a download cut short must not pass."""
    for name, codec in (("a.mp4", "libx264"), ("a.webm", "libvpx-vp9")):
        write_numbered_video(tmp_path / name, 40, codec, options={"g": "8"}, faststart=name == "a.mp4")
        whole = (tmp_path / name).read_bytes()
        for share in (0.3, 0.5, 0.8, 0.95):
            cut = tmp_path / f"cut{share}-{name}"
            cut.write_bytes(whole[: int(share * len(whole))])
            assert read_damaged("pyav", _NoDamage(str(cut), 0)) == "refused"


class _NoDamage(Damage):
    def apply(self, data: bytes) -> bytes:
        return data


@pytest.mark.slow
def test_two_thousand_damaged_copies_of_real_videos(shared: Path) -> None:
    videos = shared / "data" / "videos"
    names = (
        "stress/mb_frames.webm",
        "stress/mb_multi-cluster.mkv",
        "stress/mb_avc-aac.avi",
        "stress/mb_edit-list-discard.mp4",
        "stress/tc_h265_video.mp4",
        "actions/ucf101/BaseballPitch/v_BaseballPitch_g01_c01.avi",
    )
    endings = fuzz([str(videos / name) for name in names], "pyav", 2000, num_workers=2, time_limit=60)
    assert sum(endings.values()) == 2000
    assert set(endings) <= EXPECTED, endings
