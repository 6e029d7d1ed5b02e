"""X-CLIP: messages between frames, and prompts that depend on the video (Ni et al. 2022, arXiv 2208.02816).

    video (B,3,T,H,W) ─► tokens (B,T,1+N,D) ─► 12 blocks, each with a message token per frame
        class tokens ─► ln_post, proj ─► c (B,T,E) ─► transformer over T + c ─► mean ─► video (B,E)
        patch tokens ─► norm, projection ─► mean over T (B,N,E) ─► texts (K,E) become texts per clip (B,K,E)

One block: m = message_fc(class token); m += attention over T(message_ln m); the message joins its frame's
tokens for the block's attention and is dropped before the MLP. The whole image tower is tuned; the text tower
is frozen. The text enters the prompts as CLIP gives it, not normalised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.clip import Clip
from models.interface import Role, VideoFeatures, VideoModel
from models.layers.attention import ResidualAttentionBlock, SelfAttention
from models.layers.basic import LayerNorm, Mlp, full_precision
from models.layers.cross_attention import CrossAttention
from models.layers.temporal import interpolate_in_time
from models.peer_config import XclipConfig
from models.zero_shot import class_text_features

_HEAD_WIDTH = 64
_PUBLISHED_STD = 0.02


@dataclass(frozen=True)
class XclipFeatures(VideoFeatures):
    """Also what the prompts look at: patches (B,N,E), averaged over the frames."""

    patches: Tensor


class MessageBlock(nn.Module):
    """What X-CLIP adds to one block of the image tower."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.message_fc = nn.Linear(width, width)
        self.message_ln = LayerNorm(width)
        self.message_attn = SelfAttention(width, heads)

    def forward(self, tokens: Tensor, block: ResidualAttentionBlock) -> Tensor:
        """tokens (B,T,L,D) through the tuned `block` → (B,T,L,D)."""
        message = self.message_fc(tokens[:, :, 0])
        message = message + self.message_attn(self.message_ln(message))
        x = torch.cat([tokens, message[:, :, None]], dim=2).flatten(0, 1)
        x = (x + block.attn(block.ln_1(x)))[:, :-1]
        x = x + block.mlp(block.ln_2(x))
        return x.unflatten(0, tokens.shape[:2])


class FrameIntegration(nn.Module):
    """A transformer over the frames' embeddings with a skip around it, then their mean."""

    def __init__(self, width: int, frames: int, layers: int) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.empty(frames, width))
        self.blocks = nn.ModuleList(ResidualAttentionBlock(width, _heads(width)) for _ in range(layers))
        nn.init.trunc_normal_(self.positions, std=_PUBLISHED_STD)
        _initialize_linears(self)

    def forward(self, frames: Tensor) -> Tensor:
        """frames (B,T,E) → (B,E). The positions are in the transformer's input, not in the skip."""
        x = frames + interpolate_in_time(self.positions, frames.shape[1]).to(frames.dtype)
        for block in self.blocks:
            x = block(x)
        return (x + frames).mean(dim=1)


