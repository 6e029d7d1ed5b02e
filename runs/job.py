"""One process of a run from start to end: read lists, build, train, test, report.

    lists ──► OUTPUT_DIR opened (new, resumed, or complete) ──► network ──► Trainer ──► test ──► report

Cheap checks come first: a wrong list or a folder of another run is told before a weight is loaded, and before
anything is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from datasets.records import AnnotatedSplit
from runs.build import (
    Workplace,
    build_trainer,
    build_workplace,
    keep_frozen_weights,
    tell_adjusted_floor,
)
from runs.build_data import build_timetable, load_splits, micro_batch_size
from runs.build_model import load_weights
from runs.build_task import build_task
from runs.cli import Invocation
from runs.clips_together import check_clips_together, tell_clips_together
from runs.config import RunConfig
from runs.list_digests import Digests, lists_sha256
from runs.list_warnings import warn_of_lists
from runs.output_folder import OutputFolder, differences_of_position
from runs.process import exit_code_of, leave, start_process
from runs.report import write_results_table, write_summary, write_training_report
from runs.summary import model_line, run_facts, training_facts, weights_facts
from runs.task import Examiner, Task, TaskResult
from runs.train import Trainer
from runs.trained_with import tell_glued_prefix
from utils import distributed
from utils.checkpoint import frozen_fingerprint, read_checkpoint
from utils.checkpoint_folder import FoundCheckpoint
from utils.config import ConfigError, to_dict, to_yaml
from utils.logging import get_logger, start_logging, stop_logging
from utils.reproducibility import seed_everything
from utils.stopping import StopSignals

OUTSIDE_OF_TRAINING = "stopped as asked: the same command goes on from the newest checkpoint, if there is one"

Splits = Mapping[str, AnnotatedSplit]


def run_job(invocation: Invocation) -> int:
    """Run this process's part of the invocation; returns the exit code."""
    with StopSignals() as signals:  # also while leaving: a launcher repeats what a scheduler sends

        def run() -> None:
            with signals.raising(OUTSIDE_OF_TRAINING):
                _run(invocation)

        try:
            code = exit_code_of(run)
        finally:
            stop_logging()
        leave(code)
    return code


def _run(invocation: Invocation) -> None:
    config = invocation.config
    device = start_process(config)
    splits = load_splits(config)
    lists = lists_sha256(splits)
    check_lists_of_others(lists)
    if config.train.enable:
        build_timetable(config, splits["train"])
        micro_batch_size(config)
    folder = OutputFolder(Path(config.output_dir), config.output_cfg_file)
    with _opened(folder, config, lists):
        if distributed.broadcast(folder.is_complete):
            text = "%s holds a complete run of this configuration: nothing is left to do (%s)"
            get_logger().info(text, folder.root, folder.summary)
            return
        _tell_beginning(invocation, splits)
        place = build_workplace(config, folder, device)
        try:
            task = build_task(place, splits)
            facts = _train_and_test(place, task, splits, Digests(_examine(config, task), lists))
            if distributed.is_main():
                facts["lists_sha256"] = lists
                write_summary(folder, {**facts, **run_facts(invocation, place)})
        finally:
            place.trackers.close()
        get_logger().info("complete: %s", folder.summary)


def check_lists_of_others(lists: Mapping[str, str]) -> None:
    """Raises ConfigError unless all processes have read lists of the same digests: their machines may hold
    others, or lack other videos, of which few-shot draws take the next.
    """
    found = distributed.gather(dict(lists))
    different = [use for use in found[0] if any(other[use] != found[0][use] for other in found)]
    if different:
        raise ConfigError(
            f"the processes have read different lists: {', '.join(different)}",
            key="DATA.ANNO_DIR",
            remedy="give all machines the same lists and, with DATA.SHOTS, the same videos",
        )


