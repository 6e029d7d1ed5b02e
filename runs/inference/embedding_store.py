"""Embeddings of many videos in one file, written so that an interruption loses little.

    add(id, video (E,), frames (S,E)) ──► shards in <file>.parts/ ──finish()──► one file

safetensors: `video` float32 (n,E) and `frames` float32 (n,S,E), with the ids, in row order, and everything
else in the metadata (`ids`, `failed`, `settings`, JSON). Parquet: one row a video with the columns `id`,
`video`, `frames` (needs pandas with pyarrow). The shards remember the settings they were made with: a run
with other settings does not continue them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from utils.atomic import replacing

FloatArray = NDArray[np.float32]
Place = tuple[Path, int]
"""A shard, and a row in it."""
SUFFIXES = (".safetensors", ".parquet")


class StoreError(ValueError):
    """A file of embeddings that cannot be written, or that other settings have begun."""


class NothingStoredError(StoreError):
    """Not one video gave an embedding."""


class EmbeddingStore:
    """Collects embeddings into one file; a second run with the same settings continues the first."""

    def __init__(self, path: Path, settings: Mapping[str, str], *, shard_size: int = 64) -> None:
        """path: the file to write, .safetensors or .parquet. settings: what the embeddings depend on."""
        check_suffix(path)
        self.path = path
        self._settings = dict(settings)
        self._shard_size = shard_size
        self._folder = path.with_name(path.name + ".parts")
        self._rows: list[tuple[str, FloatArray, FloatArray]] = []
        self.failed: dict[str, str] = {}
        """Id -> why there is no embedding; tried again by the next run."""
        self.done = self._resume()
        """Ids whose embeddings are stored."""

    def add(self, identity: str, video: FloatArray, frames: FloatArray) -> None:
        """Keeps one video's embedding (E,) and its frames' (S,E)."""
        assert identity not in self.done, f"{identity} is stored already"
        self.done.add(identity)
        self._rows.append((identity, np.asarray(video, np.float32), np.asarray(frames, np.float32)))
        if len(self._rows) >= self._shard_size:
            self.flush()

    def fail(self, identity: str, reason: str) -> None:
        """Notes that a video has no embedding."""
        self.failed[identity] = reason

    def flush(self) -> None:
        """Writes what has been added since the last shard."""
        if not self._rows:
            return
        ids, videos, frames = zip(*self._rows, strict=True)
        shards = self._shards()
        shard = self._folder / f"{len(shards):06d}.safetensors"
        tensors = {"video": np.stack(videos), "frames": np.stack(frames)}
        with replacing(str(shard)) as unfinished:
            save_file(tensors, unfinished, metadata={"ids": json.dumps(ids)})
        self._rows = []

    def finish(self, wanted: Sequence[str] | None = None) -> int:
        """Joins the shards into the file, removes them, and returns the number of videos.

        wanted: ids in the order of the rows; those that are stored and not among them are left out. By
        default all, as they were added. Raises NothingStoredError when there is not one embedding.
        """
        self.flush()
        stored = {
            identity: (shard, row) for shard in self._shards() for row, identity in enumerate(_ids_of(shard))
        }
        ids = [identity for identity in (stored if wanted is None else wanted) if identity in stored]
        places = [stored[identity] for identity in ids]
        if not places:
            if not stored:
                shutil.rmtree(self._folder, ignore_errors=True)
            raise NothingStoredError(f"no video gave an embedding; {self.path} is not written")
        metadata = {
            "ids": json.dumps(ids),
            "failed": json.dumps(self.failed),
            "settings": json.dumps(self._settings),
        }
        with replacing(str(self.path)) as unfinished:
            if self.path.suffix == ".parquet":
                _join_to_parquet(places, ids, Path(unfinished))
            else:
                _join_to_safetensors(places, metadata, Path(unfinished))
        shutil.rmtree(self._folder)
        return len(ids)

    def _resume(self) -> set[str]:
        """Reads which ids the shards hold, and begins the folder of shards when there is none."""
        record = self._folder / "settings.json"
        if not record.exists():
            with replacing(str(record)) as unfinished:
                Path(unfinished).write_text(json.dumps(self._settings, indent=2), encoding="utf-8")
            return set()
        begun_with = json.loads(record.read_text(encoding="utf-8"))
        differing = sorted(
            key for key in {*begun_with, *self._settings} if begun_with.get(key) != self._settings.get(key)
        )
        if differing:
            raise StoreError(
                f"{self._folder} was begun with other settings ({', '.join(differing)}); "
                "delete it to start anew"
            )
        return {identity for shard in self._shards() for identity in _ids_of(shard)}

    def _shards(self) -> list[Path]:
        return sorted(self._folder.glob("[0-9]*.safetensors"))


def check_suffix(path: Path) -> None:
    """Raises StoreError for a name that says no known format, or one whose packages are missing."""
    if path.suffix not in SUFFIXES:
        raise StoreError(f"{path}: the name must end in {' or '.join(SUFFIXES)}")
    if path.suffix == ".parquet":
        _require_parquet()


def stored_ids(path: Path) -> list[str]:
    """The ids, in row order, of a finished safetensors file."""
    return _ids_of(path)


def _ids_of(path: Path) -> list[str]:
    with safe_open(path, framework="numpy") as file:
        return json.loads(file.metadata()["ids"])


def _arrays(places: Sequence[Place], name: str) -> Iterator[FloatArray]:
    """The rows at these places; those that follow each other in a shard come together."""
    for shard, together in groupby(places, key=lambda place: place[0]):
        with safe_open(shard, framework="numpy") as file:
            yield file.get_tensor(name)[[row for _, row in together]]


def _shape(places: Sequence[Place], name: str) -> list[int]:
    """Shape of the rows at these places, joined along the first axis."""
    with safe_open(places[0][0], framework="numpy") as file:
        return [len(places), *file.get_slice(name).get_shape()[1:]]


def _join_to_safetensors(places: Sequence[Place], metadata: Mapping[str, str], path: Path) -> None:
    """Writes the format by hand (length, JSON header, bytes), shard after shard: all of it never is in
    memory.
    """
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    offset = 0
    for name in ("frames", "video"):
        shape = _shape(places, name)
        size = int(np.prod(shape)) * 4
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    encoded = json.dumps(header).encode("utf-8")
    encoded += b" " * (-len(encoded) % 8)
    with path.open("wb") as stream:
        stream.write(len(encoded).to_bytes(8, "little"))
        stream.write(encoded)
        for name in ("frames", "video"):
            for array in _arrays(places, name):
                stream.write(np.ascontiguousarray(array, "<f4").data)


def _join_to_parquet(places: Sequence[Place], ids: Sequence[str], path: Path) -> None:
    import pandas

    names = [identity.encode("utf-8", "backslashreplace").decode("utf-8") for identity in ids]
    videos = [row.tolist() for array in _arrays(places, "video") for row in array]
    frames = [row.tolist() for array in _arrays(places, "frames") for row in array]
    pandas.DataFrame({"id": names, "video": videos, "frames": frames}).to_parquet(path)


def _require_parquet() -> None:
    try:
        import pandas  # noqa: F401 - what to_parquet needs
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise StoreError(
            f"Parquet files need pandas and pyarrow ({error}): pip install -e '.[parquet]', "
            "or end the name in .safetensors"
        ) from error
