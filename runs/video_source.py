"""From the configuration to where videos come from: a folder or a URL, the decoder, the known bad ones."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from functools import partial

from datasets.annotations.files import is_url
from datasets.annotations.video_paths import ShardedRoot
from datasets.decoding import open_video
from datasets.decoding.opening import choose_decoder
from datasets.excluding import BadVideos, with_bad_videos_noted, without_bad_videos
from datasets.preparation.journal import read_bad_list
from datasets.records import AnnotatedSplit
from datasets.remote import FileCache, VideoSource, default_cache_folder
from datasets.shards import ShardSource, read_index
from runs.config import RunConfig
from utils.config import ConfigError


def build_video_source(config: RunConfig) -> VideoSource | ShardSource:
    """What opens the video of a record. Raises ConfigError for a decoder that does not work here."""
    data, decoder = config.data, working_decoder(config)
    threads = config.data_loader.decoder_threads
    open_local = partial(open_video, decoder=decoder, num_threads=threads, salvage=data.salvage_damaged)
    cache = FileCache(data.cache_dir or default_cache_folder(), int(data.cache_size_gb * 1e9))
    shards = _shard_index(data.data_root_dir)
    if shards is not None:
        return ShardSource(data.data_root_dir, shards, open_local, cache)
    return VideoSource(data.data_root_dir, open_local, cache if is_url(data.data_root_dir) else None)


def working_decoder(config: RunConfig) -> str:
    """The decoder that DATA.DECODER stands for. Raises ConfigError for one that does not work here."""
    data = config.data
    try:
        decoder = choose_decoder(data.decoder)
    except ValueError as error:
        raise ConfigError(str(error), key="DATA.DECODER") from error
    if data.salvage_damaged and decoder in ("decord", "torchcodec"):
        raise ConfigError(
            f"{decoder} cannot pick the sound frames of a damaged video",
            key="DATA.SALVAGE_DAMAGED",
            remedy="set DATA.DECODER to auto or pyav",
        )
    return decoder


def video_root(config: RunConfig) -> str | ShardedRoot:
    """DATA.DATA_ROOT_DIR; where the videos below it are in shards, with the paths that these have."""
    root = config.data.data_root_dir
    shards = _shard_index(root)
    return root if shards is None else ShardedRoot(root, tuple(shards))


@functools.lru_cache(maxsize=4)
def _shard_index(root: str) -> dict[str, str] | None:
    try:
        return read_index(root) if root else None
    except ValueError as error:
        raise ConfigError(str(error), key="DATA.DATA_ROOT_DIR") from error


def known_bad_videos(config: RunConfig) -> Mapping[str, str]:
    """{path: reason} of DATA.EXCLUDE_LIST; empty without one. Raises ConfigError when it cannot be read."""
    if not config.data.exclude_list:
        return {}
    try:
        return BadVideos(read_bad_list(config.data.exclude_list), config.data.data_root_dir)
    except ValueError as error:
        raise ConfigError(str(error), key="DATA.EXCLUDE_LIST") from error


def without_known_bad(config: RunConfig, split: AnnotatedSplit) -> AnnotatedSplit:
    """A training split without the videos of DATA.EXCLUDE_LIST. Raises ConfigError when none is left."""
    bad = known_bad_videos(config)
    try:
        return without_bad_videos(split, bad) if bad else split
    except ValueError as error:
        raise ConfigError(str(error), key="DATA.EXCLUDE_LIST") from error


def with_known_bad_noted(config: RunConfig, split: AnnotatedSplit) -> AnnotatedSplit:
    """An evaluation split with a note of its videos that are in DATA.EXCLUDE_LIST. Raises ConfigError when
    all are.
    """
    bad = known_bad_videos(config)
    try:
        return with_bad_videos_noted(split, bad) if bad else split
    except ValueError as error:
        raise ConfigError(str(error), key="DATA.EXCLUDE_LIST") from error
