"""CLIP weights out of a file, under OpenAI's names, whatever layout the file has.

OpenAI's TorchScript archive, a state dict, open_clip's and Hugging Face's files, a DiST checkpoint (which
holds the CLIP that it was trained on), and a release of this project that holds its CLIP.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from models.clip_layouts import clip_layout, to_openai_names
from models.key_table import ConversionError
from models.release import is_release, read_description
from models.weight_files import WeightFile, read_weight_file
from utils.logging import get_logger

RELEASE_PREFIX = "backbone.base_encoder."
CLIP_PREFIX = "model.clip."
CLASSES_OF_RELEASE = "text_features"
"""Where a DiST checkpoint keeps the texts of its classes embedded, if it was trained with an option for that.
They are what its text tower makes of them, and are computed here."""
_BESIDE_CLIP = ("dist_net.", "ladder_net.", CLASSES_OF_RELEASE)
_ARCHIVE_SIZES = ("input_resolution", "context_length", "vocab_size")


@dataclass(frozen=True)
class ClipWeights:
    """Weights under OpenAI's names, and whether they were trained with QuickGELU (None: not known)."""

    state: Mapping[str, Tensor]
    quick_gelu: bool | None
    from_hugging_face: bool = False
    """Whether the file is in Hugging Face's layout."""


def read_clip_weights(path: Path) -> ClipWeights:
    """The CLIP in a file. Raises ConversionError when there is none."""
    return clip_weights_in(read_weight_file(path))


def clip_weights_in(file: WeightFile) -> ClipWeights:
    """The CLIP in a file that has been read, with what the file says of it beside the weights; Hugging Face's
    says it in the `config.json` that lies there. Raises ConversionError when there is no CLIP.
    """
    weights = clip_weights_of(file.tensors)
    if is_release(file):
        return replace(weights, quick_gelu=read_description(file).encoder.with_quick_gelu)
    if "encoder" in file.facts:
        return replace(weights, quick_gelu=file.facts["encoder"].get("quick_gelu"))
    if weights.from_hugging_face:
        return replace(weights, quick_gelu=_hugging_face_activation(file.path.with_name("config.json")))
    return weights


def clip_weights_of(tensors: Mapping[str, Tensor]) -> ClipWeights:
    """The CLIP among a file's tensors. Raises ConversionError when there is none."""
    # OpenAI's archives, and state dicts saved from them, say their sizes; DiST's CLIP is OpenAI's too. Other
    # files do not tell, and the architecture's name decides.
    is_openai = any(name in tensors for name in _ARCHIVE_SIZES)
    tensors = {name: tensor for name, tensor in tensors.items() if name not in _ARCHIVE_SIZES}
    is_dist = any(name.startswith(RELEASE_PREFIX) for name in tensors)
    if is_dist:
        bare = {name.removeprefix(RELEASE_PREFIX): tensor for name, tensor in tensors.items()}
        tensors = {name: tensor for name, tensor in bare.items() if not name.startswith(_BESIDE_CLIP)}
    elif own := {name: tensor for name, tensor in tensors.items() if name.startswith(CLIP_PREFIX)}:
        tensors = without_text_prefix({name.removeprefix(CLIP_PREFIX): own[name] for name in own})
    from_hugging_face = clip_layout(name.removeprefix("module.") for name in tensors) == "hugging_face"
    return ClipWeights(to_openai_names(tensors), True if is_openai or is_dist else None, from_hugging_face)


def _hugging_face_activation(path: Path) -> bool | None:
    """Whether a `config.json` of a CLIP says QuickGELU, which is what it means where it says nothing; None
    where there is no such file.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(config, dict) or config.get("model_type") != "clip":
        return None
    vision = config.get("vision_config") or config.get("vision_config_dict") or {}
    return vision.get("hidden_act", "quick_gelu") == "quick_gelu"


def tell_activation(architecture_name: str, weights: str, *, from_hugging_face: bool = False) -> None:
    """Warn that a file which does not say its activation is taken for one with GELU: a wrong one costs
    accuracy, and shows nowhere else.

    Raises ConversionError for Hugging Face's layout: OpenAI's weights and others are as usual in it, and the
    `config.json` that every one of them comes with would tell.
    """
    if from_hugging_face:
        raise ConversionError(
            f"{weights} is in Hugging Face's layout, which does not say whether its activation is QuickGELU "
            "(OpenAI's weights) or GELU (LAION's): put the config.json that it was published with beside it, "
            f"or, for OpenAI's, set VIDEO.BACKBONE.META_ARCH_NAME to {architecture_name}-quickgelu"
        )
    get_logger(__name__).warning(
        "%s does not say which activation it was trained with: GELU is taken, as for all of %s. If it "
        "holds OpenAI's weights, set VIDEO.BACKBONE.META_ARCH_NAME to %s-quickgelu, as they need QuickGELU",
        *(weights, architecture_name, architecture_name),
    )


def with_text_prefix(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """OpenAI's names → this project's, which keep the text tower's weights under `text.`."""
    return {
        name if name.startswith("visual.") or name == "logit_scale" else f"text.{name}": tensor
        for name, tensor in state.items()
    }


def without_text_prefix(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """This project's names → OpenAI's."""
    return {name.removeprefix("text."): tensor for name, tensor in state.items()}
