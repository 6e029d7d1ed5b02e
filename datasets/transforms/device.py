"""What happens to a batch on the device: colours, then normalisation.

    video (B,3,T,H,W) or (B,V,3,T,H,W) uint8 ──► float32 in [0,1] ──colours──► (x - mean) / std, same shape

Formulas are torchvision's for float images, computed for all clips of a batch at once, each with its own
factor. Nothing here waits for the device: what is to be done is known on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from datasets.transforms.colour import NEUTRAL, OPERATIONS, ColourParameters

_LUMA = (0.2989, 0.587, 0.114)
_CHANNEL = 1


class DeviceTransform:
    """Colours and normalisation with fixed mean and std (three numbers each, in [0, 1])."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], *, gray_first: bool = True) -> None:
        self.mean = tuple(mean)
        self.std = tuple(std)
        self.gray_first = gray_first

    def __call__(self, video: Tensor, colour: ColourParameters | None = None) -> Tensor:
        """Normalised float32, contiguous, of the shape and on the device of `video` (…,3,T,H,W) uint8.

        colour: one row per clip of video (B,3,T,H,W); None leaves colours alone.
        """
        if colour is None or not changes_anything(colour):
            return normalise(video, self.mean, self.std)
        if len(colour) != len(video) or video.ndim != 5:
            raise ValueError(
                f"colours of {len(colour)} clips do not fit a video of shape {tuple(video.shape)}"
            )
        scaled = video.to(torch.float32, memory_format=torch.contiguous_format).div_(255)
        return _standardise(apply_colour(scaled, colour, gray_first=self.gray_first), self.mean, self.std)


def normalise(video: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """(video/255 - mean)/std as contiguous float32, video uint8 (…,3,T,H,W)."""
    scaled = video.to(torch.float32, memory_format=torch.contiguous_format)
    return _standardise(scaled, [255 * value for value in mean], [255 * value for value in std])


def changes_anything(colour: ColourParameters) -> bool:
    """Whether any clip is to be changed at all."""
    return bool(colour.gray.any()) or bool((colour.factors != torch.tensor(NEUTRAL)).any())


def apply_colour(video: Tensor, colour: ColourParameters, *, gray_first: bool) -> Tensor:
    """Change the colours of clips float (B,3,T,H,W) in [0,1], in place: one row of `colour` per clip."""
    if gray_first:
        _change(video, colour.gray, to_grayscale)
    different = colour.factors != torch.tensor(NEUTRAL)
    for position in range(len(OPERATIONS)):
        for column, operation in enumerate((brightness, contrast, saturation, hue)):
            clips = (colour.order[:, position] == column) & different[:, column]
            _change(video, clips, operation, colour.factors[clips, column])
    if not gray_first:
        _change(video, colour.gray, to_grayscale)
    return video


def to_grayscale(video: Tensor) -> Tensor:
    """Clips float (B,3,T,H,W) with all three channels the luma."""
    return _luma(video).expand_as(video)


def brightness(video: Tensor, factor: Tensor) -> Tensor:
    """Clips float (B,3,T,H,W) times factor (B,1,1,1,1)."""
    return (video * factor).clamp_(0, 1)


def contrast(video: Tensor, factor: Tensor) -> Tensor:
    """Clips float (B,3,T,H,W) away from, or towards, each frame's mean luma; factor (B,1,1,1,1)."""
    return _blend(video, _luma(video).mean(dim=(-2, -1), keepdim=True), factor)


def saturation(video: Tensor, factor: Tensor) -> Tensor:
    """Clips float (B,3,T,H,W) away from, or towards, their grayscale; factor (B,1,1,1,1)."""
    return _blend(video, _luma(video), factor)


def hue(video: Tensor, turns: Tensor) -> Tensor:
    """Clips float (B,3,T,H,W) with hues shifted by turns (B,1,1,1,1) of the colour circle."""
    red, green, blue = video.unbind(_CHANNEL)
    value, chroma = video.amax(_CHANNEL), video.amax(_CHANNEL) - video.amin(_CHANNEL)
    divisor = torch.where(chroma > 0, chroma, 1)
    sector = torch.where(value == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor)
    sector = torch.where(value == red, (green - blue) / divisor, sector)
    sector = sector + 6 * turns.squeeze(_CHANNEL)
    # A channel of an HSV colour falls from `value` by up to `chroma`, as a trapezoid of its distance in
    # sectors.
    channels = []
    for offset in (5, 3, 1):
        distance = (sector + offset) % 6
        channels.append(value - chroma * torch.minimum(distance, 4 - distance).clamp_(0, 1))
    return torch.stack(channels, dim=_CHANNEL)


def _luma(video: Tensor) -> Tensor:
    """Brightness as seen, (B,1,T,H,W)."""
    red, green, blue = video.split(1, dim=_CHANNEL)
    return _LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue


def _blend(video: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    return (factor * video + (1 - factor) * other).clamp_(0, 1)


def _change(
    video: Tensor, clips: Tensor, operation: Callable[..., Tensor], factors: Tensor | None = None
) -> None:
    """Replace the chosen clips (bool (B,) on the CPU) by what `operation` makes of them."""
    if not bool(clips.any()):
        return
    rows = clips.nonzero().squeeze(1).to(video.device, non_blocking=True)
    columns = [] if factors is None else [factors.to(video.device, non_blocking=True).view(-1, 1, 1, 1, 1)]
    video[rows] = operation(video[rows], *columns)


def _standardise(video: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    shape = (3, 1, 1, 1)
    shift = torch.tensor(mean, dtype=torch.float32).view(shape).to(video.device, non_blocking=True)
    scale = torch.tensor(std, dtype=torch.float32).view(shape).to(video.device, non_blocking=True)
    return video.sub_(shift).div_(scale)
