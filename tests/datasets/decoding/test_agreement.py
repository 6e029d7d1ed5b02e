"""All backends show the same frames, bit for bit where they decode H.264 and VP9 of constant rate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from datasets.decoding import VideoReadError, available_decoders, open_video
from tests.datasets.decoding.numbered import numbers_in, write_numbered_video

OTHERS = ("decord", "torchcodec")
KINDS = {
    "h264.mp4": ("libx264", {"g": "12", "bf": "2"}),
    "h264.mkv": ("libx264", {"g": "12", "bf": "2"}),
    "vp9.webm": ("libvpx-vp9", {"g": "20", "cpu-used": "8"}),
}

FRAMES_BETWEEN = {"g": "12", "bf": "2", "x264-params": "b-adapt=0:scenecut=0"}
OPEN_GROUPS = {"g": "12", "bf": "2", "x264-params": "open-gop=1:keyint=12:min-keyint=4:b-adapt=0:scenecut=0"}
RECOVERY = {"x264-params": "keyint=12:bframes=3:open-gop=1:scenecut=0"}
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov"}
REFUSED = {
    # file -> codec, its options, options of the format, what the error says; of both backends
    "groups.mp4": ("libx264", OPEN_GROUPS, {}, "open groups"),
    "groups.mkv": ("libx264", OPEN_GROUPS, {}, "open groups"),
    "recovery.mkv": ("libx264", RECOVERY, {}, "open groups"),
    "recovery.mp4": ("libx264", RECOVERY, {}, "open groups"),
    "h264.flv": ("libx264", FRAMES_BETWEEN, {}, r"in this format \(flv\)"),
    "fragmented.mp4": ("libx264", FRAMES_BETWEEN, FRAGMENTS, "fragmented"),
    "unlisted.mp4": ("libx264", FRAMES_BETWEEN, {"use_editlist": "0"}, "no edit list"),
    "mpeg2.mpg": ("mpeg2video", {"g": "12", "b": "2M"}, {}, r"in this format \(mpeg\)"),
    "h264.avi": ("libx264", {"g": "12", "bf": "0"}, {}, "times are guesses"),
}


def needs(backend: str) -> None:
    reason = available_decoders()[backend]
    if reason is not None:
        pytest.skip(f"{backend} does not work here: {reason}")


@pytest.mark.parametrize("backend", OTHERS)
@pytest.mark.parametrize("name", KINDS)
def test_backends_agree_bit_for_bit(name: str, backend: str, tmp_path: Path) -> None:
    needs(backend)
    codec, options = KINDS[name]
    path = tmp_path / name
    write_numbered_video(path, 50, codec, options=options)
    indices = np.random.default_rng(0).permutation(50)[:30]
    with open_video(path, "pyav") as ours, open_video(path, backend) as other:
        assert other.frame_count == ours.frame_count == 50
        assert other.fps == ours.fps
        assert np.array_equal(other.timestamps, ours.timestamps)
        for group in np.array_split(indices, 6):
            frames = other.get_frames(group)
            assert numbers_in(frames) == group.tolist()
            assert np.array_equal(frames, ours.get_frames(group))


@pytest.mark.parametrize("backend", OTHERS)
def test_what_another_backend_would_misread_is_refused_with_the_remedy(backend: str, tmp_path: Path) -> None:
    """H.264 with B-frames in AVI: no presentation times, so both would give frames in another order."""
    needs(backend)
    write_numbered_video(tmp_path / "a.avi", 30, options={"g": "12", "bf": "2"})
    with pytest.raises(VideoReadError, match=r"misorders.*DATA\.DECODER to auto or pyav") as caught:
        open_video(tmp_path / "a.avi", backend)
    assert caught.value.backend == backend


@pytest.mark.parametrize("backend", OTHERS)
@pytest.mark.parametrize("name", REFUSED)
def test_a_kind_of_file_that_was_measured_to_go_wrong_is_refused_when_it_is_opened(
    name: str, backend: str, tmp_path: Path
) -> None:
    """Whether frames came out wrong depended on which were asked for, so that opening must tell."""
    needs(backend)
    codec, options, muxing, reason = REFUSED[name]
    path = tmp_path / name
    write_numbered_video(path, 50, codec, options=options, muxing=muxing)
    with open_video(path, "pyav") as reader:
        assert numbers_in(reader.get_frames(range(50))) == list(range(50))
    with pytest.raises(VideoReadError, match=rf"{name}.*{reason}.*DATA\.DECODER to auto or pyav"):
        open_video(path, backend)


def test_decord_refuses_windows_media(tmp_path: Path) -> None:
    needs("decord")
    write_numbered_video(tmp_path / "a.wmv", 50, "wmv2", options={"g": "12", "b": "2M"})
    with pytest.raises(VideoReadError, match=r"a\.wmv.*asf, wmv.*DATA\.DECODER to auto or pyav"):
        open_video(tmp_path / "a.wmv", "decord")


@pytest.mark.parametrize("backend", OTHERS)
@pytest.mark.parametrize("content", [b"", b"not a video"])
def test_what_is_no_video_is_the_same_error_everywhere(backend: str, content: bytes, tmp_path: Path) -> None:
    needs(backend)
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(VideoReadError, match=r"a\.mp4"):
        open_video(tmp_path / "a.mp4", backend)


def test_an_error_in_the_middle_does_not_spoil_what_comes_after_it(tmp_path: Path) -> None:
    """torchcodec, left to itself, would go on with the next frame that it finds."""
    needs("torchcodec")
    import av

    path = tmp_path / "a.mp4"
    write_numbered_video(path, 60, options={"g": "20", "bf": "0", "qp": "1"})
    with av.open(str(path)) as container:
        broken = list(container.demux(video=0))[30]
        assert broken.pos is not None
    data = bytearray(path.read_bytes())
    data[broken.pos + 5 : broken.pos + broken.size] = bytes(broken.size - 5)
    path.write_bytes(data)
    with open_video(path, "torchcodec") as reader:
        with pytest.raises(VideoReadError):
            reader.get_frames([35])
        assert numbers_in(reader.get_frames([50])) == [50]
        assert numbers_in(reader.get_frames([3])) == [3]
