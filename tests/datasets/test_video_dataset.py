"""The data set: frames and views, determinism, segments, and what happens to unreadable videos."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from datasets.batch import VideoSample, collate
from datasets.decoding import open_video
from datasets.decoding.reader import Frames, VideoReader
from datasets.records import VideoRecord
from datasets.sampling import ClipSampling
from datasets.transforms.colour import ColourJitter
from datasets.transforms.evaluation import EvaluationTransform
from datasets.transforms.flip import Flip
from datasets.transforms.train import TrainTransform
from datasets.video_dataset import OnUnreadable, SampleKey, UnreadableVideoError, VideoDataset
from tests.datasets.synthetic import FakeReader, frame_numbers, write_counting_video


def records(*paths: str) -> list[VideoRecord]:
    return [VideoRecord(path, (row,)) for row, path in enumerate(paths)]


def training_set(videos: Sequence[VideoRecord], *, num_clips: int = 1, seed: int = 0) -> VideoDataset:
    return VideoDataset(
        videos,
        FakeReader,
        ClipSampling(num_frames=4),
        TrainTransform(size=8, colour=ColourJitter()),
        training=True,
        seed=seed,
        num_clips=num_clips,
    )


def evaluation_set(videos: Sequence[VideoRecord], on_unreadable: OnUnreadable = "stop") -> VideoDataset:
    return VideoDataset(
        videos,
        FakeReader,
        ClipSampling(num_frames=4),
        EvaluationTransform(size=8, short_side=8),
        training=False,
        num_clips=3,
        on_unreadable=on_unreadable,
    )


def same(first: VideoSample, second: VideoSample) -> bool:
    assert first.clips is not None
    assert second.clips is not None
    return (
        torch.equal(first.clips, second.clips)
        and first.labels == second.labels
        and first.colours == second.colours
    )


def test_views_of_a_real_video_show_the_frames_that_the_protocol_names(tmp_path: Path) -> None:
    write_counting_video(tmp_path / "clip.mp4", 24)
    dataset = VideoDataset(
        [VideoRecord(str(tmp_path / "clip.mp4"), (5,))],
        partial(open_video, decoder="pyav"),
        ClipSampling(num_frames=4),
        EvaluationTransform(size=32, short_side=32, num_crops=3),
        training=False,
        num_clips=3,
    )
    sample = dataset[0]
    assert sample.clips is not None
    assert sample.clips.shape == (9, 4, 32, 32, 3)
    # parts of 6 frames; view k at (k+1)/3 of each: 2, 4, 6 (the last clamped to frame 23)
    expected = [[2, 8, 14, 20], [4, 10, 16, 22], [6, 12, 18, 23]]
    assert frame_numbers(sample.clips[::3].numpy()).tolist() == expected  # the left crops
    batch = collate([sample, sample])
    assert batch.video.shape == (2, 9, 3, 4, 32, 32)
    assert batch.target.tolist() == [[5], [5]]


class CountingReader(FakeReader):
    """Counts how often videos are decoded."""

    decodes = 0

    def get_frames(self, indices: Sequence[int] | NDArray[np.integer]) -> Frames:
        """As the parent, and counted; the data set asks for every frame once, in order."""
        type(self).decodes += 1
        assert sorted(set(indices)) == list(indices)
        return super().get_frames(indices)


@pytest.mark.parametrize("training", [True, False])
def test_all_clips_of_a_video_come_from_one_decode(training: bool) -> None:
    CountingReader.decodes = 0
    transform = TrainTransform(size=8) if training else EvaluationTransform(size=8, short_side=8, num_crops=3)
    dataset = VideoDataset(
        records("a"), CountingReader, ClipSampling(num_frames=4), transform, training=training, num_clips=4
    )
    sample = dataset[SampleKey(0, 0)]
    assert sample.clips is not None
    assert len(sample.clips) == (4 if training else 12)
    assert CountingReader.decodes == 1


def test_a_segment_is_sampled_as_if_it_were_the_video() -> None:
    videos = [
        VideoRecord("a", start=1.0, end=1.8),
        VideoRecord("a", start=2.5),
    ]  # at 10 fps: 10..17 and 25..29
    dataset = evaluation_set(videos)
    shown = [
        frame_numbers(sample.clips.numpy()) for sample in (dataset[0], dataset[1]) if sample.clips is not None
    ]
    assert (shown[0].min(), shown[0].max()) == (11, 17)
    assert (shown[1].min(), shown[1].max()) == (25, 29)


def test_a_sample_is_a_function_of_seed_epoch_and_row() -> None:
    dataset, again = training_set(records(*"abc")), training_set(records(*"abc"))
    again[SampleKey(0, 2)]  # whatever was read before
    assert same(dataset[SampleKey(3, 1)], again[SampleKey(3, 1)])
    others = [
        dataset[SampleKey(4, 1)],
        dataset[SampleKey(3, 2)],
        training_set(records(*"abc"), seed=1)[SampleKey(3, 1)],
    ]
    assert not any(same(dataset[SampleKey(3, 1)], other) for other in others)


def test_repeats_extend_a_video_without_changing_its_first_clip() -> None:
    one, two = training_set(records("a"))[0], training_set(records("a"), num_clips=2)[0]
    assert one.clips is not None
    assert two.clips is not None
    assert torch.equal(one.clips[0], two.clips[0])
    assert not torch.equal(two.clips[0], two.clips[1])
    batch = collate([two, two])
    assert batch.video.shape == (4, 3, 4, 8, 8)
    assert batch.video_id.tolist() == [0, 0, 0, 0]
    assert batch.colour is not None
    assert len(batch.colour) == 4


def test_mirrored_clips_have_the_mirrored_label() -> None:
    flip = Flip(0.5, ((0, 1),))
    dataset = VideoDataset(
        records("a"),
        FakeReader,
        ClipSampling(num_frames=4),
        TrainTransform(size=8, flip=flip),
        training=True,
        mirrored_labels=flip.mirrored_labels,
    )
    seen = set()
    for epoch in range(20):
        sample = dataset[SampleKey(epoch, 0)]
        assert sample.clips is not None
        left_is_darker = bool(sample.clips[0, 0, 0, 0, 0] < sample.clips[0, 0, 0, -1, 0])
        assert sample.labels == (((1,) if left_is_darker else (0,)),)
        seen.add(left_is_darker)
    assert seen == {True, False}


def test_training_replaces_an_unreadable_video_by_one_that_the_key_names() -> None:
    dataset = training_set(records("a", "broken", "c", "d", "e"))
    samples = [dataset[SampleKey(epoch, 1)] for epoch in range(6)]
    for epoch, sample in enumerate(samples):
        failure = sample.failures[0]
        assert (failure.row, failure.path, failure.epoch) == (1, "broken", epoch)
        assert "no moov atom" in failure.reason
        assert failure.replaced_by == sample.row != 1
        assert sample.labels == ((sample.row,),)
        assert same(sample, training_set(records("a", "broken", "c", "d", "e"))[SampleKey(epoch, 1)])
    assert len({sample.row for sample in samples}) > 1


def test_failures_of_the_stand_ins_are_noted_too() -> None:
    dataset = training_set(records("a", *["broken"] * 3))
    samples = [dataset[SampleKey(epoch, 1)] for epoch in range(12)]
    chains = [[failure.row for failure in sample.failures] for sample in samples]
    assert all(chain[0] == 1 and 0 not in chain and len(set(chain)) == len(chain) for chain in chains)
    assert {sample.row for sample in samples} == {0}
    assert {len(chain) for chain in chains} == {1, 2, 3}


def test_a_data_set_of_broken_videos_stops() -> None:
    with pytest.raises(UnreadableVideoError, match=r"5 videos in a row .* video 2 of the list.*no moov atom"):
        training_set(records(*["broken"] * 5))[2]


def test_testing_stops_at_an_unreadable_video_or_passes_it_over_but_never_replaces_it() -> None:
    videos = records("a", "dir/broken.mp4")
    with pytest.raises(
        UnreadableVideoError, match=r"video 1 of the list.*dir/broken\.mp4.*TEST\.ON_UNREADABLE skip"
    ):
        evaluation_set(videos)[1]
    skipping = evaluation_set(videos, "skip")
    batch = collate([skipping[0], skipping[1]])
    assert batch.video_id.tolist() == [0]
    assert [failure.path for failure in batch.failures] == ["dir/broken.mp4"]
    assert len(collate([skipping[1]])) == 0
    with pytest.raises(ValueError, match="must not be replaced"):
        evaluation_set(videos, "replace")


def test_a_row_marked_as_unreadable_is_not_opened() -> None:
    opened: list[str] = []

    def opens(path: str) -> VideoReader:
        opened.append(path)
        return FakeReader(path)

    dataset = VideoDataset(
        records("a", "b"), opens, ClipSampling(num_frames=4), TrainTransform(size=8), training=True
    )
    dataset.unreadable[1] = "its worker died"
    sample = dataset[SampleKey(0, 1)]
    assert opened == ["a"]
    assert "its worker died" in sample.failures[0].reason


def test_rows_outside_the_list_and_empty_lists_are_errors() -> None:
    with pytest.raises(IndexError):
        training_set(records("a"))[1]
    with pytest.raises(ValueError, match="without videos"):
        training_set([])
