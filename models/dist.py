"""DiST: disentangled spatial and temporal learning beside a frozen CLIP (ICCV 2023, arXiv 2309.07911).

    video (B,3,T,H,W) ──every α-th frame──► frozen ViT ──tokens after each selected block──► F_i (B,S,1+N,D)
            │                                                                                   │
            └─all T frames─► stem ─► x (B,T,N,M) ─► T-block i ◄──────exchange──────► I-block i, m (B,S,1+N,C)
                                                                                                │
                                                               adaptive pooling ─► video embedding (B,E)

B clips · T dense frames · α SPARSE_SAMPLE_ALPHA · S = T/α sparse frames · N patches a frame, L = 1+N tokens ·
D ViT width · C integration width · M temporal width · E joint width.

Everything lies on one layout, channels last: (B, frames, positions, channels). Convolutions over time are
matrix products on it (layers/temporal.py), so nothing is permuted between token and video layouts, and the
frozen tokens are consumed as the encoder produces them. Weights keep the shapes of the convolutions that they
are, so that released weights load unchanged under the names of models/conversion.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.clip import Clip
from models.config import DistConfig
from models.dist_pooling import AdaptivePooling, normalised
from models.interface import Role, VideoFeatures, VideoModel
from models.layers.basic import QUICK_GELU_SLOPE, LayerNorm, Mlp, quick_gelu
from models.layers.exchange import exchange, side_by_side
from models.layers.integration import two_mlps
from models.layers.recomputing import spatial_convolution_of_silu
from models.layers.tadaconv import TemporalCalibration
from models.layers.temporal import (
    TemporalConv,
    interpolate_in_time,
    stack_over_time,
    temporal_convolution_of_norm,
    temporal_convolution_of_patches,
)

_PUBLISHED_STD = 0.02


@dataclass(frozen=True)
class DistSizes:
    """The sizes of a branch, in the letters of the module's docstring."""

    width: int  # D
    embed_dim: int  # E
    integration: int  # C
    temporal: int  # M
    sparse_frames: int  # S
    alpha: int
    patch: int
    layers: tuple[int, ...]


class TemporalStem(nn.Module):
    """Conv3d 3→M over (t, p, p) with stride (1, p, p): a frame's patches, with their neighbours in time."""

    def __init__(self, sizes: DistSizes, frames: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(sizes.temporal, 3, frames, sizes.patch, sizes.patch))
        self.bias = nn.Parameter(torch.zeros(sizes.temporal))

    def forward(self, frames: Tensor) -> Tensor:
        """frames (B,T,3,H,W) → (B,T,N,M)."""
        # (M,3,t,p,p) -> (M,3pp,t): a temporal convolution whose input channels are a patch's pixels
        weight = self.weight.permute(0, 1, 3, 4, 2).flatten(1, 3)
        return temporal_convolution_of_patches(frames, self.weight.shape[-1], weight, self.bias)


