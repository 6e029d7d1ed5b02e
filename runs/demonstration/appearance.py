"""What the frozen CLIP of the demonstration can name in clips without any training on them."""

from __future__ import annotations

from pathlib import Path

from datasets.annotations import load_split
from datasets.moving_shapes.appearance import COLOURS, SHAPES
from models.clip import Clip
from models.heads import frame_logits
from models.zero_shot import class_text_features
from runs.demonstration.clip_pretraining import COLOUR_PROMPT, SHAPE_PROMPT
from runs.demonstration.features import FrameFeatures

QUESTIONS = {"colour": (tuple(COLOURS), COLOUR_PROMPT), "shape": (tuple(SHAPES), SHAPE_PROMPT)}
"""Folder of the annotation list -> class names, and the prompt around them."""


def appearance_accuracies(clip: Clip, features: FrameFeatures, annotations: Path) -> dict[str, float]:
    """Zero-shot percentage of test clips whose colour and whose shape CLIP names, over all frames."""
    found = {}
    for question, (names, prompt) in QUESTIONS.items():
        split = load_split("csv", "val", anno_dir=str(annotations / question), data_root="")
        answers = frame_logits(
            features.embeddings, class_text_features(clip, names, [prompt]), clip.logit_scale
        ).argmax(dim=1)
        right = [
            record.labels[0] == int(answer) for record, answer in zip(split.records, answers, strict=True)
        ]
        found[question] = 100.0 * sum(right) / len(right)
    return found
