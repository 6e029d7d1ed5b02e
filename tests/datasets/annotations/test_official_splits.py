"""UCF101 and HMDB51 as they are distributed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from datasets.annotations import AnnotationError, check_disjoint, load_split
from datasets.annotations.hmdb51 import read_hmdb51
from datasets.annotations.kinetics_csv import read_kinetics_csv
from datasets.annotations.sniff import Reader
from datasets.annotations.something_something import read_something_something
from datasets.annotations.ucf101 import read_ucf101
from tests.datasets.annotations.helpers import request_for, write

UCF_NAMES = ("HandstandPushups", "YoYo")


def test_ucf101_class_is_the_folder_not_the_file_name(tmp_path: Path) -> None:
    train = write(
        tmp_path / "trainlist01.txt",
        "YoYo/v_YoYo_g08_c01.avi 2\r\nHandstandPushups/v_HandStandPushups_g1.avi 1\r\n",
    )
    test = write(tmp_path / "testlist01.txt", "HandstandPushups/v_HandStandPushups_g01_c01.avi\r\n")
    records = read_ucf101(request_for(train, test, names=UCF_NAMES))
    assert [record.labels for record in records] == [(1,), (0,), (0,)]
    assert records[2].path == "HandstandPushups/v_HandStandPushups_g01_c01.avi"


def test_ucf101_class_numbers_that_disagree_are_listed(tmp_path: Path) -> None:
    path = write(tmp_path / "trainlist01.txt", "YoYo/v_YoYo_g08_c01.avi 1\nFly/v_Fly_g1.avi 3\n")
    with pytest.raises(
        AnnotationError, match=r"(?s)line 1: .* has class 1 where YoYo is number 2.*line 2: the folder of"
    ):
        read_ucf101(request_for(path, names=UCF_NAMES))


def test_hmdb51_flags_and_odd_names(tmp_path: Path) -> None:
    odd = "(HQ)_Rock!_&_[x]_+_climb_f_cm_np1_le_med_2.avi"
    climb = write(tmp_path / "climb_test_split1.txt", f"{odd} 1 \nb.avi 0 \nc.avi 2 \n")
    stairs = write(tmp_path / "climb_stairs_test_split1.txt", "d.avi 1 \n")
    names = ("climb", "climb_stairs")
    train = read_hmdb51(request_for(stairs, climb, names=names))
    assert [(r.path, r.labels) for r in train] == [(f"climb/{odd}", (0,)), ("climb_stairs/d.avi", (1,))]
    assert [r.name for r in read_hmdb51(request_for(stairs, climb, names=names, split="test"))] == ["c.avi"]
    assert len(read_hmdb51(request_for(stairs, climb, names=names, split="all"))) == 4


def test_hmdb51_missing_class_and_malformed_line(tmp_path: Path) -> None:
    climb = write(tmp_path / "climb_test_split1.txt", "a.avi 1\nb.avi 3\n")
    with pytest.raises(AnnotationError, match=r"line 2: 'b\.avi 3'"):
        read_hmdb51(request_for(climb, names=("climb",)))
    write(tmp_path / "climb_test_split1.txt", "a.avi 1\n")
    with pytest.raises(AnnotationError, match="no split file for 1 classes: sit"):
        read_hmdb51(request_for(climb, names=("climb", "sit")))


@pytest.mark.parametrize(("fold", "train", "test"), [(1, 9537, 3783), (2, 9586, 3734), (3, 9624, 3696)])
def test_real_ucf101(shared: Path, fold: int, train: int, test: int) -> None:
    folder = shared / "data/annotations/ucf101"
    splits = [load_split("ucf101", split, anno_dir=folder, fold=fold) for split in ("train", "test")]
    assert [len(split) for split in splits] == [train, test]
    assert all(len({record.labels for record in split.records}) == 101 for split in splits)
    check_disjoint(*splits)
    circulating = load_split("ucf101", "val", anno_dir=folder, list_file=f"bike_val_rgb_split_{fold}.txt")
    assert {r.path: r.labels for r in circulating.records} == {r.path: r.labels for r in splits[1].records}


@pytest.mark.parametrize("fold", [1, 2, 3])
def test_real_hmdb51(shared: Path, fold: int) -> None:
    folder = shared / "data/annotations/hmdb51"
    train, test = (load_split("hmdb51", split, anno_dir=folder, fold=fold) for split in ("train", "val"))
    assert Counter(record.labels for record in train.records) == {(index,): 70 for index in range(51)}
    assert Counter(record.labels for record in test.records) == {(index,): 30 for index in range(51)}
    check_disjoint(train, test)
    flat = load_split("hmdb51", "val", anno_dir=folder, list_file=f"vifi_val{fold}.txt")
    assert {r.path: r.labels for r in flat.records} == {r.name: r.labels for r in test.records}


def test_real_clips_are_found_by_the_official_lists(shared: Path) -> None:
    for dataset, count in (("hmdb51", 7), ("ucf101", 5)):
        root = shared / "data/videos/actions" / dataset
        split = load_split(dataset, "all", anno_dir=shared / "data/annotations" / dataset, data_root=root)
        assert sum((root / record.path).is_file() for record in split.records) == count
        assert f"{len(split) - count} of {len(split)} videos are missing" in split.notes[-1]


@pytest.mark.parametrize(
    ("read", "name", "text"),
    [
        (read_hmdb51, "RUN_test_split1.txt", "a.avi 1\n"),
        (read_ucf101, "trainlist01.txt", "RUN/v_Run_g01_c01.avi 1\n"),
        (read_kinetics_csv, "a.csv", "label,youtube_id,time_start,time_end\nRUN,aaaaaaaaaaa,0,10\n"),
        (read_something_something, "a.json", '[{"id": "1", "template": "[RUN]"}]'),
    ],
)
def test_a_class_that_may_be_two_is_refused(tmp_path: Path, read: Reader, name: str, text: str) -> None:
    with pytest.raises(AnnotationError, match=r"'RUN' may mean 'Run' \(class 0\) or 'run' \(class 1\)"):
        read(request_for(write(tmp_path / name, text), names=("Run", "run")))
