"""models/bundled_clip.py: what the shapes of CLIP's weights do not show, the file tells, or a name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from models.bundled_clip import build_bundled_clip, unshown_by_name
from models.clip import Clip, describe_architecture
from models.clip_weights import ClipWeights, without_text_prefix
from models.config import BackboneConfig
from models.key_table import ConversionError
from models.release import Encoder, ReleaseDescription, write_release
from models.tiny_architectures import TINY_ARCHITECTURES
from models.weight_files import read_weight_file


def described(folder: Path, width: int = 64, head_width: int = 32, quick_gelu: bool = False) -> Path:
    """An open_clip description of a tiny CLIP whose shapes hide that it is not OpenAI's."""
    tiny = TINY_ARCHITECTURES["tiny-test"]
    vision = tiny["vision_cfg"] | {"width": width, "head_width": head_width}
    path = folder / f"{width}-{head_width}-{quick_gelu}.json"
    path.write_text(json.dumps({**tiny, "quick_gelu": quick_gelu, "vision_cfg": vision}))
    return path


def new_clip(path: Path) -> Clip:
    architecture, is_quick = describe_architecture(str(path))
    torch.manual_seed(0)
    return Clip(architecture, with_quick_gelu=is_quick).eval()


def checkpoint(path: Path, clip: Clip, **facts: Any) -> Path:
    """A training checkpoint that holds both towers."""
    weights = {f"model.clip.{name}": tensor for name, tensor in clip.state_dict().items()}
    torch.save({"config": {}, "weights": weights, "average": None, **facts}, path)
    return path


def embedding(clip: Clip | None) -> Tensor:
    assert clip is not None
    with torch.no_grad():
        return clip.visual(torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)))


def test_a_checkpoint_is_what_its_configuration_names(tmp_path: Path) -> None:
    name = described(tmp_path)
    clip = new_clip(name)
    file = read_weight_file(checkpoint(tmp_path / "step.pt", clip))
    found = build_bundled_clip(file, BackboneConfig(meta_arch_name=str(name), pretrain_weight_path=""))
    assert torch.equal(embedding(found), embedding(clip))


def test_the_weights_that_a_checkpoint_started_from_come_before_the_name(tmp_path: Path) -> None:
    name = described(tmp_path)
    clip = new_clip(name)
    file = read_weight_file(checkpoint(tmp_path / "step.pt", clip))
    openai = without_text_prefix(clip.state_dict()) | {"input_resolution": torch.tensor(32)}
    torch.save(openai, tmp_path / "openai.pt")
    for weights, is_quick in ((tmp_path / "openai.pt", True), ("moved-away.pt", False)):
        backbone = BackboneConfig(meta_arch_name=str(name), pretrain_weight_path=str(weights))
        found = build_bundled_clip(file, backbone)
        assert found is not None and found.with_quick_gelu is is_quick


def test_what_a_file_records_needs_no_name(tmp_path: Path) -> None:
    clip = new_clip(described(tmp_path))
    backbone = BackboneConfig(meta_arch_name="on-another-machine.json", pretrain_weight_path="")
    path = checkpoint(tmp_path / "step.pt", clip, encoder={"quick_gelu": False, "head_width": 32})
    assert torch.equal(embedding(build_bundled_clip(read_weight_file(path), backbone)), embedding(clip))
    description = ReleaseDescription({}, (), Encoder("", True, "", quick_gelu=False, head_width=32))
    tensors = {f"model.clip.{name}": tensor for name, tensor in clip.state_dict().items()}
    write_release(tmp_path / "release.safetensors", description, tensors)
    file = read_weight_file(tmp_path / "release.safetensors")
    assert torch.equal(embedding(build_bundled_clip(file, backbone)), embedding(clip))


def test_towers_of_a_usual_width_have_their_usual_heads() -> None:
    architecture, _ = describe_architecture("ViT-H-14")
    with torch.device("meta"):
        state = without_text_prefix(Clip(architecture).state_dict())
    assert unshown_by_name(ClipWeights(state, True), "as in the weights", "clip.bin").head_width == 80


@pytest.mark.parametrize(("width", "is_quick"), [(320, True), (64, None)])
def test_what_nothing_tells_is_not_guessed(tmp_path: Path, width: int, is_quick: bool | None) -> None:
    named = described(tmp_path, width, head_width=width // 4)
    state = without_text_prefix(new_clip(named).state_dict())
    state["visual.positional_embedding"] = torch.zeros(10, width)  # 48 px, which no usual one of 64 has
    weights = ClipWeights(state, is_quick)
    with pytest.raises(ConversionError, match=r"clip\.bin does not say its .*META_ARCH_NAME \(ViT-B-16\)"):
        unshown_by_name(weights, "ViT-B-16", "clip.bin")
