"""What can be said about a schema: keys, types, defaults, documentation; suggestions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pytest

from utils.config import ConfigError, describe_keys, list_keys
from utils.config.errors import nearest


@dataclass(frozen=True)
class Leafy:
    """Nested."""

    depth: int | None = None
    """How deep,
    over two lines."""
    other: Literal["a", "b"] = "a"
    undocumented: tuple[float, float] = (0.5, 1e-8)


@dataclass(frozen=True)
class Root:
    """Root."""

    needed: str
    """Must be given."""
    leafy: Leafy = field(default_factory=Leafy)


def test_keys_types_defaults_and_docs() -> None:
    found = {info.key: info for info in describe_keys(Root)}
    assert list(found) == ["NEEDED", "LEAFY.DEPTH", "LEAFY.OTHER", "LEAFY.UNDOCUMENTED"]
    assert found["NEEDED"].required
    assert found["LEAFY.DEPTH"].type_name == "int or null"
    assert found["LEAFY.DEPTH"].doc == "How deep,\nover two lines."
    assert found["LEAFY.OTHER"].type_name == "one of a, b"
    assert found["LEAFY.OTHER"].doc == ""
    assert found["LEAFY.UNDOCUMENTED"].type_name == "list of 2: float, float"


def test_the_list_of_keys_can_be_narrowed() -> None:
    text = list_keys(Root, "leafy.un")
    assert text.startswith("LEAFY.UNDOCUMENTED  (list of 2: float, float; default [0.5, 1.0e-08])")
    assert "DEPTH" not in text
    assert "NEEDED  (text; required)\n    Must be given." in list_keys(Root)


def test_a_prefix_that_nothing_has() -> None:
    with pytest.raises(ConfigError, match="nearest: LEAFY.DEPTH"):
        list_keys(Root, "LEAFY.DEEP")


@pytest.mark.parametrize(
    ("typo", "meant"),
    [
        ("TRAIN.BATCH_SZIE", "TRAIN.BATCH_SIZE"),
        ("train.batch_size", "TRAIN.BATCH_SIZE"),
        ("BATCH_SIZE", "TRAIN.BATCH_SIZE"),
        ("DATA.DATA_ANNO_DIR", "DATA.ANNO_DIR"),
        ("OPTIMISER.BASE_LR", "OPTIMIZER.BASE_LR"),
        ("INTEGRATION_DIMS", "VIDEO.BACKBONE.DIST.INTEGRATION_DIM"),
    ],
)
def test_suggestions(typo: str, meant: str) -> None:
    known = [
        "TRAIN",
        "TRAIN.BATCH_SIZE",
        "DATA.ANNO_DIR",
        "DATA.DATA_ROOT_DIR",
        "OPTIMIZER.BASE_LR",
        "VIDEO.BACKBONE.DIST.INTEGRATION_DIM",
    ]
    assert nearest(typo, known)[0] == meant


def test_nothing_is_suggested_for_something_else() -> None:
    assert nearest("QQQQ", ["TRAIN.BATCH_SIZE", "DATA.ANNO_DIR"]) == []
