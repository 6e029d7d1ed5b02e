"""Random sentences are sentences, their likeness is what they share, and a text tower learns it."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from models.clip import Clip, describe_architecture
from runs.demonstration.reading import LONGEST_SENTENCE, random_sentences, reading_loss, shared_wording

VOCABULARY = 100
START, END = VOCABULARY - 2, VOCABULARY - 1


def sentence(*words: int) -> torch.Tensor:
    return F.pad(torch.tensor([START, *words, END]), (0, LONGEST_SENTENCE - len(words)))


def test_likeness_counts_words_and_neighbours_in_common() -> None:
    forwards, backwards, other = sentence(1, 2, 3), sentence(3, 2, 1), sentence(1, 2, 4)
    found = shared_wording(torch.stack([forwards, backwards, other]), VOCABULARY)
    # each has 3 words and 4 pairs of neighbours, start and end included
    assert torch.allclose(found.diagonal(), torch.ones(3))
    assert torch.isclose(found[0, 1], torch.tensor(3 / 7))  # the words
    assert torch.isclose(found[0, 2], torch.tensor(4 / 7))  # 1, 2, start-1, 1-2
    assert torch.equal(found, found.T)


def test_sentences_begin_end_and_are_repeated_backwards() -> None:
    tokens = random_sentences(40, VOCABULARY, torch.Generator().manual_seed(0))
    assert tokens.shape == (40, LONGEST_SENTENCE + 2)
    for one, other in zip(tokens[:20].tolist(), tokens[20:].tolist(), strict=True):
        end = one.index(END)
        assert one[0] == START
        assert 1 <= end - 1 <= LONGEST_SENTENCE
        assert set(one[end + 1 :]) <= {0}
        assert all(0 < word < START for word in one[1:end])
        assert other == [START, *one[1:end][::-1], END, *one[end + 1 :]]


def test_a_text_tower_learns_to_read_words_that_it_never_met() -> None:
    torch.manual_seed(0)
    clip = Clip(describe_architecture("tiny-test")[0])
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(clip.text.parameters(), lr=1e-3)
    losses = []
    for _ in range(20):
        loss = reading_loss(clip, 32, generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-3:]) < 0.5 * sum(losses[:3])
