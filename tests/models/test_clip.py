"""The CLIP towers against open_clip's, and the ways in which weights arrive."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.clip import Clip, build_clip, describe_architecture
from models.clip_weights import without_text_prefix
from models.key_table import ConversionError
from models.layers.patches import patchify
from models.tiny_architectures import TINY_ARCHITECTURES


@pytest.fixture(scope="module")
def theirs() -> Any:
    """open_clip's own model of the tiny architecture, with random weights."""
    import open_clip
    from open_clip.model import CLIP

    torch.manual_seed(0)
    description = TINY_ARCHITECTURES["tiny-test"]
    assert open_clip.__version__
    return CLIP(
        description["embed_dim"], description["vision_cfg"], description["text_cfg"], quick_gelu=True
    ).eval()


@pytest.fixture(scope="module")
def ours(theirs: Any, tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """This project's towers, loaded from a state dict that open_clip saved."""
    path = tmp_path_factory.mktemp("clip") / "open_clip.pt"
    torch.save(theirs.state_dict(), path)
    return build_clip("tiny-test", path)


def test_images_and_texts_as_open_clip_encodes_them(theirs: Any, ours: Clip) -> None:
    images = torch.randn(3, 3, 32, 32)
    texts = ["a red circle", "a very large blue square on a textured background"]
    with torch.no_grad():
        assert torch.allclose(ours.visual(images), theirs.encode_image(images), atol=1e-5)
        tokens = ours.tokenize(texts)
        assert torch.allclose(ours.encode_text(tokens), theirs.encode_text(tokens), atol=1e-5)


def test_the_stream_gives_selected_tokens_then_embeddings(ours: Clip) -> None:
    frames = torch.randn(2, 3, 3, 32, 32)
    with torch.no_grad():
        *tokens, embeddings = ours.visual.stream(frames, [1])
        every = list(ours.visual.blocks(ours.visual.embed(frames.flatten(0, 1))))
        assert len(tokens) == 1
        assert torch.equal(tokens[0].flatten(0, 1), every[1])
        assert torch.equal(embeddings, ours.encode_frames(frames))


def test_patches_are_what_a_convolution_sees() -> None:
    images = torch.randn(2, 3, 32, 48)
    conv = nn.Conv2d(3, 5, kernel_size=16, stride=16, bias=False)
    expected = conv(images).flatten(2).transpose(1, 2)
    assert torch.allclose(patchify(images, 16) @ conv.weight.flatten(1).T, expected, atol=1e-5)
    with pytest.raises(ValueError, match="multiples of it"):
        patchify(torch.zeros(1, 3, 30, 32), 16)


def test_an_openai_archive_is_read_without_its_sizes(ours: Clip, tmp_path: Path) -> None:
    class Archive(nn.Module):
        def __init__(self, state: dict[str, Tensor]) -> None:
            super().__init__()
            for name, tensor in state.items():
                self._add(name.split("."), tensor)
            for name in ("input_resolution", "context_length", "vocab_size"):
                self.register_buffer(name, torch.tensor(1))

        def _add(self, path: list[str], tensor: Tensor) -> None:
            module: nn.Module = self
            for part in path[:-1]:
                if not hasattr(module, part):
                    module.add_module(part, nn.Module())
                module = getattr(module, part)
            module.register_buffer(path[-1], tensor.half())

        def forward(self, x: Tensor) -> Tensor:
            return x

    path = tmp_path / "ViT-tiny.pt"
    archive = Archive(without_text_prefix(ours.state_dict()))
    torch.jit.script(archive).save(str(path))
    loaded = build_clip("tiny-test", path)
    assert loaded.with_quick_gelu
    assert loaded.visual.proj.dtype == torch.float32
    assert torch.equal(loaded.visual.proj, ours.visual.proj.half().float())


def test_weights_of_another_architecture_are_refused(ours: Clip, tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    torch.save(without_text_prefix(ours.state_dict()), path)
    with pytest.raises(ConversionError, match=r"visual\.conv1\.weight"):
        build_clip("tiny-moving-shapes", path)


def test_an_activation_that_a_file_does_not_say_is_told(
    ours: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    state = without_text_prefix(ours.state_dict())
    torch.save(state, tmp_path / "clip.pt")
    monkeypatch.setitem(
        TINY_ARCHITECTURES, "ViT-B-16", TINY_ARCHITECTURES["tiny-test"] | {"quick_gelu": False}
    )
    assert not build_clip("ViT-B-16", tmp_path / "clip.pt").with_quick_gelu
    assert "clip.pt does not say" in caplog.text and "ViT-B-16-quickgelu" in caplog.text
    caplog.clear()
    build_clip("tiny-test", tmp_path / "clip.pt")
    assert not caplog.text


def test_random_weights_are_said_loudly(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("WARNING"):
        build_clip("tiny-test")
    assert "RANDOM WEIGHTS" in caplog.text


def test_towers_without_a_class_token_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs a plain ViT with a class token"):
        describe_architecture("ViT-B-16-SigLIP")
    with pytest.raises(ValueError, match="needs a plain ViT"):
        describe_architecture("RN50")
    description = json.loads(json.dumps(TINY_ARCHITECTURES["tiny-test"]))
    description["vision_cfg"]["pool_type"] = "avg"
    path = tmp_path / "avg.json"
    path.write_text(json.dumps(description))
    with pytest.raises(ValueError, match="no class token"):
        describe_architecture(str(path))


def test_unknown_names_and_tags_say_what_there_is() -> None:
    with pytest.raises(ValueError, match="ViT-B-16"):
        describe_architecture("ViT-B-61")
    with pytest.raises(ValueError, match="laion2b_s34b_b88k"):
        build_clip("ViT-B-16", "opanai")


def test_openai_tag_means_quick_gelu() -> None:
    assert not describe_architecture("ViT-B-16")[1]
    assert describe_architecture("ViT-B-16-quickgelu")[1]


def test_other_image_sizes_interpolate_the_positions(ours: Clip) -> None:
    with torch.no_grad():
        assert ours.visual(torch.randn(1, 3, 48, 64)).shape == (1, 32)
