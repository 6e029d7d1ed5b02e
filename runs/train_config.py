"""Configuration of TRAIN and TEST: the loops. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from utils.config import require


@dataclass(frozen=True)
class TrainConfig:
    """TRAIN: the training loop, its numerics, its checkpoints."""

    enable: bool = True
    """Whether the run trains."""
    dataset: str = ""
    """Name of the data set to train on (k400, ssv2, ucf101, csv, ...)."""
    batch_size: int = 256
    """Clips of one optimizer step over all processes."""
    micro_batch_size: int | None = None
    """Clips per process and forward pass; gradients are accumulated up to TRAIN.BATCH_SIZE. null: all
    at once. DIST.TEMPORAL_ENCODER tada normalises over what all processes take at once."""
    num_folds: int = 1
    """Passes over the data joined into one loop between evaluations and checkpoints."""
    eval_period: int = 1
    """Epochs between two validations (counted as OPTIMIZER.MAX_EPOCH counts them; rounded up to whole
    loops)."""
    loss_func: Literal["cross_entropy"] = "cross_entropy"
    """The loss: cross entropy with soft targets."""
    mixed_precision: bool = True
    """Compute in half precision where the device can; false: float32."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Number format of the computation. auto: bf16 where the device has it, else fp16 with loss
    scaling on a GPU and fp32 on a CPU (fp32 anywhere with TRAIN.MIXED_PRECISION false)."""
    tf32: bool = True
    """Let NVIDIA GPUs compute float32 matrix products in TF32."""
    deterministic: bool = False
    """Use only GPU kernels whose result never varies: runs repeat bit for bit, more slowly. A CPU
    repeats anyway."""
    compile: bool = False
    """Compile the network's blocks with torch.compile: a slow first step, then faster ones on a GPU."""
    feature_cache_views: int = 0
    """K: keep the frozen features of K augmented clips per video, which the epochs take in turn, in a file;
    for small data sets and many epochs. 0: none are kept, and every epoch draws new clips."""
    feature_cache_dir: str = ""
    """Folder of that file, which all machines of a run see and other runs on the same clips may share;
    empty: feature_cache in OUTPUT_DIR."""
    activation_checkpointing: bool = False
    """Recompute the branch's activations in the backward pass instead of keeping them: slower, less
    memory."""
    clip_grad_norm: float | None = None
    """Largest norm of the gradient; a longer one is scaled down. null: no limit."""
    max_nonfinite_steps: int = 10
    """Steps with a loss or gradient that is no number, skipped and counted, before the run stops."""
    max_unreadable_rate: float = 0.01
    """Share of unreadable training videos, replaced and counted, above which the run stops, beyond what
    chance explains; 0: at the first one."""
    checkpoint_period: int = 1
    """Epochs between two checkpoints (rounded up to whole loops)."""
    checkpoint_steps: int = 0
    """Optimizer steps between two checkpoints inside an epoch; 0: none."""
    keep_last: int = 2
    """Newest checkpoints that are kept, beside the best."""
    auto_resume: bool = True
    """Go on from the newest checkpoint in OUTPUT_DIR."""
    checkpoint_file_path: str = ""
    """A trained checkpoint to start from: a file or a name of the model zoo."""
    fine_tune: bool = True
    """Take only the weights of TRAIN.CHECKPOINT_FILE_PATH; false: its optimizer's moments and its position,
    too, to go on for more epochs, say, with the learning rates and decays of this run."""
    log_file: str = "training_log.log"
    """Name of the text log of training in OUTPUT_DIR."""

    def __post_init__(self) -> None:
        for key in ("BATCH_SIZE", "NUM_FOLDS", "EVAL_PERIOD", "CHECKPOINT_PERIOD", "KEEP_LAST"):
            value = getattr(self, key.lower())
            require(value >= 1, key, f"{value} is not positive", "give 1 or more")
        for key in ("CHECKPOINT_STEPS", "MAX_NONFINITE_STEPS", "FEATURE_CACHE_VIEWS"):
            value = getattr(self, key.lower())
            require(value >= 0, key, f"{value} is negative", "give 0 or more")
        rate, clip, micro = self.max_unreadable_rate, self.clip_grad_norm, self.micro_batch_size
        require(0 <= rate <= 1, "MAX_UNREADABLE_RATE", f"{rate} is not a share", "give a number from 0 to 1")
        require(clip is None or clip > 0, "CLIP_GRAD_NORM", f"{clip} is not positive", "null sets no limit")
        require(
            micro is None or micro >= 1,
            "MICRO_BATCH_SIZE",
            f"{micro} is not positive",
            "null takes all at once",
        )
        if micro is not None:
            require(
                self.batch_size % micro == 0,
                "MICRO_BATCH_SIZE",
                f"TRAIN.BATCH_SIZE {self.batch_size} is no multiple of {micro}",
                "take a divisor of the batch that every process handles",
            )

    @property
    def requested_precision(self) -> Literal["auto", "fp32", "bf16", "fp16"]:
        """TRAIN.PRECISION, where TRAIN.MIXED_PRECISION false turns auto into fp32."""
        return "fp32" if self.precision == "auto" and not self.mixed_precision else self.precision


@dataclass(frozen=True)
class TestConfig:
    """TEST: the evaluation at the end, over several views of each video."""

    __test__ = False

    enable: bool = True
    """Whether the run tests."""
    dataset: str = ""
    """Name of the data set to test on; empty: TRAIN.DATASET."""
    batch_size: int = 16
    """Videos per process and forward pass."""
    num_ensemble_views: int = 3
    """Clips spread over each video in the final test. Validation during training takes one."""
    num_spatial_crops: Literal[1, 3] = 1
    """Crops of each clip in the final test: 1 is the centre, 3 adds both ends. Validation takes the
    centre."""
    on_unreadable: Literal["stop", "skip"] = "stop"
    """An unreadable video stops the test, or is skipped and reported as missing from the score."""
    checkpoint_file_path: str = ""
    """For runs with TRAIN.ENABLE false: the checkpoint to test, a file or a name of the model zoo."""
    log_file: str = "val.log"
    """Name of the text log of testing in OUTPUT_DIR."""

    def __post_init__(self) -> None:
        for key in ("BATCH_SIZE", "NUM_ENSEMBLE_VIEWS"):
            value = getattr(self, key.lower())
            require(value >= 1, key, f"{value} is not positive", "give 1 or more")

    @property
    def num_views(self) -> int:
        """Views of a video in the final test."""
        return self.num_ensemble_views * self.num_spatial_crops
