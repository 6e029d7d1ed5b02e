"""MSR-VTT, DiDeMo and LSMDC."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from datasets.annotations import AnnotationError, load_split
from tests.datasets.annotations.helpers import write


def _msrvtt(folder: Path, sentences: list[tuple[str, str]], ids: str) -> None:
    entries = [{"caption": text, "video_id": video, "sen_id": n} for n, (video, text) in enumerate(sentences)]
    write(folder / "MSRVTT_data.json", json.dumps({"videos": [], "sentences": entries}))
    write(folder / "MSRVTT_train.9k.csv", "video_id\n" + ids)


def test_msrvtt_train_has_all_captions_of_the_listed_videos(tmp_path: Path) -> None:
    _msrvtt(tmp_path, [("video1", "a"), ("video7", "b"), ("video1", " c ")], "video1\nvideo7\n")
    split = load_split("msrvtt", "train", anno_dir=tmp_path)
    assert [(r.path, r.name, r.captions) for r in split.records] == [
        ("video1.mp4", "video1", ("a", "c")),
        ("video7.mp4", "video7", ("b",)),
    ]
    assert split.class_names == ()


def test_msrvtt_ids_without_captions_or_twice(tmp_path: Path) -> None:
    _msrvtt(tmp_path, [("video1", "a")], "video1\nvideo2\nvideo1\n")
    with pytest.raises(
        AnnotationError, match=r"(?s)2 entries are wrong.*video2 has no caption.*video1 occurs twice"
    ):
        load_split("msrvtt", "train", anno_dir=tmp_path)


def test_msrvtt_json_of_another_structure(tmp_path: Path) -> None:
    write(tmp_path / "MSRVTT_train.9k.csv", "video_id\nvideo1\n")
    write(tmp_path / "MSRVTT_data.json", json.dumps({"annotations": []}))
    with pytest.raises(AnnotationError, match="no list 'sentences'"):
        load_split("msrvtt", "train", anno_dir=tmp_path)
    for entry in ({"caption": "a"}, {"caption": None, "video_id": "video1"}, {"caption": "a", "video_id": 1}):
        write(tmp_path / "MSRVTT_data.json", json.dumps({"sentences": [entry]}))
        with pytest.raises(AnnotationError, match="entry 1 has not all of video_id, caption as texts"):
            load_split("msrvtt", "train", anno_dir=tmp_path)


def test_didemo_joins_the_descriptions_of_a_video(tmp_path: Path) -> None:
    entries = [
        {"video": "a.mov", "description": "first."},
        {"video": "c.mov", "description": "unused."},
        {"video": "b.", "description": "other."},
        {"video": "a.mov", "description": "second."},
    ]
    write(tmp_path / "test_data.json", json.dumps(entries))
    write(tmp_path / "test_list.txt", "b.\na.mov\n")
    split = load_split("didemo", "test", anno_dir=tmp_path)
    assert [(r.path, r.captions) for r in split.records] == [
        ("b.mp4", ("other.",)),
        ("a.mov", ("first. second.",)),
    ]
    assert split.notes == ("1 videos of test_data.json are not in the id list: left out",)


def test_lsmdc_clip_lies_in_the_folder_of_its_film(tmp_path: Path) -> None:
    clip = "1004_Juno_00.00.32.161-00.00.36.246"
    times = "00.00.32.161\t00.00.36.246\t00.00.32.161\t00.00.36.246"
    line = f"{clip}\t{times}\tShe stares at a chair, in the yard.\n"
    write(tmp_path / "LSMDC16_challenge_1000_publictect.csv", line)
    (record,) = load_split("lsmdc", "test", anno_dir=tmp_path).records
    assert record.path == f"1004_Juno/{clip}.avi"
    assert (record.name, record.captions) == (clip, ("She stares at a chair, in the yard.",))
    write(tmp_path / "LSMDC16_annos_val.csv", line + "x\ty\n")
    with pytest.raises(AnnotationError, match="line 2: 2 fields"):
        load_split("lsmdc", "val", anno_dir=tmp_path)


def test_an_lsmdc_clip_may_have_several_sentences(tmp_path: Path) -> None:
    clip, other = "3011_BLIND_DATING_01.11.23.496-01.11.25.853", "1004_Juno_00.00.32.161-00.00.36.246"
    sentences = [(clip, "He looks up."), (other, "She stares."), (clip, "He smiles.")]
    lines = [f"{name}\ta\tb\tc\td\t{sentence}\n" for name, sentence in sentences]
    write(tmp_path / "LSMDC16_annos_training.csv", "".join(lines))
    split = load_split("lsmdc", "train", anno_dir=tmp_path)
    assert [(record.name, record.captions) for record in split.records] == [
        (clip, ("He looks up.", "He smiles.")),
        (other, ("She stares.",)),
    ]


def test_real_msrvtt_test_pairs(shared: Path) -> None:
    split = load_split("msrvtt", "test", anno_dir=shared / "data/annotations/msrvtt")
    assert len(split) == len({record.name for record in split.records}) == 1000
    assert all(len(record.captions) == 1 for record in split.records)


@pytest.mark.parametrize(("size", "count"), [("9k", 9000), ("7k", 7010)])
def test_real_msrvtt_training_ids(shared: Path, tmp_path: Path, size: str, count: int) -> None:
    name = f"MSRVTT_train.{size}.csv"
    ids = (shared / "data/annotations/msrvtt" / name).read_text()
    write(tmp_path / name, ids)
    sentences = [{"caption": "x", "video_id": f"video{n}"} for n in range(10000)]
    write(tmp_path / "MSRVTT_data.json", json.dumps({"sentences": sentences}))
    split = load_split("msrvtt", f"train{size}", anno_dir=tmp_path)
    assert len(split) == count
    test = load_split("msrvtt", "test", anno_dir=shared / "data/annotations/msrvtt")
    assert not {record.name for record in split.records} & {record.name for record in test.records}


def test_real_didemo_videos_are_found_after_a_conversion(shared: Path, tmp_path: Path) -> None:
    """Cameras and phones of that time: 220 avi, 7 mts, 2 3g2, and 27 with nothing behind the dot."""
    annotations = shared / "data/annotations/didemo"
    for name in (annotations / "test_list.txt").read_text().split():
        (tmp_path / f"{name.rpartition('.')[0]}.mp4").touch()
    assert load_split("didemo", "test", anno_dir=annotations, data_root=tmp_path).missing == ()


@pytest.mark.parametrize(("split", "count"), [("test", 1004), ("val", 1065)])
def test_real_didemo(shared: Path, split: str, count: int) -> None:
    loaded = load_split("didemo", split, anno_dir=shared / "data/annotations/didemo")
    assert len(loaded) == count
    assert all(len(record.captions) == 1 for record in loaded.records)
