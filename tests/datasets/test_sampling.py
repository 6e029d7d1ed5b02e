"""Clip sampling against numbers worked out by hand, and its invariants."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from datasets.sampling import (
    ClipSampling,
    SamplingMode,
    interval_based,
    sample_generator,
    segment_based,
    segment_offset,
)


def test_segment_based_takes_the_middle_of_each_part() -> None:
    # parts of 2.5 frames: middles 1.25, 3.75, 6.25, 8.75
    assert segment_based(10, 4).tolist() == [1, 4, 6, 9]


def test_segment_based_rounds_half_to_even_and_then_clamps() -> None:
    # middles 0.5, 1.5, 2.5, 3.5
    assert segment_based(4, 4).tolist() == [0, 2, 2, 3]


def test_segment_based_views_stand_at_thirds_of_each_part() -> None:
    # parts of 3 frames: view 0 at +1, view 1 at +2, view 2 at +3, the last clamped to frame 11
    views = [segment_based(12, 4, view=view, num_views=3).tolist() for view in range(3)]
    assert views == [[1, 4, 7, 10], [2, 5, 8, 11], [3, 6, 9, 11]]


def test_segment_based_meets_exact_halves_that_floats_miss() -> None:
    # view 1 of 3: 9 (3i + 2) / 12 = 1.5, 3.75, 6, 8.25
    assert segment_based(9, 4, view=1, num_views=3).tolist() == [2, 4, 6, 8]


def test_interval_based_starts_in_the_middle_of_the_free_range() -> None:
    # span 4 * 8 = 32 of 100 frames: start 34, end 34 + 31, step 31/3
    assert interval_based(100, 4, 8, 30, 30).tolist() == [34, 44, 54, 65]


def test_interval_based_with_minus_interval_ends_one_interval_earlier() -> None:
    assert interval_based(100, 4, 8, 30, 30, minus_interval=True).tolist() == [34, 42, 50, 58]


def test_interval_based_views_start_at_k_of_v() -> None:
    # free 68: starts 0, 22.67, 45.33
    starts = [interval_based(100, 4, 8, 30, 30, view=view, num_views=3)[0] for view in range(3)]
    assert starts == [0, 22, 45]


def test_interval_based_scales_with_the_frame_rate() -> None:
    # at 15 fps the span is half as many frames: 16 of 100, start 42, end 57
    assert interval_based(100, 4, 8, 15, 30).tolist() == [42, 47, 52, 57]


def test_interval_based_without_a_target_counts_the_frames_of_the_file() -> None:
    # the span is 4 * 8 = 32 of 100 frames at any rate, even at one that a file does not tell
    for fps in (15, 29.97, 60, 0):
        assert interval_based(100, 4, 8, fps, None).tolist() == [34, 44, 54, 65]
        assert interval_based(100, 4, 8, fps, None, minus_interval=True).tolist() == [34, 42, 50, 58]


def test_interval_based_truncates_positions_not_their_rounding_errors() -> None:
    # start 172/3, step 127/15: the 11th position is 2130/15 = 142 exactly
    assert interval_based(300, 16, 8, 30, 30, view=1, num_views=3)[10] == 142


def test_interval_based_clamps_in_a_video_shorter_than_the_span() -> None:
    # span 32 from 0: 0, 10.33, 20.67, 31
    assert interval_based(12, 4, 8, 30, 30).tolist() == [0, 10, 11, 11]


def test_segment_offset_is_stans_test_index() -> None:
    # seg = 99/12 = 8.25: round(8.25 i) + 4
    expected = [round(8.25 * i) + 4 for i in range(12)]
    assert segment_offset(100, 12).tolist() == expected
    assert expected[:3] == [4, 12, 20]


def test_segment_offset_training_stays_within_the_part() -> None:
    edges = [round(8.25 * i) for i in range(13)]
    drawn = np.stack([segment_offset(100, 12, generator=sample_generator(0, 0, i)) for i in range(300)])
    for part in range(12):
        assert set(drawn[:, part]) == set(range(edges[part], edges[part + 1] + 1))


def test_segment_based_training_draws_from_every_part_uniformly() -> None:
    drawn = np.stack([segment_based(40, 4, generator=sample_generator(1, 0, i)) for i in range(4000)])
    for part in range(4):
        assert drawn[:, part].min() == 10 * part
        assert drawn[:, part].max() == min(10 * part + 10, 39)
        assert abs(drawn[:, part].mean() - (10 * part + 5)) < 0.2


def test_interval_based_training_starts_uniformly_in_the_free_range() -> None:
    starts = np.array(
        [interval_based(100, 4, 8, 30, 30, generator=sample_generator(2, 0, i))[0] for i in range(2000)]
    )
    assert starts.min() == 0
    assert starts.max() == 67
    assert abs(starts.mean() - 33.5) < 1.5


@pytest.mark.parametrize("mode", ["segment_based", "interval_based", "segment_offset"])
@pytest.mark.parametrize("frame_count", [1, 2, 7, 16, 300])
@pytest.mark.parametrize("num_frames", [1, 3, 16])
def test_indices_are_ordered_and_inside(mode: SamplingMode, frame_count: int, num_frames: int) -> None:
    sampling = ClipSampling(num_frames=num_frames, mode=mode, minus_interval=True)
    training = sampling.training_clips(frame_count, 29.97, [sample_generator(0, 0, i) for i in range(5)])
    testing = sampling.test_clips(frame_count, 29.97, 3)
    for clips in (training, testing):
        assert clips.dtype == np.int64
        assert clips.shape[1] == num_frames
        assert clips.min() >= 0
        assert clips.max() < frame_count
        assert (np.diff(clips, axis=1) >= 0).all()


def test_a_generator_is_named_by_all_four_numbers() -> None:
    def first_draw(*keys: int) -> float:
        return float(torch.rand((), generator=sample_generator(*keys)))

    assert first_draw(1, 2, 3, 4) == first_draw(1, 2, 3, 4)
    neighbours = {
        first_draw(*keys) for keys in [(1, 2, 3, 4), (2, 2, 3, 4), (1, 3, 3, 4), (1, 2, 4, 4), (1, 2, 3, 5)]
    }
    assert len(neighbours) == 5


@pytest.mark.parametrize(
    "arguments",
    [
        {"frame_count": 0, "num_frames": 4},
        {"frame_count": 9, "num_frames": 0},
        {"frame_count": 9, "num_frames": 4, "view": 3, "num_views": 3},
        {"frame_count": 9, "num_frames": 4, "view": 0, "generator": torch.Generator()},
    ],
)
def test_impossible_requests_are_refused(arguments: dict) -> None:
    with pytest.raises(ValueError):
        segment_based(**arguments)


def test_a_rate_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="fps is 0"):
        interval_based(9, 4, 8, 0, 30)
