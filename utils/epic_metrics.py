"""Accuracy of EPIC-KITCHENS-100: verb, noun and action, over all segments, tail classes and unseen
participants.

    verb scores (N, V), noun scores (N, M) ─► ranks ─► {"verb_top1": …, "action_top5": …, "tail_noun_top1": …}

An action is a (verb, noun) pair and its score the product of the two probabilities. As in the data set's
own evaluation, the tail of verbs (nouns) are the segments of a tail verb (noun), that of actions the
segments with a tail verb or a tail noun; top-5 is given for all segments, top-1 for the groups too. Numpy
only.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

_TOP = 5
_BLOCK = 128  # rows whose action scores (29 100 a row without `actions`) are held at once


def epic_accuracies(
    verb_scores: NDArray[np.floating],
    noun_scores: NDArray[np.floating],
    labels: NDArray[np.integer],
    *,
    tail_verbs: Collection[int] = (),
    tail_nouns: Collection[int] = (),
    unseen: NDArray[np.bool_] | None = None,
    actions: NDArray[np.integer] | None = None,
) -> dict[str, float]:
    """Percentages by name: "{group}{head}_top{k}", group "" or "tail_" or "unseen_", head verb, noun or
    action; and what stands behind those of a group: "{group}{head}_segments".

    Args:
        verb_scores: (N, V) probabilities, or their sum over views; not negative. noun_scores: (N, M)
        likewise. labels: (N, 2) verb and noun class. tail_verbs, tail_nouns: rare classes; both empty: no
        tail group. unseen: (N,) which segments show a participant that is not in training; None: no such
        group. actions: (A, 2) the pairs that are candidates, for instance those seen in training; None: all
        V·M pairs.
    A group without segments is left out of the result.
    Raises:
        ValueError: shapes that do not fit, negative scores, no segment, or classes outside the scores.
    """
    _check(verb_scores, noun_scores, labels)
    verbs, nouns = labels[:, 0], labels[:, 1]
    places = {
        "verb": _places(verb_scores, verbs),
        "noun": _places(noun_scores, nouns),
        "action": _action_places(verb_scores, noun_scores, labels, actions),
    }
    everything = np.ones(len(labels), dtype=bool)
    result = _percentages("", places, dict.fromkeys(places, everything), ks=(1, _TOP))
    if len(tail_verbs) or len(tail_nouns):
        rare_verb, rare_noun = np.isin(verbs, list(tail_verbs)), np.isin(nouns, list(tail_nouns))
        groups = {"verb": rare_verb, "noun": rare_noun, "action": rare_verb | rare_noun}
        result |= _percentages("tail_", places, groups, ks=(1,))
    if unseen is not None:
        result |= _percentages(
            "unseen_", places, dict.fromkeys(places, np.asarray(unseen, dtype=bool)), ks=(1,)
        )
    return result


def _check(verb_scores: NDArray, noun_scores: NDArray, labels: NDArray) -> None:
    count = len(labels)
    if not count or labels.shape != (count, 2) or len(verb_scores) != count or len(noun_scores) != count:
        raise ValueError(
            f"scores {verb_scores.shape}, {noun_scores.shape} and labels {labels.shape} do not fit: "
            "give (N, verbs), (N, nouns) and (N, 2) with N > 0"
        )
    for head, scores, classes in (("verb", verb_scores, labels[:, 0]), ("noun", noun_scores, labels[:, 1])):
        if not scores.min() >= 0:
            raise ValueError(
                f"{head} scores hold {scores.min()}: give probabilities (after softmax), not logits"
            )
        if classes.min() < 0 or classes.max() >= scores.shape[1]:
            raise ValueError(
                f"{head} classes {classes.min()}…{classes.max()} are outside 0…{scores.shape[1] - 1}"
            )


def _places(scores: NDArray, labels: NDArray) -> NDArray[np.intp]:
    """(N,) place of each label in its row's order, 0 the best; among equal scores the lower class comes
    first."""
    own = scores[np.arange(len(labels)), labels][:, None]
    earlier = np.arange(scores.shape[1])[None, :] < labels[:, None]
    return ((scores > own) | ((scores == own) & earlier)).sum(axis=1)


def _action_places(
    verb_scores: NDArray, noun_scores: NDArray, labels: NDArray, actions: NDArray | None
) -> NDArray[np.intp]:
    """(N,) place of each (verb, noun) label among the actions, in blocks of rows so that memory stays
    small."""
    if actions is None:
        actions = np.indices((verb_scores.shape[1], noun_scores.shape[1])).reshape(2, -1).T
    position = {(int(verb), int(noun)): index for index, (verb, noun) in enumerate(actions)}
    wanted = np.array([position.get((int(verb), int(noun)), -1) for verb, noun in labels])
    places = np.empty(len(labels), dtype=np.intp)
    for start in range(0, len(labels), _BLOCK):
        rows = slice(start, start + _BLOCK)
        products = verb_scores[rows][:, actions[:, 0]] * noun_scores[rows][:, actions[:, 1]]
        places[rows] = _places(products, np.maximum(wanted[rows], 0))
    places[wanted < 0] = len(actions)  # a pair that is no candidate is never found
    return places


def _percentages(
    group: str,
    places: dict[str, NDArray[np.intp]],
    members: dict[str, NDArray[np.bool_]],
    ks: tuple[int, ...],
) -> dict[str, float]:
    """Top-k accuracy in percent of every head over its members, where there are any, and a group's size."""
    result: dict[str, float] = {}
    for head, place in places.items():
        count = int(members[head].sum())
        if not count:
            continue
        for k in ks:
            result[f"{group}{head}_top{k}"] = 100.0 * int((place[members[head]] < k).sum()) / count
        if group:
            result[f"{group}{head}_segments"] = count
    return result