def _examine(config: RunConfig, task: Task) -> str:
    """Log the network's size; SHA-256 of its frozen weights where it is going to be trained, else ""."""
    with ThreadPoolExecutor(1) as beside:  # half a second for a ViT-B, in which Python is free
        frozen = beside.submit(frozen_fingerprint, task.network) if config.train.enable else None
        if config.log_model_info:
            get_logger().info("%s", model_line(config, task.network, task.network.model))
        return frozen.result() if frozen is not None else ""


@contextmanager
def _opened(folder: OutputFolder, config: RunConfig, lists: Mapping[str, str]) -> Iterator[None]:
    """OUTPUT_DIR, locked by the main process, with the log going there."""
    locks = []
    distributed.on_main(lambda: locks.append(folder.open(config, lists)))
    log_name = config.train.log_file if config.train.enable else config.test.log_file
    start_logging(folder.root / log_name, distributed.rank())
    try:
        yield
    finally:
        for lock in locks:
            lock.close()


def _tell_beginning(invocation: Invocation, splits: Splits) -> None:
    config, logger = invocation.config, get_logger()
    logger.info("%s", invocation.command)
    if config.log_config_info:
        logger.info("configuration\n%s", to_yaml(config, invocation.sources))
    for use, split in splits.items():
        logger.info("%s: %d videos of %s %s (%s)", use, len(split), split.dataset, split.split, split.source)
        for note in split.notes:
            logger.info("%s: %s", use, note)
    warn_of_lists(splits)


def _train_and_test(place: Workplace, task: Task, splits: Splits, digests: Digests) -> dict[str, Any]:
    """What the summary says of both."""
    config, facts = place.config, {}
    trainer = None
    if config.train.enable:
        trainer = _train(place, task, splits, digests)
        facts["training"] = training_facts(trainer, splits["train"])
    else:
        _take_tested_weights(config, task, splits["test"])
        keep_frozen_weights(place, task.network.model)
        distributed.on_main(lambda: place.folder.write_config(config))
    if config.test.enable:
        facts["test"] = _test(place, task, splits["test"], trainer)
    if distributed.is_main():
        write_training_report(place.folder)
    with trainer.weights_to_evaluate() if trainer else nullcontext():
        facts["weights"] = weights_facts(task.network)
    if trainer is not None:
        facts["weights"]["averaged"] = config.model.ema.enable
    return facts


def _take_tested_weights(config: RunConfig, task: Task, split: AnnotatedSplit) -> None:
    """For a run that only tests. Raises ConfigError when trained weights are needed and none are named."""
    path = config.test.checkpoint_file_path
    if path:
        key, names = "TEST.CHECKPOINT_FILE_PATH", split.class_names
        load_weights(task.network, path, key, class_names=names, used_with=config)
    elif any(weight.requires_grad for weight in task.network.parameters()):
        raise ConfigError(
            f"model {config.model.name!r} has weights of its own, and this run does not train them",
            key="TEST.CHECKPOINT_FILE_PATH",
            remedy="name a checkpoint or a model of the zoo, or set TRAIN.ENABLE True",
        )


def _train(place: Workplace, task: Task, splits: Splits, digests: Digests) -> Trainer:
    examine = task.examiner(splits["validation"], final=False)

    def validate() -> float:
        with trainer.weights_to_evaluate():
            result: TaskResult = examine("validation")
        _record(trainer, "validation", result)
        return result.score

    trainer = build_trainer(place, task, splits["train"], validate, digests)
    _start_or_resume(place, trainer, task)
    tell_clips_together(place.config)
    keep_frozen_weights(place, task.network.model)
    try:
        trainer.run()
    finally:
        trainer.data.close()
        trainer.watch.close()
    return trainer


