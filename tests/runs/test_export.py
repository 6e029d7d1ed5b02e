"""runs/export.py: each format gives the model's numbers, from the file alone."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from models.clip import TINY_ARCHITECTURES
from models.clip_weights import without_text_prefix
from models.errors import ConversionError
from runs.api import classify, load_model, read_clip, view_logits
from runs.config import resolve_run_config
from runs.export import main
from runs.inference import graph
from runs.inference.releasing import released_config, scores_of_run
from runs.summary import weights_facts
from tests.runs.inference.tiny import write_noise, write_release
from utils.config import ConfigError

WORDS = ["a cat", "a dog", "a bird"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "checkpoints" / "tiny.pyth"
    path.parent.mkdir()
    write_release(path)
    return path


def export(model: Path, output: Path, *arguments: str) -> int:
    words = ["--classes", ", ".join(WORDS)]
    return main(["--model", str(model), "--output", str(output), "--device", "cpu", *words, *arguments])


def test_a_release_alone_is_enough_to_predict(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(model, tmp_path / "alone.safetensors") == 0
    assert "largest relative difference 0.0e+00" in capsys.readouterr().out
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MODEL_ZOO_OFFLINE", "1")
    video = write_noise(tmp_path / "noise.mp4")
    released, reference = load_model("alone.safetensors"), load_model(model)
    assert released.class_names == (tuple(WORDS),)
    found = classify(released, read_clip(video, released))
    assert found == classify(reference, read_clip(video, reference), WORDS, fusion=1.0)
    with safe_open(tmp_path / "alone.safetensors", framework="pt") as file:
        metadata = file.metadata()
    assert str(model.parent) not in json.dumps(metadata)  # no path of this machine


def test_a_release_without_the_encoder_needs_the_same_one(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "branch.safetensors"
    architecture = ["--set", "VIDEO.BACKBONE.META_ARCH_NAME", "tiny-test"]
    encoder = ["--set", "VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH", str(model)]
    with pytest.raises(SystemExit):  # its weights are nowhere to be had, so the file could not be read back
        export(model, output, "--without-encoder", *architecture)
    assert "nor a tag that open_clip has" in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []
    assert export(model, output, "--without-encoder", *architecture, *encoder) == 0
    assert output.stat().st_size < model.stat().st_size / 10
    other = tmp_path / "other.pyth"
    write_release(other, seed=1)
    with pytest.raises(ConversionError, match="trained on a frozen encoder with the fingerprint"):
        load_model(output, overrides=["VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH", str(other)])


@pytest.mark.parametrize("encoder", [[], ["--without-encoder"]])
def test_what_lies_in_files_of_ones_own_is_found_when_the_release_is_read_back(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: list[str]
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    places = {
        "CUSTOM.MODULE": tmp_path / f"own_mean_pool_{len(encoder)}.py",
        "VIDEO.BACKBONE.META_ARCH_NAME": tmp_path / "own_sizes.json",
        "VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH": tmp_path / "clip.pt",
    }
    places["CUSTOM.MODULE"].write_text(
        "from models.mean_pool import MeanPool\n"
        "MODELS = {'mine': lambda config, clip, options: MeanPool(clip)}"
    )
    places["VIDEO.BACKBONE.META_ARCH_NAME"].write_text(json.dumps(TINY_ARCHITECTURES["tiny-test"]))
    clip = places["VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH"]
    torch.save(without_text_prefix(load_model(model).model.clip.state_dict()), clip)
    output = tmp_path / "own.safetensors"
    options = [word for key, path in places.items() for word in ("--set", key, str(path))]
    assert export(clip, output, "--set", "MODEL.NAME", "mine", *options, *encoder) == 0
    with safe_open(output, framework="pt") as file:
        assert str(tmp_path) not in json.dumps(file.metadata())
    with pytest.raises(ConfigError, match=r"own_mean_pool_.\.py does not exist"):
        load_model(output)


def test_the_graph_computes_what_classify_does(model: Path) -> None:
    loaded = load_model(model, device="cpu")
    video = graph.example_clips(loaded, 2, seed=5)
    for fusion in (0.5, 1.0):
        exported = graph.ClassifierGraph(loaded, WORDS, fusion)
        embedding, logits = exported(video)
        assert json.loads(exported.facts["class_names"]) == [WORDS]
        torch.testing.assert_close(logits, view_logits(loaded, video, WORDS, fusion=fusion)[0])
        assert embedding.shape == (2, 32)
    assert loaded.model.clip.text.token_embedding.weight.numel() > 0  # the model keeps its text tower


@pytest.mark.slow
@pytest.mark.parametrize(("style", "suffix"), [("onnx", ".onnx"), ("torch", ".pt2")])
def test_graphs_give_the_models_numbers(model: Path, tmp_path: Path, style: str, suffix: str) -> None:
    output = tmp_path / f"graph{suffix}"
    assert export(model, output, "--format", style) == 0
    reference = load_model(model, device="cpu")
    video = graph.example_clips(reference, 1, seed=5)
    if style == "onnx":
        onnxruntime = pytest.importorskip("onnxruntime")
        session = onnxruntime.InferenceSession(str(output), providers=["CPUExecutionProvider"])
        assert [item.name for item in session.get_outputs()] == ["embedding", "logits"]
        logits = torch.from_numpy(session.run(["logits"], {"video": video.numpy()})[0])
        facts = session.get_modelmeta().custom_metadata_map
    else:
        facts = {"class_names": "", "preprocessing": ""}
        logits = torch.export.load(output, extra_files=facts).module()(video)[1]
    assert json.loads(facts["class_names"]) == [WORDS]
    assert json.loads(facts["preprocessing"])["FRAMES"] == video.shape[2]
    torch.testing.assert_close(logits, view_logits(reference, video, WORDS)[0], atol=2e-4, rtol=1e-4)
    assert output.stat().st_size < model.stat().st_size / 2  # the text tower stayed outside


def test_a_graph_that_disagrees_is_not_written(model: Path, tmp_path: Path) -> None:
    loaded = load_model(model, device="cpu")
    made = graph.ClassifierGraph(loaded, WORDS, 1.0).eval()

    def run(_: Path, video: torch.Tensor) -> list[torch.Tensor]:
        embedding, logits = made(video)
        return [embedding, logits + 0.01 * logits.abs().max()]

    with pytest.raises(graph.ExportError, match=r"differ from the model's by 0\.01 of the largest value"):
        graph.check_and_keep(made, loaded, tmp_path / "graph.x", lambda path: path.touch(), run)
    assert list(tmp_path.iterdir()) == []


def test_clips_have_as_many_frames_as_in_the_test(model: Path, tmp_path: Path) -> None:
    loaded = load_model(model, overrides=["DATA.NUM_TEST_FRAMES", "12"], device="cpu")
    video = read_clip(write_noise(tmp_path / "noise.mp4"), loaded)
    assert graph.example_clips(loaded, 1).shape == video.shape == (1, 3, 12, 32, 32)


def test_difference_is_relative_to_the_largest_value() -> None:
    found, expected = [torch.tensor([1.0, 99.0])], [torch.tensor([0.0, 100.0])]
    assert graph.relative_difference(found, expected) == pytest.approx(0.01)


def test_nothing_is_overwritten_and_names_must_fit(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there.safetensors").write_bytes(b"")
    for output, complaint in (
        ("there.safetensors", "is there already"),
        ("there.safetensors/model.safetensors", "cannot write into"),
        ("model.onnx", "end in .safetensors"),
    ):
        with pytest.raises(SystemExit) as caught:
            export(model, tmp_path / output)
        assert caught.value.code == 2
        assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("output", "options"),
    [
        ("a.safetensors", ["--fusion", "0.2"]),
        ("a.onnx", ["--format", "onnx", "--without-encoder"]),
        ("a.pt2", ["--format", "torch", "--notes", "x"]),
    ],
)
def test_options_of_another_format_are_refused(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], output: str, options: list[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        export(model, tmp_path / output, *options)
    assert "has no effect on --format" in capsys.readouterr().err


def test_scores_and_configuration_leave_the_machine_behind(model: Path, tmp_path: Path) -> None:
    places = ("DATA.DATA_ROOT_DIR", "OUTPUT_DIR", "TRAIN.FEATURE_CACHE_DIR")
    named = {
        "VIDEO.BACKBONE.META_ARCH_NAME": "tiny.json",
        "VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH": "clip.pt",
        "CUSTOM.MODULE": "mine.py",
    }
    pairs = [word for key in places for word in (key, "/secret")]
    pairs += [word for key, name in named.items() for word in (key, f"/secret/{name}")]
    config = released_config(resolve_run_config(None, pairs).config)
    assert "secret" not in json.dumps(config)
    assert config["VIDEO"]["BACKBONE"]["META_ARCH_NAME"] == "tiny.json"
    assert config["VIDEO"]["BACKBONE"]["PRETRAIN_WEIGHT_PATH"] == "clip.pt"
    assert config["CUSTOM"]["MODULE"] == "mine.py"
    loaded = load_model(model)
    assert "CUSTOM" not in released_config(loaded.config)
    assert scores_of_run(tmp_path / "lonely.pt", loaded) == {}


def test_scores_belong_to_the_weights_that_were_tested(model: Path, tmp_path: Path) -> None:
    loaded = load_model(model)
    summary = {
        "test": {"scores": {"top1": 70.2, "top5": 92.0, "videos": 5}},
        "weights": weights_facts(loaded.network),
    }
    (tmp_path / "checkpoints").mkdir()
    checkpoint, file = tmp_path / "checkpoints" / "step.pt", tmp_path / "summary.json"
    file.write_text(json.dumps(summary))
    assert scores_of_run(checkpoint, loaded) == {"top1": 70.2, "top5": 92.0}
    summary["weights"] = {"trained_sha256": "of another step"}
    file.write_text(json.dumps(summary))
    assert scores_of_run(checkpoint, loaded) == {}
