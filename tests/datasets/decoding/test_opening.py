"""From a path to a reader, and what is said when there is none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.decoding import DECODERS, VideoReadError, available_decoders, open_video
from datasets.decoding import opening as opening_module
from datasets.decoding.opening import choose_decoder
from tests.datasets.decoding.numbered import numbered_frame, numbers_in, write_numbered_video


def write_frames(folder: Path, names: list[str]) -> None:
    folder.mkdir()
    for number, name in enumerate(names):
        Image.fromarray(numbered_frame(number)).save(folder / name)


def test_a_folder_of_frames_is_a_video(tmp_path: Path) -> None:
    write_frames(tmp_path / "7", ["img_8.png", "img_9.png", "img_10.png", "img_11.png"])
    (tmp_path / "7" / "labels.txt").touch()
    with open_video(tmp_path / "7", "decord") as reader:
        assert (reader.frame_count, reader.fps) == (4, 30.0)
        assert numbers_in(reader.get_frames([3, 0, 2])) == [3, 0, 2]
    (tmp_path / "7" / "fps.txt").write_text("12\n")
    with open_video(tmp_path / "7") as reader:
        assert reader.fps == 12.0
        assert reader.frame_range(0.1, 0.2) == (1, 3)


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["1.png", "2.png", "4.png"], "frame 3 is missing"),
        (["1.png", "a_1.png"], "same number"),
        (["cover.png"], "no numbered image"),
    ],
)
def test_an_incomplete_folder_is_refused(names: list[str], problem: str, tmp_path: Path) -> None:
    write_frames(tmp_path / "7", names)
    with pytest.raises(VideoReadError, match=problem):
        open_video(tmp_path / "7")


def test_frames_that_are_no_images_are_refused(tmp_path: Path) -> None:
    write_frames(tmp_path / "7", ["1.png", "2.png"])
    (tmp_path / "7" / "2.png").write_bytes(b"nothing")
    Image.fromarray(np.zeros((5, 5, 3), np.uint8)).save(tmp_path / "7" / "3.png")
    with open_video(tmp_path / "7") as reader:
        with pytest.raises(VideoReadError, match=r"2\.png"):
            reader.get_frames([0, 1])
        with pytest.raises(VideoReadError, match="differ in size"):
            reader.get_frames([0, 2])


def test_errors_of_the_path(tmp_path: Path) -> None:
    with pytest.raises(VideoReadError, match="no such file"):
        open_video(tmp_path / "missing.mp4")
    write_numbered_video(tmp_path / "a.mp4", 2)
    with pytest.raises(VideoReadError, match="not a folder of frames"):
        open_video(tmp_path / "a.mp4", "frames")


def test_a_decoder_that_is_unknown_or_missing_is_an_error_of_the_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ValueError, match=r"'opencv'.*DATA\.DECODER must be one of auto, pyav"):
        choose_decoder("opencv")
    monkeypatch.setattr(opening_module, "reason_against", lambda name: "ImportError: no libavutil")
    with pytest.raises(ValueError, match=r"DATA\.DECODER torchcodec does not work.*no libavutil"):
        choose_decoder("torchcodec")


def test_auto_takes_the_reader_that_reads_everything() -> None:
    assert choose_decoder("auto") == "pyav"
    assert available_decoders()["pyav"] is None
    assert set(available_decoders()) == set(DECODERS)


def test_a_missing_library_is_found_out_by_importing_it() -> None:
    code = (
        "import sys; sys.modules['torchcodec'] = None\n"
        "from datasets.decoding import available_decoders\n"
        "reason = available_decoders()['torchcodec']\n"
        "assert reason and 'ImportError' in reason or 'ModuleNotFound' in reason, reason\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])


def test_importing_the_package_brings_neither_torch_nor_a_decoder() -> None:
    code = (
        "import sys, datasets.decoding, datasets.decoding.pyav, datasets.decoding.decord\n"
        "heavy = {'torch', 'av', 'decord', 'torchcodec', 'PIL'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])
