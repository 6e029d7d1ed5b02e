"""Files written for another release: keys that act under another name, and keys that mean nothing here.

The tables themselves are data and live with the schema they translate to; this is the machine that
reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from utils.config.convert import plain
from utils.config.errors import ConfigError, Problem
from utils.config.tree import Leaf, Tree, find_leaf, merge, nested, replaced, walk, without

Adapter = Callable[[Tree], tuple[Tree, list[str]]]
"""A translation that needs more than one key: returns the new tree and what to warn about."""


@dataclass(frozen=True)
class Vocabulary:
    """The keys of another release.

    renamed: old key -> key here. A value under the new name wins, unless only the old one came from the
        command line.
    values: key -> {old value: value here}.
    only: key -> (the one value this project does, what to say to another). With it the key has no effect,
        and is not worth a warning either, unless `ignored` has it, too.
    ignored: key pattern (`*` allowed) -> why it has no meaning here. All that occur are named in one warning.
    adapters: translations that look at several keys, run in order before everything else.
    advice: like adapters, but only for files in which a key of the other release occurs; run at the end.
    """

    name: str
    renamed: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Mapping[Any, Any]] = field(default_factory=dict)
    only: Mapping[str, tuple[Any, str]] = field(default_factory=dict)
    ignored: Mapping[str, str] = field(default_factory=dict)
    adapters: tuple[Adapter, ...] = ()
    advice: tuple[Adapter, ...] = ()

    def translate(self, tree: Tree) -> tuple[Tree, tuple[str, ...]]:
        """The tree in this project's vocabulary, and warnings.

        Raises:
            ConfigError: a key of the other release asks for something that this project does not do.
        """
        original = tree
        messages: list[str] = []
        for adapter in self.adapters:
            tree, said = adapter(tree)
            messages += said
        tree, unused = self._rename(tree)
        tree = self._translate_values(tree)
        tree = self._check_only(tree)
        tree, ignored = self._drop_ignored(tree)
        if ignored or unused:
            names = ", ".join(sorted(ignored + unused))
            messages.insert(0, f"keys of {self.name} that have no effect here: {names}")
        if tree != original:
            for adapter in self.advice:
                tree, said = adapter(tree)
                messages += said
        return tree, tuple(messages)

    def _rename(self, tree: Tree) -> tuple[Tree, list[str]]:
        unused = []
        for old, new in self.renamed.items():
            leaf = find_leaf(tree, old)
            if leaf is None:
                continue
            tree = without(tree, old)
            present = find_leaf(tree, new)
            if (
                present is None
                or _is_empty(present)
                or (leaf.from_command_line and not present.from_command_line)
            ):
                tree = merge(tree, nested(new, leaf))
            else:
                unused.append(old)
        return tree, unused

    def _translate_values(self, tree: Tree) -> Tree:
        for key, table in self.values.items():
            leaf = find_leaf(tree, key)
            if leaf is not None and isinstance(leaf.value, str) and leaf.value in table:
                tree = merge(tree, nested(key, replaced(leaf, table[leaf.value])))
        return tree

    def _check_only(self, tree: Tree) -> Tree:
        problems = []
        for key, (value, remedy) in self.only.items():
            leaf = find_leaf(tree, key)
            if leaf is None:
                continue
            if plain(leaf) != value and leaf.value is not None:
                message = f"{plain(leaf)!r} is not available; this project does {value!r}"
                problems.append(Problem(message, key, leaf.source, remedy))
            if not self._is_ignored(key):
                tree = without(tree, key)
        if problems:
            raise ConfigError(problems=problems)
        return tree

    def _drop_ignored(self, tree: Tree) -> tuple[Tree, list[str]]:
        found = [key for key, _ in walk(tree) if self._is_ignored(key)]
        for key in found:
            tree = without(tree, key)
        return tree, found

    def _is_ignored(self, key: str) -> bool:
        return any(fnmatchcase(key, pattern) or pattern == f"{key}.*" for pattern in self.ignored)


def _is_empty(leaf: Leaf) -> bool:
    return leaf.value is None or leaf.value == ""
