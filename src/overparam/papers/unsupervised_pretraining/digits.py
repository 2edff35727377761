"""Pretraining on real digits, whose law no latent model describes exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, RidgeClassifierCV
from sklearn.neighbors import KNeighborsClassifier

from overparam.data import load
from overparam.lab import Progress
from overparam.methods.theory.contrastive import ContrastiveMLE
from overparam.methods.theory.factor_model import FactorMLE
from overparam.methods.theory.spherical_mixture import SphericalGMM
from overparam.methods.theory.two_phase import MajorityHead, TwoPhase

Array = NDArray[np.float64]
UNLABELLED, FEATURES, COMPONENTS = 1_000, 15, 30


def accuracies(n: int, seed: int, progress: Progress) -> dict[str, float]:
    """Return test accuracy in percent of three pretrained and three supervised learners."""
    train, test = load("digits"), load("digits", split="test")
    order = np.random.default_rng((11, seed)).permutation(len(train))
    few, many = order[:n], order[-UNLABELLED:] if n <= len(train) - UNLABELLED else order[n:]
    pixels = train.images / 255.0
    mean = pixels[many].mean(0)
    flat = (pixels - mean).reshape(len(train), -1)
    test_x, y = (test.images / 255.0 - mean).reshape(len(test), -1), train.labels[few]
    routes: dict[str, Any] = {
        "ridge": RidgeClassifierCV(np.logspace(-3, 3, 13)).fit(flat[few], y),
        "logistic": LogisticRegression(max_iter=1_000).fit(flat[few], y),
        "neighbour": KNeighborsClassifier(1).fit(flat[few], y),
    }
    progress.step(1, 4, "factor model")
    head = LogisticRegression(max_iter=1_000)
    routes["factor"] = TwoPhase(FactorMLE(FEATURES, "isotropic"), head).fit(flat[few], y, X_unlabelled=flat[many])
    progress.step(2, 4, "mixture")
    routes["mixture"] = TwoPhase(_mixture(flat[many], seed), MajorityHead()).fit(flat[few], y)
    progress.step(3, 4, "pairs")
    pairs = ContrastiveMLE(FEATURES, seed=seed).fit(*_pairs(pixels[many], mean, seed))
    routes["pairs"] = TwoPhase(pairs, head).fit(flat[few], y)
    return {name: 100 * float((r.predict(test_x) == test.labels).mean()) for name, r in routes.items()}


def _mixture(x: Array, seed: int) -> SphericalGMM:
    """Fit components whose variance is the one inside the clusters of k-means."""
    from sklearn.cluster import KMeans

    inertia = KMeans(COMPONENTS, n_init=1, random_state=seed).fit(x).inertia_
    return SphericalGMM(COMPONENTS, variance=inertia / x.size, n_init=3, seed=seed).fit(x)


def _pairs(pixels: Array, mean: Array, seed: int) -> tuple[Array, Array, Array]:
    """Pair every image with itself moved by a pixel, and with another image."""
    rng = np.random.default_rng((12, seed))
    moves = rng.integers(-1, 2, size=(len(pixels), 2))
    moved = np.stack([np.roll(image, tuple(move), (1, 2)) for image, move in zip(pixels, moves, strict=True)])
    own, twin = ((v - mean).reshape(len(pixels), -1) for v in (pixels, moved))
    other = np.roll(own, 1, axis=0)
    together = np.repeat([1.0, 0.0], len(pixels))
    return np.concatenate([own, own]), np.concatenate([twin, other]), together
