"""Retrieval through the one loop: real runs of tiny models on tiny videos with captions."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
import torch

from runs.evaluate_retrieval import FEATURES_FOLDER
from tests.runs.tiny_runs import start_run, tiny_pairs
from utils.config import ConfigError

Pairs = Callable[..., dict[str, str]]
COLOURS = ("red", "green", "blue")
OFF = {"AUGMENTATION.MIXUP.ENABLE": "false", "AUGMENTATION.CUTMIX.ENABLE": "false"}
LONG = " and so on" * 12


@pytest.fixture(scope="module")
def caption_lists(tiny_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lists with two captions per video, one of them too long."""
    folder = tmp_path_factory.mktemp("captions")
    for split in ("train", "val"):
        rows = [line.split(",") for line in (tiny_videos / f"{split}.csv").read_text().splitlines()[1:]]
        with (folder / f"{split}.csv").open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["path", "caption"])
            for number, (path, label) in enumerate(rows):
                colour = COLOURS[int(label[-1])]
                writer.writerow([path, f"{colour} noise number {number}"])
                writer.writerow([path, f"much {colour} noise {number}" + LONG])
    return folder


@pytest.fixture
def retrieval_pairs(tiny_videos: Path, caption_lists: Path, tmp_path: Path) -> Pairs:
    """The configuration of a tiny retrieval run into a folder of that name, with changed keys."""

    def pairs(name: str = "run", **changes: str) -> dict[str, str]:
        named = {key.replace("__", "."): value for key, value in changes.items()}
        settings = {
            "TASK_TYPE": "retrieval",
            "DATA.ANNO_DIR": str(caption_lists),
            "DATA.SAMPLING_MODE": "segment_offset",
            "DATA.SPARSE_SAMPLE_ALPHA": "1",
            "TEST.NUM_ENSEMBLE_VIEWS": "1",
            "RETRIEVAL.MAX_TOKENS": "16",
            "OPTIMIZER.MAX_EPOCH": "1",
            "TRAIN.CHECKPOINT_STEPS": "0",
            "VIDEO.BACKBONE.STAN.DEPTH": "1",
            "VIDEO.BACKBONE.STAN.DROP_PATH": "0",
        }
        return tiny_pairs(tiny_videos, tmp_path / name) | OFF | settings | named

    return pairs


STAN = {
    "MODEL__NAME": "stan", "VIDEO__BACKBONE__FREEZE_VISUAL": "false", "VIDEO__BACKBONE__FREEZE_TEXT": "false",
}  # fmt: skip


def scores_of(output: str) -> dict[str, float]:
    summary = json.loads(Path(output, "summary.json").read_text())
    scores: dict[str, float] = summary["test"]["scores"]
    return scores


def test_any_number_of_processes_trains_and_ranks_alike(retrieval_pairs: Pairs) -> None:
    found = {}
    for processes in (1, 2):
        pairs = retrieval_pairs(f"run{processes}", **STAN, DATA__NUM_TEST_FRAMES="6")
        left = Path(pairs["OUTPUT_DIR"], FEATURES_FOLDER)  # of an evaluation that was killed
        left.mkdir(parents=True)
        (left / "video.video.bin").write_bytes(b"half")
        run = start_run(pairs, processes)
        assert set(run.codes()) == {0}, run.text()
        assert run.text().count("texts of more than 16 tokens are cut") == processes
        found[processes] = scores_of(pairs["OUTPUT_DIR"]), run.text()
        ranks = Path(pairs["OUTPUT_DIR"], "ranks.csv").read_text().splitlines()
        assert len(ranks) == 15
        assert not left.exists()
    scores = found[1][0]
    assert (scores["texts"], scores["videos"], scores["missing"]) == (14, 7, 0)
    assert found[2][0] == pytest.approx(scores)
    assert "| text → video |" in found[1][1]


@pytest.mark.parametrize(
    "changes",
    [
        STAN | {"RETRIEVAL__ALIGNMENT": "mug", "RETRIEVAL__CAPTIONS": "all"},
        STAN | {"VIDEO__BACKBONE__STAN__TIME_MODULE": "conv", "RETRIEVAL__TEMPERATURE": "null"},
        STAN | {"MODEL__NAME": "clip4clip", "VIDEO__BACKBONE__CLIP4CLIP__POOLING": "mean"},
        STAN | {"MODEL__NAME": "clip", "TRAIN__ACTIVATION_CHECKPOINTING": "true"},
        {"MODEL__NAME": "dist", "DATA__SPARSE_SAMPLE_ALPHA": "2"},
    ],
    ids=["stan-mug", "stan-conv", "clip4clip", "mean", "dist"],
)
def test_every_model_serves_retrieval(retrieval_pairs: Pairs, changes: dict[str, str]) -> None:
    pairs = retrieval_pairs(**changes)
    run = start_run(pairs)
    assert set(run.codes()) == {0}, run.text()
    assert scores_of(pairs["OUTPUT_DIR"])["text_to_video_mean"] >= 1


