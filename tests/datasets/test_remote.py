"""Remote videos: fetched once, whole, with retries, into a cache that stays within its bound."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

fsspec = pytest.importorskip("fsspec", reason="the extra `remote` is not installed")

from datasets.decoding import VideoReadError, open_video  # noqa: E402
from datasets.remote import FileCache, RemoteError, VideoSource, default_cache_folder, state_of  # noqa: E402
from tests.datasets.decoding.numbered import numbers_in, write_numbered_video  # noqa: E402
from tests.utils.loopback import Served, serve  # noqa: E402


@pytest.fixture
def memory() -> Iterator[Any]:
    """fsspec's file system in memory, empty."""
    filesystem = fsspec.filesystem("memory")
    filesystem.store.clear()
    yield filesystem
    filesystem.store.clear()


def cache_in(folder: Path, max_bytes: int = 10**9, keep_seconds: float = 60.0) -> FileCache:
    return FileCache(str(folder), max_bytes, pause=0.0, keep_seconds=keep_seconds)


def kept(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_a_remote_video_is_read_like_a_local_one(memory: Any, tmp_path: Path) -> None:
    write_numbered_video(tmp_path / "a.mp4", 7)
    memory.pipe("/videos/jump/a.mp4", (tmp_path / "a.mp4").read_bytes())
    source = VideoSource("memory://videos", open_video, cache_in(tmp_path / "cache"))
    source = pickle.loads(pickle.dumps(source))
    with source("jump/a.mp4") as reader:
        assert numbers_in(reader.get_frames([6, 0])) == [6, 0]
    memory.store.clear()  # the second time, nothing is fetched
    with source("jump/a.mp4") as reader:
        assert reader.frame_count == 7


def test_a_local_root_needs_no_cache(tmp_path: Path) -> None:
    write_numbered_video(tmp_path / "a.mp4", 3)
    with VideoSource(str(tmp_path), open_video)("a.mp4") as reader:
        assert reader.frame_count == 3


def test_errors_name_the_url(memory: Any, tmp_path: Path) -> None:
    memory.pipe("/videos/bad.mp4", b"not a video")
    source = VideoSource("memory://videos", open_video, cache_in(tmp_path))
    with pytest.raises(VideoReadError, match=r"memory://videos/missing\.mp4.*no such file"):
        source("missing.mp4")
    with pytest.raises(VideoReadError, match=r"memory://videos/bad\.mp4"):
        source("bad.mp4")


def test_the_cache_stays_within_its_bound_and_keeps_what_was_used_last(memory: Any, tmp_path: Path) -> None:
    cache = cache_in(tmp_path, max_bytes=3500, keep_seconds=0.0)
    urls = [f"memory://v/{number}" for number in range(4)]
    for number in range(3):
        memory.pipe(f"/v/{number}", bytes(1000))
        path = cache.fetch(f"memory://v/{number}")
        os.utime(path, (0, time.time() - 100 + number))
    cache.fetch("memory://v/0")  # used again: now the newest
    memory.pipe("/v/3", bytes(1000))
    cache.fetch("memory://v/3")
    assert kept(tmp_path) == 3000
    assert [os.path.exists(cache.path_of(url, cache.state(url))) for url in urls] == [
        True,
        False,
        True,
        True,
    ]


def test_a_file_just_fetched_by_another_process_is_left_alone(memory: Any, tmp_path: Path) -> None:
    for number in range(2):
        memory.pipe(f"/v/{number}", bytes(1000))
    cache_in(tmp_path, max_bytes=1000).fetch("memory://v/0")
    cache_in(tmp_path, max_bytes=1000).fetch("memory://v/1")
    assert kept(tmp_path) == 2000


def test_a_file_that_was_replaced_is_fetched_anew(memory: Any, tmp_path: Path) -> None:
    memory.pipe("/v/a", b"first")
    cache = cache_in(tmp_path)
    assert Path(cache.fetch("memory://v/a")).read_bytes() == b"first"
    memory.pipe("/v/a", b"later")  # of the same size
    assert Path(cache.fetch("memory://v/a")).read_bytes() == b"first"  # a run asks once
    assert Path(cache_in(tmp_path).fetch("memory://v/a")).read_bytes() == b"later"


def test_what_is_unchanged_is_not_fetched_again(
    memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.pipe("/v/a", b"whole")
    path = cache_in(tmp_path).fetch("memory://v/a")
    monkeypatch.setattr(type(memory), "get_file", None)
    assert cache_in(tmp_path).fetch("memory://v/a") == path


def test_an_etag_tells_contents_of_one_size_apart(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for tags in ({"ETag": "a"}, {"etag": "a"}, {"mtime": 1.5}):
        monkeypatch.setattr(type(memory), "info", lambda self, path, tags=tags: {"size": 3, **tags})
        ((key, value),) = tags.items()
        assert state_of("memory://v/a") == f"size=3 {key}={value}"


def test_what_fails_is_tried_again(memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.pipe("/v/a", b"whole")
    genuine, calls = type(memory).get_file, []

    def sometimes(self: Any, source: str, target: str, **options: Any) -> None:
        calls.append(source)
        if len(calls) == 1:
            raise ConnectionError("reset")
        if len(calls) == 2:  # cut short without an error
            Path(target).write_bytes(b"who")
            return
        genuine(self, source, target, **options)

    monkeypatch.setattr(type(memory), "get_file", sometimes)
    path = cache_in(tmp_path).fetch("memory://v/a")
    assert Path(path).read_bytes() == b"whole"
    assert len(calls) == 3


def test_what_keeps_failing_leaves_nothing_behind(
    memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.pipe("/v/a", b"whole")

    def never(self: Any, source: str, target: str, **options: Any) -> None:
        Path(target).write_bytes(b"half")
        raise TimeoutError("slow")

    monkeypatch.setattr(type(memory), "get_file", never)
    with pytest.raises(RemoteError, match=r"4 attempts failed.*TimeoutError: slow"):
        cache_in(tmp_path).fetch("memory://v/a")
    assert kept(tmp_path) == 0


def test_an_http_server_that_stumbles(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp", reason="fsspec reads http through aiohttp")
    write_numbered_video(tmp_path / "a.mp4", 5)
    body = (tmp_path / "a.mp4").read_bytes()
    with serve({"/videos/a.mp4": Served(body, faults=["status:503"])}) as server:
        source = VideoSource(f"{server.address}/videos", open_video, cache_in(tmp_path / "cache"))
        with source("a.mp4") as reader:
            assert numbers_in(reader.get_frames(range(5))) == list(range(5))
        with pytest.raises(VideoReadError, match="no such file"):
            source("b.mp4")


def test_names_with_signs_that_mean_something_in_a_web_address(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp", reason="fsspec reads http through aiohttp")
    write_numbered_video(tmp_path / "a.mp4", 5)
    names = ["#20_Rhythm (1)/a.mp4", "what?_a+b_&.mp4", "two%20words.mp4"]  # the last as in a web address
    there = {f"/v/{name}".replace("%20", " "): Served((tmp_path / "a.mp4").read_bytes()) for name in names}
    with serve(there) as server:
        source = VideoSource(f"{server.address}/v", open_video, cache_in(tmp_path / "cache"))
        for name in names:
            with source(name) as reader:
                assert reader.frame_count == 5


def test_a_query_behind_the_extension_reaches_the_server(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp", reason="fsspec reads http through aiohttp")
    write_numbered_video(tmp_path / "a.mp4", 5)
    body = (tmp_path / "a.mp4").read_bytes()
    with serve({"/v/a.mp4?token=x/y.z&e=1": Served(body), "/v/why?/a.mp4": Served(body)}) as server:
        source = VideoSource(f"{server.address}/v", open_video, cache_in(tmp_path / "cache"))
        for name in ("a.mp4?token=x/y.z&e=1", "why?/a.mp4?token=x"):
            with source(name) as reader:
                assert reader.frame_count == 5
        asked = [path for path, _ in server.requests]
    assert set(asked) == {"/v/a.mp4?token=x/y.z&e=1", "/v/why%3F/a.mp4?token=x"}


def test_an_http_server_that_cannot_be_reached_is_no_missing_file(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp", reason="fsspec reads http through aiohttp")
    with serve({}) as server:
        address = server.address
    with pytest.raises(RemoteError, match="4 attempts failed, the last with .*Cannot connect to host"):
        cache_in(tmp_path).fetch(f"{address}/videos/a.mp4")


def test_the_default_folder_is_the_user_s_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_cache_folder() == "/somewhere/dist-video/videos"
