"""What a run does with videos: the seam between the one loop and the tasks that it serves.

    Task ──► network, objective, training data and its preparation ──► Trainer
         └─► examiner(split) ──► TaskResult ──► table, report, facts

`classification_task.py` and `retrieval_task.py` implement it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from torch import nn

from datasets.records import AnnotatedSplit
from models.interface import Role
from runs.output_folder import OutputFolder
from runs.timetable import Timetable
from runs.training_step import Objective, Prepare
from runs.video_data import TrainingSteps
from utils.trackers import Trackers


class TrainedNetwork(nn.Module):
    """A network that knows how each of its weights is trained: `Recognizer` and `Retriever` in one word."""

    def role(self, name: str) -> Role:
        """How the parameter of that name is trained."""
        raise NotImplementedError

    def decays(self, name: str, parameter: nn.Parameter) -> bool:
        """Whether weight decay applies to it."""
        raise NotImplementedError

    def rate_share(self, name: str) -> float:
        """Its learning rate as a share of the one that its role gives it."""
        raise NotImplementedError


class TaskResult(Protocol):
    """What an evaluation found, the same on every process."""

    seconds: float

    @property
    def score(self) -> float:
        """What "best" means; the higher the better."""

    @property
    def headline(self) -> str:
        """The score in words, for the log."""

    def values(self) -> dict[str, float]:
        """The numbers for logs."""


Examiner = Callable[[str], Any]
"""Evaluates the network as it is on one list → TaskResult; what it is given labels the progress bar."""


class Task(Protocol):
    """One kind of training and evaluation."""

    network: Any

    @property
    def objective(self) -> Objective:
        """What training minimises."""

    def prepare(self, split: AnnotatedSplit) -> Prepare:
        """What turns batches of a training list into the network's input."""

    def training_steps(self, split: AnnotatedSplit, timetable: Timetable) -> TrainingSteps:
        """The training data of this process."""

    def examiner(self, split: AnnotatedSplit, *, final: bool) -> Examiner:
        """For validations, or the `final` test with all its views."""

    def table(self, result: Any, split: AnnotatedSplit) -> str:
        """The scores as a Markdown table."""

    def write_report(
        self, result: Any, split: AnnotatedSplit, folder: OutputFolder, trackers: Trackers, step: int
    ) -> None:
        """Pictures and CSV files; on the main process."""

    def facts(self, result: Any, split: AnnotatedSplit) -> dict[str, Any]:
        """What the summary says."""
