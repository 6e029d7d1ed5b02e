"""The end of a run on disk: a table, pictures, CSV files and a summary that says how to get the numbers
again.

    results.md            the table that is also printed
    summary.json          configuration, command, weights' hashes, data counts, scores, times, versions
    learning_curve.png    loss, learning rate, validation and test scores
    confusion_matrix.png  per_class.csv  predictions.csv      (several heads: …_verb, or …_head1)

`summary.json` is written last: a folder that has it is complete.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import simplejson

from datasets.records import AnnotatedSplit
from runs.evaluate import EvaluationResult
from runs.output_folder import OutputFolder
from runs.plots import draw_confusion_matrix, draw_learning_curve
from utils.checkpoint import write_text_atomically
from utils.figures import save_figure
from utils.logging import MetricsFile
from utils.metrics import percentage
from utils.trackers import Trackers


def write_training_report(folder: OutputFolder) -> None:
    """The learning curve of what `metrics.jsonl` holds."""
    entries = MetricsFile(folder.metrics).read()
    if any(entry["kind"] == "train" for entry in entries):
        save_figure(draw_learning_curve(entries), folder.root / "learning_curve.png")


def write_test_report(
    folder: OutputFolder, result: EvaluationResult, split: AnnotatedSplit, trackers: Trackers, step: int
) -> None:
    """Confusion matrices, accuracy per class and predictions per video."""
    for number, (head, names) in enumerate(zip(result.heads, split.class_names, strict=True)):
        suffix = result.suffix(number)
        title = f"{split.dataset} {split.split}: {head.videos} videos, top-1 {head.top1:.2f} %"
        figure = draw_confusion_matrix(head.confusion, names, title)
        trackers.figure(f"test/confusion_matrix{suffix}", figure, step)
        save_figure(figure, folder.root / f"confusion_matrix{suffix}.png")
        _write_csv(folder.root / f"per_class{suffix}.csv", _per_class_rows(head.per_class(), names))
    _write_csv(folder.root / "predictions.csv", _prediction_rows(result, split))


def results_table(result: EvaluationResult, split: AnnotatedSplit) -> str:
    """Scores as a Markdown table, one line a head, with what they were computed on."""
    lines = ["| head | classes | top-1 | top-5 | mean class |", "|---|---|---|---|---|"]
    for number, head in enumerate(result.heads):
        classes = len(split.class_names[number])
        scores = f"{head.top1:.2f} | {head.top5:.2f} | {head.mean_class_accuracy:.2f}"
        lines.append(f"| {_head_name(split, number)} | {classes} | {scores} |")
    if len(result.heads) > 1:
        lines.append(f"| all | | {result.top1:.2f} | | |")
    missing = f", {len(result.missing)} unreadable ones left out" if result.missing else ""
    lines.append("")
    lines.append(
        f"{split.dataset} {split.split}, {result.videos} videos{missing}, {result.num_views} views each"
    )
    return "\n".join(lines)


def write_results_table(folder: OutputFolder, table: str) -> None:
    """`results.md`."""
    write_text_atomically(folder.root / "results.md", table + "\n")


def write_summary(folder: OutputFolder, facts: Mapping[str, Any]) -> None:
    """`summary.json`, the mark of a complete run."""
    write_text_atomically(
        folder.summary, simplejson.dumps(facts, indent=2, ensure_ascii=False, ignore_nan=True) + "\n"
    )


def evaluation_facts(result: EvaluationResult, split: AnnotatedSplit) -> dict[str, Any]:
    """What the summary says about a test."""
    return {
        "dataset": split.dataset,
        "split": split.split,
        "list": split.source,
        "videos_listed": len(split),
        "videos_evaluated": result.videos,
        "videos_missing": [{"path": failure.path, "reason": failure.reason} for failure in result.missing],
        "scores": result.values(),
        "correct": [head.correct for head in result.heads],
        "seconds": round(result.seconds, 2),
    }


def _per_class_rows(counts: Sequence[tuple[int, int, int]], names: Sequence[str]) -> Iterable[Sequence[Any]]:
    yield "class", "name", "videos", "correct", "top1", "in_top5", "top5"
    for label, (videos, correct, in_top5) in enumerate(counts):
        shares = (f"{percentage(part, videos):.2f}" if videos else "" for part in (correct, in_top5))
        top1, top5 = shares
        yield label, names[label], videos, correct, top1, in_top5, top5


def _prediction_rows(result: EvaluationResult, split: AnnotatedSplit) -> Iterable[Sequence[Any]]:
    kept = result.predictions.classes.shape[2]
    ranks = [
        column for rank in range(1, kept + 1) for column in (f"class{rank}", f"name{rank}", f"score{rank}")
    ]
    yield "video_id", "path", "head", "target", "target_name", "correct", *ranks
    found = result.predictions
    for row, video_id in enumerate(found.video_id.tolist()):
        for head, names in enumerate(split.class_names):
            target = int(found.target[row, head])
            classes, scores = found.classes[row, head].tolist(), found.scores[row, head].tolist()
            best = [
                value
                for label, score in zip(classes, scores, strict=True)
                for value in (label, names[label], f"{score:.6f}")
            ]
            correct = int(classes[0] == target)
            record, name = split.records[video_id], _head_name(split, head)
            yield video_id, record.path, name, target, names[target], correct, *best


def _head_name(split: AnnotatedSplit, head: int) -> str:
    return split.heads[head] if split.heads else str(head)


def _write_csv(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)
