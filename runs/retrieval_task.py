"""Text–video retrieval as a task of the one loop: pairs, InfoNCE over all processes, recall at 1, 5, 10."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from datasets.records import AnnotatedSplit
from datasets.text_video_dataset import TextVideoDataset
from models.build import tunes_text
from models.contrastive import Similarity, contrastive_loss
from models.interface import VideoModel
from models.retriever import Matched
from runs.build import Workplace
from runs.build_data import build_device_transform, build_evaluation_videos, build_training_steps
from runs.build_model import build_retriever
from runs.config import RunConfig
from runs.evaluate_retrieval import RetrievalEvaluator, RetrievalResult
from runs.output_folder import OutputFolder
from runs.retrieval_data import CaptionTokens, PreparePairs, queries_from
from runs.retrieval_report import retrieval_facts, retrieval_table, write_ranks
from runs.task import Examiner
from runs.timetable import Timetable
from runs.training_step import Prepare, TrainingPairs
from runs.video_data import TrainingSteps
from utils.config import ConfigError
from utils.trackers import Trackers


@dataclass(frozen=True)
class Contrastive:
    """A `runs.training_step.Objective`: InfoNCE between the clips and texts of all processes."""

    similarity: Similarity

    def output(self, network: Callable[..., Matched], clips: TrainingPairs) -> Matched:
        """Features of both sides."""
        return network(clips.video, clips.tokens)

    def loss(self, output: Matched, clips: TrainingPairs) -> tuple[Tensor, Tensor]:
        """In float32; a pair counts as finite when both its embeddings are."""
        loss = contrastive_loss(output, self.similarity)
        finite = torch.isfinite(output.videos.video).all(dim=1) & torch.isfinite(output.texts.text).all(dim=1)
        return loss, finite


def _assert_alignment_trains(config: RunConfig, model: VideoModel) -> None:
    alignment = config.retrieval.alignment
    untrained = model.frames_are_clips and not tunes_text(model)
    if config.train.enable and alignment != "pooled" and untrained:
        raise ConfigError(
            f"{alignment} compares the frames' embeddings, which this model leaves to the frozen CLIP: "
            "nothing of it would be trained",
            key="RETRIEVAL.ALIGNMENT",
            remedy="set it to pooled",
        )


class RetrievalTask:
    """A `runs.task.Task`."""

    def __init__(self, place: Workplace, splits: Mapping[str, AnnotatedSplit]) -> None:
        """Raises ConfigError for sizes that do not fit and weights that cannot be had."""
        self._place = place
        settings = place.config.retrieval
        self.network = build_retriever(place.config, place.device)
        _assert_alignment_trains(place.config, self.network.model)
        self.objective = Contrastive(self.network.similarity)
        self._tokens = CaptionTokens(self.network.model.clip, settings.max_tokens)
        self._transform = build_device_transform(place.config)
        self._evaluator = RetrievalEvaluator(
            self.network,
            self._transform,
            place.precision,
            place.device,
            place.folder.root,
            settings.pairs_per_block,
            settings.dual_softmax_sharpness,
        )

    def prepare(self, split: AnnotatedSplit) -> Prepare:
        """Colours, normalisation, token ids of the captions."""
        return PreparePairs(self._transform, self._place.device, split.records, self._tokens)

    def training_steps(self, split: AnnotatedSplit, timetable: Timetable) -> TrainingSteps:
        """The training data of this process."""
        return build_training_steps(self._place.config, split, timetable, TextVideoDataset)

    def examiner(self, split: AnnotatedSplit, *, final: bool) -> Examiner:
        """Ranks of all texts and videos of a list."""
        videos = build_evaluation_videos(self._place.config, split, final=final)
        queries = queries_from(split.records, self._tokens)
        return lambda label: self._evaluator(videos, queries, label)

    def table(self, result: RetrievalResult, split: AnnotatedSplit) -> str:
        """Both directions, plain and with dual softmax."""
        return retrieval_table(result, split)

    def write_report(
        self,
        result: RetrievalResult,
        split: AnnotatedSplit,
        folder: OutputFolder,
        trackers: Trackers,
        step: int,
    ) -> None:
        """The rank of every query."""
        write_ranks(result, split, folder.root / "ranks.csv")

    def facts(self, result: RetrievalResult, split: AnnotatedSplit) -> dict[str, Any]:
        """What the summary says."""
        return retrieval_facts(result, split)
