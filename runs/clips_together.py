"""Where the clips of a forward pass change each other: DiST with the temporally-adaptive encoder.

Its batch normalisation (`models/layers/tadaconv.py`) sees the clips that all processes take in one forward
pass: the micro-batch times their number. Of any other model these two only bound the memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runs.build_data import micro_batch_size
from runs.config import RunConfig
from utils import distributed
from utils.checkpoint_folder import FoundCheckpoint
from utils.config import ConfigError
from utils.logging import get_logger


def tell_clips_together(config: RunConfig) -> None:
    """Say so where a forward pass takes less than the batch."""
    clips, batch = micro_batch_size(config) * distributed.world_size(), config.train.batch_size
    if config.normalises_together and clips < batch and distributed.is_main():
        get_logger().warning(
            "VIDEO.BACKBONE.DIST.TEMPORAL_ENCODER tada normalises over the %d clips that all processes take "
            "in one forward pass (TRAIN.MICRO_BATCH_SIZE), not over the batch of %d: another training",
            clips,
            batch,
        )


def check_clips_together(config: RunConfig, found: FoundCheckpoint) -> None:
    """Raises ConfigError where a run would go on with another number than it has had so far."""
    if not config.normalises_together:
        return
    processes = distributed.world_size()
    clips, before = micro_batch_size(config) * processes, _clips_before(found.state, config.train.batch_size)
    if clips == before:
        return
    fitting = f"set TRAIN.MICRO_BATCH_SIZE {before // processes}, or " if before % processes == 0 else ""
    raise ConfigError(
        f"all processes together would take {clips} clips in one forward pass, and {found.path} comes from "
        f"{before}: VIDEO.BACKBONE.DIST.TEMPORAL_ENCODER tada normalises over them",
        key="TRAIN.MICRO_BATCH_SIZE",
        remedy=f"{fitting}take as many processes as before; or go on from that checkpoint in another "
        "OUTPUT_DIR (TRAIN.CHECKPOINT_FILE_PATH, TRAIN.FINE_TUNE false)",
    )


def _clips_before(state: Mapping[str, Any], batch: int) -> int:
    processes = len(state["random"])
    share = batch // processes
    return min(state["config"]["TRAIN"].get("MICRO_BATCH_SIZE") or share, share) * processes
