"""models/weights.py: from a name or a path to a file here."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from models import weights
from models.weights import download_model, locate_weights
from models.zoo import ZooError, ZooFamily, ZooModel
from tests.utils.loopback import Served, serve
from utils import checked_files
from utils.download import DownloadError, TransferSettings

FAMILY = ZooFamily("f", "F", "paper", "layout")
BODY = b"weights" * 1000
QUICK = TransferSettings(timeout=1.0, attempts=2, backoff=0.01)


def zoo_model(**fields: Any) -> ZooModel:
    given: dict[str, Any] = {
        "name": "m",
        "trained_on": "d",
        "backbone": "b",
        "frames": "8",
        "config": None,
        "file": "m.pyth",
        **fields,
    }
    return ZooModel(family=FAMILY, **given)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("MODEL_ZOO_DIR", str(tmp_path / "zoo"))
    for name in ("MODEL_ZOO_MIRROR", "MODEL_ZOO_OFFLINE", "HF_HUB_OFFLINE", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)


def test_a_path_wins_over_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clip-vit-b16").write_bytes(b"mine")
    assert locate_weights("clip-vit-b16") == Path("clip-vit-b16")


def test_what_is_neither_path_nor_name_says_so() -> None:
    with pytest.raises(ZooError, match=r"no model './nowhere.pyth' in the zoo, and no such path"):
        locate_weights("./nowhere.pyth")


def test_offline_fails_before_any_request_and_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_ZOO_OFFLINE", "1")
    monkeypatch.setattr(weights, "download_file", lambda *_, **__: pytest.fail("the network was touched"))
    for model in (zoo_model(url="http://127.0.0.1:1/x"), zoo_model(hugging_face="owner/name")):
        with pytest.raises(DownloadError, match=r"the network is forbidden.*MODEL_ZOO_MIRROR"):
            download_model(model, weights.weights_folder())


def test_a_local_mirror_is_used_in_place_and_copied_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_ZOO_OFFLINE", "1")
    monkeypatch.setenv("MODEL_ZOO_MIRROR", str(tmp_path / "mirror"))
    with pytest.raises(DownloadError, match="neither a folder nor"):
        locate_weights("clip-vit-b16")
    (tmp_path / "mirror").mkdir()
    with pytest.raises(DownloadError, match="has no file"):
        locate_weights("clip-vit-b16")
    published = tmp_path / "mirror" / "dist-k400-vit-b16-8+16f.pyth"
    published.write_bytes(BODY)
    assert locate_weights("dist-k400-vit-b16-8+16f") == published
    (tmp_path / "mirror" / "m.pyth").write_bytes(BODY)
    [(path, digest)] = download_model(zoo_model(url="https://nowhere.invalid/x"), tmp_path / "to")
    assert path.read_bytes() == BODY and digest == hashlib.sha256(BODY).hexdigest()


@pytest.mark.parametrize(
    ("folder", "remedy"), [("zoo", "put the right one in its place"), ("mirror", "replace it in the mirror")]
)
def test_a_file_is_held_to_its_hash_when_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, remedy: str
) -> None:
    path = tmp_path / folder / "m.pyth"
    path.parent.mkdir()
    path.write_bytes(b"another model")
    if folder == "mirror":
        monkeypatch.setenv("MODEL_ZOO_MIRROR", str(path.parent))
    published = zoo_model(sha256=hashlib.sha256(BODY).hexdigest(), url="https://nowhere.invalid/x")
    monkeypatch.setattr(weights, "find_model", lambda _: published)
    with pytest.raises(DownloadError, match=rf"m\.pyth: SHA-256 is .* {remedy}"):
        locate_weights("m")
    path.write_bytes(BODY)
    assert locate_weights("m") == path
    with monkeypatch.context() as patched:
        patched.setattr(checked_files, "sha256_of", lambda _: pytest.fail("an unchanged file was read again"))
        assert locate_weights("m") == path
    path.write_bytes(BODY[1:])
    with pytest.raises(DownloadError, match="expected"):
        locate_weights("m")


def test_a_recorded_hash_holds_when_a_file_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve({"/m": Served(BODY)}) as server:
        monkeypatch.setattr(weights, "find_model", lambda _: zoo_model(url=f"{server.address}/m"))
        path = locate_weights("m")
    assert locate_weights("m") == path
    path.write_bytes(BODY[1:])
    with pytest.raises(DownloadError, match=r"if another file is meant, delete m\.pyth\.sha256, too"):
        locate_weights("m")
    path.with_name("m.pyth.sha256").unlink()
    assert locate_weights("m") == path


def test_an_https_mirror_replaces_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve({"/zoo/m.pyth": Served(BODY)}) as server:
        monkeypatch.setenv("MODEL_ZOO_MIRROR", f"{server.address}/zoo/")
        [(path, _)] = download_model(zoo_model(google_drive="id"), tmp_path / "to", settings=QUICK)
        assert path.read_bytes() == BODY
        download_model(zoo_model(google_drive="id"), tmp_path / "to", settings=QUICK)
    assert len(server.requests) == 1  # the second time it was verified, not fetched


def test_a_file_that_changed_on_disk_is_not_accepted(tmp_path: Path) -> None:
    with serve({"/m": Served(BODY)}) as server:
        model = zoo_model(url=f"{server.address}/m")
        [(path, _)] = download_model(model, tmp_path, settings=QUICK)
        path.write_bytes(BODY[1:])
        with pytest.raises(DownloadError, match="expected"):
            download_model(model, tmp_path, settings=QUICK)


def test_a_repository_is_a_folder_only_when_all_of_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = [
        {"type": "file", "path": "a.pth", "lfs": {"oid": hashlib.sha256(BODY).hexdigest()}},
        {"type": "file", "path": "sub/b.json"},
    ]
    paths = {
        "/api/models/owner/name/tree/main": Served(json.dumps(listing).encode()),
        "/owner/name/resolve/main/a.pth": Served(BODY),
        "/owner/name/resolve/main/sub/b.json": Served(b"{}", faults=["status:404"]),
    }
    model = zoo_model(hugging_face="owner/name", file="repository")
    with serve(paths) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        with pytest.raises(DownloadError, match="404"):
            download_model(model, tmp_path, settings=QUICK)
        assert not (tmp_path / "repository").exists()
        obtained = download_model(model, tmp_path, settings=QUICK)
        assert sum("a.pth" in path for path, _ in server.requests) == 1  # kept from the first run
    assert [path.relative_to(tmp_path / "repository").as_posix() for path, _ in obtained] == [
        "a.pth",
        "sub/b.json",
    ]


def test_a_mirror_without_the_repository_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_ZOO_MIRROR", str(tmp_path))
    with pytest.raises(DownloadError, match=r"MODEL_ZOO_MIRROR\) has no folder repository"):
        download_model(zoo_model(hugging_face="owner/name", file="repository"), tmp_path / "to")
    assert not (tmp_path / "to").exists()
