"""Who may write to OUTPUT_DIR, and what may differ between a run and its continuation."""

from __future__ import annotations

import errno
import fcntl
from pathlib import Path

import pytest

from runs.config import load_run_config
from runs.output_folder import OutputFolder, differences_of_position, differing_keys
from tests.runs.toy import toy_trainer
from utils.config import ConfigError, to_dict


def test_a_second_run_is_kept_out_while_the_first_one_writes(tmp_path: Path) -> None:
    config, folder = load_run_config(None), OutputFolder(tmp_path / "run")
    lock = folder.open(config)
    with pytest.raises(ConfigError, match="another run is writing to .* \\(process \\d+ on"):
        folder.open(config)
    lock.close()
    folder.open(config).close()


def test_a_file_system_without_locks_is_used_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unsupported(*arguments: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    OutputFolder(tmp_path).open(load_run_config(None)).close()
    assert "cannot be locked (Function not implemented)" in caplog.text


def test_auto_resume_off_refuses_a_folder_with_checkpoints(tmp_path: Path) -> None:
    config, folder = load_run_config(None, ["TRAIN.AUTO_RESUME", "false"]), OutputFolder(tmp_path)
    folder.open(config).close()
    folder.write_config(config)
    folder.open(config).close()
    folder.checkpoints.mkdir()
    (folder.checkpoints / "step_000000001.pt").touch()
    with pytest.raises(ConfigError, match="AUTO_RESUME"):
        folder.open(config)


def test_the_test_may_change_until_it_is_done(tmp_path: Path) -> None:
    folder, other = OutputFolder(tmp_path), load_run_config(None, ["TEST.NUM_ENSEMBLE_VIEWS", "10"])
    folder.write_config(load_run_config(None))
    folder.open(other).close()
    folder.summary.write_text("{}")
    with pytest.raises(ConfigError, match="TEST.NUM_ENSEMBLE_VIEWS was 3, now 10"):
        folder.open(other)


def test_a_complete_run_is_one_of_its_lists(tmp_path: Path) -> None:
    folder, config = OutputFolder(tmp_path), load_run_config(None)
    folder.write_config(config)
    folder.summary.write_text('{"lists_sha256": {"train": "a", "validation": "b", "test": "b"}}')
    folder.open(config, {"train": "a", "validation": "b", "test": "b"}).close()
    with pytest.raises(ConfigError, match="OUTPUT_DIR.*than those read now: validation, test\n"):
        folder.open(config, {"train": "a", "validation": "c", "test": "c"})
    folder.summary.write_text("{}")  # of a version that did not say
    folder.open(config, {"train": "a"}).close()


def test_without_its_configuration_a_runs_checkpoint_tells_what_it_was(tmp_path: Path) -> None:
    trainer = toy_trainer(tmp_path)
    trainer.save()
    config = load_run_config(None)
    state = trainer.state.capture() | {"config": to_dict(config)}
    trainer.checkpoints.save(state, 1)
    folder = OutputFolder(tmp_path, "other.yaml")
    folder.open(config).close()
    with pytest.raises(ConfigError, match="RANDOM_SEED was 0, now 3"):
        folder.open(load_run_config(None, ["RANDOM_SEED", "3"]))
    del state["config"]["OPTIMIZER"]["HOLD_EPOCHS"]  # as an earlier version stored it
    trainer.checkpoints.save(state, 2)
    folder.open(config).close()


def test_a_folder_that_cannot_be_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for root in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ConfigError, match="OUTPUT_DIR.*cannot be used"):
            OutputFolder(root).open(load_run_config(None))


def test_repeated_clips_move_a_position_only_where_they_are_on() -> None:
    clips = ["AUGMENTATION.BATCH_AUG.NUM_CLIPS_PER_VIDEO", "4"]
    plain, unread, repeated = (
        to_dict(load_run_config(None, words))
        for words in ([], clips, [*clips, "AUGMENTATION.BATCH_AUG.ENABLE", "true"])
    )
    assert differences_of_position(plain, unread) == []
    assert len(differences_of_position(plain, repeated)) == 2
    assert differences_of_position(unread, repeated) == ["AUGMENTATION.BATCH_AUG.ENABLE was False, now True"]


def test_only_what_changes_the_result_counts_as_different() -> None:
    free = ["NUM_GPUS", "0", "TRAIN.MICRO_BATCH_SIZE", "2", "DATA_LOADER.NUM_WORKERS", "1", "LOG_PERIOD", "7"]
    free += [
        "TRAIN.MAX_UNREADABLE_RATE",
        "1",
        "DATA_LOADER.MAX_WORKER_FAILURES",
        "99",
    ]  # to go on in spite of it
    before, same = to_dict(load_run_config(None)), to_dict(load_run_config(None, free))
    assert differing_keys(before, same) == []
    other = to_dict(load_run_config(None, ["RANDOM_SEED", "3", "OPTIMIZER.MAX_EPOCH", "50"]))
    assert differing_keys(before, other) == ["OPTIMIZER.MAX_EPOCH was 36, now 50", "RANDOM_SEED was 0, now 3"]
    at_any_rate = to_dict(load_run_config(None, ["DATA.TARGET_FPS", "null"]))
    assert differing_keys(at_any_rate, before) == ["DATA.TARGET_FPS was null, now 30.0"]
