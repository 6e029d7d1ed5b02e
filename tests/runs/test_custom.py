"""A user's own module: found, checked against its own section, and refused with a reason."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from runs.config import load_run_config
from runs.custom import CustomComponents, load_custom_components
from utils.config import ConfigError

MODULE = '''
from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """The user's section."""

    width: int = 8
    """How wide."""
    layers: tuple[int, ...] = ()
    """Which."""


CONFIG = Options
MODELS = {"mine": lambda config, clip, options: options.width}
'''


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    monkeypatch.setattr(sys, "path", list(sys.path))
    path = tmp_path / f"own_{abs(hash(request.node.name))}.py"
    path.write_text(MODULE)
    return path


def load(*pairs: str) -> CustomComponents:
    return load_custom_components(load_run_config(None, pairs).custom)


def test_nothing_is_named() -> None:
    assert load() == CustomComponents()


def test_a_file_with_its_own_section(module: Path) -> None:
    pairs = ["CUSTOM.MODULE", str(module), "CUSTOM.OPTIONS.WIDTH", "16", "CUSTOM.OPTIONS.LAYERS", "[1, 2]"]
    custom = load(*pairs, "MODEL.NAME", "mine")
    assert (custom.options.width, custom.options.layers) == (16, (1, 2))
    assert custom.models["mine"](None, None, custom.options) == 16
    assert custom.datasets == {}


def test_a_module_on_the_path(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(module.parent))
    assert load("CUSTOM.MODULE", module.stem).options.width == 8


def test_its_section_is_checked_like_any_other(module: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load("CUSTOM.MODULE", str(module), "CUSTOM.OPTIONS", "{WIDHT: 16, LAYERS: 3}")
    said = {problem.key: str(problem) for problem in caught.value.problems}
    assert "did you mean CUSTOM.OPTIONS.WIDTH" in said["CUSTOM.OPTIONS.WIDHT"]
    assert "a list such as" in said["CUSTOM.OPTIONS.LAYERS"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("import no_such_library_at_all", "cannot be imported: No module named"),
        ("CONFIG = 3", "CONFIG of .* is not a dataclass"),
        (MODULE + "MODELS = {'x': 3}", "MODELS of .* does not map names to functions"),
        ("", "options that nothing reads"),
    ],
)
def test_a_module_that_does_not_fit(module: Path, text: str, complaint: str) -> None:
    module.write_text(text)
    with pytest.raises(ConfigError, match=complaint):
        load("CUSTOM.MODULE", str(module), "CUSTOM.OPTIONS.WIDTH", "1")


@pytest.mark.parametrize("name", ["no_such_module_at_all", "/no/such/file.py"])
def test_a_module_that_is_not_there(name: str) -> None:
    with pytest.raises(ConfigError, match=r"CUSTOM\.MODULE"):
        load("CUSTOM.MODULE", name)


def test_a_file_hidden_by_a_module_of_the_same_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    path = tmp_path / "yaml.py"
    path.write_text("")
    with pytest.raises(ConfigError, match="is hidden by"):
        load("CUSTOM.MODULE", str(path))


def test_options_without_a_module() -> None:
    with pytest.raises(ConfigError, match="name it in CUSTOM.MODULE"):
        load("CUSTOM.OPTIONS.WIDTH", "1")
