"""What a checkpoint's shapes say about the network they belong to, and what a mismatch is likely to mean.

Names are the DiST release's without its prefix: OpenAI's for CLIP (`visual.conv1.weight`), `dist_net.…` for
the branch. Reading the sizes from the file fills in what a configuration leaves open; comparing them with a
configuration explains, in its own keys, why weights do not fit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from torch import Tensor

from models.key_table import ConversionError, listed
from models.tiny_architectures import TINY_ARCHITECTURES

_USUAL_NAMES = {
    # width, blocks, patch, image side -> open_clip's name
    (768, 12, 32, 224): "ViT-B-32",
    (768, 12, 16, 224): "ViT-B-16",
    (1024, 24, 14, 224): "ViT-L-14",
    (1024, 24, 14, 336): "ViT-L-14-336",
    (1280, 32, 14, 224): "ViT-H-14",
    (1408, 40, 14, 224): "ViT-g-14",
    (1664, 48, 14, 224): "ViT-bigG-14",
} | {
    (vision["width"], vision["layers"], vision["patch_size"], vision["image_size"]): name
    for name, described in TINY_ARCHITECTURES.items()
    if (vision := described["vision_cfg"])
}
_HEAD_WIDTHS = dict.fromkeys((64, 128, 192, 256, 384, 512, 768, 896, 1024), 64) | {
    1280: 80,
    1408: 88,
    1664: 104,
    1792: 112,
}


@dataclass(frozen=True)
class ClipArchitecture:
    """Sizes of a CLIP with a ViT image tower."""

    embed_dim: int
    vision_width: int
    vision_layers: int
    patch_size: int
    image_size: int
    text_width: int
    text_layers: int
    context_length: int
    vocab_size: int
    vision_head_width: int = 64
    """Channels of an attention head of the image tower; shapes do not tell it."""
    vision_mlp_ratio: float = 4.0
    """Hidden width of the image tower's MLPs, as a multiple of its width."""

    @property
    def vision_heads(self) -> int:
        """Attention heads of the image tower."""
        return self.vision_width // self.vision_head_width

    @property
    def text_heads(self) -> int:
        """Attention heads of the text tower, 64 channels each."""
        return max(1, self.text_width // 64)

    @property
    def open_clip_name(self) -> str | None:
        """The usual name of such sizes, or None where they have none."""
        return _USUAL_NAMES.get((self.vision_width, self.vision_layers, self.patch_size, self.image_size))

    def open_clip_config(self, *, quick_gelu: bool = True) -> dict[str, Any]:
        """The architecture as an open_clip JSON file describes one; OpenAI's weights need QuickGELU."""
        vision = {
            "image_size": self.image_size,
            "layers": self.vision_layers,
            "width": self.vision_width,
            "patch_size": self.patch_size,
            "head_width": self.vision_head_width,
            "mlp_ratio": self.vision_mlp_ratio,
        }
        text = {
            "context_length": self.context_length,
            "vocab_size": self.vocab_size,
            "width": self.text_width,
            "heads": self.text_heads,
            "layers": self.text_layers,
        }
        return {
            "embed_dim": self.embed_dim,
            "quick_gelu": quick_gelu,
            "vision_cfg": vision,
            "text_cfg": text,
        }


@dataclass(frozen=True)
class DistArchitecture:
    """Sizes of a DiST branch, named as in VIDEO.BACKBONE.DIST, and of the clips that it was trained on."""

    s_patch_size: int
    t_patch_size: int
    temporal_dim: int
    temporal_kernel_size: int
    temporal_conv_mlp_ratio: float
    integration_dim: int
    integration_mlp_ratio: float
    integration_temporal_mlp_ratio: float
    ada_pooling_layers: int
    steps: int
    """Number of SELECTED_LAYERS; which they are, shapes do not tell."""
    sparse_frames: int
    """S."""
    alpha: int
    """DATA.SPARSE_SAMPLE_ALPHA."""

    @property
    def frames(self) -> int:
        """T, DATA.NUM_INPUT_FRAMES."""
        return self.sparse_frames * self.alpha

    def config(self) -> dict[str, Any]:
        """The section VIDEO.BACKBONE.DIST, for all blocks of the encoder."""
        of_the_clips = ("steps", "sparse_frames", "alpha")
        return {
            item.name.upper(): getattr(self, item.name)
            for item in fields(self)
            if item.name not in of_the_clips
        }


def usual_head_width(width: int) -> int | None:
    """Channels of an attention head in image towers of this width, as all that are known have them; None for
    a width that none has.
    """
    return _HEAD_WIDTHS.get(width)


def clip_architecture(state: Mapping[str, Tensor]) -> ClipArchitecture:
    """Sizes of the CLIP whose weights have OpenAI's names, with heads of the usual width, which shapes do not
    tell. Raises ConversionError when some are missing.
    """
    width, _, patch, _ = _shape(state, "visual.conv1.weight")
    tokens, _ = _shape(state, "visual.positional_embedding")
    grid = math.isqrt(tokens - 1)
    context_length, text_width = _shape(state, "positional_embedding")
    hidden = state.get("visual.transformer.resblocks.0.mlp.c_fc.bias")
    return ClipArchitecture(
        embed_dim=_shape(state, "visual.proj")[1],
        vision_width=width,
        vision_layers=_count(state, r"visual\.transformer\.resblocks\.(\d+)\."),
        patch_size=patch,
        image_size=grid * patch,
        text_width=text_width,
        text_layers=_count(state, r"transformer\.resblocks\.(\d+)\."),
        context_length=context_length,
        vocab_size=_shape(state, "token_embedding.weight")[0],
        vision_head_width=usual_head_width(width) or 64,
        vision_mlp_ratio=4.0 if hidden is None else len(hidden) / width,
    )


def dist_architecture(state: Mapping[str, Tensor]) -> DistArchitecture:
    """Sizes of the branch whose weights lie under `dist_net.`. Raises ConversionError when some are
    missing.
    """
    temporal, _, t_patch, s_patch, _ = _shape(state, "dist_net.temporal_stem.weight")
    integration = _shape(state, "dist_net.proj")[0]
    hidden, _, kernel, _, _ = _shape(state, "dist_net.temporal_nets.0.temporal_net.c_fc1.weight")
    exchange = "dist_net.temporal2integration_nets.0"
    block = "dist_net.integration_nets.0"
    return DistArchitecture(
        s_patch_size=s_patch,
        t_patch_size=t_patch,
        temporal_dim=temporal,
        temporal_kernel_size=kernel,
        temporal_conv_mlp_ratio=hidden / temporal,
        integration_dim=integration,
        integration_mlp_ratio=_shape(state, f"{block}.ffn.c_fc.weight")[0] / integration,
        integration_temporal_mlp_ratio=_shape(state, f"{block}.temporal_ffn.c_fc1.weight")[0] / integration,
        ada_pooling_layers=_count(state, r"dist_net\.adapooling_nets\.(\d+)\."),
        steps=_count(state, r"dist_net\.input_linears\.(\d+)\."),
        sparse_frames=_shape(state, f"{exchange}.cls_token")[-2],
        alpha=_shape(state, f"{exchange}.linear_fuse.weight")[2],
    )


def differences(found: ClipArchitecture | DistArchitecture, expected: object) -> list[str]:
    """`NAME is 14 in the file and 16 here`, for every size in which two architectures of one kind differ."""
    assert type(found) is type(expected)
    sizes = [(item.name, getattr(found, item.name), getattr(expected, item.name)) for item in fields(found)]
    names = {"steps": "the number of SELECTED_LAYERS", "alpha": "SPARSE_SAMPLE_ALPHA"}
    return [
        f"{names.get(name, name.upper())} is {there:g} in the file and {here:g} here"
        for name, there, here in sizes
        if there != here and name != "sparse_frames"  # another clip length is interpolated
    ]


def key_problems(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    """What is missing, unknown and of another shape in `found`, a few names of each; [] when all fits."""
    missing = [name for name in expected if name not in found]
    unknown = [name for name in found if name not in expected]
    shapes = [
        f"{name} {tuple(found[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in found and found[name].shape != tensor.shape
    ]
    kinds = (("missing", missing), ("unexpected", unknown), ("of another shape", shapes))
    return [f"{len(names)} {kind}: {listed(names)}" for kind, names in kinds if names]


def _shape(state: Mapping[str, Tensor], name: str) -> tuple[int, ...]:
    if name not in state:
        raise ConversionError(
            f"the file has no {name}, from which the architecture is read; it has {listed(sorted(state))}"
        )
    return tuple(state[name].shape)


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    """How many numbers, from 0 on, the pattern's group has among the names."""
    expression = re.compile(pattern)
    numbers = {int(match.group(1)) for name in state if (match := expression.match(name))}
    return 1 + max(numbers, default=-1)
