"""Horizontal flip of a clip, and what it does to the label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from datasets.randomness import happens


@dataclass(frozen=True)
class Flip:
    """Mirror a clip with a probability; classes that are each other's mirror image swap."""

    probability: float = 0.5
    label_pairs: tuple[tuple[int, int], ...] = ()

    def draws(self, generator: torch.Generator) -> bool:
        """Whether this clip is mirrored."""
        return happens(self.probability, generator)

    def mirrored_labels(self, labels: Sequence[int]) -> tuple[int, ...]:
        """The labels of a mirrored clip. Pairs are about the only head of a data set.

        Raises:
            ValueError: there are pairs, and several heads.
        """
        if self.label_pairs and len(labels) > 1:
            raise ValueError(
                "AUGMENTATION.FLIP_LABEL_PAIRS names classes of one head, but this video has the labels "
                f"{tuple(labels)}: "
                "set FLIP_LABEL_PAIRS to [] or AUGMENTATION.FLIP_PROB to 0"
            )
        twins = dict(self.label_pairs) | {second: first for first, second in self.label_pairs}
        return tuple(twins.get(label, label) for label in labels)


def mirror(frames: Tensor) -> Tensor:
    """Frames (…,H,W,3) with left and right exchanged, a copy."""
    return frames.flip(-2)
