"""No setting leaves a trained weight without a gradient: several processes would stop at it."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
import torch

from models.config import MODEL_NAMES, MODELS_THAT_CAN_TUNE_TEXT, MODELS_THAT_CAN_TUNE_VISUAL
from models.contrastive import contrastive_loss
from models.heads import Recognizer
from models.retriever import Retriever
from runs.build_model import build_network, build_retriever
from runs.config import RunConfig, load_run_config
from tests.runs.test_every_method import ROOMY
from tests.runs.tiny_runs import tiny_pairs, words
from utils.config import ConfigError

CPU = torch.device("cpu")
SMALL = {"VIDEO.BACKBONE.STAN.DEPTH": "2", "VIDEO.BACKBONE.CLIP4CLIP.LAYERS": "1"}
RETRIEVAL = {
    "TASK_TYPE": "retrieval",
    "AUGMENTATION.MIXUP.ENABLE": "false",
    "AUGMENTATION.CUTMIX.ENABLE": "false",
    "TEST.NUM_ENSEMBLE_VIEWS": "1",
    "DATA.SPARSE_SAMPLE_ALPHA": "1",
}
REFUSED = "VIDEO.BACKBONE.FREEZE_TEXT|RETRIEVAL.ALIGNMENT|joint space"
"""What the messages name where a combination cannot be trained."""


def config_of(name: str, changes: dict[str, str]) -> RunConfig:
    pairs = tiny_pairs(Path("videos"), Path("run")) | ROOMY | SMALL | {"MODEL.NAME": name} | changes
    return load_run_config(None, words(pairs))


def frozen_towers(name: str) -> list[dict[str, str]]:
    """Every way to freeze the towers that the model allows."""
    visual = ("true", "false") if name in MODELS_THAT_CAN_TUNE_VISUAL else ("true",)
    text = ("true", "false") if name in MODELS_THAT_CAN_TUNE_TEXT else ("true",)
    return [
        {"VIDEO.BACKBONE.FREEZE_VISUAL": image, "VIDEO.BACKBONE.FREEZE_TEXT": word}
        for image, word in product(visual, text)
    ]


def without_gradient(network: Recognizer | Retriever, config: RunConfig) -> list[str]:
    """Trained weights that a step would not reach."""
    size = config.data.train_crop_size
    video = torch.randn(2, 3, config.data.num_input_frames, size, size)
    if isinstance(network, Retriever):
        tokens = network.model.clip.tokenize(["red", "a green square"], 16)
        loss = contrastive_loss(network(video, tokens), network.similarity)
    else:
        (logits,) = network(video)
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1]))
    if not loss.requires_grad:
        return [name for name, weight in network.named_parameters() if weight.requires_grad]
    loss.backward()
    return [
        name for name, weight in network.named_parameters() if weight.requires_grad and weight.grad is None
    ]


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_classification_reaches_every_trained_weight(name: str) -> None:
    trained = 0
    for head, towers in product(("text", "linear"), frozen_towers(name)):
        try:
            config = config_of(name, towers | {"VIDEO.HEAD.NAME": head})
            network = build_network(config, (("red", "green", "blue"),), CPU)
        except ConfigError as error:
            assert any(key in str(error) for key in REFUSED.split("|")), error
            continue
        assert without_gradient(network, config) == [], (head, towers)
        trained += 1
    assert trained


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_retrieval_reaches_every_trained_weight(name: str) -> None:
    for alignment, temperature, towers in product(
        ("pooled", "mug", "mug_full"), ("0.05", "null"), frozen_towers(name)
    ):
        settings = {"RETRIEVAL.ALIGNMENT": alignment, "RETRIEVAL.TEMPERATURE": temperature}
        try:
            config = config_of(name, RETRIEVAL | towers | settings)
            network = build_retriever(config, CPU)
        except ConfigError as error:
            assert any(key in str(error) for key in REFUSED.split("|")), error
            continue
        assert without_gradient(network, config) == [], (settings, towers)
