"""OUTPUT_DIR: the only place a run writes to, who may write there, and what an earlier run has left.

    config.yaml  training_log.log  val.log  metrics.jsonl  checkpoints/     while it runs
    results.md  learning_curve.png  confusion_matrix.png  per_class.csv  predictions.csv  summary.json   then

A second run of the same configuration goes on where the first stopped, or says that it is complete. One of
another configuration is refused: nothing is ever overwritten silently.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from runs.config import RunConfig, load_run_config
from utils.checkpoint import write_text_atomically
from utils.checkpoint_folder import CheckpointFolder
from utils.config import ConfigError, to_dict, to_yaml
from utils.locking import LocksUnsupportedError, try_lock
from utils.logging import get_logger

LOCK_NAME = ".lock"
# Keys that may differ between a run and its continuation: they do not change what is learnt or measured, or
# say only where things are, how fast they go and what is told of them.
FREE_KEYS = (
    "OUTPUT_DIR",
    "OUTPUT_CFG_FILE",
    "NUM_GPUS",
    "DIST_BACKEND",
    "DIST_TIMEOUT",
    "LOG_",
    "DATA_LOADER.",
    "DATA.DATA_ROOT_DIR",
    "DATA.ANNO_DIR",
    "DATA.CACHE_",
    "TENSORBOARD.",
    "WANDB.",
    "TRAIN.MICRO_BATCH_SIZE",
    "TRAIN.ACTIVATION_CHECKPOINTING",
    "TRAIN.COMPILE",
    "TRAIN.FEATURE_CACHE_DIR",
    "TRAIN.CHECKPOINT_PERIOD",
    "TRAIN.CHECKPOINT_STEPS",
    "TRAIN.KEEP_LAST",
    "TRAIN.EVAL_PERIOD",
    "TRAIN.AUTO_RESUME",
    "TRAIN.MAX_",
    "TRAIN.LOG_FILE",
    "TEST.BATCH_SIZE",
    "TEST.LOG_FILE",
)
KEYS_OF_POSITION = ("TRAIN.BATCH_SIZE", "TRAIN.NUM_FOLDS", "AUGMENTATION.BATCH_AUG.")
"""Keys that say, beside the number of videos, how far a number of steps is."""


@dataclass(frozen=True)
class OutputFolder:
    """The files of one run."""

    root: Path
    config_name: str = "config.yaml"

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.root / self.config_name

    @property
    def metrics(self) -> Path:
        """Numbers, one JSON object a line."""
        return self.root / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.root / "checkpoints"

    @property
    def tensorboard(self) -> Path:
        """The folder of TensorBoard's event files."""
        return self.root / "tensorboard"

    @property
    def summary(self) -> Path:
        """Written last: a run that has it is complete."""
        return self.root / "summary.json"

    @property
    def is_complete(self) -> bool:
        """Whether an earlier run has come to its end here."""
        return self.summary.exists()

    def open(self, config: RunConfig, lists: Mapping[str, str] | None = None) -> TextIO:
        """Prepare the folder for a run of `config`; returns the lock, to be kept until the run ends.

        lists: digests of what the run reads (`list_digests.py`). Raises ConfigError when another run is
        writing here, or when an earlier one had another configuration, is complete with other lists, or must
        not be continued.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            lock = self._lock()
        except OSError as error:
            remedy = "name a folder that you may write to"
            raise ConfigError(
                f"{self.root} cannot be used: {error.strerror or error}", key="OUTPUT_DIR", remedy=remedy
            ) from error
        try:
            self._check_earlier_run(config)
            if self.is_complete:
                self.check_lists(lists or {})
        except BaseException:
            lock.close()
            raise
        return lock

    def write_config(self, config: RunConfig) -> None:
        """Save the resolved configuration."""
        write_text_atomically(self.config, to_yaml(config))

    def check_lists(self, lists: Mapping[str, str]) -> None:
        """Raises ConfigError when the complete run here has read other lists than those of these digests."""
        read = json.loads(self.summary.read_text(encoding="utf-8")).get("lists_sha256", {})
        different = [use for use in lists if read.get(use, lists[use]) != lists[use]]  # older ones have none
        if different:
            raise ConfigError(
                f"{self.root} holds a complete run whose lists held other videos or labels than those read "
                f"now: {', '.join(different)}",
                key="OUTPUT_DIR",
                remedy="choose another OUTPUT_DIR, or bring the lists back (DATA.ANNO_DIR) to what they were",
            )

    def _lock(self) -> TextIO:
        lock = (self.root / LOCK_NAME).open("a+", encoding="utf-8")
        try:
            locked = try_lock(lock)
        except LocksUnsupportedError as error:
            text = "%s cannot be locked (%s): see to it yourself that no second run writes there meanwhile"
            get_logger().warning(text, self.root, error)
            return lock
        if not locked:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            lock.close()
            raise ConfigError(
                f"another run is writing to {self.root} ({holder})",
                key="OUTPUT_DIR",
                remedy="wait for its end, or choose another folder",
            )
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {socket.gethostname()}")
        lock.flush()
        return lock

    def _check_earlier_run(self, config: RunConfig) -> None:
        stored = self._stored_config()
        if stored is None:
            return
        free = FREE_KEYS if self.is_complete else (*FREE_KEYS, "TEST.")  # the test is still to come
        different = differing_keys(stored, to_dict(config), free)
        if different:
            listed = "; ".join(different[:6])
            raise ConfigError(
                f"{self.root} holds a run of another configuration: {listed}",
                key="OUTPUT_DIR",
                remedy="choose another OUTPUT_DIR (TRAIN.CHECKPOINT_FILE_PATH starts a new run from trained "
                "weights), or set these keys as they were",
            )
        if config.train.enable and not config.train.auto_resume and any(self.checkpoints.glob("*.pt")):
            raise ConfigError(
                f"{self.root} holds checkpoints of an earlier run, and TRAIN.AUTO_RESUME is false",
                key="OUTPUT_DIR",
                remedy="set TRAIN.AUTO_RESUME true to go on with it, or choose another OUTPUT_DIR",
            )

    def _stored_config(self) -> Mapping[str, Any] | None:
        """The configuration of the run that is here: its file's, else that inside its newest checkpoint."""
        if self.config.exists():
            return to_dict(load_run_config(self.config))
        if not self.checkpoints.is_dir():
            return None
        found = CheckpointFolder(self.checkpoints).newest_valid()
        return None if found is None else found.state["config"]


def differing_keys(
    stored: Mapping[str, Any],
    wanted: Mapping[str, Any],
    free: tuple[str, ...] = FREE_KEYS,
    only: tuple[str, ...] = ("",),
) -> list[str]:
    """The keys that begin with one of `only`, but for those that begin with one of `free`, whose values
    differ: "KEY was A, now B". What an earlier version did not store had its default.
    """
    defaults = flatten(to_dict(RunConfig()))
    before, now = ({**defaults, **flatten(tree)} for tree in (stored, wanted))
    return [
        f"{key} was {_text(before.get(key))}, now {_text(now.get(key))}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key) and key.startswith(only) and not key.startswith(free)
    ]


def _text(value: Any) -> Any:
    return "null" if value is None else value  # as it is written in a configuration


def differences_of_position(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """What makes the same number of steps reach elsewhere in two trainings of the same videos, in words."""
    repeats = [flatten(tree).get("AUGMENTATION.BATCH_AUG.ENABLE") for tree in (stored, wanted)]
    unread = () if any(repeats) else ("AUGMENTATION.BATCH_AUG.",)
    return differing_keys(stored, wanted, free=unread, only=KEYS_OF_POSITION)


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested sections as one level of dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat
