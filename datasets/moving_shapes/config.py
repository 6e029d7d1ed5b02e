"""Configuration of the "moving shapes" data set. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass

from utils.config import require


@dataclass(frozen=True)
class MovingShapesConfig:
    """What the generated data set holds. Two equal configurations give the same files, byte for byte."""

    num_train: int = 1600
    """Training clips: pairs of a scene and the same scene played backwards."""
    num_test: int = 480
    """Test clips. 480 are two of each motion, colour and shape."""
    num_frames: int = 32
    """Frames of a clip."""
    frame_size: int = 64
    """Side of the square frame in pixels."""
    fps: int = 30
    """Frames per second of the files."""
    quantiser: int = 18
    """H.264's constant quantiser, 0 (lossless) to 51."""
    seed: int = 0
    """Seed of everything random."""

    def __post_init__(self) -> None:
        for key in ("NUM_TRAIN", "NUM_TEST"):
            count = getattr(self, key.lower())
            require(
                count > 0 and count % 2 == 0,
                key,
                f"{count} is not a positive even number",
                "clips come in time-reversed pairs: give a multiple of 2",
            )
        size, quantiser = self.frame_size, self.quantiser
        require(
            size >= 16 and size % 2 == 0, "FRAME_SIZE", f"{size} is not even and 16 or more", "64 is usual"
        )
        require(self.num_frames >= 2, "NUM_FRAMES", f"{self.num_frames} frames show no motion", "32 is usual")
        require(self.fps >= 1, "FPS", f"{self.fps} is not positive", "30 is usual")
        require(0 <= quantiser <= 51, "QUANTISER", f"{quantiser} is not in 0 to 51", "18 is usual")
        require(self.seed >= 0, "SEED", f"{self.seed} is negative", "give 0 or more")
