"""Reading videos: ``open_video(path) -> VideoReader``; one backend a file, one error type."""

from datasets.decoding.opening import DECODERS, available_decoders, open_video
from datasets.decoding.reader import VideoReader, VideoReadError

__all__ = ["DECODERS", "VideoReadError", "VideoReader", "available_decoders", "open_video"]
