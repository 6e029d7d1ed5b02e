"""From the configuration to a trainer: optimizer, schedule, wrapping for several processes, checkpoints,
watching.

    RunConfig + splits + model ──build_trainer──► Trainer ──run──► trained weights

Data comes from `build_data.py`, models from `build_model.py`; this is the only place where they meet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from datasets.records import AnnotatedSplit
from models.bundled_clip import unshown_of
from models.frozen_tower import keep_frozen_tower_in
from models.interface import Role, VideoModel
from runs.build_data import build_timetable
from runs.config import RunConfig
from runs.list_digests import Digests
from runs.output_folder import OutputFolder
from runs.task import Task, TrainedNetwork
from runs.timetable import Timetable
from runs.train import LoopSettings, Trainer
from runs.trained_with import behaviour_of
from runs.training_state import Progress, TrainingState
from runs.training_step import Objective, TrainingStep
from runs.watching import Watch
from utils import distributed
from utils.checkpoint_folder import CheckpointFolder
from utils.compilation import compile_blocks
from utils.config import ConfigError, to_dict
from utils.ema import WeightAverage
from utils.logging import MetricsFile, get_logger
from utils.optim import GroupSettings, SettingsOf, build_adamw, parameter_groups
from utils.optim_config import OptimizerConfig
from utils.precision import Precision, resolve_precision
from utils.schedule import LearningRateSchedule
from utils.stopwatch import Stopwatch
from utils.trackers import TensorboardTracker, Tracker, Trackers, WandbTracker

PUBLISHED_BATCH = 256


@dataclass(frozen=True)
class Workplace:
    """What all parts of a run share: where it computes, where it writes, and who is told."""

    config: RunConfig
    folder: OutputFolder
    device: torch.device
    precision: Precision
    stopwatch: Stopwatch
    trackers: Trackers


def build_workplace(config: RunConfig, folder: OutputFolder, device: torch.device) -> Workplace:
    """Precision and trackers for a run on `device`. Raises ConfigError for what the device cannot do."""
    try:
        precision = resolve_precision(config.train.requested_precision, device)
    except ValueError as error:
        raise ConfigError(str(error), key="TRAIN.PRECISION") from error
    if precision.notice:
        get_logger().info("%s", precision.notice)
    return Workplace(config, folder, device, precision, Stopwatch(), build_trackers(config, folder))


def build_trackers(config: RunConfig, folder: OutputFolder) -> Trackers:
    """TensorBoard and Weights & Biases, as far as they are switched on; on the main process alone."""
    members: list[Tracker] = []
    if not distributed.is_main():
        return Trackers()
    try:
        if config.tensorboard.enable:
            members.append(TensorboardTracker(folder.tensorboard))
        if config.wandb.enable:
            name = config.wandb.name or folder.root.name
            members.append(WandbTracker(folder.root, config.wandb.project, name, to_dict(config)))
    except ImportError as error:
        raise ConfigError(str(error)) from error
    return Trackers(members)


def build_trainer(
    place: Workplace,
    task: Task,
    split: AnnotatedSplit,
    validate: Callable[[], float],
    digests: Digests,
) -> Trainer:
    """A trainer in its initial state. Raises ConfigError for batches that cannot be made, or nothing to
    train.
    """
    config = place.config
    timetable = build_timetable(config, split)
    data = task.training_steps(split, timetable)
    model = task.network
    step = _build_step(place, model, task.objective)
    state = TrainingState(
        model=model,
        optimizer=step.optimizer,
        scaler=step.scaler,
        average=step.average,
        progress=Progress(),
        frozen_sha256=_the_same_everywhere(digests.frozen),
        config=to_dict(config),
        seed=config.random_seed,
        data=data,
        class_names=split.class_names,
        videos_sha256=digests.lists["train"],
        validation_sha256=digests.lists["validation"],
        encoder=asdict(unshown_of(model.model.clip)),
        does_without=lambda name: model.model.does_without(name.removeprefix("model.")),
    )
    return Trainer(
        step=step,
        state=state,
        schedule=build_schedule(config.optimizer, config.train.batch_size),
        timetable=timetable,
        data=data,
        prepare=task.prepare(split),
        validate=validate,
        settings=LoopSettings(config.train.checkpoint_steps, config.train.max_nonfinite_steps),
        checkpoints=CheckpointFolder(place.folder.checkpoints, config.train.keep_last),
        watch=_build_watch(place, timetable),
        stopwatch=place.stopwatch,
    )


def build_schedule(settings: OptimizerConfig, batch_size: int) -> LearningRateSchedule:
    """OPTIMIZER's course of the learning rate; ADJUST_LR scales it with the global batch."""
    scale = batch_size / PUBLISHED_BATCH if settings.adjust_lr else 1.0
    return LearningRateSchedule(
        base_lr=settings.base_lr * scale,
        max_epoch=settings.max_epoch,
        policy=settings.lr_policy,
        warmup_epochs=settings.warmup_epochs,
        warmup_start_lr=settings.warmup_start_lr * scale,
        min_lr=settings.min_lr * scale,
        half_period=settings.cosine_half_period,
        hold_epochs=settings.hold_epochs,
    )


