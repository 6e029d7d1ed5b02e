"""runs/predict.py as a command: formats, drawings, exit codes, and one clear line for what is wrong."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import av
import pytest
from PIL import Image

from datasets.decoding import opening
from models.heads import LinearHead, Recognizer
from runs import predict
from runs.api import load_model
from runs.export import main as export
from runs.inference import prediction
from runs.inference.releasing import save_release
from runs.inference.results import VideoResult
from runs.predict import main
from tests.runs.inference.tiny import tuned_clip, write_noise, write_release

ROOT = Path(__file__).resolve().parents[2]
WORDS = ["--classes", "a cat, a dog, a bird", "--device", "cpu"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.pyth"
    write_release(path)
    return path


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    write_noise(folder / "one.mp4", frames=20, seed=1)
    write_noise(folder / "two.mp4", frames=45, seed=2)
    return folder


@pytest.fixture
def with_broken(videos: Path, tmp_path: Path) -> list[str]:
    (tmp_path / "broken.mp4").write_bytes(b"this is no video")
    return [str(videos / "one.mp4"), str(tmp_path / "broken.mp4"), str(videos / "two.mp4")]


def test_a_folder_as_json(videos: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(videos), "--model", str(model), *WORDS, "--format", "json", "--top", "2"]) == 0
    results = json.loads(capsys.readouterr().out)
    assert [Path(result["path"]).name for result in results] == ["one.mp4", "two.mp4"]
    assert [len(result["predictions"]) for result in results] == [2, 2]
    assert results[1]["seconds"] == pytest.approx(4.5)


def test_a_bad_file_is_one_line_of_the_result(
    with_broken: list[str], model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*with_broken, "--model", str(model), *WORDS]) == 1
    lines = capsys.readouterr().out.splitlines()
    broken = lines.index(with_broken[1])
    assert lines[broken + 1].startswith("  could not be read: ")
    assert lines[broken + 2] == with_broken[2]  # and the next video follows


def test_csv_into_a_file(with_broken: list[str], model: Path, tmp_path: Path) -> None:
    output = tmp_path / "new" / "out.csv"
    assert (
        main([*with_broken, "--model", str(model), *WORDS, "--format", "csv", "--output", str(output)]) == 1
    )
    rows = list(csv.DictReader(output.open()))
    assert len(rows) == 3 + 1 + 3
    assert sum(float(row["score"]) for row in rows[:3]) == pytest.approx(1, abs=1e-5)
    assert rows[3]["error"] and not rows[3]["label"]


def test_a_long_video_as_a_timeline_with_drawings(
    videos: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--window", "2", "--stride", "1", "--save", str(tmp_path / "drawn"), "--format", "json"]
    assert main([str(videos / "two.mp4"), "--model", str(model), *WORDS, *arguments]) == 0
    (result,) = json.loads(capsys.readouterr().out)
    assert [window["start"] for window in result["windows"]] == [0.0, 1.0, 2.0, 2.5]
    mean = sum(window["predictions"][0]["score"] for window in result["windows"]) / 4
    assert result["predictions"][0]["score"] <= mean + 1e-6
    assert Image.open(tmp_path / "drawn" / "two_timeline.png").width > 800
    with av.open(str(tmp_path / "drawn" / "two.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 45


def test_a_contact_sheet(videos: Path, model: Path, tmp_path: Path) -> None:
    arguments = ["--save", str(tmp_path), "--save-as", "sheet"]
    assert main([str(videos / "one.mp4"), "--model", str(model), *WORDS, *arguments]) == 0
    assert Image.open(tmp_path / "one.png").size[0] == 4 * 320
    assert [path.name for path in tmp_path.iterdir()] == ["one.png"]


def test_no_drawing_takes_the_place_of_a_file_that_is_none(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "drawn").mkdir()
    mine = write_noise(tmp_path / "mine" / "one.mp4", frames=12)
    (tmp_path / "drawn" / "link.mp4").symlink_to(mine)
    original = mine.read_bytes()
    monkeypatch.chdir(mine.parent)
    known = ["--model", str(model), *WORDS]
    assert "one of the videos" in bad(["one.mp4", *known, "--save", "."], capsys)
    assert "one of the videos" in bad(["../drawn/link.mp4", *known, "--save", "../drawn"], capsys)
    assert "one of the inputs" in bad(["one.mp4", *known, "--output", "../mine/one.mp4"], capsys)
    for other in ("other.png", "other.mp4", "other_timeline.png"):
        (tmp_path / "drawn" / other).write_bytes(b"mine")
    write_noise(tmp_path / "other.mp4", frames=12)
    for more in ([], ["--save-as", "sheet"], ["--window", "9"]):
        text = bad(["../other.mp4", *known, "--save", "../drawn", *more], capsys)
        assert "was not drawn by this command" in text
    for more in ([], ["--save-as", "sheet", "--window", "9"]):
        for _ in ("drawn", "drawn anew"):
            assert main(["one.mp4", *known, "--save", "../new", *more]) == 0
    capsys.readouterr()
    assert "one of the videos" in bad(["../new/one.mp4", *known, "--save", "../new"], capsys)
    assert mine.read_bytes() == original


@pytest.fixture(scope="module")
def oddly_named(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video whose name is no UTF-8, as many from other systems are."""
    path = tmp_path_factory.mktemp("odd") / os.fsdecode(b"caf\xe9.mp4")
    shutil.copy(videos / "one.mp4", path)
    return path


