"""Which files a Hugging Face repository holds, over its public web interface.

The transfer itself is `utils.download`'s, like that of any other file: the hub serves plain https with
ranges, and its listing gives the SHA-256 of every large file. `HF_ENDPOINT` names another hub, as for
Hugging Face's own tools.
"""

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import PurePosixPath

from utils.download import USER_AGENT, DownloadError


@dataclass(frozen=True)
class RemoteFile:
    """One file of a repository."""

    path: str
    """Path inside the repository, with forward slashes."""
    url: str
    """Address that serves it."""
    size: int | None
    """Bytes."""
    sha256: str | None
    """Published hash; small files stored outside LFS have none."""


def list_repository(repository: str, *, revision: str = "main", timeout: float = 30.0) -> list[RemoteFile]:
    """Every file of the model repository `owner/name`, sorted by path. Raises DownloadError."""
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    quoted = f"{urllib.parse.quote(repository)}/tree/{urllib.parse.quote(revision, safe='')}"
    entries = _read_json(f"{endpoint}/api/models/{quoted}?recursive=true", repository, timeout)
    if not isinstance(entries, list):
        raise DownloadError(f"Hugging Face repository {repository}: unexpected answer of {endpoint}")
    base = f"{endpoint}/{urllib.parse.quote(repository)}/resolve/{urllib.parse.quote(revision, safe='')}"
    files = [_remote_file(entry, base, repository) for entry in entries if entry.get("type") == "file"]
    return sorted(files, key=lambda file: file.path)


def _remote_file(entry: dict, base: str, repository: str) -> RemoteFile:
    path = str(entry["path"])
    # The listing is another machine's word: a path must not leave the folder the files are put into.
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts or "\\" in path:
        raise DownloadError(f"Hugging Face repository {repository}: refused the path {path!r}")
    large = entry.get("lfs") or {}
    return RemoteFile(path, f"{base}/{urllib.parse.quote(path)}", entry.get("size"), large.get("oid"))


def _read_json(url: str, repository: str, timeout: float) -> object:
    request = urllib.request.Request(url, headers={"User-Agent": USER_AGENT, "Accept": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        raise DownloadError(
            f"Hugging Face repository {repository}: {error.code} {error.reason} ({url})"
        ) from error
    except urllib.error.URLError as error:
        message = f"Hugging Face repository {repository}: cannot reach {url}: {error.reason} (no network?)"
        raise DownloadError(message) from error
    except (OSError, ValueError) as error:
        raise DownloadError(
            f"Hugging Face repository {repository}: cannot list its files: {error}"
        ) from error
