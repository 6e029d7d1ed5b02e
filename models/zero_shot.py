"""Text features of class names, as a pure function of CLIP, names and templates; and the fusion of logits."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from models.clip import Clip

BARE_NAME = ("{}",)
"""The prompt of DiST's recipes: the class name and nothing else."""
_TEXTS_AT_A_TIME = 256


@torch.no_grad()
def class_text_features(clip: Clip, names: Sequence[str], templates: Sequence[str] = BARE_NAME) -> Tensor:
    """Text features (K,E) of K class names, normalised.

    templates hold `{}` where the name goes; with several, each text is normalised, then their mean is.
    Raises ValueError for no names and for a template without a place for the name.
    """
    if not names:
        raise ValueError("no class names: text features need at least one")
    for template in templates:
        if "{}" not in template:
            raise ValueError(f"the prompt template {template!r} has no {{}} for the class name")
    texts = [template.replace("{}", name) for name in names for template in templates]
    tokens = clip.tokenize(texts)
    encoded = torch.cat([clip.encode_text(part) for part in tokens.split(_TEXTS_AT_A_TIME)])
    features = F.normalize(encoded.float(), dim=-1).view(len(names), len(templates), -1).mean(dim=1)
    return F.normalize(features, dim=-1)


def fuse_logits(model_logits: Tensor, frozen_logits: Tensor, weight: float) -> Tensor:
    """weight · the model's logits + (1 − weight) · the frozen CLIP's; both (B,K)."""
    return weight * model_logits + (1 - weight) * frozen_logits
