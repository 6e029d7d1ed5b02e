"""utils/download.py against a server on the loopback interface that misbehaves."""

import errno
import hashlib
import threading
import time
from pathlib import Path

import pytest

from tests.utils.loopback import Served, serve
from utils.checksum import recorded_sha256, sidecar_path
from utils.download import DownloadError, TransferSettings, copy_file, download_file, open_url, verify_file

BODY = bytes(range(256)) * 1000
DIGEST = hashlib.sha256(BODY).hexdigest()
QUICK = TransferSettings(timeout=0.4, attempts=3, backoff=0.01)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_whole_file_arrives_once_with_its_hash_recorded(tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    with serve({"/file": Served(BODY)}) as server:
        progress = lambda received, total: seen.append((received, total))  # noqa: E731
        digest = download_file(f"{server.address}/file", tmp_path / "file", settings=QUICK, progress=progress)
    assert (tmp_path / "file").read_bytes() == BODY
    assert digest == DIGEST == recorded_sha256(tmp_path / "file")
    assert sidecar_path(tmp_path / "file").read_text() == f"{DIGEST}  file\n"  # what sha256sum -c reads
    assert seen[-1] == (len(BODY), len(BODY))
    assert files_in(tmp_path) == ["file", "file.sha256"]
    assert len(server.requests) == 1


def test_a_truncated_answer_is_resumed_by_range(tmp_path: Path) -> None:
    with serve({"/file": Served(BODY, faults=["truncate", "truncate"])}) as server:
        download_file(f"{server.address}/file", tmp_path / "file", sha256=DIGEST, settings=QUICK)
    assert (tmp_path / "file").read_bytes() == BODY
    half, three_quarters = len(BODY) // 2, len(BODY) // 2 + len(BODY) // 4
    assert [asked for _, asked in server.requests] == [None, f"bytes={half}-", f"bytes={three_quarters}-"]


def test_a_server_that_goes_silent_is_left_and_asked_again(tmp_path: Path) -> None:
    with serve({"/file": Served(BODY, faults=["stall"])}) as server:
        download_file(f"{server.address}/file", tmp_path / "file", settings=QUICK)
    assert (tmp_path / "file").read_bytes() == BODY
    assert [asked for _, asked in server.requests] == [None, "bytes=3-"]


def test_a_server_that_stays_silent_fails_in_bounded_time_and_names_the_timeout(tmp_path: Path) -> None:
    settings = TransferSettings(timeout=0.1, attempts=2, backoff=0.01)
    start = time.monotonic()
    with (
        serve({"/file": Served(BODY, faults=["stall"] * 9, ranges=False)}, stall_seconds=0.3) as server,
        pytest.raises(DownloadError, match=r"timed out|no data.*gave up after 2 attempts"),
    ):
        download_file(f"{server.address}/file", tmp_path / "file", settings=settings)
    assert time.monotonic() - start < 5
    assert not (tmp_path / "file").exists()


def test_an_interrupted_download_is_resumed_by_the_next_run(tmp_path: Path) -> None:
    once = TransferSettings(timeout=0.4, attempts=1, backoff=0.01)
    served = Served(BODY, faults=["truncate", "status:503", "status:503"])
    with serve({"/file": served}) as server:
        with pytest.raises(DownloadError, match=r"503.*128000 bytes are kept"):
            download_file(f"{server.address}/file", tmp_path / "file", settings=once)
        assert files_in(tmp_path) == ["file.part", "file.part.json"]
        served.faults.clear()
        assert download_file(f"{server.address}/file", tmp_path / "file", settings=once) == DIGEST
    assert server.requests[-1][1] == "bytes=128000-"
    assert files_in(tmp_path) == ["file", "file.sha256"]


@pytest.mark.parametrize("etag", ['"version-2"', None])
def test_parts_of_two_versions_are_never_joined(tmp_path: Path, etag: str | None) -> None:
    once = TransferSettings(timeout=0.4, attempts=1, backoff=0.01)
    served = Served(BODY, faults=["truncate", "status:404"])
    newer = b"newer" * 60000
    with serve({"/file": served}) as server:
        with pytest.raises(DownloadError, match="404"):
            download_file(f"{server.address}/file", tmp_path / "file", settings=once)
        server.paths["/file"] = Served(newer, etag=etag)
        settings = TransferSettings(timeout=0.4, attempts=2, backoff=0.01)
        download_file(f"{server.address}/file", tmp_path / "file", settings=settings)
    assert (tmp_path / "file").read_bytes() == newer


def test_a_server_that_ignores_the_condition_is_found_out(tmp_path: Path) -> None:
    once = TransferSettings(timeout=0.4, attempts=1, backoff=0.01)
    newer = bytes(byte ^ 1 for byte in BODY)  # of the same size
    with serve({"/file": Served(BODY, faults=["truncate", "status:404"])}) as server:
        with pytest.raises(DownloadError, match="404"):
            download_file(f"{server.address}/file", tmp_path / "file", settings=once)
        server.paths["/file"] = Served(newer, etag='"version-2"', conditions=False)
        settings = TransferSettings(timeout=0.4, attempts=3, backoff=0.01)
        download_file(f"{server.address}/file", tmp_path / "file", settings=settings)
    assert (tmp_path / "file").read_bytes() == newer


@pytest.mark.parametrize(
    ("served", "complaint"),
    [
        (Served(b""), "sent an empty file"),
        (Served(b'{"error": 1}', content_type="application/json"), "sent a message instead of the file"),
    ],
)
def test_what_cannot_be_the_file_is_refused(tmp_path: Path, served: Served, complaint: str) -> None:
    with serve({"/file": served}) as server, pytest.raises(DownloadError, match=complaint):
        download_file(f"{server.address}/file", tmp_path / "file", settings=QUICK)
    assert files_in(tmp_path) == []


def test_a_part_of_another_address_is_not_continued(tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(b"something else")
    with serve({"/file": Served(BODY)}) as server:
        download_file(f"{server.address}/file", tmp_path / "file", settings=QUICK)
    assert (tmp_path / "file").read_bytes() == BODY
    assert server.requests == [("/file", None)]


def test_a_part_that_is_complete_already_is_only_checked_and_renamed(tmp_path: Path) -> None:
    once = TransferSettings(timeout=0.4, attempts=1, backoff=0.01)
    with serve({"/file": Served(BODY, faults=["truncate", "status:404"])}) as server:
        with pytest.raises(DownloadError):
            download_file(f"{server.address}/file", tmp_path / "file", settings=once)
        (tmp_path / "file.part").write_bytes(BODY)
        download_file(f"{server.address}/file", tmp_path / "file", settings=once)
    assert (tmp_path / "file").read_bytes() == BODY


def test_a_wrong_hash_leaves_nothing_and_names_both_hashes(tmp_path: Path) -> None:
    with (
        serve({"/file": Served(BODY)}) as server,
        pytest.raises(DownloadError, match=f"{DIGEST}, expected {'0' * 64}"),
    ):
        download_file(f"{server.address}/file", tmp_path / "file", sha256="0" * 64, settings=QUICK)
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("fault", ["status:404", "status:403"])
def test_a_refusal_fails_at_once_and_leaves_nothing(tmp_path: Path, fault: str) -> None:
    with (
        serve({"/file": Served(BODY, faults=[fault])}) as server,
        pytest.raises(DownloadError, match=fault.partition(":")[2]),
    ):
        download_file(f"{server.address}/file", tmp_path / "file", settings=QUICK)
    assert len(server.requests) == 1
    assert files_in(tmp_path) == []


def test_server_errors_are_retried(tmp_path: Path) -> None:
    with serve({"/file": Served(BODY, faults=["status:503", "status:429"])}) as server:
        download_file(f"{server.address}/file", tmp_path / "file", settings=QUICK)
    assert len(server.requests) == 3


def test_redirects_are_followed(tmp_path: Path) -> None:
    with serve({"/old": Served(redirect="/new"), "/new": Served(BODY)}) as server:
        download_file(f"{server.address}/old", tmp_path / "file", settings=QUICK)
    assert (tmp_path / "file").read_bytes() == BODY


def test_a_web_page_is_not_taken_for_the_file(tmp_path: Path) -> None:
    with (
        serve({"/file": Served(b"<html>log in</html>", content_type="text/html; charset=utf-8")}) as server,
        pytest.raises(DownloadError, match="web page instead of the file"),
    ):
        download_file(f"{server.address}/file", tmp_path / "file", settings=QUICK)
    assert files_in(tmp_path) == []


def test_a_refused_connection_is_one_clear_line(tmp_path: Path) -> None:
    with serve({}) as server:
        address = server.address
    with pytest.raises(DownloadError, match="cannot reach the server") as caught:
        download_file(f"{address}/file", tmp_path / "file", settings=QUICK)
    assert "\n" not in str(caught.value)
    assert files_in(tmp_path) == []


def test_only_http_addresses_are_opened() -> None:
    with pytest.raises(DownloadError, match="only http and https"):
        open_url("file:///etc/hostname")


def test_a_second_process_waits_and_takes_what_the_first_has_fetched(tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    part, destination = tmp_path / "file.part", tmp_path / "file"

    def finish() -> None:
        time.sleep(0.3)
        stream.write(BODY)
        stream.flush()
        part.rename(destination)
        stream.close()  # lets the lock go

    with serve({"/file": Served(b"something else")}) as server:
        stream = part.open("ab")
        fcntl.flock(stream, fcntl.LOCK_EX)
        other = threading.Thread(target=finish)
        other.start()
        assert download_file(f"{server.address}/file", destination, settings=QUICK) == DIGEST
        other.join()
    assert server.requests == []
    assert files_in(tmp_path) == ["file", "file.sha256"]


def test_a_second_process_takes_over_from_one_that_died(tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    with serve({"/file": Served(BODY)}) as server:
        stream = (tmp_path / "file.part").open("ab")
        fcntl.flock(stream, fcntl.LOCK_EX)
        threading.Timer(0.2, stream.close).start()
        assert download_file(f"{server.address}/file", tmp_path / "file", settings=QUICK) == DIGEST


def test_a_folder_without_locks_takes_a_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unsupported(*arguments: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("utils.locking.fcntl.flock", unsupported)
    with serve({"/file": Served(BODY)}) as server:
        assert download_file(f"{server.address}/file", tmp_path / "file", settings=QUICK) == DIGEST
    assert "cannot be locked (No locks available)" in capsys.readouterr().err


def test_an_existing_file_is_held_to_its_recorded_hash(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(BODY)
    assert verify_file(path) == DIGEST  # unknown until now: recorded
    path.write_bytes(BODY[:-1])
    with pytest.raises(DownloadError, match="delete the file"):
        verify_file(path)
    sidecar_path(path).write_text("damaged")
    with pytest.raises(DownloadError, match="holds no SHA-256"):
        verify_file(path)


def test_copying_checks_too(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(BODY)
    with pytest.raises(DownloadError, match="nothing was copied"):
        copy_file(tmp_path / "source", tmp_path / "copy", sha256="0" * 64)
    assert files_in(tmp_path) == ["source"]
    assert copy_file(tmp_path / "source", tmp_path / "copy", sha256=DIGEST) == DIGEST
