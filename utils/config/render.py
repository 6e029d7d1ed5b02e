"""A configuration as plain values, as YAML, and as a list of its keys."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Mapping
from typing import Any

import yaml

from utils.config.errors import ConfigError, nearest
from utils.config.schema import KeyInfo, describe_keys, known_keys


def to_dict(config: Any) -> dict[str, Any]:
    """The configuration as nested dictionaries with keys in capitals and plain values (tuples as lists)."""
    return {
        field.name.upper(): _plain(getattr(config, field.name))
        for field in dataclasses.fields(config)
        if field.init
    }


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_dict(value)
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _represent_list(dumper: yaml.representer.BaseRepresenter, items: list[Any]) -> yaml.Node:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=True)


def _represent_float(dumper: yaml.representer.BaseRepresenter, number: float) -> yaml.Node:
    # 3.2e-05 without a point in its mantissa would be read back as text by YAML 1.1
    text = repr(number)
    if "e" in text and "." not in text:
        text = text.replace("e", ".0e")
    if text in ("inf", "-inf"):
        text = text.replace("inf", ".inf")
    return dumper.represent_scalar("tag:yaml.org,2002:float", text)


class _Dumper(yaml.SafeDumper):
    """Lists on one line, mappings over many: the way the recipes are written."""

    yaml_representers = {  # noqa: RUF012 (PyYAML's own attribute)
        **yaml.SafeDumper.yaml_representers,
        list: _represent_list,
        float: _represent_float,
    }


def to_yaml(config: Any, sources: Mapping[str, str] | None = None) -> str:
    """The configuration as YAML that loads to an equal configuration.

    With `sources` (from `resolve_config`) every key that was set carries a comment that says where.
    """
    text: str = yaml.dump(to_dict(config), Dumper=_Dumper, sort_keys=False, width=10**6, allow_unicode=True)
    return _annotated(text, sources) if sources else text


def _annotated(text: str, sources: Mapping[str, str]) -> str:
    path: list[str] = []
    lines = []
    for line in text.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        path = [*path[:depth], line.strip().partition(":")[0]]
        source = sources.get(".".join(path))
        lines.append(f"{line}  # {source}" if source else line)
    return "\n".join(lines) + "\n"


def list_keys(schema: type, prefix: str = "") -> str:
    """Key, type, default and documentation of every key that starts with `prefix`, for the terminal.

    Raises:
        ConfigError: no key starts with `prefix`.
    """
    wanted = prefix.strip().upper()
    found = [info for info in describe_keys(schema) if info.key.startswith(wanted)]
    if not found:
        close = nearest(wanted, known_keys(schema))
        raise ConfigError(
            f"no key starts with {wanted}", remedy=f"nearest: {', '.join(close)}" if close else ""
        )
    return "\n".join(_described(info) for info in found)


def _described(info: KeyInfo) -> str:
    default = "required" if info.required else f"default {_inline(info.default)}"
    doc = textwrap.fill(" ".join(info.doc.split()), 100, initial_indent="    ", subsequent_indent="    ")
    return f"{info.key}  ({info.type_name}; {default})\n{doc}"


def _inline(value: Any) -> str:
    text: str = yaml.dump(_plain(value), Dumper=_Dumper, default_flow_style=True, width=10**6)
    return text.removesuffix("\n").removesuffix("\n...")
