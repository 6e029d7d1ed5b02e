"""The files of a report against what was evaluated, with one head and with two."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import torch

from datasets.batch import ReadFailure
from datasets.records import AnnotatedSplit, VideoRecord
from runs.evaluate import EvaluationResult, VideoPredictions
from runs.output_folder import OutputFolder
from runs.report import (
    evaluation_facts,
    results_table,
    write_summary,
    write_test_report,
    write_training_report,
)
from utils.logging import MetricsFile
from utils.metrics import ClassificationCounts, top_classes
from utils.trackers import Trackers

NAMES = (("cut", "wash", "never seen"), ("apple", "knife"))


def _evaluated(heads: int) -> tuple[EvaluationResult, AnnotatedSplit]:
    target = torch.tensor([[0, 1], [1, 1], [1, 0]])[:, :heads]
    scores = [
        torch.tensor([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1]]),
        torch.tensor([[0.1, 0.9]] * 3),
    ]
    counts, classes, values = [], [], []
    for head in range(heads):
        counts.append(ClassificationCounts.empty(len(NAMES[head])))
        counts[-1].add(scores[head], target[:, head])
        best, score = top_classes(scores[head], 2)
        classes.append(best)
        values.append(score)
    found = VideoPredictions(torch.tensor([0, 1, 3]), target, torch.stack(classes, 1), torch.stack(values, 1))
    right = int((found.classes[:, :, 0] == target).all(1).sum())
    missing = (ReadFailure(2, "c.mp4", "torn", 0),)
    records = [VideoRecord(f"{letter}.mp4", (0,) * heads) for letter in "abcd"]
    split = AnnotatedSplit("kitchen", "val", records, NAMES[:heads], "val.csv")
    return EvaluationResult(tuple(counts), found, missing, right, 3, 1.0), split


def test_two_heads_get_files_of_their_own(tmp_path: Path) -> None:
    result, split = _evaluated(2)
    folder = OutputFolder(tmp_path)
    write_test_report(folder, result, split, Trackers(), 1)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == sorted(
        ["predictions.csv"]
        + [
            f"{kind}_head{head}.{end}"
            for head in (0, 1)
            for kind, end in (("confusion_matrix", "png"), ("per_class", "csv"))
        ]
    )
    with (tmp_path / "predictions.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [
        (row["path"], row["head"], row["target_name"], row["name1"], row["correct"]) for row in rows[:4]
    ] == [
        ("a.mp4", "0", "cut", "cut", "1"),
        ("a.mp4", "1", "knife", "knife", "1"),
        ("b.mp4", "0", "wash", "cut", "0"),
        ("b.mp4", "1", "knife", "knife", "1"),
    ]
    table = results_table(result, split)
    assert "| 0 | 3 | 66.67 | 100.00 | 75.00 |" in table and "| all | | 33.33 |" in table
    assert "3 videos, 1 unreadable ones left out, 3 views each" in table


def test_one_head_and_classes_without_videos(tmp_path: Path) -> None:
    result, split = _evaluated(1)
    write_test_report(OutputFolder(tmp_path), result, split, Trackers(), 1)
    with (tmp_path / "per_class.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["name"], row["videos"], row["correct"], row["top1"]) for row in rows] == [
        ("cut", "1", "1", "100.00"),
        ("wash", "2", "1", "50.00"),
        ("never seen", "0", "0", ""),
    ]
    facts = evaluation_facts(result, split)
    assert (facts["videos_listed"], facts["videos_evaluated"], facts["correct"]) == (4, 3, [2])
    assert facts["videos_missing"] == [{"path": "c.mp4", "reason": "torn"}]


def test_summary_is_json_even_with_numbers_that_are_none(tmp_path: Path) -> None:
    folder = OutputFolder(tmp_path)
    write_summary(folder, {"scores": [math.nan, 1.0], "name": "Zürich"})
    assert json.loads(folder.summary.read_text()) == {"scores": [None, 1.0], "name": "Zürich"}
    assert folder.is_complete


def test_learning_curve_is_drawn_from_the_metrics_file(tmp_path: Path) -> None:
    folder = OutputFolder(tmp_path)
    write_training_report(folder)
    assert not list(tmp_path.iterdir())
    metrics = MetricsFile(folder.metrics)
    for step in range(1, 5):
        values = {"epoch": step / 2, "loss": 1 / step if step != 2 else math.nan, "learning_rate": 0.1}
        metrics.write("train", step, values)
    metrics.write("validation", 4, {"epoch": 2.0, "top1": 50.0, "top5": 100.0})
    write_training_report(folder)
    assert (tmp_path / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
