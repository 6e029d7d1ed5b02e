"""Loading: bases, overrides, types, and what a mistake is answered with."""

from __future__ import annotations

import dataclasses
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from utils.config import (
    ConfigError,
    FrozenDict,
    build_section,
    load_config,
    require,
    resolve_config,
    to_dict,
    to_yaml,
)
from utils.config.tree import parse_yaml


@dataclass(frozen=True)
class Inner:
    """A section inside a section."""

    rate: float = 0.1
    """A number."""
    sizes: tuple[int, ...] = (1, 2)
    """Several whole numbers."""
    mode: Literal["fast", "slow", "off"] = "fast"
    """A choice."""

    def __post_init__(self) -> None:
        require(self.rate > 0, "RATE", f"{self.rate} is not positive", "give a number above 0")


@dataclass(frozen=True)
class Outer:
    """The root."""

    name: str = "x"
    """A text."""
    count: int = 3
    """A whole number."""
    enable: bool = True
    """A switch."""
    limit: int | None = None
    """A whole number or nothing."""
    pair: tuple[float, float] = (0.0, 1.0)
    """Two numbers."""
    heads: int | tuple[int, ...] = 1
    """One or several."""
    options: dict[str, Any] = field(default_factory=dict)
    """Anything by name."""
    inner: Inner = field(default_factory=Inner)

    def __post_init__(self) -> None:
        require(self.count < 100, "COUNT", f"{self.count} is too large")


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder / "main.yaml"


