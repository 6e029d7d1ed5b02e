"""MODEL_ZOO.md as a pure function of the zoo's entries.

`python runs/model_zoo.py` writes the page; a test keeps the written page equal to this function's.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from models.zoo import Verification, ZooFamily, ZooModel

_NOT_YET = {
    "file": "download and SHA-256",
    "loading": "strict loading of the real file",
    "scores": "published scores",
}

_INTRODUCTION = """# Model zoo

<!-- Generated from models/zoo.yaml by `python runs/model_zoo.py`; edit that file. -->

Released models, by name:

```
python runs/download.py --list                          # what there is, and what is here already
python runs/download.py dist-ssv2-vit-b16-8+16f         # into MODEL_ZOO_DIR, or ~/.cache/dist-video
python runs/download.py dist-ssv2-vit-b16-8+16f --to .  # or wherever you say
python runs/predict.py video.mp4 --model dist-k400-vit-b16-8+16f
```

Wherever a command takes a model, it takes a path or a name, and an existing path wins. `MODEL_ZOO_MIRROR`
names a folder (or an https address) that holds the files under the names below, for machines without a way
to the sources; `MODEL_ZOO_OFFLINE=1` forbids the network. Downloads resume where they stopped. Where a
SHA-256 is published it is checked; otherwise it is recorded beside the file at the first download
(`<file>.sha256`) and checked from then on: by `download.py` each time, and when a model is used by its name,
whenever the file is another than at the last check (by size and time, remembered in `<file>.checked`).

Scores are what the authors published, in percent, with their protocol: they are what a file must give, not
what was measured here. The last section says what was verified here and what was not.
"""


def zoo_page(models: Sequence[ZooModel]) -> str:
    """The whole page, in Markdown."""
    families = list(dict.fromkeys(model.family.name for model in models))
    sections = [_INTRODUCTION]
    for name in families:
        members = [model for model in models if model.family.name == name]
        sections.append(_family_section(members[0].family, members))
    sections.append(_verification_section(models))
    return "\n".join(sections)


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; `|` in a cell is escaped."""
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _family_section(family: ZooFamily, models: Sequence[ZooModel]) -> str:
    columns = ("name", "backbone", "trained on", "frames", "recipe", "file", "SHA-256")
    table = markdown_table(columns, [_model_row(model) for model in models])
    results = [row for model in models for row in _result_rows(model)]
    section = f"## {family.title}\n\n{family.paper}. Files: {family.layout}.\n\n{table}"
    if not results:
        return section
    return section + "\n" + markdown_table(("name", "evaluated on", "setting", "published"), results)


def _model_row(model: ZooModel) -> tuple[str, ...]:
    recipe = f"[{model.config.rsplit('/', 1)[-1]}]({model.config})" if model.config else "-"
    digest = f"`{model.sha256[:12]}…`" if model.sha256 else "recorded at first download"
    file = f"[{model.file}]({model.page})"
    return (f"`{model.name}`", model.backbone, model.trained_on, model.frames, recipe, file, digest)


def _result_rows(model: ZooModel) -> list[tuple[str, ...]]:
    return [
        (f"`{model.name}`", result.data, result.setting, scores_text(result.scores))
        for result in model.published
    ]


def scores_text(scores: Mapping[str, float]) -> str:
    """`top-1 68.7, top-5 91.1`."""
    return ", ".join(f"{measure} {value:.1f}" for measure, value in scores.items())


def _verification_section(models: Sequence[ZooModel]) -> str:
    families = {model.family.name: model.family for model in models}
    checked = "".join(
        f"* {family.title}: {statement}\n"
        for family in families.values()
        for statement in family.checked_without_files
    )
    done = [
        f"* `{model.name}`: {_NOT_YET[field]}: {statement}\n"
        for model in models
        for field, statement in dataclasses.asdict(model.verified).items()
        if statement
    ]
    open_rows = [(f"`{model.name}`", _open_checks(model)) for model in models if _open_checks(model)]
    return (
        "## Verified here, and not yet verified\n\n"
        "Without the released files:\n\n"
        f"{checked}\n"
        "With the released files:\n\n"
        f"{''.join(done) or '* nothing yet.' + chr(10)}\n"
        "Not yet verified (each needs the real file, and the scores the data set as well):\n\n"
        f"{markdown_table(('name', 'not yet verified'), open_rows)}"
    )


def _open_checks(model: ZooModel) -> str:
    fields = [item.name for item in dataclasses.fields(Verification)]
    if not model.published:
        fields.remove("scores")
    verified = dataclasses.asdict(model.verified)
    return ", ".join(_NOT_YET[field] for field in fields if verified[field] is None)
