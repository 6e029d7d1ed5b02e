"""Configuration of data: DATA (what is read, and how a clip is taken from it) and DATA_LOADER.

Torch-free. AUGMENTATION stands in `datasets/augmentation_config.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from utils.config import require

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class LabelTextConfig:
    """DATA.DATASET_LABEL_TEXT: how a class name becomes a sentence for CLIP's text tower."""

    prompt_prefix: str = ""
    """Words put before every class name, or sentence, with a space between. The published recipes use the
    bare name."""
    templates: tuple[str, ...] = ("{}",)
    """Sentences with {} for the class name. With several, their normalised text features are averaged."""

    def __post_init__(self) -> None:
        require(
            bool(self.templates), "TEMPLATES", "no template given", 'write ["{}"] for the bare class name'
        )
        for template in self.templates:
            require(
                template.count("{}") == 1,
                "TEMPLATES",
                f"{template!r} has not exactly one {{}}",
                "mark the place of the class name with {}",
            )
        require(
            "{}" not in self.prompt_prefix,
            "PROMPT_PREFIX",
            f"{self.prompt_prefix!r} has a {{}}, but the class name comes behind it",
            "write sentences around the class name in DATA.DATASET_LABEL_TEXT.TEMPLATES",
        )

    @property
    def sentences(self) -> tuple[str, ...]:
        """TEMPLATES behind PROMPT_PREFIX: what the class name is put into."""
        # YAML takes the space at the end of a prefix away, so it never counts.
        prefix = self.prompt_prefix.strip()
        return tuple(f"{prefix} {template}" if prefix else template for template in self.templates)


