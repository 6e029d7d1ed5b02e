"""Matplotlib figures without a display and without the state of pyplot; matplotlib is imported when one is
made.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def new_figure(*, rows: int = 1, size: tuple[float, float] = (8.0, 5.0)) -> tuple[Any, Any]:
    """A figure of `size` inches with `rows` axes below each other: (figure, its axes, an array where rows >
    1).
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows)


def save_figure(figure: Any, path: Path, comment: str = "") -> None:
    """Write a figure to `path` as a whole or not at all; the ending names the format.

    comment: what a PNG file says of itself.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.stem}.partial{path.suffix}")
    figure.savefig(unfinished, dpi=120, metadata={"Comment": comment} if comment else None)
    os.replace(unfinished, path)
