"""utils/hugging_face.py: listing a repository."""

import json

import pytest

from tests.utils.loopback import Served, serve
from utils.download import DownloadError
from utils.hugging_face import RemoteFile, list_repository

LISTING = "/api/models/owner/name/tree/main?recursive=true"


def listing(*entries: dict) -> Served:
    return Served(json.dumps(entries).encode(), content_type="application/json")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


def test_files_are_listed_with_address_size_and_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    large = {"type": "file", "path": "sub dir/b.pth", "size": 7, "lfs": {"oid": "a" * 64, "size": 7}}
    entries = listing(
        {"type": "directory", "path": "sub dir"}, large, {"type": "file", "path": "a.md", "size": 2}
    )
    with serve({LISTING: entries}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        files = list_repository("owner/name")
        base = f"{server.address}/owner/name/resolve/main"
    assert files == [
        RemoteFile("a.md", f"{base}/a.md", 2, None),
        RemoteFile("sub dir/b.pth", f"{base}/sub%20dir/b.pth", 7, "a" * 64),
    ]


@pytest.mark.parametrize("path", ["../outside", "/absolute", "a/../../b", "a\\..\\b"])
def test_a_path_that_leaves_the_folder_is_refused(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    with serve({LISTING: listing({"type": "file", "path": path})}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        with pytest.raises(DownloadError, match="refused the path"):
            list_repository("owner/name")


@pytest.mark.parametrize(
    "served", [Served(b"[not json"), Served(b'{"error": 1}'), Served(faults=["status:404"])]
)
def test_an_unusable_answer_is_a_download_error(monkeypatch: pytest.MonkeyPatch, served: Served) -> None:
    with serve({LISTING: served}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        with pytest.raises(DownloadError, match="owner/name"):
            list_repository("owner/name")
