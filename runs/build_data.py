"""From the configuration to data: annotation lists, data sets, loaders, and what happens to batches on the
device.

    DATA, AUGMENTATION, DATA_LOADER ──► AnnotatedSplit ──► VideoDataset ──► VideoLoader ──► TrainingSteps

Nothing in `datasets` knows the configuration of a run; this file is where its keys become arguments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from datasets.annotations import (
    AnnotationError,
    check_labelled,
    check_same_classes,
    evaluation_split,
    load_split,
)
from datasets.excluding import rows_of_bad_videos
from datasets.loader import VideoLoader
from datasets.mixing import ClipMixer, MixSettings
from datasets.records import AnnotatedSplit
from datasets.sampling import ClipSampling
from datasets.text_video_dataset import check_captions, one_record_per_caption
from datasets.transforms.device import DeviceTransform
from datasets.transforms.evaluation import EvaluationTransform
from datasets.video_dataset import VideoDataset
from runs.build_augmentation import build_flip, build_train_transform
from runs.class_protocols import restrict
from runs.config import RunConfig
from runs.custom import load_custom_components
from runs.timetable import Timetable
from runs.video_data import EvaluationVideos, PrepareClips, TrainingSteps
from runs.video_source import (
    build_video_source,
    known_bad_videos,
    video_root,
    with_known_bad_noted,
    without_known_bad,
)
from utils import distributed
from utils.config import ConfigError


def load_splits(config: RunConfig) -> dict[str, AnnotatedSplit]:
    """The annotation lists that a run needs, by "train", "validation" and "test".

    Raises AnnotationError when one is missing, empty or wrong, or when their classes differ, and ConfigError
    for flip pairs of classes that are none.
    """
    splits = {}
    if config.train.enable:
        name = config.train.dataset
        splits["train"] = _load(config, name, "train", config.data.train_list, leave_out_bad=True)
        splits["validation"] = _load(config, name, evaluation_split(name), config.data.val_list)
    if config.test.enable:
        splits["test"] = load_test_split(config)
    for other in splits.keys() - {"train"}:
        if "train" in splits:
            check_same_classes(splits["train"], splits[other])
    _check_missing(config, splits)
    for use in splits.keys() - {"train"}:
        splits[use] = with_known_bad_noted(config, splits[use])
    if "train" in splits:
        build_flip(config, splits["train"])  # pairs that the classes cannot have are told before any work
    if config.task_type == "retrieval" and config.retrieval.captions == "all" and "train" in splits:
        splits["train"] = one_record_per_caption(splits["train"])
    return splits


def load_class_names(config: RunConfig) -> tuple[tuple[str, ...], ...]:
    """Names of a run's classes, per head, from its annotation lists. Raises AnnotationError."""
    if config.train.dataset:
        return _load(config, config.train.dataset, "train", config.data.train_list).class_names
    return load_test_split(config).class_names


def load_test_split(config: RunConfig) -> AnnotatedSplit:
    """The annotation list that a run is tested on. Raises AnnotationError."""
    name, data = config.test_dataset, config.data
    list_file = data.test_list or (data.val_list if name == (config.train.dataset or name) else "")
    return _load(config, name, evaluation_split(name), list_file)


def _check_missing(config: RunConfig, splits: Mapping[str, AnnotatedSplit]) -> None:
    """Tell before training, not after it, that videos are not there. Raises AnnotationError."""
    known_bad = known_bad_videos(config)
    for use, split in splits.items():
        missing, total = [path for path in split.missing if path not in known_bad], len(split)
        if use == "train" and len(missing) > config.train.max_unreadable_rate * total:
            remedy = "correct DATA.DATA_ROOT_DIR or the list, or raise TRAIN.MAX_UNREADABLE_RATE"
        elif use != "train" and missing and config.test.on_unreadable == "stop":
            remedy = "correct DATA.DATA_ROOT_DIR or the list, or test without them: TEST.ON_UNREADABLE skip"
        else:
            continue
        raise AnnotationError(
            f"{split.source}: {len(missing)} of {total} videos are missing below "
            f"{config.data.data_root_dir}, the first being {missing[0]}. Remedy: {remedy}"
        )


