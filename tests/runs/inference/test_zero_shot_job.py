"""runs/inference/zero_shot_job.py on the real split files: the published counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from runs.cli import Invocation
from runs.config import resolve_run_config
from runs.inference.zero_shot_evaluation import join_runs
from runs.inference.zero_shot_job import choose_protocol

RECIPES = Path(__file__).resolve().parents[3] / "configs" / "projects" / "dist"


class Options:
    """What the command line leaves at its defaults."""

    protocol: str | None = None
    video_list = ""
    draws = 10


def protocol_of(recipe: str, folder: Path, **options: Any) -> Any:
    config = resolve_run_config(RECIPES / recipe, ["DATA.ANNO_DIR", str(folder)]).config
    chosen = Options()
    vars(chosen).update(options)
    return choose_protocol(Invocation(config, {}, cast(Any, chosen), "test"))


@pytest.mark.parametrize(
    ("dataset", "folder", "options", "counts", "classes"),
    [
        ("hmdb51", "hmdb51/testTrainMulti_7030_splits", {}, (1530, 1530, 1530), 51),
        ("ucf101", "ucf101/ucfTrainTestlist", {}, (3783, 3734, 3696), 101),
        ("k600", "k600", {"video_list": "eval"}, (14084, 13978, 14136), 160),
        ("k600", "k600", {"video_list": "exist"}, (14119, 14067, 14161), 160),
        ("hmdb51", "hmdb51/testTrainMulti_7030_splits", {"protocol": "full"}, (6766,), 51),
        ("ucf101", "ucf101/ucfTrainTestlist", {"protocol": "full"}, (13320,), 101),
    ],
)
def test_counts_of_the_published_protocols(
    shared: Path, dataset: str, folder: str, options: dict[str, str], counts: tuple[int, ...], classes: int
) -> None:
    recipe = f"zero_shot/{dataset}-vit-b16-32+64f.yaml"
    protocol = protocol_of(recipe, shared / "data" / "annotations" / folder, **options)
    assert protocol.counts == counts
    assert {run.num_classes for run in protocol.runs} == {(classes,)}
    joined = join_runs(protocol)
    assert max(counts) <= len(joined.videos) <= sum(counts)
    assert str(counts[0]) in protocol.title


def test_base_and_novel_halves(shared: Path) -> None:
    folder = shared / "data" / "annotations" / "hmdb51" / "testTrainMulti_7030_splits"
    recipe = "base_to_novel/hmdb51-vit-b16-16+32f.yaml"
    protocol = protocol_of(recipe, folder, protocol="base-to-novel")
    assert [(run.split, len(run), run.num_classes) for run in protocol.runs] == [
        ("base", 780, (26,)),
        ("novel", 750, (25,)),
    ]
