"""Where to crop: boxes in pixels, drawn from a generator for training, fixed for testing. Pure functions."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from datasets.randomness import randint, uniform

_ATTEMPTS = 10


class Box(NamedTuple):
    """A rectangle of pixels within a frame."""

    top: int
    left: int
    height: int
    width: int


def crop(frames: Tensor, box: Box) -> Tensor:
    """The part of frames (…,H,W,3) inside the box: (…,box.height,box.width,3), a view."""
    return frames[..., box.top : box.top + box.height, box.left : box.left + box.width, :]


def random_resized_crop_box(
    height: int, width: int, area: tuple[float, float], ratio: tuple[float, float], generator: torch.Generator
) -> Box:
    """A box with a random share of the frame's area and a random width : height, at a random place.

    area: range of the share, uniform; ratio: range of width / height, log-uniform. As torchvision's
    RandomResizedCrop: after ten draws that do not fit, the largest centred box with the nearest ratio in
    range."""
    for _ in range(_ATTEMPTS):
        target = height * width * uniform(*area, generator)
        aspect = math.exp(uniform(math.log(ratio[0]), math.log(ratio[1]), generator))
        box_width, box_height = round(math.sqrt(target * aspect)), round(math.sqrt(target / aspect))
        if 0 < box_width <= width and 0 < box_height <= height:
            return random_box(height, width, box_height, box_width, generator)
    box_width = min(width, round(height * ratio[1]))
    box_height = min(height, round(width / ratio[0]))
    return centre_box(height, width, box_height, box_width)


def random_box(height: int, width: int, box_height: int, box_width: int, generator: torch.Generator) -> Box:
    """A box of the given size at a uniformly random place of the frame."""
    top = randint(0, height - box_height, generator)
    left = randint(0, width - box_width, generator)
    return Box(top, left, box_height, box_width)


def centre_box(height: int, width: int, box_height: int, box_width: int) -> Box:
    """A box of the given size in the middle; half pixels go to the top and left."""
    return Box((height - box_height) // 2, (width - box_width) // 2, box_height, box_width)


def evaluation_boxes(height: int, width: int, size: int, num_crops: int) -> tuple[Box, ...]:
    """Square test crops of a frame that is at least `size` on both sides.

    1: the centre. 3: both ends of the longer side with the centre between them: left, centre, right, or
    top, centre, bottom in an upright frame.

    Raises:
        ValueError: another number of crops.
    """
    centre = centre_box(height, width, size, size)
    if num_crops == 1:
        return (centre,)
    if num_crops == 3 and width >= height:
        return (centre._replace(left=0), centre, centre._replace(left=width - size))
    if num_crops == 3:
        return (centre._replace(top=0), centre, centre._replace(top=height - size))
    raise ValueError(
        f"{num_crops} spatial crops are not defined: take 1 (centre) or 3 (both ends and the centre)"
    )
