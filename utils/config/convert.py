"""From a tree of leaves to a section's dataclass: every leaf is checked against its field's type.

All mistakes of a section are collected before anything is raised, so one attempt shows them all.
"""

from __future__ import annotations

import math
import re
import types
import typing
from collections.abc import Callable
from typing import Any, TypeVar

from utils.config.errors import ConfigError, Problem, nearest, placed
from utils.config.frozen import FrozenDict
from utils.config.schema import default_of, fields_of, is_required, is_section, known_keys, type_name
from utils.config.tree import Leaf, Tree, find_leaf, walk

Section = TypeVar("Section")

_NUMBER = re.compile(r"[-+]?(\d[\d_]*\.?\d*|\.\d+)([eE][-+]?\d+)?")


class MismatchError(Exception):
    """A value that does not fit its field's type."""


def build_section(schema: type[Section], tree: Tree, prefix: str = "") -> Section:
    """Build a section (and the sections inside it) from an untyped tree.

    `prefix` is the dotted name under which error messages show the section.
    Raises:
        ConfigError: unknown keys, wrong types, missing values, or a failed check; all that were found.
    """
    problems: list[Problem] = []
    section = _build(schema, tree, prefix, _unknown_reporter(schema, prefix), problems)
    if problems:
        raise ConfigError(problems=problems)
    assert section is not None
    return section


def _unknown_reporter(root: type, prefix: str) -> Callable[[str, str], Problem]:
    """A function that makes a "not a known key" problem with suggestions out of the root's whole
    vocabulary."""
    before = f"{prefix}." if prefix else ""

    def report(key: str, source: str) -> Problem:
        close = nearest(key, [before + known for known in known_keys(root)])
        hint = f"did you mean {' or '.join(close)}?" if close else "--list-keys shows every key"
        return Problem("unknown key", key, source, hint)

    return report


def _build(
    schema: type[Section],
    tree: Tree,
    prefix: str,
    unknown: Callable[[str, str], Problem],
    problems: list[Problem],
) -> Section | None:
    """The section, or None once it or a section inside it has a problem."""
    before = f"{prefix}." if prefix else ""
    found_before = len(problems)
    fields = fields_of(schema)
    for key, branch in tree.items():
        if key not in fields:
            source = branch.source if isinstance(branch, Leaf) else _first_source(branch)
            problems.append(unknown(before + key, source))
    values: dict[str, Any] = {}
    for key, (field, annotation) in fields.items():
        given = tree.get(key)
        if is_section(annotation):
            values[field.name] = _nested_section(annotation, given, before + key, unknown, problems)
        elif given is not None:
            values[field.name] = _checked(given, annotation, before + key, problems)
        elif is_required(field):
            remedy = f"add it to the file or the command line ({type_name(annotation)})"
            problems.append(Problem("a value is missing", before + key, remedy=remedy))
        else:
            values[field.name] = default_of(field)
    if len(problems) > found_before:
        return None
    return _construct(schema, values, tree, prefix, problems)


def _nested_section(
    annotation: Any,
    branch: Leaf | Tree | None,
    key: str,
    unknown: Callable[[str, str], Problem],
    problems: list[Problem],
) -> Any:
    if isinstance(branch, Leaf) and branch.value is not None:
        message = f"{_shown(branch)} given for a section"
        inside = ", ".join(fields_of(annotation))
        problems.append(Problem(message, key, branch.source, f"set one of its keys: {inside}"))
        return None
    return _build(annotation, branch if isinstance(branch, dict) else {}, key, unknown, problems)


def _checked(branch: Leaf | Tree, annotation: Any, key: str, problems: list[Problem]) -> Any:
    try:
        return convert(branch, annotation)
    except MismatchError as mismatch:
        source = branch.source if isinstance(branch, Leaf) else _first_source(branch)
        problems.append(Problem(str(mismatch), key, source, f"expected: {type_name(annotation)}"))
        return None


def _construct(
    schema: type[Section], values: dict[str, Any], tree: Tree, prefix: str, problems: list[Problem]
) -> Section | None:
    try:
        return schema(**values)
    except ConfigError as error:
        for problem in error.problems:
            leaf = find_leaf(tree, problem.key)
            problems.append(placed(problem, prefix, leaf.source if leaf else "default value"))
    return None


def _first_source(tree: Tree) -> str:
    return next((leaf.source for _, leaf in walk(tree)), "")


