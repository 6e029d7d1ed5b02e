"""The pictures of a report: learning curve and confusion matrix, as matplotlib figures (matplotlib imported
lazily).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from utils.figures import new_figure

MOST_TICKS = 40
CURVES = (
    ("top1", "top-1", "tab:green"),
    ("top5", "top-5", "tab:olive"),
    ("text_to_video_r1", "text to video R@1", "tab:green"),
    ("text_to_video_r5", "text to video R@5", "tab:olive"),
    ("video_to_text_r1", "video to text R@1", "tab:purple"),
)
"""Scores that are drawn where a line of the log has them, all percentages."""


def draw_learning_curve(entries: Sequence[Mapping[str, Any]]) -> Any:
    """Loss and learning rate over epochs, validation scores below, from the lines of `metrics.jsonl`."""
    figure, (above, below) = new_figure(rows=2, size=(8.0, 6.5))
    train = [entry for entry in entries if entry["kind"] == "train" and entry["loss"] is not None]
    epochs = [entry["epoch"] for entry in train]
    above.plot(epochs, [entry["loss"] for entry in train], color="tab:blue", label="loss")
    above.set(ylabel="training loss", xlabel="epoch")
    rate = above.twinx()
    rate.plot(epochs, [entry["learning_rate"] for entry in train], color="tab:gray", linestyle=":")
    rate.set(ylabel="learning rate (dotted)")
    for kind, marker, size in (("validation", "o", 5), ("test", "*", 14)):
        scored = [entry for entry in entries if entry["kind"] == kind]
        for name, title, colour in CURVES:
            points = [(entry["epoch"], entry[name]) for entry in scored if entry.get(name) is not None]
            if points:
                below.plot(
                    *zip(*points, strict=True),
                    marker=marker,
                    markersize=size,
                    color=colour,
                    label=f"{kind} {title}",
                )
    below.set(ylabel="%", xlabel="epoch", ylim=(0, 101))
    if below.get_legend_handles_labels()[0]:
        below.legend(frameon=False)
    return figure


def draw_confusion_matrix(confusion: Tensor, names: Sequence[str], title: str) -> Any:
    """Counts (K,K), rows are the true classes, as shares of each row; classes are named where they fit."""
    figure, axes = new_figure(rows=1, size=(8.0, 7.0))
    totals = confusion.sum(dim=1, keepdim=True)
    shares = confusion.double() / totals.clamp(min=1)
    image = axes.imshow(shares.numpy(), vmin=0, vmax=1, cmap="Blues", interpolation="nearest", aspect="auto")
    figure.colorbar(image, ax=axes, label="share of the true class")
    axes.set(xlabel="predicted", ylabel="true", title=title)
    if len(names) <= MOST_TICKS:
        positions = list(range(len(names)))
        axes.set_xticks(positions, [_short(name) for name in names], rotation=90, fontsize=7)
        axes.set_yticks(positions, [_short(name) for name in names], fontsize=7)
    if len(names) <= 12:
        for row, column in torch.nonzero(confusion).tolist():
            count, share = int(confusion[row, column]), float(shares[row, column])
            axes.text(
                column, row, str(count), ha="center", va="center", color="white" if share > 0.5 else "black"
            )
    return figure


def _short(name: str, limit: int = 28) -> str:
    return name if len(name) <= limit else f"{name[: limit - 1]}…"
