"""Text features of class names, as a pure function of CLIP, names and templates; and the fusion of logits."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from models.clip import Clip
from utils.logging import get_logger

BARE_NAME = ("{}",)
"""The prompt of DiST's recipes: the class name and nothing else."""
_TEXTS_AT_A_TIME = 256
_SHOWN_CHARACTERS = 100


@torch.no_grad()
def class_text_features(
    clip: Clip, names: Sequence[str], templates: Sequence[str] = BARE_NAME, *, normalized: bool = True
) -> Tensor:
    """Text features (K,E) of K class names, normalised.

    templates hold `{}` where the name goes; with several, each text is normalised, then their mean is.
    normalized=False: the mean of the texts as CLIP gives them, of any length.
    Raises ValueError for no names and for a template without a place for the name.
    """
    tokens = class_tokens(clip, names, templates).to(clip.logit_scale.device)
    # The text tower is causal: what follows the last end token changes nothing, and takes most of the time.
    tokens = tokens[:, : int(tokens.argmax(dim=-1).max()) + 1]
    encoded = torch.cat([clip.encode_text(part) for part in tokens.split(_TEXTS_AT_A_TIME)])
    encoded = encoded.float().view(len(names), len(templates), -1)
    if not normalized:
        return encoded.mean(dim=1)
    return F.normalize(F.normalize(encoded, dim=-1).mean(dim=1), dim=-1)


def class_tokens(clip: Clip, names: Sequence[str], templates: Sequence[str]) -> Tensor:
    """Token ids (K·P,L) on the CPU of K class names in P templates, those of one name side by side.

    Warns of texts that are longer than CLIP reads. Raises ValueError as above.
    """
    texts = class_texts(names, templates)
    tokens = clip.tokenize(texts)
    most = tokens.shape[1]
    full = (tokens[:, -1] != 0).nonzero()[:, 0].tolist()
    if cut := [texts[row] for row in full if clip.token_count(texts[row]) > most]:
        get_logger(__name__).warning(
            "%d of %d texts of classes are cut to the %d tokens that CLIP reads; those that differ behind "
            "them alone are the same to it. One begins with %r",
            *(len(cut), len(texts), most, cut[0][:_SHOWN_CHARACTERS]),
        )
    return tokens


def class_texts(names: Sequence[str], templates: Sequence[str]) -> list[str]:
    """The texts of all names, those of one name side by side. Raises ValueError as above."""
    if not names:
        raise ValueError("no class names: text features need at least one")
    for template in templates:
        if "{}" not in template:
            raise ValueError(f"the prompt template {template!r} has no {{}} for the class name")
    return [template.replace("{}", name) for name in names for template in templates]


def fuse_logits(model_logits: Tensor, frozen_logits: Tensor, weight: float) -> Tensor:
    """weight · the model's logits + (1 − weight) · the frozen CLIP's; both (B,K)."""
    return weight * model_logits + (1 - weight) * frozen_logits
