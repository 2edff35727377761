"""Real images with wrong labels, behind a random hidden layer."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from overparam.data import load

Array = NDArray[np.float64]
WRONG, CLASSES, TEST = 0.2, 10, 500
READ = 5000  # images of each split


@functools.lru_cache(maxsize=2)
def _images(data: str) -> tuple[Array, NDArray[np.int64]]:
    """Images as rows of mean squared length 1, without their mean, and their labels."""
    parts = [load(data, split=split) for split in ("train", "test")]
    labels = np.concatenate([p.labels[:READ] for p in parts])
    rows = np.concatenate([p.images[:READ] for p in parts]).reshape(len(labels), -1).astype(np.float64)
    rows -= rows.mean(0)
    return rows / np.sqrt((rows**2).sum(1).mean()), labels


def task(data: str, samples: int, seed: int) -> tuple[Array, Array, Array, Array]:
    """Draw training and test images; a fifth of the training labels is replaced by one of the other nine.

    Args:
        data: Name of the data set.
        samples: Training images.
        seed: Draws images and wrong labels.

    Returns:
        Training images, their labels as columns less a tenth, test images, their true labels likewise.
    """
    rows, labels = _images(data)
    rng = np.random.default_rng([seed, 4])
    order = rng.permutation(len(labels))[: samples + TEST]
    own, test = order[:samples], order[samples:]
    wrong = np.zeros(samples, dtype=bool)
    wrong[rng.permutation(samples)[: round(WRONG * samples)]] = True
    given = np.where(wrong, (labels[own] + rng.integers(1, CLASSES, samples)) % CLASSES, labels[own])
    columns = np.eye(CLASSES) - 1 / CLASSES
    return rows[own], columns[given], rows[test], columns[labels[test]]
