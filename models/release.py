"""The release format: one safetensors file from which a model can be rebuilt and used, with nothing else at
hand.

The tensors are the whole model's (or, for a smaller file, all but the frozen encoder's). The description
lies in the file's metadata, as text that any safetensors reader shows:

    format           "dist-video release 1"
    config           the run's configuration as JSON, without the paths of the machine it ran on
    class_names      per head, a list of names; JSON
    dataset, scores  what it was trained on, and what it reached there (measure -> percent; JSON)
    encoder          JSON: architecture, whether its weights are in the file, their fingerprint, and what
                     their shapes do not show (activation, width of the attention heads)
    notes            anything a person should know
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from models.key_table import ConversionError
from models.weight_files import WeightFile
from utils.atomic import replacing

FORMAT = "dist-video release 1"
_JSON_FIELDS = ("config", "class_names", "scores", "encoder")


@dataclass(frozen=True)
class Encoder:
    """The frozen encoder that a released model stands on."""

    architecture: str
    """open_clip's name, or the name of the file with its JSON description."""
    included: bool
    """Whether its weights are in the file."""
    fingerprint: str
    """SHA-256 over its weights; the weights it is completed with must have the same."""
    quick_gelu: bool | None = None
    """Its activation: OpenAI's approximation of GELU, or GELU itself; None in older files, whose encoders are
    OpenAI's."""
    head_width: int | None = None
    """Channels of an attention head of its image tower; None in older files, which do not say."""

    @property
    def with_quick_gelu(self) -> bool:
        """Its activation, also where the file does not say it."""
        return self.quick_gelu is None or self.quick_gelu


@dataclass(frozen=True)
class ReleaseDescription:
    """What a release file says about its model."""

    config: Mapping[str, Any]
    """Nested configuration in plain types, keys in capitals."""
    class_names: tuple[tuple[str, ...], ...]
    """Per head."""
    encoder: Encoder
    dataset: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)
    """Measure -> percent."""
    notes: str = ""


def write_release(path: Path, description: ReleaseDescription, tensors: Mapping[str, Tensor]) -> None:
    """Writes a release file, complete or not at all; tensors are stored as they are, on the CPU."""
    metadata = {
        "format": FORMAT,
        "config": json.dumps(description.config),
        "class_names": json.dumps(description.class_names),
        "dataset": description.dataset,
        "scores": json.dumps(dict(description.scores)),
        "encoder": json.dumps(vars(description.encoder)),
        "notes": description.notes,
    }
    # A tensor of its own each: safetensors refuses two names for one piece of memory.
    stored = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with replacing(str(path)) as unfinished:
        save_file(stored, unfinished, metadata=metadata)


def is_release(file: WeightFile) -> bool:
    """Whether a file of weights is in the release format (of any version)."""
    return file.metadata.get("format", "").startswith("dist-video release")


def read_description(file: WeightFile) -> ReleaseDescription:
    """What a release file says. Raises ConversionError for another version, or metadata that does not
    parse.
    """
    if file.metadata.get("format") != FORMAT:
        raise ConversionError(
            f"{file.path} is in the format {file.metadata.get('format')!r}; this version reads {FORMAT!r}"
        )
    try:
        parsed = {name: json.loads(file.metadata[name]) for name in _JSON_FIELDS}
        return ReleaseDescription(
            config=parsed["config"],
            class_names=tuple(tuple(names) for names in parsed["class_names"]),
            encoder=Encoder(**parsed["encoder"]),
            dataset=file.metadata.get("dataset", ""),
            scores=parsed["scores"],
            notes=file.metadata.get("notes", ""),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ConversionError(
            f"{file.path}: its description cannot be read ({type(error).__name__}: {error})"
        ) from error
