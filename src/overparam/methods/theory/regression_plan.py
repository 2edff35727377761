"""What kernel and random-feature regression will do on a task: predicted from its spectrum, measured on its kernel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overparam.errors import BadInput
from overparam.methods.theory.random_features import optimal_ridge, rf_risk, unseen_risk
from overparam.methods.theory.ridge_path import kernel_ridge_path

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Prediction:
    """One setting with its errors.

    Attributes:
        features: k; infinity for the kernel itself.
        ridge: delta; infinity where it is best to predict nothing.
        test: Mean squared error on new points, or on those of the pool that are not trained on.
        train: Mean squared error on the training labels.
    """

    features: float
    ridge: float
    test: float
    train: float

    @property
    def fitting_ratio(self) -> float:
        """Train over test error."""
        return self.train / self.test if self.test > 0 else 0.0


def predict(
    eigvals: ArrayLike,
    coeffs2: ArrayLike,
    n: float,
    features: Sequence[float],
    *,
    ridge: float | None = None,
    noise_var: float = 0.0,
    pool: int | None = None,
) -> list[Prediction]:
    """Predict errors for some numbers of features, with a given ridge or the best one for each.

    Args:
        eigvals: (M,).
        coeffs2: (M,).
        n: Samples.
        features: Each k, infinity among them.
        ridge: The same for all; the best for each if left out.
        noise_var: Variance of the label noise.
        pool: Points on which the spectrum was measured, see `unseen_risk`.

    Returns:
        One prediction for each k.

    Source: arXiv 2311.14646.

    Example:
        >>> modes = np.arange(1, 501) ** -1.5
        >>> few, all_of_them = predict(modes, modes, 50, [25, math.inf])
        >>> few.test > all_of_them.test
        True
    """
    found = []
    for k in features:
        delta = float(optimal_ridge(eigvals, coeffs2, n, k, noise_var, pool=pool).ridge) if ridge is None else ridge
        if math.isinf(delta):
            test = train = float(np.sum(coeffs2)) + noise_var
        else:
            risk = rf_risk(eigvals, coeffs2, n, k, delta, noise_var)
            test, train = float(risk.test), float(risk.train)
            test = test if pool is None else float(unseen_risk(test, train, n, pool))
        found.append(Prediction(float(k), delta, test, train))
    return found


def measure(
    K: ArrayLike, Y: ArrayLike, n: int, ridges: ArrayLike, rng: np.random.Generator, *, splits: int = 3
) -> Array:
    """Measure the test error of kernel regression on random splits, to set beside what is predicted.

    Args:
        K: (N, N) kernel.
        Y: (N,) or (N, o) labels.
        n: Training points, fewer than N; the others are tested on.
        ridges: (r,).
        rng: Draws the splits.
        splits: How many.

    Returns:
        (r,) mean over splits. Cost O(n^3) a split.

    Raises:
        BadInput: n outside 1 to N - 1, or splits below 1.

    Example:
        >>> measure(np.eye(4), np.ones(4), 2, [0.0], np.random.default_rng(0)).tolist()
        [1.0]
    """
    kernel, labels = np.asarray(K, dtype=np.float64), np.asarray(Y, dtype=np.float64)
    if not 1 <= n < len(kernel) or splits < 1:
        raise BadInput(f"n={n} of {len(kernel)} points in splits={splits}; train on some, test on some, at least once")
    paths = []
    for _ in range(splits):
        order = rng.permutation(len(kernel))
        train, test = order[:n], order[n:]
        own, across = kernel[np.ix_(train, train)], kernel[np.ix_(test, train)]
        paths.append(kernel_ridge_path(own, labels[train], across, labels[test], ridges).test)
    return np.asarray(np.mean(paths, axis=0))
