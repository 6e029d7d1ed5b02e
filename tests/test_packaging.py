"""Set-up: requirements cover what is imported, and our packages win over others of the same name."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
PACKAGES = ("datasets", "models", "runs", "utils")
DISTRIBUTIONS = {
    "PIL": "pillow",
    "open_clip": "open_clip_torch",
    "yaml": "pyyaml",
    "google": "gdown",
    "huggingface_hub": "open_clip_torch",
    "timm": "open_clip_torch",
    "webdataset": "webdataset",
}
BROUGHT_ALONG = {"pillow": "torchvision"}
"""Installed with something that is required anyway."""


def setup_table(name: str) -> ast.expr:
    """A constant of setup.py, which is read and not run."""
    for statement in ast.parse((CHECKOUT / "setup.py").read_text()).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == name:
            return statement.value
    raise AssertionError(f"setup.py has no {name}")


def distribution(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9_.-]+", requirement)
    assert match
    return match[0].lower().replace("-", "_")


def required() -> set[str]:
    return {distribution(text) for text in ast.literal_eval(setup_table("REQUIREMENTS"))}


def optional() -> set[str]:
    return {
        distribution(text) for texts in ast.literal_eval(setup_table("EXTRAS")).values() for text in texts
    }


def foreign_imports() -> dict[str, set[str]]:
    """Distribution -> the files that import from it."""
    found: dict[str, set[str]] = {}
    for path in (file for package in PACKAGES for file in (CHECKOUT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            for root in {name.partition(".")[0] for name in names}:
                if root not in sys.stdlib_module_names and root not in PACKAGES:
                    name = DISTRIBUTIONS.get(root, root).lower()
                    found.setdefault(name, set()).add(path.relative_to(CHECKOUT).as_posix())
    return found


def test_everything_imported_is_required_or_an_extra() -> None:
    declared = required() | optional()
    undeclared = {
        name: files
        for name, files in foreign_imports().items()
        if BROUGHT_ALONG.get(name, name) not in declared
    }
    assert undeclared == {}


def test_the_flop_counter_that_miscounts_is_excluded() -> None:
    assert "torch>=2.11,!=2.13.*" in ast.literal_eval(setup_table("REQUIREMENTS"))


def test_decord_is_asked_for_only_where_it_exists() -> None:
    (text,) = [text for text in ast.literal_eval(setup_table("REQUIREMENTS")) if text.startswith("decord")]
    from packaging.requirements import Requirement

    marker = Requirement(text).marker
    assert marker is not None
    places = {
        ("linux", "x86_64"): True,
        ("linux", "aarch64"): False,
        ("darwin", "arm64"): False,
        ("win32", "AMD64"): True,
    }
    for (system, machine), wanted in places.items():
        assert marker.evaluate({"sys_platform": system, "platform_machine": machine}) is wanted


def test_python_range_agrees_everywhere() -> None:
    assert 'python_requires=">=3.10"' in (CHECKOUT / "setup.py").read_text()
    assert "version_info < (3, 10)" in (CHECKOUT / "Makefile").read_text()
    assert 'target-version = "py310"' in (CHECKOUT / "pyproject.toml").read_text()


@pytest.fixture
def impostor(tmp_path: Path) -> Path:
    """A folder like site-packages that holds another package called `datasets`."""
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "__init__.py").write_text("OTHER = True\n")
    return tmp_path


ENTRY_SCRIPTS = sorted(
    path
    for path in (CHECKOUT / "runs").glob("*.py")
    if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("script", ENTRY_SCRIPTS, ids=lambda path: path.name)
def test_our_packages_win_from_every_entry_script(script: Path, impostor: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(impostor)}
    done = subprocess.run(
        [sys.executable, str(script), "--help"],
        cwd=impostor,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout.lower()


@pytest.mark.parametrize("other", ["datasets/__init__.py", "utils.py"])
def test_a_program_that_finds_another_package_of_our_names_is_told(tmp_path: Path, other: str) -> None:
    (tmp_path / other).parent.mkdir(exist_ok=True)
    (tmp_path / other).touch()
    remedy = f"import sys; sys.path.insert(0, {str(CHECKOUT)!r})\n"
    for first, wrong in (("", True), (remedy, False)):
        (tmp_path / "program.py").write_text(f"{first}import runs.config\n")
        done = subprocess.run(
            [sys.executable, str(tmp_path / "program.py")],
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == int(wrong), done.stderr
        assert (f"Remedy: put sys.path.insert(0, {str(CHECKOUT)!r})" in done.stderr) is wrong, done.stderr


class TestMake:
    """The Makefile's decisions, without installing anything: a stand-in plays the interpreter."""

    def make(self, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
        for name in ("Makefile", "setup.py"):
            (folder / name).write_bytes((CHECKOUT / name).read_bytes())
        return subprocess.run(
            ["make", "--no-print-directory", *words],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def stand_in(self, path: Path, body: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return path

    def test_a_python_that_is_too_old(self, tmp_path: Path) -> None:
        old = self.stand_in(tmp_path / "old", 'case "$1" in --version) echo Python 3.8.0;; *) exit 1;; esac')
        done = self.make(tmp_path, "test", f"PYTHON={old}")
        assert done.returncode != 0
        assert "Python 3.10 or newer is needed" in done.stderr
        assert "Python 3.8.0" in done.stderr
        assert "run: make test PYTHON=" in done.stderr
        assert not (tmp_path / ".venv").exists()

    def test_an_environment_is_installed_once_and_again_after_a_change(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        self.stand_in(tmp_path / ".venv" / "bin" / "python", f'echo "$@" >> {log}')
        assert self.make(tmp_path, ".venv/.installed").returncode == 0
        assert log.read_text().count("pip install") == 1
        os.utime(tmp_path / "setup.py", (0, 0))
        again = subprocess.run(
            ["make", ".venv/.installed"], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert "up to date" in again.stdout
        assert log.read_text().count("pip install") == 1
        os.utime(tmp_path / "setup.py")
        os.utime(tmp_path / ".venv" / ".installed", (1, 1))
        subprocess.run(["make", ".venv/.installed"], cwd=tmp_path, capture_output=True, check=True)
        assert log.read_text().count("pip install") == 2

    def test_ci_runs_what_people_run(self) -> None:
        script = CHECKOUT / ".ci" / "run"
        assert os.access(script, os.X_OK)
        assert script.read_text().splitlines()[-2:] == ["make test", "exec make speed"]
