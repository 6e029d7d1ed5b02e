"""Files written in the vocabulary of the original release load, act, and name what has no meaning here."""

from __future__ import annotations

from pathlib import Path

import pytest

from runs.config import RunConfig, load_run_config, resolve_run_config
from runs.release_keys import IGNORED, ONLY, RENAMED, VALUES
from utils.config import ConfigError, ConfigWarning
from utils.config.convert import plain
from utils.config.schema import known_keys
from utils.config.tree import parse_yaml, walk

RECIPE = Path(__file__).with_name("release_recipe.yaml")

MEANINGLESS = {
    "PRETRAIN.ENABLE",
    "LOCALIZATION.ENABLE",
    "TRAIN.CHECKPOINT_TYPE",
    "TRAIN.CHECKPOINT_INFLATE",
    "TRAIN.CHECKPOINT_PRE_PROCESS.ENABLE",
    "TEST.CHECKPOINT_TYPE",
    "VISUALIZATION.ENABLE",
    "VISUALIZATION.NAME",
    "VISUALIZATION.FEATURE_MAPS.ENABLE",
    "VISUALIZATION.FEATURE_MAPS.BASE_OUTPUT_DIR",
    "SUBMISSION.ENABLE",
    "SUBMISSION.SAVE_RESULTS_PATH",
    "DATA.HICO_PLUS_PLUS.ENABLE",
    "VIDEO.BACKBONE.DEPTH",
    "VIDEO.BACKBONE.NUM_FILTERS",
    "VIDEO.BACKBONE.KERNEL_SIZE",
    "VIDEO.BACKBONE.DOWNSAMPLING",
    "VIDEO.BACKBONE.DOWNSAMPLING_TEMPORAL",
    "VIDEO.BACKBONE.NUM_STREAMS",
    "VIDEO.BACKBONE.EXPANSION_RATIO",
    "VIDEO.BACKBONE.BRANCH.NAME",
    "VIDEO.BACKBONE.STEM.NAME",
    "VIDEO.BACKBONE.NONLOCAL.ENABLE",
    "VIDEO.BACKBONE.NONLOCAL.STAGES",
    "VIDEO.BACKBONE.NONLOCAL.MASK_ENABLE",
    "VIDEO.BACKBONE.INITIALIZATION",
    "OPTIMIZER.MOMENTUM",
    "OPTIMIZER.DAMPENING",
    "OPTIMIZER.NESTEROV",
    "BN.WB_LOCK",
    "BN.FREEZE",
    "BN.WEIGHT_DECAY",
    "BN.MOMENTUM",
    "BN.EPS",
    "BN.SYNC",
    "SHARD_ID",
    "NUM_SHARDS",
    "OSS.ENABLE",
    "OSS.KEY",
    "OSS.SECRET",
    "OSS.ENDPOINT",
    "OSS.CHECKPOINT_OUTPUT_PATH",
    "OSS.SECONDARY_DATA_OSS.ENABLE",
    "OSS.SECONDARY_DATA_OSS.KEY",
    "OSS.SECONDARY_DATA_OSS.SECRET",
    "OSS.SECONDARY_DATA_OSS.ENDPOINT",
    "OSS.SECONDARY_DATA_OSS.BUCKETS",
    "USE_MULTISEG_VAL_DIST",
    "PAI",
    "MULTI_CARD",
}
"""Keys of the release for which this project has no concept at all."""

ACTING_OTHERWISE = {
    "MODEL.NAME",
    "VIDEO.HEAD.NAME",
    "TEST.NUM_ENSEMBLE_VIEWS",
    "VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH",
}
"""Keys of the recipe whose value here is another one than the release's, each tested by its own."""


def written(text: str, folder: Path) -> Path:
    path = folder / "release.yaml"
    path.write_text(text)
    return path


