"""The shared command line: what it prints, what it returns, and how it refuses."""

from __future__ import annotations

import argparse
import errno
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from runs.cli import parse_command, readable_errors
from runs.config import RunConfig, load_run_config
from utils.config import ConfigError

TORCH_FREE_COMMAND = """
import sys

class NoHeavyImports:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "open_clip", "numpy", "pandas", "matplotlib"):
            raise AssertionError(f"{name} was imported")

sys.meta_path.insert(0, NoHeavyImports())
sys.path[0] = sys.argv.pop(1)
from runs.cli import parse_command, readable_errors

with readable_errors():
    invocation = parse_command(sys.argv[1:], description="Train.")
    print(invocation.config.train.batch_size)
"""


def run_command(checkout: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process in which every heavy import is an error."""
    return subprocess.run(
        [sys.executable, "-c", TORCH_FREE_COMMAND, str(checkout), *words],
        cwd=checkout,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


RECIPE = "configs/projects/dist/ssv2/vit-b16-8+16f.yaml"


class TestInAFreshProcess:
    def test_a_recipe_loads_without_torch(self, checkout: Path) -> None:
        done = run_command(checkout, "--cfg", RECIPE, "TRAIN.BATCH_SIZE", "64")
        assert (done.returncode, done.stdout, done.stderr) == (0, "64\n", "")

    def test_help(self, checkout: Path) -> None:
        done = run_command(checkout, "--help")
        assert done.returncode == 0
        for word in ("Train.", "--cfg", "--print-config", "--list-keys", "KEY VALUE"):
            assert word in done.stdout

    def test_a_typo_is_one_block_and_exit_code_2(self, checkout: Path) -> None:
        done = run_command(checkout, "--cfg", RECIPE, "TRAIN.BATCH_SZIE", "64")
        assert (done.returncode, done.stdout) == (2, "")
        first, second, third = done.stderr.splitlines()
        assert first == "error: TRAIN.BATCH_SZIE: unknown key"
        assert second == "  where:  command line (TRAIN.BATCH_SZIE 64)"
        assert third.startswith("  remedy: did you mean TRAIN.BATCH_SIZE or ")

    def test_the_printed_configuration_loads_again(self, checkout: Path, tmp_path: Path) -> None:
        done = run_command(checkout, "--cfg", RECIPE, "--print-config", "TRAIN.BATCH_SIZE", "64")
        assert done.returncode == 0
        assert "BATCH_SIZE: 64  # command line (TRAIN.BATCH_SIZE 64)" in done.stdout
        assert "BASE_LR: 3.2e-05  # configs/pool/run/dist.yaml, line " in done.stdout
        path = tmp_path / "printed.yaml"
        path.write_text(done.stdout)
        expected = load_run_config(checkout / RECIPE, ["TRAIN.BATCH_SIZE", "64"])
        assert load_run_config(path) == expected

    def test_the_list_of_keys(self, checkout: Path) -> None:
        done = run_command(checkout, "--list-keys", "VIDEO.BACKBONE.DIST")
        assert done.returncode == 0
        assert done.stdout.startswith(
            "VIDEO.BACKBONE.DIST.S_PATCH_SIZE  (int or null; default null)\n    Side of"
        )
        assert "TRAIN." not in run_command(checkout, "--list-keys", "DATA.").stdout
        assert "OPTIMIZER.BASE_LR" in run_command(checkout, "--list-keys").stdout

    def test_warnings_go_to_stderr(self, checkout: Path) -> None:
        done = run_command(checkout, "--cfg", "tests/runs/release_recipe.yaml")
        assert (done.returncode, done.stdout) == (0, "32\n")
        assert done.stderr.count("warning: ") == 2
        assert max(len(line) for line in done.stderr.splitlines()) <= 120


class TestParsing:
    def parse(self, *words: str, **settings: bool) -> tuple[RunConfig, argparse.Namespace]:
        def add_options(parser: argparse.ArgumentParser) -> None:
            parser.add_argument("--top", type=int, default=5)
            if settings.get("pairs_as_option"):
                parser.add_argument("videos", nargs="+")

        invocation = parse_command(words, description="", add_options=add_options, **settings)
        return invocation.config, invocation.options

    def test_options_and_pairs_in_any_order(self) -> None:
        config, options = self.parse("TRAIN.BATCH_SIZE", "8", "--top", "3", "--cfg", RECIPE, "NUM_GPUS", "0")
        assert (config.train.batch_size, config.num_gpus, options.top) == (8, 0, 3)

    def test_negative_numbers_are_values(self) -> None:
        with pytest.raises(ConfigError, match="NUM_GPUS: -1 is negative"):
            self.parse("NUM_GPUS", "-1", needs_file=False)

    def test_pairs_as_an_option_leave_room_for_positionals(self) -> None:
        config, options = self.parse(
            "a.mp4", "b.mp4", "--set", "TEST.BATCH_SIZE", "1", "--set", "NUM_GPUS", "0",
            pairs_as_option=True, needs_file=False,
        )  # fmt: skip
        assert (config.test.batch_size, config.num_gpus, options.videos) == (1, 0, ["a.mp4", "b.mp4"])

    def test_a_file_is_needed_unless_said_otherwise(self) -> None:
        with pytest.raises(ConfigError, match="add --cfg FILE"):
            self.parse()
        assert self.parse(needs_file=False)[0] == RunConfig()

    def test_an_unknown_option(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as caught:
            self.parse("--config", RECIPE)
        assert caught.value.code == 2
        assert "--config" in capsys.readouterr().err

    def test_the_command_can_be_repeated(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "argv", ["runs/run.py"])
        words = ["--cfg", RECIPE, "DATA.DATASET_LABEL_TEXT.PROMPT_PREFIX", "a video of "]
        command = parse_command(words, description="").command
        assert (
            command
            == f"python runs/run.py --cfg {RECIPE} DATA.DATASET_LABEL_TEXT.PROMPT_PREFIX 'a video of '"
        )


class TestErrors:
    def test_only_expected_kinds_are_caught(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as caught, readable_errors(FileNotFoundError):
            raise FileNotFoundError("no such list")
        assert caught.value.code == 2
        assert capsys.readouterr().err == "error: no such list\n"
        with pytest.raises(ZeroDivisionError), readable_errors(FileNotFoundError):
            raise ZeroDivisionError

    def test_a_full_disk_is_told(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as caught, readable_errors():
            raise OSError(errno.ENOSPC, "No space left on device", "index.npy")
        assert caught.value.code == 1
        assert "no room left for index.npy (No space left on device)" in capsys.readouterr().err
        with pytest.raises(OSError, match="Input/output"), readable_errors():
            raise OSError(errno.EIO, "Input/output error")

    def test_other_processes_leave_it_to_the_first_to_tell(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """torchrun ends all of them once one has left: that must not be before the first has told."""
        waits: list[float] = []
        monkeypatch.setattr("time.sleep", waits.append)
        for rank, local, told in (("0", "0", "error: wrong"), ("8", "0", "error in process 8: wrong")):
            monkeypatch.setenv("RANK", rank)
            monkeypatch.setenv("LOCAL_RANK", local)
            with pytest.raises(SystemExit), readable_errors():
                raise ConfigError("wrong")
            assert (capsys.readouterr().err, waits) == (f"{told}\n", [])
        monkeypatch.setenv("RANK", "1")
        monkeypatch.setenv("LOCAL_RANK", "1")
        with pytest.raises(SystemExit), readable_errors():
            raise ConfigError("wrong")
        assert waits and waits[0] >= 5
        assert capsys.readouterr().err == "error in process 1: wrong\n"  # it was left alone with it
        parse_command(["--cfg", "tests/runs/release_recipe.yaml"], description="")
        assert capsys.readouterr().err == ""

    def test_an_interrupt_is_a_word_and_a_code(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as caught, readable_errors():
            raise KeyboardInterrupt
        assert caught.value.code == 130
        assert capsys.readouterr().err == "interrupted\n"

    def test_an_error_that_an_interrupt_leads_to_is_an_interrupt(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = signal.getsignal(signal.SIGINT)
        with pytest.raises(SystemExit) as caught, readable_errors():
            with suppress(KeyboardInterrupt):  # as an import may
                os.kill(os.getpid(), signal.SIGINT)
            raise AttributeError("half a module has no such thing")
        assert caught.value.code == 130 and signal.getsignal(signal.SIGINT) is before
        assert capsys.readouterr().err == "interrupted\n"

    def test_every_command_heeds_an_interrupt_from_its_first_import_on(self, checkout: Path) -> None:
        for path in sorted((checkout / "runs").glob("*.py")):
            text = path.read_text(encoding="utf-8")
            if "__main__" in text:
                imports = re.findall(r"^ *from (?:datasets|models|runs|utils)\b.*", text, re.MULTILINE)
                assert imports[0] == "    from utils.stopping import leave_on_interrupt", path
