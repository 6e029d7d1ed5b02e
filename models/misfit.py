"""Why weights do not fit a network: the likely cause, in the configuration's keys."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from torch import Tensor

from models.key_table import listed

_STEP = r"branch\.steps\.\d+\."
_TEMPORAL = rf"(branch\.stem\..*|{_STEP}(temporal_block|to_temporal|to_integration)\..*)"
_FORMS = (
    (r"branch\.stem\..*", _TEMPORAL, "TEMPORAL_ENCODER"),
    (rf"{_STEP}temporal_block\.calibration\..*", None, "TEMPORAL_ENCODER"),
    (rf"{_STEP}to_temporal\..*", None, "EXCHANGE_TO_TEMPORAL"),
    (r"branch\.steps\.0\.to_integration\..*", rf"{_STEP}to_integration\..*", "EXCHANGE_TO_INTEGRATION"),
)
"""Parts that one form of DiST has and another has not, all that goes with them, and the key that chooses."""
_CAUSES = (
    (
        r"branch\.stem\.weight",
        "another patch size (14 for ViT-L/14, 16 for ViT-B/16) or VIDEO.BACKBONE.DIST.TEMPORAL_DIM",
    ),
    (r"branch\.proj", "another VIDEO.BACKBONE.DIST.INTEGRATION_DIM"),
    (r"branch\.pooling\.\d+\..*", "another VIDEO.BACKBONE.DIST.ADA_POOLING_LAYERS (SSv2: 2, Kinetics: 4)"),
    (rf"{_STEP}.*", "another number of VIDEO.BACKBONE.DIST.SELECTED_LAYERS"),
)
_TOWERS = ((r"clip\.visual\..*", "FREEZE_VISUAL"), (r"clip\.text\..*", "FREEZE_TEXT"))
"""The towers of CLIP, and the keys by which they are not tuned."""
_TO_INTEGRATION = rf"{_STEP}to_integration\.weight"


def explain_misfit(
    source: str,
    problems: Sequence[str],
    given: Mapping[str, Tensor],
    needed: Mapping[str, Tensor],
    sizes: Sequence[str],
) -> str:
    """The mismatch of the weights `given` by `source` with those `needed`.

    problems: as `key_problems` lists them. sizes: causes that are known.
    """
    if given.keys().isdisjoint(needed):
        keys = listed(sorted(given))
        return f"{source} holds another model: none of this network's weights is in it, but {keys}"
    if sizes:
        return f"the weights in {source} do not fit this network: {'; '.join(sizes)}. {'; '.join(problems)}"
    wrong = {
        name
        for name in {*given, *needed}
        if name not in given or name not in needed or given[name].shape != needed[name].shape
    }
    causes = _forms(wrong, given, needed)
    if any(_matches(_TO_INTEGRATION, name) and name in given and name in needed for name in wrong):
        causes.append("another DATA.SPARSE_SAMPLE_ALPHA")
    causes += [cause for pattern, cause in _CAUSES if any(_matches(pattern, name) for name in wrong)]
    causes += _about_clip(wrong, given)
    likely = f". Likely: {'; or '.join(causes)}" if causes else ""
    return f"the weights in {source} do not fit this network: {'; '.join(problems)}{likely}"


def _forms(wrong: set[str], given: Collection[str], needed: Collection[str]) -> list[str]:
    """Keys of DiST by which one side has parts that the other has not; what they explain leaves `wrong`."""
    found = []
    for part, explained, key in _FORMS:
        sides = [any(_matches(part, name) for name in side) for side in (given, needed)]
        if sides[0] != sides[1] and any(_matches(part, name) for name in wrong):
            found.append(f"another VIDEO.BACKBONE.DIST.{key}")
            wrong -= {name for name in wrong if _matches(explained or part, name)}
    return found


def _about_clip(wrong: Collection[str], given: Collection[str]) -> list[str]:
    """A tower of other sizes, or one that the file does not bring and this run would tune: which one such a
    file was trained beside is known where it says so.
    """
    found = [[name for name in wrong if _matches(tower, name)] for tower, _ in _TOWERS]
    if any(name in given for names in found for name in names):
        return ["another VIDEO.BACKBONE.META_ARCH_NAME"]
    return [
        "it was trained beside a CLIP that it neither holds nor names, as a checkpoint or a release of this "
        f"project does, and which is tuned here (VIDEO.BACKBONE.{key} false)"
        for names, (_, key) in zip(found, _TOWERS, strict=True)
        if names
    ]


def _matches(pattern: str, name: str) -> bool:
    return re.fullmatch(rf"(model\.)?{pattern}", name) is not None
