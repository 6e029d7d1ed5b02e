"""Weights of trained models into a network: released DiST checkpoints, and this project's own.

Strict: every weight that the file should hold must be there and fit. Three things may differ by design. A
released file may lack CLIP or bring it along. A head belongs to its classes, so another number of classes
leaves it new. Tables with one row per sparse frame are interpolated to another clip length.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from models.architecture import key_problems
from models.bundled_clip import check_unshown
from models.clip4clip_conversion import from_clip4clip_release, is_clip4clip_release
from models.conversion import differing_sizes, from_dist_release, is_dist_release
from models.heads import Recognizer
from models.interface import Role
from models.key_table import ConversionError
from models.layers.temporal import interpolate_in_time
from models.misfit import explain_misfit
from models.peer_conversion import from_peer_release, peer_layout
from models.release import is_release, read_description
from models.retriever import Retriever
from models.stan_conversion import from_stan_release, is_stan_release
from models.weight_files import WeightFile, read_weight_file
from utils.checkpoint import fingerprint
from utils.logging import get_logger

_FRAME_TABLES = re.compile(r".*\.(class_token|positions)")
_HEADS = "heads."
_SCALE = "model.clip.logit_scale"
# In this order: a method that leaves the joint space has no use for the projection, and ViFi-CLIP's files
# hold their texts embedded.
_PARTS_OF_CLIP = tuple(
    re.compile(rf"model\.clip\.{part}")
    for part in (r"visual\.proj", r"visual\..*", r"text\.token_embedding\..*", r"text\..*", "logit_scale")
)


@dataclass(frozen=True)
class Taken:
    """What a network took from a file."""

    names: frozenset[str]
    """What the file has of this network's, left or not."""
    changed: tuple[str, ...]
    """Frozen weights to which the file gave other values than they had."""
    new_heads: tuple[str, ...]
    """Weights of classifiers that the file does not have, or has for other classes."""


def load_trained_weights(
    network: Recognizer | Retriever, path: Path, *, leave: frozenset[str] = frozenset()
) -> tuple[WeightFile, Taken]:
    """Fill `network`, but for the weights in `leave`, from a file of a trained model.

    Raises ConversionError when it does not fit, or was trained beside other frozen weights than those it does
    not bring, or beside a CLIP that computes otherwise.
    """
    file = read_weight_file(path)
    expected = file.facts.get("frozen_sha256")
    if is_release(file):
        encoder = read_description(file).encoder
        expected = None if encoder.included else encoder.fingerprint
    taken = fill_from(network, file.tensors, str(path), leave=leave, expected=expected)
    check_unshown(file, network.model.clip)
    return file, taken


def _check_frozen_weights(
    network: Recognizer | Retriever, names: Collection[str], expected: str, source: str
) -> None:
    """Raises ConversionError unless the weights that are not from `source`, which has `names`, are those it
    was trained beside. expected: their fingerprint.
    """
    weights = {
        name: weight
        for name, weight in network.named_parameters()
        if name not in names and not name.startswith(_HEADS)
    }
    found = fingerprint(weights)
    if found != expected:
        raise ConversionError(
            f"{source} was trained on a frozen encoder with the fingerprint {expected[:12]}…; the one here "
            f"has {found[:12]}…: set VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH to the same weights"
        )


