"""`python runs/prepare.py`: check, shrink and pack, interrupted and called again."""

from __future__ import annotations

import os
import shlex
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.annotations import load_split
from datasets.decoding import open_video
from datasets.preparation.jobs import Workforce, check_all
from datasets.preparation.journal import read_bad_list
from datasets.shards import read_index
from runs.prepare import main
from tests.datasets.decoding.numbered import numbers_in, write_numbered_video


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Two sound videos and two broken ones."""
    root = tmp_path / "videos"
    (root / "jump").mkdir(parents=True)
    write_numbered_video(root / "jump" / "a.mp4", 8)
    write_numbered_video(root / "b.webm", 6, "libvpx-vp9", options={"cpu-used": "8"})
    (root / "empty.mp4").touch()
    (root / "cut.mp4").write_bytes((root / "jump" / "a.mp4").read_bytes()[:700])
    return root


def test_check_lists_the_bad_videos_and_goes_on_where_it_was(
    videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out" / "bad.csv"
    command = ["check", str(videos), "--output", str(output), "--workers", "2"]
    assert main(command) == 1
    assert "4 videos checked: 2 bad" in capsys.readouterr().out
    assert sorted(read_bad_list(str(output))) == ["cut.mp4", "empty.mp4"]
    write_numbered_video(videos / "empty.mp4", 5)  # downloaded again
    assert main(command) == 1
    assert "4 videos checked (2 of them before): 1 bad" in capsys.readouterr().out
    assert sorted(read_bad_list(str(output))) == ["cut.mp4"]


def test_check_takes_the_videos_of_an_annotation_list(videos: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("path,label\njump/a.mp4,x\nb.webm,y\nempty.mp4,x\n")
    output = str(tmp_path / "bad.csv")
    words = f"check {videos} --dataset csv --list {tmp_path}/mine.csv --output {output} --workers 1"
    assert main(words.split()) == 1
    assert list(read_bad_list(output)) == ["empty.mp4"]


@pytest.mark.parametrize(("command", "suffix"), [("pack", ".packed"), ("shrink", ".mp4")])
def test_copies_serve_the_same_annotations(
    command: str, suffix: str, videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in videos.rglob("*.*")}
    copies = tmp_path / "copies"
    words = [command, str(videos), str(copies), "--workers", "2"]
    assert main(words) == 1
    assert "4 videos copied: 2 bad" in capsys.readouterr().out
    assert sorted(read_bad_list(str(copies / "not_copied.csv"))) == ["cut.mp4", "empty.mp4"]
    (copies / f"b{suffix}").unlink()
    assert main(words) == 1
    assert "(1 of them before): 2 bad" in capsys.readouterr().out

    (tmp_path / "mine.csv").write_text("path,label\njump/a.mp4,x\nb.webm,y\n")
    split = load_split("csv", "train", list_file=tmp_path / "mine.csv", data_root=copies)
    for record, count in zip(split.records, (8, 6), strict=True):
        assert record.path.endswith(suffix)
        with open_video(copies / record.path) as reader:
            assert numbers_in(reader.get_frames(range(count))) == list(range(count))
    assert {path: path.read_bytes() for path in videos.rglob("*.*")} == before


@pytest.mark.parametrize("command", ["pack", "shrink"])
def test_copies_out_of_date_are_made_again(
    command: str, videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copies = tmp_path / "copies"
    words = [command, str(videos), str(copies), "--workers", "1"]

    def done_before(*settings: str) -> int:
        assert main([*words, *settings]) == 1
        out = capsys.readouterr().out
        return int(out.partition("(")[2].partition(" ")[0]) if "of them before" in out else 0

    assert [done_before(), done_before()] == [0, 2]
    copy = next((copies / "jump").iterdir())
    with open_video(copy) as reader:
        assert reader.size == (16, 64)
    assert done_before("--short-side", "8") == 0
    with open_video(copy) as reader:
        assert reader.size == (8, 32)
    assert [done_before("--short-side", "8"), done_before("--short-side", "8", "--quality", "30")] == [2, 0]
    assert done_before() == 0
    write_numbered_video(videos / "jump" / "a.mp4", 5)
    assert done_before() == 1
    with open_video(copy) as reader:
        assert reader.frame_count == 5
    (copies / "copied.csv").unlink()  # nothing tells what the copies were made of
    assert done_before() == 0


@pytest.mark.parametrize(
    ("command", "bad_list"), [("check", "bad.csv"), ("pack", "not_copied.csv"), ("shard", "not_copied.csv")]
)
def test_a_call_for_another_split_keeps_what_is_known_of_the_first(
    command: str, bad_list: str, videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (videos / "folder").mkdir()
    (tmp_path / "train.csv").write_text("path,label\njump/a.mp4,x\ncut.mp4,y\nmissing.avi,y\n")
    (tmp_path / "val.csv").write_text("path,label\nb.webm,x\nempty.mp4,y\nfolder,y\n")
    copies = tmp_path / "copies"
    target = f"--output {copies}/bad.csv" if command == "check" else str(copies)
    words = f"{command} {videos} {target} --dataset csv --anno-dir {tmp_path}"
    for split, named in (("train", 3), ("val", 3), ("train", 3)):
        assert main([*words.split(), "--split", split]) == 1
        assert f"{named} videos" in capsys.readouterr().out
    bad = (
        {"missing.avi", "folder"} if command == "shard" else {"cut.mp4", "empty.mp4", "missing.avi", "folder"}
    )
    assert read_bad_list(str(copies / bad_list)).keys() == bad
    (videos / "missing.avi").write_bytes((videos / "jump" / "a.mp4").read_bytes())  # found after all
    assert main([*words.split(), "--split", "val"]) == 1
    assert read_bad_list(str(copies / bad_list)).keys() == bad - {"missing.avi"}


def test_a_packed_folder_of_frames_is_made_again_when_an_image_has_changed(tmp_path: Path) -> None:
    clip, copies = tmp_path / "videos" / "clip", tmp_path / "copies"
    clip.mkdir(parents=True)
    for number in (1, 2):
        Image.new("RGB", (16, 16), (250, 0, 0)).save(clip / f"{number}.png")
    shades = []
    for shade in (250, 250, 10):
        if shade == 10:
            Image.new("RGB", (16, 16), (10, 0, 0)).save(clip / "2.png")
        assert main(["pack", str(tmp_path / "videos"), str(copies), "--workers", "1"]) == 0
        with open_video(copies / "clip.packed") as reader:
            shades.append(round(float(reader.get_frames([1])[..., 0].mean()), -1))
    assert shades == [250, 250, 10]


def test_a_copy_is_not_done_because_its_changed_video_is_broken(videos: Path, tmp_path: Path) -> None:
    words = ["pack", str(videos), str(tmp_path / "copies"), "--workers", "1"]
    assert main(words) == 1
    (videos / "jump" / "a.mp4").write_bytes(b"cut")
    for _ in range(2):
        assert main(words) == 1
        bad = read_bad_list(str(tmp_path / "copies" / "not_copied.csv"))
        assert sorted(bad) == ["cut.mp4", "empty.mp4", "jump/a.mp4"]


def test_a_video_is_checked_again_with_another_decoder_or_date(videos: Path, tmp_path: Path) -> None:
    workforce = Workforce(num_workers=1, time_limit=60, show_progress=False)

    def done_before(decoder: str) -> int:
        journal = str(tmp_path / "all.csv")
        return check_all(
            str(videos), ["jump/a.mp4", "b.webm"], journal, workforce, decoder=decoder
        ).already_done

    assert [done_before("auto"), done_before("auto"), done_before("pyav"), done_before("pyav")] == [
        0,
        2,
        0,
        2,
    ]
    os.utime(videos / "b.webm", (1, 1))
    assert done_before("pyav") == 1


def test_copies_do_not_go_among_the_originals(videos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["pack", str(videos), str(videos / "copies")])
    assert caught.value.code == 2
    assert "another folder" in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_video_that_hangs_the_decoder_is_given_up(videos: Path, tmp_path: Path) -> None:
    os.mkfifo(videos / "hang.mp4")  # opening it waits for a writer for ever
    start = time.monotonic()
    workforce = Workforce(num_workers=1, time_limit=1.0, show_progress=False)
    paths = ["hang.mp4", "jump/a.mp4"]
    summary = check_all(str(videos), paths, str(tmp_path / "all.csv"), workforce)
    assert summary.problems == {"hang.mp4": "no answer within 1 s"}
    assert time.monotonic() - start < 30


def test_a_sound_video_that_was_given_up_is_checked_again(videos: Path, tmp_path: Path) -> None:
    def problems_with(time_limit: float) -> dict[str, str]:
        workforce = Workforce(num_workers=1, time_limit=time_limit, show_progress=False)
        return check_all(str(videos), ["jump/a.mp4"], str(tmp_path / "all.csv"), workforce).problems

    assert problems_with(time_limit=1e-6) == {"jump/a.mp4": "no answer within 1e-06 s"}
    assert problems_with(time_limit=60) == {}


def test_shards_hold_the_files_as_they_are(videos: Path, tmp_path: Path) -> None:
    pytest.importorskip("webdataset")
    (tmp_path / "mine.csv").write_text("path,label\njump/a.mp4,x\nb.webm,y\n")
    words = f"shard {videos} {tmp_path}/shards --dataset csv --list {tmp_path}/mine.csv"
    assert main(words.split()) == 0
    assert read_index(str(tmp_path / "shards")) == {
        "jump/a.mp4": "shard-000000.tar",
        "b.webm": "shard-000000.tar",
    }
    with tarfile.open(tmp_path / "shards" / "shard-000000.tar") as tar:
        member = tar.extractfile("b.webm")
        assert member is not None
        assert member.read() == (videos / "b.webm").read_bytes()


def test_shards_of_another_split_come_beside_the_first(videos: Path, tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    (tmp_path / "train.csv").write_text("path,label\njump/a.mp4,x\ncut.mp4,y\n")
    (tmp_path / "val.csv").write_text("path,label\nb.webm,x\ncut.mp4,y\n")
    shards = tmp_path / "shards"

    def index_after(split: str) -> dict[str, str]:
        words = f"shard {videos} {shards} --dataset csv --anno-dir {tmp_path} --split {split}"
        assert main(words.split()) == 0
        index = read_index(str(shards)) or {}
        for path, name in index.items():
            with tarfile.open(shards / name) as tar:
                assert path in tar.getnames()
        return {path: name.removeprefix("shard-00000") for path, name in index.items()}

    first = {"jump/a.mp4": "0.tar", "cut.mp4": "0.tar"}
    assert index_after("train") == first
    both = {**first, "b.webm": "1.tar"}
    (shards / "shards.csv").rename(tmp_path / "kept")
    assert index_after("val") == both  # an interrupted call wrote no index
    (shards / "copied.csv").unlink()  # shards from elsewhere have none
    assert [index_after("train"), index_after("val")] == [both, both]
    write_numbered_video(videos / "b.webm", 3, "libvpx")
    assert index_after("val") == both  # their index is believed
    (shards / "shard-000001.tar").unlink()
    assert index_after("val") == {**first, "b.webm": "2.tar"}
    write_numbered_video(videos / "b.webm", 5, "libvpx")
    assert index_after("val") == {**first, "b.webm": "3.tar"}


def test_what_cannot_go_into_a_shard_is_listed(videos: Path, tmp_path: Path) -> None:
    (videos / "frames").mkdir()
    Image.new("RGB", (8, 8)).save(videos / "frames" / "1.jpg")
    (videos / "12@N00_ab").write_bytes((videos / "jump" / "a.mp4").read_bytes())  # one DiDeMo name is such
    (tmp_path / "mine.csv").write_text("path,label\n12@N00_ab,x\nmissing.mp4,y\nframes,x\n./b.webm,y\n")
    shards = tmp_path / "shards"
    assert main(f"shard {videos} {shards} --dataset csv --list {tmp_path}/mine.csv".split()) == 1
    assert read_bad_list(str(shards / "not_copied.csv")) == {
        "frames": "it is a folder of frames: pack it first (prepare.py pack)",
        "missing.mp4": "there is no such file",
    }
    with tarfile.open(shards / "shard-000000.tar") as tar:
        assert tar.getnames() == list(read_index(str(shards)) or {}) == ["12@N00_ab", "b.webm"]


def test_names_that_are_no_utf8(videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = os.fsdecode(b"caf\xe9.mp4")
    try:
        (videos / name).touch()
    except OSError:
        pytest.skip("this disk takes no such names")
    output = str(tmp_path / "bad.csv")
    for _ in range(2):
        assert main(["check", str(videos), "--output", output]) == 1
        assert r"caf\udce9.mp4: " in capsys.readouterr().out
        assert name in read_bad_list(output)
    assert main(["shard", str(videos), str(tmp_path / "shards")]) == 1
    assert read_bad_list(str(tmp_path / "shards" / "not_copied.csv")) == {
        name: "its name is no UTF-8, as shards need: rename it"
    }


def test_browse_shows_training_clips(videos: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("path,label\njump/a.mp4,jump\nb.webm,run\n")
    (tmp_path / "run.yaml").write_text(
        f"TRAIN: {{DATASET: csv, BATCH_SIZE: 256}}\nTEST: {{ENABLE: false}}\n"
        f"DATA: {{DATA_ROOT_DIR: {videos}, TRAIN_LIST: {tmp_path}/mine.csv, VAL_LIST: {tmp_path}/mine.csv}}\n"
    )
    output = tmp_path / "sheet.png"
    assert main(["browse", "--cfg", str(tmp_path / "run.yaml"), "--output", str(output), "--clips", "2"]) == 0
    with Image.open(output) as sheet:
        assert sheet.width == 8 * 160
        assert 2 * 160 < sheet.height < 2 * 220
        assert np.asarray(sheet).std() > 10


def test_browse_names_what_is_wrong(videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cut.csv").write_text("path,label\ncut.mp4,jump\nempty.mp4,run\n")
    (tmp_path / "gone.csv").write_text("path,label\ngone.mp4,run\njump/a.mp4,jump\n")
    (tmp_path / "run.yaml").write_text(
        "TRAIN: {DATASET: csv}\nTEST: {ENABLE: false}\n"
        "VIDEO: {BACKBONE: {PRETRAIN_WEIGHT_PATH: /no/clip.pt}}\n"
        f"DATA: {{DATA_ROOT_DIR: {videos}, TRAIN_LIST: {tmp_path}/cut.csv, VAL_LIST: {tmp_path}/cut.csv}}\n"
    )
    for pairs, problem in {
        "": "cut.mp4",
        "DATA.DATA_ROOT_DIR /none": "DATA.DATA_ROOT_DIR: folder /none does not exist",
        "DATA.DATA_ROOT_DIR ''": "no folder given",
        "TRAIN.DATASET nosuch": "nosuch",
        f"DATA.TRAIN_LIST {tmp_path}/gone.csv": "gone.mp4",
        f"--output {videos}": "is a folder",
    }.items():
        with pytest.raises(SystemExit) as caught:
            main(["browse", "--cfg", str(tmp_path / "run.yaml"), *shlex.split(pairs)])
        assert caught.value.code == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert problem in error


@pytest.mark.parametrize("command", ["check", "shrink", "pack", "shard"])
def test_a_place_that_cannot_be_written_is_told_before_anything_is_read(
    videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    (tmp_path / "file").touch()
    place = str(tmp_path / "file" / "copies")
    words = ["--output", f"{place}/bad.csv"] if command == "check" else [place]
    with pytest.raises(SystemExit) as ended:
        main([command, str(videos), *words])
    assert ended.value.code == 2
    assert "cannot write into" in capsys.readouterr().err
