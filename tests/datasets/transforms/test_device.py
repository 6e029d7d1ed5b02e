"""Batched colours on the device against torchvision's functions, clip by clip; and normalisation."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from datasets.sampling import sample_generator
from datasets.transforms.colour import NEUTRAL, ColourDraw, ColourJitter, ColourParameters
from datasets.transforms.device import DeviceTransform, apply_colour, hue, normalise

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def random_video(clips: int, frames: int = 3) -> Tensor:
    """uint8 (B,3,T,8,10)."""
    shape = (clips, 3, frames, 8, 10)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def torchvision_oracle(clip: Tensor, draw: ColourDraw, gray_first: bool) -> Tensor:
    """One clip float (3,T,H,W) in [0,1] through torchvision, frame by frame."""
    functions = (tv.adjust_brightness, tv.adjust_contrast, tv.adjust_saturation, tv.adjust_hue)
    frames = []
    for frame in clip.unbind(1):
        if draw.gray and gray_first:
            frame = tv.rgb_to_grayscale(frame, num_output_channels=3)
        for operation in draw.order:
            frame = functions[operation](frame, draw.factors[operation])
        if draw.gray and not gray_first:
            frame = tv.rgb_to_grayscale(frame, num_output_channels=3)
        frames.append(frame)
    return torch.stack(frames, dim=1)


@pytest.mark.parametrize("gray_first", [True, False])
def test_batched_colours_are_torchvisions_clip_by_clip(gray_first: bool) -> None:
    jitter = ColourJitter(
        probability=0.8, brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1, grayscale=0.3
    )
    draws = [jitter.draw(sample_generator(0, 0, index)) for index in range(24)]
    assert {draw.gray for draw in draws} == {True, False}
    assert NEUTRAL in {draw.factors for draw in draws}
    video = random_video(len(draws)) / 255
    expected = torch.stack([torchvision_oracle(*pair, gray_first) for pair in zip(video, draws, strict=True)])
    changed = apply_colour(video.clone(), ColourParameters.stack(draws), gray_first=gray_first)
    assert (changed - expected).abs().max() < 1e-5


@pytest.mark.parametrize("turns", [-0.5, -0.3, 0.0, 0.2, 0.5])
def test_hue_of_every_kind_of_colour(turns: float) -> None:
    levels = torch.tensor([0.0, 0.3, 0.3, 1.0])
    colours = torch.cartesian_prod(levels, levels, levels).T.reshape(
        1, 3, 1, 8, 8
    )  # ties, greys, pure colours
    ours = hue(colours, torch.full((1, 1, 1, 1, 1), turns))
    assert (ours - tv.adjust_hue(colours[0, :, 0], turns)[None, :, None]).abs().max() < 1e-5


def test_normalisation_is_the_formula_and_the_result_contiguous() -> None:
    video = random_video(2).movedim(1, -1).contiguous().movedim(-1, 1)  # channels last in memory, as collated
    normalised = normalise(video, MEAN, STD)
    expected = (video.double() / 255 - torch.tensor(MEAN).view(3, 1, 1, 1)) / torch.tensor(STD).view(
        3, 1, 1, 1
    )
    assert normalised.is_contiguous()
    assert normalised.dtype == torch.float32
    assert (normalised - expected).abs().max() < 2e-6
    views = normalise(video[:, None].expand(-1, 2, -1, -1, -1, -1), MEAN, STD)
    assert torch.equal(views[:, 1], normalised)


def test_colours_that_change_nothing_give_the_plain_normalisation() -> None:
    video = random_video(2)
    transform = DeviceTransform(MEAN, STD)
    nothing = ColourParameters.stack([ColourDraw(False, (3, 1, 2, 0), NEUTRAL)] * 2)
    assert torch.equal(transform(video, nothing), normalise(video, MEAN, STD))
    gray = transform(video, ColourParameters.stack([ColourDraw(True, (0, 1, 2, 3), NEUTRAL)] * 2))
    restored = gray * torch.tensor(STD).view(3, 1, 1, 1) + torch.tensor(MEAN).view(3, 1, 1, 1)
    assert (restored[:, 0] - restored[:, 2]).abs().max() < 1e-6
    with pytest.raises(ValueError, match="colours of 2 clips"):
        transform(random_video(3), ColourParameters.stack([ColourDraw(True, (0, 1, 2, 3), NEUTRAL)] * 2))


def test_draws_have_their_ranges_orders_and_probabilities() -> None:
    jitter = ColourJitter(
        probability=0.5, brightness=0.4, contrast=1.5, saturation=0.2, hue=0.1, grayscale=0.2
    )
    draws = [jitter.draw(sample_generator(0, 0, index)) for index in range(1000)]
    parameters = ColourParameters.stack(draws)
    assert abs(float(parameters.gray.float().mean()) - 0.2) < 0.04
    jittered = parameters.factors[(parameters.factors != torch.tensor(NEUTRAL)).any(dim=1)]
    assert abs(len(jittered) / 1000 - 0.5) < 0.05
    for column, (low, high) in enumerate([(0.6, 1.4), (0.0, 2.5), (0.8, 1.2), (-0.1, 0.1)]):
        spread = (high - low) * 0.02
        assert low <= float(jittered[:, column].min()) < low + spread
        assert high - spread < float(jittered[:, column].max()) <= high
    assert len(set(map(tuple, parameters.order.tolist()))) == 24
    fixed = ColourJitter(shuffle=False).draw(sample_generator(0, 0, 0))
    assert fixed.order == (0, 1, 2, 3)


def test_switching_the_order_or_the_jitter_off_leaves_the_grayscale_draw_alone() -> None:
    settings = [ColourJitter(probability=p, shuffle=s) for p in (0.0, 1.0) for s in (True, False)]
    for index in range(50):
        assert len({setting.draw(sample_generator(0, 0, index)).gray for setting in settings}) == 1
