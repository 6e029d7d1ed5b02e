"""Annotation folders that are URLs."""

from __future__ import annotations

import uuid

import pytest

from datasets.annotations import AnnotationError, files, load_split
from datasets.annotations.files import describe_folder, find_matches, join

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def remote() -> str:
    """A folder in fsspec's in-memory file system."""
    folder = f"memory://{uuid.uuid4().hex}/anno"
    content = {"train.txt": "a.mp4 0\nb 1\n", "sub/val.txt": "c 2\n", "classInd.txt": "1 A\n"}
    for name, text in content.items():
        with fsspec.open(f"{folder}/{name}", "w") as file:
            file.write(text)
    return folder


def test_lists_are_found_and_read_behind_a_url(remote: str) -> None:
    split = load_split("k400", "train", anno_dir=remote, data_root="https://somewhere.invalid/videos")
    assert [record.path for record in split.records] == ["a.mp4", "b.mp4"]
    assert split.source == f"{remote}/train.txt"
    assert load_split("k400", "val", anno_dir=remote, list_file="sub/val.txt").records[0].labels == (2,)
    assert find_matches(remote, "sub/*.txt") == [f"{remote}/sub/val.txt"]


def test_what_is_missing_behind_a_url_is_told(remote: str) -> None:
    assert describe_folder(remote) == f"{remote} holds classInd.txt, sub, train.txt"
    with pytest.raises(
        AnnotationError, match=r"no annotation file; memory://.* holds classInd\.txt, sub, train\.txt"
    ):
        load_split("k400", "test", anno_dir=remote)
    with pytest.raises(AnnotationError, match=r"none\.txt: no such file"):
        load_split("k400", "train", anno_dir=remote, list_file="none.txt")
    with pytest.raises(AnnotationError, match="holds nothing"):
        load_split("k400", "train", anno_dir=f"{remote}/nowhere")


def test_names_that_stand_for_themselves() -> None:
    assert join("s3://bucket/anno/", "val.txt") == "s3://bucket/anno/val.txt"
    assert join("s3://bucket/anno", "/local/val.txt") == "/local/val.txt"
    assert join("anno", "https://host/val.txt") == "https://host/val.txt"
    assert join("", "val.txt") == "val.txt"


def test_a_network_that_fails_is_tried_again_and_then_told(
    remote: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_PAUSES", (0.0, 0.0))
    whole, calls = fsspec.filesystem("memory").__class__.cat_file, []

    def stumble(self: object, path: str, *rest: object) -> bytes:
        calls.append(path)
        if len(calls) < failing:
            raise ConnectionResetError("reset")
        return bytes(whole(self, path, *rest))

    monkeypatch.setattr(fsspec.filesystem("memory").__class__, "cat_file", stumble)
    failing = 3
    assert files.read_text(f"{remote}/train.txt").startswith("a.mp4") and len(calls) == 3
    failing = 99
    with pytest.raises(AnnotationError, match=r"3 attempts failed .ConnectionResetError: reset"):
        files.read_text(f"{remote}/train.txt")
