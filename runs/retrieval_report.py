"""Scores of a retrieval test: the table, the facts of the summary, and every query's rank as CSV."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from datasets.records import AnnotatedSplit
from datasets.text_video_dataset import queries_of
from runs.evaluate_retrieval import RetrievalResult

_TITLES = {
    "text_to_video": "text → video",
    "video_to_text": "video → text",
    "dual_text_to_video": "text → video, dual softmax",
    "dual_video_to_text": "video → text, dual softmax",
}


def retrieval_table(result: RetrievalResult, split: AnnotatedSplit) -> str:
    """Both directions as a Markdown table, with what they were computed on."""
    lines = ["| direction | R@1 | R@5 | R@10 | median rank | mean rank |", "|---|---|---|---|---|---|"]
    for name, summary in result.summaries.items():
        recalls = " | ".join(f"{value:.1f}" for value in summary.recall.values())
        lines.append(f"| {_TITLES[name]} | {recalls} | {summary.median:g} | {summary.mean:.1f} |")
    missing = f", {len(result.missing)} unreadable ones left out" if result.missing else ""
    lines.append("")
    lines.append(
        f"{split.dataset} {split.split}, {len(result.texts)} texts, {len(result.videos)} videos{missing}. "
        "Dual softmax knows all queries at once."
    )
    return "\n".join(lines)


def retrieval_facts(result: RetrievalResult, split: AnnotatedSplit) -> dict[str, Any]:
    """What the summary says about a test."""
    return {
        "dataset": split.dataset,
        "split": split.split,
        "list": split.source,
        "videos_listed": len(split),
        "videos_evaluated": len(result.videos),
        "texts": len(result.texts),
        "videos_missing": [{"path": failure.path, "reason": failure.reason} for failure in result.missing],
        "scores": result.values(),
        "seconds": round(result.seconds, 2),
    }


def write_ranks(result: RetrievalResult, split: AnnotatedSplit, path: Path) -> None:
    """One line per text: its video, and the video's rank, plain and with dual softmax."""
    texts, owners = queries_of(split.records)
    plain, dual = result.ranks.text_to_video.tolist(), result.ranks.dual_text_to_video.tolist()
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "video", "rank", "rank_dual_softmax"])
        for place, text in enumerate(result.texts):
            writer.writerow([texts[text], split.records[owners[text]].path, plain[place], dual[place]])
