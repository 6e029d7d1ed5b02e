"""Which way the packages depend on each other, read from the source without importing it.

runs -> datasets, models -> utils        datasets and models never import each other
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
MAY_IMPORT = {
    "utils": set[str](),
    "datasets": {"utils"},
    "models": {"utils"},
    "runs": {"utils", "datasets", "models"},
}
OPEN_CLIP_WRAPPER = "models/clip.py"
TORCH_FREE = (
    "datasets/__init__.py",
    "datasets/annotations/__init__.py",
    "datasets/labels/__init__.py",
    "datasets/records.py",
    "models/__init__.py",
    "runs/__init__.py",
    "utils/__init__.py",
    "runs/cli.py",
    "runs/config.py",
    "runs/custom.py",
    "runs/preflight.py",
    "runs/release_keys.py",
)
HEAVY = {"torch", "torchvision", "open_clip", "decord", "av", "torchcodec", "pandas", "matplotlib"}


def source_files() -> list[Path]:
    return sorted(path for package in MAY_IMPORT for path in (CHECKOUT / package).rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(CHECKOUT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_modules(path: Path, only_at_import: bool = False) -> Iterator[str]:
    """Names of modules that a file imports; relative imports are resolved.

    `only_at_import` leaves out what is imported inside functions and for type checkers.
    """
    package = module_name(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in _statements(ast.parse(path.read_text(encoding="utf-8")), only_at_import):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, node.module] if node.module else base)
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _statements(tree: ast.Module, only_at_import: bool) -> Iterator[ast.AST]:
    if not only_at_import:
        yield from ast.walk(tree)
        return
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for child in ast.iter_child_nodes(node):
            function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            for_types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            if not function and not for_types:
                waiting.append(child)


def test_packages_depend_one_way() -> None:
    wrong = []
    for path in source_files():
        package = path.relative_to(CHECKOUT).parts[0]
        for module in imported_modules(path):
            target = module.partition(".")[0]
            if target in MAY_IMPORT and target not in MAY_IMPORT[package] | {package}:
                wrong.append(f"{path.relative_to(CHECKOUT)} imports {module}")
            if target in ("tests", "configs"):
                wrong.append(f"{path.relative_to(CHECKOUT)} imports {module}")
    assert wrong == []


def test_open_clip_is_imported_in_one_file() -> None:
    importers = {
        path.relative_to(CHECKOUT).as_posix()
        for path in source_files()
        if any(module.partition(".")[0] == "open_clip" for module in imported_modules(path))
    }
    assert importers <= {OPEN_CLIP_WRAPPER}


def test_there_is_no_import_cycle() -> None:
    files = {module_name(path): path for path in source_files()}
    graph = {}
    for name, path in files.items():
        imported = set(imported_modules(path, only_at_import=True))
        # a package that imports its own submodule is not in a circle because the submodule lies inside it
        graph[name] = {module for module in imported & set(files) if not f"{name}.".startswith(f"{module}.")}
    assert _find_cycle(graph) == []


def _find_cycle(graph: dict[str, set[str]]) -> list[str]:
    finished: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in finished:
            return []
        for module in sorted(graph[name]):
            cycle = visit(module, [*path, name])
            if cycle:
                return cycle
        finished.add(name)
        return []

    for name in sorted(graph):
        cycle = visit(name, [])
        if cycle:
            return cycle
    return []


def test_a_cycle_would_be_found() -> None:
    assert _find_cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert _find_cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def torch_free_files() -> list[Path]:
    named = [CHECKOUT / name for name in TORCH_FREE]
    return [
        *named,
        *(path for path in source_files() if path.name.endswith("config.py") or "config" in path.parts),
    ]


def test_configuration_needs_nothing_heavy() -> None:
    """Follows imports through our own files, so that a heavy one at the end of a chain is found, too."""
    files = {module_name(file): file for file in source_files()}
    waiting = torch_free_files()
    seen = set(waiting)
    while waiting:
        current = waiting.pop()
        for module in imported_modules(current, only_at_import=True):
            assert module.partition(".")[0] not in HEAVY, f"{current.relative_to(CHECKOUT)} imports {module}"
            names = [".".join(module.split(".")[:depth]) for depth in range(1, module.count(".") + 2)]
            new = {files[name] for name in names if name in files} - seen
            seen |= new
            waiting += new


def test_tests_mirror_the_tree() -> None:
    """A test file in tests/<package>/... tests that package: its folder exists there."""
    stray = []
    for path in (CHECKOUT / "tests").rglob("test_*.py"):
        folder = path.parent.relative_to(CHECKOUT / "tests")
        if folder.parts and not (CHECKOUT / folder).is_dir():
            stray.append(path.relative_to(CHECKOUT).as_posix())
    assert stray == []


def test_every_package_folder_has_an_init_file() -> None:
    folders = {path.parent for path in source_files()}
    assert [
        folder.relative_to(CHECKOUT).as_posix()
        for folder in folders
        if not (folder / "__init__.py").is_file()
    ] == []
