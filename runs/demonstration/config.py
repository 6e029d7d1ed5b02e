"""What the demonstration does beside the main job: data, the tiny CLIP, the order-blind baseline. Torch-free.

`FULL` is `make demo`; `QUICK` runs the same code in seconds, to see that it runs: its numbers mean little.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from datasets.moving_shapes.config import MovingShapesConfig


@dataclass(frozen=True)
class PretrainingConfig:
    """Contrastive training of the tiny CLIP on single pictures and captions of their appearance."""

    architecture: str = "tiny-moving-shapes"
    """Name of the CLIP architecture."""
    num_pictures: int = 12000
    """Pictures to train on; some more are drawn to measure the result."""
    num_held_out: int = 600
    """Pictures to measure the result on."""
    steps: int = 400
    """Optimizer steps."""
    batch_size: int = 64
    """Pictures of a step."""
    reading_steps: int = 200
    """Steps before these, in which the text tower alone learns to read."""
    sentences: int = 96
    """Random sentences of a step."""
    reading_weight: float = 1.0
    """Weight of reading in the loss beside pictures."""
    learning_rate: float = 1e-3
    """Peak of the learning rate, reached after a tenth of the steps; it falls with a cosine."""
    weight_decay: float = 0.05
    """AdamW's weight decay, on matrices only."""
    similarity_scale: float = 50.0
    """Scale of the finished CLIP's cosines. Long training drives it to 100 in OpenAI's CLIP; a minute leaves
    it where it starts, at 14, where texts as close as a sentence and its reverse can hardly be told apart."""
    seed: int = 0
    """Seed of pictures, weights and batches."""


@dataclass(frozen=True)
class ProbeConfig:
    """The order-blind baseline: a classifier on frozen features pooled over a clip's frames."""

    hidden: int = 256
    """Width of its hidden layer."""
    epochs: int = 40
    """Passes over the training clips."""
    batch_size: int = 64
    """Clips of a step."""
    learning_rate: float = 1e-3
    """Peak of the learning rate; it falls with a cosine."""
    weight_decay: float = 0.05
    """AdamW's weight decay."""
    dropout: float = 0.3
    """On the features and on the hidden layer."""
    seed: int = 0
    """Seed of weights and batches."""


@dataclass(frozen=True)
class DemoConfig:
    """The demonstration apart from the main job, which has a YAML file of its own."""

    data: MovingShapesConfig = field(default_factory=MovingShapesConfig)
    pretraining: PretrainingConfig = field(default_factory=PretrainingConfig)
    probe: ProbeConfig = field(default_factory=ProbeConfig)
    overrides: tuple[str, ...] = ()
    """KEY VALUE pairs for the main job."""


FULL = DemoConfig()
QUICK = DemoConfig(
    data=MovingShapesConfig(num_train=32, num_test=16),
    pretraining=PretrainingConfig(num_pictures=64, num_held_out=32, steps=4, batch_size=16, reading_steps=2),
    probe=ProbeConfig(epochs=2, batch_size=16),
    overrides=("OPTIMIZER.MAX_EPOCH", "2", "OPTIMIZER.WARMUP_EPOCHS", "1", "TRAIN.BATCH_SIZE", "16"),
)