def test_what_the_recipe_says_is_what_the_run_does() -> None:
    resolved = resolve_run_config(RECIPE)
    config = resolved.config
    schema = set(known_keys(RunConfig))
    compared = 0
    for key, leaf in walk(parse_yaml(RECIPE.read_text(), "recipe")):
        if key not in schema or key in ACTING_OTHERWISE:
            continue
        value: object = config
        for part in key.split("."):
            value = getattr(value, part.lower())
        expected = plain(leaf)
        assert value == (float(expected) if isinstance(value, float) else expected), key
        compared += 1
    assert compared > 80
    assert config.optimizer.warmup_start_lr == config.optimizer.min_lr == 8e-8
    assert config.model.name == "dist"
    assert config.video.head.name == "text"
    assert config.video.backbone.pretrain_weight_path == "/weights/ViT-B-16.pt"
    assert (config.test.num_ensemble_views, config.test.num_spatial_crops) == (3, 1)
    assert config.optimizer.new_net_weight_decay == 1e-4
    assert config.train.requested_precision == "auto"
    assert config.data_loader.decoder_threads == 0


def test_every_key_of_the_recipe_is_accounted_for_in_one_place() -> None:
    schema = set(known_keys(RunConfig))
    switches = {
        "VIDEO.BACKBONE.DIST.ENABLE",
        "TRAIN.HALF_PRECISION",
        "TEST.AUTOMATIC_MULTI_SCALE_TEST",
        "TEST.OVERRIDE_MULTI_SCALE_TEST.ENABLE",
        "TEST.OVERRIDE_MULTI_SCALE_TEST.NUM_SPATIAL_CROPS",
        "TEST.OVERRIDE_MULTI_SCALE_TEST.NUM_ENSEMBLE_VIEWS",
    }
    ignored = {key for key in _all_keys() if _matches_ignored(key)}
    for key in _all_keys():
        places = [key in schema, key in RENAMED, key in switches, key in ignored or key in ONLY]
        assert sum(places) == 1, (key, places)
    assert set(VALUES) <= schema
    assert set(RENAMED.values()) <= schema
    assert not {key for key in IGNORED if key in schema}


def _all_keys() -> list[str]:
    return [key for key, _ in walk(parse_yaml(RECIPE.read_text(), "recipe"))]


def _matches_ignored(key: str) -> bool:
    return any(
        key == pattern or (pattern.endswith("*") and key.startswith(pattern[:-1])) for pattern in IGNORED
    )


def test_one_warning_names_every_key_without_meaning() -> None:
    first, second = resolve_run_config(RECIPE).warnings
    named = set(first.split(": ", 1)[1].split(", "))
    assert named >= MEANINGLESS
    internals = {"VIDEO.BACKBONE.ATTEN_BLOCK", "VIDEO.BACKBONE.RECORD_VIS_MID_FEAT", "AUGMENTATION.USE_GPU"}
    assert internals <= named
    assert not named & set(known_keys(RunConfig))
    assert "TRAIN.BATCH_SIZE 32" in second
    assert "256" in second


def test_loading_warns_and_does_not_fail() -> None:
    with pytest.warns(ConfigWarning) as caught:
        config = load_run_config(RECIPE)
    assert len(caught) == 2
    assert config.train.batch_size == 32


@pytest.mark.parametrize("pairs", [["TRAIN.BATCH_SIZE", "256"], ["OPTIMIZER.ADJUST_LR", "true"]])
def test_no_warning_about_the_batch_where_the_rate_fits(pairs: list[str]) -> None:
    assert len(resolve_run_config(RECIPE, pairs).warnings) == 1


def test_our_own_files_are_not_warned_about() -> None:
    assert resolve_run_config(None, ["TRAIN.BATCH_SIZE", "32"]).warnings == ()


