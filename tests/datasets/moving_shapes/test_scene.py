"""The data set's claim: the set of frames that a sampler takes says nothing about the direction of time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from datasets.moving_shapes.config import MovingShapesConfig
from datasets.moving_shapes.scene import MOTIONS, Scene, draw_scene, object_states, time_reversed, twin
from datasets.moving_shapes.splits import SPLITS, draw_split
from datasets.sampling import ClipSampling, sample_generator
from runs.config import load_run_config

Array = NDArray[np.float64]
CONFIG = MovingShapesConfig()


@pytest.fixture(scope="module")
def sampling() -> ClipSampling:
    """The demo's own way to take frames, from the YAML that the demo runs."""
    data = load_run_config("configs/projects/demo/dist.yaml").data
    return ClipSampling(
        data.num_input_frames, data.sampling_mode, data.sampling_rate, data.target_fps, data.minus_interval
    )


@pytest.fixture(scope="module")
def index_sets(sampling: ClipSampling) -> list[NDArray[np.int64]]:
    """Every set of indices that validation and multi-view tests take, and a hundred training draws."""
    tests = [
        clip for views in (1, 2, 3, 4, 5) for clip in sampling.test_clips(CONFIG.num_frames, 30.0, views)
    ]
    generators = [sample_generator(0, epoch, index) for epoch in range(10) for index in range(10)]
    return tests + list(sampling.training_clips(CONFIG.num_frames, 30.0, generators))


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    """A few scenes of each motion."""
    generator = np.random.default_rng(0)
    return [draw_scene(generator, motion, "red", "ring") for motion in range(len(MOTIONS)) for _ in range(8)]


def test_motions_come_in_time_reversed_pairs() -> None:
    assert len(MOTIONS) >= 8
    for motion in range(len(MOTIONS)):
        assert twin(twin(motion)) == motion
        assert MOTIONS[motion].path is MOTIONS[twin(motion)].path
        assert MOTIONS[motion].direction == -MOTIONS[twin(motion)].direction


def test_the_reversed_scene_shows_the_frames_backwards(scenes: list[Scene]) -> None:
    frames = np.arange(CONFIG.num_frames)
    for scene in scenes:
        backwards = time_reversed(scene, CONFIG.num_frames - 1)
        assert backwards.motion == twin(scene.motion)
        np.testing.assert_allclose(
            _sines(object_states(backwards, frames[::-1])), _sines(object_states(scene, frames))
        )


def test_gaps_between_sampled_frames_read_the_same_backwards(index_sets: list[NDArray[np.int64]]) -> None:
    for indices in index_sets:
        gaps = np.diff(indices)
        assert gaps.min() > 0
        np.testing.assert_array_equal(gaps, gaps[::-1])


def test_every_sampled_set_of_states_belongs_to_both_directions_alike(
    scenes: list[Scene], index_sets: list[NDArray[np.int64]]
) -> None:
    """The likelihood argument: a map from clips of a class onto those of its twin keeps the set of states.

    It only shifts the phase, which is uniform: both clips are equally likely, and no function of the set can
    be right on both.
    """
    for scene in scenes:
        for indices in index_sets:
            other = time_reversed(scene, int(indices[0] + indices[-1]))
            assert replace(other, motion=scene.motion, phase=scene.phase) == scene
            ours, theirs = object_states(scene, indices), object_states(other, indices)
            np.testing.assert_allclose(_sines(theirs[::-1]), _sines(ours), atol=1e-9)


def test_an_order_blind_oracle_knows_the_pair_and_guesses_the_direction(sampling: ClipSampling) -> None:
    train = [clip.scene for clip in draw_split(replace(CONFIG, num_train=4000), "train")]
    test = [clip.scene for clip in draw_split(CONFIG, "test")]
    for indices in sampling.test_clips(CONFIG.num_frames, 30.0, 3):
        accuracy, pair_accuracy = _nearest_neighbour(_bag_of_states, train, test, indices)
        assert pair_accuracy > 0.95
        assert accuracy < 0.5 + 3 * np.sqrt(0.25 / len(test))
        # In the sampled window these are the same set of frames twice, once for each direction: no luck left.
        twins = [time_reversed(scene, int(indices[0] + indices[-1])) for scene in test]
        assert _nearest_neighbour(_bag_of_states, train, test + twins, indices)[0] <= 0.5
        assert _nearest_neighbour(_ordered_states, train, test, indices)[0] > 0.85


def test_the_oracle_notices_a_motion_that_starts_at_its_beginning(sampling: ClipSampling) -> None:
    """Injected fault: with a phase that is not uniform the same oracle passes 50 % by far."""
    indices = sampling.test_clips(CONFIG.num_frames, 30.0, 1)[0]
    train, test = (
        [replace(clip.scene, phase=0.05) for clip in draw_split(replace(CONFIG, num_train=2000), split)]
        for split in SPLITS
    )
    assert _nearest_neighbour(_bag_of_states, train, test, indices)[0] > 0.7


def test_phases_are_uniform() -> None:
    for split in SPLITS:
        clips = draw_split(replace(CONFIG, num_train=4000, num_test=4000), split)
        for motion in range(len(MOTIONS)):
            phases = np.sort([clip.scene.phase for clip in clips if clip.scene.motion == motion])
            expected = (np.arange(len(phases)) + 0.5) / len(phases)
            # Kolmogorov-Smirnov: 1.95 / sqrt(n) is exceeded by chance once in a thousand times
            assert np.abs(phases - expected).max() < 1.95 / np.sqrt(len(phases))


@pytest.mark.parametrize(
    ("motion", "colour", "shape"), [(8, "red", "ring"), (0, "mauve", "ring"), (0, "red", "blob")]
)
def test_unknown_words_are_refused(motion: int, colour: str, shape: str) -> None:
    with pytest.raises(ValueError, match="does not exist: choose"):
        draw_scene(np.random.default_rng(0), motion, colour, shape)


def _sines(states: Array) -> Array:
    """States (T, 3) in coordinates without a seam at the edge of the torus: (T, 5)."""
    x, y, radius = (2 * np.pi * states[:, 0], 2 * np.pi * states[:, 1], states[:, 2])
    return np.stack([np.sin(x), np.cos(x), np.sin(y), np.cos(y), 3 * np.log(radius / 0.16)], axis=1)


def _ordered_states(scene: Scene, indices: NDArray[np.int64]) -> Array:
    return _sines(object_states(scene, indices)).ravel()


def _bag_of_states(scene: Scene, indices: NDArray[np.int64]) -> Array:
    """A function of the set of states: each coordinate sorted by itself, and the means of the products."""
    states = _sines(object_states(scene, indices))
    return np.concatenate([np.sort(states, axis=0).ravel(), (states.T @ states).ravel() / len(states)])


def _nearest_neighbour(
    features: Callable[[Scene, NDArray[np.int64]], Array],
    train: list[Scene],
    test: list[Scene],
    indices: NDArray[np.int64],
) -> tuple[float, float]:
    """Accuracy over motions, and over pairs of motions, of the nearest training clip."""
    keys, queries = (np.stack([features(scene, indices) for scene in scenes]) for scenes in (train, test))
    distances = (keys**2).sum(axis=1)[None] - 2 * queries @ keys.T  # up to a constant for each query
    predictions = np.array([scene.motion for scene in train])[distances.argmin(axis=1)]
    labels = np.array([scene.motion for scene in test])
    return float((predictions == labels).mean()), float((predictions // 2 == labels // 2).mean())
