"""A run on another frozen encoder than the one that is there now: set aside, so that training starts again.

A run knows its encoder by the fingerprint of the frozen weights. `runs/run.py` compares it when it goes on
with a checkpoint, but takes a finished folder as it is: its configuration names the encoder's file, which the
demonstration itself writes again when its recipe changes.
"""

from __future__ import annotations

from pathlib import Path

import torch

from runs.config import RunConfig
from runs.inference.loading import untrained_model
from runs.output_folder import OutputFolder
from utils.checkpoint import CheckpointDamagedError, frozen_fingerprint
from utils.checkpoint_folder import CheckpointFolder

_SHOWN_DIGITS = 12


def set_aside_run_of_other_encoder(config: RunConfig) -> str | None:
    """Renames the configuration's OUTPUT_DIR when what it holds was trained on other frozen weights.

    Returns what was done, in one line, or None when the run may go on (or there is none). Raises ConfigError
    when the encoder cannot be loaded.
    """
    root = Path(config.output_dir)
    before = _trained_on(OutputFolder(root))
    if before is None:
        return None
    now = frozen_fingerprint(untrained_model(config, torch.device("cpu")).network)
    if before == now:
        return None
    aside = _free_name(root, before)
    root.rename(aside)
    encoder = config.video.backbone.pretrain_weight_path
    return (
        f"{root} was trained on other frozen weights ({before[:_SHOWN_DIGITS]}…) than {encoder} has now "
        f"({now[:_SHOWN_DIGITS]}…): trained again; the earlier run is kept in {aside}"
    )


def _trained_on(folder: OutputFolder) -> str | None:
    """Fingerprint of the frozen weights of the run in a folder; None when it has left no checkpoint."""
    try:
        found = CheckpointFolder(folder.checkpoints).newest_valid()
    except CheckpointDamagedError:  # the run itself will tell
        return None
    return None if found is None else str(found.state["frozen_sha256"])


def _free_name(root: Path, fingerprint: str) -> Path:
    """A folder beside `root` that is not there yet, named after the encoder."""
    aside, number = root.with_name(f"{root.name}-on-{fingerprint[:_SHOWN_DIGITS]}"), 1
    while aside.exists():
        number += 1
        aside = root.with_name(f"{root.name}-on-{fingerprint[:_SHOWN_DIGITS]}-{number}")
    return aside
