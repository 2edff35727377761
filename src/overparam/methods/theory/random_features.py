"""Train and test error of random-feature ridge regression, from the spectrum of a kernel and the target's coefficients.

The kernel is K = sum_i lambda_i phi_i phi_i', the target sum_i v_i phi_i, labels carry noise of variance sigma^2. k
random features stand for K, n samples train a ridge predictor (K_hat + delta I)^-1 y on the unnormalised n x n kernel;
k infinite is kernel ridge regression. From Simon, Karkada, Ghosh and Belkin, arXiv 2311.14646; L, z, s, a and b as in
`effective_ridge`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar

from overparam.errors import BadInput
from overparam.methods.theory.effective_ridge import CHUNK, EffectiveRidges, check_target, effective_ridges

Array = NDArray[np.float64]
NEAR, FAR = 40, 160  # places in log gamma that are tried close to the ridgeless end, and beyond


@dataclass(frozen=True)
class RFRisk:
    """Errors that the theory predicts; every field has the shape to which n, k and ridge broadcast.

    Attributes:
        test: Mean squared error on new noisy labels, so sigma^2 is part of it; infinite at a divergence.
        train: Mean squared error on the training labels.
        kappa: Effective ridge of the samples.
        gamma: Effective ridge of the spectrum: modes with eigenvalues well above it are learned.
        overfit_coeff: Test error over that of an infinite sample at the same gamma; at least 1.
    """

    test: Array
    train: Array
    kappa: Array
    gamma: Array
    overfit_coeff: Array


@dataclass(frozen=True)
class OptimalRidge:
    """The best ridge of every setting.

    Attributes:
        ridge: Not negative; 0 where the infimum lies at 0, infinite where nothing can be learned.
        risk: Test error with it.
    """

    ridge: Array
    risk: Array


def rf_risk(
    eigvals: ArrayLike, coeffs2: ArrayLike, n: ArrayLike, k: ArrayLike, ridge: ArrayLike, noise_var: float = 0.0
) -> RFRisk:
    """Predict train and test error.

    test = n / ((a + b) s + a b) * { sum_i (1 - L_i) [(1 - L_i) b + s] v_i^2 + sigma^2 (b + s) }, for k infinite
    n / (a + s) * { sum_i (1 - L_i)^2 v_i^2 + sigma^2 }; train = (a / n)^2 test.

    Args:
        eigvals: (M,), not negative; sorted with a warning if they do not descend, the coefficients with them.
        coeffs2: (M,) v_i^2, not negative.
        n: Samples, positive.
        k: Features, positive; infinity for kernel regression.
        ridge: delta, not negative. n, k and ridge broadcast.
        noise_var: sigma^2, not negative.

    Returns:
        Errors and effective ridges.

    Raises:
        BadInput: As in `rf_solve`, coefficients that do not match, or a negative noise.

    Source: arXiv 2311.14646, the eigenframework of random features and its limit for kernel regression.

    Example:
        >>> found = rf_risk(np.ones(20), np.full(20, 0.05), n=10, k=np.inf, ridge=0.0, noise_var=0.1)
        >>> round(float(found.test), 12)  # M / (M - n) (sum v^2 (1 - n/M)^2 + sigma^2)
        0.7
    """
    lam, v2 = check_target(eigvals, coeffs2, noise_var)
    at = effective_ridges(lam, n, k, ridge)
    overfit, core = _parts(lam, v2, noise_var, at)
    with np.errstate(invalid="ignore"):
        test = np.where(core > 0, overfit * core, 0.0)
        train = np.where(at.a > 0, (at.a / at.n) ** 2 * test, 0.0)
    return RFRisk(test[()], train[()], at.kappa[()], at.gamma[()], overfit[()])


def optimal_ridge(
    eigvals: ArrayLike,
    coeffs2: ArrayLike,
    n: ArrayLike,
    k: ArrayLike,
    noise_var: float = 0.0,
    *,
    pool: int | None = None,
) -> OptimalRidge:
    """Find the ridge >= 0 with the least predicted test error.

    Every gamma above the ridgeless one belongs to a ridge in closed form, so gamma is searched instead: a grid in its
    logarithm that is fine near the ridgeless end, then golden sections. No equation is solved on the way.

    Args:
        eigvals: (M,).
        coeffs2: (M,).
        n: Samples.
        k: Features. n and k broadcast.
        noise_var: sigma^2.
        pool: Points on which the spectrum was measured; if given, the error on those of them that are not trained on,
            as in `unseen_risk`, is made least instead.

    Returns:
        Ridge and test error, accurate to rounding for the error and its square root for the ridge.

    Raises:
        BadInput: As in `rf_risk`, or n not below the size of the pool.

    Source: arXiv 2311.14646, whose theorem on more features and data takes this ridge.

    Example:
        >>> best = optimal_ridge(np.ones(20), np.full(20, 0.05), n=10, k=np.inf, noise_var=0.1)
        >>> round(float(best.ridge), 4)  # for equal eigenvalues M sigma^2 / sum v^2
        2.0
    """
    lam, v2 = check_target(eigvals, coeffs2, noise_var)
    ns, ks = np.broadcast_arrays(np.asarray(n, dtype=np.float64), np.asarray(k, dtype=np.float64))
    places = zip(ns.ravel(), ks.ravel(), strict=True)
    found = [_best(lam, v2, float(a), float(b), noise_var, pool) for a, b in places]
    ridge, risk = (np.array(column).reshape(ns.shape)[()] for column in zip(*found, strict=True))
    return OptimalRidge(ridge, risk)


def sufficient_features(
    eigvals: ArrayLike,
    coeffs2: ArrayLike,
    n: float,
    tolerance: float = 0.01,
    noise_var: float = 0.0,
    *,
    pool: int | None = None,
) -> int:
    """Find the smallest number of features that is as good as infinitely many, up to a tolerance.

    Args:
        eigvals: (M,).
        coeffs2: (M,).
        n: Samples.
        tolerance: Relative excess of the optimally tuned test error that is accepted, positive.
        noise_var: sigma^2.
        pool: As in `optimal_ridge`.

    Returns:
        The smallest k whose tuned risk is at most (1 + tolerance) times that of k infinite; the risk never increases
        with k, so bisection finds it.

    Raises:
        BadInput: As in `rf_risk`, or a tolerance that is not positive.

    Source: arXiv 2311.14646, theorem on more features and data.

    Example:
        >>> modes = np.arange(1, 1001) ** -1.5
        >>> few, many = (sufficient_features(modes, modes, n=50, tolerance=t) for t in (0.1, 0.01))
        >>> few < many
        True
    """
    if not tolerance > 0:
        raise BadInput(f"tolerance={tolerance} is not positive; only infinitely many features are as good as that")
    lam, v2 = check_target(eigvals, coeffs2, noise_var)
    goal = (1 + tolerance) * _best(lam, v2, float(n), math.inf, noise_var, pool)[1]

    def enough(k: int) -> bool:
        return _best(lam, v2, float(n), float(k), noise_var, pool)[1] <= goal

    high = 1
    while not enough(high):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def unseen_risk(test: ArrayLike, train: ArrayLike, n: ArrayLike, pool: int) -> Array:
    """Error on the points of a finite pool that were not trained on.

    A spectrum measured on a pool of N points describes draws from that pool, training points included; taking them
    out gives (N test - n train) / (N - n).

    Args:
        test: Predicted error over the whole pool.
        train: Predicted error on the training points.
        n: Training points, fewer than the pool holds.
        pool: N.

    Returns:
        The error on the others.

    Raises:
        BadInput: n is not below the size of the pool.

    Source: arXiv 2311.14646, correction of the curves on real data.

    Example:
        >>> float(unseen_risk(0.5, 0.1, n=50, pool=100))
        0.9
    """
    size = np.asarray(n, dtype=np.float64)
    if (size >= pool).any():
        raise BadInput(f"n={size.max():g} leaves none of the {pool} points of the pool; give fewer samples")
    taken = size * np.asarray(train, dtype=np.float64)
    return np.asarray((pool * np.asarray(test, dtype=np.float64) - taken) / (pool - size))


def _parts(lam: Array, v2: Array, noise: float, at: EffectiveRidges) -> tuple[Array, Array]:
    """Return n (b + s) / ((a + b) s + a b), the coefficient of overfitting, and the test error without it."""
    n, gamma, a, b = (v.ravel() for v in (at.n, at.gamma, at.a, at.b))
    rows = max(1, CHUNK // len(lam))
    pieces = [
        _parts_of(lam, v2, noise, *(v[i : i + rows] for v in (n, gamma, a, b))) for i in range(0, len(gamma), rows)
    ]
    overfit, core = (np.concatenate(column).reshape(at.gamma.shape) for column in zip(*pieces, strict=True))
    return overfit, core


def _parts_of(lam: Array, v2: Array, noise: float, n: Array, gamma: Array, a: Array, b: Array) -> tuple[Array, Array]:
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.where(lam > 0, gamma[:, None] / (lam + gamma[:, None]), 1.0)  # 1 - L
        s = left.sum(1) - np.einsum("gm,gm->g", left, left)
        share = np.where(np.isinf(b), 1.0, np.where(b + s > 0, b / (b + s), 0.0))
        core = share * (left**2 @ v2) + (1 - share) * (left @ v2) + noise
        return n / (a + share * s), core  # ((a + b) s + a b) / (b + s) = a + s b / (b + s)


def _best(lam: Array, v2: Array, n: float, k: float, noise: float, pool: int | None) -> tuple[float, float]:
    """Ridge and test error at the optimum of one setting."""
    edge = effective_ridges(lam, n, k, 0.0)
    if pool is not None and not n < pool:
        raise BadInput(f"n={n:g} leaves none of the {pool} points of the pool; give fewer samples")
    if not (v2[lam > 0] > 0).any():
        return math.inf, float(v2.sum()) + noise

    def unseen(a: float) -> float:
        return 1.0 if pool is None else (pool - n * (a / n) ** 2) / (pool - n)

    overfit, core = _parts(lam, v2, noise, edge)
    at_zero = float(overfit * core) * unseen(float(edge.a)) if core > 0 else 0.0
    start = math.log(float(edge.gamma)) if edge.gamma > 0 else math.log(float(lam[lam > 0][-1])) - 37.0
    span = math.log(float(lam.sum()) * (1 + noise / float(v2.sum()))) + 25.0 - start

    def at(offset: float) -> tuple[float, float]:
        """Ridge and test error that belong to a gamma."""
        gamma = math.exp(start + offset)
        z = float((lam / (lam + gamma)).sum())
        a, b = max(0.0, n - z), max(0.0, k - z)
        factor, rest = _parts_of(lam, v2, noise, *(np.array([v]) for v in (n, gamma, a, b)))
        risk = float(factor[0] * rest[0]) * unseen(a) if rest[0] > 0 else 0.0
        return a * gamma * (1.0 if math.isinf(k) else b / k), risk

    places = np.concatenate([[0.0], np.geomspace(1e-10, 0.05, NEAR), np.linspace(0.05, span, FAR)[1:]])
    i = 1 + int(np.argmin([at(float(x))[1] for x in places[1:]]))
    inside = (float(places[i - 1]), float(places[min(i + 1, len(places) - 1)]))
    found = minimize_scalar(lambda x: at(x)[1], bounds=inside, method="bounded", options={"xatol": 1e-10})
    offset = min((float(found.x), float(places[i])), key=lambda x: at(x)[1])
    ridge, value = at(offset)
    return (0.0, at_zero) if at_zero <= value * (1 + 1e-13) else (ridge, value)
