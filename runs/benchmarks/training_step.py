"""One method's training step, measured in this process: the engine's own step on clips in memory.

recipe ──► network with random weights (time and memory do not depend on them) ──► TrainingStep
the same on the meta device ──► multiply-adds
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from datasets.decoding import open_video
from datasets.sampling import segment_based
from datasets.transforms.evaluation import EvaluationTransform
from models.build import ClipShape, build_heads, build_video_model, tunes_text
from models.clip import Clip, describe_architecture
from models.heads import Head, Recognizer, TextHead, trainable_count
from models.interface import VideoModel
from models.losses import soft_cross_entropy
from runs.benchmarks.training_report import Measurement, Settings
from runs.build import group_settings
from runs.config import RunConfig
from runs.inference.loading import choose_device
from runs.training_step import SoftCrossEntropy, TrainingClips, TrainingStep
from utils.activation_checkpointing import recompute_activations
from utils.memory import peak_memory_bytes, reset_peak_memory
from utils.optim import build_adamw, parameter_groups
from utils.precision import allow_tf32, resolve_precision
from utils.reproducibility import deterministic_kernels


def measure(label: str, config: RunConfig, settings: Settings) -> Measurement:
    """Build the recipe's network, take steps with it, and tell what they cost."""
    device = _device(settings)
    precision = resolve_precision(settings.precision, device)
    allow_tf32(config.train.tf32)
    deterministic_kernels(config.train.deterministic)
    network: Any = benchmark_network(config).to(device).train()
    if settings.activation_checkpointing:
        recompute_activations(network.model)
    step = TrainingStep(
        forward=network,
        optimizer=build_adamw(
            parameter_groups(network, group_settings(network, config.optimizer)), config.optimizer.betas
        ),
        scaler=precision.scaler(),
        precision=precision,
        objective=SoftCrossEntropy(soft_cross_entropy),
        average=None,
        max_gradient_norm=None,
    )
    clips = _clips(config, settings, device)
    before = reset_peak_memory(device)
    times = _timed(lambda: step([lambda: clips]), settings, device)
    peak = peak_memory_bytes(device)

    def encode() -> None:
        with torch.no_grad(), precision.autocast():
            network.model.frozen_frames(clips.video)

    encoder = statistics.median(_timed(encode, settings, device))
    forward, whole = multiply_adds(config, settings.batch)
    return Measurement(
        label=label,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        precision=precision.name,
        batch=settings.batch,
        frames=config.data.num_input_frames,
        step_ms=1e3 * statistics.median(times),
        fastest_step_ms=1e3 * min(times),
        clips_per_second=settings.batch / statistics.median(times),
        peak_memory_gb=peak / 1e9,
        step_memory_gb=max(0, peak - before) / 1e9,
        trainable_parameters=trainable_count(network),
        forward_gmacs=forward / 1e9,
        step_gmacs=whole / 1e9,
        encoder_ms=1e3 * encoder,
    )


def benchmark_network(config: RunConfig) -> Recognizer:
    """The recipe's network with random weights and text features: what is measured needs no others."""
    backbone = config.video.backbone
    architecture, quick_gelu = describe_architecture(backbone.meta_arch_name)
    shape = ClipShape(config.data.num_input_frames, config.data.sparse_sample_alpha)
    clip = Clip(architecture, with_quick_gelu=quick_gelu or backbone.pretrain_weight_path == "openai")
    model = build_video_model(config.model, config.video, shape, clip=clip)
    return Recognizer(model, [_head(config, model, count) for count in _class_counts(config)])


def _head(config: RunConfig, model: VideoModel, classes: int) -> Head:
    names = [f"class {number}" for number in range(classes)]
    if config.video.head.name == "linear" or tunes_text(model):
        return build_heads(config.video.head, model, [names], ("{}",))[0]
    return TextHead(torch.randn(classes, model.embed_dim))


def _class_counts(config: RunConfig) -> Sequence[int]:
    counts = config.video.head.classes_per_head
    if counts is None:
        raise ValueError("the recipe does not say how many classes there are: set VIDEO.HEAD.NUM_CLASSES")
    return counts


def multiply_adds(config: RunConfig, clips: int = 1) -> tuple[float, float]:
    """Multiply-adds of matrix products and convolutions per clip: forward, and forward with backward.

    clips: of a step, which share what is computed once in it, such as texts under a tuned text tower.
    """
    with torch.device("meta"):
        network = benchmark_network(config).train()
        size = config.data.train_crop_size
        video = torch.empty(clips, 3, config.data.num_input_frames, size, size)
    with FlopCounterMode(display=False) as counter:
        logits = network(video)
        forward = counter.get_total_flops()
        torch.stack([head.sum() for head in logits]).sum().backward()
        whole = counter.get_total_flops()
    return forward / 2 / clips, whole / 2 / clips


def _device(settings: Settings) -> torch.device:
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    return choose_device(settings.device)


def _clips(config: RunConfig, settings: Settings, device: torch.device) -> TrainingClips:
    """One batch that every step is taken on: real clips, or noise."""
    size, frames = config.data.train_crop_size, config.data.num_input_frames
    generator = torch.Generator().manual_seed(0)
    if settings.videos:
        transform = EvaluationTransform(size=size, short_side=size)
        files = [settings.videos[number % len(settings.videos)] for number in range(settings.batch)]
        views = torch.cat([_read(path, frames, transform) for path in files])
        mean, std = torch.tensor(config.data.mean), torch.tensor(config.data.std)
        video = ((views.float() / 255 - mean) / std).permute(0, 4, 1, 2, 3).contiguous()
    else:
        video = torch.randn(settings.batch, 3, frames, size, size, generator=generator)
    targets = [
        torch.rand(settings.batch, count, generator=generator).softmax(dim=1).to(device)
        for count in _class_counts(config)
    ]
    return TrainingClips(video.to(device), tuple(targets), torch.arange(settings.batch))


def _read(path: str, frames: int, transform: EvaluationTransform) -> Tensor:
    """One view of a file (1,T,size,size,3), uint8."""
    with open_video(path) as reader:
        indices = segment_based(reader.frame_count, frames)
        images = torch.from_numpy(reader.get_frames(indices))
    positions = torch.arange(frames).numpy()[None]
    return transform(images, positions).clips


def _timed(action: Callable[[], object], settings: Settings, device: torch.device) -> list[float]:
    """Seconds of each timed repetition, after the warm-up."""
    seconds = []
    for number in range(settings.warmup + settings.steps):
        started = time.perf_counter()
        action()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if number >= settings.warmup:
            seconds.append(time.perf_counter() - started)
    return seconds
