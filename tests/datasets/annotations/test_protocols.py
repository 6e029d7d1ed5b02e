"""Zero-shot, few-shot and base-to-novel protocols: exact counts on the real files, and their invariants."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from datasets.annotations import AnnotationError, load_split
from datasets.annotations.base_to_novel import (
    SHOTS,
    base_classes,
    base_to_novel,
    few_shot_splits,
    frequent_half,
    harmonic_mean,
)
from datasets.annotations.subsets import few_shot, keep_classes, published_classes, without_paths
from datasets.annotations.zero_shot_splits import ZeroShotProtocol, half_of_classes, zero_shot_protocol
from datasets.labels import class_names, class_subset
from datasets.records import AnnotatedSplit, VideoRecord
from tests.datasets.annotations.helpers import write


def _split(labels: str) -> AnnotatedSplit:
    """One record per digit of `labels`."""
    records = tuple(VideoRecord(f"{place}.mp4", (int(label),)) for place, label in enumerate(labels))
    return AnnotatedSplit("list", "train", records, (("run", "walk", "sit"),), "list.txt")


def _paths(split: AnnotatedSplit) -> list[str]:
    return [record.path for record in split.records]


def test_kept_classes_are_renumbered_in_the_order_asked_for() -> None:
    kept = keep_classes(_split("01201"), (2, 0))
    assert kept.class_names == (("sit", "run"),)
    assert [(record.path, record.labels) for record in kept.records] == [
        ("0.mp4", (1,)),
        ("2.mp4", (0,)),
        ("3.mp4", (1,)),
    ]
    with pytest.raises(AnnotationError, match=r"no class \[3\] among 0…2"):
        keep_classes(_split("012"), (0, 3))


def test_published_classes_are_found_by_name_whatever_their_order() -> None:
    shipped = class_names("hmdb51")
    turned = tuple(name.upper().replace("_", " ") for name in reversed(shipped))
    split = AnnotatedSplit("hmdb51", "train", (), (turned,), "list.txt")
    base = published_classes(split, "base")
    assert base == base_classes(split) == tuple(sorted(base))
    assert {50 - index for index in base} == set(class_subset("hmdb51", "base"))
    first = shipped[class_subset("hmdb51", "base")[0]]
    others = (*(name for name in shipped if name != first), "juggling")
    with pytest.raises(AnnotationError, match=f"1 of its 26 classes .*{first}.*DATA.CLASS_NAMES"):
        published_classes(replace(split, class_names=(others,)), "base")


def test_few_shots_are_balanced_reproducible_and_nested() -> None:
    split = _split("0120120120120120" * 4)
    drawn = {shots: few_shot(split, shots, seed=1) for shots in (2, 4, 8)}
    for shots, few in drawn.items():
        assert Counter(record.labels for record in few.records) == {(index,): shots for index in range(3)}
        assert _paths(few) == sorted(_paths(few), key=_paths(split).index)
    assert set(_paths(drawn[2])) < set(_paths(drawn[4])) < set(_paths(drawn[8]))
    assert _paths(few_shot(split, 4, seed=1)) == _paths(drawn[4]) != _paths(few_shot(split, 4, seed=2))
    with pytest.raises(AnnotationError, match=r"1 classes have fewer than 2 videos: sit \(1\)"):
        few_shot(_split("00112"), 2, seed=0)


def test_a_missing_video_makes_way_for_the_next_of_its_class_alone() -> None:
    split = _split("0120120120120120" * 4)
    whole = _paths(few_shot(split, 4, seed=1))
    with_one_gone = _paths(few_shot(replace(split, missing=(whole[0],)), 4, seed=1))
    assert len(with_one_gone) == len(whole) and set(whole) - set(with_one_gone) == {whole[0]}
    undrawn = next(path for path in _paths(split) if path not in whole)
    assert _paths(few_shot(replace(split, missing=(undrawn,)), 4, seed=1)) == whole


def test_the_more_frequent_half_is_the_base_and_ties_go_to_the_higher_index() -> None:
    assert frequent_half(_split("0011222")) == (1, 2)
    assert base_classes(_split("0001122")) == (0, 2)


def test_harmonic_mean() -> None:
    assert harmonic_mean(80.0, 40.0) == pytest.approx(53.3333333)
    assert harmonic_mean(0.0, 0.0) == 0.0
    with pytest.raises(AnnotationError):
        harmonic_mean(-1.0, 5.0)


def test_left_out_videos_are_counted() -> None:
    split = without_paths(_split("012"), {"1.mp4", "unknown.mp4"}, "unreadable")
    assert _paths(split) == ["0.mp4", "2.mp4"]
    assert split.notes == ("1 of 3 videos left out: unreadable",)
    assert without_paths(split, {"unknown.mp4"}, "unreadable") is split


def test_half_of_the_classes_is_drawn_by_its_seed() -> None:
    split = AnnotatedSplit("list", "val", (), (tuple(map(str, range(51))),))
    halves = [half_of_classes(split, seed).class_names[0] for seed in range(10)]
    assert {len(half) for half in halves} == {25}
    assert len(set(halves)) == 10
    assert halves[3] == half_of_classes(split, 3).class_names[0]
    assert list(halves[0]) == sorted(halves[0], key=int)


def test_unknown_protocols_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="no protocol '4-splits'.*3-splits, full, half-classes"):
        zero_shot_protocol("hmdb51", "4-splits", anno_dir=str(tmp_path))
    with pytest.raises(AnnotationError, match="k400 has no three official splits"):
        zero_shot_protocol("k400", anno_dir=str(tmp_path))
    with pytest.raises(AnnotationError, match="no list 'best'.*eval, exist, test, val"):
        zero_shot_protocol("k600", anno_dir=str(tmp_path), video_list="best")
    with pytest.raises(AnnotationError, match=r"0 files fit ZS_split1_K600_eval\.txt"):
        zero_shot_protocol("k600", anno_dir=str(tmp_path), video_list="eval")


def test_kinetics_600_out_of_an_official_list(tmp_path: Path) -> None:
    header = "label,youtube_id,time_start,time_end,split\n"
    rows = [f'"{name}",{place:011d},0,10,test\n' for place, name in enumerate(class_names("k600"))]
    write(tmp_path / "test.csv", header + "".join(rows))
    protocol = zero_shot_protocol("k600", anno_dir=str(tmp_path))
    assert protocol.counts == (160, 160, 160)
    assert protocol.title == "Kinetics-600, 3-splits, official test list: 160 videos, 160 classes"
    first = protocol.runs[0]
    assert [first.class_names[0][record.labels[0]] for record in first.records] == [
        class_names("k600")[index] for index in class_subset("k600", "zero-shot-1")
    ]


@pytest.mark.parametrize(
    ("dataset", "protocol", "video_list", "counts"),
    [
        ("hmdb51", "3-splits", "", (1530, 1530, 1530)),
        ("ucf101", "3-splits", "", (3783, 3734, 3696)),
        ("k600", "3-splits", "", (14084, 13978, 14136)),
        ("k600", "3-splits", "eval", (14084, 13978, 14136)),
        ("k600", "3-splits", "exist", (14119, 14067, 14161)),
        ("hmdb51", "full", "", (6766,)),
        ("ucf101", "full", "", (13320,)),
    ],
)
def test_real_counts(
    shared: Path, dataset: str, protocol: str, video_list: str, counts: tuple[int, ...]
) -> None:
    folder = str(shared / "data/annotations" / dataset)
    loaded = zero_shot_protocol(dataset, protocol, anno_dir=folder, video_list=video_list)
    assert loaded.counts == counts
    assert str(counts[0]) in loaded.title
    candidates = {"hmdb51": 51, "ucf101": 101, "k600": 160}[dataset]
    assert all(run.num_classes == (candidates,) for run in loaded.runs)
    assert all({record.labels[0] for record in run.records} == set(range(candidates)) for run in loaded.runs)


def test_real_kinetics_600_lists_name_classes_by_the_shipped_subset(shared: Path) -> None:
    folder = shared / "data/annotations/k600"
    (first, *_) = zero_shot_protocol("k600", anno_dir=str(folder)).runs
    named = load_split(
        "k600",
        "test",
        anno_dir=folder,
        list_file="ZS_split1_K600_eval.txt",
        class_names_file="ZS_split1_K600.csv",
    )
    assert (first.records, first.class_names) == (named.records, named.class_names)


@pytest.mark.parametrize(("dataset", "half"), [("hmdb51", 25), ("ucf101", 50)])
def test_real_half_classes(shared: Path, dataset: str, half: int) -> None:
    protocol = zero_shot_protocol(
        dataset, "half-classes", anno_dir=str(shared / "data/annotations" / dataset)
    )
    assert [run.num_classes for run in protocol.runs] == [(half,)] * 10
    assert "10 draws from seed 0" in protocol.title


@pytest.mark.parametrize(("dataset", "classes", "test_count"), [("hmdb51", 51, 1530), ("ucf101", 101, 3783)])
def test_real_few_shots(shared: Path, dataset: str, classes: int, test_count: int) -> None:
    folder = str(shared / "data/annotations" / dataset)
    for shots in SHOTS:
        train, test = few_shot_splits(dataset, shots, 0, anno_dir=folder)
        assert (len(train), len(test)) == (shots * classes, test_count)
    published, _ = few_shot_splits(dataset, 16, 0, anno_dir=folder, train_list="vifi_train1_few_shot_16.txt")
    assert len(published) == 16 * classes


@pytest.mark.parametrize(
    ("dataset", "sizes", "base_test", "novel_test"),
    [("hmdb51", (26, 25), 780, 750), ("ucf101", (51, 50), 2088, 1695)],
)
def test_real_base_to_novel(
    shared: Path, dataset: str, sizes: tuple[int, int], base_test: int, novel_test: int
) -> None:
    folder = str(shared / "data/annotations" / dataset)
    halves = base_to_novel(dataset, 0, anno_dir=folder)
    assert (halves.base.num_classes, halves.novel.num_classes) == ((sizes[0],), (sizes[1],))
    assert len(halves.train) == 16 * sizes[0]
    assert (len(halves.base), len(halves.novel)) == (base_test, novel_test)
    assert halves.train.class_names == halves.base.class_names
    assert not set(halves.base.class_names[0]) & set(halves.novel.class_names[0])


@pytest.mark.parametrize("dataset", ["hmdb51", "ucf101"])
def test_the_rule_gives_the_published_base_classes(shared: Path, dataset: str) -> None:
    train = load_split(dataset, "train", anno_dir=shared / "data/annotations" / dataset)
    assert frequent_half(train) == class_subset(dataset, "base")


@pytest.mark.parametrize("dataset", ["k710", "k400+k600", "mine"])
def test_data_sets_outside_the_table_have_a_title(dataset: str) -> None:
    split = replace(_split("01201"), dataset=dataset)
    title = ZeroShotProtocol(dataset, "full", "its val list", (split,)).title
    assert title == f"{dataset}, full, its val list: 5 videos, 3 classes"
