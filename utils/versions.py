"""What a run was made with: versions of Python, of packages that numbers depend on, of this project."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path

PACKAGES = ("torch", "torchvision", "open_clip_torch", "av", "torchcodec", "decord", "numpy", "einops")
CHECKOUT = Path(__file__).resolve().parents[1]


def versions() -> dict[str, str]:
    """Name and version of each, "absent" for a package that is not installed."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "absent"
    return {**found, "project": project_revision()}


def project_revision() -> str:
    """The checkout's commit, with "-dirty" when files differ from it; "unknown" outside of git."""
    command = ["git", "-C", str(CHECKOUT), "describe", "--always", "--dirty", "--abbrev=12", "--match=v*"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return answer.stdout.strip()