class TemporalBlock(nn.Module):
    """x ← QuickGELU(x + Conv(1,3,3)(QuickGELU(Conv(k,1,1)(LN x)))); adaptive: the second is a TAdaConv."""

    def __init__(self, width: int, hidden: int, kernel: int, *, adaptive: bool = False) -> None:
        super().__init__()
        self.ln = LayerNorm(width)
        self.temporal_conv = TemporalConv(width, hidden, kernel)
        self.calibration = TemporalCalibration(hidden) if adaptive else nn.Identity()
        self.spatial_conv = nn.Conv2d(hidden, width, kernel_size=3, padding=1)

    def forward(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """x (B,T,N,M) with N = rows · columns of `grid` → 1.702 times what the last QuickGELU is of, the same
        shape: the exchange takes it so.
        """
        b, t, n, _ = x.shape
        over_time, over_space, slope = self.temporal_conv, self.spatial_conv, QUICK_GELU_SLOPE
        # views below: the channels are last in memory, which the kernels like
        if isinstance(self.calibration, TemporalCalibration):
            y = temporal_convolution_of_norm(x, self.ln, over_time.weight, over_time.bias)
            images = self.calibration(quick_gelu(y)).view(b * t, *grid, -1).permute(0, 3, 1, 2)
            y = over_space(images).permute(0, 2, 3, 1) * slope
        else:  # QuickGELU's factors are inside the weights; those of both cancel in the second
            weight, bias = over_time.weight * slope, over_time.bias * slope
            y = temporal_convolution_of_norm(x, self.ln, weight, bias).view(b * t, *grid, -1)
            assert over_space.bias is not None
            y = spatial_convolution_of_silu(y, over_space.weight, over_space.bias * slope)
        return torch.add(y.reshape(b, t, n, -1), x, alpha=slope)


class ToIntegration(nn.Module):
    """Temporal features as tokens of the sparse frames: Conv3d M→C by (α,1,1), class token."""

    def __init__(self, sizes: DistSizes) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(sizes.integration, sizes.temporal, sizes.alpha, 1, 1))
        self.bias = nn.Parameter(torch.zeros(sizes.integration))
        self.class_token = nn.Parameter(torch.empty(sizes.sparse_frames, sizes.integration))

    def forward(self, x: Tensor) -> Tensor:
        """x (B,T,N,M) → (B,S,1+N,C)."""
        groups = side_by_side(x, self.weight.shape[2])
        tokens = F.linear(groups, self.matrix(), self.bias)
        class_token = self.class_tokens(groups.shape[1]).to(tokens.dtype)
        return torch.cat([class_token[None, :, None].expand(x.shape[0], -1, -1, -1), tokens], dim=2)

    def matrix(self) -> Tensor:
        """The strided kernel as a Linear's weight (C, α·M) on the α frames side by side."""
        return self.weight[..., 0, 0].transpose(1, 2).flatten(1)

    def class_tokens(self, sparse_frames: int) -> Tensor:
        """One for each sparse frame (S,C)."""
        return interpolate_in_time(self.class_token, sparse_frames)


class TemporalMlp(nn.Module):
    """C→H, convolution over time at each token position H→H, QuickGELU, H→C: the weights; IntegrationBlock
    computes.
    """

    def __init__(self, width: int, hidden: int, kernel: int) -> None:
        super().__init__()
        self.c_fc = nn.Linear(width, hidden)
        self.conv = TemporalConv(hidden, hidden, kernel)
        self.c_proj = nn.Linear(hidden, width)


class IntegrationBlock(nn.Module):
    """MLP(LN_a m) + TemporalMLP(LN_b m), without a skip."""

    def __init__(self, width: int, hidden: int, temporal_hidden: int, kernel: int) -> None:
        super().__init__()
        self.ln = LayerNorm(width)
        self.mlp = Mlp(width, hidden)
        self.ln_temporal = LayerNorm(width)
        self.temporal_mlp = TemporalMlp(width, temporal_hidden, kernel)

    def forward(self, m: Tensor) -> Tensor:
        """m (B,S,L,C) → (B,S,L,C)."""
        # Both norms centre and scale alike; what they learn on top is folded into the Linears behind them, so
        # that one pass over m and one matrix product serve both. QuickGELU's factors are in the weights, too.
        mlp, time, slope = self.mlp, self.temporal_mlp, QUICK_GELU_SLOPE
        weights, biases = zip(
            *(
                (fc.weight * (ln.weight * factor), (fc.bias + fc.weight @ ln.bias) * factor)
                for ln, fc, factor in ((self.ln, mlp.c_fc, slope), (self.ln_temporal, time.c_fc, 1.0))
            ),
            strict=True,
        )
        return two_mlps(
            m,
            self.ln.eps,
            torch.cat(weights),
            torch.cat(biases),
            *stack_over_time(time.conv.weight * slope, time.conv.bias * slope),
            torch.cat([mlp.c_proj.weight, time.c_proj.weight], dim=1) / slope,
            mlp.c_proj.bias + time.c_proj.bias,
        )


