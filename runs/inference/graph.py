"""A model as one graph from pixels to logits, and that graph in files for other programs.

    video uint8 (B,3,T,H,W), resized, cropped ──normalise──► model ──► embedding (B,E), logits (B,K) per head

Class names are inside as text features: the text tower stays outside. Beside the graph, every file says in
words what it needs and gives: `class_names` (JSON: a list per head, in the order of its logits) and
`preprocessing` (JSON: how a clip's frames are chosen, resized and cropped). Every file is read back and run
(ONNX by onnxruntime on the CPU) on other clips than it was traced with; it gets its name only when it agrees
with the model.
"""

from __future__ import annotations

import copy
import io
import json
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from datasets.transforms.device import normalise
from models.heads import frame_logits
from models.interface import VideoModel
from models.zero_shot import fuse_logits
from runs.inference.classifier import VideoClassifier
from utils.config import to_dict

TOLERANCE = 1e-3
"""Largest difference allowed, relative to the largest absolute value of an output."""
_TRACED_BATCH, _CHECKED_BATCH = 2, 3
_PREPROCESSING = (
    "SAMPLING_MODE",
    "SAMPLING_RATE",
    "TARGET_FPS",
    "MINUS_INTERVAL",
    "TEST_SCALE",
    "TEST_CROP_SIZE",
    "INTERPOLATION",
    "ANTIALIAS",
)


class ExportError(RuntimeError):
    """A graph that could not be made, or that does not give the model's numbers."""


class ClassifierGraph(nn.Module):
    """Pixels to embedding and logits, for fixed classes."""

    def __init__(self, model: VideoClassifier, classes: Sequence[str] | None, fusion: float) -> None:
        """classes: words of one's own; None: the model's, if any. fusion: weight of the model's logits.

        Raises ExportError for a fusion without class names.
        """
        assert fusion == 1 or not model.tunes_clip, "a graph fuses with the CLIP that is in the model"
        super().__init__()
        self.model = _without_text_tower(model.model)
        self.heads = model.network.heads if classes is None else nn.ModuleList()
        self.mean, self.std = model.config.data.mean, model.config.data.std
        self.fusion = fusion
        names = [classes] if classes is not None else model.class_names
        texts = [] if len(self.heads) else [model.text_features(head) for head in names]
        if fusion < 1 and not texts:
            instead = "a trained classifier" if len(self.heads) else "none"
            raise ExportError(
                f"a weight of {fusion:g} against the frozen CLIP needs class names to compare; "
                f"{model.source} has {instead}: leave --fusion out"
            )
        self.own_texts = nn.ParameterList(nn.Parameter(own, requires_grad=False) for own, _ in texts)
        self.clip_texts = nn.ParameterList(nn.Parameter(clips, requires_grad=False) for _, clips in texts)
        self.facts = _facts(model, names)

    def forward(self, video: Tensor) -> tuple[Tensor, ...]:
        """video uint8 (B,3,T,H,W) → embedding (B,E), logits (B,K) per head."""
        pixels = normalise(video, self.mean, self.std)
        features = self.model(pixels)
        logits = [head(self.model, features) for head in self.heads]
        frozen = (
            self.model.frozen_frames(pixels, features) if self.fusion < 1 and len(self.clip_texts) else None
        )
        for own, clips in zip(self.own_texts, self.clip_texts, strict=True):
            found = self.model.similarity(features, own)
            if frozen is not None:
                clip_logits = frame_logits(frozen, clips, self.model.clip.logit_scale)
                found = fuse_logits(found, clip_logits, self.fusion)
            logits.append(found)
        return features.video, *logits

    def output_names(self) -> list[str]:
        """What the outputs are called in files."""
        count = max(len(self.heads), len(self.own_texts))
        return ["embedding", *(["logits"] if count == 1 else [f"logits_{index}" for index in range(count)])]


def _facts(model: VideoClassifier, class_names: Sequence[Sequence[str]]) -> dict[str, str]:
    """What a file says in words beside the graph: JSON texts by name."""
    data = to_dict(model.config.data)
    clip = {"FRAMES": model.config.data.test_frames} | {key: data[key] for key in _PREPROCESSING}
    return {
        "class_names": json.dumps([list(names) for names in class_names], ensure_ascii=False),
        "preprocessing": json.dumps(clip),
    }


