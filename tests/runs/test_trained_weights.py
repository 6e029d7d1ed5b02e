"""Weights of a trained model beside a frozen CLIP, a list of classes or a setting that is not theirs."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from models.bundled_clip import unshown_of
from models.clip import build_clip
from models.clip_weights import without_text_prefix
from models.errors import ConversionError
from models.heads import Recognizer
from models.loading import fill_from
from models.retriever import Retriever
from models.tiny_architectures import TINY_ARCHITECTURES
from runs.build_model import build_network, build_retriever, load_weights
from runs.config import RunConfig, load_run_config
from runs.inference.classifier import VideoClassifier
from runs.inference.loading import load_model
from runs.inference.releasing import save_release
from tests.runs.tiny_runs import words
from utils.checkpoint import frozen_fingerprint, trainable_state
from utils.config import ConfigError, to_dict

NAMES = (("red", "green", "blue"),)
KEY = "TEST.CHECKPOINT_FILE_PATH"
TUNED = {"MODEL.NAME": "clip", "VIDEO.BACKBONE.FREEZE_VISUAL": "false"}
LINEAR = {"VIDEO.HEAD.NAME": "linear"}


@pytest.fixture
def clips(tmp_path: Path) -> list[str]:
    paths = [tmp_path / f"clip{seed}.pt" for seed in range(2)]
    for seed, path in enumerate(paths):
        torch.manual_seed(seed)
        torch.save(without_text_prefix(dict(build_clip("tiny-test", "").state_dict())), path)
    return [str(path) for path in paths]


def config_of(clip: str, **settings: str) -> RunConfig:
    pairs = {
        "VIDEO.BACKBONE.META_ARCH_NAME": "tiny-test",
        "VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH": clip,
        "VIDEO.BACKBONE.DIST.INTEGRATION_DIM": "64",
        "VIDEO.BACKBONE.DIST.TEMPORAL_DIM": "16",
        "DATA.NUM_INPUT_FRAMES": "4",
        "DATA.TRAIN_CROP_SIZE": "32",
        "DATA.TEST_SCALE": "32",
        "DATA.TEST_CROP_SIZE": "32",
    }
    return load_run_config(None, words(pairs | settings))


def network_of(config: RunConfig, seed: int = 0) -> Recognizer | Retriever:
    torch.manual_seed(seed)
    if config.task_type == "retrieval":
        return build_retriever(config, torch.device("cpu"))
    return build_network(config, NAMES, torch.device("cpu"))


def trained(folder: Path, config: RunConfig) -> str:
    """A checkpoint of a run of that configuration, in which all that is trained has changed."""
    network = network_of(config, seed=5)
    with torch.no_grad():
        for weight in network.parameters():
            if weight.requires_grad:
                weight.add_(0.01 * torch.randn_like(weight))
    path = folder / "step.pt"
    content = {
        "config": to_dict(config),
        "class_names": [list(head) for head in NAMES],
        "weights": trainable_state(network),
        "average": None,
        "frozen_sha256": frozen_fingerprint(network),
        "encoder": asdict(unshown_of(network.model.clip)),
    }
    torch.save(content, path)
    return str(path)


@pytest.mark.parametrize("trains", [True, False])
def test_another_frozen_clip_is_refused(tmp_path: Path, clips: list[str], trains: bool) -> None:
    path = trained(tmp_path, config_of(clips[0]))
    load_weights(network_of(config_of(clips[0])), path, KEY, trains=trains)
    with pytest.raises(ConfigError, match="trained on a frozen encoder with the fingerprint"):
        load_weights(network_of(config_of(clips[1])), path, KEY, trains=trains)


def test_a_frozen_clip_of_random_weights_is_drawn_again(tmp_path: Path) -> None:
    path = trained(tmp_path, config_of("", RANDOM_SEED="5"))
    torch.manual_seed(1)
    load_model(path, device="cpu")  # compares the fingerprints
    drawn = torch.rand(3)
    torch.manual_seed(1)
    assert torch.equal(drawn, torch.rand(3))
    with pytest.raises(ConversionError, match="trained on a frozen encoder with the fingerprint"):
        load_model(path, device="cpu", overrides=["RANDOM_SEED", "6"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"quick_gelu": False}, "with QuickGELU, and the one here has GELU"),
        ({"vision_cfg": {"head_width": 32}}, "with attention heads of 64 channels, and the one here has 32"),
    ],
)
def test_the_same_weights_in_another_clip_are_refused(
    tmp_path: Path, clips: list[str], changes: dict[str, Any], message: str
) -> None:
    """Nothing in weights shows their activation and their heads."""
    tiny = TINY_ARCHITECTURES["tiny-test"]
    vision = {"vision_cfg": {**tiny["vision_cfg"], **changes.get("vision_cfg", {})}}
    (tmp_path / "other.json").write_text(json.dumps({**tiny, **changes, **vision}))
    named = {"VIDEO.BACKBONE.META_ARCH_NAME": str(tmp_path / "other.json")}
    path = trained(tmp_path, config_of(clips[0]))
    other = network_of(config_of(clips[0], **named))
    with pytest.raises(ConfigError, match=message):
        load_weights(other, path, KEY)
    release = tmp_path / "without_encoder.safetensors"
    save_release(load_model(path), release, class_names=NAMES, with_encoder=False)
    places = ["VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH", clips[0], "VIDEO.BACKBONE.META_ARCH_NAME"]
    assert load_model(release, overrides=[*places, "tiny-test"]).model.clip.with_quick_gelu
    with pytest.raises(ConversionError, match=message):
        load_model(release, overrides=[*places, named.popitem()[1]])

    content = torch.load(path, weights_only=True)
    del content["encoder"]  # earlier checkpoints did not say it
    torch.save(content, path)
    load_weights(other, path, KEY)


def test_frozen_weights_are_those_of_the_setting(tmp_path: Path, clips: list[str]) -> None:
    """What a run does not train is in none of its checkpoints, so a file may not bring it unsaid."""
    tuned = config_of(clips[0], **TUNED, **LINEAR)
    path = trained(tmp_path, tuned)
    probe = {"MODEL.NAME": "clip", **LINEAR}
    with pytest.raises(ConfigError, match=r"other values of \d+ frozen weights"):
        load_weights(network_of(config_of(clips[0], **probe)), path, KEY, trains=True)

    model = load_model(path)
    save_release(model, tmp_path / "tuned.safetensors", class_names=NAMES)
    network = network_of(config_of(str(tmp_path / "tuned.safetensors"), **probe))
    load_weights(network, path, KEY, trains=True)
    assert all(
        torch.equal(weight, network.state_dict()[name]) for name, weight in model.network.named_parameters()
    )


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_a_frozen_clip_rounded_in_the_file_is_the_networks_own(clips: list[str], kind: torch.dtype) -> None:
    network = network_of(config_of(clips[0]))
    own = {name: weight.clone() for name, weight in network.state_dict().items()}
    rounded = {name: tensor.to(kind) if ".clip." in name else tensor for name, tensor in own.items()}
    assert not fill_from(network, rounded, "a release in half precision").changed
    assert all(torch.equal(weight, own[name]) for name, weight in network.state_dict().items())
    name = "model.clip.visual.conv1.weight"
    other = {**rounded, name: rounded[name] * 1.01}
    assert fill_from(network, other, "another CLIP").changed == (name,)


def test_class_features_come_from_the_text_tower_in_use(tmp_path: Path, clips: list[str]) -> None:
    path = trained(tmp_path, config_of(clips[0], **TUNED, **{"VIDEO.BACKBONE.FREEZE_TEXT": "false"}))
    with pytest.raises(ConfigError, match=r"other values of \d+ frozen weights"):
        load_weights(network_of(config_of(clips[0], **TUNED)), path, KEY)


def test_a_classifier_is_tested_on_its_own_classes(tmp_path: Path, clips: list[str]) -> None:
    config = config_of(clips[0], **{"MODEL.NAME": "clip"}, **LINEAR)
    path = trained(tmp_path, config)
    load_weights(network_of(config), path, KEY, class_names=NAMES)
    with pytest.raises(ConfigError, match="class 0 is 'red'; in this run's list it is 'blue'"):
        load_weights(network_of(config), path, KEY, class_names=(("blue", "green", "red"),))
    smaller = build_network(config, (("red", "green"),), torch.device("cpu"))
    with pytest.raises(ConfigError, match="no classifier for these classes"):
        load_weights(smaller, path, KEY, class_names=(("red", "green"),))
    load_weights(smaller, path, KEY, trains=True)  # fine-tuning gives it other classes

    text = trained(tmp_path, config_of(clips[0]))
    with pytest.raises(ConfigError, match="no classifier for these classes"):
        load_weights(network_of(config_of(clips[0], **LINEAR)), text, KEY, class_names=NAMES)


def test_a_test_among_a_part_of_the_classes_is_told(
    tmp_path: Path, clips: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Words compare with any classes, but a list that lacks some makes an easier task than training."""
    config = config_of(clips[0])
    path = trained(tmp_path, config)
    for names in (*NAMES, ("Blue", "red", "green"), ("novel",), ("red", "novel")):
        load_weights(network_of(config), path, KEY, class_names=(names,))
        assert "was trained on" not in caplog.text
    load_weights(network_of(config), path, KEY, class_names=(("green", "red"),))
    assert "trained on 3 classes, and the test's list has 2 of them (not 'blue')" in caplog.text
    load_weights(network_of(config), path, KEY, trains=True, class_names=(("green", "red"),))
    assert caplog.text.count("was trained on") == 1


