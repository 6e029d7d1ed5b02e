"""EPIC-KITCHENS accuracy against a naive oracle."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from utils.epic_metrics import epic_accuracies

TAIL_VERBS, TAIL_NOUNS = (0, 3), (2,)


def _scores(seed: int, count: int = 200) -> tuple[NDArray, NDArray, NDArray]:
    """Coarse scores, so that many are equal, and labels that they favour a little."""
    generator = np.random.default_rng(seed)
    verbs = generator.integers(0, 4, (count, 5)).astype(np.float64)
    nouns = generator.integers(0, 4, (count, 7)).astype(np.float64)
    labels = np.stack([verbs.argmax(1), generator.integers(0, 7, count)], axis=1)
    return verbs, nouns, labels


def _oracle(
    verbs: NDArray, nouns: NDArray, labels: NDArray, members: list[int], head: str, k: int, pairs: list
) -> float:
    """Rank every candidate of every segment by sorting a Python list."""
    found = 0
    for row in members:
        verb, noun = (int(label) for label in labels[row])
        if head == "action":
            values: dict[object, float] = {(a, b): verbs[row][a] * nouns[row][b] for a, b in pairs}
            wanted: object = (verb, noun)
        else:
            values = dict(enumerate(verbs[row] if head == "verb" else nouns[row]))
            wanted = verb if head == "verb" else noun
        ranked = sorted(values, key=lambda name: -values[name])
        found += wanted in ranked[:k]
    return 100 * found / len(members)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("restricted", [False, True])
def test_against_sorting_by_hand(seed: int, restricted: bool) -> None:
    verbs, nouns, labels = _scores(seed)
    unseen = np.arange(len(labels)) % 3 == 0
    pairs = [(a, b) for a in range(5) for b in range(7) if not restricted or (a + b) % 2]
    result = epic_accuracies(
        verbs,
        nouns,
        labels,
        tail_verbs=TAIL_VERBS,
        tail_nouns=TAIL_NOUNS,
        unseen=unseen,
        actions=np.array(pairs) if restricted else None,
    )
    everyone = list(range(len(labels)))
    rare_verb = [row for row in everyone if labels[row, 0] in TAIL_VERBS]
    rare_noun = [row for row in everyone if labels[row, 1] in TAIL_NOUNS]
    tails = {"verb": rare_verb, "noun": rare_noun, "action": sorted({*rare_verb, *rare_noun})}
    expected: dict[str, float] = {}
    for head in ("verb", "noun", "action"):
        for k in (1, 5):
            expected[f"{head}_top{k}"] = _oracle(verbs, nouns, labels, everyone, head, k, pairs)
        expected |= {f"tail_{head}_segments": len(tails[head]), f"unseen_{head}_segments": len(everyone[::3])}
        expected[f"tail_{head}_top1"] = _oracle(verbs, nouns, labels, tails[head], head, 1, pairs)
        seen_apart = [row for row in everyone if unseen[row]]
        expected[f"unseen_{head}_top1"] = _oracle(verbs, nouns, labels, seen_apart, head, 1, pairs)
    assert result == pytest.approx(expected)


def test_perfect_scores_and_absent_groups() -> None:
    labels = np.array([[1, 2], [0, 6]])
    verbs, nouns = np.eye(5)[labels[:, 0]], np.eye(7)[labels[:, 1]]
    result = epic_accuracies(verbs, nouns, labels, unseen=np.array([False, False]))
    assert result == {f"{head}_top{k}": 100.0 for head in ("verb", "noun", "action") for k in (1, 5)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"verb": -1.0}, "verb scores hold -1.0: give probabilities"),
        ({"verb": np.nan}, "verb scores hold nan"),
        ({"label": 7}, "noun classes 0…7 are outside 0…6"),
        ({"rows": 1}, "do not fit"),
        ({"rows": 0}, "do not fit"),
    ],
)
def test_mistakes_are_named(change: dict[str, float], message: str) -> None:
    verbs, nouns, labels = np.full((2, 5), 0.2), np.full((2, 7), 0.1), np.array([[1, 0], [0, 6]])
    verbs[0, 0] = change.get("verb", 0.2)
    labels[1, 1] = change.get("label", 6)
    rows = int(change.get("rows", 2))
    with pytest.raises(ValueError, match=message):
        epic_accuracies(verbs, nouns, labels[:rows])
