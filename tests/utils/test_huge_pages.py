"""The allocator's setting: made for a run, and left alone where somebody has made it."""

from __future__ import annotations

import os

import pytest

from utils.huge_pages import SETTING, prefer_huge_pages


@pytest.mark.parametrize(("before", "after"), [(None, "1"), ("0", "0")])
def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch, before: str | None, after: str) -> None:
    monkeypatch.delenv(SETTING, raising=False)
    if before is not None:
        monkeypatch.setenv(SETTING, before)
    prefer_huge_pages()
    assert os.environ.pop(SETTING) == after
