"""The CLIP that a trained model's file brings along, so that its weights need not come from anywhere else.

Released DiST checkpoints hold both towers, and so do this project's releases unless they were written
without.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from models.architecture import clip_architecture
from models.clip import Clip
from models.clip_weights import CLIP_PREFIX, with_text_prefix, without_text_prefix
from models.conversion import bare_release_names, is_dist_release

_SIZES_ARE_READ_FROM = {"visual.conv1.weight", "visual.positional_embedding", "visual.proj"} | {
    "positional_embedding",
    "token_embedding.weight",
}


def bundled_clip_state(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """CLIP's weights among a model's, under OpenAI's names; {} unless all of them are there."""
    if is_dist_release(tensors):
        bare = bare_release_names(tensors)
        state = {name: tensor for name, tensor in bare.items() if not name.startswith("dist_net.")}
    else:
        own = {name: tensor for name, tensor in tensors.items() if name.startswith(CLIP_PREFIX)}
        state = without_text_prefix({name.removeprefix(CLIP_PREFIX): own[name] for name in own})
    if not set(state) >= _SIZES_ARE_READ_FROM:
        return {}
    return state if set(empty_clip(state).state_dict()) <= set(with_text_prefix(state)) else {}


def empty_clip(state: Mapping[str, Tensor], *, with_quick_gelu: bool = True) -> Clip:
    """A CLIP of the sizes that weights under OpenAI's names have, on the meta device: it holds no weights
    yet.
    """
    with torch.device("meta"):
        return Clip(clip_architecture(state), with_quick_gelu=with_quick_gelu)


def build_bundled_clip(
    tensors: Mapping[str, Tensor], source: str, *, with_quick_gelu: bool = True
) -> Clip | None:
    """The CLIP in a model's file, with its weights; None when the file has none. Raises ConversionError."""
    state = bundled_clip_state(tensors)
    if not state:
        return None
    clip = empty_clip(state, with_quick_gelu=with_quick_gelu)
    clip.load_openai_state(state, source)
    return clip.eval()
