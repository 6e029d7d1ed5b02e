"""Scenes of "moving shapes": one object, one periodic motion, no trace of time in any single frame.

Every motion is a function of a *phase* that runs through a period of 1 again and again, forwards in one
class of a pair and backwards in its twin; the phase of frame 0 is uniform. Hence reversing a clip in time
turns a scene of one class into an equally likely scene of its twin (`time_reversed`), and the set of the
frames, at any frame indices whose gaps read the same backwards, has the same distribution in both classes:
only the order tells them apart.

Units: lengths in sides of the (square) frame, which is a torus: what leaves on one side returns on the other.
x grows to the right, y downwards. Phases count periods, speeds periods per frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from datasets.moving_shapes.appearance import COLOURS, SHAPES, Background, draw_background, draw_colour

FloatArray = NDArray[np.float64]

RADIUS_RANGE = (0.15, 0.22)  # of objects that keep their size
GROWTH_RANGE = (0.11, 0.30)  # smallest and largest radius of objects that grow or shrink
CENTRE_RANGE = (0.36, 0.64)  # of the path: objects stay whole unless they travel past an edge
ORBIT_RANGE = (0.16, 0.22)  # radius of the circle on which objects turn
SPEED_RANGE = (0.02, 0.05)  # periods per frame: at most 0.3 over six frames, so direction stays visible


@dataclass(frozen=True)
class Motion:
    """A class of motion: its name (the class label's text), its path and the sign of time."""

    name: str
    path: Callable[[Scene, FloatArray], FloatArray]
    direction: int


@dataclass(frozen=True)
class Scene:
    """True parameters of one clip."""

    motion: int
    """Index into `MOTIONS`."""
    shape: str
    colour: str
    rgb: tuple[float, float, float]
    """The object's colour, 0 to 1: its named colour with a little variation."""
    radius: float
    """Of objects that keep their size."""
    centre: tuple[float, float]
    """Of the path; where the path covers an axis entirely, that coordinate is without effect."""
    orbit: float
    """Radius of the circle, for objects that turn."""
    phase: float
    """At frame 0."""
    speed: float
    """Periods per frame, positive; the direction is the motion's."""
    background: Background

    @property
    def label(self) -> str:
        """Name of the motion."""
        return MOTIONS[self.motion].name


def _horizontal(scene: Scene, phase: FloatArray) -> FloatArray:
    return _states(phase, scene.centre[1], scene.radius)


def _vertical(scene: Scene, phase: FloatArray) -> FloatArray:
    return _states(scene.centre[0], phase, scene.radius)


def _radial(scene: Scene, phase: FloatArray) -> FloatArray:
    smallest, largest = GROWTH_RANGE
    radius = smallest * (largest / smallest) ** (phase % 1.0)  # saw-tooth in the logarithm of the size
    return _states(*scene.centre, radius)


def _circular(scene: Scene, phase: FloatArray) -> FloatArray:
    angle = 2 * math.pi * phase
    x, y = scene.centre
    return _states(x + scene.orbit * np.cos(angle), y + scene.orbit * np.sin(angle), scene.radius)


def _states(x: FloatArray | float, y: FloatArray | float, radius: FloatArray | float) -> FloatArray:
    x, y, radius = np.broadcast_arrays(x, y, radius)
    return np.stack([x % 1.0, y % 1.0, radius], axis=-1)


MOTIONS: tuple[Motion, ...] = (
    Motion("moving from left to right", _horizontal, +1),
    Motion("moving from right to left", _horizontal, -1),
    Motion("moving down", _vertical, +1),
    Motion("moving up", _vertical, -1),
    Motion("growing", _radial, +1),
    Motion("shrinking", _radial, -1),
    Motion("turning clockwise", _circular, +1),
    Motion("turning counter-clockwise", _circular, -1),
)
"""Class index -> motion. Time-reversed twins are neighbours: 2k and 2k + 1."""

MOTION_NAMES: tuple[str, ...] = tuple(motion.name for motion in MOTIONS)


def twin(motion: int) -> int:
    """Index of the same motion played backwards."""
    return motion ^ 1


def object_states(scene: Scene, frames: NDArray[np.integer] | FloatArray) -> FloatArray:
    """True state of the object at frame indices (T,): (T, 3) of x, y, radius."""
    motion = MOTIONS[scene.motion]
    phase = scene.phase + motion.direction * scene.speed * np.asarray(frames, dtype=np.float64)
    return motion.path(scene, phase)


def time_reversed(scene: Scene, last_frame: int) -> Scene:
    """The scene of the twin class that shows at frame t what `scene` shows at frame `last_frame - t`."""
    direction = MOTIONS[scene.motion].direction
    phase = (scene.phase + direction * scene.speed * last_frame) % 1.0
    return replace(scene, motion=twin(scene.motion), phase=phase)


def draw_scene(generator: np.random.Generator, motion: int, colour: str, shape: str) -> Scene:
    """Draw all that motion, colour and shape leave open.

    Raises:
        ValueError: no such motion, colour or shape.
    """
    if motion not in range(len(MOTIONS)):
        raise ValueError(f"motion {motion} does not exist: choose 0 to {len(MOTIONS) - 1}")
    if colour not in COLOURS:
        raise ValueError(f"colour '{colour}' does not exist: choose one of {', '.join(COLOURS)}")
    if shape not in SHAPES:
        raise ValueError(f"shape '{shape}' does not exist: choose one of {', '.join(SHAPES)}")
    return Scene(
        motion=motion,
        shape=shape,
        colour=colour,
        rgb=draw_colour(generator, colour),
        radius=generator.uniform(*RADIUS_RANGE),
        centre=(generator.uniform(*CENTRE_RANGE), generator.uniform(*CENTRE_RANGE)),
        orbit=generator.uniform(*ORBIT_RANGE),
        phase=generator.uniform(),
        speed=generator.uniform(*SPEED_RANGE),
        background=draw_background(generator),
    )
