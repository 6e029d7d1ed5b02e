"""Captions of training samples, and lists that lack them."""

from __future__ import annotations

from collections import Counter

import pytest

from datasets.annotations.errors import AnnotationError
from datasets.batch import collate
from datasets.records import AnnotatedSplit, VideoRecord
from datasets.sampling import ClipSampling
from datasets.text_video_dataset import TextVideoDataset, check_captions, one_record_per_caption, queries_of
from datasets.transforms.train import TrainTransform
from datasets.video_dataset import SampleKey
from tests.datasets.synthetic import FakeReader

RECORDS = (
    VideoRecord("a.mp4", captions=("one", "two", "three")),
    VideoRecord("b.mp4", captions=("four",)),
    VideoRecord("broken.mp4", captions=("five", "six")),
)
SPLIT = AnnotatedSplit("csv", "train", RECORDS, source="train.csv")


def training_set(seed: int = 0) -> TextVideoDataset:
    return TextVideoDataset(
        RECORDS, FakeReader, ClipSampling(num_frames=2), TrainTransform(size=8), training=True, seed=seed
    )


def test_every_caption_of_a_video_comes_up_equally_often() -> None:
    dataset = training_set()
    counts = Counter(dataset[SampleKey(epoch, 0)].labels[0][0] for epoch in range(300))
    assert sorted(counts) == [0, 1, 2]
    assert min(counts.values()) > 70


def test_a_caption_is_a_function_of_seed_epoch_and_video() -> None:
    keys = [SampleKey(epoch, 0) for epoch in range(20)]
    drawn = [training_set()[key].labels for key in keys]
    assert drawn == [training_set()[key].labels for key in keys]
    assert drawn != [training_set(seed=1)[key].labels for key in keys]


def test_a_replaced_video_brings_a_caption_of_its_own() -> None:
    dataset = training_set()
    for epoch in range(8):
        sample = dataset[SampleKey(epoch, 2)]
        assert sample.failures and sample.row in (0, 1)
        assert sample.labels[0][0] < len(RECORDS[sample.row].captions)


def test_the_number_of_the_caption_travels_as_the_label() -> None:
    batch = collate([training_set()[SampleKey(0, 1)], training_set()[SampleKey(0, 0)]])
    assert batch.video_id.tolist() == [1, 0]
    assert batch.target.shape == (2, 1)
    assert int(batch.target[0, 0]) == 0


def test_one_record_per_caption() -> None:
    split = one_record_per_caption(SPLIT)
    assert [record.captions[0] for record in split.records] == queries_of(RECORDS)[0]
    assert [record.path for record in split.records[2:5]] == ["a.mp4", "b.mp4", "broken.mp4"]


def test_queries_know_their_videos() -> None:
    assert queries_of(RECORDS) == (["one", "two", "three", "four", "five", "six"], [0, 0, 0, 1, 2, 2])


def test_videos_without_captions_are_an_error_that_names_them() -> None:
    check_captions(SPLIT)
    bare = tuple(VideoRecord(f"{number}.mp4", captions=(" ",) * (number % 2)) for number in range(7))
    with pytest.raises(AnnotationError, match=r"7 of 7 videos have no caption: 0\.mp4, .* and 2 more"):
        check_captions(AnnotatedSplit("csv", "train", bare, source="train.csv"))
