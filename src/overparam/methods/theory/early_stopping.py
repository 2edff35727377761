"""When to stop on data at hand: signal-to-noise ratio by maximum likelihood, stopping time by cross-validation.

The theory of Advani and Saxe (arXiv 1710.03667) needs the ratio of signal to noise and inputs without correlations. On
real features the first has to be estimated, and the second does not hold; exact gradient flow on folds needs neither.

Departure: the paper has no estimators. The likelihood here is that of its own model, Gaussian weights and noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq, minimize_scalar

from overparam.errors import BadInput
from overparam.methods.theory.gradient_flow import SpectralFit, as_columns, as_features, spectrum_report

Array = NDArray[np.float64]
CHI_SQUARE = 3.841458820694124  # 95 % point at one degree of freedom
DECADES = 6.0  # how far beyond the eigenvalues the ratio is searched


class SignalEstimate(NamedTuple):
    """Variances of y = Hw + noise under Gaussian weights and noise.

    Attributes:
        snr: Variance of Hw for an average row of H over that of the noise.
        low: Lower end of its 95 % interval by the profile likelihood; 0 where no signal is compatible.
        high: Upper end; infinite where no noise is compatible.
        noise_var: Variance of the noise.
        weight_var: Variance of a weight.
        ridge: noise_var / weight_var, the penalty on half the sum of squares that is optimal under this model.
    """

    snr: float
    low: float
    high: float
    noise_var: float
    weight_var: float
    ridge: float


class ValidatedStopping(NamedTuple):
    """What cross-validated gradient flow says.

    Attributes:
        time: Best stopping time on all samples, for half the sum of squares; infinite where it never hurts to go on.
        error: Mean squared error there.
        final: Mean squared error of training to the end.
        start: Mean squared error of the initial weights, zero.
        times: (T,) of the curve; the last is infinite.
        errors: (T,) of the curve.
    """

    time: float
    error: float
    final: float
    start: float
    times: Array
    errors: Array


def estimate_signal(features: Any, targets: Any, *, centre: bool = True) -> SignalEstimate:
    """Estimate the signal-to-noise ratio by maximum likelihood.

    In the eigenvectors of HH' the targets are independent with variances weight_var l + noise_var. The likelihood is
    maximised over the ratio of both, with its interval where twice the log likelihood has fallen by 3.84. Whatever H
    cannot express counts as noise. The interval is honest only as far as weights of equal variance are: if the signal
    sits in the directions of large eigenvalues, the ratio is underestimated where these are few.

    Args:
        features: (P, N) array or tensor H.
        targets: (P,) array or tensor y.
        centre: Whether the means of columns and targets are removed first, as with an intercept.

    Returns:
        The estimate.

    Raises:
        BadInput: Shapes that do not fit, fewer than three samples, or targets or features that are constant or,
            without `centre`, all zero.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> h = rng.normal(size=(400, 100))
        >>> found = estimate_signal(h, h @ rng.normal(size=100) / 10 + 0.5 * rng.normal(size=400))
        >>> found.low < 4 < found.high
        True
    """
    h = as_features(features)
    y = as_columns(targets, "targets", len(h)).reshape(len(h), -1)
    if y.shape[1] != 1 or len(h) < 3:
        raise BadInput(f"targets have {y.shape[1]} columns and {len(h)} rows; pass one column and at least three rows")
    for name, given in (("targets", y), ("features", h)):
        if not (np.ptp(given, axis=0) if centre else given).any():
            raise BadInput(f"{name} {'are constant' if centre else 'are all zero'}; pass some that vary")
    if centre:
        h, y = h - h.mean(0), y - y.mean(0)
    values, squares = _independent(h, y[:, 0], len(h) - centre)
    deviance, low, high = _profile(values, squares)
    grid = np.linspace(low, high, 120)
    depth = [deviance(x) for x in grid]
    k = int(np.argmin(depth))
    bounds = (grid[max(0, k - 1)], grid[min(len(grid) - 1, k + 1)])
    best = minimize_scalar(deviance, bounds=bounds, method="bounded", options={"xatol": 1e-7})
    top, least = float(best.x), float(best.fun)

    def above(x: float) -> float:
        return deviance(x) - least - CHI_SQUARE

    left = math.exp(brentq(above, low, top)) if above(low) > 0 else 0.0
    right = math.exp(brentq(above, top, high)) if above(high) > 0 else math.inf
    ratio, scale = math.exp(top), float(values.sum()) / len(h)
    noise = float(np.mean(squares / (1 + ratio * values)))
    return SignalEstimate(ratio * scale, left * scale, right * scale, noise, ratio * noise, 1 / ratio)


def _independent(h: Array, y: Array, count: int) -> tuple[Array, Array]:
    """Eigenvalues of HH' and squares of the targets in its eigenvectors; those of eigenvalue 0 share what is left."""
    left, singular, _ = np.linalg.svd(h, full_matrices=False)
    kept = singular > max(h.shape) * np.finfo(np.float64).eps * singular[0]
    seen, others = (left[:, kept].T @ y) ** 2, max(0, count - int(kept.sum()))
    rest = max(0.0, float(y @ y) - float(seen.sum())) / max(1, others)
    return np.append(singular[kept] ** 2, np.zeros(others)), np.append(seen, np.full(others, rest))


