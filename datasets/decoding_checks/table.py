"""A Markdown table of how every backend reads every file of a folder, each in a process of its own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from datasets.decoding_checks.agreement import Finding, examine, read_reference
from utils.killable import run_killable


@dataclass(frozen=True)
class Row:
    """One file: what a plain decode shows, and how each backend reads it."""

    name: str
    reference: str
    findings: tuple[Finding, ...]


def examine_files(
    folder: str, names: Sequence[str], backends: Sequence[str], *, num_workers: int, time_limit: float
) -> list[Row]:
    """Compare all backends on all files; a process that hangs or dies becomes a finding, too."""
    examine_one = partial(_examine, folder, tuple(backends))
    outcomes = run_killable(examine_one, names, num_workers=num_workers, time_limit=time_limit)
    rows = [outcome.result or Row(outcome.item, f"process lost: {outcome.error}", ()) for outcome in outcomes]
    return sorted(rows, key=lambda row: row.name)


def _examine(folder: str, backends: tuple[str, ...], name: str) -> Row:
    path = os.path.join(folder, name)
    reference = read_reference(path)
    shown = f"{reference.frame_count} frame{'s' * (reference.frame_count != 1)}"
    if reference.error is not None and reference.frame_count:
        shown += ", then an error"
    return Row(name, shown, tuple(examine(path, backend, reference) for backend in backends))


def to_markdown(rows: Sequence[Row], backends: Sequence[str]) -> str:
    """The table, one line a file."""
    lines = [f"| file | plain decode | {' | '.join(backends)} |", "|---" * (len(backends) + 2) + "|"]
    for row in rows:
        cells = [_cell(finding) for finding in row.findings] or ["process lost"] * len(backends)
        lines.append(f"| {row.name} | {row.reference} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(finding: Finding) -> str:
    reason = (finding.refusal or "").split("; set DATA.DECODER")[0].replace("|", "/")
    if len(reason) > 110:
        reason = reason[:110].rsplit(" ", 1)[0] + " …"
    if finding.verdict == "right":
        return f"right, {finding.frame_count}"
    if finding.verdict == "right (colours)":
        return f"right, {finding.frame_count}; pixels differ by up to {finding.largest_difference}"
    if finding.verdict == "refused":
        return f"refused: {reason}"
    if finding.verdict == "partly refused":
        return f"{finding.exact} sampled frames right, {finding.errors} refused: {reason}"
    return f"WRONG: {finding.wrong} of the sampled frames, {finding.missing} missing"