def test_names_that_are_no_text_come_out_escaped(
    oddly_named: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = [str(oddly_named), "--model", str(model), *WORDS]
    for style in ("json", "csv", "table"):
        output = tmp_path / f"out.{style}"
        assert main([*known, "--format", style, "--output", str(output)]) == 0
        assert r"caf\udce9.mp4" in output.read_text(encoding="utf-8")
        assert main([*known, "--format", style]) == 0
        assert r"caf\udce9.mp4" in capsys.readouterr().out
    (result,) = json.loads((tmp_path / "out.json").read_text())
    assert result["path"] == str(oddly_named)
    drawn = ["--save", str(tmp_path / "drawn"), "--save-as", "sheet", "--window", "9"]
    assert main([*known, *drawn]) == 0
    assert len(list((tmp_path / "drawn").iterdir())) == 2


def test_what_is_known_when_interrupted_is_written(
    videos: Path,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def until_the_second(model: object, clips: object, path: str, question: object) -> VideoResult:
        if path.endswith("two.mp4"):
            raise KeyboardInterrupt
        return VideoResult(path)

    monkeypatch.setattr(prediction, "predict_video", until_the_second)
    assert main([str(videos), "--model", str(model), *WORDS, "--format", "json"]) == 130
    captured = capsys.readouterr()
    assert [Path(result["path"]).name for result in json.loads(captured.out)] == ["one.mp4"]
    assert "interrupted after 1 of 2 videos" in captured.err


def bad(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    errors = captured.err.strip()
    assert errors.count("error: ") == 1
    return " ".join(errors.split())


def test_bad_input_is_one_clear_message_each(
    videos: Path,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MODEL_ZOO_OFFLINE", "1")
    monkeypatch.setenv("MODEL_ZOO_DIR", str(tmp_path / "zoo"))
    (tmp_path / "empty").mkdir()
    damaged = tmp_path / "damaged.pyth"
    damaged.write_bytes(model.read_bytes()[:1000])
    one, known = str(videos / "one.mp4"), ["--model", str(model)]
    assert "no video files in this folder" in bad([str(tmp_path / "empty"), *known, *WORDS], capsys)
    assert "no such file or folder" in bad(["nowhere.mp4", *known, *WORDS], capsys)
    assert "in the zoo, and no such path" in bad([one, "--model", "no-such-model", *WORDS], capsys)
    assert "damaged, or no torch file" in bad([one, "--model", str(damaged), *WORDS], capsys)
    assert "at least two are needed" in bad([one, *known, "--classes", "a cat"], capsys)
    assert "name classes of your own" in bad([one, *known], capsys)
    assert "the network is forbidden" in bad([one, "--model", "dist-k400-vit-b16-8+16f"], capsys)
    for option in ("--save", "--output"):
        assert "cannot write into" in bad([one, *known, *WORDS, option, f"{damaged}/below/x"], capsys)
    decoder = [*WORDS, "--set", "DATA.DECODER", "torchcodec"]
    monkeypatch.setattr(opening, "reason_against", lambda name: "ImportError: not here")
    assert "DATA.DECODER torchcodec does not work here" in bad([one, *known, *decoder], capsys)
    monkeypatch.undo()
    assert "does not divide" not in bad([one, *known, *WORDS, "--device", "cuda:99"], capsys)
    assert [path.name for path in tmp_path.iterdir() if path.name not in ("empty", "damaged.pyth")] == []


def test_a_tuned_clip_is_not_fused_with_itself(
    videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    released = tmp_path / "tuned.safetensors"
    save_release(tuned_clip(tmp_path), released, class_names=[])
    arguments = ["--model", str(released), *WORDS, "--fusion"]
    assert main([str(videos / "one.mp4"), *arguments, "1"]) == 0
    capsys.readouterr()
    assert "no frozen CLIP in it to take 0.5" in bad([str(videos / "one.mp4"), *arguments, "0.5"], capsys)
    with pytest.raises(SystemExit):
        export([*arguments, "0.5", "--format", "torch", "--output", str(tmp_path / "graph.pt2")])
    assert "no frozen CLIP in it to take 0.5" in " ".join(capsys.readouterr().err.split())


def test_words_for_a_trained_classifier_are_refused(
    videos: Path, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded = load_model(model, device="cpu")
    network = Recognizer(loaded.model, [LinearHead(32, 2)])
    linear = replace(loaded, network=network, class_names=(("run", "jump"),))
    monkeypatch.setattr(predict, "load_model_of", lambda options: linear)
    known = [str(videos / "one.mp4"), "--model", str(model)]
    assert "leave out templates" in bad([*known, "--template", "a {}", "--fusion", "0"], capsys)
    assert "leave out the weight of the fusion" in bad([*known, "--fusion", "0"], capsys)
    assert main(known) == 0


def test_mistakes_are_told_without_torch(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from runs.predict import main\n"
        "main(['nowhere.mp4', '--model', 'clip-vit-b16', '--classes', 'a,b'])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and done.stderr.startswith("error: nowhere.mp4: no such file"), done.stderr


@pytest.mark.slow
def test_it_runs_as_a_script_from_anywhere(videos: Path, model: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(ROOT / "runs" / "predict.py"),
        str(videos / "one.mp4"),
        "--model",
        str(model),
    ]
    done = subprocess.run([*command, *WORDS], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == str(videos / "one.mp4")
    assert done.stderr == ""


@pytest.mark.parametrize("kind", ["half", "int8"])
def test_the_frozen_encoder_in_other_numbers(
    videos: Path, model: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    words = [str(videos / "one.mp4"), "--model", str(model), *WORDS, "--format", "json"]
    scores = []
    for more in ([], ["--frozen-precision", kind]):
        assert main([*words, *more]) == 0
        (result,) = json.loads(capsys.readouterr().out)
        scores.append({entry["label"]: entry["score"] for entry in result["predictions"]})
    exact, close = scores
    assert close != exact and close == pytest.approx(exact, abs=0.1)
