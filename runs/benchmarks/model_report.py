"""The report of `runs/benchmark.py model`. Torch-free."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

RATIOS = (
    # label, numerator, denominator, bound for a check (far outside what is expected anywhere)
    ("training step / baseline step", "training step", "baseline step", 1.5),
    ("training step / frozen forward", "training step", "frozen forward", 3.0),
    ("inference / baseline inference", "inference", "baseline inference", 1.5),
    ("training step, half / baseline step", "training step, half", "baseline step", None),
    ("training step, int8 / baseline step", "training step, int8", "baseline step", None),
    ("inference, half / baseline inference", "inference, half", "baseline inference", None),
    ("inference, int8 / baseline inference", "inference, int8", "baseline inference", None),
    ("baseline step / open_clip forward", "baseline step", "open_clip forward", None),
    ("training step / open_clip forward", "training step", "open_clip forward", None),
    ("frozen forward / open_clip forward", "frozen forward", "open_clip forward", None),
)


@dataclass(frozen=True)
class ModelMeasurement:
    """Times (seconds per round) and peaks of memory (GiB) of every contender."""

    settings: Mapping[str, Any]
    device: str
    precision: str
    seconds: Mapping[str, Sequence[float]]
    difference: float
    similarities: Mapping[str, float]
    memory_gib: Mapping[str, float]
    versions: Mapping[str, str]

    def ratios(self) -> dict[str, list[float]]:
        """Each ratio, round by round."""
        return {
            label: [a / b for a, b in zip(self.seconds[over], self.seconds[under], strict=True)]
            for label, over, under, _ in RATIOS
            if over in self.seconds and under in self.seconds
        }

    @property
    def is_far_off(self) -> bool:
        """Whether a ratio is far outside its bounds, or the two implementations disagree."""
        bounds = {label: bound for label, _, _, bound in RATIOS if bound is not None}
        ratios = self.ratios()
        disagrees = self.difference > (1e-4 if self.precision == "float32" else 0.1)
        return disagrees or any(
            statistics.median(ratios[label]) > bound for label, bound in bounds.items() if label in ratios
        )


def write_report(found: Sequence[ModelMeasurement], folder: Path) -> str:
    """Write results.json, results.md and results.png; returns the table."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = [asdict(measurement) | {"ratios": measurement.ratios()} for measurement in found]
    (folder / "results.json").write_text(json.dumps(contents, indent=1))
    text = "\n\n".join(_table(measurement) for measurement in found)
    (folder / "results.md").write_text(text + "\n")
    _draw(found, folder / "results.png")
    return f"{text}\n\n{folder / 'results.json'}"


def _table(measurement: ModelMeasurement) -> str:
    settings = measurement.settings
    head = (
        f"{settings['architecture']}, {settings['frames'] // settings['alpha']}+{settings['frames']} frames, "
        f"batch {settings['batch']}, {measurement.precision}, {measurement.device}, torch "
        f"{measurement.versions.get('torch', '?')}, {settings['rounds']} rounds; both implementations "
        f"differ by {measurement.difference:.1e}"
    )
    for kind, similarity in measurement.similarities.items():
        head += (
            f"; with frozen weights in {kind}, the frames' embeddings have a cosine of at least "
            f"{similarity:.5f} to those with the weights as they are"
        )
    rows = ["| ratio | median | min | max |", "|---|---|---|---|"]
    for label, values in measurement.ratios().items():
        rows.append(f"| {label} | {statistics.median(values):.2f} | {min(values):.2f} | {max(values):.2f} |")
    rows += ["", "| what | seconds, median | GiB, peak |", "|---|---|---|"]
    for name, seconds in measurement.seconds.items():
        memory = measurement.memory_gib.get(name)
        rows.append(
            f"| {name} | {statistics.median(seconds):.3f} | {'' if memory is None else f'{memory:.2f}'} |"
        )
    return head + "\n\n" + "\n".join(rows)


def _draw(found: Sequence[ModelMeasurement], path: Path) -> None:
    from matplotlib.figure import Figure  # no display is needed, nor wanted

    figure = Figure(figsize=(9, 4), layout="constrained")
    times, memory = figure.subplots(1, 2)
    labels = [f"{m.settings['frames']} frames\nbatch {m.settings['batch']}" for m in found]
    # where only the clips' length or their number varies, a straight line says that the cost grows with it
    axes_of = {key: [m.settings[key] for m in found] for key in ("frames", "batch")}
    varied = [key for key, values in axes_of.items() if len(set(values)) > 1]
    numeric = len(varied) == 1 and len(set(axes_of[varied[0]])) == len(found)
    places = axes_of[varied[0]] if numeric else list(range(len(found)))
    for name in found[0].seconds:
        times.plot(places, [statistics.median(m.seconds[name]) for m in found], marker="o", label=name)
        memory.plot(places, [m.memory_gib.get(name, float("nan")) for m in found], marker="o", label=name)
    times.set_ylabel("seconds")
    memory.set_ylabel("GiB, peak")
    for axes in (times, memory):
        axes.set_xticks(places, labels)
        axes.set_ylim(bottom=0)
        if numeric:
            axes.set_xlim(left=0)
        axes.grid(alpha=0.3)
    times.legend(fontsize="small")
    figure.savefig(path, dpi=120)
