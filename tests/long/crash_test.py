"""Kill a run at random moments, resume it each time, and compare the end with an uninterrupted run, bit for
bit.

    python tests/long/crash_test.py --kills 30 --processes 1
    python tests/long/crash_test.py --kills 30 --processes 2

The real command on tiny videos, with a reading worker, a checkpoint after every step, mixing, averaging,
validation. Every kill is SIGKILL to all processes of the run at once. A few minutes on two cores.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import torch

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path[0] = str(CHECKOUT)

from tests.runs.tiny_runs import tiny_pairs, words, write_videos  # noqa: E402
from utils.checkpoint import read_checkpoint  # noqa: E402

SHARE_AT_START = 0.2
"""Of the kills, those that come at a random moment of the start; the others wait for a first step."""
COMPARED = ("weights", "average", "optimizer", "scaler", "random")
NUMBERS = ("kind", "step", "loss", "learning_rate", "gradient_norm", "top1", "videos")


def main() -> None:
    """Run the test; exit code 0 when all bits agree."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="crash-test-") as name:
        folder = Path(name)
        (folder / "videos").mkdir()
        write_videos(folder / "videos")
        started = time.monotonic()
        whole = _command(folder, "whole", options)
        assert _start(whole, folder).wait() == 0, (folder / "log.txt").read_text()
        seconds = time.monotonic() - started
        print(f"uninterrupted: {seconds:.1f} s, {options.epochs * 2} steps", flush=True)
        kills, in_writes = _kill_and_resume(folder, options)
        assert _start(_command(folder, "killed", options), folder).wait() == 0, (
            folder / "log.txt"
        ).read_text()
        differences = _differences(folder)
    print(f"{kills} kills, {in_writes} of them while a checkpoint was being written")
    print("the same bits" if not differences else "DIFFERENT: " + ", ".join(differences))
    sys.exit(1 if differences or kills < options.kills else 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=150, help="of two steps each")
    parser.add_argument("--longest", type=float, default=2.5, help="most seconds of steps before a kill")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def _command(folder: Path, name: str, options: argparse.Namespace) -> list[str]:
    pairs = tiny_pairs(folder / "videos", folder / name)
    pairs |= {
        "OPTIMIZER.MAX_EPOCH": str(options.epochs),
        "TRAIN.EVAL_PERIOD": "25",
        "DATA_LOADER.NUM_WORKERS": "1",
    }
    recipe = folder / "recipe.yaml"
    recipe.write_text("{}\n")
    script = [str(CHECKOUT / "runs" / "run.py"), "--cfg", str(recipe), *words(pairs)]
    if options.processes == 1:
        return [sys.executable, *script]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return [*launcher, "--nproc-per-node", str(options.processes), *script]


def _start(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    with (folder / "log.txt").open("ab") as log:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )


def _kill_and_resume(folder: Path, options: argparse.Namespace) -> tuple[int, int]:
    """Kills that hit a living run, and how many of them left a half-written checkpoint."""
    chance = random.Random(options.seed)
    kills = in_writes = 0
    checkpoints = folder / "killed" / "checkpoints"
    while kills < options.kills:
        run = _start(_command(folder, "killed", options), folder)
        if chance.random() < SHARE_AT_START:
            time.sleep(chance.uniform(0.5, 8.0))
        else:
            _wait_for_a_step(run, folder / "killed" / "metrics.jsonl")
            time.sleep(chance.uniform(0.0, options.longest))
        if run.poll() is not None:
            print(f"the run ended (code {run.returncode}) before it was killed: raise --epochs", flush=True)
            break
        _kill_all(run)
        torn = len(list(checkpoints.glob(".*.partial")))
        newest = max((path.name for path in checkpoints.glob("step_*.pt")), default="none")
        kills, in_writes = kills + 1, in_writes + torn
        print(
            f"kill {kills}: newest checkpoint {newest}" + (", one half written" if torn else ""), flush=True
        )
    return kills, in_writes


def _kill_all(run: subprocess.Popen[bytes]) -> None:
    """SIGKILL to the command, its launcher's workers and their readers, as a power cut would have it."""
    root = psutil.Process(run.pid)
    family = [root, *root.children(recursive=True)]
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.suspend()  # nobody may notice the death of another
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(family)


def _wait_for_a_step(run: subprocess.Popen[bytes], metrics: Path) -> None:
    """Until the metrics file is written to, which a run does after each of its steps."""
    before = metrics.stat().st_mtime_ns if metrics.exists() else 0
    while run.poll() is None and (not metrics.exists() or metrics.stat().st_mtime_ns == before):
        time.sleep(0.01)


def _differences(folder: Path) -> list[str]:
    states, numbers = [], []
    for name in ("whole", "killed"):
        states.append(read_checkpoint(max((folder / name / "checkpoints").glob("step_*.pt"))))
        lines = (folder / name / "metrics.jsonl").read_text().splitlines()
        entries = [json.loads(line) for line in lines]
        numbers.append([{key: entry[key] for key in NUMBERS if key in entry} for entry in entries])
    found = [key for key in COMPARED if not _same(states[0][key], states[1][key])]
    return found + ([] if numbers[0] == numbers[1] else ["metrics.jsonl"])


def _same(first: Any, second: Any) -> bool:
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(_same(first[key], second[key]) for key in first)
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(_same, first, second))
    return bool(first == second)


if __name__ == "__main__":
    main()
