"""The demonstration from one end to the other.

generate ──► pre-train tiny CLIP ──► runs/run.py ──► order-blind baseline, appearance ──► summary.json
"""

from __future__ import annotations

import csv
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import simplejson
import torch

from datasets.moving_shapes.scene import MOTION_NAMES
from datasets.moving_shapes.writer import generate
from models.clip import build_clip
from runs.config import RunConfig, load_run_config
from runs.demonstration.appearance import appearance_accuracies
from runs.demonstration.clip_pretraining import make_tiny_clip
from runs.demonstration.config import DemoConfig
from runs.demonstration.contact_sheet import draw_contact_sheet
from runs.demonstration.features import frame_features
from runs.demonstration.order_blind import order_blind_accuracy
from runs.demonstration.other_encoder import set_aside_run_of_other_encoder
from utils.checkpoint import write_text_atomically
from utils.logging import get_logger, start_logging

CHECKOUT = Path(__file__).resolve().parents[2]
RECIPE = CHECKOUT / "configs" / "projects" / "demo" / "dist.yaml"


def run_demo(config: DemoConfig, root: Path) -> int:
    """Everything, below `root`; returns an exit code. Raises ValueError when `root` holds something else."""
    start = time.monotonic()
    root.mkdir(parents=True, exist_ok=True)
    start_logging(root / "demo.log")
    logger = get_logger()
    seconds: dict[str, float] = {}
    with _Timed(seconds, "data"):
        written = generate(config.data, root / "data", num_workers=os.cpu_count() or 1)
        logger.info("moving shapes: %d clips written (%s)", written, root / "data")
    with _Timed(seconds, "tiny CLIP"):
        trained = make_tiny_clip(config.pretraining, root / "tiny_clip.safetensors")
        logger.info("tiny CLIP: %s", "trained" if trained else "is there already")
    pairs = main_job_pairs(config, root)
    if told := set_aside_run_of_other_encoder(load_run_config(RECIPE, pairs)):
        logger.warning("%s", told)
    with _Timed(seconds, "DiST"):
        code = subprocess.run(
            [sys.executable, str(CHECKOUT / "runs" / "run.py"), "--cfg", str(RECIPE), *pairs], check=False
        ).returncode
    if code:
        logger.error("the main job ended with exit code %d; the same command goes on from there", code)
        return code
    with _Timed(seconds, "order-blind baseline"):
        findings = _order_blind_findings(config, load_run_config(RECIPE, pairs), root)
    findings |= _main_job_findings(root)
    draw_contact_sheet(root / "dist" / "predictions.csv", root / "data", root / "contact_sheet.png")
    seconds["all"] = time.monotonic() - start
    _tell(findings | _resources(seconds), root)
    return 0


def main_job_pairs(config: DemoConfig, root: Path) -> list[str]:
    """The KEY VALUE pairs that the main job gets beside its YAML file."""
    return [
        *("DATA.DATA_ROOT_DIR", str(root / "data")),
        *("DATA.ANNO_DIR", str(root / "data" / "annotations" / "motion")),
        *("VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH", str(root / "tiny_clip.safetensors")),
        *("OUTPUT_DIR", str(root / "dist"), "LOG_CONFIG_INFO", "false"),
        *config.overrides,
    ]


class _Timed:
    """Notes how long a part took."""

    def __init__(self, seconds: dict[str, float], name: str) -> None:
        self.seconds, self.name = seconds, name

    def __enter__(self) -> None:
        self.start = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self.seconds[self.name] = time.monotonic() - self.start


def _order_blind_findings(config: DemoConfig, run: RunConfig, root: Path) -> dict[str, Any]:
    backbone = run.video.backbone
    clip = build_clip(backbone.meta_arch_name, backbone.pretrain_weight_path)
    train, test = (frame_features(run, clip, split) for split in ("train", "val"))
    appearance = appearance_accuracies(clip, test, root / "data" / "annotations")
    blind = order_blind_accuracy(train, test, len(MOTION_NAMES), config.probe)
    return {
        "frozen_clip_appearance_top1": round(min(appearance.values()), 2),
        "frozen_clip_colour_top1": round(appearance["colour"], 2),
        "frozen_clip_shape_top1": round(appearance["shape"], 2),
        "order_blind_motion_top1": round(blind, 2),
    }


def _main_job_findings(root: Path) -> dict[str, Any]:
    summary = json.loads((root / "dist" / "summary.json").read_text(encoding="utf-8"))
    with open(root / "dist" / "per_class.csv", newline="", encoding="utf-8") as stream:
        per_class = {row["name"]: float(row["top1"]) for row in csv.DictReader(stream)}
    return {
        "dist_motion_top1": round(summary["test"]["scores"]["top1"], 2),
        "dist_motion_top1_per_class": per_class,
        "test_clips": summary["test"]["videos_evaluated"],
        "trainable_weights": summary["weights"]["trainable_parameters"],
    }


def _resources(seconds: dict[str, float]) -> dict[str, Any]:
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {
        "seconds": round(seconds.pop("all"), 1),
        "seconds_by_part": {name: round(value, 1) for name, value in seconds.items()},
        "peak_memory_gb": round(peak / 2**20, 2),
        "cpu_threads": torch.get_num_threads(),
    }


def _tell(findings: dict[str, Any], root: Path) -> None:
    text = simplejson.dumps(findings, indent=2, ignore_nan=True) + "\n"
    write_text_atomically(root / "summary.json", text)
    rows = (
        ("frozen CLIP, zero-shot: colour", "frozen_clip_colour_top1"),
        ("frozen CLIP, zero-shot: shape", "frozen_clip_shape_top1"),
        ("order-blind probe on the same features: motion", "order_blind_motion_top1"),
        ("DiST: motion", "dist_motion_top1"),
    )
    table = "\n".join(f"  {label:<48} {findings[key]:6.2f} %" for label, key in rows)
    pictures = "dist/learning_curve.png, dist/confusion_matrix.png, contact_sheet.png"
    get_logger().info(
        "top-1 on %d test clips\n%s\n%s s; everything is in %s (summary.json, %s)",
        findings["test_clips"], table, findings["seconds"], root, pictures,
    )  # fmt: skip
