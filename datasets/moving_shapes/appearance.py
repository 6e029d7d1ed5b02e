"""What scenes of "moving shapes" look like: named colours, shapes as signed distances, textured backgrounds.

A shape is a function of offsets (dx, dy) from its centre and of its radius, all in sides of the frame, that
returns the signed distance to its edge: negative inside. Backgrounds are nearly grey, so that colour names
stay meaningful, and do not change over time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
SignedDistance = Callable[[FloatArray, FloatArray, FloatArray], FloatArray]

COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.90, 0.12, 0.12),
    "green": (0.15, 0.75, 0.20),
    "blue": (0.15, 0.30, 0.95),
    "yellow": (0.95, 0.88, 0.15),
    "purple": (0.70, 0.15, 0.80),
    "white": (0.97, 0.97, 0.97),
}
COLOUR_JITTER = 0.07
WAVES_PER_BACKGROUND = 4


@dataclass(frozen=True)
class Background:
    """A static texture: a tinted brightness plus waves (frequency x, frequency y, phase, amplitude)."""

    tint: tuple[float, float, float]
    waves: tuple[tuple[int, int, float, float], ...]


def _circle(dx: FloatArray, dy: FloatArray, radius: FloatArray) -> FloatArray:
    return np.hypot(dx, dy) - radius


def _ring(dx: FloatArray, dy: FloatArray, radius: FloatArray) -> FloatArray:
    return np.abs(np.hypot(dx, dy) - 0.74 * radius) - 0.26 * radius


def _bar(dx: FloatArray, dy: FloatArray, radius: FloatArray) -> FloatArray:
    return np.maximum(np.abs(dx) - 1.15 * radius, np.abs(dy) - 0.4 * radius)


def _cross(dx: FloatArray, dy: FloatArray, radius: FloatArray) -> FloatArray:
    horizontal, vertical = np.abs(dx), np.abs(dy)
    long_side, short_side = np.maximum(horizontal, vertical), np.minimum(horizontal, vertical)
    return np.maximum(long_side - 1.1 * radius, short_side - 0.28 * radius)


def _triangle(dx: FloatArray, dy: FloatArray, radius: FloatArray) -> FloatArray:
    slanted = 0.5 * math.sqrt(3) * np.abs(dx) - 0.5 * dy
    return np.maximum(slanted, dy) - 0.6 * radius


SHAPES: dict[str, SignedDistance] = {
    "circle": _circle,
    "ring": _ring,
    "bar": _bar,
    "cross": _cross,
    "triangle": _triangle,
}


def draw_colour(generator: np.random.Generator, colour: str) -> tuple[float, float, float]:
    """A variation of the named colour."""
    red, green, blue = np.clip(
        COLOURS[colour] + generator.uniform(-COLOUR_JITTER, COLOUR_JITTER, 3), 0.0, 1.0
    )
    return float(red), float(green), float(blue)


def draw_background(generator: np.random.Generator) -> Background:
    """A random dark texture: brightness below about 0.4, so that every object is lighter than its ground."""
    red, green, blue = generator.uniform(0.08, 0.25) + generator.uniform(-0.03, 0.03, 3)
    waves = tuple(
        (
            int(generator.integers(-5, 6)),
            int(generator.integers(1, 6)),
            float(generator.uniform()),
            float(generator.uniform(0.01, 0.05)),
        )
        for _ in range(WAVES_PER_BACKGROUND)
    )
    return Background(tint=(float(red), float(green), float(blue)), waves=waves)
