"""Text–video retrieval over a whole list: features of every text and video once, then ranks from blocks.

    loader (this process's videos) ──► VideoFeatures ─┐
                                                      ├─► memory-mapped tables ──main process──► ranks
    captions (this process's) ──► TextFeatures ───────┘

Features wait in files below the output folder, so memory holds a block of similarities and little else,
however many texts and videos there are. With several processes the folder must be one that all of them see.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from datasets.batch import ReadFailure, VideoBatch
from models.interface import VideoFeatures
from models.retriever import Retriever, TextFeatures
from runs.evaluate import EvaluationData
from utils import distributed
from utils.feature_table import FeatureTable, FeatureWriter
from utils.logging import Progress
from utils.precision import Precision
from utils.retrieval_metrics import RankSummary, RetrievalRanks, streamed_ranks

FEATURES_FOLDER = ".features"
_TEXTS_AT_A_TIME = 128


@dataclass(frozen=True)
class RetrievalResult:
    """What an evaluation found, the same on every process.

    summaries: of both directions, plain and after dual softmax, by name. ranks: of each query; texts and
    their videos are numbered in the order of the list, unreadable videos and their texts left out.
    """

    summaries: dict[str, RankSummary]
    ranks: RetrievalRanks
    texts: tuple[int, ...]
    videos: tuple[int, ...]
    missing: tuple[ReadFailure, ...]
    seconds: float

    @property
    def score(self) -> float:
        """Sum of recall at 1, 5 and 10 of texts looking for videos."""
        return sum(self.summaries["text_to_video"].recall.values())

    @property
    def headline(self) -> str:
        """The scores in words."""
        found = " / ".join(f"{value:.1f}" for value in self.summaries["text_to_video"].recall.values())
        return f"text to video R@1/5/10 {found}, {len(self.texts)} texts, {len(self.videos)} videos"

    def values(self) -> dict[str, float]:
        """Every number for logs."""
        values: dict[str, float] = {
            "texts": len(self.texts),
            "videos": len(self.videos),
            "missing": len(self.missing),
        }
        for name, summary in self.summaries.items():
            values |= summary.values(f"{name}_")
        return values


@dataclass(frozen=True)
class Queries:
    """All captions of a list: token ids (Q,L) on the CPU, and the row of each one's video (Q,)."""

    tokens: Tensor
    owners: Tensor


