"""The house style where it can be measured: annotations, lengths, and constructs that are not used."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
PACKAGES = ("datasets", "models", "runs", "utils")
LONGEST_FUNCTION = 60
LONG_FUNCTION = 40
SHARE_OF_LONG_FUNCTIONS = 0.05
MEDIAN_FUNCTION = 14
LONGEST_FILE = 400
Function = ast.FunctionDef | ast.AsyncFunctionDef

FILES = sorted(path for package in PACKAGES for path in (CHECKOUT / package).rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


def name_of(path: Path) -> str:
    return path.relative_to(CHECKOUT).as_posix()


def functions() -> Iterator[tuple[str, Function]]:
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield f"{name_of(path)}:{node.lineno} {node.name}", node


def length(function: Function) -> int:
    """Lines from `def` to the end, without decorators and without the docstring."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    ):
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def is_annotated(function: Function) -> bool:
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    rest = [argument for argument in (arguments.vararg, arguments.kwarg) if argument]
    own = {"self", "cls"}
    complete = all(argument.annotation for argument in [*named, *rest] if argument.arg not in own)
    return complete and function.returns is not None


def test_every_function_is_annotated() -> None:
    assert [place for place, function in functions() if not is_annotated(function)] == []


def test_functions_are_short() -> None:
    lengths = {place: length(function) for place, function in functions()}
    long = {place: lines for place, lines in lengths.items() if lines > LONG_FUNCTION}
    assert {place: lines for place, lines in long.items() if lines > LONGEST_FUNCTION} == {}
    assert len(long) <= SHARE_OF_LONG_FUNCTIONS * len(lengths), long
    assert statistics.median(lengths.values()) <= MEDIAN_FUNCTION


def test_files_are_short_and_say_what_they_are() -> None:
    too_long = [name_of(path) for path in FILES if len(path.read_text().splitlines()) > LONGEST_FILE]
    assert too_long == []
    assert [name_of(path) for path, tree in TREES.items() if not ast.get_docstring(tree)] == []


def _offences(path: Path, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        place = (
            f"{name_of(path)}:{node.lineno}"
            if isinstance(node, (ast.stmt, ast.expr, ast.ExceptHandler))
            else ""
        )
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            yield f"{place} bare except"
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            yield f"{place} import *"
        if isinstance(node, ast.Global):
            yield f"{place} global"
        if isinstance(node, ast.Call):
            yield from (f"{place} {offence}" for offence in _offending_call(node))


def _offending_call(node: ast.Call) -> Iterator[str]:
    called = ast.unparse(node.func)
    if called in ("os.system", "eval", "exec"):
        yield called
    if called == "hasattr" and _looks_like_config(node.args[0]):
        yield "hasattr on a configuration"
    if called == "getattr" and len(node.args) == 3 and _looks_like_config(node.args[0]):
        yield "getattr with a default on a configuration"
    if called == "torch.load" and not any(_makes_loading_safe(word) for word in node.keywords):
        yield "torch.load that could execute what a file says"


def _looks_like_config(node: ast.expr) -> bool:
    return any(word in ast.unparse(node).lower() for word in ("cfg", "config"))


def _makes_loading_safe(word: ast.keyword) -> bool:
    """`weights_only=True`, or an unpickler of our own that imports nothing."""
    only_weights = isinstance(word.value, ast.Constant) and word.value.value is True
    return word.arg == "pickle_module" or (word.arg == "weights_only" and only_weights)


def test_constructs_that_are_not_used() -> None:
    assert [offence for path, tree in TREES.items() for offence in _offences(path, tree)] == []


@pytest.mark.parametrize(
    "text",
    [
        "try:\n    pass\nexcept:\n    pass",
        "from os import *",
        "def f():\n    global x",
        "hasattr(cfg.TRAIN, 'X')",
        "getattr(self.config, 'x', None)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "os.system('ls')",
    ],
)
def test_each_of_them_would_be_found(text: str) -> None:
    assert len(list(_offences(CHECKOUT / "models" / "x.py", ast.parse(text)))) == 1


def test_importing_does_nothing() -> None:
    """At the top level stand definitions, constants and guarded entry points; no loops or calls."""
    working = [
        f"{name_of(path)}:{statement.lineno}"
        for path, tree in TREES.items()
        for statement in tree.body
        if isinstance(statement, (ast.For, ast.While, ast.With))
        or (isinstance(statement, ast.Expr) and not isinstance(statement.value, ast.Constant))
    ]
    assert working == []


FOREIGN_PATHS = ("/root/", "/home/", "/work/", "/tmp/")


def test_no_path_of_somebodys_machine() -> None:
    found = [
        f"{name_of(path)}: {word}" for path in FILES for word in FOREIGN_PATHS if word in path.read_text()
    ]
    assert found == []
