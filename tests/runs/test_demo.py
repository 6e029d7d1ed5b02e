"""`runs/demo.py --quick` from one end to the other, and again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def demo(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return subprocess.run(
        [sys.executable, "runs/demo.py", "--quick", "--to", str(folder)],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=240,
    )


def test_the_quick_demo_writes_everything_and_does_nothing_twice(tmp_path: Path) -> None:
    first = demo(tmp_path / "demo")
    assert first.returncode == 0, first.stdout + first.stderr
    summary = json.loads((tmp_path / "demo" / "summary.json").read_text())
    assert {
        "frozen_clip_appearance_top1",
        "order_blind_motion_top1",
        "dist_motion_top1",
        "seconds",
        "peak_memory_gb",
    } <= summary.keys()
    assert summary["test_clips"] == 16
    assert (tmp_path / "demo" / "contact_sheet.png").stat().st_size > 10_000
    for picture in ("learning_curve.png", "confusion_matrix.png"):
        assert (tmp_path / "demo" / "dist" / picture).exists()
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]
    second = demo(tmp_path / "demo")
    assert second.returncode == 0, second.stdout + second.stderr
    assert "0 clips written" in second.stdout
    assert "nothing is left to do" in second.stdout
