"""EVL: a decoder that reads a video from the last blocks of a frozen CLIP (Lin et al. 2022, 2208.03550).

    video (B,3,T,H,W) ──► frozen ViT, last M blocks: tokens f (B,T,1+N,D), queries and keys (B,T,heads,1+N,64)
                                         │ one per layer
                   x = learned query ─► M decoder layers ─► norm ─► video (B,D)

One decoder layer:
    f += depthwise_T(f);  f += positions;  f += what the patches of a frame attend to in its neighbours
    x += cross_attention(norm1 x; norm3(f as one sequence));  x += MLP(norm2 x)
What a patch attends to is told by relative position: the frozen attention between two frames, averaged over
heads, times a table of one vector per offset on the grid. No gradient passes through CLIP. The features are D
wide, outside CLIP's joint space.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.clip import Clip, VisionTower
from models.interface import Role, VideoFeatures, VideoModel
from models.layers.attention import ResidualAttentionBlock
from models.layers.basic import LayerNorm, quick_gelu
from models.layers.cross_attention import CrossAttention
from models.layers.depthwise import DepthwiseTemporalConv
from models.layers.temporal import interpolate_in_time
from models.peer_config import EvlConfig

_MLP_RATIO = 4


@dataclass(frozen=True)
class BlockMemory:
    """What one frozen block gives the decoder."""

    tokens: Tensor  # (B,T,1+N,D), after the block
    query: Tensor  # (B,T,heads,1+N,head width), of the block's attention
    key: Tensor


class FrameToFrame(nn.Module):
    """Adds to each frame's patches where the frozen attention leads in the frame before and the one after."""

    def __init__(self, width: int, grid: int) -> None:
        super().__init__()
        self.w1 = nn.Parameter(torch.zeros((2 * grid - 1) ** 2, width))
        self.w2 = nn.Parameter(torch.zeros((2 * grid - 1) ** 2, width))
        self.offsets: Tensor
        self.register_buffer("offsets", grid_offsets(grid), persistent=False)

    def forward(self, memory: BlockMemory) -> Tensor:
        """→ (B,T,N,D), to be added to the patch tokens."""
        query, key = memory.query[..., 1:, :], memory.key[..., 1:, :]
        if len(self.offsets) != query.shape[-2]:
            raise ValueError(
                f"EVL was built for {len(self.offsets)} patches a frame and got {query.shape[-2]}: its "
                "tables of offsets fit one size of crop; use the image encoder's own resolution"
            )
        before = self._gather(query[:, 1:], key[:, :-1], self.w1)
        after = self._gather(query[:, :-1], key[:, 1:], self.w2)
        # not zeros_like of a frame: a clip of one has no neighbours, so nothing in `before`
        none = before.new_zeros(before.shape[0], 1, *before.shape[2:])
        return torch.cat([none, before], dim=1) + torch.cat([after, none], dim=1)

    def _gather(self, query: Tensor, key: Tensor, table: Tensor) -> Tensor:
        """Σ over key patches of attention · table[offset]: (B,T-1,heads,N,·), (R,D) → (B,T-1,N,D)."""
        with torch.no_grad():  # both come from the frozen encoder
            scores = torch.matmul(query * query.shape[-1] ** -0.5, key.transpose(-1, -2))
            attention = scores.float().softmax(dim=-1).mean(dim=2).to(query.dtype)  # (B,T-1,N,N)
            # A query patch's offsets to all key patches differ: its attention, spread over the table's rows,
            # makes the sum one product, and the (N,N,D) vectors of all pairs need not be gathered.
            spread = attention.new_zeros(*attention.shape[:-1], len(table))
            spread.scatter_(-1, self.offsets.expand_as(attention), attention)
        return torch.matmul(spread, table.to(query.dtype))


def grid_offsets(grid: int) -> Tensor:
    """Row (N,N) of a table of offsets for query patch p and key patch p' on a grid x grid: query − key."""
    # a fact, not a weight: also in a network that is built on the meta device and filled from a file
    steps = torch.arange(grid, device="cpu")
    rows, columns = (axis.flatten() for axis in torch.meshgrid(steps, steps, indexing="ij"))
    down = rows[:, None] - rows[None, :] + grid - 1
    right = columns[:, None] - columns[None, :] + grid - 1
    return down * (2 * grid - 1) + right


