"""Training and test error of a linear student under gradient flow, exact for many inputs and samples.

From Advani and Saxe, High-dimensional dynamics of generalization error in neural networks (arXiv 1710.03667). A student
of N weights learns P = alpha N samples of a linear teacher, y = wbar X + eps; entries of X have variance 1/N, so that
an input has squared length 1. Weights follow tau dw/dt = (y - wX)X' and time is in units of tau: the loss is half the
SUM of squares. In the direction of an eigenvalue l of XX' the error at time t is

    (wbar - w(0)) exp(-lt) - noise (1 - exp(-lt)) / sqrt(l),

whose average over the law of Marchenko and Pastur gives everything below. Variances: wbar has `signal_var`, the noise
signal_var / snr, the initial weights inr times that of the noise.

Departures: 1. all formulas were derived anew from the model. 2. The weights of `spectrum` never contain the null space;
its share enters in closed form.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar

from overparam.errors import BadInput
from overparam.methods.theory.marchenko_pastur import Spectrum, edges, marchenko_pastur

Array = NDArray[np.float64]
BLOCK = 2**20  # numbers of exp(-lt) held at once


class Stopping(NamedTuple):
    """When to stop, and the test error then.

    Attributes:
        time: In units of tau.
        error: Test error.
    """

    time: float
    error: float


def generalization_error(
    t: ArrayLike, alpha: float, snr: float, inr: float = 0.0, *, signal_var: float = 1.0, noisy_test: bool = True,
    spectrum: Spectrum | None = None,
) -> Array:  # fmt: skip
    """Return the test error at times t.

    E_g(t) = sum over l of rho(l) [(s_w^2 + s_0^2) e^2 + s_e^2 (1 - e)^2 / l] + null (s_w^2 + s_0^2) + s_e^2, with
    e = exp(-lt). Initial weights add to the signal, and in the null space they stay for ever.

    Args:
        t: Times of any shape, not negative; infinity is allowed.
        alpha: Samples a weight, P/N.
        snr: Variance of the teacher's weights over that of the noise.
        inr: Variance of the initial weights over that of the noise.
        signal_var: Variance s_w^2 of the teacher's weights.
        noisy_test: Whether test labels have noise, too: the last term.
        spectrum: Eigenvalues of a matrix at hand in place of the law of Marchenko and Pastur; `alpha` is not used then.

    Returns:
        Of the shape of t. Infinite at t = infinity and alpha = 1, where it grows as sqrt(t).

    Raises:
        BadInput: alpha, snr or signal_var not positive, inr or t negative, or NaN.

    Source: arXiv 1710.03667, section on the dynamics of generalization error.

    Example:
        >>> generalization_error([0.0, 3.0, np.inf], alpha=0.5, snr=5.0).round(3).tolist()
        [1.2, 0.826, 0.9]
    """
    times, noise, start = _checked(t, snr, inr, signal_var)
    law = _law(alpha, times, spectrum)
    prior = signal_var + start
    error = _integrate(times, law, lambda v, e, f: prior * e**2 + noise * f**2 / v)
    if spectrum is None and alpha == 1.0:
        error = np.where(np.isinf(times), math.inf, error)
    return error + law.null_mass * prior + (noise if noisy_test else 0.0)


def training_error(
    t: ArrayLike, alpha: float, snr: float, inr: float = 0.0, *, signal_var: float = 1.0,
    spectrum: Spectrum | None = None,
) -> Array:  # fmt: skip
    """Return the training error, the mean of squared residuals, at times t.

    E_t(t) = (1/alpha) sum over l > 0 of rho(l) [(s_w^2 + s_0^2) l + s_e^2] exp(-2lt) + max(0, 1 - 1/alpha) s_e^2.

    Args:
        t: Times of any shape, not negative.
        alpha: Samples a weight, P/N.
        snr: Variance of the teacher's weights over that of the noise.
        inr: Variance of the initial weights over that of the noise.
        signal_var: Variance s_w^2 of the teacher's weights.
        spectrum: Eigenvalues of a matrix at hand; `alpha` has to be its P/N.

    Returns:
        Of the shape of t.

    Raises:
        BadInput: alpha, snr or signal_var not positive, inr or t negative, or NaN.

    Source: arXiv 1710.03667, section on the dynamics of training error.

    Example:
        >>> training_error([0.0, np.inf], alpha=2.0, snr=5.0).round(6).tolist()
        [1.2, 0.1]
    """
    times, noise, start = _checked(t, snr, inr, signal_var)
    law = _law(alpha, times, spectrum)
    prior = signal_var + start
    fitted = _integrate(times, law, lambda v, e, f: (prior * v + noise) * e**2)
    rank = float(law.weights.sum())  # the others of the P directions of residuals are never fitted
    return fitted / alpha + max(0.0, 1 - rank / alpha) * noise


def weight_norm(
    t: ArrayLike, alpha: float, snr: float, inr: float = 0.0, *, signal_var: float = 1.0,
    spectrum: Spectrum | None = None,
) -> Array:  # fmt: skip
    """Return the mean square of a weight, E|w(t)|^2 / N.

    sum over l of rho(l) [s_0^2 e^2 + s_w^2 (1 - e)^2 + s_e^2 (1 - e)^2 / l] + null s_0^2.

    Args:
        t: Times of any shape, not negative.
        alpha: Samples a weight, P/N.
        snr: Variance of the teacher's weights over that of the noise.
        inr: Variance of the initial weights over that of the noise.
        signal_var: Variance s_w^2 of the teacher's weights.
        spectrum: Eigenvalues of a matrix at hand.

    Returns:
        Of the shape of t.

    Raises:
        BadInput: alpha, snr or signal_var not positive, inr or t negative, or NaN.

    Source: arXiv 1710.03667, section on Rademacher complexity.

    Example:
        >>> weight_norm(np.inf, alpha=0.5, snr=5.0).round(6).item()  # 0.5 of signal, 0.2 of noise
        0.7
    """
    times, noise, start = _checked(t, snr, inr, signal_var)
    law = _law(alpha, times, spectrum)
    norm = _integrate(times, law, lambda v, e, f: start * e**2 + (signal_var + noise / v) * f**2)
    if spectrum is None and alpha == 1.0:
        norm = np.where(np.isinf(times), math.inf, norm)
    return norm + law.null_mass * start


def mode_stopping_time(eigenvalue: ArrayLike, snr: float, inr: float = 0.0) -> Array:
    """Return the time at which the error in the direction of an eigenvalue is least: log(1 + l (snr + inr)) / l.

    Args:
        eigenvalue: Eigenvalues l of XX', not negative; at 0 the limit snr + inr.
        snr: Variance of the teacher's weights over that of the noise.
        inr: Variance of the initial weights over that of the noise.

    Returns:
        Of the shape of `eigenvalue`; short for large eigenvalues.

    Raises:
        BadInput: snr not positive, inr negative, or a negative eigenvalue.

    Source: arXiv 1710.03667, section on early stopping; minimiser of A e^2 + (B/l)(1 - e)^2, e = B / (B + l A).

    Example:
        >>> mode_stopping_time([0.0, 1.0], snr=5.0).round(4).tolist()
        [5.0, 1.7918]
    """
    _checked(0.0, snr, inr, 1.0)
    values = np.asarray(eigenvalue, dtype=np.float64)
    if not (values >= 0).all():
        raise BadInput(f"eigenvalue={values.min()} is negative; pass eigenvalues of XX', which are not")
    ratio = snr + inr
    safe = np.where(values > 0, values, 1.0)
    return np.where(values > 0, np.log1p(safe * ratio) / safe, ratio)


def optimal_stopping(
    alpha: float, snr: float, inr: float = 0.0, *, signal_var: float = 1.0, noisy_test: bool = True,
    spectrum: Spectrum | None = None,
) -> Stopping:  # fmt: skip
    """Return the time of least test error, and that error.

    Every direction has its own best time (`mode_stopping_time`), so that the best common time lies between the
    shortest and the longest of them; there a grid in log t and a bounded search find it.

    Args:
        alpha: Samples a weight, P/N.
        snr: Variance of the teacher's weights over that of the noise.
        inr: Variance of the initial weights over that of the noise.
        signal_var: Variance s_w^2 of the teacher's weights.
        noisy_test: Whether test labels have noise, too.
        spectrum: Eigenvalues of a matrix at hand.

    Returns:
        Time and error.

    Raises:
        BadInput: alpha, snr or signal_var not positive, or inr negative.

    Source: arXiv 1710.03667, section on early stopping.

    Example:
        >>> [round(float(v), 3) for v in optimal_stopping(alpha=0.5, snr=5.0)]
        [2.707, 0.826]
    """
    _checked(0.0, snr, inr, signal_var)
    low, high = edges(alpha) if spectrum is None else (spectrum.eigenvalues.min(), spectrum.eigenvalues.max())
    ends = np.log(mode_stopping_time([high, low], snr, inr))

    def error(log_time: ArrayLike) -> Array:
        return generalization_error(
            np.exp(log_time), alpha, snr, inr, signal_var=signal_var, noisy_test=noisy_test, spectrum=spectrum
        )

    grid = np.linspace(ends[0], ends[1], 60)
    k = int(error(grid).argmin())
    bounds = (grid[max(0, k - 1)], grid[min(len(grid) - 1, k + 1)])
    found = minimize_scalar(lambda x: float(error(x)), bounds=bounds, method="bounded", options={"xatol": 1e-8})
    return Stopping(math.exp(found.x), float(found.fun))


def ridge_error(
    penalty: ArrayLike, alpha: float, snr: float, *, signal_var: float = 1.0, noisy_test: bool = True,
    spectrum: Spectrum | None = None,
) -> Array:  # fmt: skip
    """Return the test error of ridge regression, w = yX' (XX' + penalty I)^-1.

    sum over l of rho(l) [s_w^2 penalty^2 + s_e^2 l] / (l + penalty)^2 + null s_w^2 + s_e^2. It is least at
    penalty = 1/snr whatever the spectrum, for that minimises every term.

    Args:
        penalty: Of any shape, not negative.
        alpha: Samples a weight, P/N.
        snr: Variance of the teacher's weights over that of the noise.
        signal_var: Variance s_w^2 of the teacher's weights.
        noisy_test: Whether test labels have noise, too.
        spectrum: Eigenvalues of a matrix at hand.

    Returns:
        Of the shape of `penalty`; infinite at penalty = 0 and alpha = 1.

    Raises:
        BadInput: alpha, snr or signal_var not positive, or a negative penalty.

    Source: arXiv 1710.03667, section on weight decay.

    Example:
        >>> ridge_error([0.1, 0.2, 0.4], alpha=0.5, snr=5.0).round(4).tolist()
        [0.8311, 0.8217, 0.8347]
    """
    lam = np.asarray(penalty, dtype=np.float64)
    if not (lam >= 0).all():
        raise BadInput(f"penalty={lam.min()} is negative; pass 0 or more, 1/snr is optimal")
    _, noise, _ = _checked(0.0, snr, 0.0, signal_var)
    tiny = float(lam[lam > 0].min(initial=math.inf))
    latest = 8 / tiny if alpha == 1.0 or (lam > 0).all() else math.inf  # a pole at -penalty asks for no more nodes
    law = marchenko_pastur(alpha, time=latest) if spectrum is None else spectrum
    values, column = law.eigenvalues, lam[..., None]
    error = ((signal_var * column**2 + noise * values) / (values + column) ** 2) @ law.weights
    if spectrum is None and alpha == 1.0:
        error = np.where(lam == 0, math.inf, error)
    return np.asarray(error + law.null_mass * signal_var + (noise if noisy_test else 0.0))


def optimal_ridge_error(
    alpha: float, snr: float, *, signal_var: float = 1.0, noisy_test: bool = True, spectrum: Spectrum | None = None
) -> float:
    """Return the least test error of ridge regression, that of penalty 1/snr.

    Args:
        alpha: Samples a weight, P/N.
        snr: Variance of the teacher's weights over that of the noise.
        signal_var: Variance s_w^2 of the teacher's weights.
        noisy_test: Whether test labels have noise, too.
        spectrum: Eigenvalues of a matrix at hand.

    Returns:
        The error; no linear or other method does better on Gaussian weights and noise.

    Raises:
        BadInput: alpha, snr or signal_var not positive.

    Source: arXiv 1710.03667, section on weight decay.

    Example:
        >>> round(optimal_ridge_error(alpha=0.5, snr=5.0), 4)
        0.8217
    """
    _checked(0.0, snr, 0.0, signal_var)
    at = 1 / snr
    return float(
        ridge_error(at, alpha, snr, signal_var=signal_var, noisy_test=noisy_test, spectrum=spectrum)
    )  # fmt: skip


def _checked(t: ArrayLike, snr: float, inr: float, signal_var: float) -> tuple[Array, float, float]:
    """Times, and the variances of noise and of initial weights."""
    times = np.asarray(t, dtype=np.float64)
    if not (times >= 0).all():
        raise BadInput(f"t holds {times[~(times >= 0)].flat[0]}; times are 0 or later")
    if not 0 < snr < math.inf or not 0 < signal_var < math.inf:
        raise BadInput(f"snr={snr}, signal_var={signal_var}: pass positive finite ratios and variances")
    if not 0 <= inr < math.inf:
        raise BadInput(f"inr={inr} is no ratio of variances; pass 0 for initial weights of zero, or more")
    return times, signal_var / snr, inr * signal_var / snr


def _law(alpha: float, times: Array, spectrum: Spectrum | None) -> Spectrum:
    if spectrum is not None:
        return spectrum
    finite = times[np.isfinite(times)]
    latest = float(finite.max(initial=0.0))
    return marchenko_pastur(alpha, time=math.inf if len(finite) < times.size and alpha != 1 else latest)


def _integrate(times: Array, law: Spectrum, term: Callable[[Array, Array, Array], Array]) -> Array:
    """Average a function of l, exp(-lt) and 1 - exp(-lt) over the bulk, for all times."""
    values, flat = law.eigenvalues, times.reshape(-1)
    found = np.empty(len(flat))
    rows = max(1, BLOCK // len(values))
    for first in range(0, len(flat), rows):
        part = slice(first, first + rows)
        exponent = -values * flat[part, None]
        found[part] = term(values, np.exp(exponent), -np.expm1(exponent)) @ law.weights
    return found.reshape(times.shape)
