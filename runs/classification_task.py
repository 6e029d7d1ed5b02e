"""Recognition as a task of the one loop: heads over classes, soft cross entropy, top-1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
from runs.evaluate import EvaluationResult, Evaluator
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
            self.network, transform, place.precision, place.device, some_split.num_classes
        )

    def prepare(self, split: AnnotatedSplit) -> Prepare:
        """Colours, normalisation, mixing, soft targets."""
        return build_prepare(self._place.config, split.num_classes, self._place.device)

    def training_steps(self, split: AnnotatedSplit, timetable: Timetable) -> TrainingSteps:
        """The training data of this process."""
        return build_training_steps(self._place.config, split, timetable)

    def examiner(self, split: AnnotatedSplit, *, final: bool) -> Examiner:
        """Top-1 and top-5 over all videos of a list."""
        videos = build_evaluation_videos(self._place.config, split, final=final)
        return lambda label: self._evaluator(videos, label)

    def table(self, result: EvaluationResult, split: AnnotatedSplit) -> str:
        """One line per head."""
        return results_table(result, split)

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
