"""Predictions as values, and as a table, JSON or CSV. Torch-free.

JSON: a list of objects, one a video; CSV: one line a video, window and class (`rank` from 1); table: for
people. A video that could not be read is a result with `error` in every format.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FORMATS = ("table", "json", "csv")


@dataclass(frozen=True)
class Prediction:
    """A class and its score."""

    label: str
    score: float
    """Probability among the classes, averaged over views; the scores of all classes add up to 1."""


@dataclass(frozen=True)
class WindowResult:
    """What a part of a long video shows."""

    start: float
    end: float
    """Seconds."""
    predictions: tuple[Prediction, ...]


@dataclass(frozen=True)
class VideoResult:
    """What a video shows, or why that is not known."""

    path: str
    predictions: tuple[Prediction, ...] = ()
    """Best first."""
    windows: tuple[WindowResult, ...] = ()
    """The timeline, when one was asked for; `predictions` then are the mean over it."""
    seconds: float | None = None
    """Length of the video."""
    error: str | None = None
    """Why there is no prediction, or what else failed."""


def format_results(results: Sequence[VideoResult], style: str) -> str:
    """The results in one of FORMATS, without a newline at the end."""
    assert style in FORMATS, style
    if style == "json":
        return json.dumps([result_as_dict(result) for result in results], indent=2, ensure_ascii=False)
    if style == "csv":
        return _as_csv(results)
    return "\n".join(line for result in results for line in table_lines(result))


def best_only(result: VideoResult, count: int) -> VideoResult:
    """The result with the `count` best classes of the video and of each window."""
    windows = tuple(
        WindowResult(window.start, window.end, window.predictions[:count]) for window in result.windows
    )
    return dataclasses.replace(result, predictions=result.predictions[:count], windows=windows)


def result_as_dict(result: VideoResult) -> dict[str, Any]:
    """One result as plain types, scores rounded to six digits; absent parts are left out."""
    entry: dict[str, Any] = {"path": result.path}
    if result.error is not None:
        entry["error"] = result.error
    if result.seconds is not None:
        entry["seconds"] = round(result.seconds, 3)
    if result.predictions:
        entry["predictions"] = _plain(result.predictions)
    if result.windows:
        entry["windows"] = [
            {
                "start": round(window.start, 3),
                "end": round(window.end, 3),
                "predictions": _plain(window.predictions),
            }
            for window in result.windows
        ]
    return entry


def table_lines(result: VideoResult) -> list[str]:
    """Lines for people: the path, then a class a line, then a window a line."""
    if not result.predictions:
        return [f"{result.path}", f"  could not be read: {result.error}"]
    width = max((len(prediction.label) for prediction in result.predictions), default=0)
    lines = [result.path]
    lines += [
        f"  {item.label.ljust(width)}  {_bar(item.score)} {item.score:6.1%}" for item in result.predictions
    ]
    for window in result.windows:
        best = window.predictions[0]
        lines.append(
            f"  {clock(window.start)}-{clock(window.end)}  {best.label.ljust(width)}  {best.score:6.1%}"
        )
    return lines if result.error is None else [*lines, f"  {result.error}"]


def drawn_name(path: str) -> str:
    """The name of a video's file for pictures, which take no bytes that are no text: these are escaped."""
    return Path(path).name.encode("utf-8", "backslashreplace").decode("utf-8")


def clock(seconds: float) -> str:
    """`1:02.5` for 62.5 seconds."""
    tenths = round(seconds * 10)
    return f"{tenths // 600}:{tenths % 600 // 10:02d}.{tenths % 10}"


def _as_csv(results: Sequence[VideoResult]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("path", "start", "end", "rank", "label", "score", "error"))
    for result in results:
        if result.error is not None:
            writer.writerow((result.path, "", "", "", "", "", result.error))
        parts: list[tuple[str, str, tuple[Prediction, ...]]] = [("", "", result.predictions)]
        parts += [(f"{part.start:.3f}", f"{part.end:.3f}", part.predictions) for part in result.windows]
        for start, end, predictions in parts:
            for rank, item in enumerate(predictions, start=1):
                writer.writerow((result.path, start, end, rank, item.label, f"{item.score:.6f}", ""))
    return stream.getvalue().rstrip("\n")


def _plain(predictions: Sequence[Prediction]) -> list[dict[str, Any]]:
    return [{"label": item.label, "score": round(item.score, 6)} for item in predictions]


def _bar(share: float, width: int = 20) -> str:
    filled = round(share * width)
    return "█" * filled + "·" * (width - filled)
