"""`load_split`: which file, which class names, and what it says when something is missing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from datasets.annotations import DATASETS, AnnotationError, evaluation_split, load_split
from datasets.annotations.request import ReadRequest
from datasets.labels import class_names
from datasets.records import VideoRecord
from tests.datasets.annotations.helpers import touch, write


def test_default_files_are_found_in_the_order_of_the_table(tmp_path: Path) -> None:
    write(
        tmp_path / "train.csv",
        "label,youtube_id,time_start,time_end,split\nabseiling,aaaaaaaaaaa,0,10,train\n",
    )
    write(tmp_path / "my_train.txt", "b.mp4 1\n")
    assert load_split("k400", "train", anno_dir=tmp_path).records[0].path == "aaaaaaaaaaa_000000_000010.mp4"
    write(tmp_path / "kinetics400_train_list.txt", "c.mp4 2\n")
    split = load_split("k400", "train", anno_dir=tmp_path)
    assert (split.records[0].path, split.source) == ("c.mp4", str(tmp_path / "kinetics400_train_list.txt"))


def test_a_named_list_wins_whatever_its_format(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", "a.mp4 0\n")
    write(tmp_path / "sub/other.csv", "path,label\nb.mp4,air drumming\n")
    assert load_split("k400", "train", anno_dir=tmp_path, list_file="sub/other.csv").records[0].labels == (1,)
    outside = write(tmp_path / "elsewhere/list.txt", "c.mp4 399\n")
    assert load_split("k400", "train", anno_dir=tmp_path, list_file=outside).records[0].labels == (399,)


def test_two_files_that_fit_are_a_question(tmp_path: Path) -> None:
    write(tmp_path / "a_train.txt", "a.mp4 0\n")
    write(tmp_path / "b_train.txt", "a.mp4 0\n")
    with pytest.raises(
        AnnotationError, match=r"which of a_train\.txt, b_train\.txt\? Remedy: .*DATA\.TRAIN_LIST"
    ):
        load_split("k400", "train", anno_dir=tmp_path)


@pytest.mark.parametrize(
    ("dataset", "split", "options", "message"),
    [
        ("k40", "train", {}, r"no data set 'k40'. Did you mean 'k400'\?.*csv or list"),
        ("k400", "extra", {}, "k400 has no split 'extra'.*train, val, test"),
        (
            "k400",
            "train",
            {},
            r"no annotation file; .*holds notes\.md.*Looked for kinetics400_train_list\.txt.*ANNO_DIR",
        ),
        ("k400", "train", {"list_file": "none.txt"}, r"none\.txt: no such file"),
        ("k400", "train", {"list_file": "empty.txt"}, r"empty\.txt: the file is empty"),
        ("k400", "train", {"list_file": "notes.md"}, "line 1: 'read me' is not a path and a class index"),
        ("list", "train", {"list_file": "one.txt"}, "their names are needed"),
        ("k400+ssv2", "train", {}, "made of distinct data sets out of k400, k600, k700"),
        ("k710", "train", {"list_file": "one.txt"}, "leave lists and names to it"),
    ],
)
def test_mistakes_are_named(
    tmp_path: Path, dataset: str, split: str, options: dict[str, str], message: str
) -> None:
    write(tmp_path / "notes.md", "read me\n")
    folder = tmp_path if options else tmp_path / "sub"
    write(tmp_path / "sub/notes.md", "read me\n")
    write(tmp_path / "empty.txt", "\n")
    write(tmp_path / "one.txt", "a.mp4 0\n")
    with pytest.raises(AnnotationError, match=f"(?s){message}"):
        load_split(dataset, split, anno_dir=folder, list_file=options.get("list_file", ""))


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ("msrvtt", "read as a list of class labels, but msrvtt .*Remedy.*msrvtt7k trains on the 7k list"),
        ("epic100", "read as a list of one label per video, but epic100 has 2 heads.*Remedy"),
    ],
)
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("MSRVTT_train.7k.csv", "video_id\nvideo0\n"),
        ("test_data.json", "[]"),
        ("list.txt", "a.mp4 3\n"),
        ("trainlist01.txt", "Archery/a.avi 3\n"),
        ("kinetics.csv", "label,youtube_id,time_start,time_end\narchery,aaaaaaaaaaa,0,10\n"),
    ],
)
def test_a_list_of_labels_for_captions_or_several_heads(
    tmp_path: Path, dataset: str, message: str, name: str, text: str
) -> None:
    write(tmp_path / name, text)
    with pytest.raises(AnnotationError, match=rf"^\S+{name}: {message}"):
        load_split(dataset, "val", anno_dir=tmp_path, list_file=name)


def test_one_label_of_a_csv_for_several_heads(tmp_path: Path) -> None:
    write(tmp_path / "own.csv", "path,label\na.mp4,3\n")
    with pytest.raises(AnnotationError, match=r"^\S+own\.csv: read as a list of one label per video"):
        load_split("epic100", "val", anno_dir=tmp_path, list_file="own.csv")


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="nowhere is not a folder"):
        load_split("ssv2", "train", anno_dir=tmp_path / "nowhere")
    write(tmp_path / "train.txt", "a.mp4 0\n")
    with pytest.raises(AnnotationError, match=r"DATA\.DATA_ROOT_DIR: .*nowhere is not a folder"):
        load_split("k400", "train", anno_dir=tmp_path, data_root=tmp_path / "nowhere")


def test_class_names_given_as_such(tmp_path: Path) -> None:
    write(tmp_path / "val.txt", "a.mp4 1\n")
    split = load_split("list", "val", anno_dir=tmp_path, class_names=(("one", "two"),))
    assert split.num_classes == (2,)


def test_labels_beside_a_list_of_kinetics_are_those_that_it_counts(tmp_path: Path) -> None:
    """DiST's release takes class names from this file alone, whatever their order."""
    backwards = class_names("k400")[::-1]
    write(tmp_path / "labels.json", json.dumps({f'"{name}"': index for index, name in enumerate(backwards)}))
    write(tmp_path / "kinetics400_val_list.txt", "val/a.mp4 1\n")
    split = load_split("k400", "val", anno_dir=tmp_path)
    assert split.class_names == (backwards,)
    assert "400 of them differ from the list that ships" in split.notes[0]