def _load(
    config: RunConfig, dataset: str, split: str, list_file: str, *, leave_out_bad: bool = False
) -> AnnotatedSplit:
    loaded = _read(config, dataset, split, list_file)
    if leave_out_bad:  # before shots are drawn: of each class that many that can be read
        loaded = without_known_bad(config, loaded)
    return restrict(
        loaded,
        config.data,
        lambda: load_whole_training_split(config, dataset),
        training=split == "train",
        seed=config.random_seed,
    )


def load_whole_training_split(config: RunConfig, dataset: str) -> AnnotatedSplit:
    """The training list of a data set, all classes and videos, which need not be there. Raises
    AnnotationError.
    """
    return _read(config, dataset, "train", config.data.train_list, data_root="")


def _read(
    config: RunConfig, dataset: str, split: str, list_file: str, *, data_root: str | None = None
) -> AnnotatedSplit:
    loaded = load_split(
        dataset,
        split,
        anno_dir=config.data.annotation_dir,
        data_root=video_root(config) if data_root is None else data_root,
        list_file=list_file,
        training_list=config.data.train_list if dataset == config.train.dataset else "",
        other_lists=(config.data.train_list, config.data.val_list, config.data.test_list),
        class_names_file=config.data.class_names,
        num_classes=config.video.head.classes_per_head,
        fold=config.data.split,
        reader=load_custom_components(config.custom).datasets.get(dataset),
        with_labels=config.task_type != "retrieval",
    )
    if config.task_type == "retrieval":
        check_captions(loaded)
    elif not loaded.class_names:
        raise AnnotationError(f"{dataset} has no classes to recognise: it is a text-video data set")
    else:
        check_labelled(loaded)
    return loaded


def build_timetable(config: RunConfig, split: AnnotatedSplit) -> Timetable:
    """When a run over the videos of `split` does what. Raises ConfigError when they do not fill a batch."""
    try:
        return Timetable(
            videos=len(split),
            batch_videos=config.train.batch_size // config.augmentation.clips_per_video,
            max_epoch=config.optimizer.max_epoch,
            epochs_per_loop=config.train.num_folds,
            eval_period=config.train.eval_period,
            checkpoint_period=config.train.checkpoint_period,
        )
    except ValueError as error:
        raise ConfigError(str(error), key="TRAIN.BATCH_SIZE") from error


def micro_batch_size(config: RunConfig) -> int:
    """Clips of a process and forward pass. Raises ConfigError for a batch that cannot be split like this."""
    batch, world, repeats = (
        config.train.batch_size,
        distributed.world_size(),
        config.augmentation.clips_per_video,
    )
    if batch % (world * repeats):
        raise ConfigError(
            f"{batch} clips cannot be split over {world} processes"
            + (f" in {repeats}s" if repeats > 1 else ""),
            key="TRAIN.BATCH_SIZE",
            remedy=f"take a multiple of {world * repeats}",
        )
    share = batch // world
    micro = min(config.train.micro_batch_size or share, share)
    group = min(config.augmentation.mixup.group_size, batch) if config.augmentation.mixes else 1
    if share % micro or micro % group:
        raise ConfigError(
            f"the {share} clips of each of {world} processes cannot be taken {micro} at a time"
            + (f" in groups of {group} for mixing" if group > 1 else ""),
            key="TRAIN.MICRO_BATCH_SIZE",
            remedy="take a divisor of the clips of a process" + (_group_remedy(repeats) if group > 1 else ""),
        )
    return micro


def _group_remedy(clips_per_video: int) -> str:
    few = "1 clip" if clips_per_video == 1 else f"{clips_per_video} clips"
    return (
        f" and set AUGMENTATION.MIXUP.GROUP_SIZE to a divisor of that above {clips_per_video}; or, for {few} "
        "at a time, turn off AUGMENTATION.MIXUP and AUGMENTATION.CUTMIX (another training either way: a run "
        "that has begun goes on as it was, or anew in another OUTPUT_DIR)"
    )


def build_training_steps(
    config: RunConfig,
    split: AnnotatedSplit,
    timetable: Timetable,
    dataset_type: type[VideoDataset] = VideoDataset,
) -> TrainingSteps:
    """The training data of this process."""
    dataset = build_training_dataset(config, split, dataset_type)
    rate = config.train.max_unreadable_rate
    loader = _loader(config, dataset, max_unreadable_rate=rate, keep_workers=True)
    micro = micro_batch_size(config)
    return TrainingSteps(
        loader,
        timetable,
        seed=config.random_seed,
        micro_batch=micro,
        split=split,
        videos_together=_videos_together(config),
        views=config.train.feature_cache_views,
    )


