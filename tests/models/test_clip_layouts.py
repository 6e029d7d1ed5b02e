"""models/clip_layouts.py: the key tables against open_clip's own model and against attention computed both
ways.
"""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from models.clip import build_clip
from models.clip_layouts import clip_layout, to_openai_names
from models.clip_weights import read_clip_weights
from models.key_table import ConversionError
from models.tiny_architectures import TINY_ARCHITECTURES

EMBED, VISION, TEXT = 32, 128, 64


@pytest.fixture(scope="module")
def openai_state() -> dict[str, Tensor]:
    """A tiny random CLIP under OpenAI's names, as open_clip builds it (its plain CLIP uses them)."""
    open_clip = pytest.importorskip("open_clip")
    torch.manual_seed(0)
    model = open_clip.model.CLIP(
        EMBED,
        {"layers": 2, "width": VISION, "patch_size": 16, "image_size": 32, "head_width": 64},
        {"context_length": 8, "vocab_size": 50, "width": TEXT, "heads": 1, "layers": 3},
        quick_gelu=True,
    )
    return model.state_dict()


def as_hugging_face(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same weights as `transformers.CLIPModel` names them (written from its documentation, not from the
    table).
    """
    renamed: dict[str, Tensor] = {
        "vision_model.embeddings.position_ids": torch.arange(5)[None],
        "text_model.embeddings.position_ids": torch.arange(8)[None],
    }
    fixed = {
        "logit_scale": "logit_scale",
        "visual.class_embedding": "vision_model.embeddings.class_embedding",
        "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
        "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
        "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
        "positional_embedding": "text_model.embeddings.position_embedding.weight",
    }
    words = [
        ("visual.transformer.resblocks", "vision_model.encoder.layers"),
        ("transformer.resblocks", "text_model.encoder.layers"),
        ("visual.ln_pre", "vision_model.pre_layrnorm"),
        ("visual.ln_post", "vision_model.post_layernorm"),
        ("ln_final", "text_model.final_layer_norm"),
        ("ln_1", "layer_norm1"),
        ("ln_2", "layer_norm2"),
        ("c_fc", "fc1"),
        ("c_proj", "fc2"),
        ("attn", "self_attn"),
    ]
    for key, tensor in state.items():
        if key == "visual.proj":
            renamed["visual_projection.weight"] = tensor.T
        elif key == "text_projection":
            renamed["text_projection.weight"] = tensor.T
        elif key in fixed:
            renamed[fixed[key]] = tensor
        else:
            for ours, theirs in words:
                key = key.replace(ours, theirs)
            if "in_proj_" in key:
                for name, part in zip("qkv", tensor.chunk(3), strict=True):
                    renamed[key.replace("in_proj_", f"{name}_proj.")] = part
            else:
                renamed[key] = tensor
    return renamed


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert sorted(one) == sorted(other)
    for key, tensor in one.items():
        assert torch.equal(tensor, other[key]), key


def test_hugging_face_names_come_back_as_openai_names(openai_state: dict[str, Tensor]) -> None:
    theirs = as_hugging_face(openai_state)
    assert "vision_model.encoder.layers.1.self_attn.q_proj.bias" in theirs
    assert_same(to_openai_names(theirs), openai_state)


def test_packed_attention_computes_what_separate_projections_do() -> None:
    torch.manual_seed(1)
    names = {f"{name}_proj": torch.randn(64, 64) for name in ("q", "k", "v", "out")}
    prefix = "vision_model.encoder.layers.0.self_attn."
    state = {f"{prefix}{name}.weight": weight for name, weight in names.items()}
    state |= {f"{prefix}{name}.bias": torch.randn(64) for name in names}
    ours = to_openai_names(state)
    tokens = torch.randn(5, 1, 64)
    block = "visual.transformer.resblocks.0.attn."
    packed, _ = F.multi_head_attention_forward(
        tokens, tokens, tokens, 64, 1, ours[f"{block}in_proj_weight"], ours[f"{block}in_proj_bias"],
        None, None,
        False, 0.0, ours[f"{block}out_proj.weight"], ours[f"{block}out_proj.bias"],
    )  # fmt: skip

    def project(name: str, values: Tensor) -> Tensor:
        return F.linear(values, state[f"{prefix}{name}.weight"], state[f"{prefix}{name}.bias"])

    query, key, value = (project(f"{name}_proj", tokens[:, 0]) for name in "qkv")
    separate = project("out_proj", (query @ key.T / 8).softmax(-1) @ value)
    torch.testing.assert_close(packed[:, 0], separate, rtol=1e-4, atol=1e-3)


def test_open_clip_files_of_both_kinds_come_back(openai_state: dict[str, Tensor]) -> None:
    open_clip = pytest.importorskip("open_clip")
    custom = open_clip.model.convert_to_custom_text_state_dict(dict(openai_state))
    assert any(key.startswith("text.transformer.") for key in custom)
    assert_same(to_openai_names(custom), openai_state)
    assert_same(
        to_openai_names({f"module.{key}": tensor for key, tensor in openai_state.items()}), openai_state
    )


@pytest.mark.parametrize(
    "extra", ["visual.attnpool.positional_embedding", "visual.trunk.blocks.0.norm1.weight"]
)
def test_towers_that_are_no_plain_vit_are_refused(openai_state: dict[str, Tensor], extra: str) -> None:
    with pytest.raises(ConversionError, match=f"does not have: {extra}"):
        to_openai_names({**openai_state, extra: torch.ones(1)})


def test_foreign_files_are_refused_with_their_keys() -> None:
    assert clip_layout({"layer1.0.conv1.weight"}) is None
    with pytest.raises(ConversionError, match=r"has the keys fc\.bias, layer1\.0\.conv1\.weight"):
        to_openai_names({"layer1.0.conv1.weight": torch.ones(1), "fc.bias": torch.ones(1)})


@pytest.mark.parametrize(
    ("config", "is_quick"),
    [
        ({"vision_config": {"hidden_act": "quick_gelu"}}, True),
        ({"vision_config": {"hidden_act": "gelu"}}, False),
        ({"vision_config": {}}, True),  # what Hugging Face leaves out has its own default
        ({"model_type": "siglip"}, None),
    ],
)
def test_hugging_face_says_its_activation_beside_the_weights(
    openai_state: dict[str, Tensor], tmp_path: Path, config: dict[str, object], is_quick: bool | None
) -> None:
    torch.save(as_hugging_face(openai_state), tmp_path / "pytorch_model.bin")
    assert read_clip_weights(tmp_path / "pytorch_model.bin").quick_gelu is None
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "clip", **config}))
    assert read_clip_weights(tmp_path / "pytorch_model.bin").quick_gelu is is_quick


def test_hugging_face_without_its_activation_needs_a_name_that_tells(
    openai_state: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {
        "embed_dim": EMBED,
        "vision_cfg": {"layers": 2, "width": VISION, "patch_size": 16, "image_size": 32},
        "text_cfg": {"context_length": 8, "vocab_size": 50, "width": TEXT, "heads": 1, "layers": 3},
    }
    for name, is_quick in (("ViT-B-16", False), ("ViT-B-16-quickgelu", True)):
        monkeypatch.setitem(TINY_ARCHITECTURES, name, {**sizes, "quick_gelu": is_quick})
    path = tmp_path / "model.bin"
    torch.save(as_hugging_face(openai_state), path)
    assert build_clip("ViT-B-16-quickgelu", path).with_quick_gelu
    with pytest.raises(ConversionError, match=r"config\.json .*META_ARCH_NAME to ViT-B-16-quickgelu"):
        build_clip("ViT-B-16", path)
    for activation in ("quick_gelu", "gelu"):
        config = {"model_type": "clip", "vision_config": {"hidden_act": activation}}
        (tmp_path / "config.json").write_text(json.dumps(config))
        assert build_clip("ViT-B-16", path).with_quick_gelu == (activation == "quick_gelu")
