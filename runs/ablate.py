"""Runs a grid of configurations and tells what came out: one CSV, one Markdown table, pictures.

    python runs/ablate.py --cfg configs/projects/ablations/parts.yaml
    python runs/ablate.py --cfg configs/projects/ablations/parts.yaml --list     what it would run
    python runs/ablate.py --cfg configs/projects/ablations/parts.yaml --report   only the table so far

Runs that have a result are passed over, and those that stopped go on, so the same command finishes a grid
that was interrupted. Each GPU takes one run at a time; on a CPU --jobs runs share the cores.
Exit codes: 0 all runs have results, 1 some failed, 2 wrong input, 130 interrupted: the runs under way have
saved their state.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from utils.stopping import leave_on_interrupt

    leave_on_interrupt()

from models.config import MODELS_OUTSIDE_THE_JOINT_SPACE
from runs.ablation.config import GridRun, expand, load_grid
from runs.cli import readable_errors
from runs.config import RunConfig
from runs.inference.options import count_of
from utils.config import ConfigError, require


def main(arguments: list[str]) -> int:
    """Run the command; returns its exit code."""
    with readable_errors():
        options = _parser().parse_args(arguments)
        grid = load_grid(options.cfg)
        runs = expand(grid, options.cfg)
        _check(runs)
        if options.list:
            for run in runs:
                print(f"{run.name} (seed {run.seed})  {' '.join(run.pairs)}")
            return 0
        failed = [] if options.report else _run(runs, options.jobs)
        from runs.ablation.results import write_results

        print(write_results(runs, Path(grid.output_dir), grid.question))
        return 1 if failed else 0


def _run(runs: Sequence[GridRun], jobs: int | None) -> list[GridRun]:
    from runs.ablation.execute import devices, run_missing
    from utils.logging import start_logging

    start_logging(None, 0)
    return run_missing(runs, devices(jobs))


def _check(runs: Sequence[GridRun]) -> None:
    """Every run's configuration, before the first is started: all problems at once."""
    problems = []
    for run in runs:
        try:
            config = run.config()
            require(config.test.enable, "TEST.ENABLE", "false given, but a grid compares test scores")
            compared = config.task_type == "classification"
            require(compared, "TASK_TYPE", f"{config.task_type} given, but a grid compares top-1 accuracies")
            if run.sweeps_fusion:
                _check_sweep(config)
        except ConfigError as error:
            problems.append(f"run {run.name!r}: {error}")
    if problems:
        raise ConfigError("\n".join(problems))


def _check_sweep(config: RunConfig) -> None:
    """Raises ConfigError for a run that the frozen CLIP cannot be fused with afterwards."""
    model, head = config.model.name, config.video.head
    require(
        config.train.enable,
        "TRAIN.ENABLE",
        "false given, but SWEEP_FUSION fuses what a run has trained",
        "train, or sweep that checkpoint with runs/zero_shot.py --protocol test-list --sweep-fusion",
    )
    require(
        model not in MODELS_OUTSIDE_THE_JOINT_SPACE,
        "MODEL.NAME",
        f"{model} makes features that cannot be compared with words, as SWEEP_FUSION does",
        "leave SWEEP_FUSION out",
    )
    require(
        head.name == "text",
        "VIDEO.HEAD.NAME",
        f"{head.name} given, but SWEEP_FUSION compares videos with words",
        "set it to text, or leave SWEEP_FUSION out",
    )
    require(
        len(head.classes_per_head or ()) < 2,
        "VIDEO.HEAD.NUM_CLASSES",
        f"{len(head.classes_per_head or ())} heads, but SWEEP_FUSION is for one",
        "leave SWEEP_FUSION out",
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--cfg", metavar="FILE", type=Path, required=True, help="YAML file of the grid")
    parser.add_argument(
        "--jobs", metavar="N", type=count_of, help="runs at a time (default: one per GPU, or one)"
    )
    parser.add_argument("--list", action="store_true", help="print the runs and exit")
    parser.add_argument("--report", action="store_true", help="write the table of what is there, run nothing")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
