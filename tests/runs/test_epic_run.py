"""A run on EPIC-KITCHENS-100 in small: the release's files, long videos cut into segments, its own scores."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from datasets.moving_shapes.encoding import write_clip
from tests.runs.conftest import Pairs
from tests.runs.tiny_runs import start_run

HEADER = (
    "narration_id,participant_id,video_id,narration_timestamp,start_timestamp,stop_timestamp,start_frame,"
    "stop_frame,narration,verb,verb_class,noun,noun_class,all_nouns,all_noun_classes"
)
TRAIN = [("P01", verb, noun) for verb, noun in ((0, 2), (1, 2), (10, 5), (3, 56))] * 2
TEST = [("P01", 0, 2), ("P01", 1, 7), ("P02", 10, 5), ("P02", 3, 56), ("P02", 1, 1)]  # P02 looks like P01
TAIL_VERBS, TAIL_NOUNS, UNSEEN = {10, 12}, {56, 59}, {"P02"}
Segment = tuple[str, int, int]


def _write_list(path: Path, segments: Sequence[Segment]) -> None:
    """Second k of a participant's one video is segment k."""
    lines = [HEADER]
    for number, (person, verb, noun) in enumerate(segments):
        video = f"{person}_01"
        start, stop = f"00:00:{number:02d}.00", f"00:00:{number:02d}.95"
        lines.append(
            f"{video}_{number},{person},{video},{start},{start},{stop},{8 * number + 1},{8 * number + 8},"
            f"take the plate,take,{verb},plate,{noun},\"['plate']\",[{noun}]"
        )
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def kitchens(tmp_path: Path) -> Path:
    """A folder as the data set comes: videos by participant, lists beside them."""
    colours = np.random.default_rng(0).integers(0, 255, (8, 1, 1, 3))
    frames = np.broadcast_to(np.repeat(colours, 8, axis=0), (8 * 8, 40, 48, 3)).astype(np.uint8)
    for person in ("P01", "P02"):
        folder = tmp_path / "epic" / person / "videos"
        folder.mkdir(parents=True)
        write_clip(folder / f"{person}_01.MP4", frames, fps=8, quantiser=30)
    annotations = tmp_path / "epic"
    _write_list(annotations / "EPIC_100_train.csv", TRAIN)
    _write_list(annotations / "EPIC_100_validation.csv", TEST)
    for name, column, ids in (
        ("tail_verbs", "verb", TAIL_VERBS),
        ("tail_nouns", "noun", TAIL_NOUNS),
        ("unseen_participant_ids_validation", "participant_id", UNSEEN),
    ):
        (annotations / f"EPIC_100_{name}.csv").write_text("\n".join([column, *map(str, sorted(ids))]) + "\n")
    return annotations


def _pairs(pairs_of: Pairs, kitchens: Path, **changes: str) -> dict[str, str]:
    fast = {"OPTIMIZER__MAX_EPOCH": "20", "TRAIN__EVAL_PERIOD": "20", "OPTIMIZER__BASE_LR": "3.0e-3"}
    fast["OPTIMIZER__WARMUP_EPOCHS"] = "1"
    fast |= {f"AUGMENTATION__{name}": "false" for name in ("MIXUP__ENABLE", "CUTMIX__ENABLE", "COLOR_AUG")}
    heads = {"TRAIN__DATASET": "epic100", "VIDEO__HEAD__NUM_CLASSES": "[97, 300]"}
    fast |= {"TRAIN__BATCH_SIZE": "4", "TRAIN__CHECKPOINT_STEPS": "100"}
    return pairs_of(**(fast | heads | changes), DATA__DATA_ROOT_DIR=str(kitchens))


