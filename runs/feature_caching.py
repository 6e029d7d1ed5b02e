"""Frozen features of the training clips, kept between epochs (TRAIN.FEATURE_CACHE_VIEWS).

    batch ──slots and digests──► FeatureCache.expect ──► the step's forward pass reads them, or fills them

A clip's slot is (row of its video, view); the digest is of its pixels and of what the device does to them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from datasets.batch import VideoBatch
from datasets.records import AnnotatedSplit
from models.bundled_clip import unshown_of
from models.dist import Dist
from models.feature_cache import DIGEST_BYTES, FeatureCache, FeatureShape
from models.interface import VideoModel
from models.stan import Stan
from runs.build import Workplace
from runs.training_step import Prepare, TrainingInput
from utils import distributed
from utils.checkpoint import frozen_fingerprint
from utils.config import ConfigError, to_dict
from utils.logging import get_logger


def with_feature_cache(
    prepare: Prepare, place: Workplace, model: VideoModel, split: AnnotatedSplit
) -> Prepare:
    """`prepare`, announcing every batch to a cache that the model's image tower now has.

    Says the size of the file before it is written. Raises ConfigError when there is no room for it.
    """
    config, logger = place.config, get_logger()
    views = config.train.feature_cache_views
    folder = Path(config.train.feature_cache_dir or place.folder.root / "feature_cache")
    shape, slots = (
        feature_shape(model, config.data.train_crop_size, config.data.num_input_frames),
        len(split) * views,
    )
    size = FeatureCache.gigabytes(slots, shape)
    logger.info(
        "feature cache: %d videos x %d views, %.2f GB when full (%s)", len(split), views, size, folder
    )
    settings = to_dict(config)
    facts = {
        "frozen_sha256": frozen_fingerprint(model.clip.visual),
        "encoder": asdict(unshown_of(model.clip)),  # with another, the same weights give other features
        "blocks": list(_blocks_read(model)),
        "frozen_precision": config.video.backbone.frozen_precision,
        "precision": place.precision.name,
        "seed": config.random_seed,
        "data": settings["DATA"],
        "augmentation": settings["AUGMENTATION"],
        "videos_sha256": _digest_of_list(split),
    }
    try:
        if distributed.on_main(lambda: FeatureCache(folder, slots, shape, facts).was_outdated):
            logger.warning("feature cache: it was made under other settings, and starts anew")
        cache = FeatureCache(folder, slots, shape, facts)
    except ValueError as error:
        raise ConfigError(str(error), key="TRAIN.FEATURE_CACHE_VIEWS") from error
    logger.info("feature cache: %d of %d clips are there", cache.filled, slots)
    model.clip.visual.cache = cache

    def announcing(batch: VideoBatch, step: int, number: int) -> TrainingInput:
        rows = zip(batch.video_id.tolist(), batch.epochs, strict=True)
        cache.expect([row * views + view for row, view in rows], clip_digests(batch))
        return prepare(batch, step, number)

    return announcing


def feature_shape(model: VideoModel, crop: int, frames: int) -> FeatureShape:
    """What a clip of `frames` frames of `crop` pixels gives the model."""
    architecture = model.clip.architecture
    return FeatureShape(
        blocks=len(_blocks_read(model)),
        frames=len(range(0, frames, model.alpha)),
        tokens=1 + (crop // architecture.patch_size) ** 2,
        width=architecture.vision_width,
        embed_dim=architecture.embed_dim if isinstance(model, Dist) else None,
    )


def _blocks_read(model: VideoModel) -> Sequence[int]:
    """Numbers of the image tower's blocks whose tokens the model reads."""
    assert isinstance(model, Dist | Stan)
    return model.sizes.layers if isinstance(model, Dist) else model.selected


def clip_digests(batch: VideoBatch) -> list[bytes]:
    """One digest per clip, of its pixels and of the colours that the device gives it."""
    found = []
    for number, clip in enumerate(batch.video.movedim(1, -1)):
        digest = hashlib.blake2b(clip.contiguous().numpy(), digest_size=DIGEST_BYTES)
        if batch.colour is not None:
            for field in vars(batch.colour[number : number + 1]).values():
                digest.update(field.contiguous().numpy().tobytes())
        found.append(digest.digest())
    return found


def _digest_of_list(split: AnnotatedSplit) -> str:
    names = "\n".join(record.name for record in split.records)
    return hashlib.sha256(names.encode()).hexdigest()
