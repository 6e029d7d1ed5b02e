"""What the benchmark of training found: table, JSON, picture, and where the published order does not hold.
Torch-free but for the picture.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from utils.figures import new_figure, save_figure

PUBLISHED_ORDER = ("DiST", "EVL", "ST-Adapter", "AIM", "CLIP, fully tuned")
"""From the least training memory to the most, at ViT-B/16 and 8 frames on SSv2 (12.7, 17.9, 28.8 and 35.2 GB
at 32 clips for the first four)."""


@dataclass(frozen=True)
class Settings:
    """How every method is measured."""

    batch: int
    """Clips per step."""
    steps: int
    """Steps that are timed."""
    warmup: int
    """Steps before that."""
    device: str
    """cpu, cuda, cuda:1, or auto."""
    precision: str
    """auto, fp32, bf16, fp16."""
    threads: int | None = None
    """CPU threads; None: torch's choice."""
    videos: tuple[str, ...] = ()
    """Files that clips are taken from; none: noise."""
    activation_checkpointing: bool = False


@dataclass(frozen=True)
class Measurement:
    """One method's training step."""

    label: str
    device: str
    precision: str
    batch: int
    frames: int
    """T, of which CLIP sees every α-th."""
    step_ms: float
    """Median over the timed steps: forward, backward, update."""
    fastest_step_ms: float
    clips_per_second: float
    peak_memory_gb: float
    """Of torch's allocator on a GPU; resident, of the whole process, on a CPU."""
    step_memory_gb: float
    """The peak less what was there before the first step: weights and libraries."""
    trainable_parameters: int
    forward_gmacs: float
    """Billions of multiply-adds of the forward pass, per clip of a step."""
    step_gmacs: float
    """The same of forward and backward."""
    encoder_ms: float
    """CLIP's image tower alone on the same frames, without gradients."""

    @property
    def encoder_share(self) -> float:
        """Part of the step that CLIP's plain forward pass would take alone."""
        return self.encoder_ms / self.step_ms


def as_table(found: Sequence[Measurement]) -> str:
    """A Markdown table, and what its columns mean."""
    first = found[0]
    lines = [
        f"{first.batch} clips a step on {first.device}, {first.precision}.",
        "",
        "| method | frames | ms/step | clips/s | peak memory | of the steps | trained weights | GMAC forward "
        "| GMAC step | encoder's share |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in found:
        lines.append(
            f"| {one.label} | {one.frames} | {one.step_ms:.0f} | {one.clips_per_second:.2f} | "
            f"{one.peak_memory_gb:.2f} GB | {one.step_memory_gb:.2f} GB | {one.trainable_parameters:,} | "
            f"{one.forward_gmacs:.1f} | {one.step_gmacs:.1f} | {one.encoder_share:.0%} |"
        )
    lines += [
        "",
        "Encoder's share: CLIP's image tower on the same frames, forward only, over the whole step. Where "
        "gradients pass through CLIP, the rest of the step holds its backward pass, too.",
    ]
    return "\n".join(lines)


def deviations(found: Sequence[Measurement]) -> list[str]:
    """A sentence for every neighbour in the published order that measures the other way round here."""
    by_label = {one.label: one for one in found}
    known = [by_label[label] for label in PUBLISHED_ORDER if label in by_label]
    sentences = []
    for less, more in itertools.pairwise(known):
        for name, unit, values in (
            ("memory of the steps", "GB", (less.step_memory_gb, more.step_memory_gb)),
            ("time", "ms/step", (less.step_ms, more.step_ms)),
            ("multiply-adds of a step", "G", (less.step_gmacs, more.step_gmacs)),
        ):
            if values[0] > values[1]:
                sentences.append(
                    f"{name}: {less.label} ({values[0]:.4g} {unit}) needs more than {more.label} "
                    f"({values[1]:.4g} {unit}) here, against the published order."
                )
    return sentences


def draw(found: Sequence[Measurement]) -> Any:
    """Bars: time, memory and multiply-adds per method."""
    panels = (
        ("ms a step", [one.step_ms for one in found]),
        ("memory of the steps, GB", [one.step_memory_gb for one in found]),
        ("multiply-adds of a step and clip, G", [one.step_gmacs for one in found]),
    )
    figure, axes = new_figure(rows=len(panels), size=(8.0, 0.9 + 0.32 * len(found) * len(panels)))
    labels = [one.label for one in found]
    for panel, (name, values) in zip(axes, panels, strict=True):
        colours = ["tab:red" if label == "DiST" else "tab:blue" for label in labels]
        bars = panel.barh(labels, values, color=colours)
        labels_of_bars = [f"{value:,.0f}" if value >= 100 else f"{value:.3g}" for value in values]
        panel.bar_label(bars, labels_of_bars, padding=3, fontsize=8)
        panel.invert_yaxis()
        panel.margins(x=0.12)
        panel.set_xlabel(name)
    return figure


def write_report(found: Sequence[Measurement], settings: Settings, folder: Path) -> str:
    """Write results.{md,json,png} to `folder`; returns the Markdown text."""
    text = as_table(found)
    if differences := deviations(found):
        text += "\n\n" + "\n".join(f"- {sentence}" for sentence in differences)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.md").write_text(text + "\n", encoding="utf-8")
    rows = [{**asdict(one), "encoder_share": one.encoder_share} for one in found]
    content = {"settings": asdict(settings), "measurements": rows, "deviations": differences}
    (folder / "results.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    save_figure(draw(found), folder / "results.png")
    return text
