"""runs/inference/results.py: the three formats say the same."""

import csv
import io
import json

from runs.inference.results import Prediction, VideoResult, WindowResult, clock, format_results

BEST = (Prediction("juggling, balls", 0.75), Prediction("surfing", 0.25))
RESULTS = [
    VideoResult("a.mp4", BEST, (WindowResult(0.0, 2.5, BEST), WindowResult(2.5, 5.0, BEST[::-1])), 5.0),
    VideoResult("b.mp4", error="not a video"),
]


def test_json_reads_back() -> None:
    read = json.loads(format_results(RESULTS, "json"))
    assert read[0]["predictions"][0] == {"label": "juggling, balls", "score": 0.75}
    assert [window["predictions"][0]["label"] for window in read[0]["windows"]] == [
        "juggling, balls",
        "surfing",
    ]
    assert read[1] == {"path": "b.mp4", "error": "not a video"}


def test_csv_has_a_row_per_class_and_window_and_one_for_an_error() -> None:
    rows = list(csv.DictReader(io.StringIO(format_results(RESULTS, "csv"))))
    assert [(row["start"], row["rank"], row["label"]) for row in rows[:3]] == [
        ("", "1", "juggling, balls"),
        ("", "2", "surfing"),
        ("0.000", "1", "juggling, balls"),
    ]
    assert len(rows) == 2 * 3 + 1
    assert rows[-1]["error"] == "not a video"


def test_the_table_is_for_people() -> None:
    lines = format_results(RESULTS, "table").splitlines()
    assert lines[0] == "a.mp4"
    assert lines[1].split() == ["juggling,", "balls", "█" * 15 + "·" * 5, "75.0%"]
    assert lines[3].split() == ["0:00.0-0:02.5", "juggling,", "balls", "75.0%"]
    assert lines[-1] == "  could not be read: not a video"


def test_clock_carries_tenths_into_seconds_and_minutes() -> None:
    assert [clock(value) for value in (0, 9.96, 59.94, 59.96, 3661.25)] == [
        "0:00.0", "0:10.0", "0:59.9", "1:00.0", "61:01.2",
    ]  # fmt: skip
