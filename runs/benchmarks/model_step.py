"""What `runs/benchmark.py model` times: steps and forward passes over random clips and random weights."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cached_property, partial
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.clip import Clip, describe_architecture, open_clip_image_tower
from models.config import DistConfig
from models.dist import Dist
from models.frozen_tower import keep_frozen_tower_in
from models.interface import apply_roles
from runs.benchmarks.model_report import ModelMeasurement
from runs.benchmarks.reference_dist import ReferenceDist
from runs.inference.loading import choose_device
from utils.compilation import compile_blocks
from utils.config import ConfigError
from utils.memory import peak_memory_bytes, reset_peak_memory
from utils.precision import allow_tf32
from utils.reproducibility import deterministic_kernels
from utils.versions import versions

if TYPE_CHECKING:
    from runs.benchmarks.model import ModelSettings

CONTENDERS = (
    "open_clip forward",
    "frozen forward",
    "training step",
    "baseline step",
    "inference",
    "baseline inference",
)
"""In the order of a round; beside these a step and an inference with frozen weights in half and int8."""
_PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Bench:
    """A network, random clips, and the contenders as functions without arguments."""

    def __init__(self, settings: ModelSettings, *, one_alone: bool = False) -> None:
        """one_alone: a single contender is measured, so that nothing needs to be there for the others."""
        if settings.threads:
            torch.set_num_threads(settings.threads)
        allow_tf32(True)  # as in a run
        deterministic_kernels(False)
        self.one_alone = one_alone
        self.settings = settings
        self._stand_ins: dict[str, tuple[Callable[[Tensor], Tensor], ...]] = {}
        self.device = choose_device(settings.device)
        precision = settings.precision
        if precision == "auto":
            precision = "fp32" if self.device.type == "cpu" else "bf16"
        self.dtype = _PRECISIONS[precision]
        torch.manual_seed(0)
        architecture, quick = describe_architecture(settings.architecture)
        clip = Clip(architecture, with_quick_gelu=quick)
        config = DistConfig(ada_pooling_layers=settings.pooling_layers)
        self.model = Dist(clip, config, frames=settings.frames, alpha=settings.alpha).to(self.device)
        apply_roles(self.model)
        self.model.train()
        self.baseline = ReferenceDist(self.model)
        size = architecture.image_size
        self.video = torch.randn(settings.batch, 3, settings.frames, size, size, device=self.device)
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=1e-6, fused=True)
        if settings.compile_regions:
            compile_blocks(self.model)

    @property
    def smaller(self) -> tuple[str, ...]:
        """What else the frozen weights can be kept in: half, and on a CPU int8."""
        return ("half", "int8") if self.device.type == "cpu" and self.dtype == torch.float32 else ("half",)

    @property
    def names(self) -> tuple[str, ...]:
        """The contenders that are asked for. Raises ConfigError for others than there are."""
        wanted = self.settings.contenders
        reduced = (f"{what}, {kind}" for kind in self.smaller for what in ("training step", "inference"))
        known = (*CONTENDERS, *reduced)
        if unknown := set(wanted) - set(known):
            raise ConfigError(f"no contender is called {min(unknown)!r}; there are {', '.join(known)}")
        return tuple(name for name in known if name in wanted or not wanted)

    def contender(self, name: str) -> Callable[[], None]:
        """The function of that name."""
        ours = partial(_video_of, self.model)
        own, _, kind = name.partition(", ")
        action = {
            "open_clip forward": lambda: self._infer(self._open_clip),
            "frozen forward": lambda: self._infer(self.model.frozen_frames),
            "training step": lambda: self._step(ours),
            "baseline step": lambda: self._step(self.baseline),
            "inference": lambda: self._infer(ours),
            "baseline inference": lambda: self._infer(self.baseline),
        }[own]
        return action if not kind else lambda: self._with_stand_ins(kind, action)

    def seconds(self, action: Callable[[], None]) -> float:
        """Time of one call, the device's work included."""
        self._wait()
        start = time.perf_counter()
        action()
        self._wait()
        return time.perf_counter() - start

    def difference(self) -> float:
        """Largest difference between both implementations' embeddings over their largest value."""
        with torch.no_grad(), self._autocast():
            ours, theirs = self.model(self.video).video.float(), self.baseline(self.video).float()
        return float((ours - theirs).abs().max() / theirs.abs().max())

    def _step(self, forward: Callable[[Tensor], Tensor]) -> None:
        self.optimizer.zero_grad()
        with self._autocast():
            embedding = forward(self.video)
        embedding.float().square().mean().backward()
        self.optimizer.step()

    def _infer(self, forward: Callable[[Tensor], Tensor]) -> None:
        with torch.no_grad(), self._autocast():
            forward(self.video)

    def _open_clip(self, video: Tensor) -> Tensor:
        """open_clip's own image tower on the sparse frames."""
        frames = self.model.shown_frames(video).flatten(0, 1)
        return self._open_clip_tower(frames)

    @cached_property
    def _open_clip_tower(self) -> nn.Module:
        return open_clip_image_tower(self.settings.architecture).to(self.device)

    def _with_stand_ins(self, kind: str, action: Callable[[], None]) -> None:
        """`action` with the frozen weights kept in `kind`, made at the first call."""
        tower = self.model.clip.visual
        if kind not in self._stand_ins:
            half = torch.bfloat16 if self.dtype == torch.float32 else self.dtype
            keep_frozen_tower_in(tower, kind, half)
            self._stand_ins[kind] = tower.stand_ins
            if not self.one_alone:
                tower.transformer.to(self.device)  # the other contenders go on with the originals
        tower.stand_ins = self._stand_ins[kind]
        try:
            action()
        finally:
            tower.stand_ins = ()

    def similarities(self) -> dict[str, float]:
        """For each of `smaller` the smallest cosine, over the frames, of their embeddings with the frozen
        weights as they are and kept in it.
        """
        found: list[Tensor] = []

        def embed() -> None:
            with torch.no_grad(), self._autocast():
                found.append(self.model.frozen_frames(self.video).float())

        embed()
        for kind in self.smaller:
            self._with_stand_ins(kind, embed)
        exact, *smaller = found
        return {
            kind: float(F.cosine_similarity(exact, embeddings, dim=-1).min())
            for kind, embeddings in zip(self.smaller, smaller, strict=True)
        }

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def _video_of(model: Dist, video: Tensor) -> Tensor:
    return model(video).video


def measure_times(settings: ModelSettings) -> ModelMeasurement:
    """Every contender once a round; the first round warms up and does not count."""
    bench = Bench(settings)
    actions = {name: bench.contender(name) for name in bench.names}
    rounds = [
        {name: bench.seconds(action) for name, action in actions.items()} for _ in range(settings.rounds + 1)
    ]
    name = torch.cuda.get_device_name(bench.device) if bench.device.type == "cuda" else "CPU"
    return ModelMeasurement(
        settings=vars(settings),
        device=f"{name}, {torch.get_num_threads()} CPU threads",
        precision=str(bench.dtype).removeprefix("torch."),
        seconds={name: [times[name] for times in rounds[1:]] for name in bench.names},
        difference=bench.difference(),
        similarities=bench.similarities(),
        memory_gib={},
        versions=versions(),
    )


def peak_memory(name: str, settings: ModelSettings) -> float:
    """GiB at a contender's peak, weights included: the allocator's on a GPU, the process's on a CPU.

    Needs a process of its own: a resident peak never sinks.
    """
    bench = Bench(settings, one_alone=True)
    action = bench.contender(name)
    reset_peak_memory(bench.device)
    for _ in range(2):
        action()
    return peak_memory_bytes(bench.device) / 2**30
