"""From keys to objects: optimizer groups, schedule, batches; what cannot be had is told."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from datasets.annotations import AnnotationError
from datasets.batch import VideoBatch
from datasets.config import CLIP_MEAN, CLIP_STD
from datasets.labels import class_names, class_subset
from datasets.records import AnnotatedSplit, VideoRecord
from models.tiny_architectures import TINY_ARCHITECTURES
from models.zero_shot import class_text_features
from runs.build import (
    build_schedule,
    build_trackers,
    build_workplace,
    group_settings,
    tell_adjusted_floor,
)
from runs.build_augmentation import build_flip
from runs.build_data import (
    build_prepare,
    build_timetable,
    load_splits,
    load_test_split,
    micro_batch_size,
)
from runs.build_model import (
    build_network,
    build_retriever,
    check_normalisation,
    normalisation_of_clip,
)
from runs.config import RunConfig, load_run_config
from runs.output_folder import OutputFolder
from tests.runs.conftest import Pairs
from tests.runs.tiny_runs import start_run, words
from utils import distributed
from utils.config import ConfigError
from utils.optim import GroupSettings, parameter_groups

CPU = torch.device("cpu")
ConfigOf = Callable[..., RunConfig]


@pytest.fixture
def config_of(pairs_of: Pairs) -> ConfigOf:
    """The configuration of a tiny run with changed keys."""
    return lambda **changes: load_run_config(None, words(pairs_of(**changes)))


def _split(videos: int) -> AnnotatedSplit:
    records = [VideoRecord(f"{row}.mp4", (0,)) for row in range(videos)]
    return AnnotatedSplit("csv", "train", records, (("a",),))


def test_rates_and_decays_of_the_configuration_reach_the_groups(config_of: ConfigOf) -> None:
    config = config_of(OPTIMIZER__NEW_NET_WEIGHT_DECAY="0.01")
    network: Any = build_network(config, [["red", "green"]], CPU)
    groups = parameter_groups(network, group_settings(network, config.optimizer))
    assert [GroupSettings(group["lr_multiplier"], group["weight_decay"]) for group in groups] == [
        GroupSettings(10.0, 0.01),
        GroupSettings(10.0, 0.0),
    ]
    weights = dict(network.named_parameters())
    assert all(weights[name].ndim > 1 for name in groups[0]["names"])
    assert {"model.branch.proj", "model.branch.stem.weight"} <= set(groups[0]["names"])
    assert "model.branch.video_query" in groups[1]["names"]
    assert not any(name.startswith("model.clip.") for group in groups for name in group["names"])


@pytest.mark.parametrize("prefix", ["a photo of", "a photo of ", "'a photo of '"])
def test_a_prefix_stands_a_space_before_the_class_name(config_of: ConfigOf, prefix: str) -> None:
    """As in the release; YAML takes the space at its end away, so that nobody could write it."""
    config = config_of(DATA__DATASET_LABEL_TEXT__PROMPT_PREFIX=prefix)
    network: Any = build_network(config, [["red", "green"]], CPU)
    told = class_text_features(network.model.clip, ["red", "green"], ["a photo of {}"])
    torch.testing.assert_close(network.heads[0].text_features, told)


@pytest.mark.parametrize("task", ["classification", "retrieval"])
def test_crops_fit_an_architecture_that_a_file_describes(
    config_of: ConfigOf, tmp_path: Path, task: str
) -> None:
    """Whose name, unlike ViT-B-16, does not tell its patches."""
    sizes = tmp_path / "sizes.json"
    sizes.write_text(json.dumps(TINY_ARCHITECTURES["tiny-test"]))
    plain = {"VIDEO__BACKBONE__META_ARCH_NAME": str(sizes), "AUGMENTATION__MIXUP__ENABLE": "false"}
    plain |= {"AUGMENTATION__CUTMIX__ENABLE": "false", "TEST__NUM_ENSEMBLE_VIEWS": "1", "TASK_TYPE": task}

    def build(**changes: str) -> object:
        config = config_of(**plain, **changes)
        return build_retriever(config, CPU) if task == "retrieval" else build_network(config, [["a"]], CPU)

    build()
    build(DATA__TRAIN_CROP_SIZE="40", TRAIN__ENABLE="false")  # nothing is cropped to that
    for key in ("TRAIN_CROP_SIZE", "TEST_CROP_SIZE"):
        with pytest.raises(ConfigError, match=rf"DATA.{key}: 40 pixels cannot be cut into the \d+-pixel"):
            build(**{f"DATA__{key}": "40", "DATA__TEST_SCALE": "40"})


def test_adjust_lr_scales_the_whole_course_with_the_batch(config_of: ConfigOf) -> None:
    rates = {"OPTIMIZER__BASE_LR": "1.0e-3", "OPTIMIZER__WARMUP_START_LR": "1.0e-5"}
    rates["OPTIMIZER__MIN_LR"] = "1.0e-4"
    plain = build_schedule(config_of(**rates).optimizer, 64)
    scaled = build_schedule(config_of(**rates, OPTIMIZER__ADJUST_LR="true").optimizer, 64)
    for epoch in (0.0, 0.5, 2.0, 4.0):
        assert scaled.at(epoch) == pytest.approx(plain.at(epoch) / 4)


def test_a_floor_that_an_earlier_version_did_not_scale_is_told(
    config_of: ConfigOf, caplog: pytest.LogCaptureFixture
) -> None:
    begun = {"OPTIMIZER__MIN_LR": "1.0e-4", "OPTIMIZER__ADJUST_LR": "true"}
    tell_adjusted_floor(config_of(**begun), {"floor_adjusted": True})
    tell_adjusted_floor(config_of(**begun), {"behaviour": 1})
    tell_adjusted_floor(config_of(**begun | {"OPTIMIZER__ADJUST_LR": "false"}), {})
    tell_adjusted_floor(config_of(**begun | {"OPTIMIZER__MIN_LR": "0"}), {})
    assert not caplog.text
    tell_adjusted_floor(config_of(**begun, TRAIN__BATCH_SIZE="64"), {})
    assert "does not fall below 2.5e-05 from here on" in caplog.text and "stands, 0.0001" in caplog.text


def test_batches_of_repeated_clips_count_clips(config_of: ConfigOf, monkeypatch: pytest.MonkeyPatch) -> None:
    repeats = {"AUGMENTATION__BATCH_AUG__ENABLE": "true", "AUGMENTATION__BATCH_AUG__NUM_CLIPS_PER_VIDEO": "4"}
    config = config_of(**repeats, AUGMENTATION__MIXUP__GROUP_SIZE="8")
    assert build_timetable(config, _split(20)).batch_videos == 2
    assert micro_batch_size(config) == 8
    monkeypatch.setattr(distributed, "world_size", lambda: 4)
    with pytest.raises(ConfigError, match="8 clips cannot be split over 4 processes in 4s"):
        micro_batch_size(config)


def test_the_documents_run_on_two_machines_fits_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips that are mixed with each other stay in one process, and 16 of them have 16 each."""
    checkout = Path(__file__).resolve().parents[2]
    text = (checkout / "runs/README.md").read_text()
    (command,) = re.findall(r"srun torchrun .*? --cfg (.*?)\ntest -e", text, re.DOTALL)
    recipe, *pairs = shlex.split(command.replace("\\\n", " "), comments=True)
    monkeypatch.setattr(distributed, "world_size", lambda: 16)
    assert micro_batch_size(load_run_config(checkout / recipe, pairs)) == 16


