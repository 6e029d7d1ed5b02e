"""runs/inference/zero_shot_job.py on the real split files: the published counts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from datasets.preparation.sharding import write_shards
from runs.cli import Invocation
from runs.config import resolve_run_config
from runs.inference.zero_shot_evaluation import join_runs
from runs.inference.zero_shot_job import choose_protocol
from utils.config import ConfigError

RECIPES = Path(__file__).resolve().parents[3] / "configs" / "projects" / "dist"


class Options:
    """What the command line leaves at its defaults."""

    protocol: str | None = None
    video_list = ""
    draws = 10


def protocol_of(recipe: str, folder: Path, pairs: Sequence[str] = (), **options: Any) -> Any:
    config = resolve_run_config(RECIPES / recipe, ["DATA.ANNO_DIR", str(folder), *pairs]).config
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


@pytest.mark.parametrize("protocol", ["full", "half-classes", "base-to-novel", "test-list"])
def test_verbs_and_nouns_are_no_single_set_of_classes(shared: Path, protocol: str) -> None:
    folder = shared / "data" / "annotations" / "epic100"
    with pytest.raises(ConfigError, match=r"TEST\.DATASET.*epic100 has 2 heads"):
        protocol_of("epic100/vit-b16-8+16f.yaml", folder, protocol=protocol)


@pytest.fixture
def two_classes(tmp_path: Path) -> Path:
    """UCF101's three official splits with two classes of one's own, and their videos in shards."""
    pytest.importorskip("webdataset", reason="the extra `remote` is not installed")
    videos = ["Own/v_Own_g01_c01.avi", "Other/v_Other_g01_c01.avi"]
    for path in videos:
        (tmp_path / "videos" / path).parent.mkdir(parents=True)
        (tmp_path / "videos" / path).write_bytes(b"video")
    write_shards(str(tmp_path / "videos"), videos, str(tmp_path / "shards"))
    for fold in (1, 2, 3):
        (tmp_path / f"testlist0{fold}.txt").write_text("\n".join(videos))
        (tmp_path / f"trainlist0{fold}.txt").write_text(f"{videos[0]} 1\n")
    (tmp_path / "names.txt").write_text("Own\nOther\n")
    return tmp_path


@pytest.mark.parametrize("protocol", ["3-splits", "full", "half-classes"])
def test_official_splits_of_sharded_videos_with_class_names_of_one_s_own(
    two_classes: Path, protocol: str
) -> None:
    pairs = ["DATA.DATA_ROOT_DIR", str(two_classes / "shards"), "DATA.CLASS_NAMES", "names.txt"]
    recipe = "zero_shot/ucf101-vit-b16-32+64f.yaml"
    runs = protocol_of(recipe, two_classes, pairs, protocol=protocol).runs
    names = {run.class_names[0] for run in runs}
    assert names == {("Own", "Other")} or names <= {("Own",), ("Other",)}
    assert all(record.path.startswith(("Own/v_", "Other/v_")) for run in runs for record in run.records)


@pytest.mark.parametrize(
    ("dataset", "key"),
    [("hmdb51", "DATA.TEST_LIST"), ("k600", "DATA.TEST_LIST"), ("k600", "DATA.CLASS_NAMES")],
)
def test_what_a_protocol_fixes_cannot_be_set(tmp_path: Path, dataset: str, key: str) -> None:
    with pytest.raises(ConfigError, match=rf"{key}.*the protocol 3-splits of {dataset} has"):
        protocol_of(f"zero_shot/{dataset}-vit-b16-32+64f.yaml", tmp_path, [key, "mine.txt"])
