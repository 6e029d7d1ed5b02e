"""Teaching a text tower to read: sentences are alike as far as they share words, and in the same order.

    random words ─► sentences ─► shares of words and neighbours in common (K,K)  ◄── what cosines should be
                        └──────► text tower ─► cosines (K,K)

A CLIP that has seen the web has a feature of its own for any sentence. One that has only met the few dozen
captions of the demonstration's pictures maps all other sentences to nearly the same point, which would
leave class names such as "growing" and "shrinking" indistinguishable for whatever is trained on them. The
words here are random tokens: nothing is learnt about pictures, let alone about motion.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from models.clip import Clip

WORDS_AT_A_TIME = 24
"""Different words in a batch of sentences: few, so that sentences share some."""
LONGEST_SENTENCE = 9


def reading_loss(clip: Clip, sentences: int, generator: torch.Generator) -> Tensor:
    """Mean squared difference of the text features' cosines from `shared_wording`, a scalar.

    Half of the `sentences` are the other half with their words in reversed order.
    """
    tokens = random_sentences(sentences, clip.architecture.vocab_size, generator)
    features = F.normalize(clip.encode_text(tokens), dim=-1)
    different = ~torch.eye(len(tokens), dtype=torch.bool)
    return (
        (features @ features.t() - shared_wording(tokens, clip.architecture.vocab_size))[different]
        .square()
        .mean()
    )


def random_sentences(count: int, vocabulary: int, generator: torch.Generator) -> Tensor:
    """Token ids (count, LONGEST_SENTENCE + 2): start, words, end, zeros; `count` is even.

    Start and end are the vocabulary's last two tokens, as in CLIP's.
    """
    start, end = vocabulary - 2, vocabulary - 1
    lexicon = torch.randint(1, start, (WORDS_AT_A_TIME,), generator=generator)
    half = count // 2
    words = lexicon[torch.randint(WORDS_AT_A_TIME, (half, LONGEST_SENTENCE), generator=generator)]
    lengths = torch.randint(1, LONGEST_SENTENCE + 1, (half, 1), generator=generator)
    places = torch.arange(LONGEST_SENTENCE)
    mirrored = torch.where(places < lengths, lengths - 1 - places, places)
    words, lengths = torch.cat([words, words.gather(1, mirrored)]), lengths.repeat(2, 1)
    tokens = torch.zeros(len(words), LONGEST_SENTENCE + 2, dtype=torch.int64)
    tokens[:, 0] = start
    tokens[:, 1:-1] = torch.where(places < lengths, words, 0)
    return tokens.scatter(1, lengths + 1, end)


def shared_wording(tokens: Tensor, vocabulary: int) -> Tensor:
    """Cosines (K,K) of the sentences' counts of words and of neighbouring pairs (start and end included)."""
    equal = tokens[:, None, :, None] == tokens[None, :, None, :]  # (K,K,L,L)
    is_word, is_token = (tokens > 0) & (tokens < vocabulary - 2), tokens > 0
    words = (equal & is_word[:, None, :, None]).sum(dim=(2, 3))
    neighbours = (equal[..., :-1, :-1] & equal[..., 1:, 1:] & is_token[:, None, 1:, None]).sum(dim=(2, 3))
    counts = (words + neighbours).float()
    norms = counts.diagonal().rsqrt()
    return counts * norms[:, None] * norms[None, :]
