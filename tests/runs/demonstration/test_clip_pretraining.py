"""The tiny CLIP's pre-training is a function of its settings, learns, and ends in a file like any CLIP's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from datasets.moving_shapes.stills import draw_stills
from models.clip import Clip, build_clip
from models.zero_shot import class_text_features
from runs.demonstration.clip_pretraining import make_tiny_clip, pretrain, questions_about
from runs.demonstration.config import PretrainingConfig

TINY = PretrainingConfig(
    architecture="tiny-test",
    num_pictures=64,
    num_held_out=16,
    steps=3,
    batch_size=16,
    reading_steps=2,
    sentences=8,
)


def test_the_file_is_loaded_like_any_clip_and_made_once(tmp_path: Path) -> None:
    path = tmp_path / "clip.safetensors"
    assert make_tiny_clip(TINY, path)
    assert not make_tiny_clip(TINY, path)
    loaded, trained = build_clip("tiny-test", path), pretrain(TINY)
    for (name, weight), (other, expected) in zip(
        loaded.state_dict().items(), trained.state_dict().items(), strict=True
    ):
        assert name == other
        assert torch.equal(weight, expected), name
    assert not loaded.training
    assert torch.isclose(loaded.logit_scale.exp(), torch.tensor(TINY.similarity_scale))
    assert make_tiny_clip(replace(TINY, seed=1), path)
    assert not torch.equal(build_clip("tiny-test", path).visual.proj, loaded.visual.proj)


def test_both_towers_learn_and_tokens_stay() -> None:
    before = pretrain(replace(TINY, steps=0, reading_steps=0)).state_dict()
    after = pretrain(TINY).state_dict()
    unchanged = {name for name in before if torch.equal(before[name], after[name])}
    assert unchanged == {"text.token_embedding.weight", "logit_scale"}


def test_captions_answer_what_the_pictures_show() -> None:
    stills = draw_stills(20, 16, seed=0)
    appearance, colour, shape = questions_about(stills)
    for row in range(len(stills)):
        _, colour_word, shape_word = appearance.captions[appearance.answers[row]].split()
        assert colour.captions[colour.answers[row]] == f"a {colour_word} shape"
        assert shape.captions[shape.answers[row]] == f"a {shape_word}"


def test_captions_speak_of_no_motion() -> None:
    words = {
        word
        for question in questions_about(draw_stills(1, 16, seed=0))
        for text in question.captions
        for word in text.split()
    }
    assert not words & {
        "moving",
        "left",
        "right",
        "up",
        "down",
        "growing",
        "shrinking",
        "turning",
        "clockwise",
    }


@pytest.mark.slow
def test_the_demos_clip_names_colours_and_shapes_and_tells_motions_apart() -> None:
    clip: Clip = pretrain(PretrainingConfig())
    names = ("growing", "shrinking", "moving from left to right", "moving from right to left")
    features = class_text_features(clip, names)
    assert float((features[::2] * features[1::2]).sum(dim=1).max()) < 0.95
