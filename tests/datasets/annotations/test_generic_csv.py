"""The project's own CSV format."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets.annotations import AnnotationError, load_split
from datasets.annotations.generic_csv import read_generic_csv
from datasets.annotations.timestamps import parse_seconds, parse_segment
from tests.datasets.annotations.helpers import request_for, write


def test_quoted_fields_may_hold_commas_and_doubled_quotes(tmp_path: Path) -> None:
    text = '\ufeffpath,caption\r\n"a, b.mp4","say ""run"", twice"\r\nc.mp4,5" screen\r\n'
    first, second = read_generic_csv(request_for(write(tmp_path / "a.csv", text), names=()))
    assert (first.path, first.captions) == ("a, b.mp4", ('say "run", twice',))
    assert second.captions == ('5" screen',)


def test_names_segments_and_other_columns(tmp_path: Path) -> None:
    text = 'path,note,label,start,end,name\na.mp4,x,Walk,1.5,00:02.5,first\n"b, c.mp4",x,run,,,\n'
    first, second = read_generic_csv(request_for(write(tmp_path / "a.csv", text)))
    assert (first.path, first.labels, first.start, first.end, first.name) == (
        "a.mp4",
        (1,),
        1.5,
        2.5,
        "first",
    )
    assert (second.path, second.labels, second.start, second.end) == ("b, c.mp4", (0,), None, None)
    assert second.name == "b, c.mp4"


def test_labels_that_are_all_numbers_are_indices(tmp_path: Path) -> None:
    records = read_generic_csv(request_for(write(tmp_path / "a.csv", "path,label\na.mp4,2\nb.mp4,0\n")))
    assert [record.labels for record in records] == [(2,), (0,)]


def test_captions_of_one_video_are_one_record(tmp_path: Path) -> None:
    text = 'path,caption\na.mp4,one\nb.mp4,"two, three"\na.mp4,four\n'
    records = read_generic_csv(request_for(write(tmp_path / "a.csv", text), names=()))
    assert [(record.path, record.captions) for record in records] == [
        ("a.mp4", ("one", "four")),
        ("b.mp4", ("two, three",)),
    ]


def test_captions_of_one_video_are_one_record_beside_labels(tmp_path: Path) -> None:
    text = "path,label,caption\na.mp4,run,one\na.mp4,run,two\na.mp4,sit,three\nb.mp4,sit,four\n"
    records = read_generic_csv(request_for(write(tmp_path / "a.csv", text)))
    assert [(record.path, record.labels, record.captions) for record in records] == [
        ("a.mp4", (0,), ("one", "two")),
        ("a.mp4", (2,), ("three",)),
        ("b.mp4", (2,), ("four",)),
    ]
    twice = "path,label\na.mp4,run\na.mp4,run\n"  # as often as the list says, where there are no captions
    assert len(read_generic_csv(request_for(write(tmp_path / "b.csv", twice)))) == 2


def test_labels_can_be_left_aside(tmp_path: Path) -> None:
    write(tmp_path / "val.csv", "path,label,caption\na.mp4,3,one\na.mp4,4,two\nb.mp4,4,three\n")
    with pytest.raises(AnnotationError, match="their names are needed"):
        load_split("csv", "val", anno_dir=tmp_path)
    split = load_split("csv", "val", anno_dir=tmp_path, with_labels=False)
    assert split.class_names == ()
    assert [record.captions for record in split.records] == [("one", "two"), ("three",)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\na.mp4,fly\n", "line 2: label 'fly' is none of the 3 class names"),
        ("path,label\na.mp4,0\nb.mp4,3\n", "line 3: label 3 is outside 0…2"),
        ("path,label\na.mp4,1\nb.mp4,3\n", "(?s)label 3 is outside 0…2.*these seem to start at 1"),
        ("path,label\na.mp4,²\nb.mp4,3\n", "line 2: invalid literal"),
        (
            "path,label,start,end\na.mp4,0,5,4\n",
            r"line 2: the segment '5' to '4' has no length\nRemedy: correct",
        ),
        ("path,label,start\na.mp4,0,soon\n", "line 2: could not convert"),
        ("path,label\n,0\n", "line 2: no path"),
        ("path,label\na.mp4,run\nb.mp4, \n", "(?s)1 entry is wrong.*line 3: no label"),
        ("path,label\na.mp4,0\nb.mp4,\n", "(?s)1 entry is wrong.*line 3: no label"),
        ("path,label\na.mp4\n", "line 2: 1 fields, but 2 in the header"),
        ("file,label\na.mp4,0\n", "no column path"),
        ("path,length\na.mp4,0\n", "neither a column label nor caption"),
        ("path,label\n", "a header, but no rows"),
        ('path,label\na.mp4,run\nb.mp4,"sit\nc.mp4,walk\n', "line 3: a double quote is opened there and not"),
        ('path,label\na.mp4,"run\nb.mp4,sit\nc.mp4,"walk"\n', "line 2: a double quote .* before line 4"),
        (
            'path,label\na.mp4,"ru\nn"\n',
            "line 2: a double quote .* before line 3",
        ),
        ('path,label\na.mp4,"run" fast\n', "line 2: not valid CSV"),
        ('"path,label\na.mp4,run\n', "line 1: a double quote is opened there and not closed"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        read_generic_csv(request_for(write(tmp_path / "a.csv", text)))


def test_classes_come_from_the_training_list_for_every_split(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", "path,label\na.mp4,walk\nb.mp4,run\nc.mp4,sit\n")
    write(tmp_path / "val.csv", "path,label\nd.mp4,walk\n")
    assert load_split("csv", "val", anno_dir=tmp_path).class_names == (("run", "sit", "walk"),)
    assert load_split("csv", "val", anno_dir=tmp_path).records[0].labels == (2,)
    write(tmp_path / "test.csv", "path,label\ne.mp4,jump\n")
    with pytest.raises(AnnotationError, match="label 'jump' is none of the 3"):
        load_split("csv", "test", anno_dir=tmp_path)


def test_classes_come_from_the_training_list_that_is_named(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", "path,label\na.mp4,cat\nb.mp4,cow\nc.mp4,dog\n")
    write(tmp_path / "few.csv", "path,label\na.mp4,cat\nc.mp4,dog\n")
    write(tmp_path / "val.csv", "path,label\nd.mp4,dog\n")
    train = load_split("csv", "train", anno_dir=tmp_path, list_file="few.csv")
    for named in ("few.csv", tmp_path / "few.csv"):
        val = load_split("csv", "val", anno_dir=tmp_path, training_list=named)
        assert val.class_names == train.class_names == (("cat", "dog"),)
        assert val.records[0].labels == (1,)
    elsewhere = load_split("csv", "val", anno_dir=tmp_path, training_list="on_another_machine.csv")
    assert elsewhere.class_names == (("dog",),)


@pytest.mark.parametrize("names", [("-1", "1"), ("C", "C#", "C++"), ("Run", "run"), ("< 5", "> 5")])
def test_names_that_differ_in_punctuation_alone_stay_apart(tmp_path: Path, names: tuple[str, ...]) -> None:
    rows = "".join(f"{index}.mp4,{name}\n" for index, name in enumerate(names))
    write(tmp_path / "train.csv", f"path,label\n{rows}")
    split = load_split("csv", "train", anno_dir=tmp_path)
    assert split.class_names == (names,)
    assert [record.labels for record in split.records] == [(index,) for index in range(len(names))]


def test_names_that_are_numbers_stay_names_in_a_list_without_the_negative_ones(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", "path,label\na.mp4,-1\nb.mp4,0\nc.mp4,1\n")
    write(tmp_path / "val.csv", "path,label\nd.mp4,0\ne.mp4,1\n")
    split = load_split("csv", "val", anno_dir=tmp_path)
    assert [split.class_names[0][record.labels[0]] for record in split.records] == ["0", "1"]


def test_a_label_that_may_be_two_classes_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", "path,label\na.mp4,Run\nb.mp4,run\n")
    write(tmp_path / "val.csv", "path,label\nc.mp4,run\nd.mp4,RUN\n")
    with pytest.raises(AnnotationError, match=r"line 3: label 'RUN' may mean 'Run' \(class 0\) or 'run'"):
        load_split("csv", "val", anno_dir=tmp_path)


@pytest.mark.parametrize("labels", [("cat", "", "dog"), ("0", " ", "1")])
def test_no_label_is_no_class(tmp_path: Path, labels: tuple[str, ...]) -> None:
    rows = "".join(f"{name}.mp4,{label}\n" for name, label in zip("abc", labels, strict=True))
    write(tmp_path / "train.csv", f"path,label\n{rows}")
    with pytest.raises(AnnotationError, match=r"(?s)1 entry is wrong\n  line 3: no label for b\.mp4.*Remedy"):
        load_split("csv", "train", anno_dir=tmp_path)


def test_class_file_beside_the_list_and_its_absence(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", "path,label\na.mp4,1\n")
    with pytest.raises(
        AnnotationError, match=r"labels are class indices, so their names are needed.*classes\.txt"
    ):
        load_split("csv", "train", anno_dir=tmp_path)
    write(tmp_path / "classes.txt", "run\nwalk\n")
    assert load_split("csv", "train", anno_dir=tmp_path).class_names == (("run", "walk"),)
    with pytest.raises(AnnotationError, match=r"classes\.txt: 2 class names where 5 are expected"):
        load_split("csv", "train", anno_dir=tmp_path, num_classes=5)


@pytest.mark.parametrize(
    "first", ["path;label", "path\tlabel", "Path,Label", "filename,class", "clips/a.mp4,run", "clips/1.mp4"]
)
def test_a_file_without_our_header_is_told_so(tmp_path: Path, first: str) -> None:
    write(tmp_path / "train.csv", f"\n{first}\n{first}\n")
    with pytest.raises(
        AnnotationError, match=r"line 2: .* is neither a path and a class index nor the header.*path,label"
    ):
        load_split("csv", "train", anno_dir=tmp_path)


def test_lines_may_end_with_carriage_returns_alone(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", "path,label\ra.mp4,run\rb.mp4,walk\r")
    split = load_split("csv", "train", anno_dir=tmp_path)
    assert [(record.path, record.labels) for record in split.records] == [("a.mp4", (0,)), ("b.mp4", (1,))]


def test_captions_need_no_classes(tmp_path: Path) -> None:
    write(tmp_path / "test.csv", "path,caption\na.mp4,someone runs\n")
    split = load_split("csv", "test", anno_dir=tmp_path)
    assert split.class_names == ()
    assert split.records[0].captions == ("someone runs",)


@pytest.mark.parametrize(
    ("text", "seconds"), [("12.5", 12.5), ("00:00:02.86", 2.86), ("01:02:03.5", 3723.5), ("1:30", 90.0)]
)
def test_times(text: str, seconds: float) -> None:
    assert parse_seconds(text) == pytest.approx(seconds)


def test_times_that_are_none() -> None:
    for text in ("nan", "-1", "1:x", "", "inf"):
        with pytest.raises(ValueError):
            parse_seconds(text)
    assert parse_segment("", "4") == (None, 4.0)
    with pytest.raises(ValueError, match="no length"):
        parse_segment("", "0")


def test_real_clips(shared: Path) -> None:
    root = shared / "data/videos/actions"
    split = load_split("csv", "train", anno_dir=root, list_file="actions.csv", data_root=root)
    assert len(split) == 22
    assert split.class_names[0][:3] == ("ApplyEyeMakeup", "BaseballPitch", "Basketball")
    assert all((root / record.path).is_file() for record in split.records)