def test_a_run_that_only_tests_takes_what_another_trained(retrieval_pairs: Pairs) -> None:
    trained = retrieval_pairs("trained", **STAN, MODEL__EMA__ENABLE="false")
    assert set(start_run(trained).codes()) == {0}
    checkpoint = max(Path(trained["OUTPUT_DIR"], "checkpoints").glob("step_*.pt"))
    tested = retrieval_pairs(
        "tested",
        **STAN,
        TRAIN__ENABLE="false",
        TEST__DATASET="csv",
        TEST__CHECKPOINT_FILE_PATH=str(checkpoint),
    )
    run = start_run(tested)
    assert set(run.codes()) == {0}, run.text()
    assert scores_of(tested["OUTPUT_DIR"]) == scores_of(trained["OUTPUT_DIR"])


def test_an_alignment_that_shows_nothing_of_the_model_is_an_error(retrieval_pairs: Pairs) -> None:
    """Its scores would be those of CLIP's frames."""
    changes = {"DATA__SPARSE_SAMPLE_ALPHA": "2", "RETRIEVAL__ALIGNMENT": "mug"}
    for name, trains in product(("dist", "xclip"), ("true", "false")):
        with pytest.raises(ConfigError, match="RETRIEVAL.ALIGNMENT: mug compares single frames"):
            start_run(retrieval_pairs(MODEL__NAME=name, TRAIN__ENABLE=trains, **changes))
    run = start_run(retrieval_pairs(MODEL__NAME="clip", **changes))
    assert set(run.codes()) == {2}
    assert "RETRIEVAL.ALIGNMENT" in run.text() and "nothing of it would be trained" in run.text()


def test_lists_without_captions_are_an_error(retrieval_pairs: Pairs, tiny_videos: Path) -> None:
    run = start_run(retrieval_pairs(**STAN, DATA__ANNO_DIR=str(tiny_videos)))
    assert set(run.codes()) == {2}
    assert "have no caption" in run.text()


def test_fewer_texts_and_videos_than_processes_are_ranked(retrieval_pairs: Pairs, tmp_path: Path) -> None:
    (tmp_path / "few.csv").write_text("path,caption\nval00.mp4,red noise\nval01.mp4,green noise\n")
    one = retrieval_pairs("one", **STAN, DATA__VAL_LIST=str(tmp_path / "few.csv"))
    four = {**one, "OUTPUT_DIR": str(tmp_path / "four")}
    for pairs, processes in ((one, 1), (four, 4)):
        run = start_run(pairs, processes)
        assert set(run.codes()) == {0}, run.text()
    assert scores_of(four["OUTPUT_DIR"]) == scores_of(one["OUTPUT_DIR"])


def test_captions_of_videos_that_are_not_there_are_an_error(
    retrieval_pairs: Pairs, caption_lists: Path, tmp_path: Path
) -> None:
    lines = (caption_lists / "val.csv").read_text() + "nowhere.mp4,nothing\n"
    (tmp_path / "val.csv").write_text(lines)
    pairs = retrieval_pairs(**STAN, DATA__VAL_LIST=str(tmp_path / "val.csv"))
    run = start_run(pairs)
    assert set(run.codes()) == {2}
    assert "1 of 8 videos are missing" in run.text()
    skipping = start_run(pairs | {"TEST.ON_UNREADABLE": "skip", "DATA.VAL_LIST": str(tmp_path / "val.csv")})
    assert set(skipping.codes()) == {0}, skipping.text()
    scores = scores_of(pairs["OUTPUT_DIR"])
    assert (scores["texts"], scores["videos"], scores["missing"]) == (14, 7, 1)
    assert torch.isfinite(torch.tensor(scores["text_to_video_mean"]))


def test_a_validation_without_any_readable_video_ends_no_training(
    retrieval_pairs: Pairs, tiny_videos: Path, caption_lists: Path, tmp_path: Path
) -> None:
    for path in tiny_videos.glob("*.mp4"):
        (tmp_path / path.name).write_bytes(
            path.read_bytes() if path.name.startswith("train") else b"no video"
        )
    pairs = retrieval_pairs(**STAN, DATA__DATA_ROOT_DIR=str(tmp_path), TEST__ON_UNREADABLE="skip")
    run = start_run(pairs)
    assert set(run.codes()) == {0}, run.text()
    scores = scores_of(pairs["OUTPUT_DIR"])
    assert (scores["texts"], scores["videos"], scores["missing"]) == (0, 0, 7)
    assert scores["text_to_video_r1"] is None
    assert "0 texts, 0 videos, 7 unreadable ones left out" in run.text()
