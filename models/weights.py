"""From a model's name, or a path, to a file on this machine.

A path always wins over a name. A name is looked for in the folder of weights, then in a mirror, then at its
source. What the environment says:

    MODEL_ZOO_DIR      folder of weights (default: ~/.cache/dist-video)
    MODEL_ZOO_MIRROR   a folder, or an https address, that holds the zoo's files under their zoo names; it
                       replaces the source
    MODEL_ZOO_OFFLINE  1: the network is not touched (HF_HUB_OFFLINE=1 does the same)
"""

import os
from collections.abc import Callable
from pathlib import Path

from models.zoo import ZooModel, find_model
from utils.checked_files import check_before_use
from utils.download import (
    DownloadError,
    Progress,
    TransferSettings,
    copy_file,
    download_file,
    verify_file,
)
from utils.google_drive import open_drive_file
from utils.hugging_face import list_repository

ProgressFor = Callable[[str], Progress | None]
"""File name -> what to tell its progress to."""


def weights_folder() -> Path:
    """Where downloaded weights are kept."""
    named = os.environ.get("MODEL_ZOO_DIR")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "dist-video"


def is_offline() -> bool:
    """Whether the environment forbids the network."""
    values = (os.environ.get(name, "") for name in ("MODEL_ZOO_OFFLINE", "HF_HUB_OFFLINE"))
    return any(value.lower() in ("1", "true", "yes", "on") for value in values)


def locate_weights(name_or_path: str | Path, *, progress_for: ProgressFor | None = None) -> Path:
    """The local file (or folder) of a path or of a zoo name, which is downloaded when it is not here yet.

    Raises ZooError for what is neither, DownloadError when the file cannot be had, or is not the one whose
    hash is known.
    """
    path = Path(name_or_path).expanduser()
    if path.exists():
        return path
    model = find_model(str(name_or_path))
    local = weights_folder() / model.file
    if local.exists():
        return _checked(local, model, "put the right one in its place, or delete it to have it downloaded")
    mirror = _mirror_folder()
    if mirror is not None and (mirror / model.file).exists():
        return _checked(mirror / model.file, model, "replace it in the mirror (MODEL_ZOO_MIRROR)")
    download_model(model, weights_folder(), progress_for=progress_for)
    return local


def _checked(path: Path, model: ZooModel, remedy: str) -> Path:
    """`path`, checked; a folder's files are checked when they are downloaded."""
    if path.is_file():
        check_before_use(path, model.sha256, weights_folder() / f"{model.file}.checked", remedy)
    return path


def download_model(
    model: ZooModel,
    folder: Path,
    *,
    settings: TransferSettings | None = None,
    progress_for: ProgressFor | None = None,
) -> list[tuple[Path, str]]:
    """Puts a model's file (or repository of files) into `folder`; returns (path, SHA-256) of each.

    What is there already is verified instead of fetched. Raises DownloadError.
    """
    target = folder / model.file
    if model.hugging_face:
        return _download_repository(model, target, settings, progress_for)
    if target.is_file():
        return [(target, verify_file(target, model.sha256))]
    mirror = _mirror_folder()
    if mirror is not None:
        source = mirror / model.file
        if not source.is_file():
            raise DownloadError(
                f"{model.name}: the mirror {mirror} (MODEL_ZOO_MIRROR) has no file {model.file}"
            )
        return [(target, copy_file(source, target, sha256=model.sha256))]
    _refuse_offline(model, folder)
    source_opener = _mirror_address(model.file) or model.url or open_drive_file(str(model.google_drive))
    identity = source_opener if isinstance(source_opener, str) else f"Google Drive file {model.google_drive}"
    digest = download_file(
        source_opener,
        target,
        identity=identity,
        sha256=model.sha256,
        settings=settings,
        progress=progress_for(model.file) if progress_for else None,
    )
    return [(target, digest)]


def _download_repository(
    model: ZooModel, target: Path, settings: TransferSettings | None, progress_for: ProgressFor | None
) -> list[tuple[Path, str]]:
    if target.is_dir():
        return _verify_folder(target)
    unfinished = target.with_name(target.name + ".part")
    mirror = _mirror_folder()
    if mirror is not None:
        source = mirror / model.file
        if not source.is_dir():
            raise DownloadError(
                f"{model.name}: the mirror {mirror} (MODEL_ZOO_MIRROR) has no folder {model.file}"
            )
        for path in _files_of(source):
            copy_file(path, unfinished / path.relative_to(source))
        return _finish_folder(model, unfinished, target)
    _refuse_offline(model, target.parent)
    if _mirror_address(model.file):
        raise DownloadError(
            f"{model.name} is a whole repository, which an https mirror cannot list; name a folder in "
            "MODEL_ZOO_MIRROR, or another hub in HF_ENDPOINT"
        )
    for remote in list_repository(str(model.hugging_face)):
        path = unfinished / remote.path
        if not path.is_file():
            progress = progress_for(remote.path) if progress_for else None
            download_file(remote.url, path, sha256=remote.sha256, settings=settings, progress=progress)
        else:
            verify_file(path, remote.sha256)
    return _finish_folder(model, unfinished, target)


def _finish_folder(model: ZooModel, unfinished: Path, target: Path) -> list[tuple[Path, str]]:
    """Gives a completely fetched folder its name, so that a folder with that name is never half there."""
    if not unfinished.is_dir():
        raise DownloadError(f"{model.name}: its source holds no files")
    unfinished.rename(target)
    return _verify_folder(target)


def _verify_folder(folder: Path) -> list[tuple[Path, str]]:
    return [(path, verify_file(path)) for path in _files_of(folder)]


def _files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".sha256")


def _refuse_offline(model: ZooModel, folder: Path) -> None:
    if is_offline():
        raise DownloadError(
            f"{model.name}: not in {folder}, and the network is forbidden (MODEL_ZOO_OFFLINE or "
            f"HF_HUB_OFFLINE); get it from {model.page} on another machine, then name its folder in "
            "MODEL_ZOO_MIRROR or give its path"
        )


def _mirror_folder() -> Path | None:
    """MODEL_ZOO_MIRROR when it is a folder. Raises DownloadError when it is neither folder nor address."""
    mirror = os.environ.get("MODEL_ZOO_MIRROR", "")
    if not mirror or mirror.startswith(("http://", "https://")):
        return None
    folder = Path(mirror.removeprefix("file://")).expanduser()
    if not folder.is_dir():
        raise DownloadError(f"MODEL_ZOO_MIRROR={mirror} is neither a folder nor an http(s) address")
    return folder


def _mirror_address(file: str) -> str | None:
    mirror = os.environ.get("MODEL_ZOO_MIRROR", "")
    return f"{mirror.rstrip('/')}/{file}" if mirror.startswith(("http://", "https://")) else None
