"""EPIC-KITCHENS-100 in a report: verb, noun and action, on all segments, tail classes and unseen people.

scores of both heads, labels ─┐
lists of the annotation folder ┴─► utils.epic_metrics ─► EvaluationResult.more ─► log, table, summary
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from datasets.annotations.epic_kitchens import EpicGroups, participant
from datasets.records import AnnotatedSplit
from runs.evaluate import EvaluationResult
from utils.epic_metrics import epic_accuracies

EPIC = "epic100"
HEADS = ("verb", "noun", "action")
_GROUPS = {"tail_": "tail classes", "unseen_": "unseen participants"}


def is_epic(split: AnnotatedSplit) -> bool:
    """Whether a list is scored as EPIC-KITCHENS-100 is: of this data set, with both heads."""
    return split.dataset == EPIC and len(split.class_names) == 2


def with_epic_scores(result: EvaluationResult, split: AnnotatedSplit, groups: EpicGroups) -> EvaluationResult:
    """The result with the data set's own numbers. It must hold the scores of all classes.

    Actions are ranked among all pairs of a verb and a noun. Segments that could not be read are in no number.
    """
    if not result.videos:
        return result
    assert result.scores is not None, "actions are ranked by the scores of all classes"
    verbs, nouns = (scores.numpy() for scores in result.scores)
    people = [participant(split.records[row]) for row in result.predictions.video_id.tolist()]
    unseen = np.array([person in groups.unseen_participants for person in people])
    found = epic_accuracies(
        verbs,
        nouns,
        result.predictions.target.numpy(),
        tail_verbs=groups.tail_verbs,
        tail_nouns=groups.tail_nouns,
        unseen=unseen if groups.unseen_participants else None,
    )
    return replace(result, more=found)


def epic_table(result: EvaluationResult, groups: EpicGroups) -> str:
    """Markdown: a line for verb, noun and action, with the number of segments beside a group's score."""
    found = result.more
    present = [group for group in _GROUPS if any(name.startswith(group) for name in found)]
    titles = ["", "top-1", "top-5", *(f"{_GROUPS[group]}: top-1 (segments)" for group in present)]
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for head in HEADS:
        cells = [head, f"{found[f'{head}_top1']:.2f}", f"{found[f'{head}_top5']:.2f}"]
        cells += [_group_cell(found.get, f"{group}{head}") for group in present]
        lines.append(f"| {' | '.join(cells)} |")
    if groups.missing:
        lines += ["", f"Not in the annotation folder, so not reported apart: {', '.join(groups.missing)}"]
    return "\n".join(lines)


def _group_cell(value: Callable[[str], float | None], name: str) -> str:
    accuracy, count = value(f"{name}_top1"), value(f"{name}_segments")
    return "no segment" if accuracy is None or count is None else f"{accuracy:.2f} ({count:.0f})"
