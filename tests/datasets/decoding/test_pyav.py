"""The PyAV backend on files written here: access in any order gives what a sequential decode gives."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from datasets.decoding import VideoReadError, open_video
from datasets.decoding.avi import chunk_count
from datasets.decoding.pyav import PyAVReader
from datasets.decoding.stream import VideoStream
from tests.datasets.decoding.numbered import HEIGHT, WIDTH, numbers_in, write_numbered_video

COUNT = 60
OPEN_GOP = {"x264-params": "keyint=12:bframes=3:open-gop=1:scenecut=0"}
CODECS: dict[str, tuple[str, dict[str, str]]] = {
    "closed.mp4": ("libx264", {"g": "12", "bf": "3"}),
    "open.mp4": ("libx264", OPEN_GOP),
    "open.mkv": ("libx264", OPEN_GOP),
    "open.ts": ("libx264", OPEN_GOP),
    "no-keyframes.mkv": ("libx264", {"x264-params": "keyint=20:bframes=0:intra-refresh=1:scenecut=0"}),
    "intra.mp4": ("libx264", {"g": "1"}),
    "hevc.mp4": ("libx265", {"x265-params": "keyint=12:bframes=4:open-gop=1:log-level=none"}),
    "vp9.webm": ("libvpx-vp9", {"g": "20", "auto-alt-ref": "1", "lag-in-frames": "16", "cpu-used": "8"}),
    "vp8.webm": ("libvpx", {"g": "20", "auto-alt-ref": "1", "lag-in-frames": "16", "cpu-used": "8"}),
    "mpeg4.avi": ("mpeg4", {"g": "12", "bf": "2"}),
    "h264.avi": ("libx264", {"g": "12", "bf": "2"}),
    "mpeg2.mpg": ("mpeg2video", {"g": "12", "bf": "2"}),
}


def decoded_from_the_beginning(path: Path) -> list[Any]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.mark.parametrize("name", CODECS)
def test_random_access_gives_the_frames_of_a_sequential_decode(name: str, tmp_path: Path) -> None:
    codec, options = CODECS[name]
    write_numbered_video(tmp_path / name, COUNT, codec, options=options)
    expected = decoded_from_the_beginning(tmp_path / name)
    generator = np.random.default_rng(0)
    for _ in range(2):  # the second time, the timeline is remembered
        with PyAVReader(str(tmp_path / name)) as reader:
            assert reader.frame_count == COUNT == len(expected)
            assert reader.fps == pytest.approx(25)
            for _ in range(25):
                indices = generator.choice(COUNT, size=generator.integers(1, 6))
                frames = reader.get_frames(indices)
                assert numbers_in(frames) == indices.tolist()
                assert np.array_equal(frames, np.stack([expected[index] for index in indices]))


class _CountedDecoding:
    """Counts the frames that leave the decoder, and the times that a file is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.frames = self.opened = 0
        frames, opening = VideoStream.frames, VideoStream._open

        def counted(stream: VideoStream, *arguments: Any, **settings: Any) -> Iterator[Any]:
            for frame in frames(stream, *arguments, **settings):
                self.frames += 1
                yield frame

        def opened(stream: VideoStream) -> None:
            self.opened += 1
            opening(stream)

        monkeypatch.setattr(VideoStream, "frames", counted)
        monkeypatch.setattr(VideoStream, "_open", opened)


def test_a_clip_out_of_the_middle_decodes_only_its_surroundings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "long.mp4"
    write_numbered_video(path, 250, options={"g": "10", "bf": "2"})
    PyAVReader(str(path)).close()
    counted = _CountedDecoding(monkeypatch)
    with PyAVReader(str(path)) as reader:
        assert numbers_in(reader.get_frames(range(124, 140))) == list(range(124, 140))
    assert counted.opened == 1
    assert counted.frames <= 16 + 10 + 3  # the clip, one group of pictures, the decoder's delay


def test_far_apart_frames_do_not_decode_what_lies_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "long.mp4"
    write_numbered_video(path, 250, options={"g": "5", "bf": "0"})
    PyAVReader(str(path)).close()
    counted = _CountedDecoding(monkeypatch)
    with PyAVReader(str(path)) as reader:
        assert numbers_in(reader.get_frames([20, 120, 220])) == [20, 120, 220]
    assert counted.frames <= 3 * 5