@pytest.mark.parametrize(
    ("dataset", "labels", "why"),
    [
        ("k600", list(class_names("k400")), "400 class names where 600 are expected"),
        ("k400", {name: str(index) for index, name in enumerate(class_names("ssv2"))}, "174 class names"),
        ("k700", [{"label": "run"}], "neither a list of names nor a table"),
        ("k400", {"version": "1.0"}, "no new index"),
        ("k400", ["run", "run"], "1 entry is wrong"),
    ],
)
def test_labels_of_something_else_beside_a_list_of_kinetics_are_left_aside(
    tmp_path: Path, dataset: str, labels: object, why: str
) -> None:
    write(tmp_path / "labels.json", json.dumps(labels))
    write(tmp_path / "val.txt", "val/a.mp4 1\n")
    split = load_split(dataset, "val", anno_dir=tmp_path)
    assert split.class_names == (class_names(dataset),)
    assert [why in note and "labels.json" in note and "Remedy" not in note for note in split.notes] == [True]
    own = class_names(dataset)[::-1]  # the next file is asked as well
    write(tmp_path / f"{dataset}_labels.json", json.dumps(own))
    assert load_split(dataset, "val", anno_dir=tmp_path).class_names == (own,)


def test_labels_of_kinetics_in_another_spelling_are_the_shipped_ones(tmp_path: Path) -> None:
    """A run that began without the file goes on, and predicts the names that its report has."""
    spelled = [name.title().replace(" ", "_") for name in class_names("k400")]
    assert tuple(spelled) != class_names("k400")
    write(tmp_path / "labels.json", json.dumps(spelled))
    write(tmp_path / "val.txt", "val/a.mp4 1\n")
    split = load_split("k400", "val", anno_dir=tmp_path)
    assert (split.class_names, split.notes) == ((class_names("k400"),), ())


