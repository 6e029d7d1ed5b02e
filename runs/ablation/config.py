"""The grid of an ablation, and the runs that it stands for. Torch-free.

    grid.yaml ──load_grid──► AblationConfig ──expand──► GridRun: a name, KEY VALUE pairs, an OUTPUT_DIR each

RUNS × AXES × SEEDS: each named run with every combination of the axes' values, once per seed.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runs.config import RunConfig, load_run_config
from utils.config import ConfigError, load_config, require

_SLUG = re.compile(r"[^A-Za-z0-9_.+-]+")


@dataclass(frozen=True)
class AblationConfig:
    """A grid of runs that share a configuration but for what is varied."""

    base: str
    """Configuration of every run: a file, relative to the grid's."""
    output_dir: str
    """Folder of the results; each run has a folder in it."""
    question: str = ""
    """What the grid is to answer; the title of its table."""
    common: dict[str, Any] = field(default_factory=dict)
    """Keys that all runs set, beyond the base."""
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Named runs with the keys that each sets."""
    axes: dict[str, Any] = field(default_factory=dict)
    """Keys with a list of values each: every combination is run."""
    seeds: tuple[int, ...] = (0,)
    """RANDOM_SEED of the repetitions; tables give the mean and the spread."""
    sweep_fusion: bool = False
    """Test each run also fused with the frozen CLIP, for all weights; nothing is trained for that."""

    def __post_init__(self) -> None:
        require(bool(self.runs or self.axes), "RUNS", "nothing is varied", "give RUNS, AXES, or both")
        require(bool(self.seeds), "SEEDS", "no seed given", "[0] runs everything once")
        for key, values in flatten(self.axes).items():
            require(
                isinstance(values, tuple) and len(values) > 0,
                f"AXES.{key}",
                f"{values!r} is no list of values",
                "write a list such as [64, 128]",
            )


@dataclass(frozen=True)
class GridRun:
    """One run of a grid."""

    name: str
    """What it is called in tables: the same for all of its seeds."""
    settings: Mapping[str, Any]
    """What makes it different from the others: key -> value."""
    seed: int
    pairs: tuple[str, ...]
    """KEY VALUE … of its command line."""
    output_dir: Path
    base: Path
    """The configuration file that it builds on."""
    sweeps_fusion: bool = False
    """Whether its fusion with the frozen CLIP is measured, too."""

    def config(self) -> RunConfig:
        """Its resolved configuration. Raises ConfigError for what cannot be run."""
        return load_run_config(self.base, self.pairs)


def load_grid(path: Path) -> AblationConfig:
    """Load a grid. Raises ConfigError."""
    return load_config(AblationConfig, path)


def expand(grid: AblationConfig, path: Path) -> list[GridRun]:
    """The runs of the grid in `path`. Raises ConfigError for two runs of one name."""
    base, root = path.parent / grid.base, Path(grid.output_dir)
    axes = flatten(grid.axes)
    shown = _short_names(list(axes))
    runs = []
    for label, settings in (grid.runs or {"": {}}).items():
        for combination in _combinations(axes):
            varied = {**flatten(settings), **combination}
            values = [f"{shown[key]} {_as_text(value)}" for key, value in combination.items()]
            name = ", ".join([*([label] if label else []), *values])
            for seed in grid.seeds:
                folder = root / _SLUG.sub("-", name).strip("-") / f"seed{seed}"
                wanted = {**flatten(grid.common), **varied, "RANDOM_SEED": seed, "OUTPUT_DIR": str(folder)}
                pairs = tuple(word for key, value in wanted.items() for word in (key, as_yaml(value)))
                runs.append(GridRun(name, varied, seed, pairs, folder, base, grid.sweep_fusion))
    folders = [run.output_dir for run in runs]
    twice = sorted({str(folder) for folder in folders if folders.count(folder) > 1})
    if twice:
        raise ConfigError(f"two runs share the folder {twice[0]}", key="RUNS", remedy="give them other names")
    return runs


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested sections as one level of dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _combinations(axes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def _short_names(keys: Sequence[str]) -> dict[str, str]:
    """The last parts of each key, as many as tell it from the others: `ALPHA`, or `MIXUP.ALPHA` beside
    `CUTMIX.ALPHA`.
    """
    endings = {key: _endings(key) for key in keys}
    counts = Counter(ending for found in endings.values() for ending in found)
    return {key: next((one for one in found if counts[one] == 1), key) for key, found in endings.items()}


def _endings(key: str) -> list[str]:
    """`A.B.C` → `C`, `B.C`, `A.B.C`."""
    parts = key.split(".")
    return [".".join(parts[start:]) for start in reversed(range(len(parts)))]


def _as_text(value: Any) -> str:
    return " ".join(str(item) for item in value) if isinstance(value, tuple) else str(value)


def as_yaml(value: Any) -> str:
    """A value as YAML on one line, which JSON is, but for the two halves that it makes of an emoji."""
    text = json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")  # of names that are no text