BOTH = {**TUNED, "VIDEO.BACKBONE.FREEZE_TEXT": "false"}


@pytest.mark.parametrize("settings", [BOTH, {}], ids=["both towers", "DiST"])
@pytest.mark.parametrize("temperature", ["null", "0.05"])
def test_a_matcher_of_texts_and_videos_classifies(
    tmp_path: Path, clips: list[str], settings: dict[str, str], temperature: str
) -> None:
    retrieval = {
        "TASK_TYPE": "retrieval",
        "RETRIEVAL.TEMPERATURE": temperature,
        "TEST.NUM_ENSEMBLE_VIEWS": "1",
    }
    path = trained(tmp_path, config_of(clips[0], **settings, **retrieval))
    assert isinstance(load_model(path), VideoClassifier)
    other = ["VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH", clips[1]]
    if not settings:
        with pytest.raises(ValueError, match="trained on a frozen encoder"):
            load_model(path, overrides=other)


RETRIEVAL = {"TASK_TYPE": "retrieval", "TEST.NUM_ENSEMBLE_VIEWS": "1"}
PROBE = {"MODEL.NAME": "clip", **LINEAR}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (BOTH, {**RETRIEVAL, **BOTH, "RETRIEVAL.TEMPERATURE": "0.05"}),
        ({**RETRIEVAL, "RETRIEVAL.TEMPERATURE": "null"}, {}),
        ({**RETRIEVAL, "RETRIEVAL.TEMPERATURE": "null"}, {**RETRIEVAL, "RETRIEVAL.TEMPERATURE": "0.05"}),
        ({**BOTH, **RETRIEVAL}, {**TUNED, **LINEAR}),
    ],
)
def test_training_leaves_what_it_does_not_read(
    tmp_path: Path, clips: list[str], first: dict[str, str], second: dict[str, str]
) -> None:
    """CLIP's scale, and a text tower that nothing is compared with, may differ."""
    path = trained(tmp_path, config_of(clips[0], **first))
    network = network_of(config_of(clips[0], **second))
    before = frozen_fingerprint(network)
    load_weights(network, path, KEY, trains=True)
    assert frozen_fingerprint(network) == before


