"""Single pictures show what they are said to show, and are drawn from their seed alone."""

from __future__ import annotations

import numpy as np

from datasets.moving_shapes.appearance import COLOURS
from datasets.moving_shapes.stills import draw_stills


def test_pictures_hold_their_colour() -> None:
    stills = draw_stills(40, 48, seed=0)
    assert stills.pictures.shape == (40, 48, 48, 3)
    colours = np.array(list(COLOURS.values())) * 255
    for picture, colour in zip(stills.pictures.astype(float), stills.colours, strict=True):
        brightest = picture.reshape(-1, 3)[picture.max(axis=2).argmax()]
        assert np.abs(colours - brightest).sum(axis=1).argmin() == colour


def test_the_seed_decides() -> None:
    first, again, other = (draw_stills(5, 16, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.pictures, again.pictures)
    assert not np.array_equal(first.pictures, other.pictures)
