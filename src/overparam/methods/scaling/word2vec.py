"""Word vectors by continuous bags of words with negative sampling, at any width and at infinite width.

From Mikolov et al., arXiv 1301.3781 and 1310.4546, in the setting of Yang and Hu, arXiv 2011.14522: the model is a
linear network of one hidden layer under maximal updates. Its limit is the same model whose input vectors start as the
identity, one coordinate a word; a model of width n starts from independent input vectors of variance 1/n. Output
vectors start at zero in both, and both take the same learning rate.

Departures: 1. Updates of `batch` positions are added up before any is applied; with `batch=1` they are those of
word2vec. 2. As in the paper's code and unlike the original one, the gradient by a word of the context is divided by the
size of the context, and each time a row is touched it decays by 1 - lr * weight_decay.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn.functional import embedding_bag

from overparam.errors import BadInput, Diverged

_STRETCH = 16_384  # positions whose contexts are laid out at a time
_FLOOR = 1e-4  # part of the learning rate that is left at the end


@dataclass(frozen=True)
class Corpus:
    """Text as numbers.

    Attributes:
        words: Vocabulary, from frequent to rare, ties in alphabetical order.
        counts: (v,), how often each occurs.
        tokens: (n,), numbers of the words in the order of the text; words outside the vocabulary are gone.
        sentences: (n,), number of the sentence of each; contexts do not reach into another one.
    """

    words: tuple[str, ...]
    counts: NDArray[np.int64]
    tokens: NDArray[np.int64]
    sentences: NDArray[np.int64]

    @classmethod
    def of(cls, sentences: Sequence[Sequence[str]], *, min_count: int = 5, most: int | None = None) -> Corpus:
        """Count words and number them.

        Args:
            sentences: Words of each.
            min_count: Rarer words are left out.
            most: Size of the vocabulary at most; all if None.

        Returns:
            The corpus.

        Raises:
            BadInput: Fewer than two words are left.

        Example:
            >>> Corpus.of([["a", "b", "a"], ["c", "b", "a"]], min_count=2).tokens.tolist()
            [0, 1, 0, 1, 0]
        """
        counted = Counter(word for sentence in sentences for word in sentence)
        kept = sorted((-n, word) for word, n in counted.items() if n >= min_count)[:most]
        if len(kept) < 2:
            raise BadInput(f"{len(kept)} words occur min_count={min_count} times; give more text or a lower count")
        number = {word: i for i, (_, word) in enumerate(kept)}
        pairs = [(number[w], k) for k, sentence in enumerate(sentences) for w in sentence if w in number]
        tokens, places = np.array(pairs, dtype=np.int64).T
        return cls(tuple(number), np.array([-n for n, _ in kept]), tokens.copy(), places.copy())


class CBOW:
    """Continuous bag of words: the score of a word in a context is output[word] . mean of input[context].

    Attributes:
        input: (v, dim), the word vectors.
        output: (v, dim).

    Args:
        vocabulary: Number v of words.
        dim: Width n. Input vectors start uniform with variance 1/n, output vectors at 0.
        generator: Draws the start.

    Raises:
        BadInput: A size below 1.

    Source: arXiv 2011.14522, section on Word2Vec; initialisation of the authors' code.

    Example:
        >>> draw = torch.Generator().manual_seed(0)
        >>> corpus = Corpus.of([["red", "apple"], ["blue", "sky"]] * 200)
        >>> model = CBOW(4, 16, generator=draw).fit(corpus, epochs=20, negatives=2, subsample=1.0, generator=draw)
        >>> scores = model.input @ model.output.T
        >>> [corpus.words[i] for i in scores.argmax(1)]  # the likeliest neighbour of apple, blue, red, sky
        ['red', 'sky', 'apple', 'blue']
    """

    def __init__(self, vocabulary: int, dim: int, *, generator: torch.Generator) -> None:
        if vocabulary < 1 or dim < 1:
            raise BadInput(f"vocabulary={vocabulary}, dim={dim}; give sizes of at least 1")
        spread = math.sqrt(3 / dim)
        self.input = (2 * torch.rand(vocabulary, dim, generator=generator) - 1) * spread
        self.output = torch.zeros(vocabulary, dim)

    def fit(
        self,
        corpus: Corpus,
        *,
        epochs: int = 5,
        lr: float = 0.05,
        window: int = 8,
        negatives: int = 25,
        subsample: float = 1e-4,
        weight_decay: float = 0.001,
        batch: int = 64,
        generator: torch.Generator,
    ) -> CBOW:
        """Train by SGD, the learning rate falling linearly to a ten-thousandth.

        Args:
            corpus: Text whose vocabulary has the size of this model.
            epochs: Passes over the text.
            lr: First learning rate.
            window: Words to either side at most; each position draws 1 to `window`.
            negatives: Words drawn for each position in proportion to count^(3/4); the true word among them is skipped.
            subsample: Share t of the text above which words are thinned out: a word of share f stays with
                probability sqrt(t / f) + t / f. 1 keeps all.
            weight_decay: Of the rows that a position touches, once for each touch.
            batch: Positions whose updates are added up.
            generator: Draws windows, negatives and thinning.

        Returns:
            This object. A position costs O(dim (window + negatives)).

        Raises:
            BadInput: A vocabulary of another size, or an argument out of range.
            Diverged: A vector is not finite; names the epoch.
        """
        if len(corpus.words) != len(self.input):
            raise BadInput(f"the corpus has {len(corpus.words)} words and the model {len(self.input)}; make them agree")
        if min(epochs, window, negatives, batch) < 1 or not lr > 0 or not subsample > 0 or not weight_decay >= 0:
            raise BadInput(
                f"epochs={epochs}, window={window}, negatives={negatives}, batch={batch}, lr={lr}, "
                f"subsample={subsample}, weight_decay={weight_decay}: give counts of at least 1 and positive rates"
            )
        weights = torch.from_numpy(corpus.counts).double() ** 0.75
        ladder = (weights.cumsum(0) / weights.sum()).clamp(max=1.0)
        for epoch in range(epochs):
            for share, centres, bags in _positions(corpus, window, subsample, batch, generator):
                rate = lr * max(_FLOOR, 1 - (epoch + share) / epochs)
                draws = torch.rand(len(centres), negatives, generator=generator, dtype=torch.float64)
                others = torch.searchsorted(ladder, draws).clamp(max=len(ladder) - 1)
                self._step(centres, others, bags, rate, 1 - rate * weight_decay)
            if not bool(self.input.isfinite().all() and self.output.isfinite().all()):
                raise Diverged(f"a word vector is not finite after epoch {epoch + 1} of {epochs}; lower lr={lr}")
        return self

    def _step(self, centres: Tensor, others: Tensor, bags: tuple[Tensor, Tensor], lr: float, decay: float) -> None:
        context, owner = bags  # words of all contexts, and the position each belongs to
        sizes = torch.bincount(owner, minlength=len(centres))
        hidden = embedding_bag(context, self.input, sizes.cumsum(0) - sizes, mode="mean")
        targets = torch.cat([centres[:, None], others], 1)
        rows = self.output[targets]
        slope = torch.sigmoid((rows @ hidden[:, :, None])[:, :, 0])
        slope[:, 0] -= 1
        kept = torch.ones_like(slope)
        kept[:, 1:] = others != centres[:, None]
        slope *= kept * -lr
        by_hidden = (slope[:, None] @ rows)[:, 0]
        of_target = torch.arange(len(centres)).repeat_interleave(targets.shape[1])
        _add(self.output, targets.flatten(), hidden, of_target, slope.flatten(), kept.flatten(), decay)
        _add(self.input, context, by_hidden, owner, 1.0 / sizes[owner], torch.ones(len(context)), decay)


class InfiniteCBOW(CBOW):
    """The infinite-width limit: input vectors start as the identity, output vectors at 0, both of v coordinates.

    `fit` as it stands is the exact limit of `CBOW.fit` with the same draws. Memory 8 v^2 bytes: a vocabulary of
    20,000 words takes 3.2 GB.

    Args:
        vocabulary: Number v of words.

    Source: arXiv 2011.14522, section on Word2Vec.
    """

    def __init__(self, vocabulary: int) -> None:
        if vocabulary < 1:
            raise BadInput(f"vocabulary={vocabulary}; give a size of at least 1")
        self.input = torch.eye(vocabulary)
        self.output = torch.zeros(vocabulary, vocabulary)


def analogy_accuracy(vectors: Tensor, questions: ArrayLike) -> float:
    """Share of questions a : b :: c : d whose d is nearest to b - a + c in angle, of all words but a, b and c.

    Vectors are brought to unit length first. A tie with another word counts as a wrong answer.

    Args:
        vectors: (v, dim).
        questions: (m, 4), numbers of words.

    Returns:
        Between 0 and 1.

    Raises:
        BadInput: No questions, or numbers outside the vocabulary.

    Source: arXiv 1301.3781, section 4.

    Example:
        >>> man, woman, king, queen = [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 1.0]
        >>> analogy_accuracy(torch.tensor([man, woman, king, queen, [0.5, 0.5, 0.0]]), [[0, 1, 2, 3]])
        1.0
    """
    asked = torch.as_tensor(np.asarray(questions, dtype=np.int64))
    if asked.ndim != 2 or asked.shape[1] != 4 or not len(asked) or asked.min() < 0 or asked.max() >= len(vectors):
        raise BadInput(
            f"questions of shape {tuple(asked.shape)} for {len(vectors)} words; give (m, 4) numbers of words, m >= 1"
        )
    unit = torch.nn.functional.normalize(vectors.double(), dim=1)
    a, b, c, d = asked.T
    scores = (unit[b] - unit[a] + unit[c]) @ unit.T
    answers = scores.gather(1, d[:, None])
    scores.scatter_(1, asked, -torch.inf)
    return float((answers[:, 0] > scores.amax(1) + 1e-12).double().mean())


def _add(
    table: Tensor, words: Tensor, vectors: Tensor, owner: Tensor, weights: Tensor, touched: Tensor, decay: float
) -> None:
    """Add weights[i] vectors[owner[i]] to row words[i] for all i, after the decay, without an array of all summands."""
    order = words.argsort(stable=True)
    rows, sizes = torch.unique_consecutive(words[order], return_counts=True)
    starts = sizes.cumsum(0) - sizes
    update = embedding_bag(owner[order], vectors, starts, mode="sum", per_sample_weights=weights[order])
    touches = torch.zeros(len(rows)).index_add_(0, torch.arange(len(rows)).repeat_interleave(sizes), touched[order])
    table[rows] = table[rows] * (decay**touches)[:, None] + update


def _positions(
    corpus: Corpus, window: int, subsample: float, batch: int, generator: torch.Generator
) -> Iterator[tuple[float, Tensor, tuple[Tensor, Tensor]]]:
    """Thin the text out and walk through it: share done, centres, and contexts as words with their position."""
    shares = torch.from_numpy(corpus.counts / corpus.counts.sum())
    stays = (subsample / shares).sqrt() + subsample / shares
    tokens = torch.from_numpy(corpus.tokens)
    keep = torch.rand(len(tokens), generator=generator) < stays[tokens]
    tokens, sentences = tokens[keep], torch.from_numpy(corpus.sentences)[keep]
    offsets = torch.cat([torch.arange(-window, 0), torch.arange(1, window + 1)])
    for first in range(0, len(tokens), _STRETCH):
        centres = torch.arange(first, min(first + _STRETCH, len(tokens)))
        reach = torch.randint(1, window + 1, (len(centres), 1), generator=generator)
        near = centres[:, None] + offsets
        inside = near.clamp(0, len(tokens) - 1)
        good = (near == inside) & (offsets.abs() <= reach) & (sentences[inside] == sentences[centres][:, None])
        for i in range(0, len(centres), batch):
            part = slice(i, i + batch)
            some = good[part].any(1)
            if not some.any():
                continue
            mask, where = good[part][some], inside[part][some]
            owner = mask.nonzero()[:, 0]
            yield (first + i) / len(tokens), tokens[centres[part][some]], (tokens[where[mask]], owner)
