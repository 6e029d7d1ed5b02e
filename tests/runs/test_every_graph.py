"""Every method becomes a graph, by torch.export and in ONNX, that gives its numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.heads import LinearHead, Recognizer
from runs.config import load_run_config
from runs.export import main
from runs.inference.classifier import VideoClassifier
from runs.inference.loading import untrained_model
from runs.inference.releasing import save_release
from tests.runs.test_every_method import METHODS
from tests.runs.tiny_runs import tiny_pairs, words

NAMES = ("red", "green", "blue")
SUFFIXES = {"torch": ".pt2", "onnx": ".onnx"}
QUICK = {("dist", "torch"), ("stan", "torch")}
"""What is checked every time; all of them take a minute."""


def with_all_weights_moved(name: str) -> VideoClassifier:
    """An untrained model whose new weights have left their zeros, so that every part of the graph counts."""
    pairs = tiny_pairs(Path("videos"), Path("run")) | {"MODEL.NAME": name, **METHODS[name]}
    torch.manual_seed(0)
    model = untrained_model(load_run_config(None, words(pairs)), torch.device("cpu"))
    linear = model.config.video.head.name == "linear"
    network = Recognizer(model.model, [LinearHead(model.model.video_width, len(NAMES))] if linear else [])
    with torch.no_grad():
        for key, weight in network.named_parameters():
            if not key.startswith("model.clip."):
                weight.add_(0.05 * torch.randn(weight.shape))
    return VideoClassifier(network.eval(), model.config, (NAMES,), name, model.device, model.precision)


@pytest.mark.parametrize(
    ("name", "style"),
    [
        pytest.param(name, style, marks=[] if (name, style) in QUICK else pytest.mark.slow)
        for name in METHODS
        for style in SUFFIXES
    ],
)
def test_a_method_is_exported(
    name: str, style: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    released, output = tmp_path / "released.safetensors", tmp_path / f"graph{SUFFIXES[style]}"
    save_release(with_all_weights_moved(name), released, class_names=[NAMES])
    arguments = ["--model", str(released), "--format", style, "--output", str(output), "--device", "cpu"]
    assert main(arguments) == 0  # it has compared the file's outputs on other clips with the model's
    assert float(capsys.readouterr().out.rsplit(maxsplit=1)[1]) < 1e-4
