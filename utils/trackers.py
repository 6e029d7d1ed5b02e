"""TensorBoard and Weights & Biases behind one small interface; optional, imported only when asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class Tracker(Protocol):
    """Where numbers, pictures and clips may go beside the run's own files."""

    def resumed(self, step: int) -> None:
        """The run starts, or goes on, after that many steps; what was told of later ones is void."""

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Record numbers by name."""

    def figure(self, name: str, figure: Any, step: int) -> None:
        """Record a matplotlib figure."""

    def clips(self, name: str, video: Tensor, step: int) -> None:
        """Record clips, uint8 (B,3,T,H,W)."""

    def close(self) -> None:
        """Write out what is pending."""


class TensorboardTracker:
    """Event files in `folder`. Raises ImportError, with the command that helps, without the package."""

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ImportError("TENSORBOARD.ENABLE needs TensorBoard: pip install tensorboard") from error
        self._open = partial(SummaryWriter, log_dir=str(folder))
        self._opened: SummaryWriter | None = None

    @property
    def _writer(self) -> SummaryWriter:
        self._opened = self._opened or self._open()
        return self._opened

    def resumed(self, step: int) -> None:
        """Hides events of later steps."""
        self.close()
        self._opened = self._open(purge_step=step + 1) if step else None

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Record numbers by name."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def figure(self, name: str, figure: Any, step: int) -> None:
        """Record a matplotlib figure."""
        self._writer.add_figure(name, figure, step)

    def clips(self, name: str, video: Tensor, step: int) -> None:
        """Record clips, uint8 (B,3,T,H,W), as one strip of frames a clip: needs no video encoder."""
        for index, clip in enumerate(video.cpu()):
            self._writer.add_image(f"{name}/{index}", film_strip(clip), step)

    def close(self) -> None:
        """Write out what is pending."""
        if self._opened is not None:
            self._opened.close()


class WandbTracker:
    """A run at Weights & Biases. Raises ImportError, with the command that helps, without the package."""

    def __init__(self, folder: Path, project: str, name: str, config: Mapping[str, Any]) -> None:
        try:
            import wandb
        except ImportError as error:
            raise ImportError("WANDB.ENABLE needs Weights & Biases: pip install wandb") from error
        self._wandb = wandb
        # A folder is a run: the same when it goes on, another for a folder of the same name elsewhere.
        identity = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
        self._run = wandb.init(
            project=project, name=name, id=identity, dir=str(folder), config=dict(config), resume="allow"
        )

    def resumed(self, step: int) -> None:
        """Nothing: the service keeps what it has of a step."""

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Record numbers by name."""
        self._run.log(dict(values), step=step)

    def figure(self, name: str, figure: Any, step: int) -> None:
        """Record a matplotlib figure."""
        self._run.log({name: self._wandb.Image(figure)}, step=step)

    def clips(self, name: str, video: Tensor, step: int) -> None:
        """Record clips, uint8 (B,3,T,H,W), as one strip of frames a clip."""
        strips = [self._wandb.Image(film_strip(clip).permute(1, 2, 0).numpy()) for clip in video.cpu()]
        self._run.log({name: strips}, step=step)

    def close(self) -> None:
        """Write out what is pending."""
        self._run.finish()


class Trackers:
    """Several trackers as one; none is fine."""

    def __init__(self, members: Sequence[Tracker] = ()) -> None:
        self._members = tuple(members)

    def __bool__(self) -> bool:
        return bool(self._members)

    def resumed(self, step: int) -> None:
        """The run starts, or goes on, after that many steps."""
        for member in self._members:
            member.resumed(step)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Record numbers by name, everywhere."""
        for member in self._members:
            member.scalars(values, step)

    def figure(self, name: str, figure: Any, step: int) -> None:
        """Record a matplotlib figure, everywhere."""
        for member in self._members:
            member.figure(name, figure, step)

    def clips(self, name: str, video: Tensor, step: int) -> None:
        """Record clips, uint8 (B,3,T,H,W), everywhere."""
        for member in self._members:
            member.clips(name, video, step)

    def close(self) -> None:
        """Write out what is pending, everywhere."""
        for member in self._members:
            member.close()


def film_strip(clip: Tensor) -> Tensor:
    """The frames of a clip side by side: uint8 (3,T,H,W) → (3,H,T·W)."""
    return torch.cat(list(clip.unbind(dim=1)), dim=2)
