"""Videos in tar shards are read like videos in a folder."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

pytest.importorskip("webdataset", reason="the extra `remote` is not installed")
fsspec = pytest.importorskip("fsspec", reason="the extra `remote` is not installed")

from datasets.decoding import VideoReadError, open_video  # noqa: E402
from datasets.preparation.sharding import write_shards  # noqa: E402
from datasets.remote import FileCache  # noqa: E402
from datasets.shards import INDEX, ShardSource, read_index  # noqa: E402
from tests.datasets.decoding.numbered import numbers_in, write_numbered_video  # noqa: E402
from tests.utils.loopback import Served, serve  # noqa: E402

PATHS = ["jump (1)/a.b.mp4", "jump (1)/c.mp4", "d.mp4"]


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Three videos of 3, 4 and 5 frames, two shards."""
    root, target = tmp_path / "videos", tmp_path / "shards"
    (root / "jump (1)").mkdir(parents=True)
    for number, path in enumerate(PATHS):
        write_numbered_video(root / path, 3 + number)
    size = (root / PATHS[0]).stat().st_size
    assert write_shards(str(root), PATHS, str(target), max_bytes=int(size * 2.5)).problems == {}
    return target


def source_of(root: str, cache: Path) -> ShardSource:
    index = read_index(root)
    assert index is not None
    source = ShardSource(root, index, open_video, FileCache(str(cache), 10**9, pause=0.0))
    return pickle.loads(pickle.dumps(source))  # type: ignore[no-any-return]


def test_every_video_comes_out_of_its_shard(shards: Path, tmp_path: Path) -> None:
    assert sorted(path.name for path in shards.iterdir()) == [
        "copied.csv",
        "shard-000000.tar",
        "shard-000001.tar",
        INDEX,
    ]
    source = source_of(str(shards), tmp_path / "cache")
    for number, path in enumerate(PATHS):
        with source(path) as reader:
            assert numbers_in(reader.get_frames(range(reader.frame_count))) == list(range(3 + number))


def test_a_shard_is_read_once(shards: Path, tmp_path: Path) -> None:
    source = source_of(str(shards), tmp_path / "cache")
    source(PATHS[0]).close()
    (shards / "shard-000000.tar").unlink()
    with source(PATHS[1]) as reader:
        assert reader.frame_count == 4


def test_rewritten_shards_give_new_videos(shards: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    source_of(str(shards), cache)(PATHS[2]).close()
    write_numbered_video(tmp_path / "videos" / PATHS[2], 8)
    write_shards(str(tmp_path / "videos"), PATHS, str(shards))
    with source_of(str(shards), cache)(PATHS[2]) as reader:
        assert reader.frame_count == 8


def test_remote_shards_that_were_replaced_give_new_videos(shards: Path, tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    for frames in (5, 9):
        write_numbered_video(tmp_path / "videos" / PATHS[2], frames)
        write_shards(str(tmp_path / "videos"), PATHS, str(shards))
        for path in shards.iterdir():
            memory.pipe(f"/shards/{path.name}", path.read_bytes())
        with source_of("memory://shards", tmp_path / "cache")(PATHS[2]) as reader:
            assert reader.frame_count == frames
    memory.store.clear()


def test_two_projects_with_equal_names_share_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for project, frames in (("first", 3), ("second", 6)):
        folder = tmp_path / project
        (folder / "videos").mkdir(parents=True)
        write_numbered_video(folder / "videos" / "a.mp4", frames)
        monkeypatch.chdir(folder)
        write_shards("videos", ["a.mp4"], "shards")
        shard = folder / "shards" / "shard-000000.tar"
        with shard.open("ab") as file:  # equal in size and date, too
            file.truncate(1_000_000)
        os.utime(shard, (0, 0))
        with source_of("shards", tmp_path / "cache")("a.mp4") as reader:
            assert reader.frame_count == frames


def test_shards_may_be_remote(shards: Path, tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    for path in shards.iterdir():
        memory.pipe(f"/shards/{path.name}", path.read_bytes())
    with source_of("memory://shards", tmp_path / "cache")(PATHS[2]) as reader:
        assert reader.frame_count == 5
    memory.store.clear()


def test_an_index_that_does_not_come_at_once_is_not_taken_for_none(shards: Path) -> None:
    pytest.importorskip("aiohttp", reason="fsspec reads http through aiohttp")
    served = Served((shards / INDEX).read_bytes(), faults=["status:503", "status:503"], ranges=False)
    with serve({f"/shards/{INDEX}": served}) as server:
        assert list(read_index(f"{server.address}/shards", pause=0.0) or {}) == PATHS
        assert read_index(f"{server.address}/elsewhere", pause=0.0) is None
    with pytest.raises(ValueError, match=r"shards\.csv.*4 attempts failed, the last with .*Cannot connect"):
        read_index(f"{server.address}/shards", pause=0.0)


def test_what_is_missing_is_named(shards: Path, tmp_path: Path) -> None:
    source = source_of(str(shards), tmp_path / "cache")
    with pytest.raises(VideoReadError, match=r"e\.mp4.*no shard holds it"):
        source("e.mp4")
    (shards / "shard-000001.tar").unlink()
    with pytest.raises(VideoReadError, match=r"shard-000001\.tar/d\.mp4.*no such file"):
        source("d.mp4")
    (shards / INDEX).unlink()
    assert read_index(str(shards)) is None


def test_a_shard_cut_short_is_an_error(shards: Path, tmp_path: Path) -> None:
    shard = shards / "shard-000000.tar"
    shard.write_bytes(shard.read_bytes()[:1500])
    with pytest.raises(VideoReadError, match="4 attempts failed"):
        source_of(str(shards), tmp_path / "cache")(PATHS[1])