def _profile(values: Array, squares: Array) -> tuple[Callable[[float], float], float, float]:
    """Minus twice the log likelihood by the log of weight_var / noise_var, and the range to search."""

    def deviance(log_ratio: float) -> float:
        spread = 1 + math.exp(log_ratio) * values
        return float(len(values) * math.log(max(float(np.mean(squares / spread)), 1e-300)) + np.log(spread).sum())

    positive = values[values > 1e-12 * values.max()]
    reach = DECADES * math.log(10)
    return deviance, -math.log(positive.max()) - reach, -math.log(positive.min()) + reach


def validated_stopping(
    features: Any, targets: Any, *, folds: int = 5, seed: int = 0, centre: bool = True, times: ArrayLike | None = None
) -> ValidatedStopping:
    """Choose the stopping time by cross-validation with exact gradient flow from zero weights.

    Each fold costs one eigendecomposition, whatever the number of times. Flow on a part of the samples has smaller
    eigenvalues, so that its time is stretched by the inverse of that part.

    Args:
        features: (P, N) array or tensor H.
        targets: (P,) or (P, k) array or tensor y; errors are averaged over columns.
        folds: Number of folds, 2 to P.
        seed: Shuffles the samples.
        centre: Whether means of the training part are removed, as with an intercept.
        times: (T,) times to try; by default 80 from before the fastest to after the slowest direction. The end of
            training is always tried, too.

    Returns:
        Best time, its error, and the curve.

    Raises:
        BadInput: Shapes that do not fit, a bad number of folds, or negative times.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> h = rng.normal(size=(60, 60)) / 60**0.5
        >>> found = validated_stopping(h, h @ rng.normal(size=60) + rng.normal(size=60))
        >>> found.error < found.final
        True
    """
    h = as_features(features)
    y = as_columns(targets, "targets", len(h)).reshape(len(h), -1)
    if not 2 <= folds <= len(h):
        raise BadInput(f"folds={folds} for {len(h)} samples; pass 2 to {len(h)}")
    if times is None:
        report = spectrum_report(h - h.mean(0) if centre else h)
        slowest = max(report.smallest_nonzero, 1e-9 * report.largest)
        times = np.geomspace(0.03 / report.largest, 10 / slowest, 80)
    grid = np.append(np.asarray(times, dtype=np.float64), math.inf)
    order, total = np.random.default_rng(seed).permutation(len(h)), np.zeros(len(grid))
    at_start = 0.0
    for held in np.array_split(order, folds):
        kept = np.setdiff1d(order, held)
        middle, level = (h[kept].mean(0), y[kept].mean(0)) if centre else (0.0, 0.0)
        fit = SpectralFit(h[kept] - middle, y[kept] - level)
        found = fit.predict(h[held] - middle, fit.flow(grid * (len(h) / len(kept))))
        total += ((found + level - y[held]) ** 2).sum(1).mean(1)
        at_start += float(((level - y[held]) ** 2).sum(0).mean())
    errors = total / len(h)
    k = int(errors.argmin())
    return ValidatedStopping(
        float(grid[k]), float(errors[k]), float(errors[-1]), at_start / len(h), grid, errors
    )  # fmt: skip
