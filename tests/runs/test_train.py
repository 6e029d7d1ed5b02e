"""The loop on a toy: it learns, resumes bit for bit, skips bad steps, stops, validates when due."""

from __future__ import annotations

import json
import os
import signal
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from runs.train import LoopSettings, NonFiniteLossError, Trainer
from tests.runs.toy import BATCH, STEPS_PER_EPOCH, ToyBatch, ToyData, toy_timetable, toy_trainer
from utils.checkpoint import CheckpointError, read_checkpoint, trainable_state
from utils.config import ConfigError
from utils.stopping import EXIT_PREEMPTED, RunStopped


def _assert_same_weights(first: Trainer, second: Trainer) -> None:
    ours, theirs = trainable_state(first.state.model), trainable_state(second.state.model)
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


def test_training_learns_and_leaves_frozen_weights_alone(tmp_path: Path) -> None:
    trainer = toy_trainer(tmp_path, timetable=toy_timetable(20), log_period=5)
    before = trainer.state.model.get_parameter("encoder.weight").clone()
    trainer.run()
    losses = [entry["loss"] for entry in trainer.watch._metrics.read("train")]
    assert losses[-1] < 0.3 * losses[0]
    assert torch.equal(trainer.state.model.get_parameter("encoder.weight"), before)
    assert (
        trainer.progress.step == 20 * STEPS_PER_EPOCH and trainer.progress.clips == 20 * STEPS_PER_EPOCH * 8
    )