def test_shots_are_drawn_from_videos_that_are_not_left_out(config_of: ConfigOf, tmp_path: Path) -> None:
    bad = [f"train{row:02d}.mp4" for row in (0, 3, 6)]  # of the first class
    (tmp_path / "bad.csv").write_text("path,problem\n" + "".join(f"{path},torn\n" for path in bad))
    config = config_of(DATA__SHOTS="4", DATA__EXCLUDE_LIST=str(tmp_path / "bad.csv"))
    drawn = load_splits(config)["train"].records
    assert sorted(record.labels[0] for record in drawn) == [0] * 4 + [1] * 4 + [2] * 4
    assert not {record.path for record in drawn} & set(bad)
    with pytest.raises(AnnotationError, match=r"fewer than 5 videos: colour 0 \(4\)"):
        load_splits(config_of(DATA__SHOTS="5", DATA__EXCLUDE_LIST=str(tmp_path / "bad.csv")))


def test_classes_are_those_of_the_training_list_that_is_named(
    config_of: ConfigOf, tiny_videos: Path, tmp_path: Path
) -> None:
    lists = {"train": "two.csv", "val": "labels.csv"}  # usually the name of a file of class names
    for name, own in lists.items():
        rows = (tiny_videos / f"{name}.csv").read_text()
        (tmp_path / f"{name}.csv").write_text(rows)
        kept = [row for row in rows.splitlines() if not row.endswith("colour 1")]
        (tmp_path / own).write_text("\n".join(kept) + "\n")
    config = config_of(
        DATA__TRAIN_LIST=lists["train"], DATA__VAL_LIST=lists["val"], DATA__ANNO_DIR=str(tmp_path)
    )
    assert {split.class_names for split in load_splits(config).values()} == {(("colour 0", "colour 2"),)}


