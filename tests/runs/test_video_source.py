"""Where a run's videos come from, as its configuration says."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from datasets.annotations.video_paths import ShardedRoot
from datasets.preparation.journal import write_bad_list
from datasets.preparation.sharding import write_shards
from datasets.records import AnnotatedSplit, VideoRecord
from runs.build_data import load_test_split
from runs.config import RunConfig
from runs.video_source import (
    build_video_source,
    known_bad_videos,
    video_root,
    with_known_bad_noted,
    without_known_bad,
)
from tests.datasets.decoding.numbered import numbers_in, write_numbered_video
from utils.config import ConfigError


def config_with(**data: object) -> RunConfig:
    config = RunConfig()
    return replace(config, data=replace(config.data, **data))  # type: ignore[arg-type]


def test_a_folder_of_videos(tmp_path: Path) -> None:
    write_numbered_video(tmp_path / "a.mp4", 4)
    source = pickle.loads(pickle.dumps(build_video_source(config_with(data_root_dir=str(tmp_path)))))
    assert source.cache is None
    with source("a.mp4") as reader:
        assert numbers_in(reader.get_frames([3])) == [3]


def test_a_url_gets_a_cache_of_the_size_that_is_set(tmp_path: Path) -> None:
    config = config_with(data_root_dir="memory://v", cache_dir=str(tmp_path), cache_size_gb=0.5)
    cache = build_video_source(config).cache
    assert cache is not None
    assert (cache.folder, cache.max_bytes) == (str(tmp_path), 500_000_000)


def test_damaged_videos_are_salvaged_where_that_is_asked_for(tmp_path: Path) -> None:
    write_numbered_video(tmp_path / "a.mp4", 30, options={"bf": "0", "qp": "1"}, faststart=True)
    (tmp_path / "a.mp4").write_bytes((tmp_path / "a.mp4").read_bytes()[:-50])
    source = build_video_source(config_with(data_root_dir=str(tmp_path), salvage_damaged=True))
    with source("a.mp4") as reader:
        assert 0 < reader.frame_count < 30


def test_salvaging_needs_pyav() -> None:
    pytest.importorskip("decord")
    with pytest.raises(ConfigError, match=r"DATA\.SALVAGE_DAMAGED"):
        build_video_source(config_with(salvage_damaged=True, decoder="decord"))


def test_the_bad_list_is_left_out_of_training(tmp_path: Path) -> None:
    write_bad_list(str(tmp_path / "bad.csv"), {"a.mp4": "empty"})
    config = config_with(exclude_list=str(tmp_path / "bad.csv"))
    split = AnnotatedSplit("csv", "train", (VideoRecord("a.mp4", (0,)), VideoRecord("b.mp4", (0,))))
    assert [record.path for record in without_known_bad(config, split).records] == ["b.mp4"]
    assert without_known_bad(config_with(), split) is split
    own = replace(config, data=replace(config.data, data_root_dir=str(tmp_path / "videos")))
    absolute = [VideoRecord(f"{tmp_path}/videos/{name}.mp4", (0,)) for name in "ab"]
    left = without_known_bad(own, replace(split, records=absolute))
    assert list(left.records) == absolute[1:]
    noted = with_known_bad_noted(own, replace(split, records=absolute))
    assert "1 of 2 videos count as missing" in noted.notes[-1]


def test_a_bad_list_that_is_none_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"DATA\.EXCLUDE_LIST"):
        known_bad_videos(config_with(exclude_list=str(tmp_path / "missing.csv")))


def test_shards_are_recognised_by_their_index(tmp_path: Path) -> None:
    pytest.importorskip("webdataset")
    (tmp_path / "videos").mkdir()
    write_numbered_video(tmp_path / "videos" / "a.mp4", 4)
    write_shards(str(tmp_path / "videos"), ["a.mp4"], str(tmp_path / "shards"))
    config = config_with(data_root_dir=str(tmp_path / "shards"), cache_dir=str(tmp_path / "cache"))
    assert video_root(config) == ShardedRoot(str(tmp_path / "shards"), ("a.mp4",))
    assert video_root(config_with(data_root_dir=str(tmp_path / "videos"))) == str(tmp_path / "videos")
    with build_video_source(config)("a.mp4") as reader:
        assert numbers_in(reader.get_frames([3])) == [3]


def test_a_list_s_paths_lead_into_shards_as_into_a_folder(tmp_path: Path) -> None:
    pytest.importorskip("webdataset")
    (tmp_path / "videos" / "jump").mkdir(parents=True)
    for path in ("jump/a.mp4", "b.webm"):
        codec = "libvpx" if path.endswith("webm") else "libx264"
        write_numbered_video(tmp_path / "videos" / path, 4, codec)
    write_shards(str(tmp_path / "videos"), ["jump/a.mp4", "b.webm"], str(tmp_path / "shards"))
    (tmp_path / "test.csv").write_text("path,label\na,jump\nb.avi,run\nc.mp4,run\n")
    for root in ("videos", "shards"):
        config = config_with(
            data_root_dir=str(tmp_path / root), anno_dir=str(tmp_path), cache_dir=str(tmp_path / "cache")
        )
        split = load_test_split(replace(config, test=replace(config.test, dataset="csv")))
        assert [record.path for record in split.records] == ["jump/a.mp4", "b.webm", "c.mp4"]
        assert split.missing == ("c.mp4",)
        source = build_video_source(config)
        for record in split.records[:2]:
            with source(record.path) as reader:
                assert numbers_in(reader.get_frames([3])) == [3]
