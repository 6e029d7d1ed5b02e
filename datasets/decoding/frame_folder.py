"""Videos stored as folders of image files, one a frame, as Something-Something is often kept.

The files are ordered by the number at the end of their names (``img_00001.jpg`` …, ``1.jpg``,
``10.jpg``); a gap in the numbers is an incomplete video and refused. A text file ``fps.txt`` in the
folder says how many frames make a second; without it ``DEFAULT_FPS`` holds.
"""

from __future__ import annotations

import os
import re

import numpy as np
from numpy.typing import NDArray

from datasets.decoding.reader import Frames, VideoReader, VideoReadError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
DEFAULT_FPS = 30.0


class FrameFolderReader(VideoReader):
    """Reads a folder of numbered frames; ``num_threads`` and ``salvage`` mean nothing here."""

    backend = "frames"

    def __init__(self, path: str, num_threads: int = 1, salvage: bool = False) -> None:
        self.path = path
        try:
            names = os.listdir(path)
        except OSError as error:
            raise self._error(str(error)) from error
        self._files = self._in_order(names)
        self.frame_count = len(self._files)
        self.fps = self._read_fps(names)

    def _in_order(self, names: list[str]) -> list[str]:
        numbered: dict[int, str] = {}
        for name in names:
            stem, suffix = os.path.splitext(name)
            number = re.search(r"(\d+)$", stem)
            if suffix.lower() in IMAGE_SUFFIXES and number is not None:
                if int(number[1]) in numbered:
                    raise self._error(f"{name!r} and {numbered[int(number[1])]!r} have the same number")
                numbered[int(number[1])] = name
        if not numbered:
            raise self._error("the folder holds no numbered image files")
        missing = set(range(min(numbered), max(numbered))) - set(numbered)
        if missing:
            raise self._error(f"frame {min(missing)} is missing ({len(missing)} in all)")
        return [numbered[number] for number in sorted(numbered)]

    def _read_fps(self, names: list[str]) -> float:
        if "fps.txt" not in names:
            return DEFAULT_FPS
        with open(os.path.join(self.path, "fps.txt"), encoding="utf-8") as file:
            text = file.read().strip()
        try:
            fps = float(text)
        except ValueError as error:
            raise self._error(f"fps.txt holds {text!r}, not a number") from error
        if not 0 < fps < 10_000:
            raise self._error(f"fps.txt says {fps} frames per second")
        return fps

    def _decode(self, indices: NDArray[np.int64]) -> Frames:
        frames = [self._read_image(self._files[index]) for index in indices]
        if len({frame.shape for frame in frames}) > 1:
            raise self._error("its frames differ in size")
        return np.stack(frames)

    def _read_image(self, name: str) -> NDArray[np.uint8]:
        from PIL import Image

        try:
            with Image.open(os.path.join(self.path, name)) as image:
                return np.asarray(image.convert("RGB"))
        except (OSError, SyntaxError, ValueError) as error:
            raise self._error(f"{name}: {error}") from error

    def _error(self, cause: str) -> VideoReadError:
        return VideoReadError(self.path, self.backend, cause)

    def close(self) -> None:
        """Nothing stays open between calls."""
