"""runs/inference/loading.py: every kind of file becomes a model, and what cannot says why."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from models.clip import Clip, describe_architecture
from models.clip_weights import read_clip_weights, without_text_prefix
from models.conversion import to_dist_release
from models.errors import ConversionError
from models.heads import LinearHead, Recognizer
from models.loading import fill_from
from models.release import Encoder, ReleaseDescription, write_release
from models.tiny_architectures import TINY_ARCHITECTURES
from models.weight_files import WeightFile
from models.zoo import ZooError
from runs.api import classify
from runs.config import load_run_config
from runs.inference.classifier import VideoClassifier
from runs.inference.described import describe, own_class_names
from runs.inference.loading import load_model, untrained_model
from runs.inference.releasing import save_release
from tests.runs.inference.tiny import tiny_dist
from utils.checkpoint import frozen_fingerprint, trainable_state
from utils.config import ConfigError, to_dict

_BLOCKS = "transformer.resblocks."
CPU = torch.device("cpu")
CLIP = torch.randint(0, 256, (2, 3, 8, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def embedding(model: VideoClassifier) -> torch.Tensor:
    with torch.no_grad():
        return model.model(CLIP.float() / 255).video


@pytest.mark.parametrize("name", ["dist_tiny_a", "dist_tiny_c"])
def test_parity_through_the_users_path(shared: Path, name: str) -> None:
    """A file in the released layout, without any configuration, gives the original network's numbers."""
    model = load_model(shared / "parity" / f"{name}.pyth")
    expected = np.load(shared / "parity" / f"{name}_expected.npz")
    with torch.no_grad():
        features = model.model(torch.from_numpy(expected["video"]))
        logits = model.model.similarity(features, torch.from_numpy(expected["text_features"]))
    np.testing.assert_allclose(logits, expected["logits"], atol=2e-5)
    np.testing.assert_allclose(features.frames.flatten(0, 1), expected["frame_embeddings"], atol=2e-5)


def test_a_released_file_tells_its_sizes(released_model: Path) -> None:
    model = load_model(released_model)
    assert model.config.model.name == "dist"
    assert model.config.data.num_input_frames == 8 and model.config.data.test_crop_size == 32
    assert model.class_names == () and not model.has_trained_classifier
    assert not model.network.training
    torch.testing.assert_close(embedding(model), tiny_dist()(CLIP.float() / 255).video)


def test_older_names_load_too(tmp_path: Path, released_model: Path) -> None:
    older = {
        "dist_net.": "ladder_net.",
        "input_linears": "input_map_feat_nets",
        "integration2temporal_nets": "s2t_fuse_nets",
        "temporal2integration_nets": "t2s_fuse_nets",
        ".integration_nets.": ".spatial_nets.",
        "adapooling_nets": "final_temporal_nets",
    }
    state = torch.load(released_model, weights_only=True)["model_state"]
    renamed = {}
    for name, tensor in state.items():
        for new, old in older.items():
            name = name.replace(new, old) if "dist_net." in name or "ladder_net." in name else name
        renamed[name] = tensor
    assert any("s2t_fuse_nets" in name for name in renamed)
    torch.save({"model_state": renamed}, tmp_path / "older.pyth")
    assert torch.equal(embedding(load_model(tmp_path / "older.pyth")), embedding(load_model(released_model)))


def test_embedded_texts_of_classes_are_no_weights(tmp_path: Path, released_model: Path) -> None:
    """The release keeps them under this name where VIDEO.BACKBONE.PRE_COMPUTED_TEXT_WEIGHT was on."""
    state = torch.load(released_model, weights_only=True)["model_state"]
    state["backbone.base_encoder.text_features"] = torch.zeros(5, 16)
    torch.save({"model_state": state}, tmp_path / "more.pyth")
    assert torch.equal(embedding(load_model(tmp_path / "more.pyth")), embedding(load_model(released_model)))
    assert "text_features" not in read_clip_weights(tmp_path / "more.pyth").state


def test_a_clip_alone_is_a_model(tmp_path: Path) -> None:
    dist = tiny_dist()
    torch.save(without_text_prefix(dist.clip.state_dict()), tmp_path / "clip.pt")
    model = load_model(tmp_path / "clip.pt")
    assert model.config.model.name == "clip"
    with torch.no_grad():
        frames = dist.frozen_frames(CLIP.float() / 255)
    torch.testing.assert_close(embedding(model), frames.mean(dim=1))


