"""The ways of reading clips that `runs/benchmark.py data` compares."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from datasets.config import CLIP_MEAN, CLIP_STD
from datasets.decoding import open_video
from datasets.loader import VideoLoader
from datasets.records import VideoRecord
from datasets.samplers import EvaluationBatches, TrainingBatches
from datasets.sampling import ClipSampling, sample_generator
from datasets.transforms.colour import ColourJitter
from datasets.transforms.device import DeviceTransform
from datasets.transforms.evaluation import EvaluationTransform
from datasets.transforms.flip import Flip
from datasets.transforms.train import TrainTransform
from datasets.video_dataset import VideoDataset

BATCH = 4
WARM_UP_BATCHES = 3
VIEWS = 3
SIZE = 224
JITTER = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.2, "hue": 0.1}
JITTER_PROBABILITY = 0.8


@dataclass(frozen=True)
class Setting:
    """What all variants have in common."""

    videos: tuple[str, ...]
    packed: tuple[str, ...]
    num_frames: int
    num_workers: int
    num_clips: int
    """That are timed."""
    decoder: str

    @property
    def num_batches(self) -> int:
        """Batches of a run, those before the timed ones included."""
        return WARM_UP_BATCHES * self.num_workers + -(-self.num_clips // BATCH)

    @property
    def sampling(self) -> ClipSampling:
        """One frame from each of as many parts of the video."""
        return ClipSampling(
            num_frames=self.num_frames, mode="segment_based", sampling_rate=1, target_fps=30.0
        )

    def records(self, paths: tuple[str, ...], batches: int) -> list[VideoRecord]:
        """As many videos as fill the batches, in turns."""
        return [VideoRecord(paths[number % len(paths)], (0,)) for number in range(batches * BATCH)]


def run_variant(name: str, setting: Setting) -> float:
    """Clips (or views) per second of a variant."""
    batches = iter(_VARIANTS[name](setting))
    for _ in range(WARM_UP_BATCHES * setting.num_workers):
        next(batches)
    start, clips = time.perf_counter(), 0
    for size in batches:
        clips += size
    return clips / (time.perf_counter() - start)


def _pipeline(
    setting: Setting, paths: tuple[str, ...] | None = None, *, to_float: bool = False
) -> Iterator[int]:
    """Our training data; with `to_float`, with the colours and the normalisation that a device would do."""
    colour = ColourJitter(
        JITTER_PROBABILITY,
        JITTER["brightness"],
        JITTER["contrast"],
        JITTER["saturation"],
        JITTER["hue"],
        grayscale=0.0,
    )
    dataset = VideoDataset(
        setting.records(paths or setting.videos, setting.num_batches),
        partial(open_video, decoder=setting.decoder),
        setting.sampling,
        TrainTransform(size=SIZE, flip=Flip(0.5), colour=colour),
        training=True,
    )
    device = DeviceTransform(CLIP_MEAN, CLIP_STD)
    with VideoLoader(dataset, num_workers=setting.num_workers) as loader:
        for batch in loader.batches(TrainingBatches(len(dataset), BATCH, seed=0)):
            if to_float:
                device(batch.video, batch.colour)
            yield len(batch)


def _views_from_one_decode(setting: Setting) -> Iterator[int]:
    dataset = VideoDataset(
        setting.records(setting.videos, setting.num_batches),
        partial(open_video, decoder=setting.decoder),
        setting.sampling,
        EvaluationTransform(size=SIZE, short_side=SIZE),
        training=False,
        num_clips=VIEWS,
    )
    with VideoLoader(dataset, num_workers=setting.num_workers) as loader:
        for batch in loader.batches(EvaluationBatches(len(dataset), BATCH)):
            yield len(batch) * VIEWS


class _Items(Dataset[Any]):
    """What a function makes of every number of a clip."""

    def __init__(self, setting: Setting, make: Callable[[Setting, int], Any]) -> None:
        self._setting, self._make = setting, make

    def __len__(self) -> int:
        return self._setting.num_batches * BATCH

    def __getitem__(self, number: int) -> Any:
        return self._make(self._setting, number)


def _plain_loader(make: Callable[[Setting, int], Any], setting: Setting) -> Iterator[int]:
    """torch's DataLoader over single items, with workers as ours have them."""
    loader: Iterable[Any] = DataLoader(
        _Items(setting, make),
        batch_size=BATCH,
        num_workers=setting.num_workers,
        multiprocessing_context="forkserver" if setting.num_workers else None,
    )
    for _ in loader:
        yield BATCH


def _frames(setting: Setting, number: int) -> Tensor:
    """The frames (T,H,W,3) uint8 of a training clip."""
    with open_video(setting.videos[number % len(setting.videos)], setting.decoder) as reader:
        generators = [sample_generator(0, 0, number)]
        (indices,) = setting.sampling.training_clips(reader.frame_count, reader.fps, generators)
        return torch.from_numpy(reader.get_frames(indices))


def _decoded(setting: Setting, number: int) -> int:
    return len(_frames(setting, number))


def _naive(setting: Setting, number: int) -> Tensor:
    """Whole frames to float first, then everything else: (3,T,224,224) float32."""
    video = _frames(setting, number).permute(0, 3, 1, 2).float() / 255
    transform = v2.Compose(
        [
            v2.RandomResizedCrop(SIZE, scale=(0.4, 1.0), antialias=False),
            v2.RandomApply([v2.ColorJitter(**JITTER)], JITTER_PROBABILITY),
            v2.RandomHorizontalFlip(),
            v2.Normalize(CLIP_MEAN, CLIP_STD),
        ]
    )
    clip: Tensor = transform(video)
    return clip.transpose(0, 1).contiguous()


def _single_view(setting: Setting, number: int, decoder: str | None = None) -> Tensor:
    """One view of a video, decoded for itself: (1,T,224,224,3) uint8."""
    video = setting.videos[number // VIEWS % len(setting.videos)]
    with open_video(video, decoder or setting.decoder) as reader:
        clips = setting.sampling.test_clips(reader.frame_count, reader.fps, VIEWS)
        frames = torch.from_numpy(reader.get_frames(clips[number % VIEWS]))
    positions = torch.arange(setting.num_frames).numpy()[None]
    return EvaluationTransform(size=SIZE, short_side=SIZE)(frames, positions).clips


_VARIANTS: dict[str, Callable[[Setting], Iterator[int]]] = {
    "decode only": partial(_plain_loader, _decoded),
    "pipeline": _pipeline,
    "pipeline, colours and normalisation on the CPU": partial(_pipeline, to_float=True),
    "naive": partial(_plain_loader, _naive),
    "packed": lambda setting: _pipeline(setting, setting.packed),
    "3 views, one decode": _views_from_one_decode,
    "3 views, a decode each": partial(_plain_loader, _single_view),
    "3 views, decord for each": partial(_plain_loader, partial(_single_view, decoder="decord")),
}