def test_a_list_of_videos_is_no_file_of_class_names(tmp_path: Path) -> None:
    write(tmp_path / "labels.txt", "a.mp4 0\nb.mp4 1\n")
    write(tmp_path / "val.txt", "c.mp4 1\n")
    with pytest.raises(AnnotationError, match="their names are needed"):
        load_split("list", "train", anno_dir=tmp_path, list_file="labels.txt")
    for lists in ({"training_list": "labels.txt"}, {"other_lists": ("", tmp_path / "labels.txt")}):
        with pytest.raises(AnnotationError, match="their names are needed"):
            load_split("list", "val", anno_dir=tmp_path, **lists)  # type: ignore[arg-type]
    write(tmp_path / "labels.csv", "path,label\na.mp4,run\nb.mp4,sit\n")
    assert load_split("csv", "train", anno_dir=tmp_path, list_file="labels.csv", other_lists=["labels.txt"])
    write(tmp_path / "labels.json", '["run", "sit"]')
    split = load_split(
        "list", "train", anno_dir=tmp_path, list_file="./labels.txt", other_lists=["labels.csv"]
    )
    assert split.class_names == (("run", "sit"),)


def test_paths_are_those_of_files_when_a_root_is_given(tmp_path: Path) -> None:
    write(tmp_path / "anno/val.txt", "74225 63 140\n116154 52 127\n")
    assert load_split("ssv2", "val", anno_dir=tmp_path / "anno").records[0].path == "74225.webm"
    root = touch(tmp_path / "videos", "74225.mp4", "116154.webm")
    split = load_split("ssv2", "val", anno_dir=tmp_path / "anno", data_root=root)
    assert [record.path for record in split.records] == ["74225.mp4", "116154.webm"]
    assert [record.name for record in split.records] == ["74225", "116154"]


def test_every_data_set_has_the_splits_it_is_scored_on() -> None:
    for name, spec in DATASETS.items():
        assert {"train", "val", evaluation_split(name)} <= set(spec.sources)
    assert evaluation_split("k710") == evaluation_split("a data set of one's own") == "val"


def test_real_kinetics_lists(shared: Path) -> None:
    folder = shared / "data/annotations/k400"
    split = load_split("k400", "val", anno_dir=folder, num_classes=400)
    assert len(split) == 19877
    assert len({record.labels for record in split.records}) == 400


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
def test_a_list_of_100_000_videos_loads_in_two_seconds_and_300_mb(tmp_path: Path) -> None:
    lines = (f"train/class {n % 400}/{n:011d}_000001_000011.mp4 {n % 400}\n" for n in range(100_000))
    write(tmp_path / "train.txt", "".join(lines))
    program = (
        "import sys, resource; from datasets.annotations import load_split; "
        f"split = load_split('k400', 'train', anno_dir={str(tmp_path)!r}); assert len(split) == 100_000; "
        "assert 'torch' not in sys.modules; use = resource.getrusage(resource.RUSAGE_SELF); "
        # not ru_maxrss, in which the peak of the process that started this one survives
        "peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM')); "
        "print(use.ru_utime + use.ru_stime, int(peak.split()[1]) / 1024)"
    )
    checkout = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=checkout, capture_output=True, text=True, check=True
    )
    seconds, megabytes = map(float, done.stdout.split())
    assert seconds < 2.0
    assert megabytes < 300


def _tab_separated(request: ReadRequest) -> list[VideoRecord]:
    """A format of one's own: class index first."""
    rows = (line.split("\t") for line in Path(request.path).read_text().splitlines())
    return [VideoRecord(path, (int(label),)) for label, path in rows]


def test_a_reader_of_ones_own(tmp_path: Path) -> None:
    write(tmp_path / "train.txt", "1\ta.mp4\n0\tb.mp4\n")
    with pytest.raises(AnnotationError, match=r"a\.mp4 has labels \(1,\) for 0 lists of class names"):
        load_split("mine", "train", anno_dir=tmp_path, reader=_tab_separated)
    write(tmp_path / "classes.txt", "run\nwalk\n")
    split = load_split("mine", "train", anno_dir=tmp_path, reader=_tab_separated)
    assert [record.labels for record in split.records] == [(1,), (0,)]
    with pytest.raises(AnnotationError, match="label 1, which is outside 0…0"):
        load_split("mine", "train", anno_dir=tmp_path, reader=_tab_separated, class_names=(("run",),))
