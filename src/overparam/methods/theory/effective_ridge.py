"""The two effective ridges of random-feature regression: kappa of the samples and gamma of the spectrum.

The paper's equations have differences that cancel where n, k and the number of modes meet. Here they are written with

    L_i = lambda_i / (lambda_i + gamma),  z = sum L_i,  s = sum L_i (1 - L_i),  a = n - z = delta / kappa,
    b = k - z = k kappa / gamma,

of which a and b are found without a cancelling difference. From Simon, Karkada, Ghosh and Belkin, arXiv 2311.14646.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overparam.errors import BadInput

Array = NDArray[np.float64]
CHUNK = 2_000_000  # eigenvalues times settings held at a time
STEPS = 200
CLOSE = 1e-14  # relative, in log gamma


def rf_solve(eigvals: ArrayLike, n: ArrayLike, k: ArrayLike, ridge: ArrayLike) -> tuple[Array, Array]:
    """Solve the paper's pair of equations for kappa and gamma.

    n = sum_i lambda_i/(lambda_i + gamma) + delta/kappa and k = sum_i lambda_i/(lambda_i + gamma) + k kappa/gamma.
    Eliminating kappa leaves (n - z)(1 - z/k) gamma = delta, whose left side grows with gamma: Newton's method on log
    gamma inside a bracket.

    Args:
        eigvals: (M,), not negative.
        n: Samples, positive.
        k: Features, positive; infinity for kernel regression.
        ridge: delta, not negative. n, k and ridge broadcast. Cost about ten passes over M for each setting.

    Returns:
        kappa and gamma, with kappa <= gamma, equal for k infinite. Without a ridge kappa is 0 where n >= min(k, M).

    Raises:
        BadInput: A negative, missing or non-finite eigenvalue, n or k not positive, ridge negative.

    Source: arXiv 2311.14646, equations of the eigenframework.

    Example:
        >>> kappa, gamma = rf_solve(np.ones(20), n=10, k=np.inf, ridge=0.0)
        >>> round(float(gamma), 12)  # z = 20 / (1 + gamma) = 10
        1.0
    """
    found = effective_ridges(check_target(eigvals, None, 0.0)[0], n, k, ridge)
    return found.kappa[()], found.gamma[()]


@dataclass(frozen=True)
class EffectiveRidges:
    """Where the spectrum is cut, with the two gaps.

    Attributes:
        n: Samples; all fields have the shape to which the arguments broadcast.
        k: Features.
        gamma: Effective ridge of the spectrum; 0 where every mode is learned.
        a: n - z, which is delta / kappa.
        b: k - z, infinite for infinitely many features.
    """

    n: Array
    k: Array
    gamma: Array
    a: Array
    b: Array

    @property
    def kappa(self) -> Array:
        """Effective ridge of the samples."""
        finite = np.isfinite(self.k)
        return np.where(finite, self.gamma * np.where(finite, self.b, 0.0) / np.where(finite, self.k, 1.0), self.gamma)


def effective_ridges(lam: Array, n: ArrayLike, k: ArrayLike, ridge: ArrayLike) -> EffectiveRidges:
    """Solve the pair of equations for a spectrum that has been checked.

    Args:
        lam: (M,), descending.
        n: Samples.
        k: Features.
        ridge: delta.

    Returns:
        gamma and the gaps.

    Raises:
        BadInput: n or k not positive, ridge negative, or either not a number.
    """
    given = [np.asarray(v, dtype=np.float64) for v in (n, k, ridge)]
    for name, value in zip(("n", "k", "ridge"), given, strict=True):
        bad = ~(value >= 0) if name == "ridge" else ~(value > 0)
        bad |= np.isinf(value) & (name != "k")
        if bad.any():
            allowed = "finite and at least 0" if name == "ridge" else "positive"
            raise BadInput(f"{name}={value[bad].flat[0]:g} is not allowed; give numbers that are {allowed}")
    full = np.broadcast_arrays(*given)
    flat = [v.ravel() for v in full]
    rows = max(1, CHUNK // len(lam))
    parts = [_solve(lam[lam > 0], *(v[i : i + rows] for v in flat)) for i in range(0, len(flat[0]), rows)]
    gamma, a, b = (np.concatenate(column).reshape(full[0].shape) for column in zip(*parts, strict=True))
    return EffectiveRidges(full[0], full[1], gamma, a, b)


def _solve(lam: Array, n: Array, k: Array, delta: Array) -> tuple[Array, Array, Array]:
    few = np.minimum(n, k)
    gamma = np.zeros(len(n))
    rows = (delta > 0) | (few < len(lam))
    if rows.any():
        gamma[rows] = np.exp(_log_gamma(lam, n[rows], k[rows], delta[rows]))
    z = (lam / (lam + gamma[:, None])).sum(1)
    z = np.where(delta == 0, np.minimum(few, len(lam)), z)
    a, b = n - z, k - z
    with np.errstate(divide="ignore", invalid="ignore"):  # the smaller gap follows from a b = k delta / gamma
        exact = np.where(np.isinf(k), delta / gamma, k * delta / gamma / np.where(n > k, a, b))
    return gamma, np.where((delta > 0) & (n <= k), exact, a), np.where((delta > 0) & (n > k), exact, b)


def _log_gamma(lam: Array, n: Array, k: Array, delta: Array) -> Array:
    """Root of (n - z)(1 - z/k) gamma = delta, or of z = min(n, k) without a ridge."""
    few, total, ridged = np.minimum(n, k), lam.sum(), delta > 0
    high = np.log(np.maximum(2 * total / few, (total + 2 * delta) / n)) + 1e-9
    with np.errstate(divide="ignore"):  # each end is on its side of the root since lambda/gamma >= L >= L_M
        low = np.log(np.where(ridged, delta / n, lam[-1] * np.maximum(len(lam) / few - 1, 0))) - 1e-9
    at = (low + high) / 2
    for _ in range(STEPS):
        share = lam / (lam + np.exp(at)[:, None])
        z = share.sum(1)
        s = z - np.einsum("gm,gm->g", share, share)
        reach = z < few
        with np.errstate(divide="ignore", invalid="ignore"):
            ridge_value = np.log(n - z) + np.log1p(-z / k) + at - np.log(delta)
            value = np.where(ridged, np.where(reach, ridge_value, -1.0), np.log(few / z))
            slope = np.where(ridged, 1 + s / (n - z) + s / (k - z), s / z)
            low, high = np.where(value < 0, at, low), np.where(value < 0, high, at)
            new = at - value / slope
        newton = (reach | ~ridged) & (new > low) & (new < high)
        new = np.where(newton, new, (low + high) / 2)
        step, at = np.abs(new - at), new
        if (np.minimum(step, high - low) <= CLOSE * np.maximum(1.0, np.abs(at))).all():
            break
    return np.asarray(at)


def check_target(
    eigvals: ArrayLike, coeffs2: ArrayLike | None, noise_var: float, *, stacklevel: int = 3
) -> tuple[Array, Array]:
    """Check a spectrum with its coefficients, and sort both.

    Args:
        eigvals: (M,).
        coeffs2: (M,), zeros if left out.
        noise_var: Variance of the label noise.
        stacklevel: Of the warning, so that it points at the caller's line.

    Returns:
        Eigenvalues, descending, and coefficients.

    Raises:
        BadInput: Negative or not finite, lengths that differ, or no positive eigenvalue.

    Warns:
        UserWarning: The eigenvalues do not descend.
    """
    lam = np.atleast_1d(np.asarray(eigvals, dtype=np.float64))
    v2 = np.zeros_like(lam) if coeffs2 is None else np.atleast_1d(np.asarray(coeffs2, dtype=np.float64))
    if lam.ndim != 1 or v2.shape != lam.shape:
        raise BadInput(f"eigvals has shape {lam.shape} and coeffs2 {v2.shape}; give two vectors of one length")
    for name, values in (("eigvals", lam), ("coeffs2", v2)):
        bad = ~(np.isfinite(values) & (values >= 0))
        if bad.any():
            i = int(np.argmax(bad))
            raise BadInput(f"{name}[{i}]={values[i]:g} is not allowed; give finite numbers that are at least 0")
    if not (lam > 0).any():
        raise BadInput("eigvals has no positive value; a kernel needs at least one")
    if not (noise_var >= 0 and math.isfinite(noise_var)):
        raise BadInput(f"noise_var={noise_var} is no variance; give a finite number that is at least 0")
    if (np.diff(lam) > 0).any():
        warnings.warn("eigvals does not descend; it is sorted, and the coefficients with it", stacklevel=stacklevel)
        order = np.argsort(-lam, kind="stable")
        lam, v2 = lam[order], v2[order]
    return lam, v2
