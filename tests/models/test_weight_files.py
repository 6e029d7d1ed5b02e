"""models/weight_files.py: every format, what is wrong with a file, and that nothing in it runs."""

import collections
import os
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from models.key_table import ConversionError
from models.weight_files import read_weight_file
from utils.checkpoint import write_checkpoint

WEIGHTS = {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.ones(2, dtype=torch.float16)}


class Settings(dict):
    """Like a training framework's configuration: an object beside the weights."""


class Dangerous:
    """Runs a command when it is unpickled the ordinary way."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


def assert_weights(path: Path) -> None:
    tensors = read_weight_file(path).tensors
    assert list(tensors) == list(WEIGHTS)
    assert all(torch.equal(tensors[name], WEIGHTS[name]) for name in WEIGHTS)


@pytest.mark.parametrize("wrapper", [None, "model_state", "state_dict", "model"])
@pytest.mark.parametrize("zipped", [True, False])
def test_torch_files_of_both_formats_with_the_usual_wrappers(
    tmp_path: Path, wrapper: str | None, zipped: bool
) -> None:
    state: Any = collections.OrderedDict(WEIGHTS)
    content = {wrapper: state, "epoch": 3, "optimizer": {"state": {}}} if wrapper else state
    torch.save(content, tmp_path / "file", _use_new_zipfile_serialization=zipped)
    assert_weights(tmp_path / "file")


def test_own_checkpoints_give_the_averaged_weights_and_their_configuration(tmp_path: Path) -> None:
    average = {"a.bias": torch.zeros(2), "updates": 7}
    content = {"format": 1, "config": {"MODEL": {"NAME": "dist"}}, "weights": WEIGHTS, "average": average}
    torch.save(content, tmp_path / "file")
    file = read_weight_file(tmp_path / "file")
    assert torch.equal(file.tensors["a.weight"], WEIGHTS["a.weight"])
    assert torch.equal(file.tensors["a.bias"], torch.zeros(2))
    assert file.facts == {"config": {"MODEL": {"NAME": "dist"}}}
    torch.save({**content, "average": None}, tmp_path / "file")
    assert_weights(tmp_path / "file")


def test_safetensors_keep_their_description(tmp_path: Path) -> None:
    save_file(WEIGHTS, tmp_path / "file", metadata={"format": "pt"})
    file = read_weight_file(tmp_path / "file")
    assert sorted(file.tensors) == sorted(WEIGHTS)
    assert file.metadata == {"format": "pt"}


def test_torch_script_archives(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(nn.Linear(3, 2).half(), torch.zeros(1, 3).half()).save(tmp_path / "file.pt")
    tensors = read_weight_file(tmp_path / "file.pt").tensors
    assert {name: tensor.dtype for name, tensor in tensors.items()} == {
        "weight": torch.float16,
        "bias": torch.float16,
    }


@pytest.mark.parametrize("zipped", [True, False])
def test_objects_beside_the_weights_are_not_imported(tmp_path: Path, zipped: bool) -> None:
    parameter = nn.Parameter(torch.ones(2))
    content = {
        "state_dict": {**WEIGHTS, "p": parameter},
        "meta": Settings(lr=1),
        "where": Path("a"),
        "t": torch.half,
    }
    torch.save(content, tmp_path / "file", _use_new_zipfile_serialization=zipped)
    tensors = read_weight_file(tmp_path / "file").tensors
    assert list(tensors) == [*WEIGHTS, "p"]
    assert torch.equal(tensors["p"], torch.ones(2))


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_does_not_run(tmp_path: Path, zipped: bool) -> None:
    content = {"state_dict": WEIGHTS, "extra": Dangerous(tmp_path / "ran")}
    torch.save(content, tmp_path / "file", _use_new_zipfile_serialization=zipped)
    assert_weights(tmp_path / "file")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("kept", [0, 1, 7, 60, 100, -30])
@pytest.mark.parametrize("kind", ["torch", "safetensors"])
def test_a_damaged_file_is_one_clear_line(tmp_path: Path, kind: str, kept: int) -> None:
    if kind == "torch":
        torch.save(WEIGHTS, tmp_path / "whole")
    else:
        save_file(WEIGHTS, tmp_path / "whole")
    (tmp_path / "file").write_bytes((tmp_path / "whole").read_bytes()[:kept])
    with pytest.raises(ConversionError, match="damaged|no file of weights") as caught:
        read_weight_file(tmp_path / "file")
    assert "\n" not in str(caught.value)


def test_what_is_no_file_of_weights_says_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "page").write_text("<!DOCTYPE html><html>quota exceeded</html>")
    with pytest.raises(ConversionError, match="begins with b'<!DOCTYPE html>"):
        read_weight_file(tmp_path / "page")
    with pytest.raises(ConversionError, match=r"is a folder; name one of its files \(it holds page\)"):
        read_weight_file(tmp_path)
    with pytest.raises(ConversionError, match="No such file"):
        read_weight_file(tmp_path / "nowhere")
    torch.save({"epoch": 3}, tmp_path / "empty")
    with pytest.raises(ConversionError, match="holds no tensors"):
        read_weight_file(tmp_path / "empty")


def test_the_released_layout_is_found(shared: Path) -> None:
    tensors = read_weight_file(shared / "parity" / "dist_tiny_a.pyth").tensors
    assert len(tensors) == 214
    assert all(name.startswith("backbone.base_encoder.") for name in tensors)


def test_a_checkpoint_with_other_bytes_than_were_written_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "best.pt"
    write_checkpoint(path, {"weights": {"a": torch.arange(1000.0)}})
    assert read_weight_file(path).tensors["a"][-1] == 999
    content = bytearray(path.read_bytes())
    content[content.index(torch.tensor([500.0]).numpy().tobytes())] ^= 1
    path.write_bytes(content)
    with pytest.raises(ConversionError, match="do not match its checksum"):
        read_weight_file(path)
