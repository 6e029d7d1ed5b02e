"""What a grid found: one row per run from its `summary.json`, and the mean over seeds as table and pictures.

results.csv          one row per run: what was varied, scores, size, memory, time
results.md           one line per name: mean over seeds, and their standard deviation
accuracy.png         accuracy against trainable weights, memory and time
fusion.md, .png      with SWEEP_FUSION: accuracy for every weight of the fusion with the frozen CLIP
"""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runs.ablation.config import GridRun
from runs.ablation.fusion import write_fusion
from runs.output_folder import OutputFolder
from utils.figures import save_figure

MEASURED = ("top1", "top5", "trainable_parameters", "peak_memory_gb", "train_seconds", "clips_per_second")


@dataclass(frozen=True)
class Line:
    """One name of a grid: means over its seeds."""

    name: str
    seeds: int
    top1: float
    top1_spread: float | None
    """Standard deviation over seeds; None for one."""
    measured: Mapping[str, float | None]


def read_row(run: GridRun) -> dict[str, Any] | None:
    """What a complete run measured, or None."""
    folder = OutputFolder(run.output_dir)
    if not folder.is_complete:
        return None
    summary = json.loads(folder.summary.read_text(encoding="utf-8"))
    scores = summary["test"]["scores"]
    training = summary.get("training", {})
    seconds, clips = training.get("seconds"), training.get("clips_read")
    return {
        "run": run.name,
        **run.settings,
        "seed": run.seed,
        "top1": scores["top1"],
        "top5": scores.get("top5"),
        "trainable_parameters": summary["weights"]["trainable_parameters"],
        "peak_memory_gb": summary["peak_memory_gb"],
        "train_seconds": seconds,
        "clips_per_second": round(clips / seconds, 2) if clips and seconds else None,
        "device": summary["device"],
        "folder": str(run.output_dir),
    }


def summarise(rows: Sequence[Mapping[str, Any]]) -> list[Line]:
    """Means over seeds, in the order of the rows."""
    lines = []
    for name in dict.fromkeys(row["run"] for row in rows):
        own = [row for row in rows if row["run"] == name]
        scores = [row["top1"] for row in own]
        lines.append(
            Line(
                name=name,
                seeds=len(own),
                top1=statistics.fmean(scores),
                top1_spread=statistics.stdev(scores) if len(own) > 1 else None,
                measured={key: _mean(row[key] for row in own) for key in MEASURED},
            )
        )
    return lines


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as CSV, with a column for every key that any of them sets."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    varied = [key for key in columns if "." in key or (key.isupper() and key not in MEASURED)]
    ordered = ["run", *varied, *(key for key in columns if key not in varied and key != "run")]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, ordered, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def as_markdown(lines: Sequence[Line], question: str, missing: Sequence[str]) -> str:
    """The table that people read."""
    text = [f"# {question}", ""] if question else []
    text.append("| run | top-1 | top-5 | trained weights | peak memory | training | clips/s |")
    text.append("|---|---|---|---|---|---|---|")
    for line in lines:
        spread = "" if line.top1_spread is None else f" ± {line.top1_spread:.2f}"
        found = line.measured
        cells = (
            line.name,
            f"{line.top1:.2f}{spread}",
            _number(found["top5"], "{:.2f}"),
            _number(found["trainable_parameters"], "{:,.0f}"),
            _number(found["peak_memory_gb"], "{:.2f} GB"),
            _number(found["train_seconds"], "{:.0f} s"),
            _number(found["clips_per_second"], "{:.1f}"),
        )
        text.append("| " + " | ".join(cells) + " |")
    seeds = sorted({line.seeds for line in lines})
    text += ["", f"Mean over {' or '.join(map(str, seeds))} seed(s); ± is their standard deviation."]
    text += [f"Without a result yet: {name}" for name in missing]
    return "\n".join(text) + "\n"


def _number(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)


PANELS = (
    ("trainable_parameters", "trained weights, millions", 1e-6),
    ("peak_memory_gb", "peak memory, GB", 1.0),
    ("train_seconds", "training, seconds", 1.0),
)


def draw(lines: Sequence[Line], question: str) -> Any:
    """Accuracy against size, memory and time; one colour and number per name."""
    from utils.figures import new_figure

    figure, axes = new_figure(rows=len(PANELS), size=(8.0, 3.2 * len(PANELS)))
    for panel, (key, label, scale) in zip(axes, PANELS, strict=True):
        for number, line in enumerate(lines, 1):
            value = line.measured[key]
            if value is None:
                continue
            x, colour = value * scale, f"C{number % 10}"
            panel.errorbar(
                x, line.top1, yerr=line.top1_spread, fmt="o", color=colour, label=f"{number} {line.name}"
            )
            panel.annotate(str(number), (x, line.top1), textcoords="offset points", xytext=(5, 4), fontsize=8)
        panel.set(xlabel=label, ylabel="top-1, %")
        panel.grid(alpha=0.3)
    axes[0].set_title(question, fontsize=10)
    axes[0].legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def write_results(runs: Sequence[GridRun], folder: Path, question: str) -> str:
    """Write what is known so far to `folder`; returns the Markdown table."""
    found = [(run, read_row(run)) for run in runs]
    rows = [row for _, row in found if row is not None]
    missing = [f"{run.name}, seed {run.seed}" for run, row in found if row is None]
    lines = summarise(rows)
    table = as_markdown(lines, question, missing)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.md").write_text(table, encoding="utf-8")
    (folder / "results.csv").write_text(as_csv(rows), encoding="utf-8")
    if lines:
        save_figure(draw(lines, question), folder / "accuracy.png")
    fused = write_fusion(runs, folder, question)
    return f"{table}\n{fused}" if fused else table