class DistStep(nn.Module):
    """What happens at one selected layer: both blocks and the exchange between them."""

    def __init__(self, config: DistConfig, sizes: DistSizes, *, is_last: bool = False) -> None:
        super().__init__()
        self.is_last = is_last
        c, m = sizes.integration, sizes.temporal
        kernel = config.temporal_kernel_size
        has_temporal, hidden = config.temporal_encoder != "none", int(m * config.temporal_conv_mlp_ratio)
        joins = has_temporal and (config.exchange_to_integration or is_last)
        adaptive = config.temporal_encoder == "tada"
        self.temporal_block = TemporalBlock(m, hidden, kernel, adaptive=adaptive) if has_temporal else None
        self.input_linear = nn.Linear(sizes.width, c)
        self.to_temporal = nn.Linear(c, m) if has_temporal and config.exchange_to_temporal else None
        self.to_integration = ToIntegration(sizes) if joins else None
        self.integration_block = IntegrationBlock(
            c, int(c * config.integration_mlp_ratio), int(c * config.integration_temporal_mlp_ratio), kernel
        )

    def forward(
        self, x: Tensor | None, r: Tensor | None, tokens: Tensor, grid: tuple[int, int]
    ) -> tuple[Tensor | None, Tensor, Tensor]:
        """x (B,T,N,M) or None without a temporal encoder, r (B,S,L,C) or None for 0, frozen tokens (B,S,L,D)
        → the next x and r, and m.
        """
        if x is None or self.temporal_block is None:
            m = self._inputs(tokens, r)
        else:
            x, m = self._exchange(self.temporal_block(x, grid), tokens, r)
        return x, self.integration_block(m), m

    def _inputs(self, tokens: Tensor, r: Tensor | None) -> Tensor:
        m = self.input_linear(tokens)
        return m if r is None else m + r

    def _exchange(self, before: Tensor, tokens: Tensor, r: Tensor | None) -> tuple[Tensor, Tensor]:
        """x and m with each other's messages, both made of the values before the exchange; x's last
        activation, too.
        """
        to_temporal, to_integration = self.to_temporal, self.to_integration
        if to_temporal is not None and to_integration is not None and not self.is_last:
            # The bias of m is added with what is added to it anyway.
            bias = self.input_linear.bias
            joined, x = exchange(
                before,
                tokens,
                r,
                self.input_linear.weight,
                to_integration.matrix() / QUICK_GELU_SLOPE,
                to_integration.bias + bias,
                to_integration.class_tokens(tokens.shape[1]) + bias,
                to_temporal.weight,
                to_temporal.bias + to_temporal.weight @ bias,
            )
            return x, joined
        m, x = self._inputs(tokens, r), F.silu(before) / QUICK_GELU_SLOPE
        joined = m if to_integration is None else m + to_integration(x)
        if to_temporal is None:
            return x, joined
        if self.is_last:
            # Nothing reads the temporal features any more. The release has the weights all the same; as a
            # zero they stay part of the graph, whose every weight distributed training expects a gradient of.
            return x, joined + 0.0 * (to_temporal.weight.sum() + to_temporal.bias.sum())
        b, t, n, width = x.shape
        # of all tokens, then without the class token: slicing the narrower side copies less
        message = to_temporal(m)[:, :, 1:].unsqueeze(2)  # (B,S,1,N,M)
        # nearest-neighbour upsampling by α is a broadcast
        return (x.view(b, m.shape[1], -1, n, width) + message).view(b, t, n, width), joined


class DistBranch(nn.Module):
    """Temporal encoder, integration branch and adaptive pooling: all that DiST trains."""

    def __init__(self, config: DistConfig, sizes: DistSizes) -> None:
        super().__init__()
        self.sizes = sizes
        c = sizes.integration
        self.stem = None if config.temporal_encoder == "none" else TemporalStem(sizes, config.t_patch_size)
        last = sizes.layers[-1]
        self.steps = nn.ModuleList(DistStep(config, sizes, is_last=layer == last) for layer in sizes.layers)
        self.pooling = nn.ModuleList(
            AdaptivePooling(c, sizes.sparse_frames) for _ in range(config.ada_pooling_layers)
        )
        self.spatial_query = nn.Parameter(torch.empty(c))
        self.video_query = nn.Parameter(torch.empty(c))
        self.class_linear = nn.Linear(sizes.width, c)
        self.ln_post = LayerNorm(c)
        self.proj = nn.Parameter(torch.empty(c, sizes.embed_dim))
        self.initialize(config.initialization, zero_spatial_query=config.spatial_cls_token_init_as_zero)

    @torch.no_grad()
    def initialize(self, how: str, *, zero_spatial_query: bool = False) -> None:
        """All initialisation. published: truncated normal 0.02; fan_in: normal with std fan_in^-1/2.

        In both: learned tokens and positions truncated normal 0.02, packed attention Xavier-uniform, biases
        zero, norms one, `proj` normal with std C^-1/2.
        """
        for name, parameter in self.named_parameters():
            kind = name.rsplit(".", 1)[-1]
            if kind in ("bias", "in_proj_bias"):
                parameter.zero_()
            elif kind == "in_proj_weight":
                nn.init.xavier_uniform_(parameter)
            elif parameter.ndim >= 2 and kind == "weight" and how == "fan_in":
                parameter.normal_(std=parameter[0].numel() ** -0.5)
            elif parameter.ndim >= 2 or kind in ("spatial_query", "video_query"):
                nn.init.trunc_normal_(parameter, std=_PUBLISHED_STD)
        for part in self.modules():
            if isinstance(part, TemporalCalibration):
                part.initialize()  # so that it changes nothing at the start
        self.proj.normal_(std=self.sizes.integration**-0.5)
        if zero_spatial_query:
            self.spatial_query.zero_()

    def forward(self, frames: Tensor, stream: Iterator[Tensor], grid: tuple[int, int]) -> VideoFeatures:
        """The dense frames (B,T,3,H,W) and the frozen encoder's stream → embeddings.

        stream: the tokens (B,S,L,D) of each selected layer, then the frame embeddings (B,S,E).
        """
        x, r = None if self.stem is None else self.stem(frames), None
        for step in self.steps:
            tokens = next(stream)
            x, r, m = step(x, r, tokens, grid)
        class_token = self.class_linear(tokens[:, :, 0].mean(dim=1))
        return VideoFeatures(video=self.pool(r + m, class_token), frames=next(stream))

    def pool(self, y: Tensor, class_token: Tensor) -> Tensor:
        """Tokens y (B,S,L,C) and the projected class token (B,C) → video embeddings (B,E)."""
        b, s = y.shape[:2]
        spatial = self.spatial_query.to(y.dtype).expand(b, s, -1)
        video = self.video_query.to(y.dtype).expand(b, -1)
        normed = normalised(y)
        for layer in self.pooling:
            spatial, video = layer(spatial, video, normed)
        return self.ln_post(video + class_token) @ self.proj


