"""The CLIP that a trained model's file brings along, so that its weights need not come from anywhere else.

Released DiST checkpoints hold both towers, and so do this project's releases unless they were written
without. What the shapes of the weights do not show, the file says, or the configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.architecture import ClipArchitecture, clip_architecture, usual_head_width
from models.clip import Clip, choose_activation, describe_architecture, tag_description
from models.clip_weights import (
    CLIP_PREFIX,
    ClipWeights,
    read_clip_weights,
    with_text_prefix,
    without_text_prefix,
)
from models.config import BackboneConfig
from models.conversion import bare_release_names, is_dist_release
from models.key_table import ConversionError
from models.release import is_release, read_description
from models.weight_files import WeightFile

_SIZES_ARE_READ_FROM = {"visual.conv1.weight", "visual.positional_embedding", "visual.proj"} | {
    "positional_embedding",
    "token_embedding.weight",
}


@dataclass(frozen=True)
class Unshown:
    """What the shapes of a CLIP's weights do not show."""

    quick_gelu: bool
    head_width: int
    """Channels of an attention head of the image tower."""


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
    with torch.device("meta"):
        names = Clip(clip_architecture(state)).state_dict().keys()
    return state if set(names) <= set(with_text_prefix(state)) else {}


def unshown_by_trained(file: WeightFile, backbone: BackboneConfig) -> Unshown | None:
    """What a trained model's file says of the CLIP in it, or, where it does not, the configuration that it
    was trained with; None where it holds no CLIP. Raises ConversionError for what neither says.
    """
    state = bundled_clip_state(file.tensors)
    if not state:
        return None
    recorded = _recorded(file)
    quick_gelu, head_width = recorded.get("quick_gelu"), recorded.get("head_width")
    if is_release(file):
        quick_gelu = read_description(file).encoder.with_quick_gelu
    elif is_dist_release(file.tensors):
        quick_gelu = True  # all of them stand on OpenAI's
    elif quick_gelu is None:
        quick_gelu = pretrained_activation(backbone.meta_arch_name, backbone.pretrain_weight_path)
    if quick_gelu is not None and head_width is not None:
        return Unshown(quick_gelu, head_width)
    name = backbone.meta_arch_name
    return unshown_by_name(ClipWeights(state, quick_gelu), name, str(file.path), head_width)


def _recorded(file: WeightFile) -> Mapping[str, Any]:
    """What a trained model's file says of its CLIP, by the names of `Unshown`; not what it leaves open."""
    known = asdict(read_description(file).encoder) if is_release(file) else file.facts.get("encoder", {})
    return {name: known[name] for name in ("quick_gelu", "head_width") if known.get(name) is not None}


def check_unshown(file: WeightFile, clip: Clip) -> None:
    """Raises ConversionError where a model's file says that it was trained beside a CLIP that computes
    otherwise than this one, whatever the weights.
    """
    if differences := differing_unshown(_recorded(file), asdict(unshown_of(clip))):
        raise ConversionError(f"{file.path} was trained {differences}")


def differing_unshown(recorded: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    """In what a CLIP, as a file records it, computes otherwise than one's own, by the names of `Unshown`, and
    the remedy; "" for nothing. What either leaves open does not count.
    """
    other = [name for name in own if name in recorded and recorded[name] != own[name]]
    if not other:
        return ""
    said = "; ".join(_IN_WORDS[name](recorded[name], own[name]) for name in other)
    return (
        f"beside a CLIP {said}: set VIDEO.BACKBONE.META_ARCH_NAME to the architecture of that one (QuickGELU "
        "has names that end in -quickgelu, or a JSON file with quick_gelu true)"
    )


def _activation(is_quick: bool) -> str:
    return "QuickGELU" if is_quick else "GELU"


_IN_WORDS: dict[str, Callable[[Any, Any], str]] = {
    "quick_gelu": lambda file, own: f"with {_activation(file)}, and the one here has {_activation(own)}",
    "head_width": lambda file, own: f"with attention heads of {file} channels, and the one here has {own}",
}


def pretrained_activation(architecture_name: str, weights: str) -> bool | None:
    """Whether weights (a tag or a file, as for `build_clip`) were taken for QuickGELU's while checkpoints did
    not record it: None where they do not say, or are not on this machine. Nothing is downloaded.
    """
    path = Path(weights).expanduser()
    if weights and path.exists():
        found = read_clip_weights(path)
        return True if found.from_hugging_face else found.quick_gelu
    tag = tag_description(architecture_name, weights)
    return bool(tag.get("quick_gelu", False)) if tag else None


def unshown_by_name(weights: ClipWeights, name: str, source: str, head_width: int | None = None) -> Unshown:
    """What weights from `source` do not say of themselves, from the architecture's name.

    A name of other sizes than theirs says nothing; the usual name of such sizes takes its place. Raises
    ConversionError for what then nothing tells.
    """
    sizes = clip_architecture(weights.state)
    usual = head_width or usual_head_width(sizes.vision_width)
    if weights.quick_gelu is not None and usual is not None and not name.endswith(".json"):
        return Unshown(
            weights.quick_gelu, usual
        )  # open_clip's own would say the same; importing it takes long
    named = _named(name, sizes) or _named(sizes.open_clip_name, sizes)
    if named is not None:
        its_name, described, is_quick = named
        quick_gelu = choose_activation(its_name, is_quick, weights, source)
        return Unshown(quick_gelu, head_width or described.vision_head_width)
    if usual is None or weights.quick_gelu is None:
        what = "its activation (QuickGELU or GELU)" if weights.quick_gelu is None else "its attention heads"
        raise ConversionError(
            f"{source} does not say {what}, and VIDEO.BACKBONE.META_ARCH_NAME ({name}) is no architecture of "
            "its sizes: set it to the one that this CLIP is, by its name or an open_clip JSON file"
        )
    return Unshown(weights.quick_gelu, usual)


def _named(name: str | None, sizes: ClipArchitecture) -> tuple[str, ClipArchitecture, bool] | None:
    """The architecture of that name and whether it uses QuickGELU; None unless it has these sizes."""
    if name is None:
        return None
    try:
        described, is_quick = describe_architecture(name)
    except ValueError:  # no name at all, or a JSON file that is not on this machine
        return None
    seen = replace(
        described,
        vision_head_width=sizes.vision_head_width,
        vision_mlp_ratio=sizes.vision_mlp_ratio,
    )
    return (name, described, is_quick) if seen == sizes else None


def unshown_of(clip: Clip) -> Unshown:
    """What the shapes of this CLIP's weights do not show."""
    return Unshown(clip.with_quick_gelu, clip.architecture.vision_head_width)


def empty_clip(state: Mapping[str, Tensor], unshown: Unshown) -> Clip:
    """A CLIP of the sizes that weights under OpenAI's names have, on the meta device: it holds no weights
    yet.
    """
    architecture = replace(clip_architecture(state), vision_head_width=unshown.head_width)
    with torch.device("meta"):
        return Clip(architecture, with_quick_gelu=unshown.quick_gelu)


def build_bundled_clip(file: WeightFile, backbone: BackboneConfig) -> Clip | None:
    """The CLIP in a model's file, with its weights; None when the file has none. Raises ConversionError."""
    unshown = unshown_by_trained(file, backbone)
    if unshown is None:
        return None
    state = bundled_clip_state(file.tensors)
    clip = empty_clip(state, unshown)
    clip.load_openai_state(state, str(file.path))
    return clip.eval()
