"""A model that is ready to use, from a name of the zoo or from a file, whatever kind of file it is.

    release of this project   says all that is needed
    training checkpoint       says its configuration; frozen weights come from where that names them
    released DiST weights     sizes are read from the weights, or taken from the zoo's recipe
    CLIP alone                frames on their own, averaged: what every video model has to beat

Where the file brings the frozen encoder along, the network takes its tensors as they are: nothing is
initialised first, and nothing else is fetched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from datasets.annotations import AnnotationError
from datasets.labels import CLASS_LISTS, class_names, class_words
from models.architecture import clip_architecture, dist_architecture
from models.build import ClipShape, build_video_model
from models.clip import Clip
from models.clip_layouts import clip_layout
from models.clip_weights import clip_weights_of, with_text_prefix, without_text_prefix
from models.conversion import bare_release_names, is_dist_release
from models.heads import Head, LinearHead, Recognizer
from models.interface import VideoModel
from models.key_table import ConversionError, listed
from models.loading import fill_from
from models.release import is_release, read_description
from models.weight_files import WeightFile, read_weight_file
from models.weights import locate_weights
from models.zero_shot import class_text_features
from models.zoo import ZooError, find_model
from runs.build_data import load_class_names
from runs.build_model import build_own_models
from runs.config import RunConfig, resolve_run_config
from utils.checkpoint import frozen_fingerprint
from utils.config import ConfigError, build_section
from utils.config.load import parse_overrides
from utils.config.tree import merge, tree_of_values
from utils.precision import Precision, resolve_precision
from utils.progress import byte_progress

_ROOT = Path(__file__).resolve().parents[2]
_CLIP_PREFIX = "model.clip."
_READ_FROM = {"visual.conv1.weight", "visual.positional_embedding", "visual.proj"} | {
    "positional_embedding",
    "token_embedding.weight",
}
"""Weights from which CLIP's sizes are read."""


@dataclass(frozen=True)
class VideoClassifier:
    """A model in evaluation mode on its device, with what is needed to use it."""

    network: Recognizer
    """The video model; trained classifiers in `heads`, none where classes are compared as texts."""
    config: RunConfig
    class_names: tuple[tuple[str, ...], ...]
    """The classes it was trained for, per head; empty when the file does not say."""
    source: str
    device: torch.device
    precision: Precision
    _text_features: dict[tuple[tuple[str, ...], tuple[str, ...]], tuple[Tensor, Tensor]] = field(
        default_factory=dict
    )

    @property
    def model(self) -> VideoModel:
        """The video model itself."""
        return self.network.model

    @property
    def has_trained_classifier(self) -> bool:
        """Whether its classes are fixed."""
        return len(self.network.heads) > 0

    @torch.no_grad()
    def text_features(
        self, names: Sequence[str], templates: Sequence[str] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Text features (K,E) of class names, computed once: as the model compares them, and CLIP's own.

        templates: sentences with {} for a name; by default the configuration's.
        """
        text = self.config.data.dataset_label_text
        chosen = tuple(templates or [f"{text.prompt_prefix}{template}" for template in text.templates])
        key = (tuple(names), chosen)
        if key not in self._text_features:
            words = [class_words(name) for name in names]
            own = self.model.class_features(words, chosen)
            self._text_features[key] = own, class_text_features(self.model.clip, words, chosen)
        return self._text_features[key]


@dataclass(frozen=True)
class _Described:
    """What a file is, before a network is built."""

    config: RunConfig
    tensors: Mapping[str, Tensor]
    """Under the names of `models.loading`."""
    class_names: tuple[tuple[str, ...], ...]
    quick_gelu: bool = True
    frozen_sha256: str | None = None
    """Fingerprint that frozen weights must have which the file does not bring."""


def load_model(
    name_or_path: str | Path,
    *,
    config: str | Path | None = None,
    overrides: Sequence[str] = (),
    device: str = "auto",
    precision: str = "auto",
) -> VideoClassifier:
    """A model by zoo name (downloaded when it is not here) or path, ready for `classify`.

    config: a YAML file that takes the place of what the weights say of themselves. overrides: `KEY`, `VALUE`
    pairs on top. device: auto, cpu, cuda, cuda:1, … precision: as TRAIN.PRECISION. Raises ConfigError,
    ZooError, DownloadError, ConversionError; each says what to do.
    """
    path = locate_weights(name_or_path, progress_for=byte_progress)
    file = read_weight_file(path)
    described = _describe(str(name_or_path), file, config, overrides)
    place = choose_device(device)
    network = _build(described, str(path))
    return VideoClassifier(
        network=network.to(place).eval(),
        config=described.config,
        class_names=described.class_names,
        source=str(name_or_path),
        device=place,
        precision=_precision(precision, place),
    )


def choose_device(name: str) -> torch.device:
    """A device by name; auto is the first GPU, or the CPU. Raises ConfigError for one that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"device {name!r} cannot be used: {reason}", remedy="take auto or cpu") from error
    return device