class PromptLayer(nn.Module):
    """Texts look at a clip's patches, then an MLP."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm_attention = LayerNorm(width)
        self.attention = CrossAttention(width, _heads(width), projection_bias=False)
        self.norm_mlp = LayerNorm(width)
        self.mlp = Mlp(width, 4 * width)

    def forward(self, text: Tensor, patches: Tensor) -> Tensor:
        """text (B,K,E), patches (B,N,E) → (B,K,E)."""
        text = text + self.attention(self.norm_attention(text), patches)
        return text + self.mlp(self.norm_mlp(text))


class VideoPrompts(nn.Module):
    """text + α ⊙ what the prompt layers make of it in view of the clip."""

    def __init__(self, width: int, layers: int, alpha: float) -> None:
        super().__init__()
        self.norm = LayerNorm(width)
        self.layers = nn.ModuleList(PromptLayer(width) for _ in range(layers))
        self.alpha = nn.Parameter(torch.full((width,), alpha))
        _initialize_linears(self)

    def forward(self, text: Tensor, patches: Tensor) -> Tensor:
        """text (K,E), patches (B,N,E) → text per clip (B,K,E)."""
        patches = self.norm(patches)
        # len() would fix the batch of an exported graph
        prompted = text.to(patches.dtype).expand(patches.shape[0], -1, -1)
        for layer in self.layers:
            prompted = layer(prompted, patches)
        return text + self.alpha * prompted


class Xclip(VideoModel):
    """A CLIP whose image tower is tuned with messages between frames; texts are prompted by the clip."""

    def __init__(
        self,
        clip: Clip,
        config: XclipConfig,
        *,
        frames: int,
        alpha: int = 1,
        tune_visual: bool = True,
        prompts_texts: bool = True,
    ) -> None:
        """frames: T, the frames that are shown to the model: every α-th of a clip's. prompts_texts: false
        leaves the prompts out, for a classifier that compares with no texts. Raises ValueError for a joint
        space narrower than one attention head.
        """
        super().__init__(clip, alpha=alpha)
        architecture = clip.architecture
        width, embed_dim = architecture.vision_width, architecture.embed_dim
        if embed_dim < _HEAD_WIDTH or embed_dim % _HEAD_WIDTH:
            raise ValueError(
                f"X-CLIP needs a joint space of a multiple of {_HEAD_WIDTH} dimensions; this CLIP's has "
                f"{embed_dim}"
            )
        self.tune_visual = tune_visual
        self.blocks = nn.ModuleList(
            MessageBlock(width, architecture.vision_heads) for _ in range(clip.visual.depth)
        )
        self.integration = FrameIntegration(embed_dim, frames, config.integration_layers)
        self.prompts: VideoPrompts | None = None
        if prompts_texts:
            self.patch_norm = LayerNorm(width)
            self.patch_proj = nn.Parameter(torch.randn(width, embed_dim))
            self.prompts = VideoPrompts(embed_dim, config.prompt_layers, config.prompt_alpha)

    def forward(self, video: Tensor) -> VideoFeatures:
        """video (B,3,T,H,W), float, normalised → embeddings, and `XclipFeatures` for the prompts."""
        visual, frames = self.clip.visual, self.shown_frames(video)
        tokens = visual.embed(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
        for messages, block in zip(self.blocks, visual.transformer.resblocks, strict=True):
            tokens = messages(tokens, block)
        embeddings = visual.pool(tokens)  # (B,T,E)
        if self.prompts is None:
            return VideoFeatures(video=self.integration(embeddings), frames=embeddings)
        # the mean over frames changes places with the projection: T times less of it
        patches = self.patch_norm(tokens[:, :, 1:]).mean(dim=1) @ self.patch_proj
        return XclipFeatures(video=self.integration(embeddings), frames=embeddings, patches=patches)

    def similarity(self, features: VideoFeatures, text: Tensor) -> Tensor:
        """Logits (B,K) in float32: cosine with the texts (K,E), not normalised, as each clip prompts them."""
        if self.prompts is None:
            return super().similarity(features, text)
        assert isinstance(features, XclipFeatures)
        # as float32, the prompts' layers take them with and without autocast
        prompted = F.normalize(
            self.prompts(text.float(), features.patches.float()).float(), dim=-1
        )  # (B,K,E)
        video = F.normalize(features.video.float(), dim=-1)
        with full_precision(video):
            return self.clip.logit_scale.float().exp() * torch.einsum("be,bke->bk", video, prompted)

    def class_features(self, names: Sequence[str], templates: Sequence[str]) -> Tensor:
        """Text features (K,E) of the class names, not normalised."""
        return class_text_features(self.clip, names, templates, normalized=False)

    def does_without(self, name: str) -> bool:
        """Prompts are for texts alone."""
        return self.prompts is None and name.startswith(("prompts.", "patch_"))

    def role(self, name: str) -> Role:
        """The image tower is tuned, the text tower frozen, the rest new."""
        if self.tune_visual and name.startswith("clip.visual."):
            return Role.PRETRAINED
        return Role.FROZEN if name.startswith("clip.") else Role.NEW


def _heads(width: int) -> int:
    return width // _HEAD_WIDTH


def _initialize_linears(module: nn.Module) -> None:
    """Truncated normal 0.02 and zero biases; packed attention keeps its Xavier-uniform start."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.trunc_normal_(part.weight, std=_PUBLISHED_STD)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
