"""The official Kinetics CSV files."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets.annotations import AnnotationError
from datasets.annotations.kinetics_csv import read_kinetics_csv, youtube_id
from tests.datasets.annotations.helpers import request_for, write

HEADER = "label,youtube_id,time_start,time_end,split,is_cc\n"


def test_rows_become_the_files_of_the_usual_downloaders(tmp_path: Path) -> None:
    rows = 'walk,-aNccq2jvUA,55,65,train,0\n"Run",0wR5jVB-WPk,7.0,17.0,train,0\n'
    records = read_kinetics_csv(request_for(write(tmp_path / "train.csv", HEADER + rows)))
    assert [record.path for record in records] == [
        "-aNccq2jvUA_000055_000065.mp4",
        "0wR5jVB-WPk_000007_000017.mp4",
    ]
    assert [record.labels for record in records] == [(1,), (0,)]
    assert records[0].name == "-aNccq2jvUA"
    assert records[0].start is None  # the file is the segment


def test_a_combined_file_gives_the_rows_of_its_split(tmp_path: Path) -> None:
    rows = "run,aaaaaaaaaaa,0,10,train,0\nwalk,bbbbbbbbbbb,0,10,validate,0\nsit,ccccccccccc,0,10,test,0\n"
    path = write(tmp_path / "all.csv", HEADER + rows)
    assert [r.name for r in read_kinetics_csv(request_for(path, split="val"))] == ["bbbbbbbbbbb"]
    only_test = write(tmp_path / "test.csv", HEADER + "sit,ccccccccccc,0,10,test,0\n")
    with pytest.raises(AnnotationError, match="no row of split 'train', but 1 of 'test'"):
        read_kinetics_csv(request_for(only_test))


def test_a_test_file_without_labels_gives_unlabelled_records(tmp_path: Path) -> None:
    path = write(tmp_path / "test.csv", "youtube_id,time_start,time_end,split\naaaaaaaaaaa,1,11,test\n")
    assert read_kinetics_csv(request_for(path, split="test"))[0].labels == ()


def test_unknown_labels_and_times_are_listed(tmp_path: Path) -> None:
    path = write(
        tmp_path / "train.csv", HEADER + "fly,aaaaaaaaaaa,0,10,train,0\nrun,bbbbbbbbbbb,x,10,train,0\n"
    )
    with pytest.raises(
        AnnotationError, match=r"(?s)line 2: label 'fly' is none of the 3.*line 3: times 'x', '10'"
    ):
        read_kinetics_csv(request_for(path))


def test_youtube_id_with_and_without_times() -> None:
    assert youtube_id("val/0wR5jVB-WPk_000417_000427.mp4") == "0wR5jVB-WPk"
    assert youtube_id("k400/0wR5jVB-WPk.mkv") == "0wR5jVB-WPk"
    assert youtube_id("_wR5jVB_WPk_000417_000427") == "_wR5jVB_WPk"
    assert youtube_id("abseiling_k400.mp4") is None


def test_youtube_ids_of_the_real_lists(shared: Path) -> None:
    for name in (
        "k400/vifi_val.txt",
        "k400/bike_kinetics_video_val_se320.txt",
        "k600/ZS_split1_K600_eval.txt",
    ):
        lines = (shared / "data/annotations" / name).read_text().split("\n")
        assert all(youtube_id(line.split()[0]) for line in lines if line)
