"""Drawing scenes of "moving shapes": (scene, frame indices) -> uint8 frames.

Each frame is a function of the scene and its own index alone; pixels at an edge are blended by how much of
them the shape covers. The frame is a torus: the nearest copy of the object is the one drawn.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from datasets.moving_shapes.appearance import SHAPES, Background
from datasets.moving_shapes.scene import FloatArray, Scene, object_states


def render_frames(scene: Scene, frames: NDArray[np.integer], size: int) -> NDArray[np.uint8]:
    """Draw the frames (T,) of a scene as uint8 (T, size, size, 3), RGB."""
    pixels = _pixel_centres(size)
    states = object_states(scene, frames)
    x, y, radius = (states[:, column, None, None] for column in range(3))
    dx, dy = _on_torus(pixels[None, None, :] - x), _on_torus(pixels[None, :, None] - y)
    distance = SHAPES[scene.shape](dx, dy, radius)
    coverage = np.clip(0.5 - distance * size, 0.0, 1.0)[..., None]
    background = render_background(scene.background, size)
    image = background + coverage * (np.asarray(scene.rgb) - background)
    return np.round(image * 255.0).astype(np.uint8)


def render_background(background: Background, size: int) -> FloatArray:
    """The texture alone, (size, size, 3), 0 to 1."""
    pixels = _pixel_centres(size)
    brightness = np.zeros((size, size))
    for frequency_x, frequency_y, phase, amplitude in background.waves:
        turns = frequency_x * pixels[None, :] + frequency_y * pixels[:, None] + phase
        brightness += amplitude * np.sin(2 * math.pi * turns)
    return np.clip(np.asarray(background.tint) + brightness[..., None], 0.0, 1.0)


def _pixel_centres(size: int) -> FloatArray:
    return (np.arange(size) + 0.5) / size


def _on_torus(offset: FloatArray) -> FloatArray:
    return (offset + 0.5) % 1.0 - 0.5