def test_retrieval_leaves_labels_aside(tmp_path: Path) -> None:
    (tmp_path / "val.csv").write_text("path,label,caption\na.mp4,3,one\na.mp4,4,two\nb.mp4,4,three\n")
    pairs = ["TASK_TYPE", "retrieval", "TRAIN.ENABLE", "false", "TEST.NUM_ENSEMBLE_VIEWS", "1"]
    pairs += ["TEST.DATASET", "csv", "DATA.ANNO_DIR", str(tmp_path), "DATA.DATA_ROOT_DIR", "memory://videos"]
    (split,) = load_splits(load_run_config(None, pairs)).values()
    assert [record.captions for record in split.records] == [("one", "two"), ("three",)]


def test_the_rule_of_halves_needs_the_training_list_and_not_its_videos(
    config_of: ConfigOf, tiny_videos: Path, tmp_path: Path
) -> None:
    for source in (*tiny_videos.glob("val*.mp4"), *tiny_videos.glob("*.csv")):
        (tmp_path / source.name).symlink_to(source)
    config = config_of(TRAIN__ENABLE="false", DATA__CLASS_HALF="novel", DATA__DATA_ROOT_DIR=str(tmp_path))
    assert load_splits(config)["test"].class_names == (("colour 2",),)


def test_clips_too_long_for_the_model_are_told_before_the_first(config_of: ConfigOf) -> None:
    """The transformer of CLIP4Clip has as many positions as CLIP's texts: 24 in the tiny ones."""
    clip4clip = {
        "MODEL__NAME": "clip4clip",
        "VIDEO__BACKBONE__CLIP4CLIP__LAYERS": "1",
        "VIDEO__BACKBONE__META_ARCH_NAME": "tiny-moving-shapes",
        "DATA__TRAIN_CROP_SIZE": "48",
        "DATA__TEST_SCALE": "48",
        "DATA__TEST_CROP_SIZE": "48",
    }

    def build(**changes: str) -> None:
        build_network(config_of(**clip4clip, **changes), [["red", "green"]], CPU)

    build(DATA__NUM_INPUT_FRAMES="48", DATA__NUM_TEST_FRAMES="48")  # every second is shown
    build(DATA__NUM_TEST_FRAMES="64", VIDEO__BACKBONE__CLIP4CLIP__POOLING="mean")
    with pytest.raises(ConfigError, match=r"(?s)DATA.NUM_TEST_FRAMES: clips of 50 .*take at most 48 frames"):
        build(DATA__NUM_TEST_FRAMES="50")
    with pytest.raises(
        ConfigError, match=r"DATA.NUM_INPUT_FRAMES: clips of 50 frames, of which CLIP sees 25"
    ):
        build(DATA__NUM_INPUT_FRAMES="50", DATA__NUM_TEST_FRAMES="4")
    build(DATA__NUM_INPUT_FRAMES="50", DATA__NUM_TEST_FRAMES="4", TRAIN__ENABLE="false")


