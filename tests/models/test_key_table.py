"""models/key_table.py: strictness of tables."""

import pytest
import torch

from models.key_table import ConversionError, KeyRule, convert, listed

TABLE = (
    KeyRule("a.{i}.w.{p}", "b.{i}.{p}"),
    KeyRule("m", "n", transpose=True),
    KeyRule("q.{i}", "qkv.{i}", part=0),
    KeyRule("k.{i}", "qkv.{i}", part=1),
)


def test_names_numbers_transposition_and_packing() -> None:
    matrix = torch.arange(6.0).view(2, 3)
    state = {
        "a.11.w.bias": torch.ones(1),
        "m": matrix,
        "k.2": torch.ones(1),
        "q.2": torch.zeros(1),
        "drop.me": matrix,
    }
    converted = convert(state, TABLE, layout="test", left_out=[r"drop\..*"])
    assert sorted(converted) == ["b.11.bias", "n", "qkv.2"]
    assert converted["n"].tolist() == matrix.T.tolist() and converted["n"].is_contiguous()
    assert converted["qkv.2"].tolist() == [0, 1]


@pytest.mark.parametrize("key", ["a.x.w.bias", "a.1.w.gain", "xa.1.w.bias", "a.1.w.biasx", "aX1.w.bias"])
def test_a_key_that_no_rule_names_is_an_error(key: str) -> None:
    with pytest.raises(ConversionError, match=f"test: keys that this layout does not have: {key}"):
        convert({key: torch.ones(1)}, TABLE, layout="test")


def test_a_missing_part_is_an_error() -> None:
    with pytest.raises(ConversionError, match=r"qkv\.0 is packed from 2 tensors, of which 1 are there"):
        convert({"q.0": torch.ones(1)}, TABLE, layout="test")


def test_long_lists_are_cut() -> None:
    assert listed([str(index) for index in range(9)]) == "0, 1, 2, 3, 4, 5 and 3 more"
