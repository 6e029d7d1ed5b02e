"""A sheet of test clips with what DiST says of them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from datasets.decoding import open_video

FRAMES_SHOWN = 6


def draw_contact_sheet(predictions: Path, root: Path, path: Path, *, clips: int = 16) -> None:
    """Writes a PNG: one row a clip, frames from left to right, the true motion and the predicted one.

    predictions: predictions.csv of the test; root: DATA_ROOT_DIR. Mistakes come first, so that all of a few
    can be looked at.
    """
    from matplotlib.figure import Figure  # no display is needed, nor wanted

    with open(predictions, newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    chosen = _choose(rows, clips)
    columns = 2
    figure = Figure(figsize=(14, 1.35 * ((len(chosen) + 1) // columns)), layout="constrained")
    axes = figure.subplots((len(chosen) + 1) // columns, columns, squeeze=False).flatten()
    for axis, row in zip(axes, chosen, strict=False):
        axis.imshow(_strip(root / row["path"]))
        right = row["correct"] == "1"
        says = f"{row['name1']} ({float(row['score1']):.0%})"
        axis.set_title(
            f"{row['target_name']}  —  DiST: {says}", fontsize=9, color="darkgreen" if right else "firebrick"
        )
    for axis in axes:
        axis.axis("off")
    figure.savefig(path, dpi=110)


def _choose(rows: Sequence[dict[str, str]], count: int) -> list[dict[str, str]]:
    """Up to half mistakes, then right answers spread over the list and over both of a pair."""
    wrong = [row for row in rows if row["correct"] != "1"][: count // 2]
    right = [row for row in rows if row["correct"] == "1"]
    wanted = min(count - len(wrong), len(right))
    # one further every other time: neighbours in the list are twins
    places = [(index * len(right) // max(wanted, 1) + index % 2) % len(right) for index in range(wanted)]
    spread = [right[place] for place in places]
    return wrong + spread


def _strip(path: Path) -> np.ndarray:
    """Frames across a video, side by side, with a white line between them."""
    with open_video(str(path)) as reader:
        indices = np.linspace(0, reader.frame_count - 1, FRAMES_SHOWN).round().astype(int)
        frames = reader.get_frames(indices.tolist())
    padded = np.pad(frames, ((0, 0), (0, 0), (0, 3), (0, 0)), constant_values=255)
    return np.concatenate(list(padded), axis=1)
