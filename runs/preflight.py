"""What can be checked before anything heavy is imported: that named files and folders exist, and that a model
that is to be trained can be compared with texts where it must.
"""

from __future__ import annotations

from pathlib import Path

from models.config import MODELS_OUTSIDE_THE_JOINT_SPACE
from runs.config import RunConfig
from utils.config import ConfigError, Problem


def check_paths(config: RunConfig, reads_videos: bool = True, uses_model: bool = True) -> None:
    """Check that a run's input is there.

    `reads_videos` is false for commands that use a model without a data set, `uses_model` for those that look
    at a data set alone.
    Raises:
        ConfigError: naming every path that is missing, and the key that sets it.
    """
    problems = [*_data_problems(config)] if reads_videos else []
    problems += _file_problems(config) if uses_model else []
    if problems:
        raise ConfigError(problems=problems)


def check_joint_space(config: RunConfig) -> None:
    """Check that a model whose features no text is like is not trained beside texts.

    Files of trained weights say themselves what they were trained with, so this is for training alone.
    Raises:
        ConfigError: with the key that has to change.
    """
    name = config.model.name
    outside = name in MODELS_OUTSIDE_THE_JOINT_SPACE and not config.custom.module  # which may define it anew
    if not (config.train.enable and outside and config.video.head.name == "text"):
        return
    text = f"model {name!r} makes features outside of CLIP's joint space of videos and texts"
    if config.task_type == "retrieval":
        raise ConfigError(text, key="MODEL.NAME", remedy="take another model for TASK_TYPE retrieval")
    raise ConfigError(text, key="VIDEO.HEAD.NAME", remedy="set VIDEO.HEAD.NAME linear")


def _data_problems(config: RunConfig) -> list[Problem]:
    problems = []
    if config.train.enable and not config.train.dataset:
        problems.append(Problem("no data set given", "TRAIN.DATASET", remedy="name one, such as ssv2 or csv"))
    if config.test.enable and not config.test_dataset:
        problems.append(Problem("no data set given", "TEST.DATASET", remedy="name one, such as ssv2 or csv"))
    if not config.data.data_root_dir:
        remedy = "add to the command: DATA.DATA_ROOT_DIR /path/to/videos"
        problems.append(Problem("no folder given", "DATA.DATA_ROOT_DIR", remedy=remedy))
    for key, folder in (("DATA_ROOT_DIR", config.data.data_root_dir), ("ANNO_DIR", config.data.anno_dir)):
        if folder and not is_url(folder) and not _is_shard_pattern(folder) and not Path(folder).is_dir():
            problems.append(Problem(f"folder {folder} does not exist", f"DATA.{key}"))
    return problems


def _is_shard_pattern(root: str) -> bool:
    """Whether a root names tar files (`/data/train-{000..099}.tar`) instead of a folder."""
    return root.endswith(".tar")


def _file_problems(config: RunConfig) -> list[Problem]:
    named = {
        "TRAIN.CHECKPOINT_FILE_PATH": config.train.checkpoint_file_path if config.train.enable else "",
        "TEST.CHECKPOINT_FILE_PATH": config.test.checkpoint_file_path if config.test.enable else "",
    }
    if not any(named.values()):  # those may bring their CLIP along: building the model will tell
        named["VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH"] = config.video.backbone.pretrain_weight_path
    remedies = {
        "VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH": "give an open_clip tag (openai), or the path of a file"
    }
    return [
        Problem(f"file {path} does not exist", key, remedy=remedies.get(key, ""))
        for key, path in named.items()
        if looks_like_a_path(path) and not Path(path).is_file()
    ]


def is_url(path: str) -> bool:
    """Whether a root is remote (`s3://bucket/videos`)."""
    return "://" in path


def looks_like_a_path(name: str) -> bool:
    """Whether a name is meant as a file rather than as a tag or a name of the model zoo."""
    return not is_url(name) and (
        "/" in name or Path(name).suffix in (".pt", ".pth", ".pyth", ".safetensors", ".bin")
    )
