"""runs/zero_shot.py as a command, on lists whose scores a plain loop can compute again."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from models.heads import LinearHead, frame_logits
from runs.api import load_model, read_clip, view_logits
from runs.config import resolve_run_config
from runs.inference import zero_shot_job
from runs.inference.classifier import VideoClassifier
from runs.inference.releasing import save_release
from runs.zero_shot import main
from tests.runs.inference.tiny import write_noise, write_release
from utils.config import ConfigError

CLASSES = ["a cat", "a dog", "a bird", "a fish"]
VIDEOS = 6


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with videos, train.csv, val.csv, and a released model of `tiny.py`."""
    folder = tmp_path_factory.mktemp("data")
    rows = []
    for number in range(VIDEOS):
        write_noise(folder / f"{number}.mp4", frames=12 + number, seed=number)
        rows.append(f"{number}.mp4,{CLASSES[number % 4]}")
    (folder / "val.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    # more videos of the first two classes: they are the base half
    (folder / "train.csv").write_text("\n".join(["path,label", *rows, *rows[:2]]) + "\n")
    (folder / "names.txt").write_text("\n".join(CLASSES) + "\n")
    (folder / "one.csv").write_text("path,label\n0.mp4,a cat\n")
    (folder / "one.txt").write_text("a cat\n")
    write_release(folder / "tiny.pyth")
    return folder


def pairs(data: Path, output: Path) -> list[str]:
    settings = {
        "OUTPUT_DIR": output,
        "NUM_GPUS": 0,
        "TRAIN.DATASET": "csv",
        "TEST.DATASET": "csv",
        "TEST.NUM_ENSEMBLE_VIEWS": 2,
        "TEST.BATCH_SIZE": 4,
        "DATA.DATA_ROOT_DIR": data,
        "DATA.ANNO_DIR": data,
        "DATA.CLASS_NAMES": data / "names.txt",
        "DATA.NUM_INPUT_FRAMES": 8,
        "DATA.TRAIN_CROP_SIZE": 32,
        "DATA.TEST_SCALE": 32,
        "DATA.TEST_CROP_SIZE": 32,
        "DATA_LOADER.NUM_WORKERS": 0,
        "VIDEO.BACKBONE.META_ARCH_NAME": "tiny-test",
        "VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH": data / "tiny.pyth",
        "VIDEO.BACKBONE.DIST.INTEGRATION_DIM": 64,
        "VIDEO.BACKBONE.DIST.TEMPORAL_DIM": 16,
        "VIDEO.BACKBONE.DIST.ADA_POOLING_LAYERS": 1,
    }
    return [word for key, value in settings.items() for word in (key, str(value))]


def zero_shot(data: Path, output: Path, *options: str) -> dict:
    """Runs the command and returns what it wrote as JSON."""
    config = output.parent / "empty.yaml"
    config.write_text("{}\n")
    arguments = [
        "--cfg",
        str(config),
        "--checkpoint",
        str(data / "tiny.pyth"),
        *options,
        *pairs(data, output),
    ]
    assert main(arguments) == 0
    return json.loads((output / "zero_shot.json").read_text())


def expected_top1(data: Path, weight: float, classes: list[str], labels: list[int], rows: list[int]) -> float:
    model = load_model(data / "tiny.pyth", device="cpu")
    right = 0
    for row, label in zip(rows, labels, strict=True):
        clip = read_clip(data / f"{row}.mp4", model, views=2)
        (logits,) = view_logits(model, clip, classes, fusion=weight)
        right += int(logits.softmax(-1).sum(0).argmax()) == label
    return 100 * right / len(rows)


def test_the_whole_list_against_a_plain_loop(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = zero_shot(data, tmp_path / "out", "--fusion", "0.25", "--sweep-fusion")
    labels = [number % 4 for number in range(VIDEOS)]
    for name, weight in (("frozen CLIP", 0.0), ("model", 1.0), ("fused, 0.25", 0.25)):
        expected = expected_top1(data, weight, CLASSES, labels, list(range(VIDEOS)))
        assert facts["scores"][name]["top1"] == pytest.approx(expected, abs=1e-3)
        assert facts["fusion_sweep"][f"{weight:g}"]["top1"] == facts["scores"][name]["top1"]
    table = capsys.readouterr().out
    assert "full, its val list: 6 videos, 4 classes" in table.splitlines()[0]
    assert (tmp_path / "out" / "zero_shot.md").read_text().strip() in table
    assert Image.open(tmp_path / "out" / "fusion_sweep.png").width > 800
    rows = list(csv.DictReader((tmp_path / "out" / "zero_shot_per_class.csv").open()))
    assert [(row["class"], row["videos"]) for row in rows] == [
        ("a cat", "2"), ("a dog", "2"), ("a bird", "1"), ("a fish", "1"),
    ]  # fmt: skip
    correct = sum(int(row["correct (model)"]) for row in rows)
    assert 100 * correct / VIDEOS == pytest.approx(facts["scores"]["model"]["top1"], abs=1e-3)


def test_half_of_the_classes_are_compared_among_themselves(data: Path, tmp_path: Path) -> None:
    facts = zero_shot(data, tmp_path / "out", "--protocol", "half-classes", "--draws", "3")
    assert [run["classes"] for run in facts["runs"]] == [2, 2, 2]
    assert "3 draws from seed 0" in facts["title"]
    scores = facts["scores"]["model"]
    assert scores["top1"] == pytest.approx(sum(scores["top1_of_runs"]) / 3, abs=1e-3)
    assert scores["top5"] == 100


def test_base_and_novel_classes_apart_with_their_harmonic_mean(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = zero_shot(data, tmp_path / "out", "--protocol", "base-to-novel")
    assert [(run["split"], run["videos_evaluated"]) for run in facts["runs"]] == [("base", 4), ("novel", 2)]
    base = expected_top1(data, 1.0, CLASSES[:2], [0, 1, 0, 1], [0, 1, 4, 5])
    novel = expected_top1(data, 1.0, CLASSES[2:], [0, 1], [2, 3])
    assert facts["scores"]["model"]["top1_of_runs"] == pytest.approx([base, novel], abs=1e-3)
    mean = 2 * base * novel / (base + novel) if base + novel else 0
    assert f"| model | {base:.2f} | {novel:.2f} | {mean:.2f} |" in capsys.readouterr().out


def test_unreadable_videos_are_counted(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = data / "broken"
    broken.mkdir()
    (broken / "x.mp4").write_bytes(b"this is no video")
    (broken / "val.csv").write_text(f"path,label\n{data / '0.mp4'},a cat\nx.mp4,a dog\n")
    (broken / "train.csv").write_text((broken / "val.csv").read_text())
    words = ["DATA.ANNO_DIR", str(broken), "DATA.DATA_ROOT_DIR", str(broken), "TEST.ON_UNREADABLE", "skip"]
    config = tmp_path / "empty.yaml"
    config.write_text("{}\n")
    output = tmp_path / "out"
    arguments = ["--cfg", str(config), "--checkpoint", str(data / "tiny.pyth"), *pairs(data, output), *words]
    assert main(arguments) == 0
    facts = json.loads((output / "zero_shot.json").read_text())
    assert facts["runs"][0]["videos_evaluated"] == 1 and facts["runs"][0]["videos_listed"] == 2
    assert [Path(item["path"]).name for item in facts["missing"]] == ["x.mp4"]
    assert "1 unreadable videos left out" in capsys.readouterr().out
    (broken / "val.csv").write_text("path,label\nx.mp4,a dog\n")
    assert main(arguments) == 1
    assert "none of 1 videos could be read" in capsys.readouterr().err


def test_the_frozen_clip_alone_needs_no_checkpoint(data: Path, tmp_path: Path) -> None:
    config = tmp_path / "clip.yaml"
    config.write_text("MODEL: {NAME: clip}\n")
    assert main(["--cfg", str(config), *pairs(data, tmp_path / "clip")]) == 0
    alone = json.loads((tmp_path / "clip" / "zero_shot.json").read_text())["scores"]
    beside = zero_shot(data, tmp_path / "dist")["scores"]
    assert alone["frozen CLIP"] == beside["frozen CLIP"]


def test_trained_weights_compute_in_the_precision_asked_for(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []

    def collect(classifier: VideoClassifier, *_: object) -> None:
        found.append(classifier.precision.name)
        raise ConfigError("seen enough")

    monkeypatch.setattr(zero_shot_job, "collect_logits", collect)
    config = tmp_path / "bf16.yaml"
    config.write_text("TRAIN: {PRECISION: bf16}\n")
    weights = ["--checkpoint", str(data / "tiny.pyth")]
    assert main(["--cfg", str(config), *weights, *pairs(data, tmp_path / "out")]) == 2
    assert found == ["bf16"]


def test_templates_change_the_text_features(data: Path, tmp_path: Path) -> None:
    config = resolve_run_config(None, pairs(data, tmp_path)).config
    bare = load_model(data / "tiny.pyth", config=config, device=torch.device("cpu"))
    both = ["DATA.DATASET_LABEL_TEXT.TEMPLATES", '["a photo of {}.", "a video of {}."]']
    config = resolve_run_config(None, [*pairs(data, tmp_path), *both]).config
    ensemble = load_model(data / "tiny.pyth", config=config, device=torch.device("cpu"))
    text, _ = ensemble.text_features(CLASSES)
    clip = ensemble.model.clip
    with torch.no_grad():
        photo, video = (
            clip.encode_text(clip.tokenize([f"a {what} of a cat."])) for what in ("photo", "video")
        )
    expected = F.normalize(F.normalize(photo, dim=-1) + F.normalize(video, dim=-1), dim=-1)
    torch.testing.assert_close(text[:1], expected, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(text, bare.text_features(CLASSES)[0])


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ([], "a dist without trained weights means nothing"),
        (["--checkpoint", "nowhere.pyth"], "no such path"),
        (["--protocol", "3-splits", "MODEL.NAME", "clip"], "has no three official splits"),
        (
            ["MODEL.NAME", "clip", "DATA.CLASS_NAMES", "one.txt", "DATA.TEST_LIST", "one.csv"],
            "1 class (a cat); scores compare classes, so at least two are needed",
        ),
        (["MODEL.NAME", "clip", "TEST.DATASET", "", "TRAIN.DATASET", ""], "no data set given"),
    ],
)
def test_bad_input_is_one_clear_message(
    data: Path, tmp_path: Path, options: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "empty.yaml"
    config.write_text("{}\n")
    own = [word for word in options if word.startswith("--") or word in ("nowhere.pyth", "3-splits")]
    keys = [word for word in options if word not in own]
    try:
        code: object = main(["--cfg", str(config), *own, *pairs(data, tmp_path / "out"), *keys])
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    assert complaint in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def test_a_trained_classifier_is_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = load_model(data / "tiny.pyth", device="cpu")
    model.network.heads.append(LinearHead(model.model.video_width, len(CLASSES)))
    probe = tmp_path / "probe.safetensors"
    save_release(model, probe, class_names=[CLASSES])
    config = tmp_path / "empty.yaml"
    config.write_text("{}\n")
    assert main(["--cfg", str(config), "--checkpoint", str(probe), *pairs(data, tmp_path / "out")]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "VIDEO.HEAD.NAME" in said and "has a trained classifier for its own classes" in said


@pytest.mark.parametrize("name", ["dist_tiny_a", "dist_tiny_c"])
def test_parity_of_the_published_fusion(shared: Path, name: str) -> None:
    """Half the model, half the frozen CLIP: the original's zero-shot logits."""
    import numpy as np

    expected = np.load(shared / "parity" / f"{name}_expected.npz")
    model = load_model(shared / "parity" / f"{name}.pyth", device="cpu").model
    video, text = torch.from_numpy(expected["video"]), torch.from_numpy(expected["text_features"])
    with torch.no_grad():
        features = model(video)
        frozen = frame_logits(model.frozen_frames(video, features), text, model.clip.logit_scale)
        fused = 0.5 * model.similarity(features, text) + 0.5 * frozen
    np.testing.assert_allclose(fused, expected["logits_zero_shot"], atol=2e-5)
