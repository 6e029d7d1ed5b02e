"""Which H.264 packets no other picture depends on, so that they need not be decoded unless they are wanted,
and at which decoding starts anew.

A picture is disposable when the ``nal_ref_idc`` of its slices is 0 (ITU-T H.264, 7.4.1).
"""

from __future__ import annotations

SLICE_TYPES = frozenset({1, 2, 3, 4, 5})  # nal_unit_type of coded slices and their partitions
IDR_SLICE = 5


def length_size(extradata: bytes | None) -> int:
    """Bytes of the length before each NAL unit in mp4 and Matroska; 0 where start codes separate them."""
    if extradata and len(extradata) > 4 and extradata[0] == 1:
        return (extradata[4] & 3) + 1
    return 0


def is_disposable(packet: memoryview, size_of_length: int) -> bool:
    """Whether no picture depends on the one in ``packet``; False when in doubt."""
    header = _first_slice_header(packet, size_of_length)
    return header is not None and not header >> 5 & 3


def is_restart(packet: memoryview, size_of_length: int) -> bool:
    """Whether decoding starts anew at ``packet`` (an IDR picture, nal_unit_type 5); True when in doubt.

    Other keyframes are recovery points: pictures before them may still be needed by those after.
    """
    header = _first_slice_header(packet, size_of_length)
    return header is None or header & 31 == IDR_SLICE


def _first_slice_header(packet: memoryview, size_of_length: int) -> int | None:
    """The first byte of the first slice, found by walking over the NAL units before it."""
    if size_of_length == 0:
        return _first_slice_after_start_code(bytes(packet))
    position = 0
    while position + size_of_length < len(packet):
        start = position + size_of_length
        if packet[start] & 31 in SLICE_TYPES:
            return packet[start]
        position = start + int.from_bytes(packet[position:start], "big")
    return None


def _first_slice_after_start_code(packet: bytes) -> int | None:
    position = packet.find(b"\x00\x00\x01")
    while 0 <= position < len(packet) - 3:
        if packet[position + 3] & 31 in SLICE_TYPES:
            return packet[position + 3]
        position = packet.find(b"\x00\x00\x01", position + 3)
    return None
