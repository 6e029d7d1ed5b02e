"""Key tables of the checkpoints that the compared methods released.

ST-Adapter: `model`, trained weights only, or with OpenAI's image tower beside them.
AIM: `state_dict`, the image tower and its adapters under `backbone.`, the classifier `cls_head.fc_cls`.
EVL: `model`, every key behind `module.`, the decoder and the classifier `proj.2`, without the image tower.
X-CLIP, ViFi-CLIP: `model`, both towers; ViFi-CLIP's embedded prompts belong to its classes and are left out.

The targets are names in a `Recognizer`. Axes of length 1 that this project drops are taken off while loading.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from models.conversion import shaped_like
from models.key_table import KeyRule, convert

_BLOCK = (
    "attn.in_proj_weight",
    "attn.in_proj_bias",
    "attn.out_proj.{p}",
    "ln_1.{p}",
    "mlp.c_fc.{p}",
    "mlp.c_proj.{p}",
    "ln_2.{p}",
)
_IMAGE_TOWER = (
    "class_embedding",
    "positional_embedding",
    "conv1.weight",
    "proj",
    "ln_pre.{p}",
    "ln_post.{p}",
)
_TEXT_TOWER = ("token_embedding.weight", "positional_embedding", "text_projection", "ln_final.{p}")
_IN_BLOCK = "transformer.resblocks.{i}."
_HEADS = "heads."
_OWN = ("model.", _HEADS)


def _tower(source: str, target: str, names: tuple[str, ...]) -> tuple[KeyRule, ...]:
    """OpenAI's names of one tower, behind another prefix."""
    inside = tuple(f"{_IN_BLOCK}{name}" for name in _BLOCK)
    return tuple(KeyRule(f"{source}{name}", f"{target}{name}") for name in (*names, *inside))


def _image_tower(source: str) -> tuple[KeyRule, ...]:
    return _tower(source, "model.clip.visual.", _IMAGE_TOWER)


def _text_tower(source: str) -> tuple[KeyRule, ...]:
    return _tower(source, "model.clip.text.", _TEXT_TOWER)


def _block_parts(source: str, parts: Mapping[str, str]) -> tuple[KeyRule, ...]:
    """Modules with weight and bias inside a block: released name -> ours below `model.blocks`."""
    return tuple(
        KeyRule(f"{source}{_IN_BLOCK}{name}.{{p}}", f"model.blocks.{{i}}.{ours}.{{p}}")
        for name, ours in parts.items()
    )


_LOGIT_SCALE = KeyRule("logit_scale", "model.clip.logit_scale")

ST_ADAPTER_TABLE = (
    *_image_tower(""),
    *_block_parts("", {f"adapter_pre_mlp.{name}": f"before_mlp.{name}" for name in ("fc1", "conv", "fc2")}),
    *_block_parts(
        "", {f"adapter_pre_attn.{name}": f"before_attention.{name}" for name in ("fc1", "conv", "fc2")}
    ),
    KeyRule("fc.{p}", "heads.0.fc.{p}"),
)

_AIM_ADAPTERS = {
    "T_Adapter_in": "temporal_input",
    "T_Adapter": "temporal",
    "S_Adapter": "spatial",
    "MLP_Adapter": "mlp",
}
AIM_TABLE = (
    *_image_tower("backbone."),
    *_block_parts(
        "backbone.",
        {f"{name}.D_{fc}": f"{ours}.{fc}" for name, ours in _AIM_ADAPTERS.items() for fc in ("fc1", "fc2")},
    ),
    KeyRule("backbone.temporal_embedding", "model.positions"),
    KeyRule("cls_head.fc_cls.{p}", "heads.0.fc.{p}"),
)

_EVL_LAYER = "model.layers.{i}."
EVL_TABLE = (
    KeyRule("decoder.cls_token", "model.query"),
    KeyRule("decoder.temporal_conv.{i}.{p}", _EVL_LAYER + "temporal_conv.{p}"),
    KeyRule("decoder.temporal_pos_embed.{i}", _EVL_LAYER + "positions"),
    KeyRule("decoder.cross_attention.{i}.w1", _EVL_LAYER + "frame_to_frame.w1"),
    KeyRule("decoder.cross_attention.{i}.w2", _EVL_LAYER + "frame_to_frame.w2"),
    *(
        KeyRule(f"decoder.decoder_layers.{{i}}.{name}.{{p}}", f"{_EVL_LAYER}{ours}.{{p}}")
        for name, ours in (
            *((f"attn.{name}_proj", f"attention.{name}_proj") for name in ("q", "k", "v", "out")),
            ("norm1", "norm_query"),
            ("norm2", "norm_mlp"),
            ("norm3", "norm_memory"),
            ("mlp.fc1", "fc1"),
            ("mlp.fc2", "fc2"),
        )
    ),
    KeyRule("proj.0.{p}", "model.norm.{p}"),
    KeyRule("proj.2.{p}", "heads.0.fc.{p}"),
)

