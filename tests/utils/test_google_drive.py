"""utils/google_drive.py: the file itself, its confirmation page, and its refusals."""

from pathlib import Path

import pytest

from tests.utils.loopback import Served, serve
from utils.download import DownloadError, TransferSettings, download_file
from utils.google_drive import confirmed_address, open_drive_file

BODY = b"weights" * 5000
QUICK = TransferSettings(timeout=1.0, attempts=2, backoff=0.01)
PAGE = b"""<!DOCTYPE html><html><body><p>Too large to scan for viruses</p>
<form id="other" action="/elsewhere"><input type="hidden" name="id" value="wrong"></form>
<form id="download-form" action="/download-confirmed" method="get">
<input type="submit" id="uc-download-link" value="Download anyway"/>
<input type="hidden" name="id" value="file&amp;1"><input type="hidden" name="confirm" value="t">
<input type="hidden" name="uuid" value="ce32-0ba"></form></body></html>"""


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


def test_a_small_file_comes_directly(tmp_path: Path) -> None:
    with serve({"/download": Served(BODY)}) as server:
        opener = open_drive_file("file-1", endpoint=f"{server.address}/download")
        download_file(opener, tmp_path / "file", settings=QUICK)
    assert (tmp_path / "file").read_bytes() == BODY
    assert server.requests == [("/download?id=file-1&export=download&confirm=t", None)]


def test_a_small_file_is_resumed(tmp_path: Path) -> None:
    with serve({"/download": Served(BODY, faults=["truncate"])}) as server:
        opener = open_drive_file("file-1", endpoint=f"{server.address}/download")
        download_file(opener, tmp_path / "file", settings=QUICK)
    assert (tmp_path / "file").read_bytes() == BODY
    assert server.requests[-1][1] == f"bytes={len(BODY) // 2}-"


def test_the_confirmation_page_is_passed_and_the_file_resumed_behind_it(tmp_path: Path) -> None:
    confirmed = "/download-confirmed?id=file%261&confirm=t&uuid=ce32-0ba"
    paths = {
        "/download": Served(PAGE, content_type="text/html"),
        confirmed: Served(BODY, faults=["truncate"]),
    }
    with serve(paths) as server:
        opener = open_drive_file("file&1", endpoint=f"{server.address}/download")
        download_file(opener, tmp_path / "file", settings=QUICK)
    assert (tmp_path / "file").read_bytes() == BODY
    assert [asked for path, asked in server.requests if path == confirmed] == [
        None,
        f"bytes={len(BODY) // 2}-",
    ]


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (b"<html>Google Drive - Quota exceeded</html>", "quota"),
        (b"<html>Sign in</html>", "not shared any more"),
    ],
)
def test_a_refusal_says_why_and_what_to_do(tmp_path: Path, page: bytes, reason: str) -> None:
    with serve({"/download": Served(page, content_type="text/html")}) as server:
        opener = open_drive_file("file-1", endpoint=f"{server.address}/download")
        with pytest.raises(DownloadError, match=rf"{reason}.*https://drive.google.com/file/d/file-1/view"):
            download_file(opener, tmp_path / "file", settings=QUICK)
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_behind_the_confirmation_page_says_so_too(tmp_path: Path) -> None:
    confirmed = "/download-confirmed?id=file%261&confirm=t&uuid=ce32-0ba"
    paths = {
        "/download": Served(PAGE, content_type="text/html"),
        confirmed: Served(b"<html>Google Drive - Quota exceeded</html>", content_type="text/html"),
    }
    with serve(paths) as server:
        opener = open_drive_file("file&1", endpoint=f"{server.address}/download")
        with pytest.raises(
            DownloadError, match="Drive's download quota for this file is exceeded; try again"
        ):
            download_file(opener, tmp_path / "file", settings=QUICK)


def test_a_page_without_the_form_has_no_address() -> None:
    assert confirmed_address("<form action='/x'><input name='a' value='b'></form>", "http://host/") is None
