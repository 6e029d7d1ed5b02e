"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from safetensors import SafetensorError

from utils.atomic import replacing


def test_the_file_appears_when_the_block_is_done(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    with replacing(str(path)) as temporary:
        Path(temporary).write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert [item.name for item in path.parent.iterdir()] == ["file.txt"]


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(str(path)) as temporary:
        Path(temporary).write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["file.txt"]


def test_others_may_read_a_file_that_a_library_wrote_for_its_owner_alone(tmp_path: Path) -> None:
    plain, path = tmp_path / "plain", tmp_path / "file"
    plain.touch()
    with replacing(str(path)) as temporary:
        Path(temporary).write_text("whole")
        Path(temporary).chmod(0o600)
    assert path.stat().st_mode == plain.stat().st_mode


def test_a_full_disk_is_an_error_of_the_system_whatever_the_library_calls_it(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"file\.\d+\.tmp") as caught, replacing(str(tmp_path / "file")):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
    assert caught.value.errno == errno.ENOSPC
    with pytest.raises(SafetensorError, match="invalid"), replacing(str(tmp_path / "file")):
        raise SafetensorError("invalid shape")
