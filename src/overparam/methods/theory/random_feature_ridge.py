"""Ridge regression on random features, as a scikit-learn estimator with the ridge of the kernel limit."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from overparam.errors import BadInput

Array = NDArray[np.float64]


def relu_features(X: NDArray[Any], weights: NDArray[Any]) -> NDArray[Any]:
    """Return relu(X W' / sqrt(d)); features times features over k estimate `arccos_nngp(X, X)`.

    Args:
        X: (n, d) points.
        weights: (k, d) standard normal.

    Returns:
        (n, k), in the precision of both.

    Example:
        >>> relu_features(np.array([[1.0, 1.0, 1.0, 1.0]]), np.array([[1.0, 0, 0, 1], [-1.0, 0, 0, 0]])).tolist()
        [[1.0, 0.0]]
    """
    return np.asarray(np.maximum(X @ weights.T / np.sqrt(X.shape[1]), 0.0))


class RandomFeatureRidge(MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Ridge regression on k random features: f(x) = K_hat(x, X) (K_hat(X, X) + ridge I)^-1 Y with K_hat = psi psi'/k.

    The ridge is that of the kernel: as k grows, predictions approach kernel ridge regression with the same ridge, so
    what `optimal_ridge` finds can be passed on.

    Args:
        n_features: k, at least 1.
        activation: `relu` on w.x / sqrt(d) with w standard normal, or `linear`.
        ridge: delta, not negative; 0 is the solution of least norm. No 1/n and no intercept.
        random_state: Seed of the weights.

    Attributes:
        weights_: (k, d).
        coef_: (k,) or (k, o); predictions are psi coef_ / sqrt(k).

    Source: arXiv 2311.14646, the model of random-feature regression.

    Example:
        >>> X = np.random.default_rng(0).standard_normal((60, 5))
        >>> model = RandomFeatureRidge(n_features=500, ridge=0.0, random_state=0).fit(X, X[:, 0])
        >>> bool(np.allclose(model.predict(X), X[:, 0]))
        True
    """

    weights_: Array
    coef_: Array

    def __init__(
        self,
        n_features: int = 1024,
        *,
        activation: Literal["relu", "linear"] = "relu",
        ridge: float = 1e-3,
        random_state: int | None = 0,
    ) -> None:
        self.n_features = n_features
        self.activation = activation
        self.ridge = ridge
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> RandomFeatureRidge:
        """Draw the features and solve for the weights, in the smaller of n and k dimensions.

        Args:
            X: (n, d) points.
            y: (n,) or (n, o) targets.

        Returns:
            Itself.

        Raises:
            BadInput: n_features below 1, a negative ridge or an unknown activation.
        """
        if self.n_features < 1:
            raise BadInput(f"n_features={self.n_features} gives no feature; pass n_features>=1")
        if not 0 <= self.ridge < np.inf:
            raise BadInput(f"ridge={self.ridge} is not allowed; give a finite number that is at least 0")
        if self.activation not in ("relu", "linear"):
            raise BadInput(f"activation={self.activation!r} is unknown; choose relu or linear")
        X, y = validate_data(self, X, y, multi_output=True, y_numeric=True, dtype=np.float64)
        rng = check_random_state(self.random_state)
        self.weights_ = rng.standard_normal((self.n_features, X.shape[1]))
        psi = self._features(X)
        if self.ridge == 0:
            self.coef_ = np.linalg.lstsq(psi, y, rcond=None)[0]
        elif psi.shape[1] < len(psi):
            self.coef_ = cho_solve(cho_factor(psi.T @ psi + self.ridge * np.eye(psi.shape[1])), psi.T @ y)
        else:
            self.coef_ = psi.T @ cho_solve(cho_factor(psi @ psi.T + self.ridge * np.eye(len(psi))), y)
        return self

    def predict(self, X: Any) -> Array:
        """Predict.

        Args:
            X: (m, d) points.

        Returns:
            (m,) or (m, o).
        """
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64)
        return np.asarray(self._features(X) @ self.coef_)

    def _features(self, X: Array) -> Array:
        if self.activation == "relu":
            psi = relu_features(X, self.weights_)
        else:
            psi = X @ self.weights_.T / np.sqrt(X.shape[1])
        return np.asarray(psi / np.sqrt(self.n_features))
