"""Mixture of spherical Gaussians of equal weight and unit variance: maximum likelihood by expectation maximisation.

Source: arXiv 2303.01566 (Gaussian mixtures as an instance of two-phase learning).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp, softmax
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.cluster import kmeans_plusplus
from sklearn.utils.validation import check_is_fitted

from overparam.errors import BadInput

Array = NDArray[np.float64]


class SphericalGMM(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Centres u_1..u_K of x | z ~ N(u_z, v I) with z uniform; transforms x to the posterior of z.

    Starts from k-means++, several times, and keeps the best likelihood. An iteration costs m d K.

    Args:
        n_components: K, at least 1.
        n_init: Starts.
        max_iter: Iterations a start may take.
        tol: Stop when the mean log likelihood gains less than this, in nats.
        variance: v, positive.
        seed: Of the starts.

    Source: arXiv 2303.01566, phase one for Gaussian mixtures.

    Example:
        >>> x = np.array([[-5.0], [-5.1], [5.0], [5.1]])
        >>> np.sort(SphericalGMM(2).fit(x).centres_.ravel()).round(2).tolist()
        [-5.05, 5.05]
    """

    def __init__(
        self,
        n_components: int,
        *,
        n_init: int = 5,
        max_iter: int = 200,
        tol: float = 1e-6,
        variance: float = 1.0,
        seed: int = 0,
    ) -> None:
        self.n_components = n_components
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.variance = variance
        self.seed = seed

    def fit(self, X: ArrayLike, y: Any = None) -> SphericalGMM:
        """Fit to unlabelled inputs.

        Args:
            X: (m, d) with m >= K.
            y: Ignored.

        Returns:
            Itself, with `centres_` (K, d), `log_likelihood_` (mean, nats), `iterations_`, `converged_` and, for every
            start, `likelihoods_`.

        Raises:
            BadInput: Fewer inputs than components, a setting out of range, or a value that is not finite.
        """
        x = self._inputs(X)
        if not 1 <= self.n_components <= len(x):
            raise BadInput(f"n_components={self.n_components} is outside 1..{len(x)}, the number of inputs")
        if self.n_init < 1 or self.max_iter < 1 or not (self.tol > 0 and self.variance > 0):
            given = f"n_init={self.n_init}, max_iter={self.max_iter}, tol={self.tol}, variance={self.variance}"
            raise BadInput(f"{given}: all have to be positive")
        starts = [self._climb(x, start) for start in range(self.n_init)]
        self.likelihoods_ = [found[1] for found in starts]
        best = int(np.argmax(self.likelihoods_))
        self.centres_, self.log_likelihood_, self.iterations_, self.converged_ = starts[best]
        return self

    def _inputs(self, given: ArrayLike) -> Array:
        x = np.asarray(given, dtype=np.float64)
        if x.ndim != 2 or not np.isfinite(x).all():
            raise BadInput(f"X has shape {x.shape}; a matrix of finite numbers is needed")
        return x

    def _climb(self, x: Array, start: int) -> tuple[Array, float, int, bool]:
        seed = int(np.random.SeedSequence((self.seed, start)).generate_state(1)[0])
        centres, _ = kmeans_plusplus(x, self.n_components, random_state=seed)
        before = -math.inf
        for iteration in range(1, self.max_iter + 1):
            logits = self._logits(x, centres)
            now = self._likelihood(x, logits)
            if now - before < self.tol:
                return centres, now, iteration, True
            before = now
            share = softmax(logits, axis=1)
            mass = share.sum(0)[:, None]
            centres = np.where(mass > 1e-12, share.T @ x / np.maximum(mass, 1e-12), centres)
        return centres, before, self.max_iter, False

    def _logits(self, x: Array, centres: Array) -> Array:
        """Log joint up to a constant of the row."""
        found: Array = (x @ centres.T - 0.5 * (centres**2).sum(1)) / self.variance
        return found

    def _likelihood(self, x: Array, logits: Array) -> float:
        d, v = x.shape[1], self.variance
        rows = logsumexp(logits, axis=1) - 0.5 * (x**2).sum(1) / v
        return float(rows.mean() - math.log(self.n_components) - 0.5 * d * math.log(2 * math.pi * v))

    def transform(self, X: ArrayLike) -> Array:
        """Return the posterior of the component.

        Args:
            X: (k, d).

        Returns:
            (k, K), rows sum to 1.
        """
        check_is_fitted(self)
        found: Array = softmax(self._logits(self._inputs(X), self.centres_), axis=1)
        return found

    def log_likelihood(self, X: ArrayLike) -> float:
        """Return the mean log likelihood of inputs.

        Args:
            X: (k, d).

        Returns:
            Nats an input.
        """
        check_is_fitted(self)
        x = self._inputs(X)
        return self._likelihood(x, self._logits(x, self.centres_))
