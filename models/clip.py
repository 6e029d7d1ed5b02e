"""CLIP: the image tower whose tokens a video model taps, the text tower, the tokenizer, and their weights.

    images (n,3,H,W) ─► tokens (n,1+N,D) ─► block 0 … block K-1 ─► ln_post(class token) @ proj ─► (n,E)
    texts ─► token ids (K,77) ─► embeddings (K,E)

The towers are plain modules with OpenAI's parameter names. open_clip describes architectures, fetches
weights and tokenizes; this is the only file that imports it, and it does so when it is needed.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.architecture import ClipArchitecture, key_problems
from models.clip_support import why_unsupported
from models.clip_weights import ClipWeights, read_clip_weights, tell_activation, with_text_prefix
from models.feature_cache import FeatureCache
from models.key_table import ConversionError
from models.layers.attention import Transformer
from models.layers.basic import Activation, LayerNorm, quick_gelu
from models.layers.patches import patchify
from models.tiny_architectures import TINY_ARCHITECTURES
from utils.logging import get_logger

_VOCABULARY = 49408  # of open_clip's tokenizer
_GROUP_VALUES = 5_000_000  # of a group's widest intermediate: 20 MB, below glibc's bound for reuse of 32


class VisionTower(nn.Module):
    """CLIP's ViT. Tokens are (n, 1+N, D), the class token first."""

    def __init__(self, architecture: ClipArchitecture, activation: Activation) -> None:
        super().__init__()
        width, patch = architecture.vision_width, architecture.patch_size
        grid = architecture.image_size // patch
        self.patch_size = patch
        self.conv1 = nn.Conv2d(3, width, kernel_size=patch, stride=patch, bias=False)
        self.class_embedding = nn.Parameter(torch.randn(width) * width**-0.5)
        self.positional_embedding = nn.Parameter(torch.randn(grid * grid + 1, width) * width**-0.5)
        self.ln_pre = LayerNorm(width)
        self.transformer = Transformer(
            width,
            architecture.vision_layers,
            architecture.vision_heads,
            mlp_ratio=architecture.vision_mlp_ratio,
            activation=activation,
        )
        self.ln_post = LayerNorm(width)
        self.proj = nn.Parameter(torch.randn(width, architecture.embed_dim) * width**-0.5)
        self._widest = architecture.vision_width * max(3, math.ceil(architecture.vision_mlp_ratio))
        self.stand_ins: tuple[Callable[[Tensor], Tensor], ...] = ()
        """What computes in place of the blocks of a tower that is frozen; see models/frozen_tower.py."""
        self.cache: FeatureCache | None = None
        """Where a frozen tower's streams are kept, if anywhere."""

    @property
    def _is_trained(self) -> bool:
        return any(parameter.requires_grad for parameter in self.transformer.parameters())

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return len(self.transformer.resblocks)

    def embed(self, images: Tensor) -> Tensor:
        """images (n,3,H,W) → tokens (n,1+N,D) before the first block."""
        n, _, height, width = images.shape
        tokens = self.embed_patches(patchify(images, self.patch_size))
        tokens = torch.cat([self.class_embedding.to(tokens.dtype).expand(n, 1, -1), tokens], dim=1)
        positions = self.positions(height // self.patch_size, width // self.patch_size)
        return self.ln_pre(tokens + positions.to(tokens.dtype))

    def embed_patches(self, patches: Tensor) -> Tensor:
        """patches (..., N, 3·p·p), as `patchify` gives them → (..., N, D), without positions."""
        return F.linear(patches.to(self.conv1.weight.dtype), self.conv1.weight.flatten(1))

    def blocks(self, tokens: Tensor) -> Iterator[Tensor]:
        """The tokens (n,1+N,D) after each block, as they are computed, in the type of those given."""
        kind = tokens.dtype
        for block in self.stand_ins or self.transformer.resblocks:
            tokens = self._by_groups(block, tokens)
            yield tokens.to(kind)

    def _by_groups(self, block: Callable[[Tensor], Tensor], tokens: Tensor) -> Tensor:
        """block(tokens), some images at a time where that is faster: on a CPU, without a graph.

        A block's widest intermediate values then fit memory that the allocator hands out again and again;
        tens of megabytes in one piece come from the system anew each time, page by page.
        """
        needs_graph = torch.is_grad_enabled() and (tokens.requires_grad or self._is_trained)
        # autocast would give every group its own copy of the weights in half precision
        casts = torch.is_autocast_enabled("cpu") and not self.stand_ins
        if tokens.device.type != "cpu" or needs_graph or casts or torch.compiler.is_compiling():
            return block(tokens)
        group = max(1, _GROUP_VALUES // (tokens.shape[1] * self._widest))
        if len(tokens) <= group:
            return block(tokens)
        first = block(tokens[:group])  # which may answer in another type
        after = first.new_empty(tokens.shape)
        after[:group] = first
        for start in range(group, len(tokens), group):
            after[start : start + group] = block(tokens[start : start + group])
        return after

    def pool(self, tokens: Tensor) -> Tensor:
        """Tokens (..., 1+N, D) after the last block → image embeddings (..., E)."""
        return self.ln_post(tokens[..., 0, :]).to(self.proj.dtype) @ self.proj

    def forward(self, images: Tensor) -> Tensor:
        """images (n,3,H,W), normalised → embeddings (n,E), not normalised."""
        tokens = self.embed(images)
        for after_block in self.blocks(tokens):
            tokens = after_block
        return self.pool(tokens)

    def stream(self, frames: Tensor, selected: Sequence[int]) -> Iterator[Tensor]:
        """The tokens (B,S,1+N,D) after each selected block as they are computed; last the embeddings (B,S,E).

        frames (B,S,3,H,W); selected: rising block numbers. Nothing is kept here: who wants all keeps all.
        Where there is a cache, they may come from it.
        """
        if self.cache is not None:
            return self.cache.stream(self, frames, selected)
        return self.compute_stream(frames, selected)

    def compute_stream(self, frames: Tensor, selected: Sequence[int]) -> Iterator[Tensor]:
        """`stream`, computed."""
        b, s = frames.shape[:2]
        wanted = set(selected)
        tokens = self.embed(frames.flatten(0, 1))
        for index, after_block in enumerate(self.blocks(tokens)):
            tokens = after_block
            if index in wanted:
                yield tokens.unflatten(0, (b, s))
        yield self.pool(tokens).unflatten(0, (b, s))

    def positions(self, rows: int, columns: int) -> Tensor:
        """Position table for a grid of patches; interpolated (bicubic) when it is not the trained one."""
        table = self.positional_embedding
        trained = math.isqrt(len(table) - 1)
        if (rows, columns) == (trained, trained):
            return table
        grid = table[1:].float().T.reshape(1, -1, trained, trained)
        grid = F.interpolate(grid, size=(rows, columns), mode="bicubic", align_corners=False)
        return torch.cat([table[:1], grid[0].flatten(1).T.to(table.dtype)])


class TextTower(nn.Module):
    """CLIP's causal text transformer. The end token, which has the highest id, carries the text's meaning."""

    def __init__(self, architecture: ClipArchitecture, activation: Activation) -> None:
        super().__init__()
        width = architecture.text_width
        self.token_embedding = nn.Embedding(architecture.vocab_size, width)
        self.positional_embedding = nn.Parameter(torch.empty(architecture.context_length, width))
        self.transformer = Transformer(
            width, architecture.text_layers, architecture.text_heads, activation=activation
        )
        self.ln_final = LayerNorm(width)
        self.text_projection = nn.Parameter(torch.randn(width, architecture.embed_dim) * width**-0.5)
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        nn.init.normal_(self.positional_embedding, std=0.01)

    def encode_tokens(self, tokens: Tensor) -> Tensor:
        """Token ids (K,L), L at most the trained length → one embedding per token (K,L,E), not normalised."""
        x = self.token_embedding(tokens) + self.positional_embedding[: tokens.shape[1]]
        return self.ln_final(self.transformer(x, causal=True)) @ self.text_projection

    def forward(self, tokens: Tensor) -> Tensor:
        """Token ids (K,L) → text embeddings (K,E), not normalised."""
        x = self.token_embedding(tokens) + self.positional_embedding[: tokens.shape[1]]
        x = self.ln_final(self.transformer(x, causal=True))
        ends = x[torch.arange(len(x), device=x.device), tokens.argmax(dim=-1)]
        return ends @ self.text_projection


class Clip(nn.Module):
    """Both towers and the scale of their similarity."""

    def __init__(self, architecture: ClipArchitecture, *, with_quick_gelu: bool = True) -> None:
        super().__init__()
        activation: Activation = quick_gelu if with_quick_gelu else F.gelu
        self.architecture = architecture
        self.with_quick_gelu = with_quick_gelu
        self.visual = VisionTower(architecture, activation)
        self.text = TextTower(architecture, activation)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def encode_frames(self, frames: Tensor) -> Tensor:
        """frames (B,S,3,H,W), normalised → embeddings (B,S,E), not normalised."""
        return self.visual(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])

    def encode_text(self, tokens: Tensor) -> Tensor:
        """Token ids (K,L) → embeddings (K,E), not normalised."""
        return self.text(tokens)

    def tokenize(self, texts: Sequence[str], length: int | None = None) -> Tensor:
        """Texts → token ids (K, length) on the CPU, cut to it; length None: the trained one."""
        vocabulary = self.architecture.vocab_size
        if vocabulary < _VOCABULARY:
            raise ValueError(
                f"this CLIP's vocabulary of {vocabulary} tokens has no tokenizer (open_clip's has "
                f"{_VOCABULARY})"
            )
        trained = self.architecture.context_length
        return _token_ids(texts, min(length or trained, trained))

    def token_count(self, text: str) -> int:
        """Tokens of a text, with the two that begin and end it, however many the tower can take."""
        longest = 4 * len(text.encode()) + 2  # a token has a byte at least; cleaning may lengthen a text
        return int(_token_ids([text], longest).argmax()) + 1

    def load_openai_state(self, state: Mapping[str, Tensor], source: str) -> None:
        """Take over weights under OpenAI's names. Raises ConversionError when they do not fit."""
        own = self.state_dict()
        given = with_text_prefix(state)
        problems = key_problems(given, own)
        if problems:
            raise ConversionError(
                f"the weights of {source} do not fit the architecture: " + "; ".join(problems)
            )
        fitted = {name: tensor.to(own[name].dtype) for name, tensor in given.items()}
        on_meta = any(tensor.is_meta for tensor in own.values())  # sizes without weights: take the given ones
        self.load_state_dict(fitted, assign=on_meta)


def _token_ids(texts: Sequence[str], length: int) -> Tensor:
    """Texts → (K, length), by the tokenizer that open_clip makes when it is imported."""
    import open_clip

    return open_clip.tokenize(list(texts), length)


def build_clip(
    architecture_name: str, weights: str | Path = "", *, with_quick_gelu: bool | None = None
) -> Clip:
    """A CLIP with its weights, in float32 on the CPU.

    architecture_name: open_clip's name, one of this project's tiny ones, or an open_clip JSON file. weights:
    an open_clip tag, or a file (OpenAI's archive, a state dict, Hugging Face's with its config.json, a DiST
    checkpoint, a release of this project); empty: random. with_quick_gelu: None takes it from the weights'
    origin. Raises ValueError.
    """
    architecture, is_quick = describe_architecture(architecture_name)
    loaded = _load_weights(architecture_name, weights)
    if with_quick_gelu is None:
        with_quick_gelu = is_quick
        if loaded is not None:
            with_quick_gelu = choose_activation(architecture_name, is_quick, loaded, str(weights))
    # Weights that are about to be replaced are not drawn: on the meta device a module is only described.
    with torch.device("cpu" if loaded is None else "meta"):
        clip = Clip(architecture, with_quick_gelu=with_quick_gelu)
    if loaded is None:
        get_logger(__name__).warning(
            "CLIP %s has RANDOM WEIGHTS (VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH is empty): good for tests and "
            "timing, its features mean nothing",
            architecture_name,
        )
    else:
        clip.load_openai_state(loaded.state, str(weights))
    return clip.eval()


def choose_activation(name: str, is_quick: bool, weights: ClipWeights, source: str) -> bool:
    """Whether a CLIP uses QuickGELU: what its weights say, else the architecture of that name (`is_quick`),
    with a warning where such a name is given to both kinds. Raises ConversionError, see `tell_activation`.
    """
    if weights.quick_gelu is not None:
        return weights.quick_gelu
    if not is_quick and _has_quick_sibling(name):
        tell_activation(name, source, from_hugging_face=weights.from_hugging_face)
    return is_quick


def tag_description(architecture_name: str, weights: str) -> Mapping[str, Any]:
    """What open_clip says of the weights behind a tag (`quick_gelu`, and `mean` and `std` of their images);
    {} for a file and for what is no tag. Nothing is downloaded.
    """
    if not weights or Path(weights).expanduser().exists():
        return {}
    import open_clip

    return open_clip.get_pretrained_cfg(architecture_name.removesuffix("-quickgelu"), weights)


def _has_quick_sibling(name: str) -> bool:
    import open_clip

    return f"{name}-quickgelu" in open_clip.list_models()


def describe_architecture(name: str) -> tuple[ClipArchitecture, bool]:
    """Sizes of an architecture by name or JSON file, and whether it uses QuickGELU. Raises ValueError."""
    config = _open_clip_config(name)
    vision, text = config["vision_cfg"], config["text_cfg"]
    if reason := why_unsupported(config):
        raise ValueError(
            f"VIDEO.BACKBONE.META_ARCH_NAME {name}: {reason}; this project needs a plain ViT with a class "
            "token, such as ViT-B-32, ViT-B-16 or ViT-L-14"
        )
    architecture = ClipArchitecture(
        embed_dim=config["embed_dim"],
        vision_width=vision["width"],
        vision_layers=vision["layers"],
        patch_size=vision["patch_size"],
        image_size=vision["image_size"],
        text_width=text["width"],
        text_layers=text["layers"],
        context_length=text.get("context_length", 77),
        vocab_size=text.get("vocab_size", _VOCABULARY),
        vision_head_width=vision.get("head_width", 64),
        vision_mlp_ratio=vision.get("mlp_ratio", 4.0),
    )
    return architecture, bool(config.get("quick_gelu", False))


def _open_clip_config(name: str) -> dict[str, Any]:
    if name in TINY_ARCHITECTURES:
        return TINY_ARCHITECTURES[name]
    if name.endswith(".json"):
        try:
            return json.loads(Path(name).read_text())
        except (OSError, ValueError) as error:
            raise ValueError(f"VIDEO.BACKBONE.META_ARCH_NAME {name} cannot be read: {error}") from error
    import open_clip

    config = open_clip.get_model_config(name)
    if config is None:
        raise ValueError(
            f"VIDEO.BACKBONE.META_ARCH_NAME {name} is unknown; open_clip knows "
            f"{', '.join(model for model in open_clip.list_models() if model.startswith('ViT-'))}; "
            f"this project adds {', '.join(TINY_ARCHITECTURES)}"
        )
    return config


def open_clip_image_tower(name: str) -> nn.Module:
    """open_clip's own image tower of that name with random weights, frozen: to be compared with."""
    import open_clip

    level, logging.root.level = logging.root.level, logging.ERROR  # it warns of random weights
    try:
        tower = open_clip.create_model(name).visual
    finally:
        logging.root.setLevel(level)
    return tower.requires_grad_(False).eval()


def _load_weights(architecture_name: str, weights: str | Path) -> ClipWeights | None:
    """Weights under OpenAI's names; None for random ones."""
    if not str(weights):
        return None
    path = Path(weights).expanduser()
    if path.exists():
        return read_clip_weights(path)
    import open_clip

    name = architecture_name.removesuffix("-quickgelu")
    tags = [*open_clip.list_pretrained_tags_by_model(name)]
    if str(weights) not in tags:
        raise ValueError(
            f"VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH {weights} is neither a file (as seen from this folder) nor "
            f"a tag that open_clip has for {architecture_name}" + (f" ({', '.join(tags)})" if tags else "")
        )
    return _fetch_by_tag(name, str(weights))


def _fetch_by_tag(name: str, tag: str) -> ClipWeights:
    import open_clip

    description = tag_description(name, tag)
    try:
        model = open_clip.create_model(name, pretrained=tag)
    except (OSError, RuntimeError, ValueError) as error:  # what a hub that cannot be reached ends in
        raise ValueError(
            f"open_clip could not load {name} with the weights '{tag}': {error}. Without a network, fetch "
            "the file elsewhere and give its path as VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH"
        ) from error
    return ClipWeights(dict(model.state_dict()), bool(description.get("quick_gelu", False)))
