"""Recognition as a task of the one loop: heads over classes, soft cross entropy, top-1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datasets.annotations.epic_kitchens import EpicGroups, read_epic_groups
from datasets.records import AnnotatedSplit
from models.losses import soft_cross_entropy
from runs.build import Workplace
from runs.build_data import (
    build_device_transform,
    build_evaluation_videos,
    build_prepare,
    build_training_steps,
)
from runs.build_model import build_network
from runs.epic_scores import epic_table, is_epic, with_epic_scores
from runs.evaluate import EvaluationResult, Evaluator
from runs.feature_caching import with_feature_cache
from runs.output_folder import OutputFolder
from runs.report import evaluation_facts, results_table, write_test_report
from runs.task import Examiner
from runs.timetable import Timetable
from runs.training_step import Prepare, SoftCrossEntropy
from runs.video_data import TrainingSteps
from utils.trackers import Trackers


class ClassificationTask:
    """A `runs.task.Task`."""

    def __init__(self, place: Workplace, splits: Mapping[str, AnnotatedSplit]) -> None:
        """Raises ConfigError for sizes that do not fit and weights that cannot be had."""
        some_split = next(iter(splits.values()))
        self._place = place
        self.network = build_network(place.config, some_split.class_names, place.device)
        self.objective = SoftCrossEntropy(soft_cross_entropy)
        transform = build_device_transform(place.config)
        self._evaluator = Evaluator(
            self.network,
            transform,
            place.precision,
            place.device,
            some_split.num_classes,
            heads_named=some_split.heads,
            keep_scores=is_epic(some_split),
        )

    def prepare(self, split: AnnotatedSplit) -> Prepare:
        """Colours, normalisation, mixing, soft targets; the feature cache, where there is one."""
        prepare = build_prepare(self._place.config, split.num_classes, self._place.device)
        if not self._place.config.train.feature_cache_views:
            return prepare
        return with_feature_cache(prepare, self._place, self.network.model, split)

    def training_steps(self, split: AnnotatedSplit, timetable: Timetable) -> TrainingSteps:
        """The training data of this process."""
        return build_training_steps(self._place.config, split, timetable)

    def examiner(self, split: AnnotatedSplit, *, final: bool) -> Examiner:
        """Top-1 and top-5 over all videos of a list, and what the data set reports beside them."""
        videos = build_evaluation_videos(self._place.config, split, final=final)
        if not is_epic(split):
            return lambda label: self._evaluator(videos, label)
        groups = self._epic_groups(split)
        return lambda label: with_epic_scores(self._evaluator(videos, label), split, groups)

    def table(self, result: EvaluationResult, split: AnnotatedSplit) -> str:
        """One line per head; for EPIC-KITCHENS, one for actions, too, and its groups."""
        table = results_table(result, split)
        return f"{epic_table(result, self._epic_groups(split))}\n\n{table}" if result.more else table

    def _epic_groups(self, split: AnnotatedSplit) -> EpicGroups:
        return read_epic_groups(self._place.config.data.annotation_dir, split.split)

    def write_report(
        self,
        result: EvaluationResult,
        split: AnnotatedSplit,
        folder: OutputFolder,
        trackers: Trackers,
        step: int,
    ) -> None:
        """Confusion matrices, accuracy per class, predictions per video."""
        write_test_report(folder, result, split, trackers, step)

    def facts(self, result: EvaluationResult, split: AnnotatedSplit) -> dict[str, Any]:
        """What the summary says."""
        return evaluation_facts(result, split)
