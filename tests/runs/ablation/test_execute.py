"""A grid runs what is missing, side by side, and tells what came out."""

from __future__ import annotations

import csv
import io
import json
import os
import threading
from pathlib import Path

import pytest

from runs.ablate import main
from runs.ablation import fusion
from runs.ablation.config import AblationConfig, GridRun, expand
from runs.ablation.execute import Device, is_complete, run_missing
from runs.ablation.results import as_markdown, read_row, summarise, write_results
from runs.build_data import load_splits, load_test_split
from runs.cli import parse_command
from runs.inference.zero_shot_job import choose_protocol
from runs.list_digests import lists_sha256
from runs.zero_shot import add_options
from utils.config import ConfigError, to_yaml

RECIPES = Path(__file__).resolve().parents[3] / "configs" / "projects" / "dist"
CPU = Device(None, 1)
ACCURACY = {("wide", 0): 80.0, ("wide", 1): 90.0, ("narrow", 0): 60.0, ("narrow", 1): 60.0}


@pytest.fixture
def runs(tmp_path: Path) -> list[GridRun]:
    (tmp_path / "base.yaml").write_text("TRAIN: {DATASET: csv}\n")
    grid = AblationConfig(
        base="base.yaml",
        output_dir=str(tmp_path / "out"),
        runs={"wide": {"VIDEO.BACKBONE.DIST.INTEGRATION_DIM": 128}, "narrow": {}},
        seeds=(0, 1),
    )
    return expand(grid, tmp_path / "grid.yaml")


def finish(run: GridRun, device: Device) -> int:
    """What a run leaves behind, without the run."""
    run.output_dir.mkdir(parents=True)
    (run.output_dir / "config.yaml").write_text(to_yaml(run.config()))
    summary = {
        "test": {"scores": {"top1": ACCURACY[run.name, run.seed], "top5": 99.0}},
        "training": {"seconds": 4.0, "clips_read": 64},
        "weights": {"trainable_parameters": 1000 if run.name == "wide" else 500},
        "peak_memory_gb": 0.5,
        "device": "cpu",
    }
    (run.output_dir / "summary.json").write_text(json.dumps(summary))
    return 0


def test_what_is_there_is_not_run_again(runs: list[GridRun]) -> None:
    finish(runs[2], CPU)
    started = []

    def execute(run: GridRun, device: Device) -> int:
        started.append(run)
        return finish(run, device)

    assert run_missing(runs, [CPU], execute) == []
    assert started == [runs[0], runs[1], runs[3]]
    assert run_missing(runs, [CPU], execute) == []
    assert len(started) == 3


def test_another_run_in_a_folder_is_no_result(runs: list[GridRun]) -> None:
    finish(runs[0], CPU)
    text = (
        (runs[0].output_dir / "config.yaml")
        .read_text()
        .replace("INTEGRATION_DIM: 128", "INTEGRATION_DIM: 64")
    )
    (runs[0].output_dir / "config.yaml").write_text(text)
    with pytest.raises(ConfigError, match="INTEGRATION_DIM was 64, now 128"):
        run_missing(runs, [CPU], finish)


