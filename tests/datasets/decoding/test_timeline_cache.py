"""Remembered timelines: the same as they were, small, bounded."""

from __future__ import annotations

import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from datasets.decoding.timeline import Timeline
from datasets.decoding.timeline_cache import TimelineCache


def timeline_of(times: list[int]) -> Timeline:
    keys = np.array(times[:1], dtype=np.int64)
    return Timeline(
        container="mp4",
        codec="h264",
        stream_index=0,
        time_base=Fraction(1, 1000),
        fps=25.0,
        times=np.array(times, dtype=np.int64),
        key_times=keys,
        key_decode_times=keys,
        packet_count=len(times),
        hides_frames=False,
        needs_scan=False,
        damage=None,
    )


@pytest.mark.parametrize(
    "times", [[7], [0, 40, 80, 120], [5, 38, 71, 105, 900], [1, 4, 3, 6, 5], [0, 2**40, 2**41 + 1]]
)
def test_what_is_remembered_is_what_it_was(times: list[int], tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.touch()
    cache, timeline = TimelineCache(), timeline_of(times)
    cache.put(str(path), timeline)
    remembered = cache.get(str(path))
    assert remembered is not None
    assert remembered.times.tolist() == times
    assert replace(remembered, times=timeline.times) == replace(timeline, times=timeline.times)


def test_an_hour_at_a_constant_rate_takes_next_to_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    cache = TimelineCache()
    cache.put(str(tmp_path / "a.mp4"), timeline_of(list(range(0, 108_000 * 33, 33))))
    assert cache._bytes < 2000


def test_the_one_used_longest_ago_is_forgotten(tmp_path: Path) -> None:
    paths = [str(tmp_path / name) for name in ("a.mp4", "b.mp4", "c.mp4")]
    cache = TimelineCache(max_bytes=2500)
    for path in paths[:2]:
        Path(path).touch()
        cache.put(path, timeline_of([0, 40, 80]))
    assert cache.get(paths[0]) is not None
    Path(paths[2]).touch()
    cache.put(paths[2], timeline_of([0, 40, 80]))
    assert [cache.get(path) is not None for path in paths] == [True, False, True]


def test_a_file_that_has_changed_or_gone_is_not_remembered(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.touch()
    cache = TimelineCache()
    cache.put(str(path), timeline_of([0, 40]))
    os.utime(path, (1, 1))
    assert cache.get(str(path)) is None
    path.unlink()
    assert cache.get(str(path)) is None