def problems_of(path: Path | None, *pairs: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        load_config(Outer, path, pairs)
    return {problem.key: str(problem) for problem in caught.value.problems}


class TestValues:
    def test_every_type_from_yaml(self, tmp_path: Path) -> None:
        path = write(
            tmp_path,
            main="NAME: no\nCOUNT: 1e1\nENABLE: off\nLIMIT: 7\nPAIR: [1, 2e-3]\nHEADS: [4, 5]\n"
            "OPTIONS: {A: [1, {B: x}]}\nINNER: {RATE: 8e-8, SIZES: [], MODE: off}",
        )
        with pytest.raises(ConfigError, match="COUNT"):  # YAML 1.1 reads 1e1 as text, and a count is no float
            load_config(Outer, path)
        config = load_config(Outer, path, ["COUNT", "10"])
        assert config == Outer(
            name="no",
            count=10,
            enable=False,
            limit=7,
            pair=(1.0, 2e-3),
            heads=(4, 5),
            options={"A": (1, {"B": "x"})},
            inner=Inner(rate=8e-8, sizes=(), mode="off"),
        )

    @pytest.mark.parametrize(
        ("key", "text", "value"),
        [
            ("ENABLE", "False", False),
            ("ENABLE", "no", False),
            ("COUNT", "-4", -4),
            ("COUNT", "5.0", 5),
            ("LIMIT", "null", None),
            ("NAME", "3", "3"),
            ("NAME", "a video of: ", "a video of: "),
            ("NAME", "it's # not a comment", "it's # not a comment"),
            ("NAME", "", ""),
            ("NAME", "[broken", "[broken"),
            ("NAME", "/data/videos", "/data/videos"),
            ("PAIR", "[0.4, 1]", (0.4, 1.0)),
            ("HEADS", "9", 9),
            ("INNER.RATE", "1e-4", 1e-4),
            ("INNER.RATE", "3", 3.0),
            ("INNER.SIZES", "[8]", (8,)),
            ("OPTIONS.A.B", "1", {"A": {"B": 1}}),
            ("OPTIONS.SINCE", "2026-01-01", {"SINCE": "2026-01-01"}),  # YAML has dates, checkpoints have not
            ("OPTIONS.DAYS", "[2026-01-01 12:00:00]", {"DAYS": ("2026-01-01 12:00:00",)}),
        ],
    )
    def test_overrides_are_checked_against_the_type(self, key: str, text: str, value: object) -> None:
        config: Any = load_config(Outer, None, [key, text])
        for part in key.split(".")[: 1 if key.startswith("OPTIONS") else None]:
            config = getattr(config, part.lower())
        assert config == value
        assert type(config) in (type(value), FrozenDict)

    def test_a_section_can_be_overridden_as_a_whole(self) -> None:
        config = load_config(Outer, None, ["INNER.RATE", "2", "INNER", "{MODE: slow}"])
        assert config.inner == Inner(rate=2.0, mode="slow")

    @pytest.mark.parametrize(
        ("key", "text", "complaint"),
        [
            ("ENABLE", "maybe", "true or false"),
            ("ENABLE", "1", "true or false"),
            ("COUNT", "true", "whole number"),
            ("COUNT", "1.5", "whole number"),
            ("LIMIT", "x", "whole number"),
            ("NAME", "true", "a text must stand"),
            ("NAME", "[a]", "a text must stand"),
            ("PAIR", "[1]", "2 values"),
            ("PAIR", "1", "a list such as"),
            ("PAIR", "[1, x]", "a number must stand"),
            ("INNER.RATE", "fast", "a number must stand"),
            ("INNER.RATE", ".nan", "a number must stand"),
            ("INNER.RATE", "null", "a number must stand"),
            ("INNER.MODE", "fats", "nearest: fast"),
            ("INNER", "3", "given for a section"),
            ("INNER", "[1]", "given for a section"),
            ("COUNT", "{A: 1}", "single value"),
            ("OPTIONS", "3", "mapping"),
        ],
    )
    def test_a_wrong_type_names_key_and_place(self, key: str, text: str, complaint: str) -> None:
        said = problems_of(None, key, text)[key]
        assert complaint in said
        assert f"command line ({key} {text})" in said


class TestMistakes:
    def test_unknown_keys_name_file_line_and_nearest(self, tmp_path: Path) -> None:
        path = write(tmp_path, main="COUNT: 1\nINNER:\n  RTAE: 3\nINER:\n  RATE: 2\nRATE: 3\n")
        said = problems_of(path)
        assert "line 3" in said["INNER.RTAE"]
        assert "did you mean INNER.RATE" in said["INNER.RTAE"]
        assert "did you mean INNER" in said["INER"]
        assert "did you mean INNER.RATE" in said["RATE"]  # right key, wrong section
        assert str(path) in said["RATE"] or "main.yaml" in said["RATE"]

    def test_all_mistakes_are_told_at_once(self) -> None:
        assert set(problems_of(None, "COUNT", "x", "INNER.RATE", "-1", "NOTHING", "3")) == {
            "COUNT",
            "INNER.RATE",
            "NOTHING",
        }

    def test_a_failed_check_names_the_full_key_and_who_set_it(self, tmp_path: Path) -> None:
        path = write(tmp_path, main="INNER:\n  RATE: -1\n")
        said = problems_of(path)["INNER.RATE"]
        assert "-1.0 is not positive" in said
        assert "main.yaml, line 2" in said
        assert "give a number above 0" in said

    def test_a_missing_value(self) -> None:
        @dataclass(frozen=True)
        class Needs:
            folder: str
            """Where."""

        with pytest.raises(ConfigError, match="FOLDER: a value is missing"):
            build_section(Needs, {})

    @pytest.mark.parametrize("pairs", [["COUNT"], ["COUNT", "3", "ENABLE"]])
    def test_a_key_without_value(self, pairs: list[str]) -> None:
        with pytest.raises(ConfigError, match="has no value"):
            load_config(Outer, None, pairs)

    @pytest.mark.parametrize("pairs", [["COUNT=3"], ["--COUNT", "3"]])
    def test_other_ways_to_write_a_pair_are_explained(self, pairs: list[str]) -> None:
        with pytest.raises(ConfigError, match="TRAIN.BATCH_SIZE 64"):
            load_config(Outer, None, pairs)

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            ("COUNT: 1\nCOUNT: 2\n", "given twice.*line 1"),
            ("INNER:\n  RATE: 1\n  RATE: 2\n", "given twice.*line 2"),
            ("COUNT: [1\n", "not valid YAML"),
            ("- 1\n", "must hold a mapping"),
            ("? [a]\n: 1\n", "plain word"),
            ("\tCOUNT: 1\n", "not valid YAML"),
            ("_BASES: x.yaml\n", "unknown key _BASES"),
            ("OPTIONS: {A: &a [*a]}\n", "alias"),
            ("COUNT: 1\n---\nCOUNT: 2\n", "not valid YAML"),
            ("COUNT: !!python/object/apply:os.system [ls]\n", ""),
        ],
    )
    def test_files_that_are_no_configuration(self, tmp_path: Path, text: str, complaint: str) -> None:
        with pytest.raises(ConfigError, match=f"(?s){complaint}.*main.yaml"):
            load_config(Outer, write(tmp_path, main=text))

    def test_a_missing_file_suggests_a_neighbour(self, tmp_path: Path) -> None:
        write(tmp_path, main="", recipe="")
        with pytest.raises(ConfigError, match="does not exist(?s:.*)recipe.yaml"):
            load_config(Outer, tmp_path / "recipes.yaml")

    @pytest.mark.parametrize("content", [b"\xff\xfe", None])
    def test_an_unreadable_file(self, tmp_path: Path, content: bytes | None) -> None:
        path = tmp_path / "main.yaml"
        path.mkdir() if content is None else path.write_bytes(content)
        with pytest.raises(ConfigError, match="cannot be read"):
            load_config(Outer, path)


