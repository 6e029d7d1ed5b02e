"""runs/download.py as a command: what it prints, and its exit code."""

import subprocess
import sys
from pathlib import Path

import pytest

from runs.download import main

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def zoo_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("MODEL_ZOO_DIR", str(tmp_path / "zoo"))
    monkeypatch.setenv("MODEL_ZOO_OFFLINE", "1")
    monkeypatch.delenv("MODEL_ZOO_MIRROR", raising=False)
    return tmp_path / "zoo"


def test_list_marks_what_is_here(zoo_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    zoo_folder.mkdir()
    (zoo_folder / "ViT-B-16.pt").write_bytes(b"")
    assert main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line.endswith("here")] == ["clip-vit-b16"]


def test_a_wrong_name_and_a_missing_network_are_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["no-such-model"]) == 2
    assert main(["dist-ssv2-vit-b16-8+16f"]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert [error.partition(":")[0] for error in errors] == ["error", "error"]


def test_an_interrupted_download_says_how_to_go_on() -> None:
    code = """if True:
        import os, signal, sys
        from utils.stopping import leave_on_interrupt
        leave_on_interrupt()
        import runs.download
        runs.download.download_model = lambda *_, **__: os.kill(os.getpid(), signal.SIGINT)
        sys.exit(runs.download.main(["clip-vit-b16"]))
    """
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert found.returncode == 130
    assert "clip-vit-b16: interrupted; the same command resumes it" in found.stderr


def test_all_goes_on_after_a_failure_and_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "dist-k400-vit-b16-8+16f.pyth").write_bytes(b"weights")
    monkeypatch.setenv("MODEL_ZOO_MIRROR", str(mirror))
    assert main(["--all", "--to", str(tmp_path / "to")]) == 1
    captured = capsys.readouterr()
    assert [path.name for path in (tmp_path / "to").iterdir() if path.suffix == ".pyth"] == [
        "dist-k400-vit-b16-8+16f.pyth"
    ]
    assert captured.out.startswith("downloaded ")
    assert "13 of 14 not obtained" in captured.err


def test_it_runs_as_a_script_from_anywhere(tmp_path: Path) -> None:
    script = str(ROOT / "runs" / "download.py")
    done = subprocess.run(
        [sys.executable, script, "--list"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "dist-ssv2-vit-b16-8+16f" in done.stdout