def test_a_result_on_other_lists_is_no_result(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("TRAIN: {ENABLE: false}\nTEST: {DATASET: csv}\n")
    folders = [tmp_path / name for name in ("one", "same", "other")]
    for folder in folders:
        folder.mkdir()
        rows = "path,label\na.mp4,up\n" + ("b.mp4,down\n" if folder.name == "other" else "")
        (folder / "val.csv").write_text(rows)
        for video in ("a.mp4", "b.mp4"):
            (folder / video).touch()
    grids = [
        AblationConfig("base.yaml", str(tmp_path / "out"), common=root, runs={"narrow": {}})
        for root in ({"DATA.DATA_ROOT_DIR": str(folder)} for folder in folders)
    ]
    first, same, other = (expand(grid, tmp_path / "grid.yaml")[0] for grid in grids)
    finish(first, CPU)
    summary = json.loads((first.output_dir / "summary.json").read_text())
    summary["lists_sha256"] = lists_sha256(load_splits(first.config()))
    (first.output_dir / "summary.json").write_text(json.dumps(summary))
    assert is_complete(first) and is_complete(same)
    with pytest.raises(ConfigError, match="than those read now: test"):
        is_complete(other)
    (folders[0] / "val.csv").write_text("path,label\na.mp4,up\nb.mp4,up\n")  # edited where it lies
    with pytest.raises(ConfigError, match="than those read now: test"):
        is_complete(first)


def test_every_device_has_one_run_at_a_time(runs: list[GridRun]) -> None:
    busy, seen, both = set(), set(), threading.Barrier(2, timeout=10)

    def execute(run: GridRun, device: Device) -> int:
        assert device.gpu not in busy
        busy.add(device.gpu)
        seen.add(device.gpu)
        both.wait()  # passes only when two runs are under way
        busy.remove(device.gpu)
        return finish(run, device)

    assert run_missing(runs, [Device("0", 1), Device("1", 1)], execute) == []
    assert seen == {"0", "1"}
    assert Device("1", 2).environment()["CUDA_VISIBLE_DEVICES"] == "1"


def test_a_failed_run_does_not_stop_the_others(runs: list[GridRun]) -> None:
    failed = run_missing(runs, [CPU], lambda run, device: 1 if run is runs[0] else finish(run, device))
    assert failed == [runs[0]]
    assert [read_row(run) is not None for run in runs] == [False, True, True, True]


def test_an_interrupt_is_passed_on_to_the_runs(runs: list[GridRun], monkeypatch: pytest.MonkeyPatch) -> None:
    """They save their state; none is started after them."""
    script = runs[0].output_dir.parent / "run.py"
    script.parent.mkdir(parents=True)
    script.write_text(
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGINT, lambda *_: sys.exit('saved'))\n"
        f"os.kill({os.getpid()}, signal.SIGINT)\n"
        "time.sleep(60)\n"
    )
    monkeypatch.setattr("runs.ablation.execute.ENTRY", script)
    with pytest.raises(KeyboardInterrupt):
        run_missing(runs, [CPU])
    assert (runs[0].output_dir / "run.log").read_text() == "saved\n"
    assert not runs[1].output_dir.exists()


def test_results_are_means_over_seeds(runs: list[GridRun], tmp_path: Path) -> None:
    for run in runs:
        finish(run, CPU)
    table = write_results(runs, tmp_path / "out", "Does it?")
    assert "| wide | 85.00 ± 7.07 | 99.00 | 1,000 | 0.50 GB | 4 s | 16.0 |" in table
    assert "| narrow | 60.00 ± 0.00 | 99.00 | 500 |" in table
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out" / "results.csv").read_text())))
    assert [row["VIDEO.BACKBONE.DIST.INTEGRATION_DIM"] for row in rows] == ["128", "128", "", ""]
    assert [float(row["top1"]) for row in rows] == [80, 90, 60, 60]
    assert (tmp_path / "out" / "accuracy.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_missing_is_said(runs: list[GridRun]) -> None:
    finish(runs[0], CPU)
    rows = [row for row in map(read_row, runs) if row]
    text = as_markdown(summarise(rows), "", ["narrow, seed 1"])
    assert "Without a result yet: narrow, seed 1" in text
    assert "| wide | 80.00 |" in text


def test_a_mistake_stops_the_grid_before_its_first_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "base.yaml").write_text("TRAIN: {DATASET: csv}\n")
    grid = tmp_path / "grid.yaml"
    grid.write_text(
        f"BASE: base.yaml\nOUTPUT_DIR: {tmp_path}/out\nRUNS: {{a: {{LOG_PERIOD: 0}}, b: {{NO_SUCH: 1}}}}\n"
    )
    with pytest.raises(SystemExit) as stop:
        main(["--cfg", str(grid)])
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert "run 'a'" in said and "run 'b'" in said and "NO_SUCH" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("key", "value"), [("TEST.ENABLE", "false"), ("TASK_TYPE", "retrieval")])
def test_a_grid_without_accuracies_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str, value: str
) -> None:
    (tmp_path / "base.yaml").write_text("TRAIN: {DATASET: csv}\nAUGMENTATION: {MIXUP: {ENABLE: false}}\n")
    grid = tmp_path / "grid.yaml"
    grid.write_text(f"BASE: base.yaml\nOUTPUT_DIR: {tmp_path}/out\nRUNS: {{a: {{{key}: {value}}}}}\n")
    with pytest.raises(SystemExit):
        main(["--cfg", str(grid)])
    assert key in capsys.readouterr().err