def test_a_clip_alone_is_what_its_architectures_name_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its shapes tell neither the activation nor how many heads there are."""
    tiny = TINY_ARCHITECTURES["tiny-test"]
    vision = tiny["vision_cfg"] | {"head_width": 32, "image_size": 48}
    monkeypatch.setitem(TINY_ARCHITECTURES, "ViT-B-16", {**tiny, "quick_gelu": False, "vision_cfg": vision})
    clip = Clip(describe_architecture("ViT-B-16")[0], with_quick_gelu=False).eval()
    torch.save(without_text_prefix(clip.state_dict()), tmp_path / "clip.bin")
    pairs = ["VIDEO.BACKBONE.META_ARCH_NAME", "ViT-B-16"]
    config = load_run_config(None, ["MODEL.NAME", "clip", *pairs])
    frames = torch.rand(1, 3, 2, 48, 48)
    with torch.no_grad():
        expected = clip.encode_frames(frames.transpose(1, 2)).mean(dim=1)
        for told in ({"config": config}, {"overrides": [*pairs, "DATA.SPARSE_SAMPLE_ALPHA", "1"]}):
            model = load_model(tmp_path / "clip.bin", device="cpu", **told)
            every_frame = frames.repeat_interleave(model.config.data.sparse_sample_alpha, dim=2)
            torch.testing.assert_close(model.model(every_frame).video, expected)
            assert "clip.bin does not say which activation" in caplog.text
            caplog.clear()
    with pytest.raises(ConversionError, match=r"clip\.bin does not say its activation"):
        load_model(tmp_path / "clip.bin", device="cpu")


def test_a_release_remembers_the_width_of_its_heads(tmp_path: Path) -> None:
    tiny = TINY_ARCHITECTURES["tiny-test"]
    name = tmp_path / "narrow.json"
    name.write_text(json.dumps({**tiny, "vision_cfg": tiny["vision_cfg"] | {"head_width": 32}}))
    words = {"MODEL.NAME": "clip", "VIDEO.BACKBONE.META_ARCH_NAME": str(name)}
    words |= {f"DATA.{key}": "32" for key in ("TRAIN_CROP_SIZE", "TEST_SCALE", "TEST_CROP_SIZE")}
    words["VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH"] = '""'
    model = untrained_model(load_run_config(None, [w for pair in words.items() for w in pair]), CPU)
    name.unlink()
    assert save_release(model, tmp_path / "model.safetensors", class_names=[["a", "b"]]) == 0


@pytest.mark.parametrize("included", [True, False])
def test_own_releases_load_with_and_without_the_encoder(
    tmp_path: Path, included: bool, released_model: Path
) -> None:
    reference = load_model(released_model)
    state = {f"model.{name}": tensor for name, tensor in reference.model.state_dict().items()}
    kept = {name: tensor for name, tensor in state.items() if included or not name.startswith("model.clip.")}
    config = to_dict(reference.config)
    config["VIDEO"]["BACKBONE"] |= {
        "META_ARCH_NAME": "tiny-test",
        "PRETRAIN_WEIGHT_PATH": str(released_model),
    }
    encoder = Encoder("tiny-test", included, frozen_fingerprint(reference.network))
    description = ReleaseDescription(config, (("a", "b"),), encoder)
    write_release(tmp_path / "own.safetensors", description, kept)
    model = load_model(tmp_path / "own.safetensors")
    assert model.class_names == (("a", "b"),)
    assert torch.equal(embedding(model), embedding(reference))


def test_a_checkpoint_stands_on_the_encoder_it_was_trained_on(tmp_path: Path, released_model: Path) -> None:
    reference = load_model(released_model)
    config = to_dict(reference.config)
    config["VIDEO"]["BACKBONE"] |= {
        "META_ARCH_NAME": "tiny-test",
        "PRETRAIN_WEIGHT_PATH": str(released_model),
    }
    content = {
        "config": config,
        "weights": trainable_state(reference.network),
        "average": None,
        "frozen_sha256": frozen_fingerprint(reference.network),
    }
    torch.save(content, tmp_path / "step.pt")
    assert torch.equal(embedding(load_model(tmp_path / "step.pt")), embedding(reference))
    torch.save({**content, "frozen_sha256": "0" * 64}, tmp_path / "step.pt")
    with pytest.raises(
        ConversionError, match="trained on a frozen encoder with the fingerprint 000000000000"
    ):
        load_model(tmp_path / "step.pt")


@pytest.mark.parametrize(
    ("overrides", "cause"),
    [
        (["VIDEO.BACKBONE.DIST.ADA_POOLING_LAYERS", "2"], "ADA_POOLING_LAYERS is 1 in the file and 2 here"),
        (["VIDEO.BACKBONE.DIST.INTEGRATION_DIM", "128"], "INTEGRATION_DIM is 64 in the file and 128 here"),
        (["VIDEO.BACKBONE.DIST.TEMPORAL_DIM", "32"], "TEMPORAL_DIM is 16 in the file and 32 here"),
        (["VIDEO.BACKBONE.DIST.SELECTED_LAYERS", "[0]"], "SELECTED_LAYERS is 2 in the file and 1 here"),
        (["DATA.SPARSE_SAMPLE_ALPHA", "4"], "SPARSE_SAMPLE_ALPHA is 2 in the file and 4 here"),
    ],
)
def test_a_mismatch_says_in_what_the_sizes_differ(
    released_model: Path, overrides: list[str], cause: str
) -> None:
    with pytest.raises(ConversionError, match=rf"do not fit this network: .*{cause}"):
        load_model(released_model, overrides=overrides)


def test_foreign_and_missing_files_are_refused(tmp_path: Path) -> None:
    torch.save({"layer1.0.conv1.weight": torch.ones(1)}, tmp_path / "resnet.pth")
    with pytest.raises(ConversionError, match="no model that says what it is"):
        load_model(tmp_path / "resnet.pth")
    with pytest.raises(ConversionError, match=r"holds another model: .* but layer1\.0\.conv1\.weight"):
        fill_from(Recognizer(tiny_dist(), []), {"layer1.0.conv1.weight": torch.ones(1)}, "resnet.pth")
    with pytest.raises(ZooError, match="no such path"):
        load_model(tmp_path / "nowhere.pth")


@pytest.mark.parametrize(
    ("key", "release", "model"),
    [("image_encoder.conv1.weight", "ViFi-CLIP", "clip"), ("prompts_generator.alpha", "X-CLIP", "xclip")],
)
def test_released_peers_need_their_recipe(key: str, release: str, model: str) -> None:
    file = WeightFile(Path("peer.pth"), {key: torch.ones(1)})
    with pytest.raises(ConversionError, match=rf"a file of {release}'s release.*--cfg"):
        describe("peer.pth", file, None, ())
    recipe = load_run_config(None, ["MODEL.NAME", model])
    assert describe("peer.pth", file, recipe, ()).tensors is file.tensors


def test_a_configuration_that_is_resolved_takes_no_overrides(released_model: Path) -> None:
    with pytest.raises(ConfigError, match=r"overrides \(DATA.DECODER pyav\) given beside a configuration"):
        load_model(released_model, config=load_run_config(None), overrides=["DATA.DECODER", "pyav"])


def peer_pairs(folder: Path, model: str, classes: int, **sizes: int) -> list[str]:
    """A recipe of a peer on a tiny CLIP, with its list of class names."""
    tiny = TINY_ARCHITECTURES["tiny-test"]
    (folder / "clip.json").write_text(json.dumps({**tiny, "vision_cfg": tiny["vision_cfg"] | sizes}))
    rows = "".join(f"{number}.mp4,class {number}\n" for number in range(classes))
    (folder / "val.csv").write_text(f"path,label\n{rows}")
    side = str(sizes.get("image_size", 32))
    pairs = {
        "MODEL.NAME": model,
        "VIDEO.HEAD.NAME": "linear",
        "VIDEO.BACKBONE.META_ARCH_NAME": str(folder / "clip.json"),
        "VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH": '""',
        "VIDEO.BACKBONE.ST_ADAPTER.ADAPTER_WIDTH": "32",
        "VIDEO.BACKBONE.EVL.DECODER_LAYERS": "2",
        "TEST.DATASET": "csv",
        "DATA.ANNO_DIR": str(folder),
        "DATA.NUM_INPUT_FRAMES": "4",
        "DATA.SPARSE_SAMPLE_ALPHA": "1",
        **dict.fromkeys(("DATA.TRAIN_CROP_SIZE", "DATA.TEST_SCALE", "DATA.TEST_CROP_SIZE"), side),
    }
    return [word for pair in pairs.items() for word in pair]


@pytest.mark.parametrize("name", ["st_adapter_a", "aim_a", "evl_a"])
def test_a_released_peer_keeps_its_classifier(shared: Path, tmp_path: Path, name: str) -> None:
    stored = torch.load(shared / "parity" / f"{name}.pth", weights_only=True)
    torch.save({"model": stored["state_dict"]}, tmp_path / "peer.pth")
    sizes = {"image_size": 48, "width": 64, "layers": 3}
    config = load_run_config(None, peer_pairs(tmp_path, name.removesuffix("_a"), 11, **sizes))
    model = load_model(tmp_path / "peer.pth", config=config, device="cpu")
    expected = np.load(shared / "parity" / f"{name}_expected.npz")
    if "clip_visual" in stored:  # EVL's release leaves the image tower out
        model.model.clip.visual.load_state_dict(stored["clip_visual"])
    with torch.no_grad():
        (logits,) = model.network(torch.from_numpy(expected["x"]))
    np.testing.assert_allclose(logits, expected["logits"], atol=2e-5)


def test_a_small_file_of_a_peer_is_used_with_its_recipe(tmp_path: Path) -> None:
    config = load_run_config(None, peer_pairs(tmp_path, "st_adapter", 3))
    trained = untrained_model(config, CPU).network
    names = {"model.clip.visual.": "", "before_mlp": "adapter_pre_mlp", "model.blocks.": _BLOCKS}
    released = {"fc.weight": torch.randn(3, 64), "fc.bias": torch.tensor([0.0, 0.0, 1000.0])}
    for name, tensor in trained.state_dict().items():
        if name.startswith(("model.clip.visual.", "model.blocks.")):
            for ours, theirs in names.items():
                name = name.replace(ours, theirs)
            released[name] = tensor
    torch.save({"model": released}, tmp_path / "peer.pth")
    model = load_model(tmp_path / "peer.pth", config=config, device="cpu")
    assert classify(model, CLIP[..., :4, :, :])[0].label == "class 2"
    assert save_release(model, tmp_path / "out.safetensors", class_names=model.class_names) == 0
    assert len(load_model(tmp_path / "out.safetensors", device="cpu").network.heads) == 1


def test_features_that_nothing_classifies_are_told(tmp_path: Path) -> None:
    config = load_run_config(None, peer_pairs(tmp_path, "st_adapter", 3))
    with pytest.raises(ValueError, match="cannot be compared with words, and has no trained classifier"):
        classify(untrained_model(config, CPU), CLIP[..., :4, :, :])


def test_classes_without_names_are_told(tmp_path: Path) -> None:
    config = load_run_config(None, peer_pairs(tmp_path, "st_adapter", 3))
    model = untrained_model(config, CPU)
    network = Recognizer(model.model, [LinearHead(64, 3)])
    for names, count in (((), "none"), ((("a", "b"),), "2")):
        with pytest.raises(ValueError, match=rf"classifier of 3 classes, of which {count} have names here"):
            classify(dataclasses.replace(model, network=network, class_names=names), CLIP[..., :4, :, :])


def test_devices_that_are_not_there_are_refused(released_model: Path) -> None:
    with pytest.raises(ConfigError, match="device 'nonsense' cannot be used"):
        load_model(released_model, device="nonsense")


def test_shipped_class_names_belong_to_their_data_sets(released_model: Path) -> None:
    def names(dataset: str) -> list[int]:
        config = load_model(released_model, overrides=["TRAIN.DATASET", dataset]).config
        return [len(head) for head in own_class_names(config)]

    assert (names("k400"), names("ssv2"), names("epic100"), names("csv")) == ([400], [174], [97, 300], [])


def test_round_trip_of_the_release_layout_is_exact() -> None:
    model = tiny_dist(3)
    names = set(to_dist_release(model.state_dict(), {}))
    assert all(name.startswith("backbone.base_encoder.") for name in names)
    assert len(names) == len(model.state_dict())


@pytest.mark.parametrize("kind", ["half", "int8"])
def test_the_frozen_tower_in_other_numbers(released_model: Path, kind: str) -> None:
    exact, close = (embedding(load_model(released_model, frozen_precision=k)) for k in ("fp32", kind))
    assert not torch.equal(close, exact)
    assert torch.nn.functional.cosine_similarity(close, exact).min() > 0.99
    again = load_model(released_model, frozen_precision=kind)
    assert frozen_fingerprint(again.network) == frozen_fingerprint(load_model(released_model).network)


def test_a_model_inside_the_tower_says_why_not(released_model: Path) -> None:
    config = load_run_config(None, ["MODEL.NAME", "aim", "VIDEO.HEAD.NAME", "linear"])
    with pytest.raises(ConfigError, match="inside of the image tower"):
        load_model(released_model, config=config, frozen_precision="half")


def test_the_frozen_clip_alone_takes_it_from_the_configuration() -> None:
    words = ["MODEL.NAME", "clip", "VIDEO.BACKBONE.META_ARCH_NAME", "tiny-test"]
    words += ["VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH", ""]
    for kind in ("fp32", "int8"):
        config = load_run_config(None, [*words, "VIDEO.BACKBONE.FROZEN_PRECISION", kind])
        model = untrained_model(config, torch.device("cpu"))
        assert bool(model.model.clip.visual.stand_ins) == (kind == "int8")