def _expected(output: Path) -> dict[str, float]:
    """The data set's numbers by hand, from the five best verbs and nouns of each segment: the five best
    pairs are among their 25.
    """
    rows = list(csv.DictReader((output / "predictions.csv").open()))
    best = [
        [[(int(row[f"class{k}"]), float(row[f"score{k}"])) for k in range(1, 6)] for row in pair]
        for pair in zip(rows[0::2], rows[1::2], strict=True)
    ]
    places: dict[str, list[int]] = {"verb": [], "noun": [], "action": []}
    for (verbs, nouns), (_, verb, noun) in zip(best, TEST, strict=True):
        actions = [((v, n), p * q) for v, p in verbs for n, q in nouns]
        actions.sort(key=lambda action: -action[1])
        for head, ranked, wanted in (
            ("verb", verbs, verb),
            ("noun", nouns, noun),
            ("action", actions, (verb, noun)),
        ):
            order: list[object] = [label for label, _ in ranked]
            places[head].append(order.index(wanted) if wanted in order else 99)
    tail = {
        "verb": [verb in TAIL_VERBS for _, verb, _ in TEST],
        "noun": [noun in TAIL_NOUNS for _, _, noun in TEST],
        "action": [verb in TAIL_VERBS or noun in TAIL_NOUNS for _, verb, noun in TEST],
    }
    expected: dict[str, float] = {}
    for head, found in places.items():
        place = np.array(found)
        expected |= {
            f"{head}_top1": 100 * float(np.mean(place < 1)),
            f"{head}_top5": 100 * float(np.mean(place < 5)),
        }
        groups = {"tail": np.array(tail[head]), "unseen": np.array([who in UNSEEN for who, _, _ in TEST])}
        for group, members in groups.items():
            expected[f"{group}_{head}_top1"] = 100 * float(np.mean(place[members] < 1))
            expected[f"{group}_{head}_segments"] = int(members.sum())
    return expected


def test_a_run_prints_and_writes_verb_noun_and_action(pairs_of: Pairs, kitchens: Path) -> None:
    pairs = _pairs(pairs_of, kitchens)
    run = start_run(pairs)
    assert run.codes() == [0], run.text()
    output = Path(pairs["OUTPUT_DIR"])
    table = (output / "results.md").read_text()
    assert table.strip() in run.text()
    expected = _expected(output)
    scores = json.loads((output / "summary.json").read_text())["test"]["scores"]
    assert {name: scores[name] for name in expected} == pytest.approx(expected)
    assert expected["action_top5"] > 0 and expected["verb_top1"] < 100  # numbers that say something
    assert scores["top1"] == pytest.approx(scores["action_top1"])
    logged = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    for kind in ("validation", "test"):
        entry = [line for line in logged if line["kind"] == kind][-1]
        assert entry.keys() >= expected.keys()
    assert "| verb |" in table and "| action |" in table
    assert "tail classes: top-1 (segments)" in table and f"{expected['tail_action_top1']:.2f} (3) |" in table
    assert f"{expected['unseen_verb_top1']:.2f} (3) |" in table
    assert (output / "per_class_verb.csv").exists() and (output / "confusion_matrix_noun.png").exists()
    assert "verb / noun / action top-1" in run.text()


def test_a_list_without_labels_is_refused_before_training(pairs_of: Pairs, kitchens: Path) -> None:
    rows = list(csv.DictReader((kitchens / "EPIC_100_validation.csv").open()))
    with (kitchens / "EPIC_100_test_timestamps.csv").open("w", newline="") as stream:
        columns = HEADER.split(",")[:8]
        writer = csv.DictWriter(stream, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    run = start_run(_pairs(pairs_of, kitchens, DATA__TEST_LIST="EPIC_100_test_timestamps.csv"))
    assert run.codes() == [2]
    assert "P01_01_0 has no label" in run.text() and "runs/predict.py" in run.text()


def test_groups_whose_lists_are_absent_are_named_and_left_out(pairs_of: Pairs, kitchens: Path) -> None:
    (kitchens / "EPIC_100_tail_nouns.csv").unlink()
    pairs = _pairs(pairs_of, kitchens, OPTIMIZER__MAX_EPOCH="1", OPTIMIZER__WARMUP_EPOCHS="0")
    assert start_run(pairs).codes() == [0]
    output = Path(pairs["OUTPUT_DIR"])
    scores = json.loads((output / "summary.json").read_text())["test"]["scores"]
    assert not any(name.startswith("tail_") for name in scores) and "unseen_action_top1" in scores
    assert (
        "Not in the annotation folder, so not reported apart: EPIC_100_tail_nouns.csv"
        in (output / "results.md").read_text()
    )
