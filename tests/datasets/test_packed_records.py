"""Packed records are the records."""

from __future__ import annotations

import pickle

import pytest

from datasets.packed_records import PackedRecords
from datasets.records import VideoRecord

RECORDS = [
    VideoRecord("a/ü (1).mp4", (3,)),
    VideoRecord("b.webm", (4, 250), start=1.5, end=7.25, name="P01_03_7"),
    VideoRecord("c.mp4", captions=("a dog runs", "ein Hund läuft")),
]


def test_every_record_comes_back() -> None:
    packed = PackedRecords(RECORDS)
    assert list(packed) == RECORDS
    assert packed[-1] == RECORDS[-1]
    assert packed[1:] == RECORDS[1:]
    assert list(pickle.loads(pickle.dumps(packed))) == RECORDS
    with pytest.raises(IndexError):
        packed[3]


def test_a_record_takes_little_more_than_its_path() -> None:
    records = [VideoRecord(f"class_{i % 400:03d}/video_{i:08d}.mp4", (i % 400,)) for i in range(20_000)]
    size = len(pickle.dumps(PackedRecords(records), protocol=5))
    assert size / len(records) < 120  # bytes
