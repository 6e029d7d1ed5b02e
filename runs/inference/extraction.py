"""Embeddings of one video into a store of many."""

from __future__ import annotations

from runs.api import embed
from runs.inference.classifier import VideoClassifier
from runs.inference.clips import READ_FAILURES, ClipSettings
from runs.inference.embedding_store import EmbeddingStore
from runs.inference.prediction import reason_of


def extract_into(store: EmbeddingStore, model: VideoClassifier, clips: ClipSettings, path: str) -> None:
    """Adds the embeddings of a video, or the reason why it cannot be read."""
    try:
        with clips.open(path) as reader:
            clip = clips.read(reader)
    except READ_FAILURES as error:
        store.fail(path, reason_of(error))
        return
    features = embed(model, clip)
    store.add(path, features.video.mean(dim=0).numpy(), features.frames[0].numpy())
