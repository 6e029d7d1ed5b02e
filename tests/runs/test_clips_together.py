"""Where a forward pass is more than a part of a batch: another number of clips in it is another training."""

from __future__ import annotations

from pathlib import Path

import pytest

from runs.clips_together import check_clips_together, tell_clips_together
from runs.config import RunConfig, load_run_config
from utils import distributed
from utils.checkpoint_folder import FoundCheckpoint
from utils.config import ConfigError, to_dict

TADA = {"VIDEO.BACKBONE.DIST.TEMPORAL_ENCODER": "tada"}


def config_of(micro: str, **settings: str) -> RunConfig:
    pairs = {"TRAIN.BATCH_SIZE": "16", "TRAIN.MICRO_BATCH_SIZE": micro, "AUGMENTATION.MIXUP.GROUP_SIZE": "2"}
    return load_run_config(None, [word for pair in {**pairs, **settings}.items() for word in pair])


def found(config: RunConfig, processes: int) -> FoundCheckpoint:
    state = {"config": to_dict(config), "random": [{}] * processes}
    return FoundCheckpoint(Path("step.pt"), state)


def test_a_run_goes_on_with_as_many_clips_in_a_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    for micro, processes in (("2", 2), ("4", 1)):
        check_clips_together(config_of("2", **TADA), found(config_of(micro, **TADA), processes))
    check_clips_together(config_of("null", **TADA), found(config_of("null", **TADA), 4))
    with pytest.raises(ConfigError, match=r"MICRO_BATCH_SIZE.*would take 4 .*from 8(.|\n)*BATCH_SIZE 4, or"):
        check_clips_together(config_of("2", **TADA), found(config_of("2", **TADA), 4))
    check_clips_together(config_of("2"), found(config_of("2"), 4))  # plain convolutions


def test_less_than_a_batch_is_told(caplog: pytest.LogCaptureFixture) -> None:
    for config in (config_of("null", **TADA), config_of("2")):
        tell_clips_together(config)
    assert not caplog.text
    tell_clips_together(config_of("2", **TADA))
    assert "normalises over the 2 clips" in caplog.text and "the batch of 16" in caplog.text
