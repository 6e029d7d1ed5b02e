"""What `summary.json` says: enough to know what a number stands on, and to get it again."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from torch import nn

from datasets.records import AnnotatedSplit
from runs.build import Workplace
from runs.cli import Invocation
from runs.config import RunConfig
from runs.train import Trainer
from utils import distributed
from utils.checkpoint import fingerprint
from utils.config import to_dict
from utils.memory import peak_memory_bytes
from utils.profiling import multiply_adds
from utils.versions import versions

OVERHEAD = ("logging", "checkpoint")


def run_facts(invocation: Invocation, place: Workplace) -> dict[str, Any]:
    """The command, the configuration, the machine, the versions, and where the time went."""
    watch = place.stopwatch
    return {
        "command": invocation.command,
        "config_file": invocation.options.cfg,
        "processes": distributed.world_size(),
        "device": device_name(place),
        "precision": place.precision.name,
        "seconds": round(watch.total(), 2),
        "seconds_by_part": {name: round(seconds, 3) for name, seconds in watch.seconds.items()},
        "overhead_share": round(watch.share(*OVERHEAD), 5),
        "peak_memory_gb": round(peak_memory_bytes(place.device) / 1e9, 3),
        "versions": versions(),
        "config": to_dict(invocation.config),
    }


def training_facts(trainer: Trainer, split: AnnotatedSplit) -> dict[str, Any]:
    """What was learnt from, how far, and what went wrong on the way."""
    progress = trainer.progress
    return {
        "dataset": split.dataset,
        "list": split.source,
        "videos_listed": len(split),
        "clips_read": progress.clips,
        "clips_replaced": progress.replaced_clips,
        "steps": progress.step,
        "epochs": trainer.timetable.epoch_at(progress.step),
        "seconds": round(progress.seconds, 2),
        "steps_skipped_not_finite": progress.nonfinite_steps,
        "steps_skipped_by_loss_scaling": progress.overflow_steps,
        "best_validation_score": progress.best_score,
        "best_validation_step": progress.best_step,
        "data_wait_share": round(trainer.stopwatch.share("data"), 4),
    }


def model_line(config: RunConfig, network: nn.Module, video_model: nn.Module) -> str:
    """The size of the network, and the cost of one clip of the test, in words."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of fvcore's use of torch, which no user can change
        from fvcore.nn import parameter_count_table

    trainable = sum(weight.numel() for weight in network.parameters() if weight.requires_grad)
    total = sum(weight.numel() for weight in network.parameters())
    data = config.data
    shape = (1, 3, data.test_frames, data.test_crop_size, data.test_crop_size)
    try:
        cost = f"{multiply_adds(video_model, shape) / 1e9:.1f} G multiply-adds a clip"
    except (RuntimeError, NotImplementedError) as error:  # a model of the user's own that looks at its values
        cost = f"cost not counted ({str(error).splitlines()[0]})"
    parts = parameter_count_table(network, max_depth=3)
    return f"model {config.model.name}: {trainable:,} trainable of {total:,} weights, {cost}\n{parts}"


def weights_facts(model: nn.Module) -> dict[str, Any]:
    """Numbers and SHA-256 of the weights as they are, trained and frozen."""
    parameters: Mapping[str, nn.Parameter] = dict(model.named_parameters())
    trained = {name: weight for name, weight in parameters.items() if weight.requires_grad}
    frozen = {name: weight for name, weight in parameters.items() if not weight.requires_grad}
    return {
        "trainable_parameters": sum(weight.numel() for weight in trained.values()),
        "frozen_parameters": sum(weight.numel() for weight in frozen.values()),
        "trained_sha256": fingerprint(trained),
        "frozen_sha256": fingerprint(frozen),
    }


def device_name(place: Workplace) -> str:
    """The GPU's name, or "cpu"."""
    if place.device.type == "cpu":
        return "cpu"
    from torch.cuda import get_device_name

    return get_device_name(place.device)
