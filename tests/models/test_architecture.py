"""models/architecture.py: sizes read back from the parity checkpoints, and differences in words."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.architecture import clip_architecture, differences, dist_architecture, key_problems
from models.key_table import ConversionError
from models.weight_files import read_weight_file


def released(shared: Path, name: str) -> tuple[dict[str, Tensor], dict]:
    tensors = read_weight_file(shared / "parity" / f"{name}.pyth").tensors
    sizes = json.loads((shared / "parity" / f"{name}.json").read_text())
    return {key.removeprefix("backbone.base_encoder."): tensor for key, tensor in tensors.items()}, sizes


@pytest.mark.parametrize("name", ["dist_tiny_a", "dist_tiny_c"])
def test_sizes_are_read_from_a_released_checkpoint(shared: Path, name: str) -> None:
    state, sizes = released(shared, name)
    branch = dist_architecture(state)
    assert branch.frames == sizes["frames"] and branch.alpha == sizes["alpha"]
    assert branch.steps == len(sizes["dist"].pop("selected_layers"))
    assert {key: getattr(branch, key) for key in sizes["dist"]} == sizes["dist"]
    described = clip_architecture(state).open_clip_config()
    assert described["vision_cfg"] == {**sizes["vision"], "mlp_ratio": 4.0}
    assert described["text_cfg"] == sizes["text"]
    assert described["embed_dim"] == sizes["embed_dim"]


def test_differences_are_told_in_the_configurations_keys(shared: Path) -> None:
    branch = dist_architecture(released(shared, "dist_tiny_a")[0])
    other = dataclasses.replace(
        branch, s_patch_size=14, ada_pooling_layers=4, integration_temporal_mlp_ratio=0.5
    )
    assert differences(branch, branch) == []
    assert differences(branch, other) == [
        "S_PATCH_SIZE is 16 in the file and 14 here",
        "INTEGRATION_TEMPORAL_MLP_RATIO is 0.25 in the file and 0.5 here",
        "ADA_POOLING_LAYERS is 2 in the file and 4 here",
    ]


def test_key_problems_name_all_three_kinds() -> None:
    expected = {"a": torch.ones(2), "b": torch.ones(3), "c": torch.ones(1)}
    found = {"a": torch.ones(2), "b": torch.ones(3, 1), "d": torch.ones(1)}
    assert key_problems(expected, expected) == []
    assert key_problems(found, expected) == [
        "1 missing: c",
        "1 unexpected: d",
        "1 of another shape: b (3, 1) instead of (3,)",
    ]


def test_known_clips_have_their_names() -> None:
    clip = {
        "visual.conv1.weight": torch.empty(1024, 3, 14, 14, device="meta"),
        "visual.positional_embedding": torch.empty(1 + 24 * 24, 1024, device="meta"),
        "visual.proj": torch.empty(1024, 768, device="meta"),
        "visual.transformer.resblocks.23.ln_1.bias": torch.empty(1024, device="meta"),
        "positional_embedding": torch.empty(77, 768, device="meta"),
        "token_embedding.weight": torch.empty(49408, 768, device="meta"),
    }
    found = clip_architecture(clip)
    assert found.open_clip_name == "ViT-L-14-336" and found.image_size == 336 and found.vision_layers == 24
    with pytest.raises(ConversionError, match="has no visual.proj"):
        clip_architecture({name: tensor for name, tensor in clip.items() if name != "visual.proj"})