@pytest.mark.parametrize(
    ("pairs", "key", "value"),
    [
        (["TEST.NUM_ENSEMBLE_VIEWS", "5"], "test.num_ensemble_views", 5),
        (["TEST.OVERRIDE_MULTI_SCALE_TEST.NUM_ENSEMBLE_VIEWS", "7"], "test.num_ensemble_views", 7),
        (["TEST.AUTOMATIC_MULTI_SCALE_TEST", "false"], "test.num_ensemble_views", 1),
        (["TEST.OVERRIDE_MULTI_SCALE_TEST.ENABLE", "false"], "test.num_ensemble_views", 3),
        (["VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH", "openai"], "video.backbone.pretrain_weight_path", "openai"),
        (
            ["VIDEO.BACKBONE.LOCAL_PRETRAIN_WEIGHT_PATH", "/x.pt"],
            "video.backbone.pretrain_weight_path",
            "/x.pt",
        ),
        (["VIDEO.BACKBONE.DIST.ENABLE", "false"], "model.name", "clip"),
        (["MODEL.NAME", "clip"], "model.name", "clip"),
        (["MODEL.NAME", "dist"], "model.name", "dist"),
        (["TRAIN.HALF_PRECISION", "true"], "train.precision", "fp16"),
        (["TRAIN.MIXED_PRECISION", "false"], "train.requested_precision", "fp32"),
        (["OPTIMIZER.PROMPT_NET_LRMULT", "3"], "optimizer.new_net_lrmult", 3.0),
        (["OPTIMIZER.NEW_NET_LRMULT", "4"], "optimizer.new_net_lrmult", 4.0),
        (["TEST.DATASET", "kinetics400"], "test_dataset", "k400"),
    ],
)
def test_overrides_of_a_release_file(pairs: list[str], key: str, value: object) -> None:
    found: object = resolve_run_config(RECIPE, pairs).config
    for part in key.split("."):
        found = getattr(found, part)
    assert found == value


@pytest.mark.parametrize(
    ("dataset", "views"), [("ssv2", (3, 1)), ("kinetics400", (10, 3)), ("ucf101", (10, 1))]
)
def test_usual_views_of_the_release_without_an_override(
    dataset: str, views: tuple[int, int], tmp_path: Path
) -> None:
    path = written(f"TEST:\n  DATASET: {dataset}\n  AUTOMATIC_MULTI_SCALE_TEST: true\n", tmp_path)
    test = resolve_run_config(path).config.test
    assert (test.num_ensemble_views, test.num_spatial_crops) == views


def test_older_names_act_where_the_newer_ones_are_absent(tmp_path: Path) -> None:
    text = """
    OPTIMIZER: {PROMPT_NET_LRMULT: 5, PROMPT_NET_WEIGHT_DECAY: 2e-3}
    VIDEO: {BACKBONE: {PRETRAIN_WEIGHT_PATH: "", LOCAL_PRETRAIN_WEIGHT_PATH: /w.pt}}
    """
    config = resolve_run_config(written(text, tmp_path)).config
    assert (config.optimizer.new_net_lrmult, config.optimizer.new_net_weight_decay) == (5.0, 2e-3)
    assert config.video.backbone.pretrain_weight_path == "/w.pt"


