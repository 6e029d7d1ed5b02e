"""Configuration of RETRIEVAL: how texts and videos are matched, trained and ranked. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from utils.config import require

AlignmentName = Literal["pooled", "mug", "mug_full"]


@dataclass(frozen=True)
class RetrievalConfig:
    """RETRIEVAL: matching of texts and videos, for TASK_TYPE retrieval."""

    alignment: AlignmentName = "pooled"
    """pooled: the model's own similarity of one embedding each, a cosine mostly; mug, mug_full: Mug's, of all
    tokens and frames, in its simple or its full form."""
    temperature: float | None = 0.01
    """What similarities are divided by in the loss; null: learned, as CLIP's scale. AdamW moves that scale's
    logarithm by about OPTIMIZER.BASE_LR a step. At OpenAI's 4.6, float32 does not show a move below 2.4e-7:
    CLIP4Clip's published rate, 1e-7, leaves the scale where it is."""
    max_tokens: int = 32
    """Tokens of a text, with the two that begin and end it; longer ones are cut."""
    captions: Literal["one", "all"] = "one"
    """An epoch shows each training video once, with one of its captions at random, or once per caption."""
    dual_softmax_sharpness: float = 100.0
    """Factor inside the softmax over all queries of the scores that are reported beside the plain ones."""
    pairs_per_block: int = 16384
    """Pairs of a text and a video whose similarity is computed at once in evaluation; bounds its memory."""

    def __post_init__(self) -> None:
        temperature = self.temperature
        require(
            temperature is None or temperature > 0,
            "TEMPERATURE",
            f"{temperature} is not positive",
            "0.01 is published for MSR-VTT, 0.05 for DiDeMo; null learns it",
        )
        require(
            self.max_tokens >= 3, "MAX_TOKENS", f"{self.max_tokens} leaves no room for a word", "32 is usual"
        )
        for key in ("DUAL_SOFTMAX_SHARPNESS", "PAIRS_PER_BLOCK"):
            value = getattr(self, key.lower())
            require(value > 0, key, f"{value} is not positive", "the default is a good start")
