"""Single frames of "moving shapes" with what they show: pictures without time, to learn appearances from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasets.moving_shapes.appearance import COLOURS, SHAPES
from datasets.moving_shapes.rendering import render_frames
from datasets.moving_shapes.scene import MOTIONS, draw_scene


@dataclass(frozen=True)
class Stills:
    """Pictures uint8 (n, size, size, 3), RGB, and what they show as indices into `COLOURS` and `SHAPES`."""

    pictures: NDArray[np.uint8]
    colours: NDArray[np.int64]
    shapes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.pictures)


def draw_stills(count: int, size: int, seed: int) -> Stills:
    """Frames of random scenes; scenes of the data set itself have other seeds and are not among them."""
    generator = np.random.default_rng((seed, 0x57111))
    colours = generator.integers(len(COLOURS), size=count)
    shapes = generator.integers(len(SHAPES), size=count)
    motions = generator.integers(len(MOTIONS), size=count)
    colour_names, shape_names = tuple(COLOURS), tuple(SHAPES)
    pictures = np.empty((count, size, size, 3), dtype=np.uint8)
    for index in range(count):
        colour, shape = colour_names[colours[index]], shape_names[shapes[index]]
        scene = draw_scene(generator, int(motions[index]), colour, shape)
        pictures[index] = render_frames(scene, np.zeros(1, dtype=np.int64), size)[0]
    return Stills(pictures, colours, shapes)