def test_a_seek_that_lands_wrongly_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A keyframe table that lies: the reader must decode from the beginning rather than believe it."""
    path = tmp_path / "clip.mp4"
    write_numbered_video(path, 50, options={"g": "10", "bf": "0"})
    with PyAVReader(str(path)) as reader:
        lying = reader.timeline.times[np.array([0, 5, 15, 25])]
        object.__setattr__(reader.timeline, "key_times", lying)
        object.__setattr__(reader.timeline, "key_decode_times", lying)
        genuine = VideoStream.packets_from

        def lands_late(stream: VideoStream, key_time: int, decode_time: int) -> tuple[int, Iterator[Any]]:
            found, packets = genuine(stream, key_time, decode_time)
            next(packets)  # the keyframe is lost: what follows cannot be decoded rightly
            return found, packets

        monkeypatch.setattr(VideoStream, "packets_from", lands_late)
        assert numbers_in(reader.get_frames([17, 28, 44])) == [17, 28, 44]


def test_times_that_vary_and_do_not_begin_at_zero(tmp_path: Path) -> None:
    times = [5000, 5033, 5100, 5500, 5533, 6000, 6100, 6200, 6300, 7000]
    write_numbered_video(tmp_path / "vfr.mkv", 10, times=times, options={"g": "4", "bf": "1"})
    with PyAVReader(str(tmp_path / "vfr.mkv")) as reader:
        assert reader.timestamps == pytest.approx((np.array(times) - 5000) / 1000, abs=1e-3)
        assert reader.fps == pytest.approx(9 / 2.0, rel=0.02)
        assert reader.frame_range(0.51, 1.05) == (3, 6)
        assert numbers_in(reader.get_frames(range(10))) == list(range(10))


def test_one_frame_is_a_video(tmp_path: Path) -> None:
    write_numbered_video(tmp_path / "one.mp4", 1)
    with open_video(tmp_path / "one.mp4", "pyav") as reader:
        assert (reader.frame_count, reader.size) == (1, (HEIGHT, WIDTH))
        assert reader.frame_range(0.0, 10.0) == (0, 1)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_is_applied(degrees: int, tmp_path: Path) -> None:
    def turned(stream: Any) -> None:
        stream.set_display_rotation(degrees)

    write_numbered_video(tmp_path / "plain.mp4", 3, options={"qp": "0"})
    write_numbered_video(tmp_path / "turned.mp4", 3, options={"qp": "0"}, prepare=turned)
    with open_video(tmp_path / "plain.mp4", "pyav") as reader:
        expected = np.rot90(reader.get_frames([2]), degrees // 90, axes=(1, 2))
    with open_video(tmp_path / "turned.mp4", "pyav") as reader:
        assert reader.size == expected.shape[1:3]
        assert np.array_equal(reader.get_frames([2]), expected)


def test_a_truncated_file_is_refused_and_its_sound_frames_can_be_salvaged(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    # No reordering, so that every frame before the cut can be decoded.
    write_numbered_video(path, 50, options={"g": "10", "bf": "0", "qp": "1"}, faststart=True)
    with av.open(str(path)) as container:
        cut = list(container.demux(video=0))[33]
        assert cut.pos is not None
    path.write_bytes(path.read_bytes()[: cut.pos + cut.size // 2])
    with pytest.raises(VideoReadError, match="damaged"):
        open_video(path, "pyav")
    with open_video(path, "pyav", salvage=True) as reader:
        assert reader.frame_count == 33
        assert numbers_in(reader.get_frames(range(33))) == list(range(33))


@pytest.mark.parametrize(("codec", "options"), [("mpeg4", {"g": "10"}), ("libx264", {"g": "10", "bf": "2"})])
def test_frames_dropped_in_recording_do_not_damage_an_avi(
    codec: str, options: dict[str, str], tmp_path: Path
) -> None:
    write_numbered_video(tmp_path / "whole.avi", COUNT, codec, options=options)
    path = tmp_path / "dropped.avi"
    with av.open(str(tmp_path / "whole.avi")) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        chunks = (chunk for chunk in range(5, 2 * COUNT) if chunk % 9)  # a late start, and gaps
        for packet, chunk in zip((p for p in source.demux(video=0) if p.size > 0), chunks, strict=False):
            packet.pts = packet.dts = chunk
            packet.stream = stream
            target.mux(packet)
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames > COUNT + 5
        cut = list(container.demux(video=0))[COUNT // 2].pos
        assert cut is not None
    with open_video(path) as reader:
        assert reader.frame_count == COUNT
        assert numbers_in(reader.get_frames(range(COUNT))) == list(range(COUNT))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(VideoReadError, match="damaged"):
        open_video(path)


def test_frames_dropped_at_the_end_do_not_damage_an_avi(tmp_path: Path) -> None:
    path, dropped = tmp_path / "a.avi", 5
    write_numbered_video(path, COUNT, "mpeg4")
    content = bytearray(path.read_bytes())
    chunks = content.index(b"movi")
    end = chunks + int.from_bytes(content[chunks - 4 : chunks], "little")
    empty = b"00dc" + bytes(4)
    content[end:end] = empty * dropped
    index = content.index(b"idx1", end) + 8
    places = [end - chunks + len(empty) * number for number in range(dropped)]
    content += b"".join(b"00dc" + bytes(4) + place.to_bytes(4, "little") + bytes(4) for place in places)
    for place, more in (
        (content.index(b"avih") + 8 + 16, dropped),  # frames of the file
        (content.index(b"strh") + 8 + 32, dropped),  # and of the stream
        (chunks - 4, dropped * len(empty)),
        (index - 4, dropped * 16),
    ):
        number = int.from_bytes(content[place : place + 4], "little") + more
        content[place : place + 4] = number.to_bytes(4, "little")
    path.write_bytes(content)
    with open_video(path) as reader:
        assert numbers_in(reader.get_frames(range(COUNT))) == list(range(COUNT))
    path.write_bytes(content[: end + 2 * len(empty)])
    with pytest.raises(VideoReadError, match=rf"damaged: {COUNT} of {COUNT + dropped} frames"):
        open_video(path)


def test_room_set_aside_in_an_avi_is_no_chunk(tmp_path: Path) -> None:
    path = tmp_path / "set_aside.avi"
    path.write_bytes(b"00dc" + bytes(4) + bytes(4096) + b"00dc" + bytes(4))
    assert chunk_count(str(path), 0) == 1


def test_bytes_that_are_no_picture_are_an_error_not_a_frame(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_numbered_video(path, 40, options={"g": "40", "bf": "0", "qp": "1"})
    with av.open(str(path)) as container:
        broken = list(container.demux(video=0))[20]
        assert broken.pos is not None
    data = bytearray(path.read_bytes())
    data[broken.pos + 4 : broken.pos + broken.size] = b"\xff" * (broken.size - 4)
    path.write_bytes(data)
    with open_video(path, "pyav") as reader:
        assert numbers_in(reader.get_frames([3, 12])) == [3, 12]
        with pytest.raises(VideoReadError):
            reader.get_frames([30])
    with open_video(path, "pyav", salvage=True) as reader:
        assert numbers_in(reader.get_frames(range(reader.frame_count))) == list(range(20))


@pytest.mark.parametrize("content", [b"", b"not a video", b"\x00" * 5000])
def test_what_is_no_video_is_a_video_read_error(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(VideoReadError, match=r"clip\.mp4"):
        open_video(path, "pyav")


def test_a_closed_reader_says_so(tmp_path: Path) -> None:
    write_numbered_video(tmp_path / "clip.mp4", 3)
    reader = open_video(tmp_path / "clip.mp4", "pyav")
    reader.close()
    reader.close()
    with pytest.raises(ValueError, match="closed"):
        reader.get_frames([0])


def test_a_file_that_has_changed_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    for count in (5, 9):
        write_numbered_video(path, count)
        with open_video(path, "pyav") as reader:
            assert reader.frame_count == count


def test_open_files_do_not_pile_up(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_numbered_video(path, 5)
    (tmp_path / "bad.mp4").write_bytes(path.read_bytes()[:200])
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with open_video(path, "pyav") as reader:
            reader.get_frames([1])
        with pytest.raises(VideoReadError):
            open_video(tmp_path / "bad.mp4", "pyav")
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("name", ["closed.mp4", "h264.avi"])
def test_going_through_a_video_gives_every_frame_once(name: str, tmp_path: Path) -> None:
    codec, options = CODECS[name]
    write_numbered_video(tmp_path / name, COUNT, codec, options=options)
    for _ in range(2):  # the second time, the scan's frames are not held
        with open_video(tmp_path / name, "pyav") as reader:
            reader.get_frames([40])
            assert numbers_in(np.stack(list(reader.frames_in_order()))) == list(range(COUNT))


def test_mpeg4_copied_out_of_an_avi_shows_frames_in_their_order(tmp_path: Path) -> None:
    """A stream copy gives reordered frames the times of their decoding, which tell nothing."""
    write_numbered_video(tmp_path / "a.avi", COUNT, "mpeg4", options={"g": "12", "bf": "2"})
    with av.open(str(tmp_path / "a.avi")) as source, av.open(str(tmp_path / "a.mp4"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        number = 0
        for packet in source.demux(video=0):
            if packet.size > 0:
                packet.pts = packet.dts = number
                packet.stream, number = stream, number + 1
                target.mux(packet)
    with open_video(tmp_path / "a.mp4") as reader:
        assert [numbers_in(reader.get_frames([index]))[0] for index in range(COUNT)] == list(range(COUNT))
