"""The fixed transforms of test videos: all temporal and spatial views from one set of decoded frames.

frames (n,H,W,3) + which of them make up each temporal view (K,T)
    ──resize short side──► crops ──► views (K·C,T,h,w,3), crops of the first clip first
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from datasets.sampling import Indices
from datasets.transforms.crop import crop, evaluation_boxes
from datasets.transforms.resize import Interpolation, resize, short_side_size
from datasets.transforms.transformed import TransformedClips


@dataclass(frozen=True)
class EvaluationTransform:
    """Settings of the test transforms.

    short_side: DATA.TEST_SCALE; size: DATA.TEST_CROP_SIZE, not more than it; num_crops: 1 (centre) or 3.
    """

    size: int = 224
    short_side: int = 224
    num_crops: int = 1
    interpolation: Interpolation = "bilinear"
    antialias: bool = False

    def __call__(
        self, frames: Tensor, clips: Indices, generators: Sequence[torch.Generator] = ()
    ) -> TransformedClips:
        """Views uint8 (K·C,T,size,size,3) of frames uint8 (n,H,W,3); clips (K,T) are positions in `frames`.

        Every frame is resized once, however many views show it. `generators` go unused: nothing is random.
        """
        height, width = short_side_size(frames.shape[1], frames.shape[2], self.short_side)
        resized = resize(frames, height, width, interpolation=self.interpolation, antialias=self.antialias)
        boxes = evaluation_boxes(height, width, self.size, self.num_crops)
        num_views, num_frames = len(clips) * len(boxes), clips.shape[1]
        views = torch.empty((num_views, num_frames, self.size, self.size, 3), dtype=torch.uint8)
        chosen = [(torch.from_numpy(clip), box) for clip in clips for box in boxes]
        for view, (positions, box) in zip(views, chosen, strict=True):
            torch.index_select(crop(resized, box), 0, positions, out=view)
        return TransformedClips(clips=views, mirrored=(False,) * len(views), colours=None)
