"""From the configuration to a network: CLIP, the video model on it, heads for the classes, trained weights.

MODEL, VIDEO, class names ──build_network──► Recognizer on the device ◄──load_weights── file or zoo name
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from logging import DEBUG, WARNING
from pathlib import Path

import torch

from datasets.config import CLIP_MEAN, CLIP_STD
from datasets.labels import class_key, class_words
from models.build import ClipShape, ModelBuilder, build_recognizer, build_video_model
from models.bundled_clip import build_bundled_clip
from models.clip import Clip, tag_description
from models.errors import ConversionError
from models.heads import LinearHead, Recognizer, TextHead
from models.interface import Role, VideoModel
from models.loading import Taken, load_trained_weights
from models.release import is_release, read_description
from models.retriever import Retriever
from models.weight_files import WeightFile, read_weight_file
from models.weights import locate_weights
from models.zoo import ZooError
from runs.config import RunConfig
from runs.custom import load_custom_components
from runs.trained_with import tell_glued_prefix, tell_other_clips
from utils import distributed
from utils.activation_checkpointing import recompute_activations
from utils.config import ConfigError
from utils.download import DownloadError
from utils.logging import get_logger

_ROUNDED = 1e-3
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation that X-CLIP and ViFi-CLIP tune CLIP's image tower with."""


def build_network(
    config: RunConfig, class_names: Sequence[Sequence[str]], device: torch.device
) -> Recognizer:
    """The network for classes of these names (one list per head), with CLIP's weights, otherwise new.

    Raises ConfigError for sizes that do not fit and weights that cannot be had.
    """
    templates = config.data.dataset_label_text.sentences
    names = [[class_words(name) for name in head] for head in class_names]
    try:
        model = _build_model(config).to(device)
        network = build_recognizer(config.video.head, model, names, templates).to(device)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    _fit_to(config, network.model)
    return network


def build_retriever(config: RunConfig, device: torch.device) -> Retriever:
    """The network that matches texts with videos, with CLIP's weights, otherwise new.

    Raises ConfigError for sizes that do not fit and weights that cannot be had.
    """
    settings = config.retrieval
    try:
        model = _build_model(config)
        network = Retriever(model, alignment=settings.alignment, temperature=settings.temperature).to(device)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    _fit_to(config, network.model)
    return network


def _build_model(config: RunConfig) -> VideoModel:
    shape = ClipShape(config.data.num_input_frames, config.data.sparse_sample_alpha)
    own_models, clip = build_own_models(config), _clip_of_trained_weights(config)
    return build_video_model(config.model, config.video, shape, clip=clip, own_models=own_models)


def check_normalisation(config: RunConfig, *, tunes: bool = True) -> None:
    """Tell before anything is fetched that the tag of CLIP's weights wants other DATA.MEAN and DATA.STD.

    For a CLIP as published: trained weights want what they were trained with, and a tower that is going to be
    tuned may be given ImageNet's (tunes false: used as it is). Raises ConfigError.
    """
    if tunes and _tunes_with_imagenets(config):
        return
    backbone, data = config.video.backbone, config.data
    tag = tag_description(backbone.meta_arch_name, backbone.pretrain_weight_path)
    given = {"MEAN": data.mean, "STD": data.std}
    wanted = {key: tuple(tag.get(key.lower()) or own) for key, own in given.items()}
    different = [key for key in given if math.dist(given[key], wanted[key]) > _ROUNDED]
    if different:
        raise ConfigError(
            f"{_listed(given[different[0]])} given; open_clip's {backbone.meta_arch_name} with the weights "
            f"'{backbone.pretrain_weight_path}' was trained with {_listed(wanted[different[0]])}",
            key=f"DATA.{different[0]}",
            remedy="set " + " ".join(f"DATA.{key} [{_listed(wanted[key])}]" for key in different),
        )


def normalisation_of_clip(config: RunConfig) -> tuple[Sequence[float], Sequence[float]]:
    """Mean and standard deviation of the images that the CLIP to start from was trained with: CLIP's own
    where a tuned tower is given ImageNet's, else DATA.MEAN and DATA.STD.
    """
    if not _tunes_with_imagenets(config):
        return config.data.mean, config.data.std
    backbone = config.video.backbone
    tag = tag_description(backbone.meta_arch_name, backbone.pretrain_weight_path)
    return tag.get("mean") or CLIP_MEAN, tag.get("std") or CLIP_STD


