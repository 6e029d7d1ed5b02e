"""runs/api.py against the definition: clips as in the test, softmax, mean over views, fusion with CLIP."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from datasets.decoding import open_video
from datasets.sampling import segment_based
from models.heads import LinearHead, Recognizer
from runs.api import VideoClassifier, classify, embed, load_model, read_clip, view_logits
from runs.inference.graph import ClassifierGraph, ExportError
from tests.runs.inference.tiny import tiny_dist, tuned_clip, write_noise, write_release

NAMES = ["brushing hair", "riding_a_bike", "Juggling"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> VideoClassifier:
    path = tmp_path_factory.mktemp("model") / "tiny.pyth"
    write_release(path)
    return load_model(path, device="cpu")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_noise(tmp_path_factory.mktemp("video") / "noise.mp4", frames=30, size=(64, 96))


def test_clips_are_those_of_the_test(model: VideoClassifier, video: Path) -> None:
    clip = read_clip(video, model, views=2)
    assert clip.shape == (2, 3, 8, 32, 32) and clip.dtype == torch.uint8
    with open_video(str(video)) as reader:
        frames = torch.from_numpy(reader.get_frames(segment_based(30, 8, view=1, num_views=2)))
    expected = F.interpolate(frames.permute(0, 3, 1, 2).float(), size=(32, 48), mode="bilinear")[..., 8:40]
    difference = (clip[1].transpose(0, 1).float() - expected).abs().max()
    assert difference <= 0.5 + 1e-4  # rounding to a byte


def test_a_part_of_a_video_has_its_own_frames(model: VideoClassifier, video: Path) -> None:
    late = read_clip(video, model, start=2.0, end=3.0)
    with open_video(str(video)) as reader:
        frames = reader.get_frames(20 + segment_based(10, 8))
    assert abs(float(late.float().mean()) - float(np.mean(frames[:, :, 16:80]))) < 1.0


def test_scores_are_mean_probabilities_over_views(model: VideoClassifier, video: Path) -> None:
    clip = read_clip(video, model, views=3)
    (logits,) = view_logits(model, clip, NAMES, fusion=1.0)
    with torch.no_grad():
        text = model.model.class_features(["brushing hair", "riding a bike", "Juggling"], ("{}",))
        mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1, 1)
        std = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1, 1)
        expected = model.model.similarity(model.model((clip / 255 - mean) / std), text)
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)
    found = classify(model, clip, NAMES, fusion=1.0)
    scores = expected.softmax(-1).mean(0)
    assert [item.label for item in found] == [NAMES[int(index)] for index in scores.argsort(descending=True)]
    assert sum(item.score for item in found) == pytest.approx(1)
    assert len(classify(model, clip, NAMES, top=2)) == 2


def test_fusion_is_half_for_words_of_ones_own(model: VideoClassifier, video: Path) -> None:
    clip = read_clip(video, model)
    alone, clips = (view_logits(model, clip, NAMES, fusion=weight)[0] for weight in (1.0, 0.0))
    assert not torch.allclose(alone, clips)
    torch.testing.assert_close(view_logits(model, clip, NAMES)[0], (alone + clips) / 2, atol=1e-4, rtol=1e-4)


def test_a_tuned_clip_is_no_frozen_one_to_fuse_with(tmp_path: Path, video: Path) -> None:
    tuned = tuned_clip(tmp_path)
    clip = read_clip(video, tuned)
    alone = view_logits(tuned, clip, NAMES, fusion=1.0)[0]
    torch.testing.assert_close(view_logits(tuned, clip, NAMES)[0], alone)
    with pytest.raises(ValueError, match=r"no frozen CLIP in it to take 0\.25 of the fusion"):
        view_logits(tuned, clip, NAMES, fusion=0.75)


def test_embeddings_are_per_view_and_per_frame(model: VideoClassifier, video: Path) -> None:
    features = embed(model, read_clip(video, model, views=2))
    assert features.video.shape == (2, 32) and features.frames.shape == (2, 4, 32)


def test_what_cannot_be_compared_is_refused(model: VideoClassifier, video: Path) -> None:
    clip = read_clip(video, model)
    with pytest.raises(ValueError, match="name classes of your own"):
        classify(model, clip)
    with pytest.raises(ValueError, match="at least two"):
        classify(model, clip, ["only one"])
    with pytest.raises(ValueError, match="classes are a list of texts, not one: 'juggling'"):
        classify(model, clip, "juggling")
    with pytest.raises(ValueError, match="templates are a list of texts, not one"):
        classify(model, clip, NAMES, templates="a photo of {}")
    with pytest.raises(ValueError, match=r"a clip is uint8 \(V,3,T,H,W\)"):
        classify(model, clip.float(), NAMES)


def test_verb_and_noun_heads_give_pairs(video: Path) -> None:
    dist = tiny_dist()
    network = Recognizer(dist, [LinearHead(32, 2), LinearHead(32, 3)]).eval()
    for head, bias in zip(network.heads, ([0.0, 1.0], [2.0, 0.0, 0.0]), strict=True):
        assert isinstance(head, LinearHead)
        nn.init.zeros_(head.fc.weight)
        head.fc.bias.data = torch.tensor(bias)
    base = load_from(network)
    found = classify(base, read_clip(video, base), top=None)
    assert len(found) == 6 and found[0].label == "cut onion"
    probabilities = torch.tensor([0.0, 1.0]).softmax(0)[1] * torch.tensor([2.0, 0, 0]).softmax(0)[0]
    assert found[0].score == pytest.approx(float(probabilities), abs=1e-6)
    with pytest.raises(ValueError, match="trained classifier"):
        classify(base, read_clip(video, base), NAMES)
    with pytest.raises(ValueError, match="leave out the weight of the fusion"):
        classify(base, read_clip(video, base), fusion=0.0)
    with pytest.raises(ValueError, match="leave out templates"):
        classify(base, read_clip(video, base), templates=["x {}"])
    with pytest.raises(ExportError, match=r"has a trained classifier: leave --fusion out"):
        ClassifierGraph(base, None, 0.0)


def load_from(network: Recognizer) -> VideoClassifier:
    from runs.config import resolve_run_config
    from utils.precision import resolve_precision

    pairs = ["DATA.NUM_INPUT_FRAMES", "8", "DATA.TEST_SCALE", "32", "DATA.TEST_CROP_SIZE", "32"]
    config = resolve_run_config(None, [*pairs, "DATA.TRAIN_CROP_SIZE", "32"]).config
    names = (("wash", "cut"), ("onion", "pan", "cup"))
    cpu = torch.device("cpu")
    return VideoClassifier(network, config, names, "test", cpu, resolve_precision("fp32", cpu))
