"""ViFi-CLIP's released files: their names written out, their numbers against plain CLIP's equations."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.build import build_heads
from models.clip import Clip, build_clip
from models.clip_weights import without_text_prefix
from models.config import HeadConfig
from models.heads import Recognizer
from models.key_table import ConversionError
from models.loading import load_trained_weights
from models.mean_pool import MeanPool
from models.weight_files import read_weight_file

NAMES, TEMPLATES = ["run", "jump", "sit"], ("a photo of a {}.",)
TEXT_PARTS = ("positional_embedding", "text_projection", "ln_final.", "transformer.")


def clip_of(seed: int) -> Clip:
    torch.manual_seed(seed)
    return build_clip("tiny-test").eval()


def recognizer(clip: Clip) -> Recognizer:
    model = MeanPool(clip, tune_visual=True, tune_text=True)
    return Recognizer(model, build_heads(HeadConfig(), model, [NAMES], TEMPLATES)).eval()


def released_names(clip: Clip) -> dict[str, Tensor]:
    """The release's state: the towers, the scale, the prompts of its classes; no table of words."""
    openai = without_text_prefix(clip.state_dict())
    state = {f"image_encoder.{name[len('visual.') :]}": openai[name] for name in openai if "visual." in name}
    state |= {f"text_encoder.{name}": openai[name] for name in openai if name.startswith(TEXT_PARTS)}
    width = openai["token_embedding.weight"].shape[1]
    prompts = {"prompt_learner.complete_text_embeddings": torch.zeros(len(NAMES), 77, width)}
    return prompts | state | {"logit_scale": openai["logit_scale"]}


@pytest.fixture
def tuned() -> Clip:
    """A CLIP whose weights have left another one's, but for its table of words."""
    start, clip = clip_of(0), clip_of(1)
    clip.text.token_embedding.load_state_dict(start.text.token_embedding.state_dict())
    with torch.no_grad():
        clip.logit_scale.fill_(3.3)
    return clip


def save(path: Path, state: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch) -> Path:
    """As its training script saves: with optimizer and configuration, an object of another package."""
    package = types.ModuleType("yacs.config")
    package.CfgNode = type("CfgNode", (dict,), {"__module__": package.__name__})  # type: ignore[attr-defined]
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "yacs", types.ModuleType("yacs"))
        patch.setitem(sys.modules, package.__name__, package)
        config = package.CfgNode(MODEL=package.CfgNode(ARCH="ViT-B/16"))
        torch.save(
            {"model": state, "optimizer": {}, "max_accuracy": 83.9, "epoch": 9, "config": config}, path
        )
    return path


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_released_file_gives_its_numbers(
    tuned: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    state = {prefix + name: tensor for name, tensor in released_names(tuned).items()}
    network = recognizer(clip_of(0))
    load_trained_weights(network, save(tmp_path / "k400_clip_complete.pth", state, monkeypatch))
    video = torch.randn(2, 3, 4, 32, 32, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        (logits,) = network(video)
        embedding = tuned.encode_frames(video.transpose(1, 2)).mean(dim=1)
        texts = tuned.encode_text(tuned.tokenize([TEMPLATES[0].format(name) for name in NAMES]))
        cosines = torch.nn.functional.cosine_similarity(embedding[:, None], texts[None], dim=-1)
    torch.testing.assert_close(logits, cosines * tuned.logit_scale.exp(), rtol=1e-5, atol=1e-5)


def test_every_trained_weight_must_be_in_the_file(
    tuned: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = released_names(tuned)
    del state["text_encoder.ln_final.weight"]
    path = save(tmp_path / "short.pth", state, monkeypatch)
    with pytest.raises(ConversionError, match=r"1 missing.*text\.ln_final\.weight"):
        load_trained_weights(recognizer(clip_of(0)), path)


def test_the_file_is_read_without_its_packages(
    tuned: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "file.pth", released_names(tuned), monkeypatch)
    assert read_weight_file(path).tensors.keys() == released_names(tuned).keys()