@pytest.mark.parametrize(
    ("pairs", "complaint"),
    [
        (["DATA.MULTI_LABEL", "true"], "DATA.MULTI_LABEL: True is not available"),
        (["DATA.ENSEMBLE_METHOD", "max"], "this project does 'sum'"),
        (["PRETRAIN.ENABLE", "true"], "PRETRAIN.ENABLE"),
        (["TEST.ZEROSHOT.ENABLE", "true"], "(?s)TEST.ZEROSHOT.ENABLE: True .*runs/zero_shot.py"),
        (["VIDEO.BACKBONE.DIST.S_PATCH_SIZE", "32"], "does not fit ViT-B-16"),
        (["VIDEO.BACKBONE.DIST.ENABLE", "perhaps"], "true or false"),
        (["VIDEO.BACKBONE.DIST.ENABLE", "false", "MODEL.NAME", "dist"], "set MODEL.NAME to clip"),
        (["TEST.OVERRIDE_MULTI_SCALE_TEST.NUM_VIEWS", "3"], "unknown key"),
        (["TRAIN.BATCH_SZIE", "3"], "did you mean TRAIN.BATCH_SIZE"),
    ],
)
def test_what_the_release_offers_and_this_project_does_not(pairs: list[str], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        resolve_run_config(RECIPE, pairs)


class TestFilesAsReleased:
    """The shape of the released files: recipes on bases that the release may not even contain."""

    def release(self, folder: Path, recipe: str) -> Path:
        (folder / "pool").mkdir()
        (folder / "pool" / "clip_vit_base_16.yaml").write_text(
            "MODEL: {NAME: clip}\nVIDEO:\n"
            "  BACKBONE: {META_ARCH_NAME: ViT-B-16, PRETRAIN_WEIGHT_PATH: /w.pt}\n"
            "  HEAD: {NAME: ClipVideoHeadLinear, NUM_CLASSES: }\n"
        )
        (folder / "vit_base_16_ssv2.yaml").write_text(
            "_BASE_MODEL: pool/clip_vit_base_16.yaml\nTRAIN: {DATASET: ssv2, BATCH_SIZE: 32}\n"
            "TEST: {DATASET: ssv2}\nVIDEO: {BACKBONE: {FREEZE_TEXT: false}, HEAD: {NUM_CLASSES: 174}}\n"
            "OPTIMIZER: {MIN_LR: 8e-8, DAMPENING: 0.0}\n"
        )
        path = folder / "recipe.yaml"
        path.write_text(recipe)
        return path

    def test_b16(self, tmp_path: Path) -> None:
        recipe = (
            "_BASE: vit_base_16_ssv2.yaml\nVIDEO:\n  BACKBONE: {FREEZE_TEXT: true, DIST: {ENABLE: true}}\n"
            "  HEAD: {NAME: ClipVideoTextIdentity}\n"
        )
        config = resolve_run_config(self.release(tmp_path, recipe)).config
        assert (config.model.name, config.video.head.name) == ("dist", "text")
        assert config.video.head.classes_per_head == (174,)

    def test_k400_recipes_inherit_the_classes_of_ssv2_and_are_taken_at_their_word(
        self, tmp_path: Path
    ) -> None:
        recipe = (
            "_BASE: vit_base_16_ssv2.yaml\nVIDEO: {BACKBONE: {FREEZE_TEXT: true, DIST: {ENABLE: true}}}\n"
        )
        config = resolve_run_config(self.release(tmp_path, recipe)).config
        assert config.test_dataset == "ssv2"
        assert config.video.head.classes_per_head == (174,)

    def test_keys_that_stand_in_some_of_the_files_and_that_no_code_read(self, tmp_path: Path) -> None:
        """The first in the recipes as they were published at first, the other in the one for ViT-L/14."""
        recipe = (
            "_BASE: vit_base_16_ssv2.yaml\nOPTIMIZER: {FREEZE_PRETRAINED_PARAM: false}\n"
            'VIDEO: {BACKBONE: {FREEZE_TEXT: true, PROMPT_PREFIX: "a photot of ", DIST: {ENABLE: true}}}\n'
        )
        resolved = resolve_run_config(self.release(tmp_path, recipe))
        named = resolved.warnings[0]
        assert "OPTIMIZER.FREEZE_PRETRAINED_PARAM" in named and "VIDEO.BACKBONE.PROMPT_PREFIX" in named
        assert resolved.config.data.dataset_label_text.sentences == ("{}",)

    def test_l14_names_a_base_that_is_missing(self, tmp_path: Path) -> None:
        path = self.release(tmp_path, "_BASE: vit_large_14_ssv2.yaml\n")
        with pytest.raises(ConfigError, match="vit_large_14_ssv2.yaml does not exist"):
            resolve_run_config(path)

    def test_l14_with_the_patches_of_b16(self, tmp_path: Path) -> None:
        recipe = (
            "_BASE: vit_base_16_ssv2.yaml\nVIDEO:\n  BACKBONE:\n    META_ARCH_NAME: ViT-L-14\n"
            "    FREEZE_TEXT: true\n    DIST:\n      ENABLE: true\n      S_PATCH_SIZE: 16\n"
        )
        with pytest.raises(ConfigError) as caught:
            resolve_run_config(self.release(tmp_path, recipe))
        said = str(caught.value)
        assert said.startswith("VIDEO.BACKBONE.DIST.S_PATCH_SIZE: 16 does not fit ViT-L-14")
        assert "recipe.yaml, line 8" in said
        assert "to 14" in said
