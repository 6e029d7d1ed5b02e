"""The composed configuration: checks that need the whole, derived values, documentation."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from datasets.config import DataConfig
from models.config import BackboneConfig, DistConfig, HeadConfig
from runs.config import RunConfig, load_run_config
from utils.config import ConfigError, describe_keys
from utils.config.schema import fields_of, is_section


def sections(schema: type) -> Iterator[type]:
    yield schema
    for _, annotation in fields_of(schema).values():
        if is_section(annotation):
            yield from sections(annotation)


@pytest.mark.parametrize("section", list(sections(RunConfig)), ids=lambda section: section.__name__)
def test_every_section_is_frozen_and_says_what_it_is(section: type) -> None:
    assert section.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert section.__doc__
    assert not section.__doc__.startswith(f"{section.__name__}(")


def test_every_key_is_documented() -> None:
    assert [info.key for info in describe_keys(RunConfig) if len(info.doc) < 10] == []


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["TRAIN.ENABLE", "false", "TEST.ENABLE", "false"], "TEST.ENABLE"),
        (["TEST.CHECKPOINT_FILE_PATH", "best.pt"], "TEST.CHECKPOINT_FILE_PATH"),
        (["TRAIN.LOG_FILE", '""'], "TRAIN.LOG_FILE"),
        (["OUTPUT_CFG_FILE", "../config.yaml"], "OUTPUT_CFG_FILE"),
        (["DATA.DATASET_LABEL_TEXT.PROMPT_PREFIX", "a photo of {}"], "PROMPT_PREFIX"),
        (
            ["MODEL.NAME", "stan", "VIDEO.BACKBONE.FREEZE_TEXT", "false", "VIDEO.HEAD.NAME", "linear"],
            "VIDEO.BACKBONE.FREEZE_TEXT",
        ),
        (
            ["TASK_TYPE", "retrieval", "TEST.NUM_ENSEMBLE_VIEWS", "1", "VIDEO.HEAD.NAME", "linear"],
            "HEAD.NAME",
        ),
        (["TASK_TYPE", "retrieval", "DATA.SHOTS", "4"], "DATA.SHOTS"),
        (["TASK_TYPE", "retrieval", "DATA.CLASS_HALF", "base"], "DATA.CLASS_HALF"),
    ],
)
def test_what_makes_no_sense_together_is_refused(words: list[str], key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        load_run_config(None, words)


def test_defaults_are_a_valid_run() -> None:
    config = load_run_config(None)
    assert config == RunConfig()
    assert config.data.num_sparse_frames == 8
    assert config.test.num_views == 3


@pytest.mark.parametrize(
    ("pairs", "key", "remedy"),
    [
        ("DATA.NUM_INPUT_FRAMES 17", "DATA.NUM_INPUT_FRAMES", "take 16 frames"),
        ("DATA.SPARSE_SAMPLE_ALPHA 0", "DATA.SPARSE_SAMPLE_ALPHA", "above 0"),
        ("DATA.TEST_CROP_SIZE 256", "DATA.TEST_CROP_SIZE", "at least 256"),
        ("DATA.TRAIN_CROP_SIZE 200", "DATA.TRAIN_CROP_SIZE", "such as 192"),
        ("DATA.TRAIN_JITTER_SCALES [0.4,320]", "DATA.TRAIN_JITTER_SCALES", "short sides"),
        ("DATA.TRAIN_JITTER_SCALES [200,320]", "DATA.TRAIN_JITTER_SCALES", "224 (the crop)"),
        ("DATA.TARGET_FPS 0", "DATA.TARGET_FPS", "above 0"),
        ("DATA.STD [0,1,1]", "DATA.STD", "CLIP's"),
        ("DATA.DATASET_LABEL_TEXT.TEMPLATES [photo]", "DATA.DATASET_LABEL_TEXT.TEMPLATES", "with {}"),
        ("DATA.DECODER deocrd", "DATA.DECODER", "decord"),
        ("VIDEO.BACKBONE.DIST.S_PATCH_SIZE 14", "VIDEO.BACKBONE.DIST.S_PATCH_SIZE", "to 16"),
        ("VIDEO.BACKBONE.DIST.SELECTED_LAYERS [0,12]", "VIDEO.BACKBONE.DIST.SELECTED_LAYERS", "every block"),
        ("VIDEO.BACKBONE.DIST.SELECTED_LAYERS [1,0]", "VIDEO.BACKBONE.DIST.SELECTED_LAYERS", "[0, 1, 2]"),
        ("VIDEO.BACKBONE.DIST.SELECTED_LAYERS []", "VIDEO.BACKBONE.DIST.SELECTED_LAYERS", "[0, 1, 2]"),
        ("VIDEO.BACKBONE.DIST.INTEGRATION_DIM 100", "VIDEO.BACKBONE.DIST.INTEGRATION_DIM", "take 128"),
        ("VIDEO.BACKBONE.DIST.T_PATCH_SIZE 4", "VIDEO.BACKBONE.DIST.T_PATCH_SIZE", "take 5"),
        ("VIDEO.BACKBONE.DIST.INITIALIZATION fanin", "VIDEO.BACKBONE.DIST.INITIALIZATION", "fan_in"),
        ("VIDEO.BACKBONE.EVL.DECODER_LAYERS 13", "VIDEO.BACKBONE.EVL.DECODER_LAYERS", "at most 12"),
        ("VIDEO.BACKBONE.FREEZE_VISUAL false", "VIDEO.BACKBONE.FREEZE_VISUAL", "to true"),
        ("VIDEO.BACKBONE.FREEZE_TEXT false", "VIDEO.BACKBONE.FREEZE_TEXT", "to true"),
        ("VIDEO.HEAD.NUM_CLASSES [97,0]", "VIDEO.HEAD.NUM_CLASSES", "null"),
        ("VIDEO.HEAD.ZERO_SHOT_FUSION_WEIGHT 2", "VIDEO.HEAD.ZERO_SHOT_FUSION_WEIGHT", "0.5"),
        ("MODEL.NAME dits", "MODEL.NAME", "CUSTOM.MODULE"),
        ("TRAIN.PRECISION fp8", "TRAIN.PRECISION", "bf16"),
        ("TRAIN.BATCH_SIZE 0", "TRAIN.BATCH_SIZE", "1 or more"),
        ("TRAIN.BATCH_SIZE 100", "TRAIN.MICRO_BATCH_SIZE", "divisor"),
        ("TRAIN.MICRO_BATCH_SIZE 48", "TRAIN.MICRO_BATCH_SIZE", "divisor"),
        ("OPTIMIZER.WARMUP_EPOCHS 36", "OPTIMIZER.WARMUP_EPOCHS", "less than 36"),
        ("OPTIMIZER.HOLD_EPOCHS 5", "OPTIMIZER.HOLD_EPOCHS", "cosine_wave"),
        ("OPTIMIZER.MIN_LR 1", "OPTIMIZER.MIN_LR", "cosine"),
        ("OPTIMIZER.BASE_LR 0", "OPTIMIZER.BASE_LR", "3.2e-5"),
        ("NUM_GPUS -1", "NUM_GPUS", "the CPU"),
        ("RANDOM_SEED -1", "RANDOM_SEED", "0 to 2^63 - 1"),
        ("RANDOM_SEED 10000000000000000000", "RANDOM_SEED", "0 to 2^63 - 1"),
        ("TEST.NUM_SPATIAL_CROPS 2", "TEST.NUM_SPATIAL_CROPS", "1, 3"),
        ("TEST.ON_UNREADABLE ignore", "TEST.ON_UNREADABLE", "skip"),
        ("AUGMENTATION.FLIP_PROB 2", "AUGMENTATION.FLIP_PROB", "from 0 to 1"),
        ("AUGMENTATION.AUTOAUGMENT.TYPE auto", "AUGMENTATION.AUTOAUGMENT.TYPE", "rand-m9"),
        (
            "AUGMENTATION.AUTOAUGMENT.TYPE rand-m15-n2",
            "AUGMENTATION.AUTOAUGMENT.TYPE",
            "15 is not in 0 to 10",
        ),
        ("AUGMENTATION.AUTOAUGMENT.TYPE rand-m9-n0", "AUGMENTATION.AUTOAUGMENT.TYPE", "rand-m9-n2"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_with_a_remedy(pairs: str, key: str, remedy: str) -> None:
    words = pairs.split(" ", 1)
    micro = ["TRAIN.MICRO_BATCH_SIZE", "64"] if words[0] == "TRAIN.BATCH_SIZE" and words[1] != "0" else []
    with pytest.raises(ConfigError) as caught:
        load_run_config(None, [*words, *micro])
    (problem,) = caught.value.problems
    assert problem.key == key
    assert remedy in problem.remedy or remedy in problem.message


def test_a_batch_holds_whole_videos_of_repeated_clips() -> None:
    repeats = ["AUGMENTATION.BATCH_AUG.ENABLE", "true", "AUGMENTATION.BATCH_AUG.NUM_CLIPS_PER_VIDEO", "4"]
    load_run_config(None, [*repeats, "TRAIN.BATCH_SIZE", "8"])
    load_run_config(None, [*repeats, "TRAIN.BATCH_SIZE", "2", "TRAIN.ENABLE", "false"])
    for batch in ("2", "6"):
        with pytest.raises(
            ConfigError, match=r"TRAIN.BATCH_SIZE: \d clips are not whole videos of .* 4 each"
        ):
            load_run_config(None, [*repeats, "TRAIN.BATCH_SIZE", batch])


def test_some_clips_of_a_video_stay_clean_only_where_there_are_several() -> None:
    erasing = ["AUGMENTATION.RANDOM_ERASING.NUM_SPLITS", "2", "AUGMENTATION.RANDOM_ERASING.ENABLE", "true"]
    load_run_config(None, [*erasing, "AUGMENTATION.BATCH_AUG.ENABLE", "true"])
    load_run_config(None, [*erasing[:-1], "false"])
    with pytest.raises(ConfigError, match=r"RANDOM_ERASING.NUM_SPLITS: .* nothing would be erased"):
        load_run_config(None, erasing)


@pytest.mark.parametrize(
    "pairs",
    [
        "OPTIMIZER.WARMUP_EPOCHS 36",
        "AUGMENTATION.RANDOM_ERASING.ENABLE true AUGMENTATION.RANDOM_ERASING.NUM_SPLITS 2",
        "MODEL.NAME stan VIDEO.BACKBONE.FREEZE_TEXT false VIDEO.HEAD.NAME linear",
        "TASK_TYPE retrieval TEST.NUM_ENSEMBLE_VIEWS 1 AUGMENTATION.MIXUP.ENABLE true",
        "TASK_TYPE retrieval TEST.NUM_ENSEMBLE_VIEWS 1 TRAIN.MICRO_BATCH_SIZE 32",
    ],
)
def test_what_cannot_be_trained_so_can_be_tested(pairs: str) -> None:
    with pytest.raises(ConfigError):
        load_run_config(None, pairs.split())
    load_run_config(None, [*pairs.split(), "TRAIN.ENABLE", "false"])


def test_mixing_groups_must_fit_batch_and_micro_batch() -> None:
    mixing = ["AUGMENTATION.MIXUP.ENABLE", "true"]
    load_run_config(None, [*mixing, "TRAIN.BATCH_SIZE", "8", "TRAIN.MICRO_BATCH_SIZE", "8"])
    load_run_config(None, [*mixing, "TRAIN.MICRO_BATCH_SIZE", "64"])
    with pytest.raises(ConfigError, match="MICRO_BATCH_SIZE: 16 clips are not whole groups"):
        load_run_config(None, [*mixing, "TRAIN.MICRO_BATCH_SIZE", "16"])
    with pytest.raises(ConfigError, match="TRAIN.BATCH_SIZE: 48 clips cannot be cut"):
        load_run_config(None, [*mixing, "TRAIN.BATCH_SIZE", "48"])
    load_run_config(None, ["TRAIN.BATCH_SIZE", "48"])
    load_run_config(None, [*mixing, "AUGMENTATION.MIXUP.GROUP_SIZE", "1", "TRAIN.ENABLE", "false"])
    with pytest.raises(ConfigError, match="MIXUP.GROUP_SIZE: 1 clip alone has none to be mixed with"):
        load_run_config(None, [*mixing, "AUGMENTATION.MIXUP.GROUP_SIZE", "1", "TRAIN.MICRO_BATCH_SIZE", "1"])
    for words in (["TRAIN.BATCH_SIZE", "1"], ["TRAIN.MICRO_BATCH_SIZE", "1"]):
        with pytest.raises(ConfigError, match=r"(?s)SIZE: 1 clip.*remedy: take 2 or more, or turn off"):
            load_run_config(None, [*mixing, *words])


def test_mixing_groups_must_hold_more_than_the_clips_of_one_video() -> None:
    repeats = ["AUGMENTATION.BATCH_AUG.ENABLE", "true", "AUGMENTATION.BATCH_AUG.NUM_CLIPS_PER_VIDEO", "4"]
    mixing, group = ["AUGMENTATION.MIXUP.ENABLE", "true"], "AUGMENTATION.MIXUP.GROUP_SIZE"
    load_run_config(None, [*mixing, *repeats, group, "8"])
    for size in ("2", "4"):
        load_run_config(None, [*repeats, group, size])
        load_run_config(None, [*mixing, *repeats, group, size, "TRAIN.ENABLE", "false"])
        with pytest.raises(ConfigError, match=r"(?s)MIXUP.GROUP_SIZE: .* of another.*take 8 or more"):
            load_run_config(None, [*mixing, *repeats, group, size])
    with pytest.raises(ConfigError, match=r"(?s)TRAIN.BATCH_SIZE: .* groups of 4 .* of another"):
        load_run_config(None, [*mixing, *repeats, "TRAIN.BATCH_SIZE", "4"])
    for micro, remedy in (
        ("4", "take 8 or more"),
        ("16", "a divisor of 16 above 4 .*anew in another OUTPUT_DIR"),
    ):
        with pytest.raises(ConfigError, match=rf"(?s)MICRO_BATCH_SIZE: .*remedy: .*{remedy}"):
            load_run_config(None, [*mixing, *repeats, "TRAIN.MICRO_BATCH_SIZE", micro])


@pytest.mark.parametrize(
    ("architecture", "patch", "depth"),
    [
        ("ViT-B-16", 16, 12),
        ("ViT-B-16-quickgelu", 16, 12),
        ("ViT-L-14-336", 14, 24),
        ("ViT-bigG-14", 14, 48),
        ("ViT-X-8", 8, None),
        ("RN50", None, None),
        ("my/tiny.json", None, None),
    ],
)
def test_what_an_architecture_name_tells(architecture: str, patch: int | None, depth: int | None) -> None:
    backbone = BackboneConfig(meta_arch_name=architecture)
    assert (backbone.patch_size, backbone.depth) == (patch, depth)


def test_derived_values() -> None:
    assert HeadConfig(num_classes=(97, 300)).classes_per_head == (97, 300)
    assert HeadConfig(num_classes=5).classes_per_head == (5,)
    assert HeadConfig().classes_per_head is None
    assert DataConfig(train_jitter_scales=(256.0, 320.0)).jitters_short_side
    assert not DataConfig().jitters_short_side
    assert DataConfig(data_root_dir="/a").annotation_dir == "/a"
    assert DataConfig(data_root_dir="/a", anno_dir="/b").annotation_dir == "/b"
    assert dataclasses.replace(DistConfig(), selected_layers=(0, 3)).selected_layers == (0, 3)
