"""The command that indexes and queries: incremental, truthful about defects, and a page that shows it."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest
import torch

from models.clip import TINY_ARCHITECTURES
from runs import retrieval
from runs.config import load_run_config
from runs.inference.video_embedder import VideoEmbedder
from runs.inference.video_index import build_index, open_index, place_of

CONFIG = """
TASK_TYPE: retrieval
MODEL: {NAME: clip}
VIDEO: {BACKBONE: {META_ARCH_NAME: tiny-test, PRETRAIN_WEIGHT_PATH: WEIGHTS}}
DATA: {NUM_INPUT_FRAMES: 4, SPARSE_SAMPLE_ALPHA: 1, TRAIN_CROP_SIZE: 32, TEST_SCALE: 32, TEST_CROP_SIZE: 32}
TEST: {NUM_ENSEMBLE_VIEWS: 1}
RETRIEVAL: {MAX_TOKENS: 12}
NUM_GPUS: 0
"""


@pytest.fixture
def place(tiny_videos: Path, tmp_path: Path) -> Path:
    """A folder with videos (one of them broken), a CLIP and a configuration."""
    from models.clip import build_clip
    from models.clip_weights import without_text_prefix

    torch.manual_seed(0)
    clip = build_clip("tiny-test")
    torch.save(without_text_prefix(clip.state_dict()), tmp_path / "clip.pt")
    (tmp_path / "config.yaml").write_text(CONFIG.replace("WEIGHTS", str(tmp_path / "clip.pt")))
    (tmp_path / "videos").mkdir()
    for number in range(5):
        shutil.copy(tiny_videos / f"val0{number}.mp4", tmp_path / "videos" / f"{number} & <more>.mp4")
    (tmp_path / "videos" / "broken.mp4").write_bytes(b"no video")
    return tmp_path


def index(place: Path) -> int:
    return retrieval.main(
        ["index", str(place / "videos"), "--store", str(place / "store"), "--cfg", str(place / "config.yaml")]
    )


def test_index_and_query(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert index(place) == 1  # one video is broken
    printed = capsys.readouterr().out
    assert "5 videos embedded, 0 kept, 0 forgotten" in printed
    assert re.search(r"cannot read .*broken\.mp4", printed)
    assert retrieval.main(["query", "red noise", "--store", str(place / "store"), "--top", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5  # a head, three matches, the page
    similarities = [float(line.split()[1]) for line in lines[1:4]]
    assert similarities == sorted(similarities, reverse=True)
    page = (place / "store" / "gallery.html").read_text()
    assert page.count("<img ") == 3 and page.count("data:image/jpeg;base64,/9j/") == 3
    assert "&amp; &lt;more&gt;.mp4" in page and "& <more>" not in page


def test_a_clip_of_random_weights_is_the_same_in_index_and_query(place: Path) -> None:
    config = load_run_config(place / "config.yaml", ["VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH", ""])
    assert VideoEmbedder.of(config, "").sha256() == VideoEmbedder.of(config, "").sha256()


def test_a_name_that_is_no_text_is_indexed_and_found(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "videos" / "0 & <more>.mp4").rename(place / "videos" / os.fsdecode(b"caf\xe9.mp4"))
    (place / "videos" / "broken.mp4").unlink()
    assert index(place) == 0
    assert retrieval.main(["query", "red noise", "--store", str(place / "store")]) == 0
    assert r"caf\udce9.mp4" in capsys.readouterr().out
    assert r"caf\udce9.mp4" in (place / "store" / "gallery.html").read_text(encoding="utf-8")


def test_a_file_in_place_of_the_store_is_told_before_the_model_is_loaded(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "store").write_text("a file")
    monkeypatch.setattr(VideoEmbedder, "of", None)
    with pytest.raises(SystemExit, match="2"):
        index(place)
    assert "cannot write into" in capsys.readouterr().err


def test_a_listed_file_that_is_missing_does_not_stop_the_others(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    videos = [str(place / "videos" / "0 & <more>.mp4"), str(place / "videos" / "gone.mp4")]
    summary = build_index(place / "store", videos, load_run_config(place / "config.yaml"), "")
    assert summary.embedded == 1
    assert [(Path(video.path).name, video.error) for video in summary.failed] == [
        ("gone.mp4", "there is no such file")
    ]


def test_a_name_of_the_zoo_stays_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "best.pt").touch()
    monkeypatch.chdir(tmp_path)
    assert place_of("best.pt") == str(tmp_path / "best.pt")
    assert (place_of("dist-ssv2-vit-b16-8+16f"), place_of("")) == ("dist-ssv2-vit-b16-8+16f", "")


def test_an_index_finds_its_model_from_any_folder(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "sizes.json").write_text(json.dumps(TINY_ARCHITECTURES["tiny-test"]))
    text = CONFIG.replace("WEIGHTS", "clip.pt").replace("tiny-test", "sizes.json")
    (place / "config.yaml").write_text(text)
    monkeypatch.chdir(place)
    assert index(place) == index(place) == 1
    monkeypatch.chdir(place / "videos")
    assert len(open_index(place / "store").search("red noise", 3)) == 3


def test_a_second_run_embeds_only_what_changed(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index(place)
    first = open_index(place / "store")
    assert index(place) == 1
    assert "0 videos embedded, 5 kept, 0 forgotten" in capsys.readouterr().out
    videos = sorted((place / "videos").glob("[0-9]*.mp4"))
    videos[0].unlink()
    shutil.copy(videos[2], videos[1])
    shutil.copy(videos[3], place / "videos" / "new.mp4")
    (place / "videos" / "broken.mp4").unlink()
    assert index(place) == 0
    assert "2 videos embedded, 3 kept, 1 forgotten" in capsys.readouterr().out
    second = open_index(place / "store")
    named = {Path(video.path).name: row for row, video in enumerate(second.videos)}
    assert len(named) == 5 and videos[0].name not in named
    features = second.features["video"]
    torch.testing.assert_close(features[named["new.mp4"]], features[named[videos[3].name]])
    before = {Path(video.path).name: row for row, video in enumerate(first.videos)}
    kept = videos[4].name
    assert torch.equal(features[named[kept]], first.features["video"][before[kept]])
    assert len(list((place / "store" / "pictures").glob("*.jpg"))) == 5
    assert len(list((place / "store").glob("features-*"))) == 1


def test_search_is_the_cosine(place: Path) -> None:
    index(place)
    opened = open_index(place / "store")
    clip = opened.embedder.network.model.clip
    text = torch.nn.functional.normalize(clip.encode_text(clip.tokenize(["blue"], 12)), dim=-1)
    expected = torch.nn.functional.normalize(opened.features["video"], dim=-1) @ text[0]
    matches = opened.search("blue", 9)
    assert [match.similarity for match in matches] == pytest.approx(
        sorted(expected.tolist(), reverse=True), abs=1e-6
    )


@pytest.mark.parametrize("text", ["", "  "])
def test_an_empty_query_is_an_error(place: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    with pytest.raises(SystemExit) as stop:
        retrieval.main(["query", text, "--store", str(place / "store")])
    assert stop.value.code == 2
    assert "the query is empty" in capsys.readouterr().err


def test_a_folder_without_an_index_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        retrieval.main(["query", "a dog", "--store", str(tmp_path)])
    assert stop.value.code == 2
    assert "is no index" in capsys.readouterr().err


def test_the_index_of_another_model_is_left_alone(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index(place)
    described = json.loads((place / "store" / "videos.json").read_text())
    described["model"]["sha256"] = "of another"
    (place / "store" / "videos.json").write_text(json.dumps(described))
    with pytest.raises(SystemExit):
        index(place)
    assert "index of another model" in capsys.readouterr().err


def test_an_index_holds_features_that_were_made_alike(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index(place)
    config = place / "store" / "config.yaml"
    config.write_text(config.read_text().replace("TEST_SCALE: 32", "TEST_SCALE: 64"))
    with pytest.raises(SystemExit):
        index(place)
    said = " ".join(capsys.readouterr().err.split())
    assert "made with other settings (DATA.TEST_SCALE was 64, now 32)" in said


def test_untrained_weights_are_not_indexed(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "index",
        str(place / "videos"),
        "--store",
        str(place / "store"),
        "--cfg",
        str(place / "config.yaml"),
    ]
    with pytest.raises(SystemExit):
        retrieval.main([*words, "--set", "MODEL.NAME", "stan", "--set", "VIDEO.BACKBONE.STAN.DEPTH", "1"])
    assert "--checkpoint" in capsys.readouterr().err


def test_evaluate_ranks_a_data_set(place: Path) -> None:
    names = sorted(path.name for path in (place / "videos").glob("[0-9]*.mp4"))
    rows = [f'"{name}",noise {number}' for number, name in enumerate(names)]
    (place / "videos" / "val.csv").write_text("\n".join(["path,caption", *rows]) + "\n")
    settings = {"TEST.DATASET": "csv", "DATA.DATA_ROOT_DIR": str(place / "videos")}
    settings |= {"DATA_LOADER.NUM_WORKERS": "0", "OUTPUT_DIR": str(place / "run")}
    words = [word for key, value in settings.items() for word in ("--set", key, value)]
    assert retrieval.main(["evaluate", "--cfg", str(place / "config.yaml"), *words]) == 0
    table = (place / "run" / "results.md").read_text()
    assert "| text → video |" in table and "5 texts, 5 videos" in table
    assert len((place / "run" / "ranks.csv").read_text().splitlines()) == 6