class TestBases:
    def test_later_overrides_earlier(self, tmp_path: Path) -> None:
        (tmp_path / "pool").mkdir()
        write(tmp_path / "pool", deepest="NAME: deepest\nCOUNT: 1\nLIMIT: 1\nPAIR: [1, 1]\nHEADS: 1\n")
        write(tmp_path / "pool", base="_BASE: deepest.yaml\nCOUNT: 2\nLIMIT: 2\nPAIR: [2, 2]\nHEADS: 2\n")
        write(tmp_path / "pool", model="LIMIT: 3\nPAIR: [3, 3]\nHEADS: 3\n", run="PAIR: [4, 4]\nHEADS: 4\n")
        path = write(
            tmp_path,
            main="_BASE: pool/base.yaml\n_BASE_RUN: pool/run.yaml\n_BASE_MODEL: pool/model.yaml\nHEADS: 5\n",
        )
        resolved = resolve_config(Outer, path, ["INNER.RATE", "6"])
        config = resolved.config
        assert (config.name, config.count, config.limit, config.pair, config.heads, config.inner.rate) == (
            "deepest",
            2,
            3,
            (4.0, 4.0),
            5,
            6.0,
        )
        assert "deepest.yaml, line 1" in resolved.sources["NAME"]
        assert resolved.sources["INNER.RATE"] == "command line (INNER.RATE 6)"
        assert "ENABLE" not in resolved.sources

    def test_a_list_of_bases_and_one_base_named_twice(self, tmp_path: Path) -> None:
        write(
            tmp_path,
            root="COUNT: 1\n",
            a="_BASE: root.yaml\nNAME: a\nLIMIT: 1\n",
            b="_BASE: root.yaml\nNAME: b\n",
        )
        config = load_config(Outer, write(tmp_path, main="_BASE: [a.yaml, b.yaml]\n"))
        assert (config.count, config.name, config.limit) == (1, "b", 1)

    def test_an_empty_section_changes_nothing(self, tmp_path: Path) -> None:
        write(tmp_path, base="INNER: {RATE: 2}\nOPTIONS: {A: 1}\n")
        config = load_config(Outer, write(tmp_path, main="_BASE: base.yaml\nINNER:\nOPTIONS: {B: 2}\n"))
        assert config.inner.rate == 2.0
        assert config.options == {"A": 1, "B": 2}

    def test_a_circle_is_an_error(self, tmp_path: Path) -> None:
        write(tmp_path, a="_BASE: main.yaml\n")
        with pytest.raises(ConfigError, match=r"circle: .*main.yaml -> .*a.yaml -> .*main.yaml"):
            load_config(Outer, write(tmp_path, main="_BASE_RUN: a.yaml\n"))

    def test_a_missing_base_names_who_wants_it(self, tmp_path: Path) -> None:
        path = write(tmp_path, main="NAME: x\n_BASE_MODEL: pool/none.yaml\n")
        with pytest.raises(
            ConfigError, match=r"none.yaml does not exist(?s:.*)main.yaml, line 2 \(_BASE_MODEL\)"
        ):
            load_config(Outer, path)

    def test_a_base_must_be_a_file_name(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="_BASE must be a file name"):
            load_config(Outer, write(tmp_path, main="_BASE: {A: 1}\n"))

    def test_anchors_and_merge_keys_of_yaml(self, tmp_path: Path) -> None:
        path = write(tmp_path, main="OPTIONS: &o {RATE: 3, MODE: slow}\nINNER:\n  <<: *o\n  RATE: 4\n")
        assert load_config(Outer, path).inner == Inner(rate=4.0, mode="slow")


class TestResult:
    def test_it_cannot_be_changed(self) -> None:
        config = load_config(Outer, None, ["OPTIONS.A", "1"])
        with pytest.raises(dataclasses.FrozenInstanceError):
            config.inner.rate = 3  # type: ignore[misc]
        for change in (lambda o: o.update(A=2), lambda o: o.pop("A"), lambda o: o.__setitem__("B", 1)):
            with pytest.raises(TypeError, match="cannot be changed"):
                change(config.options)

    def test_it_can_be_pickled(self) -> None:
        config = load_config(Outer, None, ["OPTIONS.A", "[1, 2]"])
        copy = pickle.loads(pickle.dumps(config))
        assert copy == config
        assert isinstance(copy.options, FrozenDict)

    def test_an_error_can_be_pickled(self) -> None:
        error = ConfigError("wrong", key="A", remedy="mend it")
        assert pickle.loads(pickle.dumps(error)).problems == error.problems

    def test_yaml_round_trip(self, tmp_path: Path) -> None:
        config = load_config(
            Outer,
            None,
            [
                "NAME",
                "yes",
                "INNER.RATE",
                "8e-8",
                "PAIR",
                "[1e-30, .inf]",
                "OPTIONS",
                "{A: {B: [x, 'null']}}",
            ],
        )
        path = tmp_path / "saved.yaml"
        path.write_text(to_yaml(config))
        assert load_config(Outer, path) == config
        assert to_dict(config)["INNER"] == {"RATE": 8e-8, "SIZES": [1, 2], "MODE": "fast"}

    def test_origins_stand_in_the_printed_yaml(self, tmp_path: Path) -> None:
        resolved = resolve_config(Outer, write(tmp_path, main="COUNT: 5\n"), ["INNER.RATE", "2"])
        text = to_yaml(resolved.config, resolved.sources)
        assert "RATE: 2.0  # command line (INNER.RATE 2)" in text
        assert parse_yaml(text, "printed").keys() == to_dict(resolved.config).keys()
        lines = [line for line in text.splitlines() if "#" in line]
        assert len(lines) == 2
