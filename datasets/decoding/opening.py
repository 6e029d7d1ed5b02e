"""``open_video``: from a path to the reader that fits it, and the table of readers.

What lies at the path decides first: a folder is read as frames, a packed video as such. Only for video files
does ``decoder`` (DATA.DECODER) choose.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable

from datasets.decoding.frame_folder import FrameFolderReader
from datasets.decoding.packed import PACKED_SUFFIX, PackedReader
from datasets.decoding.reader import VideoReader, VideoReadError

Opener = Callable[[str, int, bool], VideoReader]


def _open_pyav(path: str, num_threads: int, salvage: bool) -> VideoReader:
    from datasets.decoding.pyav import PyAVReader

    return PyAVReader(path, num_threads, salvage)


def _open_decord(path: str, num_threads: int, salvage: bool) -> VideoReader:
    from datasets.decoding.decord import DecordReader

    return DecordReader(path, num_threads, salvage)


def _open_torchcodec(path: str, num_threads: int, salvage: bool) -> VideoReader:
    from datasets.decoding.torchcodec import TorchCodecReader

    return TorchCodecReader(path, num_threads, salvage)


DECODERS: dict[str, Opener] = {
    "pyav": _open_pyav,
    "torchcodec": _open_torchcodec,
    "decord": _open_decord,
    "frames": FrameFolderReader,
}
AUTO = "pyav"  # the only one that reads everything, and the fastest: README.md beside this file


def available_decoders() -> dict[str, str | None]:
    """Name of each decoder, and why it does not work here (None: it works). Found out by really importing."""
    return {name: reason_against(name) for name in DECODERS}


@functools.cache
def reason_against(name: str) -> str | None:
    """Why the decoder called ``name`` does not work on this machine; None when it does."""
    try:
        if name == "pyav":
            import av  # noqa: F401
        elif name == "decord":
            from datasets.decoding.decord import load_decord

            load_decord()
        elif name == "torchcodec":
            from torchcodec.decoders import VideoDecoder  # noqa: F401
    except (ImportError, OSError, RuntimeError) as error:
        first_line = (str(error).strip() or name).splitlines()[0]
        return f"{type(error).__name__}: {first_line}"
    return None


def choose_decoder(name: str = "auto") -> str:
    """The decoder that ``name`` (DATA.DECODER) stands for here.

    Raises ValueError for an unknown decoder, and for one that does not work on this machine.
    """
    if name == "auto":
        name = AUTO
    if name not in DECODERS:
        choices = ", ".join(["auto", *DECODERS])
        raise ValueError(f"unknown decoder {name!r}: DATA.DECODER must be one of {choices}")
    reason = reason_against(name)
    if reason is not None:
        raise ValueError(f"DATA.DECODER {name} does not work here ({reason}): install it, or set auto")
    return name


def open_video(
    path: str | os.PathLike[str], decoder: str = "auto", *, num_threads: int = 1, salvage: bool = False
) -> VideoReader:
    """Open the video at ``path``; the caller closes it.

    ``decoder``: auto, pyav, torchcodec, decord or frames. ``num_threads``: threads for this one video
    (0: the decoder's own choice). ``salvage``: read those frames of a damaged file that decode, instead
    of refusing it. Raises VideoReadError, whatever is wrong with the file, and nothing else for it.
    """
    name = choose_decoder(decoder)
    path = os.fspath(path)
    if not os.path.exists(path):
        raise VideoReadError(path, name, "there is no such file")
    if os.path.isdir(path):
        return FrameFolderReader(path)
    if path.endswith(PACKED_SUFFIX):
        return PackedReader(path)
    if name == "frames":
        raise VideoReadError(path, name, "it is a file, not a folder of frames; set DATA.DECODER auto")
    return DECODERS[name](path, num_threads, salvage)
