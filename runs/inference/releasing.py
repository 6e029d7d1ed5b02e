"""A loaded model as a release file, and the check that the file gives the model's numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from models.clip_weights import CLIP_PREFIX
from models.errors import ConversionError
from models.release import Encoder, ReleaseDescription, write_release
from runs.config import RunConfig
from runs.inference.classifier import VideoClassifier
from runs.inference.graph import TOLERANCE, ExportError, example_clips, relative_difference
from runs.inference.loading import load_model
from utils.checkpoint import fingerprint, frozen_fingerprint
from utils.config import to_dict

_SECTIONS = (
    "TASK_TYPE",
    "MODEL",
    "VIDEO",
    "DATA",
    "TEST",
    "TRAIN",
    "OPTIMIZER",
    "AUGMENTATION",
    "RANDOM_SEED",
)


def save_release(
    model: VideoClassifier,
    path: Path,
    *,
    class_names: Sequence[Sequence[str]],
    with_encoder: bool = True,
    scores: Mapping[str, float] | None = None,
    notes: str = "",
) -> float:
    """Writes a release file and reads it back; returns the largest relative difference of embeddings.

    with_encoder: whether the frozen encoder's weights are in it; without them, the configuration must name a
    file or tag that has them. Raises ExportError when the file does not give the model's numbers.
    """
    frozen = {name for name, weight in model.network.named_parameters() if not weight.requires_grad}
    left_out = set() if with_encoder else {name for name in frozen if name.startswith(CLIP_PREFIX)}
    state = model.network.state_dict()
    encoder = Encoder(
        architecture=Path(model.config.video.backbone.meta_arch_name).name,
        included=with_encoder,
        fingerprint=frozen_fingerprint(model.network),
        quick_gelu=model.model.clip.with_quick_gelu,
        head_width=model.model.clip.architecture.vision_head_width,
    )
    description = ReleaseDescription(
        config=released_config(model.config),
        class_names=tuple(tuple(names) for names in class_names),
        encoder=encoder,
        dataset=model.config.train.dataset or model.config.test_dataset,
        scores=scores or {},
        notes=notes,
    )
    unchecked = path.with_name(f".{path.stem}.unchecked.safetensors")
    try:
        write_release(unchecked, description, {name: state[name] for name in state if name not in left_out})
        difference = _difference(model, unchecked, with_encoder)
        if not difference <= TOLERANCE:
            raise ExportError(f"{path} is not written: read back, its embeddings differ by {difference:.2g}")
        unchecked.replace(path)
    except ConversionError as error:
        raise ExportError(f"{path} is not written: it could not be read back: {error}") from error
    finally:
        unchecked.unlink(missing_ok=True)
    return difference


def released_config(config: RunConfig) -> dict[str, Any]:
    """What a release says of its configuration: how the model is made, fed and was trained, but no paths.

    Files that the model is made of keep their names, without their folders. CUSTOM is there for a model of
    the user's own alone; what its OPTIONS mean, only the user's module knows: they stay as they are.
    """
    sections = {key: value for key, value in to_dict(config).items() if key in _SECTIONS}
    for section, keys in _PLACES.items():
        values = sections[section]
        sections[section] = {key: value for key, value in values.items() if key not in keys}
    backbone = sections["VIDEO"]["BACKBONE"]
    for key in ("META_ARCH_NAME", "PRETRAIN_WEIGHT_PATH"):
        backbone[key] = Path(backbone[key]).name
    if config.custom.module:
        custom = to_dict(config)["CUSTOM"]
        sections["CUSTOM"] = {**custom, "MODULE": Path(config.custom.module).name}
    return sections


_PLACES = {
    "DATA": {
        "DATA_ROOT_DIR",
        "ANNO_DIR",
        "TRAIN_LIST",
        "VAL_LIST",
        "TEST_LIST",
        "CLASS_NAMES",
        "EXCLUDE_LIST",
    }
    | {"CACHE_DIR", "CACHE_SIZE_GB", "DECODER"},
    "TRAIN": {"CHECKPOINT_FILE_PATH", "LOG_FILE", "FEATURE_CACHE_DIR"},
    "TEST": {"CHECKPOINT_FILE_PATH", "LOG_FILE"},
}
"""Keys that say where things are on one machine."""


def scores_of_run(checkpoint: Path, model: VideoClassifier) -> dict[str, float]:
    """Test scores from the summary of the run that a checkpoint lies in; {} when there is none, or when the
    run tested other weights than the model has (those of the last step, say, where these are the best).
    """
    weights = model.network.named_parameters()
    own = fingerprint({name: weight for name, weight in weights if weight.requires_grad})
    for folder in list(checkpoint.resolve().parents)[:2]:
        try:
            summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if summary.get("weights", {}).get("trained_sha256") != own:
            continue
        values = summary.get("test", {}).get("scores", {})
        return {name: value for name, value in values.items() if name.startswith("top") and value is not None}
    return {}


@torch.no_grad()
def _difference(model: VideoClassifier, path: Path, with_encoder: bool) -> float:
    backbone, module = model.config.video.backbone, model.config.custom.module
    # The file names others without their folders: as a person has to, this says where they are.
    places = [] if not module else ["CUSTOM.MODULE", module]
    if not with_encoder:
        places += ["VIDEO.BACKBONE.META_ARCH_NAME", backbone.meta_arch_name]
        places += ["VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH", backbone.pretrain_weight_path]
    again = load_model(path, overrides=places, device="cpu")
    video = example_clips(model, 1).float() / 255
    cpu = model.network.to("cpu")
    difference = relative_difference([again.model(video).video], [cpu.model(video).video])
    model.network.to(model.device)
    return difference
