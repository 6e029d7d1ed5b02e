"""datasets/moving_shapes/held_out.py: nothing that is asked was trained on, and nothing is missing from
training.
"""

from __future__ import annotations

import csv
from pathlib import Path

from datasets.moving_shapes.captions import appearance_caption
from datasets.moving_shapes.config import MovingShapesConfig
from datasets.moving_shapes.held_out import APPEARANCES, CAPTIONS, is_held_out, write_held_out_lists
from datasets.moving_shapes.scene import MOTION_NAMES
from datasets.moving_shapes.splits import draw_split

CONFIG = MovingShapesConfig(num_train=960, num_test=240)


def rows(path: Path) -> list[tuple[str, str]]:
    with path.open(newline="") as file:
        return [(row["path"], row["label"]) for row in csv.DictReader(file)]


def test_no_asked_combination_is_trained_and_every_word_is(tmp_path: Path) -> None:
    trained, asked = write_held_out_lists(CONFIG, tmp_path)
    train = {label for _, label in rows(tmp_path / "train.csv")}
    motion = dict(rows(tmp_path / "motion" / "test.csv"))
    appearance = dict(rows(tmp_path / "appearance" / "test.csv"))
    assert (len(rows(tmp_path / "train.csv")), len(motion)) == (trained, asked)
    assert motion.keys() == appearance.keys()
    held_out = {f"{appearance[path]} {motion[path]}" for path in motion}
    assert train.isdisjoint(held_out)
    assert train | held_out == set(CAPTIONS) and len(CAPTIONS) == 240
    for word in (*MOTION_NAMES, *APPEARANCES):
        assert any(word in caption for caption in train), word


def test_a_quarter_of_the_combinations_is_held_out_in_time_reversed_pairs() -> None:
    clips = draw_split(CONFIG, "test")
    held_out = [clip for clip in clips if is_held_out(clip.scene)]
    assert len(held_out) == len(clips) // 4
    for first, second in zip(clips[::2], clips[1::2], strict=True):
        assert is_held_out(first.scene) == is_held_out(second.scene)


def test_classes_are_listed_in_the_order_of_their_indices(tmp_path: Path) -> None:
    write_held_out_lists(CONFIG, tmp_path)
    assert (tmp_path / "classes.txt").read_text().splitlines() == list(CAPTIONS)
    assert (tmp_path / "motion" / "classes.txt").read_text().splitlines() == list(MOTION_NAMES)
    assert (tmp_path / "appearance" / "classes.txt").read_text().splitlines()[0] == appearance_caption(
        "red", "circle"
    )
