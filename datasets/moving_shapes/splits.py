"""Which clips the "moving shapes" data set holds: configuration -> scenes and paths, not yet rendered.

Scenes come in time-reversed pairs that follow each other (clips 2i and 2i + 1), so that any function of a
clip that does not see the order of its frames answers the same for both. Combinations of motion pair,
colour and shape are spread evenly: they all occur before any occurs again.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from datasets.moving_shapes.appearance import COLOURS, SHAPES
from datasets.moving_shapes.config import MovingShapesConfig
from datasets.moving_shapes.scene import MOTIONS, Scene, draw_scene, time_reversed

Split = Literal["train", "test"]
SPLITS: tuple[Split, ...] = ("train", "test")


@dataclass(frozen=True)
class Clip:
    """One video file to be: where it stands below the data set's folder, and what it shows."""

    path: str
    scene: Scene


def draw_split(config: MovingShapesConfig, split: Split) -> list[Clip]:
    """All clips of a split, the same for the same configuration."""
    count = config.num_train if split == "train" else config.num_test
    stream = SPLITS.index(split)
    combinations = _spread_combinations(np.random.default_rng((config.seed, stream)))
    clips: list[Clip] = []
    for pair in range(count // 2):
        motion, colour, shape = next(combinations)
        scene = draw_scene(np.random.default_rng((config.seed, stream, pair)), motion, colour, shape)
        for scene_or_twin in (scene, time_reversed(scene, config.num_frames - 1)):
            clips.append(Clip(f"videos/{split}/{len(clips):05d}.mp4", scene_or_twin))
    return clips


def _spread_combinations(generator: np.random.Generator) -> Iterator[tuple[int, str, str]]:
    """Endless (first motion of a pair, colour, shape); every round holds each one once."""
    combinations = list(itertools.product(range(0, len(MOTIONS), 2), COLOURS, SHAPES))
    while True:
        for index in generator.permutation(len(combinations)):
            yield combinations[index]
