"""InfoNCE over several processes equals that of one process, value and gradients."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import multiprocessing

from models.architecture import ClipArchitecture
from models.clip import Clip
from models.config import StanConfig
from models.contrastive import contrastive_loss
from models.interface import Role, VideoFeatures
from models.retrieval_config import AlignmentName
from models.retriever import MAX_LOG_SCALE, Matched, Retriever, TextFeatures
from models.stan import Stan
from utils import distributed

BATCH = 8
TINY = ClipArchitecture(
    embed_dim=16, vision_width=64, vision_layers=2, patch_size=16, image_size=32,
    text_width=64, text_layers=1, context_length=6, vocab_size=50,
)  # fmt: skip


def retriever(alignment: AlignmentName, temperature: float | None) -> Retriever:
    torch.manual_seed(0)
    model = Stan(Clip(TINY), StanConfig(depth=1))
    return Retriever(model, alignment=alignment, temperature=temperature).eval()


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    video = torch.rand(BATCH, 3, 2, 32, 32, generator=generator)
    tokens = torch.randint(1, 48, (BATCH, 6), generator=generator)
    tokens[::2, 4], tokens[::2, 5], tokens[1::2, 5] = 49, 0, 49  # end tokens, and padding in half of them
    return video, tokens


def gradients_on(
    wrapped: torch.nn.Module, network: Retriever, rows: slice
) -> tuple[float, dict[str, torch.Tensor]]:
    video, tokens = batch()
    loss = contrastive_loss(wrapped(video[rows], tokens[rows]), network.similarity)
    loss.backward()
    gradients = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    return float(loss.detach()), gradients


def _check_in_process(process: int, world: int, port: int, alignment: AlignmentName, folder: str) -> None:
    torch.set_num_threads(1)
    os.environ.update(
        RANK=str(process), WORLD_SIZE=str(world), LOCAL_RANK=str(process),
        MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port),
    )  # fmt: skip
    expected_loss, expected = gradients_on(whole := retriever(alignment, None), whole, slice(None))
    distributed.initialise("cpu", 60)
    network = retriever(alignment, None)
    share = BATCH // world
    wrapped = distributed.wrap(network, torch.device("cpu"))
    loss, gradients = gradients_on(wrapped, network, slice(process * share, (process + 1) * share))
    mean = distributed.all_reduce_sum(torch.tensor(loss, dtype=torch.float64)) / world
    assert float(mean) == pytest.approx(expected_loss, rel=1e-5)
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        scale = expected[name].abs().max()
        assert float((gradient - expected[name]).abs().max()) <= 1e-5 * float(scale) + 1e-9, name
    distributed.shutdown()
    Path(folder, f"passed{process}").touch()


@pytest.mark.parametrize(("world", "alignment"), [(2, "pooled"), (4, "mug_full")])
def test_several_processes_give_the_gradients_of_one(
    tmp_path: Path, world: int, alignment: AlignmentName
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    multiprocessing.start_processes(
        _check_in_process, args=(world, port, alignment, str(tmp_path)), nprocs=world, start_method="fork"
    )
    assert len(list(tmp_path.glob("passed*"))) == world


def test_the_loss_is_the_sum_of_both_directions() -> None:
    videos, texts = F.normalize(torch.rand(3, 4), dim=-1), F.normalize(torch.rand(3, 4), dim=-1)
    matched = Matched(
        VideoFeatures(videos, videos[:, None]),
        TextFeatures(texts, texts[:, None], torch.ones(3, 1)),
        torch.tensor(10.0),
    )
    loss = contrastive_loss(matched, lambda text, video: text.text @ video.video.t())
    logits = 10 * texts @ videos.t()
    rows = torch.stack([logits[i].logsumexp(0) - logits[i, i] for i in range(3)]).mean()
    columns = torch.stack([logits[:, i].logsumexp(0) - logits[i, i] for i in range(3)]).mean()
    torch.testing.assert_close(loss, rows + columns)


def test_temperature_is_fixed_or_learned_below_clips_bound() -> None:
    fixed, learned = retriever("pooled", 0.02), retriever("pooled", None)
    assert float(fixed.scale()) == pytest.approx(50)
    name = "model.clip.logit_scale"
    assert (fixed.role(name), learned.role(name)) == (Role.FROZEN, Role.PRETRAINED)
    assert learned.model.clip.logit_scale.requires_grad
    assert not fixed.model.clip.logit_scale.requires_grad
    with torch.no_grad():
        learned.model.clip.logit_scale.fill_(MAX_LOG_SCALE + 1)
    assert float(learned.scale().detach()) == pytest.approx(100)


@pytest.mark.parametrize("start", [0.0, 1e-3])
def test_a_learned_scale_leaves_clips_bound_downwards_only(start: float) -> None:
    """Also from a little above, where an upward step has left it."""
    network = retriever("pooled", None)
    weight = network.model.clip.logit_scale
    optimizer = torch.optim.AdamW([weight], lr=1e-3, weight_decay=0.0)
    with torch.no_grad():
        weight.fill_(MAX_LOG_SCALE + start)
    (-network.scale()).backward()
    optimizer.step()
    assert float(network.scale().detach()) == pytest.approx(100)
    optimizer = torch.optim.AdamW([weight], lr=1e-3, weight_decay=0.0)  # without the momentum upwards
    optimizer.zero_grad()
    network.scale().backward()
    assert weight.grad is not None and float(weight.grad) == pytest.approx(100)
    optimizer.step()
    assert float(weight.detach()) == pytest.approx(MAX_LOG_SCALE - 1e-3, abs=1e-5)


def test_the_end_of_a_text_ends_its_mask_and_is_its_embedding() -> None:
    network = retriever("pooled", 0.01)
    _, tokens = batch()
    texts = network.embed_texts(tokens)
    assert texts.mask.sum(dim=1).tolist() == [5, 6] * 4
    torch.testing.assert_close(texts.text, network.model.clip.encode_text(tokens))


def test_similarity_is_a_cosine_whatever_clips_scale() -> None:
    network = retriever("pooled", 0.01)
    video, tokens = batch()
    matched = network(video, tokens)
    similarity = network.similarity(matched.texts, matched.videos)
    cosines = F.normalize(matched.texts.text, dim=-1) @ F.normalize(matched.videos.video, dim=-1).t()
    torch.testing.assert_close(similarity, cosines)