def tell_adjusted_floor(config: RunConfig, state: Mapping[str, Any]) -> None:
    """Warn where a run may go on, from this checkpoint, to another floor of its learning rate than it began
    with: ADJUST_LR once left MIN_LR as it was.
    """
    settings, batch = config.optimizer, config.train.batch_size
    floor = build_schedule(settings, batch).min_lr
    if floor != settings.min_lr and behaviour_of(state) < 1 and distributed.is_main():
        get_logger().warning(
            "OPTIMIZER.ADJUST_LR scales MIN_LR, too: the learning rate does not fall below %g from here on. "
            "The checkpoint may be of an earlier version, whose floor was OPTIMIZER.MIN_LR as it stands, %g",
            floor,
            settings.min_lr,
        )


def group_settings(model: TrainedNetwork, settings: OptimizerConfig) -> SettingsOf:
    """Learning-rate multiplier and weight decay of a parameter, from its role and its share in the model."""

    def settings_of(name: str, parameter: nn.Parameter) -> GroupSettings:
        is_new = model.role(name) is Role.NEW
        decay = settings.new_net_weight_decay if is_new else settings.weight_decay
        multiplier = settings.new_net_lrmult if is_new else 1.0
        return GroupSettings(
            lr_multiplier=multiplier * model.rate_share(name),
            weight_decay=decay if model.decays(name, parameter) else 0.0,
        )

    return settings_of


def _build_step(place: Workplace, model: TrainedNetwork, objective: Objective) -> TrainingStep:
    config = place.config
    try:
        groups = parameter_groups(model, group_settings(model, config.optimizer))
    except ValueError as error:
        remedy = "choose a model that trains something, or set TRAIN.ENABLE False to test this one"
        raise ConfigError(str(error), key="MODEL.NAME", remedy=remedy) from error
    if config.train.compile:
        get_logger().info("torch.compile: %d blocks, at their first step", compile_blocks(model))
    ema = config.model.ema
    return TrainingStep(
        forward=distributed.wrap(model, place.device),
        optimizer=build_adamw(groups, config.optimizer.betas),
        scaler=place.precision.scaler(),
        precision=place.precision,
        objective=objective,
        average=WeightAverage(model, ema.decay) if ema.enable else None,
        max_gradient_norm=config.train.clip_grad_norm,
    )


def keep_frozen_weights(place: Workplace, model: VideoModel) -> None:
    """Bring the frozen image tower's blocks, whose weights are all taken by now, into FROZEN_PRECISION.

    Raises ConfigError for what the device cannot do.
    """
    kind, precision = place.config.video.backbone.frozen_precision, place.precision
    if kind == "fp32":
        return
    try:
        keep_frozen_tower_in(model.clip.visual, kind, precision.half, compiled=place.config.train.compile)
    except ValueError as error:
        raise ConfigError(str(error), key="VIDEO.BACKBONE.FROZEN_PRECISION") from error


def _the_same_everywhere(frozen_sha256: str) -> str:
    """Frozen weights are not communicated, so every process must have loaded the same ones."""
    found = distributed.gather(frozen_sha256)
    if len(set(found)) > 1:
        raise ConfigError(
            "the processes have loaded different frozen weights",
            key="VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH",
            remedy="give all machines the same file",
        )
    return found[0]


def _build_watch(place: Workplace, timetable: Timetable) -> Watch:
    return Watch(
        MetricsFile(place.folder.metrics),
        place.trackers,
        place.stopwatch,
        device=place.device,
        log_period=place.config.log_period,
        timetable=timetable,
        clips_per_step=place.config.train.batch_size,
    )
