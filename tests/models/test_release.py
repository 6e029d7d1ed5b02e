"""models/release.py: what is written comes back, and nothing else does."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from models import release
from models.key_table import ConversionError
from models.release import Encoder, ReleaseDescription, is_release, read_description, write_release
from models.weight_files import read_weight_file

DESCRIPTION = ReleaseDescription(
    config={"MODEL": {"NAME": "dist"}, "DATA": {"MEAN": [0.5, 0.5, 0.5]}},
    class_names=(("wash", "cut"), ("knife", "plate", "Käse")),
    encoder=Encoder("ViT-B-16", included=True, fingerprint="f" * 64),
    dataset="epic100",
    scores={"top-1": 71.25},
    notes="trained for a test",
)


def test_description_and_tensors_come_back(tmp_path: Path) -> None:
    shared_memory = torch.arange(4.0)
    tensors = {"a": shared_memory, "b": shared_memory[:2], "c": torch.ones(2, 3).T}
    write_release(tmp_path / "new" / "model.safetensors", DESCRIPTION, tensors)
    file = read_weight_file(tmp_path / "new" / "model.safetensors")
    assert is_release(file)
    assert read_description(file) == DESCRIPTION
    assert all(torch.equal(file.tensors[name], tensors[name]) for name in tensors)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["model.safetensors"]


def test_other_files_are_no_releases(tmp_path: Path) -> None:
    save_file({"a": torch.ones(1)}, tmp_path / "plain", metadata={"format": "pt"})
    assert not is_release(read_weight_file(tmp_path / "plain"))
    save_file({"a": torch.ones(1)}, tmp_path / "later", metadata={"format": "dist-video release 2"})
    assert is_release(read_weight_file(tmp_path / "later"))
    with pytest.raises(ConversionError, match="release 2"):
        read_description(read_weight_file(tmp_path / "later"))


def test_a_damaged_description_is_one_line(tmp_path: Path) -> None:
    save_file(
        {"a": torch.ones(1)}, tmp_path / "bad", metadata={"format": "dist-video release 1", "config": "{"}
    )
    with pytest.raises(ConversionError, match="its description cannot be read"):
        read_description(read_weight_file(tmp_path / "bad"))


def test_a_failed_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def disk_full(_: object, path: str, **__: object) -> None:
        Path(path).write_bytes(b"half")
        raise OSError("no space left on device")

    path = tmp_path / "model.safetensors"
    path.write_bytes(b"earlier")
    monkeypatch.setattr(release, "save_file", disk_full)
    with pytest.raises(OSError, match="no space"):
        write_release(path, DESCRIPTION, {"a": torch.ones(1)})
    assert path.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [path]
