"""What weights were trained with, told where they are used with something else: another score, no error.

    checkpoint, release ──its configuration──► what it was shown: DATA.MEAN, DATA.INTERPOLATION, …
               └─────────its behaviour──────► what its version did otherwise under the same keys

Texts that class names are put into are not compared: zero-shot recipes have sentences of their own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datasets.config import DataConfig
from models.release import is_release, read_description
from models.weight_files import WeightFile
from runs.config import RunConfig
from utils import distributed
from utils.config import to_dict
from utils.logging import get_logger

BEHAVIOUR = 1
"""Of this version, in every checkpoint; raised where the same configuration comes to mean another training.

1: OPTIMIZER.ADJUST_LR scales MIN_LR, and a space follows DATA.DATASET_LABEL_TEXT.PROMPT_PREFIX.
"""

_SHOWN = ("MEAN", "STD", "INTERPOLATION", "ANTIALIAS", "SAMPLING_MODE")
_SHOWN_BY_INTERVAL = ("SAMPLING_RATE", "TARGET_FPS", "MINUS_INTERVAL")
_ROUNDED = 1e-3


def behaviour_of(state: Mapping[str, Any]) -> int:
    """BEHAVIOUR of the version that wrote a checkpoint; 0 for those of before it was written down."""
    return int(state.get("behaviour", state.get("floor_adjusted", False)))


def tell_other_clips(file: WeightFile, config: RunConfig) -> None:
    """Warn where weights are used with other clips than the file says that they were trained with.

    Keys that its version did not have count as their defaults.
    """
    trained = read_description(file).config if is_release(file) else file.facts.get("config")
    if not trained:
        return
    before = to_dict(DataConfig()) | dict(_section(trained, "DATA"))
    now = to_dict(config.data)
    by_interval = before["SAMPLING_MODE"] == now["SAMPLING_MODE"] == "interval_based"
    keys = _SHOWN + _SHOWN_BY_INTERVAL if by_interval else _SHOWN
    different = [key for key in keys if _differ(before[key], now[key])]
    if different and distributed.is_main():
        get_logger().warning(
            "%s was trained with %s and is used with %s: its scores may be others than with the former",
            file.path, _pairs(before, different), _pairs(now, different),
        )  # fmt: skip


def tell_glued_prefix(
    config: RunConfig, state: Mapping[str, Any], source: str | Path, *, trains: bool = False
) -> None:
    """Warn where a checkpoint was trained on class names that PROMPT_PREFIX was glued to, and they are
    compared with a space between.

    state: what the checkpoint says beside its tensors; trains: whether its training goes on.
    """
    trained = _section(state, "config")
    texts = _section(_section(trained, "DATA"), "DATASET_LABEL_TEXT")
    prefix = texts.get("PROMPT_PREFIX", "")
    used = config.data.dataset_label_text
    glued = prefix and not prefix[-1].isspace() and behaviour_of(state) < 1
    if not glued or prefix.strip() != used.prompt_prefix.strip() or not _compares_with_names(trained):
        return
    if distributed.is_main():
        sentences = [f"{prefix}{template}" for template in texts.get("TEMPLATES", ["{}"])]
        elsewhere = ", in another OUTPUT_DIR (TRAIN.CHECKPOINT_FILE_PATH, TRAIN.FINE_TUNE false)"
        get_logger().warning(
            "%s may be of an earlier version, which put no space behind PROMPT_PREFIX: trained with %r, used "
            "with %r. The former is DATA.DATASET_LABEL_TEXT.PROMPT_PREFIX '' and "
            "DATA.DATASET_LABEL_TEXT.TEMPLATES \"%s\"%s",
            source, sentences[0], used.sentences[0], sentences, elsewhere if trains else "",
        )  # fmt: skip


def _compares_with_names(trained: Mapping[str, Any]) -> bool:
    head = _section(_section(trained, "VIDEO"), "HEAD").get("NAME", "text")
    return head == "text" and trained.get("TASK_TYPE", "classification") == "classification"


def _section(tree: Any, key: str) -> Mapping[str, Any]:
    """A part of a configuration; nothing where there is none, or a file of others has something else."""
    found = tree.get(key) if isinstance(tree, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _differ(before: Any, now: Any) -> bool:
    if isinstance(now, list):
        return math.dist(before, now) > _ROUNDED
    return bool(before != now)


def _pairs(values: Mapping[str, Any], keys: list[str]) -> str:
    return " ".join(f"DATA.{key} {_text(values[key])}" for key in keys)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(str, value))}]"
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)
