"""Sentences about scenes of "moving shapes"."""

from __future__ import annotations

from datasets.moving_shapes.scene import Scene

VOWELS = "aeiou"


def appearance_caption(colour: str, shape: str) -> str:
    """What a single frame shows: "a red circle"."""
    article = "an" if colour[0] in VOWELS else "a"
    return f"{article} {colour} {shape}"


def motion_caption(scene: Scene) -> str:
    """What the clip shows: "a red circle moving from left to right"."""
    return f"{appearance_caption(scene.colour, scene.shape)} {scene.label}"
