"""The key layout of STAN's release: Hugging Face's CLIP names, the branch as STAN_S_layers and STAN_T_layers.

`backbone.` holds the image tower without its usual `vision_model.encoder.` levels, `text_backbone.` the text
tower. The release has no weights of the variant with convolutions.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from models.clip_layouts import HUGGING_FACE, HUGGING_FACE_LEFT_OUT
from models.clip_weights import with_text_prefix
from models.key_table import KeyRule, convert

_VISUAL, _TEXT = "backbone.", "text_backbone."
_LAYER = "branch.layers.{i}."
_BLOCK = (
    ("layer_norm1", "ln_1"),
    ("layer_norm2", "ln_2"),
    ("mlp.fc1", "mlp.c_fc"),
    ("mlp.fc2", "mlp.c_proj"),
    ("self_attn.out_proj", "attn.out_proj"),
)

STAN_TABLE = (
    KeyRule("STAN_time_embed.weight", "branch.temporal_embedding"),
    KeyRule("STAN_T_layers.{i}.layer_norm1.{p}", _LAYER + "over_time.ln.{p}"),
    KeyRule("STAN_T_layers.{i}.temporal_fc.{p}", _LAYER + "over_time.fc.{p}"),
    KeyRule("STAN_T_layers.{i}.self_attn.out_proj.{p}", _LAYER + "over_time.attn.out_proj.{p}"),
    *(
        KeyRule(f"STAN_S_layers.{{i}}.{name}.{{p}}", f"{_LAYER}within_frame.{ours}.{{p}}")
        for name, ours in _BLOCK
    ),
    *(
        KeyRule(f"{kind}.{{i}}.self_attn.{name}_proj.{{p}}", f"{_LAYER}{ours}.attn.in_proj_{{p}}", part=part)
        for kind, ours in (("STAN_S_layers", "within_frame"), ("STAN_T_layers", "over_time"))
        for part, name in enumerate("qkv")
    ),
)

# The release's level of the image tower -> Hugging Face's full name.
_FULL_NAMES = (
    ("class_embedding", "vision_model.embeddings."),
    ("patch_embedding.", "vision_model.embeddings."),
    ("position_embedding.", "vision_model.embeddings."),
    ("pre_layrnorm.", "vision_model."),
    ("post_layernorm.", "vision_model."),
    ("layers.", "vision_model.encoder."),
    ("visual_projection.", ""),
)
_LEFT_OUT = (
    *HUGGING_FACE_LEFT_OUT,
    r"(backbone\.|text_backbone\.)?position_ids",
    r"text_backbone\.text_model\.embeddings\.position_ids",
)


def is_stan_release(names: Mapping[str, Tensor]) -> bool:
    """Whether a file's keys are those of a released STAN checkpoint."""
    return any(name.startswith(f"{_VISUAL}STAN_") for name in names)


def from_stan_release(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a released checkpoint under the names of `models.stan.Stan`.

    The text tower and the scale come along where the file has them. Raises ConversionError for keys that the
    layout does not have.
    """
    branch, encoder = {}, {}
    for name, tensor in state.items():
        if name.startswith(f"{_VISUAL}STAN_"):
            branch[name.removeprefix(_VISUAL)] = tensor
        elif name.startswith(_VISUAL):
            encoder[_full_name(name.removeprefix(_VISUAL))] = tensor
        else:
            encoder[name.removeprefix(_TEXT)] = tensor
    converted = convert(branch, STAN_TABLE, layout="STAN's release")
    towers = convert(encoder, HUGGING_FACE, layout="STAN's release", left_out=_LEFT_OUT)
    return converted | {f"clip.{name}": tensor for name, tensor in with_text_prefix(towers).items()}


def _full_name(name: str) -> str:
    prefix = next((prefix for start, prefix in _FULL_NAMES if name.startswith(start)), "")
    return prefix + name
