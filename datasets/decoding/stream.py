"""One open video stream in PyAV: opening, seeking and walking over its frames.

Kept apart from the reader so that it is plain which code touches FFmpeg's state. Errors are PyAV's own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

SKIPPING_CODECS = frozenset({"h264", "hevc", "mpeg2video"})  # skip frames without dependants when told to


class NoVideoStreamError(ValueError):
    """The file holds no video stream."""


class WrongLandingError(Exception):
    """A seek did not lead to the keyframe that the file's index promises."""


def open_container(path: str) -> Any:
    """An open PyAV container; the caller closes it. Raises what PyAV raises."""
    import av

    # Text that is not UTF-8 in the metadata (one HMDB51 file) must not make a video unreadable.
    return av.open(path, metadata_errors="replace")


class VideoStream:
    """The best video stream of a file, by FFmpeg's ranking: the choice of all backends.

    ``fresh`` is true while nothing has been read since opening.
    """

    def __init__(self, path: str, num_threads: int = 1) -> None:
        self.path = path
        self._num_threads = num_threads
        self._open()
        self.declared_size = (self.stream.codec_context.width, self.stream.codec_context.height)

    def _open(self) -> None:
        self.container = open_container(self.path)
        self.stream = self.container.streams.best("video")
        if self.stream is None:
            self.container.close()
            raise NoVideoStreamError("it has no video stream")
        self.codec = self.stream.codec_context
        self.codec.thread_count = self._num_threads
        self.fresh = True

    def rewind(self) -> None:
        """Go back to the first packet, by opening the file again where it has been read from."""
        if not self.fresh:
            self.container.close()
            self._open()

    def close(self) -> None:
        """Close the file; harmless when it is closed."""
        self.container.close()

    def packets(self) -> Iterator[Any]:
        """The packets from here on, and at the end one without data, which drains the decoder."""
        self.fresh = False
        return self.container.demux(self.stream)

    def packets_from(self, key_time: int, decode_time: int) -> tuple[int, Iterator[Any]]:
        """Seek to the keyframe shown at ``key_time``: the time of the one landed on, packets from there on.

        An earlier keyframe may be landed on; raises WrongLandingError when the seek leads elsewhere.
        """
        self.fresh = False
        # Containers index presentation times (mp4, Matroska) or decoding times, which are earlier.
        for target in (key_time, decode_time):
            self.container.seek(target, stream=self.stream, backward=True)
            packets = self.packets()
            first = next((packet for packet in packets if packet.is_keyframe or packet.size == 0), None)
            if first is None or first.pts is None or first.is_discard:
                break
            if first.pts <= key_time:
                return first.pts, _chain(first, packets)
        raise WrongLandingError

    def frames(self, packets: Iterator[Any]) -> Iterator[Any]:
        """All frames of ``packets`` in the order in which they are shown."""
        self.codec.skip_frame = "DEFAULT"
        for packet in packets:
            yield from packet.decode()

    def frames_around(self, packets: Iterator[Any], wanted: Collection[int]) -> Iterator[Any]:
        """Frames of ``packets``; those not at ``wanted`` times are left out where none depends on them."""
        may_skip = self.codec.name in SKIPPING_CODECS
        for packet in packets:
            if may_skip:
                self.codec.skip_frame = "DEFAULT" if packet.pts in wanted else "NONREF"
            yield from packet.decode()


def _chain(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest
