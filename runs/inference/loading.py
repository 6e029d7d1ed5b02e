"""A model that is ready to use, from a name of the zoo or from a file, whatever kind of file it is.

    name or path ──► file ──describe──► configuration, tensors ──► network ──► VideoClassifier

Where the file brings the frozen encoder along, the network takes its tensors as they are: nothing is
initialised first, and nothing else is fetched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from models.build import ClipShape, build_video_model
from models.bundled_clip import bundled_clip_state, check_unshown, empty_clip
from models.config import MODELS_OUTSIDE_THE_TOWER
from models.frozen_tower import keep_frozen_tower_in
from models.heads import Head, LinearHead, Recognizer
from models.interface import VideoModel
from models.loading import fill_from
from models.peer_conversion import classifiers_of
from models.weight_files import read_weight_file
from models.weights import locate_weights
from runs.build_model import build_own_models, check_normalisation
from runs.config import RunConfig
from runs.inference.classifier import VideoClassifier
from runs.inference.described import Described, describe
from runs.trained_with import tell_glued_prefix, tell_other_clips
from utils.config import ConfigError
from utils.precision import Precision, resolve_precision
from utils.progress import byte_progress
from utils.reproducibility import drawn_as_in_a_run


def load_model(
    name_or_path: str | Path,
    *,
    config: RunConfig | str | Path | None = None,
    overrides: Sequence[str] = (),
    device: str | torch.device = "auto",
    precision: str = "auto",
    frozen_precision: str = "fp32",
) -> VideoClassifier:
    """A model by zoo name (downloaded when it is not here) or path, ready for `classify`.

    config: a YAML file (or what it says) that takes the place of what the weights say of themselves.
    overrides: `KEY`, `VALUE` pairs on top of a file or of the weights' own. device: auto, cpu, cuda, cuda:1,
    … precision: as TRAIN.PRECISION. frozen_precision: as VIDEO.BACKBONE.FROZEN_PRECISION, whatever the
    weights were trained with. Raises ConfigError, ZooError, DownloadError, ConversionError; each says
    what to do.
    """
    path = locate_weights(name_or_path, progress_for=byte_progress)
    file = read_weight_file(path)
    described = describe(str(name_or_path), file, config, overrides)
    place = device if isinstance(device, torch.device) else choose_device(device)
    _check_frozen_precision(frozen_precision, described.config)
    network = _build(described, str(path)).to(place).eval()
    check_unshown(file, network.model.clip)
    if config is not None:  # overrides of the weights' own are meant
        tell_other_clips(file, described.config)
    tell_glued_prefix(described.config, file.facts, path)
    numbers = _precision(precision, place)
    _keep_frozen(network.model, frozen_precision, numbers)
    return VideoClassifier(
        network=network,
        config=described.config,
        class_names=described.class_names,
        source=str(name_or_path),
        device=place,
        precision=numbers,
    )


def untrained_model(config: RunConfig, device: torch.device) -> VideoClassifier:
    """A model without trained weights: for the frozen CLIP alone. Raises ConfigError."""
    check_normalisation(config, tunes=False)
    shape = ClipShape(config.data.num_input_frames, config.data.sparse_sample_alpha)
    own_models = build_own_models(config)
    try:
        with drawn_as_in_a_run(config.random_seed):
            model = build_video_model(config.model, config.video, shape, own_models=own_models)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    precision = _precision(config.train.requested_precision, device)
    network = Recognizer(model, []).to(device).eval()
    _keep_frozen(model, config.video.backbone.frozen_precision, precision)
    return VideoClassifier(network, config, (), config.model.name, device, precision)


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


def _check_frozen_precision(kind: str, config: RunConfig) -> None:
    if kind != "fp32" and config.model.name not in MODELS_OUTSIDE_THE_TOWER:
        raise ConfigError(
            f"model {config.model.name!r} works inside of the image tower, whose weights then stay float32",
            remedy=f"take fp32; others are for {', '.join(MODELS_OUTSIDE_THE_TOWER)}",
        )


def _keep_frozen(model: VideoModel, kind: str, precision: Precision) -> None:
    if kind == "fp32":
        return
    model.clip.visual.requires_grad_(False)
    try:
        keep_frozen_tower_in(model.clip.visual, kind, precision.half)
    except ValueError as error:
        raise ConfigError(str(error), remedy="take fp32, or half") from error


def _build(described: Described, source: str) -> Recognizer:
    """The network with the file's weights. Raises ConversionError when they do not fit."""
    config = described.config
    shape = ClipShape(config.data.num_input_frames, config.data.sparse_sample_alpha)
    own_models = build_own_models(config)
    clip = empty_clip(bundled_clip_state(described.tensors), described.clip) if described.clip else None
    try:
        # A run whose CLIP has random weights stores their fingerprint alone: they are drawn again.
        with torch.device("cpu" if clip is None else "meta"), drawn_as_in_a_run(config.random_seed):
            model = build_video_model(config.model, config.video, shape, clip=clip, own_models=own_models)
            network = Recognizer(model, _linear_heads(described.tensors, model.video_width))
    except ValueError as error:
        raise ConfigError(str(error)) from error
    fill_from(network, described.tensors, source, expected=described.frozen_sha256)
    return network


def _linear_heads(tensors: Mapping[str, Tensor], width: int) -> list[Head]:
    """New classifiers of the sizes that the file's have; none where it has none."""
    trained = classifiers_of(tensors)
    heads: list[Head] = []
    while f"heads.{len(heads)}.fc.weight" in trained:
        heads.append(LinearHead(width, len(trained[f"heads.{len(heads)}.fc.weight"])))
    return heads