def test_a_tag_with_its_own_normalisation_says_it(
    config_of: ConfigOf, pairs_of: Pairs, tmp_path: Path
) -> None:
    named = {
        "VIDEO__BACKBONE__META_ARCH_NAME": "ViT-L-14",
        "DATA__TRAIN_CROP_SIZE": "28",
        "DATA__TEST_CROP_SIZE": "28",
    }
    weights, halves = "VIDEO__BACKBONE__PRETRAIN_WEIGHT_PATH", "[0.5,0.5,0.5]"
    (tmp_path / "clip.pt").touch()
    for passing in ("openai", "laion400m_e32", str(tmp_path / "clip.pt"), "no_such_tag"):
        check_normalisation(config_of(**named, **{weights: passing}))
    named[weights] = "laion2b_s32b_b82k"
    check_normalisation(config_of(**named, DATA__MEAN=halves, DATA__STD=halves))
    with pytest.raises(ConfigError, match=r"set DATA.MEAN \[0.5,0.5,0.5\] DATA.STD \[0.5,0.5,0.5\]$"):
        check_normalisation(config_of(**named))
    with pytest.raises(ConfigError, match=r"(?s)DATA.STD: .*remedy: set DATA.STD \[0.5,0.5,0.5\]$"):
        check_normalisation(config_of(**named, DATA__MEAN=halves))
    run = start_run(pairs_of(**named))
    assert run.codes() == [2] and "error: DATA.MEAN" in run.text(), run.text()


def test_a_tower_that_is_tuned_may_have_the_normalisation_of_imagenet(config_of: ConfigOf) -> None:
    given = {"DATA__MEAN": "[0.485,0.456,0.406]", "DATA__STD": "[0.229,0.224,0.225]"}
    given |= {"MODEL__NAME": "clip", "VIDEO__BACKBONE__META_ARCH_NAME": "ViT-B-16"}
    given["VIDEO__BACKBONE__PRETRAIN_WEIGHT_PATH"] = "openai"
    tuned = {**given, "VIDEO__BACKBONE__FREEZE_VISUAL": "false"}
    check_normalisation(config_of(**tuned))
    assert normalisation_of_clip(config_of(**tuned)) == (CLIP_MEAN, CLIP_STD)  # before it was tuned
    for frozen in (given, tuned):  # a tower that could be tuned is used as it is without trained weights
        with pytest.raises(ConfigError, match=r"DATA.MEAN: 0.485"):
            check_normalisation(config_of(**frozen), tunes=False)
    with pytest.raises(ConfigError, match=r"DATA.MEAN: 0.4"):
        check_normalisation(config_of(**{**tuned, "DATA__MEAN": "[0.4,0.4,0.4]"}))


SSV2_PAIRS = ((86, 87), (93, 94), (166, 167))
SSV2_FLIPS = {"TRAIN__DATASET": "ssv2", "TEST__DATASET": "ssv2"}


def _ssv2(names: Sequence[str]) -> AnnotatedSplit:
    return AnnotatedSplit("ssv2", "train", [VideoRecord("1.webm", (0,))], (tuple(names),))


def test_left_and_right_swap_by_name_in_whatever_order_the_classes_are(config_of: ConfigOf) -> None:
    config, names = config_of(**SSV2_FLIPS), class_names("ssv2")
    assert build_flip(config, _ssv2(names)).label_pairs == SSV2_PAIRS
    base = [names[index] for index in class_subset("ssv2", "base")]
    for own in (base, names[::-1], [f"[{name}]" for name in base]):
        pairs = build_flip(config, _ssv2(own)).label_pairs
        named = [(own[first].strip("[]"), own[second].strip("[]")) for first, second in pairs]
        assert named == [(names[first], names[second]) for first, second in SSV2_PAIRS]
    assert build_flip(config, _ssv2(names[:90])).label_pairs == SSV2_PAIRS[:1]
    assert build_flip(config, _ssv2(("a cat", "a dog"))).label_pairs == ()  # neither says a side


