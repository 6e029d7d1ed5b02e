"""The timeline of a video file: which frames it shows, at what times, and where decoding may begin.

Read from the packets of the file without decoding them (about 1 ms for a 10 s clip); header counts are never
believed. Data flow: ``VideoStream -> read_timeline -> Timeline``, which is the
reference of every backend: frame i of the video is the frame with the i-th presentation time.

Not every file can be understood from its packets. AVI carries no presentation times and holds packets without
a picture (every HMDB51 file has one), a transport stream may begin between keyframes, a truncated one has
fewer packets than its header promises. ``Timeline.needs_scan`` and ``Timeline.damage`` say so, and the PyAV
backend then counts by decoding, or refuses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.decoding import avi, h264
from datasets.decoding.matroska import missing_bytes
from datasets.decoding.stream import VideoStream

# Presentation times in these containers are guesses of the demuxer.
UNTIMED_CONTAINERS = frozenset({"avi"})


@dataclass(frozen=True)
class Timeline:
    """What the packets of one video stream say.

    Times count in ``time_base`` seconds. ``damage`` is None for a sound file.
    """

    container: str  # FFmpeg's name of the format, such as "mov,mp4,m4a,3gp,3g2,mj2"
    codec: str
    stream_index: int
    time_base: Fraction
    fps: float
    times: NDArray[np.int64]  # presentation time of every shown frame, increasing (n,)
    key_times: NDArray[np.int64]  # presentation time of every keyframe, increasing (k,)
    key_decode_times: NDArray[np.int64]  # decoding times of the same (k,)
    packet_count: int  # all packets, hidden frames included
    hides_frames: bool  # an edit list, or packets that show nothing
    needs_scan: bool
    damage: str | None
    opens_groups: bool = False
    """Whether frames that are stored after a keyframe are shown before it, or may need those before it (open
    groups of pictures).
    """

    @property
    def is_ordered(self) -> bool:
        """Whether the times increase strictly from frame to frame, and so tell the frames apart."""
        return bool(np.all(np.diff(self.times) > 0))

    @property
    def keys_are_decoded_early(self) -> bool:
        """Whether a keyframe has another decoding time than presentation time (usual with B-frames)."""
        return not np.array_equal(self.key_times, self.key_decode_times)

    @property
    def seconds(self) -> NDArray[np.float64]:
        """Seconds at which each frame appears, counted from the first (n,)."""
        return (self.times - self.times[0]) * float(self.time_base)


@dataclass
class _Packets:
    """Facts of the packets in the order in which they are stored."""

    times: list[int | None]
    decode_times: list[int | None]
    keys: list[bool]
    hidden: list[bool]
    recovers: bool = False
    """Whether an H.264 keyframe is no IDR picture, but a point from which a decoder recovers."""
    corrupt: bool = False
    error: str | None = None


def read_timeline(video: VideoStream) -> Timeline:
    """Read all packets of a freshly opened stream."""
    container, stream = video.container, video.stream
    packets = _read_packets(video)
    shown = [time for time, hidden in zip(packets.times, packets.hidden, strict=True) if not hidden]
    times = np.array(sorted(time for time in shown if time is not None), dtype=np.int64)
    key_times, key_decode_times = _keyframes(packets)
    trusted = (
        len(times) == len(shown)
        and (len(times) < 2 or bool(np.all(np.diff(times) > 0)))
        and not UNTIMED_CONTAINERS.intersection(container.format.name.split(","))
        and len(key_times) > 0
        and packets.keys[0]
        and (len(times) == 0 or bool(times[0] >= key_times[0]))
        and not _times_are_copied(packets, video)
    )
    return Timeline(
        container=container.format.name,
        codec=video.codec.name,
        stream_index=stream.index,
        time_base=stream.time_base,
        fps=frame_rate(times if trusted else None, stream),
        times=times,
        key_times=key_times,
        key_decode_times=key_decode_times,
        packet_count=len(packets.times),
        hides_frames=any(packets.hidden),
        needs_scan=not trusted,
        damage=_damage(packets, video),
        opens_groups=_opens_groups(packets),
    )


def frame_rate(times: NDArray[np.int64] | None, stream: Any) -> float:
    """Frames per second: the declared rate where the times bear it out, otherwise the mean of the times."""
    declared = float(stream.average_rate or stream.guessed_rate or 0) or 25.0
    if times is None or len(times) < 2:
        return declared
    measured = (len(times) - 1) / float((int(times[-1]) - int(times[0])) * stream.time_base)
    # Times in milliseconds and a last frame of another length bend the mean a little.
    return declared if abs(measured - declared) <= 0.02 * declared else measured


def _read_packets(video: VideoStream) -> _Packets:
    import av

    packets = _Packets([], [], [], [])
    is_h264, length = video.codec.name == "h264", h264.length_size(video.codec.extradata)
    try:
        for packet in video.packets():
            if packet.size == 0:  # the last one, which only drains a decoder
                continue
            packets.times.append(packet.pts)
            packets.decode_times.append(packet.dts)
            packets.keys.append(packet.is_keyframe)
            if is_h264 and packet.is_keyframe and not h264.is_restart(memoryview(packet), length):
                packets.recovers = True
            packets.hidden.append(packet.is_discard or _is_invisible(packet, video))
            packets.corrupt = packets.corrupt or packet.is_corrupt
    except av.error.FFmpegError as error:
        packets.error = str(error)
    return packets


def _is_invisible(packet: Any, video: VideoStream) -> bool:
    # VP8 stores reference frames that are never shown in packets of their own, marked in the first byte.
    return video.codec.name == "vp8" and not (memoryview(packet)[0] >> 4) & 1


def _keyframes(packets: _Packets) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    found: list[tuple[int, int]] = []
    for time, decode_time, key in zip(packets.times, packets.decode_times, packets.keys, strict=True):
        if key and time is not None:
            found.append((time, time if decode_time is None else min(time, decode_time)))
    found.sort()
    table = np.array(found, dtype=np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _times_are_copied(packets: _Packets, video: VideoStream) -> bool:
    """Whether frames are reordered and yet shown when they are decoded: MPEG-4 copied out of an AVI file."""
    reordered = video.codec.name == "mpeg4" and video.codec.has_b_frames
    return bool(reordered and len(packets.times) > 1 and packets.times == packets.decode_times)


def _opens_groups(packets: _Packets) -> bool:
    if packets.recovers:
        return True
    key_time: int | None = None
    for time, key, hidden in zip(packets.times, packets.keys, packets.hidden, strict=True):
        if key:
            key_time = time
        elif not hidden and time is not None and key_time is not None and time < key_time:
            return True
    return False


def _damage(packets: _Packets, video: VideoStream) -> str | None:
    """What is wrong with the file as far as its packets tell."""
    count, container = len(packets.times), video.container.format.name
    if packets.error is not None:
        return f"reading stops after {count} frames: {packets.error}"
    if count == 0:
        return "the video stream is empty"
    if packets.corrupt:
        return f"a packet is cut short or marked corrupt ({count} packets in all)"
    # An AVI header counts chunks without data, for frames dropped in recording, as the decoding times do,
    # and often one frame too many; a sample table (mp4, mov) is exact.
    promised = video.stream.frames
    if count < promised and not (container == "avi" and _has_chunks(packets, video, promised - 1)):
        return f"{count} of {promised} frames are in the file"
    if "matroska" in container and (missing := missing_bytes(video.path)):
        return f"its last {missing} bytes are missing ({count} frames are in the file)"
    return None


def _has_chunks(packets: _Packets, video: VideoStream, wanted: int) -> bool:
    """Whether an AVI stream has so many chunks: up to the last one with data, each takes the time of a frame;
    those behind it are to be seen in the file alone.
    """
    last = max((time for time in packets.decode_times if time is not None), default=-1)
    return last + 1 >= wanted or avi.chunk_count(video.path, video.stream.index) >= wanted


def with_scanned_times(timeline: Timeline, times: NDArray[np.int64], stream: Any) -> Timeline:
    """``timeline`` with the times of the frames that really decode (in the order in which they are shown)."""
    fps = frame_rate(times if np.all(np.diff(times) > 0) else None, stream)
    return replace(timeline, times=times, fps=fps)