def example_clips(model: VideoClassifier, batch: int, seed: int = 0) -> Tensor:
    """Random clips uint8 (B,3,T,H,W) of the size that the model is shown."""
    data = model.config.data
    shape = (batch, 3, data.test_frames, data.test_crop_size, data.test_crop_size)
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def save_torch_export(graph: ClassifierGraph, model: VideoClassifier, path: Path) -> float:
    """Writes a `torch.export` program (load it with `torch.export.load(path).module()`); `extra_files` of
    torch.export.load gets `class_names` and `preprocessing`.

    Returns the largest relative difference. Raises ExportError.
    """
    batch = torch.export.Dim("batch", min=1, max=1024)
    example = (example_clips(model, _TRACED_BATCH),)

    def write(unfinished: Path) -> None:
        program = torch.export.export(graph, example, dynamic_shapes={"video": {0: batch}}, strict=False)
        content = io.BytesIO()  # torch ends the process when it writes to a disk that is full
        torch.export.save(program, content, extra_files=dict(graph.facts))
        unfinished.write_bytes(content.getbuffer())

    def run(unfinished: Path, video: Tensor) -> list[Tensor]:
        return list(torch.export.load(unfinished).module()(video))

    return check_and_keep(graph, model, path, write, run)


def save_onnx(graph: ClassifierGraph, model: VideoClassifier, path: Path) -> float:
    """Writes an ONNX model with a dynamic batch, its `class_names` and `preprocessing` as metadata.

    Returns the largest relative difference. Raises ExportError.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401 - what torch.onnx needs
    except ImportError as error:
        raise ExportError(f"ONNX needs more packages ({error}): pip install -e '.[export]'") from error
    batch = torch.export.Dim("batch", min=1, max=1024)

    def write(unfinished: Path) -> None:
        program = torch.onnx.export(
            graph,
            (example_clips(model, _TRACED_BATCH),),
            dynamo=True,
            input_names=["video"],
            output_names=graph.output_names(),
            dynamic_shapes={"video": {0: batch}},
            verbose=False,
        )
        assert program is not None
        program.model.metadata_props.update(graph.facts)
        program.save(unfinished, external_data=False)

    def run(unfinished: Path, video: Tensor) -> list[Tensor]:
        session = onnxruntime.InferenceSession(str(unfinished), providers=["CPUExecutionProvider"])
        return [torch.from_numpy(output) for output in session.run(None, {"video": video.numpy()})]

    return check_and_keep(graph, model, path, write, run)


def _without_text_tower(model: VideoModel) -> VideoModel:
    """The same model, sharing its weights, without the tower that a graph with fixed classes never runs."""
    clip = copy.copy(model.clip)
    clip._modules = {**model.clip._modules, "text": nn.Identity()}
    light = copy.copy(model)
    light._modules = {**model._modules, "clip": clip}
    return light


def check_and_keep(
    graph: ClassifierGraph,
    model: VideoClassifier,
    path: Path,
    write: Callable[[Path], None],
    run: Callable[[Path, Tensor], list[Tensor]],
) -> float:
    """Writes beside `path`, runs what was written on other clips, and renames it when it agrees."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporters, on their own future
            write(unfinished)
            video = example_clips(model, _CHECKED_BATCH, seed=1)
            difference = relative_difference(run(unfinished, video), list(graph(video)))
        if not difference <= TOLERANCE:
            raise ExportError(
                f"{path} is not written: its outputs differ from the model's by {difference:.2g} of the "
                f"largest value (allowed: {TOLERANCE:g})"
            )
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    return difference


def relative_difference(found: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """Largest absolute difference over all outputs, each relative to the largest absolute value expected."""
    assert len(found) == len(expected), f"{len(found)} outputs instead of {len(expected)}"
    return max(
        float((one - other).abs().max() / other.abs().max())
        for one, other in zip(found, expected, strict=True)
    )
