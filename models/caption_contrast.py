"""Contrastive loss of images and captions where many images share a caption.

    images (B,E) ──cosine · scale──► logits (B,K) ◄── the K distinct captions (K,E)

CLIP's symmetric loss treats every pair of a batch as unique, which few captions make impossible: here an
image must find its caption among the distinct ones, and a caption all of its images in the batch.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from models.interface import cosine_logits


def caption_contrast(images: Tensor, captions: Tensor, caption_of: Tensor, logit_scale: Tensor) -> Tensor:
    """Mean of both directions' cross entropies, a scalar.

    images (B,E), captions (K,E): embeddings, not normalised; caption_of (B,): index of each image's caption;
    logit_scale: logarithm of the scale. Captions that no image of the batch has do not look for one.
    """
    logits = cosine_logits(images, captions, logit_scale)
    image_side = F.cross_entropy(logits, caption_of)
    present, counts = torch.unique(caption_of, return_counts=True)
    of_present = logits.t()[present]  # (P,B)
    targets = (caption_of == present[:, None]).to(logits.dtype) / counts[:, None]
    return 0.5 * (image_side + F.cross_entropy(of_present, targets))
