"""What a file of weights is, before a network is built: its configuration, its classes, its tensors.

release of this project   says all that is needed
training checkpoint       says its configuration
released DiST weights     sizes are read from the weights, or taken from the zoo's recipe
CLIP alone                frames on their own, averaged: what every video model has to beat
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from datasets.annotations import AnnotationError
from datasets.labels import CLASS_LISTS, class_names
from models.architecture import clip_architecture, dist_architecture
from models.bundled_clip import CLIP_PREFIX, Unshown, unshown_by_name, unshown_by_trained
from models.clip_layouts import clip_layout
from models.clip_weights import clip_weights_in, with_text_prefix
from models.conversion import bare_release_names, is_dist_release
from models.key_table import ConversionError, listed
from models.peer_conversion import peer_layout
from models.release import is_release, read_description
from models.weight_files import WeightFile
from models.zoo import ZooError, find_model
from runs.build_data import load_class_names
from runs.config import RunConfig, resolve_run_config
from utils.config import ConfigError, build_section
from utils.config.load import parse_overrides
from utils.config.tree import merge, tree_of_values

_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Described:
    """What a file is, before a network is built."""

    config: RunConfig
    tensors: Mapping[str, Tensor]
    """Under the names of `models.loading`."""
    class_names: tuple[tuple[str, ...], ...]
    clip: Unshown | None = None
    """What the shapes of the CLIP in the file do not show; None where it holds none."""
    frozen_sha256: str | None = None
    """Fingerprint that frozen weights must have which the file does not bring."""


def describe(
    name: str, file: WeightFile, config: RunConfig | str | Path | None, overrides: Sequence[str]
) -> Described:
    """What kind of file this is, and the configuration that belongs to it.

    Raises ConfigError for overrides of a configuration that is no file.
    """
    if isinstance(config, RunConfig) and overrides:
        raise ConfigError(
            f"overrides ({' '.join(overrides)}) given beside a configuration that is resolved already",
            remedy="give the file, or resolve_run_config(file, overrides).config and no overrides",
        )
    given = config if isinstance(config, RunConfig) or config is None else _config_file(config, overrides)
    if is_release(file):
        description = read_description(file)
        own = given or _config_of(description.config, overrides, str(file.path))
        missing = None if description.encoder.included else description.encoder.fingerprint
        return Described(own, file.tensors, description.class_names, _clip_in(file, own), missing)
    if "config" in file.facts:
        own = given or _config_of(file.facts["config"], overrides, str(file.path))
        names = tuple(tuple(head) for head in file.facts.get("class_names") or own_class_names(own))
        return Described(own, file.tensors, names, _clip_in(file, own), file.facts.get("frozen_sha256"))
    if is_dist_release(file.tensors):
        recipe = given or _zoo_recipe(name, overrides)
        own = recipe or _config_of_dist(file.tensors, overrides, str(file.path))
        return Described(own, file.tensors, own_class_names(own) if recipe else (), _clip_in(file, own))
    is_clip = clip_layout(file.tensors) is not None
    if given is not None and not (is_clip and given.model.name == "clip"):
        # whether it fits, loading will tell
        return Described(given, file.tensors, own_class_names(given), _clip_in(file, given))
    if layout := peer_layout(file.tensors):
        raise ConversionError(
            f"{file.path} is a file of {layout.name}, which does not say its configuration: give the recipe "
            "that belongs to it with --cfg (configs/projects/baselines)"
        )
    if is_clip:
        return _describe_clip(file, given, overrides)
    raise ConversionError(
        f"{file.path} is no model that says what it is; it has the keys {listed(sorted(file.tensors))}. "
        "Give the configuration that belongs to it with --cfg"
    )


def _config_file(path: str | Path, overrides: Sequence[str]) -> RunConfig:
    return resolve_run_config(path, overrides).config


def _describe_clip(file: WeightFile, given: RunConfig | None, overrides: Sequence[str]) -> Described:
    weights = clip_weights_in(file)
    tensors = {f"{CLIP_PREFIX}{name}": tensor for name, tensor in with_text_prefix(weights.state).items()}
    sizes = clip_architecture(weights.state)
    side = sizes.image_size
    values = {
        "MODEL": {"NAME": "clip"},
        "DATA": {"TEST_SCALE": side, "TEST_CROP_SIZE": side, "TRAIN_CROP_SIZE": side},
        "VIDEO": {"BACKBONE": _arch_name(sizes.open_clip_name)},
    }
    own = given or _config_of(values, overrides, str(file.path))
    name = own.video.backbone.meta_arch_name
    return Described(own, tensors, (), unshown_by_name(weights, name, str(file.path)))


def _clip_in(file: WeightFile, config: RunConfig) -> Unshown | None:
    return unshown_by_trained(file, config.video.backbone)


def _config_of(values: Mapping[str, Any], overrides: Sequence[str], source: str) -> RunConfig:
    """A configuration from plain values (what is absent has its default) and `KEY VALUE` pairs."""
    given = parse_overrides(overrides)
    try:
        return build_section(RunConfig, merge(tree_of_values(values, source), given))
    except ConfigError:
        # How it was trained is no matter here, and later versions may refuse to train so.
        used = {key: value for key, value in values.items() if key not in ("AUGMENTATION", "OPTIMIZER")}
        used["TRAIN"] = {**used.get("TRAIN", {}), "ENABLE": False}
        used["TEST"] = {**used.get("TEST", {}), "ENABLE": True}  # a run must do one of the two
        return build_section(RunConfig, merge(tree_of_values(used, source), given))


def _zoo_recipe(name: str, overrides: Sequence[str]) -> RunConfig | None:
    """The recipe that the zoo names for a model; None for files given by path."""
    if Path(name).expanduser().exists():
        return None
    try:
        recipe = find_model(name).config
    except ZooError:
        return None
    return None if recipe is None else resolve_run_config(_ROOT / recipe, overrides).config


def _config_of_dist(tensors: Mapping[str, Tensor], overrides: Sequence[str], source: str) -> RunConfig:
    """The configuration of released DiST weights, as far as their shapes tell it."""
    bare = bare_release_names(tensors)
    branch, clip = dist_architecture(bare), clip_architecture(bare)
    if branch.steps != clip.vision_layers:
        raise ConfigError(
            f"{source} uses {branch.steps} of {clip.vision_layers} blocks; its shapes do not tell which",
            remedy="name them in VIDEO.BACKBONE.DIST.SELECTED_LAYERS of a configuration given by --cfg",
        )
    return _config_of(
        {
            "MODEL": {"NAME": "dist"},
            "DATA": {
                "NUM_INPUT_FRAMES": branch.frames,
                "SPARSE_SAMPLE_ALPHA": branch.alpha,
                "TEST_SCALE": clip.image_size,
                "TEST_CROP_SIZE": clip.image_size,
                "TRAIN_CROP_SIZE": clip.image_size,
            },
            "VIDEO": {"BACKBONE": {"DIST": branch.config(), **_arch_name(clip.open_clip_name)}},
        },
        overrides,
        source,
    )


def _arch_name(name: str | None) -> dict[str, str]:
    # A CLIP without a usual name is built from its shapes alone; the name must then promise no patch size.
    return {"META_ARCH_NAME": name or "as in the weights"}


def own_class_names(config: RunConfig) -> tuple[tuple[str, ...], ...]:
    """Names of the classes of a configuration's data set, per head: those that the project ships, else those
    in its annotation files; () where they are not on this machine.
    """
    dataset = config.test_dataset or config.train.dataset
    if dataset == "epic100":
        return class_names("epic100_verbs"), class_names("epic100_nouns")
    if dataset in CLASS_LISTS and not config.data.class_names:
        return (class_names(dataset),)
    try:
        return load_class_names(config) if dataset else ()
    except (AnnotationError, OSError):
        return ()