def _tunes_with_imagenets(config: RunConfig) -> bool:
    given = (config.data.mean, config.data.std)
    near = (math.dist(own, other) <= _ROUNDED for own, other in zip(given, _IMAGENET, strict=True))
    return not config.video.backbone.freeze_visual and all(near)


def _listed(numbers: Sequence[float]) -> str:
    return ",".join(map(str, numbers))


def _clip_of_trained_weights(config: RunConfig) -> Clip | None:
    """The CLIP in the file of trained weights that the run starts from or tests, if it holds one.

    It takes the place of VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH, which then need not be there: class names are
    compared with what the weights were trained beside. Errors are left to `load_weights`, which knows the
    key.
    """
    start, tested = config.train.checkpoint_file_path, config.test.checkpoint_file_path
    for name in filter(None, (start,) if config.train.enable else (tested, start)):
        try:
            clip = build_bundled_clip(read_weight_file(locate_weights(name)), config.video.backbone)
        except (ValueError, DownloadError):
            clip = None
        if clip is not None:
            return clip
    return None


def _fit_to(config: RunConfig, model: VideoModel) -> None:
    """What both kinds of networks need: clips that fit, and TRAIN.ACTIVATION_CHECKPOINTING. Raises
    ConfigError.
    """
    _check_lengths(config, model)
    _check_patches(config, model)
    _checkpoint_activations(config, model)


def _check_lengths(config: RunConfig, model: VideoModel) -> None:
    """Tell before the first clip that clips are too long for the model. Raises ConfigError."""
    data, most = config.data, model.most_frames
    given = {"NUM_INPUT_FRAMES": data.num_input_frames, "NUM_TEST_FRAMES": data.num_test_frames}
    if not config.train.enable and data.num_test_frames is not None:
        del given["NUM_INPUT_FRAMES"]
    for key, frames in given.items():
        if most is None or frames is None:
            continue
        shown = ClipShape(frames, data.sparse_sample_alpha).shown
        if shown > most:
            raise ConfigError(
                f"clips of {frames} frames, of which CLIP sees {shown}, but model {config.model.name!r} has "
                f"positions for {most}",
                key=f"DATA.{key}",
                remedy=f"take at most {most * data.sparse_sample_alpha} frames",
            )


def _check_patches(config: RunConfig, model: VideoModel) -> None:
    """Against the patches of the CLIP that is there: not every name tells them, as a file's does not."""
    keys = ("TRAIN_CROP_SIZE", "TEST_CROP_SIZE") if config.train.enable else ("TEST_CROP_SIZE",)
    config.check_crops(model.clip.architecture.patch_size, keys)


def _checkpoint_activations(config: RunConfig, model: VideoModel) -> None:
    if config.train.activation_checkpointing:
        blocks = recompute_activations(model)
        get_logger().info("%d blocks recompute their activations in the backward pass", blocks)


def build_own_models(config: RunConfig) -> dict[str, ModelBuilder]:
    """Builders of the user's module, which see the whole configuration, in the form that `models.build`
    calls.
    """
    custom = load_custom_components(config.custom)

    def adapted(builder: Callable[..., VideoModel]) -> ModelBuilder:
        return lambda clip, video, shape: builder(config, clip, custom.options)

    return {name: adapted(builder) for name, builder in custom.models.items()}


def load_weights(
    network: Recognizer | Retriever,
    name_or_path: str,
    key: str,
    *,
    trains: bool = False,
    class_names: Sequence[Sequence[str]] = (),
    used_with: RunConfig | None = None,
) -> None:
    """Fill `network` with trained weights: this project's checkpoints (averaged ones where there are),
    releases.

    name_or_path: a file or a name of the model zoo; key: what set it; trains: whether training follows, which
    may give the classifiers other classes; class_names: per head, what else a classifier's classes must be;
    used_with: what is warned about where the weights were trained with something else.
    Raises ConfigError when they do not fit.
    """
    try:
        path = locate_weights(name_or_path)
        file, taken = load_trained_weights(network, path, leave=_idle(network) if trains else frozenset())
        if not trains and isinstance(network, Recognizer):
            _check_classifiers(network, file, taken, class_names)
    except (ValueError, ZooError, DownloadError) as error:
        raise ConfigError(str(error), key=key) from error
    _check_frozen(network, taken, path, key, trains=trains)
    get_logger().info("trained weights taken from %s", path)
    if used_with is not None:
        tell_other_clips(file, used_with)
        tell_glued_prefix(used_with, file.facts, path)


