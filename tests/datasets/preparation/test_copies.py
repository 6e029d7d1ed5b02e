"""Small and packed copies hold the frames of the original, at its times."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from datasets.decoding import VideoReadError, open_video
from datasets.decoding.pyav import PyAVReader
from datasets.preparation.checking import CheckTask, check_video
from datasets.preparation.packing import PackSettings, PackTask, pack_video
from datasets.preparation.shrinking import (
    ShrinkSettings,
    ShrinkTask,
    frames_at_rate,
    shrink_video,
    shrunken_size,
)
from tests.datasets.decoding.numbered import numbers_in, write_numbered_video


def test_a_packed_copy_holds_every_frame_and_its_time(tmp_path: Path) -> None:
    times = [0, 40, 80, 300, 340]
    source, target = tmp_path / "a.mkv", tmp_path / "copies" / "a.packed"
    write_numbered_video(source, 5, times=times)
    assert pack_video(PackTask(str(source), str(target), PackSettings())) == 5
    with open_video(target) as reader:
        assert numbers_in(reader.get_frames(range(5))) == list(range(5))
        assert reader.timestamps == pytest.approx(np.array(times) / 1000)


def test_a_shrunken_copy_shows_the_same_at_the_same_time(tmp_path: Path) -> None:
    times = [0, 40, 80, 300, 340, 380, 420]
    source, target = tmp_path / "a.mkv", tmp_path / "copies" / "a.mp4"
    write_numbered_video(source, 7, times=times)
    settings = ShrinkSettings(short_side=8, keyframe_interval=4, quality=10, fps=25)
    count = shrink_video(ShrinkTask(str(source), str(target), settings))
    with PyAVReader(str(target)) as reader:
        assert (reader.frame_count, reader.fps, reader.size) == (count, 25, (8, 32))
        assert set(np.diff(np.searchsorted(reader.timeline.times, reader.timeline.key_times))) <= {1, 2, 3, 4}
        assert np.diff(reader.timestamps) == pytest.approx(1 / 25)
        frames = reader.get_frames(range(count)).repeat(2, axis=1).repeat(2, axis=2)
    assert numbers_in(frames) == [0, 1, 2, 2, 2, 2, 2, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(("rate", "expected"), [(10, list(range(10))), (5, [0, 2, 4, 6, 8]), (20, None)])
def test_another_rate_repeats_or_drops_frames_evenly(
    rate: int, expected: list[int] | None, tmp_path: Path
) -> None:
    write_numbered_video(tmp_path / "a.mp4", 10, fps=10)
    with open_video(tmp_path / "a.mp4") as reader:
        shown = numbers_in(np.stack(list(frames_at_rate(reader, Fraction(rate)))))
    assert shown == (expected or sorted([*range(10), *range(10)]))


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1280, 720), (456, 256)), ((720, 1280), (256, 456)), ((340, 256), (340, 256)), ((121, 81), (120, 80))],
)
def test_small_sizes_are_even(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert shrunken_size(*size, short_side=256) == expected


def test_a_bad_original_leaves_no_copy(tmp_path: Path) -> None:
    source, target = tmp_path / "a.mp4", tmp_path / "copies" / "a.packed"
    write_numbered_video(source, 30)
    source.write_bytes(source.read_bytes()[:900])
    with pytest.raises(VideoReadError):
        pack_video(PackTask(str(source), str(target), PackSettings()))
    assert not target.exists()


def test_a_check_reads_to_the_last_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_numbered_video(path, 30, options={"bf": "0", "qp": "1"})
    facts = check_video(CheckTask(str(tmp_path), "a.mp4"))
    assert (facts.frame_count, facts.fps, facts.height, facts.width) == (30, 25, 16, 64)
    with av.open(str(path)) as container:
        last = list(container.demux(video=0))[29]
        assert last.pos is not None
    data = bytearray(path.read_bytes())
    data[last.pos + 5 : last.pos + last.size] = bytes(last.size - 5)
    path.write_bytes(data)
    with pytest.raises(VideoReadError, match=r"a\.mp4"):
        check_video(CheckTask(str(tmp_path), "a.mp4"))
