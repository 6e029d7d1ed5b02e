"""What weights were trained with, told where they are used with something else: another score, no error.

    checkpoint, release ──its configuration──► what it was shown: DATA.MEAN, DATA.INTERPOLATION, …

Texts that class names are put into are not compared: zero-shot recipes have sentences of their own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from datasets.config import DataConfig
from models.release import is_release, read_description
from models.weight_files import WeightFile
from runs.config import RunConfig
from utils import distributed
from utils.config import to_dict
from utils.logging import get_logger

_SHOWN = ("MEAN", "STD", "INTERPOLATION", "ANTIALIAS", "SAMPLING_MODE")
_SHOWN_BY_INTERVAL = ("SAMPLING_RATE", "TARGET_FPS", "MINUS_INTERVAL")
_ROUNDED = 1e-3


def tell_other_clips(file: WeightFile, config: RunConfig) -> None:
    """Warn where weights are used with other clips than the file says that they were trained with.

    Keys that its version did not have count as their defaults.
    """
    trained = read_description(file).config if is_release(file) else file.facts.get("config")
    if not trained:
        return
    before = to_dict(DataConfig()) | dict(trained.get("DATA", {}))
    now = to_dict(config.data)
    by_interval = before["SAMPLING_MODE"] == now["SAMPLING_MODE"] == "interval_based"
    keys = _SHOWN + _SHOWN_BY_INTERVAL if by_interval else _SHOWN
    different = [key for key in keys if _differ(before[key], now[key])]
    if different and distributed.is_main():
        get_logger().warning(
            "%s was trained with %s and is used with %s: its scores may be others than with the former",
            file.path, _pairs(before, different), _pairs(now, different),
        )  # fmt: skip


def _differ(before: Any, now: Any) -> bool:
    if isinstance(now, list):
        return math.dist(before, now) > _ROUNDED
    return bool(before != now)


def _pairs(values: Mapping[str, Any], keys: list[str]) -> str:
    return " ".join(f"DATA.{key} {_text(values[key])}" for key in keys)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(str, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)
