"""Heads, building from a configuration, zero-shot features and fusion, and loading trained weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from models.architecture import clip_architecture
from models.build import ClipShape, build_recognizer, build_video_model
from models.clip import Clip
from models.config import BackboneConfig, DistConfig, HeadConfig, ModelConfig, VideoConfig
from models.conversion import bare_release_names
from models.dist import Dist
from models.heads import Recognizer, frame_logits, frozen_logits
from models.key_table import ConversionError
from models.loading import fill_from, load_trained_weights
from models.losses import soft_cross_entropy
from models.weight_files import read_weight_file
from models.zero_shot import class_text_features, class_tokens, fuse_logits

NAMES = ("walk", "run", "jump")


def network(
    name: str = "dist", head: str = "text", *, frames: int = 8, names: tuple[str, ...] = NAMES, **dist: object
) -> Recognizer:
    """A small recogniser; the seed makes two of them equal."""
    torch.manual_seed(0)
    branch = DistConfig(**({"integration_dim": 64, "temporal_dim": 16} | dist))  # type: ignore[arg-type]
    video = VideoConfig(
        backbone=BackboneConfig(meta_arch_name="tiny-test", pretrain_weight_path="", dist=branch),
        head=HeadConfig(name=head),  # type: ignore[arg-type]
    )
    model = build_video_model(ModelConfig(name=name), video, ClipShape(frames, 2))
    return build_recognizer(video.head, model, [names])


def test_text_head_is_scaled_cosine() -> None:
    recognizer = network().eval()
    video = torch.randn(2, 3, 8, 32, 32)
    (logits,) = recognizer(video)
    model = recognizer.model
    text = class_text_features(model.clip, NAMES)
    cosine = F.cosine_similarity(model(video).video[:, None], text[None], dim=-1)
    assert torch.allclose(logits, cosine / 0.07, atol=1e-3)


def test_two_heads_give_two_sets_of_logits() -> None:
    model = network().model
    recognizer = build_recognizer(HeadConfig(), model, [NAMES, ("cup", "pan")])
    verb, noun = recognizer(torch.randn(2, 3, 8, 32, 32))
    assert (verb.shape, noun.shape) == ((2, 3), (2, 2))


def test_linear_probe_trains_the_head_alone() -> None:
    recognizer = network("clip", "linear")
    trained = [name for name, parameter in recognizer.named_parameters() if parameter.requires_grad]
    assert trained == ["heads.0.fc.weight", "heads.0.fc.bias"]


def test_mean_pooling_is_blind_to_order() -> None:
    recognizer = network("clip").eval()
    video = torch.randn(1, 3, 8, 32, 32)
    forwards = recognizer.model(video[:, :, ::2].repeat_interleave(2, dim=2)).video
    backwards = recognizer.model(video[:, :, ::2].flip(2).repeat_interleave(2, dim=2)).video
    assert torch.allclose(forwards, backwards, atol=1e-5)


def test_templates_are_averaged_after_normalisation() -> None:
    clip = network().model.clip
    one, two = (class_text_features(clip, NAMES, [template]) for template in ("a {}", "the {} of a cat"))
    both = class_text_features(clip, NAMES, ["a {}", "the {} of a cat"])
    assert torch.allclose(both, F.normalize(one + two, dim=-1), atol=1e-5)
    with pytest.raises(ValueError, match="no {} for the class name"):
        class_text_features(clip, NAMES, ["a photo"])


@pytest.mark.parametrize("tuned", [False, True])
def test_texts_that_clip_cannot_read_to_their_end_are_told(
    tuned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Of class names that differ only there CLIP makes the same."""
    clip = network().model.clip
    caplog.clear()
    most = clip.architecture.context_length
    fitting = " ".join(["a"] * (most - 2))
    make = class_tokens if tuned else class_text_features
    first, second = make(clip, [fitting, f"{fitting[:-1]} cat"], ["{}"])
    assert not torch.equal(first, second) and not caplog.text
    first, second = make(clip, [f"{fitting} cat", f"{fitting} dog"], ["{}"])
    assert torch.equal(first, second)
    assert f"2 of 2 texts of classes are cut to the {most} tokens that CLIP reads" in caplog.text


def test_frozen_logits_average_normalised_frames() -> None:
    model = network().model.eval()
    video, text = torch.randn(2, 3, 8, 32, 32), torch.randn(3, 32)
    frames = torch.stack([model.clip.visual(video[:, :, t]) for t in range(0, 8, 2)], dim=1)
    expected = (F.normalize(frames, dim=-1) @ F.normalize(text, dim=-1).T).mean(dim=1) / 0.07
    assert torch.allclose(frozen_logits(model, video, text), expected, atol=1e-3)
    assert torch.allclose(frame_logits(frames, text, model.clip.logit_scale), expected, atol=1e-3)
    a, b = torch.randn(2, 3), torch.randn(2, 3)
    assert torch.allclose(fuse_logits(a, b, 0.25), 0.25 * a + 0.75 * b)


