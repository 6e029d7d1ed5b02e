"""The real command on real files, and the exact tree that it leaves."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from runs import job
from runs.evaluate import Evaluator
from runs.trained_with import BEHAVIOUR
from tests.runs.conftest import Pairs
from tests.runs.tiny_runs import STEPS, start_run
from utils.checkpoint import fingerprint, read_checkpoint, write_checkpoint
from utils.stopping import EXIT_PREEMPTED

TREE = {
    ".lock",
    "checkpoints/best.pt",
    f"checkpoints/step_{STEPS - 2:09d}.pt",
    f"checkpoints/step_{STEPS:09d}.pt",
    "config.yaml",
    "confusion_matrix.png",
    "learning_curve.png",
    "metrics.jsonl",
    "per_class.csv",
    "predictions.csv",
    "results.md",
    "summary.json",
    "training_log.log",
}


def _files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_command_trains_tests_and_writes_nothing_outside_its_folder(
    pairs_of: Pairs, tmp_path: Path, checkout: Path
) -> None:
    pairs = pairs_of(TRAIN__CHECKPOINT_STEPS="0")
    tree: dict[str, object] = {key: yaml.safe_load(value) for key, value in pairs.items()}
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(_nested(tree)))
    videos = Path(pairs["DATA.DATA_ROOT_DIR"])
    before = _files_below(videos)
    elsewhere = [tmp_path / name for name in ("here", "home", "temporary")]
    for folder in elsewhere:
        folder.mkdir()
    command = [sys.executable, str(checkout / "runs" / "run.py"), "--cfg", str(recipe)]
    environment = {**os.environ, "HOME": str(elsewhere[1]), "TMPDIR": str(elsewhere[2])}
    environment |= {"MPLCONFIGDIR": str(tmp_path / "fonts"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=elsewhere[0], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert _files_below(Path(pairs["OUTPUT_DIR"])) == TREE
    assert [_files_below(folder) for folder in elsewhere] == [set(), set(), set()]
    assert _files_below(videos) == before
    _check_contents(Path(pairs["OUTPUT_DIR"]))


def _nested(flat: dict[str, object]) -> dict[str, object]:
    tree: dict[str, object] = {}
    for key, value in flat.items():
        section = tree
        *sections, last = key.split(".")
        for name in sections:
            section = section.setdefault(name, {})  # type: ignore[assignment]
        section[last] = value
    return tree


def _check_contents(output: Path) -> None:
    summary = json.loads((output / "summary.json").read_text())
    assert summary["training"]["steps"] == STEPS and summary["training"]["clips_read"] == 8 * STEPS
    assert summary["test"]["videos_evaluated"] == 7 and summary["test"]["scores"]["views"] == 2
    assert summary["test"]["videos_missing"] == [] and summary["command"].startswith("python ")
    assert summary["versions"]["torch"] == torch.__version__.split("+")[0]
    state = torch.load(output / "checkpoints" / f"step_{STEPS:09d}.pt", weights_only=True)
    tested = {name: value for name, value in state["average"].items() if name != "updates"}
    assert summary["weights"]["averaged"] and summary["weights"]["trained_sha256"] == fingerprint(tested)
    assert summary["config"] == state["config"] == yaml.safe_load((output / "config.yaml").read_text())
    with (output / "predictions.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["path"] for row in rows] == [f"val{number:02d}.mp4" for number in range(7)]
    correct = sum(int(row["correct"]) for row in rows)
    assert summary["test"]["correct"] == [correct]
    assert f"{100 * correct / 7:.2f}" in (output / "results.md").read_text()
    kinds = [json.loads(line)["kind"] for line in (output / "metrics.jsonl").read_text().splitlines()]
    assert [kinds.count(kind) for kind in ("train", "validation", "test")] == [STEPS, 2, 1]
    for picture in output.glob("*.png"):
        assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 10_000


@pytest.fixture
def finished(pairs_of: Pairs) -> dict[str, str]:
    """The configuration of a run that is complete."""
    pairs = pairs_of("finished", OPTIMIZER__MAX_EPOCH="1")
    assert start_run(pairs).codes() == [0]
    return pairs


def test_second_run_into_the_same_folder_never_overwrites(finished: dict[str, str], tmp_path: Path) -> None:
    output = Path(finished["OUTPUT_DIR"])
    before = {name: (output / name).read_bytes() for name in _files_below(output)}
    again = start_run({**finished, "LOG_PERIOD": "3"})
    assert again.codes() == [0] and "nothing is left to do" in again.text()
    other = start_run({**finished, "OPTIMIZER.BASE_LR": "0.5"})
    assert other.codes() == [2] and "OPTIMIZER.BASE_LR was 0.0001, now 0.5" in other.text()
    lists = tmp_path / "lists"
    lists.mkdir()
    for name in ("train.csv", "val.csv"):
        rows = Path(finished["DATA.DATA_ROOT_DIR"], name).read_text().splitlines()
        (lists / name).write_text("\n".join(rows if name == "train.csv" else rows[:-1]) + "\n")
    elsewhere = start_run({**finished, "DATA.ANNO_DIR": str(lists)})
    assert elsewhere.codes() == [2] and "than those read now: validation, test" in elsewhere.text()
    after = {name: (output / name).read_bytes() for name in _files_below(output)}
    changed = {name for name in before if before[name] != after[name]}
    assert changed <= {"training_log.log", ".lock"} and before.keys() == after.keys()


def test_a_trained_checkpoint_is_tested_alone_and_starts_another_run(
    finished: dict[str, str], tmp_path: Path
) -> None:
    trained = Path(finished["OUTPUT_DIR"])
    path = max(trained.glob("checkpoints/step_*.pt"))
    pairs = {**finished, "OUTPUT_DIR": str(tmp_path / "tested")}
    alone = start_run({**pairs, "TRAIN.ENABLE": "false", "TEST.CHECKPOINT_FILE_PATH": str(path)})
    assert alone.codes() == [0] and "was trained with" not in alone.text(), alone.text()
    shown = {"OUTPUT_DIR": str(tmp_path / "shown"), "DATA.INTERPOLATION": "bicubic"}
    otherwise = start_run({**pairs, **shown, "TRAIN.ENABLE": "false", "TEST.CHECKPOINT_FILE_PATH": str(path)})
    said = "was trained with DATA.INTERPOLATION bilinear and is used with DATA.INTERPOLATION bicubic"
    assert otherwise.codes() == [0] and otherwise.text().count(said) == 1, otherwise.text()
    scores = [
        json.loads((folder / "summary.json").read_text())["test"] for folder in (trained, tmp_path / "tested")
    ]
    assert scores[0]["scores"] == scores[1]["scores"]
    untrained = start_run({**pairs, "OUTPUT_DIR": str(tmp_path / "none"), "TRAIN.ENABLE": "false"})
    assert untrained.codes() == [2] and "TEST.CHECKPOINT_FILE_PATH" in untrained.text()
    tuned = {**pairs, "OUTPUT_DIR": str(tmp_path / "tuned"), "TRAIN.CHECKPOINT_FILE_PATH": str(path)}
    assert start_run({**tuned, "DATA.NUM_INPUT_FRAMES": "8"}).codes() == [0]
    further = {**pairs, "OUTPUT_DIR": str(tmp_path / "further"), "TRAIN.CHECKPOINT_FILE_PATH": str(path)}
    taken_over = start_run({**further, "TRAIN.FINE_TUNE": "false", "OPTIMIZER.MAX_EPOCH": "2"})
    assert taken_over.codes() == [0] and "took over the state after step 2" in taken_over.text()
    wrong = start_run(
        {**tuned, "OUTPUT_DIR": str(tmp_path / "wrong"), "VIDEO.BACKBONE.DIST.TEMPORAL_DIM": "32"}
    )
    assert wrong.codes() == [2] and "TRAIN.CHECKPOINT_FILE_PATH" in wrong.text(), wrong.text()


def test_another_run_goes_on_from_a_whole_state_with_its_own_settings(
    pairs_of: Pairs, tiny_videos: Path
) -> None:
    folds = {"TRAIN__NUM_FOLDS": "2", "TRAIN__CHECKPOINT_STEPS": "0"}
    folds["DATA__DATASET_LABEL_TEXT__PROMPT_PREFIX"] = "a photo of"
    first = pairs_of("first", **folds, OPTIMIZER__MAX_EPOCH="3")  # loops of five steps and of two
    assert start_run(first).codes() == [0]
    state = max(Path(first["OUTPUT_DIR"]).glob("checkpoints/step_*.pt"))
    content = read_checkpoint(state)
    content["progress"] |= {"best_score": 101.0, "best_step": 7}  # nothing here will be better
    del content["behaviour"]
    write_checkpoint(state, content)
    Path(first["OUTPUT_DIR"], "summary.json").unlink()
    resumed = start_run(first)
    assert resumed.codes() == [0] and "resumed after step 7" in resumed.text(), resumed.text()
    assert "which put no space behind PROMPT_PREFIX" in resumed.text()
    taken = {"TRAIN__CHECKPOINT_FILE_PATH": str(state), "TRAIN__FINE_TUNE": "false"}
    settings = {"OPTIMIZER__BETAS": "[0.8, 0.9]", "OPTIMIZER__NEW_NET_LRMULT": "1"}
    further = pairs_of("further", **folds, **taken, **settings, OPTIMIZER__MAX_EPOCH="4")
    run = start_run(further)
    assert run.codes() == [0] and "took over the state after step 7" in run.text(), run.text()
    assert "which put no space behind PROMPT_PREFIX" in run.text()
    last = read_checkpoint(Path(further["OUTPUT_DIR"], "checkpoints", "step_000000010.pt"))
    assert last["behaviour"] == BEHAVIOUR
    best = read_checkpoint(Path(further["OUTPUT_DIR"], "checkpoints", "best.pt"))
    assert best["progress"]["best_step"] == best["progress"]["step"] == 10
    assert last["progress"]["closed_loops"] == 2  # the last of them was validated and saved
    for group in last["optimizer"]["param_groups"]:
        assert tuple(group["betas"]) == (0.8, 0.9) and group["lr_multiplier"] == 1
    assert all(int(moments["step"]) == 10 for moments in last["optimizer"]["state"].values())

    lines = (tiny_videos / "train.csv").read_text().splitlines(keepends=True)
    (tiny_videos / "fewer.csv").write_text("".join(lines[:17]))
    for change, message, code in (
        ({"TRAIN__NUM_FOLDS": "1"}, "TRAIN.NUM_FOLDS was 2, now 1", 2),
        ({"TRAIN__BATCH_SIZE": "4"}, "TRAIN.BATCH_SIZE was 8, now 4", 2),
        ({"DATA__TRAIN_LIST": "fewer.csv"}, "a list of other training videos", 2),
    ):
        run = start_run(pairs_of("elsewhere", **{**folds, **taken, **change}))
        assert run.codes() == [code] and message in run.text(), run.text()
        assert "TRAIN.FINE_TUNE" in run.text()
        assert not list(Path(further["OUTPUT_DIR"]).with_name("elsewhere").glob("checkpoints/*"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"DATA.TRAIN_LIST": "none.csv"}, "none.csv"),
        ({"DATA.VAL_LIST": "empty.csv"}, "empty.csv"),
        ({"DATA.VAL_LIST": "missing.csv"}, "1 of 2 videos are missing"),
        ({"VIDEO.HEAD.NUM_CLASSES": "5"}, "5"),
        ({"TRAIN.BATCH_SIZE": "64"}, "20 training videos do not fill one batch of 64"),
        ({"NUM_GPUS": "99"}, "NUM_GPUS"),
        ({"AUGMENTATION.FLIP_LABEL_PAIRS": "[[0, 7]]"}, "[0, 7] is no pair of the 3 classes"),
    ],
)
def test_bad_input_is_told_before_anything_is_written(
    pairs_of: Pairs, tiny_videos: Path, change: dict[str, str], message: str
) -> None:
    (tiny_videos / "empty.csv").write_text("path,label\n")
    (tiny_videos / "missing.csv").write_text("path,label\nval00.mp4,colour 0\nval99.mp4,colour 1\n")
    pairs = {**pairs_of(), **change}
    run = start_run(pairs)
    assert run.codes() == [2], run.text()
    assert message in run.text() and not Path(pairs["OUTPUT_DIR"]).exists()


def test_unreadable_videos_stop_a_test_and_are_replaced_in_training(
    pairs_of: Pairs, tiny_videos: Path
) -> None:
    (tiny_videos / "torn.mp4").write_bytes((tiny_videos / "train00.mp4").read_bytes()[:600])
    for split in ("train", "val"):
        lines = (tiny_videos / f"{split}.csv").read_text()
        (tiny_videos / f"torn_{split}.csv").write_text(lines + "torn.mp4,colour 0\n")
    pairs = pairs_of(DATA__TRAIN_LIST="torn_train.csv", OPTIMIZER__MAX_EPOCH="2", TRAIN__EVAL_PERIOD="2")
    trained = start_run(pairs)
    assert trained.codes() == [0], trained.text()
    assert "torn.mp4" in trained.text() and "is replaced by video" in trained.text()
    replaced = json.loads(Path(pairs["OUTPUT_DIR"], "summary.json").read_text())["training"]["clips_replaced"]
    assert 1 <= replaced <= 2
    stopped = start_run({**pairs, "OUTPUT_DIR": f"{pairs['OUTPUT_DIR']}2", "DATA.VAL_LIST": "torn_val.csv"})
    assert (
        stopped.codes() == [1]
        and "torn.mp4" in stopped.text()
        and "TEST.ON_UNREADABLE skip" in stopped.text()
    )


def test_known_bad_videos_are_missing_in_testing_and_do_not_stop_it(pairs_of: Pairs, tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("path,problem\nval03.mp4,no moov atom\n")
    pairs = pairs_of(DATA__EXCLUDE_LIST=str(bad), OPTIMIZER__MAX_EPOCH="1")
    run = start_run(pairs)
    assert run.codes() == [0], run.text()
    assert "validation: 1 of 7 videos count as missing, as DATA.EXCLUDE_LIST says" in run.text()
    facts = json.loads(Path(pairs["OUTPUT_DIR"], "summary.json").read_text())["test"]
    assert facts["videos_evaluated"] == 6 and [item["path"] for item in facts["videos_missing"]] == [
        "val03.mp4"
    ]


def test_tensorboard_gets_numbers_pictures_and_clips(pairs_of: Pairs) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    pairs = pairs_of(TENSORBOARD__ENABLE="true", OPTIMIZER__MAX_EPOCH="1")
    run = start_run(pairs)
    assert run.codes() == [0], run.text()
    found = events.EventAccumulator(str(Path(pairs["OUTPUT_DIR"], "tensorboard")))
    found.Reload()
    names = ("loss", "learning_rate", "clips_per_second", "data_wait_share", "peak_memory_gb")
    wanted = {f"train/{name}" for name in names} | {"validation/top1", "test/top1"}
    assert wanted <= set(found.Tags()["scalars"])
    assert {"train/clips/0", "test/confusion_matrix"} <= set(found.Tags()["images"])


def test_a_tracker_hears_of_the_test_and_is_closed_at_the_end(pairs_of: Pairs, tmp_path: Path) -> None:
    """Weights & Biases takes nothing any more once a run is finished."""
    heard = tmp_path / "heard.txt"

    def pretend() -> None:
        class Run:
            finished = False

            def log(self, values: dict[str, Any], step: int) -> None:
                assert not self.finished, "the run is finished"
                heard.open("a").write("".join(f"{name}\n" for name in values))

            def finish(self) -> None:
                self.finished = True
                heard.open("a").write("finish\n")

        made = types.ModuleType("wandb")
        made.init = lambda **named: heard.write_text(f"{named['id']}\n") and Run()  # type: ignore[attr-defined]
        made.Image = lambda picture: picture  # type: ignore[attr-defined]
        sys.modules["wandb"] = made

    pairs = pairs_of(WANDB__ENABLE="true", OPTIMIZER__MAX_EPOCH="1")
    run = start_run(pairs, before=pretend)
    assert run.codes() == [0], run.text()
    identity, *names = heard.read_text().splitlines()
    assert identity not in pairs["OUTPUT_DIR"] and len(identity) == 16
    assert {"train/loss", "validation/top1", "test/top1"} <= set(names)
    assert names.count("finish") == 1 and names[-1] == "finish"


@pytest.mark.parametrize("part", ["build_task", "write_training_report"])
def test_a_signal_outside_of_training_ends_the_run_with_its_code(pairs_of: Pairs, part: str) -> None:
    def lay_trap() -> None:
        setattr(job, part, lambda *arguments: os.kill(os.getpid(), signal.SIGTERM))

    pairs = pairs_of(OPTIMIZER__MAX_EPOCH="1")
    run = start_run(pairs, before=lay_trap)
    assert run.codes() == [EXIT_PREEMPTED], run.text()
    assert "stopped as asked" in run.text() and "Traceback" not in run.text()
    assert start_run(pairs).codes() == [0]


def test_a_signal_in_the_test_ends_it_and_it_is_done_again(pairs_of: Pairs) -> None:
    pairs = pairs_of(OPTIMIZER__MAX_EPOCH="1")

    def lay_trap() -> None:
        evaluate = Evaluator.__call__

        def signalled(self: Evaluator, data: Any, label: str) -> Any:
            if label == "test":
                os.kill(os.getpid(), signal.SIGUSR1)
            return evaluate(self, data, label)

        Evaluator.__call__ = signalled  # type: ignore[method-assign]

    run = start_run(pairs, before=lay_trap)
    assert run.codes() == [EXIT_PREEMPTED], run.text()
    assert "the same command does it again" in run.text()
    again = start_run(pairs)
    assert again.codes() == [0] and "resumed after step 2 of 2" in again.text(), again.text()
