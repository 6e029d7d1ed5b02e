"""What a section's dataclass says about its keys: names, types, defaults, documentation."""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import textwrap
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class KeyInfo:
    """One key of the schema, for people and for look-up."""

    key: str
    type_name: str
    default: Any
    required: bool
    doc: str


def is_section(annotation: Any) -> bool:
    """Whether a field's type is a nested section."""
    return isinstance(annotation, type) and dataclasses.is_dataclass(annotation)


def fields_of(schema: type) -> dict[str, tuple[dataclasses.Field[Any], Any]]:
    """YAML key -> (dataclass field, resolved type) of one section."""
    return _fields_of(schema)


@functools.cache
def _fields_of(schema: type) -> dict[str, tuple[dataclasses.Field[Any], Any]]:
    hints = typing.get_type_hints(schema)
    return {
        field.name.upper(): (field, hints[field.name]) for field in dataclasses.fields(schema) if field.init
    }


def is_required(field: dataclasses.Field[Any]) -> bool:
    """Whether the field has no default."""
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def default_of(field: dataclasses.Field[Any]) -> Any:
    """The field's default; None where it has none."""
    if field.default is not dataclasses.MISSING:
        return field.default
    return None if field.default_factory is dataclasses.MISSING else field.default_factory()


@functools.cache
def known_keys(schema: type) -> tuple[str, ...]:
    """Every dotted key, sections included."""
    return tuple(_walk_names(schema, ""))


def _walk_names(schema: type, prefix: str) -> Iterator[str]:
    for key, (_, annotation) in fields_of(schema).items():
        yield prefix + key
        if is_section(annotation):
            yield from _walk_names(annotation, f"{prefix}{key}.")


def describe_keys(schema: type, prefix: str = "") -> list[KeyInfo]:
    """Every leaf key of the schema in declaration order, with type, default and documentation."""
    return list(_describe(schema, f"{prefix}." if prefix else ""))


def _describe(schema: type, prefix: str) -> Iterator[KeyInfo]:
    docs = field_docs(schema)
    for key, (field, annotation) in fields_of(schema).items():
        if is_section(annotation):
            yield from _describe(annotation, f"{prefix}{key}.")
        else:
            doc = docs.get(field.name, "")
            yield KeyInfo(prefix + key, type_name(annotation), default_of(field), is_required(field), doc)


@functools.cache
def field_docs(schema: type) -> dict[str, str]:
    """Field name -> the text literal that follows the field in the source, inherited fields included."""
    docs: dict[str, str] = {}
    for owner in reversed(schema.__mro__[:-1]):
        body = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
        assert isinstance(body, ast.ClassDef)
        for statement, following in zip(body.body, body.body[1:], strict=False):
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                text = _literal_text(following)
                if text is not None:
                    docs[statement.target.id] = inspect.cleandoc(text)
    return docs


def _literal_text(statement: ast.stmt) -> str | None:
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        value = statement.value.value
        return value if isinstance(value, str) else None
    return None


def type_name(annotation: Any) -> str:
    """A type as people write it: `int`, `list of float`, `one of auto, fp32`, `int or null`."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return "one of " + ", ".join(str(choice) for choice in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(type_name(argument) for argument in arguments)
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return f"list of {type_name(arguments[0])}"
        return f"list of {len(arguments)}: " + ", ".join(type_name(argument) for argument in arguments)
    if origin is dict:
        return f"mapping of {type_name(arguments[0])} to {type_name(arguments[1])}"
    names = {str: "text", type(None): "null", Any: "anything", bool: "true or false"}
    return names.get(annotation) or str(getattr(annotation, "__name__", annotation))
