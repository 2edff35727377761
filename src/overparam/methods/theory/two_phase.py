"""Two-phase learning: a representation from unlabelled inputs, then a head on few labels.

Source: arXiv 2303.01566, its two-phase algorithm.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression

from overparam.errors import BadInput

Array = NDArray[np.float64]


class MajorityHead(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Predicts for each component of a mixture the label that has most weight in it.

    Takes posteriors of shape (n, K). A component without weight predicts the majority of all.

    Source: arXiv 2303.01566, phase two for Gaussian mixtures.

    Example:
        >>> MajorityHead().fit([[1, 0], [1, 0], [0, 1]], [7, 7, 3]).predict([[0.2, 0.8]]).tolist()
        [3]
    """

    def fit(self, X: ArrayLike, y: ArrayLike) -> MajorityHead:
        """Count labels by component.

        Args:
            X: (n, K) posteriors.
            y: (n,) labels.

        Returns:
            Itself, with `classes_`, and `labels_` (K,), one a component.

        Raises:
            BadInput: Shapes that do not fit or no examples.
        """
        share, given = np.asarray(X, dtype=np.float64), np.asarray(y)
        if share.ndim != 2 or not len(share) or given.shape != (len(share),):
            raise BadInput(f"X has shape {share.shape} and y {given.shape}; (n, K) and (n,) are needed")
        self.classes_, index = np.unique(given, return_inverse=True)
        if len(self.classes_) == 1:
            warnings.warn("all labels are equal; every component predicts that one", stacklevel=2)
        votes = share.T @ np.eye(len(self.classes_))[index]
        overall = np.bincount(index).argmax()
        best = np.where(votes.sum(1) > 1e-9, votes.argmax(1), overall)
        self.labels_ = self.classes_[best]
        return self

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Predict by the most probable component.

        Args:
            X: (k, K) posteriors.

        Returns:
            (k,) labels.
        """
        found: NDArray[Any] = self.labels_[np.asarray(X).argmax(1)]
        return found


class TorchEncoder(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Lets a torch module be the representation of `TwoPhase`.

    Args:
        module: Maps (k, ...) to (k, r).
        pretrain: Called with the module and the unlabelled inputs as a tensor; trains the module in place. None if it
            is trained already.
    """

    def __init__(
        self, module: torch.nn.Module, pretrain: Callable[[torch.nn.Module, torch.Tensor], object] | None = None
    ) -> None:
        self.module = module
        self.pretrain = pretrain

    def __sklearn_clone__(self) -> TorchEncoder:
        return self  # the module carries what it has learned

    def fit(self, X: ArrayLike, y: Any = None) -> TorchEncoder:
        """Pretrain on unlabelled inputs.

        Args:
            X: (m, ...).
            y: Ignored.

        Returns:
            Itself.
        """
        if self.pretrain is not None:
            self.pretrain(self.module, self._tensor(X))
        return self

    def transform(self, X: ArrayLike) -> Array:
        """Return the features in evaluation mode.

        Args:
            X: (k, ...).

        Returns:
            (k, r).
        """
        training = self.module.training
        self.module.eval()
        with torch.no_grad():
            found = self.module(self._tensor(X)).flatten(1).double().cpu().numpy()
        self.module.train(training)
        return np.asarray(found)

    def _tensor(self, given: ArrayLike) -> torch.Tensor:
        like = next(self.module.parameters(), torch.empty(0))
        return torch.as_tensor(np.asarray(given), dtype=like.dtype, device=like.device)


class TwoPhase(BaseEstimator):  # type: ignore[misc]
    """Fits a representation to unlabelled inputs and a head to labelled ones.

    Args:
        representation: Any transformer: `FactorMLE`, `SphericalGMM`, `ContrastiveMLE`, `TorchEncoder`, PCA, ...
        head: `least squares` (no intercept: centre the data), `majority` (of mixture components), or any estimator.

    Source: arXiv 2303.01566, its two-phase algorithm.

    Example:
        >>> from overparam.methods.theory.factor_model import FactorMLE, FactorModel
        >>> model, rng = FactorModel(np.eye(40)[:, :2] * 3, [0.8, 0.6], noise=0.1), np.random.default_rng(0)
        >>> (unlabelled, _), (x, y), (x_test, y_test) = (model.sample(n, rng) for n in (5000, 20, 1000))
        >>> TwoPhase(FactorMLE(rank=2)).fit(x, y, X_unlabelled=unlabelled).score(x_test, y_test) > 0.8
        True
    """

    def __init__(self, representation: Any, head: Any = "least squares") -> None:
        self.representation = representation
        self.head = head

    def fit(self, X: ArrayLike, y: ArrayLike, X_unlabelled: ArrayLike | None = None, **side: Any) -> TwoPhase:
        """Run both phases.

        Args:
            X: (n, d) labelled inputs; not used in phase one.
            y: (n,) responses or labels.
            X_unlabelled: (m, d); None if the representation is fitted already, which then stays as it is.
            side: Further arguments of the representation's `fit`, such as `x2` and `t` of pairs.

        Returns:
            Itself, with `representation_` and `head_`.

        Raises:
            BadInput: No examples, shapes that do not fit, or an unknown head.
        """
        x, given = np.asarray(X), np.asarray(y)
        if not len(x) or given.shape[:1] != x.shape[:1]:
            raise BadInput(f"X has shape {x.shape} and y {given.shape}; give one response an input and at least one")
        if X_unlabelled is None:
            self.representation_ = self.representation
        else:
            self.representation_ = clone(self.representation).fit(X_unlabelled, **side)
        try:
            features = self.representation_.transform(x)
        except NotFittedError:
            raise BadInput("the representation is not fitted; give X_unlabelled") from None
        self.head_ = self._head().fit(features, given)
        return self

    def _head(self) -> Any:
        if self.head == "least squares":
            return LinearRegression(fit_intercept=False)
        if self.head == "majority":
            return MajorityHead()
        if not hasattr(self.head, "fit"):
            raise BadInput(f"head={self.head!r} is unknown; give 'least squares', 'majority' or an estimator")
        return clone(self.head)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Predict.

        Args:
            X: (k, d).

        Returns:
            (k,).
        """
        return np.asarray(self.head_.predict(self.representation_.transform(X)))

    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """Return the head's score: R² of a regression, accuracy of a classifier.

        Args:
            X: (k, d).
            y: (k,).

        Returns:
            At most 1.
        """
        return float(self.head_.score(self.representation_.transform(X), y))
