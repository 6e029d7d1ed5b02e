"""A grid is expanded as it is written, and what cannot be run is told before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from runs.ablation.config import AblationConfig, expand, load_grid
from utils.config import ConfigError

GRIDS = Path(__file__).resolve().parents[3] / "configs" / "projects" / "ablations"


def grid(**settings: object) -> AblationConfig:
    return AblationConfig(base="base.yaml", output_dir="out", **settings)  # type: ignore[arg-type]


def test_runs_times_axes_times_seeds() -> None:
    runs = expand(
        grid(
            common={"LOG_PERIOD": 5},
            runs={"plain": {}, "other": {"VIDEO": {"BACKBONE.DIST.TEMPORAL_ENCODER": "none"}}},
            axes={"DATA": {"SPARSE_SAMPLE_ALPHA": (1, 2)}, "MODEL.NAME": ("dist",)},
            seeds=(0, 3),
        ),
        Path("grids/g.yaml"),
    )
    assert len(runs) == 2 * 2 * 2
    last = runs[-1]
    assert last.name == "other, SPARSE_SAMPLE_ALPHA 2, NAME dist"
    assert last.output_dir == Path("out/other-SPARSE_SAMPLE_ALPHA-2-NAME-dist/seed3")
    assert last.base == Path("grids/base.yaml")
    pairs = dict(zip(last.pairs[::2], last.pairs[1::2], strict=True))
    assert pairs == {
        "LOG_PERIOD": "5",
        "VIDEO.BACKBONE.DIST.TEMPORAL_ENCODER": '"none"',
        "DATA.SPARSE_SAMPLE_ALPHA": "2",
        "MODEL.NAME": '"dist"',
        "RANDOM_SEED": "3",
        "OUTPUT_DIR": f'"{last.output_dir}"',
    }


def test_axes_of_one_last_part_are_told_apart() -> None:
    axes = {
        "AUGMENTATION": {"MIXUP.ALPHA": (0.2,), "CUTMIX.ALPHA": (0.8, 1.0)},
        "TRAIN.DATASET": ("k400",),
        "LOG_PERIOD": (5,),
    }
    first, second = expand(grid(axes=axes), Path("g.yaml"))
    assert first.name == "MIXUP.ALPHA 0.2, CUTMIX.ALPHA 0.8, DATASET k400, LOG_PERIOD 5"
    assert second.name == "MIXUP.ALPHA 0.2, CUTMIX.ALPHA 1.0, DATASET k400, LOG_PERIOD 5"


@pytest.mark.parametrize("folder", ["grid 😀 ä", "grid \udcff"])
def test_folders_of_any_name_reach_the_runs(folder: str) -> None:
    (run,) = expand(AblationConfig(base="base.yaml", output_dir=folder, runs={"a": {}}), Path("g.yaml"))
    pairs = dict(zip(run.pairs[::2], run.pairs[1::2], strict=True))
    assert yaml.safe_load(pairs["OUTPUT_DIR"]) == f"{folder}/a/seed0"


def test_two_runs_never_share_a_folder() -> None:
    with pytest.raises(ConfigError, match="out/a-b/seed0"):
        expand(grid(runs={"a b": {}, "a-b": {}}), Path("g.yaml"))


@pytest.mark.parametrize("settings", [{}, {"runs": {"a": {}}, "seeds": ()}, {"axes": {"LOG_PERIOD": 3}}])
def test_a_grid_without_sense_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        grid(**settings)


@pytest.mark.parametrize("path", sorted(GRIDS.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_shipped_grid_can_be_run(path: Path) -> None:
    loaded = load_grid(path)
    runs = expand(loaded, path)
    assert loaded.question.endswith("?")
    assert loaded.output_dir == f"output/ablations/{path.stem}"
    configs = [run.config() for run in runs]
    assert len({config.output_dir for config in configs}) == len(runs)
    head = path.read_text()
    assert f"# Command:   python runs/ablate.py --cfg configs/projects/ablations/{path.name}" in head
