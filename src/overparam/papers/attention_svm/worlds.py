"""Data of the experiments: random unit tokens as in the official code, tokens of equal worth, and rows of digits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from overparam.data import load
from overparam.methods.theory.attention_training import token_scores

Array = NDArray[np.float64]
UNIT, EQUAL, PIXELS, RELU = 1, 2, 3, 4  # roles that share no random numbers


@dataclass(frozen=True)
class Worlds:
    """One data set a seed.

    Attributes:
        X: (r, n, T, d) tokens.
        Y: (r, n) labels.
        z: (r, n, d) queries.
        v: (r, d) head.
    """

    X: Array
    Y: Array
    z: Array
    v: Array

    @cached_property
    def scores(self) -> Array:
        """(r, n, T), what each token is worth."""
        return token_scores(self.X, self.Y, self.v)

    @cached_property
    def best(self) -> NDArray[np.int64]:
        """(r, n), the token of highest worth in each sequence."""
        return np.asarray(self.scores.argmax(-1))


def _unit(rng: np.random.Generator, *shape: int) -> Array:
    drawn = rng.normal(size=shape)
    return np.asarray(drawn / np.linalg.norm(drawn, axis=-1, keepdims=True))


def _stacked(drawn: list[tuple[Array, Array, Array, Array]]) -> Worlds:
    return Worlds(*(np.stack(part) for part in zip(*drawn, strict=True)))


def _signs(rng: np.random.Generator, n: int) -> Array:
    return np.asarray(rng.choice([-1.0, 1.0], n))


def unit_worlds(n: int, tokens: int, d: int, seeds: Sequence[int]) -> Worlds:
    """Tokens, queries and head uniform on the unit sphere, labels at random.

    Args:
        n: Sequences.
        tokens: Tokens a sequence.
        d: Width.
        seeds: One data set each.

    Returns:
        The data sets.
    """
    drawn = []
    for seed in seeds:
        rng = np.random.default_rng([UNIT, n, tokens, d, seed])
        drawn.append((_unit(rng, n, tokens, d), _signs(rng, n), _unit(rng, n, d), _unit(rng, d)))
    return _stacked(drawn)


def equal_worlds(n: int, tokens: int, d: int, seeds: Sequence[int]) -> Worlds:
    """The same, but in each sequence one token is worth 1/2 and all others nothing.

    Args:
        n: Sequences.
        tokens: Tokens a sequence.
        d: Width, at least 2.
        seeds: One data set each.

    Returns:
        The data sets.
    """
    drawn = []
    for seed in seeds:
        rng = np.random.default_rng([EQUAL, n, tokens, d, seed])
        v, labels = _unit(rng, d), _signs(rng, n)
        x = _unit(rng, n, tokens, d)
        x = x - (x @ v)[..., None] * v
        worth = np.where(np.arange(tokens) == rng.integers(tokens, size=n)[:, None], 0.5, 0.0)
        drawn.append((x + (labels[:, None] * worth)[..., None] * v, labels, _unit(rng, n, d), v))
    return _stacked(drawn)


def relu_worlds(n: int, tokens: int, d: int, seeds: Sequence[int]) -> tuple[Worlds, Array]:
    """Unit tokens with a fixed head of d ReLU units, h(o) = sum relu(V o), ||V||_F = 1.

    Args:
        n: Sequences.
        tokens: Tokens a sequence.
        d: Width.
        seeds: One data set each.

    Returns:
        The data sets, whose linear head is all ones, and the hidden weights (r, d, d).
    """
    worlds = unit_worlds(n, tokens, d, seeds)
    hidden = np.stack([np.random.default_rng([RELU, d, seed]).normal(size=(d, d)) for seed in seeds])
    hidden /= np.linalg.norm(hidden, axis=(1, 2), keepdims=True)
    return Worlds(worlds.X, worlds.Y, worlds.z, np.ones_like(worlds.v)), hidden


def digit_worlds(n: int, noise: float, seeds: Sequence[int]) -> Worlds:
    """Two kinds of digit, each image as its eight rows; the query is their mean, the head a ridge fit on that mean.

    Args:
        n: Images.
        noise: Standard deviation added to the pixels, which lie in [0, 1]; without it blank rows would coincide.
        seeds: One draw of images and kinds each.

    Returns:
        The data sets.
    """
    images = load("digits", split="train")
    pixels, labels = images.images.reshape(-1, 8, 8) / 255, images.labels
    drawn = []
    for seed in seeds:
        rng = np.random.default_rng([PIXELS, n, seed])
        pair = rng.choice(10, 2, replace=False)
        rows = rng.permutation(np.flatnonzero(np.isin(labels, pair)))[:n]
        x = pixels[rows] + noise * rng.normal(size=(n, 8, 8))
        y, mean = np.where(labels[rows] == pair[0], 1.0, -1.0), x.mean(1)
        v = np.linalg.solve(mean.T @ mean + 0.1 * np.eye(8), mean.T @ y)
        drawn.append((x, y, mean, v / np.linalg.norm(v)))
    return _stacked(drawn)
