"""The task that TASK_TYPE names."""

from __future__ import annotations

from collections.abc import Mapping

from datasets.records import AnnotatedSplit
from runs.build import Workplace
from runs.classification_task import ClassificationTask
from runs.retrieval_task import RetrievalTask
from runs.task import Task


def build_task(place: Workplace, splits: Mapping[str, AnnotatedSplit]) -> Task:
    """Raises ConfigError for sizes that do not fit and weights that cannot be had."""
    if place.config.task_type == "retrieval":
        return RetrievalTask(place, splits)
    return ClassificationTask(place, splits)