def _check_classifiers(
    network: Recognizer, file: WeightFile, taken: Taken, class_names: Sequence[Sequence[str]]
) -> None:
    """Raises ConversionError for a classifier that is not trained, or was for other classes."""
    if taken.new_heads:
        raise ConversionError(
            f"{file.path} has no classifier for these classes ({', '.join(taken.new_heads)}), and nothing is "
            "trained here: give the list of classes, and VIDEO.HEAD, that it was trained with"
        )
    trained_for = read_description(file).class_names if is_release(file) else file.facts.get("class_names")
    if not trained_for or not class_names:
        return
    if not any(isinstance(head, LinearHead) for head in network.heads):
        _tell_fewer_classes(file.path, trained_for, class_names)
        return
    if len(trained_for) != len(class_names):
        raise ConversionError(
            f"{file.path} has {len(trained_for)} classifiers, and a video of this list {len(class_names)} "
            "labels: give the data set that it was trained on"
        )
    for trained, now in zip(trained_for, class_names, strict=True):
        for index, (name, other) in enumerate(zip(trained, now, strict=True)):
            if class_key(name) != class_key(other):
                raise ConversionError(
                    f"{file.path} has a classifier whose class {index} is {name!r}; in this run's list it is "
                    f"{other!r}: give the class names that it was trained with as DATA.CLASS_NAMES"
                )


def _tell_fewer_classes(
    path: str | Path, trained_for: Sequence[Sequence[str]], class_names: Sequence[Sequence[str]]
) -> None:
    """Words can be compared for any classes; among a part of those of training it is an easier task."""
    for trained, now in zip(trained_for, class_names, strict=False):
        present = {class_key(name) for name in now}
        absent = [name for name in trained if class_key(name) not in present]
        if absent and present < {class_key(name) for name in trained}:
            get_logger().log(
                WARNING if distributed.is_main() else DEBUG,
                "%s was trained on %d classes, and the test's list has %d of them (not %r): no video can be "
                "taken for one of the others, which raises the score. DATA.CLASS_NAMES gives all of them",
                path, len(trained), len(now), absent[0],
            )  # fmt: skip


def _idle(network: Recognizer | Retriever) -> frozenset[str]:
    """Frozen weights that training does not need from a file: CLIP's scale, and a text tower that nothing is
    compared with.
    """
    heads = network.heads if isinstance(network, Recognizer) else ()
    compares = isinstance(network, Retriever) or any(isinstance(head, TextHead) for head in heads)
    return frozenset(
        name
        for name, _ in network.named_parameters()
        if network.role(name) is Role.FROZEN
        and (name == "model.clip.logit_scale" or (not compares and name.startswith("model.clip.text.")))
    )


def _check_frozen(
    network: Recognizer | Retriever, taken: Taken, path: Path, key: str, *, trains: bool
) -> None:
    """Frozen weights are in no checkpoint, and features of class names were made with those that were there
    before.
    """
    heads = network.heads if isinstance(network, Recognizer) else ()
    in_texts = any(name.startswith("model.clip.text.") for name in taken.changed)
    stale = in_texts and any(isinstance(head, TextHead) for head in heads)
    if taken.changed and (trains or stale):
        raise ConfigError(
            f"{path} holds other values of {len(taken.changed)} frozen weights ({taken.changed[0]}, …) than "
            "VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH",
            key=key,
            remedy="tune that tower here, too (VIDEO.BACKBONE.FREEZE_VISUAL, FREEZE_TEXT false), or give a "
            "release of that model (runs/export.py --format release) as VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH",
        )
