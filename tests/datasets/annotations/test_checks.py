"""Labels, names and splits that do not belong together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from datasets.annotations import AnnotationError, check_disjoint, check_same_classes, load_split
from datasets.annotations.checks import check_path_classes
from datasets.records import AnnotatedSplit, VideoRecord

NAMES = ("kick", "kick_ball", "sit")


def test_labels_that_disagree_with_the_folder(tmp_path: Path) -> None:
    records = [
        VideoRecord("v/kick/a.mp4", (1,)),
        VideoRecord("v/Kick Ball/b.mp4", (1,)),
        VideoRecord("c.mp4", (2,)),
    ]
    with pytest.raises(
        AnnotationError, match=r"1 entry is wrong\n  v/kick/a\.mp4 has label 1 \(kick_ball\), its path"
    ):
        check_path_classes("list", records, NAMES)


def test_a_folder_that_happens_to_be_a_class_does_not_count() -> None:
    records = [VideoRecord(f"v/{name}.mp4", (0,)) for name in "abc"] + [VideoRecord("sit/d.mp4", (0,))]
    check_path_classes("list", records, NAMES)


def test_labels_that_disagree_with_the_file_names_of_hmdb51_and_ucf101() -> None:
    flat = [VideoRecord("The_Matrix_kick_ball_f_cm_np1_ba_med_5.avi", (0,))]
    with pytest.raises(AnnotationError, match="its path says kick_ball"):
        check_path_classes("list", flat, NAMES)
    check_path_classes("list", [VideoRecord("How_to_sit_kick_u_nm_np2_le_goo_0.avi", (0,))], NAMES)
    with pytest.raises(AnnotationError, match="its path says YoYo"):
        check_path_classes("list", [VideoRecord("v_YoYo_g01_c01.avi", (0,))], ("Skiing", "YoYo"))


def test_folders_of_classes_with_names_that_are_alike() -> None:
    names = ("C", "C++")
    check_path_classes("list", [VideoRecord("C/a.mp4", (0,)), VideoRecord("C++/b.mp4", (1,))], names)
    check_path_classes("list", [VideoRecord("c/a.mp4", (0,)), VideoRecord("c/b.mp4", (1,))], names)
    with pytest.raises(AnnotationError, match=r"its path says C\+\+"):
        check_path_classes("list", [VideoRecord("C++/b.mp4", (0,))], names)


def test_real_list_with_the_label_file_in_circulation_is_refused(shared: Path) -> None:
    folder = shared / "data/annotations/hmdb51"
    with pytest.raises(
        AnnotationError, match=r"(?s)120 entries are wrong.*kick/.*has label 20 \(kick ball\)"
    ):
        load_split(
            "hmdb51",
            "val",
            anno_dir=folder,
            list_file="bike_val_rgb_split_1.txt",
            class_names_file="hmdb_51_labels.csv",
        )


def _split(name: str, names: tuple[str, ...], *paths: str) -> AnnotatedSplit:
    return AnnotatedSplit(
        "csv", name, tuple(VideoRecord(path, (0,)) for path in paths), (names,), f"{name}.csv"
    )


def test_splits_must_number_the_same_classes() -> None:
    train = _split("train", ("run", "sit"), "a")
    check_same_classes(train, _split("val", ("Run", "sit"), "b"))
    alike = _split("train", ("C", "C++"), "a")
    check_same_classes(alike, _split("val", ("C", "C++"), "b"))
    with pytest.raises(AnnotationError, match=r"class 0 is 'C' in train and 'C\+\+' in val"):
        check_same_classes(alike, _split("val", ("C++", "C"), "b"))
    with pytest.raises(AnnotationError, match="class 0 is 'run' in train and 'sit' in val"):
        check_same_classes(train, _split("val", ("sit", "run"), "b"))
    with pytest.raises(AnnotationError, match=r"csv train has \[2\] classes, csv val has \[3\]"):
        check_same_classes(train, _split("val", ("run", "sit", "fly"), "b"))


def test_trained_videos_must_not_be_tested() -> None:
    train, test = _split("train", ("run",), "a", "b"), _split("test", ("run",), "b", "c")
    with pytest.raises(AnnotationError, match=r"(?s)1 entry is wrong\n  b is in both train and test"):
        check_disjoint(train, test)
    segment = VideoRecord("b", (0,), start=1.0, end=2.0)
    check_disjoint(train, replace(test, records=(segment,)))
