"""What a run says of its lists: equal class names, repeated rows, tested videos that are trained on."""

from __future__ import annotations

import pytest

from datasets.records import AnnotatedSplit, VideoRecord
from runs.list_warnings import warn_of_lists

NAMES = ("close", "open", "turn")


def split(use: str, *rows: tuple[str, int], names: tuple[str, ...] = NAMES) -> AnnotatedSplit:
    records = [VideoRecord(path, (label,)) for path, label in rows]
    return AnnotatedSplit("csv", use, records, (names,))


def test_sound_lists_need_no_words(caplog: pytest.LogCaptureFixture) -> None:
    # rows of training videos may be repeated on purpose
    train = split("train", ("a.mp4", 0), ("a.mp4", 0), ("b.mp4", 1))
    warn_of_lists({"train": train, "test": split("val", ("c.mp4", 0))})
    warn_of_lists({"test": AnnotatedSplit("csv", "test", [VideoRecord("a.mp4", captions=("a",))] * 2)})
    assert not caplog.text


def test_classes_of_the_same_words(caplog: pytest.LogCaptureFixture) -> None:
    names = ("Open door", "close", "open_door", "turn", "Turn")
    warn_of_lists({"train": split("train", ("a.mp4", 0), names=names)})
    assert "of the same words: 0 'Open door' and 2 'open_door'; 3 'turn' and 4 'Turn'. If" in caplog.text


def test_rows_that_repeat_a_video(caplog: pytest.LogCaptureFixture) -> None:
    train = split("train", ("a.mp4", 0), ("a.mp4", 1))
    warn_of_lists({"train": train, "test": split("val", ("c.mp4", 0), ("d.mp4", 0), ("c.mp4", 0))})
    first, second = caplog.messages
    assert first.startswith("1 of 3 rows of the test list") and "(c.mp4, …), 0 of them with" in first
    assert first.endswith("each row counts")
    assert second.startswith("1 of 2 rows of the train list") and "1 of them with another label" in second


def test_tested_videos_that_are_trained_on(caplog: pytest.LogCaptureFixture) -> None:
    train = split("train", ("a.mp4", 0), ("b.mp4", 1))
    warn_of_lists({"train": train, "validation": split("val", ("a.mp4", 0), ("c.mp4", 0))})
    assert "1 of 2 validation videos are trained on, too (a.mp4, …)" in caplog.text
