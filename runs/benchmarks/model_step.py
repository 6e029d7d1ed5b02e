"""What `runs/benchmark.py model` times: steps and forward passes over random clips and random weights."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from models.clip import Clip, describe_architecture
from models.config import DistConfig
from models.dist import Dist
from models.interface import apply_roles
from models.layers.attention import ResidualAttentionBlock
from runs.benchmarks.model_report import ModelMeasurement
from runs.benchmarks.reference_dist import ReferenceDist
from utils.memory import peak_memory_bytes, reset_peak_memory
from utils.versions import versions

if TYPE_CHECKING:
    from runs.benchmarks.model import ModelSettings

CONTENDERS = ("frozen forward", "training step", "baseline step", "inference", "baseline inference")
"""In the order of a round."""
_PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Bench:
    """A network, random clips, and the contenders as functions without arguments."""

    def __init__(self, settings: ModelSettings) -> None:
        if settings.threads:
            torch.set_num_threads(settings.threads)
        device = settings.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(device)
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
            compile_regions(self.model)

    def contender(self, name: str) -> Callable[[], None]:
        """The function of that name."""
        return {
            "frozen forward": self._frozen,
            "training step": lambda: self._step(lambda video: self.model(video).video),
            "baseline step": lambda: self._step(self.baseline),
            "inference": lambda: self._infer(lambda video: self.model(video).video),
            "baseline inference": lambda: self._infer(self.baseline),
        }[name]

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

    def _frozen(self) -> None:
        with torch.no_grad(), self._autocast():
            self.model.frozen_frames(self.video)

    def _step(self, forward: Callable[[Tensor], Tensor]) -> None:
        self.optimizer.zero_grad()
        with self._autocast():
            embedding = forward(self.video)
        embedding.float().square().mean().backward()
        self.optimizer.step()

    def _infer(self, forward: Callable[[Tensor], Tensor]) -> None:
        with torch.no_grad(), self._autocast():
            forward(self.video)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def compile_regions(model: nn.Module) -> None:
    """torch.compile for each repeated part: all blocks share one compilation."""
    for part in model.modules():
        if isinstance(part, ResidualAttentionBlock) or type(part).__name__ in ("DistStep", "AdaptivePooling"):
            part.compile()


def measure_times(settings: ModelSettings) -> ModelMeasurement:
    """Every contender once a round; the first round warms up and does not count."""
    bench = Bench(settings)
    actions = {name: bench.contender(name) for name in CONTENDERS}
    rounds = [
        {name: bench.seconds(action) for name, action in actions.items()} for _ in range(settings.rounds + 1)
    ]
    name = torch.cuda.get_device_name(bench.device) if bench.device.type == "cuda" else "CPU"
    return ModelMeasurement(
        settings=vars(settings),
        device=f"{name}, {torch.get_num_threads()} CPU threads",
        precision=str(bench.dtype).removeprefix("torch."),
        seconds={name: [times[name] for times in rounds[1:]] for name in CONTENDERS},
        difference=bench.difference(),
        memory_gib={},
        versions=versions(),
    )


def peak_memory(name: str, settings: ModelSettings) -> float:
    """GiB at a contender's peak, weights included: the allocator's on a GPU, the process's on a CPU.

    Needs a process of its own: a resident peak never sinks.
    """
    bench = Bench(settings)
    action = bench.contender(name)
    reset_peak_memory(bench.device)
    for _ in range(2):
        action()
    return peak_memory_bytes(bench.device) / 2**30
