"""Evaluation against an oracle on all videos at once, for any batch size and number of processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as multiprocessing
from torch import Tensor, nn

from datasets.batch import ReadFailure, VideoBatch
from runs.evaluate import EvaluationResult, Evaluator
from utils import distributed
from utils.precision import resolve_precision

VIDEOS, VIEWS, CLASSES = 23, 3, (6, 4)
CPU = torch.device("cpu")


class PixelsAreLogits(nn.Module):
    """Logits of the heads are the first pixels of a clip; black clips have no finite ones."""

    def forward(self, video: Tensor) -> tuple[Tensor, ...]:
        """(B,3,T,H,W) → ((B,6), (B,4))."""
        pixels = video.flatten(1)
        return pixels[:, :6] / pixels[:, :6].sum(1, keepdim=True) * 9, pixels[:, 6:10]


class Videos:
    """Random videos; `unreadable` rows are missing."""

    def __init__(self, batch_size: int, unreadable: Sequence[int] = (), black: Sequence[int] = ()) -> None:
        generator = torch.Generator().manual_seed(0)
        self.video = torch.randint(1, 9, (VIDEOS, VIEWS, 3, 1, 2, 2), generator=generator, dtype=torch.uint8)
        for row in black:
            self.video[row] = 0
        self.target = torch.stack([torch.randint(0, k, (VIDEOS,), generator=generator) for k in CLASSES], 1)
        self.num_videos, self.num_views = VIDEOS, VIEWS
        own = torch.arange(distributed.rank(), VIDEOS, distributed.world_size())
        lost = torch.isin(own, torch.tensor(unreadable, dtype=torch.int64))
        self.batches = own[~lost].split(batch_size)
        self.lost = [ReadFailure(int(row), f"{row}.mp4", "torn", 0) for row in own[lost]]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[VideoBatch]:
        for rows in self.batches:
            yield VideoBatch(self.video[rows], self.target[rows], rows)

    def missing(self) -> Sequence[ReadFailure]:
        """As given."""
        return self.lost


def _evaluate(data: Videos) -> EvaluationResult:
    precision = resolve_precision("fp32", CPU)
    evaluator = Evaluator(PixelsAreLogits(), Tensor.float, precision, CPU, CLASSES, keep_scores=True)
    return evaluator(data, "test")


def _facts(result: EvaluationResult) -> list[Tensor]:
    tables = [head.packed() for head in result.heads]
    predictions = result.predictions
    assert result.scores is not None
    tables += result.scores
    return [*tables, predictions.video_id, predictions.target, predictions.classes, predictions.scores]


def test_scores_are_those_of_all_views_of_every_video() -> None:
    data = Videos(4)
    result = _evaluate(data)
    logits = PixelsAreLogits()(data.video.flatten(0, 1).float())
    for head, values in enumerate(logits):
        scores = values.softmax(-1).view(VIDEOS, VIEWS, -1).mean(1)
        right = scores.argmax(1) == data.target[:, head]
        assert result.heads[head].correct == int(right.sum())
        torch.testing.assert_close(result.predictions.scores[:, head, 0], scores.amax(1))
        assert result.scores is not None
        torch.testing.assert_close(result.scores[head] / VIEWS, scores)
    both = (result.predictions.classes[:, :, 0] == data.target).all(1)
    assert result.top1 == pytest.approx(100 * int(both.sum()) / VIDEOS)
    assert result.values()["videos"] == VIDEOS and result.predictions.classes.shape == (VIDEOS, 2, 4)


@pytest.mark.parametrize("batch_size", [1, 5, 23])
def test_batch_size_changes_nothing(batch_size: int) -> None:
    for ours, theirs in zip(_facts(_evaluate(Videos(batch_size))), _facts(_evaluate(Videos(4))), strict=True):
        assert torch.equal(ours, theirs)


def test_missing_videos_are_listed_and_not_counted() -> None:
    result = _evaluate(Videos(4, unreadable=[3, 20]))
    assert result.videos == VIDEOS - 2 and [failure.row for failure in result.missing] == [3, 20]
    forgotten = Videos(4, unreadable=[3])
    forgotten.lost.clear()
    with pytest.raises(AssertionError, match="23 videos to evaluate, 22 results"):
        _evaluate(forgotten)


def test_scores_that_are_no_numbers_stop_the_evaluation_and_name_the_videos() -> None:
    with pytest.raises(FloatingPointError, match=r"videos \[4, 5, 6, 7\]"):
        _evaluate(Videos(4, black=[6]))


def test_mode_of_the_model_is_put_back() -> None:
    model = PixelsAreLogits()
    evaluator = Evaluator(model, Tensor.float, resolve_precision("fp32", CPU), CPU, CLASSES)
    for training in (True, False):
        model.train(training)
        evaluator(Videos(8), "test")
        assert model.training is training


def _evaluate_in_process(process: int, processes: int, folder: str) -> None:
    torch.set_num_threads(1)
    store = torch.distributed.FileStore(f"{folder}/store{processes}", processes)
    torch.distributed.init_process_group("gloo", store=store, rank=process, world_size=processes)
    facts = _facts(_evaluate(Videos(4)))
    torch.save(facts, f"{folder}/{processes}-{process}.pt")
    distributed.shutdown()


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_find_exactly_what_one_finds(tmp_path: Path, processes: int) -> None:
    expected = _facts(_evaluate(Videos(4)))
    multiprocessing.start_processes(
        _evaluate_in_process,
        args=(processes, str(tmp_path)),
        nprocs=processes,
        start_method="fork",
        join=True,
    )
    for process in range(processes):
        for ours, theirs in zip(torch.load(tmp_path / f"{processes}-{process}.pt"), expected, strict=True):
            assert torch.equal(ours, theirs)
