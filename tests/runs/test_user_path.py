"""Parity through the commands: a checkpoint in the released layout, lossless videos, and the original's
numbers.

The reference clips are float noise. They become PNG frames by a mean and a standard deviation that map their
range to bytes, so the commands see them to within half a level of 255; logits move by about a hundredth. The
tiny checkpoint's vocabulary has no words, so its tokenizer is replaced by the token ids of the reference.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.clip import Clip
from runs.api import load_model
from runs.predict import main as predict
from runs.run import main as run
from runs.zero_shot import main as zero_shot

CLASSES = [f"class {number}" for number in range(5)]
REPEATS = 3  # each frame three times: segment-based sampling of the video then meets each frame once
CLOSE = 0.03


@pytest.fixture(params=["dist_tiny_a", "dist_tiny_c"])
def reference(
    request: pytest.FixtureRequest, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, dict[str, np.ndarray], list[str]]:
    """The checkpoint, the expected numbers, and the `KEY VALUE` pairs that both test commands need."""
    expected = dict(np.load(shared / "parity" / f"{request.param}_expected.npz"))
    low, high = float(expected["video"].min()), float(expected["video"].max())
    levels = np.rint((expected["video"] - low) / (high - low) * 255).astype(np.uint8)
    for number, clip in enumerate(levels):
        folder = tmp_path / "videos" / f"{number}"
        folder.mkdir(parents=True)
        for frame in range(clip.shape[1] * REPEATS):
            picture = clip[:, frame // REPEATS].transpose(1, 2, 0)
            Image.fromarray(np.ascontiguousarray(picture)).save(folder / f"{frame:04d}.png")
    rows = [f"{number},{CLASSES[label]}" for number, label in enumerate(expected["labels"])]
    (tmp_path / "val.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    (tmp_path / "names.txt").write_text("\n".join(CLASSES) + "\n")

    def tokens_of(clip: Clip, texts: list[str]) -> torch.Tensor:
        return torch.from_numpy(np.stack([expected["text"][CLASSES.index(text)] for text in texts]))

    monkeypatch.setattr(Clip, "tokenize", tokens_of)
    std = 1 / (high - low)
    mean = -low * std
    pairs = ["DATA.MEAN", f"[{mean}, {mean}, {mean}]", "DATA.STD", f"[{std}, {std}, {std}]"]
    return shared / "parity" / f"{request.param}.pyth", expected, pairs


def recipe(checkpoint: Path, tmp_path: Path) -> Path:
    """The configuration that a person would write for the checkpoint: its sizes."""
    sizes = json.loads(checkpoint.with_suffix(".json").read_text())
    dist = {key.upper(): value for key, value in sizes["dist"].items()}
    config = {
        "MODEL": {"NAME": "dist"},
        "NUM_GPUS": 0,
        "TRAIN": {"ENABLE": False, "DATASET": "csv"},
        "TEST": {
            "DATASET": "csv",
            "BATCH_SIZE": 2,
            "NUM_ENSEMBLE_VIEWS": 1,
            "CHECKPOINT_FILE_PATH": str(checkpoint),
        },
        "DATA": {
            "DATA_ROOT_DIR": str(tmp_path / "videos"),
            "ANNO_DIR": str(tmp_path),
            "CLASS_NAMES": str(tmp_path / "names.txt"),
            "NUM_INPUT_FRAMES": sizes["frames"],
            "SPARSE_SAMPLE_ALPHA": sizes["alpha"],
            "TEST_SCALE": 48,
            "TEST_CROP_SIZE": 48,
            "TRAIN_CROP_SIZE": 48,
        },
        "DATA_LOADER": {"NUM_WORKERS": 0},
        "VIDEO": {"BACKBONE": {"META_ARCH_NAME": "as in the weights", "DIST": dist}},
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps(config))  # JSON is YAML
    return path


def softmax(logits: np.ndarray) -> np.ndarray:
    return torch.from_numpy(logits).softmax(-1).numpy()


Reference = tuple[Path, dict[str, np.ndarray], list[str]]


def test_the_test_command_gives_the_originals_scores(reference: Reference, tmp_path: Path) -> None:
    checkpoint, expected, pairs = reference
    output = tmp_path / "out"
    arguments = ["--cfg", str(recipe(checkpoint, tmp_path)), "OUTPUT_DIR", str(output), *pairs]
    assert run(arguments) == 0
    rows = list(csv.DictReader((output / "predictions.csv").open()))
    for row, probabilities in zip(rows, softmax(expected["logits"]), strict=True):
        found = {int(row[f"class{rank}"]): float(row[f"score{rank}"]) for rank in range(1, 6)}
        np.testing.assert_allclose([found[index] for index in range(5)], probabilities, atol=CLOSE)


def test_the_predict_command_gives_them_without_a_configuration(
    reference: Reference, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint, expected, pairs = reference
    settings = [
        word for key, value in zip(pairs[::2], pairs[1::2], strict=True) for word in ("--set", key, value)
    ]
    for fusion, logits in (("1", expected["logits"]), ("0.5", expected["logits_zero_shot"])):
        videos = [str(tmp_path / "videos" / str(number)) for number in range(2)]
        words = ["--classes", ", ".join(CLASSES), "--fusion", fusion, "--format", "json", "--device", "cpu"]
        assert predict([*lists(videos, tmp_path), "--model", str(checkpoint), *words, *settings]) == 0
        results = json.loads(capsys.readouterr().out)
        for result, probabilities in zip(results, softmax(logits), strict=True):
            found = {item["label"]: item["score"] for item in result["predictions"]}
            np.testing.assert_allclose([found[name] for name in CLASSES], probabilities, atol=CLOSE)


def lists(videos: list[str], tmp_path: Path) -> list[str]:
    """Folders of frames are named in a list: on the command line a folder stands for the videos in it."""
    (tmp_path / "list.txt").write_text("\n".join(videos) + "\n")
    return [str(tmp_path / "list.txt")]


def test_the_zero_shot_command_agrees_with_the_published_fusion(reference: Reference, tmp_path: Path) -> None:
    checkpoint, expected, pairs = reference
    output = tmp_path / "zero"
    arguments = ["--cfg", str(recipe(checkpoint, tmp_path)), "--checkpoint", str(checkpoint)]
    assert zero_shot([*arguments, "OUTPUT_DIR", str(output), *pairs]) == 0
    facts = json.loads((output / "zero_shot.json").read_text())
    right = (expected["logits_zero_shot"].argmax(-1) == expected["labels"]).mean()
    assert facts["scores"]["fused, 0.5"]["top1"] == pytest.approx(100 * right)
    assert facts["scores"]["model"]["top1"] == pytest.approx(
        100 * (expected["logits"].argmax(-1) == expected["labels"]).mean()
    )


def test_what_the_bytes_cost(reference: Reference) -> None:
    """The tolerance above is quantisation and nothing else: on the very bytes, numbers agree to rounding."""
    checkpoint, expected, _ = reference
    model = load_model(checkpoint, device="cpu").model
    low, high = expected["video"].min(), expected["video"].max()
    quantised = np.rint((expected["video"] - low) / (high - low) * 255) / 255 * (high - low) + low
    text = torch.from_numpy(expected["text_features"])
    with torch.no_grad():
        exact, rounded = (
            model.similarity(model(torch.from_numpy(video.astype(np.float32))), text)
            for video in (expected["video"], quantised)
        )
    np.testing.assert_allclose(exact, expected["logits"], atol=2e-5)
    assert 1e-5 < float((exact - rounded).abs().max()) < 0.1