def build_training_dataset(
    config: RunConfig, split: AnnotatedSplit, dataset_type: type[VideoDataset] = VideoDataset
) -> VideoDataset:
    """Augmented clips of the training videos. Raises ConfigError for flip pairs of classes that are none."""
    flip = build_flip(config, split)
    return dataset_type(
        split.records,
        build_video_source(config),
        build_sampling(config, training=True),
        build_train_transform(config, flip),
        training=True,
        seed=config.random_seed,
        num_clips=config.augmentation.clips_per_video,
        mirrored_labels=flip.mirrored_labels if flip.label_pairs else None,
    )


def build_evaluation_videos(config: RunConfig, split: AnnotatedSplit, *, final: bool) -> EvaluationVideos:
    """The videos of a validation (one view, centre crop) or, `final`, of the test with all its views."""
    clips = config.test.num_ensemble_views if final else 1
    crops = config.test.num_spatial_crops if final else 1
    dataset = VideoDataset(
        split.records,
        build_video_source(config),
        build_sampling(config),
        build_evaluation_transform(config, crops),
        training=False,
        num_clips=clips,
        on_unreadable=config.test.on_unreadable,
        known_bad=rows_of_bad_videos(split, known_bad_videos(config)),
    )
    return EvaluationVideos(_loader(config, dataset), config.test.batch_size, clips * crops)


def build_evaluation_transform(config: RunConfig, num_crops: int) -> EvaluationTransform:
    """Size and crops of test clips."""
    data = config.data
    return EvaluationTransform(
        size=data.test_crop_size,
        short_side=data.test_scale,
        num_crops=num_crops,
        interpolation=data.interpolation,
        antialias=data.antialias,
    )


def build_device_transform(config: RunConfig) -> DeviceTransform:
    """Colours and normalisation."""
    return DeviceTransform(config.data.mean, config.data.std, gray_first=config.augmentation.gray_first)


def build_prepare(config: RunConfig, num_classes: Sequence[int], device: torch.device) -> PrepareClips:
    """What turns training batches into clips and soft targets on `device`."""
    augmentation = config.augmentation
    mixup, cutmix = augmentation.mixup, augmentation.cutmix
    settings = MixSettings(
        group_size=min(mixup.group_size, config.train.batch_size),
        mixup_alpha=mixup.alpha if mixup.enable else None,
        cutmix_alpha=cutmix.alpha if cutmix.enable else None,
        probability=mixup.prob,
        switch_probability=mixup.switch_prob,
        minmax=cutmix.minmax,
        mode=mixup.mode,
    )
    mixer = ClipMixer(
        settings, num_classes, label_smoothing=augmentation.label_smoothing, seed=config.random_seed
    )
    micro, processes = micro_batch_size(config), distributed.world_size()
    in_turns = _videos_together(config) is not None
    strides = (micro, micro * processes) if in_turns else (config.train.batch_size // processes, micro)
    return PrepareClips(build_device_transform(config), mixer, device, *strides)


def _videos_together(config: RunConfig) -> int | None:
    """Videos of a process in a forward pass, where the model must have the same clips in it for any number of
    processes; None where it need not, or where a pass has parts of videos.
    """
    micro, clips = micro_batch_size(config), config.augmentation.clips_per_video
    return micro // clips if config.normalises_together and micro % clips == 0 else None


def build_sampling(config: RunConfig, *, training: bool = False) -> ClipSampling:
    """Which frames make up a clip."""
    data = config.data
    return ClipSampling(
        num_frames=data.num_input_frames if training else data.test_frames,
        mode=data.sampling_mode,
        sampling_rate=data.sampling_rate,
        target_fps=data.target_fps,
        minus_interval=data.minus_interval,
    )


def _loader(
    config: RunConfig,
    dataset: VideoDataset,
    *,
    max_unreadable_rate: float | None = None,
    keep_workers: bool = False,
) -> VideoLoader:
    settings = config.data_loader
    return VideoLoader(
        dataset,
        num_workers=settings.num_workers,
        prefetch_factor=settings.prefetch_factor,
        pin_memory=settings.pin_memory and config.num_gpus != 0,
        timeout=settings.timeout,
        max_worker_failures=settings.max_worker_failures,
        max_unreadable_rate=max_unreadable_rate,
        keep_workers=keep_workers,
    )
