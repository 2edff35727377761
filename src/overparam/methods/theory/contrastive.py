"""Contrastive representation by maximum likelihood: P(t = 1 | x, x') = sigmoid(f(x)' f(x')) with f(x) = Theta x.

Source: arXiv 2303.01566 (contrastive learning as an instance of two-phase learning).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from overparam.errors import BadInput

Array = NDArray[np.float64]


class ContrastiveMLE(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Theta that best tells pairs that belong together (t = 1) from others (t = 0); transforms x to Theta x.

    Minimises the logistic loss by L-BFGS from a small random start (Theta = 0 is a saddle). Theta is found up to a
    rotation of the r features. An evaluation costs m d r.

    Args:
        rank: Number of features r, at least 1.
        steps: Iterations of L-BFGS, at most.
        scale: Standard deviation of the start.
        seed: Of the start.

    Source: arXiv 2303.01566, phase one for contrastive learning.
    """

    def __init__(self, rank: int, *, steps: int = 150, scale: float = 0.3, seed: int = 0) -> None:
        self.rank = rank
        self.steps = steps
        self.scale = scale
        self.seed = seed

    def fit(self, X: ArrayLike, x2: ArrayLike, t: ArrayLike) -> ContrastiveMLE:
        """Fit to pairs.

        Args:
            X: (m, d), first of each pair.
            x2: (m, d), second of each pair.
            t: (m,), 1 where they belong together, else 0.

        Returns:
            Itself, with `theta_` (r, d), `loss_` (mean, nats) and `converged_`.

        Raises:
            BadInput: Shapes that do not fit, t other than 0 and 1, rank outside 1..d, or values that are not finite.
        """
        a, b, label = (np.asarray(v, dtype=np.float64) for v in (X, x2, t))
        if a.ndim != 2 or a.shape != b.shape or label.shape != (len(a),):
            raise BadInput(f"pairs have shapes {a.shape} and {b.shape}, t {label.shape}; (m, d) twice and (m,) needed")
        if not (np.isfinite(a).all() and np.isfinite(b).all()):
            raise BadInput("the pairs have values that are not finite")
        if not np.isin(label, (0.0, 1.0)).all():
            raise BadInput("t has values other than 0 and 1")
        d = a.shape[1]
        if not 1 <= self.rank <= d or self.steps < 1 or not self.scale > 0:
            raise BadInput(f"rank={self.rank} (1..{d}), steps={self.steps} (>= 1), scale={self.scale} (> 0)")
        start = self.scale * np.random.default_rng(self.seed).standard_normal(self.rank * d)
        found = minimize(
            lambda flat: contrastive_loss(flat.reshape(self.rank, d), a, b, label),
            start, jac=True, method="L-BFGS-B", options={"maxiter": self.steps},
        )  # fmt: skip
        self.theta_: Array = found.x.reshape(self.rank, d)
        self.loss_, self.converged_ = float(found.fun), bool(found.success)
        return self

    def transform(self, X: ArrayLike, y: Any = None) -> Array:
        """Return the features.

        Args:
            X: (k, d).
            y: Ignored.

        Returns:
            (k, r).

        Raises:
            BadInput: Another number of columns than in `fit`.
        """
        check_is_fitted(self)
        x = np.asarray(X, dtype=np.float64)
        if x.ndim != 2 or x.shape[1] != self.theta_.shape[1]:
            raise BadInput(f"X has shape {x.shape}; {self.theta_.shape[1]} columns were fitted")
        found: Array = x @ self.theta_.T
        return found


def contrastive_loss(theta: Array, x: Array, x2: Array, t: Array) -> tuple[float, Array]:
    """Mean logistic loss of pairs and its gradient, (value, (r d,)).

    Args:
        theta: (r, d).
        x: (m, d).
        x2: (m, d).
        t: (m,), 0 or 1.

    Returns:
        Mean of -ln P(t | x, x') in nats, and the gradient, flat.

    Example:
        >>> value, _ = contrastive_loss(np.zeros((1, 2)), np.ones((3, 2)), np.ones((3, 2)), np.array([0.0, 1.0, 1.0]))
        >>> bool(value == np.log(2))
        True
    """
    f, g = x @ theta.T, x2 @ theta.T
    score = (f * g).sum(1)
    slope = (expit(score) - t) / len(t)
    gradient = (slope[:, None] * g).T @ x + (slope[:, None] * f).T @ x2
    return float((np.logaddexp(0.0, score) - t * score).mean()), gradient.ravel()
