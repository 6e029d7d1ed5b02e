"""Which of the CLIPs that open_clip describes this project's towers can be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_VISION_EXTRAS = {
    "timm_model_name": "its image tower is timm's",
    "attentional_pool": "its image tower pools by attention",
    "no_ln_pre": "its image tower lacks the first norm",
    "final_ln_after_pool": "its image tower pools before the norm",
    "patch_dropout": "its image tower drops patches",
    "ls_init_value": "its image tower scales its residuals",
}


def why_unsupported(config: Mapping[str, Any]) -> str | None:
    """What of an open_clip description this project's towers do not have; None when nothing."""
    vision, text = config.get("vision_cfg", {}), config.get("text_cfg", {})
    for key, reason in _VISION_EXTRAS.items():
        if vision.get(key):
            return reason
    if vision.get("pool_type", "tok") != "tok":
        return f"its image tower has no class token (it pools by {vision['pool_type']})"
    if not isinstance(vision.get("layers"), int) or "patch_size" not in vision:
        return "its image tower is no ViT"
    if "hf_model_name" in text or "hf_tokenizer_name" in text:
        return "its text tower is a Hugging Face model"
    if config.get("custom_text") or text.get("embed_cls") or text.get("pool_type", "argmax") != "argmax":
        return "its text tower is not CLIP's"
    return None