def _precision(name: str, device: torch.device) -> Precision:
    try:
        return resolve_precision(name, device)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _describe(name: str, file: WeightFile, config: str | Path | None, overrides: Sequence[str]) -> _Described:
    """What kind of file this is, and the configuration that belongs to it."""
    given = resolve_run_config(config, overrides).config if config is not None else None
    if is_release(file):
        description = read_description(file)
        own = given or _config_of(description.config, overrides, str(file.path))
        missing = None if description.encoder.included else description.encoder.fingerprint
        quick_gelu = description.encoder.quick_gelu
        return _Described(own, file.tensors, description.class_names, quick_gelu, missing)
    if "config" in file.facts:
        own = given or _config_of(file.facts["config"], overrides, str(file.path))
        names = file.facts.get("class_names") or own_class_names(own)
        return _Described(own, file.tensors, _as_tuples(names), frozen_sha256=file.facts.get("frozen_sha256"))
    if is_dist_release(file.tensors):
        recipe = given or _zoo_recipe(name, overrides)
        own = recipe or _config_of_dist(file.tensors, overrides, str(file.path))
        return _Described(own, file.tensors, own_class_names(own) if recipe else ())
    if clip_layout(file.tensors) is not None:
        return _describe_clip(file, given, overrides)
    raise ConversionError(
        f"{file.path} is no model that this project knows; it has the keys {listed(sorted(file.tensors))}"
    )


def _describe_clip(file: WeightFile, given: RunConfig | None, overrides: Sequence[str]) -> _Described:
    weights = clip_weights_of(file.tensors)
    tensors = {f"{_CLIP_PREFIX}{name}": tensor for name, tensor in with_text_prefix(weights.state).items()}
    side = clip_architecture(weights.state).image_size
    values = {
        "MODEL": {"NAME": "clip"},
        "DATA": {"TEST_SCALE": side, "TEST_CROP_SIZE": side, "TRAIN_CROP_SIZE": side},
    }
    own = given or _config_of(values, overrides, str(file.path))
    return _Described(own, tensors, (), quick_gelu=weights.quick_gelu is not False)


def _config_of(values: Mapping[str, Any], overrides: Sequence[str], source: str) -> RunConfig:
    """A configuration from plain values (what is absent has its default) and `KEY VALUE` pairs."""
    return build_section(RunConfig, merge(tree_of_values(values, source), parse_overrides(overrides)))


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


def _build(described: _Described, source: str) -> Recognizer:
    """The network with the file's weights. Raises ConversionError when they do not fit."""
    config = described.config
    shape = ClipShape(config.data.num_input_frames, config.data.sparse_sample_alpha)
    own_models = build_own_models(config)
    clip = _empty_clip(described)
    try:
        with torch.device("cpu" if clip is None else "meta"):
            model = build_video_model(config.model, config.video, shape, clip=clip, own_models=own_models)
            network = Recognizer(model, _linear_heads(described.tensors, model.video_width))
    except ValueError as error:
        raise ConfigError(str(error)) from error
    fill_from(network, described.tensors, source)
    if described.frozen_sha256 and clip is None:
        found = frozen_fingerprint(network)
        if found != described.frozen_sha256:
            raise ConversionError(
                f"{source} was trained on a frozen encoder with the fingerprint "
                f"{described.frozen_sha256[:12]}…; {config.video.backbone.pretrain_weight_path} has "
                f"{found[:12]}…: set VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH to the same weights"
            )
    return network


def _empty_clip(described: _Described) -> Clip | None:
    """A CLIP that waits for the file's weights, on the meta device; None when the file has not all of
    them.
    """
    state = _clip_state(described.tensors)
    if not set(state) >= _READ_FROM:
        return None
    with torch.device("meta"):
        clip = Clip(clip_architecture(state), with_quick_gelu=described.quick_gelu)
    return clip if set(clip.state_dict()) <= set(with_text_prefix(state)) else None


def _clip_state(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """CLIP's weights in a file, under OpenAI's names."""
    if is_dist_release(tensors):
        bare = bare_release_names(tensors)
        return {name: tensor for name, tensor in bare.items() if not name.startswith("dist_net.")}
    ours = {name: tensor for name, tensor in tensors.items() if name.startswith(_CLIP_PREFIX)}
    return without_text_prefix({name.removeprefix(_CLIP_PREFIX): tensor for name, tensor in ours.items()})


def _linear_heads(tensors: Mapping[str, Tensor], width: int) -> list[Head]:
    """New classifiers of the sizes that the file's have; none where it has none."""
    heads: list[Head] = []
    while f"heads.{len(heads)}.fc.weight" in tensors:
        heads.append(LinearHead(width, len(tensors[f"heads.{len(heads)}.fc.weight"])))
    return heads


def _as_tuples(names: Sequence[Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(head) for head in names)