class Dist(VideoModel):
    """A frozen CLIP with a DiST branch."""

    def __init__(self, clip: Clip, config: DistConfig, *, frames: int, alpha: int) -> None:
        """frames: T, dense frames of the clips it is trained on; alpha: α. Raises ValueError for sizes that
        do not fit.
        """
        super().__init__(clip, alpha=alpha)
        self.sizes = _sizes(clip, config, frames, alpha)
        self.branch = DistBranch(config, self.sizes)

    def forward(self, video: Tensor) -> VideoFeatures:
        """video (B,3,T,H,W), float, normalised; T a multiple of α, any number of frames → embeddings."""
        alpha, patch = self.sizes.alpha, self.sizes.patch
        t, height, width = video.shape[2:]
        if t % alpha:
            raise ValueError(f"a clip of {t} frames does not divide by SPARSE_SAMPLE_ALPHA {alpha}")
        frames = video.transpose(1, 2)
        stream = self.clip.visual.stream(frames[:, ::alpha], self.sizes.layers)
        return self.branch(frames, stream, (height // patch, width // patch))

    @property
    def frames_are_clips(self) -> bool:
        """The stream of the frozen encoder ends in them."""
        return True

    def role(self, name: str) -> Role:
        """CLIP is frozen, the branch is new."""
        return Role.NEW if name.startswith("branch.") else Role.FROZEN


def _sizes(clip: Clip, config: DistConfig, frames: int, alpha: int) -> DistSizes:
    architecture = clip.architecture
    patch = architecture.patch_size
    if config.s_patch_size not in (None, patch):
        raise ValueError(
            f"VIDEO.BACKBONE.DIST.S_PATCH_SIZE {config.s_patch_size} does not fit the image encoder, whose "
            f"patches have {patch} pixels: set it to {patch}, or leave it out"
        )
    if frames % alpha:
        raise ValueError(
            f"DATA.NUM_INPUT_FRAMES {frames} is not a multiple of DATA.SPARSE_SAMPLE_ALPHA {alpha}"
        )
    layers = (
        tuple(range(architecture.vision_layers)) if config.selected_layers is None else config.selected_layers
    )
    if layers[-1] >= architecture.vision_layers:
        raise ValueError(
            f"VIDEO.BACKBONE.DIST.SELECTED_LAYERS names block {layers[-1]}; the image encoder has blocks 0 "
            f"to {architecture.vision_layers - 1}"
        )
    return DistSizes(
        width=architecture.vision_width,
        embed_dim=architecture.embed_dim,
        integration=config.integration_dim,
        temporal=config.temporal_dim,
        sparse_frames=frames // alpha,
        alpha=alpha,
        patch=patch,
        layers=layers,
    )
