"""AIM: a frozen CLIP block used over time, then over space, with adapters (Yang et al. 2023, 2302.03024).

    video (B,3,T,H,W) ──► tokens (B,T,1+N,D) + one learned vector per frame ─► ln_pre ─► 12 blocks
                                                            ln_post(class tokens), mean over T ─► video (B,D)

One block, with A(x) = fc2(GELU(fc1 x)) and the same frozen attention and ln_1 twice:
    time   h = ln_1 x [+ A(h)];  x += A(attn h)        sequences of T tokens, one per token position
    space  s = attn(ln_1 x);     x += s + A(s)         sequences of 1+N tokens, one per frame
    MLP    n = ln_2 x;           x += mlp(n) + scale · A(n)
Every fc2 and the frames' vectors start at zero: the network starts as CLIP on single frames. The features are
D wide, outside CLIP's joint space.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.clip import Clip
from models.interface import Role, VideoFeatures, VideoModel
from models.layers.attention import ResidualAttentionBlock
from models.layers.drop_path import DropPath
from models.layers.patches import patchify
from models.layers.temporal import interpolate_in_time
from models.peer_config import AimConfig

_PUBLISHED_STD = 0.02


class Adapter(nn.Module):
    """fc2(GELU(fc1 x)), without a residual; starts at zero."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)
        nn.init.trunc_normal_(self.fc1.weight, std=_PUBLISHED_STD)
        for parameter in (self.fc1.bias, self.fc2.weight, self.fc2.bias):
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """x (..., width) → (..., width)."""
        return self.fc2(F.gelu(self.fc1(x)))


class AdaptedBlock(nn.Module):
    """What AIM adds to one block of the image tower."""

    def __init__(self, width: int, config: AimConfig, drop_path_rate: float) -> None:
        super().__init__()
        hidden = int(width * config.adapter_ratio)
        self.temporal_input = Adapter(width, hidden) if config.temporal_adapters > 1 else None
        self.temporal = Adapter(width, hidden)
        self.spatial = Adapter(width, hidden)
        self.mlp = Adapter(width, hidden)
        self.scale = config.adapter_scale
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, x: Tensor, block: ResidualAttentionBlock) -> Tensor:
        """x (B,T,L,D) through the frozen `block` → (B,T,L,D)."""
        x = x + self.drop_path(self._over_time(x, block))
        spatial = block.attn(block.ln_1(x).flatten(0, 1)).unflatten(0, x.shape[:2])
        x = x + spatial + self.spatial(spatial)
        normed = block.ln_2(x)
        return x + block.mlp(normed) + self.drop_path(self.scale * self.mlp(normed))

    def _over_time(self, x: Tensor, block: ResidualAttentionBlock) -> Tensor:
        b, _, length, _ = x.shape
        h = block.ln_1(x).transpose(1, 2).flatten(0, 1)  # (B·L,T,D)
        if self.temporal_input is not None:
            h = h + self.temporal_input(h)
        return self.temporal(block.attn(h)).unflatten(0, (b, length)).transpose(1, 2)


class Aim(VideoModel):
    """A frozen CLIP image tower, adapted in space, time and both. ln_post is tuned."""

    in_joint_space = False

    def __init__(self, clip: Clip, config: AimConfig, *, frames: int, alpha: int = 1) -> None:
        """frames: T, the frames that are shown to the model: every α-th of a clip's."""
        super().__init__(clip, alpha=alpha)
        width, depth = clip.architecture.vision_width, clip.visual.depth
        rates = [config.drop_path_rate * index / max(1, depth - 1) for index in range(depth)]
        self._rate_share = config.tower_rate_share
        self.positions = nn.Parameter(torch.zeros(frames, width))
        self.blocks = nn.ModuleList(AdaptedBlock(width, config, rate) for rate in rates)

    def forward(self, video: Tensor) -> VideoFeatures:
        """video (B,3,T,H,W), float, normalised → features (B,D) and (B,T,D)."""
        tokens = self._embed(self.shown_frames(video))
        for adapted, block in zip(self.blocks, self.clip.visual.transformer.resblocks, strict=True):
            tokens = adapted(tokens, block)
        frames = self.clip.visual.ln_post(tokens[:, :, 0])
        return VideoFeatures(video=frames.mean(dim=1), frames=frames)

    def _embed(self, frames: Tensor) -> Tensor:
        """frames (B,T,3,H,W) → tokens (B,T,1+N,D); the frames' vectors come in before the first norm."""
        visual = self.clip.visual
        height, width = (size // visual.patch_size for size in frames.shape[-2:])
        patches = visual.embed_patches(patchify(frames, visual.patch_size))
        class_token = visual.class_embedding.to(patches.dtype).expand(*patches.shape[:2], 1, -1)
        space = visual.positions(height, width).to(patches.dtype)
        time = interpolate_in_time(self.positions, frames.shape[1]).to(patches.dtype)
        return visual.ln_pre(torch.cat([class_token, patches], dim=2) + space + time[:, None])

    def role(self, name: str) -> Role:
        """CLIP's last norm is tuned, the rest of it frozen; the adapters are new."""
        if name.startswith("clip.visual.ln_post."):
            return Role.PRETRAINED
        return Role.FROZEN if name.startswith("clip.") else Role.NEW

    def decays(self, name: str, parameter: nn.Parameter) -> bool:
        """Everything but norms, biases and the frames' vectors included, as released."""
        return "ln_" not in name

    def rate_share(self, name: str) -> float:
        """The classifier's rate, or less of it."""
        return self._rate_share
