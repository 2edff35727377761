"""Exact gradient flow and ridge regression on any features, from one eigendecomposition.

From Advani and Saxe, High-dimensional dynamics of generalization error in neural networks (arXiv 1710.03667): the
spectrum of the features decides what is learned when. Nothing moves in directions without data (the frozen subspace),
and directions of small eigenvalues move late and mostly fit noise.

Departure: features have shape (samples, weights), as elsewhere; the paper's X is their transpose.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overparam.errors import BadInput

Array = NDArray[np.float64]


class SpectrumReport(NamedTuple):
    """What the spectrum of H'H says about learning from features H.

    Attributes:
        samples: Rows P of H.
        weights: Columns N of H.
        rank: Eigenvalues above the tolerance.
        frozen_fraction: 1 - rank/N, the share of directions in which weights stay at their initial values.
        smallest_nonzero: Smallest eigenvalue above the tolerance; its inverse limits how much noise is amplified.
        largest: Largest eigenvalue; gradient descent on half the sum of squares diverges above a step of 2/largest.
    """

    samples: int
    weights: int
    rank: int
    frozen_fraction: float
    smallest_nonzero: float
    largest: float


def spectrum_report(features: Any) -> SpectrumReport:
    """Report rank, frozen share and extreme eigenvalues of H'H.

    Args:
        features: (P, N) array or tensor: the inputs of a linear layer that is trained, or the gradient of a network's
            output for each sample.

    Returns:
        The report. Costs O(P N min(P, N)). Eigenvalues that rounding alone can make count as zero: below
        max(P, N) x 2.2e-16 of the largest, or (max(P, N) x 1.2e-7)^2 for features in single precision.

    Raises:
        BadInput: Not a matrix, not finite, or all zero.

    Source: arXiv 1710.03667, sections on the frozen subspace and on the eigenvalue gap.

    Example:
        >>> spectrum_report([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
        SpectrumReport(samples=2, weights=3, rank=2, frozen_fraction=0.33333333333333337, smallest_nonzero=1.0, largest=4.0)
    """  # noqa: E501
    h = as_features(features)
    values = np.linalg.eigvalsh(h.T @ h if h.shape[1] <= h.shape[0] else h @ h.T)
    kept = values[values > _tolerance(values, h.shape, features)]
    if not kept.size:
        raise BadInput(f"features of shape {h.shape} are all zero; pass some that vary")
    share = 1 - len(kept) / h.shape[1]
    return SpectrumReport(h.shape[0], h.shape[1], len(kept), share, float(kept[0]), float(kept[-1]))


def gradient_flow(features: Any, targets: Any, w0: Any, t: ArrayLike) -> Array:
    """Return the weights that follow dw/dt = H'(y - Hw), exactly, at all times.

    Args:
        features: (P, N) array or tensor H.
        targets: (P,) or (P, k) array or tensor y.
        w0: (N,) or (N, k) initial weights, or 0.
        t: (T,) times, not negative; infinity gives the limit.

    Returns:
        (T, N) or (T, N, k). Steps of size lr on half the sum of squares take the time lr each.

    Raises:
        BadInput: Shapes that do not fit, values that are not finite, or a negative time.

    Source: arXiv 1710.03667, section 2.

    Example:
        >>> gradient_flow([[1.0, 0.0]], [2.0], [0.0, 7.0], [0.0, np.log(2), np.inf]).round(12).tolist()
        [[0.0, 7.0], [1.0, 7.0], [2.0, 7.0]]
    """
    solved = SpectralFit(features, targets, w0)
    return solved.weights(solved.flow(t))


class SpectralFit:
    """Every time of gradient flow and every ridge penalty, from one eigendecomposition.

    Both are filters of eigenvalues: w = w0 + B (phi(l) c) with phi = (1 - exp(-lt)) / l for flow, and 1 / (l + penalty)
    for ridge towards w0. The smaller of the two Gram matrices is decomposed: O(P N min(P, N) + min(P, N)^3) once, then
    O(T min(P, N)) for errors at T times.

    Args:
        features: (P, N) array or tensor H.
        targets: (P,) or (P, k) array or tensor y: k regressions with the same features.
        w0: (N,) or (N, k) initial weights, or 0.

    Raises:
        BadInput: Shapes that do not fit, or values that are not finite.

    Source: arXiv 1710.03667, section 2.

    Example:
        >>> fit = SpectralFit(np.eye(2), [1.0, 2.0])
        >>> fit.weights(fit.ridge([0.0, 1.0])).round(12).tolist()
        [[1.0, 2.0], [0.5, 1.0]]
    """

    def __init__(self, features: Any, targets: Any, w0: Any = 0.0) -> None:
        h = as_features(features)
        y = as_columns(targets, "targets", len(h))
        self.single = y.ndim == 1
        self._y = y.reshape(len(h), -1)
        self._start = self._initial(w0, h.shape[1])
        self._features = h
        self._residual = self._y - h @ self._start
        self._narrow = h.shape[1] <= h.shape[0]
        values, vectors = np.linalg.eigh(h.T @ h if self._narrow else h @ h.T)
        values[values <= _tolerance(values, h.shape, features)] = 0.0
        self.eigenvalues: Array = values
        if self._narrow:
            self._basis = vectors
            self._drive = vectors.T @ (h.T @ self._residual)
        else:
            self._basis = h.T @ vectors
            self._drive = vectors.T @ self._residual

    def flow(self, t: ArrayLike) -> Array:
        """Return the filters of gradient flow.

        Args:
            t: (T,) times, not negative.

        Returns:
            (T, r), (1 - exp(-lt)) / l, which is t where l = 0.

        Raises:
            BadInput: A negative time.
        """
        times = np.atleast_1d(np.asarray(t, dtype=np.float64))
        if times.ndim != 1 or not (times >= 0).all():
            raise BadInput(f"t of shape {times.shape} from {times.min()}: pass a vector of times, 0 or later")
        positive = self.eigenvalues > 0
        safe = np.where(positive, self.eigenvalues, 1.0)
        moved = -np.expm1(-safe * times[:, None]) / safe
        # where l = 0 the filter only ever meets a zero: any finite value stands for the limit
        return np.where(positive, moved, np.where(np.isfinite(times), times, 0.0)[:, None])

    def ridge(self, penalty: ArrayLike) -> Array:
        """Return the filters of ridge regression towards w0.

        Args:
            penalty: (L,) added to the eigenvalues, not negative; 0 gives the solution nearest to w0.

        Returns:
            (L, r), 1 / (l + penalty).

        Raises:
            BadInput: A negative penalty.
        """
        lam = np.atleast_1d(np.asarray(penalty, dtype=np.float64))
        if lam.ndim != 1 or not (lam >= 0).all():
            raise BadInput(f"penalty of shape {lam.shape} from {lam.min()}: pass a vector of numbers from 0 on")
        total = self.eigenvalues + lam[:, None]
        return np.where(total > 0, 1 / np.where(total > 0, total, 1.0), 0.0)

    def weights(self, filters: Array) -> Array:
        """Return the weights of each filter.

        Args:
            filters: (T, r) from `flow` or `ridge`.

        Returns:
            (T, N) or (T, N, k).
        """
        return self._filtered(self._start, self._basis, filters)

    def predict(self, features: Any, filters: Array) -> Array:
        """Predict for other samples, without forming the weights.

        Args:
            features: (m, N).
            filters: (T, r) from `flow` or `ridge`.

        Returns:
            (T, m) or (T, m, k).

        Raises:
            BadInput: Another number of columns.
        """
        h = as_features(features)
        if h.shape[1] != len(self._start):
            raise BadInput(f"features have {h.shape[1]} columns; the fit has {len(self._start)} weights")
        return self._filtered(h @ self._start, h @ self._basis, filters)

    def training_error(self, filters: Array) -> Array:
        """Return the mean of squared residuals.

        Args:
            filters: (T, r) from `flow` or `ridge`.

        Returns:
            (T,) or (T, k).
        """
        values, squares = self.eigenvalues, self._drive**2
        if self._narrow:  # |r|^2 - sum (2 phi - l phi^2) c^2
            total = (self._residual**2).sum(0) - (2 * filters - values * filters**2) @ squares
        else:
            total = (1 - values * filters) ** 2 @ squares
        found = np.maximum(total, 0.0) / len(self._y)
        return np.asarray(found[:, 0] if self.single else found)

    def distance(self, target: Any, filters: Array) -> Array:
        """Return the squared distance of the weights from others, such as the teacher's.

        Args:
            target: (N,) or (N, k).
            filters: (T, r) from `flow` or `ridge`.

        Returns:
            (T,) or (T, k).

        Raises:
            BadInput: A target of another shape.
        """
        away = self._initial(target, len(self._start), "target") - self._start
        scale = np.ones_like(self.eigenvalues) if self._narrow else self.eigenvalues
        cross = (self._basis.T @ away) * self._drive
        total = (away**2).sum(0) - 2 * filters @ cross + (scale * filters**2) @ self._drive**2
        return np.asarray(total[:, 0] if self.single else total)

    def _filtered(self, start: Array, basis: Array, filters: Array) -> Array:
        moved = basis @ (filters.T[:, :, None] * self._drive[:, None, :]).reshape(len(self._drive), -1)
        found = start + moved.reshape(len(start), len(filters), -1).transpose(1, 0, 2)
        return found[..., 0] if self.single else found

    def _initial(self, given: Any, weights: int, name: str = "w0") -> Array:
        if np.isscalar(given) and given == 0:
            return np.zeros((weights, self._y.shape[1]))
        found = as_columns(given, name, weights).reshape(weights, -1)
        if found.shape[1] != self._y.shape[1]:
            raise BadInput(f"{name} has {found.shape[1]} columns and targets {self._y.shape[1]}; make them agree")
        return found


def largest_step(features: Any) -> float:
    """Return the step above which gradient descent on half the sum of squares diverges, 2 / largest eigenvalue.

    Args:
        features: (P, N).

    Returns:
        The limit.

    Raises:
        BadInput: Not a matrix, not finite, or all zero.

    Example:
        >>> largest_step([[2.0, 0.0], [0.0, 1.0]])
        0.5
    """
    return 2 / spectrum_report(features).largest


def check_step(lr: float, limit: float) -> None:
    """Refuse a step with which gradient descent diverges: what looks like overtraining would be an artefact.

    Args:
        lr: Step size.
        limit: Where descent begins to diverge, 2 / largest eigenvalue of the loss.

    Raises:
        BadInput: Not positive and finite, or not below the limit.
    """
    if not 0 < lr < math.inf:
        raise BadInput(f"lr={lr} is no step; pass a positive number below {limit:.4g}")
    if lr >= limit:
        raise BadInput(
            f"lr={lr:g} is not below 2/l_max = {limit:.4g} for this loss: gradient descent diverges; "
            f"pass {limit / 2:.3g} or less"
        )


def as_features(given: Any) -> Array:
    """Return features as a float64 matrix.

    Args:
        given: (P, N) array or tensor.

    Returns:
        The matrix.

    Raises:
        BadInput: Not a matrix with rows and columns, or not finite.
    """
    found = _plain(given)
    if found.ndim != 2 or not found.size:
        raise BadInput(f"features have shape {found.shape}; pass a matrix (samples, weights)")
    if not np.isfinite(found).all():
        raise BadInput("features hold NaN or infinity; pass finite numbers")
    return found


def _plain(given: Any) -> Array:
    return np.asarray(given.detach().cpu().numpy() if hasattr(given, "detach") else given, dtype=np.float64)


def as_columns(given: Any, name: str, rows: int) -> Array:
    """Return targets or weights as float64.

    Args:
        given: (rows,) or (rows, k) array or tensor.
        name: For messages.
        rows: Length wanted.

    Returns:
        The array.

    Raises:
        BadInput: Another shape, or values that are not finite.
    """
    found = _plain(given)
    if found.ndim not in (1, 2) or len(found) != rows:
        raise BadInput(f"{name} has shape {found.shape}; pass ({rows},) or ({rows}, k) to fit the features")
    if not np.isfinite(found).all():
        raise BadInput(f"{name} holds NaN or infinity; pass finite numbers")
    return found


def _tolerance(eigenvalues: NDArray[np.floating[Any]], shape: tuple[int, ...], given: Any) -> float:
    """Eigenvalues that rounding alone can make: of their computation, or of single-precision features squared."""
    kind = str(getattr(given, "dtype", "float64")).removeprefix("torch.")
    own = float(np.finfo(kind).eps) if kind in ("float16", "float32") else 0.0
    share = max(max(shape) * float(np.finfo(np.float64).eps), (max(shape) * own) ** 2)
    return share * max(float(eigenvalues.max(initial=0.0)), 0.0)