STAN = {"MODEL.NAME": "stan", "VIDEO.BACKBONE.STAN.DEPTH": "2"}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (PROBE, {**TUNED, **LINEAR}),
        (STAN, {**STAN, "VIDEO.BACKBONE.FREEZE_VISUAL": "false"}),
        (
            {**STAN, "VIDEO.BACKBONE.FREEZE_VISUAL": "false", **LINEAR},
            {**STAN, **BOTH, "MODEL.NAME": "stan", **RETRIEVAL},
        ),
    ],
)
def test_what_was_frozen_may_be_tuned_next(
    tmp_path: Path, clips: list[str], first: dict[str, str], second: dict[str, str]
) -> None:
    """The file lacks it, and says beside which it was trained."""
    path = trained(tmp_path, config_of(clips[0], **first))
    network = network_of(config_of(clips[0], **second))
    load_weights(network, path, KEY, trains=True)
    own = network.state_dict()
    for name, tensor in torch.load(path, weights_only=True)["weights"].items():
        assert name not in own or torch.equal(own[name], tensor), name
    with pytest.raises(ConfigError, match="trained on a frozen encoder with the fingerprint"):
        load_weights(network_of(config_of(clips[1], **second)), path, KEY, trains=True)

    content = torch.load(path, weights_only=True)
    del content["frozen_sha256"]  # nothing then tells which CLIP belongs to it
    torch.save(content, path)
    with pytest.raises(ConfigError, match="do not fit this network") as caught:
        load_weights(network_of(config_of(clips[0], **second)), path, KEY, trains=True)
    said = str(caught.value)
    assert "a CLIP that it neither holds nor names" in said and "META_ARCH_NAME" not in said


