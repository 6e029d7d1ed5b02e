"""The composed configuration of a run, and the checks that need more than one section. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from datasets.augmentation_config import AugmentationConfig
from datasets.config import DataConfig, DataLoaderConfig
from models.config import (
    MODEL_NAMES,
    MODELS_MATCHED_AS_A_WHOLE,
    MODELS_OUTSIDE_THE_TOWER,
    MODELS_THAT_CAN_TUNE_TEXT,
    MODELS_THAT_CAN_TUNE_VISUAL,
    MODELS_THAT_STREAM,
    ModelConfig,
    VideoConfig,
)
from models.retrieval_config import RetrievalConfig
from runs.release_keys import RELEASE_VOCABULARY
from runs.train_config import TestConfig, TrainConfig
from utils.config import Resolved, load_config, require, resolve_config
from utils.optim_config import OptimizerConfig


@dataclass(frozen=True)
class TensorboardConfig:
    """TENSORBOARD: event files in OUTPUT_DIR (needs the extra `tensorboard`)."""

    enable: bool = False
    """Whether event files are written."""


@dataclass(frozen=True)
class WandbConfig:
    """WANDB: a run at Weights & Biases (needs the extra `wandb`; credentials come from its own
    environment)."""

    enable: bool = False
    """Whether the run is reported there."""
    project: str = "dist-video"
    """Project under which the run appears."""
    name: str = ""
    """Name of the run; empty: the last part of OUTPUT_DIR."""


@dataclass(frozen=True)
class CustomConfig:
    """CUSTOM: components of your own, in a module of your own."""

    module: str = ""
    """Importable module, or path of a .py file, that defines them; imported before anything is built."""
    options: dict[str, Any] = field(default_factory=dict)
    """The module's own section, checked against the dataclass that it defines as CONFIG."""


