"""An index of videos for queries by text: their features, their pictures, and which files they are of.

    store/config.yaml            the configuration of the model, and store/model.json the weights it had
    store/videos.json            path, size, time of change, row, defects
    store/features.safetensors   every field of VideoFeatures (n, ...), float32
    store/pictures/…jpg          four frames of each video side by side

Making it again embeds what is new or has changed. Cosine search over the rows is one matrix product: a
million videos of 512 numbers take about 2 GB and a fraction of a second, so no search library is needed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.interface import VideoFeatures
from runs.config import RunConfig, load_run_config
from runs.inference.clips import READ_FAILURES
from runs.inference.video_embedder import VideoEmbedder
from runs.output_folder import FREE_KEYS, differing_keys
from utils.atomic import replacing
from utils.config import to_dict, to_yaml
from utils.logging import Progress

_SAVED_AFTER = 64
_WITHOUT_EFFECT = (
    "DATA.TRAIN_",
    "DATA.VAL_",
    "DATA.TEST_LIST",
    "DATA.CLASS_NAMES",
    "DATA.EXCLUDE_LIST",
    "DATA.DECODER",
    "DATA.DATASET_LABEL_TEXT.",
    "VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH",
)
"""Keys that say where things are, or nothing about how a video becomes features."""


@dataclass
class IndexedVideo:
    """A file as it was when it was embedded."""

    path: str
    size: int
    changed: int
    """Time of its last change in nanoseconds."""
    error: str = ""
    """Why it has no features; tried again when the index is made again."""

    @property
    def picture(self) -> str:
        """File name of its picture."""
        return hashlib.sha256(os.fsencode(self.path)).hexdigest()[:24] + ".jpg"


@dataclass(frozen=True)
class IndexSummary:
    """What making an index came to."""

    embedded: int
    kept: int
    forgotten: int
    failed: tuple[IndexedVideo, ...]

    def text(self) -> str:
        """For people."""
        lines = [f"{self.embedded} videos embedded, {self.kept} kept, {self.forgotten} forgotten"]
        lines += [f"cannot read {video.path}: {video.error}" for video in self.failed]
        return "\n".join(lines)


@dataclass(frozen=True)
class Match:
    """A video that was found."""

    path: str
    similarity: float
    picture: Path


def build_index(store: Path, videos: Sequence[str], config: RunConfig, checkpoint: str) -> IndexSummary:
    """Make or renew the index of `videos` in the folder `store`; interrupted, it goes on where it stopped.

    Raises ValueError when the folder holds the index of another model.
    """
    config = _from_any_folder(config)
    embedder = VideoEmbedder.of(config, checkpoint)
    content = _Content.read(store)
    model = {"sha256": embedder.sha256(), "checkpoint": place_of(checkpoint)}
    _check_same_model(store, content, model, config)
    content.model, content.config = model, to_yaml(config)
    stats = {os.path.abspath(path): _stat_of(path) for path in videos}
    wanted = {path: stat for path, stat in stats.items() if stat is not None}
    content.failed += [
        IndexedVideo(path, 0, 0, "there is no such file") for path, stat in stats.items() if stat is None
    ]
    forgotten = content.forget(lambda video: not _is_current(video, wanted))
    new = [path for path in wanted if path not in content.paths()]
    with Progress(len(new), "videos") as progress:
        for number, path in enumerate(new, start=1):
            content.add(_indexed(embedder, store, path, wanted[path]))
            if number % _SAVED_AFTER == 0:
                content.write(store)
            progress.advance()
    content.write(store)
    failed = tuple(content.failed)
    embedded = len(content.paths().intersection(new))
    gone = len([path for path in forgotten if path not in wanted])
    return IndexSummary(embedded, len(wanted) - len(new), gone, failed)


def place_of(name: str) -> str:
    """Where a query, from whatever folder, finds a file again; a name of the model zoo or a tag stays one."""
    path = Path(name).expanduser()
    return str(path.absolute()) if path.is_file() else name


def _from_any_folder(config: RunConfig) -> RunConfig:
    """The configuration with the whole paths of the files that the model is made of."""
    backbone, custom = config.video.backbone, config.custom
    backbone = replace(backbone, pretrain_weight_path=place_of(backbone.pretrain_weight_path))
    if backbone.meta_arch_name.endswith(".json"):
        backbone = replace(backbone, meta_arch_name=place_of(backbone.meta_arch_name))
    if custom.module.endswith(".py"):
        custom = replace(custom, module=place_of(custom.module))
    return replace(config, video=replace(config.video, backbone=backbone), custom=custom)


def _stat_of(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None


def _check_same_model(store: Path, content: _Content, model: dict[str, str], config: RunConfig) -> None:
    """What is in an index must have been made alike, or its rows say nothing about each other."""
    remedy = "choose another --store, or remove that folder first"
    if not content.model:
        return
    if content.model["sha256"] != model["sha256"]:
        raise ValueError(f"{store} is the index of another model: {remedy}")
    stored = to_dict(load_run_config(store / "config.yaml"))
    different = [
        line
        for line in differing_keys(stored, to_dict(config), (*FREE_KEYS, *_WITHOUT_EFFECT))
        if line.startswith(("DATA.", "MODEL.", "VIDEO."))
    ]
    if different:
        raise ValueError(f"{store} was made with other settings ({'; '.join(different[:4])}): {remedy}")


def _is_current(video: IndexedVideo, wanted: dict[str, os.stat_result]) -> bool:
    now = wanted.get(video.path)
    return now is not None and (now.st_size, now.st_mtime_ns) == (video.size, video.changed)


def _indexed(
    embedder: VideoEmbedder, store: Path, path: str, stat: os.stat_result
) -> tuple[IndexedVideo, VideoFeatures | None]:
    video = IndexedVideo(path, stat.st_size, stat.st_mtime_ns)
    try:
        features, picture = embedder.video(path)
    except READ_FAILURES as error:
        video.error = str(error)
        return video, None
    with replacing(str(store / "pictures" / video.picture)) as partial:
        picture.save(partial, format="JPEG", quality=85)
    return video, features


class _Content:
    """What an index holds, in memory."""

    def __init__(self) -> None:
        self.config = ""
        self.model: dict[str, str] = {}
        self.videos: list[IndexedVideo] = []
        self.failed: list[IndexedVideo] = []
        self.rows: dict[str, list[Tensor]] = {}

    @staticmethod
    def read(store: Path) -> _Content:
        """That of a folder; empty when it is not there."""
        content = _Content()
        if not (store / "videos.json").exists():
            return content
        described: dict[str, Any] = json.loads((store / "videos.json").read_text(encoding="utf-8"))
        content.model = described["model"]
        content.videos = [IndexedVideo(**entry) for entry in described["videos"]]
        content.config = (store / "config.yaml").read_text(encoding="utf-8")
        if content.videos:
            tensors = load_file(store / described["features"])
            content.rows = {name: list(tensor.unbind(0)) for name, tensor in tensors.items()}
        return content

    def paths(self) -> set[str]:
        """Of videos with features."""
        return {video.path for video in self.videos}

    def forget(self, is_stale: Callable[[IndexedVideo], bool]) -> list[str]:
        """Drop videos; returns their paths."""
        stale = [is_stale(video) for video in self.videos]
        gone = [video.path for video, drop in zip(self.videos, stale, strict=True) if drop]
        self.rows = {
            name: [row for row, drop in zip(rows, stale, strict=True) if not drop]
            for name, rows in self.rows.items()
        }
        self.videos = [video for video, drop in zip(self.videos, stale, strict=True) if not drop]
        return gone

    def add(self, found: tuple[IndexedVideo, VideoFeatures | None]) -> None:
        """Take in a video."""
        video, features = found
        if features is None:
            self.failed.append(video)
            return
        self.videos.append(video)
        for item in fields(features):
            self.rows.setdefault(item.name, []).append(getattr(features, item.name)[0].float().cpu())

    def write(self, store: Path) -> None:
        """Put it on disk: the features under a name of their own, then the list that names them."""
        store.mkdir(parents=True, exist_ok=True)
        identity = "\n".join(f"{video.path} {video.size} {video.changed}" for video in self.videos)
        name = f"features-{hashlib.sha256(os.fsencode(identity)).hexdigest()[:12]}.safetensors"
        if self.videos:
            with replacing(str(store / name)) as partial:
                save_file({field: torch.stack(rows) for field, rows in self.rows.items()}, partial)
        described = {
            "model": self.model,
            "features": name,
            "videos": [asdict(video) for video in self.videos],
            "failed": [asdict(video) for video in self.failed],
        }
        for file, text in (("config.yaml", self.config), ("videos.json", json.dumps(described, indent=1))):
            with replacing(str(store / file)) as partial:
                Path(partial).write_text(text, encoding="utf-8")
        kept = {video.picture for video in self.videos} | {name}
        for other in (*store.glob("features-*.safetensors"), *store.glob("pictures/*.jpg")):
            if other.name not in kept:
                other.unlink()


@dataclass(frozen=True)
class VideoIndex:
    """An index, open for queries."""

    store: Path
    embedder: VideoEmbedder
    videos: Sequence[IndexedVideo]
    features: dict[str, Tensor]

    def search(self, text: str, top: int) -> list[Match]:
        """The best matches of a text, best first. Raises ValueError for an empty text or an empty index."""
        if not text.strip():
            raise ValueError("the query is empty")
        if not self.videos:
            raise ValueError(f"{self.store} holds no videos")
        scores = self.embedder.similarities(text, self.features)
        best = scores.argsort(descending=True, stable=True)[:top].tolist()
        pictures = self.store / "pictures"
        return [
            Match(self.videos[row].path, float(scores[row]), pictures / self.videos[row].picture)
            for row in best
        ]


def open_index(store: Path) -> VideoIndex:
    """The index in a folder. Raises ValueError when its model's weights are no longer what they were."""
    content = _Content.read(store)
    embedder = VideoEmbedder.of(load_run_config(store / "config.yaml"), content.model["checkpoint"])
    if embedder.sha256() != content.model["sha256"]:
        raise ValueError(
            f"the weights of {content.model['checkpoint'] or 'CLIP'} have changed since {store} was made: "
            "make the index again in another folder"
        )
    features = {name: torch.stack(rows) for name, rows in content.rows.items()}
    return VideoIndex(store, embedder, content.videos, features)
