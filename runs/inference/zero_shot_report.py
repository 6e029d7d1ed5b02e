"""The result of a zero-shot protocol: a table that names the protocol, JSON, per-class CSV, the fusion
sweep.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from datasets.annotations.base_to_novel import harmonic_mean
from runs.inference.plots import save_curves
from runs.inference.zero_shot_evaluation import ProtocolLogits, ProtocolVideos
from runs.inference.zero_shot_scores import Accuracy, RunTargets, accuracy, fuse, run_counts, sweep_fusion
from utils.checkpoint import write_text_atomically
from utils.metrics import percentage

BASE_TO_NOVEL = "base-to-novel"
_MOST_COLUMNS = 3


class ZeroShotResult:
    """Accuracies of the frozen CLIP, of the model and of both fused, on one protocol."""

    def __init__(
        self, videos: ProtocolVideos, logits: ProtocolLogits, runs: Sequence[RunTargets], weight: float
    ) -> None:
        self.videos, self.logits, self.runs, self.weight = videos, logits, list(runs), weight
        self.logits_by_name: dict[str, Tensor] = {
            "frozen CLIP": logits.clip,
            "model": logits.model,
            f"fused, {weight:g}": fuse(logits.model, logits.clip, weight),
        }
        self.accuracies = {name: accuracy(found, runs) for name, found in self.logits_by_name.items()}

    @property
    def title(self) -> str:
        """The protocol with its list and counts, and how many videos could not be read."""
        missing = len(self.logits.missing)
        return self.videos.protocol.title + (f"; {missing} unreadable videos left out" if missing else "")

    def table(self) -> str:
        """Markdown: a row for the frozen CLIP, the model and both fused."""
        protocol = self.videos.protocol
        paired = protocol.protocol == BASE_TO_NOVEL
        columns = [run.split for run in protocol.runs] if 1 < len(self.runs) <= _MOST_COLUMNS else []
        last = ["harmonic mean"] if paired else ["top-1", "top-5"]
        lines = [f"{self.title}", "", "| " + " | ".join(["", *columns, *last]) + " |"]
        lines.append("|" + "---|" * (1 + len(columns) + len(last)))
        for name, found in self.accuracies.items():
            cells = [f"{value:.2f}" for value in found.top1] if columns else []
            lines.append("| " + " | ".join([name, *cells, *_summary(found, paired)]) + " |")
        return "\n".join(lines)

    def facts(self) -> dict[str, Any]:
        """Everything as plain types."""
        protocol = self.videos.protocol
        return {
            "title": self.title,
            "dataset": protocol.dataset,
            "protocol": protocol.protocol,
            "video_list": protocol.video_list,
            "runs": [
                {
                    "split": run.split,
                    "list": run.source,
                    "videos_listed": len(run),
                    "videos_evaluated": len(targets.videos),
                    "classes": len(targets.classes),
                }
                for run, targets in zip(protocol.runs, self.runs, strict=True)
            ],
            "views": self.logits.model.shape[1],
            "fusion_weight": self.weight,
            "scores": {name: _plain(found) for name, found in self.accuracies.items()},
            "missing": [{"path": failure.path, "reason": failure.reason} for failure in self.logits.missing],
        }

    def per_class_csv(self) -> str:
        """One line a run and class: how many videos, and how many of them each of the three has right."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        names = list(self.logits_by_name)
        writer.writerow(["run", "class", "videos", *(f"correct ({name})" for name in names), *names])
        for run, targets in zip(self.videos.protocol.runs, self.runs, strict=True):
            counted = [run_counts(found, targets).per_class() for found in self.logits_by_name.values()]
            for index, label in enumerate(run.class_names[0]):
                total = counted[0][index][0]
                correct = [rows[index][1] for rows in counted]
                shares = [f"{percentage(count, total):.2f}" if total else "" for count in correct]
                writer.writerow([run.split, label, total, *correct, *shares])
        return stream.getvalue()


def write_result(
    result: ZeroShotResult, folder: Path, facts: Mapping[str, Any], *, sweep: bool
) -> list[Path]:
    """Writes zero_shot.md, .json, _per_class.csv, and with `sweep` the fusion's curve; returns their
    paths.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "zero_shot.md": result.table() + "\n",
        "zero_shot_per_class.csv": result.per_class_csv(),
    }
    everything = {**result.facts(), **facts}
    if sweep:
        curve = sweep_fusion(result.logits.model, result.logits.clip, result.runs)
        everything["fusion_sweep"] = {f"{weight:g}": _plain(found) for weight, found in curve.items()}
        _draw_sweep(result, curve, folder / "fusion_sweep.png")
    texts["zero_shot.json"] = json.dumps(everything, indent=2, ensure_ascii=False) + "\n"
    for name, text in texts.items():
        write_text_atomically(folder / name, text)
    return [folder / name for name in texts] + ([folder / "fusion_sweep.png"] if sweep else [])


def _draw_sweep(result: ZeroShotResult, curve: Mapping[float, Accuracy], path: Path) -> None:
    weights = list(curve)
    curves = {"mean": [curve[weight].mean_top1 for weight in weights]}
    if 1 < len(result.runs) <= _MOST_COLUMNS:
        for index, run in enumerate(result.videos.protocol.runs):
            curves[run.split] = [curve[weight].top1[index] for weight in weights]
    title = result.title.partition(":")[0]
    save_curves(
        weights,
        curves,
        path,
        x_label="weight of the model (0: frozen CLIP alone)",
        y_label="top-1, %",
        title=title,
    )


def _summary(found: Accuracy, paired: bool) -> list[str]:
    if paired:
        return [f"{harmonic_mean(*found.top1):.2f}"]
    spread = f" ± {found.deviation_top1:.2f}" if len(found.top1) > 1 else ""
    return [f"{found.mean_top1:.2f}{spread}", f"{found.mean_top5:.2f}"]


def _plain(found: Accuracy) -> dict[str, Any]:
    return {
        "top1": round(found.mean_top1, 4),
        "top1_std": round(found.deviation_top1, 4),
        "top5": round(found.mean_top5, 4),
        "top1_of_runs": [round(value, 4) for value in found.top1],
        "top5_of_runs": [round(value, 4) for value in found.top5],
    }
