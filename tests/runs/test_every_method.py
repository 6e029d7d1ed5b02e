"""Every method trains, tests, resumes, exports and predicts through the same commands."""

from __future__ import annotations

import json
import multiprocessing
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from models.clip import build_clip
from models.clip_weights import without_text_prefix
from models.config import MODEL_NAMES
from runs import export, predict
from tests.runs.conftest import Pairs
from tests.runs.tiny_runs import start_run

# X-CLIP's joint space must hold an attention head: the larger of the tiny CLIPs has one.
ROOMY = {"VIDEO.BACKBONE.META_ARCH_NAME": "tiny-moving-shapes", "DATA.TRAIN_CROP_SIZE": "48"}
ROOMY |= {"DATA.TEST_SCALE": "48", "DATA.TEST_CROP_SIZE": "48"}
LINEAR = {"VIDEO.HEAD.NAME": "linear", "VIDEO.HEAD.DROPOUT_RATE": "0.5"}
METHODS = {
    "dist": {},
    "dist with TAdaConv": {"MODEL.NAME": "dist", "VIDEO.BACKBONE.DIST.TEMPORAL_ENCODER": "tada"},
    "dist without temporal encoder": {
        "MODEL.NAME": "dist",
        "VIDEO.BACKBONE.DIST.TEMPORAL_ENCODER": "none",
    },
    "linear probe": {"MODEL.NAME": "clip", **LINEAR},
    "vifi-clip": {
        "MODEL.NAME": "clip",
        "VIDEO.BACKBONE.FREEZE_VISUAL": "false",
        "VIDEO.BACKBONE.FREEZE_TEXT": "false",
    },
    "stan": {"VIDEO.BACKBONE.FREEZE_VISUAL": "false", "VIDEO.BACKBONE.STAN.DEPTH": "2"},
    "clip4clip": {
        "VIDEO.BACKBONE.FREEZE_VISUAL": "false",
        "VIDEO.BACKBONE.CLIP4CLIP.LAYERS": "2",
        **ROOMY,
    },
    "st_adapter": LINEAR,
    "st_adapter, two per block": {
        "MODEL.NAME": "st_adapter",
        "VIDEO.BACKBONE.ST_ADAPTER.ADAPTERS_PER_BLOCK": "2",
        **LINEAR,
    },
    "aim": LINEAR,
    "evl": {**LINEAR, "VIDEO.BACKBONE.EVL.DECODER_LAYERS": "2"},
    "xclip": {"VIDEO.BACKBONE.FREEZE_VISUAL": "false", **ROOMY},
    "xclip with a classifier": {
        "MODEL.NAME": "xclip",
        "VIDEO.BACKBONE.FREEZE_VISUAL": "false",
        **ROOMY,
        **LINEAR,
    },
}


