"""STAN: a branch beside a tuned CLIP that relates patches across frames (Liu et al., CVPR 2023).

    video (B,3,T,H,W) ──frames──► ViT ──tokens after each of its last K blocks──► (B,T,1+N,D)
                                       │                                                 │
                                       │        class c (B,D), patches x (B,T,N,D) ─► STAN layer 0 … K-1
                                       │                                                 │
                  last class tokens (B,T,D) ─────────────── + class (B,D) ◄──────────────┘
                                       └─► ln_post, proj ─► frames (B,T,E) ──mean──► video (B,E)

A STAN layer first mixes each position over time (self-attention or a convolution over three frames), then
each frame over its positions, with a block that starts as a copy of CLIP's. There is one class token for the
whole clip: every frame gets a copy of it, and what the copies gain is averaged.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.clip import Clip
from models.config import StanConfig
from models.interface import Role, VideoFeatures, VideoModel
from models.layers.attention import ResidualAttentionBlock, SelfAttention
from models.layers.basic import LayerNorm
from models.layers.drop_path import DropPath
from models.layers.temporal import TemporalConv, interpolate_in_time

_CONV_REDUCTION = 8  # of the channels, inside the convolution over time


class AttentionOverTime(nn.Module):
    """Each position attends to itself in all frames; a Linear that starts at zero feeds the result back."""

    def __init__(self, width: int, heads: int, drop_path: float) -> None:
        super().__init__()
        self.ln = LayerNorm(width)
        self.attn = SelfAttention(width, heads)
        self.drop_path = DropPath(drop_path)
        self.fc = nn.Linear(width, width)
        self.initialize()

    def forward(self, x: Tensor) -> Tensor:
        """Patches x (B,T,N,D) → the same shape."""
        b, _, n, _ = x.shape
        sequences = x.transpose(1, 2).flatten(0, 1)  # (B·N,T,D)
        mixed = self.fc(self.drop_path(self.attn(self.ln(sequences))))
        return x + mixed.unflatten(0, (b, n)).transpose(1, 2)

    @torch.no_grad()
    def initialize(self) -> None:
        """Attention as torch's Linear starts; the last Linear at zero."""
        for linear in (self.attn.in_proj_weight, self.attn.out_proj.weight):
            nn.init.kaiming_uniform_(linear, a=math.sqrt(5))
        bound = self.attn.in_proj_weight.shape[1] ** -0.5
        for bias in (self.attn.in_proj_bias, self.attn.out_proj.bias):
            bias.uniform_(-bound, bound)
        self.fc.weight.zero_()
        self.fc.bias.zero_()


class ConvolutionOverTime(nn.Module):
    """A bottleneck with a convolution over three frames at each position, in place of attention."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = width // _CONV_REDUCTION
        self.reduce = nn.Linear(width, hidden)
        self.conv = TemporalConv(hidden, hidden, 3)
        self.expand = nn.Linear(hidden, width)
        nn.init.zeros_(self.expand.weight)  # as attention's last Linear
        nn.init.zeros_(self.expand.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Patches x (B,T,N,D) → the same shape."""
        return x + self.expand(F.gelu(self.conv(self.reduce(x))))


OverTime = AttentionOverTime | ConvolutionOverTime


