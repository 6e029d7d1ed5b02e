"""Predictions for files: one video in, one result out, and what is drawn of it.

A file that cannot be read gives a result that says so; anything else that goes wrong is a defect and is
raised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import Tensor

from datasets.decoding import VideoReader, VideoReadError
from runs.api import classify
from runs.inference.classifier import VideoClassifier
from runs.inference.clips import READ_FAILURES, ClipSettings, duration
from runs.inference.drawing import contact_sheet, save_labelled_video, save_picture
from runs.inference.drawn_files import MARK, drawn_files
from runs.inference.plots import save_timeline
from runs.inference.results import Prediction, VideoResult, WindowResult, clock, drawn_name

_LINES_DRAWN = 3
_SHEET_FRAMES = 12


@dataclass(frozen=True)
class Question:
    """What is asked of every video."""

    classes: Sequence[str] | None = None
    """Words of one's own; None: the model's classes."""
    templates: Sequence[str] | None = None
    fusion: float | None = None
    window: float | None = None
    """Seconds: a timeline of windows instead of one answer."""
    stride: float | None = None


def predict_video(model: VideoClassifier, clips: ClipSettings, path: str, question: Question) -> VideoResult:
    """The scores of all classes for one video, and for each of its windows when there are any."""
    try:
        with clips.open(path) as reader:
            if question.window is not None:
                return _timeline(model, clips, reader, path, question)
            predictions = _scores(model, clips.read(reader), question)
            return VideoResult(path, tuple(predictions), seconds=duration(reader))
    except READ_FAILURES as error:
        return VideoResult(path, error=reason_of(error))


def save_drawing(
    clips: ClipSettings, result: VideoResult, folder: Path, name: str, style: str
) -> VideoResult:
    """Draws a result: `video` labels every frame, `sheet` shows frames in one picture; a timeline gets a
    plot.

    Returns the result, which now says why where the video could not be read to its end.
    """
    *plots, path = drawn_files(folder, name, style, timeline=bool(result.windows))
    for plot in plots:
        save_timeline(result, plot)
    try:
        with clips.open(result.path) as reader:
            if style == "video":
                save_labelled_video(reader, path, lambda seconds: lines_at(result, seconds))
            else:
                indices = np.linspace(0, reader.frame_count - 1, _SHEET_FRAMES).round().astype(np.int64)
                heading = [drawn_name(result.path), *_lines(result.predictions)]
                save_picture(contact_sheet(reader.get_frames(indices), heading), path, MARK)
    except VideoReadError as error:
        return replace(result, error=f"predicted, but not drawn: {reason_of(error)}")
    return result


def lines_at(result: VideoResult, seconds: float) -> list[str]:
    """What to write on the frame at `seconds`: its window's best classes, or the video's."""
    for window in reversed(result.windows):
        if window.start <= seconds + 1e-6:
            return [f"{clock(window.start)} - {clock(window.end)}", *_lines(window.predictions)]
    return _lines(result.predictions)


def reason_of(error: Exception) -> str:
    """A read failure in one line."""
    text = error.cause if isinstance(error, VideoReadError) else str(error)
    return " ".join(text.split())


def _timeline(
    model: VideoClassifier, clips: ClipSettings, reader: VideoReader, path: str, question: Question
) -> VideoResult:
    assert question.window is not None
    windows = [
        WindowResult(part.start, part.end, tuple(_scores(model, clip, question)))
        for part, clip in clips.read_windows(reader, question.window, question.stride)
    ]
    totals: dict[str, float] = {}
    for window in windows:
        for item in window.predictions:
            totals[item.label] = totals.get(item.label, 0.0) + item.score / len(windows)
    mean = tuple(
        Prediction(label, totals[label]) for label in sorted(totals, key=lambda label: -totals[label])
    )
    return VideoResult(path, mean, tuple(windows), duration(reader))


def _scores(model: VideoClassifier, clip: Tensor, question: Question) -> list[Prediction]:
    return classify(
        model, clip, question.classes, top=None, templates=question.templates, fusion=question.fusion
    )


def _lines(predictions: Sequence[Prediction]) -> list[str]:
    return [f"{item.score:6.1%}  {item.label}" for item in predictions[:_LINES_DRAWN]]
