"""Plots of results, drawn without a display."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from runs.inference.drawn_files import MARK
from runs.inference.results import VideoResult, drawn_name
from utils.figures import new_figure, save_figure

_MOST_CLASSES = 6


def save_timeline(result: VideoResult, path: Path) -> None:
    """Scores over time of the classes that lead in any window (the strongest six), one step a window."""
    assert result.windows, "a timeline needs windows"
    scores = timeline_scores(result)
    edges = [window.start for window in result.windows] + [result.windows[-1].end]
    figure, axes = new_figure(size=(9.0, 4.0))
    for label, values in scores.items():
        axes.stairs(values, edges, label=label, linewidth=1.8, baseline=None)
    axes.set(
        xlabel="seconds",
        ylabel="score",
        ylim=(0, 1.02),
        xlim=(edges[0], edges[-1]),
        title=drawn_name(result.path),
    )
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False)
    save_figure(figure, path, MARK)


def timeline_scores(result: VideoResult) -> dict[str, list[float]]:
    """Score in every window (which must hold all classes) of each class that leads one, strongest first."""
    by_window = [{item.label: item.score for item in window.predictions} for window in result.windows]
    leading: dict[str, float] = {}
    for scores in by_window:
        label = max(scores, key=lambda name: scores[name])
        leading[label] = max(leading.get(label, 0.0), scores[label])
    strongest = sorted(leading, key=lambda label: -leading[label])[:_MOST_CLASSES]
    return {label: [scores[label] for scores in by_window] for label in strongest}


def save_curves(
    x: Sequence[float],
    curves: Mapping[str, Sequence[float]],
    path: Path,
    *,
    x_label: str,
    y_label: str,
    title: str,
) -> None:
    """Curves over one axis, with markers, as a picture."""
    figure, axes = new_figure(size=(9.0, 4.0))
    for label, values in curves.items():
        axes.plot(x, values, marker="o", markersize=3.5, linewidth=1.6, label=label)
    axes.set(xlabel=x_label, ylabel=y_label, title=title)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    save_figure(figure, path)
