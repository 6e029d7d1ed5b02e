"""CLIP on single frames: the mean of the frames' embeddings is the video's. Knows nothing of their order.

video (B,3,T,H,W) ──every α-th frame──► ViT ──► frames (B,S,E) ──mean──► video (B,E)
"""

from __future__ import annotations

from torch import Tensor, nn

from models.clip import Clip
from models.interface import Role, VideoFeatures, VideoModel


class MeanPool(VideoModel):
    """Frozen by default (zero-shot, linear probe); each tower can be tuned (ViFi-CLIP)."""

    def __init__(
        self, clip: Clip, *, alpha: int = 1, tune_visual: bool = False, tune_text: bool = False
    ) -> None:
        super().__init__(clip, alpha=alpha)
        self.tune_visual, self.tune_text = tune_visual, tune_text

    def forward(self, video: Tensor) -> VideoFeatures:
        """video (B,3,T,H,W), float, normalised → embeddings."""
        frames = self.clip.encode_frames(self.shown_frames(video))
        return VideoFeatures(video=frames.mean(dim=1), frames=frames)

    @property
    def frames_are_clips(self) -> bool:
        """Unless the image tower is tuned."""
        return not self.tune_visual

    def role(self, name: str) -> Role:
        """CLIP's towers, where they are tuned; with the text tower its scale, but not its table of words."""
        if name.startswith("clip.visual."):
            tuned = self.tune_visual
        else:
            tuned = self.tune_text and name != "clip.text.token_embedding.weight"
        return Role.PRETRAINED if tuned else Role.FROZEN

    def decays(self, name: str, parameter: nn.Parameter) -> bool:
        """Everything of a tuned CLIP, as in ViFi-CLIP's release."""
        return self.tune_visual or self.tune_text or super().decays(name, parameter)