@dataclass(frozen=True)
class RetrievalEvaluator:
    """Evaluates a network; `normalise` makes float clips of uint8 ones on the device."""

    network: Retriever
    normalise: Callable[[Tensor], Tensor]
    precision: Precision
    device: torch.device
    folder: Path
    """Where features wait."""
    pairs_per_block: int
    sharpness: float

    def __call__(self, data: EvaluationData, queries: Queries, label: str) -> RetrievalResult:
        """Go through the videos and texts, and rank. `label` stands before the progress bar.

        Raises FloatingPointError on similarities that are no numbers.
        """
        started = time.perf_counter()
        was_training = self.network.training
        self.network.eval()
        folder = Path(distributed.on_main(self._new_folder))
        try:
            with torch.no_grad():
                videos = self._store_videos(data, folder, label)
                texts = self._store_texts(queries, folder)
                missing = self._missing(data)
                stored = _Stored(folder, _first_of_any(texts), _first_of_any(videos), data.num_videos)
                ranks, kept_texts, kept_videos = distributed.on_main(
                    lambda: self._rank(stored, queries.owners, missing)
                )
        finally:
            if distributed.is_main():
                shutil.rmtree(folder, ignore_errors=True)
            self.network.train(was_training)
        seconds = time.perf_counter() - started
        return RetrievalResult(ranks.summaries(), ranks, kept_texts, kept_videos, missing, seconds)

    def _new_folder(self) -> str:
        """Empty; one that an evaluation which was killed has left goes first: nobody else writes here."""
        folder = self.folder / FEATURES_FOLDER
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        return str(folder)

    def _missing(self, data: EvaluationData) -> tuple[ReadFailure, ...]:
        found = [failure for failures in distributed.gather(list(data.missing())) for failure in failures]
        return tuple(sorted(found, key=lambda failure: failure.row))

    def _store_videos(self, data: EvaluationData, folder: Path, label: str) -> _Layout:
        """Features of this process's videos into files."""
        tables = _Tables(folder, "video", data.num_videos)
        with Progress(len(data), label, visible=distributed.is_main()) as progress:
            for batch in data:
                if len(batch):
                    tables.write(batch.video_id, self._embed(batch))
                progress.advance()
        return tables.close()

    def _embed(self, batch: VideoBatch) -> VideoFeatures:
        assert batch.num_views == 1, f"{batch.num_views} views of a video; retrieval takes one"
        clips = self.normalise(batch.clips().to(self.device, non_blocking=True))
        with self.precision.autocast():
            return self.network.model(clips)

    def _store_texts(self, queries: Queries, folder: Path) -> _Layout:
        """Features of this process's texts into files."""
        tables = _Tables(folder, "text", len(queries.owners))
        own = torch.arange(len(queries.owners))[distributed.rank() :: distributed.world_size()]
        for items in own.split(_TEXTS_AT_A_TIME) if len(own) else ():
            with self.precision.autocast():
                features = self.network.embed_texts(queries.tokens[items].to(self.device))
            tables.write(items, features)
        return tables.close()

    def _rank(
        self, stored: _Stored, owners: Tensor, missing: Sequence[ReadFailure]
    ) -> tuple[RetrievalRanks, tuple[int, ...], tuple[int, ...]]:
        """Ranks, and the rows of the texts and videos that they are of: those that could be read."""
        absent = torch.zeros(stored.num_videos, dtype=torch.bool)
        absent[[failure.row for failure in missing]] = True
        videos, texts = (~absent).nonzero()[:, 0], (~absent[owners]).nonzero()[:, 0]
        if len(texts) == 0:  # the result says so, as classification's does: a validation goes on
            return RetrievalRanks.of_nothing(), (), tuple(videos.tolist())
        video_features = _Features(stored.folder, "video", stored.videos, stored.num_videos, self.device)
        text_features = _Features(stored.folder, "text", stored.texts, len(owners), self.device)

        def similarity(rows: slice, columns: slice) -> Tensor:
            found = text_features.at(texts[rows]), video_features.at(videos[columns])
            return self.network.similarity(*found).cpu()

        ranks = streamed_ranks(
            similarity,
            (torch.cumsum(~absent, dim=0) - 1)[owners[texts]],
            len(videos),
            pairs_per_block=self.pairs_per_block,
            sharpness=self.sharpness,
        )
        return ranks, tuple(texts.tolist()), tuple(videos.tolist())


_Layout = tuple[type, list[str]]
"""The class of the features and the names of its fields; no names where nothing was stored."""


def _first_of_any(own: _Layout) -> _Layout:
    """That of the first process that has stored anything; collective."""
    return next((layout for layout in distributed.gather(own) if layout[1]), own)


@dataclass(frozen=True)
class _Stored:
    """Features on disk."""

    folder: Path
    texts: _Layout
    videos: _Layout
    num_videos: int


class _Tables:
    """One writer per field of the features."""

    def __init__(self, folder: Path, kind: str, count: int) -> None:
        self._folder, self._kind, self._count = folder, kind, count
        self._writers: dict[str, FeatureWriter] = {}
        self._type: type = VideoFeatures

    def write(self, items: Tensor, features: VideoFeatures | TextFeatures) -> None:
        """Features of some items of this process."""
        self._type = type(features)
        place = {"rank": distributed.rank(), "world_size": distributed.world_size()}
        for field in fields(features):
            name = f"{self._kind}_{field.name}"
            if field.name not in self._writers:
                self._writers[field.name] = FeatureWriter(self._folder, name, self._count, **place)
            self._writers[field.name].write(items, getattr(features, field.name))

    def close(self) -> _Layout:
        """What was stored, once everything is on disk."""
        for writer in self._writers.values():
            writer.close()
        return self._type, list(self._writers)


class _Features:
    """The tables of all fields, read by rising item numbers."""

    def __init__(self, folder: Path, kind: str, layout: _Layout, count: int, device: torch.device) -> None:
        self._type, names = layout
        world = distributed.world_size()
        self._tables = {name: FeatureTable(folder, f"{kind}_{name}", count, world) for name in names}
        self._device = device

    def at(self, items: Tensor) -> Any:
        """Features of some items, which lie close together, on the device."""
        first, last = int(items[0]), int(items[-1])
        found = {
            name: table[first : last + 1][items - first].to(self._device)
            for name, table in self._tables.items()
        }
        return self._type(**found)
