"""Missing input is named before anything heavy is imported."""

from __future__ import annotations

from pathlib import Path

import pytest

from runs.config import load_run_config
from runs.preflight import check_joint_space, check_paths
from utils.config import ConfigError


def missing(*pairs: str, reads_videos: bool = True) -> set[str]:
    try:
        check_paths(load_run_config(None, pairs), reads_videos)
    except ConfigError as error:
        return {problem.key for problem in error.problems}
    return set()


def test_everything_that_is_missing_is_named_at_once() -> None:
    assert missing() == {"TRAIN.DATASET", "TEST.DATASET", "DATA.DATA_ROOT_DIR"}
    assert missing("TRAIN.DATASET", "csv") == {"DATA.DATA_ROOT_DIR"}
    assert missing("TRAIN.ENABLE", "false", "TEST.DATASET", "csv") == {"DATA.DATA_ROOT_DIR"}


def test_folders_and_urls(tmp_path: Path) -> None:
    known = ["TRAIN.DATASET", "csv"]
    assert missing(*known, "DATA.DATA_ROOT_DIR", str(tmp_path)) == set()
    assert missing(*known, "DATA.DATA_ROOT_DIR", "s3://bucket/videos") == set()
    assert missing(*known, "DATA.DATA_ROOT_DIR", "/data/train-{000..099}.tar") == set()
    none = str(tmp_path / "none")
    assert missing(*known, "DATA.DATA_ROOT_DIR", none, "DATA.ANNO_DIR", none) == {
        "DATA.DATA_ROOT_DIR",
        "DATA.ANNO_DIR",
    }


@pytest.mark.parametrize("name", ["openai", "laion2b_s34b_b88k", "", "s3://weights/x.pt"])
def test_tags_are_no_files(name: str) -> None:
    assert missing("VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH", name, reads_videos=False) == set()


@pytest.mark.parametrize("name", ["/no/such.pt", "no_such.safetensors", "weights/none"])
def test_files_must_be_there(name: str) -> None:
    for key in ("VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH", "TRAIN.CHECKPOINT_FILE_PATH"):
        assert missing(key, name, reads_videos=False) == {key}
    key = "TEST.CHECKPOINT_FILE_PATH"
    assert missing("TRAIN.ENABLE", "false", key, name, reads_videos=False) == {key}


def test_a_trained_model_may_bring_its_clip(tmp_path: Path) -> None:
    release = tmp_path / "model.safetensors"
    release.touch()
    pairs = ("TRAIN.ENABLE", "false", "VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH", "/no/such.pt")
    assert missing(*pairs, reads_videos=False) == {"VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH"}
    assert missing(*pairs, "TEST.CHECKPOINT_FILE_PATH", str(release), reads_videos=False) == set()


@pytest.mark.parametrize("name", ["aim", "evl", "st_adapter"])
def test_features_outside_the_joint_space_meet_no_texts(name: str) -> None:
    def check(*pairs: str) -> None:
        check_joint_space(load_run_config(None, ["MODEL.NAME", name, *pairs]))

    check("VIDEO.HEAD.NAME", "linear")
    check("TRAIN.ENABLE", "false")
    check("CUSTOM.MODULE", "mine")
    with pytest.raises(
        ConfigError, match=r"(?s)VIDEO\.HEAD\.NAME: model .*remedy: set VIDEO\.HEAD\.NAME linear"
    ):
        check()
    retrieval = ["TASK_TYPE", "retrieval", "TEST.NUM_ENSEMBLE_VIEWS", "1"]
    mixing = ["AUGMENTATION.MIXUP.ENABLE", "false", "AUGMENTATION.CUTMIX.ENABLE", "false"]
    with pytest.raises(ConfigError, match=r"(?s)MODEL\.NAME: .*another model for TASK_TYPE retrieval"):
        check(*retrieval, *mixing)
