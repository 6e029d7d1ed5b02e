"""The untyped form of a configuration: nested mappings whose leaves remember where they were written.

`Tree` maps a key to another tree or to a `Leaf`. Files are read with PyYAML's composer, which knows lines, so
that every later complaint can name file and line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import yaml

from utils.config.errors import ConfigError


@dataclass(frozen=True)
class Leaf:
    """One value as written: what YAML makes of it, its text, and where it stands.

    `value` is None, bool, int, float, str, or a list whose elements are leaves or trees.
    `text` is the scalar's spelling (a text field takes `no` or `8` as it is spelled), None for a list.
    """

    value: Any
    text: str | None
    source: str
    from_command_line: bool = False


Tree: TypeAlias = "dict[str, Leaf | Tree]"

_SCALAR_TYPES = (type(None), bool, int, float, str)
_CONSTRUCTOR = yaml.constructor.SafeConstructor()


def parse_yaml(text: str, name: str) -> Tree:
    """Parse a YAML document that must be a mapping (an empty document is an empty mapping).

    Raises:
        ConfigError: invalid YAML, a key that is no text, or a key given twice in one mapping.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        source = f"{name}, line {mark.line + 1}" if mark else name
        raise ConfigError(f"not valid YAML: {error.problem}", source=source) from error
    except yaml.YAMLError as error:
        raise ConfigError(f"not valid YAML: {error}", source=name) from error
    if node is None:
        return {}
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError("the file must hold a mapping of keys to values", source=name)
    try:
        return _tree_of(node, name)
    except RecursionError as error:
        raise ConfigError("an alias refers to what it stands in", source=name) from error


def parse_value(text: str, source: str) -> Leaf | Tree:
    """Parse the VALUE of a command-line pair; text that is no YAML stays text.

    A mapping is taken as a section only if its keys are written as configuration keys, so that a prompt such
    as `a video of: ` remains the text it is.
    """
    plain = Leaf(text, text, source, from_command_line=True)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return plain
    if node is None:
        return Leaf(None, text, source, from_command_line=True)
    if isinstance(node, yaml.MappingNode):
        if all(isinstance(key, yaml.ScalarNode) and key.value.isupper() for key, _ in node.value):
            return _tree_of(node, source, from_command_line=True)
        return plain
    leaf = _leaf_of(node, source, from_command_line=True)
    if isinstance(node, yaml.ScalarNode) and node.style is None:
        return Leaf(leaf.value, text.strip(), source, from_command_line=True)
    return leaf


def tree_of_values(values: Mapping[str, Any], source: str) -> Tree:
    """Plain values as a tree, all of them from one source."""
    return {key: _branch_of_value(value, source) for key, value in values.items()}


def _branch_of_value(value: Any, source: str) -> Leaf | Tree:
    if isinstance(value, Mapping):
        return tree_of_values(value, source)
    if isinstance(value, (list, tuple)):
        return Leaf([_branch_of_value(item, source) for item in value], None, source)
    return Leaf(value, None if value is None else str(value), source)


def _tree_of(node: yaml.MappingNode, name: str, from_command_line: bool = False) -> Tree:
    _refuse_duplicates(node, name)
    _CONSTRUCTOR.flatten_mapping(node)
    tree: Tree = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise ConfigError("a key must be a plain word", source=_place(key_node, name, from_command_line))
        tree[key_node.value] = _branch_of(value_node, name, from_command_line)
    return tree


def _branch_of(node: yaml.Node, name: str, from_command_line: bool) -> Leaf | Tree:
    if isinstance(node, yaml.MappingNode):
        return _tree_of(node, name, from_command_line)
    return _leaf_of(node, name, from_command_line)


def _leaf_of(node: yaml.Node, name: str, from_command_line: bool) -> Leaf:
    source = _place(node, name, from_command_line)
    if isinstance(node, yaml.SequenceNode):
        items = [_branch_of(item, name, from_command_line) for item in node.value]
        return Leaf(items, None, source, from_command_line)
    try:
        value = _CONSTRUCTOR.construct_object(node)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"value {node.value!r} cannot be read: {error}", source=source) from error
    if not isinstance(value, _SCALAR_TYPES):  # a date, for one: what is written is what is meant
        value = node.value
    return Leaf(value, node.value, source, from_command_line)


def _place(node: yaml.Node, name: str, from_command_line: bool) -> str:
    return name if from_command_line else f"{name}, line {node.start_mark.line + 1}"


def _refuse_duplicates(node: yaml.MappingNode, name: str) -> None:
    first_lines: dict[str, int] = {}
    for key_node, _ in node.value:
        key, line = str(key_node.value), key_node.start_mark.line + 1
        if key in first_lines and key != "<<":
            raise ConfigError(
                f"key {key} is given twice in one mapping (first on line {first_lines[key]})",
                source=f"{name}, line {line}",
                remedy="keep one of the two; YAML itself would silently drop the first",
            )
        first_lines[key] = line


def merge(base: Tree, update: Tree) -> Tree:
    """`base` overridden key by key by `update`; an empty section in `update` changes nothing."""
    merged = dict(base)
    for key, value in update.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            merged[key] = merge(old, value)
        elif not (isinstance(old, dict) and isinstance(value, Leaf) and value.value is None):
            merged[key] = value
    return merged


def walk(tree: Tree, prefix: str = "") -> Iterator[tuple[str, Leaf]]:
    """Every leaf with its dotted key."""
    for key, value in tree.items():
        name = f"{prefix}.{key}" if prefix else key
        if isinstance(value, dict):
            yield from walk(value, name)
        else:
            yield name, value


def find(tree: Tree, dotted: str) -> Leaf | Tree | None:
    """The leaf or section at a dotted key, or None."""
    branch: Leaf | Tree = tree
    for part in dotted.split("."):
        if not isinstance(branch, dict) or part not in branch:
            return None
        branch = branch[part]
    return branch


def find_leaf(tree: Tree, dotted: str) -> Leaf | None:
    """The leaf at a dotted key, or None (also where a section stands there)."""
    branch = find(tree, dotted)
    return branch if isinstance(branch, Leaf) else None


def replaced(leaf: Leaf, value: Any) -> Leaf:
    """The leaf with another scalar value, still known to come from where it was written."""
    return Leaf(value, None if value is None else str(value), leaf.source, leaf.from_command_line)


def nested(dotted: str, value: Leaf | Tree) -> Tree:
    """A tree that holds `value` at a dotted key."""
    for part in reversed(dotted.split(".")):
        value = {part: value}
    assert isinstance(value, dict)
    return value


def without(tree: Tree, dotted: str) -> Tree:
    """The tree without the leaf or section at a dotted key; sections that become empty go, too."""
    head, _, rest = dotted.partition(".")
    remaining = {key: value for key, value in tree.items() if key != head}
    branch = tree.get(head)
    if rest and isinstance(branch, dict):
        smaller = without(branch, rest)
        if smaller:
            remaining[head] = smaller
    elif rest and branch is not None:
        remaining[head] = branch
    return remaining
