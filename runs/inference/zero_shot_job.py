"""One process's part of `runs/zero_shot.py`: lists, model, logits, result."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from datasets.annotations.subsets import keep_classes
from datasets.annotations.zero_shot_splits import ZeroShotProtocol, half_of_classes, zero_shot_protocol
from datasets.records import AnnotatedSplit
from models.weights import locate_weights
from runs.build_data import build_evaluation_videos, load_test_split, load_whole_training_split
from runs.class_protocols import base_half
from runs.cli import Invocation
from runs.config import RunConfig
from runs.inference.classifier import VideoClassifier
from runs.inference.loading import load_model, untrained_model
from runs.inference.zero_shot_evaluation import collect_logits, join_runs, run_targets
from runs.inference.zero_shot_report import BASE_TO_NOVEL, ZeroShotResult, write_result
from runs.process import exit_code_of, leave, start_process
from runs.video_source import video_root
from utils import distributed
from utils.checksum import sha256_of
from utils.config import ConfigError, to_dict
from utils.versions import versions

THREE_SPLITS = ("hmdb51", "ucf101", "k600")
TEST_LIST = "test-list"
"""What a run of the same configuration is tested on, so that the scores can stand beside the run's."""


def run_zero_shot(invocation: Invocation) -> int:
    """Run this process's part of the invocation; returns the exit code."""
    code = exit_code_of(lambda: _run(invocation))
    leave(code)
    return code


def _run(invocation: Invocation) -> None:
    config, options = invocation.config, invocation.options
    device = start_process(config)
    protocol = choose_protocol(invocation)
    _check_classes(protocol)
    videos = join_runs(protocol)
    classifier = _classifier(config, options.checkpoint, device)
    data = build_evaluation_videos(config, videos.videos, final=True)
    logits = collect_logits(classifier, data, videos.class_names)
    weight = config.video.head.zero_shot_fusion_weight if options.fusion is None else options.fusion
    result = ZeroShotResult(videos, logits, run_targets(videos, logits.rows), weight)
    if distributed.is_main():
        print(result.table())
        written = write_result(
            result, Path(config.output_dir), _facts(invocation), sweep=options.sweep_fusion
        )
        print("\nwritten: " + ", ".join(str(path) for path in written))


def _check_classes(protocol: ZeroShotProtocol) -> None:
    """Raises ConfigError for a single class: whatever the videos show, it is always right."""
    for run in protocol.runs:
        names = run.class_names[0]
        if len(names) < 2:
            raise ConfigError(
                f"{run.source}: {len(names)} class ({', '.join(names)}); scores compare classes, so at least "
                "two are needed",
                key="DATA.CLASS_NAMES",
                remedy="name all classes that the videos might show",
            )


def choose_protocol(invocation: Invocation) -> ZeroShotProtocol:
    """The protocol that the command names, or the data set's usual one. Raises AnnotationError,
    ConfigError.
    """
    config, options = invocation.config, invocation.options
    dataset = config.test_dataset
    name = options.protocol or ("3-splits" if dataset in THREE_SPLITS else "full")
    if name == BASE_TO_NOVEL:
        return _base_to_novel(config)
    if name == TEST_LIST:
        tested = _test_list(config)
        return ZeroShotProtocol(dataset, name, f"the run's own list ({tested.split})", (tested,))
    if dataset in THREE_SPLITS or name == "3-splits":
        _check_lists(config, name)
        return zero_shot_protocol(
            dataset,
            name,
            anno_dir=config.data.annotation_dir,
            data_root=video_root(config),
            class_names_file=config.data.class_names,
            video_list=options.video_list,
            draws=options.draws,
            seed=config.random_seed,
        )
    whole = _test_list(config)
    if name == "full":
        return ZeroShotProtocol(dataset, name, f"its {whole.split} list", (whole,))
    seeds = [config.random_seed + draw for draw in range(options.draws)]
    runs = tuple(half_of_classes(whole, seed) for seed in seeds)
    return ZeroShotProtocol(
        dataset, name, f"its {whole.split} list, {len(seeds)} draws from seed {seeds[0]}", runs
    )


def _test_list(config: RunConfig) -> AnnotatedSplit:
    """What a run is tested on. Raises AnnotationError, and ConfigError where a video has several labels."""
    tested = load_test_split(config)
    if len(tested.class_names) > 1:
        raise ConfigError(
            f"{tested.dataset} has {len(tested.class_names)} heads; zero-shot protocols are for one",
            key="TEST.DATASET",
            remedy="take another data set; runs/run.py with TRAIN.ENABLE false tests all heads",
        )
    return tested


def _check_lists(config: RunConfig, protocol: str) -> None:
    """Raises ConfigError for settings of what a protocol fixes."""
    if config.data.test_list:
        raise ConfigError(
            f"the protocol {protocol} of {config.test_dataset} has lists of its own, "
            f"not {config.data.test_list}",
            key="DATA.TEST_LIST",
            remedy="leave it out, or test on this list with TEST.DATASET csv or list",
        )
    if config.data.class_names and config.test_dataset == "k600" and protocol == "3-splits":
        raise ConfigError(
            f"the protocol 3-splits of k600 has three fixed sets of classes, not {config.data.class_names}",
            key="DATA.CLASS_NAMES",
            remedy="leave it out, or take --protocol full or half-classes",
        )


def _base_to_novel(config: RunConfig) -> ZeroShotProtocol:
    # The configuration of the training run says "base"; here both halves are cut out of the whole.
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, class_half="all"))
    whole = _test_list(config)
    base = base_half(whole, lambda: load_whole_training_split(config, config.test_dataset))
    novel = [index for index in range(*whole.num_classes) if index not in set(base)]
    halves = (("base", base), ("novel", novel))
    runs = tuple(dataclasses.replace(keep_classes(whole, kept), split=name) for name, kept in halves)
    return ZeroShotProtocol(config.test_dataset, BASE_TO_NOVEL, f"its {whole.split} list", runs)


def _classifier(config: RunConfig, checkpoint: str | None, device: torch.device) -> VideoClassifier:
    classifier = (
        load_model(
            checkpoint,
            config=config,
            device=device,
            precision=config.train.requested_precision,
            frozen_precision=config.video.backbone.frozen_precision,
        )
        if checkpoint
        else untrained_model(config, device)
    )
    if not classifier.model.in_joint_space:
        raise ConfigError(
            f"{config.model.name} makes features that cannot be compared with words", key="MODEL.NAME"
        )
    if classifier.has_trained_classifier:
        raise ConfigError(
            f"{checkpoint} has a trained classifier for its own classes and cannot compare others",
            key="VIDEO.HEAD.NAME",
            remedy="train with the head text, which compares videos with words; runs/run.py tests this one, "
            "with TRAIN.ENABLE false",
        )
    return classifier


def _facts(invocation: Invocation) -> dict[str, object]:
    """What the numbers stand on."""
    config, checkpoint = invocation.config, invocation.options.checkpoint
    path = locate_weights(checkpoint) if checkpoint else None
    return {
        "command": invocation.command,
        "checkpoint": checkpoint,
        "checkpoint_sha256": sha256_of(path) if path is not None else None,
        "templates": list(config.data.dataset_label_text.sentences),
        "versions": versions(),
        "config": to_dict(config),
    }
