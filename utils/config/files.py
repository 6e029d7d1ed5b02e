"""YAML files and the files they build on (`_BASE`, `_BASE_MODEL`, `_BASE_RUN`).

Each names a file, or a list of files, relative to the file that names it. Later overrides earlier:
`_BASE` < `_BASE_MODEL` < `_BASE_RUN` < the file itself, and within a list from left to right.
"""

from __future__ import annotations

import os
from pathlib import Path

from utils.config.errors import ConfigError, nearest
from utils.config.tree import Leaf, Tree, merge, parse_yaml

BASE_KEYS = ("_BASE", "_BASE_MODEL", "_BASE_RUN")


def read_tree(path: str | Path) -> Tree:
    """Read a YAML file and everything it builds on.

    Raises:
        ConfigError: a file is missing or unreadable, or names itself through its bases.
    """
    return _read(Path(path), named_by=(), place="")


def _read(path: Path, named_by: tuple[Path, ...], place: str) -> Tree:
    resolved = path.resolve()
    if resolved in named_by:
        chain = " -> ".join(_display(step) for step in (*named_by, resolved))
        raise ConfigError(f"base files name each other in a circle: {chain}", source=place)
    tree = parse_yaml(_text_of(path, place), _display(path))
    _check_base_names(tree, _display(path))
    merged: Tree = {}
    for key in BASE_KEYS:
        for leaf in _base_leaves(tree.pop(key, None), key, _display(path)):
            base = _read(path.parent / str(leaf.value), (*named_by, resolved), f"{leaf.source} ({key})")
            merged = merge(merged, base)
    return merge(merged, tree)


def _text_of(path: Path, place: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(
            f"configuration file {_display(path)} does not exist",
            source=place,
            remedy=_missing_file_remedy(path, place),
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"configuration file {_display(path)} cannot be read: {error}", source=place
        ) from error


def _missing_file_remedy(path: Path, place: str) -> str:
    siblings = sorted(path.parent.glob("*.y*ml")) if path.parent.is_dir() else []
    close = nearest(path.name.upper(), [file.name.upper() for file in siblings])
    names = [file.name for file in siblings if file.name.upper() in close]
    if names:
        return f"that folder has {', '.join(names)}"
    return (
        "a base is looked up relative to the file that names it"
        if place
        else "give --cfg the path of a YAML file"
    )


def _check_base_names(tree: Tree, name: str) -> None:
    for key in tree:
        if key.startswith("_") and key not in BASE_KEYS:
            raise ConfigError(
                f"unknown key {key}", source=name, remedy=f"base files are named by {', '.join(BASE_KEYS)}"
            )


def _base_leaves(value: Leaf | Tree | None, key: str, name: str) -> list[Leaf]:
    if value is None:
        return []
    leaves = value.value if isinstance(value, Leaf) and isinstance(value.value, list) else [value]
    for leaf in leaves:
        if not isinstance(leaf, Leaf) or not isinstance(leaf.value, str):
            raise ConfigError(f"{key} must be a file name or a list of file names", source=name)
    return list(leaves)


def _display(path: Path) -> str:
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
