"""CLIP4Clip: a tuned CLIP on frames, and one embedding of them (Luo et al., Neurocomputing 2022).

    video (B,3,T,H,W) ──frames──► ViT ──► frames c (B,T,E) ──[transformer over the frames, + c]──►
        each normalised ──mean──► video (B,E)

Frame embeddings are normalised before the mean; the cosine normalises the mean again.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.clip import Clip
from models.config import Clip4ClipConfig
from models.interface import Role, VideoFeatures, VideoModel
from models.layers.attention import Transformer
from models.layers.basic import LayerNorm

_NORM_EPS = 1e-12  # of the layer norms over frames; CLIP's own have 1e-5
_HEAD_WIDTH = 64
_MASKED = -1e6
NEVER_TUNED = ("conv1.", "class_embedding", "positional_embedding", "token_embedding.", "ln_pre.")
"""Parts of CLIP that the published scripts keep as they are."""


class FrameTransformer(nn.Module):
    """Frames attend to each other; the sum with what came in is returned. QuickGELU, as published, whichever
    activation the CLIP has.
    """

    def __init__(self, embed_dim: int, layers: int, positions: int) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.empty(positions, embed_dim))
        self.transformer = Transformer(embed_dim, layers, max(1, embed_dim // _HEAD_WIDTH))
        nn.init.normal_(self.positions, std=0.01)
        for module in self.modules():
            if isinstance(module, LayerNorm):
                module.eps = _NORM_EPS

    def forward(self, frames: Tensor, mask: Tensor | None = None) -> Tensor:
        """frames (B,T,E) → (B,T,E). mask (B,T): 1 for frames, 0 for padding, which no frame looks at.

        Raises ValueError for more frames than there are positions.
        """
        length = frames.shape[1]
        if length > len(self.positions):
            raise ValueError(
                f"clips of {length} frames: CLIP4Clip's transformer has {len(self.positions)} positions; set "
                "DATA.NUM_INPUT_FRAMES and DATA.NUM_TEST_FRAMES to at most that"
            )
        bias = None if mask is None else ((1 - mask.to(frames.dtype)) * _MASKED)[:, None, None]
        positioned = frames + self.positions[:length].to(frames.dtype)
        return self.transformer(positioned, mask=bias) + frames

    @torch.no_grad()
    def start_from_text(self, clip: Clip) -> None:
        """Take over the text tower's positions and first blocks. Raises ValueError when they do not fit."""
        text, own = clip.text, self.transformer.resblocks
        if text.positional_embedding.shape != self.positions.shape or len(text.transformer.resblocks) < len(
            own
        ):
            raise ValueError(
                f"VIDEO.BACKBONE.CLIP4CLIP.LAYERS {len(own)} of width {self.positions.shape[1]} cannot start "
                f"as the text tower's blocks, of which there are {len(text.transformer.resblocks)} of width "
                f"{text.positional_embedding.shape[1]}: take fewer layers, or POOLING mean"
            )
        self.positions.copy_(text.positional_embedding)
        for block, source in zip(own, text.transformer.resblocks, strict=False):
            block.load_state_dict(source.state_dict())


class Clip4Clip(VideoModel):
    """CLIP with mean pooling of normalised frames, or with a transformer over them before."""

    def __init__(
        self,
        clip: Clip,
        config: Clip4ClipConfig,
        *,
        alpha: int = 1,
        tune_visual: bool = True,
        tune_text: bool = True,
    ) -> None:
        """alpha: CLIP sees every α-th frame. Raises ValueError when the transformer cannot start as the text
        tower's.
        """
        super().__init__(clip, alpha=alpha)
        self.over_frames: FrameTransformer | None = None
        if config.pooling == "transformer":
            architecture = clip.architecture
            self.over_frames = FrameTransformer(
                architecture.embed_dim, config.layers, architecture.context_length
            )
            self.over_frames.start_from_text(clip)
        self.tune_visual, self.tune_text = tune_visual, tune_text

    @property
    def most_frames(self) -> int | None:
        """As many as the transformer has positions."""
        return None if self.over_frames is None else len(self.over_frames.positions)

    def forward(self, video: Tensor) -> VideoFeatures:
        """video (B,3,T,H,W), float, normalised → embeddings."""
        return self.pool(self.clip.encode_frames(self.shown_frames(video)))

    def pool(self, frames: Tensor, mask: Tensor | None = None) -> VideoFeatures:
        """CLIP's frame embeddings (B,T,E), mask (B,T) with 0 for padding → embeddings."""
        if self.over_frames is not None:
            frames = self.over_frames(frames, mask)
        normalised = F.normalize(frames, dim=-1)
        if mask is None:
            return VideoFeatures(video=normalised.mean(dim=1), frames=frames)
        weights = mask.to(frames.dtype)[..., None]
        video = (normalised * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)
        return VideoFeatures(video=video, frames=frames)

    def role(self, name: str) -> Role:
        """The transformer is new; CLIP is tuned but for its embeddings, where the configuration says so."""
        if name.startswith("over_frames."):
            return Role.NEW
        for tower, tuned in (("clip.visual.", self.tune_visual), ("clip.text.", self.tune_text)):
            if name.startswith(tower) and tuned and not name.removeprefix(tower).startswith(NEVER_TUNED):
                return Role.PRETRAINED
        return Role.FROZEN

    def decays(self, name: str, parameter: nn.Parameter) -> bool:
        """Everything but biases, the weights of layer norms included, as released."""
        return not name.endswith("bias")
