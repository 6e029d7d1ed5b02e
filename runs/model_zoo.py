"""Writes MODEL_ZOO.md from models/zoo.yaml.

python runs/model_zoo.py [--check]
"""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from utils.stopping import leave_on_interrupt

    leave_on_interrupt()

import argparse
from collections.abc import Sequence

from models.zoo import zoo_models
from models.zoo_page import zoo_page

PAGE_PATH = Path(__file__).resolve().parents[1] / "MODEL_ZOO.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = argparse.ArgumentParser(description="Writes MODEL_ZOO.md from models/zoo.yaml.")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail when the page is out of date"
    )
    options = parser.parse_args(arguments)
    page = zoo_page(zoo_models())
    if options.check:
        if not PAGE_PATH.is_file() or PAGE_PATH.read_text(encoding="utf-8") != page:
            print(f"error: {PAGE_PATH.name} is out of date; run `python runs/model_zoo.py`", file=sys.stderr)
            return 1
        return 0
    PAGE_PATH.write_text(page, encoding="utf-8")
    print(f"wrote {PAGE_PATH}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
