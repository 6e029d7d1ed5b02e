"""Frames show what their scene says, and frame t is a function of the scene and of t alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from datasets.moving_shapes.appearance import COLOURS, SHAPES
from datasets.moving_shapes.rendering import render_background, render_frames
from datasets.moving_shapes.scene import MOTIONS, draw_scene, object_states, time_reversed

FRAMES = np.arange(8)


@pytest.mark.parametrize("motion", range(len(MOTIONS)))
def test_a_twin_is_the_same_set_of_pictures(motion: int) -> None:
    scene = draw_scene(np.random.default_rng(motion), motion, "blue", "cross")
    ours, theirs = render_frames(scene, FRAMES, 32), render_frames(time_reversed(scene, 7), FRAMES, 32)
    np.testing.assert_array_equal(ours, theirs[::-1])
    np.testing.assert_array_equal(render_frames(scene, FRAMES[5:6], 32)[0], ours[5])


@pytest.mark.parametrize("shape", SHAPES)
def test_the_object_stands_where_its_state_says_and_in_its_colour(shape: str) -> None:
    scene = replace(draw_scene(np.random.default_rng(1), 6, "red", shape), radius=0.15)
    size = 64
    frames = render_frames(scene, FRAMES, size) / 255.0
    background = render_background(scene.background, size)
    for frame, (x, y, radius) in zip(frames, object_states(scene, FRAMES), strict=True):
        covered = np.abs(frame - background).sum(axis=2) > 0.05
        rows, columns = np.nonzero(covered)
        assert abs((columns.min() + columns.max() + 1) / 2 / size - x) < 0.02
        assert rows.min() / size >= y - 1.2 * radius - 0.02
        assert (rows.max() + 1) / size <= y + 1.1 * radius + 0.02
        inside = frame[covered]
        np.testing.assert_allclose(np.median(inside, axis=0), scene.rgb, atol=0.01)


def test_what_leaves_on_one_side_returns_on_the_other() -> None:
    scene = replace(draw_scene(np.random.default_rng(2), 0, "white", "circle"), phase=0.0)
    frame = render_frames(scene, np.array([0]), 32)[0].astype(int)
    background = np.round(render_background(scene.background, 32) * 255)
    covered = np.abs(frame - background).sum(axis=2) > 30
    assert covered[:, 0].any()
    assert covered[:, -1].any()
    assert not covered[:, 16].any()


def test_shapes_and_colours_can_be_told_apart() -> None:
    scene = draw_scene(np.random.default_rng(3), 4, "red", "circle")
    images = [
        render_frames(replace(scene, shape=shape, rgb=rgb), np.array([0]), 48).astype(int)
        for shape in SHAPES
        for rgb in COLOURS.values()
    ]
    differences = [np.abs(a - b).sum() for i, a in enumerate(images) for b in images[:i]]
    assert min(differences) > 2000