def test_no_method_is_left_out() -> None:
    covered = {settings.get("MODEL.NAME", name) for name, settings in METHODS.items()}
    assert covered == set(MODEL_NAMES)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Files of weights of the tiny CLIPs: what is trained beside one is tied to it."""
    folder, files = tmp_path_factory.mktemp("clips"), {}
    for architecture in ("tiny-test", "tiny-moving-shapes"):
        torch.manual_seed(0)
        files[architecture] = str(folder / f"{architecture}.pt")
        torch.save(without_text_prefix(build_clip(architecture).state_dict()), files[architecture])
    return files


def newest(folder: Path) -> Path:
    return max(folder.glob("checkpoints/step_*.pt"))


@pytest.mark.parametrize("name", METHODS)
def test_a_method_goes_through_all_commands(
    name: str,
    pairs_of: Pairs,
    clips: dict[str, str],
    tmp_path: Path,
) -> None:
    settings = {
        "MODEL.NAME": name,
        **METHODS[name],
        "OPTIMIZER.MAX_EPOCH": "1",
        "OPTIMIZER.WARMUP_EPOCHS": "0",
    }
    pairs = {**pairs_of("run"), **settings, "TRAIN.EVAL_PERIOD": "1", "TRAIN.KEEP_LAST": "9"}
    pairs["VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH"] = clips[pairs["VIDEO.BACKBONE.META_ARCH_NAME"]]
    run = start_run(pairs)
    assert run.codes() == [0], run.text()
    folder = Path(pairs["OUTPUT_DIR"])
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["test"]["videos_evaluated"] == 7 and summary["training"]["steps"] == 2
    assert summary["weights"]["trainable_parameters"] > 0

    newest(folder).unlink()  # as if the run had died before its last step
    for left in ("summary.json", "results.md"):
        (folder / left).unlink()
    again = start_run(pairs)
    assert again.codes() == [0] and "resumed after step 1 of 2" in again.text(), again.text()
    resumed = json.loads((folder / "summary.json").read_text())
    assert resumed["weights"]["trained_sha256"] == summary["weights"]["trained_sha256"]
    assert resumed["test"]["scores"] == summary["test"]["scores"]

    video = str(Path(pairs["DATA.DATA_ROOT_DIR"]) / "val00.mp4")
    released = tmp_path / "released.safetensors"
    predicted = prediction(video, newest(folder), tmp_path / "trained.json")
    assert {item["label"] for item in predicted} == {f"colour {number}" for number in range(3)}
    in_child(export.main, ["--model", str(newest(folder)), "--output", str(released), "--device", "cpu"])
    for one, other in zip(predicted, prediction(video, released, tmp_path / "released.json"), strict=True):
        assert one["label"] == other["label"]
        assert one["score"] == pytest.approx(other["score"], rel=1e-5)


def test_a_crop_that_does_not_fit_a_method_is_told_before_the_first_clip(pairs_of: Pairs) -> None:
    crops = {"DATA.TEST_SCALE": "64", "DATA.TEST_CROP_SIZE": "64"}
    run = start_run({**pairs_of(), "MODEL.NAME": "evl", **METHODS["evl"], **crops})
    assert run.codes() == [2], run.text()
    assert "DATA.TEST_CROP_SIZE: 64 pixels given" in run.text() and "TEST_CROP_SIZE to 32" in run.text()
    assert "Traceback" not in run.text()


def test_the_frozen_clip_goes_through_all_that_need_no_training(
    pairs_of: Pairs, clips: dict[str, str], tmp_path: Path
) -> None:
    """What every method is compared with: nothing in it is trained, so there is no checkpoint of it."""
    pairs = {**pairs_of("run"), "MODEL.NAME": "clip", "TRAIN.ENABLE": "false"}
    pairs["VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH"] = clips[pairs["VIDEO.BACKBONE.META_ARCH_NAME"]]
    run = start_run(pairs)
    assert run.codes() == [0], run.text()
    summary = json.loads((Path(pairs["OUTPUT_DIR"]) / "summary.json").read_text())
    assert summary["test"]["videos_evaluated"] == 7
    assert summary["weights"]["trainable_parameters"] == 0

    video = str(Path(pairs["DATA.DATA_ROOT_DIR"]) / "val00.mp4")
    file, released = Path(clips["tiny-test"]), tmp_path / "released.safetensors"
    words = ["--classes", "red, green, blue"]
    in_child(export.main, ["--model", str(file), "--output", str(released), "--device", "cpu", *words])
    found = prediction(video, file, tmp_path / "clip.json", *words, "--fusion", "1")  # as for own classes
    for one, other in zip(found, prediction(video, released, tmp_path / "released.json"), strict=True):
        assert one["label"] == other["label"]
        assert one["score"] == pytest.approx(other["score"], rel=1e-5)


def prediction(video: str, model: Path, output: Path, *more: str) -> list[dict[str, Any]]:
    """What the command says of one video, most likely class first."""
    words = [
        *more,
        video,
        "--model",
        str(model),
        "--device",
        "cpu",
        "--format",
        "json",
        "--output",
        str(output),
    ]
    in_child(predict.main, words)
    (result,) = json.loads(output.read_text())
    return result["predictions"]


def in_child(command: Callable[[list[str]], int], words: list[str]) -> None:
    """Run a command in a forked process: threads that it starts here would break the next fork."""
    child = multiprocessing.get_context("fork").Process(target=lambda: sys.exit(command(words)))
    child.start()
    child.join(120)
    assert child.exitcode == 0, f"{' '.join(words)} ended with {child.exitcode}"
