"""runs/inference/windows.py."""

import itertools

import pytest

from runs.inference.windows import Window, split_into_windows


def test_windows_cover_the_video_without_gaps_and_have_one_length() -> None:
    for seconds in (10.0, 11.3, 4.01, 7.999):
        for stride in (None, 2.0, 0.7):
            windows = split_into_windows(seconds, 4.0, stride)
            assert windows[0].start == 0 and windows[-1].end == pytest.approx(seconds)
            assert all(window.end - window.start == pytest.approx(4.0) for window in windows)
            assert all(b.start <= a.end + 1e-9 for a, b in itertools.pairwise(windows))


def test_exact_multiples_have_no_extra_window() -> None:
    assert split_into_windows(8.0, 4.0) == [Window(0, 4), Window(4, 8)]
    assert split_into_windows(0.3, 0.1)[-1].end == pytest.approx(0.3)
    assert len(split_into_windows(0.3, 0.1)) == 3


def test_a_short_video_is_one_window() -> None:
    assert split_into_windows(3.0, 4.0) == [Window(0, 3.0)]


@pytest.mark.parametrize(("window", "stride"), [(0.0, None), (4.0, 0.0), (4.0, 5.0), (-1.0, None)])
def test_lengths_without_meaning_are_refused(window: float, stride: float | None) -> None:
    with pytest.raises(ValueError, match=r"positive|skip parts"):
        split_into_windows(10.0, window, stride)
