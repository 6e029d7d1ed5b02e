"""Class-name files in every form that circulates."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets.annotations import AnnotationError
from datasets.annotations.class_files import read_class_names
from datasets.labels import class_names
from tests.datasets.annotations.helpers import write


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", "run\nwalk\nsit down, slowly\n"),
        ("a.txt", "\ufeffrun\r\nwalk\r\nsit down, slowly\r\n\r\n"),
        ("a.txt", "1 run\n2 walk\n3 sit down, slowly\n"),
        ("a.txt", "0 run\n1 walk\n2 sit down, slowly"),
        ("a.csv", 'id,name\r\n0,run\r\n1,walk\r\n2,"sit down, slowly"\r\n'),
        ("a.csv", "id,key,instances\n1,walk,\"['a', 'b']\"\n0,run,x\n2,\"sit down, slowly\",x\n"),
        ("a.csv", "run\nwalk\nsit down, slowly\n"),
        ("a.csv", 'name,id\nwalk,1\n"sit down, slowly",2\nrun,0\n'),
        ("a.csv", 'label,label_id\nrun,0\nwalk,1\n"sit down, slowly",2\n'),
        ("a.csv", 'class_id,class_name\n0,run\n1,walk\n2,"sit down, slowly"\n'),
        ("a.csv", 'Label,Name\n0,run\n1,walk\n2,"sit down, slowly"\n'),
        ("a.csv", 'count,name,Class Index\n7,run,0\n8,walk,1\n9,"sit down, slowly",2\n'),
        ("a.csv", ',label\n0,run\n1,walk\n2,"sit down, slowly"\n'),
        ("a.csv", "id;name\n0;run\n1;walk\n2;sit down, slowly\n"),
        ("a.tsv", "id\tname\n0\trun\n1\twalk\n2\tsit down, slowly\n"),
        ("a.csv", 'name\nrun\nwalk\n"sit down, slowly"\n'),
        ("a.csv", '0,run\n1,walk\n2,"sit down, slowly"\n'),
        ("a.csv", "1,run\n2,walk\n3,sit down, slowly\n"),
        ("a.txt", '0 run\n1 "walk"\n2 "sit down, slowly"\n'),
        ("a.csv", '"run"\n"walk"\n"sit down, slowly"\n'),
        ("a.json", '{"run": "0", "sit down, slowly": 2, "\\"walk\\"": 1}'),
        ("a.json", '{"0": "run", "2": "sit down, slowly", "1": "walk"}'),
        ("a.json", '["run", "walk", "sit down, slowly"]'),
    ],
)
def test_every_form_gives_names_in_the_order_of_their_indices(tmp_path: Path, name: str, text: str) -> None:
    assert read_class_names(write(tmp_path / name, text), 3) == ("run", "walk", "sit down, slowly")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "run\n\nwalk\n", "line 2: is empty"),
        ("a.txt", "run\nwalk\nrun\n", "'run' is both class 0 and class 2"),
        ("a.csv", "id,name\n0,run\n0,walk\n", "line 3: '0,walk' is no new index"),
        ("a.csv", "id,name\n0,run\n2,walk\n", "no class has index 1"),
        ("a.csv", "name,id\nrun,0\nwalk,second\n", "line 3: 'walk,second' is no new index"),
        ("a.csv", "what,which\nrun,0\nwalk,1\n", "line 1: 'what,which' is neither a header .*begin with the"),
        ("a.csv", "run,0\nwalk,1\n", "line 1: 'run,0' is neither a header with an index and a name nor"),
        ("a.csv", "1,run\n0,walk\n", "line 1: '1,run' is neither a header"),
        ("a.csv", "0,run,5\n1,walk,9\n", "line 1: '0,run,5' is neither a header"),
        ("a.csv", "name\nrun\n\nwalk\n", "line 3: is empty"),
        ("a.json", '{"run": 0, "walk": 2}', "no class has index 1"),
        ("a.json", '{"run": "first"}', "no new index"),
        ("a.json", "[1, 2]", "neither a list of names"),
        ("a.json", '["run"', "line 1: not valid JSON"),
        ("a.txt", "  \n", "is empty"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        read_class_names(write(tmp_path / name, text))


def test_wrong_length_and_missing_file(tmp_path: Path) -> None:
    path = write(tmp_path / "names.txt", "run\nwalk\n")
    with pytest.raises(AnnotationError, match=r"names\.txt: 2 class names where 174 are expected"):
        read_class_names(path, 174)
    with pytest.raises(AnnotationError, match="no such file"):
        read_class_names(str(tmp_path / "none.txt"))


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("k400/kinetics_400_labels.csv", "k400"),
        ("k400/label_map_k400.txt", "k400"),
        ("k400/dist_k400_labels.json", "k400"),
        ("k600/kinetics_600_labels.csv", "k600"),
        ("ssv2/ssv2_labels.csv", "ssv2"),
        ("ssv2/ssv2_labels.json", "ssv2"),
        ("ucf101/ucfTrainTestlist/classInd.txt", "ucf101"),
        ("ucf101/ucf_101_labels.csv", "ucf101"),
        ("epic100/EPIC_100_verb_classes.csv", "epic100_verbs"),
        ("epic100/EPIC_100_noun_classes.csv", "epic100_nouns"),
    ],
)
def test_real_label_files(shared: Path, file: str, name: str) -> None:
    path = str(shared / "data/annotations" / file)
    assert read_class_names(path, len(class_names(name))) == class_names(name)


def test_real_hmdb51_label_files_disagree_on_the_order(shared: Path) -> None:
    names = read_class_names(str(shared / "data/annotations/hmdb51/hmdb_51_labels.csv"), 51)
    shipped = [name.replace("_", " ") for name in class_names("hmdb51")]
    assert [index for index in range(51) if names[index] != shipped[index]] == [20, 21, 44, 45]
