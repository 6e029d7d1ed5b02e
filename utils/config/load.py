"""Loading a configuration: files, command-line pairs, vocabularies of other releases, types, checks."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from utils.config.convert import build_section
from utils.config.errors import ConfigError, ConfigWarning
from utils.config.files import read_tree
from utils.config.tree import Tree, merge, nested, parse_value, walk
from utils.config.vocabulary import Vocabulary

Schema = TypeVar("Schema")


@dataclass(frozen=True)
class Resolved(Generic[Schema]):
    """A loaded configuration, where each key was set (keys at their default are absent), and warnings."""

    config: Schema
    sources: dict[str, str]
    warnings: tuple[str, ...]


def load_config(
    schema: type[Schema],
    path: str | Path | None,
    overrides: Sequence[str] = (),
    vocabulary: Vocabulary | None = None,
) -> Schema:
    """Load `schema` from a YAML file (None: defaults only) and `KEY VALUE` pairs.

    `vocabulary` translates the keys of another release first; what it has to say is a `ConfigWarning`.
    Raises:
        ConfigError: listing every problem with file, key, nearest known key and remedy.
    """
    resolved = resolve_config(schema, path, overrides, vocabulary)
    for message in resolved.warnings:
        warnings.warn(message, ConfigWarning, stacklevel=2)
    return resolved.config


def resolve_config(
    schema: type[Schema],
    path: str | Path | None,
    overrides: Sequence[str] = (),
    vocabulary: Vocabulary | None = None,
) -> Resolved[Schema]:
    """As `load_config`, with the origin of every key and the warnings as data."""
    tree = read_tree(path) if path is not None else {}
    tree = merge(tree, parse_overrides(overrides))
    messages: tuple[str, ...] = ()
    if vocabulary is not None:
        tree, messages = vocabulary.translate(tree)
    config = build_section(schema, tree)
    return Resolved(config, {key: leaf.source for key, leaf in walk(tree)}, messages)


def parse_overrides(pairs: Sequence[str]) -> Tree:
    """`KEY VALUE KEY VALUE ...` as a tree; a value is parsed as YAML.

    Raises:
        ConfigError: a key without a value.
    """
    tree: Tree = {}
    for key in pairs[::2]:
        if "=" in key or key.startswith("-"):
            remedy = "write options before the KEY VALUE pairs, and a pair as two words: TRAIN.BATCH_SIZE 64"
            raise ConfigError(f"{key!r} is not a key", source="command line", remedy=remedy)
    if len(pairs) % 2:
        remedy = "pairs look like TRAIN.BATCH_SIZE 64; quote a value that holds spaces"
        raise ConfigError("has no value", key=pairs[-1], source="command line", remedy=remedy)
    for key, text in zip(pairs[::2], pairs[1::2], strict=True):
        tree = merge(tree, nested(key, parse_value(text, f"command line ({key} {text})")))
    return tree
