"""The DiST release's names of weights and this project's, as one key table read in both directions.

A release file holds the whole network below `backbone.base_encoder.`: CLIP under OpenAI's names, the branch
under `dist_net.` (older files: `ladder_net.` with other names for five of its parts).
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from models.architecture import differences, dist_architecture
from models.clip_weights import (
    CLASSES_OF_RELEASE,
    RELEASE_PREFIX,
    with_text_prefix,
    without_text_prefix,
)
from models.key_table import ConversionError, KeyRule, convert

# older name -> the release's
LADDER_NAMES = {
    "ladder_net.": "dist_net.",
    "input_map_feat_nets": "input_linears",
    "s2t_fuse_nets": "integration2temporal_nets",
    "t2s_fuse_nets": "temporal2integration_nets",
    "final_temporal_nets": "adapooling_nets",
    ".spatial_nets.": ".integration_nets.",
}

_ATTENTION = ("in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias")


def _pooling_rules(release: str, mlp: str, ln_mlp: str, ours: str) -> tuple[KeyRule, ...]:
    source, target = "dist_net.adapooling_nets.{i}.", f"branch.pooling.{{i}}.{ours}."
    return (
        *(KeyRule(f"{source}{release}.attn.{name}", f"{target}attention.{name}") for name in _ATTENTION),
        KeyRule(f"{source}{release}.ln_1.{{p}}", f"{target}ln_attention.{{p}}"),
        KeyRule(f"{source}{mlp}.c_fc.{{p}}", f"{target}mlp.c_fc.{{p}}"),
        KeyRule(f"{source}{mlp}.c_proj.{{p}}", f"{target}mlp.c_proj.{{p}}"),
        KeyRule(f"{source}{ln_mlp}.{{p}}", f"{target}ln_mlp.{{p}}"),
    )


_STEP = "branch.steps.{i}."
_INTEGRATION = "dist_net.integration_nets.{i}."
DIST_TABLE = (
    KeyRule("dist_net.proj", "branch.proj"),
    KeyRule("dist_net.aggregated_cls_token", "branch.video_query"),
    KeyRule("dist_net.aggregated_spatial_cls_token", "branch.spatial_query"),
    KeyRule("dist_net.temporal_stem.{p}", "branch.stem.{p}"),
    KeyRule("dist_net.input_linears.{i}.{p}", _STEP + "input_linear.{p}"),
    KeyRule("dist_net.integration2temporal_nets.{i}.linear_fuse.{p}", _STEP + "to_temporal.{p}"),
    KeyRule("dist_net.temporal2integration_nets.{i}.linear_fuse.{p}", _STEP + "to_integration.{p}"),
    KeyRule("dist_net.temporal2integration_nets.{i}.cls_token", _STEP + "to_integration.class_token"),
    KeyRule("dist_net.temporal_nets.{i}.temporal_net.c_fc1.{p}", _STEP + "temporal_block.temporal_conv.{p}"),
    KeyRule("dist_net.temporal_nets.{i}.temporal_net.c_fc2.{p}", _STEP + "temporal_block.spatial_conv.{p}"),
    KeyRule("dist_net.temporal_nets.{i}.ln.{p}", _STEP + "temporal_block.ln.{p}"),
    KeyRule(_INTEGRATION + "ffn.c_fc.{p}", _STEP + "integration_block.mlp.c_fc.{p}"),
    KeyRule(_INTEGRATION + "ffn.c_proj.{p}", _STEP + "integration_block.mlp.c_proj.{p}"),
    KeyRule(_INTEGRATION + "temporal_ffn.c_fc1.{p}", _STEP + "integration_block.temporal_mlp.c_fc.{p}"),
    KeyRule(_INTEGRATION + "temporal_ffn.c_fc2.{p}", _STEP + "integration_block.temporal_mlp.conv.{p}"),
    KeyRule(_INTEGRATION + "temporal_ffn.c_proj.{p}", _STEP + "integration_block.temporal_mlp.c_proj.{p}"),
    KeyRule(_INTEGRATION + "ln.{p}", _STEP + "integration_block.ln.{p}"),
    KeyRule(_INTEGRATION + "ln_temporal.{p}", _STEP + "integration_block.ln_temporal.{p}"),
    KeyRule("dist_net.adapooling_nets.{i}.positional_embedding", "branch.pooling.{i}.positions"),
    *_pooling_rules(
        "spatial_transformer", "output_map_spatial_cls_token", "ln_out_spat_cls_token", "spatial"
    ),
    *_pooling_rules("temporal_transformer", "output_map_cls_token", "ln_out_temp_cls_token", "temporal"),
    KeyRule("dist_net.proj_spatial_cls_token.{p}", "branch.class_linear.{p}"),
    KeyRule("dist_net.ln_post.{p}", "branch.ln_post.{p}"),
)


def bare_release_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A DiST checkpoint's weights without the release's prefix, older names brought up to date.

    The texts of its classes, which some hold embedded, are no weights.
    """
    bare = {name.removeprefix(RELEASE_PREFIX): tensor for name, tensor in state.items()}
    return {_current_name(name): tensor for name, tensor in bare.items() if name != CLASSES_OF_RELEASE}


