"""The zero-shot demonstration: data, tiny CLIP, training on captions, two questions, one table and one plot.

Every part is a command of the project, called with the demonstration's configuration.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from datasets.moving_shapes.held_out import APPEARANCES, write_held_out_lists
from datasets.moving_shapes.scene import MOTION_NAMES
from datasets.moving_shapes.writer import generate
from runs.config import load_run_config
from runs.demonstration.clip_pretraining import make_tiny_clip
from runs.demonstration.config import DemoConfig
from runs.demonstration.other_encoder import set_aside_run_of_other_encoder
from runs.inference.plots import save_curves
from runs.run import main as run
from runs.zero_shot import main as zero_shot
from utils.checkpoint import write_text_atomically

RECIPE = Path(__file__).resolve().parents[2] / "configs" / "projects" / "demo" / "zero-shot.yaml"
QUESTIONS = ("motion", "appearance")
TEMPLATES = {
    "motion": [f"{appearance} {{}}" for appearance in APPEARANCES],
    "appearance": ["{}", *(f"{{}} {motion}" for motion in MOTION_NAMES)],
}
"""Prompts of a question, averaged: what it does not ask for in every wording that the captions have."""


def demonstrate(config: DemoConfig, root: Path) -> int:
    """Make what is missing below `root`, and write the result; returns the exit code of the first part that
    fails.
    """
    generate(config.data, root / "data")
    make_tiny_clip(config.pretraining, root / "tiny_clip.safetensors")
    folder = root / "zero_shot"
    trained, asked = write_held_out_lists(config.data, folder / "lists")
    pairs = _pairs(root, folder) + list(config.overrides)
    if told := set_aside_run_of_other_encoder(load_run_config(RECIPE, pairs)):
        print(told)
    if code := run(["--cfg", str(RECIPE), *pairs]):
        return code
    checkpoint = str(folder / "dist" / "checkpoints" / "best.pt")
    for question in QUESTIONS:
        asking = [*pairs, *_pairs_of(question, folder)]
        if code := zero_shot(["--cfg", str(RECIPE), "--checkpoint", checkpoint, "--sweep-fusion", *asking]):
            return code
    facts = {name: json.loads((folder / name / "zero_shot.json").read_text()) for name in QUESTIONS}
    text = result_table(facts, trained, asked)
    print("\n" + text)
    write_text_atomically(folder / "result.md", text + "\n")
    _draw(facts, folder / "fusion.png")
    return 0


def result_table(facts: dict[str, Any], trained: int, asked: int) -> str:
    """Top-1 on both questions: the frozen CLIP, DiST, and both fused half and half."""
    lines = [
        f"Combinations of motion and appearance held out: {asked} clips; trained on {trained} of the others. "
        f"Prompts: {len(TEMPLATES['motion'])} templates for motion, {len(TEMPLATES['appearance'])} for "
        "appearance.",
        "",
        "| top-1, % | motion (8) | appearance (30) |",
        "|---|---|---|",
    ]
    scores = {question: facts[question]["scores"] for question in QUESTIONS}
    for name in scores["motion"]:
        cells = " | ".join(f"{scores[question][name]['top1']:.2f}" for question in QUESTIONS)
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines)


def _pairs(root: Path, folder: Path) -> list[str]:
    settings = {
        "OUTPUT_DIR": folder / "dist",
        "DATA.DATA_ROOT_DIR": root / "data",
        "DATA.ANNO_DIR": folder / "lists",
        "DATA.CLASS_NAMES": "classes.txt",  # relative to DATA.ANNO_DIR, as lists are
        "VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH": root / "tiny_clip.safetensors",
    }
    return [word for key, value in settings.items() for word in (key, str(value))]


def _pairs_of(question: str, folder: Path) -> list[str]:
    settings = {
        "OUTPUT_DIR": folder / question,
        "TRAIN.ENABLE": "false",
        "TEST.ENABLE": "true",
        "DATA.TEST_LIST": f"{question}/test.csv",
        "DATA.CLASS_NAMES": f"{question}/classes.txt",
        "DATA.DATASET_LABEL_TEXT.TEMPLATES": json.dumps(TEMPLATES[question]),
    }
    return [word for key, value in settings.items() for word in (key, str(value))]


def _draw(facts: dict[str, Any], path: Path) -> None:
    sweeps = {question: facts[question]["fusion_sweep"] for question in QUESTIONS}
    weights = [float(weight) for weight in sweeps["motion"]]
    curves = {question: [entry["top1"] for entry in sweep.values()] for question, sweep in sweeps.items()}
    save_curves(
        weights,
        curves,
        path,
        x_label="weight of DiST (0: frozen CLIP alone)",
        y_label="top-1, %",
        title="combinations that were never trained on",
    )
