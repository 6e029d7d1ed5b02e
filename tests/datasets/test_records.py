"""Records and splits."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError

import pytest

from datasets.records import AnnotatedSplit, VideoRecord


def test_a_record_is_called_by_its_path_unless_it_has_a_name() -> None:
    assert VideoRecord("a/b.mp4").name == "a/b.mp4"
    assert VideoRecord("a/b.mp4", name="b").name == "b"


def test_records_cannot_change_have_no_dict_and_travel_to_workers() -> None:
    record = VideoRecord("a.mp4", (1,), start=0.5)
    with pytest.raises(FrozenInstanceError):
        record.path = "b.mp4"  # type: ignore[misc]
    assert not hasattr(record, "__dict__")
    assert pickle.loads(pickle.dumps(record)) == record


def test_a_split_counts_records_and_classes() -> None:
    split = AnnotatedSplit("epic100", "val", (VideoRecord("a"),), (("take", "put"), ("tap", "pan", "lid")))
    assert len(split) == 1
    assert split.num_classes == (2, 3)