def test_prompts_are_for_texts(tmp_path: Path) -> None:
    roomy = {"VIDEO.BACKBONE.META_ARCH_NAME": "tiny-moving-shapes", "DATA.TRAIN_CROP_SIZE": "48"}
    roomy |= {"DATA.TEST_SCALE": "48", "DATA.TEST_CROP_SIZE": "48", "MODEL.NAME": "xclip"}
    path = trained(tmp_path, config_of("", **roomy))
    network = network_of(config_of("", **roomy, **LINEAR), seed=5)
    load_weights(network, path, KEY, trains=True)
    assert not any("prompts" in name for name, _ in network.named_parameters())


def test_a_model_is_used_however_it_was_trained(tmp_path: Path, clips: list[str]) -> None:
    """A later version may refuse to train so again."""
    path = trained(tmp_path, config_of(clips[0]))
    content = torch.load(path, weights_only=True)
    content["config"]["OPTIMIZER"]["WARMUP_EPOCHS"] = content["config"]["OPTIMIZER"]["MAX_EPOCH"]
    content["config"]["TEST"]["ENABLE"] = False
    torch.save(content, path)
    assert load_model(path).config.model.name == "dist"


def test_a_test_finds_the_clip_that_training_started_from(tmp_path: Path, clips: list[str]) -> None:
    whole = load_model(trained(tmp_path, config_of(clips[1])))
    save_release(whole, tmp_path / "start.safetensors", class_names=NAMES)
    start = {"TRAIN.CHECKPOINT_FILE_PATH": str(tmp_path / "start.safetensors")}
    path = trained(tmp_path, config_of(clips[0], **start))
    tested = {**start, "TRAIN.ENABLE": "false", "TEST.CHECKPOINT_FILE_PATH": path}
    load_weights(network_of(config_of(clips[0], **tested)), path, KEY)


def test_as_many_classifiers_as_labels(tmp_path: Path, clips: list[str]) -> None:
    path = trained(tmp_path, config_of(clips[0], **PROBE))
    content = torch.load(path, weights_only=True)
    torch.save({**content, "class_names": [*NAMES, ["a", "b"]]}, path)
    with pytest.raises(ConfigError, match="has 2 classifiers, and a video of this list 1 labels"):
        load_weights(network_of(config_of(clips[0], **PROBE)), path, KEY, class_names=NAMES)


