"""Contrastive pre-training of the tiny CLIP on single pictures and captions of their appearance.

    pictures (n,3,H,W) ─► image tower ─┐
                                       ├─► contrast, for three captions of each picture
    "a red circle", "a red shape", "a circle" ─► text tower ─┘

Before and beside that, the text tower learns to read (`reading.py`). The CLIP learns words for what stands
still, and nothing of motion: no caption speaks of it, no two pictures belong together. The file it ends in
is loaded like any CLIP's (VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH).
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.optim import Optimizer

from datasets.config import CLIP_MEAN, CLIP_STD
from datasets.moving_shapes.appearance import COLOURS, SHAPES
from datasets.moving_shapes.captions import appearance_caption
from datasets.moving_shapes.stills import Stills, draw_stills
from datasets.transforms.device import normalise
from models.caption_contrast import caption_contrast
from models.clip import Clip, describe_architecture
from models.clip_weights import without_text_prefix
from models.interface import cosine_logits
from models.zero_shot import class_text_features
from runs.demonstration.config import PretrainingConfig
from runs.demonstration.reading import reading_loss
from utils.atomic import replacing
from utils.logging import Progress, get_logger
from utils.optim import GroupSettings, build_adamw, clip_gradients, parameter_groups, set_learning_rate
from utils.schedule import LearningRateSchedule

COLOUR_PROMPT = "a {} shape"
SHAPE_PROMPT = "a {}"
BETAS = (0.9, 0.98)
LONGEST_GRADIENT = 1.0
WARMUP_SHARE = 0.1


@dataclass(frozen=True)
class Question:
    """Something to name in a picture: the captions to choose from, and the right one of each picture."""

    name: str
    captions: tuple[str, ...]
    answers: Tensor


def make_tiny_clip(config: PretrainingConfig, path: Path) -> bool:
    """Make sure that `path` holds the CLIP that `config` trains; True when it had to be trained."""
    fingerprint = hashlib.sha256(repr(config).encode()).hexdigest()
    if path.exists():
        with safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get("pretraining") == fingerprint:
                return False
    clip = pretrain(config)
    state = {name: weight.contiguous() for name, weight in without_text_prefix(clip.state_dict()).items()}
    with replacing(str(path)) as partial:
        save_file(state, partial, metadata={"format": "pt", "pretraining": fingerprint})
    return True


def pretrain(config: PretrainingConfig) -> Clip:
    """A CLIP trained as `config` says, in evaluation mode; a function of `config` alone."""
    image_size = describe_architecture(config.architecture)[0].image_size
    stills = draw_stills(config.num_pictures + config.num_held_out, image_size, config.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        clip = Clip(describe_architecture(config.architecture)[0])
    # Tokens stay random: the words are few, and the vocabulary is most of the weights.
    clip.text.token_embedding.weight.requires_grad_(False)
    pictures = torch.from_numpy(stills.pictures).permute(0, 3, 1, 2)
    questions = questions_about(stills)
    _train(clip, pictures, questions, config)
    clip.logit_scale.data.fill_(math.log(config.similarity_scale))
    _tell_accuracy(clip, pictures, questions, config.num_pictures)
    return clip.eval()


def questions_about(stills: Stills) -> tuple[Question, ...]:
    """Colour and shape together, colour alone, shape alone."""
    colours, shapes = torch.from_numpy(stills.colours), torch.from_numpy(stills.shapes)
    both = tuple(appearance_caption(colour, shape) for colour in COLOURS for shape in SHAPES)
    return (
        Question("appearance", both, colours * len(SHAPES) + shapes),
        Question("colour", tuple(COLOUR_PROMPT.format(colour) for colour in COLOURS), colours),
        Question("shape", tuple(SHAPE_PROMPT.format(shape) for shape in SHAPES), shapes),
    )


def _train(clip: Clip, pictures: Tensor, questions: tuple[Question, ...], config: PretrainingConfig) -> None:
    generator = torch.Generator().manual_seed(config.seed)
    clip.train()
    with Progress(config.reading_steps + config.steps, "tiny CLIP") as progress:
        rate = LearningRateSchedule(config.learning_rate, 1.0, warmup_epochs=WARMUP_SHARE)
        optimizer = _optimizer(clip.text, config)
        for step in range(config.reading_steps):
            set_learning_rate(optimizer, rate.at(step / config.reading_steps))
            _update(optimizer, reading_loss(clip, config.sentences, generator))
            progress.advance()
        optimizer = _optimizer(clip, config)
        tokens = [_tokens(clip, question.captions) for question in questions]
        for step in range(config.steps):
            set_learning_rate(optimizer, rate.at(step / config.steps))
            rows = torch.randint(config.num_pictures, (config.batch_size,), generator=generator)
            embeddings = clip.visual(_normalised(pictures[rows]))
            answers = [question.answers[rows] for question in questions]
            loss = _contrast(clip, embeddings, tokens, answers)
            _update(optimizer, loss + config.reading_weight * reading_loss(clip, config.sentences, generator))
            progress.advance(note=f"loss {loss.item():.3f}")


def _optimizer(module: torch.nn.Module, config: PretrainingConfig) -> Optimizer:
    def settings_of(name: str, parameter: torch.nn.Parameter) -> GroupSettings:
        return GroupSettings(weight_decay=config.weight_decay if parameter.ndim >= 2 else 0.0)

    return build_adamw(parameter_groups(module, settings_of), BETAS)


def _tokens(clip: Clip, captions: tuple[str, ...]) -> Tensor:
    tokens = clip.tokenize(captions).to(clip.logit_scale.device)
    return tokens[:, : int(tokens.argmax(dim=1).max()) + 1]  # up to the end token, which has the highest id


def _contrast(clip: Clip, embeddings: Tensor, tokens: list[Tensor], answers: list[Tensor]) -> Tensor:
    """The mean of the losses of all questions."""
    losses = [
        caption_contrast(embeddings, clip.encode_text(captions), answer, clip.logit_scale)
        for captions, answer in zip(tokens, answers, strict=True)
    ]
    return torch.stack(losses).mean()


def _update(optimizer: Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    clip_gradients(optimizer, LONGEST_GRADIENT)
    optimizer.step()


def _normalised(pictures: Tensor) -> Tensor:
    return normalise(pictures.unsqueeze(2), CLIP_MEAN, CLIP_STD).squeeze(2)


@torch.no_grad()
def _tell_accuracy(clip: Clip, pictures: Tensor, questions: tuple[Question, ...], first: int) -> None:
    """Zero-shot accuracy on the pictures from number `first` on, which were not trained on."""
    clip.eval()
    embeddings = torch.cat([clip.visual(_normalised(part)) for part in pictures[first:].split(256)])
    for question in questions:
        text = class_text_features(clip, question.captions)
        answers = cosine_logits(embeddings, text, clip.logit_scale).argmax(dim=1)
        share = (answers == question.answers[first:]).float().mean()
        get_logger().info("tiny CLIP names the %s of %.1f %% of new pictures", question.name, 100 * share)
