"""A video model and CLIP's text tower as one network that matches texts with videos.

    video (B,3,T,H,W) ──VideoModel──► VideoFeatures ┐
                                                    ├─ alignment ─► similarities (texts, videos)
    token ids (K,L) ──text tower──► TextFeatures ───┘

The alignment is the model's own similarity (cosine, mostly), or Mug's over tokens and frames in either of
its forms. The temperature is a fixed number, or learned as CLIP's scale is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from models.interface import Role, VideoFeatures, VideoModel, apply_roles
from models.mug import mug_similarity
from models.retrieval_config import AlignmentName

MAX_LOG_SCALE = math.log(100)
"""CLIP's upper bound of a learned scale's logarithm."""


@dataclass(frozen=True)
class TextFeatures:
    """Features of K texts, not normalised: text (K,E), tokens (K,L,E), mask (K,L), true but for padding."""

    text: Tensor
    tokens: Tensor
    mask: Tensor


Features = TypeVar("Features", VideoFeatures, TextFeatures)


def map_features(features: Features, change: Callable[[Tensor], Tensor]) -> Features:
    """The same features with every tensor changed."""
    changed: dict[str, Any] = {item.name: change(getattr(features, item.name)) for item in fields(features)}
    return replace(features, **changed)


@dataclass(frozen=True)
class Matched:
    """What a forward pass gives: features of both sides, and the factor of their similarity in the loss."""

    videos: VideoFeatures
    texts: TextFeatures
    scale: Tensor


class Retriever(nn.Module):
    """The network that a retrieval run trains and evaluates."""

    def __init__(
        self, model: VideoModel, *, alignment: AlignmentName = "pooled", temperature: float | None = None
    ) -> None:
        """temperature: what similarities are divided by in the loss; None: learned, as CLIP's scale.

        Raises ValueError for a model whose features are no match for texts.
        """
        super().__init__()
        if not model.in_joint_space:
            raise ValueError(
                "this model's features lie outside CLIP's joint space of videos and texts: it cannot retrieve"
            )
        self.model = model
        self.alignment = alignment
        self.temperature = temperature
        apply_roles(self)

    def forward(self, video: Tensor, token_ids: Tensor) -> Matched:
        """video (B,3,T,H,W), float, normalised; token ids (K,L) → features and scale."""
        return Matched(self.model(video), self.embed_texts(token_ids), self.scale())

    def embed_texts(self, token_ids: Tensor) -> TextFeatures:
        """Token ids (K,L) → features. Padding is what follows the end token, which has the highest id."""
        tokens = self.model.clip.text.encode_tokens(token_ids)
        ends = token_ids.argmax(dim=-1)
        mask = torch.arange(token_ids.shape[1], device=token_ids.device) <= ends[:, None]
        return TextFeatures(tokens[torch.arange(len(tokens), device=tokens.device), ends], tokens, mask)

    def scale(self) -> Tensor:
        """Factor of the similarities in the loss: the inverse of the temperature.

        A learned one is held at CLIP's bound as CLIP holds it: the weight itself is cut back after a step,
        here before it is used again. So its gradient passes at the bound, where OpenAI's weights stand.
        """
        logarithm = self.model.clip.logit_scale
        if self.temperature is not None:
            return torch.full_like(logarithm, 1 / self.temperature, dtype=torch.float32)
        with torch.no_grad():
            logarithm.clamp_(max=MAX_LOG_SCALE)
        return logarithm.float().exp()

    def similarity(self, texts: TextFeatures, videos: VideoFeatures) -> Tensor:
        """Similarities (K,B) in [-1, 1] of K texts and B videos, in float32."""
        if self.alignment == "pooled":
            logits = self.model.similarity(videos, texts.text)
            return logits.float().t() / self.model.clip.logit_scale.float().exp()
        return mug_similarity(texts.tokens, videos.frames, texts.mask, full=self.alignment == "mug_full")

    def role(self, name: str) -> Role:
        """The model's word for its weights; CLIP's scale is tuned where the temperature is learned."""
        if name == "model.clip.logit_scale":
            return Role.FROZEN if self.temperature is not None else Role.PRETRAINED
        return self.model.role(name.removeprefix("model."))

    def decays(self, name: str, parameter: nn.Parameter) -> bool:
        """Whether weight decay applies to the parameter."""
        return self.model.decays(name.removeprefix("model."), parameter)

    def rate_share(self, name: str) -> float:
        """Of the learning rate that the parameter's role gives it."""
        return self.model.rate_share(name.removeprefix("model."))