def test_accumulation_gives_the_same_weights(tmp_path: Path) -> None:
    whole, parts = toy_trainer(tmp_path / "a"), toy_trainer(tmp_path / "b", ToyData(micro=2))
    for trainer, name in ((whole, "a"), (parts, "b")):
        (tmp_path / name).mkdir()
        trainer.run()
    theirs = trainable_state(parts.state.model)
    for name, tensor in trainable_state(whole.state.model).items():
        torch.testing.assert_close(tensor, theirs[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_resuming_in_the_middle_of_an_epoch_is_exact(tmp_path: Path, precision: str) -> None:
    folders = tmp_path / "whole", tmp_path / "stopped"
    for folder in folders:
        folder.mkdir()
    options: dict[str, Any] = {"dropout": 0.3, "average": True, "precision": precision, "log_period": 3}
    options["settings"] = LoopSettings(checkpoint_steps=2)
    whole = toy_trainer(folders[0], **options)
    whole.run()
    data = ToyData()
    data.before_step = lambda step: os.kill(os.getpid(), signal.SIGTERM) if step == 4 else None
    stopped = toy_trainer(folders[1], data, **options)
    with pytest.raises(RunStopped, match="stopped as asked: the state after step 5 of 12") as caught:
        stopped.run()
    assert caught.value.exit_code == EXIT_PREEMPTED
    resumed = toy_trainer(folders[1], **options)
    found = resumed.checkpoints.newest_valid()
    assert found is not None and found.path.name == "step_000000005.pt"
    resumed.resume(found)
    resumed.run()
    _assert_same_weights(whole, resumed)
    assert whole.state.average is not None and resumed.state.average is not None
    theirs = resumed.state.average.state_dict()
    for name, tensor in whole.state.average.state_dict().items():
        assert torch.equal(torch.as_tensor(tensor), torch.as_tensor(theirs[name]))
    _assert_same_numbers(folders[0] / "metrics.jsonl", folders[1] / "metrics.jsonl")


def _assert_same_numbers(first: Path, second: Path) -> None:
    """Equal lines, but for those that tell of time and memory."""
    kept = ("kind", "step", "loss", "learning_rate", "gradient_norm", "epoch")
    lines = [[json.loads(line) for line in path.read_text().splitlines()] for path in (first, second)]
    ours, theirs = ([{key: entry[key] for key in kept} for entry in entries] for entries in lines)
    assert ours == theirs and [entry["step"] for entry in ours] == [3, 6, 9, 12]


def test_a_bad_step_is_skipped_counted_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    trainer = toy_trainer(tmp_path, ToyData(dark=[5]))
    trainer.run()
    # video 5 is in no batch of a pass that drops it with the rest
    assert 1 <= trainer.progress.nonfinite_steps <= 4
    assert caplog.text.count("loss is not finite") == trainer.progress.nonfinite_steps
    assert "Videos: video5.mp4 (ids [5])" in caplog.text
    assert all(bool(torch.isfinite(tensor).all()) for tensor in trainable_state(trainer.state.model).values())


def test_a_skipped_step_leaves_running_averages_as_they_were(tmp_path: Path) -> None:
    trainer = toy_trainer(tmp_path, ToyData(dark=[5]), timetable=toy_timetable(1))
    norm = trainer.state.model.dropout = nn.BatchNorm1d(8, affine=False)
    for rows, updates in (([0, 1, 2], True), ([3, 5], False), ([6, 7], True)):
        before = {name: tensor.clone() for name, tensor in norm.state_dict().items()}
        clips = trainer.prepare(ToyBatch(torch.tensor(rows)), 0, 0)
        assert trainer.step([partial(deepcopy, clips)]).updated == updates
        for name, tensor in norm.state_dict().items():
            assert bool(torch.isfinite(tensor).all())
            assert torch.equal(tensor, before[name]) != updates, name


def test_too_many_bad_steps_stop_the_run_with_the_videos(tmp_path: Path) -> None:
    settings = LoopSettings(max_nonfinite_steps=1)
    trainer = toy_trainer(tmp_path, ToyData(dark=[2, 5, 11]), settings=settings)
    with pytest.raises(NonFiniteLossError, match=r"video\d+.mp4.*Lower OPTIMIZER.BASE_LR"):
        trainer.run()
    assert trainer.progress.nonfinite_steps == 2


def test_validation_and_checkpoints_come_when_they_are_due(tmp_path: Path) -> None:
    scores = iter([50.0, 70.0, 60.0, 65.0])
    timetable = toy_timetable(7, eval_period=2, checkpoint_period=3)
    trainer = toy_trainer(tmp_path, timetable=timetable, validate=lambda: next(scores))
    trainer.run()
    assert next(scores, None) is None  # after 2, 4, 6 and 7 epochs
    assert (trainer.progress.best_score, trainer.progress.best_step) == (70.0, 4 * STEPS_PER_EPOCH)
    assert [path.name for path in trainer.checkpoints.paths()] == ["step_000000018.pt", "step_000000021.pt"]
    assert read_checkpoint(trainer.checkpoints.best)["progress"]["step"] == 12


def test_the_time_before_the_first_step_is_not_one_of_training(tmp_path: Path) -> None:
    trainer = toy_trainer(tmp_path, timetable=toy_timetable(1), log_period=1)
    trainer.stopwatch._lap_started -= 1000.0
    trainer.run()
    assert 0 < trainer.progress.seconds < 500
    assert trainer.watch._metrics.read("train")[0]["clips_per_second"] > 1


def test_a_signal_during_a_validation_stops_at_once_and_it_is_done_again(tmp_path: Path) -> None:
    def interrupted() -> float:
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("the signal should have ended this")

    stopped = toy_trainer(tmp_path, timetable=toy_timetable(2), validate=interrupted)
    with pytest.raises(RunStopped, match="the state after step 3 of 6") as caught:
        stopped.run()
    assert caught.value.exit_code == EXIT_PREEMPTED
    scores = iter([3.0, 2.0])
    resumed = toy_trainer(tmp_path, timetable=toy_timetable(2), validate=lambda: next(scores))
    found = resumed.checkpoints.newest_valid()
    assert found is not None
    resumed.resume(found)
    resumed.run()
    assert resumed.progress.best_score == 3.0 and next(scores, None) is None


def test_a_signal_during_the_last_save_is_heeded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save = Trainer.save

    def signalled(self: Trainer, best: bool = False) -> None:
        save(self, best)
        if self.progress.closed_loops == self.timetable.loops:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Trainer, "save", signalled)
    trainer = toy_trainer(tmp_path, timetable=toy_timetable(1))
    with pytest.raises(RunStopped, match="the state after step 3 of 3 is saved") as caught:
        trainer.run()
    assert caught.value.exit_code == EXIT_PREEMPTED
    resumed = toy_trainer(tmp_path, timetable=toy_timetable(1))
    found = resumed.checkpoints.newest_valid()
    assert found is not None
    resumed.resume(found)
    resumed.run()  # nothing is left to do, and nobody asks it to stop


def test_a_validation_that_a_stop_left_out_is_done_on_resume(tmp_path: Path) -> None:
    data, timetable = ToyData(), toy_timetable(2)
    data.before_step = lambda step: (
        os.kill(os.getpid(), signal.SIGUSR1) if step == STEPS_PER_EPOCH - 1 else None
    )
    stopped = toy_trainer(tmp_path, data, timetable=timetable, validate=lambda: 1.0)
    with pytest.raises(RunStopped):
        stopped.run()
    assert stopped.progress.best_score is None
    scores = iter([3.0, 2.0])
    resumed = toy_trainer(tmp_path, timetable=timetable, validate=lambda: next(scores))
    found = resumed.checkpoints.newest_valid()
    assert found is not None
    resumed.resume(found)
    resumed.run()
    assert resumed.progress.best_score == 3.0 and next(scores, None) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frozen_sha256": "0" * 64}, "other frozen weights"),
        ({"encoder": {"quick_gelu": False}}, "with GELU, and the one here has QuickGELU"),
        ({"format": 99}, "not a training checkpoint of this version"),
        ({"average": {"updates": 1}}, "MODEL.EMA.ENABLE"),
        ({"weights": {}}, "another architecture"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(tmp_path: Path, change: dict, message: str) -> None:
    trainer = toy_trainer(tmp_path)
    state = {**trainer.state.capture(), **change}
    with pytest.raises(CheckpointError, match=rf"x\.pt.*{message}"):
        trainer.state.restore(state, "x.pt")


def test_a_weight_that_the_model_does_without_by_now_is_left_out(tmp_path: Path) -> None:
    """Earlier versions held it among the trained ones, and moved it by nothing."""
    trained = toy_trainer(tmp_path / "trained", average=True)
    trained.run()
    captured = trained.state.capture()
    (first, *others), moments = captured["optimizer"]["param_groups"], captured["optimizer"]["state"]
    with_more = {
        **captured,
        "weights": {"prompts.alpha": torch.ones(2), **captured["weights"]},
        "average": {"prompts.alpha": torch.ones(2), **captured["average"]},
        "optimizer": {
            "state": {number + 1: value for number, value in moments.items()},
            "param_groups": [{**first, "names": ["prompts.alpha", *first["names"]]}, *others],
        },
    }
    state = toy_trainer(tmp_path / "further", average=True).state
    with pytest.raises(CheckpointError, match=r"prompts\.alpha, unknown here"):
        state.restore(with_more, "x.pt")
    replace(state, does_without=lambda name: name.startswith("prompts.")).restore(with_more, "x.pt")
    restored = state.capture()
    for part in ("weights", "average"):
        torch.testing.assert_close(restored[part], captured[part], rtol=0, atol=0)
    torch.testing.assert_close(restored["optimizer"]["state"], moments, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("change", "what"), [({"class_names": [["b", "a"]]}, "classes"), ({"videos_sha256": "0" * 64}, "videos")]
)
def test_changed_lists_are_wrong_input(tmp_path: Path, change: dict, what: str) -> None:
    trainer = toy_trainer(tmp_path)
    with pytest.raises(ConfigError, match=rf"DATA.ANNO_DIR: x\.pt was trained on a list of other .*{what}"):
        trainer.state.restore({**trainer.state.capture(), **change}, "x.pt")


def test_a_run_that_resumes_at_its_end_saves_what_it_found(tmp_path: Path) -> None:
    toy_trainer(tmp_path).run()
    resumed = toy_trainer(tmp_path)
    found = resumed.checkpoints.newest_valid()
    assert found is not None
    resumed.resume(found)
    groups = resumed.state.capture()["optimizer"]["param_groups"]
    assert groups == found.state["optimizer"]["param_groups"] and 0 < groups[0]["lr"] < 1e-3


def test_a_best_score_belongs_to_its_validation_list(tmp_path: Path) -> None:
    trainer = toy_trainer(tmp_path)
    trainer.state.restore(trainer.state.capture() | {"validation_sha256": "0" * 64}, "x.pt")
    trainer.progress.best_score = 50.0
    with pytest.raises(ConfigError, match=r"x\.pt has its best score from another validation list"):
        trainer.state.restore(trainer.state.capture() | {"validation_sha256": "0" * 64}, "x.pt")


def test_a_loss_that_is_no_number_moves_nothing_with_loss_scaling(tmp_path: Path) -> None:
    """Its gradients may be finite, so that the scaler alone would take the step."""
    trainer = toy_trainer(tmp_path, precision="fp16")
    data, step = ToyData(), trainer.step
    clips = data.prepare(ToyBatch(torch.arange(BATCH)), 0, 0)

    class NoNumber:
        def output(self, network: Any, clips: Any) -> Any:
            return network(clips.video)

        def loss(self, output: Any, clips: Any) -> tuple[Tensor, Tensor]:
            finite = torch.ones(len(clips.video), dtype=torch.bool)
            return output[0].float().sum() + torch.tensor(float("nan")), finite

    before = [weight.clone() for weight in trainer.state.model.parameters()]
    outcome = replace(step, objective=NoNumber())([lambda: clips])
    assert not outcome.updated and not outcome.loss_is_finite and not outcome.overflowed
    for weight, old in zip(trainer.state.model.parameters(), before, strict=True):
        assert torch.equal(weight, old)
    assert step([lambda: clips]).updated


def test_gradients_that_are_no_numbers_are_no_overflow_of_a_loss_that_is_not_scaled(tmp_path: Path) -> None:
    trainer = toy_trainer(tmp_path, precision="fp16")
    step, scaler = trainer.step, trainer.step.scaler
    clips = ToyData().prepare(ToyBatch(torch.arange(BATCH)), 0, 0)
    weight = trainer.state.model.head[0].weight  # type: ignore[union-attr, index]
    handle = weight.register_hook(lambda gradient: gradient * float("nan"))  # type: ignore[union-attr]
    outcomes = [step([lambda: clips]) for _ in range(20)]
    handle.remove()
    assert outcomes[0].overflowed and not outcomes[-1].overflowed
    assert not any(outcome.updated for outcome in outcomes) and scaler.get_scale() > 0


def test_a_run_with_loss_scaling_goes_on_from_one_without(tmp_path: Path) -> None:
    plain, scaled = toy_trainer(tmp_path / "plain"), toy_trainer(tmp_path / "scaled", precision="fp16")
    scale = scaled.step.scaler.get_scale()
    scaled.state.restore(plain.state.capture(), "plain")
    assert scaled.step.scaler.get_scale() == scale