def _current_name(name: str) -> str:
    if name.startswith("ladder_net."):
        for old, new in LADDER_NAMES.items():
            name = name.replace(old, new)
    return name


def is_dist_release(names: Mapping[str, Tensor]) -> bool:
    """Whether a file's keys are those of a released DiST checkpoint."""
    return any(_current_name(name.removeprefix(RELEASE_PREFIX)).startswith("dist_net.") for name in names)


def from_dist_release(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a released checkpoint under the names of `models.dist.Dist`.

    expected: the model's own state_dict, which gives the shapes (the release keeps axes of length 1 that this
    project drops). CLIP's weights come along where the file has them. Raises ConversionError.
    """
    bare = bare_release_names(state)
    branch = {name: tensor for name, tensor in bare.items() if name.startswith("dist_net.")}
    encoder = {name: tensor for name, tensor in bare.items() if not name.startswith("dist_net.")}
    converted = convert(branch, DIST_TABLE, layout="DiST's release")
    converted |= {f"clip.{name}": tensor for name, tensor in with_text_prefix(encoder).items()}
    return {name: shaped_like(name, tensor, expected.get(name)) for name, tensor in converted.items()}


def to_dist_release(state: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """The inverse, for round trips: our names and the release's shapes → the release's names."""
    inverse = tuple(KeyRule(rule.target, rule.source) for rule in DIST_TABLE)
    branch = {name: tensor for name, tensor in state.items() if name.startswith("branch.")}
    released = convert(branch, inverse, layout="this project's DiST")
    encoder = {
        name.removeprefix("clip."): tensor for name, tensor in state.items() if name.startswith("clip.")
    }
    released |= without_text_prefix(encoder)
    return {
        f"{RELEASE_PREFIX}{name}": tensor.reshape(shapes.get(f"{RELEASE_PREFIX}{name}", tensor.shape))
        for name, tensor in released.items()
    }


def shaped_like(name: str, tensor: Tensor, expected: Tensor | None) -> Tensor:
    """Drops or adds axes of length 1; other differences of shape are reported by whoever loads.

    A table of frames is (1,S,C) or (1,1,S,C) in releases: whatever S is here, the axes before it go.
    """
    if expected is None or tensor.shape == expected.shape:
        return tensor
    squeezed = [size for size in tensor.shape if size != 1]
    if squeezed == [size for size in expected.shape if size != 1]:
        return tensor.reshape(expected.shape)
    before = tensor.ndim - expected.ndim
    if before > 0 and all(size == 1 for size in tensor.shape[:before]):
        return tensor.reshape(tensor.shape[before:])
    if tensor.ndim == expected.ndim + tensor.shape.count(1) - list(expected.shape).count(1):
        return tensor.squeeze()
    return tensor


def differing_sizes(released: Mapping[str, Tensor], model_state: Mapping[str, Tensor]) -> list[str]:
    """In which sizes a released checkpoint's branch is another than a model's, in the configuration's keys.

    [] for equal sizes, and for files and models that are no DiST.
    """
    if not is_dist_release(released) or "branch.stem.weight" not in model_state:
        return []
    try:
        own = bare_release_names(to_dist_release(model_state, {}))
        return differences(dist_architecture(bare_release_names(released)), dist_architecture(own))
    except ConversionError:
        return []  # one of them has weights that the other has not; the list of names tells which


__all__ = [
    "DIST_TABLE",
    "ConversionError",
    "bare_release_names",
    "differing_sizes",
    "from_dist_release",
    "is_dist_release",
    "shaped_like",
    "to_dist_release",
]
