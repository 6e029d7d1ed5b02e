"""A model that is ready to use: the network, its configuration, its classes, and where it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from datasets.labels import class_words
from datasets.transforms.device import normalise
from models.clip import Clip
from models.heads import Recognizer
from models.interface import Role, VideoModel
from models.zero_shot import class_text_features
from runs.config import RunConfig
from utils.precision import Precision


@dataclass(frozen=True)
class VideoClassifier:
    """A model in evaluation mode on its device, with what is needed to use it."""

    network: Recognizer
    """The video model; trained classifiers in `heads`, none where classes are compared as texts."""
    config: RunConfig
    class_names: tuple[tuple[str, ...], ...]
    """The classes it was trained for, per head; empty when the file does not say."""
    source: str
    device: torch.device
    precision: Precision
    _text_features: dict[tuple[tuple[str, ...], tuple[str, ...]], tuple[Tensor, Tensor]] = field(
        default_factory=dict
    )

    @property
    def model(self) -> VideoModel:
        """The video model itself."""
        return self.network.model

    @property
    def has_trained_classifier(self) -> bool:
        """Whether its classes are fixed."""
        return len(self.network.heads) > 0

    @property
    def tunes_clip(self) -> bool:
        """Whether training changed CLIP's own weights, so that the frozen CLIP is not in the model."""
        model = self.model
        clip = (name for name, _ in model.named_parameters() if name.startswith("clip."))
        return any(model.role(name) is not Role.FROZEN for name in clip)

    def normalised(self, clips: Tensor) -> Tensor:
        """Clips uint8 (B,3,T,H,W) as the network takes them: float, on the device."""
        data = self.config.data
        return normalise(clips.to(self.device, non_blocking=True), data.mean, data.std)

    @torch.no_grad()
    def text_features(
        self, names: Sequence[str], templates: Sequence[str] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Text features (K,E) of class names, computed once: as the model compares them, and CLIP's own.

        templates: sentences with {} for a name; by default the configuration's.
        """
        chosen = tuple(templates or self.templates)
        key = (tuple(names), chosen)
        if key not in self._text_features:
            words = [class_words(name) for name in names]
            own = self.model.class_features(words, chosen)
            self._text_features[key] = own, class_text_features(self.model.clip, words, chosen)
        return self._text_features[key]

    def clip_text_features(self, clip: Clip, names: Sequence[str]) -> Tensor:
        """Text features (K,E) of class names by another CLIP, with the configuration's templates."""
        return class_text_features(clip, [class_words(name) for name in names], self.templates)

    @property
    def templates(self) -> tuple[str, ...]:
        """The configuration's sentences with {} for a class name."""
        return self.config.data.dataset_label_text.sentences
