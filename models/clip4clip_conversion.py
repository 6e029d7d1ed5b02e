"""The key layout of CLIP4Clip's checkpoints: CLIP under OpenAI's names, and the transformer over frames."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from models.clip_weights import with_text_prefix
from models.key_table import KeyRule, convert

_SIZES = (r"clip\.(input_resolution|context_length|vocab_size)",)
_BLOCK = ("ln_1.{p}", "ln_2.{p}", "mlp.c_fc.{p}", "mlp.c_proj.{p}", "attn.out_proj.{p}", "attn.in_proj_{p}")

CLIP4CLIP_TABLE = (
    KeyRule("frame_position_embeddings.weight", "over_frames.positions"),
    *(
        KeyRule(f"transformerClip.resblocks.{{i}}.{name}", f"over_frames.transformer.resblocks.{{i}}.{name}")
        for name in _BLOCK
    ),
)


def is_clip4clip_release(names: Mapping[str, Tensor]) -> bool:
    """Whether a file's keys are those of a CLIP4Clip checkpoint."""
    return any(name.startswith(("transformerClip.", "clip.visual.")) for name in names) and not any(
        name.startswith(("branch.", "clip.text.", "over_frames.")) for name in names
    )


def from_clip4clip_release(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a CLIP4Clip checkpoint under the names of `models.clip4clip.Clip4Clip`.

    Raises ConversionError for keys that the layout does not have.
    """
    encoder = {name.removeprefix("clip."): t for name, t in state.items() if name.startswith("clip.")}
    sizes = {name for name in encoder if name in ("input_resolution", "context_length", "vocab_size")}
    encoder = {name: tensor for name, tensor in encoder.items() if name not in sizes}
    head = {name: tensor for name, tensor in state.items() if not name.startswith("clip.")}
    converted = convert(head, CLIP4CLIP_TABLE, layout="CLIP4Clip", left_out=_SIZES)
    return converted | {f"clip.{name}": tensor for name, tensor in with_text_prefix(encoder).items()}