def _shown(branch: Leaf | Tree) -> str:
    if isinstance(branch, Leaf):
        return "a list" if isinstance(branch.value, list) else repr(branch.value)
    return "a mapping"


def convert(branch: Leaf | Tree, annotation: Any) -> Any:
    """The value of a leaf as the annotated type.

    Raises:
        MismatchError: it does not fit. A YAML 1.1 text such as `8e-8` is the number it looks like in a
        float field.
    """
    if annotation is Any:
        return plain(branch)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return _convert_union(branch, arguments)
    if origin is dict:
        return _convert_mapping(branch, arguments)
    if is_section(annotation):
        if not isinstance(branch, dict):
            raise MismatchError(f"{_shown(branch)} given, where a mapping must stand")
        try:
            return build_section(annotation, branch)
        except ConfigError as error:
            raise MismatchError(str(error)) from error
    if not isinstance(branch, Leaf):
        raise MismatchError("a mapping given, where a single value must stand")
    if origin is tuple:
        return _convert_list(branch, arguments)
    if origin is typing.Literal:
        return _convert_choice(branch, arguments)
    return _SCALARS[annotation](branch)


def plain(branch: Leaf | Tree) -> Any:
    """A branch as plain Python values, without types imposed (lists become tuples)."""
    if isinstance(branch, dict):
        return FrozenDict({key: plain(value) for key, value in branch.items()})
    if isinstance(branch.value, list):
        return tuple(plain(item) for item in branch.value)
    return branch.value


def _convert_union(branch: Leaf | Tree, choices: tuple[Any, ...]) -> Any:
    if isinstance(branch, Leaf) and branch.value is None and type(None) in choices:
        return None
    complaints = []
    for choice in choices:
        if choice is not type(None):
            try:
                return convert(branch, choice)
            except MismatchError as mismatch:
                complaints.append(str(mismatch))
    raise MismatchError(complaints[0])


def _convert_mapping(branch: Leaf | Tree, arguments: tuple[Any, ...]) -> FrozenDict[str, Any]:
    if isinstance(branch, Leaf):
        if branch.value is None:
            return FrozenDict()
        raise MismatchError(f"{_shown(branch)} given, where a mapping must stand")
    return FrozenDict({key: convert(value, arguments[1]) for key, value in branch.items()})


def _convert_list(leaf: Leaf, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    if not isinstance(leaf.value, list):
        raise MismatchError(f"{_shown(leaf)} given, where a list such as [a, b] must stand")
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(convert(item, arguments[0]) for item in leaf.value)
    if len(leaf.value) != len(arguments):
        raise MismatchError(f"a list of {len(leaf.value)} given, where {len(arguments)} values must stand")
    return tuple(convert(item, argument) for item, argument in zip(leaf.value, arguments, strict=True))


def _convert_choice(leaf: Leaf, choices: tuple[Any, ...]) -> Any:
    for choice in choices:
        if type(leaf.value) is type(choice) and leaf.value == choice:
            return choice
        if isinstance(choice, str) and leaf.text == choice:
            return choice
    close = nearest(str(leaf.text).upper(), [str(choice).upper() for choice in choices], limit=1)
    hint = f" (nearest: {close[0].lower()})" if close else ""
    raise MismatchError(f"{_shown(leaf)} is not one of the choices{hint}")


def _convert_bool(leaf: Leaf) -> bool:
    if isinstance(leaf.value, bool):
        return leaf.value
    raise MismatchError(f"{_shown(leaf)} given, where true or false must stand")


def _convert_int(leaf: Leaf) -> int:
    value = leaf.value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise MismatchError(f"{_shown(leaf)} given, where a whole number must stand")


def _convert_float(leaf: Leaf) -> float:
    value = leaf.value
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value.replace("_", ""))
    if isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value):
        return float(value)
    raise MismatchError(f"{_shown(leaf)} given, where a number must stand")


def _convert_text(leaf: Leaf) -> str:
    if leaf.value is None:
        return ""
    if leaf.text is None:
        raise MismatchError("a list given, where a text must stand")
    if isinstance(leaf.value, bool) and leaf.text.lower() in ("true", "false"):
        raise MismatchError(f"{_shown(leaf)} given, where a text must stand (quote it if it is one)")
    return leaf.text


_SCALARS: dict[Any, Callable[[Leaf], Any]] = {
    bool: _convert_bool,
    int: _convert_int,
    float: _convert_float,
    str: _convert_text,
}
