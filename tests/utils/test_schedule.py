"""The learning rate against the numbers of the published recipe and against its invariants."""

from __future__ import annotations

import math

import pytest

from utils.schedule import LearningRateSchedule

PUBLISHED = LearningRateSchedule(
    base_lr=3.2e-5, max_epoch=36, policy="cosine", warmup_epochs=6, warmup_start_lr=8e-8, min_lr=0.0
)


def test_published_recipe_starts_peaks_and_ends_where_it_says() -> None:
    assert PUBLISHED.at(0) * 10 == pytest.approx(8e-7)
    assert max(PUBLISHED.at(e / 100) for e in range(3600)) * 10 == pytest.approx(2.99e-4, rel=2e-3)
    assert PUBLISHED.at(6) == pytest.approx(3.2e-5 * 0.5 * (1 + math.cos(math.pi / 6)))
    assert PUBLISHED.at(36) == pytest.approx(0.0, abs=1e-12)


def test_warm_up_is_linear_and_meets_the_cosine() -> None:
    middle = (PUBLISHED.at(0) + PUBLISHED.at(6)) / 2
    assert PUBLISHED.at(3) == pytest.approx(middle)
    assert PUBLISHED.at(6 - 1e-9) == pytest.approx(PUBLISHED.at(6), rel=1e-6)


def test_min_lr_is_a_floor_everywhere() -> None:
    floored = LearningRateSchedule(
        base_lr=1.0, max_epoch=10, warmup_epochs=2, warmup_start_lr=0.0, min_lr=0.1
    )
    rates = [floored.at(e / 10) for e in range(120)]
    assert min(rates) == 0.1
    assert floored.at(5) == pytest.approx(0.5)


def test_constant_stays() -> None:
    constant = LearningRateSchedule(base_lr=2.0, max_epoch=4, policy="constant")
    assert {constant.at(e) for e in (0, 1.5, 4)} == {2.0}


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"policy": "cosin"}, "cosin"),
        ({"warmup_epochs": 11}, "warmup_epochs 11"),
        ({"max_epoch": 0}, "max_epoch"),
    ],
)
def test_impossible_schedules_are_refused(settings: dict, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        LearningRateSchedule(**{"base_lr": 1.0, "max_epoch": 10, **settings})


def test_a_cosine_wave_falls_in_its_half_period_and_rises_again() -> None:
    wave = LearningRateSchedule(
        2.0, 100, policy="cosine_wave", warmup_epochs=0.5, warmup_start_lr=0.1, half_period=4.5
    )
    assert [wave.at(epoch) for epoch in (0, 0.25, 0.5, 2.75, 5, 9.5, 14, 18.5)] == pytest.approx(
        [0.1, 1.05, 2.0, 1.0, 0.0, 2.0, 0.0, 2.0], abs=1e-12
    )


def test_a_cosine_wave_may_wait_at_its_peak() -> None:
    wave = LearningRateSchedule(
        2.0, 100, policy="cosine_wave", warmup_epochs=5, warmup_start_lr=0.0, half_period=4.5, hold_epochs=5
    )
    rates = [wave.at(epoch) for epoch in (2.5, 5, 7.5, 10, 12.25, 14.5, 19)]
    assert rates == pytest.approx([1.0, 2.0, 2.0, 2.0, 1.0, 0.0, 2.0], abs=1e-12)


def test_a_cosine_from_its_peak_begins_where_the_warm_up_ends() -> None:
    """ST-Adapter on Kinetics, as published: two epochs up, ten down."""
    course = LearningRateSchedule(2.0, 12, policy="cosine_from_peak", warmup_epochs=2)
    assert [course.at(epoch) for epoch in (0, 1, 2, 7, 12)] == pytest.approx([0, 1, 2, 1, 0], abs=1e-12)
    only_up = LearningRateSchedule(2.0, 4, policy="cosine_from_peak", warmup_epochs=4)
    assert [only_up.at(epoch) for epoch in (0, 2, 4)] == pytest.approx([0, 1, 2])


def test_a_rise_over_the_whole_run() -> None:
    """STAN on MSR-VTT, as published: from 5 % to 100 % over all ten epochs."""
    rise = LearningRateSchedule(2e-6, 10, policy="constant", warmup_epochs=10, warmup_start_lr=1e-7)
    assert [rise.at(epoch) for epoch in (0, 5, 10)] == pytest.approx([1e-7, 1.05e-6, 2e-6])


def test_a_cosine_wave_needs_its_half_period() -> None:
    with pytest.raises(ValueError, match="half_period"):
        LearningRateSchedule(1.0, 10, policy="cosine_wave")
