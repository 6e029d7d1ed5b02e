"""models/zoo.py and MODEL_ZOO.md: the table, and the page generated from it."""

import subprocess
import sys
from pathlib import Path

import pytest

from models.zoo import ZOO_PATH, ZooError, find_model, read_zoo, zoo_models
from models.zoo_page import zoo_page

ROOT = Path(__file__).resolve().parents[2]


def test_the_nine_released_dist_models_are_listed_with_their_published_top1() -> None:
    published = {m.name: m.published[0].scores["top-1"] for m in zoo_models() if m.family.name == "dist"}
    assert sorted(published.values()) == [68.7, 70.2, 70.9, 73.1, 83.6, 84.4, 85.0, 88.0, 89.6]
    assert all(m.google_drive for m in zoo_models() if m.family.name == "dist")


def test_every_named_recipe_exists() -> None:
    missing = [model.config for model in zoo_models() if model.config and not (ROOT / model.config).is_file()]
    assert missing == []


def test_the_page_is_what_the_zoo_generates() -> None:
    page = (ROOT / "MODEL_ZOO.md").read_text(encoding="utf-8")
    assert page == zoo_page(zoo_models()), "run `python runs/model_zoo.py`"


def test_the_page_lists_every_unverified_model_as_such() -> None:
    section = zoo_page(zoo_models()).partition("Not yet verified (")[2]
    for model in zoo_models():
        assert (f"`{model.name}`" in section) == (
            model.verified.file is None or model.verified.loading is None
        )


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(ZooError, match=r"did you mean dist-ssv2-vit-b16-8\+16f"):
        find_model("dist-ssv2-vit-b16-8-16f")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("google_drive: 1-90gitvsRGgZwdMymydqczYJsxo5DPpP", "sha256: null", "exactly one of"),
        ("backbone: ViT-B/16", "back_bone: ViT-B/16", "unknown fields"),
        ("name: dist-ssv2-vit-b16-16+32f", "name: dist-ssv2-vit-b16-8+16f", "given twice"),
        ("family: clip", "family: clap", "not one of"),
        ("sha256: 40d3", "sha256: 40d", "64 hexadecimal"),
    ],
)
def test_a_wrong_entry_is_refused(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    text = ZOO_PATH.read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "zoo.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ZooError, match=complaint):
        read_zoo(tmp_path / "zoo.yaml")


def test_the_zoo_needs_no_torch() -> None:
    code = "import sys; sys.modules['torch'] = None; import runs.download, runs.model_zoo"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)
