"""The model zoo: what `models/zoo.yaml` says, typed and checked.

`zoo_models()` lists every entry, `find_model(name)` looks one up; neither touches the network (see
models/weights.py for that) nor torch.
"""

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from utils.checksum import is_sha256

ZOO_PATH = Path(__file__).with_name("zoo.yaml")
SOURCES = ("google_drive", "hugging_face", "url")


class ZooError(ValueError):
    """A name that is not in the zoo, or a zoo file that does not say what it must."""


@dataclass(frozen=True)
class PublishedResult:
    """A result that the authors published."""

    data: str
    """Data set and split."""
    setting: str
    """Views, protocol, and whatever else the number depends on."""
    scores: Mapping[str, float]
    """Measure -> percent."""


@dataclass(frozen=True)
class Verification:
    """What was done here with the real file; None where nothing was."""

    file: str | None = None
    """The file was downloaded, and its hash taken."""
    loading: str | None = None
    """It loaded strictly."""
    scores: str | None = None
    """The published scores were measured again."""


@dataclass(frozen=True)
class ZooFamily:
    """A method whose released models the zoo lists."""

    name: str
    title: str
    paper: str
    layout: str
    """How the keys of its files are named."""
    checked_without_files: tuple[str, ...] = ()
    """What could be verified of these models without their files."""


@dataclass(frozen=True)
class ZooModel:
    """One released model."""

    name: str
    family: ZooFamily
    trained_on: str
    backbone: str
    frames: str
    """Sparse + dense frames, or what else the model is given."""
    config: str | None
    """Recipe in this project, relative to its root."""
    file: str
    """File name (a folder's name for a whole repository) in the folder of weights."""
    google_drive: str | None = None
    """Id of a Google Drive file."""
    hugging_face: str | None = None
    """`owner/name` of a Hugging Face repository, fetched whole."""
    url: str | None = None
    """Address of a plain https file."""
    sha256: str | None = None
    """Published hash; None when there is none, and the first download's is recorded."""
    published: tuple[PublishedResult, ...] = ()
    verified: Verification = field(default_factory=Verification)

    def __post_init__(self) -> None:
        given = [source for source in SOURCES if dataclasses.asdict(self)[source]]
        if len(given) != 1:
            raise ZooError(
                f"model {self.name!r} must name exactly one of {', '.join(SOURCES)}; it names {given}"
            )
        if self.sha256 is not None and not is_sha256(self.sha256):
            raise ZooError(f"model {self.name!r}: sha256 {self.sha256!r} is not 64 hexadecimal digits")

    @property
    def page(self) -> str:
        """Web page (or address) where a person finds the file."""
        if self.google_drive:
            return f"https://drive.google.com/file/d/{self.google_drive}/view"
        if self.hugging_face:
            return f"https://huggingface.co/{self.hugging_face}"
        return self.url or ""


@cache
def zoo_models() -> tuple[ZooModel, ...]:
    """Every model of the zoo, in the file's order."""
    return read_zoo(ZOO_PATH)


def find_model(name: str) -> ZooModel:
    """The model called `name`. Raises ZooError that names the closest ones."""
    by_name = {model.name: model for model in zoo_models()}
    if name in by_name:
        return by_name[name]
    close = difflib.get_close_matches(name, by_name, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else "python runs/download.py --list shows them all"
    raise ZooError(f"no model {name!r} in the zoo, and no such path; {hint}")


def read_zoo(path: Path) -> tuple[ZooModel, ...]:
    """Reads a zoo file. Raises ZooError for unknown or missing fields and for names given twice."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    families = {name: _read_family(name, section) for name, section in content["families"].items()}
    models = tuple(_read_model(section, families) for section in content["models"])
    names = [model.name for model in models]
    files = [model.file for model in models]
    for values in (names, files):
        repeated = sorted({value for value in values if values.count(value) > 1})
        if repeated:
            raise ZooError(f"{path}: given twice: {', '.join(repeated)}")
    return models


def _read_family(name: str, section: dict[str, Any]) -> ZooFamily:
    checked = tuple(section.pop("checked_without_files", ()))
    return _build(ZooFamily, {"name": name, "checked_without_files": checked, **section})


def _read_model(section: dict[str, Any], families: dict[str, ZooFamily]) -> ZooModel:
    fields = dict(section)
    if fields.get("family") not in families:
        raise ZooError(
            f"model {fields.get('name')!r}: family {fields.get('family')!r} is not one of {list(families)}"
        )
    fields["family"] = families[fields["family"]]
    fields["frames"] = str(fields.get("frames"))
    fields["published"] = tuple(_build(PublishedResult, result) for result in fields.get("published", ()))
    fields["verified"] = _build(Verification, fields.get("verified", {}))
    return _build(ZooModel, fields)


def _build(kind: type[Any], fields: dict[str, Any]) -> Any:
    known = {item.name for item in dataclasses.fields(kind)}
    required = {
        item.name
        for item in dataclasses.fields(kind)
        if item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
    }
    unknown, missing = sorted(set(fields) - known), sorted(required - set(fields))
    if unknown or missing:
        raise ZooError(
            f"{kind.__name__} {fields.get('name', '')!r}: unknown fields {unknown}, missing fields {missing}"
        )
    return kind(**fields)
