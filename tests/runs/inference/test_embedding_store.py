"""runs/inference/embedding_store.py: rows and ids belong together, also across an interruption."""

import errno
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from runs.inference.embedding_store import EmbeddingStore, StoreError, stored_ids

SETTINGS = {"model": "m", "views": "1"}


def row(index: int) -> tuple[str, np.ndarray, np.ndarray]:
    return f"v{index}", np.full(4, index, np.float32), np.full((2, 4), index + 0.5, np.float32)


def test_rows_come_back_with_their_ids(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path / "e.safetensors", SETTINGS, shard_size=2)
    for index in (3, 1, 2):
        store.add(*row(index))
    store.fail("v9", "broken")
    assert store.finish() == 3
    arrays = load_file(tmp_path / "e.safetensors")
    assert stored_ids(tmp_path / "e.safetensors") == ["v3", "v1", "v2"]
    np.testing.assert_array_equal(arrays["video"], np.stack([row(index)[1] for index in (3, 1, 2)]))
    np.testing.assert_array_equal(arrays["frames"], np.stack([row(index)[2] for index in (3, 1, 2)]))
    with safe_open(tmp_path / "e.safetensors", framework="numpy") as file:
        assert json.loads(file.metadata()["failed"]) == {"v9": "broken"}
        assert json.loads(file.metadata()["settings"]) == SETTINGS
    assert [path.name for path in tmp_path.iterdir()] == ["e.safetensors"]


def test_an_interrupted_run_loses_only_the_unfinished_shard(tmp_path: Path) -> None:
    first = EmbeddingStore(tmp_path / "e.safetensors", SETTINGS, shard_size=2)
    for index in range(3):
        first.add(*row(index))
    second = EmbeddingStore(tmp_path / "e.safetensors", SETTINGS, shard_size=2)
    assert second.done == {"v0", "v1"}
    second.add(*row(2))
    assert second.finish() == 3
    assert load_file(tmp_path / "e.safetensors")["video"][:, 0].tolist() == [0, 1, 2]


def test_a_run_that_could_not_begin_on_a_full_disk_is_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, *_: object, **__: object) -> int:
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(Path, "write_text", full)
        EmbeddingStore(tmp_path / "e.safetensors", SETTINGS)
    assert EmbeddingStore(tmp_path / "e.safetensors", SETTINGS).done == set()


def test_the_rows_are_those_that_are_wanted_in_that_order(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path / "e.safetensors", SETTINGS, shard_size=2)
    for index in (3, 1, 2, 4, 0):
        store.add(*row(index))
    assert store.finish(["v0", "v1", "v5", "v2", "v4"]) == 4
    arrays = load_file(tmp_path / "e.safetensors")
    assert stored_ids(tmp_path / "e.safetensors") == ["v0", "v1", "v2", "v4"]
    assert arrays["video"][:, 0].tolist() == [0, 1, 2, 4]
    assert arrays["frames"].shape == (4, 2, 4) and arrays["frames"][:, 0, 0].tolist() == [0.5, 1.5, 2.5, 4.5]


def test_what_is_stored_outlives_a_call_with_none_of_it(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path / "e.safetensors", SETTINGS)
    store.add(*row(1))
    with pytest.raises(StoreError, match="no video gave an embedding"):
        store.finish(["v2"])
    assert EmbeddingStore(tmp_path / "e.safetensors", SETTINGS).done == {"v1"}


def test_other_settings_do_not_continue_it(tmp_path: Path) -> None:
    EmbeddingStore(tmp_path / "e.safetensors", SETTINGS)
    with pytest.raises(StoreError, match=r"other settings \(views\); delete it"):
        EmbeddingStore(tmp_path / "e.safetensors", {**SETTINGS, "views": "3"})


def test_nothing_stored_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path / "e.safetensors", SETTINGS)
    store.fail("v0", "broken")
    with pytest.raises(StoreError, match="no video gave an embedding"):
        store.finish()
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_format_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"must end in \.safetensors or \.parquet"):
        EmbeddingStore(tmp_path / "e.npz", SETTINGS)
    assert list(tmp_path.iterdir()) == []


def test_parquet_has_one_row_a_video(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    store = EmbeddingStore(tmp_path / "e.parquet", SETTINGS)
    store.add(*row(1))
    store.finish()
    table = pandas.read_parquet(tmp_path / "e.parquet")
    assert table["id"].tolist() == ["v1"]
    assert np.stack(table["frames"][0]).tolist() == row(1)[2].tolist()