_PROMPT_SOURCE, _PROMPT = "prompts_generator.decoder.{i}.", "model.prompts.layers.{i}."
XCLIP_TABLE = (
    *_image_tower("visual."),
    *_text_tower(""),
    _LOGIT_SCALE,
    *_block_parts("visual.", {name: name for name in ("message_fc", "message_ln", "message_attn.out_proj")}),
    *(
        KeyRule(f"visual.{_IN_BLOCK}message_attn.{name}", f"model.blocks.{{i}}.message_attn.{name}")
        for name in ("in_proj_weight", "in_proj_bias")
    ),
    KeyRule("mit.positional_embedding", "model.integration.positions"),
    *(KeyRule(f"mit.resblocks.{{i}}.{name}", f"model.integration.blocks.{{i}}.{name}") for name in _BLOCK),
    KeyRule("prompts_generator.norm.{p}", "model.prompts.norm.{p}"),
    KeyRule("prompts_generator.alpha", "model.prompts.alpha"),
    *(
        KeyRule(f"{_PROMPT_SOURCE}{name}.{{p}}", f"{_PROMPT}{ours}.{{p}}")
        for name, ours in (
            *((f"cross_attn.{name}_proj", f"attention.{name}_proj") for name in ("q", "k", "v")),
            ("cross_attn.proj", "attention.out_proj"),
            ("norm1", "norm_attention"),
            ("norm3", "norm_mlp"),
            ("mlp.0", "mlp.c_fc"),
            ("mlp.3", "mlp.c_proj"),
        )
    ),
    KeyRule("prompts_visual_ln.{p}", "model.patch_norm.{p}"),
    KeyRule("prompts_visual_proj", "model.patch_proj"),
)

VIFI_CLIP_TABLE = (*_image_tower("image_encoder."), *_text_tower("text_encoder."), _LOGIT_SCALE)


@dataclass(frozen=True)
class PeerLayout:
    """One release's names."""

    name: str
    mark: str
    """Stands in some key of each of its files, and in no other layout's."""
    table: tuple[KeyRule, ...]
    left_out: tuple[str, ...] = ()
    """Regular expressions of keys that mean nothing here."""


PEER_LAYOUTS = (
    PeerLayout("ST-Adapter's release", ".adapter_pre_mlp.", ST_ADAPTER_TABLE),
    PeerLayout("AIM's release", ".S_Adapter.", AIM_TABLE),
    PeerLayout("EVL's release", "decoder.decoder_layers.", EVL_TABLE),
    PeerLayout("X-CLIP's release", "prompts_generator.", XCLIP_TABLE),
    PeerLayout("ViFi-CLIP's release", "image_encoder.", VIFI_CLIP_TABLE, (r"prompt_learner\..*",)),
)


def peer_layout(names: Mapping[str, Tensor]) -> PeerLayout | None:
    """Whose release a file's keys are, or None. This project's own names are nobody else's, whatever a user's
    model calls its parts.
    """
    if all(name.startswith(_OWN) for name in names):
        return None
    return next((layout for layout in PEER_LAYOUTS if any(layout.mark in name for name in names)), None)


def classifiers_of(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The trained linear classifiers in a file, of a release or this project's, under the names of a
    `Recognizer`; {} for none.
    """
    layout = peer_layout(state)
    if layout is None:
        return {name: tensor for name, tensor in state.items() if name.startswith(_HEADS)}
    bare = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    rules = [rule for rule in layout.table if rule.target.startswith(_HEADS)]
    return convert(bare, rules, layout=layout.name, left_out=(r".*",))


def from_peer_release(
    state: Mapping[str, Tensor], layout: PeerLayout, expected: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Weights of a released checkpoint under the names of a `Recognizer`; expected: its state_dict.

    Raises ConversionError for keys that the layout does not have.
    """
    bare = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    converted = convert(bare, layout.table, layout=layout.name, left_out=layout.left_out)
    return {name: shaped_like(name, tensor, expected.get(name)) for name, tensor in converted.items()}
