"""Videos that the tests of runs share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Pairs = Callable[..., dict[str, str]]


@pytest.fixture(scope="session")
def tiny_videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 27 tiny videos in three classes, with train.csv and val.csv."""
    from tests.runs.tiny_runs import warm_up, write_videos

    folder = tmp_path_factory.mktemp("videos")
    warm_up()
    write_videos(folder)
    return folder


@pytest.fixture
def pairs_of(tiny_videos: Path, tmp_path: Path) -> Pairs:
    """The configuration of a tiny run into a folder of that name, with changed keys."""
    from tests.runs.tiny_runs import tiny_pairs

    def pairs(name: str = "run", **changes: str) -> dict[str, str]:
        named = {key.replace("__", "."): value for key, value in changes.items()}
        return tiny_pairs(tiny_videos, tmp_path / name) | named

    return pairs
