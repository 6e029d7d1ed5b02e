"""CLIPs small enough for tests and for the demo, described as open_clip describes its own. Torch-free.

The vocabulary stays open_clip's, so that its tokenizer serves them too.
"""

from __future__ import annotations

from typing import Any


def _describe(
    *, embed_dim: int, image_size: int, patch: int, width: int, layers: int, text_width: int, text_layers: int
) -> dict[str, Any]:
    vision = {"image_size": image_size, "layers": layers, "width": width, "patch_size": patch}
    text = {
        "context_length": 24,
        "vocab_size": 49408,
        "width": text_width,
        "heads": max(1, text_width // 64),
        "layers": text_layers,
    }
    return {"embed_dim": embed_dim, "quick_gelu": True, "vision_cfg": vision, "text_cfg": text}


TINY_ARCHITECTURES: dict[str, dict[str, Any]] = {
    # seconds on a CPU: for tests
    "tiny-test": _describe(
        embed_dim=32, image_size=32, patch=16, width=64, layers=2, text_width=64, text_layers=1
    ),
    # learns the appearance of the demo's shapes in about a minute on two cores
    "tiny-moving-shapes": _describe(
        embed_dim=64, image_size=48, patch=8, width=128, layers=4, text_width=64, text_layers=2
    ),
}
