"""Positions in a run against counting by hand."""

from __future__ import annotations

import pytest

from runs.timetable import Timetable


def test_every_step_is_located_as_counting_finds_it() -> None:
    table = Timetable(videos=26, batch_videos=8, max_epoch=10, epochs_per_loop=4)
    assert (table.passes_of_loop, table.steps_of_loop) == ((4, 4, 2), (13, 13, 6))
    counted = [(loop, step) for loop, steps in enumerate((13, 13, 6)) for step in range(steps)]
    assert [table.locate(step) for step in range(table.total_steps)] == counted
    assert table.locate(table.total_steps) == (3, 0)
    assert [table.first_epoch(loop) for loop in range(4)] == [0, 4, 8, 10]


def test_epochs_are_whole_at_the_ends_of_loops_and_rise_evenly_in_between() -> None:
    table = Timetable(videos=26, batch_videos=8, max_epoch=10, epochs_per_loop=4)
    assert [table.epoch_at(step) for step in (0, 13, 26, 32)] == [0, 4, 8, 10]
    assert table.epoch_at(6) == pytest.approx(4 * 6 / 13)
    assert table.epoch_at(29) == pytest.approx(8 + 2 * 3 / 6)


def test_periods_are_rounded_up_to_loops_and_the_end_always_counts() -> None:
    table = Timetable(
        videos=8, batch_videos=8, max_epoch=18, epochs_per_loop=4, eval_period=5, checkpoint_period=4
    )
    assert [loops for loops in range(1, 6) if table.validates_after(loops)] == [2, 4, 5]
    assert [loops for loops in range(1, 6) if table.saves_after(loops)] == [1, 2, 3, 4, 5]


def test_too_few_videos_for_a_batch_is_an_error_with_a_remedy() -> None:
    with pytest.raises(ValueError, match="7 training videos do not fill one batch of 8.*at most 7 videos"):
        Timetable(videos=7, batch_videos=8, max_epoch=3)
    assert Timetable(videos=7, batch_videos=8, max_epoch=4, epochs_per_loop=2).total_steps == 2