def test_soft_cross_entropy_is_torchs() -> None:
    logits, targets = torch.randn(4, 5), torch.rand(4, 5).softmax(-1)
    assert torch.allclose(soft_cross_entropy(logits, targets), F.cross_entropy(logits, targets))


def test_own_weights_come_back_and_the_frozen_ones_may_be_left_out(tmp_path: Path) -> None:
    source, target = network(), network()
    with torch.no_grad():
        for parameter in source.parameters():
            if parameter.requires_grad:
                parameter.add_(1)
    trained = {name: tensor for name, tensor in source.state_dict().items() if "branch" in name}
    path = tmp_path / "trained.pt"
    torch.save(trained, path)
    load_trained_weights(target, path)
    assert all(torch.equal(tensor, target.state_dict()[name]) for name, tensor in source.state_dict().items())


def test_another_clip_length_interpolates_the_tables() -> None:
    source, target = network(frames=8), network(frames=16)
    fill_from(target, source.state_dict(), "memory")
    assert target.state_dict()["model.branch.pooling.0.positions"].shape == (8, 64)


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"ada_pooling_layers": 1}, "ADA_POOLING_LAYERS"),
        ({"integration_dim": 128}, "INTEGRATION_DIM"),
        ({"selected_layers": (1,)}, "Likely: another number of VIDEO.BACKBONE.DIST.SELECTED_LAYERS$"),
        ({"temporal_encoder": "tada"}, "Likely: another VIDEO.BACKBONE.DIST.TEMPORAL_ENCODER$"),
        ({"temporal_encoder": "none"}, "Likely: another VIDEO.BACKBONE.DIST.TEMPORAL_ENCODER$"),
        ({"exchange_to_temporal": False}, "Likely: another VIDEO.BACKBONE.DIST.EXCHANGE_TO_TEMPORAL$"),
        ({"exchange_to_integration": False}, "Likely: another VIDEO.BACKBONE.DIST.EXCHANGE_TO_INTEGRATION$"),
    ],
)
def test_other_architectures_are_refused_with_the_likely_cause(change: dict[str, object], hint: str) -> None:
    with pytest.raises(ConversionError, match=hint):
        fill_from(network(), network(**change).state_dict(), "memory")  # type: ignore[arg-type]
    with pytest.raises(ConversionError, match=hint):
        fill_from(network(**change), network().state_dict(), "memory")  # type: ignore[arg-type]


def test_a_head_for_other_classes_starts_anew(caplog: pytest.LogCaptureFixture) -> None:
    source, target = network(head="linear"), network(head="linear", names=("sit", "stand"))
    before = target.state_dict()["heads.0.fc.weight"].clone()
    with caplog.at_level("WARNING"):
        fill_from(target, source.state_dict(), "memory")
    assert "starts anew" in caplog.text
    assert torch.equal(target.state_dict()["heads.0.fc.weight"], before)


def released(folder: Path, frames: int = 8, **dist: object) -> Recognizer:
    """A network with the CLIP of a parity checkpoint, without its weights."""
    tensors = read_weight_file(folder / "dist_tiny_a.pyth").tensors
    clip = Clip(clip_architecture(bare_release_names(tensors)))
    config = DistConfig(**({"integration_dim": 64, "temporal_dim": 16} | dist))  # type: ignore[arg-type]
    return Recognizer(Dist(clip, config, frames=frames, alpha=2), [])


def test_released_checkpoints_load(shared: Path) -> None:
    path = shared / "parity" / "dist_tiny_a.pyth"
    recognizer = released(shared / "parity")
    load_trained_weights(recognizer, path)
    weight = read_weight_file(path).tensors["backbone.base_encoder.dist_net.proj"]
    assert torch.equal(recognizer.state_dict()["model.branch.proj"], weight)


@pytest.mark.parametrize("frames", [2, 4, 16])
def test_released_tables_serve_clips_of_any_length(shared: Path, frames: int) -> None:
    recognizer = released(shared / "parity", frames)
    load_trained_weights(recognizer, shared / "parity" / "dist_tiny_a.pyth")
    assert recognizer.state_dict()["model.branch.pooling.0.positions"].shape == (frames // 2, 64)


def test_another_form_of_a_release_is_named(shared: Path) -> None:
    path = shared / "parity" / "dist_tiny_a.pyth"
    with pytest.raises(ConversionError, match=r"dist_tiny_a\.pyth do not fit .*TEMPORAL_ENCODER$"):
        load_trained_weights(released(shared / "parity", temporal_encoder="tada"), path)


@pytest.mark.parametrize("name", ["dist", "clip"])
def test_frames_of_a_frozen_clip_need_not_be_computed_again(name: str) -> None:
    model = network(name).model.eval()
    video = torch.randn(2, 3, 8, 32, 32)
    with torch.no_grad():
        features = model(video)
        again = model.clip.encode_frames(video.transpose(1, 2)[:, ::2])
        assert model.frozen_frames(video, features) is features.frames
        assert torch.allclose(features.frames, again, atol=1e-5)
        assert torch.allclose(model.frozen_frames(video), again, atol=1e-5)
