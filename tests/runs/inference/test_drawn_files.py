"""runs/inference/drawn_files.py: every video has drawings of its own."""

from pathlib import Path

import pytest

from runs.inference.drawn_files import check_drawings, drawing_names
from runs.inference.inputs import InputError


def test_every_video_has_a_name_of_its_own() -> None:
    assert drawing_names(["a/x.mp4", "b/y.mp4"]) == ["x", "y"]
    assert drawing_names(["a/x.mp4", "b/x.mp4"]) == ["x~1", "x~2"]
    assert drawing_names(["a/x.mp4", "b/x.mp4", "c/x~1.mp4"]) == ["x~2", "x~3", "x~1"]
    assert drawing_names(["x~1.mp4", "b/x~1.mp4", "a/x.mp4"]) == ["x~1~1", "x~1~2", "x"]


def test_a_plot_and_a_sheet_of_one_name_are_refused(tmp_path: Path) -> None:
    videos = ["x.mp4", "x_timeline.mp4"]
    check_drawings(tmp_path, videos, "video", timeline=True)
    with pytest.raises(InputError, match=r"two drawings would be called .*x_timeline\.png"):
        check_drawings(tmp_path, videos, "sheet", timeline=True)
