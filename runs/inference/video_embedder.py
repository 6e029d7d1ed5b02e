"""Files and texts to features, by a trained network that matches them: what an index of videos works with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from datasets.transforms.device import DeviceTransform
from models.interface import Role, VideoFeatures
from models.retriever import Retriever
from runs.build_data import build_device_transform
from runs.build_model import build_retriever, check_normalisation, load_weights
from runs.config import RunConfig
from runs.inference.clips import ClipSettings
from runs.process import choose_device
from runs.retrieval_data import CaptionTokens
from utils.checkpoint import fingerprint
from utils.config import ConfigError
from utils.reproducibility import drawn_as_in_a_run

PICTURE_FRAMES = 4
PICTURE_HEIGHT = 120
PICTURE_GAP = 4
_VIDEOS_AT_A_TIME = 256


@dataclass(frozen=True)
class VideoEmbedder:
    """The network with everything that stands between it and files or texts."""

    network: Retriever
    clips: ClipSettings
    transform: DeviceTransform
    tokens: CaptionTokens
    device: torch.device

    @staticmethod
    def of(config: RunConfig, checkpoint: str) -> VideoEmbedder:
        """Raises ConfigError for weights that cannot be had, or are needed and not given."""
        device = choose_device(config.num_gpus, torch.cuda.device_count())
        if not checkpoint:
            check_normalisation(config, tunes=False)
        with drawn_as_in_a_run(config.random_seed):  # a CLIP of random weights is that of the run
            network = build_retriever(config, device)
        if checkpoint:
            load_weights(network, checkpoint, "--checkpoint", used_with=config)
        elif any(network.role(name) is Role.NEW for name, _ in network.named_parameters()):
            raise ConfigError(
                f"model {config.model.name!r} has weights of its own, and none are given",
                key="--checkpoint",
                remedy="name a trained checkpoint, or take MODEL.NAME clip, which needs none",
            )
        tokens = CaptionTokens(network.model.clip, config.retrieval.max_tokens)
        return VideoEmbedder(
            network.eval(), ClipSettings(config), build_device_transform(config), tokens, device
        )

    def sha256(self) -> str:
        """Of all weights."""
        return fingerprint(dict(self.network.named_parameters()))

    @torch.inference_mode()
    def video(self, path: str) -> tuple[VideoFeatures, Image.Image]:
        """Features (1, ...) of a video, and its picture. Raises VideoReadError and OSError."""
        with self.clips.open(path) as reader:
            clip = self.clips.read(reader)
            wanted = np.linspace(0, reader.frame_count - 1, PICTURE_FRAMES).round().astype(np.int64)
            frames = reader.get_frames(wanted)
        return self.network.model(self.transform(clip.to(self.device), None)), _strip(frames)

    @torch.inference_mode()
    def similarities(self, text: str, features: Mapping[str, Tensor]) -> Tensor:
        """Similarities (n,) of a text with the videos whose features (n, ...) are given by field."""
        query = self.network.embed_texts(self.tokens([text]).to(self.device))
        kind = features_type(features)
        parts = []
        for first in range(0, len(features["video"]), _VIDEOS_AT_A_TIME):
            some = slice(first, first + _VIDEOS_AT_A_TIME)
            videos = kind(**{name: rows[some].to(self.device) for name, rows in features.items()})
            parts.append(self.network.similarity(query, videos)[0].cpu())
        return torch.cat(parts)


def features_type(found: Mapping[str, Tensor]) -> type[VideoFeatures]:
    """The class of features with these fields."""
    kinds: Iterator[type[VideoFeatures]] = iter((VideoFeatures, *VideoFeatures.__subclasses__()))
    return next(kind for kind in kinds if {item.name for item in fields(kind)} == set(found))


def _strip(frames: np.ndarray) -> Image.Image:
    """Frames (n,H,W,3) side by side."""
    height, width = frames.shape[1:3]
    shown = max(1, round(width * PICTURE_HEIGHT / height))
    strip = Image.new("RGB", ((shown + PICTURE_GAP) * len(frames) - PICTURE_GAP, PICTURE_HEIGHT), "white")
    for place, frame in enumerate(frames):
        picture = Image.fromarray(frame).resize((shown, PICTURE_HEIGHT))
        strip.paste(picture, (place * (shown + PICTURE_GAP), 0))
    return strip
