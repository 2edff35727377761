"""Text with analogies planted in it, and real text with the questions that its vocabulary covers."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from overparam.data import load
from overparam.methods.scaling.word2vec import Corpus

ITEMS, RELATIONS = 24, 4
ITEM_WORDS, RELATION_WORDS, NOISE_WORDS = 3, 6, 48  # context words of each item, of each relation, and of none
Questions = NDArray[np.int64]


def planted(sentences: int, seed: int) -> tuple[Corpus, Questions]:
    """Write sentences about pairs of an item and a relation, each pair being a word of its own.

    Every sentence holds a pair's word, two words of its item, two of its relation and three of neither, shuffled. Words
    of pairs never meet, so an analogy such as (item 1, relation 1) : (item 1, relation 2) :: (item 2, relation 1) : ?
    can only be answered from contexts.

    Args:
        sentences: How many.
        seed: Of the text.

    Returns:
        The text of 240 words, and all 6,624 questions.
    """
    rng = np.random.default_rng([seed, 0])
    pairs = ITEMS * RELATIONS
    items, relations = rng.integers(ITEMS, size=sentences), rng.integers(RELATIONS, size=sentences)
    of_item = pairs + items[:, None] * ITEM_WORDS + rng.integers(ITEM_WORDS, size=(sentences, 2))
    base = pairs + ITEMS * ITEM_WORDS
    of_relation = base + relations[:, None] * RELATION_WORDS + rng.integers(RELATION_WORDS, size=(sentences, 2))
    base += RELATIONS * RELATION_WORDS
    noise = base + rng.integers(NOISE_WORDS, size=(sentences, 3))
    text = np.column_stack([items * RELATIONS + relations, of_item, of_relation, noise])
    tokens = rng.permuted(text, axis=1).ravel()
    size = base + NOISE_WORDS
    counts = np.bincount(tokens, minlength=size)
    words = tuple(f"w{i}" for i in range(size))
    corpus = Corpus(words, counts, tokens, np.repeat(np.arange(sentences), text.shape[1]))
    return corpus, _pair_questions()


def _pair_questions() -> Questions:
    number = np.arange(ITEMS * RELATIONS).reshape(ITEMS, RELATIONS)
    asked = [
        (number[i, r], number[i, s], number[j, r], number[j, s])
        for i, j in itertools.permutations(range(ITEMS), 2)
        for r, s in itertools.permutations(range(RELATIONS), 2)
    ]
    return np.array(asked, dtype=np.int64)


def wikipedia(vocabulary: int) -> tuple[Corpus, Questions]:
    """Read WikiText-2's smaller parts, and the questions of Google's test whose four words are frequent there.

    Args:
        vocabulary: Most frequent words to keep.

    Returns:
        The text in lower case, and the questions.
    """
    lines = [*load("wikitext2-small"), *load("wikitext2-small", part="test")]
    text = [[word.lower() for word in line if word != "<unk>"] for line in lines]
    corpus = Corpus.of(text, most=vocabulary)
    number = {word: i for i, word in enumerate(corpus.words)}
    every = itertools.chain.from_iterable(load("word-analogies").values())
    asked = [[number.get(word.lower(), -1) for word in question] for question in every]
    return corpus, np.array([row for row in asked if min(row) >= 0], dtype=np.int64)
