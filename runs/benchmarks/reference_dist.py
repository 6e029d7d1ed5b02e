"""The reference point of the benchmark: DiST written down module by module, the obvious way.

This is how the method reads when nobody thinks of time: the ViT embeds all T frames and half are thrown away
afterwards, tokens lie with the sequence first (L,B·S,C) as OpenAI's CLIP has them, every selected layer's are
copied into a list, and all that mixes frames lives on the video layout (B,C,T,h,w), with Conv3d kernels and a
permutation on each way between videos and tokens. Its numbers are those of `models.dist.Dist`, whose weights
it shares; only the way differs.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.dist import Dist, DistStep, IntegrationBlock
from models.dist_pooling import AdaptivePooling, PoolingHalf
from models.layers.attention import ResidualAttentionBlock, SelfAttention, SingleQueryAttention
from models.layers.basic import LayerNorm


def _gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


def _norm(layer: LayerNorm, x: Tensor) -> Tensor:
    """Layer norm over the last axis, in float32."""
    normed = F.layer_norm(x.float(), layer.normalized_shape, layer.weight, layer.bias, layer.eps)
    return normed.to(x.dtype)


def _attention(layer: SingleQueryAttention | SelfAttention, query: Tensor, sequence: Tensor) -> Tensor:
    """Multi-head attention with projected keys and values; sequences first (L,n,C)."""
    width, heads = layer.out_proj.in_features, layer.heads
    w_q, w_k, w_v = layer.in_proj_weight.chunk(3)
    b_q, b_k, b_v = layer.in_proj_bias.chunk(3)

    def split(x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], x.shape[1] * heads, width // heads).transpose(0, 1)

    q, k, v = (
        split(F.linear(x, w, b))
        for x, w, b in ((query, w_q, b_q), (sequence, w_k, b_k), (sequence, w_v, b_v))
    )
    shares = torch.softmax(torch.bmm(q * (width // heads) ** -0.5, k.transpose(1, 2)), dim=-1)
    mixed = torch.bmm(shares, v).transpose(0, 1).reshape(query.shape)
    return F.linear(mixed, layer.out_proj.weight, layer.out_proj.bias)


class ReferenceDist(nn.Module):
    """The same network as a `Dist`, with the same weights."""

    def __init__(self, model: Dist) -> None:
        super().__init__()
        self.model = model

    def forward(self, video: Tensor) -> Tensor:
        """video (B,3,T,H,W), float, normalised → video embeddings (B,E)."""
        sizes, branch = self.model.sizes, self.model.branch
        tokens = self._frozen_tokens(video)
        grid = (video.shape[3] // sizes.patch, video.shape[4] // sizes.patch)
        clips = len(video)
        stem = branch.stem
        assert stem is not None, "the baseline is the published network"
        padding = (stem.weight.shape[2] // 2, 0, 0)
        x = F.conv3d(
            video, stem.weight, stem.bias, stride=(1, sizes.patch, sizes.patch), padding=padding
        )  # (B,M,T,h,w)
        r: Tensor | float = 0.0
        m = tokens[0]
        for step, features in zip(branch.steps, tokens, strict=True):
            assert isinstance(step, DistStep)
            x, r, m = self._step(step, x, r, features, (clips, *grid))
        assert isinstance(r, Tensor)
        return self._pool(r + m, tokens[-1][0].unflatten(0, (clips, -1)).mean(dim=1))

    @torch.no_grad()
    def _frozen_tokens(self, video: Tensor) -> list[Tensor]:
        """The tokens (L,B·S,D) of every selected layer, of all frames first."""
        sizes, visual = self.model.sizes, self.model.clip.visual
        b, _, t = video.shape[:3]
        images = video.permute(0, 2, 1, 3, 4).reshape(b * t, 3, *video.shape[3:])
        x = visual.conv1(images).flatten(2).permute(0, 2, 1)
        x = torch.cat([visual.class_embedding.expand(b * t, 1, -1), x], dim=1) + visual.positional_embedding
        x = _norm(visual.ln_pre, x).unflatten(0, (b, t))[:, :: sizes.alpha].flatten(0, 1)
        x = x.permute(1, 0, 2)  # sequence first
        kept = []
        for index, block in enumerate(visual.transformer.resblocks):
            assert isinstance(block, ResidualAttentionBlock)
            normed = _norm(block.ln_1, x)
            x = x + _attention(block.attn, normed, normed)
            x = x + block.mlp.c_proj(_gelu(block.mlp.c_fc(_norm(block.ln_2, x))))
            if index in sizes.layers:
                kept.append(x.clone())
        return kept

    def _step(
        self, step: DistStep, x: Tensor, r: Tensor | float, tokens: Tensor, sizes: tuple[int, int, int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """x (B,M,T,h,w), r and tokens (L,B·S,C or D); sizes: B, h, w."""
        block, other, alpha = step.temporal_block, step.to_integration, self.model.sizes.alpha
        assert block is not None and other is not None and step.to_temporal is not None
        b, rows, columns = sizes
        y = _norm(block.ln, x.permute(0, 2, 3, 4, 1)).permute(0, 4, 1, 2, 3)
        time = block.temporal_conv
        y = _gelu(F.conv3d(y, time.weight, time.bias, padding=(time.weight.shape[2] // 2, 0, 0)))
        weight = block.spatial_conv.weight.unsqueeze(2)
        x = _gelu(x + F.conv3d(y, weight, block.spatial_conv.bias, padding=(0, 1, 1)))
        m = step.input_linear(tokens) + r
        message = step.to_temporal(m[1:]).view(rows, columns, b, -1, x.shape[1]).permute(2, 4, 3, 0, 1)
        upsampled = F.interpolate(message, scale_factor=(alpha, 1, 1), mode="nearest")
        v = F.conv3d(x, other.weight, other.bias, stride=(alpha, 1, 1))
        v = v.flatten(3).permute(3, 0, 2, 1).flatten(1, 2)  # (N,B·S,C)
        v = torch.cat([other.class_token.repeat(b, 1)[None], v], dim=0)
        x, m = x + upsampled, m + v
        return x, self._integrate(step.integration_block, m, b), m

    def _integrate(self, block: IntegrationBlock, m: Tensor, clips: int) -> Tensor:
        spatial = block.mlp.c_proj(_gelu(block.mlp.c_fc(_norm(block.ln, m))))
        time = block.temporal_mlp
        y = _norm(block.ln_temporal, m).unflatten(1, (clips, -1)).permute(1, 3, 2, 0).unsqueeze(-1)
        y = F.conv3d(y, time.c_fc.weight[:, :, None, None, None], time.c_fc.bias)  # (B,H,S,L,1)
        y = _gelu(
            F.conv3d(y, time.conv.weight, time.conv.bias, padding=(time.conv.weight.shape[2] // 2, 0, 0))
        )
        y = F.conv3d(y, time.c_proj.weight[:, :, None, None, None], time.c_proj.bias)
        return spatial + y.squeeze(-1).permute(3, 0, 2, 1).flatten(1, 2)

    def _pool(self, tokens: Tensor, class_token: Tensor) -> Tensor:
        """tokens (L,B·S,C), class_token (B,D) → (B,E)."""
        branch, b = self.model.branch, len(class_token)
        spatial = branch.spatial_query.expand(1, tokens.shape[1], -1)
        video = branch.video_query.expand(1, b, -1)
        for layer in branch.pooling:
            assert isinstance(layer, AdaptivePooling)
            spatial = self._pooling_half(layer.spatial, spatial, tokens)
            frames = (spatial.unflatten(1, (b, -1))[0] + layer.positions).permute(1, 0, 2)
            video = self._pooling_half(layer.temporal, video, frames)
        return _norm(branch.ln_post, video[0] + branch.class_linear(class_token)) @ branch.proj

    def _pooling_half(self, half: PoolingHalf, query: Tensor, sequence: Tensor) -> Tensor:
        normed = _norm(half.ln_attention, query), _norm(half.ln_attention, sequence)
        query = query + _attention(half.attention, *normed)
        return query + half.mlp.c_proj(_gelu(half.mlp.c_fc(_norm(half.ln_mlp, query))))