class StanLayer(nn.Module):
    """Across frames, then within frames."""

    def __init__(self, over_time: OverTime, within_frame: ResidualAttentionBlock, drop_path: float) -> None:
        super().__init__()
        self.over_time = over_time
        self.within_frame = within_frame
        self.drop_path = DropPath(drop_path)

    def forward(self, c: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Class token c (B,D) and patches x (B,T,N,D) → the same shapes."""
        b, t = x.shape[:2]
        x = self.over_time(x)
        copies = c[:, None, None].expand(-1, t, -1, -1)
        tokens = torch.cat([copies, x], dim=2).flatten(0, 1)  # (B·T,1+N,D)
        block = self.within_frame
        gained = self.drop_path(block.attn(block.ln_1(tokens))).unflatten(0, (b, t))
        c, x = c + gained[:, :, 0].mean(dim=1), x + gained[:, :, 1:]
        return c + block.mlp(block.ln_2(c)), x + block.mlp(block.ln_2(x))


class StanBranch(nn.Module):
    """All that STAN adds: K layers and a table of positions in time."""

    def __init__(self, clip: Clip, config: StanConfig) -> None:
        super().__init__()
        architecture = clip.architecture
        width, heads = architecture.vision_width, architecture.vision_heads
        rates = [config.drop_path * n / max(1, config.depth - 1) for n in range(config.depth)]
        blocks = clip.visual.transformer.resblocks[-config.depth :]
        self.temporal_embedding = nn.Parameter(torch.empty(config.max_frames, width))
        self.layers = nn.ModuleList()
        for block, rate in zip(blocks, rates, strict=True):
            assert isinstance(block, ResidualAttentionBlock)
            over_time: OverTime = (
                AttentionOverTime(width, heads, rate)
                if config.time_module == "selfattn"
                else ConvolutionOverTime(width)
            )
            self.layers.append(StanLayer(over_time, copy.deepcopy(block), rate))
        nn.init.normal_(self.temporal_embedding)

    def forward(self, stream: Iterator[Tensor], positions: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (B,T,1+N,D) of each tapped block, and CLIP's class embedding and positions (1+N,D), added.

        Returns the clip's class token (B,D) and CLIP's last class tokens (B,T,D).
        """
        tokens = next(stream)
        time = self._time_positions(tokens.shape[1]).to(tokens.dtype)
        c = 0.5 * (tokens[:, :, 0].mean(dim=1) + positions[0].to(tokens.dtype))
        x = tokens[:, :, 1:] + positions[1:].to(tokens.dtype) + time[:, None]
        for n, layer in enumerate(self.layers):
            if n > 0:
                tokens = next(stream)
                c, x = c + tokens[:, :, 0].mean(dim=1), x + tokens[:, :, 1:]
            c, x = layer(c, x)
        return c, tokens[:, :, 0]

    def _time_positions(self, frames: int) -> Tensor:
        """Rows of the table as they are; interpolated only for clips that are longer than it."""
        table = self.temporal_embedding
        return table[:frames] if frames <= len(table) else interpolate_in_time(table, frames)


class Stan(VideoModel):
    """A tuned CLIP with a STAN branch."""

    def __init__(
        self,
        clip: Clip,
        config: StanConfig,
        *,
        alpha: int = 1,
        tune_visual: bool = True,
        tune_text: bool = True,
    ) -> None:
        """alpha: CLIP sees every α-th frame. Raises ValueError for more layers than CLIP has blocks."""
        super().__init__(clip, alpha=alpha)
        depth = clip.visual.depth
        if config.depth > depth:
            raise ValueError(
                f"VIDEO.BACKBONE.STAN.DEPTH {config.depth} is more than the image encoder's {depth} blocks"
            )
        self.branch = StanBranch(clip, config)
        self.selected = tuple(range(depth - config.depth, depth))
        self.tune_visual, self.tune_text = tune_visual, tune_text

    def forward(self, video: Tensor) -> VideoFeatures:
        """video (B,3,T,H,W), float, normalised → embeddings; `frames` hold the branch's class token, too."""
        visual = self.clip.visual
        positions = visual.positions(video.shape[3] // visual.patch_size, video.shape[4] // visual.patch_size)
        positions = torch.cat([positions[:1] + visual.class_embedding, positions[1:]])
        stream = visual.stream(self.shown_frames(video), self.selected)
        c, class_tokens = self.branch(stream, positions)
        frames = visual.pool((class_tokens + c[:, None])[:, :, None])
        return VideoFeatures(video=frames.mean(dim=1), frames=frames)

    def role(self, name: str) -> Role:
        """The branch is new; CLIP's towers are tuned where the configuration says so."""
        if name.startswith("branch."):
            return Role.NEW
        tuned = (self.tune_visual and name.startswith("clip.visual.")) or (
            self.tune_text and name.startswith("clip.text.")
        )
        return Role.PRETRAINED if tuned else Role.FROZEN

    def decays(self, name: str, parameter: nn.Parameter) -> bool:
        """Everything but norms and biases, as released: class, position and time embeddings decay, too."""
        *modules, last = name.split(".")
        return not last.endswith("bias") and not (modules and modules[-1].startswith("ln"))
