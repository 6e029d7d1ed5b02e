"""What every video model is to the rest of the project.

    video (B,3,T,H,W) ──VideoModel──► VideoFeatures: video (B,E), frames (B,S,E)
                                            └──similarity with text features (K,E)──► logits (B,K)

`role` is the one place where a model says which of its weights are trained and how; it drives
`requires_grad`, the optimizer's groups and what a checkpoint holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.clip import Clip
from models.layers.basic import full_precision
from models.zero_shot import class_text_features


class Role(Enum):
    """How a weight takes part in training."""

    FROZEN = "frozen"
    """Never changes; not stored in checkpoints."""
    PRETRAINED = "pretrained"
    """Comes with CLIP and is tuned, at OPTIMIZER.BASE_LR."""
    NEW = "new"
    """Starts from scratch, at OPTIMIZER.BASE_LR times OPTIMIZER.NEW_NET_LRMULT."""


@dataclass(frozen=True)
class VideoFeatures:
    """Features of a batch of clips, not normalised: video (B,E), frames (B,S,E); D wide instead of E in
    models that leave CLIP's joint space.
    """

    video: Tensor
    frames: Tensor


class VideoModel(nn.Module):
    """A network on top of CLIP that turns clips into embeddings in CLIP's joint space.

    Subclasses implement `forward` and `role`, and may override `similarity`, `class_features`, `decays` and
    `rate_share`.
    """

    in_joint_space: ClassVar[bool] = True
    """Whether the features can be compared with texts; otherwise they are D wide, for a linear head."""
    takes_any_crop: ClassVar[bool] = True
    """Whether clips may be larger or smaller than the images that CLIP was trained on."""

    def __init__(self, clip: Clip, *, alpha: int = 1) -> None:
        """alpha: CLIP sees every α-th frame of a clip."""
        super().__init__()
        self.clip = clip
        self.alpha = alpha

    @property
    def most_frames(self) -> int | None:
        """Most frames of a clip that CLIP can show it; None: any number."""
        return None

    @property
    def embed_dim(self) -> int:
        """E, the width of the joint space."""
        return self.clip.architecture.embed_dim

    @property
    def video_width(self) -> int:
        """Width of `VideoFeatures.video`: E in the joint space, else D."""
        return self.embed_dim if self.in_joint_space else self.clip.architecture.vision_width

    def forward(self, video: Tensor) -> VideoFeatures:
        """video (B,3,T,H,W), float, normalised → embeddings."""
        raise NotImplementedError

    def shown_frames(self, video: Tensor) -> Tensor:
        """video (B,3,T,H,W) → the frames (B,S,3,H,W) that CLIP sees."""
        return video.transpose(1, 2)[:, :: self.alpha]

    @property
    def frames_are_clips(self) -> bool:
        """Whether `VideoFeatures.frames` are what the frozen CLIP alone gives the frames."""
        return False

    def frozen_frames(self, video: Tensor, features: VideoFeatures | None = None) -> Tensor:
        """Embeddings (B,S,E) that CLIP alone gives the frames that this model shows it.

        features: what the model made of the same video; where they hold these embeddings already, CLIP does
        not run again.
        """
        if features is not None and self.frames_are_clips:
            return features.frames
        return self.clip.encode_frames(self.shown_frames(video))

    def class_features(self, names: Sequence[str], templates: Sequence[str]) -> Tensor:
        """Text features (K,E) of K class names, in the form that `similarity` takes."""
        return class_text_features(self.clip, names, templates)

    def similarity(self, features: VideoFeatures, text: Tensor) -> Tensor:
        """Logits (B,K): cosine of video and text embeddings (K,E) times CLIP's scale."""
        return cosine_logits(features.video, text, self.clip.logit_scale)

    def role(self, name: str) -> Role:
        """How the parameter of that name (as in `named_parameters`) is trained."""
        raise NotImplementedError

    def does_without(self, name: str) -> bool:
        """Whether a file of this method may hold a weight of that name which this form of it has not."""
        return False

    def decays(self, name: str, parameter: nn.Parameter) -> bool:
        """Whether weight decay applies: not to biases, norms, tokens and positions."""
        return parameter.ndim >= 2 and name.rsplit(".", 1)[-1] not in NOT_DECAYED

    def rate_share(self, name: str) -> float:
        """The parameter's learning rate, as a share of the one that its role gives it."""
        return 1.0

    def train(self, mode: bool = True) -> VideoModel:
        """Training mode for what is trained; towers that are frozen as a whole stay in evaluation mode."""
        super().train(mode)
        for tower in (self.clip.visual, self.clip.text):
            if not any(parameter.requires_grad for parameter in tower.parameters()):
                tower.eval()
        return self


NOT_DECAYED = frozenset(
    {"class_embedding", "positional_embedding", "temporal_embedding", "class_token", "positions"}
    | {"video_query", "spatial_query"}
)
"""Last parts of the names of learned tokens and positions, which are matrices but do not decay."""


class HasRoles(Protocol):
    """A network that knows the role of each of its weights."""

    training: bool

    def role(self, name: str) -> Role:
        """How the parameter of that name is trained."""

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """As of torch's modules."""

    def train(self, mode: bool = True) -> object:
        """As of torch's modules."""


def apply_roles(model: HasRoles) -> None:
    """Set `requires_grad` of every parameter by its role, and the mode of frozen parts."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(model.role(name) is not Role.FROZEN)
    model.train(model.training)


def cosine_logits(video: Tensor, text: Tensor, logit_scale: Tensor) -> Tensor:
    """exp(logit_scale) · cos(video, text) for all pairs: (B,E), (K,E) → (B,K), in float32."""
    video, text = F.normalize(video.float(), dim=-1), F.normalize(text.float(), dim=-1)
    with full_precision(video):
        return torch.exp(logit_scale.float()) * video @ text.t()
