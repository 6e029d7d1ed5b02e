"""One open video stream in PyAV: opening, seeking and walking over its frames.

Kept apart from the reader so that it is plain which code touches FFmpeg's state. Errors are PyAV's own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import chain
from typing import Any

from datasets.decoding import h264

# Codecs of which every packet holds one shown picture. (VP8 has hidden ones, MPEG-4 empty ones.)
ONE_PICTURE_A_PACKET = frozenset(
    {"h264", "hevc", "vp9", "av1", "libdav1d", "mpeg2video", "mpeg1video", "mjpeg"}
)


class NoVideoStreamError(ValueError):
    """The file holds no video stream."""


class LostFrameError(ValueError):
    """The decoder silently left out a frame; those that come after it may depend on it."""


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
        if self.stream is None or self.stream.codec_context is None:
            self.container.close()
            raise NoVideoStreamError("it has no video stream that can be decoded")
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
                return first.pts, chain((first,), packets)
        raise WrongLandingError

    def frames(
        self,
        packets: Iterator[Any],
        *,
        ordered: bool,
        since: int | None = None,
        only: Collection[int] | None = None,
    ) -> Iterator[Any]:
        """The frames of ``packets``, in the order in which they are shown.

        ``ordered``: whether presentation times can be believed; then LostFrameError is raised when a frame
        should have come and did not. ``since``: a keyframe's time; decoding begins there, so what is shown
        earlier may not come, or come damaged. ``only``: times of the frames that are wanted; others are left
        out where none depends on them.
        """
        due = _DueFrames(ordered and self.codec.name in ONE_PICTURE_A_PACKET, since)
        leave_out = self.codec.name == "h264" and only is not None
        length = h264.length_size(self.codec.extradata) if leave_out else 0
        for packet in packets:
            unwanted = leave_out and packet.size > 0 and packet.pts not in (only or ())
            if unwanted and h264.is_disposable(memoryview(packet), length):
                continue
            due.sent(packet)
            for frame in packet.decode():
                due.came(frame)
                yield frame


class _DueFrames:
    """Times of the frames that the decoder still owes."""

    def __init__(self, known: bool, since: int | None) -> None:
        self._known = known
        self._since = since
        self._times: set[int] = set()

    def sent(self, packet: Any) -> None:
        """Note a packet that goes to the decoder."""
        shown = packet.size > 0 and packet.pts is not None and not packet.is_discard
        if self._known and shown and (self._since is None or packet.pts >= self._since):
            self._times.add(packet.pts)

    def came(self, frame: Any) -> None:
        """Strike a frame off. Raises LostFrameError when one is due that should have come before it."""
        self._times.discard(frame.pts)
        if frame.pts is not None and self._times and min(self._times) < frame.pts:
            raise LostFrameError(f"the file is damaged: the frame before {frame.time:.3f} s is lost")
