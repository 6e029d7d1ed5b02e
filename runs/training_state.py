"""Everything that a run needs to go on as if it had never stopped, as one checkpoint.

    weights (trainable only) · optimizer · loss scaler · weight average · progress · all random states
    + SHA-256 of the frozen weights, which are not stored but must be the same when the run goes on

The learning rate and the order of the data are functions of the step and need no state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import torch
from torch import nn
from torch.optim import Optimizer

from models.bundled_clip import differing_unshown
from runs.trained_with import BEHAVIOUR
from utils import distributed
from utils.checkpoint import CheckpointError, load_trainable_state, trainable_state
from utils.config import ConfigError
from utils.ema import WeightAverage
from utils.logging import get_logger
from utils.reproducibility import random_state, restore_random_state, seed_everything

FORMAT = 1


@dataclass
class Progress:
    """How far a training run has come, in numbers."""

    step: int = 0
    """Steps taken, skipped ones included."""
    closed_loops: int = 0
    """Loops after which validation and checkpoint, where due, have been done."""
    best_score: float | None = None
    """Best validation score so far."""
    best_step: int | None = None
    """Step at which it was reached."""
    nonfinite_steps: int = 0
    """Steps skipped because the loss or the gradient was no number."""
    overflow_steps: int = 0
    """Steps that fp16 loss scaling skipped while it looked for its scale."""
    clips: int = 0
    """Training clips read, over all processes."""
    replaced_clips: int = 0
    """Those that stand for a video that could not be read."""
    seconds: float = 0.0
    """Time spent training, earlier parts of a resumed run included."""
    window_loss: float = 0.0
    """Sum of the losses since the last line of the log."""
    window_steps: int = 0
    """Number of those losses."""


class DataState(Protocol):
    """What the training data must remember, as plain types."""

    def state_dict(self) -> dict[str, Any]:
        """Of this process."""

    def load_state_dict(self, states: Sequence[Mapping[str, Any]]) -> None:
        """From those of all processes, as many as there were."""


@dataclass(frozen=True)
class TrainingState:
    """The live objects whose state makes up a checkpoint."""

    model: nn.Module
    optimizer: Optimizer
    scaler: torch.amp.GradScaler
    average: WeightAverage | None
    progress: Progress
    frozen_sha256: str
    config: Mapping[str, Any]
    seed: int
    data: DataState
    class_names: tuple[tuple[str, ...], ...] = ()
    """Per head; for whoever uses the checkpoint without the lists, and the same when the run goes on."""
    videos_sha256: str = ""
    """Of the training list, which must be the same when the run goes on."""
    validation_sha256: str = ""
    """Of the validation list, which must be the same once there is a best score on it."""
    encoder: Mapping[str, Any] = field(default_factory=dict)
    """What the weights of CLIP do not show: `quick_gelu`, `head_width`."""
    does_without: Callable[[str], bool] = lambda name: False
    """Whether a checkpoint of before may hold a weight of that name, which by now is none of the model's."""

    def capture(self) -> dict[str, Any]:
        """The checkpoint as plain types and tensors. Every process must call it: it gathers random states."""
        return {
            "format": FORMAT,
            "config": dict(self.config),
            "class_names": [list(names) for names in self.class_names],
            "videos_sha256": self.videos_sha256,
            "validation_sha256": self.validation_sha256,
            "progress": asdict(self.progress),
            "weights": trainable_state(self.model),
            "average": None if self.average is None else self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "random": distributed.gather(random_state()),
            "data": distributed.gather(self.data.state_dict()),
            "frozen_sha256": self.frozen_sha256,
            "encoder": dict(self.encoder),
            "behaviour": BEHAVIOUR,
            "torch": str(torch.__version__),
        }

    def restore(self, state: Mapping[str, Any], source: str) -> None:
        """Bring the live objects to what `capture` gave.

        Raises, naming `source`: CheckpointError when they do not fit, ConfigError when the lists are others.
        """
        self.check_origin(state, source)
        load_trainable_state(self.model, self._used(state["weights"]), source)
        self._restore_average(state["average"], source)
        self._restore_optimizer(state["optimizer"], source)
        if state["scaler"]:  # a run without loss scaling leaves none behind
            self.scaler.load_state_dict(state["scaler"])
        for name, value in state["progress"].items():
            setattr(self.progress, name, value)
        self.data.load_state_dict(state["data"])
        self._restore_random(state["random"])

    def check_origin(self, state: Mapping[str, Any], source: str) -> None:
        """Raises, naming `source`: CheckpointError where its run froze other weights than this one,
        ConfigError where it read other lists.
        """
        if state.get("format") != FORMAT:
            raise CheckpointError(
                f"{source} is not a training checkpoint of this version (format {state.get('format')!r}, "
                f"expected {FORMAT})"
            )
        if state["frozen_sha256"] != self.frozen_sha256:
            raise CheckpointError(
                f"{source} was trained on other frozen weights (SHA-256 {state['frozen_sha256'][:12]}…) than "
                f"those loaded now ({self.frozen_sha256[:12]}…): set "
                "VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH to the same weights"
            )
        if differences := differing_unshown(state.get("encoder", {}), self.encoder):
            raise CheckpointError(f"{source} was trained {differences}")
        names = [list(head) for head in self.class_names]
        videos = state.get("videos_sha256", self.videos_sha256)  # checkpoints of before have none
        known = state.get("class_names", names)
        if known != names or videos != self.videos_sha256:
            what = "training videos" if known == names else "classes"
            raise ConfigError(
                f"{source} was trained on a list of other {what} than the one read now",
                key="DATA.ANNO_DIR",
                remedy="bring the lists back to what they were, or start a run of its own from these weights "
                "(another OUTPUT_DIR, TRAIN.CHECKPOINT_FILE_PATH, and TRAIN.FINE_TUNE true)",
            )
        validated = state.get("validation_sha256", self.validation_sha256)
        if state["progress"]["best_score"] is not None and validated != self.validation_sha256:
            raise ConfigError(
                f"{source} has its best score from another validation list than the one read now",
                key="DATA.ANNO_DIR",
                remedy="bring the list back to what it was, or go on in another OUTPUT_DIR "
                "(TRAIN.CHECKPOINT_FILE_PATH, and TRAIN.FINE_TUNE false), which knows no best score yet",
            )

    def _restore_average(self, average: Mapping[str, Any] | None, source: str) -> None:
        if (average is None) != (self.average is None):
            raise CheckpointError(f"{source} was written with another setting of MODEL.EMA.ENABLE")
        if self.average is not None and average is not None:
            self.average.load_state_dict(self._used(average))

    def _restore_optimizer(self, state: Mapping[str, Any], source: str) -> None:
        """The moments of each weight, by its name; the settings of the groups are this run's."""
        own = self.optimizer.state_dict()
        stored, wanted = _names_in_order(state), _names_in_order(own)
        if self._used(dict.fromkeys(stored)).keys() != set(wanted):
            raise CheckpointError(f"{source} has trained other weights than this run does")
        moments = {name: state["state"][n] for n, name in enumerate(stored) if n in state["state"]}
        own["state"] = {n: moments[name] for n, name in enumerate(wanted) if name in moments}
        self.optimizer.load_state_dict(own)

    def _used(self, named: Mapping[str, Any]) -> dict[str, Any]:
        """What the model has a weight for."""
        return {name: value for name, value in named.items() if not self.does_without(name)}

    def _restore_random(self, states: list[dict[str, Any]]) -> None:
        own = distributed.rank()
        if len(states) != distributed.world_size():
            get_logger().info(
                "the checkpoint comes from %d processes, now there are %d: dropout and the like draw anew",
                len(states),
                distributed.world_size(),
            )
            seed_everything(self.seed + self.progress.step, own)
        else:
            restore_random_state(states[own])


def _names_in_order(optimizer: Mapping[str, Any]) -> list[str]:
    """Names of the weights of an optimizer's state, in the order in which it numbers them."""
    return [name for group in optimizer["param_groups"] for name in group["names"]]