def _start_or_resume(place: Workplace, trainer: Trainer, task: Task) -> None:
    """Take the state of the newest whole checkpoint, or begin; every process takes the main one's."""
    checkpoints, config, logger = trainer.checkpoints, place.config, get_logger()
    leftovers = distributed.on_main(checkpoints.remove_partial_files)
    if leftovers:
        logger.info("removed what a run that died while writing has left: %s", ", ".join(leftovers))
    found = distributed.on_main(checkpoints.newest_valid)
    if found is not None:
        for message in found.passed_over:
            logger.warning("passed over: %s", message)
        trainer.state.check_origin(found.state, str(found.path))
        check_clips_together(config, found)
        _tell_earlier_version(config, found)
        trainer.resume(found)
        total = trainer.timetable.total_steps
        logger.info("resumed after step %d of %d from %s", trainer.progress.step, total, found.path)
    else:
        seed_everything(config.random_seed, distributed.rank())
        _begin(config, trainer, task)
    distributed.on_main(lambda: place.folder.write_config(config))


def _begin(config: RunConfig, trainer: Trainer, task: Task) -> None:
    """Start from new weights, from trained ones, or (FINE_TUNE false) from a checkpoint's whole state."""
    path = config.train.checkpoint_file_path
    if path and not config.train.fine_tune:
        _take_over(config, trainer, FoundCheckpoint(Path(path), read_checkpoint(Path(path))))
        get_logger().info("took over the state after step %d from %s", trainer.progress.step, path)
        return
    if path:
        load_weights(task.network, path, "TRAIN.CHECKPOINT_FILE_PATH", trains=True)
    trainer.watch.resumed(trainer.progress)


def _take_over(config: RunConfig, trainer: Trainer, found: FoundCheckpoint) -> None:
    """Go on from another run's checkpoint, whose best score stays that run's own.

    Raises ConfigError where its steps are not this run's, CheckpointError when it does not fit.
    """
    progress = {**found.state.get("progress", {}), "best_score": None, "best_step": None}
    found = replace(found, state={**found.state, "progress": progress})
    trainer.state.check_origin(found.state, str(found.path))
    different = differences_of_position(found.state["config"], to_dict(config))
    if different:
        raise ConfigError(
            f"false given, but after step {progress['step']} {found.path} stands elsewhere in its "
            f"training than this run would: {'; '.join(different)}",
            key="TRAIN.FINE_TUNE",
            remedy="set these as they were, or TRAIN.FINE_TUNE true: it takes the weights alone",
        )
    _tell_earlier_version(config, found)
    trainer.resume(found)
    # A last loop that was shorter than the others is one that this run is in the middle of.
    loop, _ = trainer.timetable.locate(trainer.progress.step)
    trainer.progress.closed_loops = min(trainer.progress.closed_loops, loop)


def _tell_earlier_version(config: RunConfig, found: FoundCheckpoint) -> None:
    tell_adjusted_floor(config, found.state)
    tell_glued_prefix(config, found.state, found.path, trains=True)


def _test(place: Workplace, task: Task, split: AnnotatedSplit, trainer: Trainer | None) -> dict[str, Any]:
    """Test with all views; write the reports; returns what the summary says."""
    examine: Examiner = task.examiner(split, final=True)
    with (
        StopSignals(announces=distributed.is_main()) as signals,
        signals.raising("stopped as asked in the test: the same command does it again"),
        place.stopwatch.measure("test"),
        trainer.weights_to_evaluate() if trainer else nullcontext(),
    ):
        result: TaskResult = examine("test")
    table = task.table(result, split)
    get_logger().info("test\n\n%s\n", table)
    if trainer is not None:
        _record(trainer, "test", result)
    if distributed.is_main():
        step = trainer.progress.step if trainer else 0
        task.write_report(result, split, place.folder, place.trackers, step)
        write_results_table(place.folder, table)
    return task.facts(result, split)


def _record(trainer: Trainer, kind: str, result: TaskResult) -> None:
    step = trainer.progress.step
    epoch = trainer.timetable.epoch_at(step)
    trainer.watch.record(kind, {"epoch": epoch, **result.values(), "seconds": result.seconds}, step)
    get_logger().info("%s after epoch %g: %s (%.1f s)", kind, epoch, result.headline, result.seconds)
