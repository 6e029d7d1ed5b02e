"""Several processes: the same training, the same counts, and what happens when one of them fails or is
signalled.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing as multiprocessing

from runs.evaluate import Evaluator
from runs.job import check_lists_of_others
from runs.process import EXIT_PEER_LOST
from tests.runs.conftest import Pairs
from tests.runs.tiny_runs import STEPS, held_at, start_run
from tests.runs.toy import ToyData, toy_trainer
from utils import distributed
from utils.checkpoint import read_checkpoint, trainable_state
from utils.config import ConfigError
from utils.stopping import EXIT_PREEMPTED


def _final(output: str, steps: int = STEPS) -> dict[str, torch.Tensor]:
    state = read_checkpoint(Path(output, "checkpoints", f"step_{steps:09d}.pt"))
    return {**state["weights"], **{f"average.{name}": value for name, value in state["average"].items()}}


def test_any_number_of_processes_trains_and_counts_alike(pairs_of: Pairs) -> None:
    found, length = {}, {"OPTIMIZER__MAX_EPOCH": "10", "TRAIN__EVAL_PERIOD": "10"}  # 20 steps
    for processes, micro in ((1, "8"), (2, "2"), (4, "2")):
        pairs = pairs_of(f"run{processes}-{micro}", TRAIN__MICRO_BATCH_SIZE=micro, **length)
        run = start_run(pairs, processes)
        assert set(run.codes()) == {0}, run.text()
        output = pairs["OUTPUT_DIR"]
        summary = json.loads(Path(output, "summary.json").read_text())
        predictions = len(Path(output, "predictions.csv").read_text().splitlines()) - 1
        found[processes, micro] = _final(output, 20), summary["test"]["scores"], predictions
    weights, scores, predictions = found[1, "8"]
    for other_weights, other_scores, other_predictions in found.values():
        assert (other_scores, other_predictions) == (scores, predictions)
        for name, tensor in weights.items():
            largest = float(torch.as_tensor(tensor).abs().max())
            torch.testing.assert_close(other_weights[name], tensor, rtol=0, atol=1e-5 * largest)
    assert scores["videos"] == 7 == predictions


def test_a_signal_to_one_process_stops_all_of_them_after_the_same_step(
    pairs_of: Pairs, tmp_path: Path
) -> None:
    whole = pairs_of("whole")
    assert set(start_run(whole, 2).codes()) == {0}
    stopped = pairs_of("stopped")
    run = start_run(stopped, 2, held_at(3, gate := tmp_path / "gate"))
    run.wait_for("step 3/")
    os.kill(run.processes[1].pid or 0, signal.SIGUSR1)
    gate.unlink()
    assert set(run.codes()) == {EXIT_PREEMPTED}, run.text()
    assert "stopped as asked: the state after step" in run.text()
    again = start_run(stopped, 2)
    assert set(again.codes()) == {0} and "resumed after step" in again.text()
    ours, theirs = _final(whole["OUTPUT_DIR"]), _final(stopped["OUTPUT_DIR"])
    assert all(
        torch.equal(torch.as_tensor(value), torch.as_tensor(theirs[name])) for name, value in ours.items()
    )


@pytest.mark.parametrize("signalled", [0, 1])
def test_a_signal_to_one_process_in_a_validation_stops_all_of_them(pairs_of: Pairs, signalled: int) -> None:
    def lay_trap() -> None:
        evaluate = Evaluator.__call__

        def disturbed(self: Evaluator, data: Any, label: str) -> Any:
            if distributed.rank() == signalled:
                os.kill(os.getpid(), signal.SIGTERM)
            return evaluate(self, data, label)

        Evaluator.__call__ = disturbed  # type: ignore[method-assign]

    run = start_run(pairs_of(OPTIMIZER__MAX_EPOCH="1"), 2, lay_trap)
    assert run.codes() == [EXIT_PREEMPTED] * 2, run.text()
    assert "lost contact" not in run.text()


@pytest.mark.parametrize("foreseen", [True, False])
def test_a_failure_of_one_process_is_no_loss_to_the_others(pairs_of: Pairs, foreseen: bool) -> None:
    kind = FloatingPointError if foreseen else ZeroDivisionError

    def lay_trap() -> None:
        def failing(self: Evaluator, data: Any, label: str) -> Any:
            if distributed.rank() == 0:
                raise kind("scores that are no numbers")
            return distributed.gather(0)

        Evaluator.__call__ = failing  # type: ignore[method-assign]

    run = start_run(pairs_of(OPTIMIZER__MAX_EPOCH="1"), 2, lay_trap)
    assert run.codes() == [1, 1], run.text()
    assert "scores that are no numbers" in run.text() and "Look at that machine" not in run.text()


@pytest.mark.slow
def test_a_run_may_go_on_with_another_number_of_processes(pairs_of: Pairs, tmp_path: Path) -> None:
    whole, moved = pairs_of("whole"), pairs_of("moved")
    assert start_run(whole).codes() == [0]
    run = start_run(moved, 2, held_at(3, gate := tmp_path / "gate"))
    run.wait_for("step 3/")
    os.kill(run.processes[0].pid or 0, signal.SIGTERM)
    gate.unlink()
    assert set(run.codes()) == {EXIT_PREEMPTED}
    again = start_run(moved)
    assert again.codes() == [0] and "comes from 2 processes, now there are 1" in again.text()
    ours, theirs = _final(whole["OUTPUT_DIR"]), _final(moved["OUTPUT_DIR"])
    for name, value in ours.items():
        tensor = torch.as_tensor(value)
        torch.testing.assert_close(theirs[name], value, rtol=0, atol=1e-5 * float(tensor.abs().max()))


def _train_toy_with_a_dark_video(process: int, folder: str) -> None:
    torch.set_num_threads(1)
    store = torch.distributed.FileStore(f"{folder}/store", 2)
    torch.distributed.init_process_group("gloo", store=store, rank=process, world_size=2)
    trainer = toy_trainer(Path(folder), ToyData(dark=[5]))
    trainer.run()
    torch.save(
        (trainer.progress.nonfinite_steps, trainable_state(trainer.state.model)), f"{folder}/{process}.pt"
    )
    distributed.shutdown()


def test_a_bad_clip_in_one_process_makes_all_of_them_skip(tmp_path: Path) -> None:
    multiprocessing.start_processes(
        _train_toy_with_a_dark_video, args=(str(tmp_path),), nprocs=2, start_method="fork", join=True
    )
    (ours, weights), (theirs, other_weights) = (torch.load(tmp_path / f"{process}.pt") for process in (0, 1))
    assert ours == theirs >= 1
    for name, tensor in weights.items():
        assert torch.equal(tensor, other_weights[name]) and bool(torch.isfinite(tensor).all())


def test_a_lost_process_ends_the_run_with_a_clear_message(pairs_of: Pairs, tmp_path: Path) -> None:
    run = start_run(pairs_of(), 2, held_at(2, gate := tmp_path / "gate"))
    run.wait_for("step 2/")
    os.kill(run.processes[1].pid or 0, signal.SIGKILL)
    gate.unlink()
    assert run.codes() == [EXIT_PEER_LOST, -signal.SIGKILL], run.text()
    assert "lost contact with another process" in run.text()
    assert "goes on from the newest checkpoint" in run.text()


def test_processes_on_the_cpu_talk_through_gloo_where_a_release_file_says_nccl(pairs_of: Pairs) -> None:
    run = start_run(pairs_of(DIST_BACKEND="nccl", OPTIMIZER__MAX_EPOCH="1"), 2)
    assert run.codes() == [0, 0], run.text()
    assert run.text().count("DIST_BACKEND nccl is for GPUs") == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"TRAIN__BATCH_SIZE": "9", "AUGMENTATION__MIXUP__GROUP_SIZE": "9"},
            "9 clips cannot be split over 2",
        ),
        ({"AUGMENTATION__MIXUP__GROUP_SIZE": "8"}, "cannot be taken 4 at a time in groups of 8"),
        ({"TRAIN__BATCH_SIZE": "2"}, "or, for 1 clip at a time, turn off AUGMENTATION.MIXUP"),
    ],
)
def test_impossible_splits_are_errors_before_anything_is_written(
    pairs_of: Pairs, change: dict[str, str], message: str
) -> None:
    pairs = pairs_of(**change)
    run = start_run(pairs, 2)
    assert set(run.codes()) == {2}
    assert message in run.text() and not Path(pairs["OUTPUT_DIR"]).exists()


def test_machines_with_other_lists_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    check_lists_of_others({"train": "1" * 64})
    monkeypatch.setattr(distributed, "gather", lambda own: [own, {"train": "0" * 64}])
    with pytest.raises(ConfigError, match="DATA.ANNO_DIR: the processes have read different lists: train"):
        check_lists_of_others({"train": "1" * 64})
