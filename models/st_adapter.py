"""ST-Adapter: bottlenecks with a temporal convolution inside a frozen CLIP (Pan et al. 2022, 2206.13559).

    video (B,3,T,H,W) ──► tokens (B,T,1+N,D) ─► 12 x [adapter] attention, adapter, MLP ─► class tokens (B,T,D)
                                                                        mean over T, ln_post ─► video (B,D)

Frames meet only in the adapters, which act on the patch tokens: x += fc2(depthwise_T(fc1 x)), without a norm
or an activation. Their convolutions start at zero, so the network starts as CLIP on single frames. The video
features are D wide, outside CLIP's joint space: they go with a linear head.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.clip import Clip
from models.interface import Role, VideoFeatures, VideoModel
from models.layers.attention import ResidualAttentionBlock
from models.layers.depthwise import DepthwiseTemporalConv
from models.peer_config import StAdapterConfig


class SpatioTemporalAdapter(nn.Module):
    """x += fc2(depthwise_T(fc1 x)) on the patch tokens; the class token passes."""

    def __init__(self, width: int, hidden: int, kernel: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.conv = DepthwiseTemporalConv(hidden, kernel)
        self.fc2 = nn.Linear(hidden, width)
        for parameter in (self.conv.weight, self.conv.bias, self.fc1.bias, self.fc2.bias):
            nn.init.zeros_(parameter)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens (B,T,1+N,D) → the same shape."""
        patches = tokens[:, :, 1:]
        patches = patches + self.fc2(self.conv(self.fc1(patches)))
        return torch.cat([tokens[:, :, :1], patches], dim=2)


class AdaptedBlock(nn.Module):
    """What ST-Adapter adds to one block of the image tower."""

    def __init__(self, width: int, config: StAdapterConfig) -> None:
        super().__init__()
        sizes = (width, config.adapter_width, config.temporal_kernel_size)
        twice = config.adapters_per_block > 1
        self.before_attention = SpatioTemporalAdapter(*sizes) if twice else nn.Identity()
        self.before_mlp = SpatioTemporalAdapter(*sizes)

    def forward(self, tokens: Tensor, block: ResidualAttentionBlock) -> Tensor:
        """tokens (B,T,L,D) through the frozen `block` → (B,T,L,D)."""
        clips = tokens.shape[:2]
        x = self.before_attention(tokens).flatten(0, 1)
        x = x + block.attn(block.ln_1(x))
        x = self.before_mlp(x.unflatten(0, clips)).flatten(0, 1)
        x = x + block.mlp(block.ln_2(x))
        return x.unflatten(0, clips)


class StAdapter(VideoModel):
    """A frozen CLIP image tower with ST-Adapters in all of its blocks."""

    in_joint_space = False

    def __init__(self, clip: Clip, config: StAdapterConfig, *, alpha: int = 1) -> None:
        """alpha: every α-th frame of a clip is shown to the model."""
        super().__init__(clip, alpha=alpha)
        width = clip.architecture.vision_width
        self.blocks = nn.ModuleList(AdaptedBlock(width, config) for _ in range(clip.visual.depth))

    def forward(self, video: Tensor) -> VideoFeatures:
        """video (B,3,T,H,W), float, normalised → features (B,D) and (B,T,D)."""
        visual, frames = self.clip.visual, self.shown_frames(video)
        tokens = visual.embed(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
        for adapted, block in zip(self.blocks, visual.transformer.resblocks, strict=True):
            tokens = adapted(tokens, block)
        class_tokens = tokens[:, :, 0]  # (B,T,D)
        return VideoFeatures(video=visual.ln_post(class_tokens.mean(dim=1)), frames=class_tokens)

    def role(self, name: str) -> Role:
        """The adapters are new, CLIP is frozen."""
        return Role.NEW if name.startswith("blocks.") else Role.FROZEN

    def decays(self, name: str, parameter: nn.Parameter) -> bool:
        """Everything but biases, as released."""
        return not name.endswith("bias")
