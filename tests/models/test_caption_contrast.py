"""The loss of images that share captions, against a computation image by image and caption by caption."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from models.caption_contrast import caption_contrast


def by_hand(images: Tensor, captions: Tensor, caption_of: Tensor, scale: float) -> float:
    logits = [[scale * float(F.cosine_similarity(i, c, dim=0)) for c in captions] for i in images]
    image_side = [
        math.log(sum(map(math.exp, row))) - row[k] for row, k in zip(logits, caption_of, strict=True)
    ]
    text_side = []
    for caption in sorted(set(caption_of.tolist())):
        column = [row[caption] for row in logits]
        own = [value for value, k in zip(column, caption_of.tolist(), strict=True) if k == caption]
        text_side.append(math.log(sum(map(math.exp, column))) - sum(own) / len(own))
    return 0.5 * (sum(image_side) / len(image_side) + sum(text_side) / len(text_side))


def test_equals_the_sum_by_hand_and_leaves_out_captions_that_no_image_has() -> None:
    generator = torch.Generator().manual_seed(0)
    images, captions = (torch.randn(count, 8, generator=generator) for count in (7, 5))
    caption_of = torch.tensor([0, 3, 3, 1, 0, 3, 1])  # 2 and 4 belong to no image
    loss = caption_contrast(images, captions, caption_of, torch.tensor(math.log(5.0)))
    assert math.isclose(float(loss), by_hand(images, captions, caption_of, 5.0), rel_tol=1e-5)


def test_is_least_when_every_image_lies_on_its_caption() -> None:
    captions, caption_of = torch.eye(4), torch.arange(4).repeat(2)
    scale = torch.tensor(math.log(50.0))
    right = caption_contrast(captions[caption_of], captions, caption_of, scale)
    wrong = caption_contrast(captions[caption_of.roll(1)], captions, caption_of, scale)
    assert float(right) < math.log(2) / 2 + 1e-3  # a caption of two images must share between them
    assert float(wrong) > 10
