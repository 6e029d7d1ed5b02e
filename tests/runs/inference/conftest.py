"""A tiny released model and videos, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.runs.inference.tiny import write_noise, write_release


@pytest.fixture(scope="session")
def released_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint in the released layout."""
    path = tmp_path_factory.mktemp("model") / "dist_tiny.pyth"
    write_release(path)
    return path


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two videos, a file that is none, and a text file."""
    folder = tmp_path_factory.mktemp("videos")
    write_noise(folder / "one.mp4", frames=20, seed=1)
    write_noise(folder / "two.mp4", frames=45, seed=2)
    (folder / "broken.mp4").write_bytes(b"this is no video")
    (folder / "notes.txt").write_text("one.mp4\n")
    return folder
