"""CLIP weights as Hugging Face and open_clip store them, under OpenAI's names.

OpenAI's names (`visual.conv1.weight`, `transformer.resblocks.0.attn.in_proj_weight`, …) are the common
language: DiST's release uses them below its prefix, and models/conversion.py reads them. Each layout is a
key table; the differences that are not names are two: Hugging Face keeps query, key and value apart, and
stores both projections transposed (as `Linear` weights). `clip_layout` tells from the keys which layout a
file has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor

from models.key_table import ConversionError, KeyRule, convert, listed

# Hugging Face's name of a block's part -> OpenAI's.
_HUGGING_FACE_BLOCK = (
    ("layer_norm1", "ln_1"),
    ("layer_norm2", "ln_2"),
    ("mlp.fc1", "mlp.c_fc"),
    ("mlp.fc2", "mlp.c_proj"),
    ("self_attn.out_proj", "attn.out_proj"),
)
_TOWERS = (
    ("vision_model.encoder.layers", "visual.transformer.resblocks"),
    ("text_model.encoder.layers", "transformer.resblocks"),
)

HUGGING_FACE = (
    KeyRule("logit_scale", "logit_scale"),
    KeyRule("vision_model.embeddings.class_embedding", "visual.class_embedding"),
    KeyRule("vision_model.embeddings.patch_embedding.weight", "visual.conv1.weight"),
    KeyRule("vision_model.embeddings.position_embedding.weight", "visual.positional_embedding"),
    KeyRule("vision_model.pre_layrnorm.{p}", "visual.ln_pre.{p}"),  # Hugging Face's spelling
    KeyRule("vision_model.post_layernorm.{p}", "visual.ln_post.{p}"),
    KeyRule("visual_projection.weight", "visual.proj", transpose=True),
    KeyRule("text_model.embeddings.token_embedding.weight", "token_embedding.weight"),
    KeyRule("text_model.embeddings.position_embedding.weight", "positional_embedding"),
    KeyRule("text_model.final_layer_norm.{p}", "ln_final.{p}"),
    KeyRule("text_projection.weight", "text_projection", transpose=True),
    *(
        KeyRule(f"{source}.{{i}}.{name}.{{p}}", f"{target}.{{i}}.{openai_name}.{{p}}")
        for source, target in _TOWERS
        for name, openai_name in _HUGGING_FACE_BLOCK
    ),
    *(
        KeyRule(
            f"{source}.{{i}}.self_attn.{name}_proj.{{p}}", f"{target}.{{i}}.attn.in_proj_{{p}}", part=part
        )
        for source, target in _TOWERS
        for part, name in enumerate("qkv")
    ),
)
HUGGING_FACE_LEFT_OUT = (r"(vision|text)_model\.embeddings\.position_ids",)

_OPEN_CLIP_BLOCK = (
    "ln_1.{p}",
    "ln_2.{p}",
    "mlp.c_fc.{p}",
    "mlp.c_proj.{p}",
    "attn.out_proj.{p}",
    "attn.in_proj_{p}",
)
# open_clip's text tower lies in the model itself, as OpenAI's does, or in `text` (its CustomTextCLIP).
OPEN_CLIP = (
    KeyRule("logit_scale", "logit_scale"),
    *(
        KeyRule(f"{prefix}{name}", name)
        for prefix in ("", "text.")
        for name in ("token_embedding.weight", "positional_embedding", "ln_final.{p}", "text_projection")
    ),
    KeyRule("text.text_projection.weight", "text_projection", transpose=True),
    *(
        KeyRule(f"visual.{name}", f"visual.{name}")
        for name in (
            "class_embedding",
            "positional_embedding",
            "conv1.weight",
            "ln_pre.{p}",
            "ln_post.{p}",
            "proj",
        )
    ),
    *(
        KeyRule(f"{source}resblocks.{{i}}.{name}", f"{target}resblocks.{{i}}.{name}")
        for source, target in (
            ("visual.transformer.", "visual.transformer."),
            ("transformer.", "transformer."),
            ("text.transformer.", "transformer."),
        )
        for name in _OPEN_CLIP_BLOCK
    ),
)
_OPEN_CLIP_LEFT_OUT = (r"(text\.)?attn_mask", r"logit_bias")


def clip_layout(keys: Iterable[str]) -> str | None:
    """`hugging_face`, `open_clip` (OpenAI's names included), or None for neither, from the names of the
    weights.
    """
    names = set(keys)
    if any(name.startswith(("vision_model.", "text_model.")) for name in names):
        return "hugging_face"
    if any(name.removeprefix("module.") == "visual.conv1.weight" for name in names):
        return "open_clip"
    return None


def to_openai_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a Hugging Face or open_clip CLIP (ViT towers) under OpenAI's names.

    state: name -> tensor, also with the `module.` prefix of distributed training. Raises ConversionError when
    the layout is neither, when a key is left over, and for towers that are no plain ViT.
    """
    bare = {key.removeprefix("module."): tensor for key, tensor in state.items()}
    layout = clip_layout(bare)
    if layout == "hugging_face":
        return convert(bare, HUGGING_FACE, layout="Hugging Face CLIP", left_out=HUGGING_FACE_LEFT_OUT)
    if layout == "open_clip":
        return convert(bare, OPEN_CLIP, layout="open_clip CLIP", left_out=_OPEN_CLIP_LEFT_OUT)
    raise ConversionError(
        f"not a CLIP of Hugging Face, open_clip or OpenAI; it has the keys {listed(sorted(bare))}"
    )