def test_a_fusion_is_swept_without_training_again(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("TRAIN: {DATASET: csv}\n")
    grid = AblationConfig(
        base="base.yaml",
        output_dir=str(tmp_path / "out"),
        runs={"wide": {"VIDEO.BACKBONE.DIST.INTEGRATION_DIM": 128}},
        seeds=(0, 1),
        sweep_fusion=True,
    )
    runs = expand(grid, tmp_path / "grid.yaml")
    for run in runs:
        finish(run, CPU)
        (run.output_dir / "checkpoints").mkdir()
        for step in (5, 10):
            (run.output_dir / "checkpoints" / f"step_{step:09d}.pt").touch()
    assert not any(is_complete(run) for run in runs)
    command = fusion.sweep_command(runs[0])
    assert command[1].endswith("zero_shot.py") and str(runs[0].base) in command
    assert command[command.index("--checkpoint") + 1].endswith("step_000000010.pt")
    assert command[-4:-2] == ["TRAIN.ENABLE", "false"]
    for run, top1 in zip(runs, (60.0, 70.0), strict=True):
        fusion.result_file(run).parent.mkdir()
        swept = {"0": {"top1": 10.0}, "0.5": {"top1": top1}, "1": {"top1": 80.0}}
        for protocol in ("full", "test-list"):  # the first is of an earlier version
            found = {"protocol": protocol, "fusion_sweep": swept}
            fusion.result_file(run).write_text(json.dumps(found))
            assert is_complete(run) == (protocol == "test-list")
    table = write_results(runs, tmp_path / "out", "How much?")
    assert "| weight | wide |" in table and "| 0.5 | 65.00 |" in table and "| 1 | 80.00 |" in table
    assert (tmp_path / "out" / "fusion.md").exists() and (tmp_path / "out" / "fusion.png").exists()


def test_a_run_that_cannot_be_fused_stops_the_grid_before_its_first_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "base.yaml").write_text("TRAIN: {DATASET: csv}\nMODEL: {NAME: clip}\n")
    runs = {
        "fine": {},
        "tested": {"TRAIN.ENABLE": False},
        "adapter": {"MODEL.NAME": "st_adapter", "VIDEO.HEAD.NAME": "linear"},
        "probe": {"VIDEO.HEAD.NAME": "linear"},
        "verbs": {"VIDEO.HEAD.NUM_CLASSES": [97, 300]},
    }
    grid = {"BASE": "base.yaml", "OUTPUT_DIR": str(tmp_path / "out"), "SWEEP_FUSION": True, "RUNS": runs}
    (tmp_path / "grid.yaml").write_text(json.dumps(grid))
    with pytest.raises(SystemExit) as stop:
        main(["--cfg", str(tmp_path / "grid.yaml")])
    said = " ".join(capsys.readouterr().err.split())
    assert stop.value.code == 2 and "run 'fine'" not in said
    keys = {"tested": "TRAIN.ENABLE", "adapter": "MODEL.NAME", "probe": "VIDEO.HEAD.NAME"}
    for name, key in (keys | {"verbs": "VIDEO.HEAD.NUM_CLASSES"}).items():
        assert f"run '{name}': {key}: " in said
    assert not (tmp_path / "out").exists()


def test_a_fusion_is_swept_on_what_the_run_is_tested_on(shared: Path, tmp_path: Path) -> None:
    recipe = RECIPES / "few_shot" / "hmdb51-vit-b16-16+32f.yaml"
    lists = str(shared / "data" / "annotations" / "hmdb51" / "testTrainMulti_7030_splits")
    grid = AblationConfig(
        base=str(recipe),
        output_dir=str(tmp_path),
        common={"DATA.ANNO_DIR": lists, "DATA.SPLIT": 2},
        runs={"all": {}, "base": {"DATA.CLASS_HALF": "base"}},
        sweep_fusion=True,
    )
    for run, videos in zip(expand(grid, tmp_path / "grid.yaml"), (1530, 780), strict=True):
        (run.output_dir / "checkpoints").mkdir(parents=True)
        (run.output_dir / "checkpoints" / "step_000000005.pt").touch()
        invocation = parse_command(fusion.sweep_command(run)[2:], description="", add_options=add_options)
        (swept,) = choose_protocol(invocation).runs
        assert swept == load_test_split(run.config()) and len(swept) == videos
