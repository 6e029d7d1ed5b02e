"""The task that TASK_TYPE names."""

from __future__ import annotations

from collections.abc import Mapping

from datasets.records import AnnotatedSplit
from models.interface import VideoModel
from runs.build import Workplace
from runs.build_model import check_normalisation
from runs.classification_task import ClassificationTask
from runs.config import RunConfig
from runs.retrieval_task import RetrievalTask
from runs.task import Task
from utils import distributed
from utils.config import ConfigError


def build_task(place: Workplace, splits: Mapping[str, AnnotatedSplit]) -> Task:
    """Raises ConfigError for sizes that do not fit and weights that cannot be had."""
    if not _has_trained_weights(place):
        check_normalisation(place.config)
    is_retrieval = place.config.task_type == "retrieval"
    task: Task = RetrievalTask(place, splits) if is_retrieval else ClassificationTask(place, splits)
    _check_crops(place.config, task.network.model)
    return task


def _has_trained_weights(place: Workplace) -> bool:
    """Whether the run goes on, or takes trained weights from a file."""
    config, checkpoints = place.config, place.folder.checkpoints
    if config.train.enable:
        goes_on = distributed.on_main(lambda: any(checkpoints.glob("*.pt")))
        return goes_on or bool(config.train.checkpoint_file_path)
    return bool(config.test.checkpoint_file_path)


def _check_crops(config: RunConfig, model: VideoModel) -> None:
    """Tell before the first clip that a model takes CLIP's own size of crop alone. Raises ConfigError."""
    if model.takes_any_crop:
        return
    architecture, data = model.clip.architecture, config.data
    own, patch = architecture.image_size, architecture.patch_size
    trained = {"TRAIN_CROP_SIZE": data.train_crop_size} if config.train.enable else {}
    for key, crop in {**trained, "TEST_CROP_SIZE": data.test_crop_size}.items():
        if crop // patch != own // patch:
            raise ConfigError(
                f"{crop} pixels given, but model {config.model.name!r} fits one size of crop, its image "
                f"encoder's {own}",
                key=f"DATA.{key}",
                remedy=f"set DATA.TRAIN_CROP_SIZE and DATA.TEST_CROP_SIZE to {own}",
            )
