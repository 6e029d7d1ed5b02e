"""The weight of the fusion with the frozen CLIP, for every run of a grid. Nothing is trained for it.

trained run ──runs/zero_shot.py, its last checkpoint, its own test list──► <run>/fusion/zero_shot.json
    ──mean over seeds──► fusion.md (one line per weight, one column per run), fusion.png

Logits of both models are computed once; a weight is one addition. So it is no axis: an axis would train once
per value.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from runs.ablation.config import GridRun, as_yaml

ENTRY = Path(__file__).resolve().parents[1] / "zero_shot.py"
_PROTOCOL = "test-list"
"""What a run is tested on; earlier versions swept all videos of the data set."""
Curve = dict[float, float]
"""Weight of the model -> top-1 in per cent; 0 is the frozen CLIP alone."""


def result_file(run: GridRun) -> Path:
    """What the sweep of a run writes last."""
    return run.output_dir / "fusion" / "zero_shot.json"


def sweep_command(run: GridRun) -> list[str]:
    """The command that sweeps the weight for a trained run."""
    newest = max((run.output_dir / "checkpoints").glob("step_*.pt"))
    changed = ("TRAIN.ENABLE", "false", "OUTPUT_DIR", as_yaml(str(result_file(run).parent)))
    options = ("--checkpoint", str(newest), "--protocol", _PROTOCOL, "--sweep-fusion")
    return [sys.executable, str(ENTRY), "--cfg", str(run.base), *options, *run.pairs, *changed]


def read_curve(run: GridRun) -> Curve | None:
    """Top-1 of a run for every weight, or None when it has not been swept on its own test list."""
    if not result_file(run).exists():
        return None
    result = json.loads(result_file(run).read_text(encoding="utf-8"))
    if result["protocol"] != _PROTOCOL:
        return None
    return {float(weight): found["top1"] for weight, found in result["fusion_sweep"].items()}


def mean_curves(runs: Sequence[GridRun]) -> dict[str, Curve]:
    """Means over the seeds that have been swept, by name of the run."""
    curves: dict[str, Curve] = {}
    for name in dict.fromkeys(run.name for run in runs):
        found = [curve for run in runs if run.name == name and (curve := read_curve(run)) is not None]
        if found:
            curves[name] = {weight: statistics.fmean(one[weight] for one in found) for weight in found[0]}
    return curves


def as_markdown(curves: Mapping[str, Curve]) -> str:
    """One line per weight, one column per run."""
    lines = [
        "Top-1, %, by the weight of the model against the frozen CLIP (0: the frozen CLIP alone):",
        "",
        "| weight | " + " | ".join(curves) + " |",
        "|---|" + "---|" * len(curves),
    ]
    for weight in sorted(next(iter(curves.values()))):
        lines.append(
            f"| {weight:g} | " + " | ".join(f"{curve[weight]:.2f}" for curve in curves.values()) + " |"
        )
    return "\n".join(lines) + "\n"


def write_fusion(runs: Sequence[GridRun], folder: Path, question: str) -> str:
    """Writes fusion.md and fusion.png of what has been swept; returns the table, "" when nothing has."""
    curves = mean_curves(runs)
    if not curves:
        return ""
    from runs.inference.plots import save_curves

    table = as_markdown(curves)
    (folder / "fusion.md").write_text(table, encoding="utf-8")
    weights = sorted(next(iter(curves.values())))
    save_curves(
        weights,
        {name: [curve[weight] for weight in weights] for name, curve in curves.items()},
        folder / "fusion.png",
        x_label="weight of the model (0: frozen CLIP alone)",
        y_label="top-1, %",
        title=question,
    )
    return table
