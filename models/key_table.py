"""Key tables: how the names of one release's weights map to another's, written as data.

A table is a tuple of `KeyRule(source, target)`. In both, `{i}` and `{j}` stand for a number and `{p}` for
`weight` or `bias`. A rule may transpose a matrix, or say that its tensor is one part of a packed one.
`convert` applies a table strictly: a key that no rule names, and that no pattern allows to be left out, is
an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.errors import ConversionError

_PLACEHOLDERS = {"{i}": r"(?P<i>\d+)", "{j}": r"(?P<j>\d+)", "{p}": r"(?P<p>weight|bias)"}
_MOST_LISTED = 6


@dataclass(frozen=True)
class KeyRule:
    """One line of a key table."""

    source: str
    target: str
    transpose: bool = False
    """Whether the matrix is stored the other way round."""
    part: int | None = None
    """Place, from 0, in a tensor that packs several sources along its first axis."""

    @property
    def pattern(self) -> re.Pattern[str]:
        """The source as a regular expression."""
        text = re.escape(self.source)
        for placeholder, expression in _PLACEHOLDERS.items():
            text = text.replace(re.escape(placeholder), expression)
        return re.compile(text)


def convert(
    state: Mapping[str, Tensor], table: Sequence[KeyRule], *, layout: str, left_out: Sequence[str] = ()
) -> dict[str, Tensor]:
    """The same weights under the table's target names.

    layout: what to call the source's layout in messages. left_out: regular expressions of keys that mean
    nothing here. Raises ConversionError for keys that nothing names and for packed tensors that lack a part.
    """
    rules = [(rule, rule.pattern) for rule in table]
    ignored = [re.compile(expression) for expression in left_out]
    converted: dict[str, Tensor] = {}
    parts: dict[str, dict[int, Tensor]] = {}
    unknown = []
    for key, tensor in state.items():
        found = next(((rule, match) for rule, pattern in rules if (match := pattern.fullmatch(key))), None)
        if found is None:
            if not any(expression.fullmatch(key) for expression in ignored):
                unknown.append(key)
            continue
        rule, match = found
        target = rule.target.format(**match.groupdict())
        tensor = tensor.t().contiguous() if rule.transpose else tensor
        if rule.part is None:
            converted[target] = tensor
        else:
            parts.setdefault(target, {})[rule.part] = tensor
    if unknown:
        raise ConversionError(f"{layout}: keys that this layout does not have: {listed(unknown)}")
    return converted | _packed(parts, table, layout)


def _packed(
    parts: Mapping[str, Mapping[int, Tensor]], table: Sequence[KeyRule], layout: str
) -> dict[str, Tensor]:
    """Joins the parts of packed tensors along their first axis."""
    count = 1 + max((rule.part for rule in table if rule.part is not None), default=0)
    packed = {}
    for target, found in parts.items():
        if sorted(found) != list(range(count)):
            raise ConversionError(
                f"{layout}: {target} is packed from {count} tensors, of which {len(found)} are there"
            )
        packed[target] = torch.cat([found[index] for index in range(count)])
    return packed


def listed(keys: Sequence[str]) -> str:
    """The first few keys and how many more there are."""
    shown = ", ".join(keys[:_MOST_LISTED])
    return shown if len(keys) <= _MOST_LISTED else f"{shown} and {len(keys) - _MOST_LISTED} more"