def test_left_and_right_swap_in_other_words_or_the_run_does_not_start(config_of: ConfigOf) -> None:
    config, names = config_of(**SSV2_FLIPS), class_names("ssv2")
    reworded = [f"a video of a person {name[0].lower()}{name[1:]}" for name in names]
    assert build_flip(config, _ssv2(reworded)).label_pairs == SSV2_PAIRS
    halved = names[:94]  # its last class turns into one that is not there
    for own in (reworded[::-1], [str(index) for index in range(174)], reworded[:90], halved):
        with pytest.raises(ConfigError, match=r"FLIP_LABEL_PAIRS.*left.*\n.*FLIP_PROB to 0"):
            build_flip(config, _ssv2(own))
        for key, value in (("FLIP_PROB", "0"), ("SSV2_FLIP", "false"), ("FLIP_LABEL_PAIRS", "[]")):
            settled = config_of(**SSV2_FLIPS, **{f"AUGMENTATION__{key}": value})
            assert build_flip(settled, _ssv2(own)).label_pairs == ()


def test_flip_pairs_of_the_configuration_stay_as_they_are(config_of: ConfigOf) -> None:
    config = config_of(**SSV2_FLIPS, AUGMENTATION__FLIP_LABEL_PAIRS="[[0, 2]]")
    assert build_flip(config, _ssv2(("a", "b", "c"))).label_pairs == ((0, 2),)
    with pytest.raises(ConfigError, match=r"FLIP_LABEL_PAIRS.*\[0, 2\] is no pair of the 2 classes 0…1"):
        build_flip(config, _ssv2(("a", "b")))


def test_flip_pairs_are_of_one_head(config_of: ConfigOf) -> None:
    actions = AnnotatedSplit(
        "epic100", "train", [VideoRecord("1.mp4", (0, 1))], (("cut", "wash"), ("a", "b"))
    )
    assert build_flip(config_of(), actions).label_pairs == ()
    with pytest.raises(ConfigError, match=r"FLIP_LABEL_PAIRS.*has 2 labels\n.*leave it out"):
        build_flip(config_of(AUGMENTATION__FLIP_LABEL_PAIRS="[[0, 1]]"), actions)


@pytest.mark.parametrize(("encoder", "parts"), [("conv", (2, 3)), ("tada", (1, 3))])
def test_mixing_groups_are_numbered_in_the_global_batch(
    config_of: ConfigOf, monkeypatch: pytest.MonkeyPatch, encoder: str, parts: tuple[int, int]
) -> None:
    """What process 1 of 2 mixes in its micro-batches is what one process mixes at the same clips."""
    generator = torch.Generator().manual_seed(0)
    video = torch.randint(0, 255, (8, 3, 2, 8, 8), dtype=torch.uint8, generator=generator)
    batch = VideoBatch(video, torch.arange(8)[:, None] % 3, torch.arange(8))
    whole = build_prepare(config_of(), (3,), CPU)(batch, 5, 0)
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    monkeypatch.setattr(distributed, "rank", lambda: 1)
    two = config_of(TRAIN__MICRO_BATCH_SIZE="2", VIDEO__BACKBONE__DIST__TEMPORAL_ENCODER=encoder)
    prepare = build_prepare(two, (3,), CPU)
    for number, index in enumerate(parts):
        part, its = prepare(batch.split(2)[index], 5, number), slice(2 * index, 2 * index + 2)
        assert torch.equal(part.video, whole.video[its])
        assert torch.equal(part.targets[0], whole.targets[0][its])
    assert not torch.equal(part.video, prepare(batch.split(2)[index], 6, number).video)


def test_precision_and_trackers_that_cannot_be_had_are_told(
    config_of: ConfigOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = build_workplace(config_of(TRAIN__PRECISION="bf16"), OutputFolder(tmp_path), CPU)
    assert place.precision.name == "bf16" and not place.trackers
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ConfigError, match="pip install wandb"):
        build_trackers(config_of(WANDB__ENABLE="true"), OutputFolder(tmp_path))


def test_a_test_without_a_training_set_takes_the_validation_list(tiny_videos: Path) -> None:
    (tiny_videos / "mine.csv").write_text("path,label\ntrain00.mp4,colour 0\n")
    pairs = ["TRAIN.ENABLE", "false", "TEST.DATASET", "csv", "DATA.DATA_ROOT_DIR", str(tiny_videos)]
    config = load_run_config(None, [*pairs, "DATA.VAL_LIST", str(tiny_videos / "mine.csv")])
    assert [record.path for record in load_test_split(config).records] == ["train00.mp4"]