def fill_from(
    network: Recognizer | Retriever,
    tensors: Mapping[str, Tensor],
    source: str,
    *,
    leave: frozenset[str] = frozenset(),
    expected: str | None = None,
) -> Taken:
    """Fill `network`, but for the weights in `leave`, with weights under the release's names or this
    project's.

    expected: fingerprint of the frozen weights beside which the others were trained, as a checkpoint or a
    release has it; what is not taken must have it. Raises ConversionError.
    """
    own, released = network.state_dict(), tensors
    if is_dist_release(tensors):
        model_state = network.model.state_dict()
        tensors = {
            f"model.{name}": tensor for name, tensor in from_dist_release(tensors, model_state).items()
        }
    elif is_stan_release(tensors):
        tensors = {f"model.{name}": tensor for name, tensor in from_stan_release(tensors).items()}
    elif is_clip4clip_release(tensors):
        tensors = {f"model.{name}": tensor for name, tensor in from_clip4clip_release(tensors).items()}
    elif layout := peer_layout(tensors):
        tensors = from_peer_release(tensors, layout, own)
    given = {
        name: _fitted(name, tensor, own.get(name))
        for name, tensor in tensors.items()
        if not network.model.does_without(name.removeprefix("model."))
    }
    optional = _optional(network, given, own, may_lack_tuned=bool(expected))
    needed = {name: tensor for name, tensor in own.items() if name in given or name not in optional}
    given = {name: tensor for name, tensor in given.items() if name not in optional or name in needed}
    given = _without_foreign_heads(given, own)
    needed = {name: tensor for name, tensor in needed.items() if name in given or not name.startswith(_HEADS)}
    if problems := key_problems(given, needed):
        sizes = differing_sizes(released, network.model.state_dict())
        raise ConversionError(explain_misfit(source, problems, given, needed, sizes))
    fitted = {name: tensor.to(own[name].dtype) for name, tensor in given.items()}
    names = frozenset(fitted)
    fitted = {name: tensor for name, tensor in fitted.items() if name not in leave}
    # A network on the meta device holds no weights to copy into: it takes the file's tensors as they are.
    on_meta = any(tensor.is_meta for tensor in own.values())
    changed: tuple[str, ...] = ()
    if not on_meta:
        fitted, changed = _compared(network, given, fitted)
    network.load_state_dict(fitted, strict=False, assign=on_meta)
    assert not any(parameter.is_meta for parameter in network.parameters()), f"{source} left weights unfilled"
    if expected is not None:
        _check_frozen_weights(network, names, expected, source)
    new_heads = tuple(name for name in own if name.startswith(_HEADS) and name not in fitted)
    return Taken(names, changed, new_heads)


def _compared(
    network: Recognizer | Retriever, given: Mapping[str, Tensor], fitted: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """`fitted` without the frozen weights that the network has already, and the names of those of which it
    has other values. Weights that a file keeps in half precision are the network's own, rounded, when they
    are so.
    """
    taken, changed = dict(fitted), []
    for name, weight in network.named_parameters():
        if name not in fitted or network.role(name) is not Role.FROZEN:
            continue
        if torch.equal(weight.detach().cpu().to(given[name].dtype), given[name].cpu()):
            del taken[name]
        else:
            changed.append(name)
    return taken, tuple(changed)


def _fitted(name: str, tensor: Tensor, own: Tensor | None) -> Tensor:
    """A table of one row per sparse frame, brought to this network's number of frames."""
    if own is None or tensor.shape == own.shape or not _FRAME_TABLES.fullmatch(name):
        return tensor
    if tensor.ndim == own.ndim == 2 and tensor.shape[1] == own.shape[1]:
        get_logger(__name__).info("%s: %d frames interpolated to %d", name, len(tensor), len(own))
        return interpolate_in_time(tensor, len(own))
    return tensor


def _optional(
    network: Recognizer | Retriever,
    given: Mapping[str, Tensor],
    own: Mapping[str, Tensor],
    *,
    may_lack_tuned: bool,
) -> set[str]:
    """Names that the file may lack: the frozen weights of a part of CLIP, all of them or none; CLIP's scale,
    as classification tunes it with the towers, and retrieval with the temperature.

    may_lack_tuned: so may the weights of a part that are tuned here. The file says what it was trained
    beside, and with these weights this run then starts.
    """
    frozen = {name for name in own if network.role(name) is Role.FROZEN or name == _SCALE}
    tuned = {name for name in own if network.role(name) is Role.PRETRAINED} - frozen
    optional: set[str] = set()
    for left in (frozen, tuned) if may_lack_tuned else (frozen,):
        for part in _PARTS_OF_CLIP:
            members = {name for name in left if part.fullmatch(name)}
            left -= members
            optional |= members if given.keys().isdisjoint(members) else set()
    return optional


def _without_foreign_heads(given: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Drops heads for another set of classes, and says so."""
    foreign = [
        name
        for name, tensor in given.items()
        if name.startswith(_HEADS) and (name not in own or own[name].shape != tensor.shape)
    ]
    if foreign:
        get_logger(__name__).warning(
            "the file's classifier is for other classes; this run's starts anew (%s)", ", ".join(foreign)
        )
    return {name: tensor for name, tensor in given.items() if name not in foreign}
