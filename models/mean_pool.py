"""CLIP on single frames: the mean of the frames' embeddings is the video's. Knows nothing of their order.

video (B,3,T,H,W) ──every α-th frame──► ViT ──► frames (B,S,E) ──mean──► video (B,E)
"""

from __future__ import annotations

from torch import Tensor

from models.clip import Clip
from models.interface import Role, VideoFeatures, VideoModel


class MeanPool(VideoModel):
    """Frozen by default (zero-shot, linear probe); each tower can be tuned (ViFi-CLIP)."""

    def __init__(
        self, clip: Clip, *, alpha: int = 1, tune_visual: bool = False, tune_text: bool = False
    ) -> None:
        super().__init__(clip)
        self.alpha = alpha
        self.tune_visual, self.tune_text = tune_visual, tune_text

    def forward(self, video: Tensor) -> VideoFeatures:
        """video (B,3,T,H,W), float, normalised → embeddings."""
        frames = self.clip.encode_frames(video.transpose(1, 2)[:, :: self.alpha])
        return VideoFeatures(video=frames.mean(dim=1), frames=frames)

    def frozen_frames(self, video: Tensor) -> Tensor:
        """Embeddings (B,S,E) of every α-th frame."""
        return self.clip.encode_frames(video.transpose(1, 2)[:, :: self.alpha])

    def role(self, name: str) -> Role:
        """CLIP's towers, where they are tuned."""
        tuned = (self.tune_visual and name.startswith("clip.visual.")) or (
            self.tune_text and name.startswith("clip.text.")
        )
        return Role.PRETRAINED if tuned else Role.FROZEN
