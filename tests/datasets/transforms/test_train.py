"""The training transforms as a whole: consistency over a clip, order of operations, repeats."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from datasets.sampling import sample_generator
from datasets.transforms.colour import ColourJitter
from datasets.transforms.erasing import RandomErasing
from datasets.transforms.flip import Flip
from datasets.transforms.rand_augment import RandAugment
from datasets.transforms.resize import resize
from datasets.transforms.train import TrainTransform

ALL_FRAMES = np.arange(4)[None]


def gradient(count: int, height: int = 40, width: int = 52) -> Tensor:
    """Frames (n,H,W,3): red tells the column, green the row, blue the frame."""
    frames = torch.empty(count, height, width, 3, dtype=torch.uint8)
    frames[..., 0] = (torch.arange(width) * 4).to(torch.uint8)
    frames[..., 1] = (torch.arange(height) * 6).to(torch.uint8)[:, None]
    frames[..., 2] = (torch.arange(count) * 9).to(torch.uint8)[:, None, None]
    return frames


@pytest.mark.parametrize("scale", [(0.4, 1.0), (32, 48)])
def test_all_frames_of_a_clip_are_cut_and_mirrored_alike(scale: tuple[float, float]) -> None:
    transform = TrainTransform(size=32, scale=scale)
    flips = set()
    for index in range(20):
        made = transform(gradient(4), ALL_FRAMES, [sample_generator(0, 0, index)])
        (clip,) = made.clips
        assert clip.shape == (4, 32, 32, 3)
        assert torch.equal(clip[..., :2], clip[:1, ..., :2].expand(4, -1, -1, -1))
        assert clip[:, 0, 0, 2].tolist() == [0, 9, 18, 27]
        falls = bool(clip[0, 0, 0, 0] > clip[0, 0, -1, 0])
        assert made.mirrored == (falls,)
        flips.add(falls)
    assert flips == {True, False}


def test_an_area_crop_is_cut_before_it_is_resized() -> None:
    transform = TrainTransform(size=20, scale=(0.2, 0.4), flip=Flip(0.0))
    made = transform(gradient(1), np.zeros((1, 1), dtype=np.int64), [sample_generator(0, 0, 1)])
    left, right = int(made.clips[0, 0, 0, 0, 0]), int(made.clips[0, 0, 0, -1, 0])
    top, bottom = int(made.clips[0, 0, 0, 0, 1]), int(made.clips[0, 0, -1, 0, 1])
    # the pixels at the crop's edges are pure source pixels: nothing from outside the crop was mixed in
    columns, rows = [round(edge / 4) for edge in (left, right)], [round(edge / 6) for edge in (top, bottom)]
    region = gradient(1)[:, rows[0] : rows[1] + 1, columns[0] : columns[1] + 1]
    assert torch.equal(resize(region, 20, 20), made.clips[0])


def test_a_short_side_range_resizes_the_frame_and_then_crops() -> None:
    transform = TrainTransform(size=40, scale=(40, 40), flip=Flip(0.0))
    made = transform(gradient(1), np.zeros((1, 1), dtype=np.int64), [sample_generator(0, 0, 1)])
    column = int(made.clips[0, 0, 0, 0, 0]) // 4
    assert torch.equal(made.clips[0], gradient(1)[:, :, column : column + 40])


def test_repeats_are_different_clips_with_their_own_frames() -> None:
    generators = [sample_generator(0, 0, 0, repeat) for repeat in range(2)]
    clips = np.array([[0, 1, 3, 3], [0, 2, 2, 3]])
    made = TrainTransform(size=32)(gradient(4), clips, generators)
    assert made.clips.shape == (2, 4, 32, 32, 3)
    assert made.clips[:, :, 0, 0, 2].tolist() == [[0, 9, 27, 27], [0, 18, 18, 27]]
    assert not torch.equal(made.clips[0, 0], made.clips[1, 0])
    alone = TrainTransform(size=32)(gradient(4), clips[:1], [sample_generator(0, 0, 0, 0)])
    assert torch.equal(alone.clips[0], made.clips[0])


def test_erasing_leaves_the_clean_share_alone_where_nothing_else_changes_the_frames() -> None:
    erasing = RandomErasing((0.5,) * 3, (0.2,) * 3, probability=1.0, mode="const", area=(0.2, 0.3))
    transform = TrainTransform(32, (1.0, 1.0), (1.0, 1.0), flip=Flip(0.0), erasing=erasing, clean_share=0.5)
    frames = gradient(4, 32, 32)
    made = transform(
        frames, np.arange(4)[None].repeat(2, axis=0), [sample_generator(0, 0, 0, r) for r in (0, 1)]
    )
    assert torch.equal(made.clips[0], gradient(4, 32, 32)) and torch.equal(frames, made.clips[0])
    assert not torch.equal(made.clips[1], frames)


def test_erasing_leaves_the_clean_share_of_the_repeats_alone() -> None:
    erasing = RandomErasing((0.5,) * 3, (0.2,) * 3, probability=1.0, mode="const", area=(0.2, 0.3))
    plain, erased = TrainTransform(size=32), TrainTransform(size=32, erasing=erasing, clean_share=0.5)
    clips = np.tile(np.arange(4), (2, 1))

    def made(transform: TrainTransform) -> Tensor:
        return transform(gradient(4), clips, [sample_generator(0, 0, 0, r) for r in range(2)]).clips

    same = (made(plain) == made(erased)).flatten(1).all(dim=1)
    assert same.tolist() == [True, False]


def test_colours_are_drawn_last_and_one_per_clip() -> None:
    generators = [[sample_generator(0, 0, 5)] for _ in range(2)]
    plain = TrainTransform(size=32)(gradient(4), ALL_FRAMES, generators[0])
    coloured = TrainTransform(size=32, colour=ColourJitter())(gradient(4), ALL_FRAMES, generators[1])
    assert torch.equal(plain.clips, coloured.clips)
    assert plain.colours is None
    assert coloured.colours is not None
    assert len(coloured.colours) == 1


@pytest.mark.parametrize("before_crop", [True, False])
def test_rand_augment_acts_on_the_frame_or_on_the_crop(before_crop: bool) -> None:
    augment = RandAugment(probability=1.0)
    transform = TrainTransform(size=32, rand_augment=augment, rand_augment_before_crop=before_crop)
    made = [transform(gradient(4), ALL_FRAMES, [sample_generator(0, 0, i)]).clips for i in range(4)]
    assert all(clips.shape == (1, 4, 32, 32, 3) for clips in made)
    again = transform(gradient(4), ALL_FRAMES, [sample_generator(0, 0, 2)]).clips
    assert torch.equal(made[2], again)
