"""runs/inference/drawing.py and plots.py: what is drawn can be looked at, and files are whole or absent."""

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from datasets.decoding import open_video
from datasets.decoding.reader import VideoReader, VideoReadError
from runs.inference.drawing import contact_sheet, label_frame, save_labelled_video, save_picture
from runs.inference.plots import save_curves, save_timeline, timeline_scores
from runs.inference.results import Prediction, VideoResult, WindowResult


class GreyVideo(VideoReader):
    """Frame i is grey of value i; optionally unreadable from some frame on."""

    def __init__(self, count: int, size: tuple[int, int], broken_from: int | None = None) -> None:
        self.path, self.backend, self.frame_count, self.fps = "grey", "memory", count, 10.0
        self._shape = size
        self._broken_from = broken_from

    def _decode(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        if self._broken_from is not None and indices.max() >= self._broken_from:
            raise VideoReadError(self.path, self.backend, "broken")
        return np.stack([np.full((*self._shape, 3), index, np.uint8) for index in indices])

    def close(self) -> None:
        pass


def test_a_label_changes_only_the_band_at_the_bottom() -> None:
    frame = np.full((120, 160, 3), 200, np.uint8)
    labelled = label_frame(frame, ["juggling 75 %"])
    changed = np.nonzero((labelled != frame).any(axis=(1, 2)))[0]
    assert labelled.shape == frame.shape and (frame == 200).all()
    assert changed.min() > 80 and changed.max() == 119
    assert labelled[changed.min() :].max() > 230  # the writing


def test_a_line_that_does_not_fit_ends_in_dots() -> None:
    frame = np.full((120, 160, 3), 200, np.uint8)
    long, other = (label_frame(frame, ["passing American football " * 4 + end]) for end in ("here", "there"))
    assert (long == other).all()
    assert long[:, -4:].max() <= 200  # with a margin


def test_a_sheet_shows_every_frame_in_reading_order() -> None:
    frames = np.stack([np.full((30, 40, 3), 40 * (index + 1), np.uint8) for index in range(5)])
    sheet = np.asarray(contact_sheet(frames, ["heading"], columns=3, tile_width=40))
    assert sheet.shape[1] == 120
    rows = sheet[-60:]
    seen = [int(rows[15 + 30 * (i // 3), 20 + 40 * (i % 3), 0]) for i in range(5)]
    assert seen == [40, 80, 120, 160, 200]


def test_the_drawn_video_has_every_frame_and_says_what_holds_then(tmp_path: Path) -> None:
    asked: list[float] = []

    def lines_at(seconds: float) -> Sequence[str]:
        asked.append(seconds)
        return ["first half" if seconds < 2 else "second half"]

    save_labelled_video(GreyVideo(40, (65, 81)), tmp_path / "out" / "drawn.mp4", lines_at)
    with av.open(str(tmp_path / "out" / "drawn.mp4")) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == 40 and frames[0].shape == (64, 80, 3)
    assert asked == pytest.approx([index / 10 for index in range(40)])
    assert [round(float(frames[index][:20].mean())) for index in (0, 39)] == pytest.approx([0, 39], abs=3)


@pytest.mark.parametrize("fps", [0.3, 12.5])
def test_a_labelled_video_lasts_as_long_as_the_video(tmp_path: Path, fps: float) -> None:
    video = GreyVideo(40, (64, 80))
    video.fps = fps
    save_labelled_video(video, tmp_path / "drawn.mp4", lambda _: ["x"])
    with open_video(tmp_path / "drawn.mp4") as drawn:
        assert drawn.timestamps == pytest.approx(video.timestamps, abs=1e-4)
        assert drawn.fps == pytest.approx(fps)


def test_a_video_that_breaks_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(VideoReadError):
        save_labelled_video(GreyVideo(80, (64, 64), broken_from=50), tmp_path / "drawn.mp4", lambda _: ["x"])
    assert list(tmp_path.iterdir()) == []


def test_the_timeline_shows_the_classes_that_lead(tmp_path: Path) -> None:
    scores = [(0.7, 0.2, 0.1), (0.6, 0.3, 0.1), (0.2, 0.7, 0.1)]
    windows = tuple(
        WindowResult(index, index + 1, tuple(map(Prediction, ("run", "jump", "sit"), row)))
        for index, row in enumerate(scores)
    )
    result = VideoResult("a.mp4", windows[0].predictions, windows)
    assert timeline_scores(result) == {"run": [0.7, 0.6, 0.2], "jump": [0.2, 0.3, 0.7]}
    save_timeline(result, tmp_path / "plots" / "timeline.png")
    assert Image.open(tmp_path / "plots" / "timeline.png").width > 800


def test_curves_and_pictures_are_written_whole(tmp_path: Path) -> None:
    labels = {"x_label": "weight", "y_label": "top-1", "title": "fusion"}
    save_curves([0, 0.5, 1], {"a": [1, 2, 3]}, tmp_path / "curves.png", **labels)
    save_picture(Image.new("RGB", (4, 4)), tmp_path / "picture.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.png", "picture.png"]
