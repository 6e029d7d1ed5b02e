"""runs/extract.py as a command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from runs.api import embed, load_model, read_clip
from runs.extract import main
from runs.inference import extraction
from runs.inference.embedding_store import EmbeddingStore, stored_ids
from tests.runs.inference.tiny import write_noise, write_release


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.pyth"
    write_release(path)
    return path


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for number in range(3):
        write_noise(folder / f"{number}.mp4", frames=12 + number, seed=number)
    (folder / "1b.mp4").write_bytes(b"this is no video")
    return folder


def test_rows_are_the_models_embeddings(
    videos: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.safetensors"
    assert main([str(videos), "--model", str(model), "--output", str(output), "--views", "2"]) == 1
    captured = capsys.readouterr()
    assert captured.out == f"{output}: 3 videos, 1 failed\n"
    assert captured.err.startswith(f"{videos / '1b.mp4'}: could not be read: ")
    arrays, ids = load_file(output), stored_ids(output)
    assert ids == [str(videos / f"{number}.mp4") for number in range(3)]
    assert arrays["frames"].shape == (3, 4, 32)
    loaded = load_model(model)
    for row, path in enumerate(ids):
        features = embed(loaded, read_clip(path, loaded, views=2))
        np.testing.assert_allclose(arrays["video"][row], features.video.mean(0), atol=1e-5)
        np.testing.assert_allclose(arrays["frames"][row], features.frames[0], atol=1e-5)


def test_an_interrupted_run_goes_on(
    videos: Path,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = [str(videos), "--model", str(model), "--output", str(tmp_path / "out.safetensors")]
    read: list[str] = []

    def embed_until_interrupted(*arguments: object) -> object:
        if len(read) == 2:
            raise KeyboardInterrupt
        read.append("video")
        return embed(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(extraction, "embed", embed_until_interrupted)
    assert main(command) == 130
    assert "the same command goes on" in capsys.readouterr().err
    monkeypatch.setattr(extraction, "embed", embed)
    with pytest.raises(SystemExit):  # one file, one precision
        main([*command, "--precision", "bf16"])
    assert "precision" in capsys.readouterr().err
    with pytest.raises(SystemExit):  # nor two networks in one file
        main([*command, "--set", "VIDEO.BACKBONE.AIM.ADAPTER_SCALE", "9.0"])
    assert "other settings (network)" in " ".join(capsys.readouterr().err.split())
    assert main(command) == 1
    assert "2 of 4 videos are done already" in capsys.readouterr().err
    assert len(stored_ids(tmp_path / "out.safetensors")) == 3
    with pytest.raises(SystemExit):
        main(command)
    assert "is there already" in capsys.readouterr().err


def test_a_file_holds_the_inputs_of_the_last_command_alone(
    videos: Path,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "out.safetensors"
    command = ["--model", str(model), "--output", str(output)]

    def interrupted(store: EmbeddingStore, _: object) -> object:
        store.flush()
        raise KeyboardInterrupt

    first, second = str(videos / "0.mp4"), str(videos / "1.mp4")
    with monkeypatch.context() as patched:
        patched.setattr(EmbeddingStore, "finish", interrupted)
        with pytest.raises(SystemExit, match="130"):
            main([first, *command])
    assert main([second, *command]) == 0
    assert stored_ids(output) == [second]
    assert "1 videos that are done are not among the inputs: left out" in capsys.readouterr().err


def test_without_one_readable_video_nothing_is_written(
    videos: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.safetensors"
    assert main([str(videos / "1b.mp4"), "--model", str(model), "--output", str(output)]) == 1
    assert "no video gave an embedding" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