def test_clips_of_another_kind_than_in_training_are_told(
    tmp_path: Path, clips: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    by_interval = {"DATA.SAMPLING_MODE": "interval_based"}
    path = trained(tmp_path, config_of(clips[0], **by_interval))
    content = torch.load(path, weights_only=True)
    del content["config"]["DATA"]["ANTIALIAS"]  # of before it was a setting
    content["config"]["DATA"]["MEAN"] = [0.4815, 0.4578, 0.4082]
    torch.save(content, path)
    release = tmp_path / "release.safetensors"
    save_release(load_model(path), release, class_names=NAMES)
    same = config_of(clips[0], **by_interval)
    other = config_of(
        clips[0],
        **by_interval,
        **{"DATA.SAMPLING_RATE": "4", "DATA.ANTIALIAS": "true", "DATA.STD": "[0.229, 0.224, 0.225]"},
    )
    for file in (path, str(release)):
        load_weights(network_of(same), file, KEY, used_with=same)
        load_model(file, config=same)
        load_model(file, overrides=["DATA.ANTIALIAS", "true"])
        load_weights(network_of(other), file, KEY, trains=True)
        assert "was trained with" not in caplog.text
        load_weights(network_of(other), file, KEY, used_with=other)
        load_model(file, config=other)
        old = "DATA.STD [0.26862954,0.26130258,0.27577711] DATA.ANTIALIAS false DATA.SAMPLING_RATE 8"
        new = "DATA.STD [0.229,0.224,0.225] DATA.ANTIALIAS true DATA.SAMPLING_RATE 4"
        assert caplog.text.count(f"{file} was trained with {old} and is used with {new}: its") == 2
        caplog.clear()
    segments = config_of(clips[0], **{"DATA.SAMPLING_RATE": "4"})  # which nothing reads there
    load_model(path, config=segments)
    assert "SAMPLING_MODE segment_based: its" in caplog.text and "SAMPLING_RATE" not in caplog.text


def test_a_prefix_that_an_earlier_version_glued_to_names_is_told(
    tmp_path: Path, clips: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    texts = "DATA.DATASET_LABEL_TEXT."
    prefixed = config_of(clips[0], **{f"{texts}PROMPT_PREFIX": "a photo of a"})
    path = trained(tmp_path, prefixed)
    content = torch.load(path, weights_only=True)
    for marker in ({"behaviour": 1}, {"floor_adjusted": True}):
        torch.save({**content, **marker}, path)
        load_model(path)
    torch.save(content, path)
    as_trained = {f"{texts}PROMPT_PREFIX": "", f"{texts}TEMPLATES": "['a photo of a{}']"}
    alike = config_of(clips[0], **as_trained)
    load_weights(network_of(alike), path, KEY, used_with=alike)
    load_weights(network_of(prefixed), path, KEY, trains=True)
    assert "PROMPT_PREFIX" not in caplog.text
    load_weights(network_of(prefixed), path, KEY, used_with=prefixed)
    load_model(path)
    told = "trained with 'a photo of a{}', used with 'a photo of a {}'"
    assert caplog.text.count(told) == 2
    assert f"{texts}PROMPT_PREFIX '' and {texts}TEMPLATES \"['a photo of a{{}}']\"" in caplog.text
    caplog.clear()
    content["config"]["DATA"]["DATASET_LABEL_TEXT"]["PROMPT_PREFIX"] = "a photo of a "
    torch.save(content, path)
    load_model(path)
    load_model(trained(tmp_path, config_of(clips[0], **RETRIEVAL, **{f"{texts}PROMPT_PREFIX": "a"})))
    assert "PROMPT_PREFIX" not in caplog.text