@dataclass(frozen=True)
class RunConfig:
    """A run: what is trained, on what, how, and where the results go."""

    task_type: Literal["classification", "retrieval"] = "classification"
    """What the model is trained and tested for: classes of videos, or texts that belong to videos."""
    output_dir: str = "output"
    """Folder of everything that the run writes."""
    output_cfg_file: str = "config.yaml"
    """Name of the resolved configuration in OUTPUT_DIR."""
    num_gpus: int | None = None
    """GPUs of this machine to use; null: all that are visible; 0: the CPU."""
    dist_backend: Literal["auto", "nccl", "gloo"] = "auto"
    """How processes talk to each other; auto: nccl on GPUs, gloo on the CPU, which nccl cannot serve."""
    dist_timeout: float = 900.0
    """Seconds without an answer after which another process of the run counts as lost."""
    random_seed: int = 0
    """Seed of everything random, from 0 to 2^63 - 1."""
    log_period: int = 10
    """Optimizer steps between two lines of progress in the log."""
    log_model_info: bool = True
    """Whether the log starts with the model's size and cost."""
    log_config_info: bool = True
    """Whether the log starts with the resolved configuration."""
    train: TrainConfig = field(default_factory=TrainConfig)
    test: TestConfig = field(default_factory=TestConfig)
    data: DataConfig = field(default_factory=DataConfig)
    data_loader: DataLoaderConfig = field(default_factory=DataLoaderConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    video: VideoConfig = field(default_factory=VideoConfig)
    retrieval: RetrievalConfig = field(default_factory=RetrievalConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    tensorboard: TensorboardConfig = field(default_factory=TensorboardConfig)
    wandb: WandbConfig = field(default_factory=WandbConfig)
    custom: CustomConfig = field(default_factory=CustomConfig)

    @property
    def normalises_together(self) -> bool:
        """Whether the clips of a forward pass change each other in training, as in TAdaConv's batch norm."""
        return self.model.name == "dist" and self.video.backbone.dist.temporal_encoder == "tada"

    def __post_init__(self) -> None:
        require(bool(self.output_dir), "OUTPUT_DIR", "no folder given", "name the folder for results")
        require(self.log_period >= 1, "LOG_PERIOD", f"{self.log_period} is not positive", "10 is usual")
        seed = self.random_seed
        require(0 <= seed < 2**63, "RANDOM_SEED", f"{seed} is not in 0 to 2^63 - 1", "0 is the default")
        require(self.dist_timeout > 0, "DIST_TIMEOUT", f"{self.dist_timeout} is not positive", "900 is usual")
        gpus = self.num_gpus
        require(gpus is None or gpus >= 0, "NUM_GPUS", f"{gpus} is negative", "null: all visible; 0: the CPU")
        require(
            self.train.enable or self.test.enable,
            "TEST.ENABLE",
            "false given, and TRAIN.ENABLE, too: nothing is left to do",
            "set one of them to true",
        )
        require(
            not (self.train.enable and self.test.checkpoint_file_path),
            "TEST.CHECKPOINT_FILE_PATH",
            "given, but this run trains, and tests what it has trained",
            "leave it out, or set TRAIN.ENABLE false to test that checkpoint",
        )
        for section, name in (("TRAIN", self.train.log_file), ("TEST", self.test.log_file)):
            self._check_file_name(f"{section}.LOG_FILE", name)
        self._check_file_name("OUTPUT_CFG_FILE", self.output_cfg_file)
        self._check_model()
        self._check_frozen_precision()
        self._check_feature_cache()
        self._check_crops()
        self._check_retrieval()
        if self.train.enable:  # what is trained already is tested however it was trained
            self._check_trained_text()
            self._check_warmup()
            self._check_batch_aug()
            self._check_mixing()

    def _check_file_name(self, key: str, name: str) -> None:
        plain = name not in ("", ".", "..") and "/" not in name
        require(
            plain, key, f"{name!r} is no name of a file in OUTPUT_DIR", "give a plain name, without folders"
        )

    def _check_model(self) -> None:
        require(
            self.model.name in MODEL_NAMES or bool(self.custom.module),
            "MODEL.NAME",
            f"{self.model.name!r} is not one of {', '.join(MODEL_NAMES)}",
            "take one of these, or name the module that defines it in CUSTOM.MODULE",
        )
        backbone = self.video.backbone
        for key, frozen, tuned_by in (
            ("FREEZE_VISUAL", backbone.freeze_visual, MODELS_THAT_CAN_TUNE_VISUAL),
            ("FREEZE_TEXT", backbone.freeze_text, MODELS_THAT_CAN_TUNE_TEXT),
        ):
            require(
                frozen or self.model.name in tuned_by or self.model.name not in MODEL_NAMES,
                f"VIDEO.BACKBONE.{key}",
                f"false given, but model {self.model.name!r} leaves that tower of CLIP frozen",
                "set it to true or leave it out",
            )

    def _check_frozen_precision(self) -> None:
        backbone = self.video.backbone
        require(
            backbone.frozen_precision == "fp32"
            or (backbone.freeze_visual and self.model.name in MODELS_OUTSIDE_THE_TOWER),
            "VIDEO.BACKBONE.FROZEN_PRECISION",
            f"{backbone.frozen_precision} given, but model {self.model.name!r} trains the image tower or "
            "works inside of it",
            f"leave it out; it is for a frozen tower beside {', '.join(MODELS_OUTSIDE_THE_TOWER)}",
        )

    def _check_feature_cache(self) -> None:
        if not self.train.feature_cache_views:
            return
        augmentation, key = self.augmentation, "TRAIN.FEATURE_CACHE_VIEWS"
        streams = self.video.backbone.freeze_visual and self.model.name in MODELS_THAT_STREAM
        obstacles = {
            f"model {self.model.name!r} with these settings reads no frozen features": not streams,
            "mixup and cutmix change the frames that CLIP sees": augmentation.mixes,
            "AUGMENTATION.BATCH_AUG takes several clips of a video at once": augmentation.batch_aug.enable,
            "it is for classification": self.task_type != "classification",
        }
        for reason, applies in obstacles.items():
            require(not applies, key, reason, "set it to 0, or change the other")

    def _check_crops(self) -> None:
        patch = self.video.backbone.patch_size
        if patch is not None:
            self.check_crops(patch, ("TRAIN_CROP_SIZE", "TEST_CROP_SIZE"))

    def check_crops(self, patch: int, keys: Sequence[str]) -> None:
        """Raises ConfigError for those keys of DATA that give crops which are not whole patches."""
        for key in keys:
            size = getattr(self.data, key.lower())
            require(
                size % patch == 0,
                f"DATA.{key}",
                f"{size} pixels cannot be cut into the {patch}-pixel patches of "
                f"{self.video.backbone.meta_arch_name}",
                f"take a multiple of {patch}, such as {max(1, size // patch) * patch}",
            )

    def _check_trained_text(self) -> None:
        reads_texts = self.task_type == "retrieval" or self.video.head.name == "text"
        require(
            self.video.backbone.freeze_text or reads_texts or self.model.name not in MODEL_NAMES,
            "VIDEO.BACKBONE.FREEZE_TEXT",
            "false given, but a linear head compares with no texts: the text tower would not be trained",
            "set it to true, or VIDEO.HEAD.NAME to text",
        )

    def _check_warmup(self) -> None:
        warmup, epochs = self.optimizer.warmup_epochs, self.optimizer.max_epoch
        # A cosine over MAX_EPOCH has come down to 0 at its end: a warm-up that long rises to nothing.
        falls = self.optimizer.lr_policy == "cosine"
        require(
            warmup < epochs or (warmup == epochs and not falls),
            "OPTIMIZER.WARMUP_EPOCHS",
            f"{warmup:g} epochs of warm-up do not fit OPTIMIZER.MAX_EPOCH {epochs}",
            f"take {'less than' if falls else 'at most'} {epochs}, or 0 for none",
        )

    def _check_batch_aug(self) -> None:
        batch, clips = self.train.batch_size, self.augmentation.clips_per_video
        require(
            batch % clips == 0,
            "TRAIN.BATCH_SIZE",
            f"{batch} clips are not whole videos of AUGMENTATION.BATCH_AUG.NUM_CLIPS_PER_VIDEO {clips} each",
            f"take a multiple of {clips}: the batch counts clips",
        )
        erasing = self.augmentation.random_erasing
        require(
            not erasing.enable or erasing.num_splits <= 1 or clips > 1,
            "AUGMENTATION.RANDOM_ERASING.NUM_SPLITS",
            f"the first 1/{erasing.num_splits} of a video's clips is to stay clean, but a video gives one: "
            "nothing would be erased",
            "set it to 1, or turn on AUGMENTATION.BATCH_AUG",
        )

    def _check_mixing(self) -> None:
        batch, micro = self.train.batch_size, self.train.micro_batch_size
        group, clips = min(self.augmentation.mixup.group_size, batch), self.augmentation.clips_per_video
        if not self.augmentation.mixes:
            return
        alone = (
            "1 clip alone has none to be mixed with"
            if clips == 1
            else f"mixing in groups of {group} mixes none of the {clips} clips of a video "
            "(AUGMENTATION.BATCH_AUG) with one of another"
        )
        more = f"take {2 * clips} or more, or turn off AUGMENTATION.MIXUP and AUGMENTATION.CUTMIX"
        require(
            clips % group > 0,
            "AUGMENTATION.MIXUP.GROUP_SIZE" if batch > clips else "TRAIN.BATCH_SIZE",
            alone,
            more,
        )
        require(
            batch % group == 0,
            "TRAIN.BATCH_SIZE",
            f"{batch} clips cannot be cut into groups of AUGMENTATION.MIXUP.GROUP_SIZE {group} for mixing",
            "make the batch a multiple of the group",
        )
        require(
            micro is None or micro % group == 0,
            "TRAIN.MICRO_BATCH_SIZE",
            f"{micro} clips are not whole groups of AUGMENTATION.MIXUP.GROUP_SIZE {group} for mixing",
            f"set AUGMENTATION.MIXUP.GROUP_SIZE to a divisor of {micro} above {clips} (another training: a "
            "run that has begun goes on as it was, or anew in another OUTPUT_DIR)"
            if micro is not None and micro > clips
            else f"{more}: {alone}",
        )

    def _check_retrieval(self) -> None:
        if self.task_type != "retrieval":
            return
        augmentation, trains = self.augmentation, self.train.enable
        conflicts = (
            ("DATA.SHOTS", self.data.shots is not None, "leave it out: it counts videos per class"),
            ("DATA.CLASS_HALF", self.data.class_half != "all", "leave it out: there are no classes"),
            ("AUGMENTATION.MIXUP.ENABLE", trains and augmentation.mixes, "turn off MIXUP and CUTMIX"),
            ("AUGMENTATION.BATCH_AUG.ENABLE", trains and augmentation.batch_aug.enable, "turn it off"),
            (
                "TRAIN.MICRO_BATCH_SIZE",
                trains and self.train.micro_batch_size is not None,
                "leave it out, as the loss compares all pairs of a batch; to save memory, set "
                "TRAIN.ACTIVATION_CHECKPOINTING",
            ),
            ("TEST.NUM_ENSEMBLE_VIEWS", self.test.num_views != 1, "set it and TEST.NUM_SPATIAL_CROPS to 1"),
            (
                "VIDEO.HEAD.NAME",
                trains and self.video.head.name != "text",
                "set it to text: there is nothing to classify",
            ),
        )
        for key, given, remedy in conflicts:
            require(not given, key, "does not go with TASK_TYPE retrieval", remedy)
        alignment, name = self.retrieval.alignment, self.model.name
        require(
            alignment == "pooled" or name not in MODELS_MATCHED_AS_A_WHOLE,
            "RETRIEVAL.ALIGNMENT",
            f"{alignment} compares single frames, which do not show all that model {name!r} trains",
            "set it to pooled; for the frames of CLIP alone, set MODEL.NAME to clip",
        )

    @property
    def test_dataset(self) -> str:
        """TEST.DATASET, or TRAIN.DATASET where that is empty."""
        return self.test.dataset or self.train.dataset


def load_run_config(path: str | Path | None, overrides: Sequence[str] = ()) -> RunConfig:
    """Load a run's configuration, written in this project's vocabulary or in that of the original release."""
    return load_config(RunConfig, path, overrides, RELEASE_VOCABULARY)


def resolve_run_config(path: str | Path | None, overrides: Sequence[str] = ()) -> Resolved[RunConfig]:
    """As `load_run_config`, with the origin of every key and the warnings as data."""
    return resolve_config(RunConfig, path, overrides, RELEASE_VOCABULARY)
