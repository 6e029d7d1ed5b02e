"""Videos as an evaluation takes them: what is missing is told of each evaluation alone."""

from __future__ import annotations

from datasets.decoding.reader import VideoReader, VideoReadError
from datasets.loader import VideoLoader
from datasets.records import VideoRecord
from datasets.sampling import ClipSampling
from datasets.transforms.evaluation import EvaluationTransform
from datasets.video_dataset import VideoDataset
from runs.video_data import EvaluationVideos
from tests.datasets.synthetic import FakeReader


def test_a_video_that_can_be_read_again_is_missing_no_longer() -> None:
    away = {"v1"}

    def open_video(path: str) -> VideoReader:
        if path in away:
            raise VideoReadError(path, "fsspec", "the file system was away")
        return FakeReader(path)

    records = [VideoRecord(f"v{row}", (row,)) for row in range(3)]
    transform, sampling = EvaluationTransform(size=8, short_side=8), ClipSampling(num_frames=2)
    dataset = VideoDataset(records, open_video, sampling, transform, training=False, on_unreadable="skip")
    videos = EvaluationVideos(VideoLoader(dataset, num_workers=0), 1, 1)
    for expected in ([1], [], [0]):
        rows = [row for batch in videos for row in batch.video_id.tolist()]
        missing = [failure.row for failure in videos.missing()]
        assert missing == expected and sorted(rows + missing) == [0, 1, 2]
        away = {"v0"} if expected == [] else set()
    assert videos.loader.report.unreadable_reads == 2