@dataclass(frozen=True)
class DataConfig:
    """DATA: where the videos and their annotations are, and how a clip is sampled, resized and cropped."""

    data_root_dir: str = ""
    """Folder (or URL) that the annotation's video paths are relative to."""
    anno_dir: str = ""
    """Folder (or URL) with the data set's annotation files as they are distributed; empty:
    DATA.DATA_ROOT_DIR."""
    train_list: str = ""
    """Annotation file of the training split, inside DATA.ANNO_DIR or absolute; empty: the data set's
    own name."""
    val_list: str = ""
    """Annotation file used for validation during training; empty: the data set's own name."""
    test_list: str = ""
    """Annotation file of the final test; empty: the validation file."""
    class_names: str = ""
    """File with the class names (one a line, or the data set's own label file); empty: the data set's own."""
    split: int = 1
    """Which official split (UCF101 and HMDB51 have three)."""
    shots: int | None = None
    """Few-shot: training videos per class, drawn with RANDOM_SEED (2, 4, 8 and 16 are usual); null: all."""
    class_half: Literal["all", "base", "novel"] = "all"
    """Base-to-novel: the half of the classes that is trained on, or the other one, for testing alone."""
    exclude_list: str = ""
    """List of unreadable videos, as `runs/prepare.py check` writes it: left out of training, and counted as
    missing in evaluation, whatever TEST.ON_UNREADABLE says of others."""
    cache_dir: str = ""
    """Folder in which videos from a remote root are kept; empty: a folder in the user's cache."""
    cache_size_gb: float = 50.0
    """Upper bound of that folder in GB."""
    decoder: Literal["auto", "torchcodec", "pyav", "decord", "frames"] = "auto"
    """What reads video files: auto takes the best that works here; frames reads folders of JPEG files."""
    salvage_damaged: bool = False
    """Read those frames of a damaged video that still decode, instead of counting it as unreadable."""
    num_input_frames: int = 16
    """T, the frames of a clip that enter the temporal encoder."""
    sparse_sample_alpha: int = 2
    """Every alpha-th of the T frames enters the frozen image encoder, T/alpha in all."""
    num_test_frames: int | None = None
    """T in validation and test; null: DATA.NUM_INPUT_FRAMES. Not every model takes another length."""
    sampling_mode: Literal["segment_based", "interval_based", "segment_offset"] = "segment_based"
    """segment_based: one frame from each of T equal parts of the video; interval_based: T frames at a
    fixed rate; segment_offset: as segment_based, in the way of the text-video recipes."""
    sampling_rate: int = 8
    """interval_based: distance between two frames of a clip, in frames at DATA.TARGET_FPS."""
    target_fps: float | None = 30.0
    """interval_based: the frame rate in which DATA.SAMPLING_RATE counts, whatever the file's own; null: the
    file's own, frames are counted as they are."""
    minus_interval: bool = False
    """interval_based: end the clip one DATA.SAMPLING_RATE earlier, where the last interval starts."""
    train_jitter_scales: tuple[float, float] = (0.4, 1.0)
    """Range of the random crop in training: up to 1, share of the frame's area; above 1, short side in
    pixels."""
    train_crop_size: int = 224
    """Side of the square training crop in pixels."""
    test_scale: int = 224
    """Short side, in pixels, that a test video is resized to before it is cropped."""
    test_crop_size: int = 224
    """Side of the square test crop in pixels."""
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    """How frames are resized. The published recipes use bilinear; ST-Adapter's and CLIP4Clip's, bicubic."""
    antialias: bool = False
    """Whether shrinking is antialiased. The published recipes do without, as their checkpoints expect; only
    CLIP4Clip's antialias."""
    mean: tuple[float, float, float] = CLIP_MEAN
    """Mean of red, green and blue in [0, 1] that is subtracted. CLIP's by default."""
    std: tuple[float, float, float] = CLIP_STD
    """Standard deviation of red, green and blue in [0, 1] that is divided by. CLIP's by default."""
    dataset_label_text: LabelTextConfig = field(default_factory=LabelTextConfig)

    def __post_init__(self) -> None:
        for key in ("NUM_INPUT_FRAMES", "SPARSE_SAMPLE_ALPHA", "SAMPLING_RATE", "SPLIT"):
            _require_positive(key, getattr(self, key.lower()))
        for key in ("TRAIN_CROP_SIZE", "TEST_CROP_SIZE", "TEST_SCALE", "CACHE_SIZE_GB"):
            _require_positive(key, getattr(self, key.lower()))
        frames, alpha = self.num_input_frames, self.sparse_sample_alpha
        require(
            frames % alpha == 0,
            "NUM_INPUT_FRAMES",
            f"{frames} frames cannot be divided by DATA.SPARSE_SAMPLE_ALPHA {alpha}",
            f"take {max(alpha, frames // alpha * alpha)} frames, or an alpha that divides {frames}",
        )
        test_frames = self.test_frames
        require(
            test_frames > 0 and test_frames % alpha == 0,
            "NUM_TEST_FRAMES",
            f"{test_frames} frames cannot be divided by DATA.SPARSE_SAMPLE_ALPHA {alpha}",
            "null takes DATA.NUM_INPUT_FRAMES",
        )
        require(
            self.test_crop_size <= self.test_scale,
            "TEST_CROP_SIZE",
            f"a crop of {self.test_crop_size} does not fit a short side of {self.test_scale}",
            f"set DATA.TEST_SCALE to at least {self.test_crop_size}",
        )
        require(
            min(self.std) > 0,
            "STD",
            f"{list(self.std)} holds a value that is not positive",
            "CLIP's is the default",
        )
        for key in ("SHOTS", "TARGET_FPS"):
            if (value := getattr(self, key.lower())) is not None:
                _require_positive(key, value)
        self._check_jitter_scales()

    def _check_jitter_scales(self) -> None:
        low, high = self.train_jitter_scales
        areas = 0 < low <= high <= 1
        sides = self.train_crop_size <= low <= high
        require(
            areas or sides,
            "TRAIN_JITTER_SCALES",
            f"[{low:g}, {high:g}] is neither a range of area shares nor one of short sides",
            f"shares: 0 < low <= high <= 1; short sides: {self.train_crop_size} (the crop) <= low <= high",
        )

    @property
    def num_sparse_frames(self) -> int:
        """S = T / alpha, the frames that enter the frozen image encoder."""
        return self.num_input_frames // self.sparse_sample_alpha

    @property
    def test_frames(self) -> int:
        """T in validation and test: DATA.NUM_TEST_FRAMES, or DATA.NUM_INPUT_FRAMES where that is null."""
        return self.num_input_frames if self.num_test_frames is None else self.num_test_frames

    @property
    def annotation_dir(self) -> str:
        """DATA.ANNO_DIR, or DATA.DATA_ROOT_DIR where that is empty."""
        return self.anno_dir or self.data_root_dir

    @property
    def jitters_short_side(self) -> bool:
        """Whether DATA.TRAIN_JITTER_SCALES are pixels of the short side rather than shares of the area."""
        return self.train_jitter_scales[1] > 1


@dataclass(frozen=True)
class DataLoaderConfig:
    """DATA_LOADER: the worker processes that read and transform videos."""

    num_workers: int = 8
    """Worker processes per training process; 0 reads in the training process itself."""
    pin_memory: bool = True
    """Whether batches are put in page-locked memory, from which the copy to a GPU can overlap with work."""
    enable_multi_thread_decode: bool = False
    """Let one video be decoded by several threads. With several workers one thread each is faster."""
    prefetch_factor: int = 2
    """Batches that each worker prepares ahead."""
    timeout: float = 300.0
    """Seconds that a worker may spend on one video before it counts as hanging; the video is named and passed
    over. 0: any time."""
    max_worker_failures: int = 5
    """Hanging or dying workers that a run survives before it stops."""

    def __post_init__(self) -> None:
        for key in ("NUM_WORKERS", "TIMEOUT", "MAX_WORKER_FAILURES"):
            value = getattr(self, key.lower())
            require(value >= 0, key, f"{value} is negative", "give 0 or more")
        _require_positive("PREFETCH_FACTOR", self.prefetch_factor)

    @property
    def decoder_threads(self) -> int:
        """Threads per open video; 0 leaves the number to the decoder."""
        return 0 if self.enable_multi_thread_decode else 1


def _require_positive(key: str, value: float) -> None:
    require(value > 0, key, f"{value} is not positive", "give a number above 0")