class DecoderLayer(nn.Module):
    """One look of the query at the tokens of one frozen block."""

    def __init__(self, width: int, heads: int, frames: int, grid: int, config: EvlConfig) -> None:
        super().__init__()
        self.temporal_conv = DepthwiseTemporalConv(width, config.temporal_kernel_size)
        self.positions = nn.Parameter(torch.zeros(frames, width))
        self.frame_to_frame = FrameToFrame(width, grid)
        self.norm_query = LayerNorm(width)
        self.norm_memory = LayerNorm(width)
        self.attention = CrossAttention(width, heads, projection_bias=True)
        self.norm_mlp = LayerNorm(width)
        self.fc1 = nn.Linear(width, _MLP_RATIO * width)
        self.fc2 = nn.Linear(_MLP_RATIO * width, width)
        self.dropout = nn.Dropout(config.mlp_dropout_rate)
        for linear in (self.fc1, self.fc2):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, x: Tensor, memory: BlockMemory) -> Tensor:
        """x (B,1,D) → (B,1,D)."""
        f = memory.tokens + self.temporal_conv(memory.tokens)
        f = f + interpolate_in_time(self.positions, f.shape[1]).to(f.dtype)[:, None]
        f = torch.cat([f[:, :, :1], f[:, :, 1:] + self.frame_to_frame(memory)], dim=2)
        x = x + self.attention(self.norm_query(x), self.norm_memory(f.flatten(1, 2)))
        hidden = self.dropout(quick_gelu(self.fc1(self.norm_mlp(x))))
        return x + self.fc2(hidden)


class Evl(VideoModel):
    """A frozen CLIP image tower read by a decoder."""

    in_joint_space = False
    takes_any_crop = False  # its tables of offsets fit one grid of patches

    def __init__(self, clip: Clip, config: EvlConfig, *, frames: int, alpha: int = 1) -> None:
        """frames: T, the frames that are shown to the model: every α-th of a clip's. Raises ValueError for
        more decoder layers than blocks.
        """
        super().__init__(clip, alpha=alpha)
        architecture = clip.architecture
        if config.decoder_layers > clip.visual.depth:
            raise ValueError(
                f"VIDEO.BACKBONE.EVL.DECODER_LAYERS {config.decoder_layers} is more than the image encoder's "
                f"{clip.visual.depth} blocks"
            )
        width, heads = architecture.vision_width, architecture.vision_heads
        grid = architecture.image_size // architecture.patch_size
        self.query = nn.Parameter(torch.zeros(width))
        self.layers = nn.ModuleList(
            DecoderLayer(width, heads, frames, grid, config) for _ in range(config.decoder_layers)
        )
        self.norm = LayerNorm(width)

    def forward(self, video: Tensor) -> VideoFeatures:
        """video (B,3,T,H,W), float, normalised → features (B,D) and the frames' class tokens (B,T,D)."""
        frames = self.shown_frames(video)
        memories = read_last_blocks(self.clip.visual, frames, len(self.layers))
        x = self.query.expand(frames.shape[0], 1, -1)  # len() would fix the batch of an exported graph
        for layer in self.layers:
            memory = next(memories)
            x = layer(x, memory)
        return VideoFeatures(video=self.norm(x[:, 0]), frames=memory.tokens[:, :, 0])

    def role(self, name: str) -> Role:
        """CLIP is frozen, the decoder is new."""
        return Role.FROZEN if name.startswith("clip.") else Role.NEW

    def decays(self, name: str, parameter: nn.Parameter) -> bool:
        """Everything, as released."""
        return True


def read_last_blocks(visual: VisionTower, frames: Tensor, count: int) -> Iterator[BlockMemory]:
    """What each of the last `count` blocks gives for frames (B,T,3,H,W), as it is computed."""
    clips = frames.shape[:2]
    x = visual.embed(frames.flatten(0, 1))
    for index, block in enumerate(visual.transformer.resblocks):
        assert isinstance(block, ResidualAttentionBlock)
        query, key, value = block.attn.project(block.ln_1(x))
        x = x + block.attn.mix(query, key, value)
        x = x + block.mlp(block.ln_2(x))
        if index >= visual.depth - count:
            yield BlockMemory(x.unflatten(0, clips), query.unflatten(0, clips), key.unflatten(0, clips))
