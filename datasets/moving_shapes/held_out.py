"""Zero-shot questions about "moving shapes": some combinations of motion and appearance are never trained on.

    LISTS/train.csv  val.csv  classes.txt      path,caption of the trained combinations; all captions
    LISTS/motion/test.csv  classes.txt         held-out combinations, asked for the motion
    LISTS/appearance/test.csv  classes.txt     the same clips, asked for colour and shape

Every motion and every appearance is trained on, but a quarter of their combinations is not: each appearance
lacks one of the four pairs of motions. A model that has learnt captions by heart has nothing to recall.
"""

from __future__ import annotations

from pathlib import Path

from datasets.moving_shapes.appearance import COLOURS, SHAPES
from datasets.moving_shapes.captions import appearance_caption, motion_caption
from datasets.moving_shapes.config import MovingShapesConfig
from datasets.moving_shapes.scene import MOTION_NAMES, MOTIONS, Scene
from datasets.moving_shapes.splits import Clip, draw_split
from datasets.moving_shapes.writer import write_csv, write_text

_PAIRS = len(MOTIONS) // 2

APPEARANCES = tuple(appearance_caption(colour, shape) for colour in COLOURS for shape in SHAPES)
CAPTIONS = tuple(f"{appearance} {motion}" for motion in MOTION_NAMES for appearance in APPEARANCES)


def is_held_out(scene: Scene) -> bool:
    """Whether the scene's combination of motion pair, colour and shape is kept out of training."""
    colour, shape = list(COLOURS).index(scene.colour), list(SHAPES).index(scene.shape)
    return (scene.motion // 2 + colour + shape) % _PAIRS == 0


def write_held_out_lists(config: MovingShapesConfig, folder: Path) -> tuple[int, int]:
    """Writes the lists for the data set of a configuration; returns how many clips are trained on and asked
    for.
    """
    train, test = draw_split(config, "train"), draw_split(config, "test")
    seen = {"train": _without_held_out(train), "val": _without_held_out(test)}
    for split, clips in seen.items():
        write_csv(
            folder / f"{split}.csv", ("path", "label"), [(c.path, motion_caption(c.scene)) for c in clips]
        )
    write_text(folder / "classes.txt", "".join(f"{caption}\n" for caption in CAPTIONS))
    asked = [clip for clip in test if is_held_out(clip.scene)]
    for question, names in (("motion", MOTION_NAMES), ("appearance", APPEARANCES)):
        rows = [(clip.path, _answer(question, clip.scene)) for clip in asked]
        write_csv(folder / question / "test.csv", ("path", "label"), rows)
        write_text(folder / question / "classes.txt", "".join(f"{name}\n" for name in names))
    return len(seen["train"]), len(asked)


def _without_held_out(clips: list[Clip]) -> list[Clip]:
    return [clip for clip in clips if not is_held_out(clip.scene)]


def _answer(question: str, scene: Scene) -> str:
    return scene.label if question == "motion" else appearance_caption(scene.colour, scene.shape)
