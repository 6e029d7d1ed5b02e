"""`runs/benchmark.py train`: one training step of every method, each in a process of its own. Torch-free.

    method ──► its shipped recipe, random weights ──► child process: steps ──► Measurement
    all of them ──► results.md, results.json, results.png

A process per method, one after the other: a peak of memory is then the method's own.
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from runs.benchmarks.training_report import Measurement, Settings, write_report
from runs.config import load_run_config
from utils.config import ConfigError

PROJECTS = Path(__file__).resolve().parents[2] / "configs" / "projects"


@dataclasses.dataclass(frozen=True)
class Method:
    """What is measured: a recipe, and keys that make it comparable with the others."""

    label: str
    recipe: str
    """Below configs/projects."""
    pairs: tuple[str, ...] = ()


METHODS = (
    Method("CLIP, linear probe", "baselines/ssv2/clip-linear-probe-vit-b16-8f.yaml"),
    Method("DiST", "dist/ssv2/vit-b16-8+16f.yaml"),
    Method("EVL", "baselines/ssv2/evl-vit-b16-8f.yaml"),
    Method("ST-Adapter", "baselines/ssv2/st-adapter-vit-b16-8f.yaml"),
    Method("AIM", "baselines/ssv2/aim-vit-b16-8f.yaml"),
    Method("STAN", "stan/ssv2/b16-8f.yaml"),
    Method("X-CLIP", "baselines/k400/xclip-vit-b16-8f.yaml", ("VIDEO.HEAD.NUM_CLASSES", "174")),
    Method(
        "CLIP, fully tuned",
        "baselines/k400/vifi-clip-vit-b16-16f.yaml",
        ("VIDEO.HEAD.NUM_CLASSES", "174", "DATA.NUM_INPUT_FRAMES", "8"),
    ),
)
"""All show 8 frames to CLIP and tell 174 classes apart, as the published comparison on SSv2 does."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    labels = ", ".join(method.label for method in METHODS)
    parser.add_argument("--methods", nargs="+", metavar="NAME", help=f"some of: {labels} (default: all)")
    parser.add_argument("--batch", type=int, default=2, help="clips per step (default: 2)")
    parser.add_argument("--steps", type=int, default=5, help="steps that are timed (default: 5)")
    parser.add_argument("--warmup", type=int, default=1, help="steps before that (default: 1)")
    parser.add_argument(
        "--device", default="auto", help="cpu, cuda, cuda:1 (default: a GPU where there is one)"
    )
    parser.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16", "fp16"))
    parser.add_argument("--threads", type=int, help="CPU threads (default: torch's)")
    parser.add_argument("--activation-checkpointing", action="store_true", help="recompute activations")
    parser.add_argument("--videos", nargs="+", default=[], metavar="FILE", help="real clips instead of noise")
    parser.add_argument(
        "--set", nargs=2, action="append", default=[], dest="pairs", metavar=("KEY", "VALUE"),
        help="override a key of every recipe, such as VIDEO.BACKBONE.META_ARCH_NAME ViT-B-32",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, default=Path("output/benchmark/train"), help="folder of results"
    )


def run(options: argparse.Namespace) -> int:
    """Measure, write and print the report."""
    chosen = chosen_methods(options.methods)
    extra = tuple(word for pair in options.pairs for word in pair)
    chosen = [dataclasses.replace(method, pairs=(*method.pairs, *extra)) for method in chosen]
    for method in chosen:
        load_run_config(
            PROJECTS / method.recipe, method.pairs
        )  # mistakes are told before anything is measured
    settings = Settings(
        batch=options.batch,
        steps=options.steps,
        warmup=options.warmup,
        device=options.device,
        precision=options.precision,
        threads=options.threads,
        videos=tuple(options.videos),
        activation_checkpointing=options.activation_checkpointing,
    )
    found: list[Measurement] = []
    for method in chosen:
        found.append(measured_apart(method, settings))
        print(
            f"{method.label}: {found[-1].step_ms:.0f} ms a step, {found[-1].peak_memory_gb:.2f} GB",
            flush=True,
        )
    print(write_report(found, settings, options.output))
    return 0


def chosen_methods(labels: list[str] | None) -> list[Method]:
    """The methods of these labels, in the table's order. Raises ConfigError for an unknown one."""
    known = {method.label.lower(): method for method in METHODS}
    unknown = [label for label in labels or () if label.lower() not in known]
    if unknown:
        raise ConfigError(
            f"no method {unknown[0]!r}", remedy=f"there are {', '.join(m.label for m in METHODS)}"
        )
    wanted = {label.lower() for label in labels} if labels else set(known)
    return [method for label, method in known.items() if label in wanted]


def measured_apart(method: Method, settings: Settings) -> Measurement:
    """The measurement of one method, made in a fresh process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(_measure, method, settings).result()


def _measure(method: Method, settings: Settings) -> Measurement:
    from runs.benchmarks.training_step import measure  # torch, in the child alone

    return measure(method.label, load_run_config(PROJECTS / method.recipe, method.pairs), settings)
