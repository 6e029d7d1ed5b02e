"""From a video model's features to class scores: the network that a run trains and evaluates.

    video (B,3,T,H,W) ──VideoModel──► VideoFeatures ──head per set of classes──► logits (B,K), one per head

A head is the class names' text features (cosine with the video), the class names as texts for a tuned text
tower, or a trained linear classifier.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.interface import Role, VideoFeatures, VideoModel, apply_roles
from models.layers.basic import full_precision


class TextHead(nn.Module):
    """Similarity with the text features of K class names, which are fixed and not part of a checkpoint."""

    def __init__(self, text_features: Tensor) -> None:
        """text_features (K,E)."""
        super().__init__()
        self.text_features: Tensor
        self.register_buffer("text_features", text_features.detach().clone(), persistent=False)

    def forward(self, model: VideoModel, features: VideoFeatures) -> Tensor:
        """Features of B clips → logits (B,K)."""
        return model.similarity(features, self.text_features)


class TunedTextHead(nn.Module):
    """Similarity with K class names encoded anew for every batch, by a text tower that is being tuned."""

    def __init__(self, tokens: Tensor) -> None:
        """tokens (K,L): ids of one text per class."""
        super().__init__()
        self.tokens: Tensor
        self.register_buffer("tokens", tokens.clone(), persistent=False)

    def forward(self, model: VideoModel, features: VideoFeatures) -> Tensor:
        """Features of B clips → logits (B,K)."""
        return model.similarity(features, model.clip.encode_text(self.tokens))


class LinearHead(nn.Module):
    """A trained classifier over K classes on the video features."""

    def __init__(self, width: int, classes: int, dropout: float = 0.0, std: float = 0.02) -> None:
        """width: of the features; std: of the weights at the start."""
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(width, classes)
        nn.init.normal_(self.fc.weight, std=std)
        nn.init.zeros_(self.fc.bias)

    def forward(self, model: VideoModel, features: VideoFeatures) -> Tensor:
        """Features of B clips → logits (B,K)."""
        # without autocast, too, the features may come from a model that ran with it
        return self.fc(self.dropout(features.video).to(self.fc.weight.dtype))


Head = TextHead | TunedTextHead | LinearHead


class Recognizer(nn.Module):
    """A video model with one head per set of classes (one normally, verb and noun in EPIC-KITCHENS)."""

    def __init__(self, model: VideoModel, heads: Sequence[Head]) -> None:
        super().__init__()
        self.model = model
        self.heads = nn.ModuleList(heads)
        apply_roles(self)

    def forward(self, video: Tensor) -> tuple[Tensor, ...]:
        """video (B,3,T,H,W), float, normalised → logits (B,K) per head."""
        features = self.model(video)
        return tuple(head(self.model, features) for head in self.heads)

    def role(self, name: str) -> Role:
        """The model's word for its weights; heads are new."""
        if name.startswith("model."):
            return self.model.role(name.removeprefix("model."))
        return Role.NEW

    def decays(self, name: str, parameter: nn.Parameter) -> bool:
        """Whether weight decay applies to the parameter."""
        return self.model.decays(name.removeprefix("model."), parameter)

    def rate_share(self, name: str) -> float:
        """The model's word for its weights; heads have all of it."""
        return self.model.rate_share(name.removeprefix("model.")) if name.startswith("model.") else 1.0


def trainable_count(module: nn.Module) -> int:
    """Number of trainable weights."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


@torch.no_grad()
def frozen_logits(model: VideoModel, video: Tensor, text_features: Tensor) -> Tensor:
    """Logits (B,K) of CLIP alone: each frame normalised, averaged over the frames, against the class names.

    video (B,3,T,H,W); text_features (K,E). Zero-shot classification fuses these with the model's own.
    """
    frames = model.frozen_frames(video)
    return frame_logits(frames, text_features, model.clip.logit_scale)


def frame_logits(frames: Tensor, text_features: Tensor, logit_scale: Tensor) -> Tensor:
    """Frame embeddings (B,S,E) and text features (K,E) → CLIP's mean cosine times its scale (B,K), in
    float32.
    """
    frames = nn.functional.normalize(frames.float(), dim=-1).mean(dim=1)
    text = nn.functional.normalize(text_features.float(), dim=-1)
    with full_precision(frames):
        return torch.exp(logit_scale.float()) * frames @ text.t()
