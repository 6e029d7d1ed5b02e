"""All benchmarks in one command: what it calls, and what it says of files that are not there."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import pytest

from runs.benchmark import main
from runs.benchmarks import data, everything, model, train


def test_the_others_run_with_their_own_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[tuple[str, argparse.Namespace]] = []

    def noted(name: str, options: argparse.Namespace) -> int:
        called.append((name, options))
        return 0

    for module in (model, train, data):
        monkeypatch.setattr(module, "run", partial(noted, module.__name__.rsplit(".", 1)[-1]))
    parser = argparse.ArgumentParser()
    everything.add_options(parser)
    options = parser.parse_args(["a.mp4", "--quick", "--output", str(tmp_path)])
    assert everything.run(options) == 0
    assert [name for name, _ in called] == ["model", "train", "data"]
    assert called[0][1].quick and called[2][1].videos == ["a.mp4"]


def test_a_missing_video_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["data", "nowhere.mp4"])
    assert "nowhere.mp4: there is no such file" in capsys.readouterr().err


def test_a_video_that_cannot_be_read_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"this is no video")
    for more, told in (([], "error: cannot read video"), (["--decoder", "x"], "unknown decoder 'x'")):
        with pytest.raises(SystemExit, match="2"):
            main(["data", str(tmp_path / "bad.mp4"), "--variants", "decode only", *more])
        assert told in capsys.readouterr().err


def test_a_device_that_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["train", "--methods", "DiST", "--device", "gpu", "--output", str(tmp_path)])
    assert "device 'gpu' cannot be used" in capsys.readouterr().err
